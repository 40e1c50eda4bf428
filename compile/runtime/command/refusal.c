/* refusal.c: why a bundle is not taken. */
#include "refusal.h"

#include "printable.h"

#include <stdarg.h>
#include <stdio.h>

int refuse(refusal *r, const char *name, const char *format, ...) {
    va_list arguments;
    r->name = name;
    va_start(arguments, format);
    vsnprintf(r->text, sizeof r->text, format, arguments);
    va_end(arguments);
    return 0;
}

int refuse_value(refusal *why, const char *key, const char *allowed) {
    char shown[256];
    return refuse(why, "manifest-malformed",
                  "manifest.json: bad value of '%s'.\n  allowed: %s\n  hint: compile the bundle again",
                  printable(shown, sizeof shown, key), allowed);
}
