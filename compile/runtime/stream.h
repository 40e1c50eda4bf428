/* stream.h: what the sources of the library share about a model and a stream. */
#ifndef TSM_STREAM_H
#define TSM_STREAM_H

#include "image.h"
#include "plan.h"
#include "threads.h"
#include "tsm_edge.h"

struct tsm_model {
    const tsm_plan *plan;
};

struct tsm_stream {
    const tsm_plan *plan;
    int32_t threads;
    char *arena;
    char *state[2];      /* state[0] is read by the next step, state[1] written; they change places after it */
    tsm_memory *memory;  /* one per thread */
    tsm_pool *pool;      /* NULL with one thread */
    tsm_image_reader *reader; /* NULL when the model has no image input */
    uint64_t *op_ns;
    int profiling;
    char error[TSM_ERROR_SIZE];
};

/* Writes a message into `text` (may be NULL) and returns `status`. */
__attribute__((format(printf, 4, 5))) tsm_status tsm_refuse(tsm_status status, char *text, size_t size,
                                                            const char *format, ...);

/* Copies a tensor between NCHW order and its place in a blob. Rows are n * H + h, for tensors that are stored
 * channels last; any other tensor is one row. */
int32_t tsm_tensor_rows(const tsm_plan_tensor *t);
void tsm_tensor_store(const tsm_plan_tensor *t, char *blob, const float *nchw, int32_t begin, int32_t end);
void tsm_tensor_load(const tsm_plan_tensor *t, const char *blob, float *nchw);

#endif
