/* decision.c: probabilities of scores, and the decision over time.
 *
 * The same arithmetic as tsm_edge/smoothing.py, in the same order and with an exponential of its own, so that both give
 * the same bits on every machine; tests/vectors/decision.json holds them to it. */
#include "message.h"
#include "tsm_edge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF /* as in resample.c */
#endif

/* By how much a probability may be outside 0..1 (float16 arithmetic on a GPU); it is clipped. */
static const double SLACK = 0.01;
enum { NONE = -1 };

struct tsm_decision {
    tsm_decision_rule rule; /* idle: not used, see is_idle */
    tsm_scores_kind scores;
    size_t classes;
    size_t steps;        /* pushed since the start */
    int32_t decided;     /* NONE before the first step */
    double *recent;      /* [window][classes]; step n is row n % window */
    double *mean;        /* [classes] */
    double *now;         /* [classes], of the step that is being pushed */
    int32_t *winners;    /* [agree]; of step n at n % agree */
    unsigned char *is_idle; /* [classes] */
    char error[TSM_ERROR_SIZE];
};

/* -- Probabilities ------------------------------------------------------------------------------------------------- */

/* 2 to the power of k, -1022 to 1023. */
static double power_of_two(int k) {
    const uint64_t bits = (uint64_t)(k + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* e to the power of x <= 0 with a relative error below 4e-16, the same bits on every machine; 0 below -700.
 * x = k ln 2 + r, |r| <= ln 2 / 2; a Taylor polynomial of degree 13 in r, scaled by 2^k (Cody and Waite, 1980). */
static double power_of_e(double x) {
    static const double inverse_factorials[] = {
        1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880,
        1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
    const double log2_e = 1.4426950408889634, ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    if (x < -700.0) return 0.0;
    const double scaled = x * log2_e + 0.5;
    int k = (int)scaled;
    if ((double)k > scaled) k--;
    const double r = (x - (double)k * ln2_high) - (double)k * ln2_low;
    double power = inverse_factorials[13];
    for (int n = 12; n >= 0; n--) power = power * r + inverse_factorials[n];
    return power * power_of_two(k);
}

static void softmax(const float *scores, size_t count, double *out) {
    double most = scores[0], sum = 0.0;
    for (size_t i = 1; i < count; i++)
        if (scores[i] > most) most = scores[i];
    for (size_t i = 0; i < count; i++) out[i] = power_of_e((double)scores[i] - most);
    for (size_t i = 0; i < count; i++) sum += out[i];
    for (size_t i = 0; i < count; i++) out[i] /= sum;
}

/* The first score that cannot be what `kind` says, or NULL. */
static const float *stray(tsm_scores_kind kind, const float *scores, size_t count) {
    const double least = kind == TSM_PROBABILITIES || kind == TSM_SIGMOID ? -SLACK : -INFINITY;
    const double most = kind == TSM_LOGITS ? INFINITY : kind == TSM_LOG_PROBABILITIES ? SLACK : 1.0 + SLACK;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(scores[i]) || (double)scores[i] < least || (double)scores[i] > most) return &scores[i];
    return NULL;
}

/* Adding 0 makes a negative zero positive. */
static double clip(double value) { return value < 0.0 ? 0.0 : value > 1.0 ? 1.0 : value + 0.0; }

tsm_status tsm_probabilities(tsm_scores_kind kind, const float *scores, size_t count, double *out) {
    if (scores == NULL || out == NULL || count == 0 || kind < TSM_LOGITS || kind > TSM_SIGMOID) return TSM_E_ARGUMENT;
    if (stray(kind, scores, count) != NULL) return TSM_E_ARGUMENT;
    if (kind == TSM_LOGITS)
        softmax(scores, count, out);
    else if (kind == TSM_LOG_PROBABILITIES)
        for (size_t i = 0; i < count; i++) out[i] = power_of_e(scores[i] < 0.0f ? (double)scores[i] : 0.0);
    else
        for (size_t i = 0; i < count; i++) out[i] = clip((double)scores[i]);
    return TSM_OK;
}

/* -- Making one ---------------------------------------------------------------------------------------------------- */

static const char *bad(const tsm_decision_rule *rule, tsm_scores_kind scores, int32_t classes) {
    if (rule == NULL) return "rule is NULL";
    if (scores < TSM_LOGITS || scores > TSM_SIGMOID) return "scores is no tsm_scores_kind";
    if (classes < 1) return "classes is below 1";
    if (rule->window < 1 || rule->window > TSM_MAX_WINDOW) return "window is outside 1..1000";
    if (rule->agree < 1 || rule->agree > TSM_MAX_WINDOW) return "agree is outside 1..1000";
    if (!(rule->threshold >= 0.0 && rule->threshold <= 1.0)) return "threshold is outside 0..1";
    if (rule->idle == NULL && rule->idle_count > 0) return "idle is NULL";
    for (size_t i = 0; i < rule->idle_count; i++)
        if (rule->idle[i] < 0 || rule->idle[i] >= classes) return "idle has an index that is no class";
    return NULL;
}

static int allocate(tsm_decision *d) {
    if (d->classes > SIZE_MAX / sizeof(double) / (size_t)d->rule.window) return 0;
    d->recent = calloc((size_t)d->rule.window * d->classes, sizeof(double));
    d->mean = calloc(d->classes, sizeof(double));
    d->now = calloc(d->classes, sizeof(double));
    d->winners = calloc((size_t)d->rule.agree, sizeof(int32_t));
    d->is_idle = calloc(d->classes, 1);
    return d->recent != NULL && d->mean != NULL && d->now != NULL && d->winners != NULL && d->is_idle != NULL;
}

tsm_status tsm_decision_new(const tsm_decision_rule *rule, tsm_scores_kind scores, int32_t classes, tsm_decision **out,
                            char *error, size_t error_size) {
    if (out == NULL) return tsm_refuse(TSM_E_ARGUMENT, error, error_size, "tsm_decision_new: out is NULL");
    *out = NULL;
    const char *why = bad(rule, scores, classes);
    if (why != NULL) return tsm_refuse(TSM_E_ARGUMENT, error, error_size, "tsm_decision_new: %s", why);
    tsm_decision *d = calloc(1, sizeof *d);
    if (d != NULL) {
        d->rule = *rule;
        d->rule.idle = NULL; /* the caller's memory */
        d->scores = scores;
        d->classes = (size_t)classes;
    }
    if (d == NULL || !allocate(d)) {
        tsm_decision_free(d);
        return tsm_refuse(TSM_E_MEMORY, error, error_size, "tsm_decision_new: out of memory");
    }
    for (size_t i = 0; i < rule->idle_count; i++) d->is_idle[rule->idle[i]] = 1;
    tsm_decision_reset(d);
    *out = d;
    return TSM_OK;
}

void tsm_decision_free(tsm_decision *decision) {
    if (decision == NULL) return;
    free(decision->recent);
    free(decision->mean);
    free(decision->now);
    free(decision->winners);
    free(decision->is_idle);
    free(decision);
}

void tsm_decision_reset(tsm_decision *decision) {
    if (decision == NULL) return;
    decision->steps = 0;
    decision->decided = NONE;
    memset(decision->mean, 0, decision->classes * sizeof(double));
}

/* -- Deciding ------------------------------------------------------------------------------------------------------ */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Makes `now` the newest row and the mean that of the rows that there are, added from the oldest on. */
static void average(tsm_decision *d) {
    const size_t window = (size_t)d->rule.window, newest = d->steps++ % window, count = least(d->steps, window);
    memcpy(d->recent + newest * d->classes, d->now, d->classes * sizeof(double));
    for (size_t n = 0; n < count; n++) {
        const double *row = d->recent + (d->steps - count + n) % window * d->classes;
        for (size_t i = 0; i < d->classes; i++) d->mean[i] = n == 0 ? row[i] : d->mean[i] + row[i];
    }
    for (size_t i = 0; i < d->classes; i++) d->mean[i] /= (double)count;
}

/* The likeliest class, or the likeliest idle one where no other is likely enough; the first of equals. */
static int32_t winner(const tsm_decision *d) {
    size_t best = 0, idle = d->classes;
    for (size_t i = 0; i < d->classes; i++) {
        if (d->mean[i] > d->mean[best]) best = i;
        if (d->is_idle[i] && (idle == d->classes || d->mean[i] > d->mean[idle])) idle = i;
    }
    const double count = (double)least(d->steps, (size_t)d->rule.window);
    const int likely = d->mean[best] * count / (double)d->rule.window >= d->rule.threshold;
    if (idle == d->classes || d->is_idle[best] || likely || (int32_t)best == d->decided) return (int32_t)best;
    return (int32_t)idle;
}

/* The class, or NONE for all idle ones, which are one state. */
static int32_t state(const tsm_decision *d, int32_t class) { return d->is_idle[class] ? NONE : class; }

/* Makes the last winner the decision if the last `agree` of them agree; returns 1 if that is a change. To leave or enter
 * the idle state it is enough that all are idle; which idle class is decided changes only when all are the same. */
static int32_t accept(tsm_decision *d, int32_t last) {
    const size_t agree = (size_t)d->rule.agree;
    d->winners[(d->steps - 1) % agree] = last;
    if (d->decided == NONE) return d->decided = last, 1;
    if (d->steps < agree) return 0;
    int same_class = 1, all_idle = 1;
    for (size_t i = 0; i < agree; i++) {
        same_class &= d->winners[i] == last;
        all_idle &= d->is_idle[d->winners[i]];
    }
    const int32_t changed = (same_class || all_idle) && state(d, last) != state(d, d->decided);
    if (changed || same_class) d->decided = last;
    return changed;
}

tsm_status tsm_decision_push(tsm_decision *decision, const float *scores, size_t count, tsm_decided *out) {
    tsm_decision *d = decision;
    if (d == NULL) return TSM_E_ARGUMENT;
    if (scores == NULL || out == NULL || count != d->classes)
        return tsm_refuse(TSM_E_ARGUMENT, d->error, sizeof d->error,
                          "tsm_decision_push: the scores do not fit\n  found: %zu%s\n  allowed: %zu numbers", count,
                          scores == NULL || out == NULL ? ", a NULL pointer" : "", d->classes);
    if (tsm_probabilities(d->scores, scores, count, d->now) != TSM_OK)
        return tsm_refuse(TSM_E_ARGUMENT, d->error, sizeof d->error,
                          "the scores are not finite, or not what the model says they are\n  found: %g",
                          (double)*stray(d->scores, scores, count));
    average(d);
    out->changed = accept(d, winner(d));
    out->index = d->decided;
    out->probability = d->mean[d->decided];
    out->idle = d->is_idle[d->decided];
    out->raw_index = 0;
    for (size_t i = 1; i < count; i++)
        if (scores[i] > scores[out->raw_index]) out->raw_index = (int32_t)i;
    return TSM_OK;
}

const double *tsm_decision_probabilities(const tsm_decision *decision, size_t *count) {
    if (count != NULL) *count = decision == NULL ? 0 : decision->classes;
    return decision == NULL ? NULL : decision->mean;
}

const char *tsm_decision_error(const tsm_decision *decision) { return decision == NULL ? "" : decision->error; }
