/* cpu.h: the instruction sets that a bundle may require, by the names of targets/ *.toml:
 *   x86_64   sse4.2 avx avx2 fma f16c avx_vnni avx512f avx512vl avx512bw avx512dq avx512_vnni
 *   aarch64  neon asimd fp16 dotprod        (neon and asimd are two names of one thing)
 *   armv7l   neon vfpv4 fp16 dotprod */
#ifndef TSM_CPU_H
#define TSM_CPU_H

#include <stddef.h>

/* 1 when this CPU and its operating system have `feature`; 0 when not, or when the name is unknown. */
int tsm_cpu_has(const char *feature);

/* Writes the names that this CPU has, separated by spaces ("none" when there is none). Returns text. */
const char *tsm_cpu_found(char *text, size_t size);

/* Writes the names of required[0..count) that this CPU lacks, separated by spaces. Returns how many. */
size_t tsm_cpu_missing(const char *const *required, size_t count, char *text, size_t size);

#endif
