/* feed.h: from the caller's frame to the network's input, on the stream's own threads. */
#ifndef TSM_FEED_H
#define TSM_FEED_H

#include "image.h"
#include "plan.h"
#include "threads.h"
#include "tsm_edge.h"

typedef struct {
    const char *model;
    tsm_plan_tensor input;    /* its offset is 0: callers say where the input lies */
    int32_t frames, stride;   /* of a window: the network takes the last `frames`, after every `stride` new ones */
    float *ring;              /* `frames` of them, as they are stored; NULL when the network takes one */
    size_t frame_floats;
    uint64_t seen;            /* frames since the start or the reset */
    tsm_pool *pool;           /* NULL with one thread */
    tsm_image_reader *reader; /* NULL when the model has no image input */
} tsm_feed;

/* Starts threads - 1 workers. `preprocess` is NULL when the model takes no image, and must live as long as the feed.
 * Close the feed in every case; a zeroed one is closed. */
tsm_status tsm_feed_open(tsm_feed *feed, const char *model, const tsm_plan_tensor *input,
                         const tsm_plan_preprocess *preprocess, int32_t stride, int32_t threads, char *error,
                         size_t error_size);
void tsm_feed_close(tsm_feed *feed);

/* Write the input to `out`, as it is stored. `error` holds TSM_ERROR_SIZE bytes; when a frame is refused, `out` is
 * untouched. *due is 1 when the network is to run now; of a window that misses frames `out` is not written. A tensor is
 * the whole input, all frames of a window, and no part of the frames that are kept. */
tsm_status tsm_feed_frame(tsm_feed *feed, const tsm_frame *frame, float *out, int *due, char *error);
void tsm_feed_reset(tsm_feed *feed);
tsm_status tsm_feed_tensor(tsm_feed *feed, const float *nchw, size_t count, float *out, char *error);

#endif
