/* memory.c: blocks on huge pages.
 *
 * A step walks through all of its weights and activations once a frame. In pages of 4 KiB that is a walk of the page
 * tables every 64 cache lines, through two levels of them in a virtual machine, and the hardware's prefetcher stops at
 * each page. How a file's pages lie differs from copy to copy of the same file besides: of two copies of a bundle of
 * `tsm-resnet18` one took 1.0125 of the other's time. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* madvise */
#endif
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINE = 64, PAIR = 2 * LINE, HUGE_PAGE = 2 * 1024 * 1024, CHUNK = 128 * 1024 };

size_t tsm_apart(size_t bytes) { return (bytes + PAIR - 1) / PAIR * PAIR; }

/* Not yet mapped where it is large: whoever writes first brings in the pages. The last piece gets a huge page where it
 * fills more than half of it. */
static char *reserve(size_t bytes) {
    const size_t needed = (bytes + 2 * LINE - 1) / LINE * LINE; /* a vector's load may begin at the last byte */
    const size_t large = (bytes + HUGE_PAGE / 2) / HUGE_PAGE * HUGE_PAGE;
    void *block = NULL;
    if (posix_memalign(&block, large ? HUGE_PAGE : LINE, large > needed ? large : needed) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    if (large) madvise(block, large, MADV_HUGEPAGE); /* advice: a refusal leaves small pages */
#endif
    return block;
}

char *tsm_zeros(size_t bytes) {
    char *block = reserve(bytes);
    return block == NULL ? NULL : memset(block, 0, bytes + LINE);
}

/* Give back the whole pages of [start, end), which are those of a file and come again when they are read. */
static void forget(const char *start, const char *end) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = ((uintptr_t)start + page - 1) / page * page, last = (uintptr_t)end / page * page;
    if (first < last) madvise((void *)first, last - first, MADV_DONTNEED);
}

char *tsm_copy(const char *constant, size_t bytes) {
    char *block = reserve(bytes);
    if (block == NULL) return NULL;
    for (size_t done = 0; done < bytes; done += CHUNK) {
        const size_t size = bytes - done < CHUNK ? bytes - done : CHUNK;
        memcpy(block + done, constant + done, size);
        forget(constant + done, constant + done + size);
    }
    return block;
}
