/* y4m.c: the header of a YUV4MPEG2 stream: the magic, then parameters of one letter and a value, spaces between. */
#include "y4m.h"

#include "printable.h"
#include "tsm_edge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 64 };

static int refuse_word(char *why, size_t room, const char *word, const char *allowed) {
    char shown[2 * WORD];
    snprintf(why, room, "found: %s\n  allowed: %s", printable(shown, sizeof shown, word), allowed);
    return 0;
}

/* Digits only, 1 to `most`; 0 for anything else. */
static long whole(const char *text, long most) {
    char *end = NULL;
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9) return 0;
    const long value = strtol(text, &end, 10);
    return *end == '\0' && value <= most ? value : 0;
}

static int side(const char *word, int *out, char *why, size_t room) {
    *out = (int)whole(word + 1, TSM_MAX_IMAGE_SIDE);
    return *out > 0 || refuse_word(why, room, word, "sides of 1 to 16384 pixels");
}

static int rate(const char *word, double *out, char *why, size_t room) {
    char text[WORD];
    snprintf(text, sizeof text, "%s", word + 1);
    char *colon = strchr(text, ':');
    if (colon != NULL) *colon = '\0';
    const long above = whole(text, 999999999), below = colon == NULL ? 0 : whole(colon + 1, 999999999);
    *out = above > 0 && below > 0 ? (double)above / (double)below : 0.0;
    if (strcmp(word, "F0:0") == 0) return 1; /* unknown, says the format's description */
    return (*out >= 0.001 && *out <= 100000.0) || refuse_word(why, room, word, "a rate such as F30:1 or F30000:1001");
}

/* 8-bit 4:2:0 with any place of the colour samples, or grey. */
static int colours(const char *word, int *grey, char *why, size_t room) {
    static const char *const taken[] = {"C420", "C420jpeg", "C420mpeg2", "C420paldv"};
    *grey = strcmp(word, "Cmono") == 0;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcmp(word, taken[i]) == 0) return 1;
    return *grey || refuse_word(why, room, word, "4:2:0 or mono of 8 bits; of ffmpeg: -pix_fmt yuv420p");
}

static int parameter(const char *word, y4m_header *out, char *why, size_t room) {
    switch (word[0]) {
    case 'W': return side(word, &out->width, why, room);
    case 'H': return side(word, &out->height, why, room);
    case 'F': return rate(word, &out->fps, why, room);
    case 'C': return colours(word, &out->grey, why, room);
    case 'X':
        if (strcmp(word, "XCOLORRANGE=FULL") == 0) out->full = 1;
        return 1;
    default: return 1; /* interlacing, aspect and comments change no byte of a frame */
    }
}

int y4m_parse(const char *line, y4m_header *out, char *why, size_t room) {
    *out = (y4m_header){0};
    const size_t magic = strlen(Y4M_MAGIC);
    if (strncmp(line, Y4M_MAGIC, magic) != 0 || (line[magic] != ' ' && line[magic] != '\0'))
        return refuse_word(why, room, line, "a line that begins with " Y4M_MAGIC);
    for (line += magic; *line != '\0';) {
        char word[WORD];
        line += strspn(line, " ");
        const size_t size = strcspn(line, " ");
        snprintf(word, sizeof word, "%.*s", (int)(size < WORD ? size : WORD), line);
        line += size;
        if (word[0] != '\0' && !parameter(word, out, why, room)) return 0;
    }
    if (out->width > 0 && out->height > 0) return 1;
    return refuse_word(why, room, out->width > 0 ? "no H" : "no W", "a header with width and height, W640 H480");
}
