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

_Static_assert((int)COUNTERS_REASONS == (int)CLOSE_REASONS, "a label for each reason");
_Static_assert((int)COUNTERS_STRANGERS == (int)STRANGER_KINDS, "a label for each kind");
_Static_assert((int)COUNTERS_MEMBERS == (int)SOURCE_MEMBERS, "a label for each of these");
_Static_assert((int)COUNTERS_TLS == (int)TLS_FAULTS, "a label for each fault");
_Static_assert((int)COUNTERS_PROXY == (int)PROXY_REFUSALS, "a label for each refusal");

static void take(struct counters *counters, unsigned first, const uint64_t *values, unsigned n)
{
    memcpy(counters->at + first, values, n * sizeof(*values));
}

static void take_engine(struct counters *counters, struct engine_stats stats)
{
    uint64_t *at = counters->at;

    at[COUNTER_ACCEPTED] = stats.net->accepted;
    at[COUNTER_ACCEPT_FAILURES] = stats.net->accept_failures;
    take(counters, COUNTER_SESSIONS, &stats.eio->sessions[0][0], 4);
    take(counters, COUNTER_OPENED, &stats.eio->opened[0][0], 4);
    take(counters, COUNTER_CLOSED, stats.eio->closed, CLOSE_REASONS);
    take(counters, COUNTER_STRANGERS, stats.net->strangers, STRANGER_KINDS);
    take(counters, COUNTER_EVICTED, stats.net->strangers_evicted, STRANGER_KINDS);
    take(counters, COUNTER_TURNED_AWAY, stats.net->turned_away, SOURCE_MEMBERS);
    at[COUNTER_TLS_CONNECTIONS] = stats.net->tls_connections;
    take(counters, COUNTER_TLS_HANDSHAKES, &stats.net->tls_handshakes[0][0], 4);
    take(counters, COUNTER_TLS_FAILURES, stats.net->tls_faults, TLS_FAULTS);
    take(counters, COUNTER_PROXY_HEADERS, stats.net->proxy_headers, 2);
    take(counters, COUNTER_PROXY_REFUSED, stats.net->proxy_refused, PROXY_REFUSALS);
    at[COUNTER_CONNECTS] = stats.sio->connects;
    at[COUNTER_REQUESTS] = stats.http->requests;
    take(counters, COUNTER_HTTP, stats.http->http_errors, HTTP_ERROR_KINDS);
    take(counters, COUNTER_ENGINEIO, stats.eio->eio_errors, EIO_ERRORS);
    at[COUNTER_UPGRADES] = stats.eio->upgrades;
    at[COUNTER_UPGRADES + 1] = stats.eio->upgrades_failed;
    at[COUNTER_HANDOFFS] = stats.http->handoffs_sent;
    at[COUNTER_HANDOFFS + 1] = stats.http->handoffs_failed;
    at[COUNTER_TAKEN] = stats.http->handoffs_received;
    at[COUNTER_CARRIES] = stats.http->carried;
    take(counters, COUNTER_CARRIED_BYTES, stats.http->carried_bytes, 2);
    at[COUNTER_CARRY_FAILURES] = stats.http->carry_failures;
    at[COUNTER_DELIVERIES] = stats.sio->deliveries;
    at[COUNTER_SKIPPED] = stats.sio->volatile_skipped;
    at[COUNTER_ACKS_DROPPED + ACK_NO_ROOM] = stats.sio->inbound_given_up;
    take(counters, COUNTER_DROPPED, stats.sio->dropped, CLOSE_REASONS);
    at[COUNTER_RECEIVED] = stats.net->bytes_received;
    at[COUNTER_SENT] = stats.net->bytes_sent;
    at[COUNTER_WRITES] = stats.net->writes;
    at[COUNTER_QUEUED] = stats.net->queued_bytes;
    take(counters, COUNTER_DISCARDED, stats.net->discarded_bytes, CLOSE_REASONS);
    take(counters, COUNTER_LATENCY, stats.net->latency.buckets, LATENCY_BUCKETS);
    at[COUNTER_LATENCY_LAST] = stats.net->latency.sum_us;
}

static void take_all(const struct report_sources *from, struct counters *counters)
{
    const struct worker_stats *stats = from->stats;
    uint64_t *at = counters->at;

    take_engine(counters, engine_stats(from->engine));
    at[COUNTER_CONNECTIONS] = engine_connections(from->engine);
    at[COUNTER_CARRIED] = engine_carried(from->engine);
    at[COUNTER_MEMORY] = engine_output_memory(from->engine);
    at[COUNTER_LIMIT] = from->conf->connections_max;
    at[COUNTER_FULL] = (uint64_t)engine_is_full(from->engine);
    at[COUNTER_STRANGERS_LIMIT] = from->conf->strangers_max;
    at[COUNTER_STRANGERS_FULL] = (uint64_t)engine_strangers_full(from->engine);
    at[COUNTER_CLIENTS] = stats->clients[CLIENT_IN];
    at[COUNTER_JOINING] = stats->clients[CLIENT_JOINING];
    at[COUNTER_CATCHING] = stats->clients[CLIENT_CATCHING];
    take(counters, COUNTER_REPLAYS, stats->replays, REPLAY_RESULTS);
    at[COUNTER_REPLAYED] = stats->replayed;
    take(counters, COUNTER_DISCONNECTS, stats->disconnects, CLOSE_REASONS);
    take(counters, COUNTER_REFUSED, stats->refusals, TOKEN_RESULTS);
    take(counters, COUNTER_RENEWALS, stats->renewals, RENEWAL_RESULTS);
    at[COUNTER_TAKEN + 1] = stats->handoffs_lost;
    at[COUNTER_BROADCASTS] = stats->broadcasts;
    at[COUNTER_ACKED] = stats->acks.broadcasts;
    at[COUNTER_ACKS_WAITING] = stats->acks.waiting;
    at[COUNTER_ACKS_UNAWAITED] = stats->acks.unawaited;
    at[COUNTER_ACKS] = stats->acks.received;
    take(counters, COUNTER_ACKS_DROPPED, stats->acks.dropped, ACK_NO_ROOM);
    at[COUNTER_ROOMS] = rooms_count(from->rooms);
    at[COUNTER_ROOMS_JOINED] = stats->rooms_joined;
    at[COUNTER_ROOMS_LEFT] = stats->rooms_left;
    take(counters, COUNTER_FETCHES, stats->fetches, 2);
    take(counters, COUNTER_ROOMS_REFUSED, stats->rooms_refused, ROOM_REFUSALS);
    at[COUNTER_LOG_LOST] = log_lost();
}

static void send_sources(const struct report *report, uint32_t id)
{
    struct worst worst[WORST_MAX];
    size_t n = engine_worst(report->from.engine, worst);

    uplink_sources(report->uplink, id, worst, n);
}

void report_send(struct report *report, uint32_t id)
{
    struct counters counters = {{0}};

    take_all(&report->from, &counters);
    if (id == 0 && memcmp(&counters, &report->told, sizeof(counters)) == 0)
        return;
    report->told = counters;
    if (id != 0)
        send_sources(report, id);
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
