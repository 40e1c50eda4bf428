/* guard.c: one call at a time in a stream, and only in the process that made it.
 *
 * A call costs one getpid, one compare-and-swap and one store, none of them contended: 0.1 us of a step of
 * milliseconds. The number of the process is compared rather than set by pthread_atfork: a handler would outlive a
 * library that was closed by dlclose on some C libraries, and a child made by clone does not run it. */
#define _POSIX_C_SOURCE 200809L
#include "guard.h"

#include "message.h"

#include <time.h>
#include <unistd.h>

enum { IN_USE = 1, CLOSING = 2 };
enum { FIRST_NAP_NS = 20 * 1000, LONGEST_NAP_NS = 1000 * 1000 };

void tsm_guard_open(tsm_guard *guard) {
    atomic_init(&guard->state, 0);
    guard->process = (int)getpid();
}

int tsm_guard_owns(const tsm_guard *guard) { return guard->process == (int)getpid(); }

tsm_status tsm_guard_enter(tsm_guard *guard, char *error) {
    if (!tsm_guard_owns(guard))
        return tsm_refuse(TSM_E_FORKED, error, TSM_ERROR_SIZE,
                          "The stream belongs to the process that this one was forked from.\n"
                          "  found: process %d, the stream was made in process %d\n"
                          "  hint: make a new stream in the child process",
                          (int)getpid(), guard->process);
    int unused = 0;
    return atomic_compare_exchange_strong_explicit(&guard->state, &unused, IN_USE, memory_order_acquire,
                                                   memory_order_relaxed)
               ? TSM_OK
               : TSM_E_BUSY;
}

void tsm_guard_leave(tsm_guard *guard) { atomic_fetch_and_explicit(&guard->state, ~IN_USE, memory_order_release); }

int tsm_guard_close(tsm_guard *guard) {
    struct timespec nap = {0, FIRST_NAP_NS};
    if (!tsm_guard_owns(guard)) return 0;
    atomic_fetch_or_explicit(&guard->state, CLOSING, memory_order_relaxed);
    while (atomic_load_explicit(&guard->state, memory_order_acquire) & IN_USE) {
        nanosleep(&nap, NULL);
        if (nap.tv_nsec < LONGEST_NAP_NS) nap.tv_nsec *= 2;
    }
    return 1;
}
