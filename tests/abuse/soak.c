/* soak.c: steps without an end, over the plan of tiny_plan.c: memory, files and threads must stay what they were.
 *
 *     soak STEPS
 *
 * Images and tensors by turns; another image size every 100 steps, a stream of another number of threads every 1000,
 * the model anew every 10000. Every stream's last scores are compared with what the plan says. Prints one line of JSON:
 * resident memory, open files and threads after the first tenth of the steps and after all, and the most between. */
#define _POSIX_C_SOURCE 200809L
#include "tsm_edge.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FLOATS = 1200, MOST_SIDE = 96, PARTS = 10, LIFE = 1000 };

static char error[TSM_ERROR_SIZE];

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, error);
    exit(1);
}

static long resident_kib(void) {
    long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &all, &resident) != 2) die("/proc/self/statm");
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static long entries(const char *folder) {
    long count = -2; /* "." and ".." */
    DIR *d = opendir(folder);
    if (d == NULL) die(folder);
    while (readdir(d) != NULL) count++;
    closedir(d);
    return count;
}

/* One stream's life. Its states count the steps, so its scores are known. */
static void live(tsm_model *model, long life, uint8_t *pixels, const float *frame) {
    tsm_stream *stream = NULL;
    if (tsm_stream_new(model, 1 + (int32_t)(life % 3), &stream, error, sizeof error) != TSM_OK) die("tsm_stream_new");
    for (long i = 0; i < LIFE; i++) {
        const int32_t side = 8 + (int32_t)((i / 100 * 13 + life * 7) % (MOST_SIDE - 8));
        const tsm_image image = {pixels, side, MOST_SIDE - side / 2, 3 * MOST_SIDE, i % 3 ? TSM_BGR : TSM_RGB};
        const tsm_status status = i % 2 ? tsm_step_tensor(stream, frame, FLOATS) : tsm_step_image(stream, &image);
        if (status != TSM_OK) die(tsm_error(stream));
        if (i % 250 == 0) tsm_profile(stream, i % 500 == 0);
    }
    for (int i = 0; i < 2; i++) /* twice: the image of the step before is no longer in the state */
        if (tsm_step_tensor(stream, frame, FLOATS) != TSM_OK) die(tsm_error(stream));
    const float *scores = tsm_scores(stream, NULL);
    if (scores[0] != 0.0f || scores[1] != LIFE + 2 || scores[2] != 2 * (LIFE + 2)) die("other scores than the plan's");
    tsm_stream_free(stream);
}

int main(int argc, char **argv) {
    const long steps = argc > 1 ? atol(argv[1]) : 1000000, lives = steps / LIFE;
    static uint8_t pixels[MOST_SIDE * MOST_SIDE * 3];
    static const float frame[FLOATS];
    long first[3] = {0}, last[3] = {0}, most = 0;
    struct timespec start, end;
    tsm_model *model = NULL;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 % 251);
    for (long life = 0; life < lives; life++) {
        if (life % 10 == 0) {
            tsm_close(model);
            if (tsm_open(&model, error, sizeof error) != TSM_OK) die("tsm_open");
        }
        live(model, life, pixels, frame);
        long *now = life < (lives + PARTS - 1) / PARTS ? first : last;
        now[0] = resident_kib(), now[1] = entries("/proc/self/fd"), now[2] = entries("/proc/self/task");
        if (now[0] > most) most = now[0];
    }
    tsm_close(model);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("{\"steps\": %ld, \"seconds\": %.1f, \"first_kib\": %ld, \"last_kib\": %ld, \"most_kib\": %ld, "
           "\"files\": [%ld, %ld], \"threads\": [%ld, %ld]}\n",
           lives * (LIFE + 2), (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9,
           first[0], last[0], most, first[1], last[1], first[2], last[2]);
    return 0;
}
