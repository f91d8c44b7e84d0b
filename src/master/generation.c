#include "master/generation.h"

#include "base/clock.h"
#include "base/log.h"
#include "ipc/balance.h"
#include "ipc/census.h"
#include "ipc/msg.h"
#include "master/lanes.h"
#include "master/news.h"
#include "master/timer.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define EARLY_MS   2000 /* a death so soon after the fork counts for the back-off */
#define DEATHS_MAX 2    /* of workers of one that is on trial */

struct generation {
    struct proc_common *common;
    struct proc_terms terms;
    const struct generation_ops *ops;
    void *arg;
    unsigned half;          /* of the lanes: 0 or 1 */
    unsigned ready;         /* workers that have been ready once */
    unsigned deaths;        /* of workers, while it is on trial */
    int on_trial;           /* it is to take the place of another, and not all are ready yet */
    int leaving;            /* the dead are not replaced */
    struct event *deadline; /* to be ready, or to be gone */
    uint64_t gone_ms;       /* then it is to be gone; 0: whenever */
    unsigned nprocs;
    struct proc *procs[];
};

/* --- what becomes of its workers ---------------------------------------------- */

static void fail(struct generation *generation, const char *why)
{
    generation->on_trial = 0;
    generation->ops->failed(generation, why, generation->arg);
}

static void on_ready(struct proc *proc, void *arg)
{
    struct generation *generation = arg;

    (void)proc;
    if (++generation->ready < generation->nprocs || generation->leaving)
        return;
    if (generation->on_trial)
        event_del(generation->deadline);
    generation->on_trial = 0;
    generation->ops->ready(generation, generation->arg);
}

static void gone_log(const struct generation *generation, const struct proc *proc,
                     const struct proc_end *end)
{
    proc_left_log(proc, end);
    if (end->status == 0)
        return;
    news_put(generation->common->news, LOG_LEVEL_WARN, "worker %u: %s", proc_number(proc),
             end->how);
}

static void on_gone(struct proc *proc, const struct proc_end *end, void *arg)
{
    struct generation *generation = arg;

    if (!generation->leaving) {
        proc_again(proc, end->lived_ms < EARLY_MS, end);
        if (generation->on_trial && ++generation->deaths >= DEATHS_MAX)
            fail(generation, "its workers end before all are ready");
        return;
    }
    gone_log(generation, proc, end);
    if (generation_living(generation) == 0)
        generation->ops->empty(generation, generation->arg);
}

static const struct proc_ops proc_ops = {on_ready, on_gone};

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct generation *generation = arg;

    (void)fd;
    (void)what;
    if (generation->leaving)
        generation_kill(generation);
    else
        fail(generation, "not all of its workers are ready after 30 s");
}

/* --- coming ------------------------------------------------------------------- */

/* Without it the limit holds for each worker alone. */
static void census_make(struct generation *generation, const struct generation *before)
{
    struct proc_terms *terms = &generation->terms;

    terms->census = census_new(generation->nprocs, 2 * terms->conf->connections_max,
                               before != NULL ? before->terms.census : NULL);
    if (terms->census == NULL && terms->conf->connections_per_address > 0)
        log_event(
            WARN, "address_limit_apart",
            "limits:connectionsPerAddress holds for each worker, not for all: no memory[: {}]",
            LOG_ERRNO());
}

/* What it needs.  Returns 0, or -1 with errno. */
static int make(struct generation *generation)
{
    struct proc_common *common = generation->common;
    unsigned first = generation->half * CONF_WORKERS_MAX;

    errno = ENOMEM;
    generation->deadline = event_new(common->base, -1, 0, on_deadline, generation);
    if (generation->nprocs > 1)
        generation->terms.balance = balance_new(generation->nprocs);
    if (generation->deadline == NULL ||
        (generation->nprocs > 1 && generation->terms.balance == NULL))
        return -1;
    for (unsigned i = 0; i < generation->nprocs; i++) {
        generation->procs[i] =
            proc_new(common, &generation->terms, first + i, &proc_ops, generation);
        if (generation->procs[i] == NULL)
            return -1;
    }
    return lanes_open(common->lanes, generation->half, generation->nprocs);
}

struct generation *generation_new(struct proc_common *common, const struct conf *conf,
                                  const struct listeners *listeners, unsigned number, unsigned half,
                                  const struct generation *before, const struct generation_ops *ops,
                                  void *arg)
{
    size_t procs = (size_t)conf->workers * sizeof(struct proc *);
    struct generation *generation = calloc(1, sizeof(*generation) + procs);

    if (generation == NULL)
        return NULL;
    generation->common = common;
    generation->terms =
        (struct proc_terms){.conf = conf, .listeners = listeners, .generation = number};
    generation->ops = ops;
    generation->arg = arg;
    generation->half = half;
    generation->nprocs = (unsigned)conf->workers;
    census_make(generation, before);
    if (make(generation) < 0) {
        int saved = errno;
        generation_free(&generation);
        errno = saved;
    }
    return generation;
}

void generation_free(struct generation **generationp)
{
    struct generation *generation = *generationp;

    if (generation == NULL)
        return;
    *generationp = NULL;
    for (unsigned i = 0; i < generation->nprocs; i++)
        proc_free(&generation->procs[i]);
    if (generation->deadline != NULL)
        event_free(generation->deadline);
    balance_free(&generation->terms.balance);
    census_free(&generation->terms.census);
    free(generation);
}

void generation_start(struct generation *generation, int on_trial)
{
    generation->on_trial = on_trial;
    if (on_trial)
        timer_set(generation->deadline, PROC_START_MS);
    /* A fork that fails may end all of it. */
    for (unsigned i = 0; i < generation->nprocs && !generation->leaving; i++)
        proc_start(generation->procs[i]);
}

void generation_alone(struct generation *generation)
{
    if (generation->terms.census != NULL)
        census_alone(generation->terms.census);
}

void generation_configure(struct generation *generation, const struct conf *conf,
                          const struct listeners *listeners)
{
    generation->terms.conf = conf;
    generation->terms.listeners = listeners;
}

void generation_queue_max(struct generation *generation, size_t bytes)
{
    for (unsigned i = 0; i < generation->nprocs; i++)
        proc_queue_max(generation->procs[i], bytes);
}

/* --- leaving ------------------------------------------------------------------ */

void generation_drain(struct generation *generation, uint32_t within_ms,
                      const struct generation *successor)
{
    struct buf *message = &generation->common->message;
    size_t mark;
    int rc;

    generation->leaving = 1;
    generation->on_trial = 0;
    buf_reset(message);
    mark = msg_begin(message, MSG_DRAIN);
    msg_put_u32(message, within_ms);
    msg_put_u32(message, successor != NULL ? successor->half * CONF_WORKERS_MAX : 0);
    msg_put_u32(message, successor != NULL ? successor->nprocs : 0);
    rc = msg_end(message, mark);
    for (unsigned i = 0; i < generation->nprocs; i++) {
        struct proc *proc = generation->procs[i];
        if (proc_stays_gone(proc))
            continue;
        if (rc < 0)
            proc_kill(proc, "out of memory for its farewell");
        else
            proc_send(proc, message->data, message->len);
    }
}

void generation_migrate(struct generation *generation, uint32_t within_ms,
                        const struct generation *successor)
{
    generation_drain(generation, within_ms, successor);
    timer_set(generation->deadline, within_ms + PROC_GRACE_MS);
    generation->gone_ms = clock_ms() + within_ms + PROC_GRACE_MS;
}

int generation_is_hurried(const struct generation *generation, uint32_t within_ms)
{
    return event_pending(generation->deadline, EV_TIMEOUT, NULL) && generation->gone_ms != 0 &&
           generation->gone_ms <= clock_ms() + within_ms + PROC_GRACE_MS;
}

void generation_kill(struct generation *generation)
{
    for (unsigned i = 0; i < generation->nprocs; i++)
        proc_kill_leaving(generation->procs[i], "it has not left in time");
}

/* --- all of them -------------------------------------------------------------- */

int generation_tell_lanes(struct generation *generation)
{
    for (unsigned i = 0; i < generation->nprocs; i++)
        if (proc_tell_lanes(generation->procs[i]) < 0)
            return -1;
    return 0;
}

void generation_send(struct generation *generation, const struct buf *message)
{
    for (unsigned i = 0; i < generation->nprocs; i++)
        proc_send(generation->procs[i], message->data, message->len);
}

void generation_wipe(const struct generation *generation)
{
    for (unsigned i = 0; i < generation->nprocs; i++)
        proc_wipe(generation->procs[i]);
}

void generation_watch(struct generation *generation, uint64_t now_ms)
{
    for (unsigned i = 0; i < generation->nprocs; i++)
        proc_watch(generation->procs[i], now_ms);
}

/* --- what it is --------------------------------------------------------------- */

const struct conf *generation_conf(const struct generation *generation)
{
    return generation->terms.conf;
}

unsigned generation_number(const struct generation *generation)
{
    return generation->terms.generation;
}

unsigned generation_half(const struct generation *generation)
{
    return generation->half;
}

int generation_is_leaving(const struct generation *generation)
{
    return generation->leaving;
}

int generation_was_ready(const struct generation *generation)
{
    return generation->ready == generation->nprocs;
}

unsigned generation_size(const struct generation *generation)
{
    return generation->nprocs;
}

struct proc *generation_proc(const struct generation *generation, unsigned index)
{
    return generation->procs[index];
}

int generation_is_behind(const struct generation *generation, uint64_t now_ms)
{
    for (unsigned i = 0; i < generation->nprocs; i++)
        if (proc_is_behind(generation->procs[i], now_ms))
            return 1;
    return 0;
}

unsigned generation_living(const struct generation *generation)
{
    unsigned n = 0;

    for (unsigned i = 0; i < generation->nprocs; i++)
        n += proc_exists(generation->procs[i]) != 0;
    return n;
}

struct proc *generation_find(const struct generation *generation, pid_t pid)
{
    for (unsigned i = 0; i < generation->nprocs; i++)
        if (proc_pid(generation->procs[i]) == pid)
            return generation->procs[i];
    return NULL;
}
