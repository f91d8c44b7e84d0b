#include "worker/report.h"
#include "base/log.h"
#include "conf.h"
#include "engine/engine.h"
#include "ipc/counters.h"
#include "worker/room.h"
#include "worker/stats.h"
#include "worker/uplink.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct report {
    struct report_sources from;
    struct uplink *uplink;
    struct event *timer;
    struct counters told; /* as the master knows it */
};

_Static_assert((int)COUNTERS_REASONS == (int)ENGINE_CLOSES, "a label for each reason");
_Static_assert((int)COUNTERS_STRANGERS == (int)ENGINE_STRANGERS, "a label for each kind");

static void take(struct counters *counters, unsigned first, const uint64_t *values, unsigned n)
{
    memcpy(counters->at + first, values, n * sizeof(*values));
}

static void take_engine(struct counters *counters, const struct engine_stats *stats)
{
    uint64_t *at = counters->at;

    at[COUNTER_ACCEPTED] = stats->accepted;
    at[COUNTER_ACCEPT_FAILURES] = stats->accept_failures;
    take(counters, COUNTER_SESSIONS, &stats->sessions[0][0], 4);
    take(counters, COUNTER_OPENED, &stats->opened[0][0], 4);
    take(counters, COUNTER_CLOSED, stats->closed, ENGINE_CLOSES);
    take(counters, COUNTER_STRANGERS, stats->strangers, ENGINE_STRANGERS);
    take(counters, COUNTER_EVICTED, stats->strangers_evicted, ENGINE_STRANGERS);
    at[COUNTER_CONNECTS] = stats->connects;
    at[COUNTER_REQUESTS] = stats->requests;
    take(counters, COUNTER_HTTP, stats->http_errors, HTTP_ERROR_KINDS);
    take(counters, COUNTER_ENGINEIO, stats->eio_errors, EIO_ERRORS);
    at[COUNTER_UPGRADES] = stats->upgrades;
    at[COUNTER_UPGRADES + 1] = stats->upgrades_failed;
    at[COUNTER_HANDOFFS] = stats->handoffs_sent;
    at[COUNTER_HANDOFFS + 1] = stats->handoffs_failed;
    at[COUNTER_TAKEN] = stats->handoffs_received;
    at[COUNTER_DELIVERIES] = stats->deliveries;
    at[COUNTER_SKIPPED] = stats->volatile_skipped;
    take(counters, COUNTER_DROPPED, stats->dropped, ENGINE_CLOSES);
    at[COUNTER_RECEIVED] = stats->bytes_received;
    at[COUNTER_SENT] = stats->bytes_sent;
    at[COUNTER_WRITES] = stats->writes;
    at[COUNTER_QUEUED] = stats->queued_bytes;
    take(counters, COUNTER_DISCARDED, stats->discarded_bytes, ENGINE_CLOSES);
    take(counters, COUNTER_LATENCY, stats->latency.buckets, LATENCY_BUCKETS);
    at[COUNTER_LATENCY_LAST] = stats->latency.sum_us;
}

static void take_all(const struct report_sources *from, struct counters *counters)
{
    const struct worker_stats *stats = from->stats;
    uint64_t *at = counters->at;

    take_engine(counters, engine_stats(from->engine));
    at[COUNTER_CONNECTIONS] = engine_connections(from->engine);
    at[COUNTER_MEMORY] = engine_output_memory(from->engine);
    at[COUNTER_LIMIT] = from->conf->connections_max;
    at[COUNTER_FULL] = (uint64_t)engine_is_full(from->engine);
    at[COUNTER_STRANGERS_LIMIT] = from->conf->strangers_max;
    at[COUNTER_STRANGERS_FULL] = (uint64_t)engine_strangers_full(from->engine);
    at[COUNTER_CLIENTS] = stats->clients[CLIENT_IN];
    at[COUNTER_JOINING] = stats->clients[CLIENT_JOINING];
    take(counters, COUNTER_DISCONNECTS, stats->disconnects, ENGINE_CLOSES);
    take(counters, COUNTER_REFUSED, stats->refusals, TOKEN_RESULTS);
    take(counters, COUNTER_RENEWALS, stats->renewals, RENEWAL_RESULTS);
    at[COUNTER_TAKEN + 1] = stats->handoffs_lost;
    at[COUNTER_BROADCASTS] = stats->broadcasts;
    at[COUNTER_ROOMS] = rooms_count(from->rooms);
    at[COUNTER_LOG_LOST] = log_lost();
}

void report_send(struct report *report, uint32_t id)
{
    struct counters counters = {{0}};

    take_all(&report->from, &counters);
    if (id == 0 && memcmp(&counters, &report->told, sizeof(counters)) == 0)
        return;
    report->told = counters;
    uplink_counters(report->uplink, id, &counters);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    report_send(arg, 0);
}

struct report *report_new(struct event_base *base, const struct report_sources *sources,
                          struct uplink *uplink)
{
    struct report *report = calloc(1, sizeof(*report));

    if (report == NULL)
        return NULL;
    report->from = *sources;
    report->uplink = uplink;
    report->timer = event_new(base, -1, EV_PERSIST, on_timer, report);
    if (report->timer == NULL)
        report_free(&report);
    return report;
}

void report_free(struct report **report_ptr)
{
    struct report *report = *report_ptr;

    *report_ptr = NULL;
    if (report == NULL)
        return;
    if (report->timer != NULL)
        event_free(report->timer);
    free(report);
}

int report_start(struct report *report)
{
    static const struct timeval interval = {REPORT_S, 0};

    return evtimer_add(report->timer, &interval);
}
