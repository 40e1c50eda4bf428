/* bundle.c: a folder with a bundle in which files were changed, removed, added or replaced by what is no file.
 *
 * TSM_FUZZ_BUNDLE names a whole bundle of four small files; TSM_FUZZ_WORK a folder to work in, best in memory. What the
 * rules must say is worked out here from what was done, unless the manifest itself was changed. */
#define _POSIX_C_SOURCE 200809L
#include "bundle_check.h"
#include "fuzz.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 5, MANIFEST = 4, MOST = 4096, EXTRAS = 4 };

static const char *const names[FILES] = {"libtsm.so", "plan.txt", "tsm-edge-run", "tsm_edge.h", "manifest.json"};
static char folder[256], original[FILES][MOST];
static size_t sizes[FILES];

/* What was done to the folder, from which follows what the rules say. */
typedef struct {
    int touched[FILES], missing[FILES], size[FILES], hash[FILES];
    int manifest_changed, extras;
    char extra[EXTRAS][64];
} changes;

static const char *at(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const void *bytes, size_t size) {
    const int file = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ALWAYS(file >= 0 && write(file, bytes, size) == (ssize_t)size);
    close(file);
}

static void start(void) {
    const char *source_folder = getenv("TSM_FUZZ_BUNDLE"), *work = getenv("TSM_FUZZ_WORK");
    ALWAYS(source_folder != NULL && work != NULL);
    snprintf(folder, sizeof folder, "%s/fuzz-XXXXXX", work);
    ALWAYS(mkdtemp(folder) != NULL);
    for (int i = 0; i < FILES; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", source_folder, names[i]);
        FILE *file = fopen(path, "rb");
        ALWAYS(file != NULL);
        sizes[i] = fread(original[i], 1, MOST, file);
        ALWAYS(sizes[i] < MOST);
        fclose(file);
        put(names[i], original[i], sizes[i]);
    }
}

static void clear(const char *name) {
    if (unlink(at(name)) != 0) rmdir(at(name));
}

static void rewrite(changes *c, source *s, int f) {
    const size_t size = take_byte(s) % 2 ? sizes[f] : (size_t)take(s, 0, 200);
    uint8_t *bytes = take_block(s, size);
    c->missing[f] = 0;
    c->size[f] = size != sizes[f];
    c->hash[f] = !c->size[f] && memcmp(bytes, original[f], size) != 0;
    clear(names[f]);
    put(names[f], bytes, size);
    free(bytes);
}

/* A folder, a link to nowhere, to itself, to a folder, a pipe; or a link to another file of the bundle. */
static void replace_by_other(changes *c, source *s, int f) {
    static const char *const links[] = {"nowhere", NULL, ".", "/proc/self/mem/x"};
    const unsigned kind = take_byte(s) % 7;
    clear(names[f]);
    c->missing[f] = 1;
    if (kind < 4) {
        ALWAYS(symlink(links[kind] != NULL ? links[kind] : names[f], at(names[f])) == 0);
    } else if (kind == 4) {
        ALWAYS(mkdir(at(names[f]), 0755) == 0);
    } else if (kind == 5) {
        ALWAYS(mkfifo(at(names[f]), 0644) == 0);
    } /* 6: nothing in its place */
}

static void add_extra(changes *c, source *s) {
    char *name = c->extra[c->extras];
    const size_t size = (size_t)take(s, 1, 40);
    for (size_t i = 0; i < size; i++) {
        const unsigned byte = take_byte(s);
        name[i] = byte == 0 || byte == '/' ? 'x' : (char)byte;
    }
    name[size] = '\0';
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return;
    for (int i = 0; i < FILES; i++)
        if (strcmp(name, names[i]) == 0) return;
    for (int i = 0; i < c->extras; i++)
        if (strcmp(name, c->extra[i]) == 0) return;
    c->extras++;
    if (take_byte(s) % 4 == 0 && mkdir(at(name), 0755) == 0) return;
    put(name, "x", 1);
}

static void change_manifest(changes *c, source *s) {
    char text[MOST];
    memcpy(text, original[MANIFEST], sizes[MANIFEST]);
    size_t size = sizes[MANIFEST];
    for (unsigned n = 1 + take_byte(s) % 3; n > 0; n--) {
        const size_t place = (size_t)take(s, 0, (int64_t)size - 1), length = (size_t)take(s, 1, 12);
        for (size_t i = 0; i < length && place + i < size; i++) text[place + i] = (char)take_byte(s);
    }
    if (take_byte(s) % 8 == 0) size = (size_t)take(s, 0, (int64_t)size);
    c->manifest_changed = 1;
    clear(names[MANIFEST]);
    put(names[MANIFEST], text, size);
    c->missing[MANIFEST] = 0;
}

static void change(changes *c, source *s) {
    const unsigned kind = take_byte(s) % 8;
    const int f = (int)(take_byte(s) % FILES);
    if (kind == 0 && c->extras < EXTRAS) {
        add_extra(c, s);
    } else if (kind < 3 || (kind < 5 && f == MANIFEST)) {
        change_manifest(c, s);
    } else if (kind < 5) {
        rewrite(c, s, f);
        c->touched[f] = 1;
    } else {
        replace_by_other(c, s, f);
        c->touched[f] = 1;
    }
}

static int any(const int flags[FILES]) { return flags[0] || flags[1] || flags[2] || flags[3]; }

static void check_answer(const changes *c, int good, const char *name) {
    const int here = good || strncmp(name, "wrong-", 6) == 0; /* another machine than the bundle's */
    if (c->missing[MANIFEST])
        ALWAYS(strcmp(name, "not-a-bundle") == 0);
    else if (c->manifest_changed)
        return;
    else if (any(c->missing))
        ALWAYS(strcmp(name, "file-missing") == 0);
    else if (c->extras > 0)
        ALWAYS(strcmp(name, "file-unlisted") == 0);
    else if (any(c->size))
        ALWAYS(strcmp(name, "file-size") == 0);
    else if (any(c->hash))
        ALWAYS(strcmp(name, "file-hash") == 0);
    else
        ALWAYS(here);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bundle b;
    source s = {data, data + size};
    changes c = {0};
    refusal why = {0};
    if (folder[0] == '\0') start();
    for (unsigned n = take_byte(&s) % 5; n > 0; n--) change(&c, &s);
    const int good = bundle_check(&b, folder, &why);
    ALWAYS(good == (why.name == NULL));
    check_answer(&c, good, good ? "" : why.name);
    for (const char *t = why.text; *t != '\0'; t++) ALWAYS((unsigned char)*t >= ' ' || *t == '\n');
    bundle_free(&b);
    for (int i = 0; i < c.extras; i++) clear(c.extra[i]);
    for (int i = 0; i < FILES; i++) {
        if (!c.touched[i] && !(i == MANIFEST && c.manifest_changed)) continue;
        clear(names[i]);
        put(names[i], original[i], sizes[i]);
    }
    return 0;
}
