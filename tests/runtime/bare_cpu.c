/* bare_cpu.c: takes the place of cpu.c and is a CPU without any extension. */
#include "cpu.h"

int tsm_cpu_has(const char *feature) {
    (void)feature;
    return 0;
}

const char *tsm_cpu_found(char *text, size_t size) {
    (void)size;
    text[0] = '\0';
    return text;
}
