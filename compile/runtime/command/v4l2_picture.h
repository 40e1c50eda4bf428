/* v4l2_picture.h: the planes of a picture in a driver's memory, with gaps behind their rows. */
#ifndef TSM_V4L2_PICTURE_H
#define TSM_V4L2_PICTURE_H

#include "v4l2.h"

typedef struct {
    size_t count;
    struct {
        size_t piece, at;         /* where it begins: the piece of a buffer, and bytes from there */
        size_t row, rows, stride; /* bytes of a row, their number, bytes from one to the next */
    } planes[3];
} v4l2_picture;

/* Where the planes of such a frame lie; `tight` is the same frame without gaps. Returns 0 when the strides that the driver
 * states are shorter than a row or beyond reason. */
int v4l2_picture_of(v4l2_picture *out, const v4l2_camera *c, const tsm_frame *tight);

/* Copies the planes one behind the other, without gaps. Returns 0 when the frame is too short; `to` is then untouched. */
int v4l2_picture_copy(const v4l2_picture *picture, const v4l2_frame *frame, uint8_t *to);

#endif
