/* image.h: from an 8-bit image to the network's input, as the model was trained. */
#ifndef TSM_IMAGE_H
#define TSM_IMAGE_H

#include "plan.h"
#include "threads.h"
#include "tsm_edge.h"

typedef struct tsm_image_reader tsm_image_reader;

/* For a pool of `threads`. Returns NULL when memory is out. The reader keeps `how`, which must live as long as it does. */
tsm_image_reader *tsm_image_reader_new(const tsm_plan_preprocess *how, int32_t threads);
void tsm_image_reader_free(tsm_image_reader *reader);

/* Reads `frame` into out: height * width * channels floats, NHWC. Error text (of error_size bytes) says what was refused;
 * then `out` is untouched. Allocates only when the size differs from the last one's, and for the first of a size that is
 * not of three bytes a pixel. */
tsm_status tsm_image_read(tsm_image_reader *reader, const tsm_frame *frame, tsm_pool *pool, float *out, char *error,
                          size_t error_size);

#endif
