/* v4l2_format.c: what a camera offers, and which format is taken.
 *
 * Formats are tried in the order of `known`: the first that has the wished size at the wished rate, else the first with
 * the size. JPEG is last, for it costs its decoding; HD cameras on USB 2 reach their rate with nothing else. */
#define _DEFAULT_SOURCE
#include "v4l2_calls.h"

#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    uint32_t code;
    tsm_format format;
    size_t pieces;
    int jpeg;
} known[] = {
    {V4L2_PIX_FMT_YUYV, TSM_YUYV, 1, 0},     {V4L2_PIX_FMT_NV12, TSM_NV12, 1, 0},
    {V4L2_PIX_FMT_NV12M, TSM_NV12, 2, 0},    {V4L2_PIX_FMT_YUV420, TSM_YUV420, 1, 0},
    {V4L2_PIX_FMT_YUV420M, TSM_YUV420, 3, 0}, {V4L2_PIX_FMT_BGR24, TSM_BGR, 1, 0},
    {V4L2_PIX_FMT_RGB24, TSM_RGB, 1, 0},     {V4L2_PIX_FMT_GREY, TSM_GREY, 1, 0},
    {V4L2_PIX_FMT_MJPEG, TSM_RGB, 1, 1},     {V4L2_PIX_FMT_JPEG, TSM_RGB, 1, 1},
};
enum { KNOWN = sizeof known / sizeof *known, MOST_LISTED = 64 };

static const char ALLOWED[] = "YUYV, NV12, NM12, YU12, YM12, BGR3, RGB3, GREY, MJPG, JPEG";

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

static void list_sizes(int fd, uint32_t code, char *list) {
    for (uint32_t i = 0; i < MOST_LISTED; i++) {
        struct v4l2_frmsizeenum size = {.index = i, .pixel_format = code};
        if (v4l2_control(fd, VIDIOC_ENUM_FRAMESIZES, &size) < 0) return;
        if (size.type != V4L2_FRMSIZE_TYPE_DISCRETE) {
            add(list, " %ux%u to %ux%u", size.stepwise.min_width, size.stepwise.min_height, size.stepwise.max_width,
                size.stepwise.max_height);
            return;
        }
        add(list, " %ux%u", size.discrete.width, size.discrete.height);
    }
}

/* The formats and sizes of the camera, in words. Sets bit i of *offered for known[i]. */
static void list_formats(const v4l2_camera *c, char *list, unsigned *offered) {
    *list = '\0';
    *offered = 0;
    for (uint32_t i = 0; i < MOST_LISTED; i++) {
        struct v4l2_fmtdesc format = {.index = i, .type = c->type};
        char name[5];
        if (v4l2_control(c->fd, VIDIOC_ENUM_FMT, &format) < 0) return;
        for (int k = 0; k < KNOWN; k++)
            if (known[k].code == format.pixelformat) *offered |= 1u << k;
        add(list, "%s%s", i > 0 ? "; " : "", letters(format.pixelformat, name));
        list_sizes(c->fd, format.pixelformat, list);
    }
}

/* -- The choice ---------------------------------------------------------------------------------------------------- */

/* What the driver makes of a request, of both forms of the call. */
typedef struct {
    uint32_t width, height, code, colorspace, matrix, range;
    size_t pieces, strides[V4L2_MOST_PIECES];
} granted;

/* Returns 0 after an error (errno). */
static int ask(const v4l2_camera *c, uint32_t code, const v4l2_wish *wish, granted *out) {
    struct v4l2_format f = {.type = c->type};
    const uint32_t width = wish->width > 0 ? (uint32_t)wish->width : 640;
    const uint32_t height = wish->height > 0 ? (uint32_t)wish->height : 480;
    if (c->type == V4L2_BUF_TYPE_VIDEO_CAPTURE) {
        struct v4l2_pix_format *p = &f.fmt.pix;
        p->width = width, p->height = height, p->pixelformat = code, p->field = V4L2_FIELD_NONE;
        if (v4l2_control(c->fd, VIDIOC_S_FMT, &f) < 0) return 0;
        *out = (granted){p->width, p->height, p->pixelformat, p->colorspace, p->ycbcr_enc, p->quantization, 1,
                         {p->bytesperline}};
        return 1;
    }
    struct v4l2_pix_format_mplane *p = &f.fmt.pix_mp;
    p->width = width, p->height = height, p->pixelformat = code, p->field = V4L2_FIELD_NONE;
    if (v4l2_control(c->fd, VIDIOC_S_FMT, &f) < 0) return 0;
    *out = (granted){p->width, p->height, p->pixelformat, p->colorspace, p->ycbcr_enc, p->quantization, p->num_planes, {0}};
    for (size_t i = 0; i < out->pieces && i < V4L2_MOST_PIECES; i++) out->strides[i] = p->plane_fmt[i].bytesperline;
    return 1;
}

/* Matrix and range as the driver states them. Where it leaves the matrix open the colour space decides, as the API has it,
 * and the range is limited but for the colour space of JPEG. Of BT.2020 and SMPTE 240M, BT.709 is the nearest. */
static void set_color(v4l2_camera *c, const granted *g) {
    uint32_t matrix = g->matrix;
    if (matrix == V4L2_YCBCR_ENC_DEFAULT)
        matrix = g->colorspace == V4L2_COLORSPACE_REC709 || g->colorspace == V4L2_COLORSPACE_DCI_P3 ? V4L2_YCBCR_ENC_709
                 : g->colorspace == V4L2_COLORSPACE_BT2020                                        ? V4L2_YCBCR_ENC_BT2020
                 : g->colorspace == V4L2_COLORSPACE_SMPTE240M ? V4L2_YCBCR_ENC_SMPTE240M
                                                              : V4L2_YCBCR_ENC_601;
    const int full = g->range == V4L2_QUANTIZATION_FULL_RANGE ||
                     (g->range == V4L2_QUANTIZATION_DEFAULT && g->colorspace == V4L2_COLORSPACE_JPEG);
    const int old = matrix == V4L2_YCBCR_ENC_601 || matrix == V4L2_YCBCR_ENC_XV601 || matrix == V4L2_YCBCR_ENC_SYCC;
    c->nearest = !old && matrix != V4L2_YCBCR_ENC_709 && matrix != V4L2_YCBCR_ENC_XV709;
    c->color = (tsm_color)((old ? TSM_BT601 : TSM_BT709) + full);
}

/* Asks for a rate; returns the one that the camera has then, 0 where the driver does not say. */
static double set_rate(const v4l2_camera *c, double fps) {
    struct v4l2_streamparm now = {.type = c->type};
    if (v4l2_control(c->fd, VIDIOC_G_PARM, &now) < 0) return 0.0;
    if (fps > 0.0 && (now.parm.capture.capability & V4L2_CAP_TIMEPERFRAME)) {
        struct v4l2_streamparm asked = now;
        asked.parm.capture.timeperframe = (struct v4l2_fract){1000, (uint32_t)(fps * 1000.0 + 0.5)};
        if (v4l2_control(c->fd, VIDIOC_S_PARM, &asked) == 0) now = asked; /* refused: it keeps its rate */
    }
    const struct v4l2_fract period = now.parm.capture.timeperframe;
    return period.numerator > 0 ? (double)period.denominator / (double)period.numerator : 0.0;
}

/* Sets format known[index]. Returns 2 when size and rate are as wished, 1 when the size is, 0 when it is not to be had,
 * -1 after an error (errno). */
static int set_format(v4l2_camera *c, int index, const v4l2_wish *wish) {
    granted g;
    if (!ask(c, known[index].code, wish, &g)) return errno == EINVAL ? 0 : -1;
    if (g.code != known[index].code || g.pieces != known[index].pieces) return 0;
    if (g.width < 1 || g.height < 1 || g.width > TSM_MAX_IMAGE_SIDE || g.height > TSM_MAX_IMAGE_SIDE) return 0;
    if (wish->width > 0 && ((int)g.width != wish->width || (int)g.height != wish->height)) return 0;
    c->width = (int)g.width;
    c->height = (int)g.height;
    c->jpeg = known[index].jpeg;
    c->format = known[index].format;
    c->pieces = g.pieces;
    memcpy(c->strides, g.strides, sizeof c->strides);
    set_color(c, &g);
    c->fps = set_rate(c, wish->fps);
    return c->fps <= 0.0 || wish->fps <= 0.0 || c->fps >= 0.9 * wish->fps ? 2 : 1;
}

int v4l2_choose(v4l2_camera *c, const char *path, const v4l2_wish *wish, char *why, int *usage) {
    char list[V4L2_WHY / 2];
    unsigned offered;
    list_formats(c, list, &offered);
    for (int least = 2; least > 0; least--)
        for (int i = 0; i < KNOWN; i++) {
            if (!(offered & 1u << i)) continue;
            const int good = set_format(c, i, wish);
            if (good < 0)
                return v4l2_because(why, errno == EBUSY ? "%s is busy: another program streams from it\n  found: %s\n"
                                                          "  hint: see which one with: fuser -v %s"
                                                        : "%s refuses its own format\n  found: %s\n  hint: unplug %s",
                                    path, strerror(errno), path);
            if (good >= least) return 1;
        }
    if (offered == 0)
        return v4l2_because(why, "%s offers no format that can be read here\n  found: %s\n  allowed: %s\n"
                                 "  hint: of a Raspberry Pi's camera module: rpicam-vid -t 0 --codec yuv420 -o - | "
                                 "tsm-edge-run --raw 640x480 --format yuv420", path, list[0] ? list : "nothing", ALLOWED);
    *usage = wish->width > 0;
    if (!*usage)
        return v4l2_because(why, "%s takes none of the formats that it offers\n  found: %s\n"
                                 "  hint: ask for one of these sizes with --size", path, list);
    return v4l2_because(why, "%s does not offer %dx%d\n  found: %s\n  hint: choose one of these sizes with --size", path,
                        wish->width, wish->height, list);
}
