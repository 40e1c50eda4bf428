/* unit_life.c: a stream that is freed, forked or left at exit while a thread steps, through the public interface.
 *
 * Arguments: "free", "fork THREADS", "exit STREAMS". A step has to last 50 ms and more (tiny_plan.c with TINY_SLOW_MS,
 * the stand-ins with STAND_IN_POLLS). With -DGPU the model is one for a GPU. */
#define _POSIX_C_SOURCE 200809L
#include "checks.h"
#include "tsm_edge.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef GPU
enum { IS_GPU = 1 };
#else
enum { IS_GPU = 0 };
#endif
enum { FLOATS = 1200, CLASSES = 3, MANY = 4 };

static tsm_model *model;
static char error[TSM_ERROR_SIZE];
static const float frame[FLOATS];

static void nap_ms(long ms) { nanosleep(&(struct timespec){0, ms * 1000000}, NULL); }

static tsm_stream *stream_of(int threads) {
    tsm_stream *stream = NULL;
    CHECK(tsm_stream_new(model, threads, &stream, error, sizeof error) == TSM_OK);
    return stream;
}

static int step(tsm_stream *stream) { return (int)tsm_step_tensor(stream, frame, FLOATS); }

static atomic_int begun;

static void *step_once(void *stream) {
    atomic_fetch_add(&begun, 1);
    CHECK(step(stream) == TSM_OK);
    return NULL;
}

static void *step_for_ever(void *stream) {
    atomic_fetch_add(&begun, 1);
    while (step(stream) == TSM_OK) continue;
    return NULL;
}

static pthread_t start(void *(*what)(void *), tsm_stream *stream) {
    pthread_t thread;
    const int before = atomic_load(&begun);
    CHECK(pthread_create(&thread, NULL, what, stream) == 0);
    while (atomic_load(&begun) == before) nap_ms(1);
    nap_ms(15); /* it is in the step now */
    return thread;
}

/* -- Freed while a thread steps ------------------------------------------------------------------------------------ */

static void freeing_waits_for_the_step(void) {
    for (int threads = 1; threads <= 3; threads++) {
        tsm_stream *stream = stream_of(threads);
        pthread_t stepper = start(step_once, stream);
        tsm_stream_free(stream);
        CHECK(pthread_join(stepper, NULL) == 0);
    }
}

static void a_second_thread_is_refused(void) {
    float steps[5], state[5] = {7, 7, 7, 7, 7};
    tsm_stream *stream = stream_of(2);
    pthread_t stepper = start(step_once, stream);
    CHECK(step(stream) == TSM_E_BUSY && tsm_reset(stream) == TSM_E_BUSY && tsm_profile(stream, 1) == TSM_E_BUSY);
    CHECK(tsm_state_get(stream, 1, steps, 5) == TSM_E_BUSY && tsm_state_set(stream, 1, state, 5) == TSM_E_BUSY);
    CHECK(pthread_join(stepper, NULL) == 0);
    CHECK(tsm_error(stream)[0] == '\0' && tsm_scores(stream, NULL)[2] == 2.0f);
    CHECK(step(stream) == TSM_OK && tsm_scores(stream, NULL)[2] == 4.0f);
    tsm_stream_free(stream);
}

static void *free_it(void *stream) {
    tsm_stream_free(stream);
    return NULL;
}

/* The last stream that is freed takes the model with it. */
static void a_model_is_closed_before_its_streams(void) {
    tsm_stream *streams[MANY];
    pthread_t freers[MANY];
    for (int i = 0; i < MANY; i++) streams[i] = stream_of(1 + i % 2);
    tsm_close(model);
    CHECK(step(streams[0]) == TSM_OK && tsm_scores(streams[0], NULL)[1] == 1.0f);
    for (int i = 0; i < MANY; i++) CHECK(pthread_create(&freers[i], NULL, free_it, streams[i]) == 0);
    for (int i = 0; i < MANY; i++) CHECK(pthread_join(freers[i], NULL) == 0);
    CHECK(tsm_open(&model, error, sizeof error) == TSM_OK);
}

/* -- Forked -------------------------------------------------------------------------------------------------------- */

static void in_the_child(tsm_stream *stream) {
    float steps[5];
    tsm_model *again = NULL;
    tsm_stream *own = NULL;
    alarm(20);
    CHECK(step(stream) == TSM_E_FORKED && strstr(tsm_error(stream), "forked") != NULL);
    CHECK(tsm_reset(stream) == TSM_E_FORKED && tsm_state_get(stream, 1, steps, 5) == TSM_E_FORKED);
    CHECK(tsm_profile(stream, 1) == TSM_E_FORKED && tsm_state_set(stream, 1, steps, 5) == TSM_E_FORKED);
    tsm_stream_free(stream);
    const tsm_status made = tsm_stream_new(model, 2, &own, error, sizeof error);
    CHECK(made == (IS_GPU ? TSM_E_FORKED : TSM_OK));
    if (IS_GPU) CHECK(strstr(error, "forked") != NULL);
    if (made == TSM_OK) CHECK(step(own) == TSM_OK && tsm_scores(own, NULL)[2] == 2.0f);
    tsm_stream_free(own);
    CHECK(tsm_open(&again, error, sizeof error) == (IS_GPU ? TSM_E_FORKED : TSM_OK));
    if (IS_GPU) CHECK(strstr(error, "forked from process") != NULL);
    tsm_close(again);
    tsm_close(model);
    _exit(failures > 0);
}

/* One stream at rest, one with a thread in a step. */
static void fork_with_streams(int threads) {
    tsm_stream *resting = stream_of(threads), *busy = stream_of(threads);
    CHECK(step(resting) == TSM_OK);
    pthread_t stepper = start(step_once, busy);
    for (int i = 0; i < 2; i++) {
        int status = -1;
        const pid_t child = fork();
        if (child == 0) in_the_child(i == 0 ? resting : busy);
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    CHECK(pthread_join(stepper, NULL) == 0);
    CHECK(step(resting) == TSM_OK && tsm_scores(resting, NULL)[2] == 4.0f);
    tsm_stream_free(resting);
    tsm_stream_free(busy);
}

/* -- Left at exit -------------------------------------------------------------------------------------------------- */

static void leave_while_they_step(int streams) {
    for (int i = 0; i < streams; i++) start(step_for_ever, stream_of(1 + i % 3));
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    const int number = argc > 2 ? atoi(argv[2]) : 1;
    CHECK(tsm_open(&model, error, sizeof error) == TSM_OK);
    if (model == NULL) return fputs(error, stderr), 1;
    if (strcmp(mode, "exit") == 0) {
        leave_while_they_step(number);
        return failures > 0;
    }
    if (strcmp(mode, "free") == 0) {
        RUN(freeing_waits_for_the_step);
        RUN(a_second_thread_is_refused);
        RUN(a_model_is_closed_before_its_streams);
    }
    if (strcmp(mode, "fork") == 0) {
        fork_with_streams(number);
        printf("ok fork\n");
    }
    tsm_close(model);
    return failures > 0;
}
