/* bundle_check.c: the rules of a bundle, one function a rule or two. */
#define _POSIX_C_SOURCE 200809L
#include "bundle_check.h"

#include "cpu.h"
#include "printable.h"
#include "sha256.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

enum { MAX_MANIFEST_BYTES = 1 << 20 };

#define COPY_AGAIN "\n  hint: copy the bundle again, whole and into an empty folder"

/* Returns 0 when folder/name is too long, which no real bundle is. */
static int join(char path[BUNDLE_PATH], const char *folder, const char *name) {
    return snprintf(path, BUNDLE_PATH, "%s/%s", folder, name) < BUNDLE_PATH;
}

static int is_file(const char *folder, const char *name, struct stat *facts) {
    char path[BUNDLE_PATH];
    return join(path, folder, name) && stat(path, facts) == 0 && S_ISREG(facts->st_mode);
}

/* -- Rules 1 to 4: the manifest ------------------------------------------------------------------------------------ */

static int unreadable(const bundle *b, const char *found, refusal *why) {
    char shown[256];
    return refuse(why, "manifest-unreadable",
                  "'%s/manifest.json' cannot be read.\n  found: %s\n"
                  "  allowed: UTF-8 JSON of at most %d bytes" COPY_AGAIN,
                  printable(shown, sizeof shown, b->folder), found, MAX_MANIFEST_BYTES);
}

static int read_manifest(bundle *b, refusal *why) {
    char path[BUNDLE_PATH], error[128], shown[256];
    struct stat facts;
    if (!is_file(b->folder, "manifest.json", &facts))
        return refuse(why, "not-a-bundle",
                      "'%s' is not a bundle.\n  found: no manifest.json\n"
                      "  hint: run tsm-edge-run inside the folder that `tsm-edge compile` wrote",
                      printable(shown, sizeof shown, b->folder));
    b->text = malloc(MAX_MANIFEST_BYTES + 2);
    FILE *file = join(path, b->folder, "manifest.json") ? fopen(path, "rb") : NULL;
    if (file == NULL || b->text == NULL) {
        if (file != NULL) fclose(file);
        return unreadable(b, strerror(errno), why);
    }
    const size_t size = fread(b->text, 1, MAX_MANIFEST_BYTES + 1, file);
    const int failed = ferror(file);
    fclose(file);
    if (failed) return unreadable(b, "a read error", why);
    if (size > MAX_MANIFEST_BYTES) return unreadable(b, "a larger file", why);
    b->text[size] = '\0';
    if (!json_read(&b->json, b->text, size, error, sizeof error)) return unreadable(b, error, why);
    b->manifest = b->json.values;
    return manifest_check(b->manifest, why);
}

/* -- Rules 5 to 8: the files --------------------------------------------------------------------------------------- */

/* The listed files in the order of their names; the caller frees the list. */
static const json_value **sorted_files(const json_value *files) {
    const json_value **list = malloc(files->count * sizeof *list); /* the rules want at least four */
    size_t count = 0;
    for (const json_value *m = files->first_by_key; list != NULL && m != NULL; m = m->next_by_key) list[count++] = m;
    return list;
}

static int to_name(const void *name, const void *file) {
    return strcmp(name, (*(const json_value *const *)file)->key);
}

/* The first name, in their order, that the folder holds and the manifest does not list; "" when there is none. */
static int find_unlisted(const bundle *b, const json_value **files, size_t count, char name[NAME_MAX + 1]) {
    DIR *folder = opendir(b->folder);
    name[0] = '\0';
    if (folder == NULL) return 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *n = entry->d_name;
        if (strcmp(n, ".") == 0 || strcmp(n, "..") == 0 || strcmp(n, "manifest.json") == 0) continue;
        if (bsearch(n, files, count, sizeof *files, to_name) != NULL) continue;
        if (name[0] == '\0' || strcmp(n, name) < 0) snprintf(name, NAME_MAX + 1, "%s", n);
    }
    closedir(folder);
    return 1;
}

static int hash_file(const bundle *b, const char *name, char hex[65]) {
    static uint8_t part[1 << 16];
    char path[BUNDLE_PATH];
    sha256 hash;
    FILE *file = join(path, b->folder, name) ? fopen(path, "rb") : NULL;
    if (file == NULL) return 0;
    sha256_start(&hash);
    for (size_t size; (size = fread(part, 1, sizeof part, file)) > 0;) sha256_add(&hash, part, size);
    const int good = !ferror(file);
    fclose(file);
    sha256_end(&hash, hex);
    return good;
}

/* Rules 7 and 8 for one file: `rule` says which. */
static int check_content(const bundle *b, const json_value *file, int rule, refusal *why) {
    struct stat facts;
    char hex[65] = "nothing readable";
    const json_value *bytes = json_member(file, "bytes"), *digest = json_member(file, "sha256");
    if (rule == 7) {
        const double size = is_file(b->folder, file->key, &facts) ? (double)facts.st_size : -1;
        return size == bytes->number ||
               refuse(why, "file-size",
                      "'%.200s' has the wrong size.\n  found: %.0f bytes\n  allowed: %.0f bytes" COPY_AGAIN,
                      file->key, size, bytes->number);
    }
    return (hash_file(b, file->key, hex) && json_is(digest, hex)) ||
           refuse(why, "file-hash", "'%.200s' has been changed.\n  found: %s\n  allowed: %s" COPY_AGAIN, file->key, hex,
                  digest->text);
}

static int check_files(const bundle *b, refusal *why) {
    const json_value *listed = json_member(b->manifest, "files"), **files = sorted_files(listed);
    const size_t count = listed->count;
    char unlisted[NAME_MAX + 1], shown[256];
    struct stat facts;
    int good = files != NULL || unreadable(b, "no memory for its files", why);
    for (size_t i = 0; good && i < count; i++)
        if (!is_file(b->folder, files[i]->key, &facts))
            good = refuse(why, "file-missing", "'%.200s' is missing.\n  found: no regular file of this name" COPY_AGAIN,
                          files[i]->key);
    if (good && !find_unlisted(b, files, count, unlisted)) good = unreadable(b, strerror(errno), why);
    if (good && unlisted[0] != '\0')
        good = refuse(why, "file-unlisted", "'%s' does not belong to the bundle.\n"
                      "  hint: remove it; write results into another folder",
                      printable(shown, sizeof shown, unlisted));
    for (size_t i = 0; good && i < 2 * count; i++) /* all sizes before the first hash */
        good = check_content(b, files[i % count], i < count ? 7 : 8, why);
    free(files);
    return good;
}

/* -- Rules 9 to 11: this machine ----------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define THIS_ARCH "x86_64"
#elif defined(__aarch64__)
#define THIS_ARCH "aarch64"
#else
#define THIS_ARCH "armv7l"
#endif

enum { SHOWN = 128 }; /* bytes of a name in a message */

static const char *target_name(const bundle *b, char shown[SHOWN]) {
    return printable(shown, SHOWN, bundle_value(b, "target", "name")->text);
}

/* What this program was compiled for, not what uname says: a 64-bit kernel may run a 32-bit system. */
static int check_arch(const bundle *b, refusal *why) {
    char shown[SHOWN];
    const json_value *arch = bundle_value(b, "target", "arch");
    return json_is(arch, THIS_ARCH) ||
           refuse(why, "wrong-arch",
                  "This bundle is for another architecture.\n  found: " THIS_ARCH "\n  allowed: %s\n"
                  "  hint: this bundle is for '%s'; compile one for this machine",
                  arch->text, target_name(b, shown));
}

static int check_libc(const bundle *b, refusal *why) {
    char shown[SHOWN];
    const char *have = "no glibc", *need = bundle_value(b, "target", "glibc")->text;
    unsigned have_major = 0, have_minor = 0, need_major = 0, need_minor = 0;
    const int android = json_is(bundle_value(b, "target", "libc"), "bionic");
    if (json_is(bundle_value(b, "target", "libc"), "musl") || json_is(bundle_value(b, "target", "link"), "static"))
        return 1; /* carries its C library */
#ifdef __GLIBC__
    if (android)
        return refuse(why, "wrong-libc",
                      "This bundle is for Android.\n  found: glibc %s\n  allowed: Android's C library\n"
                      "  hint: this bundle is for '%s'; compile one for this machine",
                      gnu_get_libc_version(), target_name(b, shown));
#endif
    if (android) return 1;
#ifdef __GLIBC__
    have = gnu_get_libc_version();
    sscanf(have, "%u.%u", &have_major, &have_minor);
#endif
    sscanf(need, "%u.%u", &need_major, &need_minor);
    if (have_major > need_major || (have_major == need_major && have_minor >= need_minor)) return 1;
    return refuse(why, "wrong-libc",
                  "This machine's C library is too old for the bundle.\n  found: %s\n  allowed: glibc %s and newer\n"
                  "  hint: this bundle is for '%s'; compile one for this machine",
                  have, need, target_name(b, shown));
}

static int check_cpu(const bundle *b, refusal *why) {
    char found[128], missing[128] = "", shown[SHOWN];
    for (const json_value *m = bundle_value(b, "target", "requires")->first; m != NULL; m = m->next) {
        const size_t used = strlen(missing);
        if (!tsm_cpu_has(m->text)) snprintf(missing + used, sizeof missing - used, "%s%s", used ? " " : "", m->text);
    }
    return missing[0] == '\0' ||
           refuse(why, "wrong-cpu",
                  "This CPU lacks instructions that the bundle uses: %s\n  found: %s\n"
                  "  hint: this bundle is for '%s'; compile one for a target without them",
                  missing, tsm_cpu_found(found, sizeof found), target_name(b, shown));
}

static int check_machine(const bundle *b, refusal *why) {
    return check_arch(b, why) && check_libc(b, why) && check_cpu(b, why);
}

/* ------------------------------------------------------------------------------------------------------------------ */

int bundle_check(bundle *b, const char *folder, refusal *why) {
    memset(b, 0, sizeof *b);
    snprintf(b->folder, sizeof b->folder, "%s", folder);
    return read_manifest(b, why) && check_files(b, why) && check_machine(b, why);
}

void bundle_free(bundle *b) {
    json_free(&b->json);
    free(b->text);
    b->text = NULL;
}

const json_value *bundle_value(const bundle *b, const char *group, const char *key) {
    return json_member(group[0] == '\0' ? b->manifest : json_member(b->manifest, group), key);
}
