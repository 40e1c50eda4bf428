/* law.h: what a manifest.json of format 3 must contain (rules 3 and 4 of tsm_edge/bundle.py, which is the law). */
#ifndef TSM_LAW_H
#define TSM_LAW_H

#include "json.h"

enum { BUNDLE_FORMAT = 3 };

/* A broken rule: its stable name, and what to print. name == NULL: nothing was refused. */
typedef struct {
    const char *name;
    char text[1024];
} refusal;

/* Fills in a refusal; returns 0, so that a check can end with it. */
__attribute__((format(printf, 3, 4))) int refuse(refusal *r, const char *name, const char *format, ...);

/* 1 when the document keeps the law, otherwise 0 and *why. */
int law_check(const json_value *document, refusal *why);

/* The parts of law_check: refuses the value of a key; is a value one of the words (between blanks); relations. */
int law_malformed(refusal *why, const char *key, const char *allowed);
int law_is_word(const json_value *value, const char *words);
int law_check_relations(const json_value *document, refusal *why);

/* What a file of a bundle may be called; no folders, nothing hidden. */
int law_is_file_name(const char *name, size_t size);

#endif
