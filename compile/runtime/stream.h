/* stream.h: what the sources of a CPU bundle's library share about a model and a stream. */
#ifndef TSM_STREAM_H
#define TSM_STREAM_H

#include "feed.h"
#include "guard.h"
#include "plan.h"
#include "tsm_edge.h"

struct tsm_model {
    const tsm_plan *plan;
    char *weights; /* the plan's, on huge pages */
    char device[160];
    atomic_int users; /* the opener and every stream: the last one frees it */
};

struct tsm_stream {
    tsm_guard guard;
    tsm_model *model;
    const tsm_plan *plan;
    const char *weights; /* the model's */
    int32_t threads;
    char *arena;         /* the block that the states and the scratches are in, too */
    char *state[2];      /* state[0] is read by the next step, state[1] written; they change places after it */
    tsm_memory *memory;  /* one per thread */
    tsm_feed feed;
    uint64_t *op_ns;
    int profiling;
    uint64_t answers; /* runs since the start or the reset */
    char error[TSM_ERROR_SIZE];
};

#endif
