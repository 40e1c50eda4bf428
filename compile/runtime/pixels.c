/* pixels.c: the formats of a frame, and how a row of one becomes bytes of red, green and blue.
 *
 * Y, U and V are multiplied with the coefficients of BT.601 and BT.709 in fixed point with 20 fractional bits, summed and
 * rounded once. At the extremes the sum is below 2^31: 1.164 * 239 + 2.113 * 127 + 1/2 < 2048. Colour is not
 * interpolated between its samples, as in OpenCV. tsm_edge/pixels.py is the same in numpy. */
#include "pixels.h"

#include "message.h"

enum { BITS = 20, HALF_LEVEL = 1 << (BITS - 1) };

/* -- What lies where ----------------------------------------------------------------------------------------------- */

typedef struct {
    size_t row, rows; /* bytes that are read of a row, and rows */
} plane;

static size_t half(int32_t side) { return ((size_t)side + 1) / 2; }

/* Fills in the planes of a format; returns how many there are, 0 for an unknown format. */
static int planes_of(tsm_format format, int32_t width, int32_t height, size_t step, plane out[3]) {
    const size_t wide = (size_t)width, tall = (size_t)height, columns = half(width);
    const plane colour = {(columns - 1) * step + 1, half(height)};
    switch (format) {
    case TSM_BGR:
    case TSM_RGB: return out[0] = (plane){3 * wide, tall}, 1;
    case TSM_GREY: return out[0] = (plane){wide, tall}, 1;
    case TSM_YUYV: return out[0] = (plane){4 * columns, tall}, 1;
    case TSM_NV12: return out[0] = (plane){wide, tall}, out[1] = (plane){2 * columns, half(height)}, 2;
    case TSM_YUV420: return out[0] = (plane){wide, tall}, out[1] = out[2] = colour, 3;
    }
    return 0;
}

static int side_fits(int32_t side) { return side >= 1 && side <= TSM_MAX_IMAGE_SIDE; }

static tsm_status check_plane(const tsm_frame *frame, int index, plane p, char *error, size_t error_size) {
    const size_t stride = frame->strides[index], most = (PTRDIFF_MAX - p.row) / p.rows;
    if (frame->planes[index] == NULL)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size, "plane %d of the frame is NULL", index);
    if (stride < p.row)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size,
                          "image stride too small in plane %d\n  found: %zu bytes\n  allowed: at least %zu", index,
                          stride, p.row);
    if (stride > most) /* the last row would not be in an object that C knows */
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size,
                          "image stride too large in plane %d\n  found: %zu bytes\n  allowed: at most %zu", index,
                          stride, most);
    return TSM_OK;
}

tsm_status tsm_pixels_check(const tsm_frame *frame, char *error, size_t error_size) {
    plane planes[3];
    if (frame == NULL) return tsm_refuse(TSM_E_ARGUMENT, error, error_size, "the frame is NULL");
    if (!side_fits(frame->width) || !side_fits(frame->height))
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size,
                          "image size out of range\n  found: %dx%d\n  allowed: 1 to %d pixels a side",
                          (int)frame->width, (int)frame->height, TSM_MAX_IMAGE_SIDE);
    if (frame->chroma_step < 0 || frame->chroma_step > 2)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size,
                          "chroma_step of the frame out of range\n  found: %d\n  allowed: 0, 1 or 2",
                          (int)frame->chroma_step);
    const int count = planes_of(frame->format, frame->width, frame->height, frame->chroma_step == 2 ? 2 : 1, planes);
    if (count == 0)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size,
                          "unknown image format\n  found: %d\n  allowed: TSM_BGR (0) to TSM_YUV420 (5)",
                          (int)frame->format);
    if (frame->color < TSM_BT601 || frame->color > TSM_BT709_FULL)
        return tsm_refuse(TSM_E_ARGUMENT, error, error_size,
                          "unknown color of the frame\n  found: %d\n  allowed: TSM_BT601 (0) to TSM_BT709_FULL (3)",
                          (int)frame->color);
    for (int i = 0; i < count; i++) {
        const tsm_status status = check_plane(frame, i, planes[i], error, error_size);
        if (status != TSM_OK) return status;
    }
    return TSM_OK;
}

size_t tsm_frame_packed(tsm_frame *frame, tsm_format format, int32_t width, int32_t height, size_t stride,
                        const uint8_t *bytes) {
    plane planes[3];
    tsm_frame packed = {.width = width, .height = height, .format = format, .color = TSM_BT601};
    if (frame == NULL || !side_fits(width) || !side_fits(height)) return 0;
    const int count = planes_of(format, width, height, 1, planes);
    if (count == 0 || (stride != 0 && stride < planes[0].row)) return 0;
    if (stride > PTRDIFF_MAX / (3 * (size_t)height + 3)) return 0;
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        const size_t own = stride == 0 ? planes[i].row : i > 0 && format == TSM_YUV420 ? (stride + 1) / 2 : stride;
        if (own < planes[i].row) return 0; /* NV12 of an odd width: a row of colour is longer than one of Y */
        packed.strides[i] = own;
        packed.planes[i] = bytes == NULL ? NULL : bytes + used;
        used += own * planes[i].rows;
    }
    *frame = packed;
    return used;
}

int tsm_pixels_direct(tsm_format format) { return format == TSM_BGR || format == TSM_RGB; }

/* -- Colour -------------------------------------------------------------------------------------------------------- */

/* Fixed point of 1 / (range of Y), 2 (1 - Kr), 2 (1 - Kb), and what green loses of both, over the range of U and V.
 * `black` is Y of black. tsm_edge/pixels.py derives the same numbers. */
typedef struct {
    int32_t y, v_red, u_green, v_green, u_blue, black;
} matrix;

static const matrix matrices[] = {
    [TSM_BT601] = {1220945, 1673555, 410793, 852458, 2115221, 16},
    [TSM_BT601_FULL] = {1048576, 1470104, 360853, 748826, 1858077, 0},
    [TSM_BT709] = {1220945, 1879825, 223607, 558796, 2215014, 16},
    [TSM_BT709_FULL] = {1048576, 1651297, 196424, 490864, 1945738, 0},
};

static uint8_t level(int32_t sum) {
    const int32_t value = sum >> BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Two pixels that share their colour. */
static void put_pair(const matrix *m, int32_t left, int32_t right, int32_t u, int32_t v, uint8_t *out) {
    const int32_t red = m->v_red * v + HALF_LEVEL, blue = m->u_blue * u + HALF_LEVEL;
    const int32_t green = HALF_LEVEL - m->u_green * u - m->v_green * v;
    left *= m->y;
    right *= m->y;
    out[0] = level(left + red);
    out[1] = level(left + green);
    out[2] = level(left + blue);
    out[3] = level(right + red);
    out[4] = level(right + green);
    out[5] = level(right + blue);
}

/* Where the samples of a row are, and how many bytes apart. */
typedef struct {
    const uint8_t *y, *u, *v;
    size_t y_step, step;
} samples;

static samples samples_of(const tsm_frame *f, int32_t row) {
    const uint8_t *y = f->planes[0] + (size_t)row * f->strides[0];
    if (f->format == TSM_YUYV) return (samples){y, y + 1, y + 3, 2, 4};
    const uint8_t *u = f->planes[1] + (size_t)(row / 2) * f->strides[1];
    if (f->format == TSM_NV12) return (samples){y, u, u + 1, 1, 2};
    const uint8_t *v = f->planes[2] + (size_t)(row / 2) * f->strides[2];
    return (samples){y, u, v, 1, f->chroma_step == 2 ? 2 : 1};
}

static void grey_row(const uint8_t *y, int32_t begin, int32_t end, uint8_t *out) {
    for (int32_t i = begin; i < end; i++) out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = y[i];
}

void tsm_pixels_row(const tsm_frame *frame, int32_t row, int32_t begin, int32_t end, uint8_t *out) {
    if (frame->format == TSM_GREY) {
        grey_row(frame->planes[0] + (size_t)row * frame->strides[0], begin, end, out);
        return;
    }
    const samples s = samples_of(frame, row);
    const matrix m = matrices[frame->color];
    const size_t last = (size_t)(end + 1) / 2, whole = (size_t)frame->width / 2;
    for (size_t pair = (size_t)begin / 2; pair < last; pair++) {
        const uint8_t *y = s.y + 2 * pair * s.y_step;
        const int32_t u = s.u[pair * s.step] - 128, v = s.v[pair * s.step] - 128, left = *y - m.black;
        if (pair < whole) {
            put_pair(&m, left, y[s.y_step] - m.black, u, v, out + 6 * pair);
        } else { /* the last pixel of an odd width has no neighbour */
            uint8_t two[6];
            put_pair(&m, left, left, u, v, two);
            for (int c = 0; c < 3; c++) out[6 * pair + (size_t)c] = two[c];
        }
    }
}
