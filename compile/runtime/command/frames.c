/* frames.c: --raw and --tensor, frames from stdin until it ends.
 *
 * The model steps at its own rate. With --fps, frame i was taken at i / fps seconds. Without it, pictures are stamped as
 * they arrive; preprocessed tensors, and frames whose steps are dumped, are taken to come at the model's rate: one step
 * each. */
#define _POSIX_C_SOURCE 200809L
#include "frames.h"

#include "live.h"
#include "modes.h"
#include "output.h"
#include "results.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const engine *e;
    const options *o;
    tsm_stream *stream;
    tsm_decision *decision; /* --decide */
    size_t bytes;           /* of a frame */
    void *frame;
    float *state;           /* --dump: room for the largest state as float32, which is more than the device may hold */
    double *probabilities;  /* room for one a class */
    tsm_sampler sampler;    /* --fps */
    size_t read;            /* frames so far, without `live` */
    live *live;             /* frames are timed as they arrive */
} job;

/* -- One frame in -------------------------------------------------------------------------------------------------- */

int stdin_ended(size_t got, size_t bytes, size_t index, int error) {
    if (error != 0)
        complain("cannot read stdin\n  found: %s", strerror(error));
    else if (got > 0)
        complain("frame %zu is cut off\n  found: %zu bytes\n  allowed: %zu\n"
                 "  hint: do the size and the format of the frames match?", index, got, bytes);
    else if (index == 0)
        complain("no frame came on stdin\n  allowed: frames of %zu bytes", bytes);
    else
        return 0;
    return -1;
}

/* Fills *out with the next frame that is worth a step. Returns 1, 0 at the end of stdin, -1 after a complaint. */
static int next_frame(job *j, timed_frame *out) {
    if (j->live != NULL) return live_next(j->live, out);
    for (;;) {
        const size_t got = fread(j->frame, 1, j->bytes, stdin), index = j->read++;
        if (got != j->bytes) return stdin_ended(got, j->bytes, index, ferror(stdin) ? errno : 0);
        const double fps = j->o->fps > 0.0 ? j->o->fps : j->e->info.rate_fps;
        *out = (timed_frame){j->frame, index, fps > 0.0 ? (double)index / fps : NAN, 1};
        if (j->o->fps > 0.0) out->steps = j->e->tsm_sampler_take(&j->sampler, out->t_s);
        if (out->steps > 0) return 1;
    }
}

void note_missed(const tsm_sampler *sampler) {
    if (sampler->stalls > 0)
        complain("note: %.0f steps were left out; frames stopped for more than %.2f s", sampler->missed,
                 (double)TSM_MAX_STEPS / sampler->rate_fps);
}

/* -- The loop ------------------------------------------------------------------------------------------------------ */

static tsm_status step(const job *j, const void *frame) {
    const options *o = j->o;
    if (o->mode == MODE_TENSOR) return j->e->tsm_step_tensor(j->stream, frame, j->bytes / sizeof(float));
    const tsm_image image = {frame, o->width, o->height, 3 * (size_t)o->width, (tsm_format)o->format};
    return j->e->tsm_step_image(j->stream, &image);
}

/* One step and its result. Returns an exit code, or STILL_OPEN. */
static int step_and_print(const job *j, const timed_frame *frame) {
    const uint64_t start = clock_ns();
    const tsm_status status = step(j, frame->bytes);
    const double ms = (double)(clock_ns() - start) * 1e-6;
    int end = STILL_OPEN;
    if (status != TSM_OK) return engine_complain(j->e, status, j->stream);
    if (j->o->dump)
        end = dump(j->e, j->stream, j->state);
    else if (j->o->decide)
        end = print_decision(j->e, j->stream, j->decision, frame, ms);
    else
        print_scores(j->e, j->stream, frame, j->probabilities, ms);
    return end == STILL_OPEN ? flush_output() : end; /* a live pipe wants each result at once */
}

static int loop(job *j) {
    timed_frame frame;
    for (;;) {
        const int got = next_frame(j, &frame);
        if (got <= 0) return got == 0 ? EXIT_OK : EXIT_FAILED;
        for (int32_t n = 0; n < frame.steps; n++) {
            const int end = step_and_print(j, &frame);
            if (end != STILL_OPEN) return end;
        }
    }
}

/* -- What the loop needs ------------------------------------------------------------------------------------------- */

static size_t largest_state(const engine *e) {
    size_t largest = 1;
    for (size_t i = 0; i < e->info.state_count; i++) {
        tsm_tensor_info info;
        e->tsm_state_info(e->model, i, &info);
        if (info.bytes > largest) largest = info.bytes;
    }
    return largest;
}

/* A network without a picture has no rate; --raw is refused by its first step. Returns an exit code. */
static int prepare_time(job *j) {
    const double rate = j->e->info.rate_fps;
    if (j->o->fps > 0.0) {
        if (j->e->tsm_sampler_init(&j->sampler, rate) == TSM_OK) return EXIT_OK;
        complain("--fps means nothing to this network\n  found: it takes no picture, and its rate is not known\n"
                 "  hint: leave --fps out, and give it tensors at the rate it was trained at");
        return EXIT_USAGE;
    }
    if (j->o->mode != MODE_RAW || j->o->dump || rate <= 0.0) return EXIT_OK;
    complain("note: without --fps, frames are timed as they arrive, for a live camera; for a file give its rate, such as "
             "--fps 30");
    j->live = live_start(j->e, j->bytes, rate);
    return j->live != NULL ? EXIT_OK : EXIT_FAILED;
}

static int prepare(job *j) {
    const tsm_model_info *info = &j->e->info;
    char error[TSM_ERROR_SIZE];
    const int code = engine_stream(j->e, j->o->threads, &j->stream);
    if (code != EXIT_OK) return code;
    j->frame = malloc(j->bytes);
    j->state = malloc(largest_state(j->e));
    j->probabilities = malloc((size_t)info->classes * sizeof(double));
    if (j->frame == NULL || j->state == NULL || j->probabilities == NULL)
        return complain("out of memory for a frame of %zu bytes", j->bytes), EXIT_FAILED;
    if (j->o->decide && j->e->tsm_decision_new(&info->decision, info->scores, info->classes, &j->decision, error,
                                               sizeof error) != TSM_OK)
        return complain("%s", error), EXIT_FAILED;
    return prepare_time(j);
}

static int run(const engine *e, const options *o, size_t bytes) {
    job j = {.e = e, .o = o, .bytes = bytes};
    int code = prepare(&j);
    if (code == EXIT_OK) code = loop(&j);
    if (j.live != NULL) live_end(j.live);
    else note_missed(&j.sampler);
    e->tsm_decision_free(j.decision);
    free(j.probabilities);
    free(j.state);
    free(j.frame);
    e->tsm_stream_free(j.stream);
    return code;
}

int run_raw(const engine *e, const options *o) { return run(e, o, 3 * (size_t)o->width * (size_t)o->height); }

int run_tensor(const engine *e, const options *o) { return run(e, o, sizeof(float) * engine_input_floats(e)); }
