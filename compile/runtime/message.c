/* message.c: how every source of the library says no. */
#include "message.h"

#include <stdarg.h>
#include <stdio.h>

tsm_status tsm_refuse(tsm_status status, char *text, size_t size, const char *format, ...) {
    if (text != NULL && size > 0) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, size, format, arguments);
        va_end(arguments);
    }
    return status;
}
