/* The sentinels of a configuration: what is taken, what is refused, and what is not used then. */
#include "base/buf.h"
#include "conf.h"
#include "tap.h"

#include <stdio.h>

static struct buf errors, warnings, report;

static const char *text(struct buf *buf)
{
    if (buf_putc(buf, '\0') < 0)
        abort();
    return (const char *)buf->data;
}

/* With redis as the object of socket.io:redis. */
static struct conf *load(const char *redis)
{
    static char *env[] = {NULL};
    static const char secret[] = "\"auth\":{\"secret\":\"0123456789abcdef0123456789abcdef\"}";
    const struct conf_args args = {.file = "test", .environ = env};
    char file[1200];
    int n = snprintf(file, sizeof(file), "{%s,\"socket.io\":{\"redis\":{%s}}}", secret, redis);
    struct conf *conf;

    buf_free(&errors);
    buf_free(&warnings);
    buf_free(&report);
    conf = conf_load_text(&args, file, (size_t)n, CONF_FOR_DAEMON, &errors, &warnings);
    if (conf != NULL)
        conf_print(conf, &report);
    return conf;
}

/* list is what is given, want host port, separated by spaces. */
static void taken(const char *list, const char *want)
{
    char redis[800], got[800] = "";
    struct conf *conf;
    size_t n = 0;

    (void)snprintf(redis, sizeof(redis), "\"sentinels\":%s", list);
    conf = load(redis);
    for (size_t i = 0; conf != NULL && i < conf->redis.nsentinels; i++)
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s %d", i > 0 ? " " : "",
                              conf->redis.sentinels[i].host, conf->redis.sentinels[i].port);
    is_str(got, want, list);
    if (conf == NULL)
        printf("#   %s\n", text(&errors));
    else
        ok(conf->redis.host == NULL && conf->redis.path == NULL && warnings.len == 0,
           "there is no other place, and no warning");
    conf_free(&conf);
}

static void test_taken(void)
{
    taken("[\"a\"]", "a 26379");
    taken("[\"a:1\",\"b.c\",\"10.0.0.1:65535\"]", "a 1 b.c 26379 10.0.0.1 65535");
    taken("[\"::1\",\"[::2]\",\"[fe80::1]:7\"]", "::1 26379 ::2 26379 fe80::1 7");
    taken("[{\"host\":\"a\"},{\"port\":5,\"host\":\"::1\"},{\"host\":\"b\",\"port\":\"6\"}]",
          "a 26379 ::1 5 b 6");
    taken("[\"a:1\",\"a:2\",\"b:1\"]", "a 1 a 2 b 1");
    taken("[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\","
          "\"14\",\"15\",\"16\"]",
          "1 26379 2 26379 3 26379 4 26379 5 26379 6 26379 7 26379 8 26379 9 26379 10 26379 "
          "11 26379 12 26379 13 26379 14 26379 15 26379 16 26379");
}

static void refused(const char *redis, const char *want)
{
    struct conf *conf = load(redis);

    ok(conf == NULL, "refused: %s", redis);
    if (!ok(strstr(text(&errors), want) != NULL, "says %s", want))
        printf("#   %s\n", text(&errors));
    ok(strstr(text(&errors), "hunter2") == NULL, "and no secret");
    conf_free(&conf);
}

#define PLACE "wanted \"host:port\", \"host\" or \"[::1]:port\""

static void test_refused(void)
{
    refused("\"sentinels\":[]", "found an empty array, wanted an array of \"host:port\"");
    refused("\"sentinels\":\"a\"", "found \"a\", wanted an array");
    refused("\"sentinels\":[1]", PLACE);
    refused("\"sentinels\":[\"\"]", PLACE);
    refused("\"sentinels\":[null]", PLACE);
    refused("\"sentinels\":[[\"a\"]]", PLACE);
    refused("\"sentinels\":[\"a b\"]", PLACE);
    refused("\"sentinels\":[\":1\"]", PLACE);
    refused("\"sentinels\":[\"a:1:2\"]", PLACE);
    refused("\"sentinels\":[\"[a]:1\"]", PLACE);
    refused("\"sentinels\":[\"[::1]1\"]", PLACE);
    refused("\"sentinels\":[\"[::1\"]", PLACE);
    refused("\"sentinels\":[\"redis://a\"]", "wanted");
    refused("\"sentinels\":[\"a:0\"]", "a port from 1 to 65535");
    refused("\"sentinels\":[\"a:65536\"]", "a port from 1 to 65535");
    refused("\"sentinels\":[\"a:\"]", "a port from 1 to 65535");
    refused("\"sentinels\":[\"[::1]:x\"]", "a port from 1 to 65535");
    refused("\"sentinels\":[\"a\",\"A:26379\"]", "each sentinel once");
    refused("\"sentinels\":[{}]", "host to be a name or an address");
    refused("\"sentinels\":[{\"host\":1}]", "host to be a name or an address");
    refused("\"sentinels\":[{\"host\":\"a/b\"}]", "host to be a name or an address");
    refused("\"sentinels\":[{\"host\":\"a\",\"port\":0}]", "port to be a number");
    refused("\"sentinels\":[{\"host\":\"a\",\"port\":1.5}]", "port to be a number");
    refused("\"sentinels\":[{\"host\":\"a\",\"port\":\"x\"}]", "port to be a number");
    refused("\"sentinels\":[{\"host\":\"a\",\"port\":true}]", "port to be a number");
    refused("\"sentinels\":[{\"host\":\"a\",\"db\":1}]", "its keys to be host and port");
    refused("\"sentinels\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\","
            "\"12\",\"13\",\"14\",\"15\",\"16\",\"17\"]",
            "at most 16 sentinels");
    refused("\"sentinels\":[\"a\"],\"sentinelPasswordFile\":\"/nowhere\"", "cannot read /nowhere");
    refused("\"sentinelPassword\":\"hunter2\",\"sentinelPasswordFile\":\"/x\"",
            "found socket.io:redis:sentinelPassword as well");
    refused("\"natMap\":{}", "unknown key");
}

static void warned(const char *redis, const char *want)
{
    struct conf *conf = load(redis);

    ok(conf != NULL, "taken: %s", redis);
    if (!ok(strstr(text(&warnings), want) != NULL, "warns: %s", want))
        printf("#   %s\n", text(&warnings));
    ok(strstr(text(&report), "hunter2") == NULL, "and shows no secret");
    conf_free(&conf);
}

static void test_warned(void)
{
    static const char *const places[] = {"host", "port", "path"};
    static const char *const values[] = {"\"h\"", "7", "\"/p\""};
    char redis[200], want[200];
    struct conf *conf;

    for (int i = 0; i < 3; i++) {
        (void)snprintf(redis, sizeof(redis), "\"sentinels\":[\"a\"],\"%s\":%s", places[i],
                       values[i]);
        (void)snprintf(want, sizeof(want), "socket.io:redis:%s: not used, for", places[i]);
        warned(redis, want);
    }
    warned("\"sentinels\":[\"a\"],\"url\":\"redis://u:hunter2@h:7/3\"",
           "socket.io:redis:host: not used");
    warned("\"name\":\"x\"", "socket.io:redis:name: has no effect without");
    warned("\"sentinelPassword\":\"hunter2\"", "sentinelPassword: has no effect without");
    conf = load("\"sentinels\":[\"a\"],\"url\":\"redis://u:hunter2@h:7/3\",\"name\":\"m\","
                "\"sentinelUsername\":\"s\",\"sentinelPassword\":\"hunter3\"");
    ok(conf != NULL && conf->redis.database == 3, "the rest of a URL counts");
    if (conf != NULL) {
        is_str(conf->redis.username, "u", "its user");
        is_str(conf->redis.password, "hunter2", "its password");
        is_str(conf->redis.name, "m", "the master's name");
        is_str(conf->redis.sentinel_username, "s", "the sentinels' user");
        is_str(conf->redis.sentinel_password, "hunter3", "and password");
    }
    conf_free(&conf);
    conf = load("\"sentinels\":[\"a\"]");
    is_str(conf != NULL ? conf->redis.name : NULL, "mymaster", "the name, where none is given");
    conf_free(&conf);
}

static void test_ignored(void)
{
    struct conf *conf = load("\"sentinels\":[\"a\"],\"role\":\"master\","
                             "\"enableTLSForSentinelMode\":true,\"updateSentinels\":false,"
                             "\"sentinelRetryStrategy\":null,\"failoverDetector\":true");

    ok(conf != NULL && warnings.len == 0, "what else ioredis has for sentinels is taken");
    ok(strstr(text(&report), "ignored: socket.io:redis:updateSentinels") != NULL, "and not used");
    conf_free(&conf);
}

int main(void)
{
    test_taken();
    test_refused();
    test_warned();
    test_ignored();
    buf_free(&errors);
    buf_free(&warnings);
    buf_free(&report);
    return tap_done();
}
