#include "master/pool.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/counters.h"
#include "ipc/handoff.h"
#include "ipc/link.h"
#include "ipc/msg.h"
#include "master/child.h"
#include "master/facts.h"
#include "master/relay.h"
#include "master/tally.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EARLY_MS        2000 /* a death so soon after the fork counts for the back-off */
#define BACKOFF_MIN_MS  100
#define BACKOFF_MAX_MS  30000
#define STALL_MS        10000 /* without taking anything that waits for it */
#define START_MS        30000 /* from the fork to MSG_READY */
#define IDLE_MS         5000  /* after so long it is sent something, to see if it reads */
#define WATCH_MS        1000
#define GRACE_MS        2000                 /* from closing its pipe to being gone */
#define UP_MESSAGE_MAX  4096                 /* from a worker: an id and a uid */
#define QUEUE_MIN_BYTES (32UL * 1024 * 1024) /* for a worker, before it is given up */
#define TURN_BYTES      (256UL * 1024)

enum state {
    DEAD,     /* not forked, or reaped; the timer forks it again */
    STARTING, /* forked, not ready yet */
    UP,       /* has said MSG_READY */
    ENDING,   /* closed its pipe, or has been killed: to be reaped */
};

struct slot {
    struct pool *pool;
    unsigned index;  /* in slots, and for the contracts: from 0 */
    unsigned number; /* in the log: from 1 */
    enum state state;
    pid_t pid;
    uint32_t generation;
    struct link *link; /* NULL: DEAD */
    int down_fd;       /* the link's, to ask how much lies in the pipe */
    int hello;         /* it has told its version */
    int was_ready;     /* this slot has been UP once */
    uint64_t forked_ms;
    uint32_t backoff_ms; /* 0: the last death was not early */
    struct event *timer; /* DEAD: fork; ENDING: kill */

    uint64_t sent, taken;       /* bytes: put into the link; gone from the pipe */
    uint64_t sent_ms, taken_ms; /* when that last grew */
};

struct pool {
    struct pool_options options;
    const struct pool_ops *ops;
    void *arg;
    struct link_options link_options;
    struct event *watch;
    struct event *deadline; /* of a drain */
    int draining;
    unsigned ready; /* slots that have been UP once */
    struct buf message;
    int *handoff_reads, *handoff_writes; /* ipc/handoff.h, by slot; -1: not made */
    unsigned nslots;
    struct slot slots[];
};

static int slot_fork(struct slot *slot);

static void timer_set(struct event *timer, uint32_t ms)
{
    const struct timeval tv = {ms / 1000, ms % 1000 * 1000L};
    /* Fails for want of memory only, and the memory of a timer is there already. */
    (void)event_add(timer, &tv);
}

static int slot_lives(const struct slot *slot)
{
    return slot->state == STARTING || slot->state == UP;
}

/* --- ending ------------------------------------------------------------------- */

/* It is heard no more, and nothing goes to it.  The link stays until it is reaped,
 * for this may be called from a handler of the link. */
static void slot_silence(struct slot *slot)
{
    slot->state = ENDING;
    link_read_enable(slot->link, 0);
    relay_worker_down(slot->pool->options.relay, slot->index);
    tally_gone(slot->pool->options.tally, slot->index);
}

static void slot_kill(struct slot *slot, const char *why)
{
    if (!slot_lives(slot))
        return;
    log_errorx("worker %u: killed: %s pid=%ld queued=%zu", slot->number, why, (long)slot->pid,
               link_queued(slot->link));
    slot_silence(slot);
    kill(slot->pid, SIGKILL);
}

static void on_closed(struct link *link, const char *why, void *arg)
{
    struct slot *slot = arg;
    if (!slot_lives(slot))
        return;
    if (!link_peer_closed(link)) {
        slot_kill(slot, why);
        return;
    }
    slot_silence(slot);
    timer_set(slot->timer, GRACE_MS); /* it is on its way out: how it ends will be logged */
}

/* --- messages from a worker --------------------------------------------------- */

static int on_hello(struct slot *slot, struct msg *msg)
{
    uint32_t version = msg_get_u32(msg);
    if (msg_close(msg) < 0 || slot->hello || version != MSG_VERSION)
        return -1;
    slot->hello = 1;
    return 0;
}

static int on_ready(struct slot *slot, struct msg *msg)
{
    struct pool *pool = slot->pool;
    if (msg_close(msg) < 0 || !slot->hello || slot->state != STARTING)
        return -1;
    slot->state = UP;
    relay_worker_up(pool->options.relay, slot->index);
    tally_up(pool->options.tally, slot->index);
    log_info("worker %u ready: pid=%ld generation=%u", slot->number, (long)slot->pid,
             slot->generation);
    if (slot->was_ready)
        return 0;
    slot->was_ready = 1;
    if (++pool->ready == pool->nslots)
        pool->ops->ready(pool->arg);
    return 0;
}

static int on_admit(struct slot *slot, struct msg *msg)
{
    struct pool *pool = slot->pool;
    struct relay *relay = pool->options.relay;
    uint64_t client = msg_get_u64(msg);
    struct slice uid = msg_get_bytes(msg);
    if (msg_close(msg) < 0 || uid.len == 0 || uid.len > TOKEN_UID_MAX)
        return -1;
    enum msg_verdict verdict = relay_admit(relay, slot->index, client, uid);
    buf_reset(&pool->message);
    size_t mark = msg_begin(&pool->message, MSG_ADMITTED);
    msg_put_u64(&pool->message, client);
    msg_put_u8(&pool->message, (uint8_t)verdict);
    msg_put_u64(&pool->message, relay_epoch(relay));
    msg_put_u64(&pool->message, relay_seq(relay));
    if (msg_end(&pool->message, mark) < 0)
        slot_kill(slot, "out of memory for an answer");
    else
        pool_send(pool, slot->index, pool->message.data, pool->message.len);
    return 0;
}

static int on_left(struct slot *slot, struct msg *msg)
{
    uint64_t client = msg_get_u64(msg);
    struct slice uid = msg_get_bytes(msg);
    if (msg_close(msg) < 0)
        return -1;
    relay_left(slot->pool->options.relay, slot->index, client, uid);
    return 0;
}

static int on_counters(struct slot *slot, struct msg *msg)
{
    struct counters counters;
    uint32_t id;
    if (counters_get(msg, &id, &counters) < 0)
        return -1;
    tally_told(slot->pool->options.tally, slot->index, id, &counters);
    return 0;
}

static int dispatch(struct slot *slot, struct msg *msg)
{
    if (msg->type == MSG_WORKER_HELLO)
        return on_hello(slot, msg);
    if (msg->type == MSG_READY)
        return on_ready(slot, msg);
    if (slot->state != UP)
        return -1;
    if (msg->type == MSG_ADMIT)
        return on_admit(slot, msg);
    if (msg->type == MSG_LEFT)
        return on_left(slot, msg);
    if (msg->type == MSG_COUNTERS)
        return on_counters(slot, msg);
    return -1;
}

static int on_message(struct link *link, struct msg *msg, void *arg)
{
    struct slot *slot = arg;
    char why[64];
    (void)link;
    if (!slot_lives(slot))
        return 0;
    if (dispatch(slot, msg) < 0) {
        (void)snprintf(why, sizeof why, "bad message type=%u (%s)", msg->type, msg_name(msg->type));
        slot_kill(slot, why);
    }
    return 0;
}

static const struct link_ops link_ops = {.message = on_message, .closed = on_closed};

/* --- messages to workers ------------------------------------------------------ */

static void slot_send(struct slot *slot, const void *message, size_t len)
{
    if (!slot_lives(slot))
        return;
    if (link_send(slot->link, message, len) < 0) {
        slot_kill(slot, "its queue is full");
        return;
    }
    uint64_t now = clock_ms();
    if (slot->sent == slot->taken)
        slot->taken_ms = now; /* from now on something waits for it */
    slot->sent += len;
    slot->sent_ms = now;
}

void pool_send(struct pool *pool, unsigned slot, const void *message, size_t len)
{
    slot_send(&pool->slots[slot], message, len);
}

void pool_send_all(struct pool *pool, const struct buf *message)
{
    if (message->failed)
        return;
    for (unsigned i = 0; i < pool->nslots; i++)
        slot_send(&pool->slots[i], message->data, message->len);
}

size_t pool_facts(const struct pool *pool, struct facts_worker *dst)
{
    for (unsigned i = 0; i < pool->nslots; i++) {
        const struct slot *slot = &pool->slots[i];
        int unread = 0;
        dst[i] = (struct facts_worker){.number = slot->number,
                                       .up = slot->state == UP,
                                       .restarts = slot->generation > 0 ? slot->generation - 1 : 0};
        if (slot->link && ioctl(slot->down_fd, FIONREAD, &unread) == 0)
            dst[i].queued = link_queued(slot->link) + (uint64_t)unread;
    }
    return pool->nslots;
}

static void slot_hello(struct slot *slot)
{
    struct pool *pool = slot->pool;
    buf_reset(&pool->message);
    size_t mark = msg_begin(&pool->message, MSG_HELLO);
    msg_put_u32(&pool->message, MSG_VERSION);
    msg_put_u32(&pool->message, slot->index);
    msg_put_u32(&pool->message, slot->generation);
    msg_put_u64(&pool->message, relay_epoch(pool->options.relay));
    if (msg_end(&pool->message, mark) < 0)
        slot_kill(slot, "out of memory for the first message");
    else
        slot_send(slot, pool->message.data, pool->message.len);
}

/* --- does it still read? ------------------------------------------------------ */

/* The level it has already: nothing changes, but a worker that is stuck leaves it
 * in the pipe. */
static void slot_probe(struct slot *slot)
{
    struct pool *pool = slot->pool;
    buf_reset(&pool->message);
    size_t mark = msg_begin(&pool->message, MSG_LOG_LEVEL);
    msg_put_u8(&pool->message, (uint8_t)log_get_level());
    if (msg_end(&pool->message, mark) == 0)
        slot_send(slot, pool->message.data, pool->message.len);
}

/* Whatever was sent and is neither in the link's queue nor in the pipe has been
 * taken, even where as much came behind it. */
static void slot_watch(struct slot *slot, uint64_t now)
{
    int unread = 0;
    if (ioctl(slot->down_fd, FIONREAD, &unread) < 0)
        return;
    uint64_t taken = slot->sent - link_queued(slot->link) - (uint64_t)unread;
    if (taken != slot->taken) {
        slot->taken = taken;
        slot->taken_ms = now;
    }
    if (slot->state == STARTING && now - slot->forked_ms >= START_MS) {
        slot_kill(slot, "it is not ready 30 s after its fork");
    } else if (slot->sent == taken) {
        if (now - slot->sent_ms >= IDLE_MS)
            slot_probe(slot);
    } else if (now - slot->taken_ms >= STALL_MS) {
        slot_kill(slot, "it has read nothing for 10 s");
    }
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct pool *pool = arg;
    uint64_t now = clock_ms();
    (void)fd;
    (void)what;
    for (unsigned i = 0; i < pool->nslots; i++)
        if (slot_lives(&pool->slots[i]))
            slot_watch(&pool->slots[i], now);
}

/* --- forking ------------------------------------------------------------------ */

/* The child: makes itself a worker.  What it inherits of the event base shares the
 * master's epoll set: it is left alone, only the descriptors are closed. */
_Noreturn static void child_run(struct slot *slot, int down_fd, int up_fd)
{
    static const int not_for_us[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    struct pool *pool = slot->pool;
    const struct listeners *listeners = pool->options.listeners;
    const struct worker_start start = {.slot = (int)slot->index,
                                       .generation = slot->generation,
                                       .down_fd = down_fd,
                                       .up_fd = up_fd,
                                       .listen_fds = listeners->fds,
                                       .nlisten = listeners->n,
                                       .handoff_fd = pool->handoff_reads[slot->index],
                                       .handoff_fds = pool->handoff_writes,
                                       .nhandoff = pool->nslots};
    char name[32];
    size_t n = 0;
    int *keep = xcalloc(listeners->n + pool->nslots + 3, sizeof *keep);
    keep[n++] = down_fd;
    keep[n++] = up_fd;
    keep[n++] = start.handoff_fd;
    for (size_t i = 0; i < listeners->n; i++)
        keep[n++] = listeners->fds[i];
    for (size_t i = 0; i < pool->nslots; i++)
        keep[n++] = pool->handoff_writes[i];
    child_close_fds(keep, n);
    free(keep);
    (void)snprintf(name, sizeof name, "worker %u", slot->number);
    log_name(name);
    pool->ops->child(pool->arg);
    for (size_t i = 0; i < sizeof not_for_us / sizeof *not_for_us; i++)
        signal(not_for_us[i], SIG_IGN);
    exit(pool->options.worker(pool->options.conf, &start));
}

/* Early deaths, and forks that fail, make the next one wait. */
static void slot_again(struct slot *slot, int early, const char *how)
{
    if (!early) {
        slot->backoff_ms = 0;
        log_warnx("worker %u: %s; replaced at once", slot->number, how);
        timer_set(slot->timer, 0);
        return;
    }
    slot->backoff_ms = slot->backoff_ms ? slot->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (slot->backoff_ms > BACKOFF_MAX_MS)
        slot->backoff_ms = BACKOFF_MAX_MS;
    log_errorx("worker %u: %s; forked again in %u ms", slot->number, how, slot->backoff_ms);
    timer_set(slot->timer, slot->backoff_ms);
}

static void pipes_close(int down[2], int up[2])
{
    for (int i = 0; i < 2; i++) {
        if (down[i] >= 0)
            close(down[i]);
        if (up[i] >= 0)
            close(up[i]);
    }
}

/* -1 with errno: nothing is left of it. */
static int slot_fork(struct slot *slot)
{
    struct pool *pool = slot->pool;
    int down[2] = {-1, -1}, up[2] = {-1, -1};
    if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0) {
        int saved = errno;
        pipes_close(down, up);
        errno = saved;
        return -1;
    }
    slot->link = link_new(pool->options.base, up[0], down[1], &pool->link_options, &link_ops, slot);
    if (!slot->link) {
        pipes_close(down, up);
        errno = ENOMEM;
        return -1;
    }
    slot->generation++;
    pid_t pid = child_fork();
    if (pid == 0)
        child_run(slot, down[0], up[1]);
    int saved = errno;
    close(down[0]);
    close(up[1]);
    if (pid < 0) {
        link_free(&slot->link);
        errno = saved;
        return -1;
    }
    slot->pid = pid;
    slot->down_fd = down[1];
    return 0;
}

static void slot_start(struct slot *slot)
{
    char how[128];
    if (slot_fork(slot) < 0) {
        (void)snprintf(how, sizeof how, "cannot be forked: %s", strerror(errno));
        slot_again(slot, 1, how);
        return;
    }
    slot->state = STARTING;
    slot->hello = 0;
    slot->forked_ms = slot->sent_ms = slot->taken_ms = clock_ms();
    slot->sent = slot->taken = 0;
    slot_hello(slot);
}

static void on_slot_timer(evutil_socket_t fd, short what, void *arg)
{
    struct slot *slot = arg;
    (void)fd;
    (void)what;
    if (slot->state == DEAD) {
        slot_start(slot);
    } else if (slot->state == ENDING) {
        log_errorx("worker %u: killed: it closed its pipe and stayed pid=%ld", slot->number,
                   (long)slot->pid);
        kill(slot->pid, SIGKILL);
    }
}

/* --- reaping ------------------------------------------------------------------ */

static void how_ended(char *dst, size_t cap, const struct slot *slot, int status, uint64_t lived_ms)
{
    if (WIFSIGNALED(status))
        (void)snprintf(
            dst, cap, "killed by signal %d (%s) pid=%ld after %llu ms%s", WTERMSIG(status),
            strsignal(WTERMSIG(status)), (long)slot->pid, (unsigned long long)lived_ms,
            WTERMSIG(status) == SIGSYS ? " (by the sandbox; sandbox: false is without)" : "");
    else
        (void)snprintf(dst, cap, "exited status=%d pid=%ld after %llu ms", WEXITSTATUS(status),
                       (long)slot->pid, (unsigned long long)lived_ms);
}

static unsigned pool_living(const struct pool *pool)
{
    unsigned n = 0;
    for (unsigned i = 0; i < pool->nslots; i++)
        n += pool->slots[i].state != DEAD;
    return n;
}

static void slot_ended(struct slot *slot, int status)
{
    struct pool *pool = slot->pool;
    uint64_t lived_ms = clock_ms() - slot->forked_ms;
    char how[160];
    if (slot_lives(slot))
        slot_silence(slot);
    event_del(slot->timer);
    link_free(&slot->link);
    slot->state = DEAD;
    how_ended(how, sizeof how, slot, status, lived_ms);
    if (!pool->draining) {
        slot_again(slot, lived_ms < EARLY_MS, how);
        return;
    }
    if (status == 0)
        log_info("worker %u: %s", slot->number, how);
    else
        log_warnx("worker %u: %s", slot->number, how);
    if (pool_living(pool) == 0)
        pool->ops->empty(pool->arg);
}

/* Children that are no workers (a name being looked up) are reaped here too. */
void pool_reap(struct pool *pool)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < pool->nslots; i++)
            if (pool->slots[i].state != DEAD && pool->slots[i].pid == pid)
                slot_ended(&pool->slots[i], status);
}

/* --- leaving ------------------------------------------------------------------ */

void pool_drain(struct pool *pool, uint32_t within_ms)
{
    pool->draining = 1;
    buf_reset(&pool->message);
    size_t mark = msg_begin(&pool->message, MSG_DRAIN);
    msg_put_u32(&pool->message, within_ms);
    int rc = msg_end(&pool->message, mark);
    for (unsigned i = 0; i < pool->nslots; i++) {
        struct slot *slot = &pool->slots[i];
        if (slot->state == DEAD)
            event_del(slot->timer);
        else if (rc < 0)
            slot_kill(slot, "out of memory for its farewell");
        else
            slot_send(slot, pool->message.data, pool->message.len);
    }
    timer_set(pool->deadline, within_ms + GRACE_MS);
    if (pool_living(pool) == 0)
        pool->ops->empty(pool->arg);
}

void pool_kill(struct pool *pool)
{
    for (unsigned i = 0; i < pool->nslots; i++) {
        struct slot *slot = &pool->slots[i];
        slot_kill(slot, "it has not left in time");
        if (slot->state == ENDING)
            kill(slot->pid, SIGKILL);
    }
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
    if (!pool->watch || !pool->deadline || event_add(pool->watch, &tick) < 0)
        return -1;
    for (unsigned i = 0; i < pool->nslots; i++) {
        struct slot *slot = &pool->slots[i];
        slot->pool = pool;
        slot->index = i;
        slot->number = i + 1;
        slot->timer = event_new(base, -1, 0, on_slot_timer, slot);
        if (!slot->timer)
            return -1;
    }
    return 0;
}

/* Every slot's pair lives as long as the pool: a new worker takes its
 * predecessor's place, and its siblings notice nothing. */
static int handoffs_new(struct pool *pool)
{
    pool->handoff_reads = malloc(pool->nslots * sizeof *pool->handoff_reads);
    pool->handoff_writes = malloc(pool->nslots * sizeof *pool->handoff_writes);
    if (!pool->handoff_reads || !pool->handoff_writes)
        return -1;
    for (unsigned i = 0; i < pool->nslots; i++)
        pool->handoff_reads[i] = pool->handoff_writes[i] = -1;
    for (unsigned i = 0; i < pool->nslots; i++)
        if (handoff_pair(&pool->handoff_reads[i], &pool->handoff_writes[i]) < 0) {
            log_error("cannot make a socket pair");
            return -1;
        }
    return 0;
}

static void handoffs_free(struct pool *pool)
{
    for (unsigned i = 0; pool->handoff_reads && pool->handoff_writes && i < pool->nslots; i++) {
        if (pool->handoff_reads[i] >= 0)
            close(pool->handoff_reads[i]);
        if (pool->handoff_writes[i] >= 0)
            close(pool->handoff_writes[i]);
    }
    free(pool->handoff_reads);
    free(pool->handoff_writes);
}

struct pool *pool_new(const struct pool_options *options, const struct pool_ops *ops, void *arg)
{
    const struct conf *conf = options->conf;
    struct pool *pool = calloc(1, sizeof *pool + (size_t)conf->workers * sizeof *pool->slots);
    if (!pool)
        return NULL;
    pool->options = *options;
    pool->ops = ops;
    pool->arg = arg;
    pool->nslots = (unsigned)conf->workers;
    pool->link_options = (struct link_options){
        .message_max = UP_MESSAGE_MAX, .queue_max = QUEUE_MIN_BYTES, .turn_bytes = TURN_BYTES};
    if (pool->link_options.queue_max < 2 * start_message_max(conf))
        pool->link_options.queue_max = 2 * start_message_max(conf);
    if (handoffs_new(pool) < 0 || events_new(pool) < 0)
        pool_free(&pool);
    return pool;
}

void pool_free(struct pool **poolp)
{
    struct pool *pool = *poolp;
    if (!pool)
        return;
    *poolp = NULL;
    for (unsigned i = 0; i < pool->nslots; i++) {
        struct slot *slot = &pool->slots[i];
        if (slot->state != DEAD) {
            kill(slot->pid, SIGKILL);
            (void)waitpid(slot->pid, NULL, 0);
        }
        link_free(&slot->link);
        if (slot->timer)
            event_free(slot->timer);
    }
    if (pool->watch)
        event_free(pool->watch);
    if (pool->deadline)
        event_free(pool->deadline);
    buf_free(&pool->message);
    handoffs_free(pool);
    free(pool);
}

void pool_start(struct pool *pool)
{
    for (unsigned i = 0; i < pool->nslots; i++)
        slot_start(&pool->slots[i]);
}
