/* words.h: a command line as words, as a shell splits it. */
#ifndef TSM_WORDS_H
#define TSM_WORDS_H

#include <stddef.h>

/* Splits `text` at blanks outside of quotes; '...' keeps all, "..." all but \" and \\, and \ the character behind it.
 * Nothing is replaced. Returns the words, NULL behind the last and room for two more, in one piece of memory to free;
 * *count is their number.
 * NULL with the reason in *why: a quote that is not closed, a \ with nothing behind it, memory. */
char **words_split(const char *text, size_t *count, const char **why);

#endif
