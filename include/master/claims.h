/* claims - what becomes of clients that want a session back (resume.h): from when they ask until
 * they are let in, or, where they wait, let go on. */
#ifndef MASTER_CLAIMS_H
#define MASTER_CLAIMS_H

#include "conf.h"
#include "master/handover.h"
#include "master/newest.h"
#include "master/pidkeys.h"
#include "master/reclaim.h"
#include "master/resume_stats.h"
#include "master/waiting.h"

#include <stdint.h>

struct daemons;
struct resume_ops;
struct resume_parts;

struct claims {
    /* Borrowed: */
    const struct conf *conf;
    const struct resume_parts *parts;
    const struct resume_ops *ops;
    void *arg; /* of ops */
    struct daemons *daemons;

    uint64_t self; /* relay_epoch() */
    struct pidkeys keys;
    struct waiting waiting;
    struct reclaim reclaim;
    struct handover handover;
    struct newest newest;
    uint64_t since_ms; /* what is published is seen since then, by the wall clock; 0: not yet */
    uint64_t pings;    /* so many have been sent */
    int is_pinging;    /* the last of these is under way */
    uint64_t deaf_until_ms; /* what is asked does not come back */
    struct claim *deciding; /* somebody is being disconnected for this one, or NULL */
    struct claim *ending;   /* the followers of these are being served; by next */
    struct resume_stats stats;
};

/* A client with a session and a pid asks to be let in. */
void claims_admit(struct claims *claims, const struct admit *admit);

/* Counted; a client has no session back. */
void claims_refused(struct claims *claims, enum resume_refusal why);

/* As of daemons_ops. */
void claims_question(struct claims *claims, uint64_t from, const struct peer_question *question);
void claims_answer(struct claims *claims, uint64_t from, const struct peer_answer *answer);
void claims_echo(struct claims *claims, uint32_t id);
void claims_unsent(struct claims *claims);

/* All that redis had when it was pinged has come. */
void claims_pong(struct claims *claims);

/* Those whose time is up. */
void claims_expire(struct claims *claims, uint64_t now_ms);

/* All who wait are let in without. */
void claims_release(struct claims *claims);

void claims_worker_down(struct claims *claims, unsigned lane);

#endif
