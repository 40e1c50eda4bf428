/* engine.c: the bundle's library, loaded. A static bundle has it inside. */
#define _POSIX_C_SOURCE 200809L
#include "engine.h"

#include "output.h"

#include <stdio.h>
#include <string.h>

static int exit_code(tsm_status status) {
    switch (status) {
    case TSM_OK: return EXIT_OK;
    case TSM_E_ARGUMENT: return EXIT_USAGE;
    case TSM_E_CPU: return EXIT_HOST;
    case TSM_E_DEVICE: return EXIT_DEVICE;
    case TSM_E_MEMORY:
    case TSM_E_THREADS:
    case TSM_E_BUSY:
    case TSM_E_FORKED: break;
    }
    return EXIT_FAILED;
}

#ifdef TSM_STATIC

static int load(engine *e) {
#define ENGINE_TAKE(name) e->name = name;
    ENGINE_CALLS(ENGINE_TAKE)
    return 1;
}

static void unload(engine *e) { (void)e; }

#else
#include <dlfcn.h>

static int take(engine *e, const char *name, void *place) {
    void *found = dlsym(e->library, name);
    memcpy(place, &found, sizeof found); /* ISO C has no cast from an object to a function */
    if (found == NULL) complain("libtsm.so has no %s\n  hint: compile the bundle again", name);
    return found != NULL;
}

static int load(engine *e) {
    char path[BUNDLE_PATH + 16];
    snprintf(path, sizeof path, "%s/libtsm.so", e->bundle->folder);
    e->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (e->library == NULL) {
        complain("libtsm.so cannot be loaded\n  found: %s", dlerror());
        return 0;
    }
#define ENGINE_TAKE(name) &&take(e, #name, &e->name)
    return 1 ENGINE_CALLS(ENGINE_TAKE);
}

static void unload(engine *e) {
    if (e->library != NULL) dlclose(e->library);
}

#endif

int engine_open(engine *e, const bundle *b) {
    char error[TSM_ERROR_SIZE];
    memset(e, 0, sizeof *e);
    e->bundle = b;
    if (!load(e)) return EXIT_FAILED;
    const tsm_status status = e->tsm_open(&e->model, error, sizeof error);
    if (status != TSM_OK) {
        complain("%s%s", status == TSM_E_CPU ? "[wrong-cpu] " : "", error);
        return status == TSM_E_ARGUMENT ? EXIT_FAILED : exit_code(status); /* a fault of the plan, not of the user */
    }
    e->tsm_info(e->model, &e->info);
    return EXIT_OK;
}

void engine_close(engine *e) {
    if (e->model != NULL) e->tsm_close(e->model);
    unload(e);
}

int engine_threads(const engine *e, int threads) {
    return threads > 0 ? threads : (int)bundle_value(e->bundle, "", "threads")->number;
}

int engine_window(const engine *e, int32_t *frames, int32_t *stride) {
    return e->tsm_window(e->model, frames, stride) == TSM_OK && *frames > 1;
}

int engine_delay(const engine *e) {
    int32_t frames, stride;
    if (engine_window(e, &frames, &stride)) return 0;
    const json_value *late = json_member(bundle_value(e->bundle, "model", "parameters"), "delay_frames");
    return late == NULL ? 0 : (int)late->number;
}

size_t engine_input_floats(const engine *e) {
    size_t floats = 1;
    const json_value *input = bundle_value(e->bundle, "signature", "inputs")->first;
    for (const json_value *m = json_member(input, "shape")->first; m != NULL; m = m->next) floats *= (size_t)m->number;
    return floats;
}

int engine_stream(const engine *e, int threads, tsm_stream **stream) {
    char error[TSM_ERROR_SIZE];
    const tsm_status status = e->tsm_stream_new(e->model, engine_threads(e, threads), stream, error, sizeof error);
    if (status != TSM_OK) complain("%s", error);
    return exit_code(status);
}

int engine_complain(const engine *e, tsm_status status, const tsm_stream *stream) {
    complain("%s", e->tsm_error(stream));
    return exit_code(status);
}
