/* member - a member of the cluster at one redis: the subscription (redis.h), the connection
 * for commands (commands.h), and that others count this one only while it can answer.
 *
 * Requests are heard by the channel, which counts, while commands can be sent and answers
 * published; where that has been lost for 1 s in all, by the pattern.  Until then what is to
 * be published waits for another connection.
 *
 * A connection of the subscription that was lost is ended by CLIENT KILL, where redis allows
 * that: else it might be counted for minutes more.  So that a black-holed one is noticed soon,
 * it is lost where no byte has come for 700 ms, while commands that were sent after its last
 * PING have been answered. */
#ifndef MASTER_MEMBER_H
#define MASTER_MEMBER_H

#include "conf.h"
#include "master/commands.h"
#include "master/redis.h"

#include <stdint.h>

struct event_base;
struct member;

struct member_ops { /* none may call member_free */
    /* As in redis_ops; but state(1) comes first when it is known whether it can be counted.
     * via: member_via(). */
    void (*message)(struct slice channel, struct slice payload, void *arg);
    void (*request)(struct slice channel, struct slice payload, int is_counted, uint32_t via,
                    void *arg);
    void (*too_large)(void *arg);
    void (*state)(int subscribed, void *arg);
    void (*synced)(void *arg);
    void (*asking)(void *arg);
    void (*echoed)(void *arg);
    /* Commands can be sent (1), or not any more (0). */
    void (*commands)(int ready, void *arg);
};

#define MEMBER_PATIENT                                                                             \
    1u                 /* subscribes once it is known whether it can be counted, or soon after     \
                        */
#define MEMBER_MUTE 2u /* answers nothing: is never counted */

/* Begins at once.  ops is borrowed, conf is not kept.  NULL without memory. */
struct member *member_new(struct event_base *base, const struct conf *conf, unsigned flags,
                          const struct member_ops *ops, void *arg);
void member_free(struct member **member);

/* In a child, which has no use for them: gives up all its secrets. */
void member_disown(struct member *member);

/* Its parts; the rest of what they do is theirs to be asked. */
struct redis *member_redis(const struct member *member);
struct commands *member_commands(const struct member *member);

/* A number that no other one has had. */
uint32_t member_via(const struct member *member);

/* 1 if it is subscribed in a way that counts. */
int member_is_counted(const struct member *member);

/* 1 if commands_publish() may take something. */
int member_can_publish(const struct member *member);

/* What redis has refused is tried again. */
void member_retry(struct member *member);

/* What happens is told to ops from now on. */
void member_tell(struct member *member, const struct member_ops *ops, void *arg);

/* It takes the place of old: continues the counts of its subscription. */
void member_succeed(struct member *member, const struct member *old);

struct member_end {
    /* It is not counted any more, and what it was to publish is published; or it took too
     * long.  Nothing is heard of it any more. */
    void (*left)(struct member *member, void *arg);
    /* Nor can it publish: it is to be freed, and may be from within this. */
    void (*over)(struct member *member, void *arg);
};

/* It is subscribed to no requests any more; those that come until redis has confirmed that are
 * told, ms at most.  Commands can be sent for 10 s more.  May be called again, with less time;
 * end is borrowed. */
void member_leave(struct member *member, unsigned ms, const struct member_end *end);
int member_has_left(const struct member *member);

/* It has left, and redis has not confirmed that: the connection that may still be counted, for
 * others to end it; else NULL. */
const struct redis_client *member_stuck(const struct member *member);

/* In a list of its owner. */
struct member *member_next(const struct member *member);
void member_set_next(struct member *member, struct member *next);

#endif
