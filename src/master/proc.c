#include "master/proc.h"

#include "base/clock.h"
#include "ipc/balance.h"
#include "ipc/census.h"
#include "master/cluster.h"
#include "master/hear.h"
#include "master/lanes.h"
#include "master/news.h"
#include "master/recovery.h"
#include "master/relay.h"
#include "master/spawn.h"
#include "master/stats.h"
#include "master/timer.h"

#include <errno.h>
#include <event2/event.h>
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
#define MOVING_MS      250   /* one that has taken nothing for so long has stopped */
#define FORK_LOG_MS    1000

enum proc_state {
    DEAD,     /* not forked, or reaped; the timer forks it again */
    STARTING, /* forked, not ready yet */
    UP,       /* has said MSG_READY */
    ENDING,   /* closed its pipe, or has been killed: to be reaped */
};

struct proc {
    struct proc_common *common;
    const struct proc_terms *terms;
    const struct proc_ops *ops;
    void *arg;
    unsigned lane;
    unsigned number; /* in the log */
    enum proc_state state;
    pid_t pid;
    struct link *link; /* NULL: DEAD */
    int down_fd;       /* the link's, to ask how much lies in the pipe */
    int peers_fd;      /* where it hears of new lanes; -1: DEAD */
    struct lanes_known known;
    struct hear hear;
    int was_ready; /* it has been UP once */
    int heard;     /* it has said something since it was last looked at */
    uint64_t forked_ms;
    uint32_t backoff_ms; /* 0: the last death was not early */
    struct event *timer; /* DEAD: fork; ENDING: kill */

    uint64_t sent, taken;       /* bytes: put into the link; gone from the pipe */
    uint64_t sent_ms, taken_ms; /* when that last grew */
    uint64_t alive_ms;          /* when it was last seen that it reads, or says something */
};

static int lives(const struct proc *proc)
{
    return proc->state == STARTING || proc->state == UP;
}

/* --- ending ------------------------------------------------------------------- */

/* It is heard no more, and nothing goes to it.  The link stays until it is reaped,
 * for this may be called from a handler of the link. */
static void silence(struct proc *proc)
{
    proc->state = ENDING;
    link_read_enable(proc->link, 0);
    recovery_worker_down(proc->common->recovery, proc->lane);
    relay_worker_down(proc->common->relay, proc->lane);
    cluster_worker_down(proc->common->cluster, proc->lane);
    stats_gone(proc->common->stats, proc->lane);
    if (proc->terms->balance != NULL)
        balance_accepts(proc->terms->balance, proc->number - 1, 0);
}

void proc_kill(struct proc *proc, const char *why)
{
    if (!lives(proc))
        return;
    log_event(ERROR, "worker_killed", "worker[ {}: killed: {} pid={} queued={}]< killed>",
              LOG_UINT("worker", proc->number), LOG_STR("reason", why),
              LOG_INT("worker_pid", proc->pid), LOG_UINT("queued", link_queued(proc->link)));
    news_put(proc->common->news, LOG_LEVEL_ERROR, "worker %u: killed: %s", proc->number, why);
    silence(proc);
    kill(proc->pid, SIGKILL);
}

void proc_kill_leaving(struct proc *proc, const char *why)
{
    proc_kill(proc, why);
    if (proc->state == ENDING)
        kill(proc->pid, SIGKILL);
}

static void on_closed(struct link *link, const char *why, void *arg)
{
    struct proc *proc = arg;

    if (!lives(proc))
        return;
    if (!link_peer_closed(link)) {
        proc_kill(proc, why);
        return;
    }
    silence(proc);
    timer_set(proc->timer, PROC_GRACE_MS); /* it is on its way out: how it ends will be logged */
}

/* --- messages from a worker --------------------------------------------------- */

static void become_up(struct proc *proc)
{
    struct proc_common *common = proc->common;

    proc->state = UP;
    relay_worker_up(common->relay, proc->lane);
    stats_up(common->stats, proc->lane);
    log_event(INFO, "worker_ready", "worker[ {}] ready[: pid={} fork={} generation={}]",
              LOG_UINT("worker", proc->number), LOG_INT("worker_pid", proc->pid),
              LOG_UINT("fork", common->forks[proc->lane]),
              LOG_UINT("generation", proc->terms->generation));
    if (proc->was_ready) {
        news_put(common->news, LOG_LEVEL_INFO, "worker %u serves again: pid=%ld", proc->number,
                 (long)proc->pid);
        return;
    }
    proc->was_ready = 1;
    proc->ops->ready(proc, proc->arg);
}

static int on_message(struct link *link, struct msg *msg, void *arg)
{
    struct proc *proc = arg;
    char why[64];

    (void)link;
    if (!lives(proc))
        return 0;
    proc->heard = 1;
    switch (hear_message(&proc->hear, msg)) {
    case HEARD_GOOD:
        break;
    case HEARD_READY:
        become_up(proc);
        break;
    case HEARD_STARVED:
        return 1;
    case HEARD_BAD:
        (void)snprintf(why, sizeof(why), "bad message type=%u (%s)", msg->type,
                       msg_name(msg->type));
        proc_kill(proc, why);
        break;
    }
    return 0;
}

static const struct link_ops link_ops = {.message = on_message, .closed = on_closed};

/* --- messages to workers ------------------------------------------------------ */

void proc_send(struct proc *proc, const void *message, size_t len)
{
    uint64_t now;

    if (!lives(proc))
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

void proc_answer(struct proc *proc, const struct msg_admitted *admitted)
{
    struct proc_common *common = proc->common;
    struct msg_admitted answer = *admitted;

    answer.epoch = relay_epoch(common->relay);
    answer.seq = relay_seq(common->relay);
    buf_reset(&common->message);
    if (msg_put_admitted(&common->message, &answer) < 0)
        proc_kill(proc, "out of memory for an answer");
    else
        proc_send(proc, common->message.data, common->message.len);
}

static void hello(struct proc *proc)
{
    struct proc_common *common = proc->common;
    size_t mark;

    buf_reset(&common->message);
    mark = msg_begin(&common->message, MSG_HELLO);
    msg_put_u32(&common->message, MSG_VERSION);
    msg_put_u32(&common->message, proc->lane);
    msg_put_u32(&common->message, common->forks[proc->lane]);
    msg_put_u64(&common->message, relay_epoch(common->relay));
    if (msg_end(&common->message, mark) < 0)
        proc_kill(proc, "out of memory for the first message");
    else
        proc_send(proc, common->message.data, common->message.len);
}

int proc_tell_lanes(struct proc *proc)
{
    return proc->state == DEAD ? 0 : lanes_tell(proc->common->lanes, proc->peers_fd, &proc->known);
}

void proc_queue_max(struct proc *proc, size_t bytes)
{
    if (proc->link != NULL)
        link_queue_max(proc->link, bytes);
}

/* --- does it still read? ------------------------------------------------------ */

/* The level it has already: nothing changes, but a worker that is stuck leaves it
 * in the pipe. */
static void probe(struct proc *proc)
{
    struct proc_common *common = proc->common;
    size_t mark;

    buf_reset(&common->message);
    mark = msg_begin(&common->message, MSG_LOG_LEVEL);
    msg_put_u8(&common->message, (uint8_t)log_get_level());
    if (msg_end(&common->message, mark) == 0)
        proc_send(proc, common->message.data, common->message.len);
}

/* Whatever was sent and is neither in the link's queue nor in the pipe has been
 * taken, even where as much came behind it.  A worker that takes much at once and
 * gets little of the CPU may be long over it: as long as its loop turns it counts,
 * and tells.  Returns 0, or -1 if nothing is to be learned. */
static int look(struct proc *proc, uint64_t now)
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
    if (!lives(proc) || look(proc, now) < 0)
        return;
    if (proc->state == STARTING && now - proc->forked_ms >= PROC_START_MS) {
        proc_kill(proc, "it is not ready 30 s after its fork");
    } else if (proc->sent == proc->taken) {
        if (now - proc->sent_ms >= IDLE_MS)
            probe(proc);
    } else if (now - proc->taken_ms >= STALL_MS) {
        proc_kill(proc, "it has neither read nor said anything for 10 s");
    }
}

int proc_serves(struct proc *proc, uint64_t now)
{
    if (proc->state != UP)
        return 0;
    return look(proc, now) < 0 || now - proc->alive_ms < PROC_SILENT_MS;
}

/* --- what it is --------------------------------------------------------------- */

unsigned proc_number(const struct proc *proc)
{
    return proc->number;
}

pid_t proc_pid(const struct proc *proc)
{
    return proc->state != DEAD ? proc->pid : 0;
}

int proc_exists(const struct proc *proc)
{
    return proc->state != DEAD;
}

int proc_is_up(const struct proc *proc)
{
    return proc->state == UP;
}

int proc_is_behind(const struct proc *proc, uint64_t now)
{
    const struct link *link = proc->link;

    return link != NULL && link_queued(link) > proc->common->link.queue_max / 2 &&
           now - link_stalled_since(link) < MOVING_MS;
}

void proc_wipe(const struct proc *proc)
{
    if (proc->link != NULL)
        link_wipe(proc->link);
}

uint64_t proc_queued(const struct proc *proc)
{
    int unread = 0;

    if (proc->link == NULL || ioctl(proc->down_fd, FIONREAD, &unread) < 0)
        return 0;
    return link_queued(proc->link) + (uint64_t)unread;
}

/* --- forking ------------------------------------------------------------------ */

/* What a line says of its end; as JSON it has the facts instead of how. */
#define END(proc, end) LOG_UINT("worker", (proc)->number), LOG_SHOWN((end)->how)
#define FACTS(proc, end)                                                                           \
    LOG_IF((proc)->pid > 0, LOG_INT("worker_pid", (proc)->pid)),                                   \
        LOG_IF((end)->status < 0, LOG_STR("error", (end)->how)),                                   \
        LOG_IF((end)->status >= 0 && WIFSIGNALED((end)->status),                                   \
               LOG_INT("signal", WTERMSIG((end)->status))),                                        \
        LOG_IF((end)->status >= 0 && WIFEXITED((end)->status),                                     \
               LOG_INT("status", WEXITSTATUS((end)->status))),                                     \
        LOG_IF((end)->status >= 0, LOG_MILLIS("duration", (end)->lived_ms))

void proc_left_log(const struct proc *proc, const struct proc_end *end)
{
    log_event_at(end->status == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "worker_left",
                 "worker[ {}: {}]< has left>", END(proc, end), FACTS(proc, end));
}

/* Early deaths, and forks that fail, make the next one wait. */
void proc_again(struct proc *proc, int early, const struct proc_end *end)
{
    uint64_t times;

    if (!early) {
        proc->backoff_ms = 0;
        log_event(WARN, "worker_replaced", "worker[ {}: {}]< gone>; replaced at once",
                  END(proc, end), FACTS(proc, end));
        news_put(proc->common->news, LOG_LEVEL_WARN, "worker %u: %s; replaced at once",
                 proc->number, end->how);
        timer_set(proc->timer, 0);
        return;
    }
    proc->backoff_ms = proc->backoff_ms ? proc->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (proc->backoff_ms > BACKOFF_MAX_MS)
        proc->backoff_ms = BACKOFF_MAX_MS;
    /* Where none can be forked, none of many can be. */
    times = proc->pid > 0 ? 1 : log_due(&proc->common->fork_log, FORK_LOG_MS);
    if (times > 0) {
        log_event(ERROR, "worker_forked_again",
                  "worker[ {}: {}]< gone>; forked again[ in {} ms times={}]", END(proc, end),
                  LOG_MILLIS("within", proc->backoff_ms), LOG_TIMES(times), FACTS(proc, end));
        news_put(proc->common->news, LOG_LEVEL_ERROR, "worker %u: %s; forked again in %u ms",
                 proc->number, end->how, proc->backoff_ms);
    }
    timer_set(proc->timer, proc->backoff_ms);
}

int proc_stays_gone(struct proc *proc)
{
    if (proc->state != DEAD)
        return 0;
    event_del(proc->timer);
    return 1;
}

/* -1 with errno: nothing is left of it. */
static int fork_one(struct proc *proc)
{
    struct proc_common *common = proc->common;
    const struct proc_terms *terms = proc->terms;
    int fds[SPAWN_FDS];

    if (spawn_open(fds) < 0)
        return -1;
    proc->link = link_new(common->base, fds[SPAWN_UP_OURS], fds[SPAWN_DOWN_OURS], &common->link,
                          &link_ops, proc);
    if (proc->link == NULL) {
        spawn_close(fds);
        errno = ENOMEM;
        return -1;
    }
    common->forks[proc->lane]++;
    proc->pid = spawn_fork(
        &(struct spawn){.start = {.lane = proc->lane,
                                  .generation = common->forks[proc->lane],
                                  .listen_fds = terms->listeners->fds,
                                  .listen_speaks = terms->listeners->speaks,
                                  .nlisten = terms->listeners->n,
                                  .handoff_fd = lanes_reader(common->lanes, proc->lane),
                                  .handoff_fds = lanes_writers(common->lanes),
                                  .nhandoff = START_LANES,
                                  .history_fd = recovery_fd(common->recovery, terms->conf),
                                  .tickets = common->tickets,
                                  .balance = terms->balance,
                                  .census = terms->census},
                        .conf = terms->conf,
                        .child = common->child,
                        .arg = common->arg,
                        .worker = common->worker},
        fds);
    if (proc->pid < 0) {
        int saved = errno;
        link_free(&proc->link);
        close(fds[SPAWN_PEERS_OURS]);
        errno = saved;
        return -1;
    }
    proc->down_fd = fds[SPAWN_DOWN_OURS];
    proc->peers_fd = fds[SPAWN_PEERS_OURS];
    proc->known = lanes_known(common->lanes);
    return 0;
}

void proc_start(struct proc *proc)
{
    char how[128];

    if (fork_one(proc) < 0) {
        (void)snprintf(how, sizeof(how), "cannot be forked: %s", strerror(errno));
        proc->pid = 0;
        lanes_vacant(proc->common->lanes, proc->lane);
        proc->ops->gone(proc, &(struct proc_end){.status = -1, .how = how}, proc->arg);
        return;
    }
    lanes_taken(proc->common->lanes, proc->lane);
    proc->state = STARTING;
    proc->heard = 0;
    proc->hear = (struct hear){.relay = proc->common->relay,
                               .stats = proc->common->stats,
                               .cluster = proc->common->cluster,
                               .recovery = proc->common->recovery,
                               .lane = proc->lane};
    proc->forked_ms = proc->sent_ms = proc->taken_ms = proc->alive_ms = clock_ms();
    proc->sent = proc->taken = 0;
    hello(proc);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct proc *proc = arg;

    (void)fd;
    (void)what;
    if (proc->state == DEAD) {
        proc_start(proc);
        if (proc->state == STARTING)
            proc->common->restarts[proc->number - 1]++;
    } else if (proc->state == ENDING) {
        log_event(ERROR, "worker_killed", "worker[ {}: killed: {} pid={}]< killed>",
                  LOG_UINT("worker", proc->number),
                  LOG_STR("reason", "it closed its pipe and stayed"),
                  LOG_INT("worker_pid", proc->pid));
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

    if (lives(proc))
        silence(proc);
    event_del(proc->timer);
    link_free(&proc->link);
    close(proc->peers_fd);
    proc->peers_fd = -1;
    proc->state = DEAD;
    if (proc->terms->census != NULL)
        census_clear(proc->terms->census, proc->number - 1);
    lanes_vacant(proc->common->lanes, proc->lane);
    how_ended(how, sizeof(how), proc, status, lived_ms);
    proc->ops->gone(proc, &(struct proc_end){status, lived_ms, how}, proc->arg);
}

/* --- coming and going --------------------------------------------------------- */

struct proc *proc_new(struct proc_common *common, const struct proc_terms *terms, unsigned lane,
                      const struct proc_ops *ops, void *arg)
{
    struct proc *proc = calloc(1, sizeof(*proc));

    if (proc == NULL)
        return NULL;
    proc->common = common;
    proc->terms = terms;
    proc->ops = ops;
    proc->arg = arg;
    proc->lane = lane;
    proc->number = start_number(lane);
    proc->peers_fd = -1;
    proc->timer = event_new(common->base, -1, 0, on_timer, proc);
    if (proc->timer == NULL)
        proc_free(&proc);
    return proc;
}

void proc_free(struct proc **procp)
{
    struct proc *proc = *procp;

    if (proc == NULL)
        return;
    *procp = NULL;
    if (proc->state != DEAD) {
        kill(proc->pid, SIGKILL);
        (void)waitpid(proc->pid, NULL, 0);
        link_free(&proc->link);
        close(proc->peers_fd);
    }
    if (proc->timer != NULL)
        event_free(proc->timer);
    free(proc);
}
