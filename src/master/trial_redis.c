#include "master/trial_redis.h"

#include "ask/place.h"
#include "base/clock.h"
#include "codec/ballot.h"
#include "master/privileges.h"
#include "master/trial_rights.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIAL_MS 3000 /* for one server, all in all */

struct one_sentinel {
    const struct conf_redis *redis;
    const struct privileges *as;
    size_t i;
    struct aside aside;
    struct place place;
};

struct trial_redis {
    const struct conf *conf;
    const struct privileges *as;
    struct conf_redis at; /* that is asked, borrowed from conf */
    struct aside aside;   /* of the one redis; where there are sentinels: */
    struct one_sentinel sentinels[BALLOT_MAX];
    size_t n;
    uint64_t until;
};

/* What the other process is given. */
struct asking {
    const struct conf *conf;
    const struct conf_redis *at;
    const struct privileges *as;
};

/* A Unix socket may be for others only.  Where that is not to be, check_user() has said so. */
static void become(const struct privileges *as)
{
    struct buf error = {0};

    if (as != NULL)
        (void)privileges_drop(as, &error);
    buf_free(&error);
}

static void ask_redis(const void *arg, int fd)
{
    const struct asking *asking = arg;
    struct trial trial = {0};

    become(asking->as);
    trial_rights(&trial, asking->conf, asking->at);
    trial_send(&trial, fd);
}

static void ask_sentinel(const void *arg, int fd)
{
    const struct one_sentinel *one = arg;
    struct place place;

    become(one->as);
    place_ask(&place, one->redis, one->i);
    (void)!write(fd, &place, sizeof(place)); /* less than a pipe takes at once */
}

struct trial_redis *trial_redis_begin(const struct conf *conf, const struct privileges *as)
{
    struct trial_redis *redis = calloc(1, sizeof(*redis));
    const struct asking asking = {conf, &conf->redis, as};

    if (redis == NULL)
        return NULL;
    redis->conf = conf;
    redis->as = as;
    redis->at = conf->redis;
    redis->until = clock_ms() + TRIAL_MS;
    redis->n = conf->redis.nsentinels < BALLOT_MAX ? conf->redis.nsentinels : BALLOT_MAX;
    for (size_t i = 0; i < redis->n; i++) {
        struct one_sentinel *one = &redis->sentinels[i];

        one->redis = &conf->redis;
        one->as = as;
        one->i = i;
        aside_begin(&one->aside, "sentinel", ask_sentinel, one);
    }
    if (redis->n == 0)
        aside_begin(&redis->aside, "redis", ask_redis, &asking);
    return redis;
}

/* --- sentinels -------------------------------------------------------------------- */

static void take_place(struct one_sentinel *one, uint64_t until)
{
    int rc = aside_end(&one->aside, until);

    one->place = (struct place){.epoch = BALLOT_UNKNOWN};
    if (rc == 0 && one->aside.bytes.len == sizeof(one->place))
        memcpy(&one->place, one->aside.bytes.data, sizeof(one->place));
    else
        (void)snprintf(one->place.why, sizeof(one->place.why), "no answer within %d s",
                       TRIAL_MS / 1000);
    buf_free(&one->aside.bytes);
}

/* One that is away, or does not know the master, is in nobody's way where another knows it. */
static void say_place(struct trial *trial, const struct one_sentinel *one, enum trial_kind kind)
{
    const struct conf_sentinel *at = &one->redis->sentinels[one->i];

    if (one->place.host[0] != '\0')
        trial_say(trial, TRIAL_GOOD, "sentinel %s:%d: the master \"%s\" is at %s:%d", at->host,
                  at->port, one->redis->name, one->place.host, one->place.port);
    else if (one->place.answered)
        trial_say(trial, kind, "sentinel %s:%d: %s (socket.io:redis:name)", at->host, at->port,
                  one->place.why);
    else
        trial_say(trial, kind, "sentinel %s:%d: %s%s", at->host, at->port, one->place.why,
                  trial_hint(one->place.why, 1));
}

/* The place that counts most and says itself that it is the master; or 0. */
static int find_master(struct trial *trial, struct trial_redis *redis,
                       struct candidate list[BALLOT_MAX])
{
    struct vote votes[BALLOT_MAX] = {0};
    size_t n;

    for (size_t i = 0; i < redis->n; i++) {
        const struct place *place = &redis->sentinels[i].place;

        if (place->host[0] != '\0')
            votes[i] = (struct vote){place->host, place->port, place->epoch, 0};
    }
    n = ballot_count(votes, redis->n, list);
    if (n == 0)
        trial_say(trial, TRIAL_BAD, "redis: no sentinel says where the master \"%s\" is",
                  redis->conf->redis.name);
    else if (n > 1)
        trial_say(trial, TRIAL_ODD,
                  "redis: the sentinels do not agree where the master is; the newer place counts, "
                  "%s:%d",
                  list[0].host, list[0].port);
    return n > 0;
}

static void try_master(struct trial *trial, struct trial_redis *redis)
{
    struct candidate list[BALLOT_MAX];
    struct asking asking = {redis->conf, &redis->at, redis->as};
    char host[sizeof(redis->sentinels[0].place.host)];

    if (!find_master(trial, redis, list))
        return;
    (void)snprintf(host, sizeof(host), "%s", list[0].host);
    redis->at.host = host;
    redis->at.port = list[0].port;
    redis->at.path = NULL;
    aside_begin(&redis->aside, "redis", ask_redis, &asking);
    trial_take(trial, &redis->aside, clock_ms() + TRIAL_MS);
}

void trial_redis_end(struct trial *trial, struct trial_redis **redisp)
{
    struct trial_redis *redis = *redisp;
    enum trial_kind kind = TRIAL_BAD;

    *redisp = NULL;
    if (redis == NULL) {
        trial_say(trial, TRIAL_BAD, "redis: out of memory");
        return;
    }
    for (size_t i = 0; i < redis->n; i++) {
        take_place(&redis->sentinels[i], redis->until);
        if (redis->sentinels[i].place.host[0] != '\0')
            kind = TRIAL_ODD;
    }
    for (size_t i = 0; i < redis->n; i++)
        say_place(trial, &redis->sentinels[i], kind);
    if (redis->n > 0)
        try_master(trial, redis);
    else
        trial_take(trial, &redis->aside, redis->until);
    free(redis);
}
