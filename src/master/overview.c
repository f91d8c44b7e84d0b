#include "master/overview.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/cluster.h"
#include "master/feed.h"
#include "master/gaps.h"
#include "master/pool.h"
#include "master/presence.h"
#include "master/recovery.h"
#include "master/relay.h"
#include "master/reload.h"
#include "master/route.h"
#include "master/running.h"
#include "master/watch.h"

#include <stdlib.h>
#include <time.h>

struct overview {
    const struct running *running;
    const struct reload *reload;
    const struct gaps *gaps;
    struct watch *watch;
    int64_t started_ms;       /* of the wall clock */
    uint64_t started_mono_ms; /* the same on the other */
    int is_stopping;
};

/* --- what it is ------------------------------------------------------------------------ */

static void put_parts(const struct running *running, struct status *status)
{
    status->redis_subscribed = feed_subscribed(running->feed);
    status->redis = feed_stats(running->feed);
    status->sentinels = feed_sentinels(running->feed);
    status->redis_server = feed_server(running->feed);
    status->commands = feed_commands(running->feed);
    cluster_stats(running->cluster, &status->cluster);
    status->presence = presence_stats(running->presence);
    recovery_stats(running->recovery, &status->recovery);
    status->relay = *relay_stats(running->relay);
    status->users = relay_users(running->relay);
    status->rooms = route_rooms(relay_route(running->relay));
    status->memberships = route_seats(relay_route(running->relay));
    status->conf = running->conf;
    status->tls = &running->conf->tls;
    status->ngenerations = pool_generations(running->pool, status->generations);
    status->numbers = pool_status(running->pool, status->workers, &status->nworkers);
}

static void put_reloads(const struct reload *reload, struct status *status)
{
    const struct reload_stats *reloads = reload_stats(reload);

    status->certificates = reload_certificates(reload);
    status->reloads = reloads->good;
    status->reloads_failed = reloads->failed;
    status->reload_ms = reloads->last_ms;
    status->reload_ok = reloads->last_ok;
    status->generation = 1 + reloads->good;
}

static void on_status(struct status *status, void *arg)
{
    const struct overview *overview = arg;

    status->started_ms = overview->started_ms;
    status->uptime_ms = clock_ms() - overview->started_mono_ms;
    status->stopping = overview->is_stopping;
    status->redis_gap_ms = overview->gaps->last_ms;
    status->log_lost = log_lost();
    put_parts(overview->running, status);
    put_reloads(overview->reload, status);
}

static void on_user(struct slice uid, struct status_user *user, void *arg)
{
    const struct overview *overview = arg;
    struct relay *relay = overview->running->relay;

    user->connections = relay_user_connections(relay, uid);
    user->has_more = route_user_rooms(relay_route(relay), uid, &user->rooms) != 0;
}

static const struct conf *on_conf(void *arg)
{
    const struct overview *overview = arg;

    return overview->running->conf;
}

static void on_watch(struct caller *caller, void *arg)
{
    const struct overview *overview = arg;

    watch_add(overview->watch, caller);
}

const struct admin_ops overview_admin_ops = {
    .status = on_status, .user = on_user, .conf = on_conf, .watch = on_watch};

static const struct watch_ops watch_ops = {on_status};

/* --- its life -------------------------------------------------------------------------- */

struct overview *overview_new(const struct running *running, const struct reload *reload,
                              const struct gaps *gaps)
{
    struct overview *overview = calloc(1, sizeof(*overview));
    struct timespec now;

    if (overview == NULL)
        return NULL;
    clock_gettime(CLOCK_REALTIME, &now);
    overview->started_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    overview->started_mono_ms = clock_ms();
    overview->running = running;
    overview->reload = reload;
    overview->gaps = gaps;
    overview->watch = watch_new(running->base, running->stats, running->news, &watch_ops, overview);
    if (overview->watch == NULL)
        overview_free(&overview);
    return overview;
}

void overview_free(struct overview **overview)
{
    if (*overview == NULL)
        return;
    watch_free(&(*overview)->watch);
    free(*overview);
    *overview = NULL;
}

void overview_stopping(struct overview *overview)
{
    overview->is_stopping = 1;
}
