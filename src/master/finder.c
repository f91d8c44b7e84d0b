#include "master/finder.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "codec/ballot.h"
#include "codec/tls_client.h"
#include "master/probe.h"
#include "master/redis_tls.h"
#include "master/sentinel.h"
#include "master/timer.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define GRACE_MS  100  /* after the first answer of a search, for the others */
#define STALE_MS  5000 /* into a search, an older configuration than was known is not enough */
#define RETRY_MIN 50   /* ms, until a place is tried again that was none; doubling to: */
#define RETRY_MAX 1000
#define BEHIND_MS 5000 /* a sentinel may take so long to hear of a switch */
#define STAY_MS   500  /* one that says that it is the master is not left before */
#define LOG_MS    60000
#define PLACE_MAX 256

struct place {
    char host[PLACE_MAX];
    int port;
};

struct refusal { /* of a place that was tried */
    struct place place;
    uint64_t until_ms;
};

struct finder {
    const struct finder_ops *ops;
    void *arg;
    const struct conf_redis *conf;
    struct tls_client *client; /* for the sentinels; NULL: no TLS */
    struct sentinel *sentinels;
    size_t n;
    struct probe probes[2];
    struct probe *now;   /* at the master in force, or NULL: it is looked for */
    struct probe *trial; /* at who may be it, or NULL */
    struct event *timer;
    int is_doubtful, is_stopped;

    struct place place; /* the last that was found; no host: none was */
    int64_t epoch;      /* the newest of it that was heard of */
    uint64_t change;
    uint64_t found_ms, master_ms;

    uint64_t search_ms; /* since when it is looked for; 0: it is there */
    uint64_t grace_ms;  /* others may answer until then; 0: none has */
    uint64_t news;
    struct refusal refusals[BALLOT_MAX];
    uint32_t retry_ms;
    struct log_every trial_log;
    struct finder_stats stats;
};

static void decide(struct finder *finder);

/* --- places that are not it ------------------------------------------------------ */

static int is_at(const struct place *place, const char *host, int port)
{
    return place->port == port && strcasecmp(place->host, host) == 0;
}

/* Until when it is not tried; 0: it may be.  Sentinels that contradict themselves do not have
 * us run to and fro. */
static uint64_t refused_until(const struct finder *finder, const struct candidate *candidate,
                              uint64_t now)
{
    if (finder->now != NULL && now < finder->found_ms + STAY_MS)
        return finder->found_ms + STAY_MS;
    for (size_t i = 0; i < BALLOT_MAX; i++) {
        const struct refusal *refusal = &finder->refusals[i];
        if (refusal->until_ms > now && is_at(&refusal->place, candidate->host, candidate->port))
            return refusal->until_ms;
    }
    return 0;
}

/* In place of an older one of it, or of the one that ends first. */
static void refuse(struct finder *finder, const struct probe *probe)
{
    struct refusal *to = &finder->refusals[0];
    uint32_t half = finder->retry_ms / 2;

    for (size_t i = 0; i < BALLOT_MAX; i++) {
        struct refusal *one = &finder->refusals[i];
        if (is_at(&one->place, probe->host, probe->server.port)) {
            to = one;
            break;
        }
        if (one->until_ms < to->until_ms)
            to = one;
    }
    snprintf(to->place.host, sizeof(to->place.host), "%s", probe->host);
    to->place.port = probe->server.port;
    to->until_ms = clock_ms() + half + rand_below(half + 1);
    finder->retry_ms = 2 * finder->retry_ms < RETRY_MAX ? 2 * finder->retry_ms : RETRY_MAX;
}

static void forget_refusals(struct finder *finder)
{
    memset(finder->refusals, 0, sizeof(finder->refusals));
    finder->retry_ms = RETRY_MIN;
}

/* --- what the sentinels say -------------------------------------------------------- */

static size_t count(const struct finder *finder, struct candidate list[BALLOT_MAX])
{
    struct vote votes[BALLOT_MAX];

    for (size_t i = 0; i < finder->n; i++)
        votes[i] = sentinel_vote(&finder->sentinels[i]);
    return ballot_count(votes, finder->n, list);
}

static void look(struct finder *finder, const struct sentinel *but)
{
    for (size_t i = 0; i < finder->n; i++)
        if (&finder->sentinels[i] != but)
            sentinel_look(&finder->sentinels[i]);
}

static int is_busy(const struct finder *finder)
{
    for (size_t i = 0; i < finder->n; i++)
        if (sentinel_is_busy(&finder->sentinels[i]))
            return 1;
    return 0;
}

static size_t answering(const struct finder *finder)
{
    size_t n = 0;

    for (size_t i = 0; i < finder->n; i++)
        n += finder->sentinels[i].is_answered != 0;
    return n;
}

/* --- which is tried ---------------------------------------------------------------- */

/* In force is one that still says that it is the master: another has to be newer, or to be what
 * most of the sentinels name while none names this one (they were told anew). */
static int is_wanted(const struct finder *finder, const struct candidate *candidate, int is_named)
{
    if (ballot_is_newer(candidate, finder->epoch, finder->change))
        return 1;
    return !is_named && ballot_is_majority(candidate, finder->n);
}

/* It is looked for.  Where most name the newest that is it; else what others name is tried in
 * turn, but not what was replaced already, before all have had time to answer. */
static int is_eligible(const struct finder *finder, const struct candidate *list, size_t i,
                       uint64_t now)
{
    if (ballot_is_majority(&list[i], finder->n))
        return 1;
    if (list[i].epoch < finder->epoch && now < finder->search_ms + STALE_MS)
        return 0;
    return i == 0 || !ballot_is_majority(&list[0], finder->n);
}

/* The best of them that may be tried now, or NULL; *next_ms: when that may be another. */
static const struct candidate *choose(const struct finder *finder, const struct candidate *list,
                                      size_t n, uint64_t now, uint64_t *next_ms)
{
    int is_named = 0;

    for (size_t i = 0; i < n; i++)
        is_named |= is_at(&finder->place, list[i].host, list[i].port);
    for (size_t i = 0; i < n; i++) {
        uint64_t until = refused_until(finder, &list[i], now);
        if (finder->now != NULL && (is_at(&finder->place, list[i].host, list[i].port) ||
                                    !is_wanted(finder, &list[i], is_named)))
            continue;
        if (finder->now == NULL && !is_eligible(finder, list, i, now)) {
            until = finder->search_ms + STALE_MS;
            if (until <= now)
                continue;
        } else if (until == 0) {
            return &list[i];
        }
        if (*next_ms == 0 || until < *next_ms)
            *next_ms = until;
    }
    return NULL;
}

static void missing(struct finder *finder)
{
    char why[128];

    if (answering(finder) > 0) {
        snprintf(why, sizeof(why), "no sentinel that answers knows a master of this name");
        finder->ops->missing(REDIS_FAULT_NAME, why, finder->arg);
    } else {
        snprintf(why, sizeof(why), "no sentinel answers, of %zu", finder->n);
        finder->ops->missing(REDIS_FAULT_SENTINELS, why, finder->arg);
    }
}

static void try(struct finder *finder, const struct candidate *candidate)
{
    if (finder->trial != NULL &&
        ballot_is_at(candidate, finder->trial->host, finder->trial->server.port))
        return;
    if (finder->trial == NULL)
        finder->trial = finder->now == &finder->probes[0] ? &finder->probes[1] : &finder->probes[0];
    log_event(DEBUG, "redis_master_named",
              "redis: the sentinels name [{}:{}: it]<a server that> is asked whether it is the "
              "master",
              LOG_STR("host", candidate->host), LOG_INT("port", candidate->port));
    probe_start(finder->trial, candidate->host, candidate->port);
}

/* In a search all may answer first, but none is waited for long. */
static int is_too_early(struct finder *finder, uint64_t now)
{
    if (finder->now != NULL || !is_busy(finder))
        return 0;
    if (finder->grace_ms == 0 && answering(finder) > 0)
        finder->grace_ms = now + GRACE_MS;
    return finder->grace_ms == 0 || now < finder->grace_ms;
}

static void decide(struct finder *finder)
{
    struct candidate list[BALLOT_MAX];
    uint64_t now = clock_ms(), next = 0;
    size_t n = count(finder, list);
    const struct candidate *best;

    if (finder->is_stopped)
        return;
    if (is_too_early(finder, now)) {
        if (finder->grace_ms > 0)
            (void)timer_set(finder->timer, (unsigned)(finder->grace_ms - now));
        return;
    }
    best = choose(finder, list, n, now, &next);
    if (best != NULL)
        try(finder, best);
    else if (next > 0)
        (void)timer_set(finder->timer, (unsigned)(next - now));
    else if (finder->now == NULL && finder->trial == NULL && n == 0)
        missing(finder);
}

/* --- what becomes of it -------------------------------------------------------------- */

static void search(struct finder *finder)
{
    finder->search_ms = clock_ms();
    finder->grace_ms = 0;
    look(finder, NULL);
    (void)timer_set(finder->timer, 0);
}

/* Its epoch is what the sentinels say that name it. */
static unsigned know(struct finder *finder, int is_new)
{
    struct candidate list[BALLOT_MAX];
    size_t n = count(finder, list);

    if (is_new) {
        finder->epoch = BALLOT_UNKNOWN;
        finder->change = 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_at(&finder->place, list[i].host, list[i].port))
            continue;
        if (list[i].epoch > finder->epoch)
            finder->epoch = list[i].epoch;
        if (list[i].news > finder->change)
            finder->change = list[i].news;
        return list[i].votes;
    }
    return 0;
}

static void found(struct finder *finder)
{
    const char *host = finder->now->host;
    int port = finder->now->server.port;
    int is_first = finder->place.host[0] == '\0';
    int is_other = !is_at(&finder->place, host, port);
    struct place was = finder->place;
    unsigned votes;

    snprintf(finder->place.host, sizeof(finder->place.host), "%s", host);
    finder->place.port = port;
    votes = know(finder, is_other);
    if (is_other)
        finder->found_ms = clock_ms();
    if (is_first)
        log_event(INFO, "redis_master_found",
                  "redis: the master[ {} is at {}:{}, say {} of {} sentinels]< is found>",
                  LOG_STR("master", finder->conf->name), LOG_STR("host", host),
                  LOG_INT("port", port), LOG_UINT("votes", votes),
                  LOG_UINT("sentinels", finder->n));
    else if (is_other)
        log_event(INFO, "redis_master_changed",
                  "redis: the master[ {} is at {}:{} in place of {}:{}, say {} of {} sentinels]"
                  "< is another>",
                  LOG_STR("master", finder->conf->name), LOG_STR("host", host),
                  LOG_INT("port", port), LOG_STR("old_host", was.host),
                  LOG_INT("old_port", was.port), LOG_UINT("votes", votes),
                  LOG_UINT("sentinels", finder->n));
    finder->stats.switches += !is_first && is_other;
    finder->ops->found(host, port, is_other, finder->arg);
}

static void on_master(struct probe *probe, void *arg)
{
    struct finder *finder = arg;

    if (finder->now != NULL) {
        finder->master_ms = finder->now->master_ms;
        probe_stop(finder->now);
    }
    finder->now = probe;
    finder->trial = NULL;
    finder->search_ms = 0;
    forget_refusals(finder);
    found(finder);
}

static void trial_lost(struct finder *finder, struct probe *probe)
{
    char why[256];

    finder->trial = NULL;
    refuse(finder, probe);
    snprintf(why, sizeof(why), "%.60s: %.180s", probe->link.where, probe->link.fault.why);
    if (finder->now == NULL)
        finder->ops->missing(probe->link.fault.kind, why, finder->arg);
    else if (log_due(&finder->trial_log, LOG_MS) > 0)
        log_event(WARN, "redis_master_unfollowed",
                  "redis: the sentinels name another master, which is not followed yet[: {}]",
                  LOG_STR("error", why));
    decide(finder);
}

/* A replica is not tried again at once. */
static void now_lost(struct finder *finder, struct probe *probe)
{
    int is_demoted = probe->link.fault.kind == REDIS_FAULT_MASTER;
    char why[256];

    snprintf(why, sizeof(why), "%.60s: %.180s", probe->link.where, probe->link.fault.why);
    finder->master_ms = probe->master_ms;
    finder->now = NULL;
    if (is_demoted)
        refuse(finder, probe);
    search(finder);
    finder->ops->unsure(is_demoted, why, finder->arg);
}

static void on_probe_lost(struct probe *probe, void *arg)
{
    struct finder *finder = arg;

    if (probe == finder->now)
        now_lost(finder, probe);
    else
        trial_lost(finder, probe);
}

static const struct probe_ops probe_ops = {on_master, on_probe_lost};

static void tell_behind(struct finder *finder, struct sentinel *sentinel)
{
    if (finder->now == NULL || !sentinel->is_named ||
        is_at(&finder->place, sentinel->host, sentinel->port) ||
        clock_ms() < finder->found_ms + BEHIND_MS)
        return;
    if (log_due(&sentinel->behind_log, LOG_MS) > 0)
        log_event(WARN, "sentinel_behind", "redis: the sentinel[ {}] is behind[: it names {}:{}]",
                  LOG_STR("sentinel", sentinel->link.where), LOG_STR("host", sentinel->host),
                  LOG_INT("port", sentinel->port));
}

static void on_said(struct sentinel *sentinel, int has_switched, void *arg)
{
    struct finder *finder = arg;

    if (has_switched) {
        forget_refusals(finder);
        look(finder, sentinel);
        return;
    }
    if (finder->now != NULL)
        (void)know(finder, 0);
    tell_behind(finder, sentinel);
    decide(finder);
}

static void on_sentinel_lost(struct sentinel *sentinel, void *arg)
{
    (void)sentinel;
    decide(arg);
}

static const struct sentinel_ops sentinel_ops = {on_said, on_sentinel_lost};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct finder *finder = arg;

    (void)fd;
    (void)what;
    if (finder->is_doubtful) {
        finder->is_doubtful = 0;
        look(finder, NULL);
        if (finder->now != NULL)
            probe_ask(finder->now);
    }
    decide(finder);
}

/* --- for its owner ------------------------------------------------------------------- */

void finder_doubt(struct finder *finder)
{
    if (finder->is_stopped)
        return;
    finder->is_doubtful = 1;
    (void)timer_set(finder->timer, 0);
}

void finder_stop(struct finder *finder)
{
    finder->is_stopped = 1;
    event_del(finder->timer);
    for (size_t i = 0; i < finder->n; i++)
        sentinel_stop(&finder->sentinels[i]);
    for (int i = 0; i < 2; i++)
        probe_stop(&finder->probes[i]);
    finder->now = finder->trial = NULL;
}

uint64_t finder_master_ms(const struct finder *finder)
{
    return finder->master_ms;
}

struct finder_stats finder_stats(const struct finder *finder)
{
    struct finder_stats stats = finder->stats;

    stats.sentinels = finder->n;
    stats.answering = answering(finder);
    return stats;
}

struct finder *finder_new(struct event_base *base, const struct conf_redis *conf,
                          const struct tls_client *client, const struct finder_ops *ops, void *arg)
{
    struct finder *finder = calloc(1, sizeof(*finder));
    int failed = 0;

    if (finder == NULL)
        return NULL;
    finder->ops = ops;
    finder->arg = arg;
    finder->conf = conf;
    finder->epoch = BALLOT_UNKNOWN;
    finder->retry_ms = RETRY_MIN;
    finder->search_ms = clock_ms();
    finder->timer = event_new(base, -1, 0, on_timer, finder);
    finder->sentinels = calloc(conf->nsentinels, sizeof(*finder->sentinels));
    failed = finder->timer == NULL || finder->sentinels == NULL ||
             redis_tls_client(&finder->client, &conf->sentinel_tls) < 0;
    for (int i = 0; i < 2; i++)
        failed |= probe_init(&finder->probes[i], base, conf, client, &probe_ops, finder) < 0;
    for (; !failed && finder->n < conf->nsentinels && finder->n < BALLOT_MAX; finder->n++)
        failed |= sentinel_init(&finder->sentinels[finder->n], base, conf, finder->client,
                                finder->n, &finder->news, &sentinel_ops, finder) < 0;
    if (failed || timer_set(finder->timer, RETRY_MAX) < 0) /* from now on its memory is there */
        finder_free(&finder);
    return finder;
}

void finder_disown(struct finder *finder)
{
    for (size_t i = 0; i < finder->n; i++)
        sentinel_disown(&finder->sentinels[i]);
    for (int i = 0; i < 2; i++)
        probe_disown(&finder->probes[i]);
    tls_client_free(&finder->client);
}

void finder_free(struct finder **finderp)
{
    struct finder *finder = *finderp;

    if (finder == NULL)
        return;
    *finderp = NULL;
    for (size_t i = 0; i < finder->n; i++)
        sentinel_clear(&finder->sentinels[i]);
    free(finder->sentinels);
    for (int i = 0; i < 2; i++)
        probe_clear(&finder->probes[i]);
    tls_client_free(&finder->client);
    if (finder->timer != NULL)
        event_free(finder->timer);
    free(finder);
}
