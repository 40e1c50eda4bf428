/* fuzz.h: what the fuzz targets share. A target is a function that takes any bytes and checks what must always hold.
 *
 * Each target is built with its own engine: libFuzzer where clang is there, else driver.c, which gcc builds. */
#ifndef TSM_FUZZ_H
#define TSM_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process, as a sanitizer does, with the place of what does not hold. */
#define ALWAYS(condition)                                                                    \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);   \
            abort();                                                                         \
        }                                                                                    \
    } while (0)

/* The bytes of an input, taken from the front. What is taken after the end is zero. */
typedef struct {
    const uint8_t *at, *end;
} source;

static inline unsigned take_byte(source *s) { return s->at < s->end ? *s->at++ : 0; }

/* A number from least to most. */
static inline int64_t take(source *s, int64_t least, int64_t most) {
    const uint64_t span = (uint64_t)most - (uint64_t)least;
    uint64_t number = 0;
    for (uint64_t left = span; left > 0; left >>= 8) number = number << 8 | take_byte(s);
    return (int64_t)((uint64_t)least + (span == UINT64_MAX ? number : number % (span + 1)));
}

/* One of a few numbers that are at an edge, or any. */
static inline int64_t take_edge(source *s, int64_t least, int64_t most) {
    const unsigned kind = take_byte(s);
    const uint64_t span = (uint64_t)most - (uint64_t)least, step = kind % 4 < span ? kind % 4 : span;
    if (kind < 64) return take(s, least, most);
    if (kind < 96) return (int64_t)((uint64_t)least + step);
    if (kind < 128) return (int64_t)((uint64_t)most - step);
    return take(s, least, span < 64 ? most : least + 64);
}

/* `size` bytes in a block of its own, so that the address sanitizer sees one that is read beyond its end. When the
 * input has no more bytes, those that it had are repeated. */
static inline uint8_t *take_block(source *s, size_t size) {
    const size_t left = (size_t)(s->end - s->at), have = left < size ? left : size;
    uint8_t *block = malloc(size > 0 ? size : 1);
    ALWAYS(block != NULL);
    for (size_t i = 0; i < size; i++) block[i] = have > 0 ? s->at[i % have] : (uint8_t)(i * 31);
    s->at += have;
    return block;
}

#endif
