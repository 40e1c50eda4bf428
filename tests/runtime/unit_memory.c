/* unit_memory.c: blocks of all sizes, and that a large one is not made of pages that were in use before. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "checks.h"
#include "memory.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MIB = 1024 * 1024 };
static const size_t sizes[] = {1, 64, 5000, MIB - 1, MIB, 2 * MIB, 3 * MIB - 1, 3 * MIB, 5 * MIB + 12345};
enum { SIZES = sizeof sizes / sizeof *sizes };

static int all(const char *block, size_t bytes, char value) {
    for (size_t i = 0; i < bytes; i++)
        if (block[i] != value) return 0;
    return 1;
}

static void zeros_of_all_sizes(void) {
    for (int i = 0; i < SIZES; i++) {
        char *block = tsm_zeros(sizes[i]);
        CHECK(block != NULL && (uintptr_t)block % 64 == 0 && all(block, sizes[i], 0));
        memset(block, 1, sizes[i] + 63); /* a vector's load may begin at the last byte */
        tsm_release(block, sizes[i]);
    }
}

static void copies_of_all_sizes(void) {
    for (int i = 0; i < SIZES; i++) {
        char *constant = malloc(sizes[i]);
        memset(constant, 7, sizes[i]);
        char *block = tsm_copy(constant, sizes[i]);
        CHECK(block != NULL && (uintptr_t)block % 64 == 0 && all(block, sizes[i], 7));
        tsm_release(block, sizes[i]);
        free(constant);
    }
}

static void a_large_block_goes_back(void) {
    unsigned char resident[16];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *block = tsm_zeros(4 * MIB), *last = block + 4 * MIB - page;
    CHECK(mincore(block, page, resident) == 0 && mincore(last, page, resident) == 0);
    tsm_release(block, 4 * MIB);
    CHECK(mincore(block, page, resident) != 0 && mincore(last, page, resident) != 0);
    tsm_release(NULL, 3 * MIB);
    tsm_release(NULL, 1);
}

static void a_large_block_is_no_used_memory(void) {
    mallopt(M_MMAP_THRESHOLD, 32 * MIB); /* as after a program has freed blocks of many MB */
    mallopt(M_TRIM_THRESHOLD, 64 * MIB);
    char *used = malloc(16 * MIB);
    memset(used, 1, 16 * MIB);
    const uintptr_t first = (uintptr_t)used;
    free(used);
    char *block = tsm_zeros(4 * MIB);
    CHECK((uintptr_t)block + 4 * MIB <= first || (uintptr_t)block >= first + 16 * MIB);
    tsm_release(block, 4 * MIB);
}

/* KiB of huge pages in the mapping that begins at `block`, or is merged with others and holds it. */
static long huge_kib(const char *block) {
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long first, end;
    long found = 0, kib;
    int inside = 0;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx ", &first, &end) == 2) inside = first <= (uintptr_t)block && (uintptr_t)block < end;
        if (inside && sscanf(line, "AnonHugePages: %ld kB", &kib) == 1) found = kib;
    }
    if (maps != NULL) fclose(maps);
    return found;
}

static void a_large_block_has_huge_pages(void) {
    char *raw = mmap(NULL, 6 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *control = raw + (2 * MIB - (uintptr_t)raw % (2 * MIB)) % (2 * MIB);
    madvise(control, 4 * MIB, MADV_HUGEPAGE);
    memset(control, 1, 4 * MIB);
    const long given = huge_kib(control);
    munmap(raw, 6 * MIB);
    char *block = tsm_zeros(4 * MIB);
    CHECK(given == 0 || huge_kib(block) > 0); /* a system that gives none gives us none */
    tsm_release(block, 4 * MIB);
}

static void memory_that_is_not_there(void) {
    const size_t more_than_addresses = (size_t)1 << (8 * sizeof(void *) - 1);
    CHECK(tsm_zeros(more_than_addresses) == NULL);
    CHECK(tsm_copy("", more_than_addresses) == NULL);
}

int main(void) {
    RUN(memory_that_is_not_there);
    RUN(zeros_of_all_sizes);
    RUN(copies_of_all_sizes);
    RUN(a_large_block_goes_back);
    RUN(a_large_block_is_no_used_memory);
    RUN(a_large_block_has_huge_pages);
    return failures != 0;
}
