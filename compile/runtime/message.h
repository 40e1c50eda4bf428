/* message.h: how every source of the library says no. */
#ifndef TSM_MESSAGE_H
#define TSM_MESSAGE_H

#include "tsm_edge.h"

/* Writes a message into `text` (of `size` bytes, may be NULL) and returns `status`. */
__attribute__((format(printf, 4, 5))) tsm_status tsm_refuse(tsm_status status, char *text, size_t size,
                                                            const char *format, ...);

#endif
