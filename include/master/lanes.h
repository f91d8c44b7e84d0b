/* lanes - where connections are sent to the workers: a pair of sockets for each lane
 * (ipc/start.h, ipc/handoff.h), which stays while one worker follows another in it.
 *
 * What is sent to a lane that has no worker goes on to one that serves. */
#ifndef MASTER_LANES_H
#define MASTER_LANES_H

struct event_base;
struct lanes;

struct lanes_ops {
    /* 1 if the worker in that lane takes connections from others. */
    int (*serves)(unsigned lane, void *arg);
};

/* The lanes that a worker can send to: so many of each half, from the first on. */
struct lanes_known {
    unsigned n[2];
};

/* There is none yet.  ops is borrowed.  NULL without memory. */
struct lanes *lanes_new(struct event_base *base, const struct lanes_ops *ops, void *arg);
void lanes_free(struct lanes **lanes);

/* Makes what is missing of the first n lanes of a half.  Returns 0, or -1 with errno. */
int lanes_open(struct lanes *lanes, unsigned half, unsigned n);

/* The end that the worker in lane reads, and those that others write: START_LANES of
 * them, -1 where there is none yet. */
int lanes_reader(const struct lanes *lanes, unsigned lane);
const int *lanes_writers(const struct lanes *lanes);

/* The lane has no worker: what is sent to it goes to others, until it is taken again. */
void lanes_vacant(struct lanes *lanes, unsigned lane);
void lanes_taken(struct lanes *lanes, unsigned lane);

/* All workers leave: from now on a lane that is vacant keeps what is sent to it. */
void lanes_end(struct lanes *lanes);

/* What a worker knows that is forked now. */
struct lanes_known lanes_known(const struct lanes *lanes);

/* Sends a worker (fd: where it hears of new lanes) what *known does not have, unless it
 * has gone.  Returns 0, or -1 with errno. */
int lanes_tell(const struct lanes *lanes, int fd, struct lanes_known *known);

#endif
