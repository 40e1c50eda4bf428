/* options.c: the command line of tsm-edge-run. */
#include "options.h"

#include "output.h"
#include "printable.h"
#include "tsm_edge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char usage_text[] =
    "usage: tsm-edge-run --info\n"
    "       tsm-edge-run --bench [--frames N] [--per-op] [--threads N]\n"
    "       tsm-edge-run --raw WxH --format F [--fps RATE] [RESULTS] [--threads N] < frames\n"
    "       tsm-edge-run --camera DEVICE [--size WxH] [--fps RATE] [RESULTS] [--threads N]\n"
    "       tsm-edge-run --input - [--fps RATE] [RESULTS] [--threads N] < video\n"
    "       tsm-edge-run --tensor [--fps RATE] [RESULTS] [--threads N] < tensors\n"
    "       tsm-edge-run --help | --version\n"
    "       RESULTS: [--decide | --events PATH | --dump] [--on-change CMD]\n"
    "\n"
    "Runs the model of the bundle that this program lies in. Checks the whole bundle first.\n"
    "\n"
    "  --info        print what is in the bundle and what this machine has\n"
    "  --bench       time steps on made-up input; one JSON document on stdout\n"
    "    --frames N  number of timed steps, 1 to 1000000 (default 100)\n"
    "    --per-op    also time each operation\n"
    "  --raw WxH     read 8-bit frames of W x H pixels from stdin; step at the model's rate (--info) and print one JSON\n"
    "                line a step: frame, time, class index, label, score (probability in this step alone) and\n"
    "                milliseconds\n"
    "    --format F  how the pixels lie: bgr or rgb (3 bytes each), grey (1 byte), yuyv (YUY2), nv12 (Y, then U and V\n"
    "                in turn), yuv420 (Y, U, V: I420, ffmpeg's yuv420p, rpicam-vid --codec yuv420)\n"
    "    --stride N  bytes from one row to the next (default: no gap), such as 832 of rpicam-vid at a width of 800\n"
    "  --input -     read video that says itself what it is from stdin: YUV4MPEG2, as of ffmpeg -f yuv4mpegpipe, or MJPEG,\n"
    "                as of rpicam-vid --codec mjpeg\n"
    "  --camera DEV  read frames from a V4L2 camera, such as /dev/video0 or 0: the newest, as the model has time for it;\n"
    "                YUYV, NV12, YU12 (the latter two also with planes apart), BGR3, RGB3, GREY or MJPEG; a camera that is\n"
    "                unplugged is waited for\n"
    "    --size WxH  ask for this size (default: 640x480, or what comes near)\n"
    "    --fps RATE  ask for this rate\n"
    "    --color S   with Y, U and V: bt601, bt601-full, bt709 or bt709-full (default: as the source says, else bt709\n"
    "                from 1280 pixels wide or 720 high on, and bt601 below)\n"
    "  --tensor      read preprocessed frames from stdin: float32, NCHW order; print the same lines\n"
    "  --fps RATE    the frames were taken RATE times a second, such as 30, 29.97 or 30000/1001: skip or repeat them\n"
    "                to the model's rate. Without it, frames of --raw and MJPEG are timed as they arrive, for a live\n"
    "                camera; with --tensor or --dump each frame is one step; YUV4MPEG2 has its own rate\n"
    "  --decide      print the decision over time instead: label, its mean probability, whether it changed with this\n"
    "                step, and whether it is one that means that nothing is to report\n"
    "  --events PATH print nothing for a step, but tell a gesture when it is decided and when it ends, one JSON record a\n"
    "                line (docs/events.md): to every program that connects to the Unix socket PATH, or with - on stdout\n"
    "  --on-change CMD  run a command for every gesture, one after the other, with the event in its environment:\n"
    "                TSM_EDGE_LABEL, TSM_EDGE_INDEX, TSM_EDGE_CONFIDENCE, TSM_EDGE_RECORD (docs/demo.md); nothing is printed\n"
    "                for a step unless --decide is there, too\n"
    "    --on-change-idle  run it at the end of a gesture, too\n"
    "  --boxes FILE  with frames or --bench: the regions that a network of regions looks at, JSON [frames][boxes][4], left,\n"
    "                top, right and bottom as fractions of the picture (docs/family.md); default: its fixed grid\n"
    "  --dump        print bytes instead: little-endian float32, all scores, then every state in order (NCHW)\n"
    "  --threads N   threads of the stream, 1 to 64 (default: what the bundle was compiled for)\n"
    "\n"
    "exit codes: 0 ok, 1 failure, 2 usage, 3 a check failed, 4 device, 5 this machine cannot run the bundle;\n"
    "            128 + N when signal N ended it, such as 130 for Ctrl-C and 143 for SIGTERM\n"
    "examples: rpicam-vid -t 0 --codec yuv420 -o - | ./tsm-edge-run --raw 640x480 --format yuv420 --fps 30 --decide\n"
    "          ffmpeg -i clip.mp4 -pix_fmt yuv420p -f yuv4mpegpipe - | ./tsm-edge-run --input - --decide\n";

const char *const format_names[] = {"bgr", "rgb", "grey", "yuyv", "nv12", "yuv420", NULL};
const char *const color_names[] = {"bt601", "bt601-full", "bt709", "bt709-full", NULL};

enum { MAX_FRAMES = 1000000, MAX_STRIDE = 1 << 20 };
static const double LEAST_FPS = 0.001, MOST_FPS = 100000.0;

static const char *const names[] = {"--info", "--bench", "--frames", "--per-op", "--raw", "--format",
                                    "--tensor", "--dump", "--threads", "--help", "--version",
                                    "--fps", "--decide", "--input", "--stride", "--color", "--camera", "--size", "--events",
                                    "--on-change", "--on-change-idle", "--boxes"};

/* A word of the command line in a message; valid until the next call. */
static const char *quoted(const char *word) {
    static char shown[256];
    return word == NULL ? "nothing" : printable(shown, sizeof shown, word);
}

/* Edit distance; names are short, longer input is cut. */
static size_t distance(const char *a, const char *b) {
    size_t row[33], n = strlen(b) < 32 ? strlen(b) : 32;
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t change = diagonal + (a[i - 1] != b[j - 1]), drop = row[j] + 1, add = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < drop ? change : drop;
            if (add < row[j]) row[j] = add;
        }
    }
    return row[n];
}

static int unknown(const char *word) {
    const char *near = NULL;
    size_t least = 4;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t d = distance(names[i], word);
        if (d < least) least = d, near = names[i];
    }
    complain("unknown argument '%s'.%s%s%s\n  hint: see tsm-edge-run --help", quoted(word), near ? " Did you mean '" : "",
             near ? near : "", near ? "'?" : "");
    return 0;
}

/* A whole number from least to most. */
static int number(const char *option, const char *text, int least, int most, int *out) {
    char *end = NULL;
    const long value = text == NULL ? 0 : strtol(text, &end, 10);
    if (text != NULL && text[0] >= '0' && text[0] <= '9' && *end == '\0' && value >= least && value <= most) {
        *out = (int)value;
        return 1;
    }
    complain("bad value for %s\n  found: %s\n  allowed: %d to %d", option, quoted(text), least, most);
    return 0;
}

static int size(const char *option, const char *text, options *o) {
    char end = '\0';
    if (text != NULL && sscanf(text, "%5dx%5d%c", &o->width, &o->height, &end) == 2 && o->width >= 1 &&
        o->height >= 1 && o->width <= TSM_MAX_IMAGE_SIDE && o->height <= TSM_MAX_IMAGE_SIDE)
        return 1;
    complain("bad value for %s\n  found: %s\n  allowed: WxH, such as 640x480; 1 to %d pixels a side", option,
             quoted(text), TSM_MAX_IMAGE_SIDE);
    return 0;
}

/* One of `names`, by its number. */
static int choice(const char *option, const char *text, const char *const *choices, int *out) {
    char allowed[128] = "";
    for (*out = 0; choices[*out] != NULL; ++*out) {
        if (text != NULL && strcmp(text, choices[*out]) == 0) return 1;
        const size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s", used > 0 ? ", " : "", choices[*out]);
    }
    *out = -1;
    complain("bad value for %s\n  found: %s\n  allowed: %s", option, quoted(text), allowed);
    return 0;
}

static int stride(const char *text, options *o) {
    int value = 0;
    if (!number("--stride", text, 1, MAX_STRIDE, &value)) return 0;
    o->stride = (size_t)value;
    return 1;
}

static int camera(const char *text, options *o) {
    o->camera = text;
    if (text != NULL && text[0] != '\0' && text[0] != '-') return 1;
    complain("bad value for --camera\n  found: %s\n  allowed: a device such as /dev/video0, or its number", quoted(text));
    return 0;
}

static int events_place(const char *text, options *o) {
    o->events = text;
    if (text != NULL && text[0] != '\0' && (text[0] != '-' || text[1] == '\0')) return 1;
    complain("bad value for --events\n  found: %s\n  allowed: the path of a Unix socket to make, or - for stdout",
             quoted(text));
    return 0;
}

static int command(const char *text, options *o) {
    o->on_change = text;
    if (text != NULL && text[0] != '\0' && text[0] != '-') return 1;
    complain("bad value for --on-change\n  found: %s\n  allowed: PROGRAM [ARGUMENT ...], in one word of the shell's", quoted(text));
    return 0;
}

static int boxes_file(const char *text, options *o) {
    o->boxes = text;
    if (text != NULL && text[0] != '\0' && text[0] != '-') return 1;
    complain("bad value for --boxes\n  found: %s\n  allowed: a JSON file of [frames][boxes][4] numbers", quoted(text));
    return 0;
}

static int input(const char *text, options *o) {
    (void)o;
    if (text != NULL && strcmp(text, "-") == 0) return 1;
    complain("bad value for --input\n  found: %s\n  allowed: - , standard input\n"
             "  hint: of a file: --input - < FILE.y4m, or ffmpeg -i FILE -pix_fmt yuv420p -f yuv4mpegpipe - | ...",
             quoted(text));
    return 0;
}

/* Digits with at most one point between or behind them; returns where they end, or NULL. */
static const char *decimal(const char *text, double *out) {
    const size_t whole = strspn(text, "0123456789");
    const size_t size = text[whole] == '.' ? whole + 1 + strspn(text + whole + 1, "0123456789") : whole;
    if (whole == 0 || size > 15) return NULL;
    *out = strtod(text, NULL); /* the locale is "C": nobody calls setlocale */
    return text + size;
}

static int rate(const char *text, double *out) {
    double above = 0.0, below = 1.0;
    const char *end = text == NULL ? NULL : decimal(text, &above);
    if (end != NULL && *end == '/') end = decimal(end + 1, &below);
    if (end != NULL && *end == '\0' && above > 0.0 && below > 0.0) {
        *out = above / below;
        if (*out >= LEAST_FPS && *out <= MOST_FPS) return 1;
    }
    complain("bad value for --fps\n  found: %s\n  allowed: frames a second, %g to %g, such as 30, 29.97 or 30000/1001",
             quoted(text), LEAST_FPS, MOST_FPS);
    return 0;
}

static int set_mode(options *o, run_mode mode) {
    if (o->mode == MODE_NONE || o->mode == mode) return o->mode = mode, 1;
    complain("choose one of --info, --bench, --raw, --camera, --input, --tensor\n  hint: see tsm-edge-run --help");
    return 0;
}

/* Options that only one mode has. */
static int check_together(const options *o, int frames_given, int size_given) {
    const int pictures = o->mode == MODE_INPUT || o->mode == MODE_CAMERA || o->mode == MODE_RAW;
    const int streams = o->mode == MODE_TENSOR || pictures;
    const int colourless = o->mode == MODE_RAW && o->format >= 0 && o->format <= TSM_GREY;
    const char *stray = frames_given && o->mode != MODE_BENCH   ? "--frames"
                        : o->per_op && o->mode != MODE_BENCH    ? "--per-op"
                        : o->dump && !streams                   ? "--dump"
                        : o->decide && !streams                 ? "--decide"
                        : o->events != NULL && !streams         ? "--events"
                        : o->on_change != NULL && !streams      ? "--on-change"
                        : o->on_change_idle && !o->on_change    ? "--on-change-idle"
                        : o->boxes != NULL && !streams && o->mode != MODE_BENCH ? "--boxes"
                        : o->fps > 0.0 && !streams              ? "--fps"
                        : o->format >= 0 && o->mode != MODE_RAW ? "--format"
                        : size_given && o->mode != MODE_CAMERA  ? "--size"
                        : o->stride > 0 && o->mode != MODE_RAW  ? "--stride"
                        : o->color >= 0 && !pictures            ? "--color"
                                                                : NULL;
    if (o->mode == MODE_NONE)
        complain("nothing to do\n  allowed: one of --info, --bench, --raw, --camera, --input, --tensor\n  hint: see tsm-edge-run --help");
    else if (stray != NULL)
        complain("%s does not go with this mode%s\n  hint: see tsm-edge-run --help", stray,
                 o->on_change_idle && !o->on_change ? "; it needs --on-change" : "");
    else if (o->dump + o->decide + (o->events != NULL) > 1)
        complain("choose one of --dump, --decide and --events");
    else if (o->dump && o->on_change != NULL)
        complain("choose one of --dump and --on-change");
    else if (o->mode == MODE_RAW && o->format < 0)
        complain("--raw needs --format\n  allowed: bgr (OpenCV, V4L2 BGR3), rgb (Pillow, ffmpeg rgb24), grey, yuyv, nv12, "
                 "yuv420 (ffmpeg yuv420p)");
    else if (o->color >= 0 && colourless)
        complain("--color does not go with --format %s\n  allowed: yuyv, nv12, yuv420", format_names[o->format]);
    else
        return 1;
    return 0;
}

int options_read(options *o, int argc, char **argv) {
    int frames_given = 0, size_given = 0, good = 1;
    *o = (options){.frames = 100, .format = -1, .color = -1};
    for (int i = 1; good && i < argc; i++) {
        const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return o->mode = MODE_HELP, 1;
        if (strcmp(word, "--version") == 0) return o->mode = MODE_VERSION, 1;
        if (strcmp(word, "--info") == 0) good = set_mode(o, MODE_INFO);
        else if (strcmp(word, "--bench") == 0) good = set_mode(o, MODE_BENCH);
        else if (strcmp(word, "--tensor") == 0) good = set_mode(o, MODE_TENSOR);
        else if (strcmp(word, "--per-op") == 0) o->per_op = 1;
        else if (strcmp(word, "--dump") == 0) o->dump = 1;
        else if (strcmp(word, "--decide") == 0) o->decide = 1;
        else if (strcmp(word, "--events") == 0) good = events_place(value, o), i++;
        else if (strcmp(word, "--on-change") == 0) good = command(value, o), i++;
        else if (strcmp(word, "--on-change-idle") == 0) o->on_change_idle = 1;
        else if (strcmp(word, "--boxes") == 0) good = boxes_file(value, o), i++;
        else if (strcmp(word, "--fps") == 0) good = rate(value, &o->fps), i++;
        else if (strcmp(word, "--raw") == 0) good = set_mode(o, MODE_RAW) && size(word, value, o), i++;
        else if (strcmp(word, "--camera") == 0) good = set_mode(o, MODE_CAMERA) && camera(value, o), i++;
        else if (strcmp(word, "--size") == 0) good = size(word, value, o), size_given = 1, i++;
        else if (strcmp(word, "--input") == 0) good = set_mode(o, MODE_INPUT) && input(value, o), i++;
        else if (strcmp(word, "--format") == 0) good = choice(word, value, format_names, &o->format), i++;
        else if (strcmp(word, "--color") == 0) good = choice(word, value, color_names, &o->color), i++;
        else if (strcmp(word, "--stride") == 0) good = stride(value, o), i++;
        else if (strcmp(word, "--threads") == 0) good = number(word, value, 1, TSM_MAX_THREADS, &o->threads), i++;
        else if (strcmp(word, "--frames") == 0) {
            good = number(word, value, 1, MAX_FRAMES, &o->frames);
            frames_given = 1;
            i++;
        }
        else good = unknown(word);
    }
    return good && check_together(o, frames_given, size_given);
}
