/* stream.c: one camera's memory, and its step. */
#define _POSIX_C_SOURCE 200809L
#include "stream.h"

#include "integers.h"
#include "memory.h"
#include "message.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void point_at_states(tsm_stream *s) {
    for (int32_t i = 0; i < s->threads; i++) {
        s->memory[i].state_in = s->state[0];
        s->memory[i].state_out = s->state[1];
    }
}

/* Everything that a step writes is one block: arena, both state blobs, and every thread's scratch. */
static size_t block_bytes(const tsm_stream *s) {
    return tsm_apart(s->plan->info.arena_bytes) + 2 * tsm_apart(s->plan->info.state_bytes) +
           (size_t)s->threads * tsm_apart(s->plan->info.scratch_bytes);
}

/* Kernels use aligned vector loads up to AVX-512. Zeroing also maps the pages, so that no step has to.
 * Returns 0 when memory is out; tsm_stream_free then frees what there is. */
static int allocate(tsm_stream *s) {
    const tsm_plan *plan = s->plan;
    const size_t state = tsm_apart(plan->info.state_bytes), scratch = tsm_apart(plan->info.scratch_bytes);
    char *place = s->arena = tsm_zeros(block_bytes(s));
    s->op_ns = calloc(plan->info.op_count + 1, sizeof *s->op_ns);
    s->memory = calloc((size_t)s->threads, sizeof *s->memory);
    if (!place || !s->op_ns || !s->memory) return 0;
    s->state[0] = place += tsm_apart(plan->info.arena_bytes);
    s->state[1] = place += state;
    for (int i = 0; i < 2; i++) tsm_integers_start(plan, s->state[i]);
    place += state;
    for (int32_t i = 0; i < s->threads; i++, place += scratch)
        s->memory[i] = (tsm_memory){.arena = s->arena, .weights = s->weights, .scratch = place};
    point_at_states(s);
    return 1;
}

tsm_status tsm_stream_new(const tsm_model *model, int32_t threads, tsm_stream **out, char *error, size_t error_size) {
    if (out != NULL) *out = NULL;
    if (model == NULL || out == NULL)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size, "tsm_stream_new: model or out is NULL");
    tsm_stream *s = calloc(1, sizeof *s);
    if (s == NULL) return tsm_refuse(TSM_E_MEMORY, error, error_size, "tsm_stream_new: out of memory");
    tsm_guard_open(&s->guard);
    s->model = (tsm_model *)(uintptr_t)model; /* only its count of users changes */
    atomic_fetch_add(&s->model->users, 1);
    s->plan = model->plan;
    s->weights = model->weights;
    const tsm_status status =
        tsm_feed_open(&s->feed, s->plan->info.model, &s->plan->input,
                      s->plan->has_image_input ? &s->plan->preprocess : NULL, s->plan->window_stride, threads, error,
                      error_size);
    if (status != TSM_OK) {
        tsm_stream_free(s);
        return status;
    }
    s->threads = threads;
    if (!allocate(s)) {
        tsm_stream_free(s);
        return tsm_refuse(TSM_E_MEMORY, error, error_size, "tsm_stream_new: out of memory");
    }
    *out = s;
    return TSM_OK;
}

void tsm_stream_free(tsm_stream *s) {
    if (s == NULL) return;
    tsm_guard_close(&s->guard);
    tsm_feed_close(&s->feed);
    free(s->memory);
    free(s->op_ns);
    tsm_release(s->arena, block_bytes(s));
    tsm_close(s->model);
    free(s);
}

/* -- The step ------------------------------------------------------------------------------------------------------ */

typedef struct {
    tsm_run run;
    const tsm_memory *memory;
} call;

static void run_items(const void *context, int32_t thread, int32_t begin, int32_t end) {
    const call *c = context;
    c->run(&c->memory[thread], begin, end);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void run_plan(tsm_stream *s) {
    for (size_t i = 0; i < s->plan->info.op_count; i++) {
        const tsm_plan_op *op = &s->plan->ops[i];
        const uint64_t start = s->profiling ? now_ns() : 0;
        tsm_pool_run(s->feed.pool, run_items, &(call){op->run, s->memory}, op->items);
        if (s->profiling) s->op_ns[i] = now_ns() - start;
    }
    char *written = s->state[1]; /* only now, after a complete step, do the states advance */
    s->state[1] = s->state[0];
    s->state[0] = written;
    point_at_states(s);
    s->answers++;
}

static float *input_of(const tsm_stream *s) { return (float *)(void *)(s->arena + s->plan->input.offset); }

tsm_status tsm_step_frame(tsm_stream *s, const tsm_frame *frame) {
    if (s == NULL) return TSM_E_ARGUMENT;
    tsm_status status = tsm_guard_enter(&s->guard, s->error);
    if (status != TSM_OK) return status;
    int due = 0;
    tsm_pool_hold(s->feed.pool, 1);
    status = tsm_feed_frame(&s->feed, frame, input_of(s), &due, s->error);
    if (status == TSM_OK && due) run_plan(s);
    tsm_pool_hold(s->feed.pool, 0);
    tsm_guard_leave(&s->guard);
    return status;
}

tsm_status tsm_step_tensor(tsm_stream *s, const float *nchw, size_t count) {
    if (s == NULL) return TSM_E_ARGUMENT;
    tsm_status status = tsm_guard_enter(&s->guard, s->error);
    if (status != TSM_OK) return status;
    tsm_pool_hold(s->feed.pool, 1);
    status = tsm_feed_tensor(&s->feed, nchw, count, input_of(s), s->error);
    if (status == TSM_OK) run_plan(s);
    tsm_pool_hold(s->feed.pool, 0);
    tsm_guard_leave(&s->guard);
    return status;
}

/* -- Around the step ----------------------------------------------------------------------------------------------- */

tsm_status tsm_reset(tsm_stream *s) {
    if (s == NULL) return TSM_E_ARGUMENT;
    const tsm_status status = tsm_guard_enter(&s->guard, s->error);
    if (status != TSM_OK) return status;
    memset(s->state[0], 0, s->plan->info.state_bytes);
    memset(s->state[1], 0, s->plan->info.state_bytes);
    for (int i = 0; i < 2; i++) tsm_integers_start(s->plan, s->state[i]);
    tsm_feed_reset(&s->feed);
    s->answers = 0;
    tsm_guard_leave(&s->guard);
    return TSM_OK;
}

const float *tsm_scores(const tsm_stream *s, size_t *count) {
    if (count != NULL) *count = s == NULL ? 0 : s->plan->output.bytes / sizeof(float);
    return s == NULL ? NULL : (const float *)(const void *)(s->arena + s->plan->output.offset);
}

uint64_t tsm_answers(const tsm_stream *s) { return s == NULL ? 0 : s->answers; }

tsm_status tsm_profile(tsm_stream *s, int on) {
    if (s == NULL) return TSM_E_ARGUMENT;
    const tsm_status status = tsm_guard_enter(&s->guard, s->error);
    if (status != TSM_OK) return status;
    s->profiling = on != 0;
    tsm_guard_leave(&s->guard);
    return TSM_OK;
}

const uint64_t *tsm_op_ns(const tsm_stream *s, size_t *count) {
    if (count != NULL) *count = s == NULL ? 0 : s->plan->info.op_count;
    return s == NULL ? NULL : s->op_ns;
}

const char *tsm_error(const tsm_stream *s) { return s == NULL ? "the stream is NULL" : s->error; }
