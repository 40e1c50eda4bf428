/* pixels.h: the formats of a frame, and how a row of one becomes bytes of red, green and blue. */
#ifndef TSM_PIXELS_H
#define TSM_PIXELS_H

#include "tsm_edge.h"

#include <stddef.h>
#include <stdint.h>

/* TSM_OK when every row of every plane can be read; else `error` (of error_size bytes) says what cannot. */
tsm_status tsm_pixels_check(const tsm_frame *frame, char *error, size_t error_size);

/* Whether rows have three bytes a pixel already, and are read where they are. */
int tsm_pixels_direct(tsm_format format);

/* Writes pixels [begin, end) of a row as red, green, blue: pixel i at out + 3 * i. It may write the pixel before and the
 * pixel after them, where the row has these. Not for direct formats. */
void tsm_pixels_row(const tsm_frame *frame, int32_t row, int32_t begin, int32_t end, uint8_t *out);

#endif
