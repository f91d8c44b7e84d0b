/* acks - broadcasts that clients are to acknowledge: which of them are waited for, and what
 * comes of it.
 *
 * Such a broadcast has an id, the same for all clients that get it.  Who has got it is kept
 * as a set of their sessions' slots: who is in a slot later came in after it, and is nobody
 * of whom anything is waited for.  Each counts once, with the first acknowledgement.  It is
 * over when all have acknowledged, or its time has gone; what comes then is late.
 *
 * All are bounded: ACKS_MAX broadcasts, ACKS_MAX_BYTES for the sets, what waits for the
 * master (uplink.h).  Beyond that they are delivered all the same, and counted. */
#ifndef WORKER_ACKS_H
#define WORKER_ACKS_H

#include "base/slice.h"
#include "ipc/counters.h"

#include <stdint.h>

#define ACKS_MAX       65536              /* broadcasts that wait */
#define ACKS_MAX_BYTES ((size_t)64 << 20) /* at least 6 million clients of theirs */
#define ACKS_MAX_MS    (60U * 60 * 1000)  /* waited for at most */

struct ack_wait;
struct acks;
struct event_base;
struct sio_packet;
struct socket;
struct uplink;

/* What is counted, by one addition where it happens. */
struct ack_stats {
    uint64_t broadcasts;         /* with acknowledgements */
    uint64_t waiting;            /* now: those that are not over */
    uint64_t unawaited;          /* clients of theirs that are not waited for */
    uint64_t received;           /* acknowledgements that the master is told of */
    uint64_t dropped[ACK_DROPS]; /* ... that it is not, by why: but for ACK_NO_ROOM */
};

/* nsp, uplink and stats are borrowed.  NULL without memory. */
struct acks *acks_new(struct event_base *base, const char *nsp, struct uplink *uplink,
                      struct ack_stats *stats);
void acks_free(struct acks **acks);

/* One broadcast while it is being delivered. */
struct ack_round {
    struct acks *acks;
    struct ack_wait *wait; /* NULL: its acknowledgements are not waited for */
    uint32_t request;      /* of MSG_EMIT */
    uint32_t id;           /* for the clients */
    uint32_t clients;      /* for whom it is */
};

/* serial: of its fan-out, which begins. */
void acks_begin(struct acks *acks, struct ack_round *round, uint32_t request, uint32_t timeout_ms,
                uint64_t serial);
/* It is for that one, who is in; once. */
void acks_note(struct ack_round *round, const struct socket *socket);
/* It is queued for all of them: MSG_REACHED. */
void acks_end(struct ack_round *round);

/* --- the calls of struct sio_app --- */

/* 1 if it is an acknowledgement that is waited for; one that is not is counted here. */
int acks_wants(struct acks *acks, const struct socket *socket, const struct sio_packet *packet);
/* Any packet; it is told to the master (MSG_ACK), counted as dropped, or no acknowledgement
 * in the namespace, and ignored. */
void acks_packet(struct acks *acks, const struct socket *socket, const struct sio_packet *packet,
                 const struct slice *attachments);

#endif
