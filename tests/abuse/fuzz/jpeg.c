/* jpeg.c: any bytes as a frame of MJPEG: refused, or a picture of the size that was asked for. */
#include "fuzz.h"
#include "jpeg.h"

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
    free(frame);
    free(out);
    return 0;
}
