/* opencl.c: an OpenCL 1.2 device, with the plan's program and weights on it. */
#define _POSIX_C_SOURCE 200809L
#include "message.h"
#include "opencl_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PLATFORMS = 8, MOST_DEVICES = 16 };

/* -- Which device -------------------------------------------------------------------------------------------------- */

/* An answer of a fixed size; 0 where the driver has none. */
static uint64_t number(const opencl_device *d, cl_device_id device, cl_uint what, size_t size) {
    uint64_t wide = 0;
    uint32_t narrow = 0;
    const cl_int code = d->cl.clGetDeviceInfo(device, what, size, size == 8 ? (void *)&wide : (void *)&narrow, NULL);
    return code != CL_SUCCESS ? 0 : size == 8 ? wide : narrow;
}

/* A text, cut where `out` is too small. The driver is given all the room that it asks for: into less it writes nothing,
 * and a version may name a whole compiler and processor. */
static void text(const opencl_device *d, cl_device_id device, cl_uint what, char *out, size_t size) {
    size_t bytes = 0;
    char code_text[64], *whole = NULL;
    cl_int code = d->cl.clGetDeviceInfo(device, what, 0, NULL, &bytes);
    if (code == CL_SUCCESS) whole = calloc(bytes + 1, 1);
    if (whole != NULL) code = d->cl.clGetDeviceInfo(device, what, bytes, whole, NULL);
    if (whole != NULL && code == CL_SUCCESS)
        snprintf(out, size, "%s", whole);
    else
        snprintf(out, size, "no answer, %s", code == CL_SUCCESS ? "no memory" : opencl_code(code, code_text));
    free(whole);
    tsm_gpu_one_line(out);
}

static tsm_status check_device(const opencl_device *d, cl_device_id device, const opencl_names *names, char *error) {
    const tsm_gpu_plan *plan = d->base.plan;
    unsigned major = 0, minor = 0;
    if (sscanf(names->version, "OpenCL %u.%u", &major, &minor) != 2 || major < 1 || (major == 1 && minor < 2))
        return tsm_gpu_refuse(plan, error,
                              "The OpenCL device is too old, or does not say its version.\n  found: %.90s (%.90s)\n"
                              "  allowed: OpenCL 1.2 and newer",
                              names->version, names->name);
    if (!number(d, device, CL_DEVICE_AVAILABLE, 4) || !number(d, device, CL_DEVICE_COMPILER_AVAILABLE, 4))
        return tsm_gpu_refuse(plan, error, "The OpenCL device is not available, or has no compiler.\n  found: %.90s",
                              names->name);
    const uint64_t bits = number(d, device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, 4);
    tsm_gpu_limits limits = {
        .device = names->name,
        .group = (size_t)number(d, device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t)),
        .grid_sides = {SIZE_MAX, SIZE_MAX, SIZE_MAX},
        .shared_bytes = (size_t)number(d, device, CL_DEVICE_LOCAL_MEM_SIZE, 8),
        .memory_bytes = (size_t)number(d, device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, 8),
        .alignment = bits >= 8 ? (size_t)bits / 8 : 1,
    };
    size_t sides[8] = {0}; /* a device may have more than three dimensions */
    const cl_int code = d->cl.clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof sides, sides, NULL);
    memcpy(limits.group_sides, sides, sizeof limits.group_sides);
    return code != CL_SUCCESS
               ? tsm_gpu_refuse(plan, error, "The OpenCL device does not say its limits.\n  found: %.90s", names->name)
               : tsm_gpu_check_limits(plan, &limits, error);
}

/* Tries the devices that are GPUs, or (gpu == 0) all others. *found counts them over both calls. */
static tsm_status try_devices(opencl_device *d, int gpu, int *found, char *error) {
    cl_platform_id platforms[MOST_PLATFORMS];
    cl_device_id devices[MOST_DEVICES];
    cl_uint platform_count = 0, device_count;
    char reason[TSM_ERROR_SIZE];
    if (d->cl.clGetPlatformIDs(MOST_PLATFORMS, platforms, &platform_count) != CL_SUCCESS) return TSM_E_DEVICE;
    for (cl_uint p = 0; p < platform_count && p < MOST_PLATFORMS; p++) {
        device_count = 0;
        if (d->cl.clGetDeviceIDs(platforms[p], 0xFFFFFFFF, MOST_DEVICES, devices, &device_count) != CL_SUCCESS)
            continue;
        for (cl_uint i = 0; i < device_count && i < MOST_DEVICES; i++) {
            opencl_names names;
            if (((number(d, devices[i], CL_DEVICE_TYPE, 8) & CL_DEVICE_TYPE_GPU) != 0) != gpu) continue;
            text(d, devices[i], CL_DEVICE_NAME, names.name, sizeof names.name);
            text(d, devices[i], CL_DEVICE_VERSION, names.version, sizeof names.version);
            text(d, devices[i], CL_DRIVER_VERSION, names.driver, sizeof names.driver);
            if (d->cl.clGetPlatformInfo(platforms[p], CL_PLATFORM_NAME, sizeof names.platform, names.platform, NULL) !=
                CL_SUCCESS)
                names.platform[0] = '\0';
            names.platform[sizeof names.platform - 1] = '\0';
            if (check_device(d, devices[i], &names, (*found)++ == 0 ? error : reason) != TSM_OK) continue;
            d->device = devices[i];
            d->names = names;
            return TSM_OK;
        }
    }
    return TSM_E_DEVICE;
}

tsm_status opencl_choose(opencl_device *d, char *error) {
    int found = 0;
    if (try_devices(d, 1, &found, error) == TSM_OK || try_devices(d, 0, &found, error) == TSM_OK) return TSM_OK;
    return found > 0 ? TSM_E_DEVICE /* the reason is that of the first */
                     : tsm_gpu_refuse(d->base.plan, error, "The OpenCL driver knows of no device.\n  found: 0 devices");
}

/* -- Program and weights ------------------------------------------------------------------------------------------- */

static tsm_status fill(opencl_device *d, const char **origin, char *error) {
    const tsm_gpu_plan *plan = d->base.plan;
    cl_int code = CL_SUCCESS;
    d->context = d->cl.clCreateContext(NULL, 1, &d->device, NULL, NULL, &code);
    if (d->context == NULL)
        return opencl_failed(d, code, "clCreateContext", error, "The OpenCL device cannot be used.");
    const tsm_status status = opencl_build(d, origin, error);
    if (status != TSM_OK || plan->info.weights_bytes == 0) return status;
    /* The driver copies them at once; it takes no const, and does not write. */
    d->weights = d->cl.clCreateBuffer(d->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, plan->info.weights_bytes,
                                      (void *)(uintptr_t)plan->weights, &code);
    return d->weights != NULL
               ? TSM_OK
               : opencl_failed(d, code, "clCreateBuffer", error, "The weights do not get onto the device.");
}

tsm_status tsm_device_open(const tsm_gpu_plan *plan, tsm_gpu_device **out, char *error) {
    const char *origin = "";
    *out = NULL;
    opencl_device *d = calloc(1, sizeof *d);
    if (d == NULL) return tsm_refuse(TSM_E_MEMORY, error, TSM_ERROR_SIZE, "tsm_open: out of memory");
    d->base.plan = plan;
    tsm_status status = opencl_load(plan, &d->cl, error);
    if (status == TSM_OK) status = opencl_choose(d, error);
    if (status == TSM_OK) status = fill(d, &origin, error);
    if (status != TSM_OK) {
        tsm_device_close(&d->base);
        return status;
    }
    snprintf(d->base.text, sizeof d->base.text, "%.95s, %.90s; driver %.60s; kernels %.60s", d->names.name,
             d->names.version, d->names.driver, origin);
    *out = &d->base;
    return TSM_OK;
}

/* What fails here is not told: there is nothing that a caller could do. */
void tsm_device_close(tsm_gpu_device *device) {
    opencl_device *d = (opencl_device *)(void *)device;
    if (atomic_load(&device->state) != TSM_DEVICE_HUNG) {
        if (d->weights != NULL) d->cl.clReleaseMemObject(d->weights);
        if (d->program != NULL) d->cl.clReleaseProgram(d->program);
        if (d->context != NULL) d->cl.clReleaseContext(d->context);
    }
    free(d);
}
