/* integers.h: states in 8 bits; a number is (q - zero) * scale. */
#ifndef TSM_INTEGERS_H
#define TSM_INTEGERS_H

#include "plan.h"

/* Writes the zeros with which a stream starts: every 8-bit state's own, over a blob of zero bytes. */
void tsm_integers_start(const tsm_plan *plan, char *state);

/* Copies an 8-bit tensor between its place in a blob and float32 in NCHW order; what is stored is rounded, halves to
 * even, and saturated. NaN becomes zero. */
void tsm_integers_load(const tsm_plan_tensor *t, const char *blob, float *nchw);
void tsm_integers_store(const tsm_plan_tensor *t, char *blob, const float *nchw);

#endif
