/* camera.c: --camera: live frames of a V4L2 device, which may be unplugged and come back.
 *
 * A camera that is gone, or gives nothing for SILENCE_MS, is closed and opened again, at first soon and then every two
 * seconds, until it is there or a signal comes. The states begin anew then. */
#define _POSIX_C_SOURCE 200809L
#include "jpeg.h"
#include "output.h"
#include "printable.h"
#include "source.h"
#include "stop.h"
#include "v4l2.h"
#include "v4l2_picture.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SILENCE_MS = 5000, FIRST_WAIT_MS = 250, LAST_WAIT_MS = 2000 };

typedef struct {
    source base;
    const engine *e;
    const options *o;
    char path[256], shown[512];
    v4l2_camera device;
    v4l2_wish wish;
    v4l2_frame frame;
    v4l2_picture picture; /* where its planes are */
    int holds;            /* `frame` is not given back yet */
    int lost;             /* it was opened anew */
    size_t damaged;
    uint64_t damaged_since_ns; /* frames have been damaged one and all since then; 0: the last was good */
} camera;

/* Waits `ms`, or until stop_fd is readable: returns 0 then. */
static int pause_for(int ms) {
    struct pollfd wait = {stop_fd(), POLLIN, 0};
    int done;
    do done = poll(&wait, 1, ms);
    while (done < 0 && errno == EINTR && stop_code() == 0);
    return done == 0;
}

/* The layout of what `take` writes: without gaps. Returns its bytes, 0 when the driver's strides make no sense. */
static size_t describe(camera *c, tsm_frame *layout) {
    const v4l2_camera *d = &c->device;
    const size_t bytes = c->e->tsm_frame_packed(layout, d->jpeg ? TSM_RGB : d->format, d->width, d->height, 0, NULL);
    layout->color = c->o->color >= 0 ? (tsm_color)c->o->color : d->color;
    return bytes > 0 && (d->jpeg || v4l2_picture_of(&c->picture, d, layout)) ? bytes : 0;
}

/* Of frames without gaps. */
static int same_layout(const tsm_frame *a, const tsm_frame *b) {
    return a->width == b->width && a->height == b->height && a->format == b->format && a->color == b->color;
}

/* Returns 1 when it is there again as it was, 0 after a stop, -1 after a complaint. The layout stays, for the model's
 * thread reads it. */
static int reopen(camera *c, const char *what) {
    const v4l2_wish same = {c->device.width, c->device.height, c->wish.fps};
    char why[V4L2_WHY];
    tsm_frame now;
    int usage;
    complain("note: camera %s %s; it is waited for", c->shown, what);
    c->holds = 0;
    c->damaged_since_ns = 0;
    v4l2_close(&c->device);
    for (int wait = FIRST_WAIT_MS; pause_for(wait); wait = 2 * wait < LAST_WAIT_MS ? 2 * wait : LAST_WAIT_MS) {
        if (!v4l2_open(&c->device, c->path, &same, why, &usage)) continue;
        if (describe(c, &now) != c->base.bytes || !same_layout(&now, &c->base.layout)) {
            complain("another camera came back as %s: its frames have another form\n  hint: start again", c->shown);
            return -1;
        }
        complain("note: camera %s is back", c->shown);
        return c->lost = 1;
    }
    return 0;
}

/* Waits for a frame, *stamp_ns. Returns NULL, or what has become of the camera; *stopped is set after a signal. */
static const char *wait_for_frame(camera *c, int *stopped) {
    const uint64_t since = c->damaged_since_ns;
    if (since > 0 && clock_ns() - since > SILENCE_MS * 1000000ull) return "has given only damaged frames for 5 s";
    if (c->holds && !v4l2_give_back(&c->device, &c->frame)) return "is gone";
    c->holds = 0;
    for (;;) {
        struct pollfd wait[2] = {{c->device.fd, POLLIN, 0}, {stop_fd(), POLLIN, 0}};
        const int ready = poll(wait, 2, SILENCE_MS);
        if (ready < 0 && errno == EINTR) continue;
        if (ready > 0 && wait[1].revents != 0) return *stopped = 1, NULL;
        if (ready == 0) return "has given no frame for 5 s";
        const int took = ready > 0 ? v4l2_take(&c->device, &c->frame) : -1;
        if (took > 0) return c->holds = 1, NULL;
        if (took < 0 || (wait[0].revents & (POLLERR | POLLHUP | POLLNVAL))) return "is gone";
    }
}

static arrival camera_next(source *base, void *buffer, uint64_t *stamp_ns) {
    camera *c = (camera *)base;
    int stopped = 0;
    (void)buffer;
    for (;;) {
        const char *gone = wait_for_frame(c, &stopped);
        if (stopped) return STOPPED;
        if (gone == NULL) break;
        const int there = reopen(c, gone);
        if (there <= 0) return there == 0 ? STOPPED : FAILED;
    }
    *stamp_ns = c->frame.stamp_ns > 0 ? c->frame.stamp_ns : clock_ns();
    return CAME;
}

static int camera_take(source *base, void *buffer) {
    camera *c = (camera *)base;
    const v4l2_camera *d = &c->device;
    const v4l2_piece *first = &c->frame.pieces[0];
    int good = !c->frame.damaged;
    if (good && d->jpeg) good = jpeg_decode(first->bytes, first->size, d->width, d->height, buffer);
    else if (good) good = v4l2_picture_copy(&c->picture, &c->frame, buffer);
    if (good) c->damaged_since_ns = 0;
    else if (c->damaged_since_ns == 0) c->damaged_since_ns = clock_ns();
    if (!good && c->damaged++ == 0)
        complain("note: a frame of camera %s is damaged (%zu bytes); such frames are left out", c->shown, first->size);
    return good;
}

static int camera_interrupted(source *base) {
    camera *c = (camera *)base;
    const int lost = c->lost;
    c->lost = 0;
    return lost;
}

static void camera_close(source *base) {
    camera *c = (camera *)base;
    if (c->damaged > 1) complain("note: %zu damaged frames were left out", c->damaged);
    v4l2_close(&c->device);
    free(c);
}

/* "0" is /dev/video0. */
static int set_path(camera *c, const char *name) {
    const int digits = name[0] != '\0' && name[strspn(name, "0123456789")] == '\0';
    const int size = snprintf(c->path, sizeof c->path, "%s%s", digits ? "/dev/video" : "", name);
    printable(c->shown, sizeof c->shown, c->path);
    return size > 0 && size < (int)sizeof c->path;
}

static void tell_what_runs(const camera *c) {
    const v4l2_camera *d = &c->device;
    const int coloured = !d->jpeg && d->format > TSM_GREY;
    char rate[64] = "";
    if (d->fps > 0.0 && c->wish.fps > 0.0 && (d->fps < 0.9 * c->wish.fps || d->fps > 1.1 * c->wish.fps))
        snprintf(rate, sizeof rate, ", %.4g frames a second instead of %.4g", d->fps, c->wish.fps);
    else if (d->fps > 0.0)
        snprintf(rate, sizeof rate, ", %.4g frames a second", d->fps);
    complain("note: camera %s gives %dx%d %s%s", c->shown, d->width, d->height,
             d->jpeg ? "MJPEG" : format_names[d->format], rate);
    if (coloured && d->nearest && c->o->color < 0)
        complain("note: its colours are neither those of BT.601 nor of BT.709; they are read as BT.709, the nearest");
}

source *camera_open(const engine *e, const options *o, int *code) {
    char why[V4L2_WHY];
    int usage = 0;
    *code = EXIT_FAILED;
    camera *c = calloc(1, sizeof *c);
    if (c == NULL) return complain("out of memory"), NULL;
    c->base = (source){.only_live = 1, .next = camera_next, .take = camera_take, .interrupted = camera_interrupted,
                       .close = camera_close};
    c->e = e;
    c->o = o;
    c->wish = (v4l2_wish){o->width, o->height, o->fps};
    if (!set_path(c, o->camera)) {
        complain("bad value for --camera\n  found: %zu characters\n  allowed: a device such as /dev/video0, or its number",
                 strlen(o->camera));
        *code = EXIT_USAGE;
    } else if (!v4l2_open(&c->device, c->path, &c->wish, why, &usage)) {
        char safe[V4L2_WHY + 64];
        snprintf(safe, sizeof safe, "%s", why);
        complain("%s", safe);
        *code = usage ? EXIT_USAGE : EXIT_DEVICE;
    } else if ((c->base.bytes = describe(c, &c->base.layout)) == 0) {
        complain("camera %s states rows of %zu bytes for %d pixels\n  hint: its driver is at fault; try another --size",
                 c->shown, c->device.strides[0], c->device.width);
        v4l2_close(&c->device);
    } else {
        tell_what_runs(c);
        return &c->base;
    }
    free(c);
    return NULL;
}
