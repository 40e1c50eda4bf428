/* on_change.h: --on-change: a program that is run for every gesture, one after the other, and never holds up a step. */
#ifndef TSM_ON_CHANGE_H
#define TSM_ON_CHANGE_H

#include <stddef.h>

typedef struct on_change on_change;

/* `command` is split into words, and no shell reads it. Returns NULL after a complaint; *code is then the exit code. */
on_change *on_change_open(const char *command, int *code);

/* For a recording, which has no clock: on_change_tell waits for a place in the queue. NULL is allowed. */
void on_change_be_patient(on_change *c);

/* Runs the program with `count` variables "NAME=value" in its environment; of a command that ends with --, the values of
 * the first two are arguments, too. Returns at once; where 64 calls wait, this one is left out and counted. */
void on_change_tell(on_change *c, char *const *variables, size_t count);

/* Waits for the calls that are under way: all of them, or after a signal at most 5 seconds. NULL is allowed. */
void on_change_close(on_change *c);

#endif
