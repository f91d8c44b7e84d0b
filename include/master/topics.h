/* topics - what is subscribed to: the pattern and the channels of redis.h, and which of them
 * redis has confirmed. */
#ifndef MASTER_TOPICS_H
#define MASTER_TOPICS_H

#include "base/buf.h"
#include "base/slice.h"

/* Those that have to be had, and those that an ACL may withhold. */
enum topic {
    TOPIC_PATTERN,
    TOPIC_EMITTER,
    TOPIC_NSP,
    TOPICS_NEEDED,
    TOPIC_OLD = TOPICS_NEEDED,
    TOPIC_BARE,
    TOPIC_REQUEST,         /* the channel of requests: whoever subscribes to it is counted */
    TOPIC_REQUEST_PATTERN, /* the same as a pattern: is not */
    TOPIC_PEER,            /* what daemons tell each other; only where that is wanted */
    TOPICS
};

/* How requests are to be heard, and how they are. */
enum requests_mode { REQUESTS_BY_PATTERN, REQUESTS_COUNTED, REQUESTS_LEFT };
enum requests_heard { REQUESTS_UNHEARD, REQUESTS_CHANGING, REQUESTS_PATTERN, REQUESTS_CHANNEL };

struct topics {
    struct buf at[TOPICS]; /* as they are subscribed to; TOPIC_BARE may be empty */
    unsigned confirmed;    /* bits of them */
};

/* Returns 0, or -1 without memory; topics_clear() undoes either. */
int topics_init(struct topics *topics, const char *key, const char *nsp);
void topics_clear(struct topics *topics);

/* Borrowed until topics_clear(). */
struct slice topics_at(const struct topics *topics, enum topic topic);

/* 1 if it is subscribed to by PSUBSCRIBE. */
int topics_is_pattern(enum topic topic);

/* None is confirmed: another connection. */
void topics_forget(struct topics *topics);

/* 1 if redis has confirmed it. */
int topics_has(const struct topics *topics, enum topic topic);

/* redis confirms the end of it. */
void topics_drop(struct topics *topics, enum topic topic);

/* Which one has that name, and is a pattern or none: or TOPICS. */
enum topic topics_named(const struct topics *topics, struct slice name, int is_pattern);

/* redis confirms the pattern or channel of that name, whatever that is.  Returns which it is, or
 * TOPICS. */
enum topic topics_confirm(struct topics *topics, struct slice name, int is_pattern);

/* 1 if all that are needed are confirmed. */
int topics_are_enough(const struct topics *topics);

/* Bits of those that may be withheld and are not confirmed, both of requests as one; and that of
 * the one of them by which a message on channel is heard, or 0. */
unsigned topics_withheld(const struct topics *topics);
unsigned topics_bit(const struct topics *topics, struct slice channel);

#endif
