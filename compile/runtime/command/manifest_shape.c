/* manifest_shape.c: which keys a manifest.json of format 3 has, and of which kind their values are: a table.
 *
 * A reader that ignored what it does not know could run a bundle wrongly, so nothing unknown is accepted. */
#include "manifest_parts.h"

#include <math.h>
#include <string.h>

/* -- The shape ----------------------------------------------------------------------------------------------------- */

typedef enum { END, TEXT, NAME, WORD, HASH, HASH_OR_NOTHING, COUNT, EXTENT, NUMBER, POSITIVE, SCALAR, GROUP,
               GROUP_OR_NULL, MAP, LIST } rule_kind;

typedef struct rule rule;
struct rule {
    const char *key;
    rule_kind kind;
    const char *words;   /* WORD: what is allowed, between blanks */
    const rule *members; /* GROUP: one rule a key; MAP and LIST: the one rule of all members */
};

static const rule any_text = {"", TEXT, NULL, NULL}, any_scalar = {"", SCALAR, NULL, NULL};
static const rule any_number = {"", NUMBER, NULL, NULL}, any_positive = {"", POSITIVE, NULL, NULL};
static const rule any_extent = {"", EXTENT, NULL, NULL};
static const rule tensor[] = {
    {"name", NAME, NULL, NULL}, {"shape", LIST, NULL, &any_extent}, {"dtype", WORD, " float32 ", NULL}, {0}};
static const rule any_tensor = {"", GROUP, NULL, tensor};
static const rule state[] = {{"input", GROUP, NULL, tensor}, {"output_name", NAME, NULL, NULL}, {0}};
static const rule any_state = {"", GROUP, NULL, state};
static const rule signature[] = {
    {"inputs", LIST, NULL, &any_tensor}, {"states", LIST, NULL, &any_state}, {"outputs", LIST, NULL, &any_tensor}, {0}};
static const rule weights[] = {
    {"source", WORD, " default file seeded onnx ", NULL}, {"note", TEXT, NULL, NULL},
    {"sha256", HASH_OR_NOTHING, NULL, NULL}, {0}};
static const rule model[] = {
    {"name", TEXT, NULL, NULL}, {"parameters", MAP, NULL, &any_scalar}, {"weights", GROUP, NULL, weights},
    {"source", WORD, " zoo onnx ", NULL}, {0}};
static const rule preprocess[] = {
    {"resize", LIST, NULL, &any_extent}, {"crop", LIST, NULL, &any_extent}, {"mean", LIST, NULL, &any_number},
    {"std", LIST, NULL, &any_positive}, {"color", WORD, " rgb bgr grey ", NULL}, {"rate_fps", POSITIVE, NULL, NULL},
    {"fit", WORD, " cover stretch ", NULL}, {"scale", POSITIVE, NULL, NULL}, {0}};
static const rule any_count = {"", COUNT, NULL, NULL};
static const rule decision[] = {
    {"window", EXTENT, NULL, NULL}, {"agree", EXTENT, NULL, NULL}, {"threshold", NUMBER, NULL, NULL},
    {"idle", LIST, NULL, &any_count}, {0}};
static const rule target[] = {
    {"name", TEXT, NULL, NULL}, {"family", WORD, " cpu cuda opencl ", NULL},
    {"arch", WORD, " x86_64 aarch64 armv7l ", NULL}, {"os", WORD, " linux ", NULL},
    {"libc", WORD, " glibc musl bionic ", NULL}, {"glibc", TEXT, NULL, NULL}, {"link", WORD, " shared static ", NULL},
    {"requires", LIST, NULL, &any_text}, {"fallback", TEXT, NULL, NULL}, {0}};
static const rule plan[] = {
    {"steps", COUNT, NULL, NULL}, {"arena_bytes", COUNT, NULL, NULL}, {"state_bytes", COUNT, NULL, NULL},
    {"weights_bytes", COUNT, NULL, NULL}, {"scratch_bytes", COUNT, NULL, NULL}, {"macs", COUNT, NULL, NULL}, {0}};
static const rule device[] = {
    {"api", WORD, " cuda opencl ", NULL}, {"compute_capability", COUNT, NULL, NULL}, {"ptx_isa", COUNT, NULL, NULL},
    {"driver_cuda", COUNT, NULL, NULL}, {"group_threads", EXTENT, NULL, NULL}, {"shared_bytes", COUNT, NULL, NULL},
    {0}};
static const rule file[] = {{"sha256", HASH, NULL, NULL}, {"bytes", COUNT, NULL, NULL}, {0}};
static const rule any_file = {"", GROUP, NULL, file};
static const rule manifest[] = {
    {"format", COUNT, NULL, NULL}, {"model", GROUP, NULL, model}, {"labels", LIST, NULL, &any_text},
    {"preprocess", GROUP_OR_NULL, NULL, preprocess}, {"signature", GROUP, NULL, signature},
    {"target", GROUP, NULL, target}, {"backend", TEXT, NULL, NULL}, {"precision", WORD, " float32 float16 int8 ", NULL},
    {"threads", COUNT, NULL, NULL}, {"plan", GROUP, NULL, plan}, {"files", MAP, NULL, &any_file},
    {"compiler", MAP, NULL, &any_text},
    {"scores", WORD, " logits probabilities log-probabilities sigmoid ", NULL}, {"decision", GROUP, NULL, decision},
    {"device", GROUP_OR_NULL, NULL, device}, {0}};

/* -- Checking the shape -------------------------------------------------------------------------------------------- */

static int is_integer(const json_value *v, double least) {
    return v->kind == JSON_INTEGER && v->number >= least && v->number < 9007199254740992.0; /* 2^53 */
}

static int is_number(const json_value *v, double above) {
    return (v->kind == JSON_INTEGER || v->kind == JSON_REAL) && isfinite(v->number) && v->number > above;
}

static int is_hash(const json_value *v) {
    return v->kind == JSON_STRING && v->text_size == 64 && strspn(v->text, "0123456789abcdef") == 64;
}

static int check_group(const json_value *v, const char *key, const rule *members, refusal *why);

static int check_members(const json_value *v, const char *key, const rule *all, refusal *why);

static int check(const json_value *v, const char *key, const rule *r, refusal *why) {
    switch (r->kind) {
    case TEXT: return v->kind == JSON_STRING || refuse_value(why, key, "a string");
    case NAME: return (v->kind == JSON_STRING && v->text_size > 0) || refuse_value(why, key, "a string, not empty");
    case WORD: return json_is_word(v, r->words) || refuse_value(why, key, r->words + 1);
    case HASH: return is_hash(v) || refuse_value(why, key, "64 hexadecimal digits");
    case HASH_OR_NOTHING:
        return is_hash(v) || json_is(v, "") || refuse_value(why, key, "64 hexadecimal digits or nothing");
    case COUNT: return is_integer(v, 0) || refuse_value(why, key, "an integer from 0 to 2^53 - 1");
    case EXTENT: return is_integer(v, 1) || refuse_value(why, key, "an integer from 1 to 2^53 - 1");
    case NUMBER: return is_number(v, -INFINITY) || refuse_value(why, key, "a finite number");
    case POSITIVE: return is_number(v, 0) || refuse_value(why, key, "a finite number above 0");
    case SCALAR:
        return (v->kind != JSON_NULL && v->kind != JSON_ARRAY && v->kind != JSON_OBJECT) ||
               refuse_value(why, key, "a string, a number or a truth value");
    case GROUP_OR_NULL: return v->kind == JSON_NULL || check_group(v, key, r->members, why);
    case GROUP: return check_group(v, key, r->members, why);
    case MAP:
        return v->kind == JSON_OBJECT ? check_members(v, key, r->members, why) : refuse_value(why, key, "an object");
    case LIST:
        return v->kind == JSON_ARRAY ? check_members(v, key, r->members, why) : refuse_value(why, key, "a list");
    case END: break;
    }
    return refuse_value(why, key, "nothing");
}

static int check_members(const json_value *v, const char *key, const rule *all, refusal *why) {
    for (const json_value *m = v->first; m != NULL; m = m->next)
        if (!check(m, m->key != NULL ? m->key : key, all, why)) return 0;
    return 1;
}

/* All keys are there and no other; json_read lets none occur twice. */
static int check_group(const json_value *v, const char *key, const rule *members, refusal *why) {
    size_t known = 0;
    if (v->kind != JSON_OBJECT) return refuse_value(why, key, "an object");
    for (const rule *r = members; r->kind != END; r++, known++) {
        const json_value *m = json_member(v, r->key);
        if (m == NULL) return refuse_value(why, r->key, "a value; the key is missing");
        if (!check(m, r->key, r, why)) return 0;
    }
    return v->count == known || refuse_value(why, key, "the keys of format 3 and no others");
}

int manifest_check_shape(const json_value *document, refusal *why) {
    const json_value *threads = json_member(document, "threads");
    return check_group(document, "the document", manifest, why) &&
           (is_integer(threads, 1) && threads->number <= 64 ? 1 : refuse_value(why, "threads", "1 to 64"));
}
