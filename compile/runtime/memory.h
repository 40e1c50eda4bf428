/* memory.h: the blocks that a step reads and writes. */
#ifndef TSM_MEMORY_H
#define TSM_MEMORY_H

#include <stddef.h>

/* `bytes` rounded up so that blocks laid one after the other share no cache line, nor a pair of them. */
size_t tsm_apart(size_t bytes);

/* Zeros, 64-byte aligned; on huge pages where the block is large and the system has them. NULL: memory is out. */
char *tsm_zeros(size_t bytes);

/* A copy of a constant of the library in such a block. The pages it came from leave memory as they are copied: what the
 * process holds does not grow. */
char *tsm_copy(const char *constant, size_t bytes);

/* Gives back a block of so many bytes; NULL is none. */
void tsm_release(char *block, size_t bytes);

#endif
