/* piped.c: frames on stdin: raw pictures, preprocessed tensors, or video that says itself what it is, YUV4MPEG2 or MJPEG.
 *
 * stdin is read with read(2), after poll on it and on stop_fd: a thread that hangs in fread could not be ended, and exit()
 * would wait for its lock. */
#define _POSIX_C_SOURCE 200809L
#include "jpeg.h"
#include "mjpeg.h"
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
    int jpegs;         /* every frame is a JPEG, */
    mjpeg jpeg;        /* this one */
    size_t damaged;    /* of them */
    size_t index;      /* of the frame that is read */
    char ahead[1 << 14]; /* bytes that were read and not used yet */
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

static arrival read_byte(piped *p, uint8_t *out) {
    if (p->ahead_at == p->ahead_end) {
        p->ahead_at = p->ahead_end = 0;
        const arrival a = read_some(p, p->ahead, sizeof p->ahead, &p->ahead_end);
        if (a != CAME) return a;
    }
    *out = (uint8_t)p->ahead[p->ahead_at++];
    return CAME;
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

/* -- Frames of MJPEG ----------------------------------------------------------------------------------------------- */

static arrival other_jpeg(const piped *p, const char *found) {
    complain("frame %zu of the MJPEG stream %s\n  hint: give the frames of one camera, one JPEG behind the other", p->index,
             found);
    return FAILED;
}

/* Reads on to the end of a frame, or, with `sizes_only`, to where it states its size. What is damaged is left out. */
static arrival read_jpeg(piped *p, int sizes_only) {
    for (;;) {
        uint8_t byte;
        if (sizes_only && p->jpeg.width > 0) return CAME;
        const arrival a = read_byte(p, &byte);
        if (a != CAME) return a;
        switch (mjpeg_take(&p->jpeg, byte)) {
        case MJPEG_FRAME:
            if (!sizes_only) return CAME;
            break;
        case MJPEG_DAMAGED:
            if (p->damaged++ == 0) complain("note: a frame of the MJPEG stream is damaged; such frames are left out");
            break;
        case MJPEG_NONE: return other_jpeg(p, "has no end");
        case MJPEG_MORE: break;
        }
    }
}

static arrival jpeg_next(source *base, void *buffer, uint64_t *stamp_ns) {
    piped *p = (piped *)base;
    (void)buffer;
    const arrival a = read_jpeg(p, 0);
    if (a == ENDED && (mjpeg_begun(&p->jpeg) || p->index == 0)) {
        complain("frame %zu of the MJPEG stream is cut off\n  found: %zu bytes of it", p->index, p->jpeg.size);
        return FAILED;
    }
    if (a != CAME) return a;
    if (p->jpeg.width != base->layout.width || p->jpeg.height != base->layout.height)
        return other_jpeg(p, "has another size than those before");
    p->index++;
    *stamp_ns = clock_ns();
    return CAME;
}

static int jpeg_take(source *base, void *buffer) {
    piped *p = (piped *)base;
    if (jpeg_decode(p->jpeg.bytes, p->jpeg.size, base->layout.width, base->layout.height, buffer)) return 1;
    if (p->damaged++ == 0) complain("note: frame %zu of the MJPEG stream is damaged; such frames are left out", p->index - 1);
    return 0;
}

static void piped_close(source *base) {
    piped *p = (piped *)base;
    if (p->damaged > 1) complain("note: %zu damaged frames were left out", p->damaged);
    mjpeg_free(&p->jpeg);
    free(p);
}

/* -- What comes ---------------------------------------------------------------------------------------------------- */

tsm_color color_of_size(int width, int height) { return width >= 1280 || height >= 720 ? TSM_BT709 : TSM_BT601; }

static const char jpeg_magic[] = "\xff\xd8\xff";

/* Whether what was read is a beginning of this, or begins with it. */
static int begins(const piped *p, const char *magic) {
    const size_t size = strlen(magic);
    return memcmp(p->ahead, magic, p->ahead_end < size ? p->ahead_end : size) == 0;
}

/* Looks whether stdin begins as YUV4MPEG2, or as a JPEG where those are taken, and no further than to tell. */
static arrival look_ahead(piped *p, int jpegs) {
    const char *magic = Y4M_MAGIC;
    while (p->ahead_end < strlen(magic)) {
        size_t got;
        char next[sizeof Y4M_MAGIC];
        const arrival a = read_some(p, next, strlen(magic) - p->ahead_end, &got);
        if (a == ENDED) break;
        if (a != CAME) return a;
        memcpy(p->ahead + p->ahead_end, next, got);
        p->ahead_at = p->ahead_end += got;
        if (jpegs && begins(p, jpeg_magic)) magic = jpeg_magic;
        if (!begins(p, magic)) break;
    }
    p->ahead_at = 0;
    p->y4m = p->ahead_end >= strlen(Y4M_MAGIC) && begins(p, Y4M_MAGIC);
    p->jpegs = jpegs && p->ahead_end >= strlen(jpeg_magic) && begins(p, jpeg_magic);
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

/* The size is that of the first frame; MJPEG has no rate. */
static int describe_jpegs(piped *p, const engine *e, int *code) {
    const arrival a = read_jpeg(p, 1);
    *code = a == STOPPED ? stop_code() : EXIT_FAILED;
    if (a == ENDED) complain("the MJPEG stream on stdin ends before its first frame states its size");
    if (a != CAME) return 0;
    p->base.next = jpeg_next;
    p->base.take = jpeg_take;
    p->base.bytes = e->tsm_frame_packed(&p->base.layout, TSM_RGB, p->jpeg.width, p->jpeg.height, 0, NULL);
    if (p->base.bytes == 0) complain("the MJPEG stream on stdin has frames of %dx%d pixels\n  allowed: 1 to %d pixels a side",
                                     p->jpeg.width, p->jpeg.height, TSM_MAX_IMAGE_SIDE);
    return p->base.bytes > 0;
}

/* Returns 1, or 0 after a complaint. */
static int look(piped *p, const engine *e, const options *o, int *code) {
    if (o->mode == MODE_TENSOR) return p->base.bytes = sizeof(float) * engine_input_floats(e), 1;
    const arrival a = look_ahead(p, o->mode == MODE_INPUT);
    if (a == STOPPED) return *code = stop_code(), 0;
    if (a != CAME) return *code = EXIT_FAILED, 0;
    if (p->jpegs) return describe_jpegs(p, e, code);
    if (o->mode == MODE_INPUT && !p->y4m) {
        complain("stdin does not say what it is\n  found: %s\n  allowed: YUV4MPEG2, such as of ffmpeg -f yuv4mpegpipe, or "
                 "MJPEG, such as of rpicam-vid --codec mjpeg\n"
                 "  hint: give size and format of raw frames with --raw WxH --format F",
                 p->ahead_end == 0 ? "nothing" : "neither a header of YUV4MPEG2 nor a JPEG");
        return *code = EXIT_FAILED, 0;
    }
    return describe(p, e, o, code);
}

source *piped_open(const engine *e, const options *o, int *code) {
    piped *p = calloc(1, sizeof *p);
    if (p == NULL) return complain("out of memory"), *code = EXIT_FAILED, NULL;
    p->base = (source){.next = piped_next, .close = piped_close};
    if (look(p, e, o, code)) return &p->base;
    piped_close(&p->base);
    return NULL;
}
