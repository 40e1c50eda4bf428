/* cuda_queue.c: one stream's memory on an NVIDIA GPU, and its step.
 *
 * The step is the same three kinds of commands each time: one upload, the launches, one download, with the state blobs
 * in one of two roles. Where the driver has graphs both steps are captured when the stream is made, and a step is then
 * one call; otherwise, and while operations are timed, the commands are given one by one. */
#include "cuda_device.h"
#include "message.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    tsm_gpu_queue base;
    cuda_device *d;
    CUstream stream;
    CUdeviceptr arena, state[2];
    CUdeviceptr *values[2]; /* for state[0] read, and for state[1] read: all arguments of all operations */
    void **pointers[2];     /* to each of the values, as cuLaunchKernel wants them */
    CUgraphExec graph[2];   /* NULL: none */
    CUevent *events;        /* op_count + 1; NULL each until times are requested */
} cuda_queue;

static cuda_queue *of(tsm_gpu_queue *queue) { return (cuda_queue *)(void *)queue; }

/* -- Commands ------------------------------------------------------------------------------------------------------ */

static tsm_status mark(cuda_queue *q, size_t index, char *error) {
    return CUDA_TRY(q->d, error, "The time of an operation cannot be taken.", cuEventRecord, q->events[index],
                    q->stream);
}

static tsm_status launch(cuda_queue *q, size_t index, void **arguments, char *error) {
    const tsm_gpu_op *op = &q->d->base.plan->ops[index];
    const uint32_t *grid = op->grid, *group = op->group;
    const CUresult result = q->d->cu.cuLaunchKernel(q->d->functions[index], grid[0], grid[1], grid[2], group[0],
                                                    group[1], group[2], 0, q->stream, arguments, NULL);
    return result == CUDA_SUCCESS
               ? TSM_OK
               : cuda_failed(q->d, result, "cuLaunchKernel", error, "Kernel %.80s of layer %.80s cannot be launched.",
                             op->info.kernel, op->info.layer);
}

static tsm_status submit(cuda_queue *q, int in, int timed, char *error) {
    const tsm_gpu_plan *plan = q->d->base.plan;
    void **arguments = q->pointers[in];
    tsm_status status = CUDA_TRY(q->d, error, "The frame does not get onto the GPU.", cuMemcpyHtoDAsync_v2,
                                 q->arena + plan->input.offset, q->base.frame, plan->input.bytes, q->stream);
    if (status == TSM_OK && timed) status = mark(q, 0, error);
    for (size_t i = 0; status == TSM_OK && i < plan->info.op_count; arguments += plan->ops[i++].argument_count) {
        status = launch(q, i, arguments, error);
        if (status == TSM_OK && timed) status = mark(q, i + 1, error);
    }
    if (status != TSM_OK) return status;
    return CUDA_TRY(q->d, error, "The scores do not get off the GPU.", cuMemcpyDtoHAsync_v2, q->base.scores,
                    q->arena + plan->output.offset, plan->output.bytes, q->stream);
}

/* Records a step instead of running it. A driver that has the calls but not for this GPU leaves the graph NULL. */
static tsm_status capture(cuda_queue *q, int in, char *error) {
    static const char what[] = "A step cannot be captured as a graph.";
    const cuda_api *cu = &q->d->cu;
    CUgraph graph = NULL;
    CUresult result = cu->cuStreamBeginCapture_v2(q->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    if (result == CUDA_ERROR_NOT_SUPPORTED) return TSM_OK;
    if (result != CUDA_SUCCESS) return cuda_failed(q->d, result, "cuStreamBeginCapture_v2", error, what);
    tsm_status status = submit(q, in, 0, error);
    result = cu->cuStreamEndCapture(q->stream, &graph); /* in any case, or the stream stays in capture */
    if (status == TSM_OK && result != CUDA_SUCCESS)
        status = cuda_failed(q->d, result, "cuStreamEndCapture", error, what);
    if (status == TSM_OK) {
        result = cu->cuGraphInstantiate(&q->graph[in], graph, NULL, NULL, 0);
        if (result != CUDA_SUCCESS) q->graph[in] = NULL;
        if (result != CUDA_SUCCESS && result != CUDA_ERROR_NOT_SUPPORTED)
            status = cuda_failed(q->d, result, "cuGraphInstantiate", error, what);
    }
    if (graph == NULL) return status;
    result = cu->cuGraphDestroy(graph);
    return status == TSM_OK ? cuda_tried(q->d, result, "cuGraphDestroy", error, what) : status;
}

/* -- Birth and death ----------------------------------------------------------------------------------------------- */

static CUdeviceptr address(const cuda_queue *q, const tsm_gpu_argument *a, int in) {
    switch (a->memory) {
    case TSM_ARENA: return q->arena + a->offset;
    case TSM_STATE_IN: return q->state[in] + a->offset;
    case TSM_STATE_OUT: return q->state[!in] + a->offset;
    default: return q->d->weights + a->offset;
    }
}

static tsm_status place_arguments(cuda_queue *q, char *error) {
    const tsm_gpu_plan *plan = q->d->base.plan;
    const size_t total = tsm_gpu_argument_total(plan) + 1;
    q->events = calloc(plan->info.op_count + 1, sizeof *q->events);
    if (q->events == NULL) return tsm_refuse(TSM_E_MEMORY, error, TSM_ERROR_SIZE, "tsm_stream_new: out of memory");
    for (int in = 0; in < 2; in++) {
        CUdeviceptr *value = q->values[in] = calloc(total, sizeof *value);
        void **pointer = q->pointers[in] = calloc(total, sizeof *pointer);
        if (value == NULL || pointer == NULL)
            return tsm_refuse(TSM_E_MEMORY, error, TSM_ERROR_SIZE, "tsm_stream_new: out of memory");
        for (size_t i = 0; i < plan->info.op_count; i++)
            for (size_t a = 0; a < plan->ops[i].argument_count; a++) {
                *value = address(q, &plan->ops[i].arguments[a], in);
                *pointer++ = value++;
            }
    }
    return TSM_OK;
}

static tsm_status device_memory(cuda_queue *q, CUdeviceptr *place, size_t bytes, char *error) {
    const tsm_status status =
        CUDA_TRY(q->d, error, "The GPU has no memory for another stream.", cuMemAlloc_v2, place, bytes > 0 ? bytes : 1);
    if (status != TSM_OK) *place = 0;
    return status;
}

static tsm_status host_memory(cuda_queue *q, float **place, size_t bytes, char *error) {
    void *block = NULL; /* page-locked: a copy from other memory cannot be captured, and goes through a second buffer */
    const tsm_status status = CUDA_TRY(q->d, error, "There is no page-locked memory for another stream.",
                                       cuMemAllocHost_v2, &block, bytes > 0 ? bytes : 1);
    *place = status == TSM_OK ? block : NULL;
    return status;
}

static tsm_status make(cuda_queue *q, char *error) {
    const tsm_gpu_plan *plan = q->d->base.plan;
    tsm_status status =
        CUDA_TRY(q->d, error, "The GPU takes no further stream.", cuStreamCreate, &q->stream, CU_STREAM_NON_BLOCKING);
    if (status != TSM_OK) q->stream = NULL;
    if (status == TSM_OK) status = device_memory(q, &q->arena, plan->info.arena_bytes, error);
    for (int i = 0; status == TSM_OK && i < 2; i++) status = device_memory(q, &q->state[i], plan->info.state_bytes, error);
    if (status == TSM_OK) status = host_memory(q, &q->base.frame, plan->input.bytes, error);
    if (status == TSM_OK) status = host_memory(q, &q->base.scores, plan->output.bytes, error);
    if (status == TSM_OK) status = place_arguments(q, error);
    for (int in = 0; status == TSM_OK && q->d->cu.graphs && in < 2; in++) status = capture(q, in, error);
    return status;
}

tsm_status tsm_queue_new(tsm_gpu_device *device, tsm_gpu_queue **out, char *error) {
    *out = NULL;
    cuda_queue *q = calloc(1, sizeof *q);
    if (q == NULL) return tsm_refuse(TSM_E_MEMORY, error, TSM_ERROR_SIZE, "tsm_stream_new: out of memory");
    q->base.device = device;
    q->d = (cuda_device *)(void *)device;
    tsm_status status = cuda_enter(q->d, error);
    if (status == TSM_OK) status = cuda_leave(q->d, make(q, error), error);
    if (status != TSM_OK) {
        tsm_queue_free(&q->base);
        return status;
    }
    *out = &q->base;
    return TSM_OK;
}

/* What fails here is not told: there is nothing that a caller could do. */
static void free_on_device(cuda_queue *q) {
    const cuda_api *cu = &q->d->cu;
    CUcontext own;
    const int entered = cu->cuCtxPushCurrent_v2(q->d->context) == CUDA_SUCCESS;
    for (int i = 0; i < 2; i++)
        if (q->graph[i] != NULL) cu->cuGraphExecDestroy(q->graph[i]);
    for (size_t i = 0; q->events != NULL && i <= q->d->base.plan->info.op_count; i++)
        if (q->events[i] != NULL) cu->cuEventDestroy_v2(q->events[i]);
    if (q->stream != NULL) cu->cuStreamDestroy_v2(q->stream);
    if (q->base.scores != NULL) cu->cuMemFreeHost(q->base.scores);
    if (q->base.frame != NULL) cu->cuMemFreeHost(q->base.frame);
    for (int i = 0; i < 2; i++)
        if (q->state[i] != 0) cu->cuMemFree_v2(q->state[i]);
    if (q->arena != 0) cu->cuMemFree_v2(q->arena);
    if (entered) cu->cuCtxPopCurrent_v2(&own);
}

void tsm_queue_free(tsm_gpu_queue *queue) {
    cuda_queue *q = of(queue);
    if (atomic_load(&q->d->base.state) != TSM_DEVICE_HUNG) free_on_device(q);
    for (int in = 0; in < 2; in++) {
        free(q->values[in]);
        free(q->pointers[in]);
    }
    free(q->events);
    free(q);
}

/* -- Requests of the stream ---------------------------------------------------------------------------------------- */

tsm_status tsm_queue_step(tsm_gpu_queue *queue, int in, int timed, char *error) {
    cuda_queue *q = of(queue);
    tsm_status status = cuda_enter(q->d, error);
    if (status != TSM_OK) return status;
    if (q->graph[in] != NULL && !timed)
        status =
            CUDA_TRY(q->d, error, "The graph of a step cannot be launched.", cuGraphLaunch, q->graph[in], q->stream);
    else
        status = submit(q, in, timed, error);
    return cuda_leave(q->d, status, error);
}

tsm_status tsm_queue_clear(tsm_gpu_queue *queue, char *error) {
    static const char what[] = "The states cannot be set to zero.";
    cuda_queue *q = of(queue);
    const tsm_gpu_plan *plan = q->d->base.plan;
    tsm_status status = cuda_enter(q->d, error);
    if (status != TSM_OK) return status;
    status = CUDA_TRY(q->d, error, what, cuMemsetD8Async, q->arena, 0, plan->info.arena_bytes, q->stream);
    for (int i = 0; status == TSM_OK && plan->info.state_bytes > 0 && i < 2; i++)
        status = CUDA_TRY(q->d, error, what, cuMemsetD8Async, q->state[i], 0, plan->info.state_bytes, q->stream);
    return cuda_leave(q->d, status, error);
}

tsm_status tsm_queue_download(tsm_gpu_queue *queue, int blob, size_t offset, size_t bytes, void *host, char *error) {
    cuda_queue *q = of(queue);
    tsm_status status = cuda_enter(q->d, error);
    if (status != TSM_OK) return status;
    status = CUDA_TRY(q->d, error, "A state does not get off the GPU.", cuMemcpyDtoHAsync_v2, host,
                      q->state[blob] + offset, bytes, q->stream);
    return cuda_leave(q->d, status, error);
}

tsm_status tsm_queue_upload(tsm_gpu_queue *queue, int blob, size_t offset, size_t bytes, const void *host,
                            char *error) {
    cuda_queue *q = of(queue);
    tsm_status status = cuda_enter(q->d, error);
    if (status != TSM_OK) return status;
    status = CUDA_TRY(q->d, error, "A state does not get onto the GPU.", cuMemcpyHtoDAsync_v2, q->state[blob] + offset,
                      host, bytes, q->stream);
    return cuda_leave(q->d, status, error);
}

tsm_status tsm_queue_poll(tsm_gpu_queue *queue, int *running, char *error) {
    cuda_queue *q = of(queue);
    tsm_status status = cuda_enter(q->d, error);
    *running = 0;
    if (status != TSM_OK) return status;
    const CUresult result = q->d->cu.cuStreamQuery(q->stream);
    *running = result == CUDA_ERROR_NOT_READY;
    if (result != CUDA_SUCCESS && result != CUDA_ERROR_NOT_READY) {
        status = cuda_failed(q->d, result, "cuStreamQuery", error, "A kernel or a copy failed on the GPU.");
        atomic_store(&q->d->base.state, TSM_DEVICE_LOST); /* whatever it was: what is still under way cannot be known */
    }
    return cuda_leave(q->d, status, error);
}

tsm_status tsm_queue_prepare_times(tsm_gpu_queue *queue, char *error) {
    cuda_queue *q = of(queue);
    const size_t count = q->d->base.plan->info.op_count + 1;
    tsm_status status = cuda_enter(q->d, error);
    if (status != TSM_OK) return status;
    for (size_t i = 0; status == TSM_OK && i < count; i++) {
        if (q->events[i] != NULL) continue;
        status = CUDA_TRY(q->d, error, "Operations cannot be timed.", cuEventCreate, &q->events[i], CU_EVENT_DEFAULT);
        if (status != TSM_OK) q->events[i] = NULL;
    }
    return cuda_leave(q->d, status, error);
}

tsm_status tsm_queue_times(tsm_gpu_queue *queue, uint64_t *ns, char *error) {
    cuda_queue *q = of(queue);
    tsm_status status = cuda_enter(q->d, error);
    if (status != TSM_OK) return status;
    for (size_t i = 0; status == TSM_OK && i < q->d->base.plan->info.op_count; i++) {
        float ms = 0.0f;
        status = CUDA_TRY(q->d, error, "The time of an operation cannot be read.", cuEventElapsedTime, &ms,
                          q->events[i], q->events[i + 1]);
        ns[i] = (uint64_t)(ms * 1e6f);
    }
    return cuda_leave(q->d, status, error);
}
