/* cuda_device.h: what cuda*.c share. */
#ifndef TSM_CUDA_DEVICE_H
#define TSM_CUDA_DEVICE_H

#include "cuda_api.h"
#include "device.h"
#include "gpu_limits.h"

typedef struct {
    tsm_gpu_device base;
    cuda_api cu;
    CUdevice device;
    CUcontext context; /* the device's primary one: shared with whatever else this process does in CUDA */
    CUmodule module;
    CUfunction *functions; /* one an operation */
    CUdeviceptr weights;
} cuda_device;

/* Opens the driver's library and finds every entry point. */
tsm_status cuda_load(const tsm_gpu_plan *plan, cuda_api *cu, char *error);

/* "CUDA_ERROR_LAUNCH_FAILED (719)" */
const char *cuda_code(const cuda_api *cu, CUresult result, char text[64]);

/* Says which call failed at what, and marks the device lost when nothing can work after this result. */
__attribute__((format(printf, 5, 6))) tsm_status cuda_failed(cuda_device *d, CUresult result, const char *call,
                                                             char *error, const char *format, ...);

/* Makes the device's context current on this thread until cuda_leave, which passes `status` on. */
tsm_status cuda_enter(cuda_device *d, char *error);
tsm_status cuda_leave(cuda_device *d, tsm_status status, char *error);

/* d->cu.call(...) with the message for the case that it fails. */
#define CUDA_TRY(d, error, what, call, ...) cuda_tried(d, (d)->cu.call(__VA_ARGS__), #call, error, what)
tsm_status cuda_tried(cuda_device *d, CUresult result, const char *call, char *error, const char *what);

#endif
