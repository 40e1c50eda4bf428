/* info.c: --info, for people. */
#define _POSIX_C_SOURCE 200809L
#include "cpu.h"
#include "modes.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

static const char *text(const engine *e, const char *group, const char *key) {
    return bundle_value(e->bundle, group, key)->text;
}

static double kib(size_t bytes) { return (double)bytes / 1024; }

static void print_shape(const tsm_tensor_info *t) {
    for (int i = 0; i < t->ndim; i++) printf("%s%d", i ? "x" : "", (int)t->shape[i]);
}

static void print_cpu(const engine *e) {
    char found[128];
    printf("cpu       found: %s\n          required:", tsm_cpu_found(found, sizeof found));
    const json_value *required = bundle_value(e->bundle, "target", "requires");
    for (const json_value *m = required->first; m != NULL; m = m->next) printf(" %s", m->text);
    puts(required->count ? "" : " nothing beyond the architecture");
}

static void print_input(const engine *e) {
    const json_value *p = bundle_value(e->bundle, "", "preprocess");
    const tsm_model_info *i = &e->info;
    printf("input     %dx%dx%d float32", (int)i->input_channels, (int)i->input_height, (int)i->input_width);
    if (p->kind == JSON_OBJECT)
        printf("; images: short side to %.0f, centre %.0fx%.0f, %s, trained at %g frames a second",
               json_member(p, "resize")->number, json_member(p, "crop")->number, json_member(p, "crop")->number,
               json_member(p, "color")->text, json_member(p, "rate_fps")->number);
    putchar('\n');
}

static void print_states(const engine *e) {
    printf("states    %zu, %.1f KiB a stream, held twice\n", e->info.state_count, kib(e->info.state_bytes));
    for (size_t i = 0; i < e->info.state_count; i++) {
        tsm_tensor_info state;
        e->tsm_state_info(e->model, i, &state);
        printf("          %-12s ", state.name);
        print_shape(&state);
        printf(" (%zu bytes)\n", state.bytes);
    }
}

int run_info(const engine *e) {
    const tsm_model_info *i = &e->info;
    const json_value *glibc = bundle_value(e->bundle, "target", "glibc");
    printf("model     %s, %d classes, %zu labels\n", i->model, (int)i->classes, i->label_count);
    printf("weights   %s: %s\n", json_member(bundle_value(e->bundle, "model", "weights"), "source")->text,
           i->weights_note);
    printf("target    %s (%s, %s%s%s, %s, %s)\n", i->target, text(e, "target", "arch"), text(e, "target", "libc"),
           glibc->text_size ? " " : "", glibc->text, text(e, "target", "link"), text(e, "", "backend"));
    print_input(e);
    print_states(e);
    printf("memory    weights %.1f KiB; a stream: arena %.1f KiB, states 2 x %.1f KiB, scratch %.1f KiB a thread\n",
           kib(i->weights_bytes), kib(i->arena_bytes), kib(i->state_bytes), kib(i->scratch_bytes));
    printf("step      %zu operations, %.1f million multiply-adds\n", i->op_count,
           bundle_value(e->bundle, "plan", "macs")->number / 1e6);
    printf("threads   %d by default\n", engine_threads(e, 0));
    print_cpu(e);
    if (strcmp(text(e, "target", "family"), "cpu") != 0) printf("device    %s\n", e->tsm_device(e->model));
    const int end = flush_output();
    return end == STILL_OPEN ? EXIT_OK : end;
}
