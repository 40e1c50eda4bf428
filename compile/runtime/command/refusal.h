/* refusal.h: why a bundle is not taken. */
#ifndef TSM_REFUSAL_H
#define TSM_REFUSAL_H

/* A broken rule: its stable name, and what to print. name == NULL: nothing was refused. */
typedef struct {
    const char *name;
    char text[1024];
} refusal;

/* Fills in a refusal; returns 0, so that a check can end with it. */
__attribute__((format(printf, 3, 4))) int refuse(refusal *r, const char *name, const char *format, ...);

/* Refuses the value of a key of the manifest; returns 0. */
int refuse_value(refusal *why, const char *key, const char *allowed);

#endif
