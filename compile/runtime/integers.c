/* integers.c: states in 8 bits, out and in. */
#include "integers.h"

#include "tensor.h"

#include <math.h>
#include <string.h>

void tsm_integers_start(const tsm_plan *plan, char *state) {
    for (size_t i = 0; i < plan->info.state_count; i++) {
        const tsm_plan_tensor *t = &plan->states[i];
        if (t->dtype == TSM_INT8) memset(state + t->offset, (signed char)t->zero, t->bytes);
    }
}

void tsm_integers_load(const tsm_plan_tensor *t, const char *blob, float *nchw) {
    const int8_t *in = (const int8_t *)(const void *)(blob + t->offset);
    for (size_t i = 0; i < tsm_tensor_count(t); i++) nchw[i] = (float)(in[tsm_tensor_place(t, i)] - t->zero) * t->scale;
}

void tsm_integers_store(const tsm_plan_tensor *t, char *blob, const float *nchw) {
    int8_t *out = (int8_t *)(void *)(blob + t->offset);
    for (size_t i = 0; i < tsm_tensor_count(t); i++) {
        const float q = rintf(nchw[i] / t->scale) + (float)t->zero;
        out[tsm_tensor_place(t, i)] = (int8_t)(q >= 127.0f ? 127.0f : q <= -128.0f ? -128.0f : q == q ? q : (float)t->zero);
    }
}
