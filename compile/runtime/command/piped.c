/* piped.c: frames on stdin: raw pictures, preprocessed tensors, or YUV4MPEG2, which says itself what it is.
 *
 * stdin is read with read(2), after poll on it and on stop_fd: a thread that hangs in fread could not be ended, and exit()
 * would wait for its lock. */
#define _POSIX_C_SOURCE 200809L
#include "output.h"
#include "source.h"
#include "stop.h"
#include "y4m.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    source base;
    int y4m;           /* every frame has a line before it */
    size_t index;      /* of the frame that is read */
    char ahead[16];    /* bytes that were read to see what this is */
    size_t ahead_at, ahead_end;
} piped;

/* -- Bytes --------------------------------------------------------------------------------------------------------- */

/* Waits for bytes and reads up to `room` of them, *got; 0 at the end. */
static arrival read_some(piped *p, void *to, size_t room, size_t *got) {
    const size_t kept = p->ahead_end - p->ahead_at;
    *got = 0;
    if (kept > 0) {
        *got = kept < room ? kept : room;
        memcpy(to, p->ahead + p->ahead_at, *got);
        p->ahead_at += *got;
        return CAME;
    }
    for (;;) {
        struct pollfd wait[2] = {{STDIN_FILENO, POLLIN, 0}, {stop_fd(), POLLIN, 0}};
        if (poll(wait, 2, -1) < 0 && errno != EINTR) break;
        if (wait[1].revents != 0) return STOPPED;
        if (wait[0].revents == 0) continue;
        const ssize_t now = read(STDIN_FILENO, to, room);
        if (now >= 0) return *got = (size_t)now, now == 0 ? ENDED : CAME;
        if (errno != EINTR && errno != EAGAIN) break;
    }
    complain("cannot read stdin\n  found: %s", strerror(errno));
    return FAILED;
}

/* Fills all of `room`; at the end of stdin *got is less. */
static arrival read_all(piped *p, void *to, size_t room, size_t *got) {
    for (*got = 0; *got < room;) {
        size_t now;
        const arrival a = read_some(p, (char *)to + *got, room - *got, &now);
        if (a != CAME) return a;
        *got += now;
    }
    return CAME;
}

/* Reads a line, without its newline, into `line`; FAILED, and nothing said, when it does not end within `room`. */
static arrival read_line(piped *p, char *line, size_t room, size_t *got) {
    for (*got = 0; *got < room; (*got)++) {
        size_t now;
        const arrival a = read_some(p, line + *got, 1, &now);
        if (a != CAME) return a;
        if (line[*got] == '\n') return line[*got] = '\0', CAME;
        if (line[*got] == '\0') line[*got] = '?';
    }
    return line[room - 1] = '\0', FAILED;
}

/* -- Frames -------------------------------------------------------------------------------------------------------- */

static arrival cut_off(const piped *p, size_t got) {
    complain("frame %zu is cut off\n  found: %zu bytes\n  allowed: %zu\n"
             "  hint: do the size and the format of the frames match?", p->index, got, p->base.bytes);
    return FAILED;
}

/* The line before a frame of YUV4MPEG2: FRAME, perhaps with parameters, which are of no use here. */
static arrival frame_line(piped *p) {
    char line[Y4M_LINE] = "";
    size_t got;
    const arrival a = read_line(p, line, sizeof line, &got);
    if (a == STOPPED || (a == ENDED && got == 0)) return a;
    if (a == CAME && strncmp(line, "FRAME", 5) == 0 && (line[5] == ' ' || line[5] == '\0')) return CAME;
    if (a == FAILED && got < sizeof line) return FAILED; /* stdin itself, and it was said */
    complain("frame %zu of the YUV4MPEG2 stream does not begin with FRAME\n"
             "  hint: the stream is damaged, or it is not 8-bit 4:2:0 as its header says", p->index);
    return FAILED;
}

static arrival piped_next(source *base, void *buffer, uint64_t *stamp_ns) {
    piped *p = (piped *)base;
    size_t got = 0;
    arrival a = p->y4m ? frame_line(p) : CAME;
    const int begun = p->y4m && a == CAME;
    if (a == CAME) a = read_all(p, buffer, base->bytes, &got);
    if (a == ENDED && (got > 0 || begun)) return cut_off(p, got);
    if (a == ENDED && p->index == 0) {
        complain("no frame came on stdin\n  allowed: frames of %zu bytes", base->bytes);
        return FAILED;
    }
    if (a == CAME) p->index++;
    *stamp_ns = clock_ns();
    return a;
}

static void piped_close(source *base) { free(base); }

/* -- What comes ---------------------------------------------------------------------------------------------------- */

tsm_color color_of_size(int width, int height) { return width >= 1280 || height >= 720 ? TSM_BT709 : TSM_BT601; }

/* Looks whether stdin begins with the magic of YUV4MPEG2, and no further than to tell. */
static arrival look_ahead(piped *p) {
    const size_t magic = strlen(Y4M_MAGIC);
    while (p->ahead_end < magic && memcmp(p->ahead, Y4M_MAGIC, p->ahead_end) == 0) {
        size_t got;
        char next[sizeof p->ahead];
        const arrival a = read_some(p, next, magic - p->ahead_end, &got);
        if (a == ENDED) break;
        if (a != CAME) return a;
        memcpy(p->ahead + p->ahead_end, next, got);
        p->ahead_at = p->ahead_end += got;
    }
    p->ahead_at = 0;
    p->y4m = p->ahead_end == magic && memcmp(p->ahead, Y4M_MAGIC, magic) == 0;
    return CAME;
}

static int read_header(piped *p, y4m_header *header, int *code) {
    char line[Y4M_LINE], why[512] = "found: no end of its header";
    size_t got;
    const arrival a = read_line(p, line, sizeof line, &got);
    if (a == STOPPED) return *code = stop_code(), 0;
    if (a == CAME && y4m_parse(line, header, why, sizeof why)) return 1;
    *code = EXIT_FAILED;
    if (a == FAILED && got < sizeof line) return 0; /* stdin itself, and it was said */
    complain("the YUV4MPEG2 stream on stdin cannot be read\n  %s", why);
    return 0;
}

/* Fills in the layout of --raw, or what the header says; the header has the last word where both are there. */
static int describe(piped *p, const engine *e, const options *o, int *code) {
    y4m_header header = {.width = o->width, .height = o->height};
    int format = o->format, full = 0;
    if (p->y4m) {
        if (!read_header(p, &header, code)) return 0;
        format = header.grey ? TSM_GREY : TSM_YUV420;
        full = header.full;
        p->base.fps = header.fps;
    }
    if (o->mode == MODE_RAW && (header.width != o->width || header.height != o->height || format != o->format)) {
        complain("the YUV4MPEG2 stream on stdin is not what --raw and --format say\n  found: %dx%d %s\n"
                 "  hint: use --input - , which takes both from the stream", header.width, header.height,
                 format_names[format]);
        return *code = EXIT_USAGE, 0;
    }
    const size_t stride = p->y4m ? 0 : o->stride;
    p->base.bytes = e->tsm_frame_packed(&p->base.layout, (tsm_format)format, header.width, header.height, stride, NULL);
    if (p->base.bytes == 0) {
        complain("bad value for --stride\n  found: %zu\n  allowed: a row of the picture or more, in bytes", stride);
        return *code = EXIT_USAGE, 0;
    }
    const tsm_color usual = color_of_size(header.width, header.height);
    p->base.layout.color = o->color >= 0 ? (tsm_color)o->color : full ? (tsm_color)(usual + 1) : usual;
    return 1;
}

/* Returns 1, or 0 after a complaint. */
static int look(piped *p, const engine *e, const options *o, int *code) {
    if (o->mode == MODE_TENSOR) return p->base.bytes = sizeof(float) * engine_input_floats(e), 1;
    const arrival a = look_ahead(p);
    if (a == STOPPED) return *code = stop_code(), 0;
    if (a != CAME) return *code = EXIT_FAILED, 0;
    if (o->mode == MODE_INPUT && !p->y4m) {
        complain("stdin does not say what it is\n  found: %s\n  allowed: YUV4MPEG2, such as of ffmpeg -f yuv4mpegpipe\n"
                 "  hint: give size and format of raw frames with --raw WxH --format F",
                 p->ahead_end == 0 ? "nothing" : "no header of YUV4MPEG2");
        return *code = EXIT_FAILED, 0;
    }
    return describe(p, e, o, code);
}

source *piped_open(const engine *e, const options *o, int *code) {
    piped *p = calloc(1, sizeof *p);
    if (p == NULL) return complain("out of memory"), *code = EXIT_FAILED, NULL;
    p->base = (source){.next = piped_next, .close = piped_close};
    if (look(p, e, o, code)) return &p->base;
    free(p);
    return NULL;
}
