/* tsm_edge.h: the public C interface of a tsm-edge bundle (libtsm.so or libtsm.a).
 *
 * A model is opened once; every camera is a stream of its own over the one copy of the weights. A step takes one frame,
 * leaves the class scores and advances the stream's states. Nothing is global: streams are independent of each other,
 * and one stream is used by one thread at a time; a second one gets TSM_E_BUSY.
 *
 * Fork: a child has neither the worker threads nor the GPU of its parent. What takes an inherited stream returns
 * TSM_E_FORKED there, and tsm_stream_free and tsm_close only free memory. A CPU model can be used on: make new streams
 * of it. A GPU bundle is opened in the child only when the parent has opened none: drivers do not survive a fork.
 *
 * Exit: nothing needs to be freed. A GPU bundle waits at exit for the step under way, 5 seconds at most, before its
 * driver goes down; a step that begins later is refused with TSM_E_DEVICE.
 *
 * Several bundles in one program: open each library by its path with dlopen (RTLD_LOCAL), and take its functions with
 * dlsym; they share nothing. Only one bundle can be linked, as libtsm.so or libtsm.a: all have these same names.
 *
 * Time belongs to the model: it learned how much happens between two of its frames, so it must step `rate_fps` times a
 * second, whatever the camera delivers. A sampler says for each frame, by its time stamp, how many steps it is worth.
 * A decision turns the flickering scores into an answer that changes when the gesture does.
 *
 *     char error[TSM_ERROR_SIZE];
 *     tsm_model *model;
 *     tsm_model_info info;
 *     tsm_stream *stream;
 *     tsm_decision *decision;
 *     tsm_sampler sampler;
 *     if (tsm_open(&model, error, sizeof error) != TSM_OK) ...                        // error says why
 *     tsm_info(model, &info);
 *     if (tsm_stream_new(model, 4, &stream, error, sizeof error) != TSM_OK) ...
 *     if (tsm_decision_new(&info.decision, info.scores, info.classes, &decision, error, sizeof error) != TSM_OK) ...
 *     tsm_sampler_init(&sampler, info.rate_fps);
 *     while (camera has a frame, taken at t_s seconds) {
 *         tsm_image image = {pixels, 640, 480, 640 * 3, TSM_BGR};
 *         for (int32_t n = tsm_sampler_take(&sampler, t_s); n > 0; n--) {              // mostly 0 or 1
 *             tsm_decided now;
 *             if (tsm_step_image(stream, &image) != TSM_OK) puts(tsm_error(stream));
 *             else if (tsm_decision_push(decision, tsm_scores(stream, NULL), info.classes, &now) != TSM_OK)
 *                 puts(tsm_decision_error(decision));
 *             else if (now.changed && !now.idle) printf("%s %.2f\n", info.labels[now.index], now.probability);
 *         }
 *     }
 *     tsm_decision_free(decision);
 *     tsm_stream_free(stream);
 *     tsm_close(model);
 *
 * No function calls exit, prints, or touches a file, with one exception: tsm_open of an OpenCL bundle keeps the
 * compiled kernels in a cache (docs/gpu.md). */
#ifndef TSM_EDGE_H
#define TSM_EDGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TSM_API __attribute__((visibility("default")))

enum {
    TSM_ERROR_SIZE = 512,       /* bytes that hold every message of this library */
    TSM_MAX_THREADS = 64,       /* most threads a stream may have */
    TSM_MAX_IMAGE_SIDE = 16384, /* widest and tallest image a step takes, in pixels */
    TSM_MAX_STEPS = 6,          /* most steps that a sampler makes on one frame */
    TSM_MAX_WINDOW = 1000       /* most steps of a decision's window and agree */
};

typedef struct tsm_model tsm_model;
typedef struct tsm_stream tsm_stream;
typedef struct tsm_decision tsm_decision;

typedef enum {
    TSM_OK = 0,
    TSM_E_ARGUMENT = 1, /* the caller passed something that the function does not take */
    TSM_E_MEMORY = 2,   /* an allocation failed */
    TSM_E_CPU = 3,      /* this CPU lacks an instruction set that the kernels use */
    TSM_E_DEVICE = 4,   /* no accelerator can run this, or it failed */
    TSM_E_THREADS = 5,  /* the system refused a worker thread */
    TSM_E_BUSY = 6,     /* another thread is in a call of this stream, or frees it; tsm_error is that call's */
    TSM_E_FORKED = 7    /* the stream, or a GPU's model, belongs to the process that this one was forked from */
} tsm_status;

/* How the samples of a picture lie in memory, 8 bits each. C = (width + 1) / 2 samples of a row of colour. OpenCV frames
 * are TSM_BGR; cameras give the others. Colour at half the size is that of both, or of all four, pixels it covers. */
typedef enum {
    TSM_BGR = 0,   /* one plane: blue, green, red of each pixel; 3 * width bytes a row */
    TSM_RGB = 1,   /* one plane: red, green, blue of each pixel */
    TSM_GREY = 2,  /* one plane: Y of each pixel */
    TSM_YUYV = 3,  /* one plane: Y0 U Y1 V for each two pixels, 4 * C bytes a row (V4L2 YUYV, YUY2) */
    TSM_NV12 = 4,  /* Y; then U V U V ... of half the width and height, 2 * C bytes a row */
    TSM_YUV420 = 5 /* Y; U; V, of half the width and height, C bytes a row (I420, V4L2 YU12, ffmpeg yuv420p) */
} tsm_format;

/* How Y, U and V become red, green and blue. Limited range: Y 16..235, U and V 16..240; full range: 0..255. */
typedef enum {
    TSM_BT601 = 0,      /* limited range; what OpenCV assumes, and most cameras below 720 lines give */
    TSM_BT601_FULL = 1, /* of JPEG */
    TSM_BT709 = 2,      /* limited range; of HD video */
    TSM_BT709_FULL = 3
} tsm_color;

/* An 8-bit image in a format of one plane: TSM_BGR, TSM_RGB, TSM_GREY, or TSM_YUYV, which is taken to be TSM_BT601. Rows
 * of R bytes start `stride` bytes apart, R <= stride <= (PTRDIFF_MAX - R) / height. */
typedef struct {
    const uint8_t *pixels;
    int32_t width, height; /* pixels, 1 to TSM_MAX_IMAGE_SIDE */
    size_t stride;         /* bytes */
    tsm_format format;
} tsm_image;

/* An 8-bit image in any format, its planes where they are. Row r of plane p begins at planes[p] + r * strides[p]; a plane
 * that the format does not have is not looked at. TSM_YUV420 with a chroma_step of 2 is NV12, NV21 and whatever else
 * Android calls YUV_420_888: planes[1] is where U begins, planes[2] where V does. */
typedef struct {
    const uint8_t *planes[3];
    size_t strides[3];     /* bytes: at least a row, at most (PTRDIFF_MAX - a row) / rows of the plane */
    int32_t chroma_step;   /* bytes from one U to the next in a row of TSM_YUV420: 1 (0 is the same) or 2 */
    int32_t width, height; /* pixels, 1 to TSM_MAX_IMAGE_SIDE */
    tsm_format format;
    tsm_color color;       /* of the formats with U and V */
} tsm_frame;

/* What the scores are, by the network's last operation: nothing in particular, Softmax, LogSoftmax or Sigmoid. */
typedef enum {
    TSM_LOGITS = 0,            /* their softmax are the probabilities */
    TSM_PROBABILITIES = 1,
    TSM_LOG_PROBABILITIES = 2, /* natural logarithms */
    TSM_SIGMOID = 3            /* a probability for each class by itself */
} tsm_scores_kind;

/* How the scores of successive steps become a decision. */
typedef struct {
    int32_t window;      /* frames whose probabilities are averaged */
    int32_t agree;       /* successive means that must agree before the decision changes */
    double threshold;    /* mean probability that a class must reach to be decided instead of an idle one */
    const int32_t *idle; /* idle_count classes that mean "nothing to report", ascending */
    size_t idle_count;
} tsm_decision_rule;

/* Element types of tensors in memory. */
typedef enum { TSM_FLOAT32 = 0, TSM_FLOAT16, TSM_INT8, TSM_UINT8, TSM_INT32 } tsm_dtype;

/* How a state is stored: TSM_FLOAT32, TSM_FLOAT16 or TSM_INT8, in which an integer q is the number (q - zero) * scale. */
typedef struct {
    tsm_dtype dtype;
    float scale;  /* 1 for floats */
    int32_t zero; /* 0 for floats */
    size_t bytes; /* of all its elements */
} tsm_state_form;

/* A float32 tensor as it goes in and out; bytes are those of the floats. shape[0..ndim) is logical: NCHW for images and
 * states. */
typedef struct {
    const char *name;
    int32_t ndim;
    int32_t shape[4];
    size_t bytes;
} tsm_tensor_info;

typedef struct {
    const char *model, *target, *weights_note;
    int32_t classes;           /* number of scores */
    const char *const *labels; /* label_count texts, UTF-8; label_count is 0 or `classes` */
    size_t label_count;
    int32_t input_height, input_width, input_channels;
    size_t arena_bytes, state_bytes; /* as stored: one stream owns arena_bytes + 2 * state_bytes, on a GPU there */
    size_t weights_bytes;            /* shared by all streams */
    size_t scratch_bytes;            /* owned once per thread of a stream */
    size_t state_count, op_count;
    double rate_fps; /* frames a second that the model was trained at and must be given; 0 without a picture as input */
    tsm_scores_kind scores;
    tsm_decision_rule decision;
} tsm_model_info;

/* One operation of the plan. */
typedef struct {
    const char *kernel, *layer, *schedule;
    int64_t macs, bytes; /* multiply-accumulates and bytes moved, per step */
} tsm_op_info;

/* Opens the model of this library. Checks that this CPU has every instruction set that the kernels use and, for a GPU
 * bundle, that there is a device and a driver that can run it.
 * On failure *out is NULL and `error` (error_size bytes, may be NULL) says what is missing. */
TSM_API tsm_status tsm_open(tsm_model **out, char *error, size_t error_size);

/* Frees the model; one whose streams are still open is freed with the last of them. NULL is allowed. */
TSM_API void tsm_close(tsm_model *model);

/* Fills *info; its pointers stay valid until tsm_close. */
TSM_API tsm_status tsm_info(const tsm_model *model, tsm_model_info *info);

/* What the model runs on, in words: the device and its driver that were found. Valid until tsm_close, never NULL. */
TSM_API const char *tsm_device(const tsm_model *model);

/* How many frames the network takes at once, and after how many new ones it runs; 1 and 1 of a network that runs frame by
 * frame. A stream of one that takes more keeps the last *frames: tsm_step_image and tsm_step_frame add one, and run the
 * network first when there are *frames of them, then after every *stride. tsm_step_tensor takes a whole window. */
TSM_API tsm_status tsm_window(const tsm_model *model, int32_t *frames, int32_t *stride);

/* Describes operation `index` of a step, 0 to op_count - 1, in running order. */
TSM_API tsm_status tsm_op(const tsm_model *model, size_t index, tsm_op_info *info);

/* Describes state `index`, 0 to state_count - 1. */
TSM_API tsm_status tsm_state_info(const tsm_model *model, size_t index, tsm_tensor_info *info);

/* Makes a stream with zero states. `threads` (1 to TSM_MAX_THREADS) counts the caller: threads - 1 workers are
 * started. They block all signals, are not pinned, and sleep while no step runs. The scores do not depend
 * on the number of threads, bit for bit. */
TSM_API tsm_status tsm_stream_new(const tsm_model *model, int32_t threads, tsm_stream **out, char *error,
                                  size_t error_size);

/* Waits for the call that another thread has under way, stops the workers and frees the stream. NULL is allowed. A call
 * that begins later is use after free, as with free(). Not for a signal handler: it would wait for the step that it
 * interrupted. */
TSM_API void tsm_stream_free(tsm_stream *stream);

/* One step from an image: it is resized as Pillow does it (bilinear, antialiased, bit-equal), the centre is cropped,
 * then turned into grey where the model wants it, scaled and normalised as the model was trained. Nothing is allocated, with one exception:
 * a step whose image size differs from the last one allocates the tables for the new size once.
 * When the step is refused, states and scores keep their values. */
TSM_API tsm_status tsm_step_image(tsm_stream *stream, const tsm_image *image);

/* The same from a frame in any format. Colour is converted row by row on the way into the resize, in fixed point: the
 * nearest level, exact for what a camera gives, and no picture of red, green and blue is ever made in memory. A step
 * whose image size or kind of format differs from the last one's allocates once. */
TSM_API tsm_status tsm_step_frame(tsm_stream *stream, const tsm_frame *frame);

/* Describes a frame whose planes lie one behind the other from `bytes` on (may be NULL, for its size): as files, pipes
 * and V4L2's single-planar buffers have them. `stride` is that of the first plane, 0: no gap behind a row; the planes of
 * U and V have it too (NV12), or half of it, rounded up (TSM_YUV420). Returns the bytes from the first to the last, or 0
 * when size, format or stride are out of their range; *frame is then untouched. Color is TSM_BT601. */
TSM_API size_t tsm_frame_packed(tsm_frame *frame, tsm_format format, int32_t width, int32_t height, size_t stride,
                                const uint8_t *bytes);

/* One step from a preprocessed frame: `count` = channels * height * width float32 in NCHW order, times the frames of
 * tsm_window. Never
 * allocates. NaN and infinities are computed with, not refused. NaN passes through every clamp, ReLU and maximum: all
 * that depends on it is NaN, the scores too. An infinity is clamped as any number, or becomes NaN, where a schedule
 * multiplies it with zeros or takes differences (Winograd's transforms, tiles on a GPU). States keep NaN until
 * tsm_reset. */
TSM_API tsm_status tsm_step_tensor(tsm_stream *stream, const float *nchw, size_t count);

/* Sets every state to zero and forgets the frames of a window, as in a new stream. The scores keep their values. */
TSM_API tsm_status tsm_reset(tsm_stream *stream);

/* The scores (logits) of the last step, *count of them (count may be NULL); zeros before the first step. Valid until
 * the next step of this stream begins. */
TSM_API const float *tsm_scores(const tsm_stream *stream, size_t *count);

/* How often the network has run since the stream was made or reset. It rises by one with every step, but for a network
 * that takes several frames at once (tsm_window): there a step that leaves it as it was has left the scores, too, and a decision needs no push. */
TSM_API uint64_t tsm_answers(const tsm_stream *stream);

/* Copies state `index` out or in, in NCHW order; `count` is its number of floats. A bundle may hold states as float16:
 * what is set is rounded to it. */
TSM_API tsm_status tsm_state_get(const tsm_stream *stream, size_t index, float *nchw, size_t count);
TSM_API tsm_status tsm_state_set(tsm_stream *stream, size_t index, const float *nchw, size_t count);

/* The form in which state `index` is stored. */
TSM_API tsm_status tsm_state_stored(const tsm_model *model, size_t index, tsm_state_form *form);

/* Copies state `index` out or in as it is stored, without a rounding, in NCHW order; `bytes` is that of its form. What
 * was read continues a stream bit for bit, in any stream of the same bundle. */
TSM_API tsm_status tsm_state_get_raw(const tsm_stream *stream, size_t index, void *nchw, size_t bytes);
TSM_API tsm_status tsm_state_set_raw(tsm_stream *stream, size_t index, const void *nchw, size_t bytes);

/* Switches the timing of single operations on (1) or off (0); it costs two clock readings an operation. */
TSM_API tsm_status tsm_profile(tsm_stream *stream, int on);

/* Nanoseconds of each operation in the last step that ran with the profile on; *count = op_count. */
TSM_API const uint64_t *tsm_op_ns(const tsm_stream *stream, size_t *count);

/* The text of this stream's last error; "" when there was none. Never NULL. */
TSM_API const char *tsm_error(const tsm_stream *stream);

/* -- Time: on which frames to step --------------------------------------------------------------------------------- */

/* A sampler is plain memory of the caller: nothing to free, and a copy is a sampler of its own. Read its fields, and let
 * only the functions below write them. */
typedef struct {
    double rate_fps;   /* steps a second */
    double missed;     /* ticks lost in stalls, at most 2^53 */
    uint64_t repeated; /* steps beyond the first of a frame, because the source is slower than rate_fps */
    uint64_t stalls;   /* how often time began again */
    double start, previous, tick; /* private */
    int32_t begun;                /* private */
} tsm_sampler;

/* Begins anew at `rate_fps` steps a second (info.rate_fps). TSM_E_ARGUMENT when that is not positive and finite; such a
 * sampler answers 0 to every frame. */
TSM_API tsm_status tsm_sampler_init(tsm_sampler *sampler, double rate_fps);

/* The number of steps that the frame taken at `t_s` seconds is worth: 0 skip it, 1 step, n step n times on it. Call it
 * once a frame, in order. Time is cut into ticks of 1 / rate_fps seconds, counted from the first frame; a frame serves
 * the ticks after the last served one up to half an interval after its own stamp, which is the nearest frame to each
 * tick as far as that can be known without waiting for the next. Stamps may have any origin and be uneven.
 * - A stamp that is not finite, or does not advance, is worth 0.
 * - A gap of more than TSM_MAX_STEPS ticks is a stall: one step, and time begins again; the ticks between are counted in
 *   `missed` and not made up for, so that no burst of stale steps follows it.
 * - A stamp of more than TSM_MAX_STEPS ticks before an earlier one means that the clock was set back: as a stall. */
TSM_API int32_t tsm_sampler_take(tsm_sampler *sampler, double t_s);

/* -- Decision: from scores to an answer ---------------------------------------------------------------------------- */

/* What is decided after a step. */
typedef struct {
    int32_t index;      /* the decided class */
    int32_t raw_index;  /* the best class of this step alone */
    double probability; /* of the decided class, 0..1: tsm_decision_probabilities()[index] */
    int32_t changed;    /* 1: this step changed the decision. The first one does; from one idle class to another is no
                           change */
    int32_t idle;       /* 1: the decided class is one that means "nothing to report" */
} tsm_decided;

/* The probabilities of the scores of one step, `count` doubles. TSM_E_ARGUMENT, and `out` untouched, when a score is not
 * finite or cannot be what `kind` says. */
TSM_API tsm_status tsm_probabilities(tsm_scores_kind kind, const float *scores, size_t count, double *out);

/* Makes the decision state of one stream: the mean of the probabilities over the last `window` steps, the class that
 * `agree` successive means agree on, an idle class while no other is as likely as `threshold`. `rule` is copied.
 * tsm_decision_new(&info.decision, info.scores, info.classes, ...) takes what the model was made for. On failure *out is
 * NULL and `error` (error_size bytes, may be NULL) says why. */
TSM_API tsm_status tsm_decision_new(const tsm_decision_rule *rule, tsm_scores_kind scores, int32_t classes,
                                    tsm_decision **out, char *error, size_t error_size);

/* Frees it. NULL is allowed. */
TSM_API void tsm_decision_free(tsm_decision *decision);

/* Takes the scores of the next step and fills *out. Never allocates. When the scores are refused (not finite, not what
 * the model says they are), nothing changes and tsm_decision_error says why. */
TSM_API tsm_status tsm_decision_push(tsm_decision *decision, const float *scores, size_t count, tsm_decided *out);

/* The mean probabilities that the last decision was made from, *count of them (count may be NULL); zeros before the
 * first. Valid until the next push. */
TSM_API const double *tsm_decision_probabilities(const tsm_decision *decision, size_t *count);

/* Forgets all steps, as for a new stream; call it with tsm_reset. */
TSM_API void tsm_decision_reset(tsm_decision *decision);

/* The text of the last error; "" when there was none. Never NULL. */
TSM_API const char *tsm_decision_error(const tsm_decision *decision);

#ifdef __cplusplus
}
#endif

#endif
