/* stub_device.c: a library whose device always fails. With -DWITHOUT_RESET it lacks a part of the interface. */
#include "tsm_edge.h"

#include <stdio.h>

tsm_status tsm_open(tsm_model **out, char *error, size_t error_size) {
    *out = NULL;
    snprintf(error, error_size, "the device is on fire");
    return TSM_E_DEVICE;
}

#define STUB(name) __asm__(".globl " #name "\n.set " #name ", tsm_open\n");
STUB(tsm_close) STUB(tsm_info) STUB(tsm_device) STUB(tsm_op) STUB(tsm_state_info) STUB(tsm_stream_new)
STUB(tsm_stream_free) STUB(tsm_step_image) STUB(tsm_step_frame) STUB(tsm_frame_packed) STUB(tsm_decision_reset) STUB(tsm_step_tensor) STUB(tsm_scores) STUB(tsm_window) STUB(tsm_answers) STUB(tsm_state_get) STUB(tsm_state_set) STUB(tsm_profile)
STUB(tsm_op_ns) STUB(tsm_error) STUB(tsm_sampler_init) STUB(tsm_sampler_take) STUB(tsm_probabilities)
STUB(tsm_decision_new) STUB(tsm_decision_free) STUB(tsm_decision_push) STUB(tsm_decision_error)
#ifndef WITHOUT_RESET
STUB(tsm_reset)
#endif
