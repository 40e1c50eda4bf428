/* mjpeg.c: where a frame of MJPEG ends, by its markers (ITU-T T.81, annex B).
 *
 * The bytes of the markers also occur in segments, such as those of a thumbnail, which are skipped by their length. In the
 * data of a scan a 0xff is a marker unless a 0 or the number of a restart follows it. */
#include "mjpeg.h"

#include <stdlib.h>
#include <string.h>

enum { BETWEEN, BEGIN, MARKER, CODE, LENGTH_HIGH, LENGTH_LOW, SEGMENT, SCAN, SCAN_CODE };
enum { FF = 0xff, TEM = 0x01, RST0 = 0xd0, RST7 = 0xd7, SOI = 0xd8, EOI = 0xd9, SOS = 0xda, DHT = 0xc4, JPG = 0xc8, DAC = 0xcc };

static int keep(mjpeg *m, uint8_t byte) {
    if (m->size == m->room) {
        const size_t room = m->room == 0 ? 1 << 16 : 2 * m->room;
        uint8_t *bytes = room > MJPEG_MOST_BYTES ? NULL : realloc(m->bytes, room);
        if (bytes == NULL) return 0;
        m->bytes = bytes;
        m->room = room;
    }
    m->bytes[m->size++] = byte;
    return 1;
}

static mjpeg_state begin(mjpeg *m) {
    m->size = m->between = 0;
    m->width = m->height = 0;
    m->place = MARKER;
    return keep(m, FF) && keep(m, SOI) ? MJPEG_MORE : MJPEG_NONE;
}

/* The first bytes of a segment that states the size: precision, height, width. */
static void read_size(mjpeg *m) {
    const int states_size = m->code >= 0xc0 && m->code <= 0xcf && m->code != DHT && m->code != JPG && m->code != DAC;
    const uint8_t *at = m->bytes + m->segment;
    if (!states_size || m->size - m->segment < 5) return;
    m->height = at[1] << 8 | at[2];
    m->width = at[3] << 8 | at[4];
}

/* A marker's code, between segments or in a scan. */
static mjpeg_state marker(mjpeg *m, uint8_t code, int in_scan) {
    m->code = code;
    if (code == EOI) return m->place = BETWEEN, MJPEG_FRAME;
    if (code == FF) return MJPEG_MORE; /* fill */
    if (code == TEM || (code >= RST0 && code <= RST7) || (code == 0 && in_scan))
        return m->place = in_scan ? SCAN : MARKER, MJPEG_MORE;
    /* the next frame begins before this one has ended, or there is no such marker: the rest is looked through */
    if (code == SOI || code == 0) return m->place = code == SOI ? BEGIN : BETWEEN, MJPEG_DAMAGED;
    m->place = LENGTH_HIGH;
    return MJPEG_MORE;
}

static mjpeg_state in_segment(mjpeg *m) {
    if (--m->left > 0) return MJPEG_MORE;
    read_size(m);
    m->place = m->code == SOS ? SCAN : MARKER;
    return MJPEG_MORE;
}

static mjpeg_state in_length(mjpeg *m, uint8_t byte) {
    if (m->place == LENGTH_HIGH) return m->left = (size_t)byte << 8, m->place = LENGTH_LOW, MJPEG_MORE;
    m->left |= byte;
    if (m->left < 2) return m->place = BETWEEN, MJPEG_DAMAGED;
    m->left -= 2;
    m->segment = m->size;
    m->place = SEGMENT;
    return m->left > 0 ? MJPEG_MORE : (m->left = 1, in_segment(m));
}

static mjpeg_state between(mjpeg *m, uint8_t byte) {
    if (m->between > 0 && byte == SOI && m->code == FF) return begin(m);
    m->code = byte;
    return ++m->between > MJPEG_MOST_BETWEEN ? MJPEG_NONE : MJPEG_MORE;
}

mjpeg_state mjpeg_take(mjpeg *m, uint8_t byte) {
    if (m->place == BEGIN && begin(m) != MJPEG_MORE) return MJPEG_NONE; /* its first two bytes came already */
    if (m->place == BETWEEN) return between(m, byte);
    if (!keep(m, byte)) return MJPEG_NONE;
    switch (m->place) {
    case MARKER: return byte == FF ? (m->place = CODE, MJPEG_MORE) : (m->place = BETWEEN, MJPEG_DAMAGED);
    case CODE: return marker(m, byte, 0);
    case LENGTH_HIGH:
    case LENGTH_LOW: return in_length(m, byte);
    case SEGMENT: return in_segment(m);
    case SCAN:
        if (byte == FF) m->place = SCAN_CODE;
        return MJPEG_MORE;
    default: return marker(m, byte, 1);
    }
}

int mjpeg_begun(const mjpeg *m) { return m->place != BETWEEN; }

void mjpeg_free(mjpeg *m) {
    free(m->bytes);
    *m = (mjpeg){.bytes = NULL};
}
