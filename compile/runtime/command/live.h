/* live.h: frames as they arrive, for a camera that nobody can hold back. */
#ifndef TSM_LIVE_H
#define TSM_LIVE_H

#include "engine.h"
#include "frames.h"
#include "source.h"

typedef struct live live;

/* Starts a thread that waits for the frames of `from` and keeps the newest that the sampler at `rate_fps` chooses; the
 * others are not taken. `from` must live longer. Returns NULL after a complaint. */
live *live_start(const engine *e, source *from, double rate_fps);

/* Waits for the next chosen frame. */
arrival live_next(live *l, timed_frame *out);

/* Ends the thread, also one that waits for a frame, and frees everything. NULL is allowed. Says on stderr how many frames
 * came too late for the model, and how much time had no frames, if any. */
void live_end(live *l);

#endif
