/* jpeg.c: any bytes as a frame of MJPEG: refused, or a picture of the size that was asked for; and as a stream of them:
 * what is cut out begins and ends as a JPEG does, and no byte is in two frames. */
#include "fuzz.h"
#include "jpeg.h"
#include "mjpeg.h"

static void cut_apart(const uint8_t *data, size_t size) {
    mjpeg m = {.bytes = NULL};
    size_t in_frames = 0;
    for (size_t i = 0; i < size; i++) {
        const mjpeg_state state = mjpeg_take(&m, data[i]);
        ALWAYS(state != MJPEG_NONE);
        ALWAYS(m.width >= 0 && m.width <= 65535 && m.height >= 0 && m.height <= 65535);
        if (state != MJPEG_FRAME) continue;
        ALWAYS(!mjpeg_begun(&m) && m.size >= 4 && m.size <= i + 1);
        ALWAYS(memcmp(m.bytes, "\xff\xd8", 2) == 0 && memcmp(m.bytes + m.size - 2, "\xff\xd9", 2) == 0);
        ALWAYS(memcmp(m.bytes, data + i + 1 - m.size, m.size) == 0);
        in_frames += m.size;
    }
    ALWAYS(in_frames <= size);
    mjpeg_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    source s = {data, data + size};
    const int width = (int)take(&s, 1, 64), height = (int)take(&s, 1, 64);
    const size_t left = (size_t)(s.end - s.at), bytes = 3 * (size_t)width * (size_t)height;
    uint8_t *frame = malloc(left > 0 ? left : 1), *out = malloc(bytes);
    ALWAYS(frame != NULL && out != NULL);
    memcpy(frame, s.at, left);
    memset(out, 77, bytes);
    if (!jpeg_decode(frame, left, width, height, out))
        for (size_t i = 0; i < bytes; i++) ALWAYS(out[i] == 77);
    cut_apart(frame, left);
    free(frame);
    free(out);
    return 0;
}
