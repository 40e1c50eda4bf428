/* stop.h: SIGINT, SIGTERM and SIGHUP end a stream between two results; what waits for frames waits for them, too. */
#ifndef TSM_STOP_H
#define TSM_STOP_H

/* Takes the signals that nobody ignores. A second one of a kind ends the process at once. Returns 1, or 0 after a
 * complaint. */
int stop_listen(void);

/* Becomes readable when a signal has come or stop_now was called, and stays so. */
int stop_fd(void);
void stop_now(void);

/* Gives back what stop_listen took; signals that come later end the process. */
void stop_end(void);

/* The exit code of a process that a signal asked to end, 128 + its number; 0 while none has come. */
int stop_code(void);

#endif
