/* live.c: frames as they arrive.
 *
 * A thread of its own reads, so that the stamp of a frame is when it came and not when the model had time for it, and so
 * that a model that is too slow for its rate skips frames instead of falling behind. Three buffers change places: one is
 * read into, one waits for the model, one is worked on. */
#define _POSIX_C_SOURCE 200809L
#include "live.h"

#include "output.h"
#include "stop.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { READING, WAITING, TAKEN, BUFFERS };

struct live {
    const engine *e;
    source *from;
    tsm_sampler sampler;
    char *buffers[BUFFERS];
    pthread_t thread;
    int started;
    pthread_mutex_t mutex; /* guards what follows, and the exchange of buffers */
    pthread_cond_t news;
    int full, ended; /* a frame waits; nothing more will come */
    arrival end;     /* what live_next returns then */
    timed_frame waiting;
    size_t late;
};

/* -- The reader's thread ------------------------------------------------------------------------------------------- */

/* Offers the frame in READING to the model; one that still waits came too late for it. */
static void offer(live *l, timed_frame chosen) {
    pthread_mutex_lock(&l->mutex);
    l->late += (size_t)l->full;
    chosen.fresh |= l->full && l->waiting.fresh;
    char *const frame = l->buffers[READING];
    l->buffers[READING] = l->buffers[WAITING];
    l->buffers[WAITING] = frame;
    chosen.bytes = frame;
    l->waiting = chosen;
    l->full = 1;
    pthread_cond_signal(&l->news);
    pthread_mutex_unlock(&l->mutex);
}

static void *reader(void *context) {
    live *l = context;
    source *from = l->from;
    uint64_t first = 0, now = 0;
    int fresh = 0;
    for (size_t index = 0;; index++) {
        const arrival came = from->next(from, l->buffers[READING], &now);
        if (came != CAME) {
            pthread_mutex_lock(&l->mutex);
            l->end = came;
            l->ended = 1;
            pthread_cond_signal(&l->news);
            pthread_mutex_unlock(&l->mutex);
            return NULL;
        }
        if (index == 0) first = now;
        fresh |= from->interrupted != NULL && from->interrupted(from);
        const double t_s = (double)(int64_t)(now - first) * 1e-9;
        const int32_t steps = l->e->tsm_sampler_take(&l->sampler, t_s);
        if (steps <= 0 || (from->take != NULL && !from->take(from, l->buffers[READING]))) continue;
        offer(l, (timed_frame){NULL, index, t_s, steps, fresh});
        fresh = 0;
    }
}

/* -- The model's thread -------------------------------------------------------------------------------------------- */

static int prepare(live *l) {
    for (int i = 0; i < BUFFERS; i++)
        if ((l->buffers[i] = malloc(l->from->bytes)) == NULL)
            return complain("out of memory for frames of %zu bytes", l->from->bytes), 0;
    const int refused = pthread_create(&l->thread, NULL, reader, l);
    if (refused != 0) return complain("cannot start a thread\n  found: %s", strerror(refused)), 0;
    return l->started = 1;
}

live *live_start(const engine *e, source *from, double rate_fps) {
    live *l = calloc(1, sizeof *l);
    if (l == NULL) return complain("out of memory"), NULL;
    l->e = e;
    l->from = from;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->news, NULL);
    e->tsm_sampler_init(&l->sampler, rate_fps);
    if (prepare(l)) return l;
    live_end(l);
    return NULL;
}

arrival live_next(live *l, timed_frame *out) {
    pthread_mutex_lock(&l->mutex);
    while (!l->full && !l->ended) pthread_cond_wait(&l->news, &l->mutex);
    const arrival got = l->full && stop_code() == 0 ? CAME : l->ended ? l->end : STOPPED;
    if (got == CAME) {
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
        stop_now();
        pthread_join(l->thread, NULL);
        if (l->late > 0)
            complain("note: %zu frames were left out; a step takes longer than the model's rate allows", l->late);
        note_missed(&l->sampler);
    }
    for (int i = 0; i < BUFFERS; i++) free(l->buffers[i]);
    pthread_cond_destroy(&l->news);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}
