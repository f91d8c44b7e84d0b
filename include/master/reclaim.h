/* reclaim - a session that this daemon knows of, for another connection, here or at another
 * daemon: where it is, and that whoever has it now gives it up. */
#ifndef MASTER_RECLAIM_H
#define MASTER_RECLAIM_H

#include "base/buf.h"
#include "base/slice.h"
#include "codec/pid.h"

#include <stdint.h>

struct gone;
struct route;
struct sessions;

struct reclaim { /* all is borrowed, but for kick */
    struct route *route;
    struct sessions *sessions;
    struct gone *gone;
    /* As of relay_ops: a worker that is sent to may turn out to be dead. */
    void (*send)(unsigned lane, const void *message, size_t len, void *arg);
    void *arg;
    uint64_t takeovers; /* counts */
    struct buf kick;    /* reused */
};

enum reclaim_state {
    RECLAIM_UNKNOWN, /* nothing is known of it */
    RECLAIM_HERE,    /* its client is connected, or is away and may come back */
    RECLAIM_ENDED,
    RECLAIM_BROKEN, /* something was missed here since it began */
    RECLAIM_MOVED   /* another daemon has it */
};

/* *holder: RECLAIM_MOVED. */
enum reclaim_state reclaim_look(const struct reclaim *reclaim, const uint8_t session[SESSION_LEN],
                                uint64_t *holder);

/* It is GONE_AWAY then: if its client is connected, it is disconnected, has its user's place no
 * more, and is not waited for.  Returns 0, or -1 if it is not that user's, or without memory. */
int reclaim_take(struct reclaim *reclaim, const uint8_t session[SESSION_LEN], struct slice uid,
                 uint64_t now_ms);

void reclaim_clear(struct reclaim *reclaim);

#endif
