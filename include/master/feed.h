/* feed - the one stream of messages from redis, whichever connection it comes over.
 *
 * Where another redis is configured, or the same one by another name, user or password, a
 * new connection takes the place of the old one.  The old one serves until the new one is
 * subscribed, and on until all has been handed over that was published up to then, however
 * far it is behind; what the new one gets waits until it is known where that goes on from
 * the old one (overlap.h).  Nothing comes twice, nothing is lost, and the order stays; of
 * equal messages that never pause some may be lost, which is a gap that is counted and
 * logged.
 *
 * What servers of a cluster ask each other (requests) comes in the same stream, once and in its
 * place.  While there are two connections this daemon is counted twice and each request comes
 * over both: whoever asks waits for an answer to each of these copies.
 *
 * Where clients recover, what daemons tell each other comes likewise: in its place among the
 * messages and once, and whoever listens is told where the stream has a gap.
 *
 * What may wait has a bound: where there is more, the new connection is given up and made
 * again once the old one has caught up.  If the old one is lost meanwhile the new one goes
 * on from what has come over it; what it still had is a gap, as in any other loss. */
#ifndef MASTER_FEED_H
#define MASTER_FEED_H

#include "base/buf.h"
#include "base/slice.h"
#include "conf.h"
#include "master/commands.h"
#include "master/redis.h"

#include <stdint.h>

struct event_base;
struct feed;

struct feed_ops { /* none may call the functions below but those that say so */
    /* The next message; received_us: clock_us() when it was read. */
    void (*message)(struct slice channel, struct slice payload, uint64_t received_us, void *arg);
    /* As in redis_ops. */
    void (*too_large)(void *arg);
    void (*state)(int subscribed, void *arg);
    /* The answer to feed_sync. */
    void (*synced)(void *arg);
    /* 1 while much of what was handed over waits further on, and is on its way: what comes
     * next stays with redis until that is over, but for some of it every 100 ms. */
    int (*behind)(void *arg);
    /* A message on the channel of requests, as it comes, over whichever connection: before
     * request() is called for it, and once more for each copy.  is_counted: whoever asks
     * waits for an answer to this copy.  via: for feed_publish().  NULL: nothing is
     * answered, and nobody counts this one. */
    void (*arrived)(struct slice payload, int is_counted, uint32_t via, void *arg);
    /* A request in its place among the messages. */
    void (*request)(struct slice payload, uint32_t via, void *arg);
    /* Commands can be sent (1), or not any more (0), on the connection that is in force. */
    void (*commands)(int ready, void *arg);
    /* A message of daemons, in its place among the messages.  Of one that was published before
     * all else was subscribed to nothing is told, nor of one that has no place: while a
     * connection that does not hear them is replaced.  It and the next two may be NULL. */
    void (*peer)(struct slice payload, void *arg);
    /* What comes now does not go on from what came before: the subscription was lost, or (once
     * more, for what came by part of it is no use) is complete, for the first time or again;
     * or another connection is in force that is at another server, path, database or node,
     * or of which it is not certain where it goes on.  Before state() of the same.  What was
     * asked for by feed_ping() before a loss is never answered. */
    void (*gap)(void *arg);
    /* The answer to the last feed_ping(). */
    void (*pong)(void *arg);
};

/* Begins at once.  conf and ops are borrowed.  NULL without memory. */
struct feed *feed_new(struct event_base *base, const struct conf *conf, const struct feed_ops *ops,
                      void *arg);
void feed_free(struct feed **feed);

/* conf (borrowed) is in force from now on in place of was, which may be freed then. */
void feed_configure(struct feed *feed, const struct conf *was, const struct conf *conf);

/* Asks redis for a sign that everything published up to now has been handed over, on the
 * connection that is in force; a new one is given up.  Returns 0, or -1 where there is no
 * subscription or no memory; if it is lost meanwhile, state() says so instead. */
int feed_sync(struct feed *feed);

/* From within ops, too: asks redis for a sign that everything published up to now has been handed
 * over, whatever becomes of a new connection meanwhile.  One answer is enough for several;
 * whoever asks without a pause puts it off.  Returns 0, or -1 where there is no subscription or
 * no memory. */
int feed_ping(struct feed *feed);

/* From within ops, too: publishes where the request came from that arrived with via (0: on the
 * connection in force), or where that cannot any more, on the one in its place.  Takes payload (it
 * is empty then). Returns 0; -1 where it cannot now, or too much waits.  done: NULL, or called
 * once, never from within this: redis has confirmed it (as of commands_publish()), or has refused
 * it or was lost before that (0; also from within feed_free(), when feed is NULL and nothing can be
 * published). */
int feed_publish(struct feed *feed, uint32_t via, struct slice channel, struct buf *payload,
                 void (*done)(int ok, void *arg), void *arg);

/* The end: it is counted no more, all requests from before that have arrived, and what was
 * published is confirmed: then done() is called, from the loop and within ms.  Nothing comes
 * after that. */
void feed_leave(struct feed *feed, unsigned ms, void (*done)(void *arg), void *arg);

/* In a child, which has no use for them: gives up all its secrets. */
void feed_disown(struct feed *feed);

struct feed_commands {
    int is_ready;   /* commands can be sent */
    int is_counted; /* whoever asks servers of the cluster counts this one */
    struct commands_stats stats;
};

/* From within ops, too. */
int feed_subscribed(const struct feed *feed);
/* 1 if messages of daemons are heard. */
int feed_hears_peers(const struct feed *feed);
/* The id of the node of a Cluster that the connection in force is subscribed at, borrowed until
 * the loop's next turn; empty: there is none, or it is not known. */
struct slice feed_node(const struct feed *feed);
/* Where the connection in force is, as redis_server(); who knows it. */
const struct conf_redis *feed_server(const struct feed *feed);
struct finder_stats feed_sentinels(const struct feed *feed);
struct redis_stats feed_stats(const struct feed *feed);
struct feed_commands feed_commands(const struct feed *feed);

#endif
