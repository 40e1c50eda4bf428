/* resample.c: Pillow's antialiased bilinear filter for 8-bit images.
 *
 * Bit-equal to PIL.Image.resize(..., BILINEAR): the same order of double operations for the weights, the same
 * fixed point, the same rounding to 8 bits after each axis (Pillow, src/libImaging/Resample.c). Pillow clips a sum to
 * 255; here none can pass it: rounding adds at most 1/2 to each of at most 16384 weights, and
 * 255 * (2^22 + 8193) + 2^21 < 256 * 2^22. The horizontal pass is always the first, as in every Pillow before 13, which
 * swaps them where a picture loses more than twice as many rows as columns, and so moves a few bytes by one.
 *
 * Only the requested outputs are computed, each with the same number of taps, so that no inner loop
 * ends where the branch predictor does not expect it. */
#include "resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF /* a fused multiply-add would round a weight differently on ARM; gcc: -std=c11 does it */
#endif

enum { PRECISION_BITS = 32 - 8 - 2, HALF = 1 << (PRECISION_BITS - 1) };

/* A pixel is computed in four lanes: the fourth is the next pixel's first byte, and overwritten by it. Written out as
 * vectors because the cross-compiler (clang) finds none in a loop over four sums: a 640x480 frame took 1.0 ms to read
 * on one core of an EPYC 7003, and takes 0.4 ms this way. */
typedef uint8_t bytes4 __attribute__((vector_size(4)));
typedef int32_t lanes4 __attribute__((vector_size(16)));

/* -- Tables -------------------------------------------------------------------------------------------------------- */

static double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

typedef struct {
    int32_t in_size;
    double scale, support;
} filter;

static filter filter_for(int32_t in_size, int32_t out_size) {
    const double scale = (double)in_size / out_size;
    return (filter){in_size, scale, scale < 1.0 ? 1.0 : scale};
}

/* The window of inputs that output `index` reads; returns its first, *taps how many. */
static int32_t window(const filter *f, int32_t index, int32_t *taps) {
    const double centre = (index + 0.5) * f->scale;
    int32_t from = (int32_t)(centre - f->support + 0.5);
    int32_t to = (int32_t)(centre + f->support + 0.5);
    if (from < 0) from = 0;
    if (to > f->in_size) to = f->in_size;
    *taps = to - from;
    return from;
}

/* The weights of output `index`, normalised and then rounded to fixed point. `exact` has room for them. */
static void weigh(const filter *f, int32_t index, double *exact, int32_t *weights) {
    int32_t taps;
    const int32_t from = window(f, index, &taps);
    const double centre = (index + 0.5) * f->scale, inverse = 1.0 / f->support;
    double sum = 0.0;
    for (int32_t k = 0; k < taps; k++) {
        exact[k] = triangle((k + from - centre + 0.5) * inverse);
        sum += exact[k];
    }
    for (int32_t k = 0; k < taps; k++) {
        const double weight = sum != 0.0 ? exact[k] / sum : exact[k];
        weights[k] = (int32_t)(0.5 + weight * (1 << PRECISION_BITS));
    }
}

int tsm_axis_make(tsm_axis *axis, int32_t in_size, int32_t out_size, int32_t first, int32_t count) {
    const filter f = filter_for(in_size, out_size);
    *axis = (tsm_axis){.count = count};
    if (count < 1) return 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t taps;
        window(&f, first + i, &taps);
        if (taps > axis->taps) axis->taps = taps;
    }
    axis->start = calloc((size_t)count, sizeof *axis->start);
    axis->weights = calloc((size_t)count * (size_t)axis->taps, sizeof *axis->weights);
    double *exact = calloc((size_t)axis->taps, sizeof *exact);
    const int complete = axis->start && axis->weights && exact;
    for (int32_t i = 0; complete && i < count; i++) {
        int32_t taps;
        const int32_t from = window(&f, first + i, &taps);
        /* A window shorter than the others is filled up with weights of zero, to the left where it ends the axis. */
        axis->start[i] = from + axis->taps <= in_size ? from : in_size - axis->taps;
        weigh(&f, first + i, exact, axis->weights + (size_t)i * (size_t)axis->taps + (from - axis->start[i]));
    }
    free(exact);
    if (!complete) tsm_axis_free(axis);
    return complete;
}

void tsm_axis_free(tsm_axis *axis) {
    free(axis->start);
    free(axis->weights);
    memset(axis, 0, sizeof *axis);
}

/* -- Filters ------------------------------------------------------------------------------------------------------- */

static void pixel_in_four_lanes(const uint8_t *in, const int32_t *weights, int32_t taps, uint8_t *out) {
    lanes4 sum = {HALF, HALF, HALF, HALF};
    for (int32_t k = 0; k < taps; k++) {
        bytes4 bytes;
        memcpy(&bytes, in + 3 * k, sizeof bytes);
        sum += __builtin_convertvector(bytes, lanes4) * weights[k];
    }
    const bytes4 rounded = __builtin_convertvector(sum >> PRECISION_BITS, bytes4);
    memcpy(out, &rounded, sizeof rounded);
}

static void pixel(const uint8_t *in, const int32_t *weights, int32_t taps, uint8_t *out) {
    for (int c = 0; c < 3; c++) {
        int32_t sum = HALF;
        for (int32_t k = 0; k < taps; k++) sum += in[3 * k + c] * weights[k];
        out[c] = (uint8_t)(sum >> PRECISION_BITS);
    }
}

void tsm_resample_row(const tsm_axis *axis, const uint8_t *row, int32_t width, uint8_t *out) {
    const int32_t *weights = axis->weights;
    int32_t i = 0;
    for (; i < axis->count && axis->start[i] + axis->taps < width; i++, out += 3, weights += axis->taps)
        pixel_in_four_lanes(row + 3 * (size_t)axis->start[i], weights, axis->taps, out);
    /* Four lanes would read past the last pixel of the image. */
    for (; i < axis->count; i++, out += 3, weights += axis->taps)
        pixel(row + 3 * (size_t)axis->start[i], weights, axis->taps, out);
}

void tsm_resample_column(const tsm_axis *axis, int32_t index, const uint8_t *column, size_t pitch,
                         uint8_t out[TSM_BLOCK]) {
    const int32_t *weights = axis->weights + (size_t)index * (size_t)axis->taps;
    const uint8_t *in = column + (size_t)axis->start[index] * pitch;
    int32_t sum[TSM_BLOCK];
    for (int i = 0; i < TSM_BLOCK; i++) sum[i] = HALF;
    for (int32_t k = 0; k < axis->taps; k++, in += pitch)
        for (int i = 0; i < TSM_BLOCK; i++) sum[i] += in[i] * weights[k];
    for (int i = 0; i < TSM_BLOCK; i++) out[i] = (uint8_t)(sum[i] >> PRECISION_BITS);
}
