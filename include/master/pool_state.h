/* pool_state - what pool.c, slot.c and lane.c share; nobody else includes this.
 *
 *     pool -> crew (a generation of workers) -> slot (one worker after another)
 *          -> lane (where connections are sent to the worker of a slot) */
#ifndef MASTER_POOL_STATE_H
#define MASTER_POOL_STATE_H

#include "base/buf.h"
#include "base/log.h"
#include "ipc/link.h"
#include "ipc/msg.h"
#include "ipc/start.h"
#include "master/pool.h"

#include <stdint.h>
#include <sys/types.h>

#define START_MS 30000 /* from the fork to MSG_READY */
#define GRACE_MS 2000  /* from closing its pipe, or its time being up, to being gone */

struct balance;
struct event;

enum slot_state {
    DEAD,     /* not forked, or reaped; the timer forks it again */
    STARTING, /* forked, not ready yet */
    UP,       /* has said MSG_READY */
    ENDING,   /* closed its pipe, or has been killed: to be reaped */
};

struct slot {
    struct crew *crew;
    unsigned lane;
    unsigned number; /* in the log */
    enum slot_state state;
    pid_t pid;
    struct link *link; /* NULL: DEAD */
    int down_fd;       /* the link's, to ask how much lies in the pipe */
    int ends_fd;       /* where it hears of new lanes; -1: DEAD */
    unsigned known[2]; /* lanes of each half whose ends it has */
    int hello;         /* it has told its version */
    int was_ready;     /* this slot has been UP once */
    int heard;         /* it has said something since it was last looked at */
    uint64_t forked_ms;
    uint32_t backoff_ms; /* 0: the last death was not early */
    struct event *timer; /* DEAD: fork; ENDING: kill */

    uint64_t sent, taken;       /* bytes: put into the link; gone from the pipe */
    uint64_t sent_ms, taken_ms; /* when that last grew */
    uint64_t alive_ms;          /* when it was last seen that it reads, or says something */
};

struct crew {
    struct pool *pool;
    const struct conf *conf; /* until it leaves */
    const struct listeners *listeners;
    unsigned number; /* in the log: from 1 */
    unsigned half;   /* of the lanes: 0 or 1 */
    unsigned ready;  /* slots that have been UP once */
    unsigned deaths; /* of slots, while it starts */
    int leaving;     /* the dead are not replaced */
    struct event *deadline;
    struct balance *balance; /* who accepts; NULL: one worker */
    unsigned nslots;
    struct slot slots[];
};

struct pool {
    struct pool_options options;
    const struct pool_ops *ops;
    void *arg;
    struct link_options link_options;
    struct event *watch;
    struct event *deadline; /* of a drain */
    struct event *gone;     /* the crew that leaves has left */
    int draining;
    unsigned crews;                        /* that there have been */
    struct crew *at[2];                    /* by their half of the lanes */
    struct crew *current, *next, *leaving; /* next: not all are ready yet */
    struct buf message;
    struct log_every fork_log;

    /* By lane.  The pairs are made with the first crew that needs them, and stay. */
    int reads[START_LANES], writes[START_LANES]; /* ipc/handoff.h; -1: not made */
    uint32_t forks[START_LANES];
    uint64_t restarts[CONF_WORKERS_MAX]; /* forks in place of others, by number, from 0 */
    unsigned numbers;                    /* the highest that a worker could have */
    struct event *strays[START_LANES];   /* pending while the lane has no worker */
    unsigned made[2];                    /* of each half */
    unsigned next_stray;                 /* slot that gets the next one */
    uint8_t *stray;                      /* HANDOFF_MAX_BYTES, for the one in hand */
};

/* --- pool.c --- */
/* All slots of the crew have been ready once. */
void crew_ready(struct crew *crew);
/* One of its workers has gone: as how says, lived_ms after its fork. */
void crew_worker_gone(struct slot *slot, int status, uint64_t lived_ms, const char *how);

/* --- slot.c --- */
/* Returns 0, or -1 without memory; slot_clear() undoes either. */
int slot_init(struct slot *slot, struct crew *crew, unsigned index);
/* Kills and reaps what is left. */
void slot_clear(struct slot *slot);
int slot_lives(const struct slot *slot);
/* Forks it; what fails is tried again later. */
void slot_start(struct slot *slot);
/* Forks it again, later where it died early. */
void slot_again(struct slot *slot, int early, const char *how);
void slot_send(struct slot *slot, const void *message, size_t len);
/* MSG_ADMITTED. */
void slot_answer(struct slot *slot, uint64_t client, enum msg_verdict verdict);
void slot_kill(struct slot *slot, const char *why);
/* Does it still read? */
void slot_watch(struct slot *slot, uint64_t now_ms);
/* 1 if it is UP and gave a sign of life within POOL_SILENT_MS. */
int slot_serves(struct slot *slot, uint64_t now_ms);
/* Its process has been reaped. */
void slot_reaped(struct slot *slot, int status);

/* --- lane.c --- */
/* Returns 0, or -1 without memory. */
int lanes_init(struct pool *pool);
/* Makes what is missing of the first n lanes of a half.  Returns 0, or -1 with errno. */
int lanes_open(struct pool *pool, unsigned half, unsigned n);
void lanes_clear(struct pool *pool);
/* The lane has no worker: what is sent to it goes to others. */
void lane_vacant(struct pool *pool, unsigned lane);
void lane_taken(struct pool *pool, unsigned lane);
/* Sends it the ends that it does not have, unless its worker has gone.  Returns 0, or
 * -1 with errno. */
int lanes_tell(struct slot *slot);

#endif
