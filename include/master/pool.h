/* pool - the workers: forks them, talks to them, replaces the dead.
 *
 * A worker that dies within 2 s of its fork is forked again after 100 ms,
 * doubling to 30 s; any other at once.  One that does not take what the master
 * sends for 10 s, lets its queue fill, or breaks the contract of the pipes is
 * killed and replaced. */
#ifndef MASTER_POOL_H
#define MASTER_POOL_H

#include "base/buf.h"
#include "conf.h"
#include "ipc/start.h"
#include "master/listen.h"

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct pool;
struct relay;
struct tally;
struct facts_worker;

struct pool_ops { /* none may call pool_free */
    /* Every worker has said, once at least, that it accepts clients. */
    void (*ready)(void *arg);
    /* After pool_drain: the last one has gone. */
    void (*empty)(void *arg);
    /* In a child, before it becomes a worker: its other descriptors are closed
     * already.  Must not touch the event base but to take signal events out. */
    void (*child)(void *arg);
};

struct pool_options { /* everything is borrowed */
    struct event_base *base;
    const struct conf *conf;
    const struct listeners *listeners;
    struct relay *relay;
    struct tally *tally;
    int (*worker)(const struct conf *, const struct worker_start *);
};

/* NULL without memory. */
struct pool *pool_new(const struct pool_options *options, const struct pool_ops *ops, void *arg);

/* Kills and reaps what is left. */
void pool_free(struct pool **pool);

/* Forks all workers; what fails is tried again as if it had died. */
void pool_start(struct pool *pool);

/* One message to one worker (copied).  If its queue is full it is killed. */
void pool_send(struct pool *pool, unsigned slot, const void *message, size_t len);

/* The same to all that live. */
void pool_send_all(struct pool *pool, const struct buf *message);

/* The workers as they are now, one for each slot, into dst, which has room for
 * CONF_WORKERS_MAX.  Returns how many. */
size_t pool_facts(const struct pool *pool, struct facts_worker *dst);

/* Reaps children; for SIGCHLD. */
void pool_reap(struct pool *pool);

/* From now on no worker is forked, and all are to leave within so many ms; those
 * that have not, 2 s later, are killed.  May be called again with less. */
void pool_drain(struct pool *pool, uint32_t within_ms);

/* Kills all that live. */
void pool_kill(struct pool *pool);

#endif
