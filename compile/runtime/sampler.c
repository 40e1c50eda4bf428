/* sampler.c: on which frames of a stream a model steps, and how often; from their time stamps alone.
 *
 * The same arithmetic as tsm_edge/sampling.py, in the same order, so that both give the same answers;
 * tests/vectors/sampler.json holds them to it. */
#include "tsm_edge.h"

#include <math.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF /* as in resample.c */
#endif

static const double TOLERANCE = 1.0 / 32;      /* ticks by which a frame may be early; stamps are often whole ms */
static const double MOST_MISSED = 9007199254740992.0; /* 2^53 */

static int32_t begin(tsm_sampler *s, double t_s) {
    s->start = s->previous = t_s;
    s->tick = 0.0;
    s->begun = 1;
    return 1;
}

static int32_t stall(tsm_sampler *s, double t_s, double missed) {
    s->stalls += 1;
    s->missed = s->missed + missed < MOST_MISSED ? s->missed + missed : MOST_MISSED;
    return begin(s, t_s);
}

/* Largest whole number that is no larger than `value`, which is not negative and may be infinite. */
static double whole(double value) { return value < MOST_MISSED ? (double)(int64_t)value : value; }

tsm_status tsm_sampler_init(tsm_sampler *sampler, double rate_fps) {
    if (sampler == NULL) return TSM_E_ARGUMENT;
    *sampler = (tsm_sampler){.rate_fps = 0.0};
    if (!isfinite(rate_fps) || rate_fps <= 0.0) return TSM_E_ARGUMENT;
    sampler->rate_fps = rate_fps;
    return TSM_OK;
}

int32_t tsm_sampler_take(tsm_sampler *sampler, double t_s) {
    tsm_sampler *s = sampler;
    if (s == NULL || s->rate_fps <= 0.0 || !isfinite(t_s)) return 0;
    if (!s->begun) return begin(s, t_s);
    const double interval = t_s - s->previous;
    if (interval <= 0.0) return -interval * s->rate_fps > (double)TSM_MAX_STEPS ? stall(s, t_s, 0.0) : 0;
    s->previous = t_s;
    const double period = 1.0 / s->rate_fps;
    const double early = (interval < period ? interval : period) / 2.0;
    const double tick = whole((t_s - s->start + early) * s->rate_fps + TOLERANCE);
    const double due = tick - s->tick;
    if (due > (double)TSM_MAX_STEPS) return stall(s, t_s, due - 1.0);
    if (due <= 0.0) return 0;
    s->tick = tick;
    s->repeated += (uint64_t)due - 1;
    return (int32_t)due;
}
