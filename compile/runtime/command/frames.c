/* frames.c: --raw, --tensor, --input, --camera: frames until they end or a signal comes.
 *
 * The model steps at its own rate. With --fps, or a source that says its rate, frame i was taken at i / fps seconds.
 * Without it, pictures are stamped as they arrive; preprocessed tensors, and frames whose steps are dumped, are taken to
 * come at the model's rate: one step each. */
#define _POSIX_C_SOURCE 200809L
#include "frames.h"

#include "boxes.h"
#include "events.h"
#include "live.h"
#include "modes.h"
#include "output.h"
#include "results.h"
#include "source.h"
#include "stop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const engine *e;
    const options *o;
    tsm_stream *stream;
    tsm_decision *decision; /* --decide, --events, --on-change */
    events *events;         /* --events, --on-change */
    on_change *program;     /* --on-change */
    source *from;
    double fps;             /* of a recording; 0: frames are timed as they arrive, or one step each */
    boxes regions;          /* --boxes */
    void *frame;
    float *state;           /* --dump: room for the largest state as float32, which is more than the device may hold */
    double *probabilities;  /* room for one a class */
    tsm_sampler sampler;    /* with fps */
    size_t read;            /* frames so far, without `live` */
    int waiting;            /* steps whose answers are still of a time before the stream */
    live *live;             /* frames are timed as they arrive */
} job;

/* -- One frame in -------------------------------------------------------------------------------------------------- */

/* Fills *out with the next frame that is worth a step. */
static arrival next_frame(job *j, timed_frame *out) {
    if (j->live != NULL) return live_next(j->live, out);
    for (;;) {
        uint64_t stamp_ns;
        const arrival came = j->from->next(j->from, j->frame, &stamp_ns);
        if (came != CAME) return came;
        const size_t index = j->read++;
        const double fps = j->fps > 0.0 ? j->fps : j->e->info.rate_fps;
        *out = (timed_frame){j->frame, index, fps > 0.0 ? (double)index / fps : NAN, 1, 0};
        if (j->fps > 0.0) out->steps = j->e->tsm_sampler_take(&j->sampler, out->t_s);
        if (out->steps > 0 && (j->from->take == NULL || j->from->take(j->from, j->frame))) return CAME;
    }
}

void note_missed(const tsm_sampler *sampler) {
    if (sampler->stalls > 0)
        complain("note: %.0f steps were left out; frames stopped for more than %.2f s", sampler->missed,
                 (double)TSM_MAX_STEPS / sampler->rate_fps);
}

/* -- The loop ------------------------------------------------------------------------------------------------------ */

static tsm_status step(const job *j, const void *bytes) {
    const tsm_frame *layout = &j->from->layout;
    tsm_frame frame;
    if (layout->width == 0) return j->e->tsm_step_tensor(j->stream, bytes, j->from->bytes / sizeof(float));
    j->e->tsm_frame_packed(&frame, layout->format, layout->width, layout->height, layout->strides[0], bytes);
    frame.color = layout->color;
    return j->e->tsm_step_frame(j->stream, &frame);
}

/* One step and its result. Returns an exit code, or STILL_OPEN. */
static int step_and_print(job *j, const timed_frame *frame) {
    const uint64_t answers = j->e->tsm_answers(j->stream), start = clock_ns();
    const tsm_status status = step(j, frame->bytes);
    const double ms = (double)(clock_ns() - start) * 1e-6;
    int end = STILL_OPEN;
    if (status != TSM_OK) return engine_complain(j->e, status, j->stream);
    if (!j->o->dump && j->e->tsm_answers(j->stream) == answers) return STILL_OPEN; /* the window waits for more frames */
    if (j->o->dump)
        end = dump(j->e, j->stream, j->state);
    else if (j->waiting > 0)
        j->waiting--;
    else if (j->decision != NULL) {
        tsm_decided now;
        end = decide(j->e, j->stream, j->decision, frame, &now);
        if (end == STILL_OPEN && j->events != NULL) end = events_take(j->events, &now, frame);
        if (j->events != NULL && !j->o->decide) return end;
        if (end == STILL_OPEN) print_decision(j->e, &now, frame, ms);
    } else
        print_scores(j->e, j->stream, frame, j->probabilities, ms);
    return end == STILL_OPEN ? flush_output() : end; /* a live pipe wants each result at once */
}

/* After frames were lost the model has seen nothing, and nothing is decided. */
static void begin_anew(job *j) {
    j->e->tsm_reset(j->stream);
    boxes_put(&j->regions, j->e, j->stream);
    j->waiting = engine_delay(j->e);
    if (j->decision != NULL) j->e->tsm_decision_reset(j->decision);
    if (j->events != NULL) events_forget(j->events);
}

static int loop(job *j) {
    timed_frame frame;
    for (;;) {
        const arrival got = next_frame(j, &frame);
        if (got == STOPPED) return stop_code();
        if (got != CAME) return got == ENDED ? EXIT_OK : EXIT_FAILED;
        if (frame.fresh) begin_anew(j);
        for (int32_t n = 0; n < frame.steps; n++) {
            const int end = step_and_print(j, &frame);
            if (stop_code() != 0) return stop_code();
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
    const int only_live = j->from->only_live;
    j->fps = j->o->fps > 0.0 || j->o->dump ? j->o->fps : only_live ? 0.0 : j->from->fps;
    if (j->fps > 0.0 && !only_live) {
        if (j->e->tsm_sampler_init(&j->sampler, rate) == TSM_OK) return EXIT_OK;
        if (j->o->mode != MODE_TENSOR) return j->fps = 0.0, EXIT_OK;
        complain("--fps means nothing to this network\n  found: it takes no picture, and its rate is not known\n"
                 "  hint: leave --fps out, and give it tensors at the rate it was trained at");
        return EXIT_USAGE;
    }
    if (j->o->mode == MODE_TENSOR || rate <= 0.0 || (j->o->dump && !only_live)) return EXIT_OK;
    if (!only_live)
        complain("note: without --fps, frames are timed as they arrive, for a live camera; for a file give its rate, "
                 "such as --fps 30");
    j->live = live_start(j->e, j->from, rate);
    return j->live != NULL ? EXIT_OK : EXIT_FAILED;
}

static int prepare(job *j) {
    const tsm_model_info *info = &j->e->info;
    char error[TSM_ERROR_SIZE];
    int code = boxes_read(&j->regions, j->e, j->o->boxes);
    if (code == EXIT_OK) code = engine_stream(j->e, j->o->threads, &j->stream);
    if (code != EXIT_OK) return code;
    boxes_put(&j->regions, j->e, j->stream);
    j->frame = malloc(j->from->bytes);
    j->state = malloc(largest_state(j->e));
    j->probabilities = malloc((size_t)info->classes * sizeof(double));
    if (j->frame == NULL || j->state == NULL || j->probabilities == NULL)
        return complain("out of memory for a frame of %zu bytes", j->from->bytes), EXIT_FAILED;
    if ((j->o->decide || j->events != NULL) &&
        j->e->tsm_decision_new(&info->decision, info->scores, info->classes, &j->decision, error, sizeof error) != TSM_OK)
        return complain("%s", error), EXIT_FAILED;
    return prepare_time(j);
}

static void tell_delay(const engine *e) {
    const int late = engine_delay(e);
    int32_t frames, stride;
    char seconds[32] = "";
    if (engine_window(e, &frames, &stride))
        complain("note: the model looks at %d frames at once: the first answer comes after as many, then one every %d",
                 (int)frames, (int)stride);
    if (late == 0) return;
    if (e->info.rate_fps > 0.0) snprintf(seconds, sizeof seconds, ", %.2f s", late / e->info.rate_fps);
    complain("note: the model looks into the future: an answer is for the frame %d steps%s before, and the first %d steps "
             "have none", late, seconds, late);
}

static int run(job *j) {
    int code = prepare(j);
    j->waiting = engine_delay(j->e);
    if (code == EXIT_OK && !j->o->dump) tell_delay(j->e);
    if (j->live == NULL) on_change_be_patient(j->program);
    if (code == EXIT_OK) code = loop(j);
    if (j->live != NULL) live_end(j->live);
    else note_missed(&j->sampler);
    j->from->close(j->from);
    j->e->tsm_decision_free(j->decision);
    free(j->probabilities);
    free(j->state);
    free(j->frame);
    boxes_free(&j->regions);
    j->e->tsm_stream_free(j->stream);
    return code;
}

/* Its name in events: without its folder. */
static const char *source_name(const options *o) {
    if (o->mode != MODE_CAMERA) return "stdin";
    const char *slash = strrchr(o->camera, '/');
    return slash == NULL ? o->camera : slash + 1;
}

/* Who is told, before the source is opened: readers of a socket may wait for it. Returns an exit code. */
static int open_listeners(job *j) {
    const options *o = j->o;
    int code = EXIT_OK;
    if (o->on_change != NULL && (j->program = on_change_open(o->on_change, &code)) == NULL) return code;
    const listeners to = {o->events, j->program, o->on_change_idle};
    if (o->events == NULL && j->program == NULL) return EXIT_OK;
    j->events = events_open(&to, j->e, source_name(o));
    return j->events != NULL ? EXIT_OK : EXIT_FAILED;
}

int run_frames(const engine *e, const options *o) {
    if (!stop_listen()) return EXIT_FAILED;
    job j = {.e = e, .o = o};
    int code = open_listeners(&j);
    if (code == EXIT_OK) {
        j.from = (o->mode == MODE_CAMERA ? camera_open : piped_open)(e, o, &code);
        if (j.from != NULL) code = run(&j);
    }
    events_close(j.events);
    on_change_close(j.program);
    stop_end();
    return code;
}
