#include "notify/call.h"

#include "base/clock.h"
#include "codec/hiredis_count.h"
#include "notify/say.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define REDIS_SEC    5 /* to connect, and for each answer */
#define ANSWER_MAX   65536
#define MESSAGE_MAX  (256 << 20) /* answers of others come on the same channel: megabytes */
#define ELEMENTS_MAX 4

/* What went wrong with the connection; hiredis shows a timeout as EAGAIN. */
static const char *error_text(const redisContext *redis)
{
    static char text[64];

    if (redis == NULL)
        return "no memory";
    if (redis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT)) {
        (void)snprintf(text, sizeof(text), "no answer within %d s", REDIS_SEC);
        return text;
    }
    return redis->errstr;
}

/* ---- reading ---- */

/* Those of hiredis, and with an array of ours. */
static redisReplyObjectFunctions *defaults, functions;

/* What claims to be a large array would take all the memory that there is. */
static void *small_array(const redisReadTask *task, hiredis_count elements)
{
    if (task->parent != NULL || elements > ELEMENTS_MAX)
        return NULL;
    return defaults->createArray(task, elements);
}

static void guard(redisContext *redis)
{
    defaults = redis->reader->fn;
    functions = *defaults;
    functions.createArray = small_array;
    redis->reader->fn = &functions;
}

/* Takes a reply out of what was read, NULL where it is not all there.  Returns 0, or -1 and
 * *why. */
static int take(redisContext *redis, size_t most, void **reply, const char **why)
{
    *reply = NULL;
    if (redisGetReplyFromReader(redis, reply) == REDIS_OK &&
        (*reply != NULL || redis->reader->len <= most))
        return 0;
    *why = redis->err == 0 || redis->err == REDIS_ERR_OOM ? "an answer that is an array or too long"
                                                          : error_text(redis);
    return -1;
}

static int read_more(redisContext *redis, const char **why)
{
    if (redisBufferRead(redis) == REDIS_OK)
        return 0;
    *why = error_text(redis);
    return -1;
}

/* Sends a command and waits for its answer.  Returns that, or NULL; then *why is what
 * went wrong. */
static redisReply *ask(redisContext *redis, int argc, const char **argv, const size_t *lengths,
                       const char **why)
{
    int result = redisAppendCommandArgv(redis, argc, argv, lengths), sent = 0;
    void *reply = NULL;

    while (result == REDIS_OK && !sent)
        result = redisBufferWrite(redis, &sent);
    if (result != REDIS_OK) {
        *why = error_text(redis);
        return NULL;
    }
    while (reply == NULL) {
        if (read_more(redis, why) != 0 || take(redis, ANSWER_MAX, &reply, why) != 0)
            return NULL;
    }
    return reply;
}

redisReply *call_redis(redisContext *redis, int type, int argc, const char **argv,
                       const size_t *lengths)
{
    const char *why = NULL;
    redisReply *reply = ask(redis, argc, argv, lengths, &why);

    if (reply != NULL && reply->type == type)
        return reply;
    if (reply == NULL)
        say_fail("redis: %s: %s", argv[0], why);
    else if (reply->type == REDIS_REPLY_ERROR)
        say_fail("redis: %s: %s", argv[0], reply->str);
    else
        say_fail("redis: %s: an answer that makes no sense", argv[0]);
    if (reply != NULL)
        freeReplyObject(reply);
    return NULL;
}

int call_next(redisContext *redis, uint64_t until, redisReply **reply, void (*rest)(void *arg),
              void *arg)
{
    struct pollfd fd = {.fd = redis->fd, .events = POLLIN};
    const char *why = NULL;
    void *next;
    int ready;

    while (take(redis, MESSAGE_MAX, &next, &why) == 0) {
        uint64_t now = clock_ms();

        *reply = next;
        if (next != NULL)
            return 1;
        rest(arg);
        ready = now < until ? poll(&fd, 1, until - now < INT32_MAX ? (int)(until - now) : INT32_MAX)
                            : 0;
        if (ready == 0)
            return 0;
        if (ready < 0 && errno != EINTR) {
            why = strerror(errno);
            break;
        }
        if (ready > 0 && read_more(redis, &why) != 0)
            break;
    }
    say_fail("redis: while waiting for answers: %s", why);
    return -1;
}

/* ---- connecting ---- */

static int let_in(redisContext *redis, const struct conf_redis *conf)
{
    const char *password = conf->password != NULL ? conf->password : ""; /* of a user: nopass */
    const char *argv[] = {"AUTH", conf->username, password};
    redisReply *reply;
    int argc = 3;

    if (conf->password == NULL && conf->username == NULL)
        return 0;
    if (conf->username == NULL) {
        argv[1] = password;
        argc = 2;
    }
    reply = call_redis(redis, REDIS_REPLY_STATUS, argc, argv, NULL);
    if (reply == NULL)
        return -1;
    freeReplyObject(reply);
    return 0;
}

redisContext *call_open(const struct conf_redis *conf)
{
    const struct timeval limit = {REDIS_SEC, 0};
    redisContext *redis = conf->path != NULL
                              ? redisConnectUnixWithTimeout(conf->path, limit)
                              : redisConnectWithTimeout(conf->host, conf->port, limit);

    if (redis != NULL && redis->err == 0 && redisSetTimeout(redis, limit) == REDIS_OK) {
        guard(redis);
        if (let_in(redis, conf) == 0)
            return redis;
    } else if (conf->path != NULL) {
        say_fail("cannot connect to redis at %s: %s", conf->path, error_text(redis));
    } else {
        say_fail("cannot connect to redis at %s:%d: %s", conf->host, conf->port, error_text(redis));
    }
    if (redis != NULL)
        redisFree(redis);
    return NULL;
}
