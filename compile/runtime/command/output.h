/* output.h: results on stdout, messages on stderr. */
#ifndef TSM_OUTPUT_H
#define TSM_OUTPUT_H

#include <stdint.h>

/* Prints "tsm-edge-run: ", the message and a newline on stderr. What a terminal would obey is escaped, but for line
 * ends: foreign text in the message that could hold one goes through printable() first. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

/* Prints a JSON string, quoted and escaped; NULL prints null. */
void put_string(const char *text);

/* Prints text for people on one line, escaped for a terminal. */
void put_text(const char *text);

/* Prints a JSON number with `digits` decimals; null when it is not finite, for which JSON has no word. */
void put_number(double value, int digits);

/* Hands everything printed so far to the reader. Returns an exit code, or STILL_OPEN when all is well. A reader that
 * closed its end has read enough, which is no failure. */
enum { STILL_OPEN = -1 };
int flush_output(void);

/* Nanoseconds of a clock that never jumps. */
uint64_t clock_ns(void);

#endif
