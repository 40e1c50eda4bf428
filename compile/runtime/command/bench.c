/* bench.c: --bench, one JSON document.
 *
 * The input is made up: the time of a step does not depend on the numbers. The first step is reported apart, because it
 * touches the weights for the first time. Then the step is checked (finite scores; equal inputs after a reset give
 * equal bits), and only then timed. */
#define _POSIX_C_SOURCE 200809L
#include "boxes.h"
#include "modes.h"
#include "output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { SCHEMA = 1, CHECKED_STEPS = 3, FRAME_STRIDE = 64, IMAGE_WIDTH = 640, IMAGE_HEIGHT = 480, MOST_PROFILED = 200 };

typedef struct {
    const engine *e;
    const options *o;
    tsm_stream *stream;
    float *input; /* CHECKED_STEPS frames, each FRAME_STRIDE numbers further: no memory that a user would not need */
    size_t floats;
    boxes regions; /* --boxes */
    double *ms; /* one a timed step */
    double open_ms, first_ms;
    int finite, repeatable;
} bench;

/* -- Statistics ---------------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of sorted values: the one below which `part` of them lie. */
static double quantile(const double *sorted, int count, double part) {
    return sorted[(int)((count - 1) * part + 0.5)];
}

/* Peak resident memory. Not ru_maxrss where it can be helped: that starts at the peak of the process that started
 * this one, which for a Python with PyTorch is a gigabyte. */
static long peak_rss_kib(void) {
    struct rusage usage;
    char line[128];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && kib == 0 && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmHWM: %ld", &kib) != 1) kib = 0;
    if (status != NULL) fclose(status);
    if (kib == 0 && getrusage(RUSAGE_SELF, &usage) == 0) kib = usage.ru_maxrss;
    return kib;
}

/* -- Steps --------------------------------------------------------------------------------------------------------- */

/* Numbers as normalised pixels are: -2 to 2. The generator is Knuth's (MMIX), the same on every machine. */
static void make_input(float *input, size_t count) {
    uint64_t seed = 1;
    for (size_t i = 0; i < count; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        input[i] = (float)(seed >> 40) / (1 << 22) - 2.0f;
    }
}

static int step(bench *b, size_t frame, double *ms) {
    const uint64_t start = clock_ns();
    const float *input = b->input + frame % CHECKED_STEPS * FRAME_STRIDE;
    const tsm_status status = b->e->tsm_step_tensor(b->stream, input, b->floats);
    *ms = (double)(clock_ns() - start) * 1e-6;
    return status == TSM_OK ? EXIT_OK : engine_complain(b->e, status, b->stream);
}

/* Runs a few steps from reset twice and compares all scores bit by bit. A step that is wrong is never timed. */
static int check(bench *b) {
    size_t count;
    double ms;
    const float *scores = b->e->tsm_scores(b->stream, &count);
    float *before = malloc(CHECKED_STEPS * count * sizeof *before);
    if (before == NULL) return complain("out of memory"), EXIT_FAILED;
    int code = EXIT_OK;
    b->finite = b->repeatable = 1;
    for (size_t i = 0; code == EXIT_OK && i < 2 * CHECKED_STEPS; i++) {
        float *expected = before + i % CHECKED_STEPS * count;
        if (i % CHECKED_STEPS == 0) {
            b->e->tsm_reset(b->stream);
            boxes_put(&b->regions, b->e, b->stream);
        }
        if ((code = step(b, i, &ms)) != EXIT_OK) break;
        for (size_t c = 0; c < count; c++)
            if (!isfinite(scores[c])) b->finite = 0;
        if (i < CHECKED_STEPS)
            memcpy(expected, scores, count * sizeof *scores);
        else if (memcmp(expected, scores, count * sizeof *scores) != 0)
            b->repeatable = 0;
    }
    free(before);
    if (code != EXIT_OK || (b->finite && b->repeatable)) return code;
    complain("a check failed: %s",
             b->finite ? "equal inputs after a reset gave different scores" : "scores are not finite");
    return EXIT_CHECK;
}

static int time_steps(bench *b) {
    int code = EXIT_OK;
    for (int i = 0; code == EXIT_OK && i < b->o->frames; i++) code = step(b, (size_t)i, &b->ms[i]);
    qsort(b->ms, (size_t)b->o->frames, sizeof *b->ms, ascending);
    return code;
}

/* -- The document -------------------------------------------------------------------------------------------------- */

static void print_key(const char *key, double value) {
    printf(", \"%s\": ", key);
    put_number(value, 4);
}

/* Steps from a camera's image, preprocessing included; null for a model without one. */
static int print_image(bench *b) {
    const int count = b->o->frames < 100 ? b->o->frames : 100;
    uint8_t *pixels = calloc(IMAGE_WIDTH * IMAGE_HEIGHT, 3);
    double *ms = calloc((size_t)count, sizeof *ms);
    const tsm_image image = {pixels, IMAGE_WIDTH, IMAGE_HEIGHT, 3 * IMAGE_WIDTH, TSM_BGR};
    tsm_status status = pixels == NULL || ms == NULL ? TSM_E_MEMORY : b->e->tsm_step_image(b->stream, &image);
    for (int i = 0; status == TSM_OK && i < count; i++) {
        const uint64_t start = clock_ns();
        status = b->e->tsm_step_image(b->stream, &image);
        ms[i] = (double)(clock_ns() - start) * 1e-6;
    }
    printf(", \"image\": ");
    if (status == TSM_OK) {
        qsort(ms, (size_t)count, sizeof *ms, ascending);
        printf("{\"width\": %d, \"height\": %d", IMAGE_WIDTH, IMAGE_HEIGHT);
        print_key("median_ms", quantile(ms, count, 0.5));
        putchar('}');
    } else {
        printf("null");
    }
    free(ms);
    free(pixels);
    return EXIT_OK;
}

/* The median time of each operation, over as many steps as were timed, MOST_PROFILED at most. */
static int print_ops(bench *b) {
    const int count = b->o->frames < MOST_PROFILED ? b->o->frames : MOST_PROFILED;
    const size_t ops = b->e->info.op_count;
    double *us = calloc(ops * (size_t)count + 1, sizeof *us), ms;
    if (us == NULL) return complain("out of memory"), EXIT_FAILED;
    int code = EXIT_OK;
    b->e->tsm_profile(b->stream, 1);
    for (int i = 0; code == EXIT_OK && i < count; i++) {
        code = step(b, (size_t)i, &ms);
        const uint64_t *ns = b->e->tsm_op_ns(b->stream, NULL);
        for (size_t k = 0; k < ops; k++) us[k * (size_t)count + (size_t)i] = (double)ns[k] * 1e-3;
    }
    b->e->tsm_profile(b->stream, 0);
    printf(", \"ops\": [");
    for (size_t k = 0; code == EXIT_OK && k < ops; k++) {
        tsm_op_info op;
        b->e->tsm_op(b->e->model, k, &op);
        qsort(us + k * (size_t)count, (size_t)count, sizeof *us, ascending);
        printf("%s\n  {\"kernel\": ", k ? "," : "");
        put_string(op.kernel);
        printf(", \"layer\": ");
        put_string(op.layer);
        printf(", \"schedule\": ");
        put_string(op.schedule);
        printf(", \"macs\": %lld, \"bytes\": %lld", (long long)op.macs, (long long)op.bytes);
        print_key("median_us", quantile(us + k * (size_t)count, count, 0.5));
        putchar('}');
    }
    printf("]");
    free(us);
    return code;
}

static int print_document(bench *b) {
    const int n = b->o->frames;
    printf("{\"schema\": %d, \"model\": ", SCHEMA);
    put_string(b->e->info.model);
    printf(", \"target\": ");
    put_string(b->e->info.target);
    printf(", \"threads\": %d, \"frames\": %d", engine_threads(b->e, b->o->threads), n);
    print_key("open_ms", b->open_ms);
    print_key("first_ms", b->first_ms);
    print_key("min_ms", b->ms[0]);
    print_key("p5_ms", quantile(b->ms, n, 0.05));
    print_key("median_ms", quantile(b->ms, n, 0.5));
    print_key("p95_ms", quantile(b->ms, n, 0.95));
    int code = print_image(b);
    if (code == EXIT_OK && b->o->per_op) code = print_ops(b);
    printf(", \"checks\": {\"finite\": true, \"repeatable\": true}, \"peak_rss_kib\": %ld}\n", peak_rss_kib());
    const int end = flush_output();
    return code == EXIT_OK && end != STILL_OPEN ? end : code;
}

int run_bench(const engine *e, const options *o, double open_ms) {
    bench b = {.e = e, .o = o, .floats = engine_input_floats(e)};
    const uint64_t start = clock_ns();
    int code = boxes_read(&b.regions, e, o->boxes);
    if (code == EXIT_OK) code = engine_stream(e, o->threads, &b.stream);
    if (code != EXIT_OK) return boxes_free(&b.regions), code;
    boxes_put(&b.regions, e, b.stream);
    b.open_ms = open_ms + (double)(clock_ns() - start) * 1e-6;
    const size_t numbers = b.floats + CHECKED_STEPS * FRAME_STRIDE;
    b.input = calloc(numbers, sizeof *b.input);
    b.ms = calloc((size_t)o->frames, sizeof *b.ms);
    if (b.input == NULL || b.ms == NULL) {
        complain("out of memory");
        code = EXIT_FAILED;
    } else {
        make_input(b.input, numbers);
        code = step(&b, 0, &b.first_ms);
        if (code == EXIT_OK) code = check(&b);
        if (code == EXIT_OK) code = time_steps(&b);
        if (code == EXIT_OK) code = print_document(&b);
    }
    free(b.ms);
    free(b.input);
    boxes_free(&b.regions);
    e->tsm_stream_free(b.stream);
    return code;
}
