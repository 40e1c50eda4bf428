/* json_text.h: the two halves of the JSON reader to each other. */
#ifndef TSM_JSON_TEXT_H
#define TSM_JSON_TEXT_H

#include "json.h"

typedef struct {
    const char *start, *end; /* *end is a NUL */
    char *at;
    json_document *document;
    char *error;
    size_t error_size;
} json_reader;

/* Says what is wrong at r->at; returns 0. */
int json_wrong(const json_reader *r, const char *what);

/* 1 when all of the text is UTF-8; r->at is at the start again. */
int json_utf8(json_reader *r);

/* Reads the string whose opening quote is at r->at, decodes it in place and ends it with a NUL. */
int json_string(json_reader *r, const char **text, size_t *size);

#endif
