/* checks.h: what the C tests need of a test framework. */
#ifndef CHECKS_H
#define CHECKS_H

#include <stdio.h>

static int failures;

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);   \
            failures++;                                                               \
        }                                                                             \
    } while (0)

#define RUN(test)                                                    \
    do {                                                             \
        const int before = failures;                                 \
        test();                                                      \
        printf("%s %s\n", failures == before ? "ok" : "FAILED", #test); \
    } while (0)

#endif
