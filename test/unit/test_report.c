/* What is counted here and by the engine finds its place among the counters; told when it
 * is asked for, and else only if it is new. */
#include "conf.h"
#include "engine/engine.h"
#include "ipc/counters.h"
#include "tap.h"
#include "worker/report.h"
#include "worker/room.h"
#include "worker/stats.h"
#include "worker/uplink.h"

#include <event2/event.h>

/* --- the engine --- */

static struct net_stats net;
static struct http_stats http;
static struct eio_stats eio;
static struct sio_stats sio;
static int full, strangers_full;

struct engine_stats engine_stats(const struct engine *of)
{
    (void)of;
    return (struct engine_stats){&net, &http, &eio, &sio};
}

size_t engine_connections(const struct engine *of)
{
    (void)of;
    return 501;
}

size_t engine_carried(const struct engine *engine)
{
    (void)engine;
    return 505;
}

size_t engine_output_memory(const struct engine *of)
{
    (void)of;
    return 502;
}

int engine_is_full(const struct engine *of)
{
    (void)of;
    return full;
}

int engine_strangers_full(const struct engine *of)
{
    (void)of;
    return strangers_full;
}

size_t engine_worst(const struct engine *of, struct worst dst[WORST_MAX])
{
    (void)of;
    dst[0] = (struct worst){.len = 4};
    return 1;
}

/* --- the master --- */

static struct counters heard;
static int sources_are;     /* ... those of the same question came before them */
static uint32_t sources_id; /* of the addresses that came last; 0 again with counters */
static uint32_t heard_id;
static int times;

void uplink_sources(struct uplink *uplink, uint32_t id, const struct worst *list, size_t n)
{
    (void)uplink;
    sources_id = n == 1 && list[0].len == 4 ? id : UINT32_MAX;
}

void uplink_counters(struct uplink *uplink, uint32_t id, const struct counters *counters)
{
    (void)uplink;
    heard = *counters;
    heard_id = id;
    sources_are = id != 0 && sources_id == id;
    sources_id = 0;
    times++;
}

/* --- one report --- */

static struct conf conf = {.connections_max = 503, .strangers_max = 504};
static struct worker_stats stats;
static struct rooms rooms;
static struct event_base *base;
static struct report *report;
static unsigned seen[COUNTERS]; /* how often something was found there */

/* n counters from first on are first_value and those after it. */
static void told(unsigned first, unsigned n, uint64_t value, const char *what)
{
    unsigned wrong = 0;

    for (unsigned i = 0; i < n; i++) {
        wrong += heard.at[first + i] != value + i;
        seen[first + i]++;
    }
    is_int(wrong, 0, what);
}

/* Each number of the struct another one, from first on. */
static void number(void *of, size_t size, uint64_t first)
{
    uint64_t *at = of;

    for (size_t i = 0; i < size / sizeof(*at); i++)
        at[i] = first + i;
}

#define NUMBER(field, first) number(&(field), sizeof(field), first)

static void test_places(void)
{
    unsigned missed = 0;

    NUMBER(net.accepted, 1001);
    NUMBER(net.accept_failures, 1002);
    NUMBER(eio.opened, 1100);
    NUMBER(eio.sessions, 1200);
    NUMBER(eio.closed, 1300);
    NUMBER(net.strangers, 1400);
    NUMBER(net.strangers_evicted, 1500);
    NUMBER(net.turned_away, 1540);
    NUMBER(net.tls_connections, 1551);
    NUMBER(net.tls_handshakes, 1560);
    NUMBER(net.tls_faults, 1570);
    NUMBER(net.proxy_headers, 1520);
    NUMBER(net.proxy_refused, 1525);
    NUMBER(sio.connects, 1601);
    NUMBER(http.requests, 1602);
    NUMBER(http.http_errors, 1700);
    NUMBER(eio.eio_errors, 1800);
    NUMBER(eio.upgrades, 1901);
    NUMBER(eio.upgrades_failed, 1902);
    NUMBER(http.handoffs_sent, 1903);
    NUMBER(http.handoffs_failed, 1904);
    NUMBER(http.handoffs_received, 1905);
    NUMBER(http.carried, 1910);
    NUMBER(http.carried_bytes, 1920);
    NUMBER(http.carry_failures, 1911);
    NUMBER(sio.deliveries, 1906);
    NUMBER(sio.volatile_skipped, 1907);
    NUMBER(sio.dropped, 2000);
    NUMBER(net.bytes_received, 2101);
    NUMBER(net.bytes_sent, 2102);
    NUMBER(net.writes, 2103);
    NUMBER(net.queued_bytes, 2104);
    NUMBER(net.discarded_bytes, 2200);
    NUMBER(net.latency.buckets, 2300);
    NUMBER(net.latency.sum_us, 2401);
    NUMBER(stats.clients, 2500);
    NUMBER(stats.disconnects, 2600);
    NUMBER(stats.refusals, 2700);
    NUMBER(stats.renewals, 2800);
    NUMBER(stats.replays, 2850);
    NUMBER(stats.replayed, 2860);
    NUMBER(stats.broadcasts, 2901);
    NUMBER(stats.handoffs_lost, 2902);
    NUMBER(stats.rooms_joined, 2903);
    NUMBER(stats.rooms_left, 2904);
    NUMBER(stats.rooms_refused, 2910);
    NUMBER(stats.acks.broadcasts, 3001);
    NUMBER(stats.acks.waiting, 3002);
    NUMBER(stats.acks.unawaited, 3003);
    NUMBER(stats.acks.received, 3004);
    NUMBER(stats.acks.dropped, 3100);
    NUMBER(sio.inbound_given_up, 3201);
    NUMBER(stats.fetches, 2920);
    full = 1;

    report_send(report, 9);
    is_int(heard_id, 9, "the answer has the question's id");
    told(COUNTER_ACCEPTED, 1, 1001, "accepted");
    told(COUNTER_ACCEPT_FAILURES, 1, 1002, "not accepted");
    told(COUNTER_OPENED, 4, 1100, "opened");
    told(COUNTER_SESSIONS, 4, 1200, "sessions");
    told(COUNTER_CLOSED, CLOSE_REASONS, 1300, "closed");
    told(COUNTER_STRANGERS, STRANGER_KINDS, 1400, "strangers");
    told(COUNTER_EVICTED, STRANGER_KINDS, 1500, "evicted");
    told(COUNTER_TLS_CONNECTIONS, 1, 1551, "connections over TLS");
    told(COUNTER_TLS_HANDSHAKES, 4, 1560, "their handshakes");
    told(COUNTER_TLS_FAILURES, TLS_FAULTS, 1570, "and those that failed");
    told(COUNTER_PROXY_HEADERS, 2, 1520, "PROXY headers");
    told(COUNTER_PROXY_REFUSED, PROXY_REFUSALS, 1525, "and those refused");
    told(COUNTER_CONNECTS, 1, 1601, "connects");
    told(COUNTER_REQUESTS, 1, 1602, "requests");
    told(COUNTER_HTTP, HTTP_ERROR_KINDS, 1700, "errors of HTTP");
    told(COUNTER_ENGINEIO, EIO_ERRORS, 1800, "and of Engine.IO");
    told(COUNTER_UPGRADES, 2, 1901, "upgrades, and those that failed");
    told(COUNTER_HANDOFFS, 2, 1903, "handoffs, and those that failed");
    told(COUNTER_TAKEN, 1, 1905, "taken from others");
    told(COUNTER_TAKEN + 1, 1, 2902, "and lost");
    told(COUNTER_CARRIES, 1, 1910, "carried");
    told(COUNTER_CARRIED_BYTES, 2, 1920, "bytes of that");
    told(COUNTER_CARRY_FAILURES, 1, 1911, "and what could not be carried");
    told(COUNTER_DELIVERIES, 1, 1906, "deliveries");
    told(COUNTER_SKIPPED, 1, 1907, "skipped");
    told(COUNTER_DROPPED, CLOSE_REASONS, 2000, "dropped");
    told(COUNTER_RECEIVED, 1, 2101, "bytes received");
    told(COUNTER_SENT, 1, 2102, "bytes sent");
    told(COUNTER_WRITES, 1, 2103, "writes");
    told(COUNTER_TURNED_AWAY, SOURCE_MEMBERS, 1540, "beyond the limit of an address");
    told(COUNTER_QUEUED, 1, 2104, "bytes that wait");
    told(COUNTER_DISCARDED, CLOSE_REASONS, 2200, "discarded");
    told(COUNTER_LATENCY, LATENCY_BUCKETS, 2300, "the histogram");
    told(COUNTER_LATENCY_LAST, 1, 2401, "and its sum");
    told(COUNTER_CONNECTIONS, 1, 501, "connections");
    told(COUNTER_CARRIED, 1, 505, "those that are carried");
    told(COUNTER_MEMORY, 1, 502, "memory");
    told(COUNTER_LIMIT, 1, 503, "the limit");
    told(COUNTER_STRANGERS_LIMIT, 1, 504, "the strangers' limit");
    told(COUNTER_FULL, 1, 1, "full");
    told(COUNTER_STRANGERS_FULL, 1, 0, "which the strangers are not");
    told(COUNTER_CLIENTS, 1, 2500 + CLIENT_IN, "clients that are in");
    told(COUNTER_JOINING, 1, 2500 + CLIENT_JOINING, "and that wait");
    told(COUNTER_CATCHING, 1, 2500 + CLIENT_CATCHING, "or catch up");
    told(COUNTER_REPLAYS, REPLAY_RESULTS, 2850, "what came of that");
    told(COUNTER_REPLAYED, 1, 2860, "and what they were sent for it");
    told(COUNTER_DISCONNECTS, CLOSE_REASONS, 2600, "disconnects");
    told(COUNTER_REFUSED, TOKEN_RESULTS, 2700, "refused");
    told(COUNTER_RENEWALS, RENEWAL_RESULTS, 2800, "renewals");
    told(COUNTER_BROADCASTS, 1, 2901, "broadcasts");
    told(COUNTER_ACKED, 1, 3001, "broadcasts with acknowledgements");
    told(COUNTER_ACKS_WAITING, 1, 3002, "which are waited for");
    told(COUNTER_ACKS_UNAWAITED, 1, 3003, "or not");
    told(COUNTER_ACKS, 1, 3004, "acknowledgements");
    told(COUNTER_ACKS_DROPPED, ACK_NO_ROOM, 3100, "dropped");
    told(COUNTER_ACKS_DROPPED + ACK_NO_ROOM, 1, 3201, "and given up");
    told(COUNTER_ROOMS, 1, 1, "rooms");
    told(COUNTER_ROOMS_JOINED, 1, 2903, "joined by request");
    told(COUNTER_ROOMS_LEFT, 1, 2904, "and left");
    told(COUNTER_FETCHES, 2, 2920, "questions, and those that were not answered");
    told(COUNTER_ROOMS_REFUSED, ROOM_REFUSALS, 2910, "and those that were not");
    told(COUNTER_LOG_LOST, 1, 0, "no line was lost");
    for (unsigned i = 0; i < COUNTERS; i++)
        missed += seen[i] != 1;
    is_int(missed, 0, "each counter is one of those");
    full = 0;
    strangers_full = 1;
    report_send(report, 10);
    told(COUNTER_FULL, 1, 0, "not full");
    told(COUNTER_STRANGERS_FULL, 1, 1, "which the strangers are");
}

static void test_when(void)
{
    times = 0;
    report_send(report, 0);
    is_int(times, 0, "nothing new: nothing is told unasked");
    report_send(report, 11);
    is_int(times, 1, "but if asked");
    ok(sources_are, "and which addresses are worst before it");
    net.bytes_sent++;
    report_send(report, 0);
    is_int(times, 2, "one byte is new");
    is_int(heard_id, 0, "and told unasked");
    ok(!sources_are, "without addresses");
    report_send(report, 0);
    is_int(times, 2, "once");
    conf.connections_max++;
    report_send(report, 0);
    is_int((long)heard.at[COUNTER_LIMIT], 504, "a limit that has changed");
}

static int on_event(const struct event_base *of, const struct event *event, void *arg)
{
    struct timeval now, due;

    event_base_gettimeofday_cached((struct event_base *)(uintptr_t)of, &now);
    if (event_pending(event, EV_TIMEOUT, &due)) {
        event_active((struct event *)(uintptr_t)event, EV_TIMEOUT, 0);
        *(long *)arg = (due.tv_sec - now.tv_sec) * 1000 + (due.tv_usec - now.tv_usec) / 1000;
    }
    return 0;
}

static void test_timer(void)
{
    long due_ms = -1;

    event_base_foreach_event(base, on_event, &due_ms);
    is_int(due_ms, -1, "no timer before it is started");
    is_int(report_start(report), 0, "started");
    net.bytes_sent++;
    times = 0;
    event_base_foreach_event(base, on_event, &due_ms);
    ok(due_ms > REPORT_S * 1000 - 100 && due_ms < REPORT_S * 1000 + 100, "every three seconds");
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(times, 1, "what is new is told");
    due_ms = -1;
    event_base_foreach_event(base, on_event, &due_ms);
    ok(due_ms > 0, "and again");
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(times, 1, "if there is something");
}

int main(void)
{
    const struct report_sources sources = {&conf, NULL, &rooms, &stats};
    struct room_member member = {0};

    rooms_init(&rooms);
    room_join(&rooms, &member, ROOM_EVERYBODY);
    base = event_base_new();
    report = report_new(base, &sources, NULL);
    test_places();
    test_when();
    test_timer();
    report_free(&report);
    report_free(&report);
    room_leave_all(&rooms, &member);
    rooms_clear(&rooms);
    event_base_free(base);
    return tap_done();
}
