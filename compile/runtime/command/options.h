/* options.h: the command line of tsm-edge-run. */
#ifndef TSM_OPTIONS_H
#define TSM_OPTIONS_H

#include <stddef.h>

typedef enum { MODE_NONE, MODE_INFO, MODE_BENCH, MODE_RAW, MODE_CAMERA, MODE_INPUT, MODE_TENSOR, MODE_HELP, MODE_VERSION } run_mode;

typedef struct {
    run_mode mode;
    int threads; /* 0: as the manifest says */
    int frames;  /* --bench */
    int per_op;  /* --bench */
    const char *camera; /* --camera */
    int width, height; /* --raw, --size; 0: not given */
    int format;  /* --raw; a tsm_format, -1 not given */
    size_t stride; /* --raw; bytes, 0: not given */
    int color;   /* --raw, --input, --camera; a tsm_color, -1: not given */
    int dump;    /* where frames are read */
    const char *events; /* where frames are read; a path, "-" for stdout, NULL: not given */
    const char *on_change; /* where frames are read; a command, NULL: not given */
    int on_change_idle;
    int decide;  /* where frames are read */
    const char *boxes; /* not with --info; a file, NULL: not given */
    double fps;  /* where frames are read; 0: not given */
} options;

extern const char usage_text[];

/* The names of tsm_format and of tsm_color, as --format and --color take them; NULL behind the last. */
extern const char *const format_names[], *const color_names[];

/* Returns 1, or 0 after saying on stderr what is wrong. */
int options_read(options *o, int argc, char **argv);

#endif
