/* worker - one process that serves clients: it accepts from the inherited
 * sockets, admits through the master, and fans out what the master relays. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

struct conf;
struct worker_start;

/* Runs until the master drains the worker, goes away, or one of the two breaks
 * the contract of their pipes.  To be called right after the fork; conf and start
 * are borrowed, start's descriptors taken.  Returns the exit status: 0 after a
 * drain or the master's end, 1 on an error (logged).  All it made is freed.
 *
 * Whoever forks it has seen to the rest: signals ignored, no core dumps, no debugger,
 * no new privileges.  What it gives up itself are capabilities and system calls. */
int worker_run(const struct conf *conf, const struct worker_start *start);

#endif
