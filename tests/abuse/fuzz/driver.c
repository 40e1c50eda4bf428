/* driver.c: a small fuzzer for targets of libFuzzer's form, for machines that have gcc alone.
 *
 *     PROGRAM RUNS SEED MAX_BYTES FILE...
 *
 * Deterministic. An input is a file of the corpus, or one that was kept, with a few changes; it is kept when it reaches
 * code that none before it reached (gcc's -fsanitize-coverage=trace-pc calls us at each edge). The input that ends the
 * process is in the file crash-input of the working folder. */
#include "fuzz.h"

#include <fcntl.h>
#include <unistd.h>

enum { EDGES = 1 << 16, MOST_KEPT = 4096 };

typedef struct {
    uint8_t *bytes;
    size_t size;
} input;

static uint8_t seen[EDGES];
static int new_edges;
static input kept[MOST_KEPT], now;
static size_t kept_count, most_bytes;
static uint64_t state;

__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void);
__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void) {
    const uintptr_t place = (uintptr_t)__builtin_return_address(0);
    uint8_t *edge = &seen[(place ^ place >> 16) % EDGES];
    new_edges += *edge == 0;
    *edge = 1;
}

/* xorshift64* (Vigna 2016). */
static uint64_t any(void) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717u;
}
static size_t below(size_t limit) { return limit == 0 ? 0 : (size_t)(any() % limit); }

static void keep(const uint8_t *bytes, size_t size) {
    if (kept_count == MOST_KEPT) return;
    kept[kept_count].bytes = malloc(size + 1);
    ALWAYS(kept[kept_count].bytes != NULL);
    memcpy(kept[kept_count].bytes, bytes, size);
    kept[kept_count++].size = size;
}

static void insert(size_t at, const uint8_t *bytes, size_t size) {
    if (now.size + size > most_bytes) return;
    memmove(now.bytes + at + size, now.bytes + at, now.size - at);
    memcpy(now.bytes + at, bytes, size);
    now.size += size;
}

static void mutate(void) {
    static const uint8_t edges[] = {0, 1, 2, 63, 64, 127, 128, 254, 255};
    uint8_t part[64];
    const size_t at = below(now.size + 1), left = now.size - at, size = 1 + below(left < 64 ? left : 64);
    const input *other = &kept[below(kept_count)];
    const size_t from = below(other->size), length = 1 + below(other->size - from < 64 ? other->size - from : 64);
    switch (below(9)) {
    case 0: if (left > 0) now.bytes[at] ^= (uint8_t)(1u << below(8)); break;
    case 1: if (left > 0) now.bytes[at] = (uint8_t)any(); break;
    case 2: if (left > 0) now.bytes[at] = edges[below(sizeof edges)]; break;
    case 3: if (left > 0) now.bytes[at] = (uint8_t)(now.bytes[at] + below(35) - 17); break;
    case 4:
        if (left < size) break;
        memmove(now.bytes + at, now.bytes + at + size, left - size);
        now.size -= size;
        break;
    case 5:
        if (left < size || size > sizeof part) break;
        memcpy(part, now.bytes + at, size);
        insert(below(now.size + 1), part, size);
        break;
    case 6:
        for (size_t i = 0; i < sizeof part; i++) part[i] = (uint8_t)any();
        insert(at, part, 1 + below(8));
        break;
    case 7: if (other->size >= from + length) insert(at, other->bytes + from, length); break;
    default:
        if (other->size >= from + length && left >= length) memcpy(now.bytes + at, other->bytes + from, length);
        break;
    }
}

static void write_input(const char *name) {
    const int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) return;
    if (write(file, now.bytes, now.size) < 0) perror(name);
    close(file);
}

/* The sanitizers and abort() come here before the process ends. */
void __sanitizer_set_death_callback(void (*callback)(void));
static void on_death(void) { write_input("crash-input"); }

static void read_corpus(int count, char **names) {
    for (int i = 0; i < count; i++) {
        FILE *file = fopen(names[i], "rb");
        ALWAYS(file != NULL);
        now.size = fread(now.bytes, 1, most_bytes, file);
        fclose(file);
        keep(now.bytes, now.size);
        LLVMFuzzerTestOneInput(now.bytes, now.size);
    }
    if (kept_count == 0) keep((const uint8_t *)"", 0);
}

int main(int argc, char **argv) {
    if (argc < 4) return fprintf(stderr, "usage: %s RUNS SEED MAX_BYTES FILE...\n", argv[0]), 2;
    const long runs = atol(argv[1]);
    state = (uint64_t)atol(argv[2]) * 2 + 1;
    most_bytes = (size_t)atol(argv[3]);
    now.bytes = malloc(most_bytes + 1);
    ALWAYS(now.bytes != NULL);
    __sanitizer_set_death_callback(on_death);
    read_corpus(argc - 4, argv + 4);
    for (long run = 0; run < runs; run++) {
        const input *from = &kept[below(kept_count)];
        now.size = from->size < most_bytes ? from->size : most_bytes;
        memcpy(now.bytes, from->bytes, now.size);
        for (size_t changes = (size_t)1 << below(5); changes > 0; changes--) mutate();
        new_edges = 0;
        uint8_t *copy = malloc(now.size > 0 ? now.size : 1); /* a block as long as the input: no byte more is there */
        ALWAYS(copy != NULL);
        memcpy(copy, now.bytes, now.size);
        LLVMFuzzerTestOneInput(copy, now.size);
        free(copy);
        if (new_edges > 0) keep(now.bytes, now.size);
    }
    printf("%ld runs, %zu inputs kept\n", runs, kept_count);
    return 0;
}
