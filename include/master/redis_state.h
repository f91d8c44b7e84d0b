/* redis_state - what redis.c, subscribe.c and replies.c share; nobody else includes this.
 *
 *     redis      the connection: made, read, watched, lost, made again
 *     subscribe  what redis is told on it
 *     replies    what redis says on it */
#ifndef MASTER_REDIS_STATE_H
#define MASTER_REDIS_STATE_H

#include "base/buf.h"
#include "base/log.h"
#include "base/slice.h"
#include "conf.h"
#include "master/redis.h"

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>

#define PING_MS 3000   /* from a sign of life to the next PING */
#define SYNC    "sync" /* comes back behind all that was published before */

struct bufferevent;
struct redis_connect;
struct event;
struct event_base;

enum redis_state { WAITING, CONNECTING, HANDSHAKE, SUBSCRIBED };

/* Each kind is logged once until the next success, and then once a minute. */
enum redis_failure {
    FAIL_CONNECT,
    FAIL_DEADLINE,
    FAIL_SILENT,
    FAIL_CLOSED,
    FAIL_PROTOCOL,
    FAIL_TOO_LARGE,
    FAIL_MEMORY,
    FAIL_PASSWORD,
    FAIL_PERMISSION,
    FAIL_LOADING,
    FAIL_CLIENTS,
    FAIL_ERROR /* another -ERR */
};

/* Those that have to be had, and those that an ACL may withhold: see redis.h. */
enum {
    TOPIC_PATTERN,
    TOPIC_EMITTER,
    TOPIC_NSP,
    TOPICS_NEEDED,
    TOPIC_OLD = TOPICS_NEEDED,
    TOPIC_BARE,
    TOPICS
};
#define TOPICS_MASK ((1U << TOPICS_NEEDED) - 1)

struct redis {
    struct event_base *base;
    struct conf_redis server; /* its own */
    const struct redis_ops *ops;
    void *arg;

    enum redis_state state;
    struct redis_connect *connect;
    struct bufferevent *bev; /* writes, and owns the socket */
    struct event *input;     /* ... which is read here */
    redisReader *reader;
    redisReplyObjectFunctions functions; /* the reader's, with a bound */
    const redisReplyObjectFunctions *defaults;
    struct event *timer; /* the attempt's deadline, or the next one's time */
    struct event *pulse; /* while subscribed: the next PING, or silence */

    struct buf topics[TOPICS];    /* as they are subscribed to; TOPIC_BARE may be empty */
    unsigned confirmed;           /* bits of topics */
    int withheld;                 /* it was logged that redis allows no TOPIC_OLD */
    unsigned oks;                 /* +OK still to come: of AUTH and SELECT */
    unsigned syncs;               /* pongs still to come: of redis_sync() */
    size_t unfinished, reply_max; /* bytes since the last whole reply, and the bound */

    struct buf say; /* of redis_publish(): the command; else empty */

    int paused; /* redis_pause() */
    int failed; /* a failure was found: it is acted on at the end of the event */
    enum redis_failure failure;
    char why[320];
    char where[256];  /* for the log */
    unsigned logged;  /* bits of failures that were logged since the last success */
    uint64_t said_ms; /* when the last of them was */

    uint32_t backoff_ms;
    uint64_t heard_ms, subscribed_ms;
    uint64_t read_us; /* when the bytes at hand were read */
    uint64_t lost_ms; /* since when the subscription is missing; 0: it never was there */
    int pinged;       /* a PING is out and nothing came since */
    struct redis_stats stats;
    struct log_every odd_log;
};

/* --- redis.c --- */
/* Notes a failure (the first counts), which ends the connection once whoever is still
 * using it has returned.  Returns -1. */
int redis_found(struct redis *redis, enum redis_failure failure, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* All topics that are needed are confirmed. */
void redis_ready(struct redis *redis);
/* What it was to publish is. */
void redis_said(struct redis *redis);

/* --- subscribe.c --- */
/* Makes the topics.  Returns 0, or -1 without memory; subscribe_clear() undoes either. */
int subscribe_init(struct redis *redis, const char *key, const char *nsp);
void subscribe_clear(struct redis *redis);
/* Borrowed until subscribe_clear(). */
struct slice subscribe_topic(const struct redis *redis, int i);
/* Before all else: AUTH, to the socket itself.  Returns 0, or -1 where it noted a failure. */
int subscribe_auth(struct redis *redis, int fd);
/* Makes the command of redis_publish().  These return 0, or -1 without memory. */
int subscribe_say(struct redis *redis, struct slice channel, struct slice payload);
/* SELECT, and the subscriptions; or that command. */
int subscribe_put(struct redis *redis);
int subscribe_sync(struct redis *redis);

/* --- replies.c --- */
/* For a new connection.  Returns 0, or -1 without memory; replies_end() undoes either. */
int replies_begin(struct redis *redis);
void replies_end(struct redis *redis);
/* Bytes from redis: acts on each reply that is whole now.  Returns 0, or -1 where it noted
 * a failure. */
int replies_feed(struct redis *redis, const char *bytes, size_t len);
/* Likewise with what redis_pause() held back. */
int replies_take(struct redis *redis);

#endif
