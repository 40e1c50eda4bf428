/* gpu_stream.h: what the sources of a GPU bundle's library share about a model and a stream. */
#ifndef TSM_GPU_STREAM_H
#define TSM_GPU_STREAM_H

#include "device.h"
#include "feed.h"
#include "guard.h"

struct tsm_model {
    const tsm_gpu_plan *plan;
    tsm_gpu_device *device;
    int process;      /* the device's */
    atomic_int users; /* the opener and every stream: the last one frees it */
};

struct tsm_stream {
    tsm_guard guard;
    tsm_model *model;
    const tsm_gpu_plan *plan;
    tsm_feed feed;
    tsm_gpu_queue *queue;
    int in; /* the state blob that the next step reads, 0 or 1 */
    int profiling;
    uint64_t answers; /* runs since the start or the reset */
    uint64_t step_ns; /* how long the last step was waited for */
    uint64_t *op_ns;
    float *scores; /* of the last step that ended well */
    char error[TSM_ERROR_SIZE];
};

/* Waits until all that the stream's queue was given is done. `expected_ns` (0: unknown) is about how long it will take.
 * A device that does not answer is given up as hung. */
tsm_status tsm_gpu_wait(tsm_gpu_queue *queue, uint64_t expected_ns, char *error);

/* Refuses every use of a device that is lost or hung. */
tsm_status tsm_gpu_alive(const tsm_gpu_device *device, char *error);

/* Makes the stream and the driver this thread's until tsm_gpu_leave, or says why not: another thread, a forked child,
 * the end of the process, a device that is lost. */
tsm_status tsm_gpu_enter(tsm_stream *stream);
tsm_status tsm_gpu_leave(tsm_stream *stream, tsm_status status);

/* Monotonic nanoseconds. */
uint64_t tsm_gpu_now(void);

#endif
