/* opencl_cache.c: files of compiled programs.
 *
 * A file is a head, the whole key and the binary. The key names driver, device, program and options, and is compared in
 * full, so that two keys with one hash do no harm; the head's sum over both finds files that were cut or changed. Files
 * are written to a sibling file and renamed: readers see a whole file or none, also when two programs start. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr */
#endif
#include "opencl_cache.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 28 };
static const char magic[8] = "TSMCLB1";

typedef struct {
    char magic[8];
    uint64_t key_bytes, binary_bytes, sum;
} head;

/* FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t fnv(uint64_t hash, const void *data, size_t size) {
    for (size_t i = 0; i < size; i++) hash = (hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
    return hash;
}
static const uint64_t fnv_start = 0xcbf29ce484222325u;

static uint64_t sum_of(const char *key, const unsigned char *binary, size_t size) {
    return fnv(fnv(fnv_start, key, strlen(key)), binary, size);
}

/* -- Where --------------------------------------------------------------------------------------------------------- */

/* The folder next to that of this library: inside a bundle there may be nothing that its manifest does not list. */
static int beside_the_bundle(char *out, size_t size) {
    static const char here;
    Dl_info info;
    char path[OPENCL_CACHE_PATH];
    if (dladdr(&here, &info) == 0 || info.dli_fname == NULL) return 0;
    if (realpath(info.dli_fname, path) == NULL) return 0;
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) return 0;
    *slash = '\0';
    return snprintf(out, size, "%s.cache", path) < (int)size;
}

int opencl_cache_path(int place, const char *key, char path[OPENCL_CACHE_PATH]) {
    char folder[OPENCL_CACHE_PATH - 32];
    int length = -1;
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (place == 1)
        length = beside_the_bundle(folder, sizeof folder) ? 1 : -1;
    else if (cache != NULL && cache[0] == '/') /* a relative one must be ignored, says the XDG specification */
        length = snprintf(folder, sizeof folder, "%s/tsm-edge", cache);
    else if (home != NULL && home[0] == '/')
        length = snprintf(folder, sizeof folder, "%s/.cache/tsm-edge", home);
    if (length < 0 || length >= (int)sizeof folder) return 0;
    snprintf(path, OPENCL_CACHE_PATH, "%s/%016llx.clbin", folder, (unsigned long long)fnv(fnv_start, key, strlen(key)));
    return 1;
}

/* -- Reading ------------------------------------------------------------------------------------------------------- */

void opencl_cache_drop(const char *path) { unlink(path); }

/* The whole of a regular file; NULL when there is none, or it cannot be one of ours. To open a pipe would wait for its
 * other end. */
static unsigned char *slurp(const char *path, size_t *size) {
    struct stat facts;
    FILE *file = stat(path, &facts) == 0 && S_ISREG(facts.st_mode) ? fopen(path, "rb") : NULL;
    if (file == NULL) return NULL;
    unsigned char *data = NULL;
    if (fstat(fileno(file), &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size >= (off_t)sizeof(head) &&
        facts.st_size <= MOST_BYTES)
        data = malloc((size_t)facts.st_size);
    *size = data != NULL ? fread(data, 1, (size_t)facts.st_size, file) : 0;
    if (data != NULL && *size != (size_t)facts.st_size) {
        free(data);
        data = NULL;
    }
    fclose(file);
    return data;
}

unsigned char *opencl_cache_read(const char *path, const char *key, size_t *size) {
    size_t bytes = 0;
    const size_t key_bytes = strlen(key);
    head h;
    if (access(path, F_OK) != 0) return NULL;
    unsigned char *data = slurp(path, &bytes);
    int good = data != NULL;
    if (good) {
        memcpy(&h, data, sizeof h);
        good = memcmp(h.magic, magic, sizeof magic) == 0 && h.key_bytes == key_bytes && h.binary_bytes > 0 &&
               h.binary_bytes <= MOST_BYTES && bytes == sizeof h + key_bytes + h.binary_bytes &&
               memcmp(data + sizeof h, key, key_bytes) == 0 &&
               h.sum == sum_of(key, data + sizeof h + key_bytes, (size_t)h.binary_bytes);
    }
    if (!good) {
        free(data);
        opencl_cache_drop(path);
        return NULL;
    }
    *size = (size_t)h.binary_bytes;
    memmove(data, data + sizeof h + key_bytes, *size);
    return data;
}

/* -- Writing ------------------------------------------------------------------------------------------------------- */

int opencl_cache_prepare(const char *path) {
    char folder[OPENCL_CACHE_PATH];
    struct stat facts;
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(folder,
              0700); /* for this user alone; fails where it is there already, or above a place that may be written */
        if (stat(folder, &facts) != 0 || !S_ISDIR(facts.st_mode)) return 0;
        if (strchr(slash + 1, '/') == NULL) return access(folder, W_OK) == 0;
        *slash = '/';
    }
    return 0;
}

static int put(int file, const void *data, size_t size) {
    for (const char *at = data; size > 0;) {
        const ssize_t done = write(file, at, size);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return 0;
        at += done;
        size -= (size_t)done;
    }
    return 1;
}

int opencl_cache_write(const char *path, const char *key, const unsigned char *binary, size_t size) {
    char sibling[OPENCL_CACHE_PATH + 16];
    head h = {.key_bytes = strlen(key), .binary_bytes = size, .sum = sum_of(key, binary, size)};
    memcpy(h.magic, magic, sizeof magic);
    if (size == 0 || size > MOST_BYTES) return 0;
    snprintf(sibling, sizeof sibling, "%s.XXXXXX", path);
    const int file = mkstemp(sibling);
    if (file < 0) return 0;
    const int whole = put(file, &h, sizeof h) && put(file, key, strlen(key)) && put(file, binary, size);
    if (close(file) == 0 && whole && rename(sibling, path) == 0) return 1;
    unlink(sibling);
    return 0;
}
