#include "master/recovery.h"

#include "base/clock.h"
#include "master/cluster.h"
#include "master/gone.h"
#include "master/relay.h"
#include "master/route.h"
#include "master/sessions.h"
#include "master/timer.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define SPARE_MS 2000 /* that the history reaches back beyond what is needed */
#define TURN_MS  1000 /* what is too old goes so often */

struct recovery {
    struct event_base *base;
    const struct conf *conf;
    struct relay *relay;
    struct cluster *cluster;
    const struct recovery_ops *ops;
    void *arg;

    /* What is wanted, while workers are forked with it. */
    const struct conf *next_conf;
    struct history *next;

    /* NULL while the option is off. */
    struct marks *marks;
    struct resume_parts parts;
    struct resume *resume;
    int has_begun;        /* a subscription with the channel of daemons has */
    uint8_t pid[PID_LEN]; /* of the last one who was let in */
    struct event *turn;   /* gone_turn() is due */
    struct event *wake;   /* so is resume_wake() */

    struct recovery_stats past; /* totals of what has been freed */
};

/* The last offset that a client was told is older than its disconnection by two pings at most,
 * one of which it has had no need of, and by as long as it takes to be noticed. */
static uint64_t keep_ms(const struct conf *conf)
{
    return (uint64_t)conf->recovery_ms + 2ULL * conf->ping_interval_ms + conf->ping_timeout_ms +
           SPARE_MS;
}

static int same_history(const struct conf *a, const struct conf *b)
{
    return a->recovery == b->recovery && a->recovery_bytes == b->recovery_bytes &&
           keep_ms(a) == keep_ms(b);
}

static int is_on(const struct recovery *recovery)
{
    return recovery->resume != NULL;
}

/* --- what its parts want ---------------------------------------------------------------- */

/* All workers hear where the stream is, behind what came before. */
static void on_step(uint64_t offset, void *arg)
{
    struct recovery *recovery = arg;
    struct buf message = {0};
    size_t mark = msg_begin(&message, MSG_OFFSET);

    history_step(recovery->parts.history, offset, clock_ms());
    msg_put_u64(&message, relay_seq(recovery->relay));
    msg_put_u64(&message, offset);
    if (msg_end(&message, mark) == 0)
        recovery->ops->send_all(&message, recovery->arg);
    buf_free(&message);
}

static void on_published(int ok, void *arg)
{
    struct recovery *recovery = arg;

    if (!ok && recovery->marks != NULL)
        marks_refused(recovery->marks);
}

static int on_mark(const uint8_t mark[OFFSETS_MARK], void *arg)
{
    struct recovery *recovery = arg;
    struct buf payload = {0};

    if (buf_put(&payload, mark, OFFSETS_MARK) == 0 &&
        recovery->ops->publish(&payload, on_published, recovery, recovery->arg) == 0)
        return 0;
    buf_free(&payload);
    return -1;
}

static const struct marks_ops marks_ops = {on_step, on_mark};

static void on_send(unsigned lane, const void *message, size_t len, void *arg)
{
    struct recovery *recovery = arg;

    recovery->ops->send(lane, message, len, recovery->arg);
}

static int on_ping(void *arg)
{
    struct recovery *recovery = arg;

    return recovery->ops->ping(recovery->arg);
}

static int on_publish(struct buf *payload, void (*done)(int ok, void *done_arg), void *done_arg,
                      void *arg)
{
    struct recovery *recovery = arg;

    return recovery->ops->publish(payload, done, done_arg, recovery->arg);
}

static void on_resume_wake(unsigned ms, void *arg)
{
    struct recovery *recovery = arg;

    (void)timer_set(recovery->wake, ms);
}

static const struct resume_ops resume_ops = {on_send, on_ping, on_publish, on_resume_wake};

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct recovery *recovery = arg;

    (void)fd, (void)what;
    if (is_on(recovery))
        resume_wake(recovery->resume);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct recovery *recovery = arg;
    uint64_t now_ms = clock_ms();

    (void)fd, (void)what;
    if (!is_on(recovery))
        return;
    (void)gone_turn(recovery->parts.gone, now_ms);
    history_trim(recovery->parts.history, now_ms);
    (void)timer_set(recovery->turn, TURN_MS);
}

/* --- totals, which outlive what counts them ---------------------------------------------- */

static void add_history(struct recovery_stats *to, const struct history *history)
{
    struct history_stats stats;

    history_stats(history, clock_ms(), &stats);
    to->history.cuts += stats.cuts;
    to->history.crowded += stats.crowded;
}

static void add_resume(struct recovery_stats *to, const struct resume *resume)
{
    struct resume_stats stats = resume_stats(resume);

    to->resume.recovered += stats.recovered;
    for (int reason = 0; reason < RESUME_REFUSALS; reason++)
        to->resume.refused[reason] += stats.refused[reason];
    to->resume.takeovers += stats.takeovers;
    to->resume.asked += stats.asked;
    to->resume.answered += stats.answered;
    to->resume.silent += stats.silent;
    to->resume.dropped += stats.dropped;
}

static void add_gone(struct recovery_stats *to, const struct gone *gone)
{
    struct gone_stats stats;

    gone_stats(gone, &stats);
    to->forgotten += stats.forgotten;
}

/* --- on and off ------------------------------------------------------------------------- */

static void turn_off(struct recovery *recovery)
{
    struct resume_parts *parts = &recovery->parts;

    if (is_on(recovery)) {
        add_history(&recovery->past, parts->history);
        add_resume(&recovery->past, recovery->resume);
        add_gone(&recovery->past, parts->gone);
    }
    route_sessions(relay_route(recovery->relay), NULL);
    cluster_gone(recovery->cluster, NULL);
    resume_free(&recovery->resume);
    gone_free(&parts->gone);
    sessions_free(&parts->sessions);
    marks_free(&recovery->marks);
    history_free(&parts->history);
}

/* history (taken) is that of conf.  Returns 0, or -1 without memory: it is off. */
static int turn_on(struct recovery *recovery, struct history *history)
{
    struct route *route = relay_route(recovery->relay);
    struct resume_parts *parts = &recovery->parts;

    recovery->has_begun = 0;
    *parts = (struct resume_parts){
        .relay = recovery->relay, .history = history, .sessions = sessions_new(), .gone = NULL};
    recovery->marks = marks_new(recovery->base, &marks_ops, recovery);
    if (parts->sessions != NULL)
        parts->gone = gone_new(parts->sessions, route, keep_ms(recovery->conf));
    if (parts->gone != NULL && recovery->marks != NULL)
        recovery->resume = resume_new(recovery->conf, parts, &resume_ops, recovery);
    if (recovery->resume == NULL || timer_set(recovery->turn, TURN_MS) < 0) {
        turn_off(recovery);
        return -1;
    }
    history_step(history, marks_offset(recovery->marks), clock_ms());
    route_sessions(route, parts->sessions);
    cluster_gone(recovery->cluster, parts->gone);
    return 0;
}

int recovery_prepare(struct recovery *recovery, const struct conf *wanted)
{
    recovery_give_up(recovery);
    if (!wanted->recovery || (is_on(recovery) && same_history(recovery->conf, wanted)))
        return 0;
    recovery->next = history_new(wanted->recovery_bytes, keep_ms(wanted));
    if (recovery->next == NULL)
        return -1;
    recovery->next_conf = wanted;
    return 0;
}

void recovery_give_up(struct recovery *recovery)
{
    history_free(&recovery->next);
    recovery->next_conf = NULL;
}

/* Who is in, or has gone, has missed what is not in the new one. */
static void replace(struct recovery *recovery, struct history *history)
{
    add_history(&recovery->past, recovery->parts.history);
    history_free(&recovery->parts.history);
    recovery->parts.history = history;
    history_step(history, marks_offset(recovery->marks), clock_ms());
    gone_break(recovery->parts.gone);
    gone_keep(recovery->parts.gone, keep_ms(recovery->conf));
}

/* Without a history that was made for it, which is so where it could not be, the option stays
 * as it is: off, or with the one that there is. */
void recovery_configure(struct recovery *recovery, const struct conf *conf)
{
    struct history *next = recovery->next_conf == conf ? recovery->next : NULL;

    recovery->conf = conf;
    if (next != NULL)
        recovery->next = NULL;
    recovery_give_up(recovery);
    if (!is_on(recovery)) {
        if (next != NULL)
            (void)turn_on(recovery, next);
        return;
    }
    if (next != NULL)
        replace(recovery, next);
    resume_configure(recovery->resume, conf);
    if (!conf->recovery)
        turn_off(recovery);
}

void recovery_keys(struct recovery *recovery)
{
    if (is_on(recovery))
        resume_configure(recovery->resume, recovery->conf);
}

int recovery_fd(const struct recovery *recovery, const struct conf *conf)
{
    if (!conf->recovery)
        return -1;
    if (recovery->next != NULL && same_history(recovery->next_conf, conf))
        return history_fd(recovery->next);
    if (is_on(recovery) && same_history(recovery->conf, conf))
        return history_fd(recovery->parts.history);
    return -1;
}

void recovery_wipe(struct recovery *recovery)
{
    if (is_on(recovery))
        resume_wipe(recovery->resume);
}

/* --- the stream ------------------------------------------------------------------------- */

void recovery_gap(struct recovery *recovery, struct slice node)
{
    if (!is_on(recovery))
        return;
    recovery->has_begun = 1;
    history_cut(recovery->parts.history);
    gone_break(recovery->parts.gone);
    marks_gap(recovery->marks, node);
    resume_gap(recovery->resume);
}

uint64_t recovery_message(struct recovery *recovery, struct slice channel, struct slice payload)
{
    return is_on(recovery) ? marks_message(recovery->marks, channel, payload) : 0;
}

void recovery_kept(struct recovery *recovery, uint64_t seq, const struct broadcast *bc,
                   struct slice message)
{
    if (is_on(recovery))
        history_put(recovery->parts.history, seq, bc->offset, bc, message, clock_ms());
}

/* Another daemon may allow more. */
static int is_by_limits(enum emit_result reason)
{
    return reason == EMIT_TOO_LARGE || reason == EMIT_ATTACHMENTS;
}

void recovery_dropped(struct recovery *recovery, enum emit_result reason, uint64_t offset)
{
    if (!is_on(recovery))
        return;
    if (reason == EMIT_NO_MEMORY) {
        history_cut(recovery->parts.history);
        gone_break(recovery->parts.gone);
        resume_gap(recovery->resume);
    }
    if (is_by_limits(reason))
        history_hole(recovery->parts.history, offset, clock_ms());
    else
        history_step(recovery->parts.history, offset, clock_ms());
}

void recovery_peer(struct recovery *recovery, struct slice payload)
{
    if (is_on(recovery) && !marks_peer(recovery->marks, payload))
        resume_peer(recovery->resume, payload);
}

void recovery_pong(struct recovery *recovery)
{
    if (is_on(recovery))
        resume_pong(recovery->resume);
}

/* Where a reload has turned it on there is no gap, but nor has anything been heard of other daemons
 * before. */
void recovery_ready(struct recovery *recovery)
{
    if (!is_on(recovery))
        return;
    if (!recovery->has_begun)
        resume_gap(recovery->resume);
    recovery->has_begun = 1;
    resume_ready(recovery->resume);
}

/* --- clients ---------------------------------------------------------------------------- */

void recovery_admit(struct recovery *recovery, const struct admit *admit)
{
    if (is_on(recovery))
        resume_admit(recovery->resume, admit);
    else
        relay_admit(recovery->relay, admit);
}

const struct comeback *recovery_comeback(struct recovery *recovery, const struct admit *admit)
{
    return is_on(recovery) ? resume_comeback(recovery->resume, admit) : NULL;
}

/* What it is told right behind the reply is where it is, or nothing: never what is before what
 * it has, or is about to be sent. */
static uint64_t first_offset(const struct recovery *recovery, const struct comeback *comeback)
{
    uint64_t offset = marks_marked(recovery->marks), pos = 0;

    if (history_find(recovery->parts.history, offset, &pos) < 0)
        return 0;
    return comeback == NULL || pos >= comeback->from ? offset : 0;
}

static void fill(const struct comeback *comeback, struct msg_admitted *admitted)
{
    admitted->resumed = 1;
    admitted->from = comeback->from;
    admitted->left = (uint8_t)comeback->left;
    admitted->rooms = comeback->rooms;
    if (!comeback->has_own_id)
        admitted->session = (struct slice){(const char *)comeback->session, SESSION_LEN};
}

static enum sessions_origin origin_of(const struct recovery *recovery, const struct admit *admit,
                                      const struct comeback *comeback)
{
    struct pid pid;

    if (comeback == NULL)
        return SESSIONS_NEW;
    if (pid_read(&pid, (const uint8_t *)admit->pid.ptr) == 0 &&
        pid.daemon == relay_epoch(recovery->relay))
        return SESSIONS_OWN;
    return SESSIONS_FOREIGN;
}

void recovery_answer(struct recovery *recovery, const struct admit *admit,
                     const struct comeback *comeback, struct msg_admitted *admitted)
{
    const uint8_t *session = (const uint8_t *)admit->session.ptr;

    if (!is_on(recovery) || admit->session.len == 0)
        return;
    if (comeback != NULL)
        session = comeback->session;
    if (gone_client_in(recovery->parts.gone, admit->lane, admit->client, session,
                       origin_of(recovery, admit, comeback)) != 0 ||
        resume_pid(recovery->resume, admit, comeback, marks_offset(recovery->marks),
                   recovery->pid) < 0)
        return;
    admitted->pid = (struct slice){(const char *)recovery->pid, PID_LEN};
    admitted->offset = first_offset(recovery, comeback);
    if (comeback != NULL)
        fill(comeback, admitted);
}

void recovery_left(struct recovery *recovery, unsigned lane, uint64_t client, struct slice uid,
                   int is_ended)
{
    if (is_on(recovery))
        gone_client_left(recovery->parts.gone, lane, client, uid, is_ended, clock_ms());
}

void recovery_worker_down(struct recovery *recovery, unsigned lane)
{
    if (!is_on(recovery))
        return;
    gone_worker_down(recovery->parts.gone, lane, clock_ms());
    resume_worker_down(recovery->resume, lane);
}

/* --- coming and going ------------------------------------------------------------------- */

struct recovery *recovery_new(struct event_base *base, const struct conf *conf, struct relay *relay,
                              struct cluster *cluster, const struct recovery_ops *ops, void *arg)
{
    struct recovery *recovery = calloc(1, sizeof(*recovery));
    struct history *history = NULL;

    if (recovery == NULL)
        return NULL;
    *recovery = (struct recovery){
        .base = base, .conf = conf, .relay = relay, .cluster = cluster, .ops = ops, .arg = arg};
    recovery->turn = event_new(base, -1, 0, on_turn, recovery);
    recovery->wake = event_new(base, -1, 0, on_wake, recovery);
    if (recovery->turn == NULL || recovery->wake == NULL || timer_set(recovery->wake, 0) < 0 ||
        (conf->recovery && (history = history_new(conf->recovery_bytes, keep_ms(conf))) == NULL) ||
        (history != NULL && turn_on(recovery, history) < 0))
        recovery_free(&recovery);
    return recovery;
}

void recovery_free(struct recovery **recoveryp)
{
    struct recovery *recovery = *recoveryp;

    if (recovery == NULL)
        return;
    *recoveryp = NULL;
    recovery_give_up(recovery);
    turn_off(recovery);
    if (recovery->turn != NULL)
        event_free(recovery->turn);
    if (recovery->wake != NULL)
        event_free(recovery->wake);
    free(recovery);
}

/* What is there now, and totals of now and before. */
static void put_now(const struct recovery *recovery, struct recovery_stats *stats)
{
    const struct resume_parts *parts = &recovery->parts;
    uint64_t cuts = stats->history.cuts, crowded = stats->history.crowded;
    struct gone_stats gone;

    gone_stats(parts->gone, &gone);
    stats->is_on = 1;
    stats->is_shared = marks_shared(recovery->marks);
    stats->max_bytes = recovery->conf->recovery_bytes;
    stats->sessions = sessions_count(parts->sessions);
    stats->moved = sessions_moved(parts->sessions);
    stats->gone = gone.sessions;
    stats->seats = gone.seats;
    history_stats(parts->history, clock_ms(), &stats->history);
    stats->history.cuts += cuts;
    stats->history.crowded += crowded;
    stats->resume.waiting = resume_stats(recovery->resume).waiting;
    add_resume(stats, recovery->resume);
    add_gone(stats, parts->gone);
}

void recovery_stats(const struct recovery *recovery, struct recovery_stats *stats)
{
    *stats = recovery->past;
    if (is_on(recovery))
        put_now(recovery, stats);
}
