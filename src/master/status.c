#include "master/status.h"

#include "codec/certificate.h"
#include "codec/json.h"
#include "codec/request.h"
#include "master/stats.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define ADDRESSES_MAX 10 /* in /status */
#define DAY_S         86400

static unsigned workers_up(const struct status *status)
{
    unsigned up = 0;

    for (size_t i = 0; i < status->nworkers; i++)
        up += status->workers[i].up != 0;
    return up;
}

/* 1 if those that are up have no place for another client.  (What those before them, which
 * leave, have is none either, but they do not say so.) */
static int workers_full(const struct status *status)
{
    unsigned up = 0;

    for (size_t i = 0; i < status->nworkers; i++) {
        struct counters counters;
        if (!status->workers[i].up)
            continue;
        up++;
        stats_worker(status->stats, status->workers[i].number, &counters);
        if (!counters.at[COUNTER_FULL])
            return 0;
    }
    return up > 0;
}

static uint64_t workers_restarts(const struct status *status)
{
    uint64_t restarts = 0;

    for (size_t i = 0; i < status->numbers; i++)
        restarts += status->workers[i].restarts;
    return restarts;
}

static void put_time(struct buf *out)
{
    struct timespec now;
    int64_t ms;

    clock_gettime(CLOCK_REALTIME, &now);
    ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    (void)json_put_date(out, (double)ms);
}

void status_put_recovery(const struct status *status, struct buf *out)
{
    const struct recovery_stats *recovery = &status->recovery;
    const struct history_stats *history = &recovery->history;
    uint64_t refused = 0;

    if (!recovery->is_on) {
        (void)buf_puts(out, "false");
        return;
    }
    for (int reason = 0; reason < RESUME_REFUSALS; reason++)
        refused += recovery->resume.refused[reason];
    (void)buf_printf(out, "{\"recovered\":%llu,\"refused\":%llu,\"shared\":%s",
                     (unsigned long long)recovery->resume.recovered, (unsigned long long)refused,
                     recovery->is_shared ? "true" : "false");
    (void)buf_printf(
        out, ",\"history\":{\"bytes\":%llu,\"limit\":%zu,\"messages\":%llu,\"age\":%llu.%03llu}}",
        (unsigned long long)history->bytes, recovery->max_bytes,
        (unsigned long long)history->entries, (unsigned long long)(history->age_ms / 1000),
        (unsigned long long)(history->age_ms % 1000));
}

void status_put_sentinels(const struct status *status, struct buf *out)
{
    const struct finder_stats *sentinels = &status->sentinels;
    const struct conf_redis *server = status->redis_server;

    (void)buf_puts(out, "{\"name\":");
    (void)json_put_string(out, server->name, strlen(server->name));
    if (server->host != NULL)
        (void)buf_printf(out,
                         strchr(server->host, ':') != NULL ? ",\"master\":\"[%s]:%d\""
                                                           : ",\"master\":\"%s:%d\"",
                         server->host, server->port);
    else
        (void)buf_puts(out, ",\"master\":null");
    (void)buf_printf(out, ",\"configured\":%zu,\"answering\":%zu,\"switches\":%llu}",
                     sentinels->sentinels, sentinels->answering,
                     (unsigned long long)sentinels->switches);
}

/* Of those from which most trouble comes. */
void status_put_addresses(const struct status *status, struct buf *out)
{
    static const char *const names[WORST_VALUES] = {
        [WORST_CONNS] = "connections",      [WORST_SESSIONS] = "sessions",
        [WORST_STRANGERS] = "strangers",    [WORST_HANDSHAKES] = "handshakes",
        [WORST_TLS] = "tlsHandshakes",      [WORST_REFUSED] = "tokensRefused",
        [WORST_TURNED_AWAY] = "turnedAway",
    };
    struct worst worst[ADDRESSES_MAX];
    size_t n = stats_worst(status->stats, worst, ADDRESSES_MAX);
    char text[WORST_TEXT_MAX];

    (void)buf_putc(out, '[');
    for (size_t i = 0; i < n; i++) {
        (void)buf_printf(out, "%s{\"address\":\"%s\"", i > 0 ? "," : "",
                         worst_text(&worst[i], text));
        for (size_t k = 0; k < WORST_VALUES; k++)
            (void)buf_printf(out, ",\"%s\":%u", names[k], worst[i].n[k]);
        (void)buf_putc(out, '}');
    }
    (void)buf_putc(out, ']');
}

static void put_certificate(struct buf *out, const struct conf_certificate *one, int64_t now)
{
    (void)buf_puts(out, "{\"names\":[");
    for (size_t i = 0; one->names[i] != NULL; i++) {
        (void)buf_puts(out, i > 0 ? "," : "");
        (void)json_put_string(out, one->names[i], strlen(one->names[i]));
    }
    (void)buf_printf(out, "],\"key\":\"%s\",\"notAfter\":\"", one->kind);
    certificate_time_put(one->not_after, out);
    (void)buf_printf(out, "\",\"daysLeft\":%lld}", (long long)((one->not_after - now) / DAY_S));
}

void status_put_certificates(const struct status *status, struct buf *out)
{
    int64_t now = time(NULL);

    (void)buf_putc(out, '[');
    for (size_t i = 0; i < status->tls->n; i++) {
        (void)buf_puts(out, i > 0 ? "," : "");
        put_certificate(out, &status->tls->at[i], now);
    }
    (void)buf_putc(out, ']');
}

/* Which certificates clients get. */
static void put_tls(struct buf *out, const struct status *status)
{
    if (status->tls->n == 0) {
        (void)buf_puts(out, ",\"tls\":false");
        return;
    }
    (void)buf_puts(out, ",\"tls\":{\"certificates\":");
    status_put_certificates(status, out);
    (void)buf_printf(out, ",\"reloads\":%llu,\"reloadsFailed\":%llu}",
                     (unsigned long long)status->certificates.good,
                     (unsigned long long)status->certificates.failed);
}

void status_put(const struct status *status, struct buf *out)
{
    struct counters sum;

    stats_sum(status->stats, &sum);
    (void)buf_puts(out, "{\"name\":\"axr-notifyd\",\"time\":");
    put_time(out);
    (void)buf_printf(out,
                     ",\"version\":\"%s\",\"uptime\":%llu.%03llu,\"pid\":%ld,\"generation\":%llu",
                     AXR_VERSION, (unsigned long long)(status->uptime_ms / 1000),
                     (unsigned long long)(status->uptime_ms % 1000), (long)getpid(),
                     (unsigned long long)status->generation);
    (void)buf_printf(out, ",\"workers\":{\"configured\":%zu,\"up\":%u,\"restarts\":%llu}",
                     status->nworkers, workers_up(status),
                     (unsigned long long)workers_restarts(status));
    (void)buf_printf(out, ",\"clients\":%llu,\"users\":%zu,\"rooms\":%zu,\"memberships\":%zu",
                     (unsigned long long)sum.at[COUNTER_CLIENTS], status->users, status->rooms,
                     status->memberships);
    (void)buf_printf(
        out, ",\"redis\":{\"subscribed\":%s,\"gaps\":%llu,\"commands\":%s,\"counted\":%s",
        status->redis_subscribed ? "true" : "false", (unsigned long long)status->redis.gaps,
        status->commands.is_ready ? "true" : "false",
        status->commands.is_counted ? "true" : "false");
    if (status->sentinels.sentinels > 0) {
        (void)buf_puts(out, ",\"sentinels\":");
        status_put_sentinels(status, out);
    }
    (void)buf_puts(out, "},\"addresses\":");
    status_put_addresses(status, out);
    put_tls(out, status);
    (void)buf_puts(out, ",\"recovery\":");
    status_put_recovery(status, out);
    (void)buf_puts(out, "}\n");
}

static void put_reason(struct buf *out, int holds, const char *reason, const char **comma)
{
    if (!holds)
        return;
    (void)buf_printf(out, "%s\"%s\"", *comma, reason);
    *comma = ",";
}

/* How many there are, may be, and how many workers have as many. */
static void put_share(struct buf *out, const char *name, uint64_t n, uint64_t limit, uint64_t full)
{
    (void)buf_printf(out, ",\"%s\":{\"now\":%llu,\"limit\":%llu,\"full\":%llu}", name,
                     (unsigned long long)n, (unsigned long long)limit, (unsigned long long)full);
}

int status_put_health(const struct status *status, struct buf *out)
{
    unsigned up = workers_up(status);
    struct counters sum;
    uint64_t strangers = 0;
    const char *comma = "";
    int full = workers_full(status);
    int good = up > 0 && status->redis_subscribed && !status->stopping && !full;

    (void)buf_printf(out, "{\"status\":\"%s\",\"reasons\":[", good ? "ok" : "failing");
    put_reason(out, status->stopping, "stopping", &comma);
    put_reason(out, up == 0, "no worker serves", &comma);
    put_reason(out, full, "no place for a client: limits:connections", &comma);
    put_reason(out, !status->redis_subscribed, "redis is not subscribed", &comma);
    (void)buf_printf(out, "],\"workers\":{\"configured\":%zu,\"up\":%u}", status->nworkers, up);
    stats_sum(status->stats, &sum);
    put_share(out, "connections", sum.at[COUNTER_CONNECTIONS], sum.at[COUNTER_LIMIT],
              sum.at[COUNTER_FULL]);
    for (unsigned i = COUNTER_STRANGERS; i <= COUNTER_STRANGERS_LAST; i++)
        strangers += sum.at[i];
    put_share(out, "strangers", strangers, sum.at[COUNTER_STRANGERS_LIMIT],
              sum.at[COUNTER_STRANGERS_FULL]);
    (void)buf_printf(out, ",\"redis\":{\"subscribed\":%s}}\n",
                     status->redis_subscribed ? "true" : "false");
    return good;
}
