/* plan_gpu.h: what the compiler hands to the runtime of a GPU bundle.
 *
 * The compiler generates plan.c, which defines `tsm_the_gpu_plan`: a static list of kernel launches over one arena on
 * the device. The program (PTX text or OpenCL C) and the weights are included with .incbin; the program ends in a NUL.
 *
 * Sources of libtsm.so. Every bundle of a family takes
 *   runtime/      checks.c cpu.c decision.c feed.c guard.c half.c image.c message.c placement.c resample.c
 *                 sampler.c tensor.c threads.c
 *   runtime/gpu/  gpu_*.c
 * and those that begin with the name of its family:
 *   cuda          runtime/gpu/cuda*.c
 *   opencl        runtime/gpu/opencl*.c
 * with -I for both folders, and nothing else of runtime/ (model.c, states.c and stream.c are those of the CPU).
 * Libraries: -lm -ldl -lpthread. tsm-edge-run is runtime/command/ *.c and runtime/cpu.c, as in a CPU bundle.
 *
 * The runtime keeps these promises to the kernels:
 * - arena and both state blobs start as zeros;
 * - launches run one after the other, each after the one before it has finished; the queue is in order;
 * - state_in and state_out change places after a step, so a step must write all of state_out;
 * - an argument is the address `offset` bytes into its memory; in OpenCL it is a sub-buffer of `bytes` bytes, so no
 *   kernel may reach beyond them, and offsets are multiples of CL_DEVICE_MEM_BASE_ADDR_ALIGN (512 bytes suffice). */
#ifndef TSM_PLAN_GPU_H
#define TSM_PLAN_GPU_H

#include "plan.h"

enum { TSM_ARENA, TSM_STATE_IN, TSM_STATE_OUT, TSM_WEIGHTS };

typedef struct {
    int32_t memory;
    size_t offset, bytes;
} tsm_gpu_argument;

typedef struct {
    tsm_op_info info;                                         /* kernel: the entry's name in the program */
    uint32_t grid[3], group[3];                               /* work groups (blocks) and threads in each */
    uint32_t shared_bytes;                                    /* static local memory of one group */
    const tsm_gpu_argument *arguments; size_t argument_count; /* pointers, in the entry's order */
} tsm_gpu_op;

typedef struct {
    tsm_model_info info;                           /* what tsm_info gives */
    tsm_plan_tensor input, output;                 /* in the arena, float32 */
    const tsm_plan_tensor *states;                 /* info.state_count, in the state blob, float16 or float32 */
    const tsm_gpu_op *ops;                         /* info.op_count */
    const unsigned char *weights;                  /* info.weights_bytes */
    const unsigned char *program; size_t program_bytes; /* PTX text or OpenCL C; the NUL is counted */
    const char *program_sha256;                    /* hexadecimal; part of the key of the binary cache */
    const char *build_options;                     /* OpenCL */
    int32_t compute_capability;                    /* CUDA: the least the PTX runs on, 53 = 5.3; OpenCL: 0 */
    int32_t ptx_isa;                               /* 64 = 6.4 */
    int32_t driver_cuda;                           /* least cuDriverGetVersion, such as 10020; 0: any */
    uint32_t group_limit;                          /* largest group of any launch, in threads */
    uint32_t shared_limit;                         /* largest shared_bytes of any launch */
    const char *fallback;                          /* CPU target to compile for when the device cannot, or "" */
    tsm_plan_preprocess preprocess; int32_t has_image_input;
    int32_t window_stride;                         /* as in plan.h */
    const char *const *cpu_requires; size_t cpu_requires_count; /* names of cpu.h */
} tsm_gpu_plan;

extern TSM_HIDDEN const tsm_gpu_plan tsm_the_gpu_plan;

#endif
