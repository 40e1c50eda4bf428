/* options.h: the command line of tsm-edge-run. */
#ifndef TSM_OPTIONS_H
#define TSM_OPTIONS_H

typedef enum { MODE_NONE, MODE_INFO, MODE_BENCH, MODE_RAW, MODE_TENSOR, MODE_HELP, MODE_VERSION } run_mode;

typedef struct {
    run_mode mode;
    int threads; /* 0: as the manifest says */
    int frames;  /* --bench */
    int per_op;  /* --bench */
    int width, height, format; /* --raw; format: a tsm_format, -1 not given */
    int dump;    /* --raw, --tensor */
    int decide;  /* --raw, --tensor */
    double fps;  /* --raw, --tensor; 0: not given */
} options;

extern const char usage_text[];

/* Returns 1, or 0 after saying on stderr what is wrong. */
int options_read(options *o, int argc, char **argv);

#endif
