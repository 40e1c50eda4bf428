/* model.c: opening a model and asking what is in it. */
#include "checks.h"
#include "cpu.h"
#include "memory.h"
#include "message.h"
#include "stream.h"
#include "tensor.h"

#include <stdio.h>
#include <stdlib.h>

tsm_status tsm_open(tsm_model **out, char *error, size_t error_size) {
    if (out == NULL) return tsm_refuse(TSM_E_ARGUMENT, error, error_size, "tsm_open: out is NULL");
    *out = NULL;
    const tsm_plan *plan = &tsm_the_plan;
    const tsm_needs needs = {plan->model, plan->target, plan->cpu_requires, plan->cpu_requires_count,
                             plan->has_image_input ? &plan->preprocess : NULL, &plan->input};
    char why[TSM_ERROR_SIZE], found[128];
    const tsm_status status = tsm_check(&needs, why);
    if (status != TSM_OK) return tsm_refuse(status, error, error_size, "%s", why);
    tsm_model *model = malloc(sizeof *model);
    char *weights = model == NULL ? NULL : tsm_copy((const char *)plan->weights, plan->weights_bytes);
    if (weights == NULL) {
        free(model);
        return tsm_refuse(TSM_E_MEMORY, error, error_size, "tsm_open: out of memory");
    }
    model->plan = plan;
    model->weights = weights;
    atomic_init(&model->users, 1);
    snprintf(model->device, sizeof model->device, "the CPU: %s", tsm_cpu_found(found, sizeof found));
    *out = model;
    return TSM_OK;
}

void tsm_close(tsm_model *model) {
    if (model == NULL || atomic_fetch_sub(&model->users, 1) > 1) return;
    tsm_release(model->weights, model->plan->weights_bytes);
    free(model);
}

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
        .rate_fps = p->has_image_input ? p->preprocess.rate_fps : 0.0,
        .scores = p->scores,
        .decision = p->decision,
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
    tsm_tensor_describe(&model->plan->states[index], info);
    return TSM_OK;
}

const char *tsm_device(const tsm_model *model) { return model == NULL ? "no model" : model->device; }
