/* What was counted up to a moment, and why something was not done. */
#include "master/sample.h"

#include "codec/emit.h"
#include "master/stats.h"
#include "master/status.h"
#include "tap.h"

#include <event2/event.h>
#include <math.h>

static struct stats *stats;
static struct status status;
static struct sample sample;

static void on_ask(unsigned lane, uint32_t id, void *arg)
{
    (void)lane;
    (void)id;
    (void)arg;
}

static const struct stats_ops ops = {on_ask};

static void tell(unsigned lane, uint64_t clients)
{
    struct counters counters = {{0}};

    for (unsigned i = 0; i < COUNTERS; i++)
        counters.at[i] = 1;
    counters.at[COUNTER_CLIENTS] = clients;
    counters.at[COUNTER_LATENCY_LAST] = 1000000;
    stats_up(stats, lane);
    stats_told(stats, lane, 0, &counters);
}

static void test_take(void)
{
    tell(0, 5);
    tell(2, 7);
    status.stats = stats;
    status.numbers = 3;
    status.users = 11;
    status.redis.messages = 12;
    sample_take(&sample, 99, &status);
    is_int(sample.at_ms, 99, "when");
    is_int(sample.users, 11, "users");
    is_int(sample.received, 12, "messages");
    is_int(sample.sum.at[COUNTER_CLIENTS], 12, "of all workers");
    is_int(sample.nworkers, 3, "and of each");
    ok(sample.workers[0].clients == 5 && sample.workers[1].clients == 0 &&
           sample.workers[2].clients == 7,
       "by its number");
    is_int(sample.workers[2].strangers, COUNTERS_STRANGERS, "places of strangers together");
    ok(sample.workers[0].latency[LATENCY_BUCKETS - 1] == 1, "buckets, without their sum");
    status.numbers = 1;
    sample_take(&sample, 100, &status);
    is_int(sample.nworkers, 1, "fewer");
    status.numbers = 256;
    sample_take(&sample, 101, &status);
    ok(sample.nworkers == 256 && sample.workers[2].clients == 7, "many");
}

struct seen {
    unsigned n;
    uint64_t total;
    char all[8192];
};

static void on_cause(const struct cause *cause, void *arg)
{
    struct seen *seen = arg;
    size_t len = strlen(seen->all);

    seen->n++;
    seen->total += cause->total;
    snprintf(seen->all + len, sizeof(seen->all) - len, "%.*s=%.*s:%llu ", (int)cause->name_len,
             cause->name, (int)cause->reason_len, cause->reason, (unsigned long long)cause->total);
}

static struct seen see(enum cause_kind kind)
{
    struct seen seen = {0};

    sample_causes(&sample, kind, on_cause, &seen);
    is_int(sample_causes_total(&sample, kind), seen.total, "all together");
    return seen;
}

static void test_causes(void)
{
    struct seen seen;

    sample.messages_dropped[EMIT_OTHER_NAMESPACE] = 1000;
    sample.messages_dropped[EMIT_TOO_LARGE] = 41;
    sample.requests_dropped[REQUEST_OK + 1] = 42;
    seen = see(CAUSE_DROP);
    ok(strstr(seen.all, "messages_dropped=too_large:41 ") != NULL, "of the master");
    ok(strstr(seen.all, "requests_dropped=") && strstr(seen.all, ":42 "), "its requests");
    ok(strstr(seen.all, "deliveries_dropped=send_buffer:2 ") != NULL, "of workers");
    ok(strstr(seen.all, "deliveries_skipped=volatile:2 ") != NULL, "one without a label");
    ok(strstr(seen.all, "1000") == NULL, "what is for others is not dropped");
    seen = see(CAUSE_REFUSAL);
    ok(strstr(seen.all, "refusals=user_limit:2 ") && strstr(seen.all, "http_errors=404:2 "),
       "refusals");
    ok(strstr(seen.all, "token_renewals=ok") == NULL &&
           strstr(seen.all, "token_renewals=token_rate:2 "),
       "not what was taken");
    ok(strstr(seen.all, "tls_failures=cipher:2 ") != NULL, "TLS");
    seen = see(CAUSE_CLOSE);
    is_int(seen.n, COUNTERS_REASONS, "each reason to close");
    ok(strncmp(seen.all, "disconnects=client:2 ", 21) == 0, "by its label");
}

static void test_numbers(void)
{
    uint64_t now[LATENCY_BUCKETS] = {0}, before[LATENCY_BUCKETS] = {0};

    ok(sample_rate(30, 10, 500) == 40, "a second");
    ok(isnan(sample_rate(30, 10, 0)), "not in no time");
    ok(isnan(sample_rate(10, 30, 500)), "not backwards");
    ok(sample_rate(UINT64_MAX, 0, 1) > 1e22, "as many as there may be");
    ok(isnan(sample_quantile(now, before, 0.5)), "of nothing");
    now[3] = 10;
    before[3] = 10;
    now[4] = 2;
    ok(sample_quantile(now, before, 0.5) == 0.0075, "of what is new alone");
    before[0] = 1;
    ok(isnan(sample_quantile(now, before, 0.5)), "not backwards either");
}

int main(void)
{
    struct event_base *base = event_base_new();

    stats = stats_new(base, &ops, NULL);
    test_take();
    test_causes();
    test_numbers();
    sample_clear(&sample);
    ok(sample.workers == NULL && sample.at_ms == 0, "empty again");
    sample_clear(&sample);
    stats_free(&stats);
    event_base_free(base);
    return tap_done();
}
