/* resample.h: Pillow's antialiased bilinear filter for 8-bit images, one axis at a time. */
#ifndef TSM_RESAMPLE_H
#define TSM_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

enum { TSM_BLOCK = 48 }; /* bytes that tsm_resample_column works on: whole pixels and whole vectors */

/* The filter of `count` neighbouring outputs of an axis. Each reads `taps` inputs, output i from start[i] on. */
typedef struct {
    int32_t count, taps;
    int32_t *start;
    int32_t *weights; /* weights[i * taps + tap], fixed point */
} tsm_axis;

/* Tables for outputs [first, first + count) of an axis resized from in_size to out_size. Returns 0 when memory is out.
 * A zeroed tsm_axis is empty and may be freed. */
int tsm_axis_make(tsm_axis *axis, int32_t in_size, int32_t out_size, int32_t first, int32_t count);
void tsm_axis_free(tsm_axis *axis);

/* Horizontal: writes axis->count pixels (and up to one byte after them) from a row of width RGB pixels. */
void tsm_resample_row(const tsm_axis *axis, const uint8_t *row, int32_t width, uint8_t *out);

/* Vertical: writes a block of output row `index`. `column` is the block in input row 0; rows lie pitch bytes apart. */
void tsm_resample_column(const tsm_axis *axis, int32_t index, const uint8_t *column, size_t pitch,
                         uint8_t out[TSM_BLOCK]);

#endif
