#include "master/redis.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "master/redis_connect.h"
#include "master/redis_fault.h"
#include "master/subscription.h"
#include "master/timer.h"
#include "master/topics.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ATTEMPT_MS      3000 /* to connect and be subscribed */
#define PING_MS         3000 /* from a sign of life to the next PING */
#define SILENCE_MS      5000 /* after a PING: so long may redis say nothing */
#define BACKOFF_MIN_MS  50
#define BACKOFF_MAX_MS  1000
#define READ_BYTES      16384
#define READS_MAX       4                    /* before the loop gets its turn */
#define STREAM_US       1000                 /* messages that follow so soon are a stream */
#define REPLY_MIN_BYTES (64UL * 1024 * 1024) /* a longer reply ends the connection */

enum redis_state { WAITING, CONNECTING, HANDSHAKE, SUBSCRIBED };

struct redis {
    struct event_base *base;
    struct conf_redis server; /* its own */
    char where[256];          /* the same for the log */
    const struct redis_ops *ops;
    void *arg;

    enum redis_state state;
    struct redis_connect *connect;
    struct bufferevent *bev; /* writes, and owns the socket */
    struct event *input;     /* reads the socket */
    struct event *timer;     /* the attempt's deadline, or the next one's time */
    struct event *pulse;     /* while subscribed: the next PING, or silence */

    struct subscription subscription;
    int paused;               /* redis_pause() */
    struct redis_fault fault; /* acted on at the end of the event */

    uint32_t backoff_ms;
    uint64_t heard_ms, subscribed_ms;
    uint64_t read_us; /* when the bytes at hand were read */
    uint64_t lost_ms; /* since when the subscription is missing; 0: it never was there */
    int pinged;       /* a PING is out and nothing came since */
    struct redis_stats stats;
};

/* --- failing ------------------------------------------------------------------ */

static void disconnect(struct redis *redis)
{
    redis_connect_free(&redis->connect);
    if (redis->input != NULL)
        event_free(redis->input);
    redis->input = NULL;
    if (redis->bev != NULL)
        bufferevent_free(redis->bev);
    redis->bev = NULL;
    subscription_end(&redis->subscription);
    redis->paused = 0;
    event_del(redis->pulse);
    event_del(redis->timer);
}

static void backoff_next(struct redis *redis, uint64_t now)
{
    uint32_t half;

    /* One that breaks right after it came about is no success. */
    if (redis->state == SUBSCRIBED && now - redis->subscribed_ms > BACKOFF_MAX_MS)
        redis->backoff_ms = BACKOFF_MIN_MS;
    half = redis->backoff_ms / 2;
    timer_set(redis->timer, half + rand_below(half + 1));
    redis->backoff_ms *= 2;
    if (redis->backoff_ms > BACKOFF_MAX_MS)
        redis->backoff_ms = BACKOFF_MAX_MS;
}

/* What it was to publish is not. */
static void not_published(struct redis *redis)
{
    log_debug("redis: not published: %s", redis->fault.why);
    disconnect(redis);
    redis->state = WAITING;
    redis->ops->state(0, redis->arg);
}

/* Acts on the fault that was noted. */
static void fail(struct redis *redis)
{
    uint64_t now = clock_ms();

    redis->fault.is_found = 0;
    if (subscription_is_publish(&redis->subscription)) {
        not_published(redis);
        return;
    }
    redis_fault_log(&redis->fault, redis->state == SUBSCRIBED ? NULL : redis->where, now);
    disconnect(redis);
    if (redis->state == SUBSCRIBED) {
        redis->stats.gaps++;
        /* What a silent redis published since it was last heard may be lost too. */
        redis->lost_ms = redis->fault.kind == REDIS_FAULT_SILENT ? redis->heard_ms : now;
    }
    backoff_next(redis, now);
    redis->state = WAITING;
    if (redis->fault.kind == REDIS_FAULT_TOO_LARGE)
        redis->ops->too_large(redis->arg);
    redis->ops->state(0, redis->arg);
}

/* --- what it is made for ------------------------------------------------------ */

static void gap_end(struct redis *redis, uint64_t ms)
{
    redis->stats.gap_ms += ms;
    log_warnx("redis subscribed again after %llu ms; what was published meanwhile is lost",
              (unsigned long long)ms);
}

/* All topics that are needed are confirmed. */
static void subscribed(struct redis *redis)
{
    uint64_t now = clock_ms();

    redis->state = SUBSCRIBED;
    redis->subscribed_ms = now;
    redis_fault_over(&redis->fault);
    redis->pinged = 0;
    event_del(redis->timer);
    timer_set(redis->pulse, PING_MS);
    if (redis->lost_ms > 0) {
        gap_end(redis, now - redis->lost_ms);
    } else {
        struct slice pattern = topics_at(subscription_topics(&redis->subscription), TOPIC_PATTERN);
        char text[256];
        log_info("redis subscribed at %s: pattern=%s", redis->where,
                 log_escape(text, sizeof(text), pattern.ptr, pattern.len));
    }
    redis->ops->state(1, redis->arg);
}

/* What it was to publish is. */
static void published(struct redis *redis)
{
    redis->state = WAITING;
    event_del(redis->timer);
    redis->ops->state(1, redis->arg);
}

static void on_message(struct slice channel, struct slice payload, void *arg)
{
    struct redis *redis = arg;

    redis->stats.messages++;
    redis->ops->message(channel, payload, redis->arg);
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

/* Any whole reply is a sign of life: a pong may be behind a lot.  Mere bytes are
 * not, for what looks like the start of a huge reply would swallow them for long. */
static void on_heard(void *arg)
{
    struct redis *redis = arg;

    redis->heard_ms = clock_ms();
    if (redis->pinged) {
        redis->pinged = 0;
        timer_set(redis->pulse, PING_MS);
    }
}

static void on_odd(void *arg)
{
    struct redis *redis = arg;

    redis->stats.odd++;
}

static const struct subscription_ops subscription_ops = {on_message, on_ready, on_synced, on_heard,
                                                         on_odd};

/* --- reading ------------------------------------------------------------------ */

/* Returns 1 if there may be more, 0 if not, -1 where a fault was noted. */
static int read_once(struct redis *redis)
{
    char bytes[READ_BYTES];
    ssize_t n = recv(bufferevent_getfd(redis->bev), bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    if (n < 0)
        return redis_fault_note(&redis->fault, REDIS_FAULT_CLOSED, "connection broken: %s",
                                strerror(errno));
    if (n == 0)
        return redis_fault_note(&redis->fault, REDIS_FAULT_CLOSED, "it closed the connection");
    if (subscription_read(&redis->subscription, bytes, (size_t)n) < 0)
        return -1;
    return n == sizeof(bytes) && !redis->paused;
}

/* Not by way of the bufferevent: that asks the kernel how much there is before each
 * read, and copies what it gets once more. */
static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;
    uint64_t last_us = redis->read_us;
    int rc = 1;

    (void)fd;
    (void)what;
    redis->read_us = clock_us();
    /* On a core of its own this is nothing.  Where the core is a worker's too, every
     * message would stop that worker in what it writes: it goes on, and what comes
     * meanwhile is read in one go.  A message that comes alone does not wait. */
    if (redis->read_us - last_us < STREAM_US)
        (void)sched_yield();
    for (int i = 0; rc > 0 && i < READS_MAX; i++)
        rc = read_once(redis);
    if (rc < 0)
        fail(redis);
}

/* Of writing.  Before redis closes on us it may have said why. */
static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct redis *redis = arg;
    int error = errno;

    (void)bev;
    (void)what;
    redis->read_us = clock_us();
    (void)read_once(redis);
    (void)redis_fault_note(&redis->fault, REDIS_FAULT_CLOSED, "connection broken: %s",
                           strerror(error));
    fail(redis);
}

/* --- connecting --------------------------------------------------------------- */

static int handshake(struct redis *redis, int fd)
{
    redis->state = HANDSHAKE;
    redis->bev = bufferevent_socket_new(redis->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (redis->bev == NULL)
        close(fd);
    redis->input = event_new(redis->base, fd, EV_READ | EV_PERSIST, on_input, redis);
    if (redis->bev == NULL || redis->input == NULL || event_add(redis->input, NULL) < 0 ||
        bufferevent_enable(redis->bev, EV_WRITE) < 0)
        return redis_fault_note(&redis->fault, REDIS_FAULT_MEMORY, "out of memory");
    bufferevent_setcb(redis->bev, NULL, NULL, on_event, redis);
    if (subscription_begin(&redis->subscription, redis->bev, fd) < 0)
        return -1;
    if (redis->ops->asking != NULL)
        redis->ops->asking(redis->arg);
    return 0;
}

static void on_connected(int fd, const char *why, void *arg)
{
    struct redis *redis = arg;
    int rc = fd < 0 ? redis_fault_note(&redis->fault, REDIS_FAULT_CONNECT, "%s", why)
                    : handshake(redis, fd);

    redis_connect_free(&redis->connect);
    if (rc < 0)
        fail(redis);
}

static const struct redis_connect_ops connect_ops = {.done = on_connected};

static void attempt(struct redis *redis)
{
    const struct conf_redis *conf = &redis->server;

    redis->stats.attempts++;
    redis->state = CONNECTING;
    timer_set(redis->timer, ATTEMPT_MS);
    redis->connect =
        redis_connect_new(redis->base, conf->path, conf->host, conf->port, &connect_ops, redis);
    if (redis->connect == NULL) {
        (void)redis_fault_note(&redis->fault, REDIS_FAULT_MEMORY, "cannot start: %s",
                               strerror(errno));
        fail(redis);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;

    (void)fd;
    (void)what;
    if (redis->state == WAITING) {
        attempt(redis);
        return;
    }
    if (redis->state == CONNECTING)
        (void)redis_fault_note(&redis->fault, REDIS_FAULT_DEADLINE,
                               "not connected within %d ms: %s", ATTEMPT_MS,
                               redis_connect_why(redis->connect));
    else
        (void)redis_fault_note(&redis->fault, REDIS_FAULT_DEADLINE, "not subscribed within %d ms",
                               ATTEMPT_MS);
    fail(redis);
}

static void on_pulse(evutil_socket_t fd, short what, void *arg)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    struct redis *redis = arg;

    (void)fd;
    (void)what;
    if (redis->pinged) {
        (void)redis_fault_note(&redis->fault, REDIS_FAULT_SILENT, "no answer for %llu ms",
                               (unsigned long long)(clock_ms() - redis->heard_ms));
        fail(redis);
        return;
    }
    /* Out of memory: what cannot be asked is not answered either. */
    (void)bufferevent_write(redis->bev, ping, sizeof(ping) - 1);
    redis->pinged = 1;
    timer_set(redis->pulse, SILENCE_MS);
}

/* --- coming and going --------------------------------------------------------- */

static char *text_copy(const char *text, int *failed)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    *failed |= text != NULL && copy == NULL;
    return copy;
}

static int server_copy(struct conf_redis *to, const struct conf_redis *from)
{
    int failed = 0;

    *to = (struct conf_redis){.host = text_copy(from->host, &failed),
                              .port = from->port,
                              .path = text_copy(from->path, &failed),
                              .username = text_copy(from->username, &failed),
                              .password = text_copy(from->password, &failed),
                              .database = from->database};
    return failed ? -1 : 0;
}

void redis_wipe(struct redis *redis)
{
    if (redis->server.password != NULL)
        explicit_bzero(redis->server.password, strlen(redis->server.password));
}

static void server_free(struct redis *redis)
{
    redis_wipe(redis);
    free(redis->server.host);
    free(redis->server.path);
    free(redis->server.username);
    free(redis->server.password);
}

void redis_limits(struct redis *redis, const struct conf *conf)
{
    size_t most = 16 * conf->message_bytes;

    subscription_limit(&redis->subscription, most > REPLY_MIN_BYTES ? most : REPLY_MIN_BYTES);
}

void redis_pause(struct redis *redis)
{
    redis->paused = 1;
    subscription_pause(&redis->subscription, 1);
    if (redis->input != NULL)
        (void)event_del(redis->input);
}

void redis_resume(struct redis *redis)
{
    redis->paused = 0;
    subscription_pause(&redis->subscription, 0);
    if (redis->input == NULL)
        return;
    /* Fails for want of memory only: then it is silent, and soon found to be. */
    (void)event_add(redis->input, NULL);
    if (subscription_take(&redis->subscription) < 0)
        fail(redis);
}

void redis_succeed(struct redis *redis, const struct redis *old, const struct redis_ops *ops)
{
    const struct redis_stats *past = &old->stats;

    redis->ops = ops;
    redis->stats.attempts += past->attempts;
    redis->stats.messages += past->messages;
    redis->stats.odd += past->odd;
    redis->stats.gaps += past->gaps;
    redis->stats.gap_ms += past->gap_ms;
    if (old->state != SUBSCRIBED && old->lost_ms > 0 && redis->subscribed_ms > old->lost_ms)
        gap_end(redis, redis->subscribed_ms - old->lost_ms);
}

struct redis *redis_new(struct event_base *base, const struct conf *conf,
                        const struct redis_ops *ops, void *arg)
{
    struct redis *redis = calloc(1, sizeof(*redis));

    if (redis == NULL)
        return NULL;
    redis->base = base;
    redis->ops = ops;
    redis->arg = arg;
    redis->backoff_ms = BACKOFF_MIN_MS;
    if (conf->redis.path != NULL)
        snprintf(redis->where, sizeof(redis->where), "unix:%s", conf->redis.path);
    else
        snprintf(redis->where, sizeof(redis->where),
                 strchr(conf->redis.host, ':') != NULL ? "[%s]:%d" : "%s:%d", conf->redis.host,
                 conf->redis.port);
    redis->timer = event_new(base, -1, 0, on_timer, redis);
    redis->pulse = event_new(base, -1, 0, on_pulse, redis);
    if (redis->timer == NULL || redis->pulse == NULL ||
        subscription_init(&redis->subscription, conf, &redis->server, &redis->fault,
                          &subscription_ops, redis) < 0 ||
        server_copy(&redis->server, &conf->redis) < 0) {
        redis_free(&redis);
        return NULL;
    }
    redis_limits(redis, conf);
    timer_set(redis->timer, 0); /* state is WAITING: the first attempt */
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
    if (redis->timer != NULL && redis->pulse != NULL)
        disconnect(redis);
    if (redis->timer != NULL)
        event_free(redis->timer);
    if (redis->pulse != NULL)
        event_free(redis->pulse);
    subscription_clear(&redis->subscription);
    server_free(redis);
    free(redis);
}

int redis_subscribed(const struct redis *redis)
{
    return redis->state == SUBSCRIBED;
}

int redis_sync(struct redis *redis)
{
    return redis->state == SUBSCRIBED ? subscription_sync(&redis->subscription) : -1;
}

unsigned redis_withheld(const struct redis *redis)
{
    return topics_withheld(subscription_topics(&redis->subscription));
}

unsigned redis_topic_bit(const struct redis *redis, struct slice channel)
{
    return topics_bit(subscription_topics(&redis->subscription), channel);
}

uint64_t redis_read_us(const struct redis *redis)
{
    return redis->read_us;
}

const struct redis_stats *redis_stats(const struct redis *redis)
{
    return &redis->stats;
}
