/* json.h: a small strict reader of JSON (RFC 8259), with the limits of tsm_edge/files/strict_json.py.
 *
 * Refuses what the RFC refuses, and also: bytes that are not UTF-8, half a surrogate pair, a key that occurs twice in
 * an object, a number that is longer than JSON_NUMBER characters or beyond every double, nesting beyond JSON_DEPTH,
 * more than JSON_VALUES values. Its time is proportional to n log n of the text's bytes. */
#ifndef TSM_JSON_H
#define TSM_JSON_H

#include <stddef.h>

enum { JSON_DEPTH = 64, JSON_VALUES = 1 << 17, JSON_NUMBER = 64 };

typedef enum {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_INTEGER,
    JSON_REAL,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
} json_kind;

typedef struct json_value json_value;
struct json_value {
    json_kind kind;
    const char *key; /* of a member of an object; UTF-8, NUL after key_size bytes */
    size_t key_size;
    const char *text; /* of a string; UTF-8, NUL after text_size bytes, may hold others */
    size_t text_size;
    double number;     /* of JSON_INTEGER and JSON_REAL; exact for integers up to 2^53 */
    size_t count;      /* members of an array or object */
    json_value *first; /* its first member */
    json_value *next;  /* the next member of the same array or object */
    json_value *first_by_key, *next_by_key; /* an object's members in the order of their keys' bytes */
};

typedef struct {
    json_value *values; /* values[0] is the document */
    size_t used;
} json_document;

/* Reads text[0..size), where text[size] is a NUL; strings are decoded in place, so the text must live as long as the
 * document. Returns 0 and writes what is wrong, and at which byte, into error. */
int json_read(json_document *document, char *text, size_t size, char *error, size_t error_size);
void json_free(json_document *document);

/* The member of an object, or NULL. */
const json_value *json_member(const json_value *object, const char *key);

/* 1 when value is the string `text`. */
int json_is(const json_value *value, const char *text);

/* 1 when value is a string that is one of the words, which stand between blanks: " red blue ". */
int json_is_word(const json_value *value, const char *words);

/* Sorts strings[0..count), which are all JSON_STRING, by their bytes; returns one that occurs twice, or NULL. */
const json_value *json_repeated(const json_value **strings, size_t count);

#endif
