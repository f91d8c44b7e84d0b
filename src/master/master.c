#include "master/master.h"

#include "base/log.h"
#include "codec/jwt.h"
#include "conf/args.h"
#include "ipc/msg.h"
#include "master/admin.h"
#include "master/child.h"
#include "master/cluster.h"
#include "master/daemon.h"
#include "master/feed.h"
#include "master/gaps.h"
#include "master/listen.h"
#include "master/news.h"
#include "master/overview.h"
#include "master/parts.h"
#include "master/pidfile.h"
#include "master/pool.h"
#include "master/presence.h"
#include "master/privileges.h"
#include "master/recovery.h"
#include "master/relay.h"
#include "master/reload.h"
#include "master/running.h"
#include "master/start.h"
#include "master/systemd.h"
#include "master/ticketing.h"
#include "master/timer.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REDIS_WAIT_MS 3000  /* the ready line waits so long for the first attempt */
#define SYNC_MS       250   /* before a stop redis may take so long to show that it has sent all */
#define LEAVE_MS      500   /* and behind that, so long to confirm that it asks no more */
#define STOP_MS       5000  /* what a stop may take beside shutdownTimeout */
#define START_MS      30000 /* whoever started a daemon waits so long for the ready line */

#define SIGNALS 5

struct master {
    struct conf_args args;
    int (*worker)(const struct conf *, const struct worker_start *);
    struct start start;
    struct privileges privileges;
    struct pidfile pidfile;
    struct running running;
    struct parts *parts; /* relay and stats of running */
    struct reload *reload;
    struct gaps gaps;
    struct overview *overview;
    struct listeners admin_listeners; /* until running.admin has them */

    struct event *signals[SIGNALS];
    struct event *redis_wait, *start_wait;
    struct systemd systemd;

    int workers_ready, redis_tried, announced;
    int stops; /* how often it was told to stop */
    int draining;
    int status;
};

static const int signals[SIGNALS] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1};

/* --- the ready line ----------------------------------------------------------- */

static const char *redis_state(const struct master *m)
{
    return feed_subscribed(m->running.feed) ? "subscribed" : "not reachable, retrying";
}

static void announce(struct master *m)
{
    struct buf names = {0};

    if (m->announced)
        systemd_status("serving, redis %s", redis_state(m));
    if (m->announced || !m->workers_ready || !m->redis_tried || m->stops)
        return;
    m->announced = 1;
    reload_announced(m->reload);
    event_del(m->redis_wait);
    event_del(m->start_wait);
    listen_names(&m->running.listeners, &names);
    log_event(INFO, "ready", "axr-notifyd ready[: {} workers, listening on {}, redis {}]",
              LOG_INT("workers", m->running.conf->workers),
              LOG_NAMES("addresses", (const char *)names.data, names.len, ' '),
              LOG_STR("redis", redis_state(m)));
    news_put(m->running.news, LOG_LEVEL_INFO, "axr-notifyd " AXR_VERSION " is ready");
    buf_free(&names);
    daemon_ready(&m->start.status_fd);
    systemd_status("serving, redis %s", redis_state(m));
    systemd_ready();
}

static void drain(struct master *m);

/* So long, at the start or before a stop, and no longer. */
static void on_redis_wait(evutil_socket_t fd, short what, void *arg)
{
    struct master *m = arg;

    (void)fd;
    (void)what;
    if (m->stops) {
        drain(m);
        return;
    }
    m->redis_tried = 1;
    announce(m);
}

static void stop(struct master *m, const char *why);

/* Whoever started the daemon has waited enough. */
static void on_start_wait(evutil_socket_t fd, short what, void *arg)
{
    struct master *m = arg;
    struct buf error = {0};

    (void)fd;
    (void)what;
    (void)buf_printf(&error, "not all workers are ready after %d s; see the log", START_MS / 1000);
    (void)start_failed(&m->start, &error);
    m->status = 1;
    stop(m, "the start has failed");
}

/* --- redis and the workers ---------------------------------------------------- */

static void on_redis_message(struct slice channel, struct slice payload, uint64_t received_us,
                             void *arg)
{
    struct master *m = arg;
    uint64_t offset = recovery_message(m->running.recovery, channel, payload);

    relay_message(m->running.relay, channel, payload, received_us, offset);
}

static void on_redis_too_large(void *arg)
{
    struct master *m = arg;

    relay_drop(m->running.relay, EMIT_TOO_LARGE, (struct slice){0});
}

static void see_gaps(struct master *m)
{
    const struct feed *feed = m->running.feed;
    struct redis_stats stats;

    if (feed == NULL) /* within feed_new() */
        return;
    stats = feed_stats(feed);
    gaps_see(&m->gaps, feed_subscribed(feed), &stats, m->running.news);
}

static void on_redis_state(int subscribed, void *arg)
{
    struct master *m = arg;

    see_gaps(m);
    if (m->stops) {
        if (!subscribed)
            drain(m);
        return;
    }
    m->redis_tried = 1;
    announce(m);
}

static void on_redis_synced(void *arg)
{
    struct master *m = arg;

    if (m->stops)
        drain(m);
}

static int on_redis_behind(void *arg)
{
    const struct master *m = arg;

    return pool_is_behind(m->running.pool);
}

static void on_redis_arrived(struct slice payload, int is_counted, uint32_t via, void *arg)
{
    struct master *m = arg;

    cluster_arrived(m->running.cluster, payload, is_counted, via);
}

static void on_redis_request(struct slice payload, uint32_t via, void *arg)
{
    struct master *m = arg;

    cluster_request(m->running.cluster, payload, via);
}

static void on_redis_commands(int ready, void *arg)
{
    struct master *m = arg;

    if (!ready)
        return;
    presence_ready(m->running.presence);
    recovery_ready(m->running.recovery);
}

static void on_redis_peer(struct slice payload, void *arg)
{
    struct master *m = arg;

    recovery_peer(m->running.recovery, payload);
}

/* The first may be told before there is a feed. */
static void on_redis_gap(void *arg)
{
    struct master *m = arg;
    const struct feed *feed = m->running.feed;

    recovery_gap(m->running.recovery, feed != NULL ? feed_node(feed) : (struct slice){0});
    see_gaps(m);
}

static void on_redis_pong(void *arg)
{
    struct master *m = arg;

    recovery_pong(m->running.recovery);
}

static const struct feed_ops feed_ops = {.message = on_redis_message,
                                         .too_large = on_redis_too_large,
                                         .state = on_redis_state,
                                         .synced = on_redis_synced,
                                         .behind = on_redis_behind,
                                         .arrived = on_redis_arrived,
                                         .request = on_redis_request,
                                         .commands = on_redis_commands,
                                         .peer = on_redis_peer,
                                         .gap = on_redis_gap,
                                         .pong = on_redis_pong};

static void on_pool_ready(void *arg)
{
    struct master *m = arg;

    m->workers_ready = 1;
    announce(m);
    reload_ready(m->reload);
}

static void on_pool_replaced(int ok, void *arg)
{
    struct master *m = arg;

    reload_replaced(m->reload, ok);
}

static void on_pool_left(void *arg)
{
    struct master *m = arg;

    reload_ready(m->reload);
}

static void on_left(void *arg)
{
    struct master *m = arg;

    event_base_loopbreak(m->running.base);
}

/* What servers of the cluster ask is answered to the last, and they hear who has gone. */
static void on_pool_empty(void *arg)
{
    struct master *m = arg;

    presence_wake(m->running.presence);
    feed_leave(m->running.feed, LEAVE_MS, on_left, m);
}

/* What a worker has no use for goes: the password of redis, keys that are not its
 * own, and the words that any of the configuration came from.  This is the child's copy. */
static void secrets_wipe(struct master *m, const struct conf *own)
{
    reload_wipe(m->reload, own);
    if (m->running.pool != NULL)
        pool_wipe(m->running.pool);
    conf_args_wipe(&m->args);
}

/* One that looks up a name has no use for anything. */
static void on_child_wipe(void *arg)
{
    struct master *m = arg;

    secrets_wipe(m, NULL);
    if (m->running.ticketing != NULL)
        ticketing_wipe(m->running.ticketing);
}

static void on_pool_child(const struct conf *conf, void *arg)
{
    struct master *m = arg;

    /* Else the worker's own base would find these in its way. */
    for (int i = 0; i < SIGNALS; i++)
        event_del(m->signals[i]);
    /* Its connection to syslog was closed with the other sockets. */
    if (m->running.conf->log_target == LOG_TO_SYSLOG)
        (void)log_open(LOG_TO_SYSLOG, NULL, m->running.conf->log_format);
    secrets_wipe(m, conf);
}

static const struct pool_ops pool_ops = {on_pool_ready, on_pool_replaced, on_pool_left,
                                         on_pool_empty, on_pool_child};

/* --- signals ------------------------------------------------------------------ */

/* What was published before the stop has been relayed: now the clients go. */
static void drain(struct master *m)
{
    if (m->draining)
        return;
    m->draining = 1;
    event_del(m->redis_wait);
    pool_drain(m->running.pool, m->running.conf->shutdown_timeout_ms);
}

/* The first asks, the second hurries, the third kills. */
static void stop(struct master *m, const char *why)
{
    m->stops++;
    overview_stopping(m->overview);
    if (m->stops == 1) {
        log_event(INFO, "stopping", "stopping[: {}, clients are closed within {} ms]",
                  LOG_STR("reason", why),
                  LOG_MILLIS("within", m->running.conf->shutdown_timeout_ms));
        news_put(m->running.news, LOG_LEVEL_INFO, "stopping: %s", why);
        systemd_stopping(m->running.conf->shutdown_timeout_ms + STOP_MS);
        listen_close(&m->running.listeners, 1);
        reload_stop(m->reload);
        presence_stop(m->running.presence);
        if (feed_sync(m->running.feed) < 0 || timer_set(m->redis_wait, SYNC_MS) < 0)
            drain(m);
    } else if (m->stops == 2) {
        log_event(INFO, "stopping_now", "stopping now[: {} again]", LOG_STR("reason", why));
        m->draining = 1;
        pool_drain(m->running.pool, 0);
    } else {
        pool_kill(m->running.pool);
    }
}

static void reopen(struct master *m)
{
    struct buf message = {0};
    size_t mark;

    if (log_reopen() < 0)
        log_event(WARN, "log_file_not_reopened",
                  "cannot open the log file again: the old one stays in use[: {}]", LOG_ERRNO());
    mark = msg_begin(&message, MSG_LOG_REOPEN);
    if (msg_end(&message, mark) == 0)
        pool_send_all(m->running.pool, &message);
    buf_free(&message);
    log_event(INFO, "log_reopened", "log opened again");
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
    struct master *m = arg;

    (void)what;
    switch (sig) {
    case SIGCHLD:
        pool_reap(m->running.pool);
        break;
    case SIGTERM:
        stop(m, "SIGTERM");
        break;
    case SIGINT:
        stop(m, "SIGINT");
        break;
    case SIGHUP:
        reload_begin(m->reload);
        break;
    case SIGUSR1:
        reopen(m);
        break;
    default:
        break;
    }
}

/* --- the start ---------------------------------------------------------------- */

static void on_libevent_log(int severity, const char *text)
{
    if (severity >= EVENT_LOG_WARN)
        log_event(WARN, "libevent", "libevent[: {}]", LOG_STR("error", text));
}

/* All that can fail for reasons an operator can mend comes before the fork of -d,
 * while his terminal is there. */
static int foreground_start(struct master *m)
{
    const struct conf *conf = m->running.conf;
    struct buf error = {0};

    if (conf->pid_file != NULL && pidfile_check(conf->pid_file, &error) < 0)
        return start_failed(&m->start, &error);
    if (privileges_find(&m->privileges, conf, &error) < 0)
        return start_failed(&m->start, &error);
    if (listen_open(&m->running.listeners, conf, NULL, &error) < 0)
        return start_failed(&m->start, &error);
    if (conf->admin_host != NULL &&
        admin_open(&m->admin_listeners, conf->admin_host, conf->admin_port, NULL, &error) < 0)
        return start_failed(&m->start, &error);
    return 0;
}

static int events_start(struct master *m)
{
    event_set_log_callback(on_libevent_log);
    m->running.base = event_base_new();
    if (m->running.base == NULL)
        return -1;
    m->redis_wait = event_new(m->running.base, -1, 0, on_redis_wait, m);
    m->start_wait = event_new(m->running.base, -1, 0, on_start_wait, m);
    if (m->redis_wait == NULL || m->start_wait == NULL ||
        timer_set(m->redis_wait, REDIS_WAIT_MS) < 0 ||
        (m->start.status_fd >= 0 && timer_set(m->start_wait, START_MS) < 0))
        return -1;
    for (int i = 0; i < SIGNALS; i++) {
        m->signals[i] = evsignal_new(m->running.base, signals[i], on_signal, m);
        if (m->signals[i] == NULL || event_add(m->signals[i], NULL) < 0)
            return -1;
    }
    return 0;
}

static int admin_start(struct master *m)
{
    struct running *running = &m->running;

    if (m->admin_listeners.n == 0)
        return 0;
    running->admin = admin_new(running->base, &m->admin_listeners, running->stats, running->asking,
                               running->admin_ops, running->admin_arg);
    return running->admin != NULL ? 0 : -1;
}

static int parts_start(struct master *m)
{
    struct running *running = &m->running;
    struct pool_options options;

    child_set_wipe(on_child_wipe, m);
    running->news = news_new();
    m->reload = reload_new(running);
    m->parts = parts_new(running);
    if (running->news == NULL || m->reload == NULL || m->parts == NULL)
        return -1;
    m->overview = overview_new(running, m->reload, &m->gaps);
    if (m->overview == NULL)
        return -1;
    running->admin_arg = m->overview;
    options =
        (struct pool_options){running->base,     running->conf,  &running->listeners,
                              running->relay,    running->stats, running->cluster,
                              running->recovery, m->worker,      ticketing_keys(running->ticketing),
                              running->news};
    jwt_parts_prepare(); /* once for all workers, and before their sandbox */
    running->pool = pool_new(&options, &pool_ops, m);
    if (running->pool == NULL)
        return -1;
    pool_start(running->pool);
    running->feed = feed_new(running->base, running->conf, &feed_ops, m);
    return running->feed != NULL ? admin_start(m) : -1;
}

static int background_start(struct master *m)
{
    const struct conf *conf = m->running.conf;
    struct buf error = {0};

    if (conf->pid_file != NULL && pidfile_write(&m->pidfile, conf->pid_file, &error) < 0)
        return start_failed(&m->start, &error);
    if (start_privileges(&m->start, &m->privileges, &error) < 0)
        return start_failed(&m->start, &error);
    start_limits_log(conf);
    errno = ENOMEM;
    if (events_start(m) < 0 || systemd_start(&m->systemd, m->running.base) < 0 ||
        parts_start(m) < 0 || reload_watch(m->reload) < 0)
        return start_failed_errno(&m->start, "cannot start");
    return 0;
}

/* --- the end ------------------------------------------------------------------ */

static void totals_log(const struct master *m)
{
    const struct relay_stats *relay = relay_stats(m->running.relay);
    const struct redis_stats redis = feed_stats(m->running.feed);

    log_event(INFO, "stopped",
              "stopped[: relayed={} nobody={} dropped={} redis_gaps={} log_lost={}]",
              LOG_UINT("relayed", relay->relayed), LOG_UINT("nobody", relay->nobody),
              LOG_UINT("dropped", relay->faulty), LOG_UINT("redis_gaps", redis.gaps),
              LOG_UINT("log_lost", log_lost()));
}

/* Another TERM, from whoever is in a hurry, comes when its event is gone already:
 * the exit status is still that of a stop. */
static void signals_block(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (int i = 0; i < SIGNALS; i++)
        sigaddset(&set, signals[i]);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static void clear(struct master *m)
{
    signals_block();
    admin_free(&m->running.admin);
    overview_free(&m->overview);
    pool_free(&m->running.pool);
    reload_free(&m->reload);
    feed_free(&m->running.feed);
    parts_free(&m->parts);
    news_free(&m->running.news);
    for (int i = 0; i < SIGNALS; i++)
        if (m->signals[i] != NULL)
            event_free(m->signals[i]);
    if (m->redis_wait != NULL)
        event_free(m->redis_wait);
    if (m->start_wait != NULL)
        event_free(m->start_wait);
    systemd_clear(&m->systemd);
    if (m->running.base != NULL)
        event_base_free(m->running.base);
    event_set_log_callback(NULL);
    listen_close(&m->running.listeners, 1);
    listen_close(&m->admin_listeners, 1);
    pidfile_remove(&m->pidfile);
}

static int serve(struct master *m)
{
    if (background_start(m) < 0)
        return 1;
    if (event_base_dispatch(m->running.base) < 0) {
        log_event(ERROR, "loop_failed", "the event loop has failed");
        m->status = 1;
    }
    totals_log(m);
    return m->status;
}

/* Returns the exit status; with detach, in the process that was called, that of the start. */
static int run(struct master *m, int detach)
{
    int status = 1, rc;

    if (start_log(&m->start) < 0 || foreground_start(m) < 0)
        return 1;
    rc = detach ? start_detach(&m->start, &m->running.listeners, &m->admin_listeners, &status) : 0;
    if (rc != 0)
        return status;
    m->running.detached = detach;
    return serve(m);
}

int master_run(struct conf *conf, const struct conf_args *args, int detach,
               int (*worker)(const struct conf *, const struct worker_start *))
{
    struct master m = {.args = *args, .worker = worker, .pidfile = {.fd = -1}};
    char *file = args->file != NULL ? daemon_path(args->file) : NULL; /* for HUP, after chdir */
    int status;

    m.args.file = file;
    m.start = (struct start){.conf = conf, .args = &m.args, .status_fd = -1};
    m.running = (struct running){.conf = conf, .args = &m.args, .admin_ops = &overview_admin_ops};
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log or a history past ulimit -f is an error like others */
    status = run(&m, detach);
    clear(&m);
    conf_free(&m.running.conf);
    free(file);
    return status;
}
