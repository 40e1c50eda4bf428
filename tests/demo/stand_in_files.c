/* stand_in_files.c: the camera of stand_in_v4l2.c for Python and OpenCV, which look at its file first.
 *
 * V4L2_DEV      a folder that is listed in place of /dev
 */
#include "../runtime/stand_in_v4l2.c"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    if (is_device(path)) return open_device();
    REAL(open64);
    return real(path, flags, mode);
}

int stat64(const char *path, struct stat64 *facts) {
    REAL(stat64);
    if (!is_device(path)) return real(path, facts);
    if (absent > 0) return errno = ENOENT, -1;
    memset(facts, 0, sizeof *facts);
    facts->st_mode = S_IFCHR | 0660;
    facts->st_rdev = makedev(81, 7);
    return 0;
}

int access(const char *path, int mode) {
    REAL(access);
    if (!is_device(path)) return real(path, mode);
    return fault("denied") ? (errno = EACCES, -1) : 0;
}

DIR *opendir(const char *path) {
    REAL(opendir);
    return real(strcmp(path, "/dev") == 0 && getenv("V4L2_DEV") != NULL ? getenv("V4L2_DEV") : path);
}

void *mmap64(void *place, size_t size, int protection, int flags, int fd, off64_t offset) {
    if (fd == device && device >= 0) return memory + offset;
    REAL(mmap64);
    return real(place, size, protection, flags, fd, offset);
}
