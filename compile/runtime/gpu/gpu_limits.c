/* gpu_limits.c: requirements of a plan on any GPU, and refusals. */
#include "gpu_limits.h"

#include "message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

tsm_status tsm_gpu_refuse(const tsm_gpu_plan *plan, char *error, const char *format, ...) {
    char hint[192] = "";
    if (plan->fallback[0] != '\0')
        snprintf(hint, sizeof hint, "\n  hint: the CPU can run it: tsm-edge compile %.64s --target %.64s", plan->info.model,
                 plan->fallback);
    const size_t room = TSM_ERROR_SIZE - strlen(hint); /* a long reason is cut, the hint is not */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, room, format, arguments);
    va_end(arguments);
    strcat(error, hint);
    return TSM_E_DEVICE;
}

char *tsm_gpu_one_line(char *text) {
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20) *c = ' ';
    return text;
}

size_t tsm_gpu_group(const tsm_gpu_op *op) { return (size_t)op->group[0] * op->group[1] * op->group[2]; }

size_t tsm_gpu_argument_total(const tsm_gpu_plan *plan) {
    size_t total = 0;
    for (size_t i = 0; i < plan->info.op_count; i++) total += plan->ops[i].argument_count;
    return total;
}

/* "what" of a limit that is broken, in one form for all of them. */
static tsm_status beyond(const tsm_gpu_plan *plan, const tsm_gpu_limits *l, const char *what, size_t found,
                         size_t needed, char *error) {
    return tsm_gpu_refuse(plan, error,
                          "This GPU cannot run the kernels of %.64s-%.64s: %s.\n  found: %zu (%.96s)\n"
                          "  allowed: %zu and more",
                          plan->info.model, plan->info.target, what, found, l->device, needed);
}

static tsm_status check_op(const tsm_gpu_plan *plan, const tsm_gpu_op *op, const tsm_gpu_limits *l, char *error) {
    char what[160];
    for (int side = 0; side < 3; side++) {
        snprintf(what, sizeof what, "side %d of the work groups of kernel %.80s", side, op->info.kernel);
        if (op->group[side] > l->group_sides[side])
            return beyond(plan, l, what, l->group_sides[side], op->group[side], error);
        snprintf(what, sizeof what, "number of work groups on side %d of kernel %.80s", side, op->info.kernel);
        if (op->grid[side] > l->grid_sides[side])
            return beyond(plan, l, what, l->grid_sides[side], op->grid[side], error);
    }
    for (size_t i = 0; i < op->argument_count; i++)
        if (op->arguments[i].offset % l->alignment != 0)
            return tsm_gpu_refuse(plan, error,
                                  "This GPU wants arguments at other addresses than %.64s-%.64s has them.\n"
                                  "  found: multiples of %zu bytes (%.96s)\n  allowed: offset %zu of kernel %.80s",
                                  plan->info.model, plan->info.target, l->alignment, l->device, op->arguments[i].offset,
                                  op->info.kernel);
    return TSM_OK;
}

tsm_status tsm_gpu_check_limits(const tsm_gpu_plan *plan, const tsm_gpu_limits *l, char *error) {
    size_t memory = plan->info.arena_bytes > plan->info.weights_bytes ? plan->info.arena_bytes : plan->info.weights_bytes;
    if (plan->info.state_bytes > memory) memory = plan->info.state_bytes;
    if (plan->group_limit > l->group)
        return beyond(plan, l, "threads of a work group", l->group, plan->group_limit, error);
    if (plan->shared_limit > l->shared_bytes)
        return beyond(plan, l, "bytes of local memory", l->shared_bytes, plan->shared_limit, error);
    if (memory > l->memory_bytes) return beyond(plan, l, "bytes of one memory", l->memory_bytes, memory, error);
    tsm_status status = TSM_OK;
    for (size_t i = 0; status == TSM_OK && i < plan->info.op_count; i++) status = check_op(plan, &plan->ops[i], l, error);
    return status;
}
