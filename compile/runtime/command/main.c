/* main.c: tsm-edge-run, the native command of a bundle. */
#define _POSIX_C_SOURCE 200809L
#include "modes.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef TSM_VERSION
#define TSM_VERSION "unknown"
#endif

/* The folder that this program lies in. */
static int own_folder(char folder[BUNDLE_PATH]) {
    const ssize_t size = readlink("/proc/self/exe", folder, BUNDLE_PATH - 1);
    if (size <= 0) {
        complain("cannot find the folder of this program\n  found: /proc/self/exe: %s\n  hint: mount /proc",
                 size < 0 ? strerror(errno) : "empty");
        return 0;
    }
    folder[size] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash != NULL) slash[slash == folder] = '\0';
    return 1;
}

static int run_mode_of(const engine *e, const options *o, double open_ms) {
    switch (o->mode) {
    case MODE_INFO: return run_info(e);
    case MODE_BENCH: return run_bench(e, o, open_ms);
    case MODE_RAW:
    case MODE_CAMERA:
    case MODE_INPUT:
    case MODE_TENSOR: return run_frames(e, o);
    case MODE_NONE:
    case MODE_HELP:
    case MODE_VERSION: break;
    }
    return EXIT_USAGE;
}

/* Everything is checked before the first line of the library's code is loaded. */
static int run_bundle(const options *o) {
    static bundle b;
    char folder[BUNDLE_PATH];
    refusal why = {0};
    engine e = {0};
    if (!own_folder(folder)) return EXIT_FAILED;
    int code;
    if (!bundle_check(&b, folder, &why)) {
        complain("[%s] %s", why.name, why.text);
        code = strncmp(why.name, "wrong-", 6) == 0 ? EXIT_HOST : EXIT_CHECK;
    } else {
        const uint64_t start = clock_ns();
        code = engine_open(&e, &b);
        const double open_ms = (double)(clock_ns() - start) * 1e-6;
        if (code == EXIT_OK) code = run_mode_of(&e, o, open_ms);
        engine_close(&e);
    }
    bundle_free(&b);
    return code;
}

/* Where stdin is closed, the next file or pipe would get its number. What takes its place cannot be read. */
static void keep_stdin(void) {
    if (fcntl(STDIN_FILENO, F_GETFD) < 0 && open("/dev/null", O_WRONLY) > STDIN_FILENO) _exit(EXIT_FAILED);
}

int main(int argc, char **argv) {
    options o;
    keep_stdin();
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is seen, and taken quietly, where output is flushed */
    if (!options_read(&o, argc, argv)) return EXIT_USAGE;
    if (o.mode == MODE_HELP || o.mode == MODE_VERSION) {
        fputs(o.mode == MODE_HELP ? usage_text : "tsm-edge-run " TSM_VERSION "\n", stdout);
        const int end = flush_output();
        return end == STILL_OPEN ? EXIT_OK : end;
    }
    return run_bundle(&o);
}
