/* relay - what redis publishes -> the workers it concerns.
 *
 * Decodes each message once, gives it the next sequence number, encodes it once
 * for the pipes and hands it to the workers that route.h names.  Also answers
 * admissions: an admitted client is in the table before it hears of it, so no
 * message that is published afterwards passes it by. */
#ifndef MASTER_RELAY_H
#define MASTER_RELAY_H

#include "base/slice.h"
#include "codec/emit.h"
#include "conf.h"
#include "ipc/msg.h"
#include "master/admit.h"

#include <stddef.h>
#include <stdint.h>

struct relay;
struct route;

struct relay_ops {
    /* One whole message for the pipe to the worker in that lane (ipc/start.h); may call
     * relay_worker_down. */
    void (*send)(unsigned lane, const void *message, size_t len, void *arg);
    /* The answer to relay_admit, for the same pipe; likewise.  comeback: as ops->comeback
     * has told, or NULL. */
    void (*answer)(const struct admit *admit, const struct comeback *comeback,
                   enum msg_verdict verdict, void *arg);
    /* Call relay_wake in so many ms, from the loop; that takes the place of what was
     * asked before.  Returns 0, or -1 without memory, which does not happen while an
     * earlier one is to come, nor within relay_wake. */
    int (*wake)(unsigned ms, void *arg);
    /* A user has one connection more or less, on the worker in lane; no uid: any that had
     * some there may have lost them, for that worker has gone.  NULL: nobody cares. */
    void (*changed)(struct slice uid, unsigned lane, void *arg);
    /* For recovery; all NULL: there is none.  kept(): a message is in the stream as that of this
     * seq, before it goes to a worker; message is the MSG_BROADCAST.  dropped(): one is not, or
     * is for those only who are here (EMIT_OK); offset is behind it. */
    void (*kept)(uint64_t seq, const struct broadcast *bc, struct slice message, void *arg);
    void (*dropped)(enum emit_result reason, uint64_t offset, void *arg);
    /* admit->resumes, and it is let in this moment: which session it has back, and with what.
     * Borrowed until the next call; NULL: none, after all. */
    const struct comeback *(*comeback)(const struct admit *admit, void *arg);
};

struct relay_stats {
    uint64_t relayed;                             /* to one worker at least */
    uint64_t nobody;                              /* good, but no worker holds a room of it */
    uint64_t dropped[EMIT_RESULTS];               /* by reason */
    uint64_t faulty;                              /* dropped for a reason that is an error */
    uint64_t admissions[MSG_ADMIT_NO_MEMORY + 1]; /* by verdict */
    uint64_t replaced;                            /* told to leave for a newer one of their user */
};

/* conf and ops are borrowed.  NULL without memory. */
struct relay *relay_new(const struct conf *conf, const struct relay_ops *ops, void *arg);
void relay_free(struct relay **relay);

/* conf (borrowed) is in force from now on; its namespace and key are the same. */
void relay_configure(struct relay *relay, const struct conf *conf);

/* One published message; received_us: clock_us() when it was read; offset: its own, for recovery,
 * or 0. */
void relay_message(struct relay *relay, struct slice channel, struct slice payload,
                   uint64_t received_us, uint64_t offset);

/* A broadcast that clients are to acknowledge within timeout_ms is next in the stream: out gets
 * the MSG_EMIT of that id.  Returns to whom it is to go at once, valid until the next
 * route_find(); or NULL where it is too large or there is no memory (counted). */
const struct route_targets *relay_emit(struct relay *relay, struct buf *out, uint32_t id,
                                       uint32_t timeout_ms, uint64_t received_us,
                                       const struct broadcast *bc);

/* A message that never came in whole: counted and logged like the others. */
void relay_drop(struct relay *relay, enum emit_result reason, struct slice channel);

/* The worker in that lane serves clients from now on / has gone. */
void relay_worker_up(struct relay *relay, unsigned lane);
void relay_worker_down(struct relay *relay, unsigned lane);

/* May this client of this user in, on that worker?  ops->answer is told, with
 * MSG_ADMIT_OK once it is counted in: before this returns, but where it would be
 * refused for its user's limit, only when there is a place or after PENDING_MS (pending.h).
 * limits:connectionsPerUser holds across all workers; where the oldest is to make
 * place, its worker has been sent a MSG_KICK before the answer.  When it hears that it is in, its
 * rooms are known here: those of its token, or of what ops->comeback has told. */
void relay_admit(struct relay *relay, const struct admit *admit);

/* What ops->wake asked for; now_ms: clock_ms(). */
void relay_wake(struct relay *relay, uint64_t now_ms);

/* An admitted client has joined and left rooms, for its token (is_claim) or by request.  id not
 * 0: MSG_NOTED is sent there when they are known here.  Returns 0, or 1 if there is no memory to
 * say so (nothing has happened). */
int relay_rooms(struct relay *relay, unsigned lane, uint32_t id, uint64_t client, int is_claim,
                const struct slices *joined, const struct slices *left);

/* An admitted client has gone. */
void relay_left(struct relay *relay, unsigned lane, uint64_t client, struct slice uid);

/* How often this user is connected, to all workers.  Those that are told to leave
 * do not count. */
size_t relay_user_connections(const struct relay *relay, struct slice uid);

/* Users that are connected. */
size_t relay_users(const struct relay *relay);

/* As table_scan(), of these; visit changes nothing here. */
uint32_t relay_scan_users(const struct relay *relay, uint32_t cursor,
                          void (*visit)(struct slice uid, void *arg), void *arg);

/* Which workers hold a room, for requests that are relayed in one order with messages. */
struct route *relay_route(struct relay *relay);

/* The run of this master, random, and the number of the last message relayed. */
uint64_t relay_epoch(const struct relay *relay);
uint64_t relay_seq(const struct relay *relay);

const struct relay_stats *relay_stats(const struct relay *relay);

#endif
