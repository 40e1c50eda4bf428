/* events.h: gestures as events, each exactly once: on stdout, to whoever connects to a Unix socket, to a program. */
#ifndef TSM_EVENTS_H
#define TSM_EVENTS_H

#include "engine.h"
#include "frames.h"
#include "on_change.h"

typedef struct events events;

typedef struct {
    const char *place;   /* "-", stdout, or the path of a socket to make; NULL: neither */
    on_change *program;  /* that is run for a gesture; NULL: none */
    int tell_ends;       /* it is run at the end of one, too */
} listeners;

/* `from` names the source in the records. Returns NULL after a complaint. */
events *events_open(const listeners *to, const engine *e, const char *from);

/* Lets new readers in, and tells everyone the event that this decision is, if it is one. Returns an exit code, or
 * STILL_OPEN. Never waits for a reader of the socket: one that does not keep up is hung up on. */
int events_take(events *v, const tsm_decided *now, const timed_frame *frame);

/* Begins anew, as the model does; the end of a gesture that was told is still seen. */
void events_forget(events *v);

/* NULL is allowed. */
void events_close(events *v);

#endif
