/* cuda_api.h: the part of the CUDA driver API that is used, declared here so that no vendor header is needed to build.
 *
 * The driver is opened when a model is (libcuda.so.1); nothing is linked. Names and values are those of NVIDIA's
 * cuda.h; tests/runtime/test_gpu_headers.py compares them where that header is installed. Every call exists in CUDA 8
 * already, but for those of CUDA_GRAPH_CALLS, which came with 10.0 and 10.1. */
#ifndef TSM_CUDA_API_H
#define TSM_CUDA_API_H

#include <stddef.h>
#include <stdint.h>

typedef int CUresult, CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphNode_st *CUgraphNode;
typedef struct CUgraphExec_st *CUgraphExec;

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_DEINITIALIZED = 4,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_ECC_UNCORRECTABLE = 214,
    CUDA_ERROR_NVLINK_UNCORRECTABLE = 220,
    CUDA_ERROR_NOT_READY = 600,
    CUDA_ERROR_ILLEGAL_ADDRESS = 700,
    CUDA_ERROR_LAUNCH_TIMEOUT = 702,
    CUDA_ERROR_CONTEXT_IS_DESTROYED = 709,
    CUDA_ERROR_ASSERT = 710,
    CUDA_ERROR_HARDWARE_STACK_ERROR = 714,
    CUDA_ERROR_LAUNCH_FAILED = 719,
    CUDA_ERROR_NOT_SUPPORTED = 801,
    CUDA_ERROR_UNKNOWN = 999
};

enum {
    CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
    CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X = 2, /* Y: 3, Z: 4 */
    CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X = 5,  /* Y: 6, Z: 7 */
    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK = 8,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76
};
enum { CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0 };
enum { CU_JIT_ERROR_LOG_BUFFER = 5, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6 };
enum { CU_STREAM_NON_BLOCKING = 1, CU_EVENT_DEFAULT = 0, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1 };

#define CUDA_CALLS(CALL)                                                                                              \
    CALL(cuInit, (unsigned))                                                                                          \
    CALL(cuDriverGetVersion, (int *))                                                                                 \
    CALL(cuGetErrorName, (CUresult, const char **))                                                                   \
    CALL(cuDeviceGetCount, (int *))                                                                                   \
    CALL(cuDeviceGet, (CUdevice *, int))                                                                              \
    CALL(cuDeviceGetName, (char *, int, CUdevice))                                                                    \
    CALL(cuDeviceGetAttribute, (int *, int, CUdevice))                                                                \
    CALL(cuDeviceTotalMem_v2, (size_t *, CUdevice))                                                                   \
    CALL(cuDevicePrimaryCtxRetain, (CUcontext *, CUdevice))                                                           \
    CALL(cuDevicePrimaryCtxRelease, (CUdevice))                                                                       \
    CALL(cuCtxPushCurrent_v2, (CUcontext))                                                                            \
    CALL(cuCtxPopCurrent_v2, (CUcontext *))                                                                           \
    CALL(cuModuleLoadDataEx, (CUmodule *, const void *, unsigned, const int *, void **))                              \
    CALL(cuModuleUnload, (CUmodule))                                                                                  \
    CALL(cuModuleGetFunction, (CUfunction *, CUmodule, const char *))                                                 \
    CALL(cuFuncGetAttribute, (int *, int, CUfunction))                                                                \
    CALL(cuMemAlloc_v2, (CUdeviceptr *, size_t))                                                                      \
    CALL(cuMemFree_v2, (CUdeviceptr))                                                                                 \
    CALL(cuMemAllocHost_v2, (void **, size_t))                                                                        \
    CALL(cuMemFreeHost, (void *))                                                                                     \
    CALL(cuMemcpyHtoD_v2, (CUdeviceptr, const void *, size_t))                                                        \
    CALL(cuMemcpyHtoDAsync_v2, (CUdeviceptr, const void *, size_t, CUstream))                                         \
    CALL(cuMemcpyDtoHAsync_v2, (void *, CUdeviceptr, size_t, CUstream))                                               \
    CALL(cuMemsetD8Async, (CUdeviceptr, unsigned char, size_t, CUstream))                                             \
    CALL(cuStreamCreate, (CUstream *, unsigned))                                                                      \
    CALL(cuStreamDestroy_v2, (CUstream))                                                                              \
    CALL(cuStreamQuery, (CUstream))                                                                                   \
    CALL(cuEventCreate, (CUevent *, unsigned))                                                                        \
    CALL(cuEventDestroy_v2, (CUevent))                                                                                \
    CALL(cuEventRecord, (CUevent, CUstream))                                                                          \
    CALL(cuEventElapsedTime, (float *, CUevent, CUevent))                                                             \
    CALL(cuLaunchKernel, (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, \
                          void **, void **))

/* cuGraphInstantiate is the form of CUDA 10; newer drivers keep it under this name, whatever a newer cuda.h says. */
#define CUDA_GRAPH_CALLS(CALL)                                                                                        \
    CALL(cuStreamBeginCapture_v2, (CUstream, int))                                                                    \
    CALL(cuStreamEndCapture, (CUstream, CUgraph *))                                                                   \
    CALL(cuGraphInstantiate, (CUgraphExec *, CUgraph, CUgraphNode *, char *, size_t))                                 \
    CALL(cuGraphLaunch, (CUgraphExec, CUstream))                                                                      \
    CALL(cuGraphExecDestroy, (CUgraphExec))                                                                           \
    CALL(cuGraphDestroy, (CUgraph))

#define CUDA_MEMBER(name, arguments) CUresult(*name) arguments;

typedef struct {
    CUDA_CALLS(CUDA_MEMBER)
    CUDA_GRAPH_CALLS(CUDA_MEMBER)
    int graphs; /* all of CUDA_GRAPH_CALLS are there */
} cuda_api;

#endif
