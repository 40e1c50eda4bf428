/* json_text.c: UTF-8 and the strings of JSON. */
#include "json_text.h"

#include "printable.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

int json_wrong(const json_reader *r, const char *what) {
    snprintf(r->error, r->error_size, "%s at byte %zu", what, (size_t)(r->at - r->start));
    return 0;
}

/* -- UTF-8 --------------------------------------------------------------------------------------------------------- */

int json_utf8(json_reader *r) {
    for (size_t step; r->at < r->end; r->at += step)
        if ((step = utf8_size(r->at, (size_t)(r->end - r->at))) == 0)
            return json_wrong(r, "not UTF-8");
    r->at -= r->end - r->start;
    return 1;
}

static char *put_utf8(char *out, uint32_t code) {
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    } else {
        *out++ = (char)(0xf0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    }
    return out;
}

/* -- Strings ------------------------------------------------------------------------------------------------------- */

/* Four hexadecimal digits at r->at; the text ends with a NUL, which is none. */
static int read_hex4(json_reader *r, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        const char c = *r->at;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return json_wrong(r, "bad \\u escape");
        *code = *code << 4 | (uint32_t)digit;
    }
    return 1;
}

/* What follows a backslash. The code is never longer than its escape, so decoding in place is safe. */
static int read_escape(json_reader *r, char **out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char c = *r->at;
    const char *known = c == '\0' ? NULL : strchr(from, c);
    if (known != NULL) {
        *(*out)++ = to[known - from];
        r->at++;
        return 1;
    }
    if (c != 'u') return json_wrong(r, "unknown escape");
    uint32_t code, low;
    r->at++;
    if (!read_hex4(r, &code)) return 0;
    if (code >= 0xd800 && code <= 0xdfff) {
        if (code > 0xdbff || r->at[0] != '\\' || r->at[1] != 'u') return json_wrong(r, "half a surrogate pair");
        r->at += 2;
        if (!read_hex4(r, &low)) return 0;
        if (low < 0xdc00 || low > 0xdfff) return json_wrong(r, "half a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *out = put_utf8(*out, code);
    return 1;
}

int json_string(json_reader *r, const char **text, size_t *size) {
    char *out = ++r->at;
    *text = out;
    while (*r->at != '"') {
        if (r->at >= r->end) return json_wrong(r, "a string does not end");
        if ((unsigned char)*r->at < 0x20) return json_wrong(r, "a control character in a string");
        if (*r->at == '\\') {
            r->at++;
            if (!read_escape(r, &out)) return 0;
        } else {
            *out++ = *r->at++;
        }
    }
    *size = (size_t)(out - *text);
    r->at++;
    *out = '\0'; /* at the closing quote at the latest */
    return 1;
}
