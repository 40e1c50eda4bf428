/* stand_in_opencl.c: a libOpenCL.so.1 without a device, as stand_in_cuda.c is a driver of CUDA.
 *
 * The same kernels, log and controls; any call can be told to fail. It checks handles, sub-buffers, what arguments a
 * kernel has when it is launched, and that the copies of a step do not wait. */
#define _POSIX_C_SOURCE 200809L
#include "opencl_api.h"
#include "stand_in.h"

/* Kinds of handles: c context, q queue, d memory, v sub-buffer, p program, k kernel, e event */

struct _cl_mem {
    char *data;
    size_t bytes;
    int is_view;
};
struct _cl_kernel {
    int number;
    cl_mem arguments[TINY_ARGUMENTS];
};
struct _cl_event {
    int unready; /* how many questions still find it running */
    int timed;
};
struct _cl_command_queue {
    int timed;
};

static const unsigned char binary[] = "compiled by nobody";
static int platform, device; /* for their addresses */
/* as some drivers have it, with compiler and processor */
static const char version[] = "OpenCL 1.2 stand-in: a version of more characters than the 64 that would do for most devices";

#define API __attribute__((visibility("default")))
#define PROTOTYPE(result, name, arguments) API result name arguments;
OPENCL_CALLS(PROTOTYPE)

#define CALL(name, ...)                                                                                                \
    pthread_mutex_lock(&lock);                                                                                         \
    const cl_int forced = call(name, __VA_ARGS__);                                                                     \
    if (forced != 0) return pthread_mutex_unlock(&lock), forced
#define MAKE(name, ...)                                                                                                \
    pthread_mutex_lock(&lock);                                                                                         \
    *code = call(name, __VA_ARGS__);                                                                                   \
    if (*code != 0) return pthread_mutex_unlock(&lock), NULL
#define END(result) return pthread_mutex_unlock(&lock), (result)

/* Answers a question: `size` bytes of `data`. */
static cl_int answer(const void *data, size_t bytes, size_t room, void *out, size_t *size) {
    if (size != NULL) *size = bytes;
    if (out == NULL) return CL_SUCCESS;
    if (room < bytes) return -30;
    memcpy(out, data, bytes);
    return CL_SUCCESS;
}

/* -- Platform, device, context ------------------------------------------------------------------------------------- */

cl_int clGetPlatformIDs(cl_uint room, cl_platform_id *out, cl_uint *count) {
    CALL("clGetPlatformIDs", "%u", room);
    if (out != NULL) *out = (cl_platform_id)(void *)&platform;
    if (count != NULL) *count = 1;
    END(CL_SUCCESS);
}
cl_int clGetPlatformInfo(cl_platform_id id, cl_uint what, size_t room, void *out, size_t *size) {
    CALL("clGetPlatformInfo", "%x", what);
    (void)id;
    END(answer("stand-in", 9, room, out, size));
}
cl_int clGetDeviceIDs(cl_platform_id id, cl_bitfield kind, cl_uint room, cl_device_id *out, cl_uint *count) {
    CALL("clGetDeviceIDs", "%u", room);
    (void)id, (void)kind;
    *out = (cl_device_id)(void *)&device;
    *count = 1;
    END(CL_SUCCESS);
}
cl_int clGetDeviceInfo(cl_device_id id, cl_uint what, size_t room, void *out, size_t *size) {
    CALL("clGetDeviceInfo", "%x", what);
    (void)id;
    static const size_t sides[3] = {1024, 1024, 64};
    const cl_ulong wide = what == CL_DEVICE_TYPE ? CL_DEVICE_TYPE_GPU : 1 << 28;
    const size_t group = 1024;
    const cl_uint narrow = what == CL_DEVICE_MEM_BASE_ADDR_ALIGN ? 1024 : 1;
    switch (what) {
    case CL_DEVICE_NAME: END(answer("Stand-in G0", 12, room, out, size));
    case CL_DRIVER_VERSION: END(answer("1.0", 4, room, out, size));
    case CL_DEVICE_VERSION: END(answer(version, sizeof version, room, out, size));
    case CL_DEVICE_MAX_WORK_ITEM_SIZES: END(answer(sides, sizeof sides, room, out, size));
    case CL_DEVICE_MAX_WORK_GROUP_SIZE: END(answer(&group, sizeof group, room, out, size));
    case CL_DEVICE_TYPE:
    case CL_DEVICE_LOCAL_MEM_SIZE:
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE: END(answer(&wide, sizeof wide, room, out, size));
    default: END(answer(&narrow, sizeof narrow, room, out, size));
    }
}
cl_context clCreateContext(const intptr_t *properties, cl_uint count, const cl_device_id *devices,
                           void (*tell)(const char *, const void *, size_t, void *), void *user, cl_int *code) {
    MAKE("clCreateContext", "%u", count);
    (void)properties, (void)devices, (void)tell, (void)user;
    END(born('c', 1));
}
cl_int clReleaseContext(cl_context context) {
    CALL("clReleaseContext", "%s", "");
    died('c', context);
    END(CL_SUCCESS);
}
cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id id, cl_bitfield properties, cl_int *code) {
    MAKE("clCreateCommandQueue", "%d", (int)properties);
    find('c', context);
    (void)id;
    cl_command_queue queue = born('q', sizeof *queue);
    queue->timed = properties == CL_QUEUE_PROFILING_ENABLE;
    END(queue);
}
cl_int clReleaseCommandQueue(cl_command_queue queue) {
    CALL("clReleaseCommandQueue", "%s", "");
    died('q', queue);
    END(CL_SUCCESS);
}

/* -- Memory -------------------------------------------------------------------------------------------------------- */

cl_mem clCreateBuffer(cl_context context, cl_bitfield flags, size_t bytes, void *host, cl_int *code) {
    MAKE("clCreateBuffer", "%zu", bytes);
    find('c', context);
    cl_mem memory = born('d', sizeof *memory);
    *memory = (struct _cl_mem){malloc(bytes), bytes, 0};
    if (memory->data == NULL) abort();
    memset(memory->data, 0xAB, bytes); /* not zero before it is cleared */
    if (flags & CL_MEM_COPY_HOST_PTR) memcpy(memory->data, host, bytes);
    END(memory);
}
cl_mem clCreateSubBuffer(cl_mem parent, cl_bitfield flags, cl_uint kind, const void *region, cl_int *code) {
    const cl_buffer_region *r = region;
    MAKE("clCreateSubBuffer", "%zu + %zu", r->origin, r->size);
    (void)flags;
    find('d', parent);
    if (kind != CL_BUFFER_CREATE_TYPE_REGION || r->size == 0 || r->origin + r->size > parent->bytes ||
        r->origin % 128 != 0) {
        misuse("a sub-buffer of %zu + %zu in %zu bytes", r->origin, r->size, parent->bytes);
        *code = -13;
        END(NULL);
    }
    cl_mem memory = born('v', sizeof *memory);
    *memory = (struct _cl_mem){parent->data + r->origin, r->size, 1};
    END(memory);
}
cl_int clReleaseMemObject(cl_mem memory) {
    CALL("clReleaseMemObject", "%s", memory->is_view ? "view" : "");
    if (!memory->is_view) free(memory->data);
    died(memory->is_view ? 'v' : 'd', memory);
    END(CL_SUCCESS);
}

/* -- Programs and kernels ------------------------------------------------------------------------------------------ */

cl_program clCreateProgramWithSource(cl_context context, cl_uint count, const char **text, const size_t *size,
                                     cl_int *code) {
    MAKE("clCreateProgramWithSource", "%u", count);
    find('c', context);
    if (strlen(*text) != *size) misuse("the source has another size");
    END(born('p', 1));
}
cl_program clCreateProgramWithBinary(cl_context context, cl_uint count, const cl_device_id *devices, const size_t *size,
                                     const unsigned char **data, cl_int *loaded, cl_int *code) {
    MAKE("clCreateProgramWithBinary", "%u", count);
    find('c', context);
    (void)devices;
    *loaded = *size == sizeof binary && memcmp(*data, binary, sizeof binary) == 0 ? CL_SUCCESS : -42;
    END(born('p', 1));
}
cl_int clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
                      void (*tell)(cl_program, void *), void *user) {
    CALL("clBuildProgram", "%s", options);
    (void)count, (void)devices, (void)tell, (void)user;
    find('p', program);
    END(CL_SUCCESS);
}
cl_int clGetProgramInfo(cl_program program, cl_uint what, size_t room, void *out, size_t *size) {
    CALL("clGetProgramInfo", "%x", what);
    const size_t bytes = sizeof binary;
    find('p', program);
    if (what == CL_PROGRAM_BINARY_SIZES) END(answer(&bytes, sizeof bytes, room, out, size));
    unsigned char *place;
    memcpy(&place, out, sizeof place);
    memcpy(place, binary, sizeof binary);
    END(CL_SUCCESS);
}
cl_int clGetProgramBuildInfo(cl_program program, cl_device_id id, cl_uint what, size_t room, void *out, size_t *size) {
    CALL("clGetProgramBuildInfo", "%x", what);
    (void)id;
    find('p', program);
    END(answer("line 1\nline 2", 14, room, out, size));
}
cl_int clReleaseProgram(cl_program program) {
    CALL("clReleaseProgram", "%s", "");
    died('p', program);
    END(CL_SUCCESS);
}
cl_kernel clCreateKernel(cl_program program, const char *name, cl_int *code) {
    MAKE("clCreateKernel", "%s", name);
    find('p', program);
    if (tiny_kernel(name) < 0) {
        *code = -46;
        END(NULL);
    }
    cl_kernel kernel = born('k', sizeof *kernel);
    kernel->number = tiny_kernel(name);
    END(kernel);
}
cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id id, cl_uint what, size_t room, void *out, size_t *size) {
    CALL("clGetKernelWorkGroupInfo", "%x", what);
    const size_t threads = 1024;
    (void)id;
    find('k', kernel);
    END(answer(&threads, sizeof threads, room, out, size));
}
cl_int clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value) {
    CALL("clSetKernelArg", "%u", index);
    find('k', kernel);
    if (size != sizeof(cl_mem) || index >= (cl_uint)tiny_kernels[kernel->number].arguments)
        misuse("argument %u of %s", index, tiny_kernels[kernel->number].name);
    else
        memcpy(&kernel->arguments[index], value, size);
    END(CL_SUCCESS);
}
cl_int clReleaseKernel(cl_kernel kernel) {
    CALL("clReleaseKernel", "%s", "");
    died('k', kernel);
    END(CL_SUCCESS);
}

/* -- Commands: run at once ----------------------------------------------------------------------------------------- */

static cl_int done(cl_command_queue queue, cl_event *event) {
    find('q', queue);
    if (event != NULL) {
        *event = born('e', sizeof **event);
        (*event)->unready = stand_in_polls;
        (*event)->timed = queue->timed;
    }
    return CL_SUCCESS;
}

static char *place(cl_mem memory, size_t offset, size_t bytes) {
    find('d', memory);
    if (offset + bytes > memory->bytes) misuse("%zu bytes at %zu of %zu", bytes, offset, memory->bytes);
    return memory->data + offset;
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint sides, const size_t *start,
                              const size_t *global, const size_t *local, cl_uint waits, const cl_event *wait,
                              cl_event *event) {
    const int number = kernel->number;
    CALL("clEnqueueNDRangeKernel", "%s %zu,%zu,%zu / %zu,%zu,%zu", tiny_kernels[number].name, global[0], global[1],
         global[2], local[0], local[1], local[2]);
    float *p[TINY_ARGUMENTS] = {0};
    (void)start, (void)waits, (void)wait;
    find('k', kernel);
    if (sides != 3 || global[0] * global[1] * global[2] != tiny_kernels[number].threads ||
        global[0] % local[0] + global[1] % local[1] + global[2] % local[2] != 0)
        misuse("%s is launched with another grid", tiny_kernels[number].name);
    for (int i = 0; i < tiny_kernels[number].arguments; i++) {
        find('v', kernel->arguments[i]);
        if (kernel->arguments[i]->bytes != tiny_kernels[number].bytes[i]) misuse("argument %d has another size", i);
        p[i] = (float *)(void *)kernel->arguments[i]->data;
    }
    run_tiny_kernel(number, p);
    END(done(queue, event));
}
cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem memory, cl_bool blocks, size_t offset, size_t bytes,
                            const void *host, cl_uint waits, const cl_event *wait, cl_event *event) {
    CALL("clEnqueueWriteBuffer", "%zu", bytes);
    (void)waits, (void)wait;
    if (blocks) misuse("a write that waits");
    memcpy(place(memory, offset, bytes), host, bytes);
    END(done(queue, event));
}
cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem memory, cl_bool blocks, size_t offset, size_t bytes,
                           void *host, cl_uint waits, const cl_event *wait, cl_event *event) {
    CALL("clEnqueueReadBuffer", "%zu", bytes);
    (void)waits, (void)wait;
    if (blocks) misuse("a read that waits");
    memcpy(host, place(memory, offset, bytes), bytes);
    END(done(queue, event));
}
cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem memory, const void *pattern, size_t size, size_t offset,
                           size_t bytes, cl_uint waits, const cl_event *wait, cl_event *event) {
    CALL("clEnqueueFillBuffer", "%zu", bytes);
    (void)waits, (void)wait;
    if (size != 1) misuse("a pattern of %zu bytes", size);
    memset(place(memory, offset, bytes), *(const char *)pattern, bytes);
    END(done(queue, event));
}
cl_int clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint waits, const cl_event *wait, cl_event *event) {
    CALL("clEnqueueMarkerWithWaitList", "%u", waits);
    (void)wait;
    END(done(queue, event));
}
cl_int clFlush(cl_command_queue queue) {
    CALL("clFlush", "%s", "");
    find('q', queue);
    END(CL_SUCCESS);
}
cl_int clGetEventInfo(cl_event event, cl_uint what, size_t room, void *out, size_t *size) {
    CALL("clGetEventInfo", "%x", what);
    find('e', event);
    const cl_int state = stand_in_hang || event->unready-- > 0 ? 1 : CL_COMPLETE;
    END(answer(&state, sizeof state, room, out, size));
}
cl_int clGetEventProfilingInfo(cl_event event, cl_uint what, size_t room, void *out, size_t *size) {
    CALL("clGetEventProfilingInfo", "%x", what);
    find('e', event);
    const cl_ulong ns = what == CL_PROFILING_COMMAND_END ? 125000 : 0;
    END(event->timed ? answer(&ns, sizeof ns, room, out, size) : -7);
}
cl_int clReleaseEvent(cl_event event) {
    CALL("clReleaseEvent", "%s", "");
    died('e', event);
    END(CL_SUCCESS);
}
