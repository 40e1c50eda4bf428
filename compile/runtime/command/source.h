/* source.h: where frames come from. */
#ifndef TSM_SOURCE_H
#define TSM_SOURCE_H

#include "engine.h"
#include "options.h"

#include <stddef.h>
#include <stdint.h>

/* A frame came; the source has ended; it failed, and said why on stderr; stop_fd became readable. */
typedef enum { CAME, ENDED, FAILED, STOPPED } arrival;

typedef struct source {
    size_t bytes;        /* of a frame as it is taken */
    tsm_frame layout;    /* of such bytes, at NULL; all zero for preprocessed tensors */
    double fps;          /* frames a second of a recording, 0 where frames are timed as they arrive */
    int only_live;       /* 1: it cannot be held back */
    /* Waits for the next frame; may fill `buffer` already. *stamp_ns: when it was there, by clock_ns. */
    arrival (*next)(struct source *, void *buffer, uint64_t *stamp_ns);
    /* Fills `buffer` with the frame that came last. Returns 0 when it is damaged and must be left out. NULL: next did. */
    int (*take)(struct source *, void *buffer);
    /* Whether frames were lost since the last call, so that states of before mean nothing. NULL: never. */
    int (*interrupted)(struct source *);
    void (*close)(struct source *);
} source;

/* Frames on stdin: of --raw, --tensor or --input. Returns NULL after a complaint; *code is then the exit code. */
source *piped_open(const engine *e, const options *o, int *code);

/* Frames of the V4L2 device o->camera. Returns NULL after a complaint; *code is then the exit code. */
source *camera_open(const engine *e, const options *o, int *code);

/* The standard of color that a size of picture usually has: HD is BT.709. */
tsm_color color_of_size(int width, int height);

#endif
