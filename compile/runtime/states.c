/* states.c: tensors in and out of their place, in the order of their logical shape. */
#include "stream.h"

#include <string.h>

int32_t tsm_tensor_rows(const tsm_plan_tensor *t) { return t->channels_last ? t->shape[0] * t->shape[2] : 1; }

/* One row of planes to pixels. With a constant number of channels a compiler interleaves whole vectors. */
static inline void interleave(float *to, const float *in, size_t channels, size_t width, size_t plane) {
    for (size_t x = 0; x < width; x++)
        for (size_t c = 0; c < channels; c++) to[x * channels + c] = in[c * plane + x];
}

void tsm_tensor_store(const tsm_plan_tensor *t, char *blob, const float *nchw, int32_t begin, int32_t end) {
    float *out = (float *)(void *)(blob + t->offset);
    if (!t->channels_last) {
        memcpy(out, nchw, t->bytes);
        return;
    }
    const size_t channels = (size_t)t->shape[1], height = (size_t)t->shape[2], width = (size_t)t->shape[3];
    for (size_t row = (size_t)begin; row < (size_t)end; row++) {
        const float *in = nchw + (row / height * channels * height + row % height) * width;
        float *to = out + row * width * channels;
        if (channels == 3) /* a picture */
            interleave(to, in, 3, width, height * width);
        else
            interleave(to, in, channels, width, height * width);
    }
}

void tsm_tensor_load(const tsm_plan_tensor *t, const char *blob, float *nchw) {
    const float *in = (const float *)(const void *)(blob + t->offset);
    if (!t->channels_last) {
        memcpy(nchw, in, t->bytes);
        return;
    }
    const size_t channels = (size_t)t->shape[1], height = (size_t)t->shape[2], width = (size_t)t->shape[3];
    for (size_t n = 0; n < (size_t)t->shape[0]; n++)
        for (size_t c = 0; c < channels; c++)
            for (size_t i = 0; i < height * width; i++)
                nchw[(n * channels + c) * height * width + i] = in[(n * height * width + i) * channels + c];
}

static tsm_status find_state(const tsm_stream *s, size_t index, const void *nchw, size_t count, char *error) {
    if (index >= s->plan->state_count)
        return tsm_refuse(TSM_E_ARGUMENT, error, TSM_ERROR_SIZE,
                          "no such state\n  found: index %zu\n  allowed: less than %zu", index, s->plan->state_count);
    const tsm_plan_tensor *state = &s->plan->states[index];
    if (nchw == NULL || count * sizeof(float) != state->bytes)
        return tsm_refuse(TSM_E_ARGUMENT, error, TSM_ERROR_SIZE,
                          "wrong size for state %s\n  found: %zu floats%s\n  allowed: %zu", state->name, count,
                          nchw == NULL ? " at NULL" : "", state->bytes / sizeof(float));
    return TSM_OK;
}

tsm_status tsm_state_get(const tsm_stream *s, size_t index, float *nchw, size_t count) {
    if (s == NULL) return TSM_E_ARGUMENT;
    /* To read a state changes nothing that the caller can see but the text of the last error. */
    const tsm_status status = find_state(s, index, nchw, count, ((tsm_stream *)(uintptr_t)s)->error);
    if (status == TSM_OK) tsm_tensor_load(&s->plan->states[index], s->state[0], nchw);
    return status;
}

tsm_status tsm_state_set(tsm_stream *s, size_t index, const float *nchw, size_t count) {
    if (s == NULL) return TSM_E_ARGUMENT;
    const tsm_status status = find_state(s, index, nchw, count, s->error);
    if (status != TSM_OK) return status;
    const tsm_plan_tensor *state = &s->plan->states[index];
    tsm_tensor_store(state, s->state[0], nchw, 0, tsm_tensor_rows(state));
    return TSM_OK;
}
