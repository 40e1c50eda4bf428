/* results.h: what --raw and --tensor print after a step. */
#ifndef TSM_RESULTS_H
#define TSM_RESULTS_H

#include "engine.h"
#include "frames.h"

/* A JSON line: the best class of this step alone, its probability, null for scores that are none; milliseconds. */
void print_scores(const engine *e, const tsm_stream *stream, const timed_frame *frame, double *probabilities, double ms);

/* Pushes the scores and fills *now. Returns an exit code, or STILL_OPEN. */
int decide(const engine *e, const tsm_stream *stream, tsm_decision *decision, const timed_frame *frame,
           tsm_decided *now);

/* A JSON line: the decision. */
void print_decision(const engine *e, const tsm_decided *now, const timed_frame *frame, double ms);

/* Writes scores and states as bytes; `state` has room for the largest. Returns an exit code, or STILL_OPEN. */
int dump(const engine *e, const tsm_stream *stream, float *state);

#endif
