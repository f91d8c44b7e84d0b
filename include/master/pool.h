/* pool - the workers: forks them, talks to them, replaces the dead.
 *
 * They are of one generation, and of a second one while a reload replaces it: the new
 * one starts, and when all of its workers are ready the old one leaves; if they are
 * not, the old one goes on.  A worker's lane (ipc/start.h) names it among all.
 *
 * A worker that dies within 2 s of its fork is forked again after 100 ms,
 * doubling to 30 s; any other at once.  One that does not take what the master
 * sends for 10 s, lets its queue fill, or breaks the contract of the pipes is
 * killed and replaced. */
#ifndef MASTER_POOL_H
#define MASTER_POOL_H

#include "base/buf.h"
#include "conf.h"
#include "ipc/msg.h"
#include "ipc/start.h"
#include "master/listen.h"

#include <stddef.h>
#include <stdint.h>

struct cluster;
struct event_base;
struct news;
struct pool;
struct recovery;
struct relay;
struct stats;
struct status_generation;
struct status_worker;

struct pool_ops { /* none may call pool_free */
    /* For the first time every worker of a generation has said that it accepts clients;
     * where that is not the first one, after replaced. */
    void (*ready)(void *arg);
    /* What pool_replace() began is over: the new generation serves and the old one has
     * been told to leave (1), or the new one is given up (0). */
    void (*replaced)(int ok, void *arg);
    /* A generation that was to leave has gone: there is room for another. */
    void (*left)(void *arg);
    /* After pool_drain: the last one has gone. */
    void (*empty)(void *arg);
    /* In a child, before it becomes a worker: its other descriptors are closed
     * already.  conf is its configuration.  Must not touch the event base but to take
     * signal events out. */
    void (*child)(const struct conf *conf, void *arg);
};

struct pool_options { /* everything is borrowed */
    struct event_base *base;
    const struct conf *conf; /* these two for the first generation */
    const struct listeners *listeners;
    struct relay *relay;
    struct stats *stats;
    struct cluster *cluster;
    struct recovery *recovery;
    int (*worker)(const struct conf *, const struct worker_start *);
    struct tickets *tickets; /* or NULL: for TLS */
    struct news *news;       /* or NULL */
};

/* NULL without memory. */
struct pool *pool_new(const struct pool_options *options, const struct pool_ops *ops, void *arg);

/* Kills and reaps what is left. */
void pool_free(struct pool **pool);

/* Forks all workers; what fails is tried again as if it had died. */
void pool_start(struct pool *pool);

/* One message to one worker that is up (copied).  If its queue is full it is killed. */
void pool_send(struct pool *pool, unsigned lane, const void *message, size_t len);

/* 1 while half of what may wait for a worker does, and the worker takes of it: who sends
 * less for a while saves it. */
int pool_is_behind(const struct pool *pool);

/* MSG_ADMITTED, likewise; epoch and seq are those of now, whatever it says. */
void pool_answer(struct pool *pool, unsigned lane, const struct msg_admitted *admitted);

/* 1 if the worker in that lane has been told to leave, or there is none. */
int pool_is_leaving(const struct pool *pool, unsigned lane);

/* One message to all that live. */
void pool_send_all(struct pool *pool, const struct buf *message);

/* Workers into dst, which has room for CONF_WORKERS_MAX: first those of the generation
 * that serves, *nworkers of them; then, so that no total goes back, those of higher
 * numbers in generations before it.  What waits for one of the other generation counts
 * with that of the same number.  Returns how many.  To be asked for after stats_ask():
 * one that has nothing to do is silent. */
size_t pool_status(struct pool *pool, struct status_worker *dst, size_t *nworkers);

/* The generations that there are into dst, which has room for 2, the older one first.  Returns how
 * many. */
size_t pool_generations(const struct pool *pool, struct status_generation *dst);

/* 1 if pool_replace() may be called: there is one generation only. */
int pool_has_room(const struct pool *pool);

/* 1 while what pool_replace() began is not over.  The first generation is not waited
 * for: where it cannot start, another may take its place. */
int pool_is_starting(const struct pool *pool);

/* Starts a new generation; conf and listeners are borrowed until it leaves or
 * pool_configure() names others.  conf->drain_timeout_ms is how long the old one gets
 * to leave.  Returns 0, and ops->replaced comes, perhaps before it returns; or -1 with
 * errno, and nothing has happened. */
int pool_replace(struct pool *pool, const struct conf *conf, const struct listeners *listeners);

/* The generation that leaves, if one does, has but a few seconds more. */
void pool_hurry(struct pool *pool);

/* Workers of the generation that serves are forked with these from now on; the limit
 * of what may wait for a worker follows conf->message_bytes.  Nothing is sent. */
void pool_configure(struct pool *pool, const struct conf *conf, const struct listeners *listeners);

/* In a child: overwrites what waits for workers, if there are keys in it. */
void pool_wipe(const struct pool *pool);

/* Reaps children; for SIGCHLD. */
void pool_reap(struct pool *pool);

/* From now on no worker is forked, and all are to leave within so many ms; those
 * that have not, 2 s later, are killed.  May be called again with less. */
void pool_drain(struct pool *pool, uint32_t within_ms);

/* Kills all that live. */
void pool_kill(struct pool *pool);

#endif
