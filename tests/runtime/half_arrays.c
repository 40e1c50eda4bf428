/* half_arrays.c: the float16 conversions over arrays, for test_half.py. */
#include "half.h"

#include <stddef.h>

void halves_of(const float *in, uint16_t *out, size_t count);
void floats_of(const uint16_t *in, float *out, size_t count);

void halves_of(const float *in, uint16_t *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = tsm_half_from_float(in[i]);
}

void floats_of(const uint16_t *in, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = tsm_float_from_half(in[i]);
}
