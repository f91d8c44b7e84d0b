#include "master/redis.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "master/dial.h"
#include "master/timer.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ATTEMPT_MS      3000 /* to connect and be subscribed */
#define PING_MS         3000
#define SILENCE_MS      5000 /* after a PING: so long may redis say nothing */
#define BACKOFF_MIN_MS  50
#define BACKOFF_MAX_MS  1000
#define SYNC            "sync" /* comes back behind all that was published before */
#define ODD_LOG_MS      60000
#define READ_BYTES      16384
#define READS_MAX       4                    /* before the loop gets its turn */
#define STREAM_US       1000                 /* messages that follow so soon are a stream */
#define ELEMENTS_MAX    64                   /* of an array; a message has 4 */
#define REPLY_MIN_BYTES (64UL * 1024 * 1024) /* a longer reply ends the connection */

enum state { WAITING, DIALLING, HANDSHAKE, SUBSCRIBED };

/* Each kind is logged once until the next success. */
enum failure {
    FAIL_CONNECT,
    FAIL_DEADLINE,
    FAIL_SILENT,
    FAIL_CLOSED,
    FAIL_PROTOCOL,
    FAIL_TOO_LARGE,
    FAIL_MEMORY,
    FAIL_PASSWORD,
    FAIL_PERMISSION,
    FAIL_LOADING,
    FAIL_CLIENTS,
    FAIL_ERROR /* another -ERR */
};

/* Those that have to be had, and those that an ACL may withhold: see redis.h. */
enum {
    TOPIC_PATTERN,
    TOPIC_EMITTER,
    TOPIC_NSP,
    TOPICS_NEEDED,
    TOPIC_OLD = TOPICS_NEEDED,
    TOPIC_BARE,
    TOPICS
};

struct redis {
    struct event_base *base;
    struct conf_redis server; /* its own */
    const struct redis_ops *ops;
    void *arg;

    enum state state;
    struct dial *dial;
    struct bufferevent *bev; /* writes, and owns the socket */
    struct event *input;     /* ... which is read here */
    redisReader *reader;
    redisReplyObjectFunctions functions; /* the reader's, with a bound */
    const redisReplyObjectFunctions *defaults;
    struct event *timer; /* the attempt's deadline, or the next one's time */
    struct event *pulse; /* while subscribed: the next PING, or silence */

    struct buf topics[TOPICS];    /* as they are subscribed to; TOPIC_BARE may be empty */
    unsigned confirmed;           /* bits of topics */
    int withheld;                 /* it was logged that redis allows no TOPIC_OLD */
    unsigned oks;                 /* +OK still to come: of AUTH and SELECT */
    size_t unfinished, reply_max; /* bytes since the last whole reply, and the bound */

    int paused; /* redis_pause() */
    int failed; /* a failure was found: fail() comes at the end of the event */
    enum failure failure;
    char why[256];
    char where[256]; /* for the log */
    unsigned logged; /* bits of failures that were logged since the last success */

    uint32_t backoff_ms;
    uint64_t heard_ms, subscribed_ms;
    uint64_t read_us; /* when the bytes at hand were read */
    uint64_t lost_ms; /* since when the subscription is missing; 0: it never was there */
    int pinged;       /* a PING is out and nothing came since */
    struct redis_stats stats;
    struct log_every odd_log;
};

static void attempt(struct redis *redis);

/* --- failing ------------------------------------------------------------------ */

/* Notes the failure (the first counts): whoever called is still using what has to go. */
static int __attribute__((format(printf, 3, 4)))
found(struct redis *redis, enum failure failure, const char *fmt, ...)
{
    if (redis->failed)
        return -1;
    va_list args;
    va_start(args, fmt);
    vsnprintf(redis->why, sizeof redis->why, fmt, args);
    va_end(args);
    redis->failed = 1;
    redis->failure = failure;
    return -1;
}

static void disconnect(struct redis *redis)
{
    dial_free(&redis->dial);
    if (redis->input)
        event_free(redis->input);
    redis->input = NULL;
    if (redis->bev)
        bufferevent_free(redis->bev);
    redis->bev = NULL;
    if (redis->reader)
        redisReaderFree(redis->reader);
    redis->reader = NULL;
    redis->paused = 0;
    event_del(redis->pulse);
    event_del(redis->timer);
}

static void failure_log(struct redis *redis)
{
    unsigned bit = 1U << redis->failure;
    if (redis->state == SUBSCRIBED)
        log_warnx("redis lost: %s; retrying", redis->why);
    else if (!(redis->logged & bit))
        log_warnx("redis not reachable at %s: %s; retrying", redis->where, redis->why);
    else
        log_debug("redis: another attempt has failed: %s", redis->why);
    redis->logged |= bit;
}

static void backoff_next(struct redis *redis, uint64_t now)
{
    /* One that breaks right after it came about is no success. */
    if (redis->state == SUBSCRIBED && now - redis->subscribed_ms > BACKOFF_MAX_MS)
        redis->backoff_ms = BACKOFF_MIN_MS;
    uint32_t half = redis->backoff_ms / 2;
    timer_set(redis->timer, half + rand_below(half + 1));
    redis->backoff_ms *= 2;
    if (redis->backoff_ms > BACKOFF_MAX_MS)
        redis->backoff_ms = BACKOFF_MAX_MS;
}

/* Acts on what found() has noted. */
static void fail(struct redis *redis)
{
    uint64_t now = clock_ms();
    redis->failed = 0;
    failure_log(redis);
    disconnect(redis);
    if (redis->state == SUBSCRIBED) {
        redis->stats.gaps++;
        /* What a silent redis published since it was last heard may be lost too. */
        redis->lost_ms = redis->failure == FAIL_SILENT ? redis->heard_ms : now;
    }
    backoff_next(redis, now);
    redis->state = WAITING;
    if (redis->failure == FAIL_TOO_LARGE)
        redis->ops->too_large(redis->arg);
    redis->ops->state(0, redis->arg);
}

/* --- commands ----------------------------------------------------------------- */

/* Straight to the socket, which is new and takes it whole: in a buffer of the
 * bufferevent the password would lie about in memory, in that of children too. */
static int auth_send(struct redis *redis, int fd)
{
    const struct conf_redis *conf = &redis->server;
    const char *argv[] = {"AUTH", conf->password, NULL};
    int argc = 2;
    if (!conf->password)
        return 0;
    if (conf->username) {
        argv[1] = conf->username;
        argv[2] = conf->password;
        argc = 3;
    }
    char *command;
    int len = redisFormatCommandArgv(&command, argc, argv, NULL);
    if (len < 0)
        return found(redis, FAIL_MEMORY, "out of memory");
    ssize_t n = send(fd, command, (size_t)len, MSG_NOSIGNAL);
    explicit_bzero(command, (size_t)len);
    redisFreeCommand(command);
    redis->oks++;
    /* Where it fails redis may have said why already: reading will tell. */
    return n == len || n < 0 ? 0 : found(redis, FAIL_CLOSED, "AUTH sent in part");
}

static int command_put(struct redis *redis, int argc, const char **argv, const size_t *lens)
{
    char *command;
    int len = redisFormatCommandArgv(&command, argc, argv, lens);
    if (len < 0)
        return -1;
    int rc = bufferevent_write(redis->bev, command, (size_t)len);
    redisFreeCommand(command);
    return rc;
}

static int select_put(struct redis *redis)
{
    char number[16];
    const char *argv[] = {"SELECT", number};
    if (redis->server.database == 0)
        return 0;
    snprintf(number, sizeof number, "%d", redis->server.database);
    redis->oks++;
    return command_put(redis, 2, argv, NULL);
}

/* Subscribes to n topics, which are neighbours and either all patterns or none. */
static int topics_put(struct redis *redis, const char *command, int first, int n)
{
    const char *argv[1 + TOPICS] = {command};
    size_t lens[1 + TOPICS] = {strlen(command)};
    for (int i = 0; i < n; i++) {
        argv[1 + i] = (const char *)redis->topics[first + i].data;
        lens[1 + i] = redis->topics[first + i].len;
    }
    return command_put(redis, 1 + n, argv, lens);
}

static int subscribe_put(struct redis *redis)
{
    if (topics_put(redis, "PSUBSCRIBE", TOPIC_PATTERN, 1) < 0 ||
        topics_put(redis, "SUBSCRIBE", TOPIC_EMITTER, 2) < 0 ||
        topics_put(redis, "PSUBSCRIBE", TOPIC_OLD, 1) < 0)
        return -1;
    return redis->topics[TOPIC_BARE].len > 0 ? topics_put(redis, "SUBSCRIBE", TOPIC_BARE, 1) : 0;
}

/* --- replies ------------------------------------------------------------------ */

static struct slice text_of(const redisReply *reply)
{
    return (struct slice){reply->str, reply->len};
}

/* Element i of an array as a string; empty where it is something else. */
static struct slice element(const redisReply *reply, size_t i)
{
    const redisReply *one = i < reply->elements ? reply->element[i] : NULL;
    if (!one || one->type != REDIS_REPLY_STRING || !one->str)
        return (struct slice){0};
    return text_of(one);
}

static void odd(struct redis *redis, const char *what)
{
    redis->stats.odd++;
    uint64_t count = log_due(&redis->odd_log, ODD_LOG_MS);
    if (count > 0)
        log_warnx("redis: reply read over: %s count=%llu", what, (unsigned long long)count);
}

static enum failure error_kind(const char *text)
{
    if (strncmp(text, "NOAUTH", 6) == 0 || strncmp(text, "WRONGPASS", 9) == 0)
        return FAIL_PASSWORD;
    if (strstr(text, "invalid password") || strstr(text, "AUTH <password> called without"))
        return FAIL_PASSWORD;
    if (strncmp(text, "NOPERM", 6) == 0)
        return FAIL_PERMISSION;
    if (strncmp(text, "LOADING", 7) == 0)
        return FAIL_LOADING;
    return strstr(text, "max number of clients") ? FAIL_CLIENTS : FAIL_ERROR;
}

/* What redis says to an unknown command has its arguments in it: the password,
 * where that command is AUTH. */
static const char *error_show(const struct redis *redis, const char *text, char *dst, size_t cap)
{
    const char *password = redis->server.password;
    const char *args = strstr(text, "with args");
    if (password && strstr(text, password))
        return "an error that shows the password";
    return log_escape(dst, cap, text, args ? (size_t)(args - text) : strlen(text));
}

static struct slice topic(const struct redis *redis, int i)
{
    return (struct slice){(const char *)redis->topics[i].data, redis->topics[i].len};
}

/* The answer to what is asked last, where the ACL allows only the rest. */
static void withheld(struct redis *redis)
{
    char text[256];
    struct slice pattern = topic(redis, TOPIC_OLD);
    if (!redis->withheld)
        log_info("redis does not allow pattern=%s, which a few old emitters need",
                 log_escape(text, sizeof text, pattern.ptr, pattern.len));
    redis->withheld = 1;
}

static int on_error_reply(struct redis *redis, const redisReply *reply)
{
    char shown[160];
    if (redis->state == SUBSCRIBED && error_kind(reply->str) == FAIL_PERMISSION) {
        withheld(redis);
        return 0;
    }
    if (redis->state == SUBSCRIBED) {
        odd(redis, error_show(redis, reply->str, shown, sizeof shown));
        return 0;
    }
    return found(redis, error_kind(reply->str), "it answered: %s",
                 error_show(redis, reply->str, shown, sizeof shown));
}

static void subscribed(struct redis *redis)
{
    uint64_t now = clock_ms();
    redis->state = SUBSCRIBED;
    redis->subscribed_ms = now;
    redis->logged = 0;
    redis->pinged = 0;
    event_del(redis->timer);
    timer_set(redis->pulse, PING_MS);
    if (redis->lost_ms > 0) {
        uint64_t gap = now - redis->lost_ms;
        redis->stats.gap_ms += gap;
        log_warnx("redis subscribed again after %llu ms; what was published meanwhile is lost",
                  (unsigned long long)gap);
    } else {
        char text[256];
        const struct buf *pattern = &redis->topics[TOPIC_PATTERN];
        log_info("redis subscribed at %s: pattern=%s", redis->where,
                 log_escape(text, sizeof text, pattern->data, pattern->len));
    }
    redis->ops->state(1, redis->arg);
}

static int on_confirmation(struct redis *redis, const redisReply *reply, int pattern)
{
    struct slice name = element(reply, 1);
    for (int i = 0; i < TOPICS_NEEDED; i++) {
        if (slice_eq(name, topic(redis, i)) && (i == TOPIC_PATTERN) == pattern)
            redis->confirmed |= 1U << i;
    }
    if (redis->state == HANDSHAKE && redis->oks == 0 &&
        redis->confirmed == (1U << TOPICS_NEEDED) - 1)
        subscribed(redis);
    return 0;
}

/* at is where the channel stands: behind the pattern, if there is one. */
static int on_message(struct redis *redis, const redisReply *reply, size_t at)
{
    struct slice channel = element(reply, at), payload = element(reply, at + 1);
    if (reply->elements != at + 2 || !payload.ptr || !channel.ptr) {
        odd(redis, "a message of another shape");
        return 0;
    }
    redis->stats.messages++;
    redis->ops->message(channel, payload, redis->arg);
    return 0;
}

static int on_array(struct redis *redis, const redisReply *reply)
{
    struct slice kind = element(reply, 0);
    if (slice_eq(kind, SLICE("pmessage")))
        return on_message(redis, reply, 2);
    if (slice_eq(kind, SLICE("message")))
        return on_message(redis, reply, 1);
    if (slice_eq(kind, SLICE("psubscribe")))
        return on_confirmation(redis, reply, 1);
    if (slice_eq(kind, SLICE("subscribe")))
        return on_confirmation(redis, reply, 0);
    if (slice_eq(kind, SLICE("unsubscribe")) || slice_eq(kind, SLICE("punsubscribe")))
        return found(redis, FAIL_PROTOCOL, "it ended the subscription");
    if (!slice_eq(kind, SLICE("pong")))
        odd(redis, "an array that is no message");
    else if (slice_eq(element(reply, 1), SLICE(SYNC)))
        redis->ops->synced(redis->arg);
    return 0;
}

static int on_reply(struct redis *redis, const redisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_ARRAY:
        return on_array(redis, reply);
    case REDIS_REPLY_ERROR:
        return on_error_reply(redis, reply);
    case REDIS_REPLY_STATUS:
        if (redis->oks > 0 && slice_eq(text_of(reply), SLICE("OK")))
            redis->oks--;
        else if (!slice_eq(text_of(reply), SLICE("PONG")))
            odd(redis, "a status nobody asked for");
        return 0;
    default:
        odd(redis, "neither array, status nor error");
        return 0;
    }
}

/* --- reading ------------------------------------------------------------------ */

#if HIREDIS_MAJOR < 1
/* "*2147483647" would make hiredis allocate 16 GB and then look through it. */
static void *create_array(const redisReadTask *task, int elements)
{
    const struct redis *redis = task->privdata;
    return elements > ELEMENTS_MAX ? NULL : redis->defaults->createArray(task, elements);
}

static void reader_bound(struct redis *redis)
{
    redis->defaults = redis->reader->fn;
    redis->functions = *redis->defaults;
    redis->functions.createArray = create_array;
    redis->reader->fn = &redis->functions;
    redis->reader->privdata = redis;
}
#else
static void reader_bound(struct redis *redis)
{
    redis->reader->maxelements = ELEMENTS_MAX;
}
#endif

/* Any whole reply is a sign of life: a pong may be behind a lot.  Mere bytes are
 * not, for what looks like the start of a huge reply would swallow them for long. */
static void alive(struct redis *redis)
{
    redis->heard_ms = clock_ms();
    if (redis->pinged) {
        redis->pinged = 0;
        timer_set(redis->pulse, PING_MS);
    }
}

static int replies_take(struct redis *redis)
{
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK)
            return found(redis, FAIL_PROTOCOL, "not the redis protocol");
        if (!reply)
            return 0;
        redis->unfinished = 0;
        alive(redis);
        int rc = on_reply(redis, reply);
        freeReplyObject(reply);
        if (rc < 0)
            return -1;
        if (redis->paused)
            return 0;
    }
}

static int bytes_take(struct redis *redis, const char *bytes, size_t len)
{
    redis->unfinished += len;
    if (redisReaderFeed(redis->reader, bytes, len) != REDIS_OK)
        return found(redis, FAIL_MEMORY, "out of memory");
    if (replies_take(redis) < 0)
        return -1;
    if (redis->unfinished > redis->reply_max)
        return found(redis, FAIL_TOO_LARGE, "a reply of more than %zu bytes", redis->reply_max);
    return 0;
}

/* Returns 1 if there may be more, 0 if not, -1 where a failure was found. */
static int read_once(struct redis *redis)
{
    char bytes[READ_BYTES];
    ssize_t n = recv(bufferevent_getfd(redis->bev), bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    if (n < 0)
        return found(redis, FAIL_CLOSED, "connection broken: %s", strerror(errno));
    if (n == 0)
        return found(redis, FAIL_CLOSED, "it closed the connection");
    if (bytes_take(redis, bytes, (size_t)n) < 0)
        return -1;
    return n == sizeof bytes && !redis->paused;
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
    (void)found(redis, FAIL_CLOSED, "connection broken: %s", strerror(error));
    fail(redis);
}

/* --- connecting --------------------------------------------------------------- */

static int handshake(struct redis *redis, int fd)
{
    redis->state = HANDSHAKE;
    redis->confirmed = 0;
    redis->oks = 0;
    redis->unfinished = 0;
    redis->reader = redisReaderCreate();
    redis->bev = bufferevent_socket_new(redis->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!redis->bev)
        close(fd);
    redis->input = event_new(redis->base, fd, EV_READ | EV_PERSIST, on_input, redis);
    if (!redis->bev || !redis->reader || !redis->input)
        return found(redis, FAIL_MEMORY, "out of memory");
    if (auth_send(redis, fd) < 0)
        return -1;
    reader_bound(redis);
    bufferevent_setcb(redis->bev, NULL, NULL, on_event, redis);
    if (event_add(redis->input, NULL) < 0 || bufferevent_enable(redis->bev, EV_WRITE) < 0 ||
        select_put(redis) < 0 || subscribe_put(redis) < 0)
        return found(redis, FAIL_MEMORY, "out of memory");
    return 0;
}

static void on_dialled(int fd, const char *why, void *arg)
{
    struct redis *redis = arg;
    int rc = fd < 0 ? found(redis, FAIL_CONNECT, "%s", why) : handshake(redis, fd);
    dial_free(&redis->dial);
    if (rc < 0)
        fail(redis);
}

static const struct dial_ops dial_ops = {.done = on_dialled};

static void attempt(struct redis *redis)
{
    const struct conf_redis *conf = &redis->server;
    redis->stats.attempts++;
    redis->state = DIALLING;
    timer_set(redis->timer, ATTEMPT_MS);
    redis->dial = dial_new(redis->base, conf->path, conf->host, conf->port, &dial_ops, redis);
    if (!redis->dial) {
        (void)found(redis, FAIL_MEMORY, "cannot start: %s", strerror(errno));
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
    (void)found(redis, FAIL_DEADLINE, "%s within %d ms",
                redis->state == DIALLING ? "not connected" : "not subscribed", ATTEMPT_MS);
    fail(redis);
}

static void on_pulse(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;
    (void)fd;
    (void)what;
    if (redis->pinged) {
        (void)found(redis, FAIL_SILENT, "no answer for %llu ms",
                    (unsigned long long)(clock_ms() - redis->heard_ms));
        fail(redis);
        return;
    }
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    /* Out of memory: what cannot be asked is not answered either. */
    (void)bufferevent_write(redis->bev, ping, sizeof ping - 1);
    redis->pinged = 1;
    timer_set(redis->pulse, SILENCE_MS);
}

/* --- coming and going --------------------------------------------------------- */

/* What the pattern would take for a wild card is escaped, and no more than that: the
 * patterns of an ACL have to be spelled the same. */
static void glob_escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("*?[\\", *text))
            (void)buf_putc(out, '\\');
        (void)buf_putc(out, (uint8_t)*text);
    }
}

/* redis sends a message once for each subscription that matches its channel: no
 * channel may match two of these. */
static int topics_make(struct redis *redis, const char *key, const char *nsp)
{
    struct buf *pattern = &redis->topics[TOPIC_PATTERN], *old = &redis->topics[TOPIC_OLD];
    int failed = 0;
    glob_escape(pattern, key);
    (void)buf_putc(pattern, '#');
    glob_escape(pattern, nsp);
    (void)buf_puts(pattern, "#*");
    (void)buf_printf(&redis->topics[TOPIC_EMITTER], "%s#emitter", key);
    (void)buf_printf(&redis->topics[TOPIC_NSP], "%s#%s", key, nsp);
    glob_escape(old, key);
    (void)buf_puts(old, "#[^/]*");
    if (strcmp(nsp, "/") == 0) {
        (void)buf_putc(old, '#');
        (void)buf_printf(&redis->topics[TOPIC_BARE], "%s#", key);
    } else {
        glob_escape(old, nsp);
        (void)buf_puts(old, "#*");
    }
    for (int i = 0; i < TOPICS; i++)
        failed |= redis->topics[i].failed;
    return failed ? -1 : 0;
}

static char *text_copy(const char *text, int *failed)
{
    char *copy = text ? strdup(text) : NULL;
    *failed |= text && !copy;
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
    if (redis->server.password)
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
    redis->reply_max = 16 * conf->message_bytes;
    if (redis->reply_max < REPLY_MIN_BYTES)
        redis->reply_max = REPLY_MIN_BYTES;
}

void redis_pause(struct redis *redis)
{
    redis->paused = 1;
    if (redis->input)
        (void)event_del(redis->input);
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
    if (old->state != SUBSCRIBED && old->lost_ms > 0 && redis->subscribed_ms > old->lost_ms) {
        uint64_t gap = redis->subscribed_ms - old->lost_ms;
        redis->stats.gap_ms += gap;
        log_warnx("redis subscribed again after %llu ms; what was published meanwhile is lost",
                  (unsigned long long)gap);
    }
    redis->paused = 0;
    if (!redis->input)
        return;
    /* Fails for want of memory only: then it is silent, and soon found to be. */
    (void)event_add(redis->input, NULL);
    if (replies_take(redis) < 0) /* what was read in one go with the last confirmation */
        fail(redis);
}

struct redis *redis_new(struct event_base *base, const struct conf *conf,
                        const struct redis_ops *ops, void *arg)
{
    struct redis *redis = calloc(1, sizeof *redis);
    if (!redis)
        return NULL;
    redis->base = base;
    redis->ops = ops;
    redis->arg = arg;
    redis->backoff_ms = BACKOFF_MIN_MS;
    redis_limits(redis, conf);
    if (conf->redis.path)
        snprintf(redis->where, sizeof redis->where, "unix:%s", conf->redis.path);
    else
        snprintf(redis->where, sizeof redis->where,
                 strchr(conf->redis.host, ':') ? "[%s]:%d" : "%s:%d", conf->redis.host,
                 conf->redis.port);
    redis->timer = event_new(base, -1, 0, on_timer, redis);
    redis->pulse = event_new(base, -1, 0, on_pulse, redis);
    if (!redis->timer || !redis->pulse || topics_make(redis, conf->key, conf->nsp) < 0 ||
        server_copy(&redis->server, &conf->redis) < 0) {
        redis_free(&redis);
        return NULL;
    }
    timer_set(redis->timer, 0); /* state is WAITING: the first attempt */
    return redis;
}

void redis_free(struct redis **redisp)
{
    struct redis *redis = *redisp;
    if (!redis)
        return;
    *redisp = NULL;
    if (redis->timer && redis->pulse)
        disconnect(redis);
    if (redis->timer)
        event_free(redis->timer);
    if (redis->pulse)
        event_free(redis->pulse);
    for (int i = 0; i < TOPICS; i++)
        buf_free(&redis->topics[i]);
    server_free(redis);
    free(redis);
}

int redis_subscribed(const struct redis *redis)
{
    return redis->state == SUBSCRIBED;
}

int redis_sync(struct redis *redis)
{
    const char *argv[] = {"PING", SYNC};
    return redis->state == SUBSCRIBED ? command_put(redis, 2, argv, NULL) : -1;
}

uint64_t redis_read_us(const struct redis *redis)
{
    return redis->read_us;
}

const struct redis_stats *redis_stats(const struct redis *redis)
{
    return &redis->stats;
}
