/* events.c: gestures as events: the record of docs/events.md, one JSON line each.
 *
 * Which decisions are events is decided as in demo/events.py with a least probability of 0: a gesture as soon as it is
 * decided, and the return to the idle classes after it. Readers of the socket are served between two steps, without a
 * thread: a line of some hundred bytes fits into the buffer of every socket whose reader reads at all. */
#define _GNU_SOURCE
#include "events.h"

#include "output.h"
#include "printable.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { SCHEMA = 1, MOST_READERS = 16, TEXT = 512, IDLE = -1 };

struct events {
    const engine *e;
    const char *from;
    char run[13];              /* what the ids of this run begin with */
    unsigned long number;
    int state, told;           /* the class that is shown, and the last that was told and whose end was not seen; IDLE */
    int waits;                 /* the shown gesture is not told yet */
    listeners to;
    struct sockaddr_un place;  /* of the socket */
    int listener;              /* -1: there is no socket */
    int readers[MOST_READERS];
    size_t count;
};

/* -- The socket ---------------------------------------------------------------------------------------------------- */

/* A socket that nobody listens to is left from a run that was killed, and removed; anything else stays. */
static int free_place(const struct sockaddr_un *place) {
    struct stat found;
    if (lstat(place->sun_path, &found) != 0) return 1;
    const int probe = S_ISSOCK(found.st_mode) ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (probe < 0) return 0;
    const int dead = connect(probe, (const struct sockaddr *)place, sizeof *place) != 0 && errno == ECONNREFUSED;
    close(probe);
    return dead && unlink(place->sun_path) == 0;
}

static int listen_at(events *v, const char *path) {
    char shown[256];
    if (strlen(path) >= sizeof v->place.sun_path) {
        complain("the path of --events is too long\n  found: %zu bytes\n  allowed: at most %zu", strlen(path),
                 sizeof v->place.sun_path - 1);
        return 0;
    }
    v->place.sun_family = AF_UNIX;
    memcpy(v->place.sun_path, path, strlen(path) + 1);
    printable(shown, sizeof shown, path);
    if (!free_place(&v->place)) {
        complain("'%s' is in use\n  found: a file, or a socket with a program behind it\n  hint: remove it, or give another "
                 "path with --events", shown);
        return 0;
    }
    const int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made >= 0 && bind(made, (const struct sockaddr *)&v->place, sizeof v->place) == 0) {
        v->listener = made;
        if (listen(made, MOST_READERS) == 0) return 1;
    } else if (made >= 0) {
        close(made);
    }
    complain("cannot make the socket '%s'\n  found: %s", shown, strerror(errno));
    return 0;
}

static void let_in(events *v) {
    while (v->count < MOST_READERS) {
        const int reader = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (reader < 0) return;
        v->readers[v->count++] = reader;
    }
}

static void hang_up(events *v, size_t index) {
    close(v->readers[index]);
    v->readers[index] = v->readers[--v->count];
}

/* A reader that hung up is found here, too: its place is free for the next one. */
static void look_after(events *v) {
    char ignored[64];
    for (size_t i = v->count; i-- > 0;) {
        const ssize_t got = recv(v->readers[i], ignored, sizeof ignored, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) hang_up(v, i);
    }
    let_in(v);
}

static void send_to_all(events *v, const char *line, size_t size) {
    for (size_t i = v->count; i-- > 0;) {
        const ssize_t sent = send(v->readers[i], line, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent == (ssize_t)size) continue;
        if (sent >= 0 || errno == EAGAIN) complain("note: a reader of --events does not keep up; it is hung up on");
        hang_up(v, i);
    }
}

/* -- The record ---------------------------------------------------------------------------------------------------- */

static void put_name(FILE *to, const char *key, const char *text) {
    char shown[TEXT];
    fprintf(to, ", \"%s\": ", key);
    put_json_string(to, printable(shown, sizeof shown, text));
}

/* The name of a class, as it can be shown; `room` is its place. */
static const char *class_name(const events *v, int index, char room[TEXT]) {
    if (index == IDLE) return "";
    if (index >= 0 && (size_t)index < v->e->info.label_count) return printable(room, TEXT, v->e->info.labels[index]);
    snprintf(room, TEXT, "class %d", index);
    return room;
}

static void put_class(const events *v, FILE *to, const char *key, int index) {
    char room[TEXT];
    fprintf(to, ", \"%s\": ", key);
    put_json_string(to, class_name(v, index, room));
}

static void put_time(FILE *to) {
    struct timespec now;
    struct tm utc;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(to, ", \"time\": \"%s.%03ldZ\"", text, now.tv_nsec / 1000000);
}

static void write_record(const events *v, FILE *to, const tsm_decided *now, const timed_frame *frame, int ended) {
    fprintf(to, "{\"schema\": %d, \"id\": \"%s-%lu\", \"kind\": \"%s\"", SCHEMA, v->run, v->number,
            ended == IDLE ? "gesture" : "idle");
    put_class(v, to, "label", (int)now->index);
    fprintf(to, ", \"index\": %d, \"probability\": %.4f", (int)now->index, now->probability);
    put_class(v, to, "ended", ended);
    put_time(to);
    fputs(", \"t_s\": ", to);
    if (isfinite(frame->t_s)) fprintf(to, "%.3f", frame->t_s);
    else fputs("null", to);
    fprintf(to, ", \"frame\": %zu", frame->index);
    put_name(to, "source", v->from);
    put_name(to, "model", v->e->info.model);
    fputs("}\n", to);
}

/* Runs the program with the variables of demo/on_change.py; `line` is the record with its newline. Returns 0 when memory is
 * out. */
static int tell_program(const events *v, const tsm_decided *now, const timed_frame *frame, int ended, char *line) {
    char label[TEXT], other[TEXT], *text = NULL, *variables[8];
    size_t size = 0, count = 0;
    line[strcspn(line, "\n")] = '\0';
    FILE *to = open_memstream(&text, &size);
    if (to == NULL) return 0;
    fprintf(to, "TSM_EDGE_LABEL=%s%c", class_name(v, (int)now->index, label), '\0');
    fprintf(to, "TSM_EDGE_CONFIDENCE=%.4f%c", now->probability, '\0');
    fprintf(to, "TSM_EDGE_EVENT=%s%c", ended == IDLE ? "gesture" : "idle", '\0');
    fprintf(to, "TSM_EDGE_INDEX=%d%c", (int)now->index, '\0');
    fprintf(to, "TSM_EDGE_TIME=%.3f%c", frame->t_s, '\0');
    fprintf(to, "TSM_EDGE_FRAME=%zu%c", frame->index, '\0');
    fprintf(to, "TSM_EDGE_ENDED=%s%c", class_name(v, ended, other), '\0');
    fprintf(to, "TSM_EDGE_RECORD=%s%c", line, '\0');
    if (fclose(to) != 0) return free(text), 0;
    for (char *at = text; at < text + size; at += strlen(at) + 1) variables[count++] = at;
    on_change_tell(v->to.program, variables, count);
    free(text);
    return 1;
}

/* Returns an exit code, or STILL_OPEN. */
static int tell(events *v, const tsm_decided *now, const timed_frame *frame, int ended) {
    char *line = NULL;
    size_t size = 0;
    v->number++;
    FILE *text = open_memstream(&line, &size);
    if (text == NULL) return complain("out of memory"), EXIT_FAILED;
    write_record(v, text, now, frame, ended);
    if (fclose(text) != 0) return free(line), complain("out of memory"), EXIT_FAILED;
    if (v->listener >= 0) send_to_all(v, line, size);
    else if (v->to.place != NULL) fputs(line, stdout);
    int good = 1;
    if (v->to.program != NULL && (ended == IDLE || v->to.tell_ends)) good = tell_program(v, now, frame, ended, line);
    free(line);
    if (!good) return complain("out of memory"), EXIT_FAILED;
    return v->listener < 0 && v->to.place != NULL ? flush_output() : STILL_OPEN;
}

int events_take(events *v, const tsm_decided *now, const timed_frame *frame) {
    const int state = now->idle ? IDLE : (int)now->index;
    if (v->listener >= 0) look_after(v);
    if (state != v->state || (now->changed && state != IDLE)) v->state = state, v->waits = state != IDLE;
    if (v->waits) {
        v->waits = 0;
        v->told = state;
        return tell(v, now, frame, IDLE);
    }
    if (state != IDLE || v->told == IDLE) return STILL_OPEN;
    const int ended = v->told;
    v->told = IDLE;
    return tell(v, now, frame, ended);
}

void events_forget(events *v) {
    v->state = IDLE;
    v->waits = 0;
}

/* -- Begin and end ------------------------------------------------------------------------------------------------- */

/* Six bytes that no two runs share: of the system, or of time and process where it gives none. */
static void name_run(char run[13]) {
    unsigned long long number = clock_ns() ^ (unsigned long long)getpid() << 32 ^ (unsigned long long)time(NULL) << 20;
    FILE *random = fopen("/dev/urandom", "rb");
    if (random != NULL) {
        if (fread(&number, sizeof number, 1, random) != 1) number ^= 1;
        fclose(random);
    }
    snprintf(run, 13, "%012llx", number & 0xffffffffffffull);
}

events *events_open(const listeners *to, const engine *e, const char *from) {
    events *v = calloc(1, sizeof *v);
    if (v == NULL) return complain("out of memory"), NULL;
    *v = (events){.e = e, .from = from, .to = *to, .state = IDLE, .told = IDLE, .listener = -1};
    name_run(v->run);
    if (to->place == NULL || strcmp(to->place, "-") == 0 || listen_at(v, to->place)) return v;
    events_close(v);
    return NULL;
}

void events_close(events *v) {
    if (v == NULL) return;
    while (v->count > 0) hang_up(v, 0);
    if (v->listener >= 0) {
        close(v->listener);
        unlink(v->place.sun_path);
    }
    free(v);
}
