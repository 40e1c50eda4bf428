/* y4m.h: the header of a YUV4MPEG2 stream, as ffmpeg, mjpegtools and GStreamer write it. */
#ifndef TSM_Y4M_H
#define TSM_Y4M_H

#include <stddef.h>

enum { Y4M_LINE = 1024 }; /* longest header that is taken */

#define Y4M_MAGIC "YUV4MPEG2"

typedef struct {
    int width, height;
    double fps;  /* 0: not stated */
    int grey;    /* 1: mono, 0: 4:2:0 of 8 bits */
    int full;    /* 1: full range */
} y4m_header;

/* Reads the header line, without its newline. Returns 1, or 0 with the reason in `why` (of `room` bytes). */
int y4m_parse(const char *line, y4m_header *out, char *why, size_t room);

#endif
