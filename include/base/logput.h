/* logput - a line of the log as bytes, and what is put into it. */
#ifndef BASE_LOGPUT_H
#define BASE_LOGPUT_H

#include <stddef.h>

#define LOGLINE_MAX_BYTES 4096 /* PIPE_BUF: a pipe takes such a line whole or not at all */

struct logline {
    char at[LOGLINE_MAX_BYTES];
    size_t len;
    size_t limit; /* of len: what is kept free is for the line's end */
    int cut;      /* something did not fit */
};

/* What is put is whole or not there at all; once something did not fit, nothing more is
 * taken, so that the end of a line is never from behind a gap. */
void logput(struct logline *line, const char *bytes, size_t len);
void logput_str(struct logline *line, const char *str);
void logput_number(struct logline *line, unsigned long long number);

/* The same made harmless: control bytes and what is not UTF-8 have escapes, with json also
 * what a string of JSON may not have.  Of a text that is too long the start is put. */
void logput_escaped(struct logline *line, const char *text, size_t len, int json);

/* A string of JSON; of more than max bytes the start, which ends in "...".  Returns 1, or 0
 * if it is cut so. */
int logput_string(struct logline *line, const char *text, size_t len, size_t max);

#endif
