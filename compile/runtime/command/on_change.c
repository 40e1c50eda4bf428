/* on_change.c: a program that is run for every gesture, as demo/on_change.py does it.
 *
 * A thread of its own starts the program and waits for it. What is told stands in its environment, where no program takes
 * a label for an option; it has a session of its own, so that Ctrl-C is for this program, and its stdout is our stderr. */
#define _DEFAULT_SOURCE
#include "on_change.h"

#include "engine.h"
#include "output.h"
#include "printable.h"
#include "stop.h"
#include "words.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 64, MOST_VARIABLES = 8, LOOK_MS = 20 };
static const uint64_t LONGEST_NS = 30000000000u, PARTING_NS = 5000000000u;
static const char OURS[] = "TSM_EDGE_"; /* variables that are told, and secrets that are not for it */

extern char **environ;

/* The variables of one call, in one piece of memory. */
typedef struct {
    char *text;
    char *variables[MOST_VARIABLES];
    size_t count;
} call;

struct on_change {
    char **words, *program; /* `program`: the file that words[0] is */
    size_t word_count;
    int waits; /* set before the first call is told */
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t news;
    call queue[ROOM];
    size_t first, waiting, dropped, failed, untold;
    int closing;
    uint64_t deadline_ns;
};

/* -- The program --------------------------------------------------------------------------------------------------- */

/* The file of a name, looked for in PATH where it has no slash; to free. NULL when there is none to run. */
static char *find_program(const char *name) {
    const char *path = getenv("PATH");
    if (strchr(name, '/') != NULL) return access(name, X_OK) == 0 ? strdup(name) : NULL;
    for (path = path == NULL ? "/usr/bin:/bin" : path; *path != '\0'; path += strcspn(path, ":"), path += *path == ':') {
        const size_t folder = strcspn(path, ":"), room = folder + strlen(name) + 3;
        char *file = malloc(room);
        if (file == NULL) return NULL;
        snprintf(file, room, "%.*s/%s", folder > 0 ? (int)folder : 1, folder > 0 ? path : ".", name);
        if (access(file, X_OK) == 0) return file;
        free(file);
    }
    return NULL;
}

/* In the child of a process with threads: nothing but calls that are safe in a signal handler. */
static void become(const char *program, char *const *words, char *const *variables) {
    sigset_t none;
    sigemptyset(&none);
    setsid();
    const int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0) dup2(nothing, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(program, words, variables);
    _exit(127);
}

/* Our environment without the variables of this project, then those of the call; to free. */
static char **environment_of(const call *told) {
    size_t count = 0, kept = 0;
    while (environ[count] != NULL) count++;
    char **all = malloc((count + told->count + 1) * sizeof *all);
    for (size_t i = 0; all != NULL && i < count; i++)
        if (strncmp(environ[i], OURS, sizeof OURS - 1) != 0) all[kept++] = environ[i];
    for (size_t i = 0; all != NULL && i <= told->count; i++) all[kept++] = i < told->count ? told->variables[i] : NULL;
    return all;
}

/* Whether the time for what waits and runs is over: some seconds after a signal has ended the stream. */
static int is_over(on_change *c) {
    pthread_mutex_lock(&c->mutex);
    const uint64_t now = clock_ns();
    if (c->closing && stop_code() != 0 && c->deadline_ns == UINT64_MAX) c->deadline_ns = now + PARTING_NS;
    const int over = now > c->deadline_ns;
    pthread_mutex_unlock(&c->mutex);
    return over;
}

/* Waits for the program and ends it where it takes too long, with what it has started itself. Returns its status. */
static int wait_for(on_change *c, pid_t child, int *late) {
    const uint64_t until = clock_ns() + LONGEST_NS;
    const struct timespec look = {0, LOOK_MS * 1000000l};
    for (;;) {
        int status = 0;
        const pid_t done = waitpid(child, &status, *late ? 0 : WNOHANG);
        if (done == child || (done < 0 && errno != EINTR)) return status;
        if (*late) continue;
        *late = clock_ns() > until || is_over(c);
        if (*late) kill(-child, SIGKILL);
        else nanosleep(&look, NULL);
    }
}

static void failed(on_change *c, const char *how, int number) {
    pthread_mutex_lock(&c->mutex);
    const int first = c->failed++ == 0;
    pthread_mutex_unlock(&c->mutex);
    char text[64];
    snprintf(text, sizeof text, how, number);
    if (first) complain("note: the --on-change command %s; this goes on, and is said once", text);
}

static void run(on_change *c, const call *told) {
    char **variables = environment_of(told);
    if (strcmp(c->words[c->word_count - 1], "--") == 0 && told->count >= 2) {
        for (size_t i = 0; i < 2; i++) c->words[c->word_count + i] = strchr(told->variables[i], '=') + 1;
        c->words[c->word_count + 2] = NULL;
    }
    const pid_t child = variables == NULL ? -1 : fork();
    if (child == 0) become(c->program, c->words, variables);
    free(variables);
    if (child < 0) {
        failed(c, "could not be started: error %d", variables == NULL ? ENOMEM : errno);
        return;
    }
    int late = 0;
    const int status = wait_for(c, child, &late);
    if (late) failed(c, "took too long and was ended", 0);
    else if (WIFSIGNALED(status)) failed(c, "was ended by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0) failed(c, "ended with status %d", WEXITSTATUS(status));
}

/* -- The queue ----------------------------------------------------------------------------------------------------- */

static int next_call(on_change *c, call *out) {
    pthread_mutex_lock(&c->mutex);
    while (c->waiting == 0 && !c->closing) pthread_cond_wait(&c->news, &c->mutex);
    const int found = c->waiting > 0;
    if (found) {
        *out = c->queue[c->first];
        c->first = (c->first + 1) % ROOM;
        c->waiting--;
        pthread_cond_broadcast(&c->news); /* there is room again */
    }
    pthread_mutex_unlock(&c->mutex);
    return found;
}

static void *work(void *context) {
    on_change *c = context;
    call told;
    while (next_call(c, &told)) {
        if (is_over(c)) c->untold++; /* read after the thread has ended */
        else run(c, &told);
        free(told.text);
    }
    return NULL;
}

void on_change_tell(on_change *c, char *const *variables, size_t count) {
    call told = {.count = count < MOST_VARIABLES ? count : MOST_VARIABLES};
    size_t size = 1;
    for (size_t i = 0; i < told.count; i++) size += strlen(variables[i]) + 1;
    told.text = malloc(size);
    if (told.text == NULL) return failed(c, "could not be started: error %d", ENOMEM);
    char *at = told.text;
    for (size_t i = 0; i < told.count; i++) {
        told.variables[i] = at;
        at = stpcpy(at, variables[i]) + 1;
    }
    pthread_mutex_lock(&c->mutex);
    while (c->waits && c->waiting == ROOM && stop_code() == 0) {
        struct timespec soon;
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_sec++; /* a signal does not wake the wait */
        pthread_cond_timedwait(&c->news, &c->mutex, &soon);
    }
    const int first = c->waiting == ROOM && c->dropped++ == 0, full = c->waiting == ROOM;
    if (!full) c->queue[(c->first + c->waiting++) % ROOM] = told;
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->mutex);
    if (full) free(told.text);
    if (first)
        complain("note: %d gestures wait for the --on-change command, which is too slow; more are dropped until there is room",
                 ROOM);
}

/* -- Begin and end ------------------------------------------------------------------------------------------------- */

static int read_command(on_change *c, const char *command, int *code) {
    char shown[256];
    const char *why = NULL;
    *code = EXIT_USAGE;
    printable(shown, sizeof shown, command);
    c->words = words_split(command, &c->word_count, &why);
    if (c->words == NULL) return complain("--on-change cannot be understood\n  found: %s: %s", shown, why), 0;
    if (c->word_count == 0) return complain("--on-change names no command\n  allowed: PROGRAM [ARGUMENT ...]"), 0;
    for (size_t i = 0; i < c->word_count; i++)
        if ((strstr(c->words[i], "$TSM_EDGE_") != NULL || strstr(c->words[i], "${TSM_EDGE_") != NULL) &&
            strpbrk(c->words[i], " \t") == NULL)
            return complain("--on-change is not read by a shell, so a variable stays as it is written\n  found: %s\n"
                            "  hint: read it in the program, or ask for a shell: --on-change 'sh -c \"...\"'", shown), 0;
    c->program = find_program(c->words[0]);
    if (c->program != NULL) return 1;
    *code = EXIT_HOST;
    return complain("the command of --on-change cannot be run\n  found: no executable file '%s'\n"
                    "  hint: give its full path, and make it executable: chmod +x FILE",
                    printable(shown, sizeof shown, c->words[0])), 0;
}

static int start(on_change *c) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread, whose waits they end */
    const int refused = pthread_create(&c->thread, NULL, work, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (refused != 0) complain("cannot start a thread\n  found: %s", strerror(refused));
    return refused == 0;
}

static void free_all(on_change *c) {
    pthread_cond_destroy(&c->news);
    pthread_mutex_destroy(&c->mutex);
    free(c->program);
    free(c->words);
    free(c);
}

void on_change_be_patient(on_change *c) {
    if (c != NULL) c->waits = 1;
}

on_change *on_change_open(const char *command, int *code) {
    on_change *c = calloc(1, sizeof *c);
    *code = EXIT_FAILED;
    if (c == NULL) return complain("out of memory"), NULL;
    c->deadline_ns = UINT64_MAX;
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->news, NULL);
    if (read_command(c, command, code) && (*code = EXIT_FAILED, start(c))) return c;
    free_all(c);
    return NULL;
}

void on_change_close(on_change *c) {
    if (c == NULL) return;
    pthread_mutex_lock(&c->mutex);
    c->closing = 1;
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->mutex);
    pthread_join(c->thread, NULL);
    if (c->untold > 0) complain("note: the end came before the --on-change command heard of %zu gestures", c->untold);
    if (c->dropped > 0) complain("note: %zu gestures were not told to the --on-change command", c->dropped);
    free_all(c);
}
