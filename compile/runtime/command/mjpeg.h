/* mjpeg.h: a stream of JPEGs, one behind the other, cut into frames. */
#ifndef TSM_MJPEG_H
#define TSM_MJPEG_H

#include <stddef.h>
#include <stdint.h>

enum { MJPEG_MOST_BYTES = 32 << 20, MJPEG_MOST_BETWEEN = 1 << 20 };

/* More bytes are needed; a frame is whole; it is damaged, and the next one is looked for; the stream is none: a frame is
 * longer than MJPEG_MOST_BYTES, more than MJPEG_MOST_BETWEEN bytes belong to no frame, or memory is out. */
typedef enum { MJPEG_MORE, MJPEG_FRAME, MJPEG_DAMAGED, MJPEG_NONE } mjpeg_state;

typedef struct {
    uint8_t *bytes;      /* of the frame so far */
    size_t size, room;
    int width, height;   /* that the frame states; 0 until then */
    int place;           /* private, as what follows */
    uint8_t code;
    size_t segment, left, between;
} mjpeg;

/* Takes the next byte of the stream. After MJPEG_FRAME `bytes` are the frame's, and after MJPEG_DAMAGED those that there
 * are, until the next call. A stream begins as a mjpeg of zeros. */
mjpeg_state mjpeg_take(mjpeg *m, uint8_t byte);

/* Whether a frame has begun and not ended. */
int mjpeg_begun(const mjpeg *m);

void mjpeg_free(mjpeg *m);

#endif
