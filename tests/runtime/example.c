/* example.c: recognise what a camera sees. Reads 640x480 BGR frames from stdin and prints the best class of each.
 *
 *     cc example.c -I my-bundle -L my-bundle -ltsm -Wl,-rpath,my-bundle -o example */
#include "tsm_edge.h"

#include <stdio.h>

int main(void) {
    static uint8_t frame[480][640][3];
    char error[TSM_ERROR_SIZE];
    tsm_model *model;
    tsm_stream *stream;
    tsm_model_info info;
    if (tsm_open(&model, error, sizeof error) != TSM_OK ||
        tsm_stream_new(model, 2, &stream, error, sizeof error) != TSM_OK)
        return fprintf(stderr, "%s\n", error), 1;
    tsm_info(model, &info);
    while (fread(frame, sizeof frame, 1, stdin) == 1) {
        const tsm_image image = {frame[0][0], 640, 480, sizeof frame[0], TSM_BGR};
        if (tsm_step_image(stream, &image) != TSM_OK) return fprintf(stderr, "%s\n", tsm_error(stream)), 1;
        const float *scores = tsm_scores(stream, NULL);
        int best = 0;
        for (int i = 1; i < info.classes; i++)
            if (scores[i] > scores[best]) best = i;
        printf("%s\n", info.label_count ? info.labels[best] : "(no labels)");
    }
    tsm_stream_free(stream);
    tsm_close(model);
    return 0;
}
