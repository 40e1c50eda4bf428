/* memory.c: blocks on huge pages.
 *
 * A step walks through all of its weights and activations once a frame. In pages of 4 KiB that is a walk of the page
 * tables every 64 cache lines, through two levels of them in a virtual machine, and the hardware's prefetcher stops at
 * each page. How a file's pages lie differs from copy to copy of the same file besides: of two copies of a bundle of
 * `tsm-resnet18` one took 1.0125 of the other's time.
 *
 * A large block is a mapping of its own. What malloc hands out may have been in use before; its small pages are there
 * already, and stay small. Where the program had freed blocks of a few MB, malloc put a stream's memory there, and
 * a step of `tsm-resnet18` on two threads took 9.6 ms, not 9.2, in some processes. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise */
#endif
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINE = 64, PAIR = 2 * LINE, HUGE_PAGE = 2 * 1024 * 1024, CHUNK = 128 * 1024 };

size_t tsm_apart(size_t bytes) { return (bytes + PAIR - 1) / PAIR * PAIR; }

/* Bytes of a block that are to lie on huge pages; its last piece gets one where it fills more than half of it. */
static size_t on_huge_pages(size_t bytes) { return (bytes + HUGE_PAGE / 2) / HUGE_PAGE * HUGE_PAGE; }

/* Bytes of a block with what may be read beyond it: a vector's load may begin at the last byte. */
static size_t with_margin(size_t bytes) { return (bytes + 2 * LINE - 1) / LINE * LINE; }

/* Bytes that a large block maps. */
static size_t mapped(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), large = on_huge_pages(bytes), needed = with_margin(bytes);
    return ((large > needed ? large : needed) + page - 1) / page * page;
}

/* A new mapping that begins where a huge page can; NULL where there is none to be had. */
static char *map(size_t size) {
    char *raw = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return NULL;
    const size_t before = (HUGE_PAGE - (uintptr_t)raw % HUGE_PAGE) % HUGE_PAGE;
    if (before > 0) munmap(raw, before);
    munmap(raw + before + size, HUGE_PAGE - before);
    return raw + before;
}

/* No page of it is in memory where it is large: whoever writes first brings them in. */
static char *reserve(size_t bytes) {
    const size_t large = on_huge_pages(bytes);
    void *block = NULL;
    if (large == 0) return posix_memalign(&block, LINE, with_margin(bytes)) == 0 ? block : NULL;
    block = map(mapped(bytes));
#ifdef MADV_HUGEPAGE
    if (block != NULL) madvise(block, large, MADV_HUGEPAGE); /* advice: a refusal leaves small pages */
#endif
    return block;
}

void tsm_release(char *block, size_t bytes) {
    if (block != NULL && on_huge_pages(bytes) > 0)
        munmap(block, mapped(bytes));
    else
        free(block);
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
