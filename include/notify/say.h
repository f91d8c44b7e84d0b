/* say - what axr-notify has to say on standard error. */
#ifndef NOTIFY_SAY_H
#define NOTIFY_SAY_H

struct buf;

#define EXIT_FAILED 1

/* One line.  Returns EXIT_FAILED. */
int say_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Each line of text likewise. */
void say_lines(const struct buf *text);

#endif
