/* redis - the one subscription: connects, subscribes, stays subscribed.
 *
 * Subscribed to are the pattern "<key>#<nsp>#*" and the channels "<key>#emitter"
 * and "<key>#<nsp>" of emitters that differ.  And, where redis allows it, what
 * an emitter in Java publishes that puts rooms before the namespace into the
 * channel and leaves out the namespace "/": "<key>#[^/]*<nsp>#*", for "/"
 * "<key>#[^/]*#" and "<key>#".  No channel matches two of them.
 *
 * And, likewise, to the channel "<key>-request#<nsp>#" of what servers of a cluster ask each
 * other: by SUBSCRIBE, so that whoever asks counts this one and waits for its answer, or by
 * the pattern that matches nothing else, which does not count.
 *
 * Where clients recover: to the channel "<key>-peer#<nsp>#" of what daemons tell each other,
 * last of all, so that what comes on it comes when everything else is heard.  redis may
 * withhold it.
 *
 * A connection that is lost or refused is made again after 50 ms, doubling to
 * 1 s, with jitter.  One that says nothing is noticed: a PING every 300 ms, and 8 s for
 * a sign of life.  Nothing that redis answers can end this process. */
#ifndef MASTER_REDIS_H
#define MASTER_REDIS_H

#include "base/slice.h"
#include "conf.h"
#include "master/finder.h"
#include "master/redis_commands.h"
#include "master/redis_link.h"
#include "master/topics.h"

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct redis;
struct tls_client;

struct redis_ops { /* none may call redis_free */
    /* One published message, or one of daemons; both are valid for the call. */
    void (*message)(struct slice channel, struct slice payload, void *arg);
    /* One on the channel of requests, in its place among the messages and once; is_counted: by
     * SUBSCRIBE.  It and requests() may be NULL. */
    void (*request)(struct slice channel, struct slice payload, int is_counted, void *arg);
    /* redis_requests_heard() may have changed, though state() has not. */
    void (*requests)(void *arg);
    /* A message was so large that the connection was given up for it. */
    void (*too_large)(void *arg);
    /* An attempt has ended: subscribed (1) or not (0), or the subscription is lost (0). */
    void (*state)(int subscribed, void *arg);
    /* The answer to redis_sync: to the last, where several are to come. */
    void (*synced)(void *arg);
    /* The subscription is being asked for: what has been published and read, on whichever
     * connection, does not come over this one.  May be NULL. */
    void (*asking)(void *arg);
    /* The answer to redis_echo(): to the last, where several are to come.  May be NULL. */
    void (*echoed)(void *arg);
    /* Where the server is has changed, as sentinels have it: for who has another connection to
     * it.  redis_server() has it.  May be NULL. */
    void (*place)(const struct redis_place *place, void *arg);
};

struct redis_stats {
    uint64_t attempts; /* to connect */
    uint64_t messages; /* taken */
    uint64_t odd;      /* replies that mean nothing, ignored */
    uint64_t gaps;     /* subscriptions lost */
    uint64_t gap_ms;   /* time without one after the first, all told (the current gap not yet) */
};

/* Begins at once.  ops is borrowed, conf is not kept.  NULL without memory. */
struct redis *redis_new(struct event_base *base, const struct conf *conf,
                        const struct redis_ops *ops, void *arg);

/* One that publishes a message (not kept) in place of subscribing, once: state() says
 * whether redis has taken it, and nothing more comes of it but redis_free(). */
struct redis *redis_publish(struct event_base *base, const struct conf *conf, struct slice channel,
                            struct slice payload, const struct redis_ops *ops, void *arg);
void redis_free(struct redis **redis);

/* It has not tried yet: it does so much later. */
void redis_delay(struct redis *redis, unsigned ms);

/* How requests are to be heard, from now on (by the pattern, if nothing was said); and how they
 * are.  What redis has refused is tried again. */
void redis_requests(struct redis *redis, enum requests_mode mode);
enum requests_heard redis_requests_heard(const struct redis *redis);

/* How long no byte has come while a PING is out that was sent at *pinged_ms, in time that this
 * process ran; 0: none is out, or nothing is read. */
unsigned redis_quiet_ms(const struct redis *redis, uint64_t *pinged_ms);

/* The connection says nothing: another one. */
void redis_give_up(struct redis *redis);

/* The master is not looked for any more: a connection that is lost is not made again elsewhere. */
void redis_settle(struct redis *redis);

/* There is no connection any more, and none is made; state() is not told. */
void redis_stop(struct redis *redis);

/* Where it is, and how it is spoken to: NULL without TLS.  Both are borrowed.  With sentinels it
 * has a host while the master is known. */
const struct conf_redis *redis_server(const struct redis *redis);
/* Where the present connection goes, for the log. */
const char *redis_where(const struct redis *redis);
const struct tls_client *redis_tls(const struct redis *redis);

/* The connection before this one, as far as it is known. */
const struct redis_client *redis_former(const struct redis *redis);

int redis_subscribed(const struct redis *redis);

/* The bound of what redis may answer follows conf->message_bytes. */
void redis_limits(struct redis *redis, const struct conf *conf);

/* Overwrites the password: there will be no other connection. */
void redis_wipe(struct redis *redis);

/* In a child, which has no use for them: gives up all its secrets. */
void redis_disown(struct redis *redis);

/* Reads nothing until redis_resume(), or until it is another connection; what redis sends
 * waits. */
void redis_pause(struct redis *redis);
/* What was read already is told first, before this returns.  Not from within ops. */
void redis_resume(struct redis *redis);

/* redis takes the place of old: continues its counts. */
void redis_succeed(struct redis *redis, const struct redis *old);

/* Asks redis for a sign that everything published up to now has been handed over.
 * Returns 0, or -1 where there is no subscription or no memory; if the subscription
 * is lost meanwhile, state() says so instead. */
int redis_sync(struct redis *redis);

/* The same, which leaves what redis_sync() tells as it is. */
int redis_echo(struct redis *redis);

/* The id of the node of a Cluster where it is subscribed, borrowed for now; empty: none, or
 * it is not known, or clients do not recover. */
struct slice redis_node(const struct redis *redis);

/* What redis does not allow of those that it may withhold, in bits; known when it has answered a
 * redis_sync().  redis_topic_bit(): that of the one by which channel is heard, or 0. */
unsigned redis_withheld(const struct redis *redis);
unsigned redis_topic_bit(const struct redis *redis, struct slice channel);

/* 1 if it is the channel of requests; of what daemons tell each other. */
int redis_is_request(const struct redis *redis, struct slice channel);
int redis_is_peer(const struct redis *redis, struct slice channel);

/* 1 if it is subscribed, and to the channel of daemons, too. */
int redis_hears_peers(const struct redis *redis);

/* clock_us() when the bytes being worked on were read: of the message, within ops->message. */
uint64_t redis_read_us(const struct redis *redis);

/* Those that know where it is; zero: there are none. */
struct finder_stats redis_sentinels(const struct redis *redis);

const struct redis_stats *redis_stats(const struct redis *redis);

#endif
