/* engine.h: the bundle's library, loaded; the C API as a table of functions. */
#ifndef TSM_ENGINE_H
#define TSM_ENGINE_H

#include "bundle_check.h"
#include "tsm_edge.h"

/* The functions that the command uses; the one list of them. */
#define ENGINE_CALLS(CALL)                                                                                          \
    CALL(tsm_open) CALL(tsm_close) CALL(tsm_info) CALL(tsm_device) CALL(tsm_op) CALL(tsm_state_info)                \
    CALL(tsm_stream_new) CALL(tsm_stream_free) CALL(tsm_step_image) CALL(tsm_step_frame)                           \
    CALL(tsm_frame_packed) CALL(tsm_step_tensor) CALL(tsm_reset)                                                   \
    CALL(tsm_scores) CALL(tsm_window) CALL(tsm_answers) CALL(tsm_state_get) CALL(tsm_state_set) CALL(tsm_profile) CALL(tsm_op_ns) CALL(tsm_error)       \
    CALL(tsm_sampler_init) CALL(tsm_sampler_take) CALL(tsm_probabilities) CALL(tsm_decision_new)                    \
    CALL(tsm_decision_free) CALL(tsm_decision_push) CALL(tsm_decision_reset) CALL(tsm_decision_error)

#define ENGINE_MEMBER(name) __typeof__(&name) name;

typedef struct {
    ENGINE_CALLS(ENGINE_MEMBER)
    void *library;
    const bundle *bundle;
    tsm_model *model;
    tsm_model_info info;
} engine;

/* Exit codes of the command, the same as those of `tsm-edge`. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CHECK = 3, EXIT_DEVICE = 4, EXIT_HOST = 5 };

/* Loads the library of a bundle that was checked, and opens its model. Returns an exit code; says why on stderr. Close
 * the engine in both cases. */
int engine_open(engine *e, const bundle *b);
void engine_close(engine *e);

/* A stream with `threads` threads, 0: as many as the manifest says. Returns an exit code; says why on stderr. */
int engine_stream(const engine *e, int threads, tsm_stream **stream);

/* `threads`, or what 0 stands for. */
int engine_threads(const engine *e, int threads);

/* Frames by which an answer is behind the newest frame: those of a network that looks into the future. */
int engine_delay(const engine *e);

/* Whether the network takes several frames at once, and which window then slides over them. */
int engine_window(const engine *e, int32_t *frames, int32_t *stride);

/* Number of floats of one preprocessed frame, or of a window of them. */
size_t engine_input_floats(const engine *e);

/* Says on stderr what a step refused, and returns the exit code for it. */
int engine_complain(const engine *e, tsm_status status, const tsm_stream *stream);

#endif
