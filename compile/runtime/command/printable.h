/* printable.h: foreign text on a terminal; what a terminal would obey or hide becomes a visible escape.
 *
 * Escaped are control characters (C0, DEL, C1), line and paragraph separators, bidirectional marks, invisible format
 * characters, and bytes that are not UTF-8: the same as in tsm_edge/terminal.py, by tests/vectors/printable.json. */
#ifndef TSM_PRINTABLE_H
#define TSM_PRINTABLE_H

#include <stddef.h>
#include <stdio.h>

/* Bytes of the well-formed UTF-8 sequence at `at` (Unicode, table 3-7), at most `room`; 0 when there is none. */
size_t utf8_size(const char *at, size_t room);

/* Writes text into out[0..room), escaped and on one line; what does not fit is cut and ends in "...". Returns out. */
const char *printable(char *out, size_t room, const char *text);

/* Prints text, escaped; line ends and tabs stay when `lines`. */
void put_printable(FILE *to, const char *text, int lines);

/* Prints text as a JSON string, in which everything that printable escapes is an escape of JSON's. A byte that is not
 * UTF-8 is the replacement character. */
void put_json_string(FILE *to, const char *text);

#endif
