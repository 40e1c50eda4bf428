"""Placement of two virtual processors on the host: threads of one core, cores under one last-level cache, or apart.

A hypervisor moves virtual processors among its cores within seconds. On an EPYC (Zen 4):

- The round trip of a cache line takes 50 to 60 ns between cores of one last-level cache, 340 to 360 ns otherwise; all
  that two threads share then goes through memory.
- Two copies of a loop of multiply-adds without memory accesses take as long as one on two cores, and 1.6 to 2 times as
  long on two threads of one core.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tsm_edge.bench import native

#: two threads, each on its own processor; prints the ns of a line's way there and back, and a loop's time beside the
#: other thread's over its time alone, each the best of several
SOURCE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { PASSES = 1000, REPEATS = 5, CHAINS = 10, STEPS = 50000 };
typedef float vector __attribute__((vector_size(32)));
static _Alignas(128) atomic_int ball;
static _Alignas(128) atomic_int met;
static int processors[2];
static double beside[2], alone[2];
static volatile float sink[2];

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static void stay_on(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void wait(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause(); /* leaves a core to its other thread */
#endif
}

static void meet(int times) {
    atomic_fetch_add(&met, 1);
    while (atomic_load(&met) < 2 * times) wait();
}

static double loop_ns(int self) {
    vector chain[CHAINS], factor = {0.999f}, term = {1e-3f};
    for (int k = 0; k < CHAINS; k++) chain[k] = term + (float)k;
    const double start = now_ns();
    for (int n = 0; n < STEPS; n++)
        for (int k = 0; k < CHAINS; k++) chain[k] = chain[k] * factor + term;
    const double time = now_ns() - start;
    for (int k = 0; k < CHAINS; k++) sink[self] += chain[k][0];
    return time;
}

static double least(double a, double b) { return a < b ? a : b; }

static void run_loops(int self) {
    int met_times = 0;
    beside[self] = alone[self] = 1e18;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        for (int turn = 0; turn < 2; turn++) {
            meet(++met_times);
            if (turn == self) alone[self] = least(alone[self], loop_ns(self));
        }
        meet(++met_times);
        beside[self] = least(beside[self], loop_ns(self));
    }
    meet(++met_times);
}

static void pass(int from, int to) {
    while (atomic_load_explicit(&ball, memory_order_acquire) != from) {}
    atomic_store_explicit(&ball, to, memory_order_release);
}

static void *other(void *unused) {
    stay_on(processors[1]);
    run_loops(1);
    for (int i = 0; i < PASSES * REPEATS; i++) pass(2 * i + 1, 2 * i + 2);
    return unused;
}

int main(void) {
    cpu_set_t set;
    pthread_t thread;
    int found = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) != 2) return 1;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set)) processors[found++] = i;
    if (pthread_create(&thread, NULL, other, NULL) != 0) return 1;
    stay_on(processors[0]);
    run_loops(0);
    double best = 1e18;
    for (int repeat = 0, i = 0; repeat < REPEATS; repeat++) {
        const double start = now_ns();
        for (int n = 0; n < PASSES; n++, i++) pass(2 * i, 2 * i + 1);
        best = least(best, (now_ns() - start) / PASSES);
    }
    const double first = beside[0] / alone[0], second = beside[1] / alone[1];
    printf("%.1f %.3f\n", best, first > second ? first : second);
    return pthread_join(thread, NULL);
}
"""


@dataclass(frozen=True)
class Pair:
    """handover_ns: round trip of a cache line. slowdown: of two copies of a loop against one; 1 on two cores."""

    handover_ns: float
    slowdown: float


@contextmanager
def probe() -> Iterator[Callable[[], Pair | None]]:
    """A function that looks at the two processors that this process may use.

    It returns None where they are not two (nobody knows on which a measured thread runs), where there is no compiler
    for its program, and where two threads do not meet for a minute.
    """
    with native.built(SOURCE) as program:

        def look() -> Pair | None:
            if program is None:
                return None
            try:
                done = subprocess.run([str(program)], capture_output=True, text=True, timeout=60, check=False)
            except subprocess.TimeoutExpired:
                return None
            return Pair(*map(float, done.stdout.split())) if done.returncode == 0 else None

        yield look
