/* What there is now, as JSON: every member, with and without something to compare with. */
#include "master/live.h"

#include "codec/json.h"
#include "live_world.h"
#include "master/news.h"
#include "master/sample.h"
#include "master/stats.h"
#include "tap.h"

#include <cjson/cJSON.h>
#include <event2/event.h>

static struct stats *stats;
static struct news *news;
static struct status status;
static struct sample now, before;
static struct cJSON *tree;

static void on_ask(unsigned lane, uint32_t id, void *arg)
{
    (void)lane;
    (void)id;
    (void)arg;
}

static const struct stats_ops stats_ops = {on_ask};

static void tell(uint64_t deliveries, uint64_t quick, uint64_t slow)
{
    struct counters counters = {{0}};

    counters.at[COUNTER_CLIENTS] = 3;
    counters.at[COUNTER_CONNECTIONS] = 7;
    counters.at[COUNTER_LIMIT] = 20;
    counters.at[COUNTER_FULL] = 1;
    counters.at[COUNTER_STRANGERS] = counters.at[COUNTER_STRANGERS_LAST] = 1;
    counters.at[COUNTER_STRANGERS_LIMIT] = 5;
    counters.at[COUNTER_DELIVERIES] = deliveries;
    counters.at[COUNTER_DROPPED + 4] = 11;
    counters.at[COUNTER_REFUSED] = deliveries / 10;
    counters.at[COUNTER_DISCONNECTS] = 2;
    counters.at[COUNTER_LATENCY + 1] = quick;
    counters.at[COUNTER_LATENCY + 4] = slow;
    stats_told(stats, 0, 0, &counters);
}

/* A member by its path, "redis/server" or "workers/0/up", as text; valid until the next call. */
static const char *at(const char *path)
{
    static char text[4096];
    char copy[128], *word, *rest = copy;
    const cJSON *item = tree;

    snprintf(copy, sizeof(copy), "%s", path);
    while ((word = strsep(&rest, "/")) != NULL)
        item = cJSON_IsArray(item) ? cJSON_GetArrayItem(item, atoi(word))
                                   : cJSON_GetObjectItemCaseSensitive(item, word);
    if (item == NULL || !cJSON_PrintPreallocated((cJSON *)(uintptr_t)item, text, sizeof(text), 0))
        return "none";
    return text;
}

static void put(const struct sample *past)
{
    const struct live live = {&status, news, &now, past, past};
    struct buf out = {0};

    cJSON_Delete(tree);
    live_put(&live, &out);
    ok(out.len > 0 && json_span((const char *)out.data, out.len) == (long)out.len, "JSON");
    ok(out.len > 0 && memchr(out.data, '\n', out.len) == NULL, "on one line");
    tree = cJSON_ParseWithLength((const char *)out.data, out.len);
    ok(tree != NULL, "a tree");
    buf_free(&out);
}

static void test_itself(void)
{
    is_str(at("name"), "\"axr-notifyd\"", "name");
    is_str(at("version"), "\"" AXR_VERSION "\"", "version");
    is_str(at("uptime"), "61.007", "uptime");
    is_str(at("generation"), "3", "generation");
    is_str(at("stopping"), "false", "stopping");
    is_str(at("token"), "false", "token");
    is_str(at("namespace"), "\"/a\\\"\\\\\\n\\u0001\xef\xbf\xbd</script>\"", "a hostile name");
    is_str(at("health/status"), "\"failing\"", "health");
    is_str(at("health/reasons/0"), "\"no place for a client: limits:connections\"", "and why");
}

static void test_counts(void)
{
    is_str(at("clients"), "3", "clients");
    is_str(at("users"), "2", "users");
    is_str(at("rooms"), "4", "rooms");
    is_str(at("memberships"), "9", "memberships");
    is_str(at("connections"), "7", "connections");
    is_str(at("strangers"), "2", "strangers");
    is_str(at("limit"), "{\"connections\":20,\"strangers\":5}", "limits");
    is_str(at("full"), "{\"connections\":1,\"strangers\":0}", "full");
    is_str(at("workers/0/clients"), "3", "of a worker");
    is_str(at("workers/0/limit"), "20", "its limit");
    is_str(at("workers/0/pid"), "123", "its process");
    is_str(at("workers/0/up"), "true", "up");
    is_str(at("workers/0/queued"), "7", "queued");
    is_str(at("workers/0/restarts"), "5", "restarts");
    is_str(at("workers/1/up"), "false", "one that is not");
    is_str(at("workers/2"), "none", "no more");
    is_str(at("generations"),
           "[{\"number\":2,\"workers\":1,\"state\":\"leaves\"},"
           "{\"number\":3,\"workers\":1,\"state\":\"serves\"}]",
           "generations");
    is_str(at("reloads"), "{\"good\":2,\"failed\":1,\"last\":{\"time\":88,\"ok\":false}}",
           "reloads");
}

static void test_others(void)
{
    is_str(at("redis"),
           "{\"subscribed\":true,\"server\":\"red\\\"is\xef\xbf\xbd.example:6379\",\"gaps\":5,"
           "\"gapSeconds\":1.234,\"lastGap\":77,\"commands\":false,\"counted\":false,"
           "\"sentinels\":null}",
           "redis");
    is_str(at("events/0/text"), "\"a \\\"thing\\\"\"", "news");
    is_str(at("certificates/0/names"), "[\"*.one\\\".example\"]", "certificates");
    is_str(at("recovery"), "false", "recovery");
    is_str(at("addresses"), "[]", "addresses");
}

static void test_alone(void)
{
    put(NULL);
    test_itself();
    test_counts();
    test_others();
    is_str(at("rates"),
           "{\"received\":null,\"delivered\":null,\"connected\":null,\"disconnected\":null,"
           "\"bytesOut\":null}",
           "no rates");
    is_str(at("latency"), "{\"p50\":null,\"p99\":null,\"count\":0}", "no latency");
    is_str(at("workers/0/delivered"), "null", "of no worker");
    is_str(
        at("drops"),
        "[{\"name\":\"messages_dropped\",\"reason\":\"malformed\",\"total\":6,\"rate\":null},"
        "{\"name\":\"deliveries_dropped\",\"reason\":\"send_buffer\",\"total\":11,\"rate\":null}]",
        "drops, those that there are");
}

static void test_compared(void)
{
    sample_take(&before, 1000, &status);
    tell(2000, 0 + 10, 2 + 30);
    status.redis.messages = 150;
    status.relay.dropped[EMIT_MALFORMED] = 9;
    sample_take(&now, 1500, &status);
    put(&before);
    is_str(
        at("rates"),
        "{\"received\":100,\"delivered\":3800,\"connected\":0,\"disconnected\":0,\"bytesOut\":0}",
        "rates");
    is_str(at("latency"), "{\"p50\":0.006667,\"p99\":0.009933,\"count\":40}", "latency");
    is_str(at("workers/0/delivered"), "3800", "of a worker");
    is_str(at("workers/0/p99"), "0.009933", "its latency");
    is_str(at("workers/1/p99"), "null", "one without any");
    is_str(at("drops/0/rate"), "6", "drops a second");
    is_str(at("drops/1/rate"), "0", "each compared with itself");
    is_str(at("refusals/0"),
           "{\"name\":\"refusals\",\"reason\":\"user_limit\",\"total\":200,\"rate\":380}",
           "refusals");
    is_str(at("closed"),
           "[{\"name\":\"disconnects\",\"reason\":\"client\",\"total\":2,\"rate\":0}]", "closed");
}

static void test_servers(void)
{
    static char six[] = "::1", path[] = "/run/\x02redis.sock";

    live_redis.host = six;
    put(NULL);
    is_str(at("redis/server"), "\"[::1]:6379\"", "an address of IPv6");
    live_redis.path = path;
    put(NULL);
    is_str(at("redis/server"), "\"unix:/run/\\u0002redis.sock\"", "a socket");
    live_redis.name = path;
    status.sentinels = (struct finder_stats){3, 2, 71};
    status.recovery.is_on = 1;
    put(NULL);
    is_str(at("redis/sentinels/name"), "\"/run/\\u0002redis.sock\"", "sentinels");
    is_str(at("redis/sentinels/answering"), "2", "how many of them answer");
    is_str(at("recovery/history/messages"), "0", "recovery");
    live_redis.path = live_redis.host = NULL;
    put(NULL);
    is_str(at("redis/server"), "null", "nowhere");
    memset(&status.sentinels, 0, sizeof(status.sentinels)); /* who know one are told where */
    status.redis_server = NULL;
    status.reload_ms = status.redis_gap_ms = 0;
    put(NULL);
    is_str(at("reloads/last"), "null", "no reload yet");
    is_str(at("redis/lastGap"), "null", "no gap yet");
}

int main(void)
{
    struct event_base *base = event_base_new();

    stats = stats_new(base, &stats_ops, NULL);
    news = news_new();
    news_put(news, LOG_LEVEL_INFO, "a \"thing\"");
    stats_up(stats, 0);
    tell(100, 0, 2);
    live_status(&status, stats);
    sample_take(&now, 500, &status);
    test_alone();
    test_compared();
    test_servers();
    cJSON_Delete(tree);
    sample_clear(&now);
    sample_clear(&before);
    news_free(&news);
    stats_free(&stats);
    event_base_free(base);
    return tap_done();
}
