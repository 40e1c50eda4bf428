/* half.h: IEEE float16 and float32, exactly. */
#ifndef TSM_HALF_H
#define TSM_HALF_H

#include <stdint.h>

/* Rounds to the nearest, ties to even; too large becomes infinite; a NaN stays one, quiet, with its upper bits. */
uint16_t tsm_half_from_float(float value);

/* Exact: every float16 is a float32. A signalling NaN becomes quiet. */
float tsm_float_from_half(uint16_t half);

#endif
