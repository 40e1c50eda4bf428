/* stand_in.h: what the stand-ins for the GPU drivers share: controls, a log of calls, handles, and the kernels of
 * tiny_gpu_plan.c as C functions. Each is one source that includes this once. */
#ifndef STAND_IN_H
#define STAND_IN_H

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- Controls, which tests reach with dlsym ------------------------------------------------------------------------ */

int stand_in_hang = 0;
int stand_in_polls = 2; /* questions until a command is done; STAND_IN_POLLS sets it */
long stand_in_fail_at = 0; /* the call of this number fails, counted from 1; 0: none */
int stand_in_fail_code = 2, stand_in_fail_forever = 0;
long stand_in_calls = 0;
char stand_in_failed[64];
char stand_in_log[1 << 18];
char stand_in_misuse[256];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Where a real driver waits for ever or crashes: in a child of the process that loaded it, and once it is down. */
static pid_t loaded_by;
static volatile int gone;

__attribute__((constructor)) static void load(void) {
    const char *polls = getenv("STAND_IN_POLLS");
    if (polls != NULL) stand_in_polls = atoi(polls);
    loaded_by = getpid();
}

static void be_alive(const char *name) {
    if (loaded_by == getpid() && !gone) return;
    fprintf(stderr, "stand-in: %s %s\n", name, gone ? "after the end of the driver" : "in a forked child");
    abort();
}

__attribute__((format(printf, 1, 2))) static void misuse(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (stand_in_misuse[0] == '\0') vsnprintf(stand_in_misuse, sizeof stand_in_misuse, format, arguments);
    va_end(arguments);
}

/* Notes a call; 0, or the code that it has to return. */
__attribute__((format(printf, 2, 3))) static int call(const char *name, const char *format, ...) {
    be_alive(name);
    const size_t used = strlen(stand_in_log), room = sizeof stand_in_log - used;
    const int length = snprintf(stand_in_log + used, room, "%s ", name);
    va_list arguments;
    va_start(arguments, format);
    if (length > 0 && (size_t)length < room)
        vsnprintf(stand_in_log + used + length, room - (size_t)length, format, arguments);
    va_end(arguments);
    strncat(stand_in_log, "\n", sizeof stand_in_log - strlen(stand_in_log) - 1);
    stand_in_calls++;
    const int fails = stand_in_fail_at > 0 && (stand_in_calls == stand_in_fail_at ||
                                               (stand_in_fail_forever && stand_in_calls > stand_in_fail_at));
    if (fails && stand_in_failed[0] == '\0') snprintf(stand_in_failed, sizeof stand_in_failed, "%s", name);
    return fails ? stand_in_fail_code : 0;
}

/* -- Handles and memory -------------------------------------------------------------------------------------------- */

enum { MOST = 4096 };
static struct {
    char kind;
    void *handle;
    size_t bytes;
} handles[MOST];
static int handle_count;

long stand_in_live(char *kinds, size_t size);
long stand_in_live(char *kinds, size_t size) {
    snprintf(kinds, size, "%.*s", handle_count < 60 ? handle_count : 60, "");
    for (int i = 0; i < handle_count; i++) {
        const size_t used = strlen(kinds);
        if (used + 2 < size) kinds[used] = handles[i].kind, kinds[used + 1] = '\0';
    }
    return handle_count;
}

static void *born(char kind, size_t bytes) {
    void *handle = calloc(1, bytes > 0 ? bytes : 1);
    if (handle == NULL || handle_count == MOST) abort();
    memset(handle, kind == 'd' ? 0xAB : 0, bytes); /* device memory is not zero before it is cleared */
    handles[handle_count].kind = kind;
    handles[handle_count].handle = handle;
    handles[handle_count++].bytes = bytes;
    return handle;
}

static int find(char kind, const void *handle) {
    for (int i = 0; i < handle_count; i++)
        if (handles[i].kind == kind && handles[i].handle == handle) return i;
    misuse("no handle of kind %c at %p", kind, handle);
    return -1;
}

static void died(char kind, void *handle) {
    const int i = find(kind, handle);
    if (i < 0) return;
    free(handle);
    handles[i] = handles[--handle_count];
}

/* At the end of a program: the log, what was misused and what was left. */
__attribute__((destructor)) static void write_log(void) {
    char kinds[64];
    gone = 1;
    const char *path = getenv("STAND_IN_LOG");
    FILE *file = path != NULL ? fopen(path, "w") : NULL;
    if (file == NULL) return;
    fprintf(file, "%smisuse %s\nleft %ld\n", stand_in_log, stand_in_misuse, stand_in_live(kinds, sizeof kinds));
    fclose(file);
}

/* -- Kernels of tiny_gpu_plan.c ------------------------------------------------------------------------------------ */

enum { FLOATS = 1200, STEPS = 5, TINY_KERNELS = 4, TINY_ARGUMENTS = 4 };
static const struct {
    const char *name;
    int arguments;
    unsigned threads; /* in the whole grid */
    size_t bytes[TINY_ARGUMENTS];
} tiny_kernels[TINY_KERNELS] = {
    {"see", 2, FLOATS, {FLOATS * 4, FLOATS * 4}},
    {"mix_rows", 3, FLOATS, {FLOATS * 4, FLOATS * 4, FLOATS * 4}},
    {"count", 2, STEPS, {STEPS * 4, STEPS * 4}},
    {"score", 4, 192, {FLOATS * 4, STEPS * 4, 12, 12}},
};

/* The number of a kernel, or -1. */
static inline int tiny_kernel(const char *name) {
    for (int i = 0; i < TINY_KERNELS; i++)
        if (strcmp(tiny_kernels[i].name, name) == 0) return i;
    return -1;
}

static inline void run_tiny_kernel(int kernel, float *p[TINY_ARGUMENTS]) {
    switch (kernel) {
    case 0: memcpy(p[1], p[0], FLOATS * 4); break;
    case 1:
        for (int i = 0; i < FLOATS; i++) p[2][i] = p[0][i] * 0.5f + p[1][i] * 0.25f;
        break;
    case 2:
        for (int i = 0; i < STEPS; i++) p[1][i] = p[0][i] + 1.0f;
        break;
    default:
        for (int c = 0; c < 3; c++) {
            float sum = 0.0f;
            for (int i = 0; i < FLOATS / 3; i++) sum += p[0][i * 3 + c];
            p[3][c] = sum / (FLOATS / 3) + p[2][c] * p[1][c];
        }
    }
}

#endif
