/* logline - a line of the log as bytes: its head, and a text made harmless. */
#ifndef BASE_LOGLINE_H
#define BASE_LOGLINE_H

#include <stddef.h>
#include <sys/types.h>

#define LOGLINE_MAX_BYTES 4096 /* PIPE_BUF: a pipe takes such a line whole or not at all */

struct logline {
    char at[LOGLINE_MAX_BYTES];
    size_t len; /* with the newline */
    int cut;    /* something did not fit */
};

struct logline_head {
    const char *mark; /* in front of all; "" if there is none */
    const char *level;
    const char *process;
    pid_t pid;
    int has_time; /* read from the clock, in UTC and milliseconds */
    int is_json;  /* an object, else text */
};

/* Makes the line of a head and a text, which is shown with escapes for control bytes
 * and what is not UTF-8; one that is too long is cut, ends in "..." and is still JSON. */
void logline_make(struct logline *line, const struct logline_head *head, const char *text);

#endif
