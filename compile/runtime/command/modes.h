/* modes.h: what tsm-edge-run can do. Each returns an exit code. */
#ifndef TSM_MODES_H
#define TSM_MODES_H

#include "engine.h"
#include "options.h"

int run_info(const engine *e);
int run_bench(const engine *e, const options *o, double open_ms);
int run_frames(const engine *e, const options *o);

#endif
