/* dispatch.c: what handing one job to the pool costs.
 *
 *     dispatch THREADS ITEMS TURNS [GAP_US]
 *
 * Runs 200 frames of 70 jobs; each job has ITEMS items of TURNS dependent multiplications. Prints microseconds a job.
 * With GAP_US the caller sleeps that long between frames, as a camera makes it. */
#define _POSIX_C_SOURCE 200809L
#include "threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FRAMES = 200, JOBS = 70 };

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void work(const void *context, int32_t thread, int32_t begin, int32_t end) {
    const int turns = *(const int *)context;
    (void)thread;
    for (int32_t i = begin; i < end; i++) {
        volatile float x = 1.0f;
        for (int k = 0; k < turns; k++) x *= 1.0001f;
    }
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    static double us[FRAMES];
    if (argc < 4) return fprintf(stderr, "usage: dispatch THREADS ITEMS TURNS [GAP_US]\n"), 2;
    const int threads = atoi(argv[1]), items = atoi(argv[2]), turns = atoi(argv[3]);
    const long gap = argc > 4 ? atol(argv[4]) * 1000 : 0;
    tsm_pool *pool = NULL;
    if (threads > 1 && tsm_pool_new(threads, &pool) != 0) return 1;
    for (int frame = 0; frame < FRAMES; frame++) {
        const double start = now_us();
        for (int i = 0; i < JOBS; i++) tsm_pool_run(pool, work, &turns, items);
        us[frame] = (now_us() - start) / JOBS;
        if (gap) nanosleep(&(struct timespec){0, gap}, NULL);
    }
    qsort(us, FRAMES, sizeof *us, ascending);
    printf("{\"threads\": %d, \"items\": %d, \"min_us\": %.3f, \"median_us\": %.3f, \"p95_us\": %.3f}\n", threads,
           items, us[0], us[FRAMES / 2], us[FRAMES * 95 / 100]);
    tsm_pool_free(pool);
    return 0;
}
