/* gpu_model.c: opening a model on a GPU and asking what is in it. */
#include "checks.h"
#include "gpu_process.h"
#include "gpu_stream.h"
#include "message.h"
#include "tensor.h"

#include <stdlib.h>
#include <unistd.h>

tsm_status tsm_open(tsm_model **out, char *error, size_t error_size) {
    if (out == NULL) return tsm_refuse(TSM_E_ARGUMENT, error, error_size, "tsm_open: out is NULL");
    *out = NULL;
    const tsm_gpu_plan *plan = &tsm_the_gpu_plan;
    const tsm_needs needs = {plan->info.model,
                             plan->info.target,
                             plan->cpu_requires,
                             plan->cpu_requires_count,
                             plan->has_image_input ? &plan->preprocess : NULL,
                             &plan->input};
    char why[TSM_ERROR_SIZE];
    tsm_status status = tsm_check(&needs, why);
    if (status == TSM_OK) status = tsm_gpu_process_open(plan, why);
    if (status != TSM_OK) return tsm_refuse(status, error, error_size, "%s", why);
    tsm_model *model = malloc(sizeof *model);
    if (model == NULL) return tsm_refuse(TSM_E_MEMORY, error, error_size, "tsm_open: out of memory");
    model->plan = plan;
    model->process = (int)getpid();
    atomic_init(&model->users, 1);
    status = tsm_device_open(plan, &model->device, why);
    if (status != TSM_OK) {
        free(model);
        return tsm_refuse(status, error, error_size, "%s", why);
    }
    tsm_gpu_process_opened();
    *out = model;
    return TSM_OK;
}

void tsm_close(tsm_model *model) {
    char ignored[TSM_ERROR_SIZE];
    if (model == NULL || atomic_fetch_sub(&model->users, 1) > 1) return;
    if (model->process == (int)getpid() && tsm_gpu_process_enter(ignored) == TSM_OK) { /* else its driver is gone */
        tsm_device_close(model->device);
        tsm_gpu_process_leave();
    }
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

const char *tsm_device(const tsm_model *model) { return model == NULL ? "no model" : model->device->text; }
