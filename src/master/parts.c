#include "master/parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/request.h"
#include "ipc/msg.h"
#include "master/asking.h"
#include "master/cluster.h"
#include "master/feed.h"
#include "master/pool.h"
#include "master/presence.h"
#include "master/recovery.h"
#include "master/relay.h"
#include "master/running.h"
#include "master/stats.h"
#include "master/ticketing.h"
#include "master/timer.h"

#include <event2/event.h>
#include <stdlib.h>

struct parts {
    struct running *running;
    struct event *wake;     /* pending while an admission waits */
    struct event *cluster;  /* pending while a request is under way */
    struct event *presence; /* pending while something is to be told, or looked at */
    struct buf requests;    /* the channel that servers of the cluster hear */
    struct buf peers;       /* and that which daemons do */
};

static void on_relay_send(unsigned lane, const void *message, size_t len, void *arg)
{
    struct parts *parts = arg;

    pool_send(parts->running->pool, lane, message, len);
}

static void on_relay_answer(const struct admit *admit, const struct comeback *comeback,
                            enum msg_verdict verdict, void *arg)
{
    struct msg_admitted admitted = {.client = admit->client, .verdict = (uint8_t)verdict};
    struct parts *parts = arg;

    if (verdict == MSG_ADMIT_OK)
        recovery_answer(parts->running->recovery, admit, comeback, &admitted);

    pool_answer(parts->running->pool, admit->lane, &admitted);
}

static int on_relay_wake(unsigned ms, void *arg)
{
    struct parts *parts = arg;

    return timer_set(parts->wake, ms);
}

static void on_relay_changed(struct slice uid, unsigned lane, void *arg)
{
    struct parts *parts = arg;

    if (uid.len == 0)
        presence_worker_down(parts->running->presence);
    else
        presence_changed(parts->running->presence, uid,
                         pool_is_leaving(parts->running->pool, lane));
}

static void on_relay_kept(uint64_t seq, const struct broadcast *bc, struct slice message, void *arg)
{
    struct parts *parts = arg;

    recovery_kept(parts->running->recovery, seq, bc, message);
}

static void on_relay_dropped(enum emit_result reason, uint64_t offset, void *arg)
{
    struct parts *parts = arg;

    recovery_dropped(parts->running->recovery, reason, offset);
}

static const struct comeback *on_relay_comeback(const struct admit *admit, void *arg)
{
    struct parts *parts = arg;

    return recovery_comeback(parts->running->recovery, admit);
}

static const struct relay_ops relay_ops = {on_relay_send,    on_relay_answer, on_relay_wake,
                                           on_relay_changed, on_relay_kept,   on_relay_dropped,
                                           on_relay_comeback};

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct parts *parts = arg;

    (void)fd;
    (void)what;
    relay_wake(parts->running->relay, clock_ms());
}

static void on_stats_ask(unsigned lane, uint32_t id, void *arg)
{
    struct parts *parts = arg;
    struct buf message = {0};
    size_t mark = msg_begin(&message, MSG_COUNT);

    msg_put_u32(&message, id);
    if (msg_end(&message, mark) == 0)
        pool_send(parts->running->pool, lane, message.data, message.len);
    buf_free(&message);
}

static const struct stats_ops stats_ops = {on_stats_ask};

static int on_cluster_publish(uint32_t via, struct slice channel, struct buf *payload,
                              void (*done)(int ok, void *done_arg), void *done_arg, void *arg)
{
    struct parts *parts = arg;

    asking_answers(parts->running->asking,
                   (struct slice){(const char *)payload->data, payload->len});
    return feed_publish(parts->running->feed, via, channel, payload, done, done_arg);
}

static void on_cluster_wake(unsigned ms, void *arg)
{
    struct parts *parts = arg;

    (void)timer_set(parts->cluster, ms);
}

/* What goes to workers goes the way of the messages. */
static const struct responder_ops responder_ops = {on_relay_send, on_cluster_publish,
                                                   on_cluster_wake};

static void on_cluster(evutil_socket_t fd, short what, void *arg)
{
    struct parts *parts = arg;

    (void)fd;
    (void)what;
    cluster_wake(parts->running->cluster);
}

/* The timer is set once, so that there is memory for it from then on. */
static int cluster_make(struct parts *parts)
{
    struct running *running = parts->running;

    parts->cluster = event_new(running->base, -1, 0, on_cluster, parts);
    if (parts->cluster == NULL || timer_set(parts->cluster, 0) < 0)
        return -1;
    running->cluster = cluster_new(running->conf, running->relay, &responder_ops, parts);
    return running->cluster != NULL ? 0 : -1;
}

/* --- what this daemon asks ------------------------------------------------------------- */

static int on_asking_publish(struct slice channel, struct buf *payload,
                             void (*done)(int ok, void *done_arg), void *done_arg, void *arg)
{
    struct parts *parts = arg;

    if (parts->running->feed == NULL) /* the end */
        return -1;
    return feed_publish(parts->running->feed, 0, channel, payload, done, done_arg);
}

static const struct conf *on_asking_conf(void *arg)
{
    const struct parts *parts = arg;

    return parts->running->conf;
}

static const struct conf_redis *on_asking_server(void *arg)
{
    const struct parts *parts = arg;

    return feed_server(parts->running->feed);
}

static const struct asking_ops asking_ops = {on_asking_publish, on_asking_conf, on_asking_server};

static int asking_make(struct parts *parts)
{
    parts->running->asking = asking_new(parts->running->base, &asking_ops, parts);
    return parts->running->asking != NULL ? 0 : -1;
}

/* --- who is here ------------------------------------------------------------------ */

static size_t on_presence_connections(struct slice uid, void *arg)
{
    const struct parts *parts = arg;

    return relay_user_connections(parts->running->relay, uid);
}

static uint32_t on_presence_scan(uint32_t cursor, void (*visit)(struct slice uid, void *visit_arg),
                                 void *visit_arg, void *arg)
{
    const struct parts *parts = arg;

    return relay_scan_users(parts->running->relay, cursor, visit, visit_arg);
}

static int on_presence_publish(struct buf *payload, void (*done)(int ok, void *done_arg),
                               void *done_arg, void *arg)
{
    struct parts *parts = arg;
    struct slice channel = {(const char *)parts->requests.data, parts->requests.len};

    return feed_publish(parts->running->feed, 0, channel, payload, done, done_arg);
}

static void on_presence_wake(unsigned ms, void *arg)
{
    struct parts *parts = arg;

    (void)timer_set(parts->presence, ms);
}

static const struct presence_ops presence_ops = {on_presence_connections, on_presence_scan,
                                                 on_presence_publish, on_presence_wake};

static void on_presence(evutil_socket_t fd, short what, void *arg)
{
    struct parts *parts = arg;

    (void)fd;
    (void)what;
    presence_wake(parts->running->presence);
}

/* Likewise. */
static int presence_make(struct parts *parts)
{
    struct running *running = parts->running;
    const struct conf *conf = running->conf;

    parts->presence = event_new(running->base, -1, 0, on_presence, parts);
    if (parts->presence == NULL || timer_set(parts->presence, 0) < 0 ||
        request_channel(&parts->requests, slice_str(conf->key), slice_str(conf->nsp)) < 0)
        return -1;
    running->presence = presence_new(cluster_uid(running->cluster), &presence_ops, parts);
    if (running->presence == NULL)
        return -1;
    presence_set(running->presence, conf->presence);
    return 0;
}

/* --- who comes back --------------------------------------------------------------- */

static void on_recovery_send_all(const struct buf *message, void *arg)
{
    struct parts *parts = arg;

    if (parts->running->pool != NULL)
        pool_send_all(parts->running->pool, message);
}

static int on_recovery_publish(struct buf *payload, void (*done)(int ok, void *done_arg),
                               void *done_arg, void *arg)
{
    struct parts *parts = arg;
    struct slice channel = {(const char *)parts->peers.data, parts->peers.len};

    if (parts->running->feed == NULL || !feed_hears_peers(parts->running->feed))
        return -1;
    return feed_publish(parts->running->feed, 0, channel, payload, done, done_arg);
}

static int on_recovery_ping(void *arg)
{
    struct parts *parts = arg;

    return parts->running->feed != NULL ? feed_ping(parts->running->feed) : -1;
}

static const struct recovery_ops recovery_ops = {on_relay_send, on_recovery_send_all,
                                                 on_recovery_publish, on_recovery_ping};

static int recovery_make(struct parts *parts)
{
    struct running *running = parts->running;
    const struct conf *conf = running->conf;

    if (buf_printf(&parts->peers, "%s-peer#%s#", conf->key, conf->nsp) < 0)
        return -1;
    running->recovery =
        recovery_new(running->base, conf, running->relay, running->cluster, &recovery_ops, parts);
    return running->recovery != NULL ? 0 : -1;
}

/* --- tickets of TLS ----------------------------------------------------------------- */

static void on_tickets(const struct tickets *tickets, void *arg)
{
    struct parts *parts = arg;
    struct buf message = {0};

    if (tickets_put(&message, tickets) < 0)
        log_event(ERROR, "tickets_untold",
                  "out of memory: the workers do not get the new keys of TLS tickets");
    else if (parts->running->pool != NULL)
        pool_send_all(parts->running->pool, &message);
    buf_free(&message);
}

struct parts *parts_new(struct running *running)
{
    struct parts *parts = calloc(1, sizeof(*parts));

    if (parts == NULL)
        return NULL;
    parts->running = running;
    parts->wake = event_new(running->base, -1, 0, on_wake, parts);
    running->relay = relay_new(running->conf, &relay_ops, parts);
    running->stats = stats_new(running->base, &stats_ops, parts);
    running->ticketing = ticketing_new(running->base, on_tickets, parts);
    if (parts->wake == NULL || running->relay == NULL || running->stats == NULL ||
        running->ticketing == NULL || asking_make(parts) < 0 || cluster_make(parts) < 0 ||
        presence_make(parts) < 0 || recovery_make(parts) < 0)
        parts_free(&parts);
    return parts;
}

void parts_free(struct parts **partsp)
{
    struct parts *parts = *partsp;

    if (parts == NULL)
        return;
    *partsp = NULL;
    asking_free(&parts->running->asking);
    ticketing_free(&parts->running->ticketing);
    stats_free(&parts->running->stats);
    recovery_free(&parts->running->recovery);
    presence_free(&parts->running->presence);
    cluster_free(&parts->running->cluster);
    relay_free(&parts->running->relay);
    if (parts->wake != NULL)
        event_free(parts->wake);
    if (parts->cluster != NULL)
        event_free(parts->cluster);
    if (parts->presence != NULL)
        event_free(parts->presence);
    buf_free(&parts->requests);
    buf_free(&parts->peers);
    free(parts);
}
