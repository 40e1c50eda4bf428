/* stop.c: SIGINT, SIGTERM and SIGHUP end a stream between two results.
 *
 * The handler writes to a pipe that every wait for frames polls, so that no signal is missed between a look at a flag and
 * a wait. A write to stdout that a signal interrupts fails with EINTR, on purpose: its reader may have hung. */
#define _POSIX_C_SOURCE 200809L
#include "stop.h"

#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static int ends[2] = {-1, -1};
static volatile sig_atomic_t received;

static void handle(int number) {
    const int kept = errno;
    if (received == 0) received = number;
    stop_now();
    errno = kept;
}

int stop_listen(void) {
    if (pipe(ends) != 0) return complain("cannot make a pipe\n  found: %s", strerror(errno)), 0;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC); /* not for the program of --on-change */
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction now, own = {.sa_handler = handle, .sa_flags = (int)SA_RESETHAND};
        sigemptyset(&own.sa_mask);
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) sigaction(signals[i], &own, NULL);
    }
    return 1;
}

int stop_fd(void) { return ends[0]; }

void stop_now(void) {
    while (ends[1] >= 0 && write(ends[1], "", 1) < 0 && errno == EINTR) continue;
}

void stop_end(void) {
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction now;
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == handle) signal(signals[i], SIG_DFL);
    }
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        ends[i] = -1;
    }
}

int stop_code(void) { return received == 0 ? 0 : 128 + received; }
