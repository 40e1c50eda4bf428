/* output.c: results on stdout, messages on stderr. */
#define _POSIX_C_SOURCE 200809L
#include "output.h"

#include "printable.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void complain(const char *format, ...) {
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fputs("tsm-edge-run: ", stderr);
    put_printable(stderr, text, 1);
    fputc('\n', stderr);
}

void put_string(const char *text) {
    if (text == NULL)
        fputs("null", stdout);
    else
        put_json_string(stdout, text);
}

void put_text(const char *text) { put_printable(stdout, text, 0); }

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
