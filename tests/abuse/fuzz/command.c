/* command.c: any command line and any input of tsm-edge-run, in this process: its options, and its modes over the plan
 * of tiny_plan.c.
 *
 * TSM_FUZZ_MANIFEST names a manifest that fits that plan. The check of the bundle's files is another target's. */
#define _GNU_SOURCE
#include "fuzz.h"

#define main command_main
#include "main.c"
#undef main

#include "printable.h"

#include <sys/mman.h>

enum { MOST_WORDS = 8, MOST_FRAME = 1 << 16, MOST_THREADS = 3, MOST_FRAMES = 3 };

static bundle tiny;
static int input_file; /* what is descriptor 0 */

static void start(void) {
    char error[128];
    const char *name = getenv("TSM_FUZZ_MANIFEST");
    FILE *file = name == NULL ? NULL : fopen(name, "rb");
    ALWAYS(file != NULL);
    tiny.text = calloc(1, 1 << 20);
    ALWAYS(tiny.text != NULL);
    const size_t size = fread(tiny.text, 1, (1 << 20) - 1, file);
    fclose(file);
    ALWAYS(json_read(&tiny.json, tiny.text, size, error, sizeof error));
    tiny.manifest = tiny.json.values;
    input_file = memfd_create("stdin", 0);
    ALWAYS(input_file >= 0 && dup2(input_file, STDIN_FILENO) == STDIN_FILENO);
}

/* A word of the command line: one that the command knows, or any bytes. */
static char *take_word(source *s) {
    static const char *const known[] = {
        "--info", "--bench", "--raw", "--tensor", "--dump", "--threads", "--frames", "--per-op", "--format", "--help",
        "--version", "bgr", "rgb", "1", "2", "64", "65", "0", "-1", "4x4", "20x20", "31x27", "1x1", "16384x1", "24x",
        "640x480", "999999999999x1", "--fps", "--decide", "12", "30", "0.5", "1e9", "nan", "--rawx", "-h", "",
    };
    static const char *const further[] = {
        "--input", "-", "--color", "bt709", "--stride", "12", "grey", "yuyv", "nv12", "yuv420", "bt601-full",
        "--events",
    };
    const unsigned kind = take_byte(s);
    if (kind >= 224 && kind - 224 < sizeof further / sizeof *further) return strdup(further[kind - 224]);
    if (kind < 224) return strdup(known[kind % (sizeof known / sizeof *known)]);
    const size_t size = (size_t)take(s, 0, kind < 250 ? 24 : 6000);
    char *word = calloc(1, size + 1);
    ALWAYS(word != NULL);
    for (size_t i = 0; i < size; i++) {
        const unsigned byte = take_byte(s);
        word[i] = byte == 0 ? 'a' : (char)byte;
    }
    return word;
}

/* Runs what the options say; the limits keep one run short. */
static int run_options(options *o, int bench) {
    engine e = {0};
    if (o->mode == MODE_BENCH && !bench) return EXIT_OK; /* 640x480 pictures: a hundred times slower than the others */
    if (o->mode == MODE_HELP || o->mode == MODE_VERSION) return EXIT_OK;
    if (o->threads > MOST_THREADS) o->threads = MOST_THREADS;
    if (o->frames > MOST_FRAMES) o->frames = MOST_FRAMES;
    if ((int64_t)o->width * o->height > MOST_FRAME / 3) return EXIT_OK;
    int code = engine_open(&e, &tiny);
    ALWAYS(code == EXIT_OK);
    code = run_mode_of(&e, o, 1.0);
    engine_close(&e);
    return code;
}

/* Every line is a JSON document. */
static void check_lines(char *text) {
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        json_document d;
        char error[128];
        *end = '\0';
        ALWAYS(json_read(&d, line, (size_t)(end - line), error, sizeof error));
        json_free(&d);
    }
}

static void check_text(const char *text, size_t size) {
    ALWAYS(strlen(text) == size);
    for (size_t i = 0, step; i < size; i += step) {
        ALWAYS((step = utf8_size(text + i, size - i)) > 0);
        ALWAYS((unsigned char)text[i] >= ' ' || text[i] == '\n' || text[i] == '\t');
    }
}

/* What the command does with these words and this input; returns its exit code. Output and messages go to *out and
 * *err, which the caller frees. */
static int command(int argc, char **argv, source *s, options *o, char *text[2], size_t sizes[2]) {
    FILE *const real[] = {stdin, stdout, stderr};
    const size_t left = (size_t)(s->end - s->at);
    ALWAYS(ftruncate(input_file, 0) == 0 && pwrite(input_file, s->at, left, 0) == (ssize_t)left);
    ALWAYS(lseek(input_file, 0, SEEK_SET) == 0);
    FILE *in = fdopen(dup(input_file), "rb"), *out = open_memstream(&text[0], &sizes[0]);
    FILE *err = open_memstream(&text[1], &sizes[1]);
    ALWAYS(in != NULL && out != NULL && err != NULL);
    stdin = in, stdout = out, stderr = err;
    const int code = options_read(o, argc, argv) ? run_options(o, left % 16 == 1) : EXIT_USAGE;
    stdin = real[0], stdout = real[1], stderr = real[2];
    fclose(in), fclose(out), fclose(err);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    source s = {data, data + size};
    char *argv[MOST_WORDS + 2] = {strdup("tsm-edge-run")}, *text[2] = {NULL, NULL};
    size_t sizes[2];
    options o;
    if (tiny.text == NULL) start();
    int argc = 1;
    for (unsigned words = take_byte(&s) % (MOST_WORDS + 1); words > 0; words--) argv[argc++] = take_word(&s);
    const int code = command(argc, argv, &s, &o, text, sizes);
    ALWAYS(code >= EXIT_OK && code <= EXIT_HOST);
    ALWAYS((code == EXIT_OK) || strncmp(text[1], "tsm-edge-run: ", 14) == 0);
    check_text(text[1], sizes[1]);
    if (!o.dump) check_text(text[0], sizes[0]);
    if (!o.dump && (o.mode == MODE_RAW || o.mode == MODE_INPUT || o.mode == MODE_TENSOR)) check_lines(text[0]);
    for (int i = 0; i < 2; i++) free(text[i]);
    for (int i = 0; i < argc; i++) free(argv[i]);
    return 0;
}
