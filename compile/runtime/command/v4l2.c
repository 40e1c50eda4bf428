/* v4l2.c: a camera of Video4Linux: which format, and frames through mmap.
 *
 * Formats are tried in the order of `known`: the first that has the wished size at the wished rate, else the first with
 * the size. JPEG is last, for it costs its decoding; HD cameras on USB 2 reach their rate with nothing else. */
#define _DEFAULT_SOURCE
#include "v4l2.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct {
    uint32_t code;
    tsm_format format;
    int jpeg;
} known[] = {
    {V4L2_PIX_FMT_YUYV, TSM_YUYV, 0},  {V4L2_PIX_FMT_NV12, TSM_NV12, 0},  {V4L2_PIX_FMT_YUV420, TSM_YUV420, 0},
    {V4L2_PIX_FMT_BGR24, TSM_BGR, 0},  {V4L2_PIX_FMT_RGB24, TSM_RGB, 0},  {V4L2_PIX_FMT_GREY, TSM_GREY, 0},
    {V4L2_PIX_FMT_MJPEG, TSM_RGB, 1},  {V4L2_PIX_FMT_JPEG, TSM_RGB, 1},
};
enum { KNOWN = sizeof known / sizeof *known, MOST_LISTED = 64 };

#ifdef __GLIBC__
typedef unsigned long request_code;
#else
typedef int request_code; /* as POSIX has it, and musl and Android */
#endif

static int control(int fd, unsigned long request, void *argument) {
    int done;
    do done = ioctl(fd, (request_code)request, argument);
    while (done < 0 && errno == EINTR);
    return done;
}

__attribute__((format(printf, 2, 3))) static int because(char *why, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, V4L2_WHY, format, arguments);
    va_end(arguments);
    return 0;
}

/* -- What the camera offers ---------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void add(char *list, const char *format, ...) {
    const size_t used = strlen(list), room = V4L2_WHY / 2;
    va_list arguments;
    if (used + 1 >= room) return;
    va_start(arguments, format);
    vsnprintf(list + used, room - used, format, arguments);
    va_end(arguments);
}

/* A code of four letters, as text. */
static const char *letters(uint32_t code, char out[5]) {
    for (int i = 0; i < 4; i++, code >>= 8) out[i] = (char)((code & 0x7f) >= ' ' && (code & 0x7f) < 0x7f ? code & 0x7f : '?');
    out[4] = '\0';
    return out;
}

/* The formats and sizes of the camera, in words. Sets bit i of *offered for known[i]. */
static void list_formats(int fd, char *list, unsigned *offered) {
    *list = '\0';
    *offered = 0;
    for (uint32_t i = 0; i < MOST_LISTED; i++) {
        struct v4l2_fmtdesc format = {.index = i, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
        char name[5];
        if (control(fd, VIDIOC_ENUM_FMT, &format) < 0) return;
        for (int k = 0; k < KNOWN; k++)
            if (known[k].code == format.pixelformat) *offered |= 1u << k;
        add(list, "%s%s", i > 0 ? "; " : "", letters(format.pixelformat, name));
        for (uint32_t s = 0; s < MOST_LISTED; s++) {
            struct v4l2_frmsizeenum size = {.index = s, .pixel_format = format.pixelformat};
            if (control(fd, VIDIOC_ENUM_FRAMESIZES, &size) < 0) break;
            if (size.type == V4L2_FRMSIZE_TYPE_DISCRETE) {
                add(list, " %ux%u", size.discrete.width, size.discrete.height);
                continue;
            }
            add(list, " %ux%u to %ux%u", size.stepwise.min_width, size.stepwise.min_height, size.stepwise.max_width,
                size.stepwise.max_height);
            break;
        }
    }
}

/* -- The choice of a format ---------------------------------------------------------------------------------------- */

/* BT.709 only where the driver says it: USB cameras give BT.601 at every size, unless they state another. */
static tsm_color color_of(const struct v4l2_pix_format *p) {
    const int hd = p->ycbcr_enc == V4L2_YCBCR_ENC_709 ||
                   (p->ycbcr_enc == V4L2_YCBCR_ENC_DEFAULT && p->colorspace == V4L2_COLORSPACE_REC709);
    const int full = p->quantization == V4L2_QUANTIZATION_FULL_RANGE ||
                     (p->quantization == V4L2_QUANTIZATION_DEFAULT && p->colorspace == V4L2_COLORSPACE_JPEG);
    return (tsm_color)((hd ? TSM_BT709 : TSM_BT601) + full);
}

/* Asks for a rate; returns the one that is granted, 0 where the driver has none. */
static double set_rate(int fd, double fps) {
    struct v4l2_streamparm p = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
    if (control(fd, VIDIOC_G_PARM, &p) < 0) return 0.0;
    if (fps > 0.0 && (p.parm.capture.capability & V4L2_CAP_TIMEPERFRAME)) {
        p.parm.capture.timeperframe = (struct v4l2_fract){1000, (uint32_t)(fps * 1000.0 + 0.5)};
        if (control(fd, VIDIOC_S_PARM, &p) < 0) return 0.0;
    }
    const struct v4l2_fract period = p.parm.capture.timeperframe;
    return period.numerator > 0 ? (double)period.denominator / (double)period.numerator : 0.0;
}

/* Sets format known[index]. Returns 2 when size and rate are as wished, 1 when the size is, 0 when it is not to be had,
 * -1 after an error (errno). */
static int set_format(v4l2_camera *c, int index, const v4l2_wish *wish) {
    struct v4l2_format f = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
    struct v4l2_pix_format *p = &f.fmt.pix;
    p->width = wish->width > 0 ? (uint32_t)wish->width : 640;
    p->height = wish->height > 0 ? (uint32_t)wish->height : 480;
    p->pixelformat = known[index].code;
    p->field = V4L2_FIELD_NONE;
    if (control(c->fd, VIDIOC_S_FMT, &f) < 0) return errno == EINVAL ? 0 : -1;
    if (p->pixelformat != known[index].code || p->width < 1 || p->height < 1 || p->width > TSM_MAX_IMAGE_SIDE ||
        p->height > TSM_MAX_IMAGE_SIDE)
        return 0;
    if (wish->width > 0 && ((int)p->width != wish->width || (int)p->height != wish->height)) return 0;
    c->width = (int)p->width;
    c->height = (int)p->height;
    c->jpeg = known[index].jpeg;
    c->format = known[index].format;
    c->color = color_of(p);
    c->stride = p->bytesperline;
    c->fps = set_rate(c->fd, wish->fps);
    return c->fps <= 0.0 || wish->fps <= 0.0 || c->fps >= 0.9 * wish->fps ? 2 : 1;
}

static int choose(v4l2_camera *c, const char *path, const v4l2_wish *wish, char *why, int *usage) {
    char list[V4L2_WHY / 2];
    unsigned offered;
    list_formats(c->fd, list, &offered);
    for (int least = 2; least > 0; least--)
        for (int i = 0; i < KNOWN; i++) {
            if (!(offered & 1u << i)) continue;
            const int good = set_format(c, i, wish);
            if (good < 0)
                return because(why, errno == EBUSY ? "%s is busy: another program streams from it\n  found: %s\n"
                                                     "  hint: see which one with: fuser -v %s"
                                                   : "%s refuses its own format\n  found: %s\n  hint: unplug %s",
                               path, strerror(errno), path);
            if (good >= least) return 1;
        }
    if (offered == 0)
        return because(why, "%s offers no format that can be read here\n  found: %s\n"
                            "  allowed: YUYV, NV12, YU12, BGR3, RGB3, GREY, MJPG, JPEG\n"
                            "  hint: of a Raspberry Pi's camera module: rpicam-vid -t 0 --codec yuv420 -o - | "
                            "tsm-edge-run --raw 640x480 --format yuv420", path, list[0] ? list : "nothing");
    *usage = 1;
    return because(why, "%s does not offer %dx%d\n  found: %s\n  hint: choose one of these sizes with --size", path,
                   wish->width, wish->height, list);
}

/* -- The stream ---------------------------------------------------------------------------------------------------- */

static int begin(v4l2_camera *c, const char *path, char *why) {
    struct v4l2_requestbuffers request = {.count = 4, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
    enum v4l2_buf_type type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    if (control(c->fd, VIDIOC_REQBUFS, &request) < 0) goto failed;
    for (uint32_t i = 0; i < request.count && i < V4L2_MOST_BUFFERS; i++) {
        struct v4l2_buffer b = {.index = i, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
        if (control(c->fd, VIDIOC_QUERYBUF, &b) < 0) goto failed;
        void *bytes = mmap(NULL, b.length, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, (off_t)b.m.offset);
        if (bytes == MAP_FAILED) goto failed;
        c->buffers[i].bytes = bytes;
        c->buffers[i].size = b.length;
        c->count = i + 1;
        if (control(c->fd, VIDIOC_QBUF, &b) < 0) goto failed;
    }
    if (control(c->fd, VIDIOC_STREAMON, &type) < 0) goto failed;
    return 1;
failed:
    return because(why, errno == EBUSY ? "%s is busy: another program streams from it\n  found: %s\n"
                                         "  hint: see which one with: fuser -v %s"
                                       : "%s cannot stream\n  found: %s\n  hint: unplug %s and try again, at a smaller --size",
                   path, strerror(errno), path);
}

static int is_camera(int fd, const char *path, char *why) {
    struct v4l2_capability found = {.capabilities = 0};
    if (control(fd, VIDIOC_QUERYCAP, &found) < 0)
        return because(why, "%s is not a camera\n  found: %s\n  hint: list cameras with: ls -l /dev/v4l/by-id", path,
                       strerror(errno));
    const uint32_t can = found.capabilities & V4L2_CAP_DEVICE_CAPS ? found.device_caps : found.capabilities;
    if ((can & V4L2_CAP_VIDEO_CAPTURE) && (can & V4L2_CAP_STREAMING)) return 1;
    return because(why, "%s gives no frames\n  found: %.32s, %s\n  allowed: a device that captures video and streams\n"
                        "  hint: a camera often has several devices; try its first one", path, (const char *)found.card,
                   can & V4L2_CAP_VIDEO_CAPTURE_MPLANE ? "planes in several buffers"
                   : can & V4L2_CAP_VIDEO_CAPTURE      ? "read() only"
                                                       : "no capture of video");
}

int v4l2_open(v4l2_camera *c, const char *path, const v4l2_wish *wish, char *why, int *usage) {
    *c = (v4l2_camera){.fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)};
    *usage = 0;
    if (c->fd < 0)
        return because(why, errno == ENOENT || errno == ENODEV || errno == ENXIO
                                ? "there is no camera %s\n  found: %s\n  hint: see what there is: ls -l /dev/video* /dev/v4l/by-id"
                            : errno == EACCES || errno == EPERM
                                ? "camera %s cannot be opened\n  found: %s\n  hint: sudo usermod -aG video \"$USER\", then log in again"
                                : "camera %s cannot be opened\n  found: %s",
                       path, strerror(errno));
    if (is_camera(c->fd, path, why) && choose(c, path, wish, why, usage) && begin(c, path, why)) return 1;
    v4l2_close(c);
    return 0;
}

int v4l2_take(v4l2_camera *c, v4l2_frame *out) {
    struct v4l2_buffer b = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
    if (control(c->fd, VIDIOC_DQBUF, &b) < 0) return errno == EAGAIN ? 0 : -1;
    if (b.index >= c->count) return -1;
    const size_t size = c->buffers[b.index].size;
    *out = (v4l2_frame){.index = b.index, .bytes = c->buffers[b.index].bytes, .damaged = (b.flags & V4L2_BUF_FLAG_ERROR) != 0};
    out->used = b.bytesused < size ? b.bytesused : size;
    if ((b.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC)
        out->stamp_ns = (uint64_t)b.timestamp.tv_sec * 1000000000u + (uint64_t)b.timestamp.tv_usec * 1000u;
    return 1;
}

int v4l2_give_back(v4l2_camera *c, const v4l2_frame *frame) {
    struct v4l2_buffer b = {.index = frame->index, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
    return control(c->fd, VIDIOC_QBUF, &b) == 0;
}

void v4l2_close(v4l2_camera *c) {
    if (c->fd < 0) return;
    enum v4l2_buf_type type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    control(c->fd, VIDIOC_STREAMOFF, &type);
    for (size_t i = 0; i < c->count; i++) munmap(c->buffers[i].bytes, c->buffers[i].size);
    close(c->fd);
    c->fd = -1;
    c->count = 0;
}
