/* gpu_process.c: a GPU driver in a process that forks or ends.
 *
 * A driver does not survive a fork: its threads are not in the child, and its handles are no longer valid there. CUDA
 * answers with an error code, OpenCL drivers wait for a thread that does not exist.
 *
 * A process that ends takes its driver down while other threads may be in a call. What this library registers with
 * atexit once the driver is loaded runs before the driver's own handlers, and waits there for the calls under way. Not
 * every linker's startup code takes a handler back at dlclose, so a GPU bundle's library is never unloaded: it is linked
 * with -z nodelete. */
#define _POSIX_C_SOURCE 200809L
#include "gpu_process.h"

#include "gpu_limits.h"
#include "gpu_stream.h"
#include "message.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { NAP_NS = 50 * 1000 };
static const uint64_t longest_wait_ns = 5000000000u; /* a device that never answers must not keep the process */

static atomic_int process; /* the one that has loaded a driver; 0: none yet */
static atomic_int registered, ending, calls;

tsm_status tsm_gpu_process_open(const tsm_gpu_plan *plan, char *error) {
    const int own = (int)getpid();
    int first = 0;
    if (atomic_compare_exchange_strong(&process, &first, own) || first == own) return TSM_OK;
    return tsm_refuse(TSM_E_FORKED, error, TSM_ERROR_SIZE,
                      "A GPU bundle cannot be opened in a child of a process that has opened it.\n"
                      "  found: process %d, forked from process %d, which has loaded the driver (%.64s-%.64s)\n"
                      "  hint: start the child as a new program (in Python: multiprocessing's 'spawn'), or open the "
                      "bundle only in the child",
                      own, first, plan->info.model, plan->info.target);
}

static void wait_at_exit(void) {
    const struct timespec nap = {0, NAP_NS};
    const uint64_t start = tsm_gpu_now();
    if (atomic_load(&process) != (int)getpid()) return; /* a child that has inherited the handler */
    atomic_store(&ending, 1);
    while (atomic_load(&calls) > 0 && tsm_gpu_now() - start < longest_wait_ns) nanosleep(&nap, NULL);
}

void tsm_gpu_process_opened(void) {
    if (atomic_exchange(&registered, 1) == 0) atexit(wait_at_exit); /* refused: the process ends as it did without */
}

tsm_status tsm_gpu_process_enter(char *error) {
    atomic_fetch_add(&calls, 1);
    if (!atomic_load(&ending)) return TSM_OK;
    atomic_fetch_sub(&calls, 1);
    return tsm_refuse(TSM_E_DEVICE, error, TSM_ERROR_SIZE, "The process is ending, and its GPU driver with it.");
}

void tsm_gpu_process_leave(void) { atomic_fetch_sub(&calls, 1); }
