/* proc - one worker process after another in the same lane (ipc/start.h): forks it, hears
 * it, sees that it reads, and says how it ended. */
#ifndef MASTER_PROC_H
#define MASTER_PROC_H

#include "base/buf.h"
#include "base/log.h"
#include "ipc/link.h"
#include "ipc/msg.h"
#include "ipc/start.h"
#include "master/listen.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_START_MS 30000 /* from the fork to MSG_READY */
#define PROC_GRACE_MS 2000  /* from closing its pipe, or its time being up, to being gone */

/* A worker that has given no sign of life for so long, which is to take something
 * from its pipe or to say something, counts as not serving: it is asked by whoever
 * wants to know, and a busy one tells what it counts every 3 s. */
#define PROC_SILENT_MS 4000

struct balance;
struct census;
struct cluster;
struct event_base;
struct lanes;
struct news;
struct proc;
struct recovery;
struct relay;
struct stats;

/* What all workers of a pool have in common: the pool sets it, and it lives as long. */
struct proc_common {
    struct event_base *base;
    struct relay *relay;
    struct stats *stats;
    struct cluster *cluster;
    struct recovery *recovery;
    struct lanes *lanes;
    struct link_options link;
    int (*worker)(const struct conf *, const struct worker_start *);
    struct tickets *tickets;
    struct news *news;
    /* In a child, before it becomes a worker: its other descriptors are closed already. */
    void (*child)(const struct conf *conf, void *arg);
    void *arg;

    struct buf message;                  /* reused */
    uint32_t forks[START_LANES];         /* by lane */
    uint64_t restarts[CONF_WORKERS_MAX]; /* forks in place of others, by number, from 0 */
    struct log_every fork_log;
};

/* What those of one generation have: its generation's, likewise. */
struct proc_terms {
    const struct conf *conf;
    const struct listeners *listeners;
    struct balance *balance; /* who accepts; NULL: one worker */
    struct census *census;   /* what addresses have; NULL: each worker knows of its own only */
    unsigned generation;     /* in the log: from 1 */
};

/* Of a worker, or what became of its fork. */
struct proc_end {
    int status;        /* as of wait(2); -1: it could not be forked */
    uint64_t lived_ms; /* since its fork */
    const char *how;   /* in words */
};

struct proc_ops { /* neither may call proc_free */
    /* For the first time a worker in this lane has said that it accepts clients. */
    void (*ready)(struct proc *proc, void *arg);
    /* The worker has gone; proc_again() is what to do about it. */
    void (*gone)(struct proc *proc, const struct proc_end *end, void *arg);
};

/* Not forked yet.  All but lane is borrowed.  NULL without memory. */
struct proc *proc_new(struct proc_common *common, const struct proc_terms *terms, unsigned lane,
                      const struct proc_ops *ops, void *arg);

/* Kills and reaps what is left. */
void proc_free(struct proc **proc);

/* Forks it; what fails is told to ops->gone. */
void proc_start(struct proc *proc);

/* Forks it again, later where it died early. */
void proc_again(struct proc *proc, int early, const struct proc_end *end);

/* It is not to be forked again: a line of the log. */
void proc_left_log(const struct proc *proc, const struct proc_end *end);

/* Where it has gone already it is not forked again.  Returns 1 if it has. */
int proc_stays_gone(struct proc *proc);

/* One message (copied), if it lives.  If its queue is full it is killed. */
void proc_send(struct proc *proc, const void *message, size_t len);

/* MSG_ADMITTED, likewise; epoch and seq are those of now, whatever it says. */
void proc_answer(struct proc *proc, const struct msg_admitted *admitted);

/* The lanes that have been made since its fork.  Returns 0, or -1 with errno. */
int proc_tell_lanes(struct proc *proc);

/* Another limit for what may wait for it. */
void proc_queue_max(struct proc *proc, size_t bytes);

void proc_kill(struct proc *proc, const char *why);

/* The same, where it is on its way out already, too. */
void proc_kill_leaving(struct proc *proc, const char *why);

/* Kills it where it does not read, or is not ready in time; asks an idle one.  To be
 * called every second. */
void proc_watch(struct proc *proc, uint64_t now_ms);

/* Its process has been reaped. */
void proc_reaped(struct proc *proc, int status);

/* What the log calls it: "worker 3" is 3. */
unsigned proc_number(const struct proc *proc);

/* 0 where there is none. */
pid_t proc_pid(const struct proc *proc);

/* 1 while there is a process: it has been forked, and not been reaped yet. */
int proc_exists(const struct proc *proc);

/* 1 if it has said that it accepts clients, and is not on its way out. */
int proc_is_up(const struct proc *proc);

/* The same, and it gave a sign of life within PROC_SILENT_MS. */
int proc_serves(struct proc *proc, uint64_t now_ms);

/* 1 while half of what may wait for it does, and it takes of that. */
int proc_is_behind(const struct proc *proc, uint64_t now_ms);

/* In a child: overwrites what waits for it, if there are keys in it. */
void proc_wipe(const struct proc *proc);

/* Bytes that wait for it, in the link and in the pipe. */
uint64_t proc_queued(const struct proc *proc);

#endif
