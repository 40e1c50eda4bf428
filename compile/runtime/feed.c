/* feed.c: from the caller's frame to the network's input. */
#include "feed.h"

#include "message.h"
#include "tensor.h"

#include <stdlib.h>
#include <string.h>

tsm_status tsm_feed_open(tsm_feed *feed, const char *model, const tsm_plan_tensor *input,
                         const tsm_plan_preprocess *preprocess, int32_t stride, int32_t threads, char *error,
                         size_t error_size) {
    *feed = (tsm_feed){.model = model, .input = *input, .frames = input->ndim == 4 ? input->shape[0] : 1};
    feed->input.offset = 0;
    feed->stride = stride < 1 ? 1 : stride;
    feed->frame_floats = tsm_tensor_count(input) / (size_t)feed->frames;
    if (threads < 1 || threads > TSM_MAX_THREADS)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size,
                          "tsm_stream_new: number of threads out of range\n  found: %d\n  allowed: 1 to %d",
                          (int)threads, TSM_MAX_THREADS);
    if (preprocess != NULL && (feed->reader = tsm_image_reader_new(preprocess, threads)) == NULL)
        return tsm_refuse(TSM_E_MEMORY, error, error_size, "tsm_stream_new: out of memory");
    if (preprocess != NULL && feed->frames > 1 &&
        (feed->ring = calloc((size_t)feed->frames * feed->frame_floats, sizeof *feed->ring)) == NULL)
        return tsm_refuse(TSM_E_MEMORY, error, error_size, "tsm_stream_new: out of memory");
    const int failed = threads > 1 ? tsm_pool_new(threads, &feed->pool) : 0;
    if (failed)
        return tsm_refuse(TSM_E_THREADS, error, error_size,
                          "tsm_stream_new: the system refused a worker thread\n  found: %s\n"
                          "  hint: use fewer threads than %d",
                          strerror(failed), (int)threads);
    return TSM_OK;
}

void tsm_feed_close(tsm_feed *feed) {
    tsm_pool_free(feed->pool);
    tsm_image_reader_free(feed->reader);
    free(feed->ring);
    *feed = (tsm_feed){0};
}

void tsm_feed_reset(tsm_feed *feed) { feed->seen = 0; }

typedef struct {
    const tsm_feed *feed;
    float *out;
} window_call;

/* Frames of the window, the oldest first, from where they are kept. */
static void copy_frames(const void *context, int32_t thread, int32_t begin, int32_t end) {
    const window_call *c = context;
    const tsm_feed *feed = c->feed;
    (void)thread;
    for (int32_t i = begin; i < end; i++) {
        const size_t from = (size_t)((feed->seen + (uint64_t)i) % (uint64_t)feed->frames);
        memcpy(c->out + (size_t)i * feed->frame_floats, feed->ring + from * feed->frame_floats,
               feed->frame_floats * sizeof *c->out);
    }
}

static tsm_status keep_frame(tsm_feed *feed, const tsm_frame *frame, float *out, int *due, char *error) {
    const uint64_t frames = (uint64_t)feed->frames;
    float *place = feed->ring + (size_t)(feed->seen % frames) * feed->frame_floats;
    const tsm_status status = tsm_image_read(feed->reader, frame, feed->pool, place, error, TSM_ERROR_SIZE);
    if (status != TSM_OK) return status;
    feed->seen++;
    *due = feed->seen >= frames && (feed->seen - frames) % (uint64_t)feed->stride == 0;
    if (*due) tsm_pool_run(feed->pool, copy_frames, &(window_call){feed, out}, feed->frames);
    return TSM_OK;
}

tsm_status tsm_feed_frame(tsm_feed *feed, const tsm_frame *frame, float *out, int *due, char *error) {
    *due = 1;
    if (feed->reader == NULL)
        return tsm_refuse(TSM_E_ARGUMENT, error, TSM_ERROR_SIZE,
                          "tsm_step_frame: model %s has no image input\n  hint: use tsm_step_tensor", feed->model);
    if (feed->ring != NULL) return keep_frame(feed, frame, out, due, error);
    return tsm_image_read(feed->reader, frame, feed->pool, out, error, TSM_ERROR_SIZE);
}

tsm_status tsm_step_image(tsm_stream *stream, const tsm_image *image) {
    if (image == NULL) return tsm_step_frame(stream, NULL);
    const tsm_frame frame = {.planes = {image->pixels},
                             .strides = {image->stride},
                             .width = image->width,
                             .height = image->height,
                             .format = image->format};
    return tsm_step_frame(stream, &frame);
}

typedef struct {
    const tsm_feed *feed;
    const float *nchw;
    float *out;
} store_call;

static void store_rows(const void *context, int32_t thread, int32_t begin, int32_t end) {
    const store_call *c = context;
    (void)thread;
    tsm_tensor_store(&c->feed->input, (char *)c->out, c->nchw, begin, end);
}

tsm_status tsm_feed_tensor(tsm_feed *feed, const float *nchw, size_t count, float *out, char *error) {
    const size_t expected = tsm_tensor_count(&feed->input);
    if (nchw == NULL || count != expected)
        return tsm_refuse(TSM_E_ARGUMENT, error, TSM_ERROR_SIZE,
                          "tsm_step_tensor: wrong input\n  found: %zu floats%s\n  allowed: %zu", count,
                          nchw == NULL ? " at NULL" : "", expected);
    tsm_pool_run(feed->pool, store_rows, &(store_call){feed, nchw, out}, tsm_tensor_rows(&feed->input));
    return TSM_OK;
}
