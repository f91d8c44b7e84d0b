#include "notify/call.h"

#include "codec/redis_error.h"
#include "notify/say.h"

#define REDIS_MS 5000 /* to connect, and for each answer */
#define WHY_MAX  400

redisReply *call_redis(struct call *call, int type, int argc, const char **argv,
                       const size_t *lengths)
{
    char why[WHY_MAX];
    redisReply *reply = call_command(call, REDIS_MS, argc, argv, lengths, why, sizeof(why));

    if (reply != NULL && reply->type == type)
        return reply;
    if (reply == NULL)
        say_fail("redis: %s", why);
    else if (reply->type == REDIS_REPLY_ERROR)
        say_fail("redis: %s: %s", argv[0], redis_error_show(reply->str, NULL, why, sizeof(why)));
    else
        say_fail("redis: %s: an answer that makes no sense", argv[0]);
    if (reply != NULL)
        freeReplyObject(reply);
    return NULL;
}

int call_next(struct call *call, uint64_t until, redisReply **reply, void (*rest)(void *arg),
              void *arg)
{
    char why[WHY_MAX];
    int rc = call_wait(call, until, reply, rest, arg, why, sizeof(why));

    if (rc < 0)
        say_fail("redis: while waiting for answers: %s", why);
    return rc;
}

struct call *call_open(const struct conf_redis *conf)
{
    char why[WHY_MAX];
    struct call *call = call_connect(conf, REDIS_MS, why, sizeof(why));

    if (call == NULL && conf->path != NULL)
        say_fail("cannot connect to redis at %s: %s", conf->path, why);
    else if (call == NULL)
        say_fail("cannot connect to redis at %s:%d: %s", conf->host, conf->port, why);
    else if (call_auth(call, conf, REDIS_MS, why, sizeof(why)) < 0) {
        say_fail("redis: %s", why);
        call_free(&call);
    }
    return call;
}
