#include "ask/place.h"

#include "ask/call.h"
#include "codec/ballot.h"
#include "codec/redis_error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 1000 /* to connect to one, and for each of its answers */

/* An answer that is no error.  Of one that is not asked any more why is not needed. */
static redisReply *ask(struct call *call, int argc, const char **argv, char *why, size_t cap)
{
    redisReply *reply = call_ask(call, ASK_MS, argc, argv, why, cap);
    char shown[300];

    if (reply == NULL || reply->type != REDIS_REPLY_ERROR)
        return reply;
    (void)snprintf(why, cap, "%s: %s", argv[0],
                   redis_error_show(reply->str, NULL, shown, sizeof(shown)));
    freeReplyObject(reply);
    return NULL;
}

static struct call *open_at(const struct conf_redis *at, char *why, size_t cap)
{
    struct call *call = call_connect(at, ASK_MS, why, cap);

    if (call != NULL && call_auth(call, at, ASK_MS, why, cap) < 0)
        call_free(&call);
    return call;
}

/* --- the sentinels ------------------------------------------------------------ */

/* What GET-MASTER-ADDR-BY-NAME has answered. */
static void take_place(struct place *place, const struct conf_redis *redis, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING) {
        (void)snprintf(place->why, sizeof(place->why), "it knows no master \"%.255s\"",
                       redis->name);
        return;
    }
    place->port =
        ballot_port(reply->element[0]->str, reply->element[0]->len, reply->element[1]->str);
    if (place->port < 0)
        (void)snprintf(place->why, sizeof(place->why), "it names no address of \"%.255s\"",
                       redis->name);
    else
        (void)snprintf(place->host, sizeof(place->host), "%s", reply->element[0]->str);
}

/* And MASTER. */
static void take_epoch(struct place *place, const redisReply *reply)
{
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2)
        if (reply->element[i]->type == REDIS_REPLY_STRING &&
            reply->element[i + 1]->type == REDIS_REPLY_STRING &&
            strcmp(reply->element[i]->str, "config-epoch") == 0)
            place->epoch = strtoll(reply->element[i + 1]->str, NULL, 10);
}

static void ask_place(struct place *place, const struct conf_redis *redis, struct call *call)
{
    const char *where[] = {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", redis->name};
    const char *all[] = {"SENTINEL", "MASTER", redis->name};
    redisReply *reply = ask(call, 3, where, place->why, sizeof(place->why));
    char why[PLACE_WHY_MAX];

    if (reply == NULL)
        return;
    place->answered = 1;
    take_place(place, redis, reply);
    freeReplyObject(reply);
    if (place->host[0] == '\0')
        return;
    reply = ask(call, 3, all, why, sizeof(why)); /* without the right to ask it, its epoch is
                                                    not known */
    if (reply == NULL)
        return;
    take_epoch(place, reply);
    freeReplyObject(reply);
}

void place_ask(struct place *place, const struct conf_redis *redis, size_t i)
{
    const struct conf_redis at = {.host = redis->sentinels[i].host,
                                  .port = redis->sentinels[i].port,
                                  .username = redis->sentinel_username,
                                  .password = redis->sentinel_password,
                                  .tls = redis->sentinel_tls};
    struct call *call;

    *place = (struct place){.epoch = BALLOT_UNKNOWN};
    call = open_at(&at, place->why, sizeof(place->why));
    if (call != NULL)
        ask_place(place, redis, call);
    call_free(&call);
}

/* --- the master --------------------------------------------------------------- */

/* 1 if the redis at that place says that it is the master, or does not allow the question; 0 and
 * why. */
static int is_master(const struct conf_redis *redis, const char *host, int port, char *why,
                     size_t cap)
{
    char copy[256];
    const char *argv[] = {"ROLE"};
    struct conf_redis at = *redis;
    struct call *call;
    redisReply *reply;
    int is = 0;

    (void)snprintf(copy, sizeof(copy), "%s", host);
    at.host = copy;
    at.port = port;
    call = open_at(&at, why, cap);
    if (call == NULL)
        return 0;
    reply = call_ask(call, ASK_MS, 1, argv, why, cap);
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        is = strncmp(reply->str, "NOPERM", 6) == 0;
    else if (reply != NULL)
        is = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
             reply->element[0]->type == REDIS_REPLY_STRING &&
             strcmp(reply->element[0]->str, "master") == 0;
    if (reply != NULL && !is)
        (void)snprintf(why, cap, "it says that it is no master");
    if (reply != NULL)
        freeReplyObject(reply);
    call_free(&call);
    return is;
}

/* --- all of it ---------------------------------------------------------------- */

struct finding {
    const struct conf_redis *redis;
    struct place places[BALLOT_MAX];
    struct vote votes[BALLOT_MAX];
    size_t asked, answered;
    char why[PLACE_WHY_MAX]; /* the last of them, or the last place, was no good */
};

static void ask_sentinel(struct finding *finding)
{
    size_t i = finding->asked++;
    const struct conf_sentinel *sentinel = &finding->redis->sentinels[i];
    struct place *place = &finding->places[i];

    place_ask(place, finding->redis, i);
    finding->answered += (size_t)place->answered;
    if (place->host[0] != '\0')
        finding->votes[i] = (struct vote){place->host, place->port, place->epoch, 0};
    else
        (void)snprintf(finding->why, sizeof(finding->why), "the sentinel %.100s:%d: %.250s",
                       sentinel->host, sentinel->port, place->why);
}

static int try_all(struct finding *finding, struct conf_redis *redis)
{
    struct candidate list[BALLOT_MAX];
    size_t n = ballot_count(finding->votes, finding->asked, list);
    char why[PLACE_WHY_MAX];

    for (size_t i = 0; i < n; i++) {
        if (is_master(redis, list[i].host, list[i].port, why, sizeof(why))) {
            redis->host = strdup(list[i].host);
            redis->port = list[i].port;
            return redis->host != NULL ? 0 : -1;
        }
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

int place_find(struct conf_redis *redis, char *why, size_t cap)
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
        (void)snprintf(why, cap, "%s", finding.why);
    else
        sentinels_drop(redis);
    return rc;
}
