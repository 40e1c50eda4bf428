/* stand_in_v4l2.c: a camera /dev/video7, for LD_PRELOAD: the calls of V4L2 over a timer and a file of frames.
 *
 * V4L2_NODE     its path, if that is another
 * V4L2_FORMATS  what it offers, as "YUYV 64x48 32x24;MJPG 64x48"
 * V4L2_AFTER    the same once it was unplugged (as before)
 * V4L2_FRAMES   a file: for each frame four bytes with its size, little-endian, and the frame; they come round and round
 * V4L2_RATE     frames a second (30)
 * V4L2_PLANAR   1: it has the multi-planar form of the calls. Frames of NM12 and YM12 are then cut into their planes
 * V4L2_OFFSET   bytes before each plane (0), multi-planar only
 * V4L2_PAD      bytes behind each row (0)
 * V4L2_COLOUR   "colour space, matrix, range" by the numbers of the API ("8 0 0", which is sRGB)
 * V4L2_UNPLUG   after so many frames the device is gone; two attempts to open it fail, the third does not. It is then
 *               /dev/video9, and no longer /dev/video7, when V4L2_MOVES is set
 * V4L2_FAULT    busy, busy-at-once (open says so), not-a-camera, metadata, denied, interrupted (each call first returns
 *               EINTR), damaged (odd frames are cut), flagged (odd frames are marked as damaged), all-flagged, silent (no
 *               frame comes), fixed-rate (setting it is refused), no-rate (the driver has none), no-buffers, broken (EIO
 *               once, after three frames), short-rows
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { BUFFERS = 3, ROOM = 1 << 20, PIECE = ROOM / 4 }; /* bytes of a buffer, and of a plane in one */

static int device = -1, absent, gone, interrupted, unplugged;
static unsigned queued[BUFFERS], waiting, taken;
static uint8_t *memory, *frames, *at;
static size_t frames_size, pieces = 1;
static struct v4l2_pix_format now;

static int fault(const char *name) {
    const char *found = getenv("V4L2_FAULT");
    return found != NULL && strcmp(found, name) == 0;
}

static int number(const char *name, int usual) { return getenv(name) != NULL ? atoi(getenv(name)) : usual; }

/* Entry `index` of text between separators; returns its length, 0 behind the last. */
static size_t entry(const char *text, char separator, unsigned index, const char **out) {
    const char *end = strchr(text, ';');
    const size_t whole = separator == ';' || end == NULL ? strlen(text) : (size_t)(end - text);
    for (const char *place = text; place <= text + whole; index--) {
        const char *stop = memchr(place, separator, whole - (size_t)(place - text));
        const size_t size = stop == NULL ? whole - (size_t)(place - text) : (size_t)(stop - place);
        if (index == 0) return *out = place, size;
        place += size + 1;
    }
    return 0;
}

/* The entry of V4L2_FORMATS with this code, or number `index` where code is 0. */
static const char *offer(uint32_t code, unsigned index) {
    const char *found;
    const char *all = getenv(unplugged && getenv("V4L2_AFTER") ? "V4L2_AFTER" : "V4L2_FORMATS");
    for (unsigned i = 0; entry(all, ';', i, &found) > 0; i++)
        if (code == 0 ? i == index : memcmp(&code, found, 4) == 0) return found;
    return NULL;
}

static int size_of(const char *format, unsigned index, unsigned *width, unsigned *height) {
    const char *found;
    return entry(format, ' ', index + 1, &found) > 0 && sscanf(found, "%ux%u", width, height) == 2;
}

static void load(void) {
    FILE *file = fopen(getenv("V4L2_FRAMES"), "rb");
    frames = malloc(ROOM * 8);
    frames_size = fread(frames, 1, ROOM * 8, file);
    at = frames;
    fclose(file);
}

static int open_device(void) {
    if (fault("denied")) return errno = EACCES, -1;
    if (fault("busy-at-once")) return errno = EBUSY, -1;
    if (absent > 0) return absent--, errno = ENOENT, -1;
    const long period = 1000000000l / number("V4L2_RATE", 30);
    const struct itimerspec every = {{0, period}, {0, period}};
    if (frames == NULL) load();
    device = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    timerfd_settime(device, 0, &every, NULL);
    waiting = gone = 0;
    return device;
}

static int planar(void) { return number("V4L2_PLANAR", 0); }

static int set_format(struct v4l2_pix_format *p) {
    const char *format = offer(p->pixelformat, 0);
    unsigned width, height, nearest = 0;
    if (format == NULL) return errno = EINVAL, -1;
    for (unsigned i = 0; size_of(format, i, &width, &height); i++)
        if (width == p->width && height == p->height) nearest = i;
    size_of(format, nearest, &p->width, &p->height);
    const int packed = p->pixelformat == V4L2_PIX_FMT_YUYV;
    p->bytesperline = p->pixelformat == V4L2_PIX_FMT_MJPEG ? 0 : (packed ? 2 : 1) * p->width + (unsigned)number("V4L2_PAD", 0);
    if (fault("short-rows")) p->bytesperline = p->width / 2;
    p->sizeimage = ROOM;
    const char *colour = getenv("V4L2_COLOUR") != NULL ? getenv("V4L2_COLOUR") : "8 0 0";
    sscanf(colour, "%u %u %u", &p->colorspace, &p->ycbcr_enc, &p->quantization);
    pieces = p->pixelformat == V4L2_PIX_FMT_NV12M ? 2 : p->pixelformat == V4L2_PIX_FMT_YUV420M ? 3 : 1;
    now = *p;
    return 0;
}

static int set_planar_format(struct v4l2_pix_format_mplane *p) {
    struct v4l2_pix_format same = {.width = p->width, .height = p->height, .pixelformat = p->pixelformat};
    if (set_format(&same) < 0) return -1;
    p->width = same.width;
    p->height = same.height;
    p->colorspace = same.colorspace;
    p->ycbcr_enc = (uint8_t)same.ycbcr_enc;
    p->quantization = (uint8_t)same.quantization;
    p->num_planes = (uint8_t)pieces;
    for (unsigned i = 0; i < pieces; i++) /* U and V of their own have half the row */
        p->plane_fmt[i].bytesperline = i > 0 && pieces == 3 ? same.bytesperline / 2 : same.bytesperline;
    return 0;
}

/* Puts a frame into a buffer; bytesused says of each piece what is in it. */
static void fill(struct v4l2_buffer *b, const uint8_t *frame, uint32_t size, int cut) {
    const unsigned offset = (unsigned)number("V4L2_OFFSET", 0);
    uint8_t *place = memory + (size_t)b->index * ROOM;
    if (!planar()) {
        memcpy(place, frame, size);
        b->bytesused = cut ? size / 2 : size;
        return;
    }
    const uint32_t first = pieces == 1 ? size : now.bytesperline * now.height, rest = pieces == 1 ? 0 : size - first;
    for (unsigned i = 0; i < pieces; i++) {
        const uint32_t own = i == 0 ? first : rest / (uint32_t)(pieces - 1);
        memcpy(place + i * PIECE + offset, frame, own);
        b->m.planes[i].data_offset = offset;
        b->m.planes[i].bytesused = offset + (cut && i == pieces - 1 ? own / 2 : own);
        frame += own;
    }
}

static int take(struct v4l2_buffer *b) {
    uint64_t ticks;
    if (read(device, &ticks, sizeof ticks) < 0 || waiting == 0) return errno = EAGAIN, -1;
    if (fault("silent")) return errno = EAGAIN, -1;
    if (fault("broken") && taken == 3) return taken++, errno = EIO, -1;
    if (taken > 0 && (int)taken == number("V4L2_UNPLUG", -1))
        return absent = 2, gone = unplugged = 1, taken++, errno = ENODEV, -1;
    uint32_t size;
    if (at + 4 > frames + frames_size) at = frames;
    memcpy(&size, at, 4);
    b->index = queued[0];
    if (!planar()) b->length = ROOM;
    memmove(queued, queued + 1, sizeof queued - sizeof *queued);
    waiting--;
    fill(b, at + 4, size, fault("damaged") && taken % 2);
    at += 4 + size;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    b->timestamp = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
    b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    if (fault("all-flagged") || (fault("flagged") && taken % 2)) b->flags |= V4L2_BUF_FLAG_ERROR;
    taken++;
    return 0;
}

static int query_buffer(struct v4l2_buffer *b) {
    b->length = planar() ? (uint32_t)pieces : ROOM;
    for (unsigned i = 0; planar() && i < pieces; i++) {
        b->m.planes[i].length = PIECE;
        b->m.planes[i].m.mem_offset = b->index * ROOM + i * PIECE;
    }
    if (!planar()) b->m.offset = b->index * ROOM;
    return 0;
}

static int rate(struct v4l2_streamparm *p, int set) {
    if (fault("no-rate")) return errno = ENOTTY, -1;
    if (set && fault("fixed-rate")) return errno = EINVAL, -1;
    p->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    p->parm.capture.timeperframe = (struct v4l2_fract){1, (uint32_t)number("V4L2_RATE", 30)};
    return 0;
}

static int capabilities(struct v4l2_capability *c) {
    if (fault("not-a-camera")) return errno = ENOTTY, -1;
    strcpy((char *)c->card, "stand-in");
    strcpy((char *)c->driver, "timer");
    c->device_caps = fault("metadata") ? V4L2_CAP_META_CAPTURE
                     : planar()        ? V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING
                                       : V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    c->capabilities = V4L2_CAP_DEVICE_CAPS | c->device_caps;
    return 0;
}

/* As drivers do it: the other form of the calls is refused. */
static int wrong_form(unsigned long request, const void *argument) {
    uint32_t type;
    if (request == VIDIOC_STREAMON || request == VIDIOC_STREAMOFF || request == VIDIOC_S_FMT || request == VIDIOC_G_PARM ||
        request == VIDIOC_S_PARM)
        memcpy(&type, argument, sizeof type);
    else if (request == VIDIOC_ENUM_FMT) type = ((const struct v4l2_fmtdesc *)argument)->type;
    else if (request == VIDIOC_REQBUFS) type = ((const struct v4l2_requestbuffers *)argument)->type;
    else if (request == VIDIOC_QUERYBUF || request == VIDIOC_QBUF || request == VIDIOC_DQBUF) {
        const struct v4l2_buffer *b = argument;
        type = b->type;
        if (planar() && (b->m.planes == NULL || b->length < pieces)) return 1;
    } else return 0;
    return type != (uint32_t)(planar() ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE);
}

static int answer(unsigned long request, void *argument) {
    struct v4l2_fmtdesc *d = argument;
    struct v4l2_frmsizeenum *s = argument;
    struct v4l2_frmivalenum *i = argument;
    struct v4l2_format *f = argument;
    struct v4l2_buffer *b = argument;
    const char *format;
    if (gone) return errno = ENODEV, -1;
    if (wrong_form(request, argument)) return errno = EINVAL, -1;
    switch (request) {
    case VIDIOC_QUERYCAP: return capabilities(argument);
    case VIDIOC_ENUM_FMT:
        if ((format = offer(0, d->index)) == NULL) return errno = EINVAL, -1;
        return memcpy(&d->pixelformat, format, 4), 0;
    case VIDIOC_ENUM_FRAMESIZES:
        s->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        format = offer(s->pixel_format, 0);
        if (format != NULL && size_of(format, s->index, &s->discrete.width, &s->discrete.height)) return 0;
        return errno = EINVAL, -1;
    case VIDIOC_ENUM_FRAMEINTERVALS:
        i->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        i->discrete = (struct v4l2_fract){1, (uint32_t)number("V4L2_RATE", 30)};
        return i->index == 0 ? 0 : (errno = EINVAL, -1);
    case VIDIOC_G_FMT: return planar() ? (errno = ENOTTY, -1) : (f->fmt.pix = now, 0);
    case VIDIOC_S_FMT: return planar() ? set_planar_format(&f->fmt.pix_mp) : set_format(&f->fmt.pix);
    case VIDIOC_G_PARM: return rate(argument, 0);
    case VIDIOC_S_PARM: return rate(argument, 1);
    case VIDIOC_REQBUFS:
        if (fault("busy")) return errno = EBUSY, -1;
        ((struct v4l2_requestbuffers *)argument)->count = fault("no-buffers") ? 0 : BUFFERS;
        if (memory == NULL) memory = mmap(NULL, BUFFERS * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return 0;
    case VIDIOC_QUERYBUF: return query_buffer(b);
    case VIDIOC_QBUF: return queued[waiting++ % BUFFERS] = b->index, 0;
    case VIDIOC_DQBUF: return take(b);
    case VIDIOC_STREAMON: return 0;
    case VIDIOC_STREAMOFF: return waiting = 0, 0;
    default: return errno = ENOTTY, -1;
    }
}

/* The path behind a link such as /dev/v4l/by-id has. */
static int is_device(const char *path) {
    char target[256] = "";
    if (readlink(path, target, sizeof target - 1) > 0) path = target;
    const char *node = getenv("V4L2_NODE") != NULL ? getenv("V4L2_NODE") : "/dev/video7";
    return strcmp(path, unplugged && getenv("V4L2_MOVES") ? "/dev/video9" : node) == 0;
}

/* -- The calls ----------------------------------------------------------------------------------------------------- */

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name)

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    if (is_device(path)) return open_device();
    REAL(open);
    return real(path, flags, mode);
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (fd == device && device >= 0) {
        if (fault("interrupted") && (interrupted = !interrupted)) return errno = EINTR, -1;
        return answer(request, argument);
    }
    REAL(ioctl);
    return real(fd, request, argument);
}

void *mmap(void *place, size_t size, int protection, int flags, int fd, off_t offset) {
    if (fd == device && device >= 0) return memory + offset;
    REAL(mmap);
    return real(place, size, protection, flags, fd, offset);
}

int munmap(void *place, size_t size) {
    if (memory != NULL && (uint8_t *)place >= memory && (uint8_t *)place < memory + BUFFERS * ROOM) return 0;
    REAL(munmap);
    return real(place, size);
}

int close(int fd) {
    REAL(close);
    if (fd == device) device = -1;
    return real(fd);
}
