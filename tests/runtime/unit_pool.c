/* unit_pool.c: the thread pool. Every item runs exactly once, whatever the numbers; sleepers wake. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "checks.h"
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1000 };

/* Not atomic on purpose: the thread sanitizer then proves that items are disjoint and jobs ordered. */
typedef struct {
    int runs[MOST];
    int by[64];
    int last_seen;
} board;

static void mark(const void *context, int32_t thread, int32_t begin, int32_t end) {
    board *b = *(board *const *)context;
    for (int32_t i = begin; i < end; i++) b->runs[i]++;
    b->by[thread]++;
}

static void every_item_runs_once(void) {
    static const int items[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 56, 63, 64, 65, 224, 997, 1000};
    for (int threads = 1; threads <= 9; threads += threads < 5 ? 1 : 4) {
        tsm_pool *pool = NULL;
        CHECK(threads == 1 || tsm_pool_new(threads, &pool) == 0);
        for (size_t n = 0; n < sizeof items / sizeof *items; n++) {
            board b = {.runs = {0}}, *context = &b;
            for (int round = 0; round < 20; round++) tsm_pool_run(pool, mark, &context, items[n]);
            for (int i = 0; i < MOST; i++) CHECK(b.runs[i] == (i < items[n] ? 20 : 0));
        }
        tsm_pool_free(pool);
    }
}

static void note_begin(const void *context, int32_t thread, int32_t begin, int32_t end) {
    int *begins = *(int *const *)context;
    (void)thread, (void)end;
    begins[begin] = 1;
}

/* Two threads own equal halves: a chunk begins in the middle, and sizes differ by one at most. */
static void chunks_are_dealt_equally(void) {
    static const int items[] = {2, 8, 14, 28, 56, 112, 998};
    tsm_pool *pool = NULL;
    CHECK(tsm_pool_new(2, &pool) == 0);
    for (size_t n = 0; n < sizeof items / sizeof *items; n++) {
        int begins[MOST + 1] = {0}, *context = begins, last = 0, least = MOST, most = 0;
        tsm_pool_run(pool, note_begin, &context, items[n]);
        CHECK(begins[0] && begins[items[n] / 2]);
        begins[items[n]] = 1;
        for (int i = 1; i <= items[n]; i++) {
            if (!begins[i]) continue;
            least = i - last < least ? i - last : least;
            most = i - last > most ? i - last : most;
            last = i;
        }
        CHECK(most - least <= 1);
    }
    tsm_pool_free(pool);
}

static void one_item_stays_with_the_caller(void) {
    tsm_pool *pool = NULL;
    board b = {.runs = {0}}, *context = &b;
    CHECK(tsm_pool_new(4, &pool) == 0);
    for (int i = 0; i < 1000; i++) tsm_pool_run(pool, mark, &context, 1);
    CHECK(b.by[0] == 1000 && b.runs[0] == 1000);
    tsm_pool_free(pool);
}

/* Each job reads what the other items of the job before it wrote. */
static void shift(const void *context, int32_t thread, int32_t begin, int32_t end) {
    int *const *rows = context;
    (void)thread;
    for (int32_t i = begin; i < end; i++) rows[1][i] = rows[0][(i + 1) % 64] + 1;
}

static void jobs_follow_each_other(void) {
    int a[64] = {0}, b[64] = {0}, *rows[2] = {a, b};
    tsm_pool *pool = NULL;
    CHECK(tsm_pool_new(3, &pool) == 0);
    tsm_pool_hold(pool, 1);
    for (int i = 0; i < 5000; i++) {
        tsm_pool_run(pool, shift, rows, 64);
        int *written = rows[1];
        rows[1] = rows[0];
        rows[0] = written;
    }
    tsm_pool_hold(pool, 0);
    for (int i = 0; i < 64; i++) CHECK(rows[0][i] == 5000);
    tsm_pool_free(pool);
}

static void nap_ms(long ms) { nanosleep(&(struct timespec){0, ms * 1000000}, NULL); }

static void sleepers_wake(void) {
    tsm_pool *pool = NULL;
    board b = {.runs = {0}}, *context = &b;
    CHECK(tsm_pool_new(4, &pool) == 0);
    for (int i = 0; i < 30; i++) {
        nap_ms(i % 3); /* about when workers fall asleep, and well after */
        tsm_pool_run(pool, mark, &context, 100);
    }
    for (int i = 0; i < 100; i++) CHECK(b.runs[i] == 30);
    tsm_pool_free(pool);
}

static atomic_int others;

/* The caller waits until a worker has an item, and the worker's takes much longer than the caller stays awake. */
static void a_slow_item_of_a_worker(const void *context, int32_t thread, int32_t begin, int32_t end) {
    (void)context, (void)begin, (void)end;
    if (thread > 0) {
        atomic_fetch_add(&others, 1);
        nap_ms(30);
    }
    while (atomic_load(&others) == 0) sched_yield();
}

static void count_cpus(const void *context, int32_t thread, int32_t begin, int32_t end) {
    int *least = *(int *const *)context;
    cpu_set_t set;
    CPU_ZERO(&set);
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    for (int32_t i = begin; i < end; i++) nap_ms(1); /* so that every thread gets some */
    if (least[thread] == 0 || CPU_COUNT(&set) < least[thread]) least[thread] = CPU_COUNT(&set);
}

/* The waker takes its CPU out of the sleeper's set; by the time that the sleeper works, it is back. */
static void the_woken_may_run_anywhere(void) {
    tsm_pool *pool = NULL;
    int least[3] = {0}, *context = least;
    cpu_set_t mine;
    CPU_ZERO(&mine);
    CHECK(sched_getaffinity(0, sizeof mine, &mine) == 0 && tsm_pool_new(3, &pool) == 0);
    for (int i = 0; i < 20; i++) {
        nap_ms(2); /* all of them fall asleep */
        tsm_pool_run(pool, count_cpus, &context, 12);
    }
    for (int i = 0; i < 3; i++) CHECK(least[i] == CPU_COUNT(&mine));
    tsm_pool_free(pool);
}

/* Its thread belongs to the program: it may run where it could before. */
static void the_caller_may_sleep_too(void) {
    tsm_pool *pool = NULL;
    cpu_set_t before, after;
    CPU_ZERO(&before);
    CPU_ZERO(&after);
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0 && tsm_pool_new(2, &pool) == 0);
    struct timespec start, end;
    for (int i = 0; i < 10; i++) {
        atomic_store(&others, 0);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
        tsm_pool_run(pool, a_slow_item_of_a_worker, NULL, 2);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        const double ms = (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) * 1e-6;
        CHECK(ms < 15);
        CHECK(sched_getaffinity(0, sizeof after, &after) == 0 && CPU_EQUAL(&before, &after));
    }
    tsm_pool_free(pool);
}

static void idle_workers_use_no_cpu(void) {
    struct timespec before, after;
    tsm_pool *pool = NULL;
    board b = {.runs = {0}}, *context = &b;
    CHECK(tsm_pool_new(4, &pool) == 0);
    tsm_pool_run(pool, mark, &context, 100);
    nap_ms(50);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    nap_ms(200);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    CHECK((double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) * 1e-6 < 20);
    tsm_pool_free(pool);
}

static pthread_t caller;
static volatile sig_atomic_t taken, taken_elsewhere;
static void on_signal(int number) {
    (void)number;
    if (pthread_equal(pthread_self(), caller))
        taken++;
    else
        taken_elsewhere++;
}

/* A signal to the process goes to any thread that does not block it. */
static void workers_take_no_signals(void) {
    const struct sigaction action = {.sa_handler = on_signal};
    tsm_pool *pool = NULL;
    caller = pthread_self();
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && tsm_pool_new(4, &pool) == 0);
    for (int i = 0; i < 20; i++) {
        CHECK(kill(getpid(), SIGUSR1) == 0);
        nap_ms(1);
    }
    CHECK(taken == 20 && taken_elsewhere == 0);
    tsm_pool_free(pool);
}

int main(void) {
    RUN(every_item_runs_once);
    RUN(chunks_are_dealt_equally);
    RUN(one_item_stays_with_the_caller);
    RUN(jobs_follow_each_other);
    RUN(sleepers_wake);
    RUN(the_woken_may_run_anywhere);
    RUN(the_caller_may_sleep_too);
    RUN(idle_workers_use_no_cpu);
    RUN(workers_take_no_signals);
    return failures > 0;
}
