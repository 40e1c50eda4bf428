/* image.h: from an 8-bit image to the network's input, as the model was trained. */
#ifndef TSM_IMAGE_H
#define TSM_IMAGE_H

#include "plan.h"
#include "threads.h"
#include "tsm_edge.h"

typedef struct tsm_image_reader tsm_image_reader;

/* Returns NULL when memory is out. The reader keeps `how`, which must live as long as it does. */
tsm_image_reader *tsm_image_reader_new(const tsm_plan_preprocess *how);
void tsm_image_reader_free(tsm_image_reader *reader);

/* Reads `image` into out: height * width * channels floats, NHWC. Error text (of error_size bytes) says what was refused;
 * then `out` is untouched. Allocates only when the image's size differs from the last one's. */
tsm_status tsm_image_read(tsm_image_reader *reader, const tsm_image *image, tsm_pool *pool, float *out, char *error,
                          size_t error_size);

#endif
