/* two_bundles.c: the libraries of several bundles in one program, opened side by side.
 *
 *     two_bundles local|global LIBRARY...
 *
 * Every library has a thread that steps its model 50 times on frames of zeros, with two streams in turn; then the
 * models are closed in the order in which they were opened. Prints a line for each: name, input size, scores of both
 * streams. */
#define _POSIX_C_SOURCE 200809L
#include "tsm_edge.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4, STEPS = 50 };

/* The functions of one library, by the names of tsm_edge.h. */
#define FUNCTIONS(X)                                                                                                   \
    X(tsm_open) X(tsm_close) X(tsm_info) X(tsm_stream_new) X(tsm_stream_free) X(tsm_step_tensor) X(tsm_scores)

typedef struct {
    void *library;
#define FIELD(name) __typeof__(&name) name;
    FUNCTIONS(FIELD)
    tsm_model *model;
    tsm_stream *streams[2];
    tsm_model_info info;
    pthread_t thread;
} bundle;

static int die(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void take(bundle *b, const char *name, void *place) {
    void *found = dlsym(b->library, name);
    memcpy(place, &found, sizeof found);
    if (found == NULL) die(name);
}

static void open_bundle(bundle *b, const char *path, int flags) {
    char error[TSM_ERROR_SIZE];
    b->library = dlopen(path, flags);
    if (b->library == NULL) die(dlerror());
#define TAKE(name) take(b, #name, &b->name);
    FUNCTIONS(TAKE)
    if (b->tsm_open(&b->model, error, sizeof error) != TSM_OK) die(error);
    for (int i = 0; i < 2; i++)
        if (b->tsm_stream_new(b->model, i + 1, &b->streams[i], error, sizeof error) != TSM_OK) die(error);
    b->tsm_info(b->model, &b->info);
}

static void *step(void *argument) {
    bundle *b = argument;
    const size_t count = (size_t)(b->info.input_channels * b->info.input_height * b->info.input_width);
    float *frame = calloc(count, sizeof *frame);
    for (int i = 0; frame != NULL && i < STEPS; i++)
        for (int s = 0; s < 2; s++)
            if (b->tsm_step_tensor(b->streams[s], frame, count) != TSM_OK) die("a step fails");
    free(frame);
    return NULL;
}

static void print(const bundle *b) {
    printf("%s %d", b->info.model, (int)b->info.input_width);
    for (int s = 0; s < 2; s++) {
        size_t count = 0;
        const float *scores = b->tsm_scores(b->streams[s], &count);
        for (size_t i = 0; i < count; i++) printf(" %g", (double)scores[i]);
    }
    printf("\n");
}

int main(int argc, char **argv) {
    bundle bundles[MOST] = {0};
    const int count = argc - 2;
    if (count < 1 || count > MOST) return 2;
    const int flags = RTLD_NOW | (strcmp(argv[1], "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL);
    for (int i = 0; i < count; i++) open_bundle(&bundles[i], argv[2 + i], flags);
    for (int i = 0; i < count; i++) pthread_create(&bundles[i].thread, NULL, step, &bundles[i]);
    for (int i = 0; i < count; i++) pthread_join(bundles[i].thread, NULL);
    for (int i = 0; i < count; i++) print(&bundles[i]);
    for (int i = 0; i < count; i++) {
        for (int s = 0; s < 2; s++) bundles[i].tsm_stream_free(bundles[i].streams[s]);
        bundles[i].tsm_close(bundles[i].model);
        dlclose(bundles[i].library);
    }
    return 0;
}
