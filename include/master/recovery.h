/* recovery - connection state recovery in the master: the history of what was published, marks
 * in it, the sessions of those who are in and of those who have gone, and who has one back.
 *
 * There is one, whether the option is on or not; while it is off nothing is kept, and every
 * function does what is done without it.  A change of its settings begins a new history. */
#ifndef MASTER_RECOVERY_H
#define MASTER_RECOVERY_H

#include "base/buf.h"
#include "base/slice.h"
#include "codec/broadcast.h"
#include "codec/emit.h"
#include "conf.h"
#include "ipc/msg.h"
#include "master/admit.h"
#include "master/history.h"
#include "master/marks.h"
#include "master/resume.h"

#include <stddef.h>
#include <stdint.h>

struct cluster;
struct event_base;
struct recovery;
struct relay;

struct recovery_ops { /* none may call the functions below, unless it says so */
    /* One whole message for the worker in that lane, and for all; may call
     * recovery_worker_down(). */
    void (*send)(unsigned lane, const void *message, size_t len, void *arg);
    void (*send_all)(const struct buf *message, void *arg);
    /* As feed_publish(), on the channel of daemons; -1 also where it is not heard here. */
    int (*publish)(struct buf *payload, void (*done)(int ok, void *done_arg), void *done_arg,
                   void *arg);
    /* As feed_ping(). */
    int (*ping)(void *arg);
};

/* All is borrowed.  NULL without memory. */
struct recovery *recovery_new(struct event_base *base, const struct conf *conf, struct relay *relay,
                              struct cluster *cluster, const struct recovery_ops *ops, void *arg);
void recovery_free(struct recovery **recovery);

/* --- a configuration that is to come ------------------------------------------------------ */

/* Workers are about to be forked with wanted: their history is made.  Returns 0, or -1 with
 * errno (nothing changed). */
int recovery_prepare(struct recovery *recovery, const struct conf *wanted);

/* They are not. */
void recovery_give_up(struct recovery *recovery);

/* conf (borrowed) is in force from now on; namespace and key are the same. */
void recovery_configure(struct recovery *recovery, const struct conf *conf);

/* The keys of tokens, which may be those of pids, are others. */
void recovery_keys(struct recovery *recovery);

/* The descriptor for a worker that is forked with conf: the recovery's own, or -1. */
int recovery_fd(const struct recovery *recovery, const struct conf *conf);

/* Overwrites keys: for a child that has no use for them. */
void recovery_wipe(struct recovery *recovery);

/* --- the stream --------------------------------------------------------------------------- */

/* What comes is not continuous with what came before; node: of the Cluster, or empty. */
void recovery_gap(struct recovery *recovery, struct slice node);

/* The next message, whatever becomes of it.  Returns its offset; 0: there is none. */
uint64_t recovery_message(struct recovery *recovery, struct slice channel, struct slice payload);

/* As of relay_ops. */
void recovery_kept(struct recovery *recovery, uint64_t seq, const struct broadcast *bc,
                   struct slice message);
void recovery_dropped(struct recovery *recovery, enum emit_result reason, uint64_t offset);

/* What other daemons say; the answer to ops->ping; something can be published. */
void recovery_peer(struct recovery *recovery, struct slice payload);
void recovery_pong(struct recovery *recovery);
void recovery_ready(struct recovery *recovery);

/* --- clients ------------------------------------------------------------------------------ */

/* relay_admit(), now or when it is known what it has back. */
void recovery_admit(struct recovery *recovery, const struct admit *admit);

/* As of relay_ops. */
const struct comeback *recovery_comeback(struct recovery *recovery, const struct admit *admit);

/* It is let in: fills in what admitted says of its session. */
void recovery_answer(struct recovery *recovery, const struct admit *admit,
                     const struct comeback *comeback, struct msg_admitted *admitted);

/* Before relay_left(). */
void recovery_left(struct recovery *recovery, unsigned lane, uint64_t client, struct slice uid,
                   int is_ended);

/* Before relay_worker_down(). */
void recovery_worker_down(struct recovery *recovery, unsigned lane);

/* --- for whoever looks -------------------------------------------------------------------- */

struct recovery_stats {
    int is_on;
    int is_shared;      /* offsets are those of other daemons as well */
    size_t max_bytes;   /* of the history */
    size_t sessions;    /* of clients that are in */
    size_t moved;       /* of them: that are not where they began */
    size_t gone, seats; /* sessions whose client has gone, and rooms of these */
    uint64_t forgotten; /* of them, before their time */
    struct history_stats history;
    struct resume_stats resume;
};

void recovery_stats(const struct recovery *recovery, struct recovery_stats *stats);

#endif
