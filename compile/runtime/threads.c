/* threads.c: the pool of worker threads of one stream.
 *
 * A step is about seventy jobs of 20 to 200 microseconds, so a job must cost far less than one. How it works:
 * 1. A job's items are cut into chunks of nearly equal size; every thread owns an equal run of them in its slot.
 * 2. A thread takes the chunks of its own slot, then those of the others'. In the quiet case hardly a cache line moves;
 *    on big.LITTLE or a noisy machine the fast threads do the work of the slow ones.
 * 3. The caller waits for chunks, not for threads: a worker that is late, or not scheduled, holds up nobody.
 * 4. Whoever waits spins, then yields, then sleeps. Workers do not sleep within a step: a wake-up costs 50 us and
 *    more. Between two frames they sleep, and wake up on another CPU than the caller's (placement.c). The caller naps
 *    and looks again, for its timer wakes it where it was: woken by a worker, Linux moved it to that worker's CPU, and
 *    the two took turns there for milliseconds, 7 to 98 times in 1800 steps on two CPUs.
 *
 * All of a slot's protocol is the one atomic `left`: > 0 chunks to take, 0 none, ASLEEP, QUIT. A chunk is taken by
 * compare-and-swap from n to n - 1, and whoever succeeds reads a job that cannot change before that chunk has been
 * taken off `unfinished`. A thread that comes late may take a chunk of a newer job than it woke for; that is as good.
 *
 * Measured with tests/runtime/dispatch.c, 2026-11, two cores of an EPYC 7003, Linux 6.18: to hand out a job costs
 * 0.2 us on two threads and nothing on one. 56 items of 1.87 us take 104.7 us on one thread, 52.2 on two, 53.4 on three
 * and 53.5 on four, which are more than there are cores. Tried and dropped, on the same job: one chunk a thread (82 us
 * on three threads), eight chunks (0.3 us more a job), spinning without yielding (89 us on three threads), static
 * ranges without stealing (beside a busy process 151 and 994 us in two runs, with stealing 161 and 100). */
#define _POSIX_C_SOURCE 200809L
#include "threads.h"

#include "placement.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNKS_PER_THREAD = 4,
    LINE = 128, /* two cache lines: x86 prefetches them in pairs */
    ASLEEP = -1,
    QUIT = -2,
    SPINS_A_LOOK = 32,            /* pauses between two looks at the clock */
    SPIN_NS = 5 * 1000,           /* then a waiting thread yields: others may need this CPU */
    WORKER_AWAKE_NS = 200 * 1000, /* then a worker sleeps, unless a step is going on; bridges two steps in a row */
    CALLER_AWAKE_NS = 100 * 1000, /* then the caller naps: the worker it waits for is not running */
    FIRST_NAP_NS = 50 * 1000,     /* twice as long each time */
    LONGEST_NAP_NS = 1000 * 1000,
    STACK_BYTES = 1024 * 1024     /* musl's default of 128 KiB is little for kernels with local tiles */
};

typedef struct {
    _Alignas(LINE) atomic_int left;
    int32_t end_chunk; /* one past the slot's last chunk in the job; written by the caller before `left` */
    int32_t index;
    tsm_pool *pool;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int waits; /* these two behind the lock */
    tsm_place place;
} slot;

typedef struct {
    tsm_task task;
    const void *context;
    int32_t items, chunks;
} job;

struct tsm_pool {
    int32_t threads;
    pid_t process; /* the workers' */
    atomic_int held; /* a step is going on */
    _Alignas(LINE) job job;
    _Alignas(LINE) atomic_int unfinished; /* chunks */
    slot slots[];                         /* slot 0 is the caller's */
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pause_cpu(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* `yield` is a no-op on most cores; isb waits some ten cycles */
#elif defined(__arm__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

/* Spins, later yields, until *word is zero (or, with zero == 0, is not). Returns 0 after limit_ns in vain. */
static int wait_until(atomic_int *word, int zero, int64_t limit_ns) {
    int64_t start = 0;
    for (;;) {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            if ((atomic_load_explicit(word, memory_order_acquire) == 0) == zero) return 1;
            pause_cpu();
        }
        const int64_t now = now_ns();
        if (start == 0) start = now;
        if (now - start > limit_ns) return 0;
        if (now - start > SPIN_NS) sched_yield();
    }
}

/* Sleeps while its slot says so. Whoever changes that calls wake_up afterwards. */
static void sleep_in(slot *own) {
    pthread_mutex_lock(&own->lock);
    own->waits = 1;
    while (atomic_load_explicit(&own->left, memory_order_acquire) == ASLEEP)
        pthread_cond_wait(&own->wake, &own->lock);
    own->waits = 0;
    pthread_mutex_unlock(&own->lock);
}

static void wake_up(slot *sleeper) {
    pthread_mutex_lock(&sleeper->lock); /* it is now either before its look at the word, or in the wait */
    if (sleeper->waits) tsm_place_elsewhere(&sleeper->place);
    pthread_cond_signal(&sleeper->wake);
    pthread_mutex_unlock(&sleeper->lock);
}

/* -- Work ---------------------------------------------------------------------------------------------------------- */

/* Not the longer ones first: of 28 rows, two threads would own 16 and 12. */
static int32_t first_of(const job *j, int32_t chunk) { return (int32_t)((int64_t)chunk * j->items / j->chunks); }

static void run_chunk(const job *j, int32_t chunk, int32_t thread) {
    j->task(j->context, thread, first_of(j, chunk), first_of(j, chunk + 1));
}

/* Takes and runs chunks of one slot until it has none. Returns how many. */
static int32_t drain(slot *from, int32_t thread) {
    int32_t taken = 0;
    int left = atomic_load_explicit(&from->left, memory_order_relaxed);
    while (left > 0) {
        if (!atomic_compare_exchange_weak_explicit(&from->left, &left, left - 1, memory_order_acquire,
                                                   memory_order_relaxed))
            continue;
        run_chunk(&from->pool->job, from->end_chunk - left, thread);
        taken++;
        left = atomic_load_explicit(&from->left, memory_order_relaxed);
    }
    return taken;
}

static void take_part(tsm_pool *pool, int32_t thread) {
    int32_t taken = 0;
    for (int32_t i = thread; i < pool->threads; i++) taken += drain(&pool->slots[i], thread);
    for (int32_t i = 0; i < thread; i++) taken += drain(&pool->slots[i], thread);
    if (taken > 0) atomic_fetch_sub_explicit(&pool->unfinished, taken, memory_order_acq_rel);
}

static void wait_for_the_rest(tsm_pool *pool) {
    struct timespec nap = {0, FIRST_NAP_NS};
    while (!wait_until(&pool->unfinished, 1, CALLER_AWAKE_NS)) {
        nanosleep(&nap, NULL);
        if (nap.tv_nsec < LONGEST_NAP_NS) nap.tv_nsec *= 2;
    }
}

/* -- Workers ------------------------------------------------------------------------------------------------------- */

/* Publishes `value` in a slot and wakes its thread if it sleeps. */
static void post(slot *to, int value) {
    if (atomic_exchange_explicit(&to->left, value, memory_order_acq_rel) == ASLEEP) wake_up(to);
}

static void *work(void *argument) {
    slot *own = argument;
    tsm_place_enter(&own->place);
    for (;;) {
        while (!wait_until(&own->left, 0, WORKER_AWAKE_NS)) {
            if (atomic_load_explicit(&own->pool->held, memory_order_relaxed)) continue;
            int none = 0;
            if (!atomic_compare_exchange_strong(&own->left, &none, ASLEEP)) continue;
            sleep_in(own);
            tsm_place_anywhere(&own->place);
        }
        if (atomic_load_explicit(&own->left, memory_order_acquire) == QUIT) return NULL;
        take_part(own->pool, own->index);
    }
}

void tsm_pool_hold(tsm_pool *pool, int held) {
    if (pool != NULL) atomic_store_explicit(&pool->held, held, memory_order_relaxed);
}

void tsm_pool_run(tsm_pool *pool, tsm_task task, const void *context, int32_t items) {
    if (pool == NULL || items <= 1) {
        if (items > 0) task(context, 0, 0, items);
        return;
    }
    const int32_t most = pool->threads * CHUNKS_PER_THREAD;
    const int32_t chunks = items < most ? items : most;
    const int32_t each = chunks / pool->threads, longer = chunks % pool->threads;
    pool->job = (job){task, context, items, chunks};
    atomic_store_explicit(&pool->unfinished, chunks, memory_order_relaxed);
    int32_t end = chunks;
    for (int32_t i = pool->threads - 1; i >= 0; i--) { /* the caller's own slot last: the workers start first */
        const int32_t count = each + (i < longer);
        if (count > 0) {
            pool->slots[i].end_chunk = end;
            post(&pool->slots[i], count);
        }
        end -= count;
    }
    take_part(pool, 0);
    wait_for_the_rest(pool);
}

/* -- Birth and death ----------------------------------------------------------------------------------------------- */

static int start_worker(slot *s) {
    pthread_attr_t attributes;
    int failed = pthread_attr_init(&attributes);
    if (failed) return failed;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    failed = pthread_create(&s->thread, &attributes, work, s);
    pthread_attr_destroy(&attributes);
    return failed;
}

static void end_workers(tsm_pool *pool, int32_t started) {
    for (int32_t i = 1; i < started; i++) {
        post(&pool->slots[i], QUIT);
        pthread_join(pool->slots[i].thread, NULL);
    }
    for (int32_t i = 0; i < pool->threads; i++) {
        pthread_cond_destroy(&pool->slots[i].wake);
        pthread_mutex_destroy(&pool->slots[i].lock);
    }
    free(pool);
}

int tsm_pool_new(int32_t threads, tsm_pool **out) {
    tsm_pool *pool = NULL;
    const size_t bytes = sizeof *pool + (size_t)threads * sizeof(slot);
    if (posix_memalign((void **)&pool, LINE, bytes) != 0) return ENOMEM;
    memset(pool, 0, bytes);
    pool->threads = threads;
    pool->process = getpid();
    for (int32_t i = 0; i < threads; i++) {
        pool->slots[i].pool = pool;
        pool->slots[i].index = i;
        pthread_mutex_init(&pool->slots[i].lock, NULL);
        pthread_cond_init(&pool->slots[i].wake, NULL);
    }
    sigset_t all, before; /* a signal of the host program is not for a worker of a library */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    int32_t started = 1;
    while (started < threads && (failed = start_worker(&pool->slots[started])) == 0) started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        end_workers(pool, started);
        return failed;
    }
    *out = pool;
    return 0;
}

void tsm_pool_free(tsm_pool *pool) {
    if (pool == NULL) return;
    if (pool->process == getpid())
        end_workers(pool, pool->threads);
    else
        free(pool); /* its locks may be held by threads of the parent: they are left as they are */
}
