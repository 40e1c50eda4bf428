/* boxes.h: --boxes, the regions that a network of regions looks at. */
#ifndef TSM_BOXES_H
#define TSM_BOXES_H

#include "engine.h"

/* Values of the state "boxes", and its number; `values` is NULL where none were given. */
typedef struct {
    float *values;
    size_t count, state;
} boxes;

/* Reads the file of --boxes, whose shape is that of the bundle's state; path NULL: there is none. Returns an exit code;
 * says why on stderr. */
int boxes_read(boxes *b, const engine *e, const char *path);
void boxes_free(boxes *b);

/* Puts them into a stream that is new, or was reset. */
void boxes_put(const boxes *b, const engine *e, tsm_stream *stream);

#endif
