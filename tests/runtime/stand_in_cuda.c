/* stand_in_cuda.c: a libcuda.so.1 without a GPU.
 *
 * It records every call, keeps device memory in host memory, runs the kernels of tiny_gpu_plan.c as C functions, and
 * checks what a real driver would leave to fate: addresses inside one allocation, a current context, handles that live.
 * Any call can be told to fail. The tests reach its controls with dlsym; STAND_IN_CUDA="driver=9000 capability=50" sets
 * them for a program, STAND_IN_LOG names a file for the log at its end. -DANY_KERNEL takes real PTX and runs none of
 * it; -DNO_GRAPHS leaves the graph calls out, -DNO_EVENTS an entry point that every driver has. */
#define _POSIX_C_SOURCE 200809L
#include "cuda_api.h"
#include "stand_in.h"

/* -- Controls ------------------------------------------------------------------------------------------------------ */

int stand_in_driver = 10020, stand_in_capability = 53, stand_in_devices = 1, stand_in_threads = 1024;
int stand_in_kernel_threads = 1024, stand_in_shared = 49152, stand_in_no_capture = 0;

static _Thread_local int depth; /* contexts on this thread's stack */

__attribute__((constructor)) static void read_environment(void) {
    const char *text = getenv("STAND_IN_CUDA");
    static const struct {
        const char *name;
        int *value;
    } options[] = {{"driver=%d", &stand_in_driver},
                   {"capability=%d", &stand_in_capability},
                   {"devices=%d", &stand_in_devices},
                   {"threads=%d", &stand_in_threads},
                   {"kernel_threads=%d", &stand_in_kernel_threads},
                   {"shared=%d", &stand_in_shared},
                   {"hang=%d", &stand_in_hang},
                   {"fail_code=%d", &stand_in_fail_code}};
    while (text != NULL && *text != '\0') {
        for (size_t i = 0; i < sizeof options / sizeof *options; i++)
            (void)sscanf(text, options[i].name, options[i].value);
        sscanf(text, "fail_at=%ld", &stand_in_fail_at);
        text = strchr(text, ' ');
        if (text != NULL) text++;
    }
}

#define CALL_(name, ...)                                                                                               \
    pthread_mutex_lock(&lock);                                                                                         \
    const CUresult forced = call(name, __VA_ARGS__);                                                                   \
    if (forced != 0) return pthread_mutex_unlock(&lock), forced
#define CALL(name, ...)                                                                                                \
    CALL_(name, __VA_ARGS__);                                                                                          \
    if (depth < 1) misuse("%s without a current context", name)
#define END(result) return pthread_mutex_unlock(&lock), (result)

/* -- Memory -------------------------------------------------------------------------------------------------------- */

/* Kinds of handles: c context, m module, d device memory, h host memory, s stream, e event, g graph, x its executable */

/* An address of device memory, when all `bytes` from it on lie in one allocation. */
static void *inside(CUdeviceptr address, size_t bytes) {
    for (int i = 0; i < handle_count; i++) {
        const uintptr_t start = (uintptr_t)handles[i].handle;
        if (handles[i].kind == 'd' && address >= start && address + bytes <= start + handles[i].bytes)
            return (void *)(uintptr_t)address;
    }
    misuse("%zu bytes at %llx are not in device memory", bytes, address);
    return NULL;
}

static int page_locked(const void *host, size_t bytes) {
    for (int i = 0; i < handle_count; i++)
        if (handles[i].kind == 'h' && handles[i].handle == host && bytes <= handles[i].bytes) return 1;
    return 0;
}

/* -- Kernels ------------------------------------------------------------------------------------------------------- */

enum { MOST_ARGUMENTS = 8 };
struct CUfunc_st {
    const char *name;
    int arguments;
    unsigned threads; /* in the whole grid */
};

#ifdef ANY_KERNEL

static const char *program;
static struct CUfunc_st kernels[256];

/* An entry of the PTX text, with as many arguments as its list of parameters has. */
static CUfunction find_kernel(const char *name) {
    char text[256];
    snprintf(text, sizeof text, ".entry %s(", name);
    const char *entry = strstr(program, text);
    if (entry == NULL) return NULL;
    CUfunction f = kernels;
    while (f->name != NULL) f++;
    *f = (struct CUfunc_st){.name = strdup(name)};
    const char *end = strchr(entry, ')');
    for (const char *at = entry; (at = strstr(at, ".param .u64")) != NULL && at < end; at++) f->arguments++;
    if (f->arguments > MOST_ARGUMENTS) abort();
    return f;
}

static void run_kernel(const struct CUfunc_st *f, const CUdeviceptr *at) {
    for (int i = 0; i < f->arguments; i++) inside(at[i], 2);
}

#else /* those of tiny_gpu_plan.c */

static struct CUfunc_st kernels[TINY_KERNELS];

static void run_kernel(const struct CUfunc_st *f, const CUdeviceptr *at) {
    const int kernel = tiny_kernel(f->name);
    float *p[TINY_ARGUMENTS] = {0};
    for (int i = 0; i < f->arguments; i++)
        if ((p[i] = inside(at[i], tiny_kernels[kernel].bytes[i])) == NULL) return;
    run_tiny_kernel(kernel, p);
}

static CUfunction find_kernel(const char *name) {
    const int i = tiny_kernel(name);
    if (i < 0) return NULL;
    kernels[i] = (struct CUfunc_st){tiny_kernels[i].name, tiny_kernels[i].arguments, tiny_kernels[i].threads};
    return &kernels[i];
}

#endif

/* -- Commands: run at once, or kept in a graph --------------------------------------------------------------------- */

typedef struct {
    const struct CUfunc_st *kernel; /* NULL: a copy */
    CUdeviceptr arguments[MOST_ARGUMENTS];
    void *to;
    const void *from;
    size_t bytes;
} command;
enum { MOST_COMMANDS = 128 };
struct CUgraph_st {
    int count;
    command commands[MOST_COMMANDS];
};
struct CUstream_st {
    CUgraph captured; /* NULL: not in capture */
    int unready;      /* how many queries still say so */
};

static void run_command(const command *c) {
    if (c->kernel != NULL)
        run_kernel(c->kernel, c->arguments);
    else if (c->to != NULL && c->from != NULL)
        memcpy(c->to, c->from, c->bytes);
}

static void take(CUstream stream, command c, int pinned) {
    if (find('s', stream) < 0) return;
    stream->unready = stand_in_polls;
    if (stream->captured == NULL) {
        run_command(&c);
        return;
    }
    if (!pinned) misuse("a copy of memory that is not page-locked is captured");
    if (stream->captured->count == MOST_COMMANDS) abort();
    stream->captured->commands[stream->captured->count++] = c;
}

/* -- The driver API ------------------------------------------------------------------------------------------------ */

#define API __attribute__((visibility("default"))) CUresult
#define PROTOTYPE(name, arguments) API name arguments;
CUDA_CALLS(PROTOTYPE)
CUDA_GRAPH_CALLS(PROTOTYPE)

CUresult cuInit(unsigned flags) {
    CALL_("cuInit", "%u", flags);
    END(CUDA_SUCCESS);
}
CUresult cuDriverGetVersion(int *version) {
    CALL_("cuDriverGetVersion", "%s", "");
    *version = stand_in_driver;
    END(CUDA_SUCCESS);
}
CUresult cuGetErrorName(CUresult code, const char **name) { /* never fails: it is asked when something else did */
    static const struct {
        CUresult code;
        const char *name;
    } names[] = {{1, "CUDA_ERROR_INVALID_VALUE"}, {2, "CUDA_ERROR_OUT_OF_MEMORY"}, {100, "CUDA_ERROR_NO_DEVICE"},
                 {218, "CUDA_ERROR_INVALID_PTX"}, {500, "CUDA_ERROR_NOT_FOUND"},   {719, "CUDA_ERROR_LAUNCH_FAILED"}};
    *name = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code) *name = names[i].name;
    return *name != NULL ? CUDA_SUCCESS : 1;
}
CUresult cuDeviceGetCount(int *count) {
    CALL_("cuDeviceGetCount", "%s", "");
    *count = stand_in_devices;
    END(CUDA_SUCCESS);
}
CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    CALL_("cuDeviceGet", "%d", ordinal);
    *device = ordinal;
    END(CUDA_SUCCESS);
}
CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
    CALL_("cuDeviceGetName", "%d", device);
    snprintf(name, (size_t)size, "Stand-in X%d", device);
    END(CUDA_SUCCESS);
}
/* Of several devices the first is a very old one. */
CUresult cuDeviceGetAttribute(int *value, int what, CUdevice device) {
    CALL_("cuDeviceGetAttribute", "%d %d", what, device);
    const int capability = device + 1 < stand_in_devices ? 30 : stand_in_capability;
    static const int limits[] = {0, 0, 1024, 1024, 64, 2147483647, 65535, 65535};
    *value = what == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR      ? capability / 10
             : what == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR    ? capability % 10
             : what == CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK       ? stand_in_threads
             : what == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK ? stand_in_shared
                                                                       : limits[what];
    END(CUDA_SUCCESS);
}
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    CALL_("cuDeviceTotalMem_v2", "%d", device);
    *bytes = (size_t)1 << 31;
    END(CUDA_SUCCESS);
}
static void *primary;
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    CALL_("cuDevicePrimaryCtxRetain", "%d", device);
    *context = primary = born('c', 1);
    END(CUDA_SUCCESS);
}
CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
    CALL_("cuDevicePrimaryCtxRelease", "%d", device);
    died('c', primary);
    END(CUDA_SUCCESS);
}
CUresult cuCtxPushCurrent_v2(CUcontext context) {
    CALL_("cuCtxPushCurrent_v2", "%s", "");
    find('c', context);
    depth++;
    END(CUDA_SUCCESS);
}
CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    CALL("cuCtxPopCurrent_v2", "%s", "");
    *context = primary;
    depth--;
    END(CUDA_SUCCESS);
}
CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count, const int *options, void **values) {
    CALL("cuModuleLoadDataEx", "%u options", count);
    if (strstr(image, ".version ") == NULL) {
        for (unsigned i = 0; i + 1 < count; i++)
            if (options[i] == CU_JIT_ERROR_LOG_BUFFER && options[i + 1] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
                snprintf(values[i], (size_t)(uintptr_t)values[i + 1],
                         "ptxas application ptx input, line 1;\nfatal: syntax");
        END(218);
    }
#ifdef ANY_KERNEL
    program = image;
#endif
    *module = born('m', 1);
    END(CUDA_SUCCESS);
}
CUresult cuModuleUnload(CUmodule module) {
    CALL("cuModuleUnload", "%s", "");
    died('m', module);
    END(CUDA_SUCCESS);
}
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    CALL("cuModuleGetFunction", "%s", name);
    find('m', module);
    *function = find_kernel(name);
    END(*function != NULL ? CUDA_SUCCESS : 500);
}
CUresult cuFuncGetAttribute(int *value, int what, CUfunction function) {
    CALL("cuFuncGetAttribute", "%d %s", what, function->name);
    *value = stand_in_kernel_threads;
    END(CUDA_SUCCESS);
}
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
    CALL("cuMemAlloc_v2", "%zu", bytes);
    *address = (CUdeviceptr)(uintptr_t)born('d', bytes);
    END(CUDA_SUCCESS);
}
CUresult cuMemFree_v2(CUdeviceptr address) {
    CALL("cuMemFree_v2", "%s", "");
    died('d', (void *)(uintptr_t)address);
    END(CUDA_SUCCESS);
}
CUresult cuMemAllocHost_v2(void **host, size_t bytes) {
    CALL("cuMemAllocHost_v2", "%zu", bytes);
    *host = born('h', bytes);
    END(CUDA_SUCCESS);
}
CUresult cuMemFreeHost(void *host) {
    CALL("cuMemFreeHost", "%s", "");
    died('h', host);
    END(CUDA_SUCCESS);
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
    CALL("cuMemcpyHtoD_v2", "%zu", bytes);
    void *place = inside(to, bytes);
    if (place != NULL) memcpy(place, from, bytes);
    END(CUDA_SUCCESS);
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    CALL("cuMemcpyHtoDAsync_v2", "%zu", bytes);
    take(stream, (command){.to = inside(to, bytes), .from = from, .bytes = bytes}, page_locked(from, bytes));
    END(CUDA_SUCCESS);
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    CALL("cuMemcpyDtoHAsync_v2", "%zu", bytes);
    take(stream, (command){.to = to, .from = inside(from, bytes), .bytes = bytes}, page_locked(to, bytes));
    END(CUDA_SUCCESS);
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
    CALL("cuMemsetD8Async", "%d %zu", value, bytes);
    find('s', stream);
    void *place = inside(to, bytes);
    if (place != NULL) memset(place, value, bytes);
    END(CUDA_SUCCESS);
}
CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
    CALL("cuStreamCreate", "%u", flags);
    *stream = born('s', sizeof **stream);
    END(CUDA_SUCCESS);
}
CUresult cuStreamDestroy_v2(CUstream stream) {
    CALL("cuStreamDestroy_v2", "%s", "");
    died('s', stream);
    END(CUDA_SUCCESS);
}
CUresult cuStreamQuery(CUstream stream) {
    CALL("cuStreamQuery", "%s", "");
    if (find('s', stream) < 0 || stand_in_hang) END(CUDA_ERROR_NOT_READY);
    END(stream->unready > 0 && stream->unready-- > 0 ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS);
}
#ifndef NO_EVENTS
CUresult cuEventCreate(CUevent *event, unsigned flags) {
    CALL("cuEventCreate", "%u", flags);
    *event = born('e', 1);
    END(CUDA_SUCCESS);
}
#endif
CUresult cuEventDestroy_v2(CUevent event) {
    CALL("cuEventDestroy_v2", "%s", "");
    died('e', event);
    END(CUDA_SUCCESS);
}
CUresult cuEventRecord(CUevent event, CUstream stream) {
    CALL("cuEventRecord", "%s", "");
    find('e', event);
    find('s', stream);
    END(CUDA_SUCCESS);
}
CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent stop) {
    CALL("cuEventElapsedTime", "%s", "");
    find('e', start);
    find('e', stop);
    *ms = 0.125f;
    END(CUDA_SUCCESS);
}
CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, CUstream stream, void **arguments, void **extra) {
    CALL("cuLaunchKernel", "%s %u,%u,%u x %u,%u,%u +%u", f->name, gx, gy, gz, bx, by, bz, shared);
    command c = {.kernel = f};
    for (int i = 0; i < f->arguments; i++) memcpy(&c.arguments[i], arguments[i], sizeof c.arguments[i]);
    if (f->threads == 0 && bx * by * bz <= (unsigned)stand_in_kernel_threads) f->threads = gx * gy * gz * bx * by * bz;
    if (extra != NULL || gx * gy * gz * bx * by * bz != f->threads) misuse("%s is launched with another grid", f->name);
    take(stream, c, 1);
    END(CUDA_SUCCESS);
}

#ifndef NO_GRAPHS
CUresult cuStreamBeginCapture_v2(CUstream stream, int mode) {
    CALL("cuStreamBeginCapture_v2", "%d", mode);
    if (stand_in_no_capture) END(CUDA_ERROR_NOT_SUPPORTED);
    if (find('s', stream) >= 0) stream->captured = born('g', sizeof *stream->captured);
    END(CUDA_SUCCESS);
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) { /* a capture ends also when this fails */
    pthread_mutex_lock(&lock);
    const CUresult forced = call("cuStreamEndCapture", "%s", "");
    *graph = stream->captured;
    stream->captured = NULL;
    if (forced != 0 && *graph != NULL) {
        died('g', *graph);
        *graph = NULL;
    }
    END(forced);
}
CUresult cuGraphInstantiate(CUgraphExec *made, CUgraph graph, CUgraphNode *node, char *log, size_t size) {
    CALL("cuGraphInstantiate", "%d commands", graph->count);
    (void)node, (void)log, (void)size;
    *made = born('x', sizeof *graph);
    memcpy(*made, graph, sizeof *graph);
    END(CUDA_SUCCESS);
}
CUresult cuGraphLaunch(CUgraphExec made, CUstream stream) {
    CALL("cuGraphLaunch", "%s", "");
    const struct CUgraph_st *graph = (const void *)made;
    stream->unready = stand_in_polls;
    for (int i = 0; find('x', made) >= 0 && i < graph->count; i++) run_command(&graph->commands[i]);
    END(CUDA_SUCCESS);
}
CUresult cuGraphExecDestroy(CUgraphExec made) {
    CALL("cuGraphExecDestroy", "%s", "");
    died('x', made);
    END(CUDA_SUCCESS);
}
CUresult cuGraphDestroy(CUgraph graph) {
    CALL("cuGraphDestroy", "%s", "");
    died('g', graph);
    END(CUDA_SUCCESS);
}
#endif
