/* successor - the connection that is to take the place of the one in force, until it does: what
 * comes over it waits, until it is known where it goes on from the old one (overlap.h).
 *
 * What may wait has a bound: where there is more, it is given up and made again once the old
 * one has caught up. */
#ifndef MASTER_SUCCESSOR_H
#define MASTER_SUCCESSOR_H

#include "base/slice.h"
#include "conf.h"
#include "master/backlog.h"
#include "master/compare.h"
#include "master/leaving.h"
#include "master/member.h"
#include "master/overlap.h"

#include <stddef.h>
#include <stdint.h>

struct event;
struct event_base;

struct successor_ops {
    /* As in member_ops. */
    void (*arrived)(struct slice payload, int is_counted, uint32_t via, void *arg);
    void (*too_large)(void *arg);
    /* successor_take() may be called, and is best from within this. */
    void (*ready)(void *arg);
};

/* What becomes of it; from OLD to READY it is subscribed, and what comes over it waits. */
enum successor_step {
    SUCCESSOR_NONE,  /* there is none */
    SUCCESSOR_WAIT,  /* for it to be subscribed */
    SUCCESSOR_OLD,   /* the old one was sent a PING */
    SUCCESSOR_NEW,   /* the new one was */
    SUCCESSOR_DROP,  /* it is freed in the loop's next turn, and made again */
    SUCCESSOR_LATER, /* it is made again when the old one has answered */
    SUCCESSOR_READY  /* that is told in the loop's next turn */
};

struct successor { /* fields are private, but for member and gaps */
    struct event_base *base;
    struct leaving *leaving;
    const struct successor_ops *ops;
    void *arg;
    const struct conf *conf;
    unsigned flags;
    struct member *old;    /* the one in force */
    struct member *member; /* the new one, or NULL */
    enum successor_step step;
    struct event *timer; /* for what is not done from within a redis */

    unsigned unshared;      /* bits of the topics that one of them hears and the other does not:
                             * what comes by these is not compared */
    int is_asked;           /* member is asked for: what comes over both is compared */
    struct compare compare; /* what has come over both */
    struct backlog waiting; /* messages of member */
    int apart;              /* known in READY: nothing has come over both */
    int is_exact;           /* known in READY: d is, and the old one was there until then */
    size_t d;               /* known in READY, unless they are apart: see overlap.h */
    uint64_t gaps;          /* how often messages could not be told apart */
};

/* leaving and ops are borrowed; flags: MEMBER_MUTE, or 0.  Returns 0, or -1 without memory;
 * successor_clear() undoes either. */
int successor_init(struct successor *successor, struct event_base *base, struct leaving *leaving,
                   unsigned flags, const struct successor_ops *ops, void *arg);
void successor_clear(struct successor *successor);

/* conf (borrowed) is in force, from the beginning too. */
void successor_configure(struct successor *successor, const struct conf *conf);

/* There is a new one; old (borrowed until successor_end() or successor_take()) serves.  One that
 * was there is given up. */
void successor_begin(struct successor *successor, struct member *old);
void successor_end(struct successor *successor);

/* What happens to the old one: a message, before it is handed on - returns 1 if it is a marker,
 * and for nobody; its subscription; an answer to a PING - returns 1 if it was asked for here. */
int successor_old_message(struct successor *successor, struct slice channel, struct slice payload);
void successor_old_state(struct successor *successor, int subscribed);
int successor_old_synced(struct successor *successor);

/* 1 if a message on channel comes over one of them only, of those bits of topics. */
int successor_is_unshared(const struct member *member, unsigned unshared, struct slice channel);

/* 1 if it may take the place of the old one. */
int successor_is_ready(const struct successor *successor);

struct successor_taken { /* all of it is the caller's */
    struct member *member;
    unsigned unshared;      /* bits of topics: what comes by them has come over one of both only */
    struct overlap overlap; /* what came over both */
    size_t common;          /* so many of its messages have come over the old one as well ... */
    size_t left;            /* ... and so many of these are still to come over it */
    int is_exact;           /* it goes on where the old one ends: nothing between them is lost */
};

/* It is in force, and there is none any more: what has come over it, and not over the old one as
 * well, is put to waiting, which is empty.  Only where it is ready. */
void successor_take(struct successor *successor, struct successor_taken *taken,
                    struct backlog *waiting);

/* In a child: gives up all secrets. */
void successor_disown(struct successor *successor);

#endif
