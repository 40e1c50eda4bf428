/* info.c: --info, for people. */
#define _POSIX_C_SOURCE 200809L
#include "cpu.h"
#include "modes.h"
#include "output.h"
#include "printable.h"

#include <stdio.h>
#include <string.h>

static const char *text(const engine *e, const char *group, const char *key) {
    return bundle_value(e->bundle, group, key)->text;
}

static double kib(size_t bytes) { return (double)bytes / 1024; }

/* Words of ours, then a text that is foreign. */
static void put_name(const char *before, const char *name) {
    fputs(before, stdout);
    put_text(name);
}

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

static void print_size(const json_value *size) {
    printf(" %.0fx%.0f", size->first->next->number, size->first->number);
}

static void print_picture(const json_value *p) {
    printf("; images: %s", json_member(p, "fit")->text);
    print_size(json_member(p, "resize"));
    printf(", centre");
    print_size(json_member(p, "crop"));
    printf(", %s", json_member(p, "color")->text);
}

static void print_input(const engine *e) {
    const json_value *p = bundle_value(e->bundle, "", "preprocess");
    const tsm_model_info *i = &e->info;
    printf("input     %dx%dx%d float32", (int)i->input_channels, (int)i->input_height, (int)i->input_width);
    if (p->kind == JSON_OBJECT)
        print_picture(p);
    putchar('\n');
    int32_t frames, stride;
    if (engine_window(e, &frames, &stride))
        printf("window    %d frames at once, the first answer after as many, then one every %d\n", (int)frames, (int)stride);
}

static void print_time(const engine *e) {
    const tsm_model_info *i = &e->info;
    const tsm_decision_rule *rule = &i->decision;
    if (i->rate_fps > 0.0) printf("rate      %g frames a second: the model steps so often, whatever the camera delivers\n", i->rate_fps);
    const int late = engine_delay(e);
    if (late > 0) {
        printf("delay     %d frames", late);
        if (i->rate_fps > 0.0) printf(", %.2f s", late / i->rate_fps);
        puts(": the model looks into the future, and an answer is for the frame so far back");
    }
    printf("scores    %s\n", text(e, "", "scores"));
    printf("decision  mean of %d steps, %d that agree, probability %g to leave idle; idle:", (int)rule->window,
           (int)rule->agree, rule->threshold);
    for (size_t n = 0; n < rule->idle_count; n++) {
        fputs(n > 0 ? ", " : " ", stdout);
        if (i->label_count > 0) put_text(i->labels[rule->idle[n]]);
        else printf("%d", (int)rule->idle[n]);
    }
    puts(rule->idle_count > 0 ? "" : " none");
}

static void print_states(const engine *e) {
    printf("states    %zu, %.1f KiB a stream, held twice\n", e->info.state_count, kib(e->info.state_bytes));
    for (size_t i = 0; i < e->info.state_count; i++) {
        tsm_tensor_info state;
        e->tsm_state_info(e->model, i, &state);
        char name[128];
        printf("          %-12s ", printable(name, sizeof name, state.name));
        print_shape(&state);
        printf(" (%zu bytes)\n", state.bytes);
    }
}

int run_info(const engine *e) {
    const tsm_model_info *i = &e->info;
    const json_value *glibc = bundle_value(e->bundle, "target", "glibc");
    put_name("model     ", i->model);
    printf(", %d classes, %zu labels\n", (int)i->classes, i->label_count);
    printf("weights   %s: ", json_member(bundle_value(e->bundle, "model", "weights"), "source")->text);
    put_name("", i->weights_note);
    put_name("\ntarget    ", i->target);
    printf(" (%s, %s%s%s, %s", text(e, "target", "arch"), text(e, "target", "libc"), glibc->text_size ? " " : "",
           glibc->text, text(e, "target", "link"));
    put_name(", ", text(e, "", "backend"));
    puts(")");
    print_input(e);
    print_time(e);
    print_states(e);
    printf("memory    weights %.1f KiB; a stream: arena %.1f KiB, states 2 x %.1f KiB, scratch %.1f KiB a thread\n",
           kib(i->weights_bytes), kib(i->arena_bytes), kib(i->state_bytes), kib(i->scratch_bytes));
    printf("step      %zu operations, %.1f million multiply-adds\n", i->op_count,
           bundle_value(e->bundle, "plan", "macs")->number / 1e6);
    printf("threads   %d by default\n", engine_threads(e, 0));
    print_cpu(e);
    if (strcmp(text(e, "target", "family"), "cpu") != 0) {
        put_name("device    ", e->tsm_device(e->model));
        putchar('\n');
    }
    const int end = flush_output();
    return end == STILL_OPEN ? EXIT_OK : end;
}
