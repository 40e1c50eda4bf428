/* print_text.c: prints each argument as printable, put_printable with lines, and put_json_string show it; then cut to
 * every size from 1 to 24 bytes. A NUL ends each. */
#include "printable.h"

#include <stdlib.h>

int main(int argc, char **argv) {
    static char shown[4096];
    for (int i = 1; i < argc; i++) {
        fputs(printable(shown, sizeof shown, argv[i]), stdout);
        putchar('\0');
        put_printable(stdout, argv[i], 1);
        putchar('\0');
        put_json_string(stdout, argv[i]);
        putchar('\0');
        for (size_t room = 1; room <= 24; room++) {
            char *cut = calloc(room, 1); /* a block of its own, so that the address sanitizer sees a byte too many */
            fputs(printable(cut, room, argv[i]), stdout);
            putchar('\0');
            free(cut);
        }
    }
    return 0;
}
