/* tiny_plan.c: a plan written by hand, the smallest that uses every part of the runtime.
 *
 *     seen'   = frame                                rows, copied: what the image path made can be read as a state
 *     mixed   = frame / 2 + seen / 4                 rows, through the thread's scratch
 *     steps'  = steps + 1                            one item, a state that is not an image
 *     score_c = mean of channel c of mixed + c * steps'   one item
 *
 * Macros choose other plans: TINY_CROP, TINY_RESIZE (heights, and widths where TINY_CROP_WIDTH and TINY_RESIZE_WIDTH are
 * not given), TINY_STRETCH, TINY_SCALE, TINY_COLOR (of plan.h), TINY_SCORES, TINY_IDLE, TINY_REQUIRES, TINY_NO_IMAGE,
 * TINY_BEST (the class that grows fastest), TINY_WEIGHTS (how fast each grows), TINY_SLOW_MS (how long a step lasts),
 * TINY_BIAS (an expression added to every score, such as NAN or tick(); `c` is the class, `sum` that of its channel). */
#ifdef TINY_SLOW_MS
#define _POSIX_C_SOURCE 200809L
#include <time.h>
#define TAKE_TIME() nanosleep(&(struct timespec){0, (TINY_SLOW_MS) * 1000000L}, NULL)
#else
#define TAKE_TIME() (void)0
#endif
#include "plan.h"

#ifndef TINY_CROP
#define TINY_CROP 20
#endif
#ifndef TINY_RESIZE
#define TINY_RESIZE 24
#endif
#ifndef TINY_CROP_WIDTH
#define TINY_CROP_WIDTH TINY_CROP
#endif
#ifndef TINY_RESIZE_WIDTH
#define TINY_RESIZE_WIDTH TINY_RESIZE
#endif
#ifndef TINY_STRETCH
#define TINY_STRETCH 0
#endif
#ifndef TINY_SCALE
#define TINY_SCALE 255.0f
#endif
#ifndef TINY_COLOR
#define TINY_COLOR TSM_MODEL_RGB
#endif
#ifndef TINY_SCORES
#define TINY_SCORES TSM_LOGITS
#endif
#ifndef TINY_IDLE
#define TINY_IDLE {0}
#endif
#ifndef TINY_BEST
#define TINY_BEST 2
#endif
#ifdef TINY_BIAS
#include <math.h>
/* Another number at each call: a step that is not a function of its input. */
static inline float tick(void) {
    static float calls;
    return calls += 1.0f;
}
#else
#define TINY_BIAS 0.0f
#endif
#ifdef TINY_NO_IMAGE
#define HAS_IMAGE 0
#else
#define HAS_IMAGE 1
#endif

#define ROUND_UP(bytes) (((bytes) + 63) / 64 * 64)
enum { CHANNELS = TINY_COLOR == TSM_MODEL_GREY ? 1 : 3, PIXELS = TINY_CROP * TINY_CROP_WIDTH };
enum { ROW = TINY_CROP_WIDTH * CHANNELS, FRAME_BYTES = TINY_CROP * ROW * 4, STEPS = 5, CLASSES = 3 };
enum { FRAME_AT = 0, MIXED_AT = ROUND_UP(FRAME_BYTES), SCORES_AT = 2 * ROUND_UP(FRAME_BYTES) };
enum { SEEN_AT = 0, STEPS_AT = ROUND_UP(FRAME_BYTES) };

static const float *in(const char *blob, size_t at) { return (const float *)(const void *)(blob + at); }
static float *out(char *blob, size_t at) { return (float *)(void *)(blob + at); }

static void see(const tsm_memory *m, int32_t begin, int32_t end) {
    for (int32_t i = begin * ROW; i < end * ROW; i++) out(m->state_out, SEEN_AT)[i] = in(m->arena, FRAME_AT)[i];
}

static void mix(const tsm_memory *m, int32_t begin, int32_t end) {
    float *halves = out(m->scratch, 0);
    for (int32_t row = begin; row < end; row++) {
        for (int32_t i = 0; i < ROW; i++) halves[i] = in(m->arena, FRAME_AT)[row * ROW + i] * 0.5f;
        for (int32_t i = 0; i < ROW; i++)
            out(m->arena, MIXED_AT)[row * ROW + i] = halves[i] + in(m->state_in, SEEN_AT)[row * ROW + i] * 0.25f;
    }
}

static void count(const tsm_memory *m, int32_t begin, int32_t end) {
    (void)begin, (void)end;
    TAKE_TIME();
    for (int32_t i = 0; i < STEPS; i++) out(m->state_out, STEPS_AT)[i] = in(m->state_in, STEPS_AT)[i] + 1.0f;
}

static void score(const tsm_memory *m, int32_t begin, int32_t end) {
    const float *weights = in(m->weights, 0);
    (void)begin, (void)end;
    for (int32_t c = 0; c < CLASSES; c++) {
        float sum = 0.0f;
        for (int32_t i = 0; i < PIXELS; i++) sum += in(m->arena, MIXED_AT)[i * CHANNELS + c % CHANNELS];
        out(m->arena, SCORES_AT)[c] =
            sum / (float)PIXELS + weights[c] * in(m->state_out, STEPS_AT)[c] + (TINY_BIAS);
    }
}

static const tsm_plan_op ops[] = {
    {see, TINY_CROP, {"see", "frame", "plain", 0, 2 * FRAME_BYTES}},
    {mix, TINY_CROP, {"mix", "frame", "plain", 2 * TINY_CROP * ROW, 3 * FRAME_BYTES}},
    {count, 1, {"count", "head", "plain", 0, 2 * STEPS * 4}},
    {score, 1, {"score", "head", "plain", TINY_CROP * ROW, FRAME_BYTES}},
};
static const tsm_plan_tensor states[] = {
    {"seen", 4, {1, CHANNELS, TINY_CROP, TINY_CROP_WIDTH}, SEEN_AT, FRAME_BYTES, 1, TSM_FLOAT32, 0.0f, 0},
    {"steps", 2, {1, STEPS}, STEPS_AT, STEPS * 4, 0, TSM_FLOAT32, 0.0f, 0},
};
static const char *const labels[] = {"nothing", "a \"wave\"\n", "caf\xc3\xa9"};
static const int32_t idle[] = TINY_IDLE;
#ifndef TINY_WEIGHTS
#define TINY_WEIGHTS 0.0f, TINY_BEST == 1 ? 2.0f : 1.0f, TINY_BEST == 1 ? 1.0f : 2.0f
#endif
static const _Alignas(64) float weights[] = {TINY_WEIGHTS};

#ifdef TINY_REQUIRES
static const char *const requires[] = {TINY_REQUIRES};
#define REQUIRES .cpu_requires = requires, .cpu_requires_count = sizeof requires / sizeof *requires
#else
#define REQUIRES .cpu_requires_count = 0
#endif

const tsm_plan tsm_the_plan = {
    .info = {.model = "tiny",
             .target = "test",
             .weights_note = "three numbers",
             .classes = CLASSES,
             .labels = labels,
             .label_count = CLASSES,
             .input_height = TINY_CROP,
             .input_width = TINY_CROP_WIDTH,
             .input_channels = CHANNELS,
             .arena_bytes = SCORES_AT + 64,
             .state_bytes = STEPS_AT + 64,
             .weights_bytes = sizeof weights,
             .scratch_bytes = ROW * 4,
             .state_count = 2,
             .op_count = 4,
             .rate_fps = HAS_IMAGE ? 12.0 : 0.0,
             .scores = TINY_SCORES,
             .decision = {4, 2, 0.5, idle, sizeof idle / sizeof *idle}},
    .input = {"frame", 4, {1, CHANNELS, TINY_CROP, TINY_CROP_WIDTH}, FRAME_AT, FRAME_BYTES, 1, TSM_FLOAT32, 0.0f, 0},
    .output = {"scores", 2, {1, CLASSES}, SCORES_AT, CLASSES * 4, 0, TSM_FLOAT32, 0.0f, 0},
    .states = states,
    .ops = ops,
    .weights = (const unsigned char *)weights,
    .preprocess = {.resize = {TINY_RESIZE, TINY_RESIZE_WIDTH},
                   .crop = {TINY_CROP, TINY_CROP_WIDTH},
                   .stretch = TINY_STRETCH,
                   .color = TINY_COLOR,
                   .scale = TINY_SCALE,
                   .mean = {0.485f, 0.456f, 0.406f},
                   .std = {0.229f, 0.224f, 0.225f}},
    .has_image_input = HAS_IMAGE,
    REQUIRES,
};
