#include "master/live.h"

#include "base/clock.h"
#include "codec/json.h"
#include "master/news.h"
#include "master/sample.h"
#include "master/status.h"
#include "master/trend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *boolean(int value)
{
    return value ? "true" : "false";
}

static void put_count(struct buf *out, const char *name, uint64_t value)
{
    (void)buf_printf(out, "\"%s\":%llu", name, (unsigned long long)value);
}

static void put_number(struct buf *out, const char *name, double value)
{
    (void)buf_printf(out, "\"%s\":", name);
    trend_put_number(value, out);
}

static double rate(const struct live *live, uint64_t now, uint64_t before)
{
    if (live->before == NULL)
        return NAN;
    return sample_rate(now, before, live->now->at_ms - live->before->at_ms);
}

static double rate_of(const struct live *live, enum counter which)
{
    if (live->before == NULL)
        return NAN;
    return rate(live, live->now->sum.at[which], live->before->sum.at[which]);
}

/* --- what it is ------------------------------------------------------------------ */

static void put_host(struct buf *out)
{
    char host[256] = "";

    (void)gethostname(host, sizeof(host) - 1);
    (void)json_put_string_lossy(out, host, strlen(host));
}

static void put_itself(const struct live *live, struct buf *out)
{
    const struct status *status = live->status;

    (void)buf_printf(out, "\"time\":%lld,\"name\":\"axr-notifyd\",\"version\":\"" AXR_VERSION "\"",
                     (long long)clock_wall_ms());
    (void)buf_puts(out, ",\"host\":");
    put_host(out);
    (void)buf_printf(out, ",\"uptime\":%llu.%03llu,\"pid\":%ld,\"generation\":%llu",
                     (unsigned long long)(status->uptime_ms / 1000),
                     (unsigned long long)(status->uptime_ms % 1000), (long)getpid(),
                     (unsigned long long)status->generation);
    (void)buf_printf(out, ",\"stopping\":%s,\"token\":%s,\"namespace\":", boolean(status->stopping),
                     boolean(status->conf->admin_token != NULL));
    (void)json_put_string_lossy(out, status->conf->nsp, strlen(status->conf->nsp));
    (void)buf_puts(out, ",\"health\":");
    (void)status_put_health(status, out);
    while (out->len > 0 && out->data[out->len - 1] == '\n')
        out->len--;
}

/* --- how many, and how many a second ---------------------------------------------- */

static void put_counts(const struct live *live, struct buf *out)
{
    const struct status *status = live->status;
    const uint64_t *at = live->now->sum.at;

    put_count(out, "clients", at[COUNTER_CLIENTS]);
    (void)buf_printf(out, ",\"users\":%zu,\"rooms\":%zu,\"memberships\":%zu,", status->users,
                     status->rooms, status->memberships);
    put_count(out, "connections", at[COUNTER_CONNECTIONS]);
    (void)buf_putc(out, ',');
    put_count(out, "strangers", sample_strangers(&live->now->sum));
    (void)buf_puts(out, ",\"limit\":{");
    put_count(out, "connections", at[COUNTER_LIMIT]);
    (void)buf_putc(out, ',');
    put_count(out, "strangers", at[COUNTER_STRANGERS_LIMIT]);
    (void)buf_puts(out, "},\"full\":{");
    put_count(out, "connections", at[COUNTER_FULL]);
    (void)buf_putc(out, ',');
    put_count(out, "strangers", at[COUNTER_STRANGERS_FULL]);
    (void)buf_putc(out, '}');
}

static void put_rates(const struct live *live, struct buf *out)
{
    uint64_t left = sample_causes_total(live->now, CAUSE_CLOSE), left_before = 0;
    uint64_t received_before = 0;

    if (live->before != NULL) {
        left_before = sample_causes_total(live->before, CAUSE_CLOSE);
        received_before = live->before->received;
    }
    (void)buf_puts(out, "\"rates\":{");
    put_number(out, "received", rate(live, live->now->received, received_before));
    (void)buf_putc(out, ',');
    put_number(out, "delivered", rate_of(live, COUNTER_DELIVERIES));
    (void)buf_putc(out, ',');
    put_number(out, "connected", rate_of(live, COUNTER_CONNECTS));
    (void)buf_putc(out, ',');
    put_number(out, "disconnected", rate(live, left, left_before));
    (void)buf_putc(out, ',');
    put_number(out, "bytesOut", rate_of(live, COUNTER_SENT));
    (void)buf_putc(out, '}');
}

static void put_latency(const struct live *live, struct buf *out)
{
    static const uint64_t none[LATENCY_BUCKETS];
    const uint64_t *now = live->now->sum.at + COUNTER_LATENCY, *before = none;
    uint64_t count = 0;

    if (live->long_before != NULL)
        before = live->long_before->sum.at + COUNTER_LATENCY;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        count += now[i] - before[i];
    (void)buf_puts(out, "\"latency\":{");
    put_number(out, "p50", live->long_before ? sample_quantile(now, before, 0.5) : NAN);
    (void)buf_putc(out, ',');
    put_number(out, "p99", live->long_before ? sample_quantile(now, before, 0.99) : NAN);
    (void)buf_putc(out, ',');
    put_count(out, "count", live->long_before ? count : 0);
    (void)buf_putc(out, '}');
}

/* --- workers, and their generations ------------------------------------------------ */

/* That of the same number in a sample, or NULL.  One that was not there had counted nothing. */
static const struct sample_worker *worker_in(const struct sample *sample, size_t i)
{
    static const struct sample_worker none;

    if (sample == NULL)
        return NULL;
    return i < sample->nworkers ? &sample->workers[i] : &none;
}

static void put_counted(const struct live *live, size_t i, struct buf *out)
{
    const struct sample_worker *now = worker_in(live->now, i), *before = worker_in(live->before, i),
                               *long_before = worker_in(live->long_before, i);

    (void)buf_putc(out, ',');
    put_count(out, "clients", now->clients);
    (void)buf_putc(out, ',');
    put_count(out, "connections", now->connections);
    (void)buf_putc(out, ',');
    put_count(out, "limit", now->limit);
    (void)buf_putc(out, ',');
    put_count(out, "strangers", now->strangers);
    (void)buf_putc(out, ',');
    put_number(out, "delivered", before ? rate(live, now->deliveries, before->deliveries) : NAN);
    (void)buf_putc(out, ',');
    put_number(out, "p99",
               long_before ? sample_quantile(now->latency, long_before->latency, 0.99) : NAN);
}

static void put_workers(const struct live *live, struct buf *out)
{
    const struct status *status = live->status;

    (void)buf_puts(out, "\"workers\":[");
    for (size_t i = 0; i < status->numbers; i++) {
        const struct status_worker *worker = &status->workers[i];
        (void)buf_printf(out, "%s{\"number\":%u,\"generation\":%u,\"pid\":%ld,\"up\":%s",
                         i > 0 ? "," : "", worker->number, worker->generation, (long)worker->pid,
                         boolean(worker->up));
        put_counted(live, i, out);
        (void)buf_printf(out, ",\"restarts\":%llu,\"queued\":%llu}",
                         (unsigned long long)worker->restarts, (unsigned long long)worker->queued);
    }
    (void)buf_putc(out, ']');
}

static void put_generations(const struct live *live, struct buf *out)
{
    static const char *const states[] = {
        [STATUS_STARTS] = "starts", [STATUS_SERVES] = "serves", [STATUS_LEAVES] = "leaves"};
    const struct status *status = live->status;

    (void)buf_puts(out, "\"generations\":[");
    for (size_t i = 0; i < status->ngenerations; i++) {
        const struct status_generation *generation = &status->generations[i];
        (void)buf_printf(out, "%s{\"number\":%u,\"workers\":%u,\"state\":\"%s\"}", i > 0 ? "," : "",
                         generation->number, generation->workers, states[generation->state]);
    }
    (void)buf_printf(out, "],\"reloads\":{\"good\":%llu,\"failed\":%llu,\"last\":",
                     (unsigned long long)status->reloads,
                     (unsigned long long)status->reloads_failed);
    if (status->reload_ms > 0)
        (void)buf_printf(out, "{\"time\":%lld,\"ok\":%s}}", (long long)status->reload_ms,
                         boolean(status->reload_ok));
    else
        (void)buf_puts(out, "null}");
}

/* --- why not ------------------------------------------------------------------------ */

struct causes {
    const struct live *live;
    struct buf *out;
    const uint64_t *before; /* the next total, or NULL */
    const char *comma;
};

struct totals {
    size_t n;
    uint64_t at[256];
};

static void on_before(const struct cause *cause, void *arg)
{
    struct totals *totals = arg;

    if (totals->n < sizeof(totals->at) / sizeof(*totals->at))
        totals->at[totals->n++] = cause->total;
}

static void on_cause(const struct cause *cause, void *arg)
{
    struct causes *causes = arg;
    uint64_t before = causes->before != NULL ? *causes->before++ : 0;

    if (cause->total == 0)
        return;
    (void)buf_printf(causes->out, "%s{\"name\":", causes->comma);
    (void)json_put_string_lossy(causes->out, cause->name, cause->name_len);
    (void)buf_puts(causes->out, ",\"reason\":");
    (void)json_put_string_lossy(causes->out, cause->reason, cause->reason_len);
    (void)buf_putc(causes->out, ',');
    put_count(causes->out, "total", cause->total);
    (void)buf_putc(causes->out, ',');
    put_number(causes->out, "rate", rate(causes->live, cause->total, before));
    (void)buf_putc(causes->out, '}');
    causes->comma = ",";
}

static void put_causes(const struct live *live, const char *name, enum cause_kind kind,
                       struct buf *out)
{
    struct totals totals = {0};
    struct causes causes = {.live = live, .out = out, .comma = ""};

    if (live->before != NULL) {
        sample_causes(live->before, kind, on_before, &totals);
        causes.before = totals.at;
    }
    (void)buf_printf(out, "\"%s\":[", name);
    sample_causes(live->now, kind, on_cause, &causes);
    (void)buf_putc(out, ']');
}

/* --- redis --------------------------------------------------------------------------- */

static void put_server(const struct conf_redis *server, struct buf *out)
{
    struct buf text = {0};

    if (server == NULL || (server->host == NULL && server->path == NULL)) {
        (void)buf_puts(out, "null");
        return;
    }
    if (server->path != NULL)
        (void)buf_printf(&text, "unix:%s", server->path);
    else
        (void)buf_printf(&text, strchr(server->host, ':') != NULL ? "[%s]:%d" : "%s:%d",
                         server->host, server->port);
    if (text.failed)
        out->failed = 1;
    else
        (void)json_put_string_lossy(out, (const char *)text.data, text.len);
    buf_free(&text);
}

static void put_redis(const struct live *live, struct buf *out)
{
    const struct status *status = live->status;

    (void)buf_printf(out,
                     "\"redis\":{\"subscribed\":%s,\"server\":", boolean(status->redis_subscribed));
    put_server(status->redis_server, out);
    (void)buf_printf(out, ",\"gaps\":%llu,\"gapSeconds\":%llu.%03llu,\"lastGap\":",
                     (unsigned long long)status->redis.gaps,
                     (unsigned long long)(status->redis.gap_ms / 1000),
                     (unsigned long long)(status->redis.gap_ms % 1000));
    if (status->redis_gap_ms > 0)
        (void)buf_printf(out, "%lld", (long long)status->redis_gap_ms);
    else
        (void)buf_puts(out, "null");
    (void)buf_printf(out, ",\"commands\":%s,\"counted\":%s,\"sentinels\":",
                     boolean(status->commands.is_ready), boolean(status->commands.is_counted));
    if (status->sentinels.sentinels > 0)
        status_put_sentinels(status, out);
    else
        (void)buf_puts(out, "null");
    (void)buf_putc(out, '}');
}

void live_put(const struct live *live, struct buf *out)
{
    (void)buf_putc(out, '{');
    put_itself(live, out);
    (void)buf_putc(out, ',');
    put_counts(live, out);
    (void)buf_putc(out, ',');
    put_rates(live, out);
    (void)buf_putc(out, ',');
    put_latency(live, out);
    (void)buf_putc(out, ',');
    put_workers(live, out);
    (void)buf_putc(out, ',');
    put_causes(live, "drops", CAUSE_DROP, out);
    (void)buf_putc(out, ',');
    put_causes(live, "refusals", CAUSE_REFUSAL, out);
    (void)buf_putc(out, ',');
    put_causes(live, "closed", CAUSE_CLOSE, out);
    (void)buf_putc(out, ',');
    put_redis(live, out);
    (void)buf_putc(out, ',');
    put_generations(live, out);
    (void)buf_puts(out, ",\"events\":");
    news_put_json(live->news, out);
    (void)buf_puts(out, ",\"certificates\":");
    status_put_certificates(live->status, out);
    (void)buf_puts(out, ",\"recovery\":");
    status_put_recovery(live->status, out);
    (void)buf_puts(out, ",\"addresses\":");
    status_put_addresses(live->status, out);
    (void)buf_putc(out, '}');
}
