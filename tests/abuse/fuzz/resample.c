/* resample.c: the tables and both passes of the resize, for any sizes and pixels, against sums in double. */
#include "fuzz.h"
#include "resample.h"

#include <math.h>

enum { SIDE = 16384, MOST = 64 };

/* The triangle filter of output `index`, evaluated anew: the sum over one channel, not rounded. */
static double expected(int32_t in_size, int32_t out_size, int32_t index, const uint8_t *in, size_t pitch) {
    const double scale = (double)in_size / out_size, support = scale < 1.0 ? 1.0 : scale;
    const double centre = (index + 0.5) * scale;
    const int32_t from = (int32_t)fmax(0.0, floor(centre - support + 0.5));
    const int32_t to = (int32_t)fmin(in_size, floor(centre + support + 0.5));
    double sum = 0.0, total = 0.0;
    for (int32_t i = from; i < to; i++) {
        const double weight = fmax(0.0, 1.0 - fabs((i - centre + 0.5) / support));
        sum += weight * in[(size_t)i * pitch];
        total += weight;
    }
    return sum / total;
}

/* A byte is off by 1/2 from its rounding, and each of the weights by 2^-23 from theirs: as in Pillow. */
static double tolerance(const tsm_axis *axis) { return 0.5 + 255.0 * axis->taps / (1 << 23) + 1e-9; }

static void check_row(const tsm_axis *axis, source *s, int32_t in_size, int32_t out_size, int32_t first) {
    uint8_t *row = take_block(s, 3 * (size_t)in_size), *out = malloc(3 * (size_t)axis->count + 1);
    ALWAYS(out != NULL);
    tsm_resample_row(axis, row, in_size, out);
    for (int32_t i = 0; i < axis->count; i++)
        for (int c = 0; c < 3; c++)
            ALWAYS(fabs(out[3 * i + c] - expected(in_size, out_size, first + i, row + c, 3)) <= tolerance(axis));
    free(out);
    free(row);
}

static void check_column(const tsm_axis *axis, source *s, int32_t in_size, int32_t out_size, int32_t first) {
    uint8_t *rows = take_block(s, (size_t)in_size * TSM_BLOCK), out[TSM_BLOCK];
    const int32_t last = axis->count - 1;
    for (int32_t i = 0; i <= last; i += last > 0 ? last : 1) {
        tsm_resample_column(axis, i, rows, TSM_BLOCK, out);
        for (int b = 0; b < TSM_BLOCK; b++)
            ALWAYS(fabs(out[b] - expected(in_size, out_size, first + i, rows + b, TSM_BLOCK)) <= tolerance(axis));
    }
    free(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    source s = {data, data + size};
    const int columns = take_byte(&s) % 4 == 0;
    const int32_t in_size = (int32_t)take_edge(&s, 1, columns ? 512 : SIDE), out_size = (int32_t)take_edge(&s, 1, SIDE);
    const int32_t most = out_size < MOST ? out_size : MOST, count = (int32_t)take(&s, 1, most);
    const int32_t first = (int32_t)take_edge(&s, 0, out_size - count);
    tsm_axis axis = {0};
    if ((int64_t)count * in_size / out_size > 1 << 14) return 0; /* the sums in double would take too long */
    ALWAYS(tsm_axis_make(&axis, in_size, out_size, first, count));
    ALWAYS(axis.count == count && axis.taps >= 1 && axis.taps <= in_size);
    for (int32_t i = 0; i < count; i++) ALWAYS(axis.start[i] >= 0 && axis.start[i] + axis.taps <= in_size);
    (columns ? check_column : check_row)(&axis, &s, in_size, out_size, first);
    tsm_axis_free(&axis);
    return 0;
}
