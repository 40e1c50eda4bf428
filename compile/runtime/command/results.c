/* results.c: what --raw and --tensor print after a step. */
#define _POSIX_C_SOURCE 200809L
#include "results.h"

#include "output.h"

#include <math.h>
#include <stdio.h>

static void put_label(const engine *e, int index) {
    put_string(index >= 0 && (size_t)index < e->info.label_count ? e->info.labels[index] : NULL);
}

static void put_frame(const timed_frame *frame) {
    printf("{\"frame\": %zu, \"t_s\": ", frame->index);
    put_number(frame->t_s, 3);
}

static void put_end(double ms) {
    fputs(", \"ms\": ", stdout);
    put_number(ms, 3);
    fputs("}\n", stdout);
}

void print_scores(const engine *e, const tsm_stream *stream, const timed_frame *frame, double *probabilities,
                  double ms) {
    size_t count;
    int top = -1;
    const float *scores = e->tsm_scores(stream, &count);
    if (e->tsm_probabilities(e->info.scores, scores, count, probabilities) == TSM_OK) {
        top = 0;
        for (size_t i = 1; i < count; i++)
            if (scores[i] > scores[top]) top = (int)i;
    }
    put_frame(frame);
    printf(", \"index\": %d, \"label\": ", top);
    put_label(e, top);
    fputs(", \"score\": ", stdout);
    put_number(top < 0 ? NAN : probabilities[top], 6);
    put_end(ms);
}

int decide(const engine *e, const tsm_stream *stream, tsm_decision *decision, const timed_frame *frame,
           tsm_decided *now) {
    size_t count;
    const float *scores = e->tsm_scores(stream, &count);
    if (e->tsm_decision_push(decision, scores, count, now) == TSM_OK) return STILL_OPEN;
    complain("frame %zu: %s", frame->index, e->tsm_decision_error(decision));
    return EXIT_FAILED;
}

void print_decision(const engine *e, const tsm_decided *now, const timed_frame *frame, double ms) {
    put_frame(frame);
    fputs(", \"label\": ", stdout);
    put_label(e, now->index);
    printf(", \"index\": %d, \"probability\": ", (int)now->index);
    put_number(now->probability, 6);
    printf(", \"changed\": %s, \"idle\": %s", now->changed ? "true" : "false", now->idle ? "true" : "false");
    put_end(ms);
}

/* All targets are little-endian, so the bytes in memory are the ones to write. */
int dump(const engine *e, const tsm_stream *stream, float *state) {
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
