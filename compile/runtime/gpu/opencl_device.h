/* opencl_device.h: what opencl*.c share. */
#ifndef TSM_OPENCL_DEVICE_H
#define TSM_OPENCL_DEVICE_H

#include "device.h"
#include "gpu_limits.h"
#include "opencl_api.h"

typedef struct {
    char platform[96], name[128], version[192], driver[128]; /* as the driver says them; part of the key of the cache */
} opencl_names;

typedef struct {
    tsm_gpu_device base;
    opencl_api cl;
    cl_device_id device;
    opencl_names names;
    cl_context context;
    cl_program program;
    cl_mem weights;
} opencl_device;

/* Opens the first OpenCL library that knows a platform, and finds every entry point. */
tsm_status opencl_load(const tsm_gpu_plan *plan, opencl_api *cl, char *error);

/* Takes the first device that can run the plan, GPUs before others. */
tsm_status opencl_choose(opencl_device *d, char *error);

/* Builds the program, from the cache where it can; *origin says where it came from. */
tsm_status opencl_build(opencl_device *d, const char **origin, char *error);

/* "CL_OUT_OF_RESOURCES (-5)" */
const char *opencl_code(cl_int code, char text[64]);

/* Says which call failed at what, and marks the device lost when nothing can work after this code. */
__attribute__((format(printf, 5, 6))) tsm_status opencl_failed(opencl_device *d, cl_int code, const char *call,
                                                               char *error, const char *format, ...);

#endif
