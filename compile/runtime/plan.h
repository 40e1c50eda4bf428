/* plan.h: what the compiler hands to the runtime.
 *
 * The compiler generates plan.c, which defines `tsm_the_plan`: a static list of kernel calls over one arena.
 *
 * Sources. runtime/ *.c are the library: they are linked with plan.c, the kernels and the weights into libtsm. (That of
 * a GPU bundle has other sources: gpu/plan_gpu.h.) runtime/command/ *.c, together with runtime/cpu.c, are tsm-edge-run.
 * A static bundle compiles both with -DTSM_STATIC and links everything into the command.
 *
 * The runtime keeps these promises to the kernels:
 * - arena, state blobs and every thread's scratch are 64-byte aligned and start as zeros (8-bit states as their zero),
 *   and 64 bytes behind each may be read;
 * - all threads see the same arena, states and weights; `scratch` belongs to the calling thread;
 * - an operation starts after every item of the one before it has finished;
 * - [begin, end) are disjoint, cover [0, items), and may come in any order on any thread;
 * - state_in and state_out change places after a step, so an operation must write all of state_out. */
#ifndef TSM_PLAN_H
#define TSM_PLAN_H

#include "tsm_edge.h"

#include <stddef.h>
#include <stdint.h>

#define TSM_HIDDEN __attribute__((visibility("hidden")))

typedef struct {
    char *arena;
    const char *state_in;
    char *state_out;
    const char *weights;
    char *scratch; /* of this thread */
} tsm_memory;

/* Runs the work items [begin, end) of an operation. */
typedef void (*tsm_run)(const tsm_memory *memory, int32_t begin, int32_t end);

/* Declares a kernel in plan.c. Hidden in one object hides it in the linked library, wherever it was defined. */
#define TSM_KERNEL(name) extern TSM_HIDDEN void name(const tsm_memory *, int32_t, int32_t)

typedef struct {
    tsm_run run;
    int32_t items; /* 1: runs on the calling thread alone */
    tsm_op_info info;
} tsm_plan_op;

typedef struct {
    const char *name;
    int32_t ndim;
    int32_t shape[4];     /* logical, NCHW */
    size_t offset, bytes; /* in the arena (input, output) or in a state blob; offset % 64 == 0 */
    int32_t channels_last; /* 1: stored NHWC (ndim must be 4); 0: stored as the shape says */
    tsm_dtype dtype;       /* bytes is the number of elements times its size */
    float scale;           /* of TSM_INT8: a number is (q - zero) * scale, a stream starts at zero */
    int32_t zero;
} tsm_plan_tensor;

/* The channels that a network expects, in its order. */
enum { TSM_MODEL_BGR = 0, TSM_MODEL_RGB = 1, TSM_MODEL_GREY = 2 };

typedef struct {
    int32_t resize[2], crop[2]; /* height, width in pixels; crop <= resize */
    int32_t stretch;            /* 1: to exactly `resize`; 0: until the picture, its ratio kept, covers `resize` */
    int32_t color;              /* TSM_MODEL_... */
    float scale;                /* a value is (byte / scale - mean) / std */
    float mean[3], std[3];      /* by channel of the model; grey has one */
} tsm_plan_preprocess;

typedef struct {
    tsm_model_info info; /* what tsm_info gives */
    tsm_plan_tensor input, output; /* in the arena */
    const tsm_plan_tensor *states; /* info.state_count, in the state blob */
    const tsm_plan_op *ops;        /* info.op_count */
    const unsigned char *weights;  /* info.weights_bytes */
    const char *const *cpu_requires; /* names of cpu.h */
    size_t cpu_requires_count;
    tsm_plan_preprocess preprocess; /* used when has_image_input is 1 */
    int32_t has_image_input;
    int32_t window_stride; /* of an input of several frames: new ones from one run to the next */
} tsm_plan;

extern TSM_HIDDEN const tsm_plan tsm_the_plan;

#endif
