#include "notify/master.h"

#include "codec/ballot.h"
#include "notify/call.h"
#include "notify/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 1000 /* to connect to one, and for each of its answers */

struct finding {
    const struct conf_redis *redis;
    struct vote votes[BALLOT_MAX];
    char hosts[BALLOT_MAX][256];
    size_t asked, answered;
    char why[400]; /* the last of them, or the last place, was no good */
};

/* Of one that is not asked any more why is not needed. */
static redisReply *ask(struct finding *finding, struct call *call, int argc, const char **argv)
{
    redisReply *reply = call_ask(call, ASK_MS, argc, argv, finding->why, sizeof(finding->why));

    if (reply == NULL || reply->type != REDIS_REPLY_ERROR)
        return reply;
    (void)snprintf(finding->why, sizeof(finding->why), "%s: %.300s", argv[0], reply->str);
    freeReplyObject(reply);
    return NULL;
}

static int let_in(struct finding *finding, struct call *call, const struct conf_redis *at)
{
    const char *password = at->password != NULL ? at->password : "";
    const char *argv[] = {"AUTH", at->username != NULL ? at->username : password, password};
    redisReply *reply;

    if (at->username == NULL && at->password == NULL)
        return 0;
    reply = ask(finding, call, at->username != NULL ? 3 : 2, argv);
    if (reply == NULL)
        return -1;
    freeReplyObject(reply);
    return 0;
}

static struct call *open_at(struct finding *finding, const struct conf_redis *at)
{
    struct call *call = call_connect(at, ASK_MS, finding->why, sizeof(finding->why));

    if (call != NULL && let_in(finding, call, at) < 0)
        call_free(&call);
    return call;
}

/* --- the sentinels ------------------------------------------------------------ */

/* What GET-MASTER-ADDR-BY-NAME has answered. */
static void take_place(struct finding *finding, const redisReply *reply)
{
    struct vote *vote = &finding->votes[finding->asked];
    char *host = finding->hosts[finding->asked];

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING) {
        (void)snprintf(finding->why, sizeof(finding->why), "it knows no master \"%.255s\"",
                       finding->redis->name);
        return;
    }
    (void)snprintf(host, sizeof(finding->hosts[0]), "%s", reply->element[0]->str);
    *vote = (struct vote){host, (int)strtol(reply->element[1]->str, NULL, 10), BALLOT_UNKNOWN, 0};
}

/* And MASTER. */
static void take_epoch(struct finding *finding, const redisReply *reply)
{
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2)
        if (reply->element[i]->type == REDIS_REPLY_STRING &&
            reply->element[i + 1]->type == REDIS_REPLY_STRING &&
            strcmp(reply->element[i]->str, "config-epoch") == 0)
            finding->votes[finding->asked].epoch = strtoll(reply->element[i + 1]->str, NULL, 10);
}

static void ask_place(struct finding *finding, struct call *call)
{
    const char *place[] = {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", finding->redis->name};
    const char *all[] = {"SENTINEL", "MASTER", finding->redis->name};
    redisReply *reply = ask(finding, call, 3, place);

    if (reply == NULL)
        return;
    finding->answered++;
    take_place(finding, reply);
    freeReplyObject(reply);
    if (finding->votes[finding->asked].host == NULL)
        return;
    reply = ask(finding, call, 3, all); /* without the right to ask it, its epoch is not known */
    if (reply != NULL)
        take_epoch(finding, reply);
    if (reply != NULL)
        freeReplyObject(reply);
}

static void ask_sentinel(struct finding *finding)
{
    const struct conf_redis *redis = finding->redis;
    const struct conf_sentinel *sentinel = &redis->sentinels[finding->asked];
    const struct conf_redis at = {.host = sentinel->host,
                                  .port = sentinel->port,
                                  .username = redis->sentinel_username,
                                  .password = redis->sentinel_password,
                                  .tls = redis->sentinel_tls};
    struct call *call = open_at(finding, &at);
    char why[sizeof(finding->why)];

    if (call != NULL)
        ask_place(finding, call);
    if (finding->votes[finding->asked].host == NULL) {
        (void)snprintf(why, sizeof(why), "%s", finding->why);
        (void)snprintf(finding->why, sizeof(finding->why), "the sentinel %.100s:%d: %.250s",
                       at.host, at.port, why);
    }
    call_free(&call);
    finding->asked++;
}

/* --- the master --------------------------------------------------------------- */

/* 1 if it is, or does not allow the question. */
static int is_master(struct finding *finding, const struct candidate *candidate)
{
    static char host[256];
    const char *argv[] = {"ROLE"};
    struct conf_redis at = *finding->redis;
    struct call *call;
    redisReply *reply;
    int is = 0;

    (void)snprintf(host, sizeof(host), "%s", candidate->host);
    at.host = host;
    at.port = candidate->port;
    call = open_at(finding, &at);
    if (call == NULL)
        return 0;
    reply = call_ask(call, ASK_MS, 1, argv, finding->why, sizeof(finding->why));
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        is = strncmp(reply->str, "NOPERM", 6) == 0;
    else if (reply != NULL)
        is = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
             reply->element[0]->type == REDIS_REPLY_STRING &&
             strcmp(reply->element[0]->str, "master") == 0;
    if (reply != NULL && !is)
        (void)snprintf(finding->why, sizeof(finding->why), "it says that it is no master");
    if (reply != NULL)
        freeReplyObject(reply);
    call_free(&call);
    return is;
}

static int try_all(struct finding *finding, struct conf_redis *redis)
{
    struct candidate list[BALLOT_MAX];
    size_t n = ballot_count(finding->votes, finding->asked, list);

    for (size_t i = 0; i < n; i++) {
        char why[sizeof(finding->why)];
        if (is_master(finding, &list[i])) {
            redis->host = strdup(list[i].host);
            redis->port = list[i].port;
            return redis->host != NULL ? 0 : -1;
        }
        (void)snprintf(why, sizeof(why), "%s", finding->why);
        (void)snprintf(finding->why, sizeof(finding->why), "%.100s:%d: %.250s", list[i].host,
                       list[i].port, why);
    }
    return -1;
}

static void sentinels_drop(struct conf_redis *redis)
{
    for (size_t i = 0; i < redis->nsentinels; i++)
        free(redis->sentinels[i].host);
    free(redis->sentinels);
    redis->sentinels = NULL;
    redis->nsentinels = 0;
}

int master_find(struct conf_redis *redis)
{
    struct finding finding = {.redis = redis};
    int rc;

    if (redis->nsentinels == 0)
        return 0;
    while (finding.asked < redis->nsentinels && finding.asked < BALLOT_MAX &&
           2 * finding.answered <= redis->nsentinels)
        ask_sentinel(&finding);
    rc = try_all(&finding, redis);
    /* Those that were not asked may know better. */
    while (rc < 0 && finding.asked < redis->nsentinels && finding.asked < BALLOT_MAX) {
        ask_sentinel(&finding);
        rc = try_all(&finding, redis);
    }
    if (rc < 0)
        (void)say_fail("cannot find the redis master \"%s\": %s", redis->name, finding.why);
    else
        sentinels_drop(redis);
    return rc;
}
