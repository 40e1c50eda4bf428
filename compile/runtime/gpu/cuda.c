/* cuda.c: an NVIDIA GPU through its driver, with the plan's PTX and weights on it. */
#define _POSIX_C_SOURCE 200809L
#include "cuda_device.h"
#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char name[96];
    int capability; /* 53 = 5.3 */
} found_device;

/* -- Which device -------------------------------------------------------------------------------------------------- */

static tsm_status check_driver(cuda_device *d, int *version, char *error) {
    const tsm_gpu_plan *plan = d->base.plan;
    char code[64];
    const CUresult started = d->cu.cuInit(0);
    if (started != CUDA_SUCCESS)
        return tsm_gpu_refuse(plan, error, "The NVIDIA driver finds no GPU that it can use.\n  found: %s from cuInit",
                              cuda_code(&d->cu, started, code));
    const tsm_status status =
        CUDA_TRY(d, error, "The NVIDIA driver does not say its version.", cuDriverGetVersion, version);
    if (status != TSM_OK || *version >= plan->driver_cuda) return status;
    return tsm_gpu_refuse(plan, error,
                          "The NVIDIA driver is too old for the kernels of %.64s-%.64s (PTX %d.%d).\n"
                          "  found: CUDA %d.%d\n  allowed: CUDA %d.%d and newer",
                          plan->info.model, plan->info.target, (int)plan->ptx_isa / 10, (int)plan->ptx_isa % 10, *version / 1000,
                          *version % 1000 / 10, (int)plan->driver_cuda / 1000, (int)plan->driver_cuda % 1000 / 10);
}

static tsm_status read_device(cuda_device *d, found_device *f, tsm_gpu_limits *limits, char *error) {
    enum { VALUES = 10 };
    int value[VALUES];
    static const int wanted[VALUES] = {
        CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK,    CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X,
        CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + 1,      CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + 2,
        CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X,           CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + 1,
        CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + 2,       CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK,
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
    };
    static const char what[] = "The NVIDIA driver does not describe the GPU.";
    size_t memory = 0;
    tsm_status status = CUDA_TRY(d, error, what, cuDeviceGetName, f->name, (int)sizeof f->name, d->device);
    for (int i = 0; status == TSM_OK && i < VALUES; i++)
        status = CUDA_TRY(d, error, what, cuDeviceGetAttribute, &value[i], wanted[i], d->device);
    if (status == TSM_OK) status = CUDA_TRY(d, error, what, cuDeviceTotalMem_v2, &memory, d->device);
    if (status != TSM_OK) return status;
    f->name[sizeof f->name - 1] = '\0';
    f->capability = value[8] * 10 + value[9];
    *limits = (tsm_gpu_limits){.device = f->name,
                               .group = (size_t)value[0],
                               .shared_bytes = (size_t)value[7],
                               .memory_bytes = memory,
                               .alignment = 256};
    for (int i = 0; i < 3; i++)
        limits->group_sides[i] = (size_t)value[1 + i], limits->grid_sides[i] = (size_t)value[4 + i];
    return TSM_OK;
}

static tsm_status check_device(cuda_device *d, found_device *f, char *error) {
    const tsm_gpu_plan *plan = d->base.plan;
    tsm_gpu_limits limits;
    const tsm_status status = read_device(d, f, &limits, error);
    if (status != TSM_OK || f->capability >= plan->compute_capability)
        return status == TSM_OK ? tsm_gpu_check_limits(plan, &limits, error) : status;
    return tsm_gpu_refuse(
        plan, error,
        "This GPU is too old for the kernels of %.64s-%.64s.\n  found: compute capability %d.%d (%.96s)\n"
        "  allowed: compute capability %d.%d and newer",
        plan->info.model, plan->info.target, f->capability / 10, f->capability % 10, f->name, (int)plan->compute_capability / 10,
        (int)plan->compute_capability % 10);
}

/* The first device that can run the plan; when none can, the reason is that of the first. */
static tsm_status choose_device(cuda_device *d, found_device *f, char *error) {
    int count = 0;
    tsm_status status = CUDA_TRY(d, error, "The NVIDIA driver does not count its GPUs.", cuDeviceGetCount, &count);
    if (status != TSM_OK) return status;
    if (count < 1) return tsm_gpu_refuse(d->base.plan, error, "The NVIDIA driver knows of no GPU.\n  found: 0 devices");
    char reason[TSM_ERROR_SIZE];
    for (int i = 0; i < count; i++) {
        char *why = i == 0 ? error : reason;
        status = CUDA_TRY(d, why, "The NVIDIA driver does not hand out the GPU.", cuDeviceGet, &d->device, i);
        if (status == TSM_OK) status = check_device(d, f, why);
        if (status != TSM_OK) continue;
        atomic_store(&d->base.state, TSM_DEVICE_GOOD); /* whatever an earlier one said */
        return TSM_OK;
    }
    return status;
}

/* -- Program and weights ------------------------------------------------------------------------------------------- */

/* The driver compiles the PTX for its GPU; it keeps the result in a cache of its own. */
static tsm_status load_program(cuda_device *d, char *error) {
    const tsm_gpu_plan *plan = d->base.plan;
    char log[1024] = "", code[64];
    const int options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)(uintptr_t)(sizeof log - 1)};
    const CUresult result = d->cu.cuModuleLoadDataEx(&d->module, plan->program, 2, options, values);
    if (result == CUDA_SUCCESS) return TSM_OK;
    d->module = NULL;
    return tsm_gpu_refuse(
        plan, error, "The NVIDIA driver refuses the kernels (PTX %d.%d).\n  found: %s from cuModuleLoadDataEx %.180s",
        (int)plan->ptx_isa / 10, (int)plan->ptx_isa % 10, cuda_code(&d->cu, result, code), tsm_gpu_one_line(log));
}

static tsm_status find_kernels(cuda_device *d, char *error) {
    const tsm_gpu_plan *plan = d->base.plan;
    for (size_t i = 0; i < plan->info.op_count; i++) {
        const tsm_gpu_op *op = &plan->ops[i];
        CUresult result = d->cu.cuModuleGetFunction(&d->functions[i], d->module, op->info.kernel);
        if (result != CUDA_SUCCESS)
            return cuda_failed(d, result, "cuModuleGetFunction", error, "Kernel %.100s is not in the program.",
                               op->info.kernel);
        int threads = 0; /* fewer than the device has, where a thread of this kernel needs many registers */
        result = d->cu.cuFuncGetAttribute(&threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, d->functions[i]);
        if (result != CUDA_SUCCESS)
            return cuda_failed(d, result, "cuFuncGetAttribute", error, "Kernel %.100s cannot be described.",
                               op->info.kernel);
        if ((size_t)threads < tsm_gpu_group(op))
            return tsm_gpu_refuse(
                plan, error,
                "This GPU has too few registers for kernel %.100s.\n  found: %d threads a block at most\n"
                "  allowed: %zu and more",
                op->info.kernel, threads, tsm_gpu_group(op));
    }
    return TSM_OK;
}

static tsm_status load_weights(cuda_device *d, char *error) {
    static const char what[] = "The weights do not get onto the GPU.";
    const tsm_gpu_plan *plan = d->base.plan;
    if (plan->info.weights_bytes == 0) return TSM_OK;
    const tsm_status status = CUDA_TRY(d, error, what, cuMemAlloc_v2, &d->weights, plan->info.weights_bytes);
    if (status != TSM_OK) {
        d->weights = 0;
        return status;
    }
    return CUDA_TRY(d, error, what, cuMemcpyHtoD_v2, d->weights, plan->weights, plan->info.weights_bytes);
}

static tsm_status fill(cuda_device *d, char *error) {
    tsm_status status = CUDA_TRY(d, error, "The GPU cannot be used.", cuDevicePrimaryCtxRetain, &d->context, d->device);
    if (status != TSM_OK) {
        d->context = NULL;
        return status;
    }
    status = cuda_enter(d, error);
    if (status != TSM_OK) return status;
    status = load_program(d, error);
    if (status == TSM_OK) status = find_kernels(d, error);
    if (status == TSM_OK) status = load_weights(d, error);
    return cuda_leave(d, status, error);
}

tsm_status tsm_device_open(const tsm_gpu_plan *plan, tsm_gpu_device **out, char *error) {
    found_device found;
    int driver = 0;
    *out = NULL;
    cuda_device *d = calloc(1, sizeof *d);
    if (d == NULL) return tsm_refuse(TSM_E_MEMORY, error, TSM_ERROR_SIZE, "tsm_open: out of memory");
    d->base.plan = plan;
    d->functions = calloc(plan->info.op_count + 1, sizeof *d->functions);
    tsm_status status = d->functions == NULL
                            ? tsm_refuse(TSM_E_MEMORY, error, TSM_ERROR_SIZE, "tsm_open: out of memory")
                            : cuda_load(plan, &d->cu, error);
    if (status == TSM_OK) status = check_driver(d, &driver, error);
    if (status == TSM_OK) status = choose_device(d, &found, error);
    if (status == TSM_OK) status = fill(d, error);
    if (status != TSM_OK) {
        tsm_device_close(&d->base);
        return status;
    }
    snprintf(d->base.text, sizeof d->base.text, "%.96s, compute capability %d.%d; driver of CUDA %d.%d, %s", found.name,
             found.capability / 10, found.capability % 10, driver / 1000, driver % 1000 / 10,
             d->cu.graphs ? "with graphs" : "without graphs: kernels are launched one by one");
    *out = &d->base;
    return TSM_OK;
}

/* What fails here is not told: there is nothing that a caller could do. */
void tsm_device_close(tsm_gpu_device *device) {
    cuda_device *d = (cuda_device *)(void *)device;
    CUcontext own;
    if (d->context != NULL && atomic_load(&device->state) != TSM_DEVICE_HUNG) {
        const int entered = d->cu.cuCtxPushCurrent_v2(d->context) == CUDA_SUCCESS;
        if (d->weights != 0) d->cu.cuMemFree_v2(d->weights);
        if (d->module != NULL) d->cu.cuModuleUnload(d->module);
        if (entered) d->cu.cuCtxPopCurrent_v2(&own);
        d->cu.cuDevicePrimaryCtxRelease(d->device);
    }
    free(d->functions);
    free(d);
}
