#include "master/pool.h"

#include "base/clock.h"
#include "ipc/balance.h"
#include "ipc/handoff.h"
#include "ipc/msg.h"
#include "master/pool_state.h"
#include "master/status.h"
#include "master/timer.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EARLY_MS        2000 /* a death so soon after the fork counts for the back-off */
#define WATCH_MS        1000
#define MOVING_MS       250  /* a worker that has taken nothing for so long has stopped */
#define HURRY_MS        2000 /* for a generation that makes room for another */
#define DEATHS_MAX      2    /* of a generation that is to replace one */
#define UP_MESSAGE_MAX  4096 /* from a worker: an id and a uid */
#define QUEUE_MIN_BYTES (32UL * 1024 * 1024) /* for a worker, before it is given up */
#define TURN_BYTES      (256UL * 1024)

/* --- messages ----------------------------------------------------------------- */

void pool_send(struct pool *pool, unsigned lane, const void *message, size_t len)
{
    struct generation *generation = pool->at[lane / CONF_WORKERS_MAX];

    proc_send(&generation->procs[lane % CONF_WORKERS_MAX], message, len);
}

void pool_answer(struct pool *pool, unsigned lane, uint64_t client, enum msg_verdict verdict)
{
    struct generation *generation = pool->at[lane / CONF_WORKERS_MAX];

    proc_answer(&generation->procs[lane % CONF_WORKERS_MAX], client, verdict);
}

static void generation_send(struct generation *generation, const struct buf *message)
{
    for (unsigned i = 0; generation != NULL && i < generation->nprocs; i++)
        proc_send(&generation->procs[i], message->data, message->len);
}

void pool_send_all(struct pool *pool, const struct buf *message)
{
    if (message->failed)
        return;
    for (unsigned half = 0; half < 2; half++)
        generation_send(pool->at[half], message);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct pool *pool = arg;
    uint64_t now = clock_ms();

    (void)fd;
    (void)what;
    for (unsigned half = 0; half < 2; half++) {
        struct generation *generation = pool->at[half];
        for (unsigned i = 0; generation != NULL && i < generation->nprocs; i++)
            if (proc_lives(&generation->procs[i]))
                proc_watch(&generation->procs[i], now);
    }
}

int pool_is_behind(const struct pool *pool)
{
    size_t much = pool->link_options.queue_max / 2;
    uint64_t now = clock_ms();

    for (unsigned half = 0; half < 2; half++) {
        const struct generation *generation = pool->at[half];
        for (unsigned i = 0; generation != NULL && i < generation->nprocs; i++) {
            const struct link *link = generation->procs[i].link;
            if (link != NULL && link_queued(link) > much &&
                now - link_stalled_since(link) < MOVING_MS)
                return 1;
        }
    }
    return 0;
}

/* What waits for it, in the link and in the pipe. */
static uint64_t proc_waiting(const struct proc *proc)
{
    int unread = 0;

    if (proc->link == NULL || ioctl(proc->down_fd, FIONREAD, &unread) < 0)
        return 0;
    return link_queued(proc->link) + (uint64_t)unread;
}

size_t pool_status(struct pool *pool, struct status_worker *dst, size_t *nworkers)
{
    struct generation *current = pool->current;
    uint64_t now = clock_ms();

    for (unsigned i = 0; i < pool->numbers; i++)
        dst[i] = (struct status_worker){.number = i + 1, .restarts = pool->restarts[i]};
    for (unsigned i = 0; i < current->nprocs; i++)
        dst[i].up = proc_serves(&current->procs[i], now);
    for (unsigned half = 0; half < 2; half++) {
        const struct generation *generation = pool->at[half];
        for (unsigned i = 0; generation != NULL && i < generation->nprocs; i++)
            dst[i].queued += proc_waiting(&generation->procs[i]);
    }
    *nworkers = current->nprocs;
    return pool->numbers;
}

/* --- a generation ------------------------------------------------------------- */

static unsigned generation_living(const struct generation *generation)
{
    unsigned n = 0;

    for (unsigned i = 0; generation != NULL && i < generation->nprocs; i++)
        n += generation->procs[i].state != DEAD;
    return n;
}

static void generation_kill(struct generation *generation)
{
    for (unsigned i = 0; generation != NULL && i < generation->nprocs; i++) {
        struct proc *proc = &generation->procs[i];
        proc_kill(proc, "it has not left in time");
        if (proc->state == ENDING)
            kill(proc->pid, SIGKILL);
    }
}

/* They leave, and pass new clients to the successor; NULL: nobody does. */
static void generation_drain(struct generation *generation, uint32_t within_ms,
                             const struct generation *successor)
{
    struct pool *pool = generation->pool;
    size_t mark;
    int rc;

    generation->leaving = 1;
    buf_reset(&pool->message);
    mark = msg_begin(&pool->message, MSG_DRAIN);
    msg_put_u32(&pool->message, within_ms);
    msg_put_u32(&pool->message, successor != NULL ? successor->half * CONF_WORKERS_MAX : 0);
    msg_put_u32(&pool->message, successor != NULL ? successor->nprocs : 0);
    rc = msg_end(&pool->message, mark);
    for (unsigned i = 0; i < generation->nprocs; i++) {
        struct proc *proc = &generation->procs[i];
        if (proc->state == DEAD)
            event_del(proc->timer);
        else if (rc < 0)
            proc_kill(proc, "out of memory for its farewell");
        else
            proc_send(proc, pool->message.data, pool->message.len);
    }
}

/* The same while the daemon goes on. */
static void generation_migrate(struct generation *generation, uint32_t within_ms,
                               const struct generation *successor)
{
    generation->pool->leaving = generation;
    generation_drain(generation, within_ms, successor);
    timer_set(generation->deadline, within_ms + GRACE_MS);
    if (generation_living(generation) == 0)
        timer_set(generation->pool->gone, 0);
}

static void generation_free(struct generation **generationp)
{
    struct generation *generation = *generationp;

    if (generation == NULL)
        return;
    for (unsigned i = 0; i < generation->nprocs; i++)
        proc_clear(&generation->procs[i]);
    if (generation->deadline != NULL)
        event_free(generation->deadline);
    balance_free(&generation->balance);
    free(generation);
    *generationp = NULL;
}

/* It cannot take the place of the one that serves. */
static void generation_abandon(struct generation *generation, const char *why)
{
    struct pool *pool = generation->pool;

    log_errorx("generation %u is given up: %s; generation %u goes on", generation->number, why,
               pool->current->number);
    pool->next = NULL;
    generation_migrate(generation, HURRY_MS, pool->current);
    pool->ops->replaced(0, pool->arg);
}

void generation_ready(struct generation *generation)
{
    struct pool *pool = generation->pool;
    struct generation *old = pool->current;
    int first;

    if (pool->draining || generation->leaving)
        return;
    if (generation != pool->next) {
        pool->ops->ready(pool->arg);
        return;
    }
    first = old->ready < old->nprocs;
    event_del(generation->deadline);
    pool->current = generation;
    pool->next = NULL;
    log_info("generation %u serves: workers=%u; generation %u draining within %u ms",
             generation->number, generation->nprocs, old->number,
             generation->conf->drain_timeout_ms);
    generation_migrate(old, generation->conf->drain_timeout_ms, generation);
    pool->ops->replaced(1, pool->arg);
    if (first)
        pool->ops->ready(pool->arg);
}

static void gone_log(const struct proc *proc, int status, const char *how)
{
    if (status == 0)
        log_info("worker %u: %s", proc->number, how);
    else
        log_warnx("worker %u: %s", proc->number, how);
}

void generation_proc_gone(struct proc *proc, int status, uint64_t lived_ms, const char *how)
{
    struct generation *generation = proc->generation;
    struct pool *pool = generation->pool;

    if (!generation->leaving) {
        proc_again(proc, lived_ms < EARLY_MS, how);
        if (generation == pool->next && ++generation->deaths >= DEATHS_MAX)
            generation_abandon(generation, "its workers end before all are ready");
        return;
    }
    gone_log(proc, status, how);
    if (pool->draining && generation_living(pool->at[0]) + generation_living(pool->at[1]) == 0)
        pool->ops->empty(pool->arg);
    else if (!pool->draining && generation_living(generation) == 0)
        timer_set(pool->gone, 0);
}

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
    struct pool *pool = arg;

    (void)fd;
    (void)what;
    if (pool->leaving == NULL || pool->draining)
        return;
    log_info("generation %u has left", pool->leaving->number);
    pool->at[pool->leaving->half] = NULL;
    generation_free(&pool->leaving);
    pool->ops->left(pool->arg);
}

/* Its time is up: to be ready, or to be gone. */
static void on_generation_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct generation *generation = arg;

    (void)fd;
    (void)what;
    if (generation->leaving)
        generation_kill(generation);
    else if (!generation->pool->draining)
        generation_abandon(generation, "not all of its workers are ready after 30 s");
}

static struct generation *generation_new(struct pool *pool, const struct conf *conf,
                                         const struct listeners *listeners, unsigned half)
{
    struct generation *generation =
        calloc(1, sizeof(*generation) + (size_t)conf->workers * sizeof(*generation->procs));
    int rc;

    if (generation == NULL)
        return NULL;
    generation->pool = pool;
    generation->conf = conf;
    generation->listeners = listeners;
    generation->half = half;
    generation->number = pool->generations + 1;
    generation->nprocs = (unsigned)conf->workers;
    generation->deadline = event_new(pool->options.base, -1, 0, on_generation_deadline, generation);
    if (generation->nprocs > 1)
        generation->balance = balance_new(generation->nprocs);
    rc = generation->deadline != NULL && (generation->balance != NULL || generation->nprocs == 1)
             ? 0
             : -1;
    for (unsigned i = 0; i < generation->nprocs; i++)
        if (proc_init(&generation->procs[i], generation, i) < 0)
            rc = -1;
    if (rc == 0 && lanes_open(pool, half, generation->nprocs) < 0)
        rc = -1;
    if (rc < 0) {
        int saved = errno;
        generation_free(&generation);
        errno = saved;
        return NULL;
    }
    pool->generations++;
    if (generation->nprocs > pool->numbers)
        pool->numbers = generation->nprocs;
    pool->at[half] = generation;
    return generation;
}

static void generation_start(struct generation *generation)
{
    /* A fork that fails may end all of it. */
    for (unsigned i = 0; i < generation->nprocs && !generation->leaving; i++)
        proc_start(&generation->procs[i]);
}

/* --- generations -------------------------------------------------------------- */

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
    struct generation *current = pool->current;
    struct generation *generation;

    if (!pool_has_room(pool) || pool->draining) {
        errno = EBUSY;
        return -1;
    }
    generation = generation_new(pool, conf, listeners, 1 - current->half);
    if (generation == NULL)
        return -1;
    for (unsigned i = 0; i < current->nprocs; i++) {
        struct proc *proc = &current->procs[i];
        if (proc->state != DEAD && lanes_tell(proc) < 0) {
            int saved = errno;
            pool->at[generation->half] = NULL;
            generation_free(&generation);
            errno = saved;
            return -1;
        }
    }
    log_info("generation %u starts: workers=%u", generation->number, generation->nprocs);
    pool->next = generation;
    timer_set(generation->deadline, START_MS);
    generation_start(generation);
    return 0;
}

void pool_hurry(struct pool *pool)
{
    struct generation *generation = pool->leaving;
    struct timeval at, now;

    if (generation == NULL || pool->draining)
        return;
    event_base_gettimeofday_cached(pool->options.base, &now);
    if (event_pending(generation->deadline, EV_TIMEOUT, &at) &&
        (at.tv_sec - now.tv_sec) * 1000 <= HURRY_MS + GRACE_MS)
        return;
    log_info("generation %u draining within %u ms, for another is to come", generation->number,
             HURRY_MS);
    generation_migrate(generation, HURRY_MS, pool->current);
}

static void limits_set(struct pool *pool, const struct conf *conf)
{
    size_t two = 2 * start_message_max(conf);

    pool->link_options.queue_max = two > QUEUE_MIN_BYTES ? two : QUEUE_MIN_BYTES;
}

void pool_configure(struct pool *pool, const struct conf *conf, const struct listeners *listeners)
{
    limits_set(pool, conf);
    pool->current->conf = conf;
    pool->current->listeners = listeners;
    for (unsigned half = 0; half < 2; half++) {
        struct generation *generation = pool->at[half];
        for (unsigned i = 0; generation != NULL && i < generation->nprocs; i++)
            if (generation->procs[i].link != NULL)
                link_queue_max(generation->procs[i].link, pool->link_options.queue_max);
    }
}

/* --- reaping ------------------------------------------------------------------ */

static struct proc *proc_of(struct pool *pool, pid_t pid)
{
    for (unsigned half = 0; half < 2; half++) {
        struct generation *generation = pool->at[half];
        for (unsigned i = 0; generation != NULL && i < generation->nprocs; i++)
            if (generation->procs[i].state != DEAD && generation->procs[i].pid == pid)
                return &generation->procs[i];
    }
    return NULL;
}

/* Children that are no workers (a name being looked up) are reaped here too. */
void pool_reap(struct pool *pool)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct proc *proc = proc_of(pool, pid);
        if (proc != NULL)
            proc_reaped(proc, status);
    }
}

/* --- leaving ------------------------------------------------------------------ */

void pool_drain(struct pool *pool, uint32_t within_ms)
{
    pool->draining = 1;
    for (unsigned half = 0; half < 2; half++)
        if (pool->at[half] != NULL)
            generation_drain(pool->at[half], within_ms, NULL);
    timer_set(pool->deadline, within_ms + GRACE_MS);
    if (generation_living(pool->at[0]) + generation_living(pool->at[1]) == 0)
        pool->ops->empty(pool->arg);
}

void pool_kill(struct pool *pool)
{
    for (unsigned half = 0; half < 2; half++)
        generation_kill(pool->at[half]);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    pool_kill(arg);
}

/* --- coming and going --------------------------------------------------------- */

static int events_new(struct pool *pool)
{
    struct event_base *base = pool->options.base;
    const struct timeval tick = {WATCH_MS / 1000, WATCH_MS % 1000 * 1000L};

    pool->watch = event_new(base, -1, EV_PERSIST, on_watch, pool);
    pool->deadline = event_new(base, -1, 0, on_deadline, pool);
    pool->gone = event_new(base, -1, 0, on_gone, pool);
    if (pool->watch == NULL || pool->deadline == NULL || pool->gone == NULL ||
        event_add(pool->watch, &tick) < 0)
        return -1;
    return 0;
}

struct pool *pool_new(const struct pool_options *options, const struct pool_ops *ops, void *arg)
{
    struct pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL)
        return NULL;
    pool->options = *options;
    pool->ops = ops;
    pool->arg = arg;
    pool->link_options =
        (struct link_options){.message_max = UP_MESSAGE_MAX, .turn_bytes = TURN_BYTES};
    limits_set(pool, options->conf);
    if (lanes_init(pool) < 0 || events_new(pool) < 0 ||
        (pool->current = generation_new(pool, options->conf, options->listeners, 0)) == NULL) {
        log_error("cannot prepare for workers");
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
    buf_free(&pool->message);
    lanes_clear(pool);
    free(pool);
}

void pool_start(struct pool *pool)
{
    generation_start(pool->current);
}
