/* image_step.c: images of any size, stride and format, for any preprocessing: refused, or read within their bytes. */
#include "fuzz.h"
#include "image.h"

#include <math.h>

enum { MOST_BYTES = 1 << 18 };

static tsm_plan_preprocess take_preprocess(source *s) {
    tsm_plan_preprocess how = {.scale = take_byte(s) % 2 ? 255.0f : 1.0f, .rate_fps = 12.0};
    for (int axis = 0; axis < 2; axis++) {
        how.crop[axis] = (int32_t)take_edge(s, 1, 40);
        how.resize[axis] = (int32_t)take_edge(s, how.crop[axis], take_byte(s) % 8 ? 64 : TSM_MAX_IMAGE_SIDE);
    }
    how.stretch = (int32_t)take(s, 0, 1);
    how.color = (int32_t)take(s, TSM_MODEL_BGR, TSM_MODEL_GREY);
    for (int c = 0; c < 3; c++) {
        how.mean[c] = (float)take(s, -255, 255) / how.scale;
        how.std[c] = (float)take(s, 1, 255) / how.scale;
    }
    return how;
}

/* Bytes that a reader may touch: whole rows but for what lies behind the last row's pixels. */
static size_t bytes_of(const tsm_image *image) {
    return image->stride * (size_t)(image->height - 1) + 3 * (size_t)image->width;
}

static int is_good(const tsm_image *i) {
    return i->pixels != NULL && i->width >= 1 && i->width <= TSM_MAX_IMAGE_SIDE && i->height >= 1 &&
           i->height <= TSM_MAX_IMAGE_SIDE && i->stride >= 3 * (size_t)i->width &&
           i->stride <= ((size_t)PTRDIFF_MAX - 3 * (size_t)i->width) / (size_t)i->height &&
           (i->format == TSM_BGR || i->format == TSM_RGB);
}

/* The bytes of an image that is sound and small enough to be made; NULL pixels otherwise. */
static uint8_t *take_image(source *s, tsm_image *image) {
    static uint8_t one;
    const unsigned kind = take_byte(s);
    *image = (tsm_image){.pixels = NULL};
    image->width = (int32_t)take_edge(s, kind < 16 ? INT32_MIN : 1, kind < 16 ? INT32_MAX : TSM_MAX_IMAGE_SIDE);
    image->height = (int32_t)take_edge(s, kind < 32 ? INT32_MIN : 1, kind < 32 ? INT32_MAX : TSM_MAX_IMAGE_SIDE);
    image->format = (tsm_format)(take_byte(s) % (kind < 48 ? 4 : 2));
    const size_t least = image->width > 0 ? 3 * (size_t)image->width : 0;
    image->stride = kind < 64 ? (size_t)take_edge(s, INT64_MIN, INT64_MAX) : least + (size_t)take(s, 0, 67);
    image->pixels = kind % 16 == 15 ? NULL : &one;
    if (!is_good(image) || bytes_of(image) > MOST_BYTES) return NULL;
    uint8_t *pixels = take_block(s, bytes_of(image));
    image->pixels = pixels;
    return pixels;
}

static void check_values(const tsm_plan_preprocess *how, const float *out, size_t count, size_t channels) {
    for (size_t i = 0; i < count; i++) {
        const size_t c = i % channels;
        const float least = (0.0f - how->mean[c]) / how->std[c];
        const float most = (255.0f / how->scale - how->mean[c]) / how->std[c];
        ALWAYS(out[i] >= least && out[i] <= most);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    source s = {data, data + size};
    const tsm_plan_preprocess how = take_preprocess(&s);
    const size_t channels = how.color == TSM_MODEL_GREY ? 1 : 3;
    const size_t count = (size_t)how.crop[0] * (size_t)how.crop[1] * channels;
    float *out = malloc(count * sizeof *out);
    tsm_image_reader *reader = tsm_image_reader_new(&how);
    ALWAYS(out != NULL && reader != NULL);
    for (unsigned images = 1 + take_byte(&s) % 4; images > 0; images--) {
        tsm_image image;
        char error[TSM_ERROR_SIZE] = "";
        uint8_t *pixels = take_image(&s, &image);
        if (pixels == NULL && is_good(&image)) continue; /* too large to be made here */
        for (size_t i = 0; i < count; i++) out[i] = NAN;
        const tsm_status status = tsm_image_read(reader, &image, NULL, out, error, sizeof error);
        ALWAYS((status == TSM_OK) == is_good(&image) && (status == TSM_OK) == (error[0] == '\0'));
        if (status == TSM_OK) check_values(&how, out, count, channels);
        for (size_t i = 0; status != TSM_OK && i < count; i++) ALWAYS(isnan(out[i]));
        free(pixels);
    }
    tsm_image_reader_free(reader);
    free(out);
    return 0;
}
