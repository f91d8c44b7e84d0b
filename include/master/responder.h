/* responder - this daemon as one server of a cluster: what it sends and publishes through,
 * whom an answer goes to, and what became of it. */
#ifndef MASTER_RESPONDER_H
#define MASTER_RESPONDER_H

#include "base/buf.h"
#include "base/log.h"
#include "base/slice.h"
#include "codec/request.h"
#include "conf.h"

#include <stddef.h>
#include <stdint.h>

struct behind;
struct gone;
struct relay;
struct route;
struct route_targets;

struct responder_ops {
    /* One whole message for the pipe to the worker in that lane; may call
     * cluster_worker_down. */
    void (*send)(unsigned lane, const void *message, size_t len, void *arg);
    /* As feed_publish(). */
    int (*publish)(uint32_t via, struct slice channel, struct buf *payload,
                   void (*done)(int ok, void *done_arg), void *done_arg, void *arg);
    /* Call cluster_wake in so many ms, from the loop; that takes the place of what was
     * asked before. */
    void (*wake)(unsigned ms, void *arg);
};

/* What became of what had to be answered. */
enum response_result {
    RESPONSE_FULL,       /* with all that there is */
    RESPONSE_EMPTY,      /* as if there were nobody: a further copy, or a request that is bad */
    RESPONSE_SHORT,      /* with what was there when its time was up */
    RESPONSE_TOO_LARGE,  /* not: the answer would be */
    RESPONSE_BUSY,       /* not: its time was up before it could be asked for */
    RESPONSE_UNSENDABLE, /* not: redis does not take it, or there is no memory */
    RESPONSE_RESULTS
};

struct responder {
    const struct responder_ops *ops;
    void *arg;
    struct relay *relay;
    struct route *route; /* its own */
    struct gone *gone;   /* on whom requests act, too; NULL: there are none */
    const struct conf *conf;
    uint32_t last_id;
    uint64_t results[RESPONSE_RESULTS];
    struct log_every log[RESPONSE_RESULTS];
    struct buf message;         /* reused */
    struct behind *unconfirmed; /* answers that redis has not confirmed; private */
};

/* Frees what it holds.  Nothing that was published may be confirmed afterwards. */
void responder_clear(struct responder *responder);

/* "full", "empty", ...; never NULL. */
const char *response_result_name(enum response_result result);

/* An id for a message to workers, not 0: none that a worker may still talk about. */
uint32_t responder_id(struct responder *responder);

/* 1 if it is a message, no larger than one may be. */
int responder_may_send(const struct responder *responder, const struct buf *message);

/* A whole message to each of targets, of which it takes a copy.  Returns 0, or -1 (counted
 * nowhere) if it is none, or larger than one may be. */
int responder_send(struct responder *responder, const struct buf *message,
                   const struct route_targets *targets);

/* It has been counted; what is no answer is logged, too, once a minute. */
void responder_result(struct responder *responder, enum response_result result,
                      enum request_type type);

/* --- to whom ---------------------------------------------------------------------- */

/* Whoever has asked, and how. */
struct reply {
    enum request_type type;
    int is_old;
    uint32_t via;           /* the connection that it came over: feed.h */
    struct buf id, channel; /* its own */
};

/* Copies what it needs.  Where one of SOCKETS, ALL_ROOMS, FETCH and BROADCAST has the uid of an
 * adapter, the answer goes to that server's own channel; to the common one where the uid is
 * longer than REPLY_UID_MAX or has anything but visible ASCII, and for all others.  Returns 0, or
 * -1 without memory, and it is empty. */
#define REPLY_UID_MAX 64
int reply_init(struct reply *reply, const struct responder *responder,
               const struct request *request, uint32_t via);
void reply_clear(struct reply *reply);

/* For request_put_*(): borrows from it. */
struct request reply_request(const struct reply *reply);

/* Publishes payload (taken, and emptied) as the answer, and counts that; done as of
 * feed_publish(), or NULL.  Returns 0, or -1 where it cannot be, which is counted. */
int reply_send(const struct reply *reply, struct responder *responder, struct buf *payload,
               enum response_result result, void (*done)(int ok, void *arg), void *arg);

/* The connections over which further copies of a request have come. */
#define FURTHER_MAX 2
struct further {
    uint32_t vias[FURTHER_MAX];
    unsigned n;
};

/* As reply_send(), and when redis has the answer, the empty ones for the further copies:
 * whoever waits for one answer takes the first. */
int reply_send_all(const struct reply *reply, const struct further *further,
                   struct responder *responder, struct buf *payload, enum response_result result,
                   void (*done)(int ok, void *arg), void *arg);

/* Answers request as if nobody were meant, where that can be said: an empty list, no
 * client, null; where an answer to it waits for redis, behind that. */
void reply_nobody(struct responder *responder, const struct request *request, uint32_t via);

#endif
