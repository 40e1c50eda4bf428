/* v4l2_calls.h: what the files of v4l2.h share. */
#ifndef TSM_V4L2_CALLS_H
#define TSM_V4L2_CALLS_H

#include "v4l2.h"

/* ioctl, again when a signal interrupts it. Returns -1 with errno. */
int v4l2_control(int fd, unsigned long request, void *argument);

/* Writes the reason into `why`, of V4L2_WHY bytes; returns 0. */
__attribute__((format(printf, 2, 3))) int v4l2_because(char *why, const char *format, ...);

/* Sets the format that suits the wish best. Returns 1, or 0 with the reason. */
int v4l2_choose(v4l2_camera *c, const char *path, const v4l2_wish *wish, char *why, int *usage);

#endif
