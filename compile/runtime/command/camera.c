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
    int holds;           /* `frame` is not given back yet */
    int lost;            /* it was opened anew */
    size_t damaged;
} camera;

/* Waits `ms`, or until stop_fd is readable: returns 0 then. */
static int pause_for(int ms) {
    struct pollfd wait = {stop_fd(), POLLIN, 0};
    int done;
    do done = poll(&wait, 1, ms);
    while (done < 0 && errno == EINTR && stop_code() == 0);
    return done == 0;
}

/* The layout of what `take` writes. Returns 0 when the driver's stride makes no sense. */
static int describe(camera *c) {
    const v4l2_camera *d = &c->device;
    tsm_frame *layout = &c->base.layout;
    const size_t stride = d->jpeg ? 0 : d->stride;
    c->base.bytes = c->e->tsm_frame_packed(layout, d->jpeg ? TSM_RGB : d->format, d->width, d->height, stride, NULL);
    layout->color = c->o->color >= 0 ? (tsm_color)c->o->color : d->color;
    return c->base.bytes > 0;
}

/* Returns 1 when it is there again as it was, 0 after a stop, -1 after a complaint. */
static int reopen(camera *c, const char *what) {
    const tsm_frame before = c->base.layout;
    const size_t bytes = c->base.bytes;
    const v4l2_wish same = {c->device.width, c->device.height, c->wish.fps};
    char why[V4L2_WHY];
    int usage;
    complain("note: camera %s %s; it is waited for", c->shown, what);
    c->holds = 0;
    v4l2_close(&c->device);
    for (int wait = FIRST_WAIT_MS; pause_for(wait); wait = 2 * wait < LAST_WAIT_MS ? 2 * wait : LAST_WAIT_MS) {
        if (!v4l2_open(&c->device, c->path, &same, why, &usage)) continue;
        if (!describe(c) || bytes != c->base.bytes || memcmp(&before, &c->base.layout, sizeof before) != 0) {
            complain("another camera came back as %s: its frames have another form\n  hint: start again", c->shown);
            return -1;
        }
        complain("note: camera %s is back", c->shown);
        return c->lost = 1;
    }
    return 0;
}

static arrival camera_next(source *base, void *buffer, uint64_t *stamp_ns) {
    camera *c = (camera *)base;
    (void)buffer;
    const char *gone = NULL;
    for (;;) {
        if (c->holds && !v4l2_give_back(&c->device, &c->frame)) gone = "is gone";
        c->holds = 0;
        struct pollfd wait[2] = {{c->device.fd, POLLIN, 0}, {stop_fd(), POLLIN, 0}};
        const int ready = gone != NULL ? 0 : poll(wait, 2, SILENCE_MS);
        if (ready < 0 && errno == EINTR) continue;
        if (ready > 0 && wait[1].revents != 0) return STOPPED;
        const int took = gone != NULL ? -1 : ready > 0 ? v4l2_take(&c->device, &c->frame) : -1;
        if (took == 0 && !(wait[0].revents & (POLLERR | POLLHUP | POLLNVAL))) continue;
        if (took > 0) break;
        if (gone == NULL) gone = ready == 0 ? "has given no frame for 5 s" : "is gone";
        const int there = reopen(c, gone);
        if (there <= 0) return there == 0 ? STOPPED : FAILED;
        gone = NULL;
    }
    c->holds = 1;
    *stamp_ns = c->frame.stamp_ns > 0 ? c->frame.stamp_ns : clock_ns();
    return CAME;
}

static int camera_take(source *base, void *buffer) {
    camera *c = (camera *)base;
    const v4l2_camera *d = &c->device;
    int good = !c->frame.damaged;
    if (good && d->jpeg)
        good = jpeg_decode(c->frame.bytes, c->frame.used, d->width, d->height, buffer);
    else if (good && (good = c->frame.used >= base->bytes))
        memcpy(buffer, c->frame.bytes, base->bytes);
    if (!good && c->damaged++ == 0)
        complain("note: a frame of camera %s is damaged (%zu bytes); such frames are left out", c->shown, c->frame.used);
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
    char rate[48] = "";
    if (d->fps > 0.0) snprintf(rate, sizeof rate, ", %.4g frames a second", d->fps);
    complain("note: camera %s gives %dx%d %s%s", c->shown, d->width, d->height,
             d->jpeg ? "MJPEG" : format_names[d->format], rate);
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
    } else if (!describe(c)) {
        complain("camera %s states a row of %zu bytes for %d pixels\n  hint: its driver is at fault; try another --size",
                 c->shown, c->device.stride, c->device.width);
        v4l2_close(&c->device);
    } else {
        tell_what_runs(c);
        return &c->base;
    }
    free(c);
    return NULL;
}
