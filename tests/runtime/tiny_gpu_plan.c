/* tiny_gpu_plan.c: the plan of tiny_plan.c for a GPU, written by hand; the same scores from the same frames.
 *
 * Macros choose other plans: TINY_HALF (states are float16), TINY_PROGRAM (another program text), TINY_GROUP and TINY_SHARED (limits),
 * TINY_ALIGN (of arguments), TINY_CAPABILITY, TINY_DRIVER, TINY_FALLBACK, TINY_BAD_KERNEL (an entry that is not there). */
#include "plan_gpu.h"

#ifndef TINY_HALF
#define TINY_HALF 0
#endif
#ifndef TINY_GROUP
#define TINY_GROUP 64
#endif
#ifndef TINY_SHARED
#define TINY_SHARED 256
#endif
#ifndef TINY_ALIGN
#define TINY_ALIGN 512
#endif
#ifndef TINY_CAPABILITY
#define TINY_CAPABILITY 53
#endif
#ifndef TINY_DRIVER
#define TINY_DRIVER 10020
#endif
#ifndef TINY_FALLBACK
#define TINY_FALLBACK "tiny-cpu"
#endif
#ifndef TINY_BAD_KERNEL
#define TINY_BAD_KERNEL "score"
#endif
#ifndef TINY_MIX_GROUP
#define TINY_MIX_GROUP 60
#endif

enum { CROP = 20, FLOATS = CROP * CROP * 3, STEPS = 5, CLASSES = 3, STORED = TINY_HALF ? 2 : 4 };
#define STATES (TINY_HALF ? TSM_FLOAT16 : TSM_FLOAT32)
#define ROUND_UP(bytes) (((bytes) + TINY_ALIGN - 1) / TINY_ALIGN * TINY_ALIGN)
enum { FRAME_AT = 0, MIXED_AT = ROUND_UP(FLOATS * 4), SCORES_AT = 2 * ROUND_UP(FLOATS * 4), SEEN_AT = 0 };
enum { STEPS_AT = ROUND_UP(FLOATS * STORED) };

#ifndef TINY_PROGRAM
#define TINY_PROGRAM                                                                                                    \
    "#if HALF\n"                                                                                                        \
    "typedef half stored;\n"                                                                                            \
    "#define GET(p, i) vload_half(i, p)\n"                                                                              \
    "#define PUT(p, i, v) vstore_half(v, i, p)\n"                                                                       \
    "#else\n"                                                                                                           \
    "typedef float stored;\n"                                                                                           \
    "#define GET(p, i) (p)[i]\n"                                                                                        \
    "#define PUT(p, i, v) (p)[i] = (v)\n"                                                                               \
    "#endif\n"                                                                                                          \
    "kernel void see(global const float *frame, global stored *seen) {\n"                                               \
    "    size_t i = get_global_id(0);\n"                                                                                \
    "    PUT(seen, i, frame[i]);\n"                                                                                     \
    "}\n"                                                                                                               \
    "kernel void mix_rows(global const float *frame, global const stored *seen, global float *mixed) {\n"                    \
    "    size_t i = get_global_id(1) * get_global_size(0) + get_global_id(0);\n"                                        \
    "    mixed[i] = frame[i] * 0.5f + GET(seen, i) * 0.25f;\n"                                                          \
    "}\n"                                                                                                               \
    "kernel void count(global const stored *in, global stored *out) {\n"                                                \
    "    size_t i = get_global_id(0);\n"                                                                                \
    "    PUT(out, i, GET(in, i) + 1.0f);\n"                                                                             \
    "}\n"                                                                                                               \
    "kernel void score(global const float *mixed, global const stored *steps, global const float *weights,\n"           \
    "                  global float *scores) {\n"                                                                       \
    "    local float part[64];\n"                                                                                       \
    "    int c = get_group_id(0), t = get_local_id(0);\n"                                                               \
    "    float sum = 0.0f;\n"                                                                                           \
    "    for (int i = t; i < 400; i += 64) sum += mixed[i * 3 + c];\n"                                                  \
    "    part[t] = sum;\n"                                                                                              \
    "    for (int half_of = 32; half_of > 0; half_of /= 2) {\n"                                                         \
    "        barrier(CLK_LOCAL_MEM_FENCE);\n"                                                                           \
    "        if (t < half_of) part[t] += part[t + half_of];\n"                                                          \
    "    }\n"                                                                                                           \
    "    if (t == 0) scores[c] = part[0] / 400.0f + weights[c] * GET(steps, c);\n"                                      \
    "}\n"
#endif

static const tsm_gpu_argument see[] = {{TSM_ARENA, FRAME_AT, FLOATS * 4}, {TSM_STATE_OUT, SEEN_AT, FLOATS * STORED}};
static const tsm_gpu_argument mix[] = {{TSM_ARENA, FRAME_AT, FLOATS * 4}, {TSM_STATE_IN, SEEN_AT, FLOATS * STORED},
                                       {TSM_ARENA, MIXED_AT, FLOATS * 4}};
static const tsm_gpu_argument count[] = {{TSM_STATE_IN, STEPS_AT, STEPS * STORED}, {TSM_STATE_OUT, STEPS_AT, STEPS * STORED}};
static const tsm_gpu_argument score[] = {{TSM_ARENA, MIXED_AT, FLOATS * 4}, {TSM_STATE_OUT, STEPS_AT, STEPS * STORED},
                                         {TSM_WEIGHTS, 0, 12}, {TSM_ARENA, SCORES_AT, CLASSES * 4}};
static const tsm_gpu_op ops[] = {
    {{"see", "frame", "plain", 0, 2 * FLOATS * 4}, {FLOATS / 60, 1, 1}, {60, 1, 1}, 0, see, 2},
    {{"mix_rows", "frame", "plain", 2 * FLOATS, 3 * FLOATS * 4}, {1, CROP, 1}, {TINY_MIX_GROUP, 1, 1}, 0, mix, 3},
    {{"count", "head", "plain", 0, 2 * STEPS * 4}, {1, 1, 1}, {STEPS, 1, 1}, 0, count, 2},
    {{TINY_BAD_KERNEL, "head", "plain", FLOATS, FLOATS * 4}, {CLASSES, 1, 1}, {64, 1, 1}, 256, score, 4},
};
static const tsm_plan_tensor states[] = {
    {"seen", 4, {1, 3, CROP, CROP}, SEEN_AT, FLOATS * STORED, 1, STATES, 0.0f, 0},
    {"steps", 2, {1, STEPS}, STEPS_AT, STEPS * STORED, 0, STATES, 0.0f, 0},
};
static const char *const labels[] = {"nothing", "a \"wave\"\n", "caf\xc3\xa9"};
static const float weights[] = {0.0f, 1.0f, 2.0f};
static const unsigned char program[] = TINY_PROGRAM;

const tsm_gpu_plan tsm_the_gpu_plan = {
    .info = {.model = "tiny",
             .target = "test",
             .weights_note = "three numbers",
             .classes = CLASSES,
             .labels = labels,
             .label_count = CLASSES,
             .input_height = CROP,
             .input_width = CROP,
             .input_channels = 3,
             .arena_bytes = SCORES_AT + TINY_ALIGN,
             .state_bytes = STEPS_AT + TINY_ALIGN,
             .weights_bytes = sizeof weights,
             .state_count = 2,
             .op_count = 4,
             .rate_fps = 12.0,
             .decision = {.window = 4, .agree = 2, .threshold = 0.5}},
    .input = {"frame", 4, {1, 3, CROP, CROP}, FRAME_AT, FLOATS * 4, 1, TSM_FLOAT32, 0.0f, 0},
    .output = {"scores", 2, {1, CLASSES}, SCORES_AT, CLASSES * 4, 0, TSM_FLOAT32, 0.0f, 0},
    .states = states,
    .ops = ops,
    .weights = (const unsigned char *)weights,
    .program = program,
    .program_bytes = sizeof program,
    .program_sha256 = TINY_HALF ? "0123456789abcdef" : "fedcba9876543210",
    .build_options = TINY_HALF ? "-cl-std=CL1.2 -DHALF=1" : "-cl-std=CL1.2 -DHALF=0",
    .compute_capability = TINY_CAPABILITY,
    .ptx_isa = 64,
    .driver_cuda = TINY_DRIVER,
    .group_limit = TINY_GROUP,
    .shared_limit = TINY_SHARED,
    .fallback = TINY_FALLBACK,
    .preprocess = {.resize = {24, 24},
                   .crop = {CROP, CROP},
                   .color = TSM_MODEL_RGB,
                   .scale = 255.0f,
                   .mean = {0.485f, 0.456f, 0.406f},
                   .std = {0.229f, 0.224f, 0.225f}},
    .has_image_input = 1,
    .cpu_requires_count = 0,
};
