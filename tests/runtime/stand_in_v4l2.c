/* stand_in_v4l2.c: a camera /dev/video7, for LD_PRELOAD: the calls of V4L2 over a timer and a file of frames.
 *
 * V4L2_FORMATS  what it offers, as "YUYV 64x48 32x24;MJPG 64x48"
 * V4L2_FRAMES   a file: for each frame four bytes with its size, little-endian, and the frame; they come round and round
 * V4L2_RATE     frames a second (30)
 * V4L2_UNPLUG   after so many frames the device is gone; two attempts to open it fail, the third does not
 * V4L2_FAULT    busy, not-a-camera, metadata, denied, interrupted (each call first returns EINTR), damaged (odd frames)
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

enum { BUFFERS = 3, ROOM = 1 << 20 };

static int device = -1, absent, interrupted;
static unsigned queued[BUFFERS], waiting, taken;
static uint8_t *memory, *frames, *at;
static size_t frames_size;
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
    for (unsigned i = 0; entry(getenv("V4L2_FORMATS"), ';', i, &found) > 0; i++)
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
    if (absent > 0) return absent--, errno = ENOENT, -1;
    const long period = 1000000000l / number("V4L2_RATE", 30);
    const struct itimerspec every = {{0, period}, {0, period}};
    if (frames == NULL) load();
    device = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    timerfd_settime(device, 0, &every, NULL);
    waiting = 0;
    return device;
}

static int set_format(struct v4l2_pix_format *p) {
    const char *format = offer(p->pixelformat, 0);
    unsigned width, height, nearest = 0;
    if (format == NULL) return errno = EINVAL, -1;
    for (unsigned i = 0; size_of(format, i, &width, &height); i++)
        if (width == p->width && height == p->height) nearest = i;
    size_of(format, nearest, &p->width, &p->height);
    const int packed = p->pixelformat == V4L2_PIX_FMT_YUYV;
    p->bytesperline = p->pixelformat == V4L2_PIX_FMT_MJPEG ? 0 : (packed ? 2 : 1) * p->width;
    p->sizeimage = ROOM;
    p->colorspace = V4L2_COLORSPACE_SRGB;
    now = *p;
    return 0;
}

static int take(struct v4l2_buffer *b) {
    uint64_t ticks;
    if (read(device, &ticks, sizeof ticks) < 0 || waiting == 0) return errno = EAGAIN, -1;
    if (taken > 0 && (int)taken == number("V4L2_UNPLUG", -1)) return absent = 2, taken++, errno = ENODEV, -1;
    uint32_t size;
    if (at + 4 > frames + frames_size) at = frames;
    memcpy(&size, at, 4);
    b->index = queued[0];
    memmove(queued, queued + 1, sizeof queued - sizeof *queued);
    waiting--;
    memcpy(memory + (size_t)b->index * ROOM, at + 4, size);
    at += 4 + size;
    b->bytesused = fault("damaged") && taken % 2 ? size / 2 : size;
    taken++;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    b->timestamp = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
    b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    return 0;
}

static int answer(unsigned long request, void *argument) {
    struct v4l2_capability *c = argument;
    struct v4l2_fmtdesc *d = argument;
    struct v4l2_frmsizeenum *s = argument;
    struct v4l2_streamparm *p = argument;
    struct v4l2_buffer *b = argument;
    const char *format;
    switch (request) {
    case VIDIOC_QUERYCAP:
        if (fault("not-a-camera")) return errno = ENOTTY, -1;
        strcpy((char *)c->card, "stand-in");
        c->capabilities = V4L2_CAP_DEVICE_CAPS;
        c->device_caps = fault("metadata") ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    case VIDIOC_ENUM_FMT:
        if ((format = offer(0, d->index)) == NULL) return errno = EINVAL, -1;
        return memcpy(&d->pixelformat, format, 4), 0;
    case VIDIOC_ENUM_FRAMESIZES:
        s->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        format = offer(s->pixel_format, 0);
        if (format != NULL && size_of(format, s->index, &s->discrete.width, &s->discrete.height)) return 0;
        return errno = EINVAL, -1;
    case VIDIOC_S_FMT: return set_format(&((struct v4l2_format *)argument)->fmt.pix);
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM:
        p->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        p->parm.capture.timeperframe = (struct v4l2_fract){1, (uint32_t)number("V4L2_RATE", 30)};
        return 0;
    case VIDIOC_REQBUFS:
        if (fault("busy")) return errno = EBUSY, -1;
        ((struct v4l2_requestbuffers *)argument)->count = BUFFERS;
        if (memory == NULL) memory = mmap(NULL, BUFFERS * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return 0;
    case VIDIOC_QUERYBUF: return b->length = ROOM, b->m.offset = b->index * ROOM, 0;
    case VIDIOC_QBUF: return queued[waiting++ % BUFFERS] = b->index, 0;
    case VIDIOC_DQBUF: return take(b);
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF: return 0;
    default: return errno = ENOTTY, -1;
    }
}

/* -- The calls ----------------------------------------------------------------------------------------------------- */

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name)

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    if (strcmp(path, "/dev/video7") == 0) return open_device();
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
