/* guard.h: one call at a time in a stream, and only in the process that made it. */
#ifndef TSM_GUARD_H
#define TSM_GUARD_H

#include "tsm_edge.h"

#include <stdatomic.h>

typedef struct {
    atomic_int state;
    int process; /* a forked child has neither the workers nor the driver of its parent */
} tsm_guard;

/* By the thread that makes the stream, before anything else. */
void tsm_guard_open(tsm_guard *guard);

/* TSM_OK: this thread has the stream until tsm_guard_leave. TSM_E_FORKED: a child has inherited it; `error`, of
 * TSM_ERROR_SIZE bytes, says so. TSM_E_BUSY: another thread has it, or it is being freed; `error` is then that thread's
 * and untouched. */
tsm_status tsm_guard_enter(tsm_guard *guard, char *error);
void tsm_guard_leave(tsm_guard *guard);

/* Lets no further call in and waits for the one under way. Returns 0 at once in a forked child. */
int tsm_guard_close(tsm_guard *guard);

/* Whether this process is the one in which the stream was made. */
int tsm_guard_owns(const tsm_guard *guard);

#endif
