/* image_step.c: frames of any size, format, planes and strides, for any preprocessing: refused, or read within their bytes. */
#include "fuzz.h"
#include "image.h"

#include <math.h>

enum { MOST_BYTES = 1 << 18 };

static tsm_plan_preprocess take_preprocess(source *s) {
    tsm_plan_preprocess how = {.scale = take_byte(s) % 2 ? 255.0f : 1.0f};
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

typedef struct {
    size_t row, rows;
} plane;

/* What the header says of the planes of a format; returns how many there are. */
static int planes_of(const tsm_frame *f, plane out[3]) {
    const size_t wide = (size_t)f->width, tall = (size_t)f->height, c = (wide + 1) / 2, half = (tall + 1) / 2;
    const size_t chroma = f->chroma_step == 2 ? 2 * c - 1 : c;
    out[0] = (plane){f->format == TSM_BGR || f->format == TSM_RGB ? 3 * wide : f->format == TSM_YUYV ? 4 * c : wide, tall};
    out[1] = (plane){f->format == TSM_NV12 ? 2 * c : chroma, half};
    out[2] = (plane){chroma, half};
    return f->format == TSM_YUV420 ? 3 : f->format == TSM_NV12 ? 2 : 1;
}

/* Bytes that a reader may touch: whole rows but for what lies behind the last row's pixels. */
static size_t bytes_of(size_t stride, plane p) { return stride * (p.rows - 1) + p.row; }

static int is_good(const tsm_frame *f) {
    plane planes[3];
    if (f->width < 1 || f->width > TSM_MAX_IMAGE_SIDE || f->height < 1 || f->height > TSM_MAX_IMAGE_SIDE ||
        (int)f->format < TSM_BGR || f->format > TSM_YUV420 || (int)f->color < 0 || f->color > TSM_BT709_FULL ||
        f->chroma_step < 0 || f->chroma_step > 2)
        return 0;
    for (int i = planes_of(f, planes) - 1; i >= 0; i--)
        if (f->planes[i] == NULL || f->strides[i] < planes[i].row ||
            f->strides[i] > ((size_t)PTRDIFF_MAX - planes[i].row) / planes[i].rows)
            return 0;
    return 1;
}

/* Planes in blocks of their own when the frame is sound and small enough to be made. Returns whether it was made. */
static int take_frame(source *s, tsm_frame *f, uint8_t *blocks[3]) {
    static uint8_t one;
    plane planes[3];
    const unsigned kind = take_byte(s);
    *f = (tsm_frame){.width = (int32_t)take_edge(s, kind < 16 ? INT32_MIN : 1, kind < 16 ? INT32_MAX : TSM_MAX_IMAGE_SIDE)};
    f->height = (int32_t)take_edge(s, kind < 32 ? INT32_MIN : 1, kind < 32 ? INT32_MAX : TSM_MAX_IMAGE_SIDE);
    f->format = (tsm_format)(take_byte(s) % (kind < 48 ? 8 : 6));
    f->color = (tsm_color)(take_byte(s) % (kind < 40 ? 6 : 4));
    f->chroma_step = (int32_t)(take_byte(s) % (kind < 44 ? 5 : 3)) - (kind < 20);
    if (f->width < 1 || f->height < 1) return 0;
    const int count = planes_of(f, planes);
    for (int i = 0; i < 3; i++) {
        f->strides[i] = kind < 64 ? (size_t)take_edge(s, INT64_MIN, INT64_MAX) : planes[i].row + (size_t)take(s, 0, 67);
        f->planes[i] = kind % 16 == 15 ? NULL : &one;
    }
    if (!is_good(f)) return 0;
    for (int i = 0; i < count; i++)
        if (bytes_of(f->strides[i], planes[i]) > MOST_BYTES) return 0;
    for (int i = 0; i < count; i++) f->planes[i] = blocks[i] = take_block(s, bytes_of(f->strides[i], planes[i]));
    return 1;
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
    tsm_image_reader *reader = tsm_image_reader_new(&how, 1);
    ALWAYS(out != NULL && reader != NULL);
    for (unsigned images = 1 + take_byte(&s) % 4; images > 0; images--) {
        tsm_frame frame;
        char error[TSM_ERROR_SIZE] = "";
        uint8_t *blocks[3] = {NULL};
        if (!take_frame(&s, &frame, blocks) && is_good(&frame)) continue; /* too large to be made here */
        for (size_t i = 0; i < count; i++) out[i] = NAN;
        const tsm_status status = tsm_image_read(reader, &frame, NULL, out, error, sizeof error);
        ALWAYS((status == TSM_OK) == is_good(&frame) && (status == TSM_OK) == (error[0] == '\0'));
        if (status == TSM_OK) check_values(&how, out, count, channels);
        for (size_t i = 0; status != TSM_OK && i < count; i++) ALWAYS(isnan(out[i]));
        for (int i = 0; i < 3; i++) free(blocks[i]);
    }
    tsm_image_reader_free(reader);
    free(out);
    return 0;
}
