/* sentinel - what one sentinel says of the master: asked again and again, and heard.
 *
 * There is one connection, which is subscribed to +switch-master and asked every second: it is
 * unsubscribed, asked where the master is and of which configuration, and subscribed again, in
 * one go.  What a sentinel answers is as new as it is itself: an event that falls between is
 * found by the next question, and the answer is the sign of life. */
#ifndef MASTER_SENTINEL_H
#define MASTER_SENTINEL_H

#include "base/log.h"
#include "codec/ballot.h"
#include "conf.h"
#include "master/redis_link.h"

#include <stdint.h>

struct redis_replies;
struct sentinel;
struct tls_client;

struct sentinel_ops { /* none may call sentinel_clear */
    /* It has answered; has_switched: it tells of a switch, and is being asked. */
    void (*said)(struct sentinel *sentinel, int has_switched, void *arg);
    /* It does not answer any more, or again not. */
    void (*lost)(struct sentinel *sentinel, void *arg);
};

struct sentinel { /* fields are private, but for those that are said to be not */
    const struct sentinel_ops *ops;
    void *arg;
    const char *name;         /* of the master */
    struct conf_redis server; /* its texts are borrowed */
    struct redis_link link;   /* to be read: where */
    struct redis_replies *replies;
    struct event *timer; /* for the answer; or the next question */
    uint64_t attempts;
    uint64_t *news; /* counts changes of all sentinels */
    struct log_every unknown_log;
    struct log_every behind_log; /* its owner's */

    uint8_t expects[8]; /* what is without an answer, in order */
    unsigned nexpects;
    int is_asked, is_asked_again;
    uint64_t asked_ms;
    int hears; /* it is subscribed */
    int is_deaf;

    int is_answered;            /* to be read: what follows is what it says */
    int is_named;               /* to be read: it knows a place */
    char host[BALLOT_HOST_MAX]; /* to be read: the last place it has named, as the next three */
    int port;
    int64_t epoch;
    uint64_t change; /* news when it changed to that place; 0: it was the first */
};

/* Begins at once.  It is number i of conf, which is borrowed as client, ops and news are.  Returns
 * 0, or -1 without memory: sentinel_clear() undoes either. */
int sentinel_init(struct sentinel *sentinel, struct event_base *base, const struct conf_redis *conf,
                  const struct tls_client *client, size_t i, uint64_t *news,
                  const struct sentinel_ops *ops, void *arg);
/* In a child: gives up the secrets of TLS. */
void sentinel_disown(struct sentinel *sentinel);
void sentinel_clear(struct sentinel *sentinel);

/* There is no connection any more. */
void sentinel_stop(struct sentinel *sentinel);

/* It is asked now, if it is connected; or in a moment, if it was just before. */
void sentinel_look(struct sentinel *sentinel);

/* 1 while an answer may come within short. */
int sentinel_is_busy(const struct sentinel *sentinel);

/* What it says. */
struct vote sentinel_vote(const struct sentinel *sentinel);

#endif
