/* generation - the workers that began together, and that leave together.
 *
 * The dead are forked again until it leaves.  One that is to take the place of another has
 * PROC_START_MS for all of its workers to be ready, and few of them may die meanwhile. */
#ifndef MASTER_GENERATION_H
#define MASTER_GENERATION_H

#include "base/buf.h"
#include "conf.h"
#include "master/listen.h"
#include "master/proc.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct generation;

struct generation_ops { /* none may call generation_free */
    /* All of its workers have been ready once, and it is not told to leave. */
    void (*ready)(struct generation *generation, void *arg);
    /* It cannot take the place of the one before; why is for the log. */
    void (*failed)(struct generation *generation, const char *why, void *arg);
    /* It leaves, and its last worker has gone since it was told to. */
    void (*empty)(struct generation *generation, void *arg);
};

/* Nothing is forked yet.  number: in the log, from 1; half: of the lanes (ipc/start.h), 0
 * or 1; before: the one whose place it is to take, until generation_alone(), or NULL.  common, ops,
 * conf and listeners are borrowed, the last two until it leaves or generation_configure() names
 * others.  NULL with errno. */
struct generation *generation_new(struct proc_common *common, const struct conf *conf,
                                  const struct listeners *listeners, unsigned number, unsigned half,
                                  const struct generation *before, const struct generation_ops *ops,
                                  void *arg);

/* Kills and reaps what is left. */
void generation_free(struct generation **generation);

/* Forks its workers; what fails is tried again as if it had died.  on_trial: it is to take
 * the place of another, and ops->failed may come, perhaps before this returns. */
void generation_start(struct generation *generation, int on_trial);

/* The one before has left, and is about to be freed. */
void generation_alone(struct generation *generation);

/* Workers are forked with these from now on. */
void generation_configure(struct generation *generation, const struct conf *conf,
                          const struct listeners *listeners);

/* Another limit for what may wait for each worker. */
void generation_queue_max(struct generation *generation, size_t bytes);

/* All workers leave within so many ms, and pass new clients to successor; NULL: nobody
 * takes them.  The dead are not replaced. */
void generation_drain(struct generation *generation, uint32_t within_ms,
                      const struct generation *successor);

/* The same while the daemon goes on: those that have not left PROC_GRACE_MS after their
 * time are killed. */
void generation_migrate(struct generation *generation, uint32_t within_ms,
                        const struct generation *successor);

/* 1 if it leaves, and its time is up within so many ms. */
int generation_is_hurried(const struct generation *generation, uint32_t within_ms);

/* Kills all that live. */
void generation_kill(struct generation *generation);

/* Tells its workers of the lanes that have been made since their forks.  Returns 0, or -1
 * with errno. */
int generation_tell_lanes(struct generation *generation);

/* One message (copied) to all that live. */
void generation_send(struct generation *generation, const struct buf *message);

/* proc_wipe() of each. */
void generation_wipe(const struct generation *generation);

/* proc_watch() of each. */
void generation_watch(struct generation *generation, uint64_t now_ms);

/* With which its workers are forked. */
const struct conf *generation_conf(const struct generation *generation);

/* What the log calls it; its half of the lanes. */
unsigned generation_number(const struct generation *generation);
unsigned generation_half(const struct generation *generation);
int generation_is_leaving(const struct generation *generation);

/* 1 if all of its workers have been ready once. */
int generation_was_ready(const struct generation *generation);

/* How many workers it is to have, the one of that index (from 0), and how many live. */
unsigned generation_size(const struct generation *generation);
struct proc *generation_proc(const struct generation *generation, unsigned index);
unsigned generation_living(const struct generation *generation);

/* 1 if one of them is behind: proc_is_behind(). */
int generation_is_behind(const struct generation *generation, uint64_t now_ms);

/* The worker of that process, or NULL. */
struct proc *generation_find(const struct generation *generation, pid_t pid);

#endif
