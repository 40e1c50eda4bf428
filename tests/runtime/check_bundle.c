/* check_bundle.c: prints the rule that each bundle named on the command line breaks, "ok" when none. */
#include "bundle_check.h"

#include <stdio.h>

int main(int argc, char **argv) {
    static bundle b;
    for (int i = 1; i < argc; i++) {
        refusal why = {0};
        const int good = bundle_check(&b, argv[i], &why);
        printf("%s\n", good ? "ok" : why.name);
        if (!good) fprintf(stderr, "[%s] %s\n", why.name, why.text);
        bundle_free(&b);
    }
    return 0;
}
