/* tensor.c: tensors in and out of their place, in the order of their logical shape. */
#include "tensor.h"

#include "half.h"
#include "message.h"

#include <string.h>

size_t tsm_tensor_count(const tsm_plan_tensor *t) {
    size_t count = 1;
    for (int32_t i = 0; i < t->ndim; i++) count *= (size_t)t->shape[i];
    return count;
}

size_t tsm_tensor_place(const tsm_plan_tensor *t, size_t i) {
    if (!t->channels_last) return i;
    const size_t channels = (size_t)t->shape[1], plane = (size_t)t->shape[2] * (size_t)t->shape[3];
    const size_t image = i / (channels * plane), channel = i / plane % channels, pixel = i % plane;
    return (image * plane + pixel) * channels + channel;
}

void tsm_tensor_get_raw(const tsm_plan_tensor *t, const char *blob, char *nchw) {
    const size_t count = tsm_tensor_count(t), size = t->bytes / count;
    for (size_t i = 0; i < count; i++) memcpy(nchw + i * size, blob + t->offset + tsm_tensor_place(t, i) * size, size);
}

void tsm_tensor_set_raw(const tsm_plan_tensor *t, char *blob, const char *nchw) {
    const size_t count = tsm_tensor_count(t), size = t->bytes / count;
    for (size_t i = 0; i < count; i++) memcpy(blob + t->offset + tsm_tensor_place(t, i) * size, nchw + i * size, size);
}

/* One row of planes to pixels. With a constant number of channels a compiler interleaves whole vectors. */
static inline void interleave(float *to, const float *in, size_t channels, size_t width, size_t plane) {
    for (size_t x = 0; x < width; x++)
        for (size_t c = 0; c < channels; c++) to[x * channels + c] = in[c * plane + x];
}

int32_t tsm_tensor_rows(const tsm_plan_tensor *t) { return t->channels_last ? t->shape[0] * t->shape[2] : 1; }

/* Rows [begin, end) of a tensor that is not stored as float32. */
static void store_halves(const tsm_plan_tensor *t, uint16_t *out, const float *nchw, size_t begin, size_t end) {
    const size_t channels = (size_t)t->shape[1], height = (size_t)t->shape[2], width = (size_t)t->shape[3];
    for (size_t row = begin; row < end; row++)
        for (size_t x = 0; x < width; x++)
            for (size_t c = 0; c < channels; c++)
                out[(row * width + x) * channels + c] = tsm_half_from_float(
                    nchw[((row / height * channels + c) * height + row % height) * width + x]);
}

void tsm_tensor_store(const tsm_plan_tensor *t, char *blob, const float *nchw, int32_t begin, int32_t end) {
    float *out = (float *)(void *)(blob + t->offset);
    uint16_t *halves = (uint16_t *)(void *)out;
    if (!t->channels_last) {
        const size_t count = tsm_tensor_count(t);
        if (t->dtype == TSM_FLOAT16)
            for (size_t i = 0; i < count; i++) halves[i] = tsm_half_from_float(nchw[i]);
        else
            memcpy(out, nchw, count * sizeof *nchw);
        return;
    }
    if (t->dtype == TSM_FLOAT16) {
        store_halves(t, halves, nchw, (size_t)begin, (size_t)end);
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
    const uint16_t *halves = (const uint16_t *)(const void *)in;
    const int half = t->dtype == TSM_FLOAT16;
    const size_t count = tsm_tensor_count(t);
    if (!t->channels_last) {
        for (size_t i = 0; half && i < count; i++) nchw[i] = tsm_float_from_half(halves[i]);
        if (!half) memcpy(nchw, in, count * sizeof *nchw);
        return;
    }
    const size_t channels = (size_t)t->shape[1], height = (size_t)t->shape[2], width = (size_t)t->shape[3];
    for (size_t n = 0; n < (size_t)t->shape[0]; n++)
        for (size_t c = 0; c < channels; c++)
            for (size_t i = 0; i < height * width; i++) {
                const size_t at = (n * height * width + i) * channels + c;
                nchw[(n * channels + c) * height * width + i] = half ? tsm_float_from_half(halves[at]) : in[at];
            }
}

tsm_status tsm_tensor_find(const tsm_plan_tensor *states, size_t state_count, size_t index, const void *nchw,
                           size_t count, char *error) {
    if (index >= state_count)
        return tsm_refuse(TSM_E_ARGUMENT, error, TSM_ERROR_SIZE,
                          "no such state\n  found: index %zu\n  allowed: less than %zu", index, state_count);
    const size_t expected = tsm_tensor_count(&states[index]);
    if (nchw == NULL || count != expected)
        return tsm_refuse(TSM_E_ARGUMENT, error, TSM_ERROR_SIZE,
                          "wrong size for state %s\n  found: %zu floats%s\n  allowed: %zu", states[index].name, count,
                          nchw == NULL ? " at NULL" : "", expected);
    return TSM_OK;
}

tsm_status tsm_tensor_find_raw(const tsm_plan_tensor *states, size_t state_count, size_t index, const void *nchw,
                               size_t bytes, char *error) {
    const size_t count = index < state_count ? tsm_tensor_count(&states[index]) : 0;
    const tsm_status found = tsm_tensor_find(states, state_count, index, nchw, count, error);
    if (found != TSM_OK || bytes == states[index].bytes) return found;
    return tsm_refuse(TSM_E_ARGUMENT, error, TSM_ERROR_SIZE,
                      "wrong size for stored state %s\n  found: %zu bytes\n  allowed: %zu", states[index].name, bytes,
                      states[index].bytes);
}

void tsm_tensor_form(const tsm_plan_tensor *t, tsm_state_form *form) {
    const int integers = t->dtype == TSM_INT8;
    *form = (tsm_state_form){t->dtype, integers ? t->scale : 1.0f, integers ? t->zero : 0, t->bytes};
}

void tsm_tensor_describe(const tsm_plan_tensor *t, tsm_tensor_info *info) {
    *info = (tsm_tensor_info){.name = t->name, .ndim = t->ndim, .bytes = tsm_tensor_count(t) * sizeof(float)};
    memcpy(info->shape, t->shape, sizeof info->shape);
}
