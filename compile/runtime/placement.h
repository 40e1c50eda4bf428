/* placement.h: where a sleeping worker wakes up. */
#ifndef TSM_PLACEMENT_H
#define TSM_PLACEMENT_H

/* What a worker needs to be placed: filled in by itself when it starts. */
typedef struct {
    int thread; /* the kernel's number of it; 0 before that */
    int narrowed;
    unsigned long usual[16]; /* the CPUs that it may run on, at most 1024 */
} tsm_place;

/* By the worker, once. */
void tsm_place_enter(tsm_place *place);

/* By the thread that is about to wake it: not on this CPU. */
void tsm_place_elsewhere(tsm_place *place);

/* By the woken worker: anywhere again. */
void tsm_place_anywhere(tsm_place *place);

#endif
