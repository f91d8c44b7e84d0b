/* slot - one worker after another: forks it, hears it, and sees that it reads. */
#include "base/clock.h"
#include "base/mem.h"
#include "ipc/balance.h"
#include "ipc/counters.h"
#include "ipc/handoff.h"
#include "ipc/msg.h"
#include "master/child.h"
#include "master/pool_state.h"
#include "master/relay.h"
#include "master/tally.h"
#include "master/timer.h"

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

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 30000
#define STALL_MS       10000 /* without taking what waits for it, nor a word */
#define IDLE_MS        5000  /* after so long it is sent something, to see if it reads */
#define FORK_LOG_MS    1000

int slot_lives(const struct slot *slot)
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
    relay_worker_down(slot->crew->pool->options.relay, slot->lane);
    tally_gone(slot->crew->pool->options.tally, slot->lane);
    if (slot->crew->balance)
        balance_accepts(slot->crew->balance, slot->number - 1, 0);
}

void slot_kill(struct slot *slot, const char *why)
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
    struct pool *pool = slot->crew->pool;
    if (msg_close(msg) < 0 || !slot->hello || slot->state != STARTING)
        return -1;
    slot->state = UP;
    relay_worker_up(pool->options.relay, slot->lane);
    tally_up(pool->options.tally, slot->lane);
    log_info("worker %u ready: pid=%ld fork=%u generation=%u", slot->number, (long)slot->pid,
             pool->forks[slot->lane], slot->crew->number);
    if (slot->was_ready)
        return 0;
    slot->was_ready = 1;
    if (++slot->crew->ready == slot->crew->nslots)
        crew_ready(slot->crew);
    return 0;
}

static int on_admit(struct slot *slot, struct msg *msg)
{
    uint64_t client = msg_get_u64(msg);
    struct slice uid = msg_get_bytes(msg);
    if (msg_close(msg) < 0 || uid.len == 0 || uid.len > TOKEN_UID_MAX)
        return -1;
    relay_admit(slot->crew->pool->options.relay, slot->lane, client, uid);
    return 0;
}

static int on_left(struct slot *slot, struct msg *msg)
{
    uint64_t client = msg_get_u64(msg);
    struct slice uid = msg_get_bytes(msg);
    if (msg_close(msg) < 0)
        return -1;
    relay_left(slot->crew->pool->options.relay, slot->lane, client, uid);
    return 0;
}

static int on_counters(struct slot *slot, struct msg *msg)
{
    struct counters counters;
    uint32_t id;
    if (counters_get(msg, &id, &counters) < 0)
        return -1;
    tally_told(slot->crew->pool->options.tally, slot->lane, id, &counters);
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
    slot->heard = 1;
    if (dispatch(slot, msg) < 0) {
        (void)snprintf(why, sizeof why, "bad message type=%u (%s)", msg->type, msg_name(msg->type));
        slot_kill(slot, why);
    }
    return 0;
}

static const struct link_ops link_ops = {.message = on_message, .closed = on_closed};

/* --- messages to workers ------------------------------------------------------ */

void slot_send(struct slot *slot, const void *message, size_t len)
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

void slot_answer(struct slot *slot, uint64_t client, enum msg_verdict verdict)
{
    struct pool *pool = slot->crew->pool;
    buf_reset(&pool->message);
    size_t mark = msg_begin(&pool->message, MSG_ADMITTED);
    msg_put_u64(&pool->message, client);
    msg_put_u8(&pool->message, (uint8_t)verdict);
    msg_put_u64(&pool->message, relay_epoch(pool->options.relay));
    msg_put_u64(&pool->message, relay_seq(pool->options.relay));
    if (msg_end(&pool->message, mark) < 0)
        slot_kill(slot, "out of memory for an answer");
    else
        slot_send(slot, pool->message.data, pool->message.len);
}

static void slot_hello(struct slot *slot)
{
    struct pool *pool = slot->crew->pool;
    buf_reset(&pool->message);
    size_t mark = msg_begin(&pool->message, MSG_HELLO);
    msg_put_u32(&pool->message, MSG_VERSION);
    msg_put_u32(&pool->message, slot->lane);
    msg_put_u32(&pool->message, pool->forks[slot->lane]);
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
    struct pool *pool = slot->crew->pool;
    buf_reset(&pool->message);
    size_t mark = msg_begin(&pool->message, MSG_LOG_LEVEL);
    msg_put_u8(&pool->message, (uint8_t)log_get_level());
    if (msg_end(&pool->message, mark) == 0)
        slot_send(slot, pool->message.data, pool->message.len);
}

/* Whatever was sent and is neither in the link's queue nor in the pipe has been
 * taken, even where as much came behind it.  A worker that takes much at once and
 * gets little of the CPU may be long over it: as long as its loop turns it counts,
 * and tells.  Returns 0, or -1 if nothing is to be learned. */
static int slot_look(struct slot *slot, uint64_t now)
{
    int unread = 0;
    if (ioctl(slot->down_fd, FIONREAD, &unread) < 0)
        return -1;
    uint64_t taken = slot->sent - link_queued(slot->link) - (uint64_t)unread;
    if (taken != slot->taken || slot->heard) {
        slot->taken = taken;
        slot->taken_ms = slot->alive_ms = now;
        slot->heard = 0;
    }
    return 0;
}

void slot_watch(struct slot *slot, uint64_t now)
{
    if (slot_look(slot, now) < 0)
        return;
    if (slot->state == STARTING && now - slot->forked_ms >= START_MS) {
        slot_kill(slot, "it is not ready 30 s after its fork");
    } else if (slot->sent == slot->taken) {
        if (now - slot->sent_ms >= IDLE_MS)
            slot_probe(slot);
    } else if (now - slot->taken_ms >= STALL_MS) {
        slot_kill(slot, "it has neither read nor said anything for 10 s");
    }
}

int slot_serves(struct slot *slot, uint64_t now)
{
    if (slot->state != UP)
        return 0;
    return slot_look(slot, now) < 0 || now - slot->alive_ms < POOL_SILENT_MS;
}

/* --- forking ------------------------------------------------------------------ */

/* The child: makes itself a worker.  What it inherits of the event base shares the
 * master's epoll set: it is left alone, only the descriptors are closed. */
_Noreturn static void child_run(struct slot *slot, pid_t master, int down_fd, int up_fd,
                                int ends_fd)
{
    /* The master directs its workers over the pipe.  A signal that reaches the whole
     * process group (Ctrl-C, systemd) is the master's business. */
    static const int not_for_us[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    struct pool *pool = slot->crew->pool;
    const struct listeners *listeners = slot->crew->listeners;
    const struct worker_start start = {.lane = slot->lane,
                                       .generation = pool->forks[slot->lane],
                                       .down_fd = down_fd,
                                       .up_fd = up_fd,
                                       .listen_fds = listeners->fds,
                                       .nlisten = listeners->n,
                                       .handoff_fd = pool->reads[slot->lane],
                                       .ends_fd = ends_fd,
                                       .handoff_fds = pool->writes,
                                       .nhandoff = START_LANES,
                                       .balance = slot->crew->balance};
    char name[32];
    size_t n = 0;
    if (child_outlive(master) < 0)
        exit(0); /* like one that reads the end of its pipe */
    int *keep = xcalloc(listeners->n + START_LANES + 4, sizeof *keep);
    keep[n++] = down_fd;
    keep[n++] = up_fd;
    keep[n++] = ends_fd;
    keep[n++] = start.handoff_fd;
    for (size_t i = 0; i < listeners->n; i++)
        keep[n++] = listeners->fds[i];
    for (size_t i = 0; i < START_LANES; i++)
        if (pool->writes[i] >= 0)
            keep[n++] = pool->writes[i];
    child_close_fds(keep, n);
    free(keep);
    (void)snprintf(name, sizeof name, "worker %u", slot->number);
    log_name(name);
    pool->ops->child(pool->arg);
    for (size_t i = 0; i < sizeof not_for_us / sizeof *not_for_us; i++)
        signal(not_for_us[i], SIG_IGN);
    exit(pool->options.worker(slot->crew->conf, &start));
}

/* Early deaths, and forks that fail, make the next one wait. */
void slot_again(struct slot *slot, int early, const char *how)
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
    /* Where none can be forked, none of many can be. */
    uint64_t times = slot->pid > 0 ? 1 : log_due(&slot->crew->pool->fork_log, FORK_LOG_MS);
    if (times > 0)
        log_errorx("worker %u: %s; forked again in %u ms times=%llu", slot->number, how,
                   slot->backoff_ms, (unsigned long long)times);
    timer_set(slot->timer, slot->backoff_ms);
}

static void fds_close(const int *fds, size_t n)
{
    int saved = errno;
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    errno = saved;
}

/* Two pipes and the pair for new lanes: ours and the worker's ends. */
enum { DOWN_THEIRS, DOWN_OURS, UP_OURS, UP_THEIRS, ENDS_THEIRS, ENDS_OURS, FDS };

static int fds_open(int fds[FDS])
{
    for (int i = 0; i < FDS; i++)
        fds[i] = -1;
    if (pipe2(&fds[DOWN_THEIRS], O_CLOEXEC) == 0 && pipe2(&fds[UP_OURS], O_CLOEXEC) == 0 &&
        handoff_pair(&fds[ENDS_THEIRS], &fds[ENDS_OURS]) == 0)
        return 0;
    fds_close(fds, FDS);
    return -1;
}

/* -1 with errno: nothing is left of it. */
static int slot_fork(struct slot *slot)
{
    struct pool *pool = slot->crew->pool;
    int fds[FDS];
    if (fds_open(fds) < 0)
        return -1;
    slot->link = link_new(pool->options.base, fds[UP_OURS], fds[DOWN_OURS], &pool->link_options,
                          &link_ops, slot);
    if (!slot->link) {
        fds_close(fds, FDS);
        errno = ENOMEM;
        return -1;
    }
    pool->forks[slot->lane]++;
    pid_t master = getpid(), pid = child_fork();
    if (pid == 0)
        child_run(slot, master, fds[DOWN_THEIRS], fds[UP_THEIRS], fds[ENDS_THEIRS]);
    fds_close((int[]){fds[DOWN_THEIRS], fds[UP_THEIRS], fds[ENDS_THEIRS]}, 3);
    if (pid < 0) {
        int saved = errno;
        link_free(&slot->link);
        close(fds[ENDS_OURS]);
        errno = saved;
        return -1;
    }
    slot->pid = pid;
    slot->down_fd = fds[DOWN_OURS];
    slot->ends_fd = fds[ENDS_OURS];
    memcpy(slot->known, pool->made, sizeof slot->known);
    return 0;
}

void slot_start(struct slot *slot)
{
    char how[128];
    if (slot_fork(slot) < 0) {
        (void)snprintf(how, sizeof how, "cannot be forked: %s", strerror(errno));
        slot->pid = 0;
        lane_vacant(slot->crew->pool, slot->lane);
        crew_worker_gone(slot, -1, 0, how);
        return;
    }
    lane_taken(slot->crew->pool, slot->lane);
    slot->state = STARTING;
    slot->hello = slot->heard = 0;
    slot->forked_ms = slot->sent_ms = slot->taken_ms = slot->alive_ms = clock_ms();
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
        if (slot->state == STARTING)
            slot->crew->pool->restarts[slot->number - 1]++;
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

void slot_reaped(struct slot *slot, int status)
{
    uint64_t lived_ms = clock_ms() - slot->forked_ms;
    char how[160];
    if (slot_lives(slot))
        slot_silence(slot);
    event_del(slot->timer);
    link_free(&slot->link);
    close(slot->ends_fd);
    slot->ends_fd = -1;
    slot->state = DEAD;
    lane_vacant(slot->crew->pool, slot->lane);
    how_ended(how, sizeof how, slot, status, lived_ms);
    crew_worker_gone(slot, status, lived_ms, how);
}

int slot_init(struct slot *slot, struct crew *crew, unsigned index)
{
    slot->crew = crew;
    slot->lane = crew->half * CONF_WORKERS_MAX + index;
    slot->number = start_number(slot->lane);
    slot->ends_fd = -1;
    slot->timer = event_new(crew->pool->options.base, -1, 0, on_slot_timer, slot);
    return slot->timer ? 0 : -1;
}

void slot_clear(struct slot *slot)
{
    if (slot->state != DEAD) {
        kill(slot->pid, SIGKILL);
        (void)waitpid(slot->pid, NULL, 0);
        link_free(&slot->link);
        close(slot->ends_fd);
    }
    if (slot->timer)
        event_free(slot->timer);
}
