/* gpu_states.c: a stream's states, off and onto the device; float32 outside, float16 or float32 there. */
#include "half.h"
#include "gpu_stream.h"
#include "message.h"
#include "tensor.h"

#include <stdlib.h>

/* Room for the state as floats in the stored order, and for the state as it is stored. One block; NULL: out of memory.
 * */
static float *room(const tsm_plan_tensor *state, uint16_t **stored) {
    const size_t count = tsm_tensor_count(state);
    float *floats = malloc(count * (sizeof *floats + sizeof **stored));
    if (floats != NULL) *stored = (uint16_t *)(void *)(floats + count);
    return floats;
}

static tsm_status no_memory(char *error, const tsm_plan_tensor *state) {
    return tsm_refuse(TSM_E_MEMORY, error, TSM_ERROR_SIZE, "out of memory for a copy of state %s", state->name);
}

static tsm_status get(tsm_stream *s, size_t index, float *nchw, size_t count) {
    const tsm_status found = tsm_tensor_find(s->plan->states, s->plan->info.state_count, index, nchw, count, s->error);
    if (found != TSM_OK) return found;
    tsm_plan_tensor state = s->plan->states[index];
    uint16_t *halves;
    float *floats = room(&state, &halves);
    if (floats == NULL) return no_memory(s->error, &state);
    const int half = state.dtype == TSM_FLOAT16;
    void *host = half ? (void *)halves : (void *)floats;
    tsm_status status = tsm_queue_download(s->queue, s->in, state.offset, state.bytes, host, s->error);
    if (status == TSM_OK) status = tsm_gpu_wait(s->queue, 0, s->error);
    if (status == TSM_OK) {
        for (size_t i = 0; half && i < count; i++) floats[i] = tsm_float_from_half(halves[i]);
        state.offset = 0;
        state.dtype = TSM_FLOAT32;
        tsm_tensor_load(&state, (const char *)floats, nchw);
    }
    /* A device that hangs may still write here. */
    if (atomic_load(&s->queue->device->state) != TSM_DEVICE_HUNG) free(floats);
    return status;
}

static tsm_status set(tsm_stream *s, size_t index, const float *nchw, size_t count) {
    const tsm_status found = tsm_tensor_find(s->plan->states, s->plan->info.state_count, index, nchw, count, s->error);
    if (found != TSM_OK) return found;
    tsm_plan_tensor state = s->plan->states[index];
    const size_t offset = state.offset;
    uint16_t *halves;
    float *floats = room(&state, &halves);
    if (floats == NULL) return no_memory(s->error, &state);
    const int half = state.dtype == TSM_FLOAT16;
    state.offset = 0;
    state.dtype = TSM_FLOAT32;
    tsm_tensor_store(&state, (char *)floats, nchw, 0, tsm_tensor_rows(&state));
    for (size_t i = 0; half && i < count; i++) halves[i] = tsm_half_from_float(floats[i]);
    const void *host = half ? (const void *)halves : (const void *)floats;
    tsm_status status = tsm_queue_upload(s->queue, s->in, offset, state.bytes, host, s->error);
    if (status == TSM_OK) status = tsm_gpu_wait(s->queue, 0, s->error);
    if (atomic_load(&s->queue->device->state) != TSM_DEVICE_HUNG) free(floats);
    return status;
}

/* Elements in the stored order on their way between the device and `nchw`; into: to the device. */
static tsm_status raw(tsm_stream *s, size_t index, char *nchw, size_t bytes, int into) {
    const tsm_status found =
        tsm_tensor_find_raw(s->plan->states, s->plan->info.state_count, index, nchw, bytes, s->error);
    if (found != TSM_OK) return found;
    tsm_plan_tensor state = s->plan->states[index];
    const size_t offset = state.offset;
    char *host = malloc(state.bytes);
    if (host == NULL) return no_memory(s->error, &state);
    state.offset = 0;
    if (into) tsm_tensor_set_raw(&state, host, nchw);
    tsm_status status = into ? tsm_queue_upload(s->queue, s->in, offset, state.bytes, host, s->error)
                             : tsm_queue_download(s->queue, s->in, offset, state.bytes, host, s->error);
    if (status == TSM_OK) status = tsm_gpu_wait(s->queue, 0, s->error);
    if (status == TSM_OK && !into) tsm_tensor_get_raw(&state, host, nchw);
    if (atomic_load(&s->queue->device->state) != TSM_DEVICE_HUNG) free(host);
    return status;
}

tsm_status tsm_state_get(const tsm_stream *stream, size_t index, float *nchw, size_t count) {
    if (stream == NULL) return TSM_E_ARGUMENT;
    /* To read a state changes nothing that the caller can see but the text of the last error. */
    tsm_stream *s = (tsm_stream *)(uintptr_t)stream;
    const tsm_status status = tsm_gpu_enter(s);
    return status == TSM_OK ? tsm_gpu_leave(s, get(s, index, nchw, count)) : status;
}

tsm_status tsm_state_set(tsm_stream *s, size_t index, const float *nchw, size_t count) {
    if (s == NULL) return TSM_E_ARGUMENT;
    const tsm_status status = tsm_gpu_enter(s);
    return status == TSM_OK ? tsm_gpu_leave(s, set(s, index, nchw, count)) : status;
}

tsm_status tsm_state_get_raw(const tsm_stream *stream, size_t index, void *nchw, size_t bytes) {
    if (stream == NULL) return TSM_E_ARGUMENT;
    tsm_stream *s = (tsm_stream *)(uintptr_t)stream;
    const tsm_status status = tsm_gpu_enter(s);
    return status == TSM_OK ? tsm_gpu_leave(s, raw(s, index, nchw, bytes, 0)) : status;
}

tsm_status tsm_state_set_raw(tsm_stream *s, size_t index, const void *nchw, size_t bytes) {
    if (s == NULL) return TSM_E_ARGUMENT;
    const tsm_status status = tsm_gpu_enter(s);
    /* `raw` writes into nchw only on the way out. */
    return status == TSM_OK ? tsm_gpu_leave(s, raw(s, index, (char *)(uintptr_t)nchw, bytes, 1)) : status;
}
