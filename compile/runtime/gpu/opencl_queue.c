/* opencl_queue.c: one stream's memory on an OpenCL device, and its step.
 *
 * Every operation has two kernel objects, one for each role of the state blobs, whose arguments are set once:
 * sub-buffers of arena, states and weights. A step only enqueues. The queue is in order; the event of its last command
 * is what is polled. Timed steps go through a second queue: one that takes times is slower on some drivers. */
#define _POSIX_C_SOURCE 200809L
#include "message.h"
#include "opencl_device.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA, STATE_0, STATE_1, WEIGHTS, MEMORIES };

typedef struct {
    int memory;
    size_t offset, bytes;
    cl_mem buffer;
} view;

typedef struct {
    tsm_gpu_queue base;
    opencl_device *d;
    cl_command_queue commands, timed; /* timed: NULL until times are requested */
    cl_command_queue used;            /* by the last commands */
    cl_mem memory[MEMORIES];          /* WEIGHTS is the device's */
    view *views;
    size_t view_count;
    cl_kernel *kernels[2]; /* for state 0 read, and for state 1 read; one an operation */
    cl_event last;         /* NULL: nothing to wait for */
    cl_event *times;       /* one an operation, of the last timed step */
} opencl_queue;

static opencl_queue *of(tsm_gpu_queue *queue) { return (opencl_queue *)(void *)queue; }

static tsm_status check(opencl_queue *q, cl_int code, const char *call, char *error, const char *what) {
    return code == CL_SUCCESS ? TSM_OK : opencl_failed(q->d, code, call, error, "%s", what);
}

/* -- Birth and death ----------------------------------------------------------------------------------------------- */

static int memory_of(const tsm_gpu_argument *a, int in) {
    switch (a->memory) {
    case TSM_ARENA: return ARENA;
    case TSM_STATE_IN: return STATE_0 + in;
    case TSM_STATE_OUT: return STATE_0 + !in;
    default: return WEIGHTS;
    }
}

/* The sub-buffer of an argument, created at its first use. */
static tsm_status find_view(opencl_queue *q, const tsm_gpu_argument *a, int in, cl_mem *found, char *error) {
    const int memory = memory_of(a, in);
    for (size_t i = 0; i < q->view_count; i++) {
        const view *v = &q->views[i];
        if (v->memory != memory || v->offset != a->offset || v->bytes != a->bytes) continue;
        *found = v->buffer;
        return TSM_OK;
    }
    cl_int code = CL_SUCCESS;
    const cl_buffer_region region = {a->offset, a->bytes};
    *found = q->d->cl.clCreateSubBuffer(q->memory[memory], memory == WEIGHTS ? CL_MEM_READ_ONLY : CL_MEM_READ_WRITE,
                                        CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    if (*found == NULL)
        return opencl_failed(q->d, code, "clCreateSubBuffer", error, "The device gives no part of its memory.");
    q->views[q->view_count++] = (view){memory, a->offset, a->bytes, *found};
    return TSM_OK;
}

static tsm_status make_kernel(opencl_queue *q, size_t index, int in, char *error) {
    const tsm_gpu_op *op = &q->d->base.plan->ops[index];
    cl_int code = CL_SUCCESS;
    cl_kernel kernel = q->kernels[in][index] = q->d->cl.clCreateKernel(q->d->program, op->info.kernel, &code);
    if (kernel == NULL)
        return opencl_failed(q->d, code, "clCreateKernel", error, "Kernel %.80s cannot be made.", op->info.kernel);
    for (size_t a = 0; a < op->argument_count; a++) {
        cl_mem buffer = NULL;
        const tsm_status status = find_view(q, &op->arguments[a], in, &buffer, error);
        if (status != TSM_OK) return status;
        code = q->d->cl.clSetKernelArg(kernel, (cl_uint)a, sizeof buffer, &buffer);
        if (code != CL_SUCCESS)
            return opencl_failed(q->d, code, "clSetKernelArg", error, "Kernel %.80s does not take argument %zu.",
                                 op->info.kernel, a);
    }
    return TSM_OK;
}

static tsm_status make_memory(opencl_queue *q, int which, size_t bytes, char *error) {
    cl_int code = CL_SUCCESS;
    q->memory[which] = q->d->cl.clCreateBuffer(q->d->context, CL_MEM_READ_WRITE, bytes > 0 ? bytes : 1, NULL, &code);
    return q->memory[which] != NULL
               ? TSM_OK
               : opencl_failed(q->d, code, "clCreateBuffer", error, "The device has no memory for another stream.");
}

static float *host_memory(size_t bytes) {
    void *block = NULL; /* whole pages: a driver that shares the memory with its device need not copy */
    return posix_memalign(&block, 4096, (bytes + 4096) / 4096 * 4096) == 0 ? block : NULL;
}

static tsm_status make_host_side(opencl_queue *q, char *error) {
    const tsm_gpu_plan *plan = q->d->base.plan;
    q->views = calloc(2 * tsm_gpu_argument_total(plan) + 1, sizeof *q->views);
    q->kernels[0] = calloc(plan->info.op_count + 1, sizeof *q->kernels[0]);
    q->kernels[1] = calloc(plan->info.op_count + 1, sizeof *q->kernels[1]);
    q->times = calloc(plan->info.op_count + 1, sizeof *q->times);
    q->base.frame = host_memory(plan->input.bytes);
    q->base.scores = host_memory(plan->output.bytes);
    return q->views && q->kernels[0] && q->kernels[1] && q->times && q->base.frame && q->base.scores
               ? TSM_OK
               : tsm_refuse(TSM_E_MEMORY, error, TSM_ERROR_SIZE, "tsm_stream_new: out of memory");
}

static tsm_status make_commands(opencl_queue *q, cl_bitfield properties, cl_command_queue *out, char *error) {
    cl_int code = CL_SUCCESS;
    *out = q->d->cl.clCreateCommandQueue(q->d->context, q->d->device, properties, &code);
    return *out != NULL
               ? TSM_OK
               : opencl_failed(q->d, code, "clCreateCommandQueue", error, "The device takes no further stream.");
}

tsm_status tsm_queue_new(tsm_gpu_device *device, tsm_gpu_queue **out, char *error) {
    const tsm_gpu_plan *plan = device->plan;
    *out = NULL;
    opencl_queue *q = calloc(1, sizeof *q);
    if (q == NULL) return tsm_refuse(TSM_E_MEMORY, error, TSM_ERROR_SIZE, "tsm_stream_new: out of memory");
    q->base.device = device;
    q->d = (opencl_device *)(void *)device;
    q->memory[WEIGHTS] = q->d->weights;
    tsm_status status = make_host_side(q, error);
    if (status == TSM_OK) status = make_commands(q, 0, &q->commands, error);
    if (status == TSM_OK) status = make_memory(q, ARENA, plan->info.arena_bytes, error);
    if (status == TSM_OK) status = make_memory(q, STATE_0, plan->info.state_bytes, error);
    if (status == TSM_OK) status = make_memory(q, STATE_1, plan->info.state_bytes, error);
    for (int in = 0; in < 2; in++)
        for (size_t i = 0; status == TSM_OK && i < plan->info.op_count; i++) status = make_kernel(q, i, in, error);
    if (status != TSM_OK) {
        tsm_queue_free(&q->base);
        return status;
    }
    *out = &q->base;
    return TSM_OK;
}

static void drop_event(opencl_queue *q, cl_event *event) {
    if (*event != NULL) q->d->cl.clReleaseEvent(*event);
    *event = NULL;
}

/* What fails here is not told: there is nothing that a caller could do. */
static void free_on_device(opencl_queue *q) {
    const opencl_api *cl = &q->d->cl;
    const size_t ops = q->d->base.plan->info.op_count;
    drop_event(q, &q->last);
    for (size_t i = 0; q->times != NULL && i < ops; i++) drop_event(q, &q->times[i]);
    for (int in = 0; in < 2; in++)
        for (size_t i = 0; q->kernels[in] != NULL && i < ops; i++)
            if (q->kernels[in][i] != NULL) cl->clReleaseKernel(q->kernels[in][i]);
    for (size_t i = 0; i < q->view_count; i++) cl->clReleaseMemObject(q->views[i].buffer);
    for (int i = 0; i < WEIGHTS; i++)
        if (q->memory[i] != NULL) cl->clReleaseMemObject(q->memory[i]);
    if (q->timed != NULL) cl->clReleaseCommandQueue(q->timed);
    if (q->commands != NULL) cl->clReleaseCommandQueue(q->commands);
    free(q->base.frame);
    free(q->base.scores);
}

/* The host memory of a device that hangs stays as well: it may still write there. */
void tsm_queue_free(tsm_gpu_queue *queue) {
    opencl_queue *q = of(queue);
    if (atomic_load(&q->d->base.state) != TSM_DEVICE_HUNG) free_on_device(q);
    free(q->views);
    free(q->kernels[0]);
    free(q->kernels[1]);
    free(q->times);
    free(q);
}

/* -- Commands ------------------------------------------------------------------------------------------------------ */

/* Starts a list of commands; what was to be waited for before has been. */
static void begin(opencl_queue *q, int timed) {
    q->used = timed ? q->timed : q->commands;
    drop_event(q, &q->last);
}

/* Ends it: the device gets to work. After a failure a marker takes the place of the last command. */
static tsm_status end(opencl_queue *q, tsm_status status, char *error) {
    char ignored[TSM_ERROR_SIZE], *text = status == TSM_OK ? error : ignored;
    tsm_status ended = TSM_OK;
    if (q->last == NULL)
        ended = check(q, q->d->cl.clEnqueueMarkerWithWaitList(q->used, 0, NULL, &q->last),
                      "clEnqueueMarkerWithWaitList", text, "The end of a step cannot be marked.");
    if (ended == TSM_OK)
        ended = check(q, q->d->cl.clFlush(q->used), "clFlush", text, "The device does not start to work.");
    if (ended != TSM_OK) atomic_store(&q->d->base.state, TSM_DEVICE_LOST); /* nobody can tell what is under way */
    return status == TSM_OK ? ended : status;
}

static tsm_status launch(opencl_queue *q, int in, size_t index, int timed, char *error) {
    const tsm_gpu_op *op = &q->d->base.plan->ops[index];
    size_t global[3], local[3];
    for (int side = 0; side < 3; side++) {
        local[side] = op->group[side];
        global[side] = (size_t)op->grid[side] * op->group[side];
    }
    const cl_int code = q->d->cl.clEnqueueNDRangeKernel(q->used, q->kernels[in][index], 3, NULL, global, local, 0, NULL,
                                                        timed ? &q->times[index] : NULL);
    return code == CL_SUCCESS ? TSM_OK
                              : opencl_failed(q->d, code, "clEnqueueNDRangeKernel", error,
                                              "Kernel %.80s of layer %.80s cannot be launched.", op->info.kernel, op->info.layer);
}

tsm_status tsm_queue_step(tsm_gpu_queue *queue, int in, int timed, char *error) {
    opencl_queue *q = of(queue);
    const tsm_gpu_plan *plan = q->d->base.plan;
    begin(q, timed);
    for (size_t i = 0; timed && i < plan->info.op_count; i++) drop_event(q, &q->times[i]);
    tsm_status status = check(q,
                              q->d->cl.clEnqueueWriteBuffer(q->used, q->memory[ARENA], 0, plan->input.offset,
                                                            plan->input.bytes, q->base.frame, 0, NULL, NULL),
                              "clEnqueueWriteBuffer", error, "The frame does not get onto the device.");
    for (size_t i = 0; status == TSM_OK && i < plan->info.op_count; i++) status = launch(q, in, i, timed, error);
    if (status == TSM_OK)
        status = check(q,
                       q->d->cl.clEnqueueReadBuffer(q->used, q->memory[ARENA], 0, plan->output.offset,
                                                    plan->output.bytes, q->base.scores, 0, NULL, &q->last),
                       "clEnqueueReadBuffer", error, "The scores do not get off the device.");
    return end(q, status, error);
}

tsm_status tsm_queue_clear(tsm_gpu_queue *queue, char *error) {
    static const uint32_t zero = 0;
    opencl_queue *q = of(queue);
    const tsm_gpu_plan *plan = q->d->base.plan;
    const size_t bytes[] = {plan->info.arena_bytes, plan->info.state_bytes, plan->info.state_bytes};
    tsm_status status = TSM_OK;
    begin(q, 0);
    for (int i = 0; status == TSM_OK && i < WEIGHTS; i++)
        if (bytes[i] > 0)
            status = check(q, q->d->cl.clEnqueueFillBuffer(q->used, q->memory[i], &zero, 1, 0, bytes[i], 0, NULL, NULL),
                           "clEnqueueFillBuffer", error, "The states cannot be set to zero.");
    return end(q, status, error);
}

tsm_status tsm_queue_download(tsm_gpu_queue *queue, int blob, size_t offset, size_t bytes, void *host, char *error) {
    opencl_queue *q = of(queue);
    begin(q, 0);
    return end(q,
               check(q,
                     q->d->cl.clEnqueueReadBuffer(q->used, q->memory[STATE_0 + blob], 0, offset, bytes, host, 0, NULL,
                                                  &q->last),
                     "clEnqueueReadBuffer", error, "A state does not get off the device."),
               error);
}

tsm_status tsm_queue_upload(tsm_gpu_queue *queue, int blob, size_t offset, size_t bytes, const void *host,
                            char *error) {
    opencl_queue *q = of(queue);
    begin(q, 0);
    return end(q,
               check(q,
                     q->d->cl.clEnqueueWriteBuffer(q->used, q->memory[STATE_0 + blob], 0, offset, bytes, host, 0, NULL,
                                                   &q->last),
                     "clEnqueueWriteBuffer", error, "A state does not get onto the device."),
               error);
}

tsm_status tsm_queue_poll(tsm_gpu_queue *queue, int *running, char *error) {
    opencl_queue *q = of(queue);
    cl_int state = CL_COMPLETE;
    *running = 0;
    if (q->last == NULL) return TSM_OK;
    const cl_int code = q->d->cl.clGetEventInfo(q->last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    *running = code == CL_SUCCESS && state > CL_COMPLETE;
    if (*running) return TSM_OK;
    drop_event(q, &q->last);
    if (code == CL_SUCCESS && state == CL_COMPLETE) return TSM_OK;
    atomic_store(&q->d->base.state, TSM_DEVICE_LOST); /* whatever it was: what is still under way cannot be known */
    return opencl_failed(q->d, code != CL_SUCCESS ? code : state, code != CL_SUCCESS ? "clGetEventInfo" : "the device",
                         error, "A kernel or a copy failed on the device.");
}

tsm_status tsm_queue_prepare_times(tsm_gpu_queue *queue, char *error) {
    opencl_queue *q = of(queue);
    return q->timed != NULL ? TSM_OK : make_commands(q, CL_QUEUE_PROFILING_ENABLE, &q->timed, error);
}

tsm_status tsm_queue_times(tsm_gpu_queue *queue, uint64_t *ns, char *error) {
    opencl_queue *q = of(queue);
    for (size_t i = 0; i < q->d->base.plan->info.op_count; i++) {
        cl_ulong start = 0, stop = 0;
        cl_int code =
            q->d->cl.clGetEventProfilingInfo(q->times[i], CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
        if (code == CL_SUCCESS)
            code = q->d->cl.clGetEventProfilingInfo(q->times[i], CL_PROFILING_COMMAND_END, sizeof stop, &stop, NULL);
        if (code != CL_SUCCESS)
            return opencl_failed(q->d, code, "clGetEventProfilingInfo", error,
                                 "The time of an operation cannot be read.");
        ns[i] = stop > start ? stop - start : 0;
    }
    return TSM_OK;
}
