/* unit_time.c: what the sampler and the decision do with bad arguments and without memory. */
#include "checks.h"
#include "tsm_edge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- An allocation that fails on demand (-Wl,--wrap=calloc) -------------------------------------------------------- */

static int allocations, fail_at = -1;
void *__real_calloc(size_t, size_t);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size) {
    return allocations++ == fail_at ? NULL : __real_calloc(count, size);
}

static const int32_t idle[] = {1};
static const tsm_decision_rule rule = {4, 2, 0.5, idle, 1};
static char error[TSM_ERROR_SIZE];

static tsm_decision *decision_of(const tsm_decision_rule *wanted, tsm_scores_kind scores, int32_t classes) {
    tsm_decision *decision = (tsm_decision *)&failures; /* not NULL: a failure must make it so */
    if (tsm_decision_new(wanted, scores, classes, &decision, error, sizeof error) != TSM_OK) CHECK(decision == NULL);
    return decision;
}

static void sampler_without_arguments(void) {
    tsm_sampler sampler;
    CHECK(tsm_sampler_init(NULL, 12.0) == TSM_E_ARGUMENT);
    CHECK(tsm_sampler_take(NULL, 0.0) == 0);
    CHECK(tsm_sampler_init(&sampler, NAN) == TSM_E_ARGUMENT && tsm_sampler_take(&sampler, 1.0) == 0);
    CHECK(tsm_sampler_init(&sampler, 12.0) == TSM_OK && tsm_sampler_take(&sampler, 1.0) == 1);
    CHECK(tsm_sampler_init(&sampler, 12.0) == TSM_OK && tsm_sampler_take(&sampler, 0.0) == 1 && sampler.stalls == 0);
}

static void rules_are_checked(void) {
    static const int32_t far[] = {3}, negative[] = {-1};
    const tsm_decision_rule bad[] = {
        {0, 2, 0.5, idle, 1},    {1001, 2, 0.5, idle, 1}, {4, 0, 0.5, idle, 1},     {4, 1001, 0.5, idle, 1},
        {4, 2, -0.1, idle, 1},   {4, 2, 1.1, idle, 1},    {4, 2, NAN, idle, 1},     {4, 2, 0.5, far, 1},
        {4, 2, 0.5, negative, 1}, {4, 2, 0.5, NULL, 1},    {INT32_MIN, 2, 0.5, idle, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(decision_of(&bad[i], TSM_LOGITS, 3) == NULL);
        CHECK(strstr(error, "tsm_decision_new: ") == error && strlen(error) > 20);
    }
    CHECK(decision_of(NULL, TSM_LOGITS, 3) == NULL);
    CHECK(decision_of(&rule, (tsm_scores_kind)4, 3) == NULL);
    CHECK(decision_of(&rule, TSM_LOGITS, 0) == NULL);
    CHECK(decision_of(&rule, TSM_LOGITS, 1) == NULL); /* idle is class 1 */
    CHECK(tsm_decision_new(&rule, TSM_LOGITS, 3, NULL, NULL, 0) == TSM_E_ARGUMENT);
}

static void null_is_allowed_or_refused(void) {
    size_t count = 7;
    tsm_decided out;
    const float scores[3] = {0.0f};
    double probabilities[3];
    tsm_decision_free(NULL);
    tsm_decision_reset(NULL);
    CHECK(tsm_decision_push(NULL, scores, 3, &out) == TSM_E_ARGUMENT);
    CHECK(tsm_decision_probabilities(NULL, &count) == NULL && count == 0);
    CHECK(strcmp(tsm_decision_error(NULL), "") == 0);
    CHECK(tsm_probabilities(TSM_LOGITS, NULL, 3, probabilities) == TSM_E_ARGUMENT);
    CHECK(tsm_probabilities(TSM_LOGITS, scores, 3, NULL) == TSM_E_ARGUMENT);
    CHECK(tsm_probabilities(TSM_LOGITS, scores, 0, probabilities) == TSM_E_ARGUMENT);
    CHECK(tsm_probabilities((tsm_scores_kind)-1, scores, 3, probabilities) == TSM_E_ARGUMENT);
    tsm_decision *decision = decision_of(&rule, TSM_LOGITS, 3);
    CHECK(tsm_decision_push(decision, NULL, 3, &out) == TSM_E_ARGUMENT);
    CHECK(tsm_decision_push(decision, scores, 3, NULL) == TSM_E_ARGUMENT);
    CHECK(tsm_decision_push(decision, scores, 2, &out) == TSM_E_ARGUMENT);
    CHECK(strstr(tsm_decision_error(decision), "found: 2") != NULL);
    CHECK(tsm_decision_probabilities(decision, NULL)[0] == 0.0);
    tsm_decision_free(decision);
}

static void every_allocation_may_fail(void) {
    int made = 0;
    for (int at = 0; !made; at++) {
        allocations = 0;
        fail_at = at;
        tsm_decision *decision = NULL;
        const tsm_status status = tsm_decision_new(&rule, TSM_LOGITS, 3, &decision, error, sizeof error);
        made = status == TSM_OK;
        CHECK(made || (status == TSM_E_MEMORY && decision == NULL && strstr(error, "memory") != NULL));
        if (made) CHECK(at == 6);
        tsm_decision_free(decision);
    }
    fail_at = -1;
}

static void a_push_allocates_nothing(void) {
    tsm_decision *decision = decision_of(&rule, TSM_LOGITS, 3);
    const float sure[3] = {9.0f, 0.0f, 0.0f}, odd[3] = {NAN, 0.0f, 0.0f};
    tsm_decided now = {0};
    allocations = 0;
    for (int i = 0; i < 100; i++) {
        CHECK(tsm_decision_push(decision, sure, 3, &now) == TSM_OK);
        CHECK(tsm_decision_push(decision, odd, 3, &now) == TSM_E_ARGUMENT);
        CHECK(now.changed == (i == 0 || i == 3)); /* idle at first; then three of a window of four, and one that agrees */
    }
    CHECK(allocations == 0 && now.index == 0 && now.idle == 0);
    tsm_decision_reset(decision);
    CHECK(tsm_decision_push(decision, sure, 3, &now) == TSM_OK && now.changed && now.idle);
    tsm_decision_free(decision);
}

int main(void) {
    RUN(sampler_without_arguments);
    RUN(rules_are_checked);
    RUN(null_is_allowed_or_refused);
    RUN(every_allocation_may_fail);
    RUN(a_push_allocates_nothing);
    return failures != 0;
}
