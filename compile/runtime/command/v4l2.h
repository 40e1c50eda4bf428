/* v4l2.h: a camera of Video4Linux, opened and streaming into buffers that the driver shares.
 *
 * Drivers have one of two forms of the calls: with the whole picture in one piece of memory, or multi-planar, where a
 * buffer may have a piece for each plane. */
#ifndef TSM_V4L2_H
#define TSM_V4L2_H

#include "tsm_edge.h"

#include <stddef.h>
#include <stdint.h>

enum { V4L2_MOST_BUFFERS = 8, V4L2_MOST_PIECES = 3, V4L2_WHY = 1024 };

/* What is asked for: 0 leaves it to the camera. */
typedef struct {
    int width, height;
    double fps;
} v4l2_wish;

typedef struct {
    uint8_t *bytes;
    size_t size;
} v4l2_piece;

typedef struct {
    int fd;               /* -1: closed */
    uint32_t type;        /* of its buffers: which form of the calls the driver has */
    int width, height;
    int jpeg;             /* 1: frames are JPEGs */
    tsm_format format;    /* of frames that are not */
    tsm_color color;
    int nearest;          /* 1: the camera states another matrix than those of tsm_color, and `color` is the nearest */
    double fps;           /* granted; 0: the driver does not say */
    size_t pieces;        /* of a buffer: 1, or as many as the format has planes */
    size_t strides[V4L2_MOST_PIECES]; /* bytes of a row of the first plane in each piece; 0: no gap */
    size_t count;
    v4l2_piece buffers[V4L2_MOST_BUFFERS][V4L2_MOST_PIECES];
} v4l2_camera;

/* A frame in a shared buffer; give it back. */
typedef struct {
    unsigned index;
    v4l2_piece pieces[V4L2_MOST_PIECES]; /* what is in them */
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
