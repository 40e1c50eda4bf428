/* opencl_cache.h: files of compiled programs. */
#ifndef TSM_OPENCL_CACHE_H
#define TSM_OPENCL_CACHE_H

#include <stddef.h>

enum { OPENCL_CACHE_PLACES = 2, OPENCL_CACHE_PATH = 4096 };

/* The file for `key` in place 0 (the user's cache folder) or 1 (a folder beside the bundle). 0: there is no such place.
 * */
int opencl_cache_path(int place, const char *key, char path[OPENCL_CACHE_PATH]);

/* The binary in a file, of *size bytes, to be freed; NULL when there is none or it is damaged or another key's. A file
 * that is no good is removed. */
unsigned char *opencl_cache_read(const char *path, const char *key, size_t *size);

/* Makes the folders above a file. Returns 0 when it could not be written there. */
int opencl_cache_prepare(const char *path);

/* Writes the file as a whole or not at all. Returns 0 when that cannot be done. */
int opencl_cache_write(const char *path, const char *key, const unsigned char *binary, size_t size);

/* Removes a file that the driver does not take. */
void opencl_cache_drop(const char *path);

#endif
