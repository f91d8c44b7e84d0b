/* logline - a line of the log, of who says it and what is said. */
#ifndef BASE_LOGLINE_H
#define BASE_LOGLINE_H

#include "base/logfield.h"
#include "base/logput.h"

#include <sys/types.h>

struct logline_head {
    const char *mark; /* in front of all; "" if there is none */
    const char *level;
    const char *name, *process; /* of the process; with its number */
    unsigned number;            /* 0: it has none; else JSON has it as well, by the name */
    pid_t pid;
    int has_time; /* read from the clock, in UTC and milliseconds */
    int is_json;  /* an object, else text */
};

/* As of logfield.h. */
struct logline_body {
    const char *event;
    const char *text;
    const struct log_field *fields;
    size_t n;
};

/* Makes the line, with a newline.  A text that is too long is cut and ends in "...".  JSON is
 * whole however long it would be: members without room are left out, long strings end in
 * "...", and then "cut":true is the last member. */
void logline_make(struct logline *line, const struct logline_head *head,
                  const struct logline_body *body);

#endif
