/* states.c: a stream's states, out and in. */
#include "integers.h"
#include "stream.h"
#include "tensor.h"

tsm_status tsm_state_get(const tsm_stream *stream, size_t index, float *nchw, size_t count) {
    if (stream == NULL) return TSM_E_ARGUMENT;
    /* To read a state changes nothing that the caller can see but the text of the last error. */
    tsm_stream *s = (tsm_stream *)(uintptr_t)stream;
    tsm_status status = tsm_guard_enter(&s->guard, s->error);
    if (status != TSM_OK) return status;
    status = tsm_tensor_find(s->plan->states, s->plan->info.state_count, index, nchw, count, s->error);
    if (status == TSM_OK) {
        const tsm_plan_tensor *state = &s->plan->states[index];
        (state->dtype == TSM_INT8 ? tsm_integers_load : tsm_tensor_load)(state, s->state[0], nchw);
    }
    tsm_guard_leave(&s->guard);
    return status;
}

tsm_status tsm_state_set(tsm_stream *s, size_t index, const float *nchw, size_t count) {
    if (s == NULL) return TSM_E_ARGUMENT;
    tsm_status status = tsm_guard_enter(&s->guard, s->error);
    if (status != TSM_OK) return status;
    status = tsm_tensor_find(s->plan->states, s->plan->info.state_count, index, nchw, count, s->error);
    if (status == TSM_OK) {
        const tsm_plan_tensor *state = &s->plan->states[index];
        if (state->dtype == TSM_INT8)
            tsm_integers_store(state, s->state[0], nchw);
        else
            tsm_tensor_store(state, s->state[0], nchw, 0, tsm_tensor_rows(state));
    }
    tsm_guard_leave(&s->guard);
    return status;
}

tsm_status tsm_state_get_raw(const tsm_stream *stream, size_t index, void *nchw, size_t bytes) {
    if (stream == NULL) return TSM_E_ARGUMENT;
    tsm_stream *s = (tsm_stream *)(uintptr_t)stream;
    tsm_status status = tsm_guard_enter(&s->guard, s->error);
    if (status != TSM_OK) return status;
    status = tsm_tensor_find_raw(s->plan->states, s->plan->info.state_count, index, nchw, bytes, s->error);
    if (status == TSM_OK) tsm_tensor_get_raw(&s->plan->states[index], s->state[0], nchw);
    tsm_guard_leave(&s->guard);
    return status;
}

tsm_status tsm_state_set_raw(tsm_stream *s, size_t index, const void *nchw, size_t bytes) {
    if (s == NULL) return TSM_E_ARGUMENT;
    tsm_status status = tsm_guard_enter(&s->guard, s->error);
    if (status != TSM_OK) return status;
    status = tsm_tensor_find_raw(s->plan->states, s->plan->info.state_count, index, nchw, bytes, s->error);
    if (status == TSM_OK) tsm_tensor_set_raw(&s->plan->states[index], s->state[0], nchw);
    tsm_guard_leave(&s->guard);
    return status;
}
