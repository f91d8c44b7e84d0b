/* stats - what the worker counts of its own, by one addition where it happens.  What
 * the engine counts is in struct engine_stats. */
#ifndef WORKER_STATS_H
#define WORKER_STATS_H

#include "codec/token.h"
#include "engine/engine.h"
#include "ipc/counters.h"
#include "worker/acks.h"

#include <stdint.h>

enum client_state {
    CLIENT_OUT,      /* has not asked for the namespace, was refused, or left */
    CLIENT_JOINING,  /* its token is good; the master's answer is awaited */
    CLIENT_CATCHING, /* it has its session back; what it missed is not all queued, and it is in
                        no room yet */
    CLIENT_IN,       /* accepted; in its rooms */
    CLIENT_STATES
};

struct worker_stats {
    uint64_t clients[CLIENT_STATES];     /* now: how many are in each state */
    uint64_t disconnects[CLOSE_REASONS]; /* of clients that were in, by why */
    uint64_t refusals[TOKEN_RESULTS];    /* by reason; TOKEN_OK: the user's limit */
    uint64_t renewals[RENEWAL_RESULTS];  /* TOKEN_OK: taken */
    uint64_t replays[REPLAY_RESULTS];
    uint64_t replayed;                 /* queued for a client that had missed it */
    uint64_t broadcasts;               /* from the master */
    uint64_t rooms_joined, rooms_left; /* by request or new token: a room of a client each */
    uint64_t rooms_refused[ROOM_REFUSALS];
    struct ack_stats acks;
    uint64_t fetches[2];    /* answered; and with nobody, for there were too many, or no memory */
    uint64_t handoffs_lost; /* connections from peers that could not be taken */
};

#endif
