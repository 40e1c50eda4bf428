/* threads.h: the pool of worker threads of one stream. */
#ifndef TSM_THREADS_H
#define TSM_THREADS_H

#include <stdint.h>

typedef struct tsm_pool tsm_pool;

/* Works on items [begin, end) as thread `thread` (0 is the caller of tsm_pool_run). */
typedef void (*tsm_task)(const void *context, int32_t thread, int32_t begin, int32_t end);

/* Starts threads - 1 workers, threads >= 2. Returns 0 and sets *out, or an errno. */
int tsm_pool_new(int32_t threads, tsm_pool **out);

/* Stops and joins the workers. NULL is allowed. A forked child has no workers: there it only frees the memory. */
void tsm_pool_free(tsm_pool *pool);

/* Between hold(1) and hold(0) workers without work yield their CPU, but do not sleep: more jobs are about to come. */
void tsm_pool_hold(tsm_pool *pool, int held);

/* Runs `task` over items [0, items) and returns when all have finished. With pool == NULL or one item it is a plain
 * call on this thread. */
void tsm_pool_run(tsm_pool *pool, tsm_task task, const void *context, int32_t items);

#endif
