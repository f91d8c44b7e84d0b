/* subscription - the dialogue with redis, on one connection after another: what it is asked
 * for, and what its answers mean.  Or, in place of a subscription, one message to publish. */
#ifndef MASTER_SUBSCRIPTION_H
#define MASTER_SUBSCRIPTION_H

#include "base/buf.h"
#include "base/log.h"
#include "base/slice.h"
#include "conf.h"
#include "master/redis_commands.h"
#include "master/redis_fault.h"
#include "master/topics.h"

#include <stddef.h>
#include <stdint.h>

struct bufferevent;
struct redis_replies;

struct subscription_ops {
    /* One published message; both are valid for the call.  On the channel of daemons: only once
     * redis has answered all that was asked for. */
    void (*message)(struct slice channel, struct slice payload, void *arg);
    /* One on the channel of requests, each once; is_counted: it came by SUBSCRIBE. */
    void (*request)(struct slice channel, struct slice payload, int is_counted, void *arg);
    /* How requests are heard may have changed. */
    void (*requests)(void *arg);
    /* All topics that are needed are confirmed, and the channel of daemons, if it is wanted, is
     * confirmed or withheld; or the message is published. */
    void (*ready)(void *arg);
    /* The answer to the last subscription_sync(). */
    void (*synced)(void *arg);
    /* The same of subscription_echo(). */
    void (*echoed)(void *arg);
    /* Whole replies have come, whatever they are: once for what was read at a time. */
    void (*heard)(void *arg);
    /* One of them means nothing here. */
    void (*odd)(void *arg);
};

#define SUBSCRIPTION_EXPECTS 64 /* commands that may be without an answer */
#define SUBSCRIPTION_NODE    64 /* bytes of the id of a node, at most */

struct subscription { /* fields are private, but for former */
    const struct conf_redis *server;
    struct redis_fault *fault;
    const struct subscription_ops *ops;
    void *arg;
    struct topics topics;
    struct buf publish;            /* the command; empty: it subscribes */
    struct bufferevent *bev;       /* of the connection, or NULL */
    struct redis_replies *replies; /* likewise */
    size_t reply_max;
    int is_ready;      /* on this connection */
    int is_paused;     /* what has been read is not looked at */
    int has_peers;     /* the channel of daemons is wanted, and which node this is */
    unsigned withheld; /* bits of topics: it was logged that redis does not allow them */
    unsigned syncs;    /* pongs still to come */
    unsigned echoes;   /* likewise */
    char node[SUBSCRIPTION_NODE + 1]; /* of this connection; empty: none, as far as is known */
    struct log_every odd_log;

    struct { /* what is without an answer, in order */
        uint8_t kind;
        uint16_t topics; /* bits */
    } expects[SUBSCRIPTION_EXPECTS];
    unsigned nexpects;

    enum requests_mode requests;
    unsigned denied;                 /* bits of the topics of requests that redis does not allow */
    struct redis_client own, former; /* this connection; one that was lost: may redis close it */
};

/* Of conf only key, nsp and recovery, which are not kept; the others are borrowed.  Returns 0, or
 * -1 without memory; subscription_clear() undoes either. */
int subscription_init(struct subscription *subscription, const struct conf *conf,
                      const struct conf_redis *server, struct redis_fault *fault,
                      const struct subscription_ops *ops, void *arg);
void subscription_clear(struct subscription *subscription);

/* It publishes that message (copied).  Returns 0, or -1 without memory. */
int subscription_publish(struct subscription *subscription, struct slice channel,
                         struct slice payload);
int subscription_is_publish(const struct subscription *subscription);

/* What it subscribes to, and what of that redis has confirmed. */
const struct topics *subscription_topics(const struct subscription *subscription);

/* A longer reply is a fault. */
void subscription_limit(struct subscription *subscription, size_t bytes);

/* Asks for all that it wants, on a connection that has come about: bev's is wire.  Returns 0,
 * or -1 where a fault was noted. */
int subscription_begin(struct subscription *subscription, struct bufferevent *bev,
                       const struct redis_wire *wire);

/* The connection is over. */
void subscription_end(struct subscription *subscription);

/* Bytes from redis: acts on each reply that is whole, until it is paused.  Returns 0, or -1
 * where a fault was noted. */
int subscription_read(struct subscription *subscription, const char *bytes, size_t len);

/* What has been read waits (1), or no more (0): subscription_take() acts on it then, as
 * subscription_read() does. */
void subscription_pause(struct subscription *subscription, int on);
int subscription_take(struct subscription *subscription);

/* How requests are to be heard: at once if it is connected, and on each connection to come. */
void subscription_requests(struct subscription *subscription, enum requests_mode mode);
enum requests_heard subscription_requests_heard(const struct subscription *subscription);

/* Asks for a sign of life.  Returns 0, or -1 without memory. */
int subscription_ping(struct subscription *subscription);

/* Asks for a sign that everything published up to now has been handed over.  Returns 0, or
 * -1 without memory. */
int subscription_sync(struct subscription *subscription);

/* The same, which does not get in the way of that. */
int subscription_echo(struct subscription *subscription);

#endif
