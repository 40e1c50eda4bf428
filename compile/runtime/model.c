/* model.c: opening a model and asking what is in it. */
#include "cpu.h"
#include "stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tsm_status tsm_refuse(tsm_status status, char *text, size_t size, const char *format, ...) {
    if (text != NULL && size > 0) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, size, format, arguments);
        va_end(arguments);
    }
    return status;
}

static tsm_status check_cpu(const tsm_plan *plan, char *error, size_t error_size) {
    char missing[128], found[128];
    if (tsm_cpu_missing(plan->cpu_requires, plan->cpu_requires_count, missing, sizeof missing) == 0) return TSM_OK;
    return tsm_refuse(TSM_E_CPU, error, error_size,
                      "this CPU lacks instructions that bundle %s-%s uses: %s\n  found: %s\n"
                      "  hint: compile the model for a target without them",
                      plan->model, plan->target, missing, tsm_cpu_found(found, sizeof found));
}

/* The image path relies on these; a plan that breaks them is a fault of the compiler. */
static tsm_status check_image_input(const tsm_plan *plan, char *error, size_t error_size) {
    const tsm_plan_preprocess *p = &plan->preprocess;
    const tsm_plan_tensor *in = &plan->input;
    if (!plan->has_image_input) return TSM_OK;
    if (p->crop >= 1 && p->resize >= p->crop && p->resize <= TSM_MAX_IMAGE_SIDE && in->ndim == 4 &&
        in->channels_last && in->shape[0] == 1 && in->shape[1] == 3 && in->shape[2] == p->crop &&
        in->shape[3] == p->crop)
        return TSM_OK;
    return tsm_refuse(TSM_E_ARGUMENT, error, error_size,
                      "the plan of %s-%s does not fit its image input\n  found: resize %d, crop %d, input height %d\n"
                      "  allowed: 1 <= crop <= resize, input 1x3xcropxcrop stored channels last",
                      plan->model, plan->target, (int)p->resize, (int)p->crop, (int)in->shape[2]);
}

tsm_status tsm_open(tsm_model **out, char *error, size_t error_size) {
    if (out == NULL) return tsm_refuse(TSM_E_ARGUMENT, error, error_size, "tsm_open: out is NULL");
    *out = NULL;
    const tsm_plan *plan = &tsm_the_plan;
    tsm_status status = check_cpu(plan, error, error_size);
    if (status == TSM_OK) status = check_image_input(plan, error, error_size);
    if (status != TSM_OK) return status;
    tsm_model *model = malloc(sizeof *model);
    if (model == NULL) return tsm_refuse(TSM_E_MEMORY, error, error_size, "tsm_open: out of memory");
    model->plan = plan;
    *out = model;
    return TSM_OK;
}

void tsm_close(tsm_model *model) { free(model); }

tsm_status tsm_info(const tsm_model *model, tsm_model_info *info) {
    if (model == NULL || info == NULL) return TSM_E_ARGUMENT;
    const tsm_plan *p = model->plan;
    const tsm_plan_tensor *in = &p->input;
    *info = (tsm_model_info){
        .model = p->model,
        .target = p->target,
        .weights_note = p->weights_note,
        .classes = (int32_t)(p->output.bytes / sizeof(float)),
        .labels = p->labels,
        .label_count = p->label_count,
        .input_height = in->ndim == 4 ? in->shape[2] : 0,
        .input_width = in->ndim == 4 ? in->shape[3] : 0,
        .input_channels = in->ndim == 4 ? in->shape[1] : 0,
        .arena_bytes = p->arena_bytes,
        .state_bytes = p->state_bytes,
        .weights_bytes = p->weights_bytes,
        .scratch_bytes = p->scratch_bytes,
        .state_count = p->state_count,
        .op_count = p->op_count,
    };
    return TSM_OK;
}

tsm_status tsm_op(const tsm_model *model, size_t index, tsm_op_info *info) {
    if (model == NULL || info == NULL || index >= model->plan->op_count) return TSM_E_ARGUMENT;
    const tsm_plan_op *op = &model->plan->ops[index];
    *info = (tsm_op_info){op->kernel, op->layer, op->schedule, op->macs, op->bytes};
    return TSM_OK;
}

tsm_status tsm_state_info(const tsm_model *model, size_t index, tsm_tensor_info *info) {
    if (model == NULL || info == NULL || index >= model->plan->state_count) return TSM_E_ARGUMENT;
    const tsm_plan_tensor *state = &model->plan->states[index];
    *info = (tsm_tensor_info){.name = state->name, .ndim = state->ndim, .bytes = state->bytes};
    memcpy(info->shape, state->shape, sizeof info->shape);
    return TSM_OK;
}
