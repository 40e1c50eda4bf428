/* opencl_driver.c: the driver's library, and what its codes mean. */
#define _POSIX_C_SOURCE 200809L
#include "message.h"
#include "opencl_device.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The loader of a desktop or board first, then the drivers of phones, and of boards whose loader knows of no driver. */
static const char *const libraries[] = {
    "libOpenCL.so.1",
    "libOpenCL.so",
#if defined(__LP64__)
    "/vendor/lib64/libOpenCL.so",
    "/system/vendor/lib64/libOpenCL.so",
    "/system/lib64/libOpenCL.so",
    "/vendor/lib64/egl/libGLES_mali.so",
    "/system/vendor/lib64/egl/libGLES_mali.so",
#else
    "/vendor/lib/libOpenCL.so",
    "/system/vendor/lib/libOpenCL.so",
    "/system/lib/libOpenCL.so",
    "/vendor/lib/egl/libGLES_mali.so",
    "/system/vendor/lib/egl/libGLES_mali.so",
#endif
    "libmali.so.1",
    "libmali.so",
};

/* Notes the first of several reasons: it is about the library that a user would expect. */
static void note(char *reason, size_t size, const char *library, const char *why) {
    if (reason[0] == '\0') snprintf(reason, size, "%s: %s", library, why);
}

/* 1 when the library has every entry point and knows a platform. */
static int take_library(void *library, const char *name, opencl_api *cl, char *reason, size_t size) {
    char text[64], code[64];
#define OPENCL_TAKE(result, call, arguments)                                                                           \
    do {                                                                                                               \
        void *found = dlsym(library, #call);                                                                           \
        if (found == NULL) return note(reason, size, name, "it has no " #call), 0;                                     \
        memcpy(&cl->call, &found, sizeof found); /* ISO C has no cast for this */                                      \
    } while (0);
    OPENCL_CALLS(OPENCL_TAKE)
    cl_uint platforms = 0;
    const cl_int result = cl->clGetPlatformIDs(0, NULL, &platforms);
    if (result == CL_SUCCESS && platforms > 0) return 1;
    snprintf(text, sizeof text, "it knows of no driver%s%s", result == CL_SUCCESS ? "" : ", ",
             result == CL_SUCCESS ? "" : opencl_code(result, code));
    note(reason, size, name, text);
    return 0;
}

/* Libraries stay open for good: a driver has threads and exit handlers of its own, and does not survive dlclose. */
tsm_status opencl_load(const tsm_gpu_plan *plan, opencl_api *cl, char *error) {
    char reason[160] = "";
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        void *library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
        if (library != NULL && take_library(library, libraries[i], cl, reason, sizeof reason)) return TSM_OK;
    }
    return tsm_gpu_refuse(plan, error,
                          "There is no OpenCL driver on this machine.\n  found: %s\n"
                          "  allowed: libOpenCL.so.1 with the device's driver, of OpenCL 1.2 and newer",
                          reason[0] != '\0' ? reason : "no libOpenCL.so.1, libOpenCL.so or libmali.so");
}

const char *opencl_code(cl_int code, char text[64]) {
    static const char *const first[] = {
        "CL_SUCCESS",
        "CL_DEVICE_NOT_FOUND",
        "CL_DEVICE_NOT_AVAILABLE",
        "CL_COMPILER_NOT_AVAILABLE",
        "CL_MEM_OBJECT_ALLOCATION_FAILURE",
        "CL_OUT_OF_RESOURCES",
        "CL_OUT_OF_HOST_MEMORY",
        "CL_PROFILING_INFO_NOT_AVAILABLE",
        "CL_MEM_COPY_OVERLAP",
        "CL_IMAGE_FORMAT_MISMATCH",
        "CL_IMAGE_FORMAT_NOT_SUPPORTED",
        "CL_BUILD_PROGRAM_FAILURE",
        "CL_MAP_FAILURE",
        "CL_MISALIGNED_SUB_BUFFER_OFFSET",
        "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST",
    };
    static const char *const from_30[] = {
        "CL_INVALID_VALUE",           "CL_INVALID_DEVICE_TYPE",
        "CL_INVALID_PLATFORM",        "CL_INVALID_DEVICE",
        "CL_INVALID_CONTEXT",         "CL_INVALID_QUEUE_PROPERTIES",
        "CL_INVALID_COMMAND_QUEUE",   "CL_INVALID_HOST_PTR",
        "CL_INVALID_MEM_OBJECT",      "CL_INVALID_IMAGE_FORMAT_DESCRIPTOR",
        "CL_INVALID_IMAGE_SIZE",      "CL_INVALID_SAMPLER",
        "CL_INVALID_BINARY",          "CL_INVALID_BUILD_OPTIONS",
        "CL_INVALID_PROGRAM",         "CL_INVALID_PROGRAM_EXECUTABLE",
        "CL_INVALID_KERNEL_NAME",     "CL_INVALID_KERNEL_DEFINITION",
        "CL_INVALID_KERNEL",          "CL_INVALID_ARG_INDEX",
        "CL_INVALID_ARG_VALUE",       "CL_INVALID_ARG_SIZE",
        "CL_INVALID_KERNEL_ARGS",     "CL_INVALID_WORK_DIMENSION",
        "CL_INVALID_WORK_GROUP_SIZE", "CL_INVALID_WORK_ITEM_SIZE",
        "CL_INVALID_GLOBAL_OFFSET",   "CL_INVALID_EVENT_WAIT_LIST",
        "CL_INVALID_EVENT",           "CL_INVALID_OPERATION",
        "CL_INVALID_GL_OBJECT",       "CL_INVALID_BUFFER_SIZE",
    };
    const int at = -code, known = sizeof first / sizeof *first, more = 30 + (int)(sizeof from_30 / sizeof *from_30);
    const char *name = at >= 0 && at < known ? first[at] : at >= 30 && at < more ? from_30[at - 30] : "an OpenCL error";
    if (code == -1001) name = "CL_PLATFORM_NOT_FOUND_KHR";
    snprintf(text, 64, "%s (%d)", name, (int)code);
    return text;
}

tsm_status opencl_failed(opencl_device *d, cl_int code, const char *call, char *error, const char *format, ...) {
    char what[224], name[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const int fatal = code == CL_DEVICE_NOT_AVAILABLE || code == CL_INVALID_DEVICE || code == CL_INVALID_CONTEXT ||
                      code == CL_INVALID_COMMAND_QUEUE;
    if (fatal) atomic_store(&d->base.state, TSM_DEVICE_LOST);
    return tsm_refuse(
        TSM_E_DEVICE, error, TSM_ERROR_SIZE, "%s\n  found: %s from %s%s", what, opencl_code(code, name), call,
        fatal ? "\n  hint: the GPU is lost to this model; close all streams and the model, open it again" : "");
}
