/* image.c: from an 8-bit image to the network's input.
 *
 * 1. The short side is resized to `resize`, the long one in proportion, rounded down (torchvision's Resize); the centre
 *    crop x crop is kept, its corner rounded half to even (torchvision's CenterCrop). Only that crop is computed.
 * 2. Horizontal pass, one source row an item: `between` holds crop pixels for every source row that the crop reads.
 * 3. Vertical pass, one output row an item; bytes become floats through a table of (value / 255 - mean) / std. */
#include "image.h"

#include "message.h"
#include "resample.h"

#include <stdlib.h>

struct tsm_image_reader {
    const tsm_plan_preprocess *how;
    float normalised[3][256];   /* by channel of the model */
    int32_t width, height;      /* what the tables below are for; 0: nothing yet */
    tsm_axis x, y;              /* y counts rows from first_row on */
    int32_t first_row, rows;    /* source rows that the crop reads */
    size_t pitch;               /* bytes a row of `between`: whole blocks */
    uint8_t *between;
};

tsm_image_reader *tsm_image_reader_new(const tsm_plan_preprocess *how) {
    tsm_image_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return NULL;
    reader->how = how;
    for (int c = 0; c < 3; c++)
        for (int value = 0; value < 256; value++)
            reader->normalised[c][value] = ((float)value / 255.0f - how->mean[c]) / how->std[c];
    return reader;
}

static void forget_size(tsm_image_reader *reader) {
    tsm_axis_free(&reader->x);
    tsm_axis_free(&reader->y);
    free(reader->between);
    reader->between = NULL;
    reader->width = reader->height = 0;
}

void tsm_image_reader_free(tsm_image_reader *reader) {
    if (reader == NULL) return;
    forget_size(reader);
    free(reader);
}

/* Python's round((size - crop) / 2.0): half to even. */
static int32_t corner(int32_t size, int32_t crop) {
    const int32_t room = size - crop, half = room / 2;
    return half + (room % 2 == 1 && half % 2 == 1);
}

/* Makes the tables for images of width x height. Returns 0 when memory is out. */
static int learn_size(tsm_image_reader *reader, int32_t width, int32_t height) {
    const int32_t crop = reader->how->crop, resize = reader->how->resize;
    const int32_t shorter = width < height ? width : height;
    const int32_t wide = (int32_t)((int64_t)resize * width / shorter);
    const int32_t tall = (int32_t)((int64_t)resize * height / shorter);
    forget_size(reader);
    if (!tsm_axis_make(&reader->x, width, wide, corner(wide, crop), crop)) return 0;
    if (!tsm_axis_make(&reader->y, height, tall, corner(tall, crop), crop)) return 0;
    reader->first_row = reader->y.start[0];
    reader->rows = reader->y.start[crop - 1] + reader->y.taps - reader->first_row;
    for (int32_t i = 0; i < crop; i++) reader->y.start[i] -= reader->first_row;
    reader->pitch = (3 * (size_t)crop + TSM_BLOCK) / TSM_BLOCK * TSM_BLOCK; /* at least one byte of room at the end */
    reader->between = calloc((size_t)reader->rows, reader->pitch);
    if (reader->between == NULL) return 0;
    reader->width = width;
    reader->height = height;
    return 1;
}

/* -- The two passes ------------------------------------------------------------------------------------------------ */

typedef struct {
    tsm_image_reader *reader;
    const tsm_image *image;
    float *out;
} pass;

static void horizontal(const void *context, int32_t thread, int32_t begin, int32_t end) {
    const pass *p = context;
    const tsm_image_reader *r = p->reader;
    (void)thread;
    for (int32_t row = begin; row < end; row++)
        tsm_resample_row(&r->x, p->image->pixels + (size_t)(r->first_row + row) * p->image->stride, r->width,
                         r->between + (size_t)row * r->pitch);
}

static void vertical(const void *context, int32_t thread, int32_t begin, int32_t end) {
    const pass *p = context;
    const tsm_image_reader *r = p->reader;
    const int swap = (p->image->format == TSM_RGB) != (r->how->rgb != 0);
    const int first = swap ? 2 : 0, last = 2 - first;
    const size_t floats = 3 * (size_t)r->how->crop;
    (void)thread;
    for (int32_t row = begin; row < end; row++) {
        float *out = p->out + (size_t)row * floats;
        for (size_t at = 0; at < floats; at += TSM_BLOCK) {
            uint8_t bytes[TSM_BLOCK];
            tsm_resample_column(&r->y, row, r->between + at, r->pitch, bytes);
            const size_t valid = floats - at < TSM_BLOCK ? floats - at : TSM_BLOCK;
            for (size_t i = 0; i < valid; i += 3, out += 3) {
                out[0] = r->normalised[0][bytes[i + (size_t)first]];
                out[1] = r->normalised[1][bytes[i + 1]];
                out[2] = r->normalised[2][bytes[i + (size_t)last]];
            }
        }
    }
}

/* -- Reading ------------------------------------------------------------------------------------------------------- */

static tsm_status check(const tsm_image *image, char *error, size_t error_size) {
    if (image == NULL || image->pixels == NULL)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size, "the image or its pixels are NULL");
    if (image->width < 1 || image->width > TSM_MAX_IMAGE_SIDE || image->height < 1 ||
        image->height > TSM_MAX_IMAGE_SIDE)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size,
                          "image size out of range\n  found: %dx%d\n  allowed: 1 to %d pixels a side",
                          (int)image->width, (int)image->height, TSM_MAX_IMAGE_SIDE);
    if (image->stride < 3 * (size_t)image->width)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size,
                          "image stride too small\n  found: %zu bytes\n  allowed: at least %zu (3 x width)",
                          image->stride, 3 * (size_t)image->width);
    if (image->format != TSM_BGR && image->format != TSM_RGB)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size,
                          "unknown image format\n  found: %d\n  allowed: TSM_BGR (0), TSM_RGB (1)",
                          (int)image->format);
    return TSM_OK;
}

tsm_status tsm_image_read(tsm_image_reader *reader, const tsm_image *image, tsm_pool *pool, float *out, char *error,
                          size_t error_size) {
    const tsm_status status = check(image, error, error_size);
    if (status != TSM_OK) return status;
    if ((image->width != reader->width || image->height != reader->height) &&
        !learn_size(reader, image->width, image->height)) {
        forget_size(reader);
        return tsm_refuse(TSM_E_MEMORY, error, error_size, "out of memory for the resize tables of a %dx%d image",
                          (int)image->width, (int)image->height);
    }
    const pass p = {reader, image, out};
    tsm_pool_run(pool, horizontal, &p, reader->rows);
    tsm_pool_run(pool, vertical, &p, reader->how->crop);
    return TSM_OK;
}
