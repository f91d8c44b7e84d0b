/* redis_replies - the bytes that redis sends on a connection of ours -> what they say. */
#ifndef MASTER_REDIS_REPLIES_H
#define MASTER_REDIS_REPLIES_H

#include "base/slice.h"
#include "master/redis_fault.h"

#include <stddef.h>

enum redis_reply_kind {
    REPLY_MESSAGE,       /* on the channel name; text: its payload */
    REPLY_PMESSAGE,      /* the same, heard by a pattern */
    REPLY_SUBSCRIBED,    /* to the channel name */
    REPLY_PSUBSCRIBED,   /* to the pattern name */
    REPLY_UNSUBSCRIBED,  /* from the channel name; empty: from none */
    REPLY_PUNSUBSCRIBED, /* from the pattern name; likewise */
    REPLY_OK,
    REPLY_PONG,
    REPLY_SYNC,   /* the answer to redis_commands_sync() */
    REPLY_ECHO,   /* to redis_commands_echo() */
    REPLY_NUMBER, /* number: it */
    REPLY_TEXT,   /* text: it */
    REPLY_ERROR,  /* text: what it says */
    REPLY_ODD     /* text: what it is, for the log */
};

struct redis_reply {
    enum redis_reply_kind kind;
    struct slice name, text; /* with a NUL behind, which does not count */
    long long number;
    void *parsed; /* they are of it: a redisReply */
};

struct redis_replies;

/* For a new connection.  fault is borrowed.  NULL without memory. */
struct redis_replies *redis_replies_new(struct redis_fault *fault);
/* Arrays may be within arrays, and larger: of who is asked for more than messages. */
void redis_replies_deepen(struct redis_replies *replies);
void redis_replies_free(struct redis_replies **replies);

/* Bytes from redis.  Returns 0, or -1 where it noted a fault. */
int redis_replies_feed(struct redis_replies *replies, const char *bytes, size_t len);

/* The next that is whole: 1, and it is the caller's; 0: none is; -1 where it noted a fault:
 * what comes is not the protocol, or a reply of more than max bytes. */
int redis_replies_next(struct redis_replies *replies, size_t max, struct redis_reply *reply);
void redis_reply_clear(struct redis_reply *reply);

#endif
