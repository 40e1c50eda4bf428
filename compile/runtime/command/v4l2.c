/* v4l2.c: a camera of Video4Linux: frames through mmap. */
#define _DEFAULT_SOURCE
#include "v4l2_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __GLIBC__
typedef unsigned long request_code;
#else
typedef int request_code; /* as POSIX has it, and musl and Android */
#endif

int v4l2_control(int fd, unsigned long request, void *argument) {
    int done;
    do done = ioctl(fd, (request_code)request, argument);
    while (done < 0 && errno == EINTR);
    return done;
}

int v4l2_because(char *why, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, V4L2_WHY, format, arguments);
    va_end(arguments);
    return 0;
}

/* -- The stream ---------------------------------------------------------------------------------------------------- */

/* A buffer as the calls take it: `planes` has room for V4L2_MOST_PIECES. */
static struct v4l2_buffer describe(const v4l2_camera *c, uint32_t index, struct v4l2_plane *planes) {
    struct v4l2_buffer b = {.index = index, .type = c->type, .memory = V4L2_MEMORY_MMAP};
    memset(planes, 0, V4L2_MOST_PIECES * sizeof *planes);
    if (c->type == V4L2_BUF_TYPE_VIDEO_CAPTURE) return b;
    b.m.planes = planes;
    b.length = (uint32_t)c->pieces;
    return b;
}

/* Maps the pieces of a buffer into memory. Returns 0 after an error (errno). */
static int map(v4l2_camera *c, const struct v4l2_buffer *b) {
    const int single = c->type == V4L2_BUF_TYPE_VIDEO_CAPTURE;
    for (size_t i = 0; i < c->pieces; i++) {
        const size_t size = single ? b->length : b->m.planes[i].length;
        const uint32_t offset = single ? b->m.offset : b->m.planes[i].m.mem_offset;
        void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, (off_t)offset);
        if (bytes == MAP_FAILED) return 0;
        c->buffers[b->index][i] = (v4l2_piece){bytes, size};
    }
    return 1;
}

/* Returns 0 after an error (errno). */
static int begin(v4l2_camera *c) {
    struct v4l2_requestbuffers request = {.count = 4, .type = c->type, .memory = V4L2_MEMORY_MMAP};
    struct v4l2_plane planes[V4L2_MOST_PIECES];
    if (v4l2_control(c->fd, VIDIOC_REQBUFS, &request) < 0) return 0;
    if (request.count < 1) return errno = ENOMEM, 0;
    for (uint32_t i = 0; i < request.count && i < V4L2_MOST_BUFFERS; i++) {
        struct v4l2_buffer b = describe(c, i, planes);
        if (v4l2_control(c->fd, VIDIOC_QUERYBUF, &b) < 0) return 0;
        c->count = i + 1; /* for v4l2_close, also when it is mapped in part */
        if (!map(c, &b)) return 0;
        b = describe(c, i, planes);
        if (v4l2_control(c->fd, VIDIOC_QBUF, &b) < 0) return 0;
    }
    return v4l2_control(c->fd, VIDIOC_STREAMON, &c->type) == 0;
}

static int start(v4l2_camera *c, const char *path, char *why) {
    if (begin(c)) return 1;
    return v4l2_because(why, errno == EBUSY ? "%s is busy: another program streams from it\n  found: %s\n"
                                              "  hint: see which one with: fuser -v %s"
                                            : "%s cannot stream\n  found: %s\n  hint: unplug %s and try again, at a smaller --size",
                        path, strerror(errno), path);
}

/* Sets the form of the calls. */
static int is_camera(v4l2_camera *c, const char *path, char *why) {
    struct v4l2_capability found = {.capabilities = 0};
    if (v4l2_control(c->fd, VIDIOC_QUERYCAP, &found) < 0)
        return v4l2_because(why, "%s is not a camera\n  found: %s\n  hint: list cameras with: ls -l /dev/v4l/by-id", path,
                            strerror(errno));
    const uint32_t can = found.capabilities & V4L2_CAP_DEVICE_CAPS ? found.device_caps : found.capabilities;
    const uint32_t captures = can & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE);
    c->type = can & V4L2_CAP_VIDEO_CAPTURE ? V4L2_BUF_TYPE_VIDEO_CAPTURE : V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    if (captures && (can & V4L2_CAP_STREAMING)) return 1;
    return v4l2_because(why, "%s gives no frames\n  found: %.32s, %s\n  allowed: a device that captures video and streams\n"
                             "  hint: a camera often has several devices; try its first one", path,
                        (const char *)found.card, captures ? "read() only" : "no capture of video");
}

int v4l2_open(v4l2_camera *c, const char *path, const v4l2_wish *wish, char *why, int *usage) {
    *c = (v4l2_camera){.fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)};
    *usage = 0;
    if (c->fd < 0)
        return v4l2_because(why, errno == ENOENT || errno == ENODEV || errno == ENXIO
                                     ? "there is no camera %s\n  found: %s\n  hint: see what there is: ls -l /dev/video* /dev/v4l/by-id"
                                 : errno == EACCES || errno == EPERM
                                     ? "camera %s cannot be opened\n  found: %s\n  hint: sudo usermod -aG video \"$USER\", then log in again"
                                 : errno == EBUSY ? "%s is busy: another program streams from it\n  found: %s"
                                                  : "camera %s cannot be opened\n  found: %s",
                            path, strerror(errno));
    if (is_camera(c, path, why) && v4l2_choose(c, path, wish, why, usage) && start(c, path, why)) return 1;
    v4l2_close(c);
    return 0;
}

int v4l2_take(v4l2_camera *c, v4l2_frame *out) {
    struct v4l2_plane planes[V4L2_MOST_PIECES];
    struct v4l2_buffer b = describe(c, 0, planes);
    if (v4l2_control(c->fd, VIDIOC_DQBUF, &b) < 0) return errno == EAGAIN ? 0 : -1;
    if (b.index >= c->count) return -1;
    *out = (v4l2_frame){.index = b.index, .damaged = (b.flags & V4L2_BUF_FLAG_ERROR) != 0};
    for (size_t i = 0; i < c->pieces; i++) {
        const v4l2_piece whole = c->buffers[b.index][i];
        const int single = c->type == V4L2_BUF_TYPE_VIDEO_CAPTURE;
        const size_t end = single ? b.bytesused : planes[i].bytesused, from = single ? 0 : planes[i].data_offset;
        const size_t stop = end < whole.size ? end : whole.size;
        out->pieces[i] = (v4l2_piece){whole.bytes + (from < stop ? from : 0), from < stop ? stop - from : 0};
    }
    if ((b.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC)
        out->stamp_ns = (uint64_t)b.timestamp.tv_sec * 1000000000u + (uint64_t)b.timestamp.tv_usec * 1000u;
    return 1;
}

int v4l2_give_back(v4l2_camera *c, const v4l2_frame *frame) {
    struct v4l2_plane planes[V4L2_MOST_PIECES];
    struct v4l2_buffer b = describe(c, frame->index, planes);
    return v4l2_control(c->fd, VIDIOC_QBUF, &b) == 0;
}

void v4l2_close(v4l2_camera *c) {
    if (c->fd < 0) return;
    v4l2_control(c->fd, VIDIOC_STREAMOFF, &c->type);
    for (size_t i = 0; i < c->count; i++)
        for (size_t p = 0; p < c->pieces; p++)
            if (c->buffers[i][p].bytes != NULL) munmap(c->buffers[i][p].bytes, c->buffers[i][p].size);
    close(c->fd);
    c->fd = -1;
    c->count = 0;
}
