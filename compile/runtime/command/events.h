/* events.h: gestures as events, each exactly once, on stdout or to whoever connects to a Unix socket. */
#ifndef TSM_EVENTS_H
#define TSM_EVENTS_H

#include "engine.h"
#include "frames.h"

typedef struct events events;

/* `place` is "-", stdout, or the path of a socket to make; `from` names the source in the records. Returns NULL after a
 * complaint. */
events *events_open(const char *place, const engine *e, const char *from);

/* Lets new readers in, and tells everyone the event that this decision is, if it is one. Returns an exit code, or
 * STILL_OPEN. Never waits for a reader of the socket: one that does not keep up is hung up on. */
int events_take(events *v, const tsm_decided *now, const timed_frame *frame);

/* Begins anew, as the model does; the end of a gesture that was told is still seen. */
void events_forget(events *v);

/* NULL is allowed. */
void events_close(events *v);

#endif
