/* read_manifests.c: reads manifests from stdin, each after its size (4 bytes, little-endian), and prints the rule that
 * each breaks, "ok" when none, one a line. */
#include "manifest_rules.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    unsigned char head[4];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        const size_t size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        char *text = malloc(size + 1), error[128];
        refusal why = {0};
        json_document d;
        if (text == NULL || fread(text, 1, size, stdin) != size) return 1;
        text[size] = '\0';
        if (!json_read(&d, text, size, error, sizeof error)) {
            refuse(&why, "manifest-unreadable", "%s", error);
        } else {
            manifest_check(d.values, &why);
            json_free(&d);
        }
        puts(why.name == NULL ? "ok" : why.name);
        free(text);
    }
    return 0;
}
