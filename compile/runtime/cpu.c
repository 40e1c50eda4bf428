/* cpu.c: which instruction sets this CPU and its operating system have.
 *
 * Asked directly, not through __builtin_cpu_supports, which needs a compiler's support library at the link. */
#include "cpu.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;
    int bit;
    int group; /* x86: which register; arm: unused */
} feature;

#if defined(__x86_64__)
#include <cpuid.h>

enum { LEAF1_ECX, LEAF7_EBX, LEAF7_ECX, LEAF7_1_EAX, GROUPS };

static const feature features[] = {
    {"sse4.2", 20, LEAF1_ECX},      {"avx", 28, LEAF1_ECX},        {"avx2", 5, LEAF7_EBX},
    {"fma", 12, LEAF1_ECX},         {"f16c", 29, LEAF1_ECX},       {"avx_vnni", 4, LEAF7_1_EAX},
    {"avx512f", 16, LEAF7_EBX},     {"avx512vl", 31, LEAF7_EBX},   {"avx512bw", 30, LEAF7_EBX},
    {"avx512dq", 17, LEAF7_EBX},    {"avx512_vnni", 11, LEAF7_ECX},
};

/* Which registers the operating system saves (XCR0). A CPU may have AVX where the system or a hypervisor has it off. */
static uint64_t saved_registers(uint32_t leaf1_ecx) {
    uint32_t low = 0, high = 0;
    if (leaf1_ecx & (1u << 27)) __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static int has_bit(const feature *f) {
    uint32_t a = 0, b = 0, c = 0, d = 0, words[GROUPS] = {0};
    if (__get_cpuid(1, &a, &b, &c, &d)) words[LEAF1_ECX] = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        const uint32_t leaves = a;
        words[LEAF7_EBX] = b;
        words[LEAF7_ECX] = c;
        if (leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) words[LEAF7_1_EAX] = a;
    }
    if (!(words[f->group] >> f->bit & 1)) return 0;
    const uint64_t ymm = 0x6, zmm = 0xe6, saved = saved_registers(words[LEAF1_ECX]);
    if (strncmp(f->name, "avx512", 6) == 0) return (saved & zmm) == zmm;
    if (strncmp(f->name, "sse", 3) == 0) return 1;
    return (saved & ymm) == ymm;
}

#elif defined(__aarch64__) || defined(__arm__)
#include <sys/auxv.h>

/* Bits of AT_HWCAP as the kernel defines them (asm/hwcap.h); older headers lack the newer names. */
static const feature features[] = {
#if defined(__aarch64__)
    {"neon", 1, 0}, {"asimd", 1, 0}, {"fp16", 10, 0}, {"dotprod", 20, 0},
#else
    {"neon", 12, 0}, {"vfpv4", 16, 0}, {"fp16", 23, 0}, {"dotprod", 24, 0},
#endif
};

static int has_bit(const feature *f) { return (int)(getauxval(AT_HWCAP) >> f->bit & 1); }

#else
#error "tsm-edge runs on x86_64, aarch64 and armv7l"
#endif

enum { FEATURES = sizeof features / sizeof *features };

int tsm_cpu_has(const char *name) {
    for (size_t i = 0; i < FEATURES; i++)
        if (strcmp(features[i].name, name) == 0) return has_bit(&features[i]);
    return 0;
}

static void append(char *text, size_t size, const char *word) {
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used > 0 ? " " : "", word);
}

const char *tsm_cpu_found(char *text, size_t size) {
    text[0] = '\0';
    for (size_t i = 0; i < FEATURES; i++)
        if (has_bit(&features[i])) append(text, size, features[i].name);
    if (text[0] == '\0') append(text, size, "none");
    return text;
}

size_t tsm_cpu_missing(const char *const *required, size_t count, char *text, size_t size) {
    size_t missing = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (tsm_cpu_has(required[i])) continue;
        append(text, size, required[i]);
        missing++;
    }
    return missing;
}
