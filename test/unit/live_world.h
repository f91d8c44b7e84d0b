/* live_world - a status with something in every part of it, and strings that are as bad as they
 * may be. */
#ifndef TEST_LIVE_WORLD_H
#define TEST_LIVE_WORLD_H

#include "master/status.h"

#include <string.h>

#define LIVE_NSP  "/a\"\\\n\x01\xff</script>"
#define LIVE_HOST "red\"is\xc3.example"

static char live_nsp[] = LIVE_NSP, live_host[] = LIVE_HOST;
static char live_name[] = "*.one\".example", live_kind[] = "ECDSA P-256";
static char *live_names[] = {live_name, NULL};
static struct conf_certificate live_certificate = {.names = live_names, .kind = live_kind};
static struct conf_redis live_redis = {.host = live_host, .port = 6379};
static struct conf live_conf;

/* For stats with two workers in the first lanes. */
static inline void live_status(struct status *status, const struct stats *stats)
{
    live_conf.nsp = live_nsp;
    live_conf.tls.at = &live_certificate;
    live_conf.tls.n = 1;
    memset(status, 0, sizeof(*status));
    status->stats = stats;
    status->conf = &live_conf;
    status->tls = &live_conf.tls;
    status->uptime_ms = 61007;
    status->generation = 3;
    status->users = 2;
    status->rooms = 4;
    status->memberships = 9;
    status->redis_subscribed = 1;
    status->redis_server = &live_redis;
    status->redis.gaps = 5;
    status->redis.gap_ms = 1234;
    status->redis_gap_ms = 77;
    status->redis.messages = 100;
    status->relay.dropped[EMIT_MALFORMED] = 6;
    status->reloads = 2;
    status->reloads_failed = 1;
    status->reload_ms = 88;
    status->nworkers = 1;
    status->numbers = 2;
    status->workers[0] = (struct status_worker){
        .number = 1, .up = 1, .restarts = 5, .queued = 7, .pid = 123, .generation = 3};
    status->workers[1] = (struct status_worker){.number = 2};
    status->ngenerations = 2;
    status->generations[0] = (struct status_generation){2, 1, STATUS_LEAVES};
    status->generations[1] = (struct status_generation){3, 1, STATUS_SERVES};
}

#endif
