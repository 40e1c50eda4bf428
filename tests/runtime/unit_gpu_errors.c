/* unit_gpu_errors.c: the runtime of a GPU family over its stand-in, while one driver call after the other fails.
 *
 * Arguments: "log" prints the driver calls of one short life; "each CODE" makes every call fail once with that code;
 * "lost" makes every call from the n-th on fail; "hang" has a device that never answers,
 * "hang-at-first" from the first step on. */
#define _POSIX_C_SOURCE 200809L
#include "checks.h"
#include "tsm_edge.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef OPENCL
#define LIBRARY "libOpenCL.so.1"
#define CODE "CL_"
#else
#define LIBRARY "libcuda.so.1"
#define CODE "CUDA_ERROR"
#endif

enum { FLOATS = 1200, CLASSES = 3, STEPS = 5 };

/* -- The stand-in's controls --------------------------------------------------------------------------------------- */

static struct {
    long *fail_at, *calls;
    int *fail_code, *fail_forever, *hang;
    char *failed, *log, *misuse;
    long (*live)(char *, size_t);
} driver;

static void find_driver(void) {
    void *library = dlopen(LIBRARY, RTLD_NOW);
    if (library == NULL) exit(fprintf(stderr, "%s\n", dlerror()));
#define CONTROL(name)                                             \
    do {                                                          \
        void *found = dlsym(library, "stand_in_" #name);          \
        if (found == NULL) exit(fprintf(stderr, #name "\n"));     \
        memcpy(&driver.name, &found, sizeof found);               \
    } while (0)
    CONTROL(fail_at);
    CONTROL(calls);
    CONTROL(fail_code);
    CONTROL(fail_forever);
    CONTROL(hang);
    CONTROL(failed);
    CONTROL(log);
    CONTROL(misuse);
    CONTROL(live);
}

static void start_over(long fail_at) {
    *driver.calls = 0;
    *driver.fail_at = fail_at;
    driver.failed[0] = driver.log[0] = driver.misuse[0] = '\0';
}

/* -- One life of a model, every call tried twice ------------------------------------------------------------------- */

typedef struct {
    int failures, lost; /* calls that failed; the device was lost */
    char first[TSM_ERROR_SIZE]; /* message of the first */
    float scores[2][CLASSES];
} life;

static void note(life *l, tsm_status status, const char *message) {
    CHECK(status == TSM_E_DEVICE && message[0] != '\0');
    if (l->failures++ == 0) snprintf(l->first, sizeof l->first, "%s", message);
}

/* Runs `call`, and runs it again when it fails. Once the device is lost, all fail and say so. */
#define TRY(l, message, call)                                                                      \
    do {                                                                                           \
        tsm_status status_ = (call);                                                               \
        if (status_ != TSM_OK) {                                                                   \
            note(l, status_, message);                                                             \
            status_ = (call);                                                                      \
            if (status_ != TSM_OK) (l)->lost = 1;                                                  \
            if (status_ != TSM_OK && !*driver.fail_forever) CHECK(strstr(message, "lost") != NULL); \
        }                                                                                          \
    } while (0)

static void live_on(life *l, tsm_stream *s, int index) {
    float frame[FLOATS], steps[STEPS] = {0};
    for (int step = 0; step < 5; step++) {
        for (int i = 0; i < FLOATS; i++) frame[i] = (float)((i * 7 + step * 13 + index) % 101) / 50.0f - 1.0f;
        TRY(l, tsm_error(s), tsm_profile(s, step == 2));
        TRY(l, tsm_error(s), tsm_step_tensor(s, frame, FLOATS));
        if (step == 1 && index == 0) TRY(l, tsm_error(s), tsm_reset(s));
        if (step == 2) {
            TRY(l, tsm_error(s), tsm_state_get(s, 1, steps, STEPS));
            TRY(l, tsm_error(s), tsm_state_set(s, 1, steps, STEPS));
        }
    }
    memcpy(l->scores[index], tsm_scores(s, NULL), sizeof l->scores[index]);
}

static life live(void) {
    life l = {0};
    char error[TSM_ERROR_SIZE];
    tsm_model *model = NULL;
    tsm_stream *streams[2] = {NULL, NULL};
    TRY(&l, error, tsm_open(&model, error, sizeof error));
    for (int i = 0; model != NULL && i < 2; i++) {
        TRY(&l, error, tsm_stream_new(model, 1, &streams[i], error, sizeof error));
        if (streams[i] != NULL) live_on(&l, streams[i], i);
    }
    for (int i = 0; i < 2; i++) tsm_stream_free(streams[i]);
    tsm_close(model);
    return l;
}

/* -- Every call fails once ----------------------------------------------------------------------------------------- */

static int ends_something(const char *call) {
    return strstr(call, "Destroy") || strstr(call, "Free") || strstr(call, "Unload") || strstr(call, "Release");
}

/* Calls whose failure is kept from the caller: there is nothing that could be done, or it was only about the cache. */
static int is_silent(const char *call) {
    return ends_something(call) || strstr(call, "Ctx") || strstr(call, "clGet") || strstr(call, "Program") ||
           strcmp(call, "clCreateKernel") == 0; /* of a program from the cache; then it is compiled */
}

/* Questions about a device: the answer is missed in the check of what it is for, whose message is about that. */
static int is_question(const char *call) { return strncmp(call, "clGet", 5) == 0; }

/* `before`: handles that earlier failures to free them left behind. */
static void check_life(const life *l, const life *good, long n, long before) {
    char kinds[64];
    const char *call = driver.failed;
    if (l->failures == 0)
        CHECK(is_silent(call));
    else
        CHECK(is_question(call) || (strstr(l->first, CODE) != NULL && strstr(l->first, call) != NULL));
    if (!l->lost) CHECK(memcmp(l->scores, good->scores, sizeof l->scores) == 0);
    const long left = driver.live(kinds, sizeof kinds) - before;
    CHECK(left == 0 || (left == 1 && ends_something(call)));
    CHECK(driver.misuse[0] == '\0' || strstr(call, "Ctx") != NULL);
    if (failures == 0) return;
    fprintf(stderr, "call %ld, %s: %s\n  left %ld: %s %s\n", n, call, l->first, left, kinds, driver.misuse);
}

static long each_call_fails_once(int code) {
    start_over(0);
    live(); /* fills a cache, where there is one */
    start_over(0);
    const life good = live();
    const long calls = *driver.calls;
    CHECK(good.failures == 0 && !good.lost && driver.misuse[0] == '\0' && isfinite(good.scores[0][2]));
    for (long n = 1; n <= calls && failures == 0; n++) {
        char kinds[64];
        const long before = driver.live(kinds, sizeof kinds);
        *driver.fail_code = code;
        start_over(n);
        const life l = live();
        CHECK(driver.failed[0] != '\0');
        check_life(&l, &good, n, before);
    }
    start_over(0);
    const life again = live(); /* nothing of all that has stayed */
    CHECK(again.failures == 0 && memcmp(again.scores, good.scores, sizeof good.scores) == 0);
    return calls;
}

static void lost(void) {
    start_over(0);
    const life good = live();
    const long calls = *driver.calls;
    CHECK(good.failures == 0);
    *driver.fail_code = 719;
    *driver.fail_forever = 1;
    for (long n = 1; n <= calls; n += 7) {
        start_over(n);
        const life l = live();
        CHECK(l.lost || is_silent(driver.failed) || n + 60 > calls);
    }
}

/* -- A device that never answers ----------------------------------------------------------------------------------- */

static void hang(void) {
    char error[TSM_ERROR_SIZE];
    tsm_model *model = NULL;
    tsm_stream *stream = NULL, *other = NULL;
    float frame[FLOATS] = {0}, before[CLASSES];
    CHECK(tsm_open(&model, error, sizeof error) == TSM_OK);
    CHECK(tsm_stream_new(model, 1, &stream, error, sizeof error) == TSM_OK);
    CHECK(tsm_step_tensor(stream, frame, FLOATS) == TSM_OK);
    memcpy(before, tsm_scores(stream, NULL), sizeof before);
    *driver.hang = 1;
    CHECK(tsm_step_tensor(stream, frame, FLOATS) == TSM_E_DEVICE);
    CHECK(strstr(tsm_error(stream), "does not answer") && memcmp(before, tsm_scores(stream, NULL), sizeof before) == 0);
    const long calls = *driver.calls;
    CHECK(tsm_step_tensor(stream, frame, FLOATS) == TSM_E_DEVICE && strstr(tsm_error(stream), "does not answer"));
    CHECK(tsm_reset(stream) == TSM_E_DEVICE && tsm_profile(stream, 1) == TSM_E_DEVICE);
    CHECK(tsm_state_get(stream, 1, before, STEPS) == TSM_E_DEVICE);
    CHECK(tsm_state_set(stream, 1, frame, STEPS) == TSM_E_DEVICE);
    CHECK(tsm_stream_new(model, 1, &other, error, sizeof error) == TSM_E_DEVICE && other == NULL);
    tsm_stream_free(stream);
    tsm_close(model);
    CHECK(*driver.calls == calls); /* the driver is not asked for anything more */
}

/* The driver may compile within the first step: it gets five times as long. */
static void hang_at_first(void) {
    char error[TSM_ERROR_SIZE];
    tsm_model *model = NULL;
    tsm_stream *stream = NULL;
    float frame[FLOATS] = {0};
    CHECK(tsm_open(&model, error, sizeof error) == TSM_OK);
    CHECK(tsm_stream_new(model, 1, &stream, error, sizeof error) == TSM_OK);
    *driver.hang = 1;
    CHECK(tsm_step_tensor(stream, frame, FLOATS) == TSM_E_DEVICE);
    CHECK(strstr(tsm_error(stream), "no end of a step after 2000 ms") != NULL);
    tsm_stream_free(stream);
    tsm_close(model);
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    find_driver();
    if (strcmp(mode, "each") == 0 && argc > 2) printf("%ld calls\n", each_call_fails_once(atoi(argv[2])));
    if (strcmp(mode, "lost") == 0) lost();
    if (strcmp(mode, "hang") == 0) hang();
    if (strcmp(mode, "hang-at-first") == 0) hang_at_first();
    if (strcmp(mode, "log") == 0) {
        const life l = live();
        CHECK(l.failures == 0);
        fputs(driver.log, stdout);
    }
    return failures > 0;
}
