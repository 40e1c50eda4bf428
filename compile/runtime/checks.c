/* checks.c: what is looked at before a plan runs. */
#include "checks.h"

#include "cpu.h"
#include "message.h"

static tsm_status check_cpu(const tsm_needs *needs, char *error) {
    char missing[128], found[128];
    if (tsm_cpu_missing(needs->cpu_requires, needs->cpu_requires_count, missing, sizeof missing) == 0) return TSM_OK;
    return tsm_refuse(TSM_E_CPU, error, TSM_ERROR_SIZE,
                      "this CPU lacks instructions that bundle %s-%s uses: %s\n  found: %s\n"
                      "  hint: compile the model for a target without them",
                      needs->model, needs->target, missing, tsm_cpu_found(found, sizeof found));
}

/* The image path relies on these; a plan that breaks them is a fault of the compiler. */
static tsm_status check_image_input(const tsm_needs *needs, char *error) {
    const tsm_plan_preprocess *p = needs->preprocess;
    const tsm_plan_tensor *in = needs->input;
    if (p == NULL) return TSM_OK;
    if (p->crop >= 1 && p->resize >= p->crop && p->resize <= TSM_MAX_IMAGE_SIDE && in->ndim == 4 && in->channels_last &&
        in->shape[0] == 1 && in->shape[1] == 3 && in->shape[2] == p->crop && in->shape[3] == p->crop)
        return TSM_OK;
    return tsm_refuse(TSM_E_ARGUMENT, error, TSM_ERROR_SIZE,
                      "the plan of %s-%s does not fit its image input\n  found: resize %d, crop %d, input height %d\n"
                      "  allowed: 1 <= crop <= resize, input 1x3xcropxcrop stored channels last",
                      needs->model, needs->target, (int)p->resize, (int)p->crop, (int)in->shape[2]);
}

tsm_status tsm_check(const tsm_needs *needs, char *error) {
    const tsm_status status = check_cpu(needs, error);
    return status == TSM_OK ? check_image_input(needs, error) : status;
}
