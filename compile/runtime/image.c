/* image.c: from an 8-bit image to the network's input.
 *
 * 1. The image is resized to cover `resize`, the longer side in proportion and rounded down (torchvision's Resize where
 *    `resize` is square), or to exactly `resize`; the centre `crop` is kept, its corner rounded half to even
 *    (torchvision's CenterCrop). Only that crop is computed.
 * 2. Horizontal pass, one source row an item: `between` holds the crop's pixels of every source row that it reads. A row
 *    that is not of three bytes a pixel is converted first, as far as the crop reads it, into a row of its thread.
 * 3. Vertical pass, one output row an item; bytes become grey where the network wants it, and floats through a table of
 *    (value / scale - mean) / std. */
#include "image.h"

#include "message.h"
#include "pixels.h"
#include "resample.h"

#include <stdint.h>
#include <stdlib.h>

struct tsm_image_reader {
    const tsm_plan_preprocess *how;
    float normalised[3][256];   /* by channel of the model */
    int32_t width, height;      /* what the tables below are for; 0: nothing yet */
    tsm_axis x, y;              /* y counts rows from first_row on */
    int32_t first_row, rows;    /* source rows that the crop reads */
    size_t pitch;               /* bytes a row of `between`: whole blocks */
    uint8_t *between;
    int32_t threads;
    int32_t begin, end;         /* source columns that the crop reads */
    uint8_t *converted;         /* NULL until needed: a row of three bytes a pixel for each thread */
    size_t converted_pitch;
};

tsm_image_reader *tsm_image_reader_new(const tsm_plan_preprocess *how, int32_t threads) {
    tsm_image_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return NULL;
    reader->how = how;
    reader->threads = threads;
    for (int c = 0; c < (how->color == TSM_MODEL_GREY ? 1 : 3); c++)
        for (int value = 0; value < 256; value++)
            reader->normalised[c][value] = ((float)value / how->scale - how->mean[c]) / how->std[c];
    return reader;
}

static void forget_size(tsm_image_reader *reader) {
    tsm_axis_free(&reader->x);
    tsm_axis_free(&reader->y);
    free(reader->between);
    free(reader->converted);
    reader->between = reader->converted = NULL;
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

/* The size that an image of width x height is resized to. */
static void fit(const tsm_plan_preprocess *how, int32_t width, int32_t height, int32_t *wide, int32_t *tall) {
    *tall = how->resize[0];
    *wide = how->resize[1];
    if (how->stretch) return;
    if ((int64_t)*wide * height >= (int64_t)*tall * width)
        *tall = (int32_t)((int64_t)*wide * height / width);
    else
        *wide = (int32_t)((int64_t)*tall * width / height);
}

/* Makes the tables for images of width x height. Returns 0 when memory is out. */
static int learn_size(tsm_image_reader *reader, int32_t width, int32_t height) {
    const int32_t rows = reader->how->crop[0], columns = reader->how->crop[1];
    int32_t wide, tall;
    fit(reader->how, width, height, &wide, &tall);
    forget_size(reader);
    if (!tsm_axis_make(&reader->x, width, wide, corner(wide, columns), columns)) return 0;
    if (!tsm_axis_make(&reader->y, height, tall, corner(tall, rows), rows)) return 0;
    reader->begin = reader->x.start[0];
    reader->end = reader->x.start[columns - 1] + reader->x.taps;
    reader->first_row = reader->y.start[0];
    reader->rows = reader->y.start[rows - 1] + reader->y.taps - reader->first_row;
    for (int32_t i = 0; i < rows; i++) reader->y.start[i] -= reader->first_row;
    reader->pitch = (3 * (size_t)columns + TSM_BLOCK) / TSM_BLOCK * TSM_BLOCK; /* a byte of room and more at the end */
    reader->between = calloc((size_t)reader->rows, reader->pitch);
    if (reader->between == NULL) return 0;
    reader->width = width;
    reader->height = height;
    return 1;
}

/* Makes room for converted rows, whole cache lines for each thread. Returns 0 when memory is out. */
static int make_rows(tsm_image_reader *reader) {
    reader->converted_pitch = (3 * (size_t)reader->width + 127) / 64 * 64;
    reader->converted = calloc((size_t)reader->threads, reader->converted_pitch);
    return reader->converted != NULL;
}

/* -- The two passes ------------------------------------------------------------------------------------------------ */

typedef struct {
    tsm_image_reader *reader;
    const tsm_frame *frame;
    float *out;
} pass;

static void horizontal(const void *context, int32_t thread, int32_t begin, int32_t end) {
    const pass *p = context;
    const tsm_image_reader *r = p->reader;
    uint8_t *own = r->converted == NULL ? NULL : r->converted + (size_t)thread * r->converted_pitch;
    for (int32_t row = begin; row < end; row++) {
        const uint8_t *from = own;
        if (tsm_pixels_direct(p->frame->format))
            from = p->frame->planes[0] + (size_t)(r->first_row + row) * p->frame->strides[0];
        else
            tsm_pixels_row(p->frame, r->first_row + row, r->begin, r->end, own);
        tsm_resample_row(&r->x, from, r->width, r->between + (size_t)row * r->pitch);
    }
}

/* Writes `count` pixels of three channels; `first` is the byte that becomes channel 0. Returns where the next goes. */
static float *put_colour(const tsm_image_reader *r, const uint8_t *bytes, size_t count, size_t first, float *out) {
    for (size_t i = 0; i < count; i++, bytes += 3, out += 3) {
        out[0] = r->normalised[0][bytes[first]];
        out[1] = r->normalised[1][bytes[1]];
        out[2] = r->normalised[2][bytes[2 - first]];
    }
    return out;
}

/* The same for one channel: BT.601 luma in 16-bit fixed point (Pillow's mode "L"); `first` is the byte of red. */
static float *put_grey(const tsm_image_reader *r, const uint8_t *bytes, size_t count, size_t first, float *out) {
    for (size_t i = 0; i < count; i++, bytes += 3) {
        const uint32_t sum = 19595u * bytes[first] + 38470u * bytes[1] + 7471u * bytes[2 - first];
        *out++ = r->normalised[0][(sum + 32768u) >> 16];
    }
    return out;
}

static void vertical(const void *context, int32_t thread, int32_t begin, int32_t end) {
    const pass *p = context;
    const tsm_image_reader *r = p->reader;
    const int grey = r->how->color == TSM_MODEL_GREY;
    const int rgb = p->frame->format != TSM_BGR, red_first = grey || r->how->color == TSM_MODEL_RGB;
    const size_t first = rgb == red_first ? 0 : 2, channels = grey ? 1 : 3, columns = (size_t)r->how->crop[1];
    (void)thread;
    for (int32_t row = begin; row < end; row++) {
        float *out = p->out + (size_t)row * columns * channels;
        for (size_t at = 0; at < 3 * columns; at += TSM_BLOCK) {
            uint8_t bytes[TSM_BLOCK];
            tsm_resample_column(&r->y, row, r->between + at, r->pitch, bytes);
            const size_t left = columns - at / 3, count = left < TSM_BLOCK / 3 ? left : TSM_BLOCK / 3;
            out = grey ? put_grey(r, bytes, count, first, out) : put_colour(r, bytes, count, first, out);
        }
    }
}

/* -- Reading ------------------------------------------------------------------------------------------------------- */

tsm_status tsm_image_read(tsm_image_reader *reader, const tsm_frame *frame, tsm_pool *pool, float *out, char *error,
                          size_t error_size) {
    const tsm_status status = tsm_pixels_check(frame, error, error_size);
    if (status != TSM_OK) return status;
    int good = frame->width == reader->width && frame->height == reader->height;
    if (!good) good = learn_size(reader, frame->width, frame->height);
    if (good && reader->converted == NULL && !tsm_pixels_direct(frame->format)) good = make_rows(reader);
    if (!good) {
        forget_size(reader);
        return tsm_refuse(TSM_E_MEMORY, error, error_size, "out of memory for the resize tables of a %dx%d image",
                          (int)frame->width, (int)frame->height);
    }
    const pass p = {reader, frame, out};
    tsm_pool_run(pool, horizontal, &p, reader->rows);
    tsm_pool_run(pool, vertical, &p, reader->how->crop[0]);
    return TSM_OK;
}
