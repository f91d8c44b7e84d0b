/* commands - the connection on which redis is told something: what servers of a cluster ask
 * is answered on it, by PUBLISH.
 *
 * It is made again whenever it is lost (redis_link.h).  On each connection the right to
 * publish answers is tried first: "{}" on the channel "<key>-response#<nsp>#", which all
 * servers pass over (others end old ones).  Where redis does not allow it that is tried
 * again every 10 s.  A PING every 300 ms, when nothing else is to be answered, and an answer
 * within 600 ms; the time that a long message is on its way does not count. */
#ifndef MASTER_COMMANDS_H
#define MASTER_COMMANDS_H

#include "base/buf.h"
#include "base/slice.h"
#include "conf.h"
#include "master/redis_commands.h"
#include "master/redis_link.h"

#include <stddef.h>
#include <stdint.h>

struct commands;
struct event_base;
struct tls_client;

#define COMMANDS_MAX_BYTES (64UL * 1024 * 1024) /* may wait for redis to confirm them */

struct commands_ops { /* none may call commands_free */
    /* What the functions below say may have changed. */
    void (*changed)(void *arg);
    /* Every 100 ms, while it is connected. */
    void (*tick)(void *arg);
};

struct commands_stats {
    uint64_t attempts;  /* to connect */
    uint64_t published; /* confirmed by redis */
    uint64_t failed;    /* refused by it, or lost with the connection */
};

/* Begins at once.  client: redis_tls_client().  server, client and ops are borrowed, conf is not
 * kept.  NULL without memory. */
struct commands *commands_new(struct event_base *base, const struct conf *conf,
                              const struct conf_redis *server, const struct tls_client *client,
                              const struct commands_ops *ops, void *arg);
/* What waits is told that it has failed. */
void commands_free(struct commands **commands);

/* In a child: gives up the secrets of TLS. */
void commands_wipe(struct commands *commands);

/* 1: commands can be sent, and answers published. */
int commands_ready(const struct commands *commands);

/* 1: redis does not allow answers; the first attempt has ended, well or not; why it has
 * failed, or the last one. */
int commands_refused(const struct commands *commands);
int commands_tried(const struct commands *commands);
const char *commands_why(const struct commands *commands);

/* When an answer came last, and when the command was sent that was answered last; 0: never. */
uint64_t commands_heard_ms(const struct commands *commands);
uint64_t commands_answered_ms(const struct commands *commands);

/* The right to publish is tried again now, if redis has refused it. */
void commands_retry(struct commands *commands);

/* 1: what is to be published while it is not connected waits, until it is or until 0. */
void commands_hold(struct commands *commands, int on);

/* Where server is has changed. */
void commands_place(struct commands *commands, const struct redis_place *place);

/* It is not made again when it is lost. */
void commands_last(struct commands *commands);

/* Takes payload (it is empty then).  Where redis does not allow a channel of one requester,
 * "<key>-response#<nsp>#<uid>#", it goes to the one of all.  Returns 0; -1 where it cannot now,
 * or too much waits.  done: NULL, or called once, never from within this: redis has confirmed
 * it (1, and 1 more for each subscriber that it went to), or has refused it or was lost before that
 * (0). */
int commands_publish(struct commands *commands, struct slice channel, struct buf *payload,
                     void (*done)(int ok, void *arg), void *arg);

/* Bytes and messages that redis has not confirmed. */
size_t commands_waiting(const struct commands *commands);
size_t commands_unconfirmed(const struct commands *commands);

/* Ends a connection of ours that was lost, if redis allows that; else nothing is said of it. */
void commands_kill(struct commands *commands, const struct redis_client *client);

/* Adds its counts to others. */
void commands_add(struct commands_stats *sum, const struct commands *commands);

#endif
