/* proc - one worker after another: forks it, hears it, and sees that it reads. */
#include "base/clock.h"
#include "base/mem.h"
#include "ipc/balance.h"
#include "ipc/counters.h"
#include "ipc/handoff.h"
#include "ipc/msg.h"
#include "master/child.h"
#include "master/pool_state.h"
#include "master/relay.h"
#include "master/stats.h"
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

int proc_lives(const struct proc *proc)
{
    return proc->state == STARTING || proc->state == UP;
}

/* --- ending ------------------------------------------------------------------- */

/* It is heard no more, and nothing goes to it.  The link stays until it is reaped,
 * for this may be called from a handler of the link. */
static void proc_silence(struct proc *proc)
{
    proc->state = ENDING;
    link_read_enable(proc->link, 0);
    relay_worker_down(proc->generation->pool->options.relay, proc->lane);
    stats_gone(proc->generation->pool->options.stats, proc->lane);
    if (proc->generation->balance != NULL)
        balance_accepts(proc->generation->balance, proc->number - 1, 0);
}

void proc_kill(struct proc *proc, const char *why)
{
    if (!proc_lives(proc))
        return;
    log_errorx("worker %u: killed: %s pid=%ld queued=%zu", proc->number, why, (long)proc->pid,
               link_queued(proc->link));
    proc_silence(proc);
    kill(proc->pid, SIGKILL);
}

static void on_closed(struct link *link, const char *why, void *arg)
{
    struct proc *proc = arg;

    if (!proc_lives(proc))
        return;
    if (!link_peer_closed(link)) {
        proc_kill(proc, why);
        return;
    }
    proc_silence(proc);
    timer_set(proc->timer, GRACE_MS); /* it is on its way out: how it ends will be logged */
}

/* --- messages from a worker --------------------------------------------------- */

static int on_hello(struct proc *proc, struct msg *msg)
{
    uint32_t version = msg_get_u32(msg);

    if (msg_close(msg) < 0 || proc->hello || version != MSG_VERSION)
        return -1;
    proc->hello = 1;
    return 0;
}

static int on_ready(struct proc *proc, struct msg *msg)
{
    struct pool *pool = proc->generation->pool;

    if (msg_close(msg) < 0 || !proc->hello || proc->state != STARTING)
        return -1;
    proc->state = UP;
    relay_worker_up(pool->options.relay, proc->lane);
    stats_up(pool->options.stats, proc->lane);
    log_info("worker %u ready: pid=%ld fork=%u generation=%u", proc->number, (long)proc->pid,
             pool->forks[proc->lane], proc->generation->number);
    if (proc->was_ready)
        return 0;
    proc->was_ready = 1;
    if (++proc->generation->ready == proc->generation->nprocs)
        generation_ready(proc->generation);
    return 0;
}

static int on_admit(struct proc *proc, struct msg *msg)
{
    uint64_t client = msg_get_u64(msg);
    struct slice uid = msg_get_bytes(msg);

    if (msg_close(msg) < 0 || uid.len == 0 || uid.len > TOKEN_UID_MAX)
        return -1;
    relay_admit(proc->generation->pool->options.relay, proc->lane, client, uid);
    return 0;
}

static int on_left(struct proc *proc, struct msg *msg)
{
    uint64_t client = msg_get_u64(msg);
    struct slice uid = msg_get_bytes(msg);

    if (msg_close(msg) < 0)
        return -1;
    relay_left(proc->generation->pool->options.relay, proc->lane, client, uid);
    return 0;
}

static int on_counters(struct proc *proc, struct msg *msg)
{
    struct counters counters;
    uint32_t id;

    if (counters_get(msg, &id, &counters) < 0)
        return -1;
    stats_told(proc->generation->pool->options.stats, proc->lane, id, &counters);
    return 0;
}

static int dispatch(struct proc *proc, struct msg *msg)
{
    if (msg->type == MSG_WORKER_HELLO)
        return on_hello(proc, msg);
    if (msg->type == MSG_READY)
        return on_ready(proc, msg);
    if (proc->state != UP)
        return -1;
    if (msg->type == MSG_ADMIT)
        return on_admit(proc, msg);
    if (msg->type == MSG_LEFT)
        return on_left(proc, msg);
    if (msg->type == MSG_COUNTERS)
        return on_counters(proc, msg);
    return -1;
}

static int on_message(struct link *link, struct msg *msg, void *arg)
{
    struct proc *proc = arg;
    char why[64];

    (void)link;
    if (!proc_lives(proc))
        return 0;
    proc->heard = 1;
    if (dispatch(proc, msg) < 0) {
        (void)snprintf(why, sizeof(why), "bad message type=%u (%s)", msg->type,
                       msg_name(msg->type));
        proc_kill(proc, why);
    }
    return 0;
}

static const struct link_ops link_ops = {.message = on_message, .closed = on_closed};

/* --- messages to workers ------------------------------------------------------ */

void proc_send(struct proc *proc, const void *message, size_t len)
{
    uint64_t now;

    if (!proc_lives(proc))
        return;
    if (link_send(proc->link, message, len) < 0) {
        proc_kill(proc, "its queue is full");
        return;
    }
    now = clock_ms();
    if (proc->sent == proc->taken)
        proc->taken_ms = now; /* from now on something waits for it */
    proc->sent += len;
    proc->sent_ms = now;
}

void proc_answer(struct proc *proc, uint64_t client, enum msg_verdict verdict)
{
    struct pool *pool = proc->generation->pool;
    size_t mark;

    buf_reset(&pool->message);
    mark = msg_begin(&pool->message, MSG_ADMITTED);
    msg_put_u64(&pool->message, client);
    msg_put_u8(&pool->message, (uint8_t)verdict);
    msg_put_u64(&pool->message, relay_epoch(pool->options.relay));
    msg_put_u64(&pool->message, relay_seq(pool->options.relay));
    if (msg_end(&pool->message, mark) < 0)
        proc_kill(proc, "out of memory for an answer");
    else
        proc_send(proc, pool->message.data, pool->message.len);
}

static void proc_hello(struct proc *proc)
{
    struct pool *pool = proc->generation->pool;
    size_t mark;

    buf_reset(&pool->message);
    mark = msg_begin(&pool->message, MSG_HELLO);
    msg_put_u32(&pool->message, MSG_VERSION);
    msg_put_u32(&pool->message, proc->lane);
    msg_put_u32(&pool->message, pool->forks[proc->lane]);
    msg_put_u64(&pool->message, relay_epoch(pool->options.relay));
    if (msg_end(&pool->message, mark) < 0)
        proc_kill(proc, "out of memory for the first message");
    else
        proc_send(proc, pool->message.data, pool->message.len);
}

/* --- does it still read? ------------------------------------------------------ */

/* The level it has already: nothing changes, but a worker that is stuck leaves it
 * in the pipe. */
static void proc_probe(struct proc *proc)
{
    struct pool *pool = proc->generation->pool;
    size_t mark;

    buf_reset(&pool->message);
    mark = msg_begin(&pool->message, MSG_LOG_LEVEL);
    msg_put_u8(&pool->message, (uint8_t)log_get_level());
    if (msg_end(&pool->message, mark) == 0)
        proc_send(proc, pool->message.data, pool->message.len);
}

/* Whatever was sent and is neither in the link's queue nor in the pipe has been
 * taken, even where as much came behind it.  A worker that takes much at once and
 * gets little of the CPU may be long over it: as long as its loop turns it counts,
 * and tells.  Returns 0, or -1 if nothing is to be learned. */
static int proc_look(struct proc *proc, uint64_t now)
{
    int unread = 0;
    uint64_t taken;

    if (ioctl(proc->down_fd, FIONREAD, &unread) < 0)
        return -1;
    taken = proc->sent - link_queued(proc->link) - (uint64_t)unread;
    if (taken != proc->taken || proc->heard) {
        proc->taken = taken;
        proc->taken_ms = proc->alive_ms = now;
        proc->heard = 0;
    }
    return 0;
}

void proc_watch(struct proc *proc, uint64_t now)
{
    if (proc_look(proc, now) < 0)
        return;
    if (proc->state == STARTING && now - proc->forked_ms >= START_MS) {
        proc_kill(proc, "it is not ready 30 s after its fork");
    } else if (proc->sent == proc->taken) {
        if (now - proc->sent_ms >= IDLE_MS)
            proc_probe(proc);
    } else if (now - proc->taken_ms >= STALL_MS) {
        proc_kill(proc, "it has neither read nor said anything for 10 s");
    }
}

int proc_serves(struct proc *proc, uint64_t now)
{
    if (proc->state != UP)
        return 0;
    return proc_look(proc, now) < 0 || now - proc->alive_ms < POOL_SILENT_MS;
}

/* --- forking ------------------------------------------------------------------ */

/* The child: makes itself a worker.  What it inherits of the event base shares the
 * master's epoll set: it is left alone, only the descriptors are closed. */
_Noreturn static void child_run(struct proc *proc, pid_t master, int down_fd, int up_fd,
                                int ends_fd)
{
    /* The master directs its workers over the pipe.  A signal that reaches the whole
     * process group (Ctrl-C, systemd) is the master's business. */
    static const int not_for_us[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    struct pool *pool = proc->generation->pool;
    const struct listeners *listeners = proc->generation->listeners;
    const struct worker_start start = {.lane = proc->lane,
                                       .generation = pool->forks[proc->lane],
                                       .down_fd = down_fd,
                                       .up_fd = up_fd,
                                       .listen_fds = listeners->fds,
                                       .nlisten = listeners->n,
                                       .handoff_fd = pool->reads[proc->lane],
                                       .peers_fd = ends_fd,
                                       .handoff_fds = pool->writes,
                                       .nhandoff = START_LANES,
                                       .balance = proc->generation->balance};
    char name[32];
    size_t n = 0;
    int *keep;

    if (child_outlive(master) < 0)
        exit(0); /* like one that reads the end of its pipe */
    keep = xcalloc(listeners->n + START_LANES + 4, sizeof(*keep));
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
    (void)snprintf(name, sizeof(name), "worker %u", proc->number);
    log_name(name);
    pool->ops->child(pool->arg);
    for (size_t i = 0; i < sizeof(not_for_us) / sizeof(*not_for_us); i++)
        signal(not_for_us[i], SIG_IGN);
    exit(pool->options.worker(proc->generation->conf, &start));
}

/* Early deaths, and forks that fail, make the next one wait. */
void proc_again(struct proc *proc, int early, const char *how)
{
    uint64_t times;

    if (!early) {
        proc->backoff_ms = 0;
        log_warnx("worker %u: %s; replaced at once", proc->number, how);
        timer_set(proc->timer, 0);
        return;
    }
    proc->backoff_ms = proc->backoff_ms ? proc->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (proc->backoff_ms > BACKOFF_MAX_MS)
        proc->backoff_ms = BACKOFF_MAX_MS;
    /* Where none can be forked, none of many can be. */
    times = proc->pid > 0 ? 1 : log_due(&proc->generation->pool->fork_log, FORK_LOG_MS);
    if (times > 0)
        log_errorx("worker %u: %s; forked again in %u ms times=%llu", proc->number, how,
                   proc->backoff_ms, (unsigned long long)times);
    timer_set(proc->timer, proc->backoff_ms);
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
static int proc_fork(struct proc *proc)
{
    struct pool *pool = proc->generation->pool;
    int fds[FDS];
    pid_t master, pid;

    if (fds_open(fds) < 0)
        return -1;
    proc->link = link_new(pool->options.base, fds[UP_OURS], fds[DOWN_OURS], &pool->link_options,
                          &link_ops, proc);
    if (proc->link == NULL) {
        fds_close(fds, FDS);
        errno = ENOMEM;
        return -1;
    }
    pool->forks[proc->lane]++;
    master = getpid();
    pid = child_fork();
    if (pid == 0)
        child_run(proc, master, fds[DOWN_THEIRS], fds[UP_THEIRS], fds[ENDS_THEIRS]);
    fds_close((int[]){fds[DOWN_THEIRS], fds[UP_THEIRS], fds[ENDS_THEIRS]}, 3);
    if (pid < 0) {
        int saved = errno;
        link_free(&proc->link);
        close(fds[ENDS_OURS]);
        errno = saved;
        return -1;
    }
    proc->pid = pid;
    proc->down_fd = fds[DOWN_OURS];
    proc->ends_fd = fds[ENDS_OURS];
    memcpy(proc->known, pool->made, sizeof(proc->known));
    return 0;
}

void proc_start(struct proc *proc)
{
    char how[128];

    if (proc_fork(proc) < 0) {
        (void)snprintf(how, sizeof(how), "cannot be forked: %s", strerror(errno));
        proc->pid = 0;
        lane_vacant(proc->generation->pool, proc->lane);
        generation_proc_gone(proc, -1, 0, how);
        return;
    }
    lane_taken(proc->generation->pool, proc->lane);
    proc->state = STARTING;
    proc->hello = proc->heard = 0;
    proc->forked_ms = proc->sent_ms = proc->taken_ms = proc->alive_ms = clock_ms();
    proc->sent = proc->taken = 0;
    proc_hello(proc);
}

static void on_proc_timer(evutil_socket_t fd, short what, void *arg)
{
    struct proc *proc = arg;

    (void)fd;
    (void)what;
    if (proc->state == DEAD) {
        proc_start(proc);
        if (proc->state == STARTING)
            proc->generation->pool->restarts[proc->number - 1]++;
    } else if (proc->state == ENDING) {
        log_errorx("worker %u: killed: it closed its pipe and stayed pid=%ld", proc->number,
                   (long)proc->pid);
        kill(proc->pid, SIGKILL);
    }
}

/* --- reaping ------------------------------------------------------------------ */

static void how_ended(char *dst, size_t cap, const struct proc *proc, int status, uint64_t lived_ms)
{
    if (WIFSIGNALED(status))
        (void)snprintf(
            dst, cap, "killed by signal %d (%s) pid=%ld after %llu ms%s", WTERMSIG(status),
            strsignal(WTERMSIG(status)), (long)proc->pid, (unsigned long long)lived_ms,
            WTERMSIG(status) == SIGSYS ? " (by the sandbox; sandbox: false is without)" : "");
    else
        (void)snprintf(dst, cap, "exited status=%d pid=%ld after %llu ms", WEXITSTATUS(status),
                       (long)proc->pid, (unsigned long long)lived_ms);
}

void proc_reaped(struct proc *proc, int status)
{
    uint64_t lived_ms = clock_ms() - proc->forked_ms;
    char how[160];

    if (proc_lives(proc))
        proc_silence(proc);
    event_del(proc->timer);
    link_free(&proc->link);
    close(proc->ends_fd);
    proc->ends_fd = -1;
    proc->state = DEAD;
    lane_vacant(proc->generation->pool, proc->lane);
    how_ended(how, sizeof(how), proc, status, lived_ms);
    generation_proc_gone(proc, status, lived_ms, how);
}

int proc_init(struct proc *proc, struct generation *generation, unsigned index)
{
    proc->generation = generation;
    proc->lane = generation->half * CONF_WORKERS_MAX + index;
    proc->number = start_number(proc->lane);
    proc->ends_fd = -1;
    proc->timer = event_new(generation->pool->options.base, -1, 0, on_proc_timer, proc);
    return proc->timer != NULL ? 0 : -1;
}

void proc_clear(struct proc *proc)
{
    if (proc->state != DEAD) {
        kill(proc->pid, SIGKILL);
        (void)waitpid(proc->pid, NULL, 0);
        link_free(&proc->link);
        close(proc->ends_fd);
    }
    if (proc->timer != NULL)
        event_free(proc->timer);
}
