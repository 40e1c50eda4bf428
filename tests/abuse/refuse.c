/* refuse.c: a library to preload that makes one call of the process fail which changes a disk.
 *
 * Counted are calls below the folders of `refuse_arm`: opening for writing, write, pwrite, writev, ftruncate, fallocate,
 * fsync, rename, exchange, mkdir. The nth fails with the given error; with `sticky` so does every later one that takes
 * space, as on a disk that stays full. Reading, removing and everything elsewhere (the log, a terminal) are left alone.
 * stdio calls write inside the C library, where no preloaded library sees it: programs under test do not use it.
 *
 *   cc -shared -fPIC -o refuse.so refuse.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TAKES_SPACE = 1 };
static atomic_long count;
static long nth, tell;
static int teller = -1;
static int sticky, number;
static char roots[PATH_MAX], refused[PATH_MAX + 64];

/* Fail the nth call from now on, 0 for none; `below`: absolute paths without links, one after the other, ended by ':'. */
void refuse_arm(long call, int stays, int error, const char *below) {
    snprintf(roots, sizeof roots, "%s", below);
    sticky = stays;
    number = error;
    refused[0] = '\0';
    atomic_store(&count, 0);
    nth = call;
}

/* Write a '.' to `file` when the nth call is made, and let it pass: whoever reads that may kill us then. */
void refuse_tell(long call, int file) {
    teller = file;
    tell = call;
}

long refuse_count(void) { return atomic_load(&count); }
const char *refuse_what(void) { return refused; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_below(const char *path) {
    for (const char *root = roots; *root != '\0';) {
        const char *end = strchr(root, ':');
        if (end == NULL) return 0;
        const size_t length = (size_t)(end - root);
        if (strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0')) return 1;
        root = end + 1;
    }
    return 0;
}

static int counts(const char *path, const char *call, int kind) {
    if (roots[0] == '\0' || !is_below(path)) return 0;
    const long now = atomic_fetch_add(&count, 1) + 1;
    if (now == tell) syscall(SYS_write, teller, ".", 1L);
    if (nth == 0 || now < nth || (now > nth && !(sticky && kind == TAKES_SPACE))) return 0;
    if (refused[0] == '\0') snprintf(refused, sizeof refused, "%s %s", call, path);
    errno = number;
    return 1;
}

static int refuses_path(int folder, const char *path, const char *call, int kind) {
    char whole[2 * PATH_MAX], link[64];
    if (roots[0] == '\0' || path == NULL) return 0;
    if (path[0] == '/') return counts(path, call, kind);
    if (folder == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    const ssize_t length = readlink(link, whole, PATH_MAX);
    if (length < 0) return 0;
    snprintf(whole + length, PATH_MAX, "/%s", path);
    return counts(whole, call, kind);
}

static int refuses_file(int file, const char *call, int kind) {
    char path[PATH_MAX], link[64];
    if (roots[0] == '\0') return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = '\0';
    return counts(path, call, kind);
}

/* -- Opening ------------------------------------------------------------------------------------------------------- */

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0; }

#define OPEN(name)                                                                                     \
    int name(const char *path, int flags, ...) {                                                       \
        va_list list;                                                                                  \
        va_start(list, flags);                                                                         \
        const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;           \
        va_end(list);                                                                                  \
        if (writes(flags) && refuses_path(AT_FDCWD, path, "open", TAKES_SPACE)) return -1;             \
        return REAL(name)(path, flags, mode);                                                          \
    }
#define OPENAT(name)                                                                                   \
    int name(int folder, const char *path, int flags, ...) {                                           \
        va_list list;                                                                                  \
        va_start(list, flags);                                                                         \
        const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;           \
        va_end(list);                                                                                  \
        if (writes(flags) && refuses_path(folder, path, "open", TAKES_SPACE)) return -1;               \
        return REAL(name)(folder, path, flags, mode);                                                  \
    }
#define FOPEN(name)                                                                                    \
    FILE *name(const char *path, const char *how) {                                                    \
        if (strpbrk(how, "wa+") != NULL && refuses_path(AT_FDCWD, path, "open", TAKES_SPACE)) return NULL; \
        return REAL(name)(path, how);                                                                  \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)

/* -- Writing ------------------------------------------------------------------------------------------------------- */

ssize_t write(int file, const void *data, size_t size) {
    return refuses_file(file, "write", TAKES_SPACE) ? -1 : REAL(write)(file, data, size);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    return refuses_file(file, "write", TAKES_SPACE) ? -1 : REAL(pwrite)(file, data, size, at);
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    return refuses_file(file, "write", TAKES_SPACE) ? -1 : REAL(pwrite64)(file, data, size, at);
}
ssize_t writev(int file, const struct iovec *parts, int many) {
    return refuses_file(file, "write", TAKES_SPACE) ? -1 : REAL(writev)(file, parts, many);
}
int ftruncate(int file, off_t size) {
    return refuses_file(file, "truncate", TAKES_SPACE) ? -1 : REAL(ftruncate)(file, size);
}
int ftruncate64(int file, off64_t size) {
    return refuses_file(file, "truncate", TAKES_SPACE) ? -1 : REAL(ftruncate64)(file, size);
}
int posix_fallocate(int file, off_t at, off_t size) {
    return refuses_file(file, "allocate", TAKES_SPACE) ? number : REAL(posix_fallocate)(file, at, size);
}
int posix_fallocate64(int file, off64_t at, off64_t size) {
    return refuses_file(file, "allocate", TAKES_SPACE) ? number : REAL(posix_fallocate64)(file, at, size);
}
int fsync(int file) { return refuses_file(file, "fsync", 0) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return refuses_file(file, "fsync", 0) ? -1 : REAL(fdatasync)(file); }

/* -- Names --------------------------------------------------------------------------------------------------------- */

int rename(const char *from, const char *to) {
    return refuses_path(AT_FDCWD, to, "rename", 0) ? -1 : REAL(rename)(from, to);
}
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return refuses_path(to_folder, to, "rename", 0) ? -1 : REAL(renameat)(from_folder, from, to_folder, to);
}
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    return refuses_path(to_folder, to, "exchange", 0) ? -1
                                                       : REAL(renameat2)(from_folder, from, to_folder, to, flags);
}
int mkdir(const char *path, mode_t mode) {
    return refuses_path(AT_FDCWD, path, "mkdir", TAKES_SPACE) ? -1 : REAL(mkdir)(path, mode);
}
int mkdirat(int folder, const char *path, mode_t mode) {
    return refuses_path(folder, path, "mkdir", TAKES_SPACE) ? -1 : REAL(mkdirat)(folder, path, mode);
}
