#include "master/redis_state.h"

#include "base/clock.h"
#include "master/timer.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#define ODD_LOG_MS   60000
#define ELEMENTS_MAX 64 /* of an array; a message has 4 */

/* --- what they mean ----------------------------------------------------------- */

static struct slice text_of(const redisReply *reply)
{
    return (struct slice){reply->str, reply->len};
}

/* Element i of an array as a string; empty where it is something else. */
static struct slice element(const redisReply *reply, size_t i)
{
    const redisReply *one = i < reply->elements ? reply->element[i] : NULL;

    if (one == NULL || one->type != REDIS_REPLY_STRING || one->str == NULL)
        return (struct slice){0};
    return text_of(one);
}

static void odd(struct redis *redis, const char *what)
{
    uint64_t count;

    redis->stats.odd++;
    count = log_due(&redis->odd_log, ODD_LOG_MS);
    if (count > 0)
        log_warnx("redis: reply ignored: %s count=%llu", what, (unsigned long long)count);
}

static enum redis_failure error_kind(const char *text)
{
    if (strncmp(text, "NOAUTH", 6) == 0 || strncmp(text, "WRONGPASS", 9) == 0)
        return FAIL_PASSWORD;
    if (strstr(text, "invalid password") != NULL ||
        strstr(text, "AUTH <password> called without") != NULL)
        return FAIL_PASSWORD;
    if (strncmp(text, "NOPERM", 6) == 0)
        return FAIL_PERMISSION;
    if (strncmp(text, "LOADING", 7) == 0)
        return FAIL_LOADING;
    return strstr(text, "max number of clients") != NULL ? FAIL_CLIENTS : FAIL_ERROR;
}

/* What redis says to an unknown command has its arguments in it: the password,
 * where that command is AUTH. */
static const char *error_show(const struct redis *redis, const char *text, char *dst, size_t cap)
{
    const char *password = redis->server.password;
    const char *args = strstr(text, "with args");

    if (password != NULL && strstr(text, password) != NULL)
        return "an error that shows the password";
    return log_escape(dst, cap, text, args != NULL ? (size_t)(args - text) : strlen(text));
}

/* The answer to what is asked last, where the ACL allows only the rest. */
static void withheld(struct redis *redis)
{
    char text[256];
    struct slice pattern = subscribe_topic(redis, TOPIC_OLD);

    if (!redis->withheld)
        log_info("redis does not allow pattern=%s, which a few old emitters need",
                 log_escape(text, sizeof(text), pattern.ptr, pattern.len));
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
        odd(redis, error_show(redis, reply->str, shown, sizeof(shown)));
        return 0;
    }
    return redis_found(redis, error_kind(reply->str), "it answered: %s",
                       error_show(redis, reply->str, shown, sizeof(shown)));
}

static int on_confirmation(struct redis *redis, const redisReply *reply, int pattern)
{
    struct slice name = element(reply, 1);

    for (int i = 0; i < TOPICS; i++) {
        if (slice_eq(name, subscribe_topic(redis, i)) &&
            (i == TOPIC_PATTERN || i == TOPIC_OLD) == pattern)
            redis->confirmed |= 1U << i;
    }
    if (redis->state == HANDSHAKE && redis->oks == 0 &&
        (redis->confirmed & TOPICS_MASK) == TOPICS_MASK)
        redis_ready(redis);
    return 0;
}

/* at is where the channel stands: behind the pattern, if there is one. */
static int on_message(struct redis *redis, const redisReply *reply, size_t at)
{
    struct slice channel = element(reply, at), payload = element(reply, at + 1);

    if (reply->elements != at + 2 || payload.ptr == NULL || channel.ptr == NULL) {
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
        return redis_found(redis, FAIL_PROTOCOL, "it ended the subscription");
    if (!slice_eq(kind, SLICE("pong")))
        odd(redis, "an array that is no message");
    else if (redis->syncs > 0 && slice_eq(element(reply, 1), SLICE(SYNC)) && --redis->syncs == 0)
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
    case REDIS_REPLY_INTEGER:
        if (redis->say.len > 0 && redis->state == HANDSHAKE)
            redis_said(redis);
        else
            odd(redis, "a number nobody asked for");
        return 0;
    default:
        odd(redis, "neither array, status nor error");
        return 0;
    }
}

/* --- from bytes --------------------------------------------------------------- */

#if HIREDIS_MAJOR < 1
typedef int count_t;
#else
typedef size_t count_t;
#endif

/* "*2147483647" would make hiredis allocate 16 GB and then look through it, and what
 * nests takes nineteen times its bytes.  No message does either. */
static void *create_array(const redisReadTask *task, count_t elements)
{
    struct redis *redis = task->privdata;

    if (task->parent == NULL && elements <= ELEMENTS_MAX)
        return redis->defaults->createArray(task, elements);
    (void)redis_found(redis, FAIL_PROTOCOL, "an array %s",
                      task->parent != NULL ? "within an array" : "of too many elements");
    return NULL;
}

static void reader_bound(struct redis *redis)
{
    redis->defaults = redis->reader->fn;
    redis->functions = *redis->defaults;
    redis->functions.createArray = create_array;
    redis->reader->fn = &redis->functions;
    redis->reader->privdata = redis;
}

int replies_begin(struct redis *redis)
{
    redis->confirmed = 0;
    redis->oks = 0;
    redis->syncs = 0;
    redis->unfinished = 0;
    redis->reader = redisReaderCreate();
    if (redis->reader == NULL)
        return -1;
    reader_bound(redis);
    return 0;
}

void replies_end(struct redis *redis)
{
    if (redis->reader != NULL)
        redisReaderFree(redis->reader);
    redis->reader = NULL;
}

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

int replies_take(struct redis *redis)
{
    for (;;) {
        void *reply = NULL;
        int rc;
        if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK)
            return redis_found(redis, FAIL_PROTOCOL, "not the redis protocol");
        if (reply == NULL)
            return 0;
        redis->unfinished = 0;
        alive(redis);
        rc = on_reply(redis, reply);
        freeReplyObject(reply);
        if (rc < 0)
            return -1;
        if (redis->paused)
            return 0;
    }
}

int replies_feed(struct redis *redis, const char *bytes, size_t len)
{
    redis->unfinished += len;
    if (redisReaderFeed(redis->reader, bytes, len) != REDIS_OK)
        return redis_found(redis, FAIL_MEMORY, "out of memory");
    if (replies_take(redis) < 0)
        return -1;
    if (redis->unfinished > redis->reply_max)
        return redis_found(redis, FAIL_TOO_LARGE, "a reply of more than %zu bytes",
                           redis->reply_max);
    return 0;
}
