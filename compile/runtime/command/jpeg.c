/* jpeg.c: a frame of MJPEG as a picture, by stb_image (Sean Barrett and others, MIT or public domain; commit 31c1ad37).
 *
 * Many cameras leave the Huffman tables out, for all have the same ones: those of the standard, annex K.3. They are put in
 * where they are missing. */
#include "jpeg.h"

#include "jpeg_decoder.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A segment DHT with all four tables. */
static const uint8_t usual_tables[] = {
    255, 196, 1, 162, 0, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16,
    0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125, 1, 2, 3, 0, 4, 17, 5, 18, 33, 49, 65, 6, 19, 81, 97, 7, 34,
    113, 20, 50, 129, 145, 161, 8, 35, 66, 177, 193, 21, 82, 209, 240, 36, 51, 98, 114, 130, 9, 10, 22, 23, 24, 25,
    26, 37, 38, 39, 40, 41, 42, 52, 53, 54, 55, 56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88,
    89, 90, 99, 100, 101, 102, 103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 131, 132, 133, 134, 135,
    136, 137, 138, 146, 147, 148, 149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170, 178,
    179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202, 210, 211, 212, 213, 214,
    215, 216, 217, 218, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 241, 242, 243, 244, 245, 246, 247, 248,
    249, 250, 1, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17, 0, 2, 1,
    2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119, 0, 1, 2, 3, 17, 4, 5, 33, 49, 6, 18, 65, 81, 7, 97, 113, 19, 34, 50,
    129, 8, 20, 66, 145, 161, 177, 193, 9, 35, 51, 82, 240, 21, 98, 114, 209, 10, 22, 36, 52, 225, 37, 241, 23, 24,
    25, 26, 38, 39, 40, 41, 42, 53, 54, 55, 56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89,
    90, 99, 100, 101, 102, 103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 130, 131, 132, 133, 134,
    135, 136, 137, 138, 146, 147, 148, 149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170,
    178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202, 210, 211, 212, 213,
    214, 215, 216, 217, 218, 226, 227, 228, 229, 230, 231, 232, 233, 234, 242, 243, 244, 245, 246, 247, 248, 249,
    250,
};

enum { MARKER = 0xff, SOI = 0xd8, DHT = 0xc4, SOS = 0xda };

/* Whether the segments before the picture's data have no Huffman tables. */
static int lacks_tables(const uint8_t *bytes, size_t size) {
    for (size_t at = 2; at + 4 <= size && bytes[at] == MARKER;) {
        if (bytes[at + 1] == DHT) return 0;
        if (bytes[at + 1] == SOS) return 1;
        at += 2 + ((size_t)bytes[at + 2] << 8 | bytes[at + 3]);
    }
    return 0; /* damaged, and so the decoder will find */
}

/* The JPEG with its tables, in memory to free; NULL when memory is out. */
static uint8_t *with_tables(const uint8_t *bytes, size_t size) {
    uint8_t *whole = malloc(size + sizeof usual_tables);
    if (whole == NULL) return NULL;
    memcpy(whole, bytes, 2);
    memcpy(whole + 2, usual_tables, sizeof usual_tables);
    memcpy(whole + 2 + sizeof usual_tables, bytes + 2, size - 2);
    return whole;
}

static int decode(const uint8_t *bytes, size_t size, int width, int height, uint8_t *out) {
    int wide = 0, tall = 0, channels = 0;
    if (!stbi_info_from_memory(bytes, (int)size, &wide, &tall, &channels) || wide != width || tall != height) return 0;
    stbi_uc *pixels = stbi_load_from_memory(bytes, (int)size, &wide, &tall, &channels, 3);
    if (pixels == NULL) return 0;
    memcpy(out, pixels, 3 * (size_t)width * (size_t)height);
    stbi_image_free(pixels);
    return 1;
}

int jpeg_decode(const uint8_t *bytes, size_t size, int width, int height, uint8_t *out) {
    if (size < 4 || size > INT_MAX - sizeof usual_tables || bytes[0] != MARKER || bytes[1] != SOI) return 0;
    if (!lacks_tables(bytes, size)) return decode(bytes, size, width, height, out);
    uint8_t *whole = with_tables(bytes, size);
    const int good = whole != NULL && decode(whole, size + sizeof usual_tables, width, height, out);
    free(whole);
    return good;
}
