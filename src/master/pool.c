#include "master/pool.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/generation.h"
#include "master/lanes.h"
#include "master/news.h"
#include "master/proc.h"
#include "master/status.h"
#include "master/timer.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/wait.h>

#define WATCH_MS        1000
#define HURRY_MS        2000                 /* for a generation that makes room for another */
#define QUEUE_MIN_BYTES (32UL * 1024 * 1024) /* for a worker, before it is given up */
#define TURN_BYTES      (256UL * 1024)

struct pool {
    const struct pool_ops *ops;
    void *arg;
    struct proc_common common;
    struct event *watch;
    struct event *deadline; /* of a drain */
    struct event *gone;     /* the generation that leaves has left */
    int draining;
    unsigned generations;                        /* that there have been */
    struct generation *at[2];                    /* by their half of the lanes */
    struct generation *current, *next, *leaving; /* next: not all are ready yet */
    unsigned numbers;                            /* the highest that a worker could have */
};

/* The worker in that lane, or NULL where no generation has it. */
static struct proc *proc_at(const struct pool *pool, unsigned lane)
{
    const struct generation *generation = pool->at[lane / CONF_WORKERS_MAX];
    unsigned index = lane % CONF_WORKERS_MAX;

    if (generation == NULL || index >= generation_size(generation))
        return NULL;
    return generation_proc(generation, index);
}

/* --- messages ----------------------------------------------------------------- */

void pool_send(struct pool *pool, unsigned lane, const void *message, size_t len)
{
    struct proc *proc = proc_at(pool, lane);

    assert(proc != NULL);
    proc_send(proc, message, len);
}

void pool_answer(struct pool *pool, unsigned lane, const struct msg_admitted *admitted)
{
    struct proc *proc = proc_at(pool, lane);

    assert(proc != NULL);
    proc_answer(proc, admitted);
}

int pool_is_leaving(const struct pool *pool, unsigned lane)
{
    const struct generation *generation = pool->at[lane / CONF_WORKERS_MAX];

    return generation == NULL || generation_is_leaving(generation);
}

void pool_send_all(struct pool *pool, const struct buf *message)
{
    if (message->failed)
        return;
    for (unsigned half = 0; half < 2; half++)
        if (pool->at[half] != NULL)
            generation_send(pool->at[half], message);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct pool *pool = arg;
    uint64_t now = clock_ms();

    (void)fd;
    (void)what;
    for (unsigned half = 0; half < 2; half++)
        if (pool->at[half] != NULL)
            generation_watch(pool->at[half], now);
}

int pool_is_behind(const struct pool *pool)
{
    uint64_t now = clock_ms();

    for (unsigned half = 0; half < 2; half++)
        if (pool->at[half] != NULL && generation_is_behind(pool->at[half], now))
            return 1;
    return 0;
}

size_t pool_status(struct pool *pool, struct status_worker *dst, size_t *nworkers)
{
    const struct generation *current = pool->current;
    uint64_t now = clock_ms();

    for (unsigned i = 0; i < pool->numbers; i++)
        dst[i] = (struct status_worker){.number = i + 1, .restarts = pool->common.restarts[i]};
    for (unsigned i = 0; i < generation_size(current); i++) {
        struct proc *proc = generation_proc(current, i);
        dst[i].up = proc_serves(proc, now);
        dst[i].pid = proc_pid(proc);
        dst[i].generation = generation_number(current);
    }
    for (unsigned lane = 0; lane < START_LANES; lane++) {
        const struct proc *proc = proc_at(pool, lane);
        if (proc != NULL)
            dst[lane % CONF_WORKERS_MAX].queued += proc_queued(proc);
    }
    *nworkers = generation_size(current);
    return pool->numbers;
}

static void generation_tell(const struct pool *pool, const struct generation *generation,
                            struct status_generation *dst)
{
    dst->number = generation_number(generation);
    dst->workers = generation_living(generation);
    dst->state = generation == pool->current         ? STATUS_SERVES
                 : generation_is_leaving(generation) ? STATUS_LEAVES
                                                     : STATUS_STARTS;
}

size_t pool_generations(const struct pool *pool, struct status_generation *dst)
{
    size_t n = 0;

    for (unsigned half = 0; half < 2; half++)
        if (pool->at[half] != NULL)
            generation_tell(pool, pool->at[half], &dst[n++]);
    if (n == 2 && dst[0].number > dst[1].number) {
        struct status_generation newer = dst[0];
        dst[0] = dst[1];
        dst[1] = newer;
    }
    return n;
}

/* --- from one generation to the next ------------------------------------------ */

/* It leaves, while the daemon goes on. */
static void migrate(struct pool *pool, struct generation *generation, uint32_t within_ms,
                    const struct generation *successor)
{
    pool->leaving = generation;
    generation_migrate(generation, within_ms, successor);
    if (generation_living(generation) == 0)
        timer_set(pool->gone, 0);
}

/* It cannot take the place of the one that serves. */
static void on_failed(struct generation *generation, const char *why, void *arg)
{
    struct pool *pool = arg;

    log_event(ERROR, "generation_given_up",
              "generation[ {}] is given up[: {}; generation {} goes on]",
              LOG_UINT("generation", generation_number(generation)), LOG_STR("reason", why),
              LOG_UINT("serving_generation", generation_number(pool->current)));
    news_put(pool->common.news, LOG_LEVEL_ERROR, "generation %u is given up: %s",
             generation_number(generation), why);
    pool->next = NULL;
    migrate(pool, generation, HURRY_MS, pool->current);
    pool->ops->replaced(0, pool->arg);
}

static void on_ready(struct generation *generation, void *arg)
{
    struct pool *pool = arg;
    struct generation *old = pool->current;
    uint32_t within_ms = generation_conf(generation)->drain_timeout_ms;

    if (generation != pool->next) {
        pool->ops->ready(pool->arg);
        return;
    }
    pool->current = generation;
    pool->next = NULL;
    log_event(INFO, "generation_serves",
              "generation[ {}] serves[: workers={}; generation {} draining within {} ms]",
              LOG_UINT("generation", generation_number(generation)),
              LOG_UINT("workers", generation_size(generation)),
              LOG_UINT("leaving_generation", generation_number(old)),
              LOG_MILLIS("within", within_ms));
    news_put(pool->common.news, LOG_LEVEL_INFO, "generation %u serves; generation %u leaves",
             generation_number(generation), generation_number(old));
    migrate(pool, old, within_ms, generation);
    pool->ops->replaced(1, pool->arg);
    if (!generation_was_ready(old))
        pool->ops->ready(pool->arg);
}

static unsigned living(const struct pool *pool)
{
    unsigned n = 0;

    for (unsigned half = 0; half < 2; half++)
        n += pool->at[half] != NULL ? generation_living(pool->at[half]) : 0;
    return n;
}

static void on_empty(struct generation *generation, void *arg)
{
    struct pool *pool = arg;

    (void)generation;
    if (!pool->draining)
        timer_set(pool->gone, 0);
    else if (living(pool) == 0)
        pool->ops->empty(pool->arg);
}

static const struct generation_ops generation_ops = {on_ready, on_failed, on_empty};

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
    struct pool *pool = arg;

    (void)fd;
    (void)what;
    if (pool->leaving == NULL || pool->draining)
        return;
    log_event(INFO, "generation_left", "generation[ {}] has left",
              LOG_UINT("generation", generation_number(pool->leaving)));
    news_put(pool->common.news, LOG_LEVEL_INFO, "generation %u has left",
             generation_number(pool->leaving));
    pool->at[generation_half(pool->leaving)] = NULL;
    generation_alone(pool->current);
    generation_free(&pool->leaving);
    pool->ops->left(pool->arg);
}

/* In that half of the lanes.  NULL with errno. */
static struct generation *generation_make(struct pool *pool, const struct conf *conf,
                                          const struct listeners *listeners, unsigned half)
{
    struct generation *generation =
        generation_new(&pool->common, conf, listeners, pool->generations + 1, half, pool->current,
                       &generation_ops, pool);

    if (generation == NULL)
        return NULL;
    pool->generations++;
    if (generation_size(generation) > pool->numbers)
        pool->numbers = generation_size(generation);
    pool->at[half] = generation;
    return generation;
}

int pool_has_room(const struct pool *pool)
{
    return pool->next == NULL && pool->leaving == NULL;
}

int pool_is_starting(const struct pool *pool)
{
    return pool->next != NULL;
}

int pool_replace(struct pool *pool, const struct conf *conf, const struct listeners *listeners)
{
    unsigned half = 1 - generation_half(pool->current);
    struct generation *generation;

    if (!pool_has_room(pool) || pool->draining) {
        errno = EBUSY;
        return -1;
    }
    generation = generation_make(pool, conf, listeners, half);
    if (generation == NULL)
        return -1;
    if (generation_tell_lanes(pool->current) < 0) {
        int saved = errno;
        pool->at[half] = NULL;
        generation_free(&generation);
        errno = saved;
        return -1;
    }
    log_event(INFO, "generation_starts", "generation[ {}] starts[: workers={}]",
              LOG_UINT("generation", generation_number(generation)),
              LOG_UINT("workers", generation_size(generation)));
    news_put(pool->common.news, LOG_LEVEL_INFO, "generation %u starts",
             generation_number(generation));
    pool->next = generation;
    generation_start(generation, 1);
    return 0;
}

void pool_hurry(struct pool *pool)
{
    struct generation *generation = pool->leaving;

    if (generation == NULL || pool->draining || generation_is_hurried(generation, HURRY_MS))
        return;
    log_event(INFO, "generation_hurried",
              "generation[ {}] draining[ within {} ms], for another is to come",
              LOG_UINT("generation", generation_number(generation)),
              LOG_MILLIS("within", HURRY_MS));
    migrate(pool, generation, HURRY_MS, pool->current);
}

static void limits_set(struct pool *pool, const struct conf *conf)
{
    size_t two = 2 * start_message_max(conf);

    pool->common.link.queue_max = two > QUEUE_MIN_BYTES ? two : QUEUE_MIN_BYTES;
}

void pool_configure(struct pool *pool, const struct conf *conf, const struct listeners *listeners)
{
    limits_set(pool, conf);
    generation_configure(pool->current, conf, listeners);
    for (unsigned half = 0; half < 2; half++)
        if (pool->at[half] != NULL)
            generation_queue_max(pool->at[half], pool->common.link.queue_max);
}

/* --- reaping ------------------------------------------------------------------ */

static struct proc *proc_find(struct pool *pool, pid_t pid)
{
    struct proc *proc = NULL;

    for (unsigned half = 0; half < 2 && proc == NULL; half++)
        if (pool->at[half] != NULL)
            proc = generation_find(pool->at[half], pid);
    return proc;
}

void pool_wipe(const struct pool *pool)
{
    for (size_t half = 0; half < 2; half++)
        if (pool->at[half] != NULL)
            generation_wipe(pool->at[half]);
}

/* Children that are no workers (a name being looked up) are reaped here too. */
void pool_reap(struct pool *pool)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct proc *proc = proc_find(pool, pid);
        if (proc != NULL)
            proc_reaped(proc, status);
    }
}

/* --- leaving ------------------------------------------------------------------ */

void pool_drain(struct pool *pool, uint32_t within_ms)
{
    pool->draining = 1;
    lanes_end(pool->common.lanes);
    for (unsigned half = 0; half < 2; half++)
        if (pool->at[half] != NULL)
            generation_drain(pool->at[half], within_ms, NULL);
    timer_set(pool->deadline, within_ms + PROC_GRACE_MS);
    if (living(pool) == 0)
        pool->ops->empty(pool->arg);
}

void pool_kill(struct pool *pool)
{
    for (unsigned half = 0; half < 2; half++)
        if (pool->at[half] != NULL)
            generation_kill(pool->at[half]);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    pool_kill(arg);
}

/* --- coming and going --------------------------------------------------------- */

/* Does that lane take orphans? */
static int on_serves(unsigned lane, void *arg)
{
    const struct pool *pool = arg;
    const struct generation *generation = pool->at[lane / CONF_WORKERS_MAX];
    const struct proc *proc = proc_at(pool, lane);

    return proc != NULL && !generation_is_leaving(generation) && proc_is_up(proc);
}

static const struct lanes_ops lanes_ops = {on_serves};

static int events_new(struct pool *pool)
{
    struct event_base *base = pool->common.base;
    const struct timeval tick = {WATCH_MS / 1000, WATCH_MS % 1000 * 1000L};

    pool->watch = event_new(base, -1, EV_PERSIST, on_watch, pool);
    pool->deadline = event_new(base, -1, 0, on_deadline, pool);
    pool->gone = event_new(base, -1, 0, on_gone, pool);
    if (pool->watch == NULL || pool->deadline == NULL || pool->gone == NULL ||
        event_add(pool->watch, &tick) < 0)
        return -1;
    return 0;
}

static void common_set(struct pool *pool, const struct pool_options *options)
{
    struct proc_common *common = &pool->common;

    common->base = options->base;
    common->relay = options->relay;
    common->stats = options->stats;
    common->cluster = options->cluster;
    common->recovery = options->recovery;
    common->worker = options->worker;
    common->tickets = options->tickets;
    common->news = options->news;
    common->child = pool->ops->child;
    common->arg = pool->arg;
    common->lanes = lanes_new(options->base, &lanes_ops, pool);
    common->link = (struct link_options){.message_max = START_UP_MAX, .turn_bytes = TURN_BYTES};
    limits_set(pool, options->conf);
}

struct pool *pool_new(const struct pool_options *options, const struct pool_ops *ops, void *arg)
{
    struct pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL)
        return NULL;
    pool->ops = ops;
    pool->arg = arg;
    common_set(pool, options);
    if (pool->common.lanes != NULL && events_new(pool) == 0)
        pool->current = generation_make(pool, options->conf, options->listeners, 0);
    if (pool->current == NULL) {
        log_event(ERROR, "workers_unprepared", "cannot prepare for workers[: {}]", LOG_ERRNO());
        pool_free(&pool);
    }
    return pool;
}

void pool_free(struct pool **poolp)
{
    struct pool *pool = *poolp;

    if (pool == NULL)
        return;
    *poolp = NULL;
    for (unsigned half = 0; half < 2; half++)
        generation_free(&pool->at[half]);
    if (pool->watch != NULL)
        event_free(pool->watch);
    if (pool->deadline != NULL)
        event_free(pool->deadline);
    if (pool->gone != NULL)
        event_free(pool->gone);
    buf_free(&pool->common.message);
    lanes_free(&pool->common.lanes);
    free(pool);
}

void pool_start(struct pool *pool)
{
    generation_start(pool->current, 0);
}
