/* device.h: what a GPU family gives to the stream. cuda*.c and opencl*.c each define all of it.
 *
 * A device holds the program and the weights; a queue holds one stream's arena and states and takes its commands.
 * Commands are submitted, then polled for; nothing here blocks, so that a device that never answers cannot hang the
 * caller. Messages go into `error`, which holds TSM_ERROR_SIZE bytes. */
#ifndef TSM_DEVICE_H
#define TSM_DEVICE_H

#include "plan_gpu.h"
#include "tsm_edge.h"

#include <stdatomic.h>

enum {
    TSM_DEVICE_GOOD,
    TSM_DEVICE_LOST, /* it failed in a way that nothing later can work; its memory may still be freed */
    TSM_DEVICE_HUNG  /* it never answered; no further driver call is safe, not even to free */
};
enum { TSM_DEVICE_TEXT = 384 };

/* The part of a device that the stream knows; each family has more behind it. */
typedef struct {
    const tsm_gpu_plan *plan;
    atomic_int state;           /* shared by all its streams */
    char text[TSM_DEVICE_TEXT]; /* what was found, for tsm_device() */
} tsm_gpu_device;

typedef struct {
    tsm_gpu_device *device;
    float *frame;  /* host memory that a step uploads: the input, as it is stored */
    float *scores; /* host memory that a step downloads: the output */
    int first;     /* the first step is under way: the driver may be compiling */
} tsm_gpu_queue;

/* Finds a device that can run the plan, and puts program and weights on it. On failure *out is NULL. */
tsm_status tsm_device_open(const tsm_gpu_plan *plan, tsm_gpu_device **out, char *error);
void tsm_device_close(tsm_gpu_device *device);

/* A queue with its own arena and states; the caller clears them. Free the queue before its device. */
tsm_status tsm_queue_new(tsm_gpu_device *device, tsm_gpu_queue **out, char *error);
void tsm_queue_free(tsm_gpu_queue *queue);

/* Submits one step: uploads `frame`, launches every operation, downloads `scores`. State blob `in` (0 or 1) is read,
 * the other is written. When it fails part of the step may be under way: poll before the host memory is used again. */
tsm_status tsm_queue_step(tsm_gpu_queue *queue, int in, int timed, char *error);

/* Submits zeros for arena and states. */
tsm_status tsm_queue_clear(tsm_gpu_queue *queue, char *error);

/* Submits a copy of `bytes` bytes of state blob `blob` (0 or 1), from or to host memory that stays until it is done. */
tsm_status tsm_queue_download(tsm_gpu_queue *queue, int blob, size_t offset, size_t bytes, void *host, char *error);
tsm_status tsm_queue_upload(tsm_gpu_queue *queue, int blob, size_t offset, size_t bytes, const void *host, char *error);

/* Has everything that was submitted been done? Sets *running; an error is that of any of it. */
tsm_status tsm_queue_poll(tsm_gpu_queue *queue, int *running, char *error);

/* Makes what a timed step needs, once; then, after a timed step, nanoseconds of each operation. */
tsm_status tsm_queue_prepare_times(tsm_gpu_queue *queue, char *error);
tsm_status tsm_queue_times(tsm_gpu_queue *queue, uint64_t *ns, char *error);

#endif
