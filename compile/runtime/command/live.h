/* live.h: frames from stdin as they arrive, for a camera that nobody can hold back. */
#ifndef TSM_LIVE_H
#define TSM_LIVE_H

#include "engine.h"
#include "frames.h"

typedef struct live live;

/* Starts a thread that reads frames of `bytes` bytes, stamps each when it is complete and keeps the newest that the
 * sampler at `rate_fps` chooses. Returns NULL after a complaint. */
live *live_start(const engine *e, size_t bytes, double rate_fps);

/* Waits for the next chosen frame. Returns 1; 0 at the end of stdin; -1 after a complaint. */
int live_next(live *l, timed_frame *out);

/* Ends the thread, also one that waits for stdin, and frees everything. NULL is allowed. Says on stderr how many frames
 * came too late for the model, and how much time had no frames, if any. */
void live_end(live *l);

#endif
