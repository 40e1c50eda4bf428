"""The arithmetic roof by a small C program: independent chains of fused multiply-adds in registers, nothing else.

A matrix product of a BLAS stays below it (OpenBLAS reached 95 of 104 GFLOP/s on one core of an EPYC 7003, where a
pointwise convolution reached 99; 2026-11-22), so it would call good kernels better than possible.
"""

from __future__ import annotations

import subprocess

from . import native

#: chains: more than latency times pipes of today's cores, and with two constants still inside 16 registers
SOURCE = r"""
#include <stdio.h>
#include <time.h>
#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
enum { CHAINS = 10, STEPS = 100000 };
typedef float vector __attribute__((vector_size(4 * LANES)));

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv) {
    vector chain[CHAINS], factor, term;
    for (int i = 0; i < LANES; i++) {
        factor[i] = 0.999f + 1e-6f * (float)argc;
        term[i] = 1e-3f;
        for (int k = 0; k < CHAINS; k++) chain[k][i] = (float)(i + k);
    }
    double best = 0.0;
    for (const double end = now() + 1.0; now() < end;) {
        const double start = now();
        for (int n = 0; n < STEPS; n++) {
            chain[0] = chain[0] * factor + term;
            chain[1] = chain[1] * factor + term;
            chain[2] = chain[2] * factor + term;
            chain[3] = chain[3] * factor + term;
            chain[4] = chain[4] * factor + term;
            chain[5] = chain[5] * factor + term;
            chain[6] = chain[6] * factor + term;
            chain[7] = chain[7] * factor + term;
            chain[8] = chain[8] * factor + term;
            chain[9] = chain[9] * factor + term;
        }
        const double rate = 2e-9 * LANES * CHAINS * STEPS / (now() - start);
        if (rate > best) best = rate;
    }
    float sum = 0.0f;
    for (int k = 0; k < CHAINS; k++) sum += chain[k][0];
    printf("%.3f %.3f\n", best, (double)sum);  /* the sum keeps the loop alive */
    return argv[0] == 0;
}
"""


def gflop_per_s(processes: int) -> float | None:
    """Return the sum over so many processes at once, each its best of one second; None without a C compiler."""
    with native.built(SOURCE) as program:
        if program is None:
            return None
        running = [
            subprocess.Popen([str(program)], stdout=subprocess.PIPE, text=True) for _ in range(processes)
        ]
        try:
            lines = [process.communicate()[0] for process in running]
        finally:
            for process in running:
                process.kill()  # nothing, where it has ended
        if any(
            process.returncode for process in running
        ):  # made for another processor than the one it ran on
            return None
        return sum(float(line.split()[0]) for line in lines)
