/* gpu_wait.c: waiting for a device that may never answer.
 *
 * The drivers' own waits have no time limit, so the queue is polled: with short sleeps, and without them around the
 * time at which the last step of this stream ended. A sleep of 50 us lasts about 100 us with Linux' timer slack; to
 * poll without a sleep for a whole step would take a core from everybody else, and from a device that is a CPU. */
#define _POSIX_C_SOURCE 200809L
#include "gpu_stream.h"
#include "message.h"

#include <sched.h>
#include <time.h>

#ifndef TSM_GPU_PATIENCE_MS
#define TSM_GPU_PATIENCE_MS 60000
#endif

/* A first step may compile kernels for tens of seconds of a processor that others use as well. */
enum { FIRST_STEP = 5 };
enum { SLEEP_NS = 50 * 1000, AWAKE_NS = 300 * 1000 };
static const uint64_t longest_look_ns = 10 * 1000 * 1000; /* longer: this thread did not run, and the device may have */

uint64_t tsm_gpu_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

tsm_status tsm_gpu_alive(const tsm_gpu_device *device, char *error) {
    const int state = atomic_load(&device->state);
    if (state == TSM_DEVICE_GOOD) return TSM_OK;
    return tsm_refuse(TSM_E_DEVICE, error, TSM_ERROR_SIZE,
                      "The GPU was lost in an earlier call.\n  found: %s (%.200s)\n  hint: %s",
                      state == TSM_DEVICE_HUNG ? "a device that does not answer" : "a device that failed", device->text,
                      state == TSM_DEVICE_HUNG ? "end this program; if the next one fails too, restart the machine"
                                               : "close all streams and the model, then open the model again");
}

static tsm_status give_up(tsm_gpu_device *device, uint64_t patience_ns, char *error) {
    atomic_store(&device->state, TSM_DEVICE_HUNG);
    return tsm_refuse(TSM_E_DEVICE, error, TSM_ERROR_SIZE,
                      "The GPU does not answer.\n  found: no end of a step after %d ms (%.200s)\n"
                      "  hint: end this program; if the next one fails too, restart the machine",
                      (int)(patience_ns / 1000000u), device->text);
}

tsm_status tsm_gpu_wait(tsm_gpu_queue *queue, uint64_t expected_ns, char *error) {
    const uint64_t start = tsm_gpu_now();
    const uint64_t patience = (uint64_t)TSM_GPU_PATIENCE_MS * 1000000u * (queue->first ? FIRST_STEP : 1);
    const struct timespec nap = {0, SLEEP_NS};
    uint64_t last = start, waited = 0;
    for (;;) {
        int running = 0;
        const tsm_status status = tsm_queue_poll(queue, &running, error);
        if (status != TSM_OK || !running) return status;
        const uint64_t now = tsm_gpu_now(), look = now - last, passed = now - start;
        waited += look < longest_look_ns ? look : longest_look_ns;
        last = now;
        if (waited > patience) return give_up(queue->device, patience, error);
        if (passed + AWAKE_NS > expected_ns && passed < expected_ns + AWAKE_NS)
            sched_yield();
        else
            nanosleep(&nap, NULL);
    }
}
