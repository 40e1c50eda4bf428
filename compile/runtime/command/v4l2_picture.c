/* v4l2_picture.c: the planes of a picture in a driver's memory. */
#include "v4l2_picture.h"

#include <string.h>

enum { MOST_STRIDE = 1 << 20 };

int v4l2_picture_of(v4l2_picture *out, const v4l2_camera *c, const tsm_frame *tight) {
    const size_t height = (size_t)tight->height;
    size_t at = 0;
    *out = (v4l2_picture){.count = 0};
    for (size_t i = 0; i < 3 && tight->strides[i] > 0; i++) {
        const size_t row = tight->strides[i], rows = i == 0 ? height : (height + 1) / 2;
        size_t stride = c->strides[c->pieces > 1 ? i : 0];
        if (c->pieces == 1 && i > 0 && tight->format == TSM_YUV420) stride = (stride + 1) / 2;
        if (stride == 0) stride = row;
        if (stride < row || stride > MOST_STRIDE) return 0;
        out->planes[i].piece = c->pieces > 1 ? i : 0;
        out->planes[i].at = c->pieces > 1 ? 0 : at;
        out->planes[i].row = row;
        out->planes[i].rows = rows;
        out->planes[i].stride = stride;
        out->count = i + 1;
        at += stride * rows;
    }
    return out->count > 0 && (c->pieces == 1 || c->pieces == out->count);
}

int v4l2_picture_copy(const v4l2_picture *picture, const v4l2_frame *frame, uint8_t *to) {
    for (size_t i = 0; i < picture->count; i++) {
        const size_t end = picture->planes[i].at + picture->planes[i].stride * (picture->planes[i].rows - 1) + picture->planes[i].row;
        if (frame->pieces[picture->planes[i].piece].size < end) return 0;
    }
    for (size_t i = 0; i < picture->count; i++) {
        const size_t row = picture->planes[i].row, rows = picture->planes[i].rows, stride = picture->planes[i].stride;
        const uint8_t *from = frame->pieces[picture->planes[i].piece].bytes + picture->planes[i].at;
        if (stride == row) memcpy(to, from, row * rows);
        else
            for (size_t r = 0; r < rows; r++) memcpy(to + r * row, from + r * stride, row);
        to += row * rows;
    }
    return 1;
}
