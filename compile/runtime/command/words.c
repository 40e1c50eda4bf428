/* words.c: a command line as words: the rules of POSIX's shell for quotes, as Python's shlex.split has them. */
#include "words.h"

#include <stdlib.h>
#include <string.h>

static int is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Copies one word from *at to *to, without its quotes, and moves both. Returns NULL, or what is wrong. */
static const char *one_word(const char **at, char **to) {
    const char *from = *at;
    char quote = '\0';
    for (; *from != '\0' && (quote != '\0' || !is_blank(*from)); from++) {
        const int escapes = *from == '\\' && (quote == '\0' || (quote == '"' && (from[1] == '"' || from[1] == '\\')));
        if (quote != '\0' && *from == quote) quote = '\0';
        else if (quote == '\0' && (*from == '"' || *from == '\'')) quote = *from;
        else {
            if (escapes && *++from == '\0') return "a \\ with nothing behind it";
            *(*to)++ = *from;
        }
    }
    *(*to)++ = '\0';
    *at = from;
    return quote == '\0' ? NULL : "a quote that is not closed";
}

char **words_split(const char *text, size_t *count, const char **why) {
    const size_t size = strlen(text);
    const size_t most = size / 2 + 4; /* at most every other character begins a word */
    char **words = malloc(most * sizeof *words + size + 2);
    if (words == NULL) return *why = "out of memory", NULL;
    char *to = (char *)(words + most);
    *why = NULL;
    for (*count = 0;; ++*count) {
        while (is_blank(*text)) text++;
        words[*count] = *text == '\0' ? NULL : to;
        if (*text == '\0') return words;
        *why = one_word(&text, &to);
        if (*why != NULL) return free(words), NULL;
    }
}
