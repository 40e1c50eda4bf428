/* gpu_stream.c: one camera's queue on the device, and its step. */
#define _POSIX_C_SOURCE 200809L
#include "gpu_stream.h"

#include "gpu_process.h"
#include "message.h"
#include "tensor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

tsm_status tsm_gpu_enter(tsm_stream *s) {
    tsm_status status = tsm_guard_enter(&s->guard, s->error);
    if (status != TSM_OK) return status;
    status = tsm_gpu_process_enter(s->error);
    if (status == TSM_OK) {
        status = tsm_gpu_alive(s->model->device, s->error);
        if (status == TSM_OK) return TSM_OK;
        tsm_gpu_process_leave();
    }
    tsm_guard_leave(&s->guard);
    return status;
}

tsm_status tsm_gpu_leave(tsm_stream *s, tsm_status status) {
    tsm_gpu_process_leave();
    tsm_guard_leave(&s->guard);
    return status;
}

/* -- Birth and death ----------------------------------------------------------------------------------------------- */

static tsm_status clear(tsm_stream *s);

static tsm_status make(tsm_stream *s, tsm_gpu_device *device, int32_t threads, char *error) {
    const tsm_gpu_plan *plan = s->plan;
    tsm_status status = tsm_feed_open(&s->feed, plan->info.model, &plan->input,
                                      plan->has_image_input ? &plan->preprocess : NULL, plan->window_stride, threads,
                                      error, TSM_ERROR_SIZE);
    if (status != TSM_OK) return status;
    s->op_ns = calloc(plan->info.op_count + 1, sizeof *s->op_ns);
    s->scores = calloc(tsm_tensor_count(&plan->output) + 1, sizeof *s->scores);
    if (s->op_ns == NULL || s->scores == NULL)
        return tsm_refuse(TSM_E_MEMORY, error, TSM_ERROR_SIZE, "tsm_stream_new: out of memory");
    status = tsm_gpu_enter(s);
    if (status != TSM_OK) return status;
    status = tsm_queue_new(device, &s->queue, error);
    return tsm_gpu_leave(s, status == TSM_OK ? clear(s) : status);
}

tsm_status tsm_stream_new(const tsm_model *model, int32_t threads, tsm_stream **out, char *error, size_t error_size) {
    if (out != NULL) *out = NULL;
    if (model == NULL || out == NULL)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size, "tsm_stream_new: model or out is NULL");
    if (model->process != (int)getpid())
        return tsm_refuse(TSM_E_FORKED, error, error_size,
                          "The GPU of this model belongs to the process that this one was forked from.\n"
                          "  found: process %d, the model was opened in process %d\n"
                          "  hint: open the bundle in a process that is a new program (in Python: multiprocessing's "
                          "'spawn')",
                          (int)getpid(), model->process);
    tsm_stream *s = calloc(1, sizeof *s);
    if (s == NULL) return tsm_refuse(TSM_E_MEMORY, error, error_size, "tsm_stream_new: out of memory");
    tsm_guard_open(&s->guard);
    s->model = (tsm_model *)(uintptr_t)model; /* only its count of users changes */
    atomic_fetch_add(&s->model->users, 1);
    s->plan = model->plan;
    const tsm_status status = make(s, model->device, threads, s->error);
    if (status != TSM_OK) {
        tsm_refuse(status, error, error_size, "%s", s->error);
        tsm_stream_free(s);
        return status;
    }
    *out = s;
    return TSM_OK;
}

void tsm_stream_free(tsm_stream *s) {
    char ignored[TSM_ERROR_SIZE];
    if (s == NULL) return;
    const int own = tsm_guard_close(&s->guard);
    tsm_feed_close(&s->feed);
    if (own && s->queue != NULL && tsm_gpu_process_enter(ignored) == TSM_OK) { /* else its driver is gone */
        tsm_queue_free(s->queue);
        tsm_gpu_process_leave();
    }
    free(s->scores);
    free(s->op_ns);
    tsm_close(s->model);
    free(s);
}

/* -- The step ------------------------------------------------------------------------------------------------------ */

/* Waits for what was submitted; after a failed submission for the part of it that is under way. */
static tsm_status finish(tsm_stream *s, tsm_status submitted, uint64_t expected_ns) {
    char ignored[TSM_ERROR_SIZE];
    const tsm_status waited = tsm_gpu_wait(s->queue, expected_ns, submitted == TSM_OK ? s->error : ignored);
    return submitted == TSM_OK ? waited : submitted;
}

/* Only after a complete step do scores and states advance. */
static tsm_status run_plan(tsm_stream *s) {
    const uint64_t start = tsm_gpu_now();
    s->queue->first = s->step_ns == 0;
    tsm_status status = finish(s, tsm_queue_step(s->queue, s->in, s->profiling, s->error), s->step_ns);
    s->queue->first = 0;
    if (status == TSM_OK && s->profiling) status = tsm_queue_times(s->queue, s->op_ns, s->error);
    if (status != TSM_OK) return status;
    s->step_ns = tsm_gpu_now() - start;
    s->in = !s->in;
    s->answers++;
    memcpy(s->scores, s->queue->scores, tsm_tensor_count(&s->plan->output) * sizeof *s->scores);
    return TSM_OK;
}

tsm_status tsm_step_frame(tsm_stream *s, const tsm_frame *frame) {
    if (s == NULL) return TSM_E_ARGUMENT;
    tsm_status status = tsm_gpu_enter(s);
    if (status != TSM_OK) return status;
    int due = 0;
    tsm_pool_hold(s->feed.pool, 1);
    status = tsm_feed_frame(&s->feed, frame, s->queue->frame, &due, s->error);
    tsm_pool_hold(s->feed.pool, 0);
    return tsm_gpu_leave(s, status == TSM_OK && due ? run_plan(s) : status);
}

tsm_status tsm_step_tensor(tsm_stream *s, const float *nchw, size_t count) {
    if (s == NULL) return TSM_E_ARGUMENT;
    tsm_status status = tsm_gpu_enter(s);
    if (status != TSM_OK) return status;
    status = tsm_feed_tensor(&s->feed, nchw, count, s->queue->frame, s->error);
    return tsm_gpu_leave(s, status == TSM_OK ? run_plan(s) : status);
}

/* -- Around the step ----------------------------------------------------------------------------------------------- */

static tsm_status clear(tsm_stream *s) { return finish(s, tsm_queue_clear(s->queue, s->error), 0); }

tsm_status tsm_reset(tsm_stream *s) {
    if (s == NULL) return TSM_E_ARGUMENT;
    const tsm_status status = tsm_gpu_enter(s);
    if (status != TSM_OK) return status;
    tsm_feed_reset(&s->feed);
    s->answers = 0;
    return tsm_gpu_leave(s, clear(s));
}

const float *tsm_scores(const tsm_stream *s, size_t *count) {
    if (count != NULL) *count = s == NULL ? 0 : tsm_tensor_count(&s->plan->output);
    return s == NULL ? NULL : s->scores;
}

uint64_t tsm_answers(const tsm_stream *s) { return s == NULL ? 0 : s->answers; }

tsm_status tsm_profile(tsm_stream *s, int on) {
    if (s == NULL) return TSM_E_ARGUMENT;
    tsm_status status = tsm_gpu_enter(s);
    if (status != TSM_OK) return status;
    if (on) status = tsm_queue_prepare_times(s->queue, s->error);
    if (status == TSM_OK) s->profiling = on != 0;
    return tsm_gpu_leave(s, status);
}

const uint64_t *tsm_op_ns(const tsm_stream *s, size_t *count) {
    if (count != NULL) *count = s == NULL ? 0 : s->plan->info.op_count;
    return s == NULL ? NULL : s->op_ns;
}

const char *tsm_error(const tsm_stream *s) { return s == NULL ? "the stream is NULL" : s->error; }
