/* frames.h: frames from stdin. */
#ifndef TSM_FRAMES_H
#define TSM_FRAMES_H

#include "tsm_edge.h"

#include <stddef.h>

/* A frame that the model steps on. */
typedef struct {
    const void *bytes; /* valid until the next frame is asked for */
    size_t index;      /* counted from 0 over all frames that came */
    double t_s;        /* seconds after the first; NAN when nobody knows */
    int32_t steps;     /* at least 1 */
} timed_frame;

/* What the end of stdin means after `got` of `bytes` bytes of frame `index`; `error` is an errno or 0. Returns 0 for an
 * end between two frames, -1 after a complaint. */
int stdin_ended(size_t got, size_t bytes, size_t index, int error);

/* Says on stderr how many steps were left out because the source stood still, if any. */
void note_missed(const tsm_sampler *sampler);

#endif
