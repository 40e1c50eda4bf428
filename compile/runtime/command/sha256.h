/* sha256.h: the SHA-256 of FIPS 180-4. */
#ifndef TSM_SHA256_H
#define TSM_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64];
} sha256;

void sha256_start(sha256 *hash);
void sha256_add(sha256 *hash, const void *data, size_t size);

/* Writes 64 lower-case hexadecimal digits and a NUL. The hash is used up. */
void sha256_end(sha256 *hash, char hex[65]);

#endif
