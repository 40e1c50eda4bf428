/* cuda_driver.c: the driver's library, and what its results mean. */
#define _POSIX_C_SOURCE 200809L
#include "cuda_device.h"
#include "message.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int take(void *library, const char *name, void *place, const char **missing) {
    void *found = dlsym(library, name);
    memcpy(place, &found, sizeof found); /* ISO C has no cast from an object to a function */
    if (found == NULL) *missing = name;
    return found != NULL;
}

/* The library stays open for good: a driver has threads and exit handlers of its own, and does not survive dlclose. */
tsm_status cuda_load(const tsm_gpu_plan *plan, cuda_api *cu, char *error) {
    const char *missing = NULL;
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *why = dlerror();
        return tsm_gpu_refuse(plan, error,
                              "There is no NVIDIA driver on this machine.\n  found: %.160s\n"
                              "  allowed: libcuda.so.1, the driver's own library",
                              why != NULL ? why : "libcuda.so.1 cannot be loaded");
    }
#define CUDA_TAKE(name, arguments) &&take(library, #name, &cu->name, &missing)
    if (!(1 CUDA_CALLS(CUDA_TAKE)))
        return tsm_gpu_refuse(plan, error,
                              "The NVIDIA driver is too old.\n  found: a libcuda.so.1 without %s\n"
                              "  allowed: a driver of CUDA 8.0 and newer",
                              missing);
    cu->graphs = 1 CUDA_GRAPH_CALLS(CUDA_TAKE);
    return TSM_OK;
}

const char *cuda_code(const cuda_api *cu, CUresult result, char text[64]) {
    const char *name = NULL;
    if (cu->cuGetErrorName(result, &name) != CUDA_SUCCESS || name == NULL) name = "a result without a name";
    snprintf(text, 64, "%.50s (%d)", name, result);
    return text;
}

/* After these the context refuses everything, whoever asks. */
static int is_fatal(CUresult result) {
    switch (result) {
    case CUDA_ERROR_DEINITIALIZED:
    case CUDA_ERROR_NO_DEVICE:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_UNKNOWN: return 1;
    default: return result >= CUDA_ERROR_HARDWARE_STACK_ERROR && result <= CUDA_ERROR_LAUNCH_FAILED;
    }
}

tsm_status cuda_failed(cuda_device *d, CUresult result, const char *call, char *error, const char *format, ...) {
    char what[224], code[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const int fatal = is_fatal(result);
    if (fatal) atomic_store(&d->base.state, TSM_DEVICE_LOST);
    return tsm_refuse(
        TSM_E_DEVICE, error, TSM_ERROR_SIZE, "%s\n  found: %s from %s%s", what, cuda_code(&d->cu, result, code), call,
        fatal ? "\n  hint: the GPU is lost to this model; close all streams and the model, open it again" : "");
}

tsm_status cuda_tried(cuda_device *d, CUresult result, const char *call, char *error, const char *what) {
    return result == CUDA_SUCCESS ? TSM_OK : cuda_failed(d, result, call, error, "%s", what);
}

tsm_status cuda_enter(cuda_device *d, char *error) {
    return CUDA_TRY(d, error, "The GPU cannot be used from this thread.", cuCtxPushCurrent_v2, d->context);
}

tsm_status cuda_leave(cuda_device *d, tsm_status status, char *error) {
    CUcontext own;
    char ignored[TSM_ERROR_SIZE];
    const tsm_status left = CUDA_TRY(d, status == TSM_OK ? error : ignored, "The GPU cannot be left from this thread.",
                                     cuCtxPopCurrent_v2, &own);
    return status == TSM_OK ? left : status;
}
