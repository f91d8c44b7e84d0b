#include "ask/call.h"

#include "ask/wire.h"
#include "base/clock.h"
#include "codec/hiredis_count.h"
#include "codec/redis_error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WRITE_MS     5000 /* that nothing of a command is taken */
#define READ_BYTES   16384
#define ANSWER_MAX   65536
#define MESSAGE_MAX  (256 << 20) /* answers of others come on the same channel: megabytes */
#define ELEMENTS_MAX 4
#define DEEP_MAX     256 /* of what call_ask() asks; and so many within each other: */
#define DEPTH_MAX    3

struct call {
    redisContext *redis; /* its socket, and its reader */
    struct wire *wire;   /* on that socket */
};

/* What went wrong with the connection; hiredis shows a timeout as EAGAIN. */
static const char *error_text(const redisContext *redis, unsigned ms)
{
    static char text[64];

    if (redis == NULL)
        return "no memory";
    if (redis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT)) {
        (void)snprintf(text, sizeof(text), "no answer within %u s", (ms + 999) / 1000);
        return text;
    }
    return redis->errstr;
}

/* ---- reading ---- */

/* Those of hiredis, and with an array of ours. */
static redisReplyObjectFunctions *defaults, functions;
static int is_deep;

/* What claims to be a large array would take all the memory that there is. */
static void *small_array(const redisReadTask *task, hiredis_count elements)
{
    const redisReadTask *at = task;
    int depth = 1;

    for (; at->parent != NULL; at = at->parent)
        depth++;
    if (depth > (is_deep ? DEPTH_MAX : 1) ||
        (size_t)elements > (size_t)(is_deep ? DEEP_MAX : ELEMENTS_MAX))
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
static int take(struct call *call, size_t most, void **reply, const char **why)
{
    redisContext *redis = call->redis;

    *reply = NULL;
    if (redisGetReplyFromReader(redis, reply) == REDIS_OK &&
        (*reply != NULL || redis->reader->len <= most))
        return 0;
    *why = redis->err == 0 || redis->err == REDIS_ERR_OOM ? "an answer that is an array or too long"
                                                          : redis->errstr;
    return -1;
}

/* Returns 1, 0 if nothing has come by then, or -1 and *why. */
static int read_more(struct call *call, uint64_t until, const char **why)
{
    char bytes[READ_BYTES];
    ssize_t n = wire_read(call->wire, bytes, sizeof(bytes), until);

    if (n <= 0) {
        *why = wire_why(call->wire);
        return (int)n;
    }
    if (redisReaderFeed(call->redis->reader, bytes, (size_t)n) == REDIS_OK)
        return 1;
    *why = "no memory";
    return -1;
}

static int write_all(struct call *call, int argc, const char **argv, const size_t *lengths,
                     const char **why)
{
    char *command;
    int len = redisFormatCommandArgv(&command, argc, argv, lengths), rc;

    if (len < 0) {
        *why = "no memory";
        return -1;
    }
    rc = wire_write(call->wire, command, (size_t)len, WRITE_MS);
    explicit_bzero(command, (size_t)len); /* AUTH */
    redisFreeCommand(command);
    *why = wire_why(call->wire);
    return rc;
}

/* Sends a command and waits for its answer.  Returns that, or NULL; then *why is what
 * went wrong. */
static redisReply *ask(struct call *call, unsigned ms, int argc, const char **argv,
                       const size_t *lengths, const char **why)
{
    static char late[64];
    void *reply = NULL;

    if (write_all(call, argc, argv, lengths, why) < 0)
        return NULL;
    while (reply == NULL) {
        int rc = read_more(call, clock_ms() + ms, why);

        if (rc == 0) {
            (void)snprintf(late, sizeof(late), "no answer within %u s", (ms + 999) / 1000);
            *why = late;
        }
        if (rc <= 0 || take(call, ANSWER_MAX, &reply, why) != 0)
            return NULL;
    }
    return reply;
}

redisReply *call_command(struct call *call, unsigned ms, int argc, const char **argv,
                         const size_t *lengths, char *why, size_t cap)
{
    const char *what = NULL;
    redisReply *reply = ask(call, ms, argc, argv, lengths, &what);

    if (reply == NULL)
        (void)snprintf(why, cap, "%s: %s", argv[0], what);
    return reply;
}

redisReply *call_ask(struct call *call, unsigned ms, int argc, const char **argv, char *why,
                     size_t cap)
{
    redisReply *reply;

    is_deep = 1;
    reply = call_command(call, ms, argc, argv, NULL, why, cap);
    is_deep = 0;
    return reply;
}

int call_wait(struct call *call, uint64_t until, redisReply **reply, void (*rest)(void *arg),
              void *arg, char *why, size_t cap)
{
    const char *what = NULL;
    void *next;
    int rc = 1;

    while (rc > 0 && take(call, MESSAGE_MAX, &next, &what) == 0) {
        *reply = next;
        if (next != NULL)
            return 1;
        if (rest != NULL)
            rest(arg);
        rc = read_more(call, until, &what);
        if (rc == 0)
            return 0;
    }
    (void)snprintf(why, cap, "%s", what);
    return -1;
}

/* ---- connecting ---- */

/* As the master does: where localhost is need not be asked for, and a machine without /etc/hosts
 * has it, too. */
static redisContext *connect_to(const char *host, int port, struct timeval limit)
{
    int is_local = strcasecmp(host, "localhost") == 0;
    redisContext *first = redisConnectWithTimeout(is_local ? "127.0.0.1" : host, port, limit);
    redisContext *second;

    if (!is_local || first == NULL || first->err == 0)
        return first;
    second = redisConnectWithTimeout("::1", port, limit);
    if (second != NULL && second->err == 0) {
        redisFree(first);
        return second;
    }
    if (second != NULL)
        redisFree(second);
    return first;
}

/* Returns 0, or -1 and why. */
static int dial(struct call *call, const struct conf_redis *conf, unsigned ms, char *why,
                size_t cap)
{
    const struct timeval limit = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
    uint64_t until = clock_ms() + ms;

    call->redis = conf->path != NULL ? redisConnectUnixWithTimeout(conf->path, limit)
                                     : connect_to(conf->host, conf->port, limit);
    if (call->redis == NULL || call->redis->err != 0) {
        (void)snprintf(why, cap, "%s", error_text(call->redis, ms));
        return -1;
    }
    guard(call->redis);
    call->wire = wire_new(call->redis->fd, conf, until, why, cap);
    return call->wire != NULL ? 0 : -1;
}

struct call *call_connect(const struct conf_redis *conf, unsigned ms, char *why, size_t cap)
{
    struct call *call = calloc(1, sizeof(*call));

    (void)snprintf(why, cap, "no memory");
    if (call != NULL && dial(call, conf, ms, why, cap) < 0)
        call_free(&call);
    return call;
}

int call_auth(struct call *call, const struct conf_redis *conf, unsigned ms, char *why, size_t cap)
{
    const char *password = conf->password != NULL ? conf->password : ""; /* of a user: nopass */
    const char *argv[] = {"AUTH", conf->username != NULL ? conf->username : password, password};
    char shown[160];
    redisReply *reply;
    int is_good;

    if (conf->password == NULL && conf->username == NULL)
        return 0;
    reply = call_command(call, ms, conf->username != NULL ? 3 : 2, argv, NULL, why, cap);
    if (reply == NULL)
        return -1;
    is_good = reply->type == REDIS_REPLY_STATUS;
    if (!is_good)
        (void)snprintf(why, cap, "AUTH: %s",
                       reply->type == REDIS_REPLY_ERROR
                           ? redis_error_show(reply->str, conf->password, shown, sizeof(shown))
                           : "an answer that makes no sense");
    freeReplyObject(reply);
    return is_good ? 0 : -1;
}

void call_free(struct call **call)
{
    if (*call == NULL)
        return;
    wire_free(&(*call)->wire);
    if ((*call)->redis != NULL)
        redisFree((*call)->redis);
    free(*call);
    *call = NULL;
}
