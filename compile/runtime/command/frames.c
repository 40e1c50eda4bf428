/* frames.c: --raw and --tensor, frames from stdin until it ends. */
#define _POSIX_C_SOURCE 200809L
#include "modes.h"
#include "output.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- One frame in -------------------------------------------------------------------------------------------------- */

/* Returns 1 for a whole frame, 0 at the end of stdin, -1 after a complaint. */
static int read_frame(void *frame, size_t bytes, size_t index) {
    const size_t got = fread(frame, 1, bytes, stdin);
    if (got == bytes) return 1;
    if (ferror(stdin)) {
        complain("cannot read stdin\n  found: %s", strerror(errno));
    } else if (got > 0) {
        complain("frame %zu is cut off\n  found: %zu bytes\n  allowed: %zu\n"
                 "  hint: do the size and the format of the frames match?", index, got, bytes);
    } else if (index == 0) {
        complain("no frame came on stdin\n  allowed: frames of %zu bytes", bytes);
    } else {
        return 0;
    }
    return -1;
}

/* -- One result out ------------------------------------------------------------------------------------------------ */

/* The best class and its softmax, in double and shifted by the maximum; index -1 when the scores are not finite. */
static int best(const float *scores, size_t count, double *probability) {
    size_t top = 0;
    double sum = 0.0;
    *probability = NAN;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(scores[i])) return -1;
        if (scores[i] > scores[top]) top = i;
    }
    for (size_t i = 0; i < count; i++) sum += exp((double)scores[i] - (double)scores[top]);
    *probability = 1.0 / sum;
    return (int)top;
}

static void print_line(const engine *e, const tsm_stream *stream, size_t frame, double ms) {
    size_t count;
    double probability;
    const float *scores = e->tsm_scores(stream, &count);
    const int index = best(scores, count, &probability);
    printf("{\"frame\": %zu, \"index\": %d, \"label\": ", frame, index);
    put_string(index >= 0 && (size_t)index < e->info.label_count ? e->info.labels[index] : NULL);
    fputs(", \"score\": ", stdout);
    put_number(probability, 6);
    fputs(", \"ms\": ", stdout);
    put_number(ms, 3);
    fputs("}\n", stdout);
}

/* All targets are little-endian, so the bytes in memory are the ones to write. */
static int dump(const engine *e, const tsm_stream *stream, float *state) {
    size_t count;
    const float *scores = e->tsm_scores(stream, &count);
    fwrite(scores, sizeof *scores, count, stdout);
    for (size_t i = 0; i < e->info.state_count; i++) {
        tsm_tensor_info info;
        e->tsm_state_info(e->model, i, &info);
        const tsm_status status = e->tsm_state_get(stream, i, state, info.bytes / sizeof *state);
        if (status != TSM_OK) return engine_complain(e, status, stream);
        fwrite(state, 1, info.bytes, stdout);
    }
    return STILL_OPEN;
}

/* -- The loop ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const engine *e;
    const options *o;
    tsm_stream *stream;
    size_t bytes;  /* of a frame */
    void *frame;
    float *state;  /* room for the largest state as float32, which is more than the device may hold it in */
} job;

static tsm_status step(const job *j) {
    const options *o = j->o;
    if (o->mode == MODE_TENSOR) return j->e->tsm_step_tensor(j->stream, j->frame, j->bytes / sizeof(float));
    const tsm_image image = {j->frame, o->width, o->height, 3 * (size_t)o->width, (tsm_format)o->format};
    return j->e->tsm_step_image(j->stream, &image);
}

static int loop(const job *j) {
    for (size_t index = 0;; index++) {
        const int got = read_frame(j->frame, j->bytes, index);
        if (got <= 0) return got == 0 ? EXIT_OK : EXIT_FAILED;
        const uint64_t start = clock_ns();
        const tsm_status status = step(j);
        if (status != TSM_OK) return engine_complain(j->e, status, j->stream);
        int end = STILL_OPEN;
        if (j->o->dump)
            end = dump(j->e, j->stream, j->state);
        else
            print_line(j->e, j->stream, index, (double)(clock_ns() - start) * 1e-6);
        if (end == STILL_OPEN) end = flush_output(); /* a live pipe wants each result at once */
        if (end != STILL_OPEN) return end;
    }
}

static size_t largest_state(const engine *e) {
    size_t largest = 1;
    for (size_t i = 0; i < e->info.state_count; i++) {
        tsm_tensor_info info;
        e->tsm_state_info(e->model, i, &info);
        if (info.bytes > largest) largest = info.bytes;
    }
    return largest;
}

static int run(const engine *e, const options *o, size_t bytes) {
    job j = {.e = e, .o = o, .bytes = bytes};
    int code = engine_stream(e, o->threads, &j.stream);
    if (code != EXIT_OK) return code;
    j.frame = malloc(bytes);
    j.state = malloc(largest_state(e));
    if (j.frame == NULL || j.state == NULL) {
        complain("out of memory for a frame of %zu bytes", bytes);
        code = EXIT_FAILED;
    } else {
        code = loop(&j);
    }
    free(j.state);
    free(j.frame);
    e->tsm_stream_free(j.stream);
    return code;
}

int run_raw(const engine *e, const options *o) { return run(e, o, 3 * (size_t)o->width * (size_t)o->height); }

int run_tensor(const engine *e, const options *o) { return run(e, o, sizeof(float) * engine_input_floats(e)); }
