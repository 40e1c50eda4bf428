/* frames.h: frames that the model steps on. */
#ifndef TSM_FRAMES_H
#define TSM_FRAMES_H

#include "tsm_edge.h"

#include <stddef.h>

/* A frame that the model steps on. */
typedef struct {
    const void *bytes; /* valid until the next frame is requested */
    size_t index;      /* counted from 0 over all frames that came */
    double t_s;        /* seconds after the first; NAN when nobody knows */
    int32_t steps;     /* at least 1 */
    int fresh;         /* 1: frames were lost before it, and the states of before mean nothing */
} timed_frame;

/* Says on stderr how many steps were left out because the source stood still, if any. */
void note_missed(const tsm_sampler *sampler);

#endif
