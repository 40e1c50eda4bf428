/* example.c: announce the gestures that a camera sees. Reads 640x480 BGR frames from stdin, taken FPS times a second, and
 * prints a line whenever another gesture is decided.
 *
 *     cc example.c -I my-bundle -L my-bundle -ltsm -Wl,-rpath,my-bundle -o example
 *     ffmpeg -i clip.mp4 -f rawvideo -pix_fmt bgr24 -s 640x480 -r 30 - | ./example 30 */
#include "tsm_edge.h"

#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 640, HEIGHT = 480 };

/* One step, and what is decided after it. Returns 0 when something failed. */
static int step(tsm_stream *stream, tsm_decision *decision, const tsm_image *image, tsm_decided *now) {
    size_t count;
    if (tsm_step_image(stream, image) != TSM_OK) return fprintf(stderr, "%s\n", tsm_error(stream)), 0;
    const float *scores = tsm_scores(stream, &count);
    if (tsm_decision_push(decision, scores, count, now) == TSM_OK) return 1;
    return fprintf(stderr, "%s\n", tsm_decision_error(decision)), 0;
}

int main(int argc, char **argv) {
    static uint8_t frame[HEIGHT][WIDTH][3];
    char error[TSM_ERROR_SIZE];
    tsm_model *model = NULL;
    tsm_stream *stream = NULL;
    tsm_decision *decision = NULL;
    tsm_model_info info;
    tsm_sampler sampler;
    tsm_decided now = {0};
    const double fps = argc == 2 ? atof(argv[1]) : 0.0;
    if (fps <= 0.0) return fprintf(stderr, "usage: %s FPS < frames\n", argv[0]), 2;
    if (tsm_open(&model, error, sizeof error) != TSM_OK) return fprintf(stderr, "%s\n", error), 1;
    tsm_info(model, &info);
    int good = tsm_stream_new(model, 2, &stream, error, sizeof error) == TSM_OK &&
               tsm_decision_new(&info.decision, info.scores, info.classes, &decision, error, sizeof error) == TSM_OK;
    if (!good) fprintf(stderr, "%s\n", error);
    tsm_sampler_init(&sampler, info.rate_fps); /* the model steps at its own rate, whatever the camera delivers */
    for (size_t i = 0; good && fread(frame, sizeof frame, 1, stdin) == 1; i++) {
        const double t_s = (double)i / fps; /* with a camera: when it took the frame */
        const tsm_image image = {frame[0][0], WIDTH, HEIGHT, sizeof frame[0], TSM_BGR};
        for (int32_t n = tsm_sampler_take(&sampler, t_s); good && n > 0; n--) {
            good = step(stream, decision, &image, &now);
            if (good && now.changed && !now.idle)
                printf("%.2f s  %s  %.0f %%\n", t_s, info.label_count ? info.labels[now.index] : "(no labels)",
                       100.0 * now.probability);
        }
    }
    tsm_decision_free(decision);
    tsm_stream_free(stream);
    tsm_close(model);
    return good ? 0 : 1;
}
