#include "master/redis.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/tls_client.h"
#include "conf/server.h"
#include "master/finder.h"
#include "master/redis_link.h"
#include "master/subscription.h"
#include "master/timer.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPT_MS      3000 /* to connect and be subscribed */
#define TICK_MS         100  /* while it is subscribed; what is counted in these counts no time */
#define PING_TICKS      3    /* from one PING to the next; there is one at a time */
#define SILENCE_TICKS   80   /* so long may redis say nothing whole */
#define REPLY_MIN_BYTES (64UL * 1024 * 1024) /* a longer reply ends the connection */

struct redis {
    struct conf_redis server;  /* its own, but for what is in client */
    struct tls_client *client; /* NULL: no TLS */
    const struct redis_ops *ops;
    void *arg;

    struct finder *finder; /* who sets the host and port of server; NULL: they stay */
    int was_found;         /* it has set them once */
    struct redis_link link;
    struct subscription subscription;
    struct event *pulse; /* while subscribed: the next tick */

    uint64_t heard_ms, subscribed_ms;
    uint64_t lost_ms;       /* since when the subscription is missing; 0: it never was there */
    uint64_t pinged_ms;     /* when the PING that is out was sent; 0: none is */
    unsigned ticks;         /* since the last PING */
    unsigned silent;        /* ticks since the last whole reply */
    unsigned quiet;         /* ticks since the last byte */
    uint64_t bytes;         /* those that had come at the last tick */
    uint64_t past_switches; /* of the master, of those whose place it has taken */
    struct redis_stats stats;
};

/* --- failing ------------------------------------------------------------------ */

/* What it was to publish is not. */
static void not_published(struct redis *redis)
{
    log_event(DEBUG, "redis_not_published", "redis: not published[: {}]",
              LOG_STR("error", redis->link.fault.why));
    redis_link_stop(&redis->link);
    subscription_end(&redis->subscription);
    redis->ops->state(0, redis->arg);
}

/* What a silent redis published since it was last heard may be lost too, and what another master
 * did since this one was it for sure. */
static uint64_t lost_since(const struct redis *redis, enum redis_fault_kind kind, uint64_t now)
{
    uint64_t since = now;

    if (kind == REDIS_FAULT_SILENT)
        since = redis->heard_ms;
    else if (kind == REDIS_FAULT_MASTER && redis->finder != NULL)
        since = finder_master_ms(redis->finder);
    return since < redis->subscribed_ms ? redis->subscribed_ms : since;
}

static void on_lost(int was_up, void *arg)
{
    struct redis *redis = arg;
    const struct redis_fault *fault = &redis->link.fault;
    uint64_t now = clock_ms();

    if (subscription_is_publish(&redis->subscription)) {
        not_published(redis);
        return;
    }
    redis_fault_log(&redis->link.fault, was_up ? NULL : redis->link.where, now);
    subscription_end(&redis->subscription);
    event_del(redis->pulse);
    if (was_up) {
        redis->stats.gaps++;
        redis->lost_ms = lost_since(redis, fault->kind, now);
    }
    if (redis->finder != NULL && redis->server.host != NULL)
        finder_doubt(redis->finder);
    if (fault->kind == REDIS_FAULT_TOO_LARGE)
        redis->ops->too_large(redis->arg);
    redis->ops->state(0, redis->arg);
}

/* --- what it is made for ------------------------------------------------------ */

static void gap_end(struct redis *redis, uint64_t ms)
{
    redis->stats.gap_ms += ms;
    log_event(WARN, "redis_subscribed_again",
              "redis subscribed again[ after {} ms]; what was published meanwhile is lost",
              LOG_MILLIS("duration", ms), LOG_STR("server", redis->link.where));
}

/* All topics that are needed are confirmed. */
static void subscribed(struct redis *redis)
{
    uint64_t now = clock_ms();

    redis_link_up(&redis->link);
    redis_fault_over(&redis->link.fault);
    redis->subscribed_ms = redis->heard_ms = now;
    redis->pinged_ms = 0;
    redis->ticks = redis->silent = redis->quiet = 0;
    timer_set(redis->pulse, TICK_MS);
    if (redis->lost_ms > 0) {
        gap_end(redis, now - redis->lost_ms);
    } else {
        struct slice pattern = topics_at(subscription_topics(&redis->subscription), TOPIC_PATTERN);
        log_event(INFO, "redis_subscribed", "redis subscribed[ at {}: pattern={}]",
                  LOG_STR("server", redis->link.where),
                  LOG_BYTES("pattern", pattern.ptr, pattern.len, 256));
    }
    redis->ops->state(1, redis->arg);
}

/* What it was to publish is. */
static void published(struct redis *redis)
{
    /* The connection stays until it is freed: this is told from within what is read of it. */
    redis_link_up(&redis->link);
    redis_fault_over(&redis->link.fault);
    redis->ops->state(1, redis->arg);
}

static void on_message(struct slice channel, struct slice payload, void *arg)
{
    struct redis *redis = arg;

    redis->stats.messages += !redis_is_peer(redis, channel);
    redis->ops->message(channel, payload, redis->arg);
}

static void on_request(struct slice channel, struct slice payload, int is_counted, void *arg)
{
    struct redis *redis = arg;

    redis->stats.messages++;
    if (redis->ops->request != NULL)
        redis->ops->request(channel, payload, is_counted, redis->arg);
}

static void on_requests(void *arg)
{
    struct redis *redis = arg;

    if (redis->ops->requests != NULL)
        redis->ops->requests(redis->arg);
}

static void on_ready(void *arg)
{
    struct redis *redis = arg;

    if (subscription_is_publish(&redis->subscription))
        published(redis);
    else
        subscribed(redis);
}

static void on_synced(void *arg)
{
    struct redis *redis = arg;

    redis->ops->synced(redis->arg);
}

static void on_echoed(void *arg)
{
    struct redis *redis = arg;

    if (redis->ops->echoed != NULL)
        redis->ops->echoed(redis->arg);
}

/* Any whole reply is a sign of life: a pong may be behind a lot.  Mere bytes are
 * not, for what looks like the start of a huge reply would swallow them for long. */
static void on_heard(void *arg)
{
    struct redis *redis = arg;

    redis->heard_ms = clock_ms();
    redis->pinged_ms = 0;
    redis->silent = 0;
}

static void on_odd(void *arg)
{
    struct redis *redis = arg;

    redis->stats.odd++;
}

static const struct subscription_ops subscription_ops = {
    on_message, on_request, on_requests, on_ready, on_synced, on_echoed, on_heard, on_odd};

/* --- signs of life ------------------------------------------------------------ */

/* So many turns of the loop, each some time after the one before it: where this process was
 * not run, or was busy, what has come meanwhile is read before it counts. */
static void count_tick(struct redis *redis)
{
    redis->quiet = redis->bytes == redis->link.bytes ? redis->quiet + 1 : 0;
    redis->bytes = redis->link.bytes;
    redis->silent++;
    redis->ticks++;
    if (redis->link.paused)
        redis->quiet = redis->silent = 0;
}

static void on_pulse(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;

    (void)fd;
    (void)what;
    timer_set(redis->pulse, TICK_MS);
    count_tick(redis);
    if (redis->silent >= SILENCE_TICKS) {
        redis_give_up(redis);
        return;
    }
    if (redis->pinged_ms == 0 && redis->ticks >= PING_TICKS) {
        /* Out of memory: what cannot be asked is not answered either. */
        (void)subscription_ping(&redis->subscription);
        redis->pinged_ms = clock_ms();
        redis->ticks = 0;
    }
}

unsigned redis_quiet_ms(const struct redis *redis, uint64_t *pinged_ms)
{
    *pinged_ms = redis->pinged_ms;
    return redis_subscribed(redis) && redis->pinged_ms > 0 ? redis->quiet * TICK_MS : 0;
}

void redis_give_up(struct redis *redis)
{
    (void)redis_fault_note(&redis->link.fault, REDIS_FAULT_SILENT, "no answer for %llu ms",
                           (unsigned long long)(clock_ms() - redis->heard_ms));
    redis_link_fail(&redis->link);
}

/* --- connecting --------------------------------------------------------------- */

static int on_begin(struct bufferevent *bev, const struct redis_wire *wire, void *arg)
{
    struct redis *redis = arg;

    if (subscription_begin(&redis->subscription, bev, wire) < 0)
        return -1;
    if (redis->ops->asking != NULL)
        redis->ops->asking(redis->arg);
    return 0;
}

static int on_input(const char *bytes, size_t len, void *arg)
{
    struct redis *redis = arg;

    return subscription_read(&redis->subscription, bytes, len);
}

static const struct redis_link_ops link_ops = {on_begin, on_input, on_lost, ATTEMPT_MS,
                                               "subscribed"};

/* --- where it is ---------------------------------------------------------------- */

/* Both connections follow. */
static void place(struct redis *redis, enum redis_place_change change, enum redis_fault_kind kind,
                  const char *why)
{
    struct redis_place place = {.change = change, .kind = kind};

    snprintf(place.why, sizeof(place.why), "%s", why);
    redis_link_place(&redis->link, &place);
    if (redis->ops->place != NULL)
        redis->ops->place(&place, redis->arg);
    if (change == REDIS_PLACE_MOVED) /* its number means nothing elsewhere */
        redis->subscription.former.id[0] = '\0';
}

static void on_found(const char *host, int port, int is_other, void *arg)
{
    struct redis *redis = arg;
    char *copy = strdup(host), why[256];

    if (copy == NULL) {
        log_event(ERROR, "redis_not_followed", "out of memory: the master is not followed");
        return;
    }
    free(redis->server.host);
    redis->server.host = copy;
    redis->server.port = port;
    snprintf(why, sizeof(why), "the master is at %s:%d", host, port);
    /* Whoever has not been anywhere yet may have something to wait for. */
    place(redis, is_other && redis->was_found ? REDIS_PLACE_MOVED : REDIS_PLACE_FOUND,
          REDIS_FAULT_MASTER, why);
    redis->was_found = 1;
}

static void on_unsure(int is_demoted, const char *why, void *arg)
{
    struct redis *redis = arg;

    free(redis->server.host);
    redis->server.host = NULL;
    if (is_demoted)
        place(redis, REDIS_PLACE_MOVED, REDIS_FAULT_MASTER, why);
}

static void on_missing(enum redis_fault_kind kind, const char *why, void *arg)
{
    place(arg, REDIS_PLACE_SOUGHT, kind, why);
}

static const struct finder_ops finder_ops = {on_found, on_unsure, on_missing};

/* What conf has in place of sentinels means nothing beside them. */
static int find(struct redis *redis, struct event_base *base)
{
    if (redis->server.nsentinels == 0)
        return 0;
    free(redis->server.host);
    free(redis->server.path);
    redis->server.host = redis->server.path = NULL;
    redis->finder = finder_new(base, &redis->server, redis->client, &finder_ops, redis);
    return redis->finder != NULL ? 0 : -1;
}

/* --- coming and going --------------------------------------------------------- */

void redis_wipe(struct redis *redis)
{
    server_wipe(&redis->server);
}

void redis_disown(struct redis *redis)
{
    redis_wipe(redis);
    redis_link_wipe(&redis->link);
    if (redis->finder != NULL)
        finder_disown(redis->finder);
    tls_client_free(&redis->client);
}

void redis_limits(struct redis *redis, const struct conf *conf)
{
    size_t most = 16 * conf->message_bytes;

    subscription_limit(&redis->subscription, most > REPLY_MIN_BYTES ? most : REPLY_MIN_BYTES);
}

void redis_pause(struct redis *redis)
{
    subscription_pause(&redis->subscription, 1);
    redis_link_pause(&redis->link);
}

void redis_resume(struct redis *redis)
{
    redis_link_resume(&redis->link);
    subscription_pause(&redis->subscription, 0);
    if (redis->link.input != NULL && subscription_take(&redis->subscription) < 0)
        redis_link_fail(&redis->link);
}

void redis_succeed(struct redis *redis, const struct redis *old)
{
    const struct redis_stats *past = &old->stats;

    redis->stats.attempts += past->attempts;
    redis->stats.messages += past->messages;
    redis->stats.odd += past->odd;
    redis->stats.gaps += past->gaps;
    redis->stats.gap_ms += past->gap_ms;
    redis->past_switches += redis_sentinels(old).switches;
    if (!redis_subscribed(old) && old->lost_ms > 0 && redis->subscribed_ms > old->lost_ms)
        gap_end(redis, redis->subscribed_ms - old->lost_ms);
}

struct redis *redis_new(struct event_base *base, const struct conf *conf,
                        const struct redis_ops *ops, void *arg)
{
    struct redis *redis = calloc(1, sizeof(*redis));

    if (redis == NULL)
        return NULL;
    redis->ops = ops;
    redis->arg = arg;
    redis->pulse = event_new(base, -1, 0, on_pulse, redis);
    if (redis->pulse == NULL || server_copy(&redis->server, &conf->redis) < 0 ||
        redis_tls_client(&redis->client, &conf->redis.tls) < 0 || find(redis, base) < 0 ||
        redis_link_init(&redis->link, base, &redis->server, redis->client, &redis->stats.attempts,
                        &link_ops, redis) < 0 ||
        subscription_init(&redis->subscription, conf, &redis->server, &redis->link.fault,
                          &subscription_ops, redis) < 0) {
        redis_free(&redis);
        return NULL;
    }
    redis_limits(redis, conf);
    redis_link_start(&redis->link, 0);
    return redis;
}

struct redis *redis_publish(struct event_base *base, const struct conf *conf, struct slice channel,
                            struct slice payload, const struct redis_ops *ops, void *arg)
{
    struct redis *redis = redis_new(base, conf, ops, arg);

    if (redis != NULL && subscription_publish(&redis->subscription, channel, payload) < 0)
        redis_free(&redis);
    return redis;
}

void redis_free(struct redis **redisp)
{
    struct redis *redis = *redisp;

    if (redis == NULL)
        return;
    *redisp = NULL;
    finder_free(&redis->finder);
    redis_link_clear(&redis->link);
    if (redis->pulse != NULL)
        event_free(redis->pulse);
    subscription_clear(&redis->subscription);
    tls_client_free(&redis->client);
    server_clear(&redis->server);
    free(redis);
}

void redis_settle(struct redis *redis)
{
    if (redis->finder != NULL)
        finder_stop(redis->finder);
}

void redis_stop(struct redis *redis)
{
    redis_settle(redis);
    redis_link_stop(&redis->link);
    subscription_end(&redis->subscription);
    event_del(redis->pulse);
}

const struct conf_redis *redis_server(const struct redis *redis)
{
    return &redis->server;
}

const char *redis_where(const struct redis *redis)
{
    return redis->link.where;
}

const struct tls_client *redis_tls(const struct redis *redis)
{
    return redis->client;
}

void redis_delay(struct redis *redis, unsigned ms)
{
    redis_link_start(&redis->link, ms);
}

int redis_subscribed(const struct redis *redis)
{
    return redis_link_is_up(&redis->link) && !subscription_is_publish(&redis->subscription);
}

void redis_requests(struct redis *redis, enum requests_mode mode)
{
    subscription_requests(&redis->subscription, mode);
}

enum requests_heard redis_requests_heard(const struct redis *redis)
{
    return redis_subscribed(redis) ? subscription_requests_heard(&redis->subscription)
                                   : REQUESTS_UNHEARD;
}

const struct redis_client *redis_former(const struct redis *redis)
{
    return &redis->subscription.former;
}

int redis_sync(struct redis *redis)
{
    return redis_subscribed(redis) ? subscription_sync(&redis->subscription) : -1;
}

int redis_echo(struct redis *redis)
{
    return redis_subscribed(redis) ? subscription_echo(&redis->subscription) : -1;
}

struct slice redis_node(const struct redis *redis)
{
    return slice_str(redis_subscribed(redis) ? redis->subscription.node : "");
}

unsigned redis_withheld(const struct redis *redis)
{
    return topics_withheld(subscription_topics(&redis->subscription));
}

unsigned redis_topic_bit(const struct redis *redis, struct slice channel)
{
    return topics_bit(subscription_topics(&redis->subscription), channel);
}

int redis_is_request(const struct redis *redis, struct slice channel)
{
    return slice_eq(channel, topics_at(subscription_topics(&redis->subscription), TOPIC_REQUEST));
}

int redis_is_peer(const struct redis *redis, struct slice channel)
{
    return slice_eq(channel, topics_at(subscription_topics(&redis->subscription), TOPIC_PEER));
}

int redis_hears_peers(const struct redis *redis)
{
    return redis_subscribed(redis) &&
           topics_has(subscription_topics(&redis->subscription), TOPIC_PEER);
}

uint64_t redis_read_us(const struct redis *redis)
{
    return redis->link.read_us;
}

struct finder_stats redis_sentinels(const struct redis *redis)
{
    struct finder_stats now = {0};

    if (redis->finder != NULL)
        now = finder_stats(redis->finder);
    now.switches += redis->past_switches;
    return now;
}

const struct redis_stats *redis_stats(const struct redis *redis)
{
    return &redis->stats;
}
