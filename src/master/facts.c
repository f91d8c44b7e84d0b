#include "master/facts.h"

#include "codec/json.h"
#include "master/tally.h"

#include <time.h>
#include <unistd.h>

static unsigned workers_up(const struct facts *facts)
{
    unsigned up = 0;
    for (size_t i = 0; i < facts->nworkers; i++)
        up += facts->workers[i].up != 0;
    return up;
}

/* 1 if those that are up have no place for another client.  (What those before them, which
 * leave, have is none either, but they do not say so.) */
static int workers_full(const struct facts *facts)
{
    unsigned up = 0;
    for (size_t i = 0; i < facts->nworkers; i++) {
        struct counters counters;
        if (!facts->workers[i].up)
            continue;
        up++;
        tally_worker(facts->tally, facts->workers[i].number, &counters);
        if (!counters.at[COUNTER_FULL])
            return 0;
    }
    return up > 0;
}

static uint64_t workers_restarts(const struct facts *facts)
{
    uint64_t restarts = 0;
    for (size_t i = 0; i < facts->numbers; i++)
        restarts += facts->workers[i].restarts;
    return restarts;
}

static void put_time(struct buf *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    (void)json_put_date(out, (double)ms);
}

void facts_put_status(const struct facts *facts, struct buf *out)
{
    struct counters sum;
    tally_sum(facts->tally, &sum);
    (void)buf_puts(out, "{\"name\":\"axr-notifyd\",\"time\":");
    put_time(out);
    (void)buf_printf(out,
                     ",\"version\":\"%s\",\"uptime\":%llu.%03llu,\"pid\":%ld,\"generation\":%llu",
                     AXR_VERSION, (unsigned long long)(facts->uptime_ms / 1000),
                     (unsigned long long)(facts->uptime_ms % 1000), (long)getpid(),
                     (unsigned long long)facts->generation);
    (void)buf_printf(out, ",\"workers\":{\"configured\":%zu,\"up\":%u,\"restarts\":%llu}",
                     facts->nworkers, workers_up(facts),
                     (unsigned long long)workers_restarts(facts));
    (void)buf_printf(out, ",\"clients\":%llu,\"users\":%zu",
                     (unsigned long long)sum.at[COUNTER_CLIENTS], facts->users);
    (void)buf_printf(out, ",\"redis\":{\"subscribed\":%s,\"gaps\":%llu}}\n",
                     facts->redis_subscribed ? "true" : "false",
                     (unsigned long long)facts->redis.gaps);
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

int facts_put_health(const struct facts *facts, struct buf *out)
{
    unsigned up = workers_up(facts);
    struct counters sum;
    uint64_t strangers = 0;
    const char *comma = "";
    int full = workers_full(facts);
    int good = up > 0 && facts->redis_subscribed && !facts->stopping && !full;
    (void)buf_printf(out, "{\"status\":\"%s\",\"reasons\":[", good ? "ok" : "failing");
    put_reason(out, facts->stopping, "stopping", &comma);
    put_reason(out, up == 0, "no worker serves", &comma);
    put_reason(out, full, "no place for a client: limits:connections", &comma);
    put_reason(out, !facts->redis_subscribed, "redis is not subscribed", &comma);
    (void)buf_printf(out, "],\"workers\":{\"configured\":%zu,\"up\":%u}", facts->nworkers, up);
    tally_sum(facts->tally, &sum);
    put_share(out, "connections", sum.at[COUNTER_CONNECTIONS], sum.at[COUNTER_LIMIT],
              sum.at[COUNTER_FULL]);
    for (unsigned i = COUNTER_STRANGERS; i <= COUNTER_STRANGERS_LAST; i++)
        strangers += sum.at[i];
    put_share(out, "strangers", strangers, sum.at[COUNTER_STRANGERS_LIMIT],
              sum.at[COUNTER_STRANGERS_FULL]);
    (void)buf_printf(out, ",\"redis\":{\"subscribed\":%s}}\n",
                     facts->redis_subscribed ? "true" : "false");
    return good;
}

void facts_put_user(struct slice uid, size_t connections, struct buf *out)
{
    (void)buf_puts(out, "{\"uid\":");
    (void)json_put_string(out, uid.ptr, uid.len);
    (void)buf_printf(out, ",\"connected\":%s,\"connections\":%zu}\n",
                     connections > 0 ? "true" : "false", connections);
}
