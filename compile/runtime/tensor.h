/* tensor.h: tensors in and out of their place, in the order of their logical shape. */
#ifndef TSM_TENSOR_H
#define TSM_TENSOR_H

#include "plan.h"
#include "tsm_edge.h"

/* Number of elements; their size in storage is the plan's affair. */
size_t tsm_tensor_count(const tsm_plan_tensor *t);

/* Where element i of the logical order lies, counted in elements. */
size_t tsm_tensor_place(const tsm_plan_tensor *t, size_t i);

/* Copies a tensor between its place in a blob and NCHW order; its elements stay as they are stored. */
void tsm_tensor_get_raw(const tsm_plan_tensor *t, const char *blob, char *nchw);
void tsm_tensor_set_raw(const tsm_plan_tensor *t, char *blob, const char *nchw);

/* Copies a tensor between float32 in NCHW order and its place in a blob, as it is stored there. Rows are n * H + h, for tensors that are stored
 * channels last; any other tensor is one row. */
int32_t tsm_tensor_rows(const tsm_plan_tensor *t);
void tsm_tensor_store(const tsm_plan_tensor *t, char *blob, const float *nchw, int32_t begin, int32_t end);
void tsm_tensor_load(const tsm_plan_tensor *t, const char *blob, float *nchw);

/* Refuses a state that is not there, or whose number of floats is not `count`. `error` holds TSM_ERROR_SIZE bytes. */
tsm_status tsm_tensor_find(const tsm_plan_tensor *states, size_t state_count, size_t index, const void *nchw,
                           size_t count, char *error);

/* The same for a state as it is stored, whose size is in bytes. */
tsm_status tsm_tensor_find_raw(const tsm_plan_tensor *states, size_t state_count, size_t index, const void *nchw,
                               size_t bytes, char *error);

/* What tsm_state_stored says of a state. */
void tsm_tensor_form(const tsm_plan_tensor *t, tsm_state_form *form);

/* What tsm_state_info says of a state; bytes are those of its float32 copy. */
void tsm_tensor_describe(const tsm_plan_tensor *t, tsm_tensor_info *info);

#endif
