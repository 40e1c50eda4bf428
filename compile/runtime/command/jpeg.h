/* jpeg.h: a frame of MJPEG as a picture. */
#ifndef TSM_JPEG_H
#define TSM_JPEG_H

#include <stddef.h>
#include <stdint.h>

/* Decodes a JPEG of width x height into 3 * width * height bytes of red, green and blue. Returns 0 when it is damaged or
 * of another size; `out` is then untouched. */
int jpeg_decode(const uint8_t *bytes, size_t size, int width, int height, uint8_t *out);

#endif
