/* report - what this worker has counted, on its way to the master: when it asks,
 * every few seconds if something has changed, and before the worker leaves. */
#include "base/log.h"
#include "ipc/counters.h"
#include "worker/state.h"

#include <event2/event.h>
#include <string.h>

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

static void take_all(const struct worker *worker, struct counters *counters)
{
    uint64_t *at = counters->at;

    take_engine(counters, engine_stats(worker->engine));
    at[COUNTER_CONNECTIONS] = engine_connections(worker->engine);
    at[COUNTER_MEMORY] = engine_output_memory(worker->engine);
    at[COUNTER_LIMIT] = worker->conf.connections_max;
    at[COUNTER_FULL] = (uint64_t)engine_is_full(worker->engine);
    at[COUNTER_STRANGERS_LIMIT] = worker->conf.strangers_max;
    at[COUNTER_STRANGERS_FULL] = (uint64_t)engine_strangers_full(worker->engine);
    at[COUNTER_CLIENTS] = worker->clients[CLIENT_IN];
    at[COUNTER_JOINING] = worker->clients[CLIENT_JOINING];
    take(counters, COUNTER_DISCONNECTS, worker->disconnects, ENGINE_CLOSES);
    take(counters, COUNTER_REFUSED, worker->refusals, TOKEN_RESULTS);
    take(counters, COUNTER_RENEWALS, worker->renewals, RENEWAL_RESULTS);
    at[COUNTER_TAKEN + 1] = worker->handoffs_lost;
    at[COUNTER_BROADCASTS] = worker->broadcasts;
    at[COUNTER_ROOMS] = rooms_count(&worker->rooms);
    at[COUNTER_LOG_LOST] = log_lost();
}

void report_send(struct worker *worker, uint32_t id)
{
    struct counters counters = {{0}};

    take_all(worker, &counters);
    if (id == 0 && memcmp(&counters, &worker->reported, sizeof(counters)) == 0)
        return;
    worker->reported = counters;
    buf_reset(&worker->out);
    counters_put(&worker->out, id, &counters);
    worker_send(worker);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    report_send(arg, 0);
}

int report_start(struct worker *worker)
{
    static const struct timeval interval = {REPORT_S, 0};

    worker->report_timer = event_new(worker->base, -1, EV_PERSIST, on_timer, worker);
    return worker->report_timer != NULL && evtimer_add(worker->report_timer, &interval) == 0 ? 0
                                                                                             : -1;
}

void report_stop(struct worker *worker)
{
    if (worker->report_timer != NULL)
        event_free(worker->report_timer);
    worker->report_timer = NULL;
}
