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
    const tsm_needs needs = {plan->info.model, plan->info.target, plan->cpu_requires, plan->cpu_requires_count,
                             plan->has_image_input ? &plan->preprocess : NULL, &plan->input};
    char why[TSM_ERROR_SIZE], found[128];
    const tsm_status status = tsm_check(&needs, why);
    if (status != TSM_OK) return tsm_refuse(status, error, error_size, "%s", why);
    tsm_model *model = malloc(sizeof *model);
    char *weights = model == NULL ? NULL : tsm_copy((const char *)plan->weights, plan->info.weights_bytes);
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
    tsm_release(model->weights, model->plan->info.weights_bytes);
    free(model);
}

tsm_status tsm_info(const tsm_model *model, tsm_model_info *info) {
    if (model == NULL || info == NULL) return TSM_E_ARGUMENT;
    *info = model->plan->info;
    return TSM_OK;
}

tsm_status tsm_window(const tsm_model *model, int32_t *frames, int32_t *stride) {
    if (model == NULL || frames == NULL || stride == NULL) return TSM_E_ARGUMENT;
    const tsm_plan_tensor *input = &model->plan->input;
    *frames = input->ndim == 4 ? input->shape[0] : 1;
    *stride = model->plan->window_stride < 1 ? 1 : model->plan->window_stride;
    return TSM_OK;
}

tsm_status tsm_op(const tsm_model *model, size_t index, tsm_op_info *info) {
    if (model == NULL || info == NULL || index >= model->plan->info.op_count) return TSM_E_ARGUMENT;
    *info = model->plan->ops[index].info;
    return TSM_OK;
}

tsm_status tsm_state_info(const tsm_model *model, size_t index, tsm_tensor_info *info) {
    if (model == NULL || info == NULL || index >= model->plan->info.state_count) return TSM_E_ARGUMENT;
    tsm_tensor_describe(&model->plan->states[index], info);
    return TSM_OK;
}

tsm_status tsm_state_stored(const tsm_model *model, size_t index, tsm_state_form *form) {
    if (model == NULL || form == NULL || index >= model->plan->info.state_count) return TSM_E_ARGUMENT;
    tsm_tensor_form(&model->plan->states[index], form);
    return TSM_OK;
}

const char *tsm_device(const tsm_model *model) { return model == NULL ? "no model" : model->device; }
