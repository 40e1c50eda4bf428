/* unit_stream.c: streams over the plan of tiny_plan.c or tiny_gpu_plan.c, through the public interface alone. */
#define _POSIX_C_SOURCE 200809L
#include "checks.h"
#include "tsm_edge.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifndef DEVICE_SAYS
#define DEVICE_SAYS "the CPU: "
#endif
#ifndef STATE_ERROR
#define STATE_ERROR 0.0f /* of values below 1, where states are stored; 2^-12 for float16 */
#endif

enum { CROP = 20, FLOATS = 3 * CROP * CROP, WIDTH = 31, HEIGHT = 27, STEPS = 5 };

/* -- Allocations are counted: the linker sends them here (-Wl,--wrap=malloc,...) ----------------------------------- */

static atomic_long allocations;
void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
int __real_posix_memalign(void **, size_t, size_t);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);
void *__wrap_malloc(size_t size) {
    allocations++;
    return __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size) {
    allocations++;
    return __real_calloc(count, size);
}
int __wrap_posix_memalign(void **out, size_t alignment, size_t size) {
    allocations++;
    return __real_posix_memalign(out, alignment, size);
}

/* -- Helpers ------------------------------------------------------------------------------------------------------- */

static tsm_model *model;
static char error[TSM_ERROR_SIZE];

static tsm_stream *stream_of(int threads) {
    tsm_stream *stream = NULL;
    CHECK(tsm_stream_new(model, threads, &stream, error, sizeof error) == TSM_OK);
    return stream;
}

static void fill(float *frame, int seed) {
    for (int i = 0; i < FLOATS; i++) frame[i] = (float)((i * 7 + seed * 13) % 101) / 50.0f - 1.0f;
}

static int step(tsm_stream *stream, int seed) {
    float frame[FLOATS];
    fill(frame, seed);
    return tsm_step_tensor(stream, frame, FLOATS) == TSM_OK;
}

/* The score of class c after frames seed - 1 (or none) and seed, as tiny_plan.c defines it, in double. */
static double expected(int c, int seed, int previous, int steps) {
    float now[FLOATS], before[FLOATS];
    double sum = 0;
    fill(now, seed);
    fill(before, previous);
    for (int i = 0; i < CROP * CROP; i++)
        sum += now[c * CROP * CROP + i] * 0.5 + (previous >= 0 ? before[c * CROP * CROP + i] * 0.25 : 0);
    return sum / (CROP * CROP) + (double)c * steps;
}

/* -- Tests --------------------------------------------------------------------------------------------------------- */

static void scores_follow_the_states(void) {
    tsm_stream *stream = stream_of(2);
    size_t count = 0;
    for (int c = 0; c < 3; c++) CHECK(tsm_scores(stream, &count)[c] == 0.0f); /* before the first step */
    CHECK(count == 3);
    for (int i = 0; i < 4; i++) {
        CHECK(step(stream, i));
        for (int c = 0; c < 3; c++)
            CHECK(fabs(tsm_scores(stream, NULL)[c] - expected(c, i, i - 1, i + 1)) < 1e-4);
    }
    CHECK(tsm_reset(stream) == TSM_OK);
    CHECK(step(stream, 7));
    for (int c = 0; c < 3; c++) CHECK(fabs(tsm_scores(stream, NULL)[c] - expected(c, 7, -1, 1)) < 1e-4);
    tsm_stream_free(stream);
}

static void states_come_and_go_in_nchw(void) {
    tsm_stream *stream = stream_of(1);
    float frame[FLOATS], seen[FLOATS], steps[5], scores[3];
    for (int i = 0; i < 3; i++) CHECK(step(stream, i));
    fill(frame, 2);
    CHECK(tsm_state_get(stream, 0, seen, FLOATS) == TSM_OK);
    for (int i = 0; i < FLOATS; i++) CHECK(fabsf(seen[i] - frame[i]) <= STATE_ERROR);
    CHECK(tsm_state_get(stream, 1, steps, 5) == TSM_OK && steps[0] == 3.0f && steps[4] == 3.0f);
    CHECK(step(stream, 3));
    memcpy(scores, tsm_scores(stream, NULL), sizeof scores);

    tsm_stream *other = stream_of(3); /* takes over in the middle of the clip */
    CHECK(tsm_state_set(other, 0, seen, FLOATS) == TSM_OK && tsm_state_set(other, 1, steps, 5) == TSM_OK);
    CHECK(step(other, 3));
    CHECK(memcmp(scores, tsm_scores(other, NULL), sizeof scores) == 0);

    CHECK(tsm_reset(stream) == TSM_OK && tsm_state_get(stream, 0, seen, FLOATS) == TSM_OK);
    for (int i = 0; i < FLOATS; i++) CHECK(seen[i] == 0.0f);
    CHECK(memcmp(scores, tsm_scores(stream, NULL), sizeof scores) == 0); /* a reset keeps the scores */
    tsm_stream_free(stream);
    tsm_stream_free(other);
}

/* As they are stored, whatever the plan stores them as: no bit changes on the way out and in again. */
static void stored_states_come_and_go_bit_for_bit(void) {
    tsm_stream *stream = stream_of(1), *other = stream_of(1);
    static char stored[2][FLOATS * sizeof(float)], again[FLOATS * sizeof(float)];
    float scores[3], seen[FLOATS];
    for (int i = 0; i < 3; i++) CHECK(step(stream, i));
    for (size_t i = 0; i < 2; i++) {
        const size_t count = i == 0 ? FLOATS : 5;
        tsm_state_form form;
        CHECK(tsm_state_stored(model, i, &form) == TSM_OK && form.scale == 1.0f && form.zero == 0);
        CHECK(form.bytes == count * (form.dtype == TSM_FLOAT16 ? 2 : 4));
        CHECK(tsm_state_get_raw(stream, i, stored[i], form.bytes) == TSM_OK);
        CHECK(tsm_state_set_raw(other, i, stored[i], form.bytes) == TSM_OK);
        CHECK(tsm_state_get_raw(other, i, again, form.bytes) == TSM_OK && memcmp(stored[i], again, form.bytes) == 0);
        CHECK(tsm_state_get_raw(other, i, again, form.bytes - 1) == TSM_E_ARGUMENT && strstr(tsm_error(other), "bytes"));
        CHECK(tsm_state_set_raw(other, i, NULL, form.bytes) == TSM_E_ARGUMENT);
        if (form.dtype == TSM_FLOAT32) { /* in the same order as the floats */
            CHECK(tsm_state_get(stream, i, seen, count) == TSM_OK && memcmp(seen, stored[i], form.bytes) == 0);
        }
    }
    CHECK(tsm_state_stored(model, 2, NULL) == TSM_E_ARGUMENT);
    CHECK(tsm_state_get_raw(other, 2, again, 4) == TSM_E_ARGUMENT && strstr(tsm_error(other), "less than 2"));
    CHECK(step(stream, 3) && step(other, 3));
    memcpy(scores, tsm_scores(stream, NULL), sizeof scores);
    CHECK(memcmp(scores, tsm_scores(other, NULL), sizeof scores) == 0);
    tsm_stream_free(stream);
    tsm_stream_free(other);
}

static void threads_do_not_change_a_bit(void) {
    float scores[4][STEPS][3];
    static uint8_t pixels[HEIGHT][WIDTH * 3 + 5];
    for (size_t i = 0; i < sizeof pixels; i++) ((uint8_t *)pixels)[i] = (uint8_t)(i * 37 % 251);
    const tsm_image image = {pixels[0], WIDTH, HEIGHT, sizeof pixels[0], TSM_BGR};
    for (int threads = 1; threads <= 4; threads++) {
        tsm_stream *stream = stream_of(threads);
        for (int i = 0; i < STEPS; i++) {
            CHECK(i % 2 ? step(stream, i) : tsm_step_image(stream, &image) == TSM_OK);
            memcpy(scores[threads - 1][i], tsm_scores(stream, NULL), sizeof scores[0][0]);
        }
        tsm_stream_free(stream);
    }
    for (int t = 1; t < 4; t++) CHECK(memcmp(scores[0], scores[t], sizeof scores[0]) == 0);
}

static void nothing_is_allocated_in_the_steady_state(void) {
    static uint8_t pixels[64 * 64 * 3];
    tsm_image image = {pixels, 40, 30, 120, TSM_RGB};
    for (int threads = 1; threads <= 2; threads++) {
        tsm_stream *stream = stream_of(threads);
        CHECK(tsm_step_image(stream, &image) == TSM_OK);
        long before = allocations;
        for (int i = 0; i < 20; i++) CHECK(tsm_step_image(stream, &image) == TSM_OK && step(stream, i));
        tsm_reset(stream);
        tsm_profile(stream, 1);
        CHECK(step(stream, 1));
        CHECK(allocations == before);
        image.width ^= 8; /* another size: new tables, once */
        CHECK(tsm_step_image(stream, &image) == TSM_OK && allocations > before);
        before = allocations;
        CHECK(tsm_step_image(stream, &image) == TSM_OK && allocations == before);
        tsm_stream_free(stream);
    }
}

static void *run_alone(void *argument) {
    float *scores = argument;
    const int seed = (int)scores[0];
    tsm_stream *stream = stream_of(2);
    for (int i = 0; i < 200; i++)
        if (!step(stream, seed + i)) return NULL;
    memcpy(scores, tsm_scores(stream, NULL), 3 * sizeof *scores);
    tsm_stream_free(stream);
    return argument;
}

static void streams_are_independent(void) {
    float alone[2][3] = {{0}, {1000}}, together[2][3] = {{0}, {1000}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK(run_alone(alone[i]) != NULL);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, run_alone, together[i]) == 0);
    for (int i = 0; i < 2; i++) {
        void *good = NULL;
        CHECK(pthread_join(threads[i], &good) == 0 && good != NULL);
    }
    CHECK(memcmp(alone, together, sizeof alone) == 0 && memcmp(alone[0], alone[1], sizeof alone[0]) != 0);
}

static void nan_is_computed_with(void) {
    tsm_stream *stream = stream_of(1);
    float frame[FLOATS];
    fill(frame, 0);
    frame[0] = NAN;
    CHECK(tsm_step_tensor(stream, frame, FLOATS) == TSM_OK && isnan(tsm_scores(stream, NULL)[0]));
    CHECK(step(stream, 1) && isnan(tsm_scores(stream, NULL)[0])); /* it is in the state now */
    CHECK(tsm_reset(stream) == TSM_OK && step(stream, 1) && !isnan(tsm_scores(stream, NULL)[0]));
    tsm_stream_free(stream);
}

/* A refused step says why and changes nothing. */
static void refusals(void) {
    static const uint8_t pixels[64] = {0};
    static const struct {
        tsm_image image;
        const char *says;
    } bad[] = {
        {{NULL, 4, 4, 12, TSM_BGR}, "NULL"},          {{pixels, 0, 4, 12, TSM_BGR}, "0x4"},
        {{pixels, 4, -1, 12, TSM_BGR}, "4x-1"},       {{pixels, 16385, 1, 49155, TSM_BGR}, "16384"},
        {{pixels, 1, 16385, 3, TSM_BGR}, "16384"},    {{pixels, 4, 4, 11, TSM_BGR}, "at least 12"},
        {{pixels, 4, 4, 12, (tsm_format)7}, "found: 7"},
        {{pixels, 4, 4, SIZE_MAX, TSM_BGR}, "at most"},
        {{pixels, 4, 4, (PTRDIFF_MAX - 12) / 4 + 1, TSM_BGR}, "at most"},
        {{pixels, 2, 1, PTRDIFF_MAX - 5, TSM_BGR}, "at most"},
        {{pixels, 1, 16384, (PTRDIFF_MAX - 3) / 16384 + 1, TSM_RGB}, "at most"},
    };
    const tsm_image farthest = {pixels, 2, 1, PTRDIFF_MAX - 6, TSM_BGR}; /* the largest stride: of a single row */
    tsm_stream *stream = stream_of(1), *other = stream_of(1), *none = stream;
    float frame[FLOATS], before[3], steps[5];
    CHECK(step(stream, 3));
    memcpy(before, tsm_scores(stream, NULL), sizeof before);
    CHECK(strcmp(tsm_error(stream), "") == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(tsm_step_image(stream, &bad[i].image) == TSM_E_ARGUMENT && strstr(tsm_error(stream), bad[i].says));
    CHECK(tsm_step_image(stream, NULL) == TSM_E_ARGUMENT);
    CHECK(tsm_step_image(other, &farthest) == TSM_OK);
    tsm_stream_free(other);
    CHECK(tsm_step_tensor(stream, NULL, FLOATS) == TSM_E_ARGUMENT);
    CHECK(tsm_step_tensor(stream, frame, FLOATS - 1) == TSM_E_ARGUMENT && strstr(tsm_error(stream), "1199"));
    CHECK(tsm_state_get(stream, 2, frame, 5) == TSM_E_ARGUMENT && strstr(tsm_error(stream), "less than 2"));
    CHECK(tsm_state_get(stream, 1, steps, 4) == TSM_E_ARGUMENT && strstr(tsm_error(stream), "steps"));
    CHECK(tsm_state_set(stream, 0, NULL, FLOATS) == TSM_E_ARGUMENT);
    CHECK(memcmp(before, tsm_scores(stream, NULL), sizeof before) == 0);
    CHECK(tsm_state_get(stream, 1, steps, 5) == TSM_OK && steps[0] == 1.0f);
    CHECK(tsm_stream_new(model, 0, &none, error, sizeof error) == TSM_E_ARGUMENT && none == NULL);
    CHECK(strstr(error, "1 to 64") != NULL);
    CHECK(tsm_stream_new(model, 65, &none, error, sizeof error) == TSM_E_ARGUMENT);
    CHECK(tsm_stream_new(NULL, 1, &none, NULL, 0) == TSM_E_ARGUMENT && tsm_open(NULL, error, 1) == TSM_E_ARGUMENT);
    CHECK(tsm_step_tensor(NULL, frame, 1) == TSM_E_ARGUMENT && tsm_reset(NULL) == TSM_E_ARGUMENT);
    CHECK(tsm_scores(NULL, NULL) == NULL && tsm_error(NULL)[0] != '\0');
    tsm_stream_free(stream);
    tsm_stream_free(NULL);
    tsm_close(NULL);
}

static void the_model_describes_itself(void) {
    tsm_model_info info;
    tsm_tensor_info state;
    tsm_op_info op;
    CHECK(tsm_info(model, &info) == TSM_OK && strcmp(info.model, "tiny") == 0 && info.classes == 3);
    CHECK(info.input_height == CROP && info.input_width == CROP && info.input_channels == 3);
    CHECK(info.label_count == 3 && strcmp(info.labels[2], "caf\xc3\xa9") == 0);
    CHECK(info.state_count == 2 && info.op_count == 4 && info.weights_bytes == 12);
    CHECK(strstr(tsm_device(model), DEVICE_SAYS) != NULL && strcmp(tsm_device(NULL), "no model") == 0);
    CHECK(tsm_state_info(model, 0, &state) == TSM_OK && state.ndim == 4 && state.bytes == FLOATS * sizeof(float));
    CHECK(tsm_state_info(model, 2, &state) == TSM_E_ARGUMENT);
    CHECK(tsm_op(model, 1, &op) == TSM_OK && strncmp(op.kernel, "mix", 3) == 0 && op.macs == 2 * FLOATS);
    CHECK(tsm_op(model, 4, &op) == TSM_E_ARGUMENT && tsm_info(NULL, &info) == TSM_E_ARGUMENT);
}

static void the_profile_times_every_operation(void) {
    tsm_stream *stream = stream_of(2);
    size_t count = 0;
    CHECK(step(stream, 0) && tsm_op_ns(stream, &count)[1] == 0 && count == 4);
    CHECK(tsm_profile(stream, 1) == TSM_OK && step(stream, 1));
    const uint64_t *ns = tsm_op_ns(stream, NULL);
    for (size_t i = 0; i < count; i++) CHECK(ns[i] > 0 && ns[i] < 10000000000u);
    tsm_stream_free(stream);
}

int main(void) {
    CHECK(tsm_open(&model, error, sizeof error) == TSM_OK);
    if (model == NULL) return fputs(error, stderr), 1;
    RUN(scores_follow_the_states);
    RUN(states_come_and_go_in_nchw);
    RUN(stored_states_come_and_go_bit_for_bit);
    RUN(threads_do_not_change_a_bit);
    RUN(nothing_is_allocated_in_the_steady_state);
    RUN(streams_are_independent);
    RUN(nan_is_computed_with);
    RUN(refusals);
    RUN(the_model_describes_itself);
    RUN(the_profile_times_every_operation);
    tsm_close(model);
    return failures > 0;
}
