/* trial - what -t --connect has tried, and what came of it: lines. */
#ifndef MASTER_TRIAL_H
#define MASTER_TRIAL_H

#include "base/buf.h"

#include <sys/types.h>

enum trial_kind {
    TRIAL_GOOD,
    TRIAL_ODD, /* it works, or most of it does; or it cannot be told */
    TRIAL_BAD, /* it would not work */
};

struct trial { /* zero is empty */
    struct buf lines;
    int bad, odd; /* how many are */
};

void trial_say(struct trial *trial, enum trial_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What is good to standard output, the rest to standard error as check_complain() does; frees
 * them.  Returns 0, or -1 if something is bad. */
int trial_print(struct trial *trial);

/* A trial of its own, in a process of its own, which may hang. */
struct aside { /* zero is none */
    const char *what;
    pid_t pid;
    int fd;
    struct buf bytes; /* that it has written */
};

/* Begins run(arg, fd) there, which writes to fd; what names it, and is borrowed.  Where there is
 * no process it says nothing. */
void aside_begin(struct aside *aside, const char *what, void (*run)(const void *arg, int fd),
                 const void *arg);

/* Waits for its end, until clock_ms() is `until`, and ends it then.  Returns 0, or -1 if it was
 * not over; its bytes are the caller's to free. */
int aside_end(struct aside *aside, uint64_t until);

/* The lines of the trial are what it writes: for the other side of trial_take(). */
void trial_send(struct trial *trial, int fd);

/* Adds the lines that have come; what is bad where none has by then. */
void trial_take(struct trial *trial, struct aside *aside, uint64_t until);

#endif
