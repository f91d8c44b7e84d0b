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

int facts_put_health(const struct facts *facts, struct buf *out)
{
    unsigned up = workers_up(facts);
    int good = up > 0 && facts->redis_subscribed && !facts->stopping;
    const char *comma = "";
    (void)buf_printf(out, "{\"status\":\"%s\",\"reasons\":[", good ? "ok" : "failing");
    if (facts->stopping) {
        (void)buf_puts(out, "\"stopping\"");
        comma = ",";
    }
    if (up == 0) {
        (void)buf_printf(out, "%s\"no worker serves\"", comma);
        comma = ",";
    }
    if (!facts->redis_subscribed)
        (void)buf_printf(out, "%s\"redis is not subscribed\"", comma);
    (void)buf_printf(out, "],\"workers\":{\"configured\":%zu,\"up\":%u}", facts->nworkers, up);
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
