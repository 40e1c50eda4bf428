/* manifest_relations.c: what the fields of a manifest must be to each other. Its shape was checked before. */
#include "manifest_parts.h"

#include <stdlib.h>
#include <string.h>

static const json_value *at(const json_value *document, const char *group, const char *key) {
    return json_member(json_member(document, group), key);
}

/* The names of all tensors into names[0..count), or NULL to count them. */
static size_t take_names(const json_value *signature_value, const json_value **names) {
    static const char *const lists[] = {"inputs", "states", "outputs"};
    size_t count = 0;
    for (size_t l = 0; l < 3; l++) {
        for (const json_value *m = json_member(signature_value, lists[l])->first; m != NULL; m = m->next) {
            const json_value *input = json_member(m, "input");
            if (names != NULL) names[count] = json_member(input != NULL ? input : m, "name");
            if (names != NULL && input != NULL) names[count + 1] = json_member(m, "output_name");
            count += input != NULL ? 2 : 1;
        }
    }
    return count;
}

static int check_names(const json_value *signature_value, refusal *why) {
    const size_t count = take_names(signature_value, NULL);
    const json_value **names = malloc(count * sizeof *names);
    if (names == NULL) return refuse(why, "manifest-unreadable", "out of memory for the names of the tensors");
    take_names(signature_value, names);
    const json_value *repeated = json_repeated(names, count);
    free(names);
    return repeated == NULL || refuse_value(why, repeated->text, "a tensor name of its own");
}

static int check_signature(const json_value *document, refusal *why) {
    const json_value *s = json_member(document, "signature"), *labels = json_member(document, "labels");
    const json_value *groups[] = {json_member(s, "inputs"), json_member(s, "outputs"), json_member(s, "states")};
    if (groups[0]->count == 0 || groups[1]->count == 0)
        return refuse_value(why, "signature", "an input and an output");
    for (size_t g = 0; g < 3; g++)
        for (const json_value *m = groups[g]->first; m != NULL; m = m->next)
            if (json_member(g == 2 ? json_member(m, "input") : m, "shape")->count == 0)
                return refuse_value(why, "shape", "one or more extents");
    const json_value *classes = json_member(groups[1]->first, "shape")->first;
    while (classes->next != NULL) classes = classes->next;
    if (labels->count != 0 && (double)labels->count != classes->number)
        return refuse_value(why, "labels", "none, or one for each class");
    return check_names(s, why);
}

static int check_preprocess(const json_value *p, refusal *why) {
    if (p->kind == JSON_NULL) return 1;
    const size_t channels = json_is(json_member(p, "color"), "grey") ? 1 : 3;
    const json_value *resize = json_member(p, "resize"), *crop = json_member(p, "crop");
    if (json_member(p, "mean")->count != channels) return refuse_value(why, "mean", "a number for each channel");
    if (json_member(p, "std")->count != channels) return refuse_value(why, "std", "a number for each channel");
    if (resize->count != 2) return refuse_value(why, "resize", "height and width");
    if (crop->count != 2) return refuse_value(why, "crop", "height and width");
    return (crop->first->number <= resize->first->number && crop->first->next->number <= resize->first->next->number) ||
           refuse_value(why, "crop", "at most resize");
}

static int check_decision(const json_value *document, refusal *why) {
    static const char *const lengths[] = {"window", "agree"};
    const json_value *d = json_member(document, "decision");
    const json_value *outputs = json_member(json_member(document, "signature"), "outputs");
    const json_value *classes = json_member(outputs->first, "shape")->first;
    const double threshold = json_member(d, "threshold")->number;
    double least = 0;
    while (classes->next != NULL) classes = classes->next;
    for (size_t i = 0; i < 2; i++)
        if (json_member(d, lengths[i])->number > 1000) return refuse_value(why, lengths[i], "1 to 1000 frames");
    if (threshold < 0 || threshold > 1) return refuse_value(why, "threshold", "0..1");
    for (const json_value *m = json_member(d, "idle")->first; m != NULL; m = m->next, least++) {
        if (m->number < least || m->number >= classes->number)
            return refuse_value(why, "idle", "indices of classes, ascending");
        least = m->number;
    }
    return 1;
}

/* The parameters are free, but for those that are read here. */
static int check_parameters(const json_value *document, refusal *why) {
    static const struct {
        const char *name, *allowed;
        int least;
    } counts[] = {{"delay_frames", "an integer from 0 to 1000", 0},
                  {"clip_frames", "an integer from 1 to 1000", 1},
                  {"window_stride", "an integer from 1 to 1000", 1}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const json_value *m = json_member(at(document, "model", "parameters"), counts[i].name);
        if (m != NULL && !(m->kind == JSON_INTEGER && m->number >= counts[i].least && m->number <= 1000))
            return refuse_value(why, counts[i].name, counts[i].allowed);
    }
    return 1;
}

/* Digits, a point, digits; one to four each. */
static int is_version(const char *text, size_t size) {
    const size_t major = strspn(text, "0123456789");
    if (major < 1 || major > 4 || text[major] != '.') return 0;
    const size_t minor = strspn(text + major + 1, "0123456789");
    return minor >= 1 && minor <= 4 && major + 1 + minor == size;
}

static int check_target(const json_value *t, refusal *why) {
    static const char *const features[][2] = {
        {"x86_64", " sse4.2 avx avx2 fma f16c avx_vnni avx512f avx512vl avx512bw avx512dq avx512_vnni "},
        {"aarch64", " asimd fp16 dotprod "},
        {"armv7l", " neon vfpv4 "},
    };
    const json_value *glibc = json_member(t, "glibc");
    if (json_is(json_member(t, "libc"), "glibc") ? !is_version(glibc->text, glibc->text_size) : glibc->text_size != 0)
        return refuse_value(why, "glibc", "a version like \"2.27\" for glibc, otherwise nothing");
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        if (!json_is(json_member(t, "arch"), features[i][0])) continue;
        for (const json_value *m = json_member(t, "requires")->first; m != NULL; m = m->next)
            if (!json_is_word(m, features[i][1])) return refuse_value(why, "requires", features[i][1] + 1);
    }
    return 1;
}

/* Exactly the bundles of a GPU family have a device; CUDA's own fields are above 0 there and 0 elsewhere. */
static int check_device(const json_value *document, refusal *why) {
    static const char *const of_cuda[] = {"compute_capability", "ptx_isa", "driver_cuda"};
    const json_value *d = json_member(document, "device"), *family = at(document, "target", "family");
    if (d->kind == JSON_NULL)
        return json_is(family, "cpu") || refuse_value(why, "device", "the requirements of target.family");
    const json_value *api = json_member(d, "api");
    if (!json_is(family, api->text)) return refuse_value(why, "device", "null, or an api that is target.family");
    for (size_t i = 0; i < sizeof of_cuda / sizeof *of_cuda; i++)
        if ((json_member(d, of_cuda[i])->number > 0) != json_is(api, "cuda"))
            return refuse_value(why, of_cuda[i], "above 0 for cuda, otherwise 0");
    return 1;
}

static int is_file_name(const char *name, size_t size) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.";
    return size > 0 && name[0] != '.' && strspn(name, letters) == size && strcmp(name, "manifest.json") != 0;
}

static int check_files(const json_value *document, refusal *why) {
    const json_value *files = json_member(document, "files");
    const int is_static = json_is(at(document, "target", "link"), "static");
    const char *const expected[] = {is_static ? "libtsm.a" : "libtsm.so", "tsm-edge-run", "tsm_edge.h", "plan.txt"};
    for (const json_value *m = files->first; m != NULL; m = m->next)
        if (!is_file_name(m->key, m->key_size))
            return refuse_value(why, "files", "plain file names, and not manifest.json itself");
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (json_member(files, expected[i]) == NULL) return refuse_value(why, "files", expected[i]);
    return 1;
}

int manifest_check_relations(const json_value *document, refusal *why) {
    return check_signature(document, why) && check_preprocess(json_member(document, "preprocess"), why) &&
           check_decision(document, why) && check_parameters(document, why) &&
           check_target(json_member(document, "target"), why) && check_device(document, why) &&
           check_files(document, why);
}
