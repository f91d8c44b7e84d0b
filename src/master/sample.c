#include "master/sample.h"

#include "base/slice.h"
#include "master/stats.h"
#include "master/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t sample_strangers(const struct counters *counters)
{
    uint64_t n = 0;

    for (unsigned i = COUNTER_STRANGERS; i <= COUNTER_STRANGERS_LAST; i++)
        n += counters->at[i];
    return n;
}

static void worker_take(struct sample_worker *worker, const struct stats *stats, unsigned number)
{
    struct counters counters;

    stats_worker(stats, number, &counters);
    worker->clients = counters.at[COUNTER_CLIENTS];
    worker->connections = counters.at[COUNTER_CONNECTIONS];
    worker->strangers = sample_strangers(&counters);
    worker->limit = counters.at[COUNTER_LIMIT];
    worker->deliveries = counters.at[COUNTER_DELIVERIES];
    memcpy(worker->latency, counters.at + COUNTER_LATENCY, sizeof(worker->latency));
}

static void workers_take(struct sample *sample, const struct status *status)
{
    sample->nworkers = status->numbers;
    if (sample->nworkers > sample->cap) {
        free(sample->workers);
        sample->workers = calloc(sample->nworkers, sizeof(*sample->workers));
        sample->cap = sample->workers != NULL ? sample->nworkers : 0;
    }
    if (sample->workers == NULL)
        sample->nworkers = 0;
    for (unsigned i = 0; i < sample->nworkers; i++)
        worker_take(&sample->workers[i], status->stats, i + 1);
}

void sample_take(struct sample *sample, uint64_t now_ms, const struct status *status)
{
    sample->at_ms = now_ms;
    stats_sum(status->stats, &sample->sum);
    sample->users = status->users;
    sample->received = status->redis.messages;
    memcpy(sample->messages_dropped, status->relay.dropped, sizeof(sample->messages_dropped));
    memcpy(sample->requests_dropped, status->cluster.dropped, sizeof(sample->requests_dropped));
    workers_take(sample, status);
}

void sample_clear(struct sample *sample)
{
    free(sample->workers);
    memset(sample, 0, sizeof(*sample));
}

double sample_rate(uint64_t now, uint64_t before, uint64_t ms)
{
    if (ms == 0 || now < before)
        return NAN;
    return (double)(now - before) * 1000 / (double)ms;
}

double sample_quantile(const uint64_t now[LATENCY_BUCKETS], const uint64_t before[LATENCY_BUCKETS],
                       double q)
{
    uint64_t between[LATENCY_BUCKETS];

    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        if (now[i] < before[i])
            return NAN;
        between[i] = now[i] - before[i];
    }
    return latency_quantile(between, q);
}

/* --- why something was not done -------------------------------------------------- */

/* Families of what workers count, and from which of their values on. */
struct family_part {
    enum cause_kind kind;
    unsigned family, from;
    const char *reason; /* where it has no label */
};

static const struct family_part parts[] = {
    {CAUSE_DROP, COUNTER_FAMILY_DROPPED, 0, NULL},
    {CAUSE_DROP, COUNTER_FAMILY_SKIPPED, 0, "volatile"},
    {CAUSE_DROP, COUNTER_FAMILY_ACKS_DROPPED, 0, NULL},
    {CAUSE_REFUSAL, COUNTER_FAMILY_REFUSED, 0, NULL},
    {CAUSE_REFUSAL, COUNTER_FAMILY_RENEWALS, 1, NULL}, /* the first: taken */
    {CAUSE_REFUSAL, COUNTER_FAMILY_TURNED_AWAY, 0, NULL},
    {CAUSE_REFUSAL, COUNTER_FAMILY_EVICTED, 0, NULL},
    {CAUSE_REFUSAL, COUNTER_FAMILY_PROXY_REFUSED, 0, NULL},
    {CAUSE_REFUSAL, COUNTER_FAMILY_TLS_FAILURES, 0, NULL},
    {CAUSE_REFUSAL, COUNTER_FAMILY_HTTP, 0, NULL},
    {CAUSE_CLOSE, COUNTER_FAMILY_DISCONNECTS, 0, NULL},
};

/* What is between the quotes of one label. */
static void value_of(const char *label, struct cause *cause)
{
    const char *begin = strchr(label, '"'), *end = begin != NULL ? strchr(begin + 1, '"') : NULL;

    cause->reason = end != NULL ? begin + 1 : label;
    cause->reason_len = end != NULL ? (size_t)(end - begin - 1) : strlen(label);
}

static void set_name(struct cause *cause, const char *name)
{
    static const char total[] = "_total";
    size_t len = strlen(name), behind = sizeof(total) - 1;

    cause->name = name;
    cause->name_len = len > behind && strcmp(name + len - behind, total) == 0 ? len - behind : len;
}

static void part_each(const struct sample *sample, const struct family_part *part,
                      void (*each)(const struct cause *cause, void *arg), void *arg)
{
    const struct counter_family *family = &counter_families[part->family];
    struct cause cause;

    set_name(&cause, family->name);
    for (unsigned i = part->from; i < family->n; i++) {
        value_of(part->reason != NULL ? part->reason : family->label(i), &cause);
        cause.total = sample->sum.at[family->first + i];
        each(&cause, arg);
    }
}

/* What the master drops. */
static void master_each(const struct sample *sample,
                        void (*each)(const struct cause *cause, void *arg), void *arg)
{
    struct cause cause;

    set_name(&cause, "messages_dropped");
    for (int i = EMIT_MALFORMED; i < EMIT_RESULTS; i++) {
        value_of(emit_result_name((enum emit_result)i), &cause);
        cause.total = sample->messages_dropped[i];
        each(&cause, arg);
    }
    set_name(&cause, "requests_dropped");
    for (int i = REQUEST_OK + 1; i < REQUEST_RESULTS; i++) {
        value_of(request_result_name((enum request_result)i), &cause);
        cause.total = sample->requests_dropped[i];
        each(&cause, arg);
    }
}

void sample_causes(const struct sample *sample, enum cause_kind kind,
                   void (*each)(const struct cause *cause, void *arg), void *arg)
{
    if (kind == CAUSE_DROP)
        master_each(sample, each, arg);
    for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (parts[i].kind == kind)
            part_each(sample, &parts[i], each, arg);
}

static void on_total(const struct cause *cause, void *arg)
{
    uint64_t *sum = arg;

    *sum += cause->total;
}

uint64_t sample_causes_total(const struct sample *sample, enum cause_kind kind)
{
    uint64_t sum = 0;

    sample_causes(sample, kind, on_total, &sum);
    return sum;
}
