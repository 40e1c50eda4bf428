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

static int fits(const tsm_plan_preprocess *p, const tsm_plan_tensor *in) {
    for (int axis = 0; axis < 2; axis++)
        if (p->crop[axis] < 1 || p->resize[axis] < p->crop[axis] || p->resize[axis] > TSM_MAX_IMAGE_SIDE ||
            in->shape[2 + axis] != p->crop[axis])
            return 0;
    return in->ndim == 4 && in->channels_last && in->shape[0] >= 1 &&
           in->shape[1] == (p->color == TSM_MODEL_GREY ? 1 : 3);
}

/* The image path relies on these; a plan that breaks them is a fault of the compiler. */
static tsm_status check_image_input(const tsm_needs *needs, char *error) {
    const tsm_plan_preprocess *p = needs->preprocess;
    const tsm_plan_tensor *in = needs->input;
    if (p == NULL || fits(p, in)) return TSM_OK;
    return tsm_refuse(TSM_E_ARGUMENT, error, TSM_ERROR_SIZE,
                      "the plan of %s-%s does not fit its image input\n  found: resize %dx%d, crop %dx%d, "
                      "input %dx%dx%d\n"
                      "  allowed: 1 <= crop <= resize <= %d, input channels x crop stored channels last",
                      needs->model, needs->target, (int)p->resize[0], (int)p->resize[1], (int)p->crop[0],
                      (int)p->crop[1], (int)in->shape[1], (int)in->shape[2], (int)in->shape[3], TSM_MAX_IMAGE_SIDE);
}

tsm_status tsm_check(const tsm_needs *needs, char *error) {
    const tsm_status status = check_cpu(needs, error);
    return status == TSM_OK ? check_image_input(needs, error) : status;
}
