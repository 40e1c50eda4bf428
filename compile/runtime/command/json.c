/* json.c: a small strict reader of JSON. Grammar: RFC 8259, one function a rule. */
#include "json.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *start, *end;
    char *at;
    json_document *document;
    char *error;
    size_t error_size;
} reader;

static int wrong(const reader *r, const char *what) {
    snprintf(r->error, r->error_size, "%s at byte %zu", what, (size_t)(r->at - r->start));
    return 0;
}

static void skip_space(reader *r) {
    while (r->at < r->end && strchr(" \t\n\r", *r->at) != NULL && *r->at != '\0') r->at++;
}

/* -- UTF-8 --------------------------------------------------------------------------------------------------------- */

/* Bytes of the well-formed sequence at `at` (Unicode, table 3-7), 0 when there is none. */
static size_t sequence(const unsigned char *at, size_t room) {
    const unsigned char a = at[0];
    if (a < 0x80) return 1;
    const size_t size = a >= 0xc2 && a <= 0xdf ? 2 : a >= 0xe0 && a <= 0xef ? 3 : a >= 0xf0 && a <= 0xf4 ? 4 : 0;
    if (size == 0 || room < size) return 0;
    const unsigned char low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) return 0;
    for (size_t i = 2; i < size; i++)
        if (at[i] < 0x80 || at[i] > 0xbf) return 0;
    return size;
}

static int check_utf8(reader *r) {
    for (size_t step; r->at < r->end; r->at += step)
        if ((step = sequence((const unsigned char *)r->at, (size_t)(r->end - r->at))) == 0)
            return wrong(r, "not UTF-8");
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
static int read_hex4(reader *r, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        const char c = *r->at;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return wrong(r, "bad \\u escape");
        *code = *code << 4 | (uint32_t)digit;
    }
    return 1;
}

/* What follows a backslash. The code is never longer than its escape, so decoding in place is safe. */
static int read_escape(reader *r, char **out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char c = *r->at;
    const char *known = c == '\0' ? NULL : strchr(from, c);
    if (known != NULL) {
        *(*out)++ = to[known - from];
        r->at++;
        return 1;
    }
    if (c != 'u') return wrong(r, "unknown escape");
    uint32_t code, low;
    r->at++;
    if (!read_hex4(r, &code)) return 0;
    if (code >= 0xd800 && code <= 0xdfff) {
        if (code > 0xdbff || r->at[0] != '\\' || r->at[1] != 'u') return wrong(r, "half a surrogate pair");
        r->at += 2;
        if (!read_hex4(r, &low)) return 0;
        if (low < 0xdc00 || low > 0xdfff) return wrong(r, "half a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *out = put_utf8(*out, code);
    return 1;
}

static int read_string(reader *r, const char **text, size_t *size) {
    char *out = ++r->at;
    *text = out;
    while (*r->at != '"') {
        if (r->at >= r->end) return wrong(r, "a string does not end");
        if ((unsigned char)*r->at < 0x20) return wrong(r, "a control character in a string");
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

/* -- Numbers and words --------------------------------------------------------------------------------------------- */

static size_t digits(reader *r) {
    const char *from = r->at;
    while (*r->at >= '0' && *r->at <= '9') r->at++;
    return (size_t)(r->at - from);
}

static int read_number(reader *r, json_value *value) {
    const char *from = r->at;
    value->kind = JSON_INTEGER;
    if (*r->at == '-') r->at++;
    const int zero = *r->at == '0';
    const size_t whole = digits(r);
    if (whole == 0 || (zero && whole > 1)) return wrong(r, "bad number");
    if (*r->at == '.') {
        value->kind = JSON_REAL;
        r->at++;
        if (digits(r) == 0) return wrong(r, "bad number");
    }
    if (*r->at == 'e' || *r->at == 'E') {
        value->kind = JSON_REAL;
        r->at++;
        if (*r->at == '+' || *r->at == '-') r->at++;
        if (digits(r) == 0) return wrong(r, "bad number");
    }
    value->number = strtod(from, NULL);
    return 1;
}

static int read_word(reader *r, json_value *value) {
    static const struct {
        const char *word;
        json_kind kind;
    } words[] = {{"null", JSON_NULL}, {"false", JSON_FALSE}, {"true", JSON_TRUE}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const size_t size = strlen(words[i].word);
        if ((size_t)(r->end - r->at) < size || memcmp(r->at, words[i].word, size) != 0) continue;
        r->at += size;
        value->kind = words[i].kind;
        return 1;
    }
    return wrong(r, "no JSON value");
}

/* -- Values -------------------------------------------------------------------------------------------------------- */

static int read_value(reader *r, json_value *value, int depth);

static int read_key(reader *r, json_value *member) {
    if (*r->at != '"') return wrong(r, "a key must be a string");
    if (!read_string(r, &member->key, &member->key_size)) return 0;
    skip_space(r);
    if (*r->at != ':') return wrong(r, "expected ':'");
    r->at++;
    return 1;
}

static int read_members(reader *r, json_value *value, char close, int depth) {
    json_value **link = &value->first;
    if (depth >= JSON_DEPTH) return wrong(r, "nested too deep");
    r->at++;
    skip_space(r);
    if (*r->at == close) return r->at++, 1;
    for (;;) {
        json_value *member = &r->document->values[r->document->used++];
        *link = member;
        link = &member->next;
        value->count++;
        skip_space(r);
        if (close == '}' && !read_key(r, member)) return 0;
        if (!read_value(r, member, depth + 1)) return 0;
        skip_space(r);
        if (*r->at == close) return r->at++, 1;
        if (*r->at != ',') return wrong(r, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        r->at++;
    }
}

static int read_value(reader *r, json_value *value, int depth) {
    skip_space(r);
    const char c = *r->at;
    if (c == '{' || c == '[') {
        value->kind = c == '{' ? JSON_OBJECT : JSON_ARRAY;
        return read_members(r, value, c == '{' ? '}' : ']', depth);
    }
    if (c == '"') {
        value->kind = JSON_STRING;
        return read_string(r, &value->text, &value->text_size);
    }
    return c == '-' || (c >= '0' && c <= '9') ? read_number(r, value) : read_word(r, value);
}

int json_read(json_document *document, char *text, size_t size, char *error, size_t error_size) {
    reader r = {text, text + size, text, document, error, error_size};
    size_t most = 1; /* every value but the first follows one of these */
    for (size_t i = 0; i < size; i++) most += text[i] == ',' || text[i] == '[' || text[i] == '{';
    document->used = 1;
    document->values = calloc(most, sizeof *document->values);
    if (document->values == NULL) return wrong(&r, "out of memory");
    int good = check_utf8(&r) && read_value(&r, document->values, 0);
    skip_space(&r);
    if (good && r.at != r.end) good = wrong(&r, "something after the end of the document");
    if (!good) json_free(document);
    return good;
}

void json_free(json_document *document) {
    free(document->values);
    document->values = NULL;
    document->used = 0;
}

/* -- Questions ----------------------------------------------------------------------------------------------------- */

const json_value *json_member(const json_value *object, const char *key) {
    if (object == NULL || object->kind != JSON_OBJECT) return NULL;
    for (const json_value *m = object->first; m != NULL; m = m->next)
        if (m->key_size == strlen(key) && memcmp(m->key, key, m->key_size) == 0) return m;
    return NULL;
}

int json_is(const json_value *value, const char *text) {
    return value != NULL && value->kind == JSON_STRING && value->text_size == strlen(text) &&
           memcmp(value->text, text, value->text_size) == 0;
}

const char *json_repeated(const json_value *value) {
    for (const json_value *m = value->first; m != NULL; m = m->next) {
        for (const json_value *other = m->next; m->key != NULL && other != NULL; other = other->next)
            if (m->key_size == other->key_size && memcmp(m->key, other->key, m->key_size) == 0) return m->key;
        const char *inside = json_repeated(m);
        if (inside != NULL) return inside;
    }
    return NULL;
}
