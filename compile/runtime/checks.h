/* checks.h: what is looked at before a plan runs. Messages go into `error`, which holds TSM_ERROR_SIZE bytes. */
#ifndef TSM_CHECKS_H
#define TSM_CHECKS_H

#include "plan.h"
#include "tsm_edge.h"

typedef struct {
    const char *model, *target;
    const char *const *cpu_requires;
    size_t cpu_requires_count;
    const tsm_plan_preprocess *preprocess; /* NULL: no image input */
    const tsm_plan_tensor *input;
} tsm_needs;

/* This CPU has every instruction set that the library uses, and the plan fits its image input. */
tsm_status tsm_check(const tsm_needs *needs, char *error);

#endif
