/* gpu_process.h: a GPU driver in a process that forks or ends. */
#ifndef TSM_GPU_PROCESS_H
#define TSM_GPU_PROCESS_H

#include "plan_gpu.h"
#include "tsm_edge.h"

/* Before a driver is loaded. TSM_E_FORKED in a child of a process whose driver this library has loaded. */
tsm_status tsm_gpu_process_open(const tsm_gpu_plan *plan, char *error);

/* Once the driver is up: from here on the process ends only after the calls under way have. */
void tsm_gpu_process_opened(void);

/* Around every use of the driver by a stream. TSM_E_DEVICE: the process is ending, and there is nothing to leave. */
tsm_status tsm_gpu_process_enter(char *error);
void tsm_gpu_process_leave(void);

#endif
