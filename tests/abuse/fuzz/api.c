/* api.c: programs of calls of the C API, with any arguments, over the plan of tiny_plan.c; several streams, which are
 * also stepped at once in threads of their own.
 *
 * What is known of each stream (was it stepped, how often since the last reset) is kept here and compared with what the
 * stream's second state says, which counts steps. */
#define _POSIX_C_SOURCE 200809L
#include "fuzz.h"
#include "tsm_edge.h"

#include <math.h>
#include <pthread.h>

enum { SIDE = 20, FLOATS = 3 * SIDE * SIDE, COUNTS = 5, CLASSES = 3 }; /* of tiny_plan.c */
enum { STREAMS = 4, MOST_CALLS = 24, MOST_BYTES = 1 << 14 };

typedef struct {
    tsm_stream *stream;
    float count;      /* what the state "steps" must hold */
    int known;        /* 0: it was set from outside to something else */
    tsm_decision *decision;
    tsm_sampler sampler;
} camera;

static tsm_model *model;

static void open_stream(source *s, camera *c) {
    char error[TSM_ERROR_SIZE];
    const unsigned kind = take_byte(s);
    const int32_t few = kind < 160 ? 1 : (int32_t)(1 + kind % 3);
    const int32_t threads = kind < 200 ? few : (int32_t)take_edge(s, INT32_MIN, INT32_MAX);
    if (threads > 3 && threads <= TSM_MAX_THREADS) return; /* many threads are slow, and tested elsewhere */
    const tsm_model *of = take_byte(s) % 16 ? model : NULL;
    tsm_stream **out = take_byte(s) % 16 ? &c->stream : NULL;
    char *text = take_byte(s) % 4 ? error : NULL;
    const size_t room = take_byte(s) % 4 ? sizeof error : 0;
    const tsm_status status = tsm_stream_new(of, threads, out, text, room);
    ALWAYS((status == TSM_OK) == (c->stream != NULL));
    c->count = 0.0f;
    c->known = 1;
}

static void free_stream(camera *c) {
    tsm_stream_free(c->stream);
    tsm_decision_free(c->decision);
    *c = (camera){0};
}

/* -- Steps --------------------------------------------------------------------------------------------------------- */

static void stepped(camera *c, tsm_status status) {
    ALWAYS(status == TSM_OK || tsm_error(c->stream)[0] != '\0');
    if (status == TSM_OK) c->count += 1.0f;
}

static void step_image(source *s, camera *c) {
    const unsigned kind = take_byte(s);
    tsm_image image = {NULL};
    image.width = (int32_t)take_edge(s, kind < 8 ? INT32_MIN : 1, kind < 8 ? INT32_MAX : 64);
    image.height = (int32_t)take_edge(s, kind < 16 ? INT32_MIN : 1, kind < 16 ? INT32_MAX : 64);
    static const int formats[] = {TSM_BGR, TSM_RGB, TSM_YUV420 + 1, -1}; /* image_step.c has the others */
    image.format = (tsm_format)formats[take_byte(s) % (kind < 24 ? 4 : 2)];
    image.stride = kind < 32 ? (size_t)take(s, INT64_MIN, INT64_MAX) : 3 * (size_t)image.width + (size_t)take(s, 0, 9);
    const int sound = image.width >= 1 && image.height >= 1 && image.width <= TSM_MAX_IMAGE_SIDE &&
                      image.height <= TSM_MAX_IMAGE_SIDE && image.stride >= 3 * (size_t)image.width &&
                      image.stride <= MOST_BYTES && image.stride * (size_t)image.height <= MOST_BYTES;
    uint8_t *pixels = NULL, dummy = 0;
    if (sound)
        image.pixels = pixels = take_block(s, image.stride * (size_t)(image.height - 1) + 3 * (size_t)image.width);
    if (!sound && kind % 2 == 0) image.pixels = &dummy;
    /* A sound image that is too large to be made here: every byte of it would be read. */
    const int too_large = !sound && image.pixels != NULL && image.width >= 1 && image.height >= 1 &&
                          image.width <= TSM_MAX_IMAGE_SIDE && image.height <= TSM_MAX_IMAGE_SIDE &&
                          image.stride >= 3 * (size_t)image.width &&
                          image.stride <= ((size_t)PTRDIFF_MAX - 3 * (size_t)image.width) / (size_t)image.height;
    if (!too_large) {
        const tsm_status status = tsm_step_image(c->stream, &image);
        ALWAYS((status == TSM_OK) == (sound && (image.format == TSM_BGR || image.format == TSM_RGB)));
        stepped(c, status);
    }
    free(pixels);
}

static float take_float(source *s) {
    static const float special[] = {0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN, 3.4e38f, 1e-45f};
    const unsigned kind = take_byte(s);
    return kind < 200 ? (float)((int)kind - 100) / 16.0f : special[kind % (sizeof special / sizeof *special)];
}

static void step_tensor(source *s, camera *c) {
    const unsigned kind = take_byte(s);
    const size_t count = kind < 16 ? (size_t)take_edge(s, 0, 2 * FLOATS) : FLOATS;
    float *frame = malloc(count * sizeof *frame + 1);
    ALWAYS(frame != NULL);
    const float value = take_float(s), other = take_float(s);
    for (size_t i = 0; i < count; i++) frame[i] = i % 7 ? value : other;
    const tsm_status status = tsm_step_tensor(c->stream, kind == 17 ? NULL : frame, count);
    ALWAYS((status == TSM_OK) == (count == FLOATS && kind != 17));
    stepped(c, status);
    size_t classes = 0;
    const float *scores = tsm_scores(c->stream, take_byte(s) % 2 ? &classes : NULL);
    ALWAYS(scores != NULL && (classes == CLASSES || classes == 0));
    free(frame);
}

static void *step_thrice(void *argument) {
    camera *c = argument;
    float *frame = calloc(FLOATS, sizeof *frame);
    ALWAYS(frame != NULL);
    for (int i = 0; i < 3; i++) stepped(c, tsm_step_tensor(c->stream, frame, FLOATS));
    free(frame);
    return NULL;
}

static void step_all_at_once(camera cameras[STREAMS]) {
    pthread_t threads[STREAMS];
    for (int i = 0; i < STREAMS; i++)
        if (cameras[i].stream != NULL) ALWAYS(pthread_create(&threads[i], NULL, step_thrice, &cameras[i]) == 0);
    for (int i = 0; i < STREAMS; i++)
        if (cameras[i].stream != NULL) pthread_join(threads[i], NULL);
}

/* -- States and questions ------------------------------------------------------------------------------------------ */

static void states(source *s, camera *c) {
    const size_t index = (size_t)take_edge(s, 0, 3), right = index == 0 ? FLOATS : COUNTS;
    const size_t count = take_byte(s) % 4 ? right : (size_t)take_edge(s, 0, FLOATS + 1);
    float *values = malloc(count * sizeof *values + 1);
    ALWAYS(values != NULL);
    for (size_t i = 0; i < count; i++) values[i] = 7.0f;
    const int good = index < 2 && count == right;
    if (take_byte(s) % 2) {
        ALWAYS((tsm_state_get(c->stream, index, values, count) == TSM_OK) == good);
        if (good && index == 1 && c->known)
            for (size_t i = 0; i < COUNTS; i++) ALWAYS(values[i] == c->count);
    } else {
        const int given = take_byte(s) % 16 != 0;
        ALWAYS((tsm_state_set(c->stream, index, given ? values : NULL, count) == TSM_OK) == (good && given));
        if (good && given && index == 1) c->known = 0;
    }
    free(values);
}

static void ask(source *s, camera *c) {
    const size_t index = (size_t)take_edge(s, 0, INT64_MAX);
    const tsm_model *of = take_byte(s) % 8 ? model : NULL;
    tsm_model_info info;
    tsm_op_info op;
    tsm_tensor_info state;
    size_t count = 0;
    ALWAYS((tsm_info(of, &info) == TSM_OK) == (of != NULL));
    ALWAYS((tsm_op(of, index, &op) == TSM_OK) == (of != NULL && index < 4));
    ALWAYS((tsm_state_info(of, index, &state) == TSM_OK) == (of != NULL && index < 2));
    ALWAYS(tsm_device(of) != NULL && tsm_error(c->stream) != NULL);
    ALWAYS(tsm_profile(c->stream, (int)take_byte(s) - 1) == TSM_OK);
    ALWAYS(tsm_op_ns(c->stream, &count) != NULL && count == 4);
}

/* -- Time and decisions -------------------------------------------------------------------------------------------- */

static double take_double(source *s) {
    static const double special[] = {0.0, -0.0, 12.0, 30.0, 1e-300, 1e300, -1.0, INFINITY, -INFINITY, NAN, 5e-324, 0.5};
    const unsigned kind = take_byte(s);
    if (kind < 128) return (double)take(s, 0, 4000) / 100.0;
    if (kind < 192) return special[kind % (sizeof special / sizeof *special)];
    double value;
    const int64_t bits = take(s, INT64_MIN, INT64_MAX);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void sample(source *s, camera *c) {
    if (take_byte(s) % 4 == 0) {
        const double rate = take_double(s);
        ALWAYS((tsm_sampler_init(&c->sampler, rate) == TSM_OK) == (isfinite(rate) && rate > 0.0));
    }
    for (unsigned n = take_byte(s) % 8; n > 0; n--) {
        tsm_sampler *sampler = take_byte(s) % 32 ? &c->sampler : NULL;
        const int32_t steps = tsm_sampler_take(sampler, take_double(s));
        ALWAYS(steps >= 0 && steps <= TSM_MAX_STEPS && c->sampler.missed >= 0.0 && isfinite(c->sampler.missed));
    }
}

static void new_decision(source *s, camera *c) {
    char error[TSM_ERROR_SIZE];
    int32_t idle[4];
    tsm_decision_rule rule = {0};
    rule.window = (int32_t)take_edge(s, -1, TSM_MAX_WINDOW + 2);
    rule.agree = (int32_t)take_edge(s, -1, TSM_MAX_WINDOW + 2);
    rule.threshold = take_byte(s) % 4 ? 0.75 : take_double(s);
    rule.idle = take_byte(s) % 16 ? idle : NULL;
    rule.idle_count = take_byte(s) % 5;
    for (size_t i = 0; i < 4; i++) idle[i] = (int32_t)take_edge(s, take_byte(s) % 8 ? 0 : -2, 3);
    const unsigned kind = take_byte(s);
    const int32_t classes = kind < 224 ? CLASSES : (int32_t)take_edge(s, -2, kind < 250 ? 8 : INT32_MAX);
    if (classes > 1000) return; /* gigabytes, which an allocation may refuse */
    tsm_decision_free(c->decision);
    const tsm_decision_rule *by = take_byte(s) % 32 ? &rule : NULL;
    const tsm_scores_kind scores = (tsm_scores_kind)(take_byte(s) % 6);
    const size_t room = take_byte(s) % 4 ? sizeof error : 8;
    const tsm_status status = tsm_decision_new(by, scores, classes, &c->decision, error, room);
    ALWAYS((status == TSM_OK) == (c->decision != NULL));
}

static void decide(source *s, camera *c) {
    size_t classes = 0;
    const double *means = tsm_decision_probabilities(c->decision, &classes);
    ALWAYS((means != NULL) == (c->decision != NULL));
    for (unsigned n = take_byte(s) % 12; n > 0; n--) {
        tsm_decided now = {-9, -9, -9.0, -9, -9};
        const size_t count = take_byte(s) % 32 ? classes : (size_t)take_byte(s) % 12;
        float *scores = malloc(count * sizeof *scores + 1);
        ALWAYS(scores != NULL);
        for (size_t i = 0; i < count; i++) scores[i] = take_float(s);
        const tsm_status status = tsm_decision_push(c->decision, scores, count, &now);
        if (status == TSM_OK) {
            ALWAYS(now.index >= 0 && now.index < (int32_t)classes);
            ALWAYS(now.raw_index >= 0 && now.raw_index < (int32_t)classes);
            ALWAYS(now.probability >= 0.0 && now.probability <= 1.0 + 1e-9 && now.probability == means[now.index]);
            ALWAYS((now.changed | 1) == 1 && (now.idle | 1) == 1);
        } else {
            ALWAYS(now.index == -9 && now.changed == -9);
            ALWAYS(c->decision == NULL || tsm_decision_error(c->decision)[0] != '\0');
        }
        free(scores);
    }
    if (take_byte(s) % 4 == 0) tsm_decision_reset(c->decision);
}

static void probabilities(source *s) {
    const size_t count = take_byte(s) % 8;
    float scores[8];
    double out[8] = {0};
    for (size_t i = 0; i < 8; i++) scores[i] = take_float(s);
    const tsm_scores_kind kind = (tsm_scores_kind)(take_byte(s) % 6);
    if (tsm_probabilities(kind, scores, count, out) != TSM_OK) return;
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) ALWAYS(out[i] >= 0.0 && out[i] <= 1.0 && (sum += out[i]) >= 0.0);
    ALWAYS(kind != TSM_LOGITS || fabs(sum - 1.0) < 1e-9);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static void call(source *s, camera cameras[STREAMS]) {
    const unsigned kind = take_byte(s) % 16;
    camera *c = &cameras[take_byte(s) % STREAMS];
    switch (kind) {
    case 0: sample(s, c); return;
    case 1: new_decision(s, c); return;
    case 2: decide(s, c); return;
    case 3: probabilities(s); return;
    default: break;
    }
    if (c->stream == NULL) {
        open_stream(s, c);
        return;
    }
    switch (kind) {
    case 4: free_stream(c); break;
    case 5: case 6: case 7: step_image(s, c); break;
    case 8: case 9: case 10: step_tensor(s, c); break;
    case 11: case 12: states(s, c); break;
    case 13: ask(s, c); break;
    case 14:
        ALWAYS(tsm_reset(c->stream) == TSM_OK);
        c->count = 0.0f;
        c->known = 1;
        break;
    default:
        if (take_byte(s) % 8 == 0) step_all_at_once(cameras);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    source s = {data, data + size};
    camera cameras[STREAMS] = {0};
    char error[TSM_ERROR_SIZE];
    ALWAYS(tsm_open(&model, error, sizeof error) == TSM_OK);
    for (int calls = 0; calls < MOST_CALLS && s.at < s.end; calls++) call(&s, cameras);
    for (int i = 0; i < STREAMS; i++) free_stream(&cameras[i]);
    tsm_close(model);
    return 0;
}
