/* boxes.c: --boxes, a JSON list of frames, of boxes in each, of four numbers, as tsm_edge/boxes.py reads it. */
#include "boxes.h"

#include "output.h"
#include "printable.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 20, SIDES = 4 };
static const double LEAST = -1.0, MOST = 2.0; /* pictures: a detector's box may reach out of one */

typedef struct {
    char *text;
    json_document json;
    const char *path; /* printable */
} boxes_file;

static int find_state(boxes *b, const engine *e, tsm_tensor_info *info) {
    for (b->state = 0; b->state < e->info.state_count; b->state++) {
        e->tsm_state_info(e->model, b->state, info);
        if (strcmp(info->name, "boxes") == 0 && info->ndim == 3 && info->shape[2] == SIDES) return 1;
    }
    complain("--boxes means nothing to this bundle\n  found: no state called boxes\n"
             "  allowed: a network of regions, such as i3d-nonlocal-gcn");
    return 0;
}

static int read_text(boxes_file *f, const char *path) {
    char error[128];
    f->text = malloc(MAX_BYTES + 2);
    FILE *file = f->text == NULL ? NULL : fopen(path, "rb");
    if (file == NULL)
        return complain("'%s' cannot be read\n  found: %s", f->path, strerror(f->text == NULL ? ENOMEM : errno)), 0;
    const size_t size = fread(f->text, 1, MAX_BYTES + 1, file);
    const int failed = ferror(file);
    fclose(file);
    if (failed) return complain("'%s' cannot be read\n  found: %s", f->path, strerror(errno)), 0;
    if (size > MAX_BYTES) return complain("'%s' is larger than %d bytes", f->path, MAX_BYTES), 0;
    f->text[size] = '\0';
    if (json_read(&f->json, f->text, size, error, sizeof error)) return 1;
    complain("'%s' is no JSON\n  found: %s\n  allowed: [frames][boxes][4] numbers", f->path, error);
    return 0;
}

/* Whether value is a list of so many; where says which, as in "of frame 3". */
static int is_list(const boxes_file *f, const json_value *value, int32_t count, const char *what, const char *where) {
    if (value->kind == JSON_ARRAY && value->count == (size_t)count) return 1;
    char found[48] = "no list";
    if (value->kind == JSON_ARRAY) snprintf(found, sizeof found, "%zu", value->count);
    complain("'%s': wrong number of %s%s\n  found: %s\n  allowed: %d", f->path, what, where, found, (int)count);
    return 0;
}

static int read_values(const boxes_file *f, const tsm_tensor_info *info, float *out) {
    char where[64] = "";
    const json_value *frame = f->json.values;
    if (!is_list(f, frame, info->shape[0], "frames", where)) return 0;
    frame = frame->first;
    for (int t = 0; frame != NULL; t++, frame = frame->next) {
        snprintf(where, sizeof where, " in frame %d", t);
        if (!is_list(f, frame, info->shape[1], "boxes", where)) return 0;
        const json_value *box = frame->first;
        for (int i = 0; box != NULL; i++, box = box->next) {
            snprintf(where, sizeof where, " of box %d in frame %d", i, t);
            if (!is_list(f, box, SIDES, "numbers", where)) return 0;
            for (const json_value *side = box->first; side != NULL; side = side->next) {
                const int number = side->kind == JSON_INTEGER || side->kind == JSON_REAL;
                if (!number || side->number < LEAST || side->number > MOST) {
                    char found[48] = "no number";
                    if (number) snprintf(found, sizeof found, "%g", side->number);
                    complain("'%s': bad value%s\n  found: %s\n  allowed: %g to %g, fractions of the picture: left, top, "
                             "right, bottom\n  hint: divide pixels by the picture's width and height",
                             f->path, where, found, LEAST, MOST);
                    return 0;
                }
                *out++ = (float)side->number;
            }
        }
    }
    return 1;
}

int boxes_read(boxes *b, const engine *e, const char *path) {
    char shown[256];
    tsm_tensor_info info;
    boxes_file file = {.path = path == NULL ? "" : printable(shown, sizeof shown, path)};
    *b = (boxes){0};
    if (path == NULL) return EXIT_OK;
    if (!find_state(b, e, &info)) return EXIT_USAGE;
    b->count = info.bytes / sizeof(float);
    b->values = malloc(info.bytes);
    const int good = b->values != NULL && read_text(&file, path) && read_values(&file, &info, b->values);
    if (b->values == NULL) complain("out of memory");
    json_free(&file.json);
    free(file.text);
    return good ? EXIT_OK : EXIT_USAGE;
}

void boxes_free(boxes *b) {
    free(b->values);
    b->values = NULL;
}

void boxes_put(const boxes *b, const engine *e, tsm_stream *stream) {
    if (b->values != NULL) e->tsm_state_set(stream, b->state, b->values, b->count);
}
