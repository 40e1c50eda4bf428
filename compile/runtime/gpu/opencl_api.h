/* opencl_api.h: the part of OpenCL 1.2 that is used, declared here so that no header or library is needed to build.
 *
 * The driver is opened when a model is; nothing is linked. Names and values are those of Khronos' CL/cl.h;
 * tests/runtime/test_gpu_headers.py compares them where that header is installed. */
#ifndef TSM_OPENCL_API_H
#define TSM_OPENCL_API_H

#include <stddef.h>
#include <stdint.h>

typedef int32_t cl_int;
typedef uint32_t cl_uint, cl_bool;
typedef uint64_t cl_ulong, cl_bitfield;
typedef struct _cl_platform_id *cl_platform_id;
typedef struct _cl_device_id *cl_device_id;
typedef struct _cl_context *cl_context;
typedef struct _cl_command_queue *cl_command_queue;
typedef struct _cl_mem *cl_mem;
typedef struct _cl_program *cl_program;
typedef struct _cl_kernel *cl_kernel;
typedef struct _cl_event *cl_event;

typedef struct {
    size_t origin, size;
} cl_buffer_region;

enum {
    CL_SUCCESS = 0,
    CL_DEVICE_NOT_AVAILABLE = -2,
    CL_OUT_OF_RESOURCES = -5,
    CL_INVALID_DEVICE = -33,
    CL_INVALID_CONTEXT = -34,
    CL_INVALID_COMMAND_QUEUE = -36,
    CL_COMPLETE = 0,
    CL_DEVICE_TYPE_CPU = 1 << 1,
    CL_DEVICE_TYPE_GPU = 1 << 2,
    CL_DEVICE_MAX_WORK_GROUP_SIZE = 0x1004,
    CL_DEVICE_MAX_WORK_ITEM_SIZES = 0x1005,
    CL_DEVICE_MAX_MEM_ALLOC_SIZE = 0x1010,
    CL_DEVICE_TYPE = 0x1000,
    CL_DEVICE_MEM_BASE_ADDR_ALIGN = 0x1019, /* in bits */
    CL_DEVICE_LOCAL_MEM_SIZE = 0x1023,
    CL_DEVICE_AVAILABLE = 0x1027,
    CL_DEVICE_COMPILER_AVAILABLE = 0x1028,
    CL_DEVICE_NAME = 0x102B,
    CL_DRIVER_VERSION = 0x102D,
    CL_DEVICE_VERSION = 0x102F,
    CL_PLATFORM_NAME = 0x0902,
    CL_QUEUE_PROFILING_ENABLE = 1 << 1,
    CL_MEM_READ_WRITE = 1 << 0,
    CL_MEM_READ_ONLY = 1 << 2,
    CL_MEM_COPY_HOST_PTR = 1 << 5,
    CL_BUFFER_CREATE_TYPE_REGION = 0x1220,
    CL_PROGRAM_BINARY_SIZES = 0x1165,
    CL_PROGRAM_BINARIES = 0x1166,
    CL_PROGRAM_BUILD_LOG = 0x1183,
    CL_KERNEL_WORK_GROUP_SIZE = 0x11B0,
    CL_EVENT_COMMAND_EXECUTION_STATUS = 0x11D3,
    CL_PROFILING_COMMAND_START = 0x1282,
    CL_PROFILING_COMMAND_END = 0x1283
};

/* CALL(result, name, arguments) */
#define OPENCL_CALLS(CALL)                                                                                            \
    CALL(cl_int, clGetPlatformIDs, (cl_uint, cl_platform_id *, cl_uint *))                                            \
    CALL(cl_int, clGetPlatformInfo, (cl_platform_id, cl_uint, size_t, void *, size_t *))                              \
    CALL(cl_int, clGetDeviceIDs, (cl_platform_id, cl_bitfield, cl_uint, cl_device_id *, cl_uint *))                   \
    CALL(cl_int, clGetDeviceInfo, (cl_device_id, cl_uint, size_t, void *, size_t *))                                  \
    CALL(cl_context, clCreateContext, (const intptr_t *, cl_uint, const cl_device_id *,                               \
                                       void (*)(const char *, const void *, size_t, void *), void *, cl_int *))       \
    CALL(cl_int, clReleaseContext, (cl_context))                                                                      \
    CALL(cl_command_queue, clCreateCommandQueue, (cl_context, cl_device_id, cl_bitfield, cl_int *))                   \
    CALL(cl_int, clReleaseCommandQueue, (cl_command_queue))                                                           \
    CALL(cl_mem, clCreateBuffer, (cl_context, cl_bitfield, size_t, void *, cl_int *))                                 \
    CALL(cl_mem, clCreateSubBuffer, (cl_mem, cl_bitfield, cl_uint, const void *, cl_int *))                           \
    CALL(cl_int, clReleaseMemObject, (cl_mem))                                                                        \
    CALL(cl_program, clCreateProgramWithSource, (cl_context, cl_uint, const char **, const size_t *, cl_int *))       \
    CALL(cl_program, clCreateProgramWithBinary, (cl_context, cl_uint, const cl_device_id *, const size_t *,           \
                                                 const unsigned char **, cl_int *, cl_int *))                         \
    CALL(cl_int, clBuildProgram, (cl_program, cl_uint, const cl_device_id *, const char *,                            \
                                  void (*)(cl_program, void *), void *))                                              \
    CALL(cl_int, clGetProgramInfo, (cl_program, cl_uint, size_t, void *, size_t *))                                   \
    CALL(cl_int, clGetProgramBuildInfo, (cl_program, cl_device_id, cl_uint, size_t, void *, size_t *))                \
    CALL(cl_int, clReleaseProgram, (cl_program))                                                                      \
    CALL(cl_kernel, clCreateKernel, (cl_program, const char *, cl_int *))                                             \
    CALL(cl_int, clGetKernelWorkGroupInfo, (cl_kernel, cl_device_id, cl_uint, size_t, void *, size_t *))              \
    CALL(cl_int, clSetKernelArg, (cl_kernel, cl_uint, size_t, const void *))                                          \
    CALL(cl_int, clReleaseKernel, (cl_kernel))                                                                        \
    CALL(cl_int, clEnqueueNDRangeKernel, (cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *,       \
                                          const size_t *, cl_uint, const cl_event *, cl_event *))                     \
    CALL(cl_int, clEnqueueWriteBuffer, (cl_command_queue, cl_mem, cl_bool, size_t, size_t, const void *, cl_uint,     \
                                        const cl_event *, cl_event *))                                                \
    CALL(cl_int, clEnqueueReadBuffer, (cl_command_queue, cl_mem, cl_bool, size_t, size_t, void *, cl_uint,            \
                                       const cl_event *, cl_event *))                                                 \
    CALL(cl_int, clEnqueueFillBuffer, (cl_command_queue, cl_mem, const void *, size_t, size_t, size_t, cl_uint,       \
                                       const cl_event *, cl_event *))                                                 \
    CALL(cl_int, clEnqueueMarkerWithWaitList, (cl_command_queue, cl_uint, const cl_event *, cl_event *))              \
    CALL(cl_int, clFlush, (cl_command_queue))                                                                         \
    CALL(cl_int, clGetEventInfo, (cl_event, cl_uint, size_t, void *, size_t *))                                       \
    CALL(cl_int, clGetEventProfilingInfo, (cl_event, cl_uint, size_t, void *, size_t *))                              \
    CALL(cl_int, clReleaseEvent, (cl_event))

#define OPENCL_MEMBER(result, name, arguments) result(*name) arguments;

typedef struct {
    OPENCL_CALLS(OPENCL_MEMBER)
} opencl_api;

#endif
