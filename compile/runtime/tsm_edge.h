/* tsm_edge.h: the public C interface of a tsm-edge bundle (libtsm.so or libtsm.a).
 *
 * A model is opened once; every camera is a stream of its own over the one copy of the weights. A step takes
 * one frame, leaves the class scores and advances the stream's states. Nothing is global: streams are
 * independent of each other, and one stream is used by one thread at a time; a second one gets TSM_E_BUSY.
 *
 * Fork: a child has neither the worker threads nor the GPU of its parent. What takes an inherited stream returns
 * TSM_E_FORKED there, and tsm_stream_free and tsm_close only free memory. A CPU model can be used on: make new streams
 * of it. A GPU bundle is opened in the child only when the parent has opened none: drivers do not survive a fork.
 *
 * Exit: nothing needs to be freed. A GPU bundle waits at exit for the step under way, 5 seconds at most, before its
 * driver goes down; a step that begins later is refused with TSM_E_DEVICE.
 *
 *     char error[TSM_ERROR_SIZE];
 *     tsm_model *model;
 *     tsm_stream *stream;
 *     if (tsm_open(&model, error, sizeof error) != TSM_OK) ...                    // error says why
 *     if (tsm_stream_new(model, 4, &stream, error, sizeof error) != TSM_OK) ...
 *     while (camera has a frame) {
 *         tsm_image image = {pixels, 640, 480, 640 * 3, TSM_BGR};
 *         if (tsm_step_image(stream, &image) != TSM_OK) puts(tsm_error(stream));
 *         const float *scores = tsm_scores(stream, NULL);                          // one logit a class
 *     }
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
    TSM_MAX_IMAGE_SIDE = 16384  /* widest and tallest image a step takes, in pixels */
};

typedef struct tsm_model tsm_model;
typedef struct tsm_stream tsm_stream;

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

/* Order of the three bytes of a pixel in memory. OpenCV frames are TSM_BGR. */
typedef enum { TSM_BGR = 0, TSM_RGB = 1 } tsm_format;

/* An 8-bit image, three interleaved channels. Rows start `stride` bytes apart,
 * 3 * width <= stride <= (PTRDIFF_MAX - 3 * width) / height. */
typedef struct {
    const uint8_t *pixels;
    int32_t width, height; /* pixels, 1 to TSM_MAX_IMAGE_SIDE */
    size_t stride;         /* bytes */
    tsm_format format;
} tsm_image;

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

/* One step from a preprocessed frame: `count` = channels * height * width float32 in NCHW order. Never
 * allocates. NaN and infinities are computed with, not refused; tsm_reset clears states that caught one. */
TSM_API tsm_status tsm_step_tensor(tsm_stream *stream, const float *nchw, size_t count);

/* Sets every state to zero, as in a new stream. The scores keep their values. */
TSM_API tsm_status tsm_reset(tsm_stream *stream);

/* The scores (logits) of the last step, *count of them (count may be NULL); zeros before the first step. Valid until
 * the next step of this stream begins. */
TSM_API const float *tsm_scores(const tsm_stream *stream, size_t *count);

/* Copies state `index` out or in, in NCHW order; `count` is its number of floats. A GPU bundle may hold states as
 * float16: what is set is rounded to it. */
TSM_API tsm_status tsm_state_get(const tsm_stream *stream, size_t index, float *nchw, size_t count);
TSM_API tsm_status tsm_state_set(tsm_stream *stream, size_t index, const float *nchw, size_t count);

/* Switches the timing of single operations on (1) or off (0); it costs two clock readings an operation. */
TSM_API tsm_status tsm_profile(tsm_stream *stream, int on);

/* Nanoseconds of each operation in the last step that ran with the profile on; *count = op_count. */
TSM_API const uint64_t *tsm_op_ns(const tsm_stream *stream, size_t *count);

/* The text of this stream's last error; "" when there was none. Never NULL. */
TSM_API const char *tsm_error(const tsm_stream *stream);

#ifdef __cplusplus
}
#endif

#endif
