/* gpu_limits.h: requirements of a plan on any GPU, and refusals. Messages go into `error` (TSM_ERROR_SIZE bytes). */
#ifndef TSM_GPU_LIMITS_H
#define TSM_GPU_LIMITS_H

#include "plan_gpu.h"
#include "tsm_edge.h"

typedef struct {
    const char *device;           /* its name */
    size_t group, group_sides[3]; /* threads of a work group (block), in all and a side */
    size_t grid_sides[3];         /* work groups a side */
    size_t shared_bytes;          /* local (shared) memory of a work group */
    size_t memory_bytes;          /* largest single allocation */
    size_t alignment;             /* of an argument's offset, in bytes */
} tsm_gpu_limits;

/* TSM_OK when every launch and every memory of the plan keeps the limits. */
tsm_status tsm_gpu_check_limits(const tsm_gpu_plan *plan, const tsm_gpu_limits *limits, char *error);

/* TSM_E_DEVICE: `format` (what, found, allowed), then the hint that names the plan's CPU fallback if it has one. */
__attribute__((format(printf, 3, 4))) tsm_status tsm_gpu_refuse(const tsm_gpu_plan *plan, char *error,
                                                                const char *format, ...);

/* Makes one line of a compiler's log: line ends and other control characters become blanks. Returns text. */
char *tsm_gpu_one_line(char *text);

/* Threads in one work group of an operation. */
size_t tsm_gpu_group(const tsm_gpu_op *op);

/* Arguments of all operations together. */
size_t tsm_gpu_argument_total(const tsm_gpu_plan *plan);

#endif
