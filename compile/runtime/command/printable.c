/* printable.c: foreign text on a terminal; what a terminal would obey or hide becomes a visible escape. */
#include "printable.h"

#include <stdint.h>
#include <string.h>

/* -- Characters ---------------------------------------------------------------------------------------------------- */

size_t utf8_size(const char *at, size_t room) {
    const unsigned char *b = (const unsigned char *)at;
    if (room == 0) return 0;
    if (b[0] < 0x80) return 1;
    const size_t size = b[0] >= 0xc2 && b[0] <= 0xdf   ? 2
                        : b[0] >= 0xe0 && b[0] <= 0xef ? 3
                        : b[0] >= 0xf0 && b[0] <= 0xf4 ? 4
                                                       : 0;
    if (size == 0 || room < size) return 0;
    const unsigned char low = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf;
    if (b[1] < low || b[1] > high) return 0;
    for (size_t i = 2; i < size; i++)
        if (b[i] < 0x80 || b[i] > 0xbf) return 0;
    return size;
}

enum { NOT_UTF8 = 0xd800 }; /* added to a byte: no character has this code */

/* Reads the character at `at`, where size > 0 bytes are left, and returns its bytes. */
static size_t next(const char *at, size_t size, uint32_t *code) {
    const unsigned char *b = (const unsigned char *)at;
    const size_t step = utf8_size(at, size);
    switch (step) {
    case 0: return *code = NOT_UTF8 + b[0], 1;
    case 1: *code = b[0]; break;
    case 2: *code = (b[0] & 0x1fu) << 6 | (b[1] & 0x3fu); break;
    case 3: *code = (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu); break;
    default:
        *code = (b[0] & 0x07u) << 18 | (b[1] & 0x3fu) << 12 | (b[2] & 0x3fu) << 6 | (b[3] & 0x3fu);
        break;
    }
    return step;
}

static int hidden(uint32_t code) {
    static const uint32_t ranges[][2] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0x061c, 0x061c}, {0x200b, 0x200b}, {0x200e, 0x200f},   {0x2028, 0x202e},
        {0x2060, 0x206f}, {0xd800, 0xdfff}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1]) return 1;
    return 0;
}

/* -- Escapes ------------------------------------------------------------------------------------------------------- */

enum { ESCAPE = 16 }; /* bytes of the longest escape, NUL included */

static void escape(char out[ESCAPE], uint32_t code) {
    const unsigned value = code >= NOT_UTF8 && code <= NOT_UTF8 + 0xff ? code - NOT_UTF8 : code;
    if (value == '\n' || value == '\r' || value == '\t')
        snprintf(out, ESCAPE, "\\%c", value == '\n' ? 'n' : value == '\r' ? 'r' : 't');
    else
        snprintf(out, ESCAPE, value < 0x100 ? "\\x%02x" : value < 0x10000 ? "\\u%04x" : "\\U%08x", value);
}

static void escape_json(char out[ESCAPE], uint32_t code) {
    static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *known = code != 0 && code < 0x80 ? strchr(special, (int)code) : NULL;
    if (known != NULL)
        snprintf(out, ESCAPE, "\\%c", letters[known - special]);
    else if (code >= 0x10000)
        snprintf(out, ESCAPE, "\\u%04x\\u%04x", 0xd800 + (unsigned)((code - 0x10000) >> 10),
                 0xdc00 + (unsigned)((code - 0x10000) & 0x3ff));
    else
        snprintf(out, ESCAPE, "\\u%04x", code >= 0xd800 && code <= 0xdfff ? 0xfffdu : (unsigned)code);
}

/* -- Output -------------------------------------------------------------------------------------------------------- */

const char *printable(char *out, size_t room, const char *text) {
    static const char more[] = "...";
    size_t left = strlen(text), used = 0, fits = 0; /* fits: where "..." still has room */
    for (size_t step; left > 0; text += step, left -= step) {
        uint32_t code;
        char escaped[ESCAPE];
        step = next(text, left, &code);
        const int replaced = hidden(code);
        if (replaced) escape(escaped, code);
        const size_t size = replaced ? strlen(escaped) : step;
        if (used + size + 1 > room) {
            memcpy(out + fits, sizeof more <= room ? more : "", sizeof more <= room ? sizeof more : 1);
            return out;
        }
        memcpy(out + used, replaced ? escaped : text, size);
        used += size;
        if (used + sizeof more <= room) fits = used;
    }
    out[used] = '\0';
    return out;
}

void put_printable(FILE *to, const char *text, int lines) {
    size_t left = strlen(text);
    for (size_t step; left > 0; text += step, left -= step) {
        uint32_t code;
        char escaped[ESCAPE];
        step = next(text, left, &code);
        if (!hidden(code) || (lines && (code == '\n' || code == '\t'))) {
            fwrite(text, 1, step, to);
        } else {
            escape(escaped, code);
            fputs(escaped, to);
        }
    }
}

void put_json_string(FILE *to, const char *text) {
    size_t left = strlen(text);
    fputc('"', to);
    for (size_t step; left > 0; text += step, left -= step) {
        uint32_t code;
        char escaped[ESCAPE];
        step = next(text, left, &code);
        if (hidden(code) || code == '"' || code == '\\') {
            escape_json(escaped, code);
            fputs(escaped, to);
        } else {
            fwrite(text, 1, step, to);
        }
    }
    fputc('"', to);
}
