#include "master/pool.h"

#include "base/clock.h"
#include "ipc/balance.h"
#include "ipc/handoff.h"
#include "ipc/msg.h"
#include "master/facts.h"
#include "master/pool_state.h"
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
    struct crew *crew = pool->at[lane / CONF_WORKERS_MAX];
    slot_send(&crew->slots[lane % CONF_WORKERS_MAX], message, len);
}

void pool_answer(struct pool *pool, unsigned lane, uint64_t client, enum msg_verdict verdict)
{
    struct crew *crew = pool->at[lane / CONF_WORKERS_MAX];
    slot_answer(&crew->slots[lane % CONF_WORKERS_MAX], client, verdict);
}

static void crew_send(struct crew *crew, const struct buf *message)
{
    for (unsigned i = 0; crew && i < crew->nslots; i++)
        slot_send(&crew->slots[i], message->data, message->len);
}

void pool_send_all(struct pool *pool, const struct buf *message)
{
    if (message->failed)
        return;
    for (unsigned half = 0; half < 2; half++)
        crew_send(pool->at[half], message);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct pool *pool = arg;
    uint64_t now = clock_ms();
    (void)fd;
    (void)what;
    for (unsigned half = 0; half < 2; half++) {
        struct crew *crew = pool->at[half];
        for (unsigned i = 0; crew && i < crew->nslots; i++)
            if (slot_lives(&crew->slots[i]))
                slot_watch(&crew->slots[i], now);
    }
}

int pool_is_behind(const struct pool *pool)
{
    size_t much = pool->link_options.queue_max / 2;
    uint64_t now = clock_ms();
    for (unsigned half = 0; half < 2; half++) {
        const struct crew *crew = pool->at[half];
        for (unsigned i = 0; crew && i < crew->nslots; i++) {
            const struct link *link = crew->slots[i].link;
            if (link && link_queued(link) > much && now - link_stalled_since(link) < MOVING_MS)
                return 1;
        }
    }
    return 0;
}

/* What waits for it, in the link and in the pipe. */
static uint64_t slot_waiting(const struct slot *slot)
{
    int unread = 0;
    if (!slot->link || ioctl(slot->down_fd, FIONREAD, &unread) < 0)
        return 0;
    return link_queued(slot->link) + (uint64_t)unread;
}

size_t pool_facts(struct pool *pool, struct facts_worker *dst, size_t *nworkers)
{
    struct crew *current = pool->current;
    uint64_t now = clock_ms();
    for (unsigned i = 0; i < pool->numbers; i++)
        dst[i] = (struct facts_worker){.number = i + 1, .restarts = pool->restarts[i]};
    for (unsigned i = 0; i < current->nslots; i++)
        dst[i].up = slot_serves(&current->slots[i], now);
    for (unsigned half = 0; half < 2; half++) {
        const struct crew *crew = pool->at[half];
        for (unsigned i = 0; crew && i < crew->nslots; i++)
            dst[i].queued += slot_waiting(&crew->slots[i]);
    }
    *nworkers = current->nslots;
    return pool->numbers;
}

/* --- crews -------------------------------------------------------------------- */

static unsigned crew_living(const struct crew *crew)
{
    unsigned n = 0;
    for (unsigned i = 0; crew && i < crew->nslots; i++)
        n += crew->slots[i].state != DEAD;
    return n;
}

static void crew_kill(struct crew *crew)
{
    for (unsigned i = 0; crew && i < crew->nslots; i++) {
        struct slot *slot = &crew->slots[i];
        slot_kill(slot, "it has not left in time");
        if (slot->state == ENDING)
            kill(slot->pid, SIGKILL);
    }
}

/* They leave, and pass new clients to the heirs; NULL: nobody does. */
static void crew_drain(struct crew *crew, uint32_t within_ms, const struct crew *heirs)
{
    struct pool *pool = crew->pool;
    crew->leaving = 1;
    buf_reset(&pool->message);
    size_t mark = msg_begin(&pool->message, MSG_DRAIN);
    msg_put_u32(&pool->message, within_ms);
    msg_put_u32(&pool->message, heirs ? heirs->half * CONF_WORKERS_MAX : 0);
    msg_put_u32(&pool->message, heirs ? heirs->nslots : 0);
    int rc = msg_end(&pool->message, mark);
    for (unsigned i = 0; i < crew->nslots; i++) {
        struct slot *slot = &crew->slots[i];
        if (slot->state == DEAD)
            event_del(slot->timer);
        else if (rc < 0)
            slot_kill(slot, "out of memory for its farewell");
        else
            slot_send(slot, pool->message.data, pool->message.len);
    }
}

/* The same while the daemon goes on. */
static void crew_retire(struct crew *crew, uint32_t within_ms, const struct crew *heirs)
{
    crew->pool->leaving = crew;
    crew_drain(crew, within_ms, heirs);
    timer_set(crew->deadline, within_ms + GRACE_MS);
    if (crew_living(crew) == 0)
        timer_set(crew->pool->gone, 0);
}

static void crew_free(struct crew **crewp)
{
    struct crew *crew = *crewp;
    if (!crew)
        return;
    for (unsigned i = 0; i < crew->nslots; i++)
        slot_clear(&crew->slots[i]);
    if (crew->deadline)
        event_free(crew->deadline);
    balance_free(&crew->balance);
    free(crew);
    *crewp = NULL;
}

/* It cannot take the place of the one that serves. */
static void crew_abandon(struct crew *crew, const char *why)
{
    struct pool *pool = crew->pool;
    log_errorx("generation %u is given up: %s; generation %u goes on", crew->number, why,
               pool->current->number);
    pool->next = NULL;
    crew_retire(crew, HURRY_MS, pool->current);
    pool->ops->replaced(0, pool->arg);
}

void crew_ready(struct crew *crew)
{
    struct pool *pool = crew->pool;
    struct crew *old = pool->current;
    if (pool->draining || crew->leaving)
        return;
    if (crew != pool->next) {
        pool->ops->ready(pool->arg);
        return;
    }
    int first = old->ready < old->nslots;
    event_del(crew->deadline);
    pool->current = crew;
    pool->next = NULL;
    log_info("generation %u serves: workers=%u; generation %u leaves within %u ms", crew->number,
             crew->nslots, old->number, crew->conf->drain_timeout_ms);
    crew_retire(old, crew->conf->drain_timeout_ms, crew);
    pool->ops->replaced(1, pool->arg);
    if (first)
        pool->ops->ready(pool->arg);
}

static void gone_log(const struct slot *slot, int status, const char *how)
{
    if (status == 0)
        log_info("worker %u: %s", slot->number, how);
    else
        log_warnx("worker %u: %s", slot->number, how);
}

void crew_worker_gone(struct slot *slot, int status, uint64_t lived_ms, const char *how)
{
    struct crew *crew = slot->crew;
    struct pool *pool = crew->pool;
    if (!crew->leaving) {
        slot_again(slot, lived_ms < EARLY_MS, how);
        if (crew == pool->next && ++crew->deaths >= DEATHS_MAX)
            crew_abandon(crew, "its workers end before all are ready");
        return;
    }
    gone_log(slot, status, how);
    if (pool->draining && crew_living(pool->at[0]) + crew_living(pool->at[1]) == 0)
        pool->ops->empty(pool->arg);
    else if (!pool->draining && crew_living(crew) == 0)
        timer_set(pool->gone, 0);
}

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
    struct pool *pool = arg;
    (void)fd;
    (void)what;
    if (!pool->leaving || pool->draining)
        return;
    log_info("generation %u has left", pool->leaving->number);
    pool->at[pool->leaving->half] = NULL;
    crew_free(&pool->leaving);
    pool->ops->retired(pool->arg);
}

/* Its time is up: to be ready, or to be gone. */
static void on_crew_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct crew *crew = arg;
    (void)fd;
    (void)what;
    if (crew->leaving)
        crew_kill(crew);
    else if (!crew->pool->draining)
        crew_abandon(crew, "not all of its workers are ready after 30 s");
}

static struct crew *crew_new(struct pool *pool, const struct conf *conf,
                             const struct listeners *listeners, unsigned half)
{
    struct crew *crew = calloc(1, sizeof *crew + (size_t)conf->workers * sizeof *crew->slots);
    if (!crew)
        return NULL;
    crew->pool = pool;
    crew->conf = conf;
    crew->listeners = listeners;
    crew->half = half;
    crew->number = pool->crews + 1;
    crew->nslots = (unsigned)conf->workers;
    crew->deadline = event_new(pool->options.base, -1, 0, on_crew_deadline, crew);
    if (crew->nslots > 1)
        crew->balance = balance_new(crew->nslots);
    int rc = crew->deadline && (crew->balance || crew->nslots == 1) ? 0 : -1;
    for (unsigned i = 0; i < crew->nslots; i++)
        if (slot_init(&crew->slots[i], crew, i) < 0)
            rc = -1;
    if (rc == 0 && lanes_open(pool, half, crew->nslots) < 0)
        rc = -1;
    if (rc < 0) {
        int saved = errno;
        crew_free(&crew);
        errno = saved;
        return NULL;
    }
    pool->crews++;
    if (crew->nslots > pool->numbers)
        pool->numbers = crew->nslots;
    pool->at[half] = crew;
    return crew;
}

static void crew_start(struct crew *crew)
{
    /* A fork that fails may end all of it. */
    for (unsigned i = 0; i < crew->nslots && !crew->leaving; i++)
        slot_start(&crew->slots[i]);
}

/* --- generations -------------------------------------------------------------- */

int pool_has_room(const struct pool *pool)
{
    return !pool->next && !pool->leaving;
}

int pool_is_starting(const struct pool *pool)
{
    return pool->next != NULL;
}

int pool_replace(struct pool *pool, const struct conf *conf, const struct listeners *listeners)
{
    struct crew *current = pool->current;
    if (!pool_has_room(pool) || pool->draining) {
        errno = EBUSY;
        return -1;
    }
    struct crew *crew = crew_new(pool, conf, listeners, 1 - current->half);
    if (!crew)
        return -1;
    for (unsigned i = 0; i < current->nslots; i++) {
        struct slot *slot = &current->slots[i];
        if (slot->state != DEAD && lanes_tell(slot) < 0) {
            int saved = errno;
            pool->at[crew->half] = NULL;
            crew_free(&crew);
            errno = saved;
            return -1;
        }
    }
    log_info("generation %u starts: workers=%u", crew->number, crew->nslots);
    pool->next = crew;
    timer_set(crew->deadline, START_MS);
    crew_start(crew);
    return 0;
}

void pool_hurry(struct pool *pool)
{
    struct crew *crew = pool->leaving;
    struct timeval at, now;
    if (!crew || pool->draining)
        return;
    event_base_gettimeofday_cached(pool->options.base, &now);
    if (event_pending(crew->deadline, EV_TIMEOUT, &at) &&
        (at.tv_sec - now.tv_sec) * 1000 <= HURRY_MS + GRACE_MS)
        return;
    log_info("generation %u leaves within %u ms, for another is to come", crew->number, HURRY_MS);
    crew_retire(crew, HURRY_MS, pool->current);
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
        struct crew *crew = pool->at[half];
        for (unsigned i = 0; crew && i < crew->nslots; i++)
            if (crew->slots[i].link)
                link_queue_max(crew->slots[i].link, pool->link_options.queue_max);
    }
}

/* --- reaping ------------------------------------------------------------------ */

static struct slot *slot_of(struct pool *pool, pid_t pid)
{
    for (unsigned half = 0; half < 2; half++) {
        struct crew *crew = pool->at[half];
        for (unsigned i = 0; crew && i < crew->nslots; i++)
            if (crew->slots[i].state != DEAD && crew->slots[i].pid == pid)
                return &crew->slots[i];
    }
    return NULL;
}

/* Children that are no workers (a name being looked up) are reaped here too. */
void pool_reap(struct pool *pool)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct slot *slot = slot_of(pool, pid);
        if (slot)
            slot_reaped(slot, status);
    }
}

/* --- leaving ------------------------------------------------------------------ */

void pool_drain(struct pool *pool, uint32_t within_ms)
{
    pool->draining = 1;
    for (unsigned half = 0; half < 2; half++)
        if (pool->at[half])
            crew_drain(pool->at[half], within_ms, NULL);
    timer_set(pool->deadline, within_ms + GRACE_MS);
    if (crew_living(pool->at[0]) + crew_living(pool->at[1]) == 0)
        pool->ops->empty(pool->arg);
}

void pool_kill(struct pool *pool)
{
    for (unsigned half = 0; half < 2; half++)
        crew_kill(pool->at[half]);
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
    if (!pool->watch || !pool->deadline || !pool->gone || event_add(pool->watch, &tick) < 0)
        return -1;
    return 0;
}

struct pool *pool_new(const struct pool_options *options, const struct pool_ops *ops, void *arg)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->options = *options;
    pool->ops = ops;
    pool->arg = arg;
    pool->link_options =
        (struct link_options){.message_max = UP_MESSAGE_MAX, .turn_bytes = TURN_BYTES};
    limits_set(pool, options->conf);
    if (lanes_init(pool) < 0 || events_new(pool) < 0 ||
        !(pool->current = crew_new(pool, options->conf, options->listeners, 0))) {
        log_error("cannot prepare for workers");
        pool_free(&pool);
    }
    return pool;
}

void pool_free(struct pool **poolp)
{
    struct pool *pool = *poolp;
    if (!pool)
        return;
    *poolp = NULL;
    for (unsigned half = 0; half < 2; half++)
        crew_free(&pool->at[half]);
    if (pool->watch)
        event_free(pool->watch);
    if (pool->deadline)
        event_free(pool->deadline);
    if (pool->gone)
        event_free(pool->gone);
    buf_free(&pool->message);
    lanes_clear(pool);
    free(pool);
}

void pool_start(struct pool *pool)
{
    crew_start(pool->current);
}
