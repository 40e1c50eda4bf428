/* live.c: frames from stdin as they arrive.
 *
 * A thread of its own reads, so that the stamp of a frame is when it came and not when the model had time for it, and so
 * that a model that is too slow for its rate skips frames instead of falling behind. Three buffers change places: one is
 * read into, one waits for the model, one is worked on. stdin is read with read(2), after poll on it and on a pipe that
 * live_end writes to: a thread that hangs in fread could not be ended, and exit() would wait for its lock. */
#define _POSIX_C_SOURCE 200809L
#include "live.h"

#include "output.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READING, WAITING, TAKEN, BUFFERS };

struct live {
    const engine *e;
    size_t bytes;
    tsm_sampler sampler;
    char *buffers[BUFFERS];
    pthread_t thread;
    int started, wake[2];
    pthread_mutex_t mutex; /* guards what follows, and the exchange of buffers */
    pthread_cond_t news;
    int full, ended; /* a frame waits; nothing more will come */
    int end;         /* what live_next returns then */
    timed_frame waiting;
    size_t late;
};

/* -- The reader's thread ------------------------------------------------------------------------------------------- */

/* Fills `frame`. Returns the bytes read, fewer at the end of stdin or after an error (*error), or SIZE_MAX when the
 * command ends. */
static size_t fill(const live *l, char *frame, int *error) {
    size_t got = 0;
    *error = 0;
    while (got < l->bytes) {
        struct pollfd wait[2] = {{STDIN_FILENO, POLLIN, 0}, {l->wake[0], POLLIN, 0}};
        if (poll(wait, 2, -1) < 0 && errno != EINTR) return *error = errno, got;
        if (wait[1].revents != 0) return SIZE_MAX;
        if (wait[0].revents == 0) continue;
        const ssize_t now = read(STDIN_FILENO, frame + got, l->bytes - got);
        if (now == 0) return got;
        if (now < 0 && errno != EINTR && errno != EAGAIN) return *error = errno, got;
        if (now > 0) got += (size_t)now;
    }
    return got;
}

/* Offers the frame in READING to the model; one that still waits came too late for it. */
static void offer(live *l, size_t index, double t_s, int32_t steps) {
    pthread_mutex_lock(&l->mutex);
    l->late += (size_t)l->full;
    char *const frame = l->buffers[READING];
    l->buffers[READING] = l->buffers[WAITING];
    l->buffers[WAITING] = frame;
    l->waiting = (timed_frame){frame, index, t_s, steps};
    l->full = 1;
    pthread_cond_signal(&l->news);
    pthread_mutex_unlock(&l->mutex);
}

static void *reader(void *context) {
    live *l = context;
    uint64_t first = 0;
    int error = 0;
    for (size_t index = 0;; index++) {
        const size_t got = fill(l, l->buffers[READING], &error);
        if (got != l->bytes) {
            const int end = got == SIZE_MAX ? 0 : stdin_ended(got, l->bytes, index, error);
            pthread_mutex_lock(&l->mutex);
            l->end = end;
            l->ended = 1;
            pthread_cond_signal(&l->news);
            pthread_mutex_unlock(&l->mutex);
            return NULL;
        }
        const uint64_t now = clock_ns();
        if (index == 0) first = now;
        const double t_s = (double)(now - first) * 1e-9;
        const int32_t steps = l->e->tsm_sampler_take(&l->sampler, t_s);
        if (steps > 0) offer(l, index, t_s, steps);
    }
}

/* -- The model's thread -------------------------------------------------------------------------------------------- */

static int prepare(live *l) {
    for (int i = 0; i < BUFFERS; i++)
        if ((l->buffers[i] = malloc(l->bytes)) == NULL)
            return complain("out of memory for frames of %zu bytes", l->bytes), 0;
    if (pipe(l->wake) != 0) {
        l->wake[0] = l->wake[1] = -1;
        return complain("cannot make a pipe\n  found: %s", strerror(errno)), 0;
    }
    const int refused = pthread_create(&l->thread, NULL, reader, l);
    if (refused != 0) return complain("cannot start a thread\n  found: %s", strerror(refused)), 0;
    return l->started = 1;
}

live *live_start(const engine *e, size_t bytes, double rate_fps) {
    live *l = calloc(1, sizeof *l);
    if (l == NULL) return complain("out of memory"), NULL;
    l->e = e;
    l->bytes = bytes;
    l->wake[0] = l->wake[1] = -1;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->news, NULL);
    e->tsm_sampler_init(&l->sampler, rate_fps);
    if (prepare(l)) return l;
    live_end(l);
    return NULL;
}

int live_next(live *l, timed_frame *out) {
    pthread_mutex_lock(&l->mutex);
    while (!l->full && !l->ended) pthread_cond_wait(&l->news, &l->mutex);
    const int got = l->full ? 1 : l->end;
    if (l->full) {
        char *const frame = l->buffers[WAITING];
        l->buffers[WAITING] = l->buffers[TAKEN];
        l->buffers[TAKEN] = frame;
        *out = l->waiting;
        l->full = 0;
    }
    pthread_mutex_unlock(&l->mutex);
    return got;
}

void live_end(live *l) {
    if (l == NULL) return;
    if (l->started) {
        while (write(l->wake[1], "", 1) < 0 && errno == EINTR) continue;
        pthread_join(l->thread, NULL);
        if (l->late > 0)
            complain("note: %zu frames were left out; a step takes longer than the model's rate allows", l->late);
        note_missed(&l->sampler);
    }
    for (int i = 0; i < 2; i++)
        if (l->wake[i] >= 0) close(l->wake[i]);
    for (int i = 0; i < BUFFERS; i++) free(l->buffers[i]);
    pthread_cond_destroy(&l->news);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}
