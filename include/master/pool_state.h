/* pool_state - what pool.c, proc.c and lane.c share; nobody else includes this.
 *
 *     pool -> generation (workers that began together) -> proc (one worker after another)
 *          -> lane (where connections are sent to the worker of a proc) */
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

enum proc_state {
    DEAD,     /* not forked, or reaped; the timer forks it again */
    STARTING, /* forked, not ready yet */
    UP,       /* has said MSG_READY */
    ENDING,   /* closed its pipe, or has been killed: to be reaped */
};

struct proc {
    struct generation *generation;
    unsigned lane;
    unsigned number; /* in the log */
    enum proc_state state;
    pid_t pid;
    struct link *link; /* NULL: DEAD */
    int down_fd;       /* the link's, to ask how much lies in the pipe */
    int ends_fd;       /* where it hears of new lanes; -1: DEAD */
    unsigned known[2]; /* lanes of each half whose ends it has */
    int hello;         /* it has told its version */
    int was_ready;     /* it has been UP once */
    int heard;         /* it has said something since it was last looked at */
    uint64_t forked_ms;
    uint32_t backoff_ms; /* 0: the last death was not early */
    struct event *timer; /* DEAD: fork; ENDING: kill */

    uint64_t sent, taken;       /* bytes: put into the link; gone from the pipe */
    uint64_t sent_ms, taken_ms; /* when that last grew */
    uint64_t alive_ms;          /* when it was last seen that it reads, or says something */
};

struct generation {
    struct pool *pool;
    const struct conf *conf; /* until it leaves */
    const struct listeners *listeners;
    unsigned number; /* in the log: from 1 */
    unsigned half;   /* of the lanes: 0 or 1 */
    unsigned ready;  /* procs that have been UP once */
    unsigned deaths; /* of procs, while it starts */
    int leaving;     /* the dead are not replaced */
    struct event *deadline;
    struct balance *balance; /* who accepts; NULL: one worker */
    unsigned nprocs;
    struct proc procs[];
};

struct pool {
    struct pool_options options;
    const struct pool_ops *ops;
    void *arg;
    struct link_options link_options;
    struct event *watch;
    struct event *deadline; /* of a drain */
    struct event *gone;     /* the generation that leaves has left */
    int draining;
    unsigned generations;                        /* that there have been */
    struct generation *at[2];                    /* by their half of the lanes */
    struct generation *current, *next, *leaving; /* next: not all are ready yet */
    struct buf message;
    struct log_every fork_log;

    /* By lane.  The pairs are made with the first generation that needs them, and stay. */
    int reads[START_LANES], writes[START_LANES]; /* ipc/handoff.h; -1: not made */
    uint32_t forks[START_LANES];
    uint64_t restarts[CONF_WORKERS_MAX]; /* forks in place of others, by number, from 0 */
    unsigned numbers;                    /* the highest that a worker could have */
    struct event *orphans[START_LANES];  /* pending while the lane has no worker */
    unsigned made[2];                    /* of each half */
    unsigned next_orphan;                /* proc that gets the next one */
    uint8_t *orphan;                     /* HANDOFF_MAX_BYTES, for the one in hand */
};

/* --- pool.c --- */
/* All procs of the generation have been ready once. */
void generation_ready(struct generation *generation);
/* One of its workers has gone: as how says, lived_ms after its fork. */
void generation_proc_gone(struct proc *proc, int status, uint64_t lived_ms, const char *how);

/* --- proc.c --- */
/* Returns 0, or -1 without memory; proc_clear() undoes either. */
int proc_init(struct proc *proc, struct generation *generation, unsigned index);
/* Kills and reaps what is left. */
void proc_clear(struct proc *proc);
int proc_lives(const struct proc *proc);
/* Forks it; what fails is tried again later. */
void proc_start(struct proc *proc);
/* Forks it again, later where it died early. */
void proc_again(struct proc *proc, int early, const char *how);
void proc_send(struct proc *proc, const void *message, size_t len);
/* MSG_ADMITTED. */
void proc_answer(struct proc *proc, uint64_t client, enum msg_verdict verdict);
void proc_kill(struct proc *proc, const char *why);
/* Does it still read? */
void proc_watch(struct proc *proc, uint64_t now_ms);
/* 1 if it is UP and gave a sign of life within POOL_SILENT_MS. */
int proc_serves(struct proc *proc, uint64_t now_ms);
/* Its process has been reaped. */
void proc_reaped(struct proc *proc, int status);

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
int lanes_tell(struct proc *proc);

#endif
