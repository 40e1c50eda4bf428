/* v4l2.h: a camera of Video4Linux, opened and streaming into buffers that the driver shares. */
#ifndef TSM_V4L2_H
#define TSM_V4L2_H

#include "tsm_edge.h"

#include <stddef.h>
#include <stdint.h>

enum { V4L2_MOST_BUFFERS = 8, V4L2_WHY = 1024 };

/* What is asked for: 0 leaves it to the camera. */
typedef struct {
    int width, height;
    double fps;
} v4l2_wish;

typedef struct {
    int fd;               /* -1: closed */
    int width, height;
    int jpeg;             /* 1: frames are JPEGs */
    tsm_format format;    /* of frames that are not */
    tsm_color color;
    size_t stride;        /* bytes of a row of the first plane */
    double fps;           /* granted; 0: the driver does not say */
    size_t count;
    struct {
        uint8_t *bytes;
        size_t size;
    } buffers[V4L2_MOST_BUFFERS];
} v4l2_camera;

/* A frame in a shared buffer; give it back. */
typedef struct {
    unsigned index;
    const uint8_t *bytes;
    size_t used;
    int damaged;          /* the driver says so */
    uint64_t stamp_ns;    /* CLOCK_MONOTONIC; 0: the driver has another clock */
} v4l2_frame;

/* Opens `path`, chooses a format and starts the stream. Returns 1; 0, closed, with the reason in `why` (of V4L2_WHY
 * bytes), and *usage 1 where another wish would be met. */
int v4l2_open(v4l2_camera *c, const char *path, const v4l2_wish *wish, char *why, int *usage);

/* Takes the oldest full buffer. Returns 1; 0 when there is none yet; -1 when the camera is gone. */
int v4l2_take(v4l2_camera *c, v4l2_frame *out);

/* Returns 0 when the camera is gone. */
int v4l2_give_back(v4l2_camera *c, const v4l2_frame *frame);

void v4l2_close(v4l2_camera *c);

#endif
