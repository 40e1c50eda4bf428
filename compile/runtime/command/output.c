/* output.c: results on stdout, messages on stderr. */
#define _POSIX_C_SOURCE 200809L
#include "output.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void complain(const char *format, ...) {
    va_list arguments;
    fputs("tsm-edge-run: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void put_string(const char *text) {
    static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    if (text == NULL) {
        fputs("null", stdout);
        return;
    }
    putchar('"');
    for (; *text != '\0'; text++) {
        const char *known = strchr(special, *text);
        if (known != NULL)
            printf("\\%c", letters[known - special]);
        else if ((unsigned char)*text < 0x20 || *text == 0x7f)
            printf("\\u%04x", (unsigned)*text);
        else
            putchar(*text);
    }
    putchar('"');
}

void put_number(double value, int digits) {
    if (isfinite(value))
        printf("%.*f", digits, value);
    else
        fputs("null", stdout);
}

int flush_output(void) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return STILL_OPEN;
    if (errno == EPIPE) return 0;
    complain("cannot write to stdout\n  found: %s", strerror(errno));
    return 1;
}

uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
