/* Against real redis servers (skipped where there is none). */
#include "master/feed.h"

#include "base/clock.h"
#include "base/log.h"

#include "log_file.h"
#include "loopback.h"
#include "redis_server.h"
#include "tap.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 90000
#define CHANNEL     "k#/axr#"
#define OLD_CHANNEL "k#room#/axr#" /* which an ACL may withhold */
#define REQUESTS    "k-request#/axr#"
#define PEERS       "k-peer#/axr#"
#define BATCH       1000 /* commands on their way */

static struct event_base *base;
static char dir[64];

/* --- servers ------------------------------------------------------------------ */

struct server {
    struct redis_server redis;
    redisContext *context; /* of whoever publishes */
};

static struct server one, other;

static void server_start(struct server *server, const char *name)
{
    redis_server_start(&server->redis, dir, name, NULL);
    server->context = redis_server_connect(&server->redis);
}

static void server_stop(struct server *server)
{
    redisFree(server->context);
    server->context = NULL;
    redis_server_stop(&server->redis);
}

static long long command(const struct server *server, const char *text)
{
    redisReply *reply = redisCommand(server->context, text);
    long long result = reply != NULL && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
        printf("# %s: %s\n", text, reply != NULL ? reply->str : "no answer");
    freeReplyObject(reply);
    return result;
}

static long long subscribers(const struct server *server)
{
    redisReply *reply = redisCommand(server->context, "PUBSUB NUMSUB k#emitter");
    long long n = reply != NULL && reply->elements == 2 ? reply->element[1]->integer : -1;

    freeReplyObject(reply);
    return n;
}

/* --- what is published, and what comes ----------------------------------------- */

enum { MOST = 400000 };

static int published[MOST], heard[MOST];
static size_t npublished, nheard;
static int synced, subscribed;
static size_t nold; /* heard on OLD_CHANNEL */

static void publish(const struct server *server, int number)
{
    redisReply *reply = redisCommand(server->context, "PUBLISH %s %d", CHANNEL, number);

    freeReplyObject(reply);
    published[npublished++] = number;
}

/* Many at once: from, from + step ... */
static void publish_all(const struct server *server, int from, int step, int n)
{
    for (int sent = 0; sent < n;) {
        int batch = n - sent < BATCH ? n - sent : BATCH;
        for (int i = 0; i < batch; i++) {
            published[npublished] = from + step * (sent + i);
            redisAppendCommand(server->context, "PUBLISH %s %d", CHANNEL, published[npublished++]);
        }
        for (int i = 0; i < batch; i++) {
            void *reply = NULL;
            if (redisGetReply(server->context, &reply) == REDIS_OK)
                freeReplyObject(reply);
        }
        sent += batch;
    }
}

static void on_message(struct slice channel, struct slice payload, uint64_t received_us, void *arg)
{
    char text[32];

    (void)received_us, (void)arg;
    if (slice_eq(channel, SLICE(OLD_CHANNEL))) {
        nold++;
        return;
    }
    snprintf(text, sizeof(text), "%.*s", (int)payload.len, payload.ptr);
    if (nheard < MOST)
        heard[nheard++] = atoi(text);
}

static void on_too_large(void *arg)
{
    (void)arg;
}

static void on_state(int is_subscribed, void *arg)
{
    (void)arg;
    subscribed = is_subscribed;
}

static void on_synced(void *arg)
{
    (void)arg;
    synced++;
}

static int is_behind, asked;

static int on_behind(void *arg)
{
    (void)arg;
    asked++;
    return is_behind;
}

static size_t narrived, ncopies; /* copies of requests: those that wait for an answer; expected */
static uint32_t last_via;
static int wrong_via;

static void on_arrived(struct slice payload, int is_counted, uint32_t via, void *arg)
{
    (void)payload, (void)arg;
    narrived += is_counted != 0;
    last_via = via;
}

/* In its place among the messages. */
static void on_request(struct slice payload, uint32_t via, void *arg)
{
    wrong_via += via == 0;
    if (slice_eq(payload, SLICE("-1")))
        return;
    on_message(SLICE(REQUESTS), payload, 0, arg);
}

static void on_commands(int ready, void *arg)
{
    (void)ready, (void)arg;
}

enum { GAPS = 64 };

static size_t gaps_at[GAPS]; /* how many had been heard at each */
static size_t ngaps, npeers;
static int npongs;
static size_t pong_at; /* likewise, at the last */

static void on_peer(struct slice payload, void *arg)
{
    npeers++;
    on_message(SLICE(PEERS), payload, 0, arg);
}

static void on_gap(void *arg)
{
    (void)arg;
    if (ngaps < GAPS)
        gaps_at[ngaps++] = nheard;
}

static void on_pong(void *arg)
{
    (void)arg;
    npongs++;
    pong_at = nheard;
}

static const struct feed_ops ops = {.message = on_message,
                                    .too_large = on_too_large,
                                    .state = on_state,
                                    .synced = on_synced,
                                    .behind = on_behind,
                                    .arrived = on_arrived,
                                    .request = on_request,
                                    .commands = on_commands,
                                    .peer = on_peer,
                                    .gap = on_gap,
                                    .pong = on_pong};

/* --- the feed ----------------------------------------------------------------- */

static struct feed *feed;
static struct conf confs[2]; /* in turn */
static int at;
static int recovery; /* of all that are made */

static void conf_set(struct conf *conf, const struct server *server, int database)
{
    static char key[] = "k", nsp[] = "/axr", host[] = "localhost";

    *conf = (struct conf){.key = key, .nsp = nsp, .message_bytes = 4194304, .recovery = recovery};
    conf->redis.host = host;
    conf->redis.path = (char *)(uintptr_t)server->redis.path;
    conf->redis.database = database;
}

static void turn(void)
{
    const struct timeval tick = {0, 1000};

    event_base_loopexit(base, &tick);
    event_base_loop(base, EVLOOP_ONCE);
}

static int is_all(void)
{
    return nheard >= npublished;
}

static int is_swapped(void)
{
    return logged("the new connection has taken the place") > 0;
}

static int is_subscribed(void)
{
    return subscribed;
}

static int is_synced(void)
{
    return synced > 0;
}

static int is_asked(void)
{
    return asked >= 5;
}

static int both_hear(void)
{
    return subscribers(&one) == 2;
}

static int wait_for(int (*done)(void))
{
    uint64_t end = clock_ms() + DEADLINE_MS;

    while (!done() && clock_ms() < end)
        turn();
    return done();
}

static void begin(const struct server *server)
{
    npublished = nheard = ngaps = npeers = 0;
    synced = subscribed = npongs = 0;
    log_begin();
    conf_set(&confs[at = 0], server, 0);
    feed = feed_new(base, &confs[0], &ops, NULL);
    if (feed == NULL || !wait_for(is_subscribed))
        exit(1);
}

/* Another user of the same server, who may do as much. */
static void change_password(void)
{
    static char user[] = "eve", first[] = "first", second[] = "second";
    const struct conf *was = &confs[at];

    at = !at;
    confs[at] = *was;
    confs[at].redis.username = user;
    confs[at].redis.password = was->redis.password == first ? second : first;
    log_begin();
    feed_configure(feed, was, &confs[at]);
}

/* The same server in the eyes of the configuration, or not. */
static void change_to(const struct server *server)
{
    const struct conf *was = &confs[at];

    at = !at;
    conf_set(&confs[at], server, (was->redis.database + 1) % 16);
    log_begin();
    feed_configure(feed, was, &confs[at]);
}

/* What came is what was published, in order. */
static void is_whole(const char *what)
{
    size_t same = 0;

    wait_for(is_all);
    for (int i = 0; i < 20; i++) /* and nothing more */
        turn();
    while (same < nheard && same < npublished && heard[same] == published[same])
        same++;
    ok(same == npublished && nheard == npublished, "%s: all of %zu, once, in order", what,
       npublished);
    if (same < npublished || nheard > npublished)
        printf("#   %zu came; the first %zu are right\n", nheard, same);
}

static void end(void)
{
    feed_free(&feed);
    turn(); /* what libevent frees it frees in the next turn */
}

/* --- tests -------------------------------------------------------------------- */

static void test_quiet(void)
{
    begin(&one);
    publish(&one, 1);
    ok(wait_for(is_all), "subscribed, and heard");
    change_to(&one);
    publish(&one, 2);
    ok(wait_for(is_swapped), "another connection takes the place of the first");
    publish(&one, 3);
    is_whole("one before, one while, one after");
    is_int(subscribers(&one), 1, "one connection is left");
    is_int((long)feed_stats(feed).gaps, 0, "no gap");
    is_int(feed_subscribed(feed), 1, "it is subscribed");
    end();
}

/* A message or a few between any two turns, while one connection follows the other. */
static void test_stream(int step, const char *what)
{
    int number = 0;

    begin(&one);
    for (int i = 0; i < 6; i++) {
        uint64_t until;
        change_to(&one);
        until = clock_ms() + DEADLINE_MS;
        while (!is_swapped() && clock_ms() < until) {
            for (int j = 0; j < 3; j++, number += step)
                publish(&one, number);
            turn();
        }
    }
    is_whole(what);
    is_int((long)feed_stats(feed).gaps, 0, "no gap");
    end();
}

/* The old one has not read what was published before, and more comes meanwhile. */
static void test_behind(int n, int step, const char *what)
{
    int number;
    uint64_t until;

    begin(&one);
    publish_all(&one, 0, step, n);
    change_to(&one);
    number = step * n;
    until = clock_ms() + DEADLINE_MS;
    while (!is_swapped() && clock_ms() < until) {
        publish_all(&one, number, step, 5);
        number += 5 * step;
        turn();
    }
    publish_all(&one, number, step, 1000);
    is_whole(what);
    is_int((long)feed_stats(feed).gaps, 0, "no gap");
    end();
}

/* Whoever takes the messages is behind: redis keeps them, but for a little. */
static void test_rest(int changes)
{
    begin(&one);
    is_behind = 1;
    asked = 0;
    publish_all(&one, 0, 1, 60000);
    if (changes)
        change_to(&one);
    ok(wait_for(is_asked), "it is asked who is behind");
    ok(nheard > 0 && nheard < 40000, "what comes next stays with redis: %zu came", nheard);
    is_behind = 0;
    is_whole(changes ? "and comes later, another connection or not" : "and comes later");
    if (changes)
        ok(wait_for(is_swapped), "which takes the place of the first");
    end();
}

static void test_too_far_behind(void)
{
    begin(&one);
    publish_all(&one, 0, 1, 300000);
    change_to(&one);
    ok(wait_for(is_swapped), "far behind: the place is taken in the end");
    is_int(logged("is far behind"), 1, "later");
    publish_all(&one, 300000, 1, 1000);
    is_whole("far behind");
    end();
}

static void test_other(void)
{
    begin(&one);
    publish_all(&one, 0, 1, 2000);
    change_to(&other);
    while (!is_swapped()) { /* who publishes has moved already */
        if (subscribers(&other) > 0)
            publish_all(&other, 100000 + (int)npublished, 1, 3);
        turn();
    }
    publish(&other, 7);
    is_whole("another server: first all of the one, then all of the other");
    is_int(subscribers(&one), 0, "the first has no subscriber left");
    is_int((long)feed_stats(feed).gaps, 0, "no gap");
    end();
}

/* Its user is gone, and with it the old connection, when the new one is subscribed. */
static void test_lost(int step, const char *what)
{
    static char user[] = "old", password[] = "sesame";

    command(&one, "ACL SETUSER old on >sesame allchannels +@all");
    npublished = nheard = 0;
    synced = subscribed = 0;
    log_begin();
    conf_set(&confs[at = 0], &one, 0);
    confs[0].redis.username = user;
    confs[0].redis.password = password;
    feed = feed_new(base, &confs[0], &ops, NULL);
    if (feed == NULL || !wait_for(is_subscribed))
        exit(1);
    publish(&one, -1);
    wait_for(is_all);
    change_to(&one);
    ok(wait_for(both_hear), "both connections hear");
    publish_all(&one, 0, step, 10);
    command(&one, "ACL DELUSER old");
    publish_all(&one, 10 * step, step, 10);
    ok(wait_for(is_swapped), "the new one takes the place of one that is lost");
    publish_all(&one, 20 * step, step, 10);
    is_whole(what);
    is_int((long)feed_stats(feed).gaps, 1, "a gap is counted: nobody knows what it still had");
    end();
}

/* A configuration that differs by what set() does: is there another connection? */
static void check_setting(void (*set)(struct conf_redis *redis), int wanted, const char *name)
{
    const struct conf *was = &confs[at];
    unsigned long long attempts = feed_stats(feed).attempts;

    at = !at;
    confs[at] = *was;
    set(&confs[at].redis);
    log_begin();
    feed_configure(feed, was, &confs[at]);
    if (wanted)
        ok(wait_for(is_swapped), "%s: another connection", name);
    for (int i = 0; i < 50; i++)
        turn();
    is_int(feed_stats(feed).attempts, attempts + (unsigned)wanted, "and no more than that");
    publish(&one, (int)npublished);
    is_whole(name);
}

static char other_path[160]; /* of the same server */

static void set_host(struct conf_redis *redis)
{
    static char host[] = "127.0.0.1"; /* where there is a path, it is not looked at */
    redis->host = host;
}

static void set_port(struct conf_redis *redis)
{
    redis->port = 7;
}

static void set_path(struct conf_redis *redis)
{
    redis->path = other_path;
}

static void set_database(struct conf_redis *redis)
{
    redis->database = 5;
}

static void set_ann(struct conf_redis *redis)
{
    static char user[] = "ann", password[] = "first";
    redis->username = user;
    redis->password = password;
}

static void set_password(struct conf_redis *redis)
{
    static char password[] = "second";
    redis->password = password;
}

static void set_user(struct conf_redis *redis)
{
    static char user[] = "bob";
    redis->username = user;
}

static void set_nothing(struct conf_redis *redis)
{
    static char user[] = "bob", password[] = "second", host[] = "127.0.0.1";
    redis->username = user;
    redis->password = password;
    redis->host = host;
}

/* Each setting of redis for itself leads to a connection of its own, and equal ones to
 * none. */
static void test_each_setting(void)
{
    (void)snprintf(other_path, sizeof(other_path), "%s/link.sock", dir);
    if (symlink(one.redis.path, other_path) < 0)
        abort();
    command(&one, "ACL SETUSER ann on >first >second allchannels +@all");
    command(&one, "ACL SETUSER bob on >second allchannels +@all");
    begin(&one);
    check_setting(set_host, 1, "another host");
    check_setting(set_port, 1, "another port");
    check_setting(set_path, 1, "another path");
    check_setting(set_database, 1, "another database");
    check_setting(set_ann, 1, "a user and a password");
    check_setting(set_password, 1, "another password");
    check_setting(set_user, 1, "another user");
    check_setting(set_nothing, 0, "equal texts in other memory");
    end();
    unlink(other_path);
}

static void test_refused(void)
{
    static char user[] = "nobody", password[] = "wrong";
    const struct conf *was;

    begin(&one);
    was = &confs[at];
    at = !at;
    conf_set(&confs[at], &one, 1);
    confs[at].redis.username = user;
    confs[at].redis.password = password;
    feed_configure(feed, was, &confs[at]);
    while (logged("WRONGPASS") == 0)
        turn();
    publish_all(&one, 0, 1, 100);
    is_whole("a new one that is refused");
    ok(is_subscribed(), "the old one stays");
    change_to(&one);
    ok(wait_for(is_swapped), "until another is not");
    publish_all(&one, 100, 1, 100);
    is_whole("and then");
    end();
}

/* The same without the right to publish a marker, while equal messages never pause. */
static void test_doubt(void)
{
    static char user[] = "deaf", password[] = "sesame";
    uint64_t until;

    command(&one, "ACL SETUSER deaf on >sesame allchannels +subscribe +psubscribe +ping +select");
    begin(&one);
    change_to(&one);
    confs[at].redis.username = user;
    confs[at].redis.password = password;
    feed_configure(feed, &confs[!at], &confs[at]);
    until = clock_ms() + DEADLINE_MS;
    while (!is_swapped() && clock_ms() < until && npublished < MOST - 10) {
        publish(&one, 0);
        turn();
    }
    for (int i = 0; i < 100; i++)
        turn();
    ok(nheard <= npublished, "equal ones without a marker: none of %zu twice", npublished);
    if (nheard < npublished || feed_stats(feed).gaps > 0) {
        is_int(feed_stats(feed).gaps, 1, "what cannot be told apart is a gap");
        is_int(logged("could not be told apart"), 1, "and is logged");
    }
    ok(npublished - nheard <= 10, "and is little: %zu of %zu", npublished - nheard, npublished);
    end();
}

static void change_user(char *user, char *password)
{
    change_to(&one);
    confs[at].redis.username = user;
    confs[at].redis.password = password;
    feed_configure(feed, &confs[!at], &confs[at]);
}

/* One of both hears more than the other. */
static void test_rights(void)
{
    static char user[] = "narrow", password[] = "sesame";
    int number = 0;

    command(&one, "ACL SETUSER narrow on >sesame resetchannels &k#/axr#* &k#emitter &k#/axr "
                  "+subscribe +psubscribe +ping +select");
    begin(&one);
    publish_all(&one, 0, 1, 5000);
    for (number = 5000; number < 25000;) {
        int is_narrow = number % 10000 != 0;
        uint64_t until;
        change_user(is_narrow ? user : NULL, is_narrow ? password : NULL);
        until = clock_ms() + DEADLINE_MS;
        while (!is_swapped() && clock_ms() < until) {
            command(&one, "PUBLISH " OLD_CHANNEL " -1");
            publish_all(&one, number, 1, 3);
            number += 3;
            turn();
        }
        wait_for(is_all); /* then all those before have come, too */
        nold = 0;
        command(&one, "PUBLISH " OLD_CHANNEL " -1");
        publish_all(&one, number, 1, 1);
        number = (number / 5000 + 1) * 5000;
        wait_for(is_all);
        is_int((long)nold, !is_narrow, "what only one of them hears");
    }
    is_whole("what both hear");
    is_int((long)feed_stats(feed).gaps, 0, "no gap");
    end();
}

/* Something is asked of it while one takes the place of the other. */
static void test_sync(void)
{
    for (int turns = 0; turns < 12; turns++) {
        begin(&one);
        publish_all(&one, 0, 0, 3000);
        change_to(&one);
        for (int i = 0; i < turns; i++) {
            publish_all(&one, 0, 0, 20);
            turn();
        }
        ok(feed_sync(feed) == 0, "asked for a sign after %d turns", turns);
        ok(wait_for(is_synced) && is_all(), "it comes behind all that was published");
        is_int(synced, 1, "once");
        is_whole("a stop");
        end();
    }
}

/* --- requests ----------------------------------------------------------------- */

static int counted(void)
{
    redisReply *reply = redisCommand(one.context, "PUBSUB NUMSUB " REQUESTS);
    int n = reply != NULL && reply->elements == 2 ? (int)reply->element[1]->integer : -1;

    freeReplyObject(reply);
    return n;
}

/* One that is sent when so many are counted as it says itself. */
static void request(int number)
{
    redisReply *reply;

    freeReplyObject(redisCommand(one.context, "MULTI"));
    freeReplyObject(redisCommand(one.context, "PUBSUB NUMSUB " REQUESTS));
    freeReplyObject(redisCommand(one.context, "PUBLISH " REQUESTS " %d", number));
    reply = redisCommand(one.context, "EXEC");
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
        ncopies += (size_t)reply->element[0]->element[1]->integer;
    else
        ok(0, "a request is sent");
    freeReplyObject(reply);
    published[npublished++] = number;
}

static int is_counted(void)
{
    return feed_commands(feed).is_counted && counted() == 1;
}

static int nobody_counts(void)
{
    return counted() == 0;
}

static int ndone, nconfirmed, left;

static void on_done(int is_ok, void *arg)
{
    (void)arg;
    ndone++;
    nconfirmed += is_ok;
}

static int answer(uint32_t via)
{
    struct buf payload = {0};
    int rc;

    buf_puts(&payload, "{}");
    rc = feed_publish(feed, via, SLICE("k-response#/axr#"), &payload, on_done, NULL);
    buf_free(&payload);
    return rc;
}

static int all_done(void)
{
    return ndone == 3;
}

static void on_left(void *arg)
{
    (void)arg;
    left++;
}

static int has_left(void)
{
    return left;
}

static void requests_begin(void)
{
    narrived = ncopies = 0;
    wrong_via = ndone = nconfirmed = left = 0;
    begin(&one);
    is_int(counted(), 1, "once it is subscribed it is counted");
}

/* While one connection takes the place of the other: each request once, in its place, and each
 * copy that somebody waits for. */
static void test_requests(int step, const char *what)
{
    int number = 0;
    uint32_t first;

    requests_begin();
    request(number++ * step);
    is_whole("a request");
    first = last_via;
    for (int i = 0; i < 5; i++) {
        int most = 0;
        change_to(&one);
        do {
            for (int j = 0; j < 3; j++) {
                publish(&one, number++ * step);
                request(number++ * step);
            }
            most = counted() > most ? counted() : most;
            turn();
        } while ((!is_swapped() || counted() != 1) && npublished < MOST / 2);
        ok(most == 2, "both are counted meanwhile");
        ok(is_counted(), "then one is");
    }
    is_whole(what);
    ok(narrived == ncopies, "%zu copies of %zu that somebody waits for", narrived, ncopies);
    ok(ncopies > 100 && last_via > first && wrong_via == 0, "over several connections");
    is_int((long)feed_stats(feed).gaps, 0, "no gap");
    is_int(answer(first) + answer(last_via) + answer(0), 0, "an answer by each connection");
    ok(wait_for(all_done) && nconfirmed == 3, "is confirmed");
    is_int((long)feed_commands(feed).stats.published, 3, "they are counted");
    feed_leave(feed, 5000, on_left, NULL);
    for (int i = 0; i < 100; i++)
        request(number++ * step);
    ok(wait_for(has_left) && left == 1, "it leaves");
    ok(nobody_counts() && narrived == ncopies, "and answers all that is asked until then");
    end();
}

enum { STREAM = 20000 };

/* Somebody else asks without a pause, and tells at the end how many copies are waited for. */
static pid_t stream_start(int *told)
{
    int ends[2];
    pid_t pid;

    if (pipe(ends) < 0)
        abort();
    pid = fork();
    if (pid != 0) {
        close(ends[1]);
        *told = ends[0];
        for (int i = 0; i < STREAM; i++)
            published[npublished++] = i;
        return pid;
    }
    one.context = redis_server_connect(&one.redis);
    for (int i = 0; i < STREAM; i++)
        request(i);
    _exit(write(ends[1], &ncopies, sizeof(ncopies)) != (ssize_t)sizeof(ncopies));
}

/* Connections that are replaced while somebody is in the middle of asking. */
static void test_requests_stream(void)
{
    int told, changes = 0, failed = 0;
    pid_t pid;

    requests_begin();
    pid = stream_start(&told);
    while (!is_all() && failed == 0) {
        change_to(&one);
        failed += !wait_for(is_swapped);
        changes++;
    }
    is_int(failed, 0, "each new connection takes the place of the one before it");
    is_whole("requests without a pause");
    is_int(read(told, &ncopies, sizeof(ncopies)), sizeof(ncopies), "so many are waited for");
    waitpid(pid, NULL, 0);
    close(told);
    ok(narrived == ncopies && changes > 1, "%zu copies of %zu, over %d connections", narrived,
       ncopies, changes);
    is_int((long)feed_stats(feed).gaps, 0, "no gap");
    end();
}

/* A new connection that is given up is counted, too, for a while. */
static void test_requests_given_up(void)
{
    for (int turns = 0; turns < 8; turns++) {
        requests_begin();
        for (int i = 0; i < 50; i++)
            request(i);
        change_to(&one);
        for (int i = 0; i < 4 * turns; i++) {
            request(50 + i);
            turn();
        }
        feed_sync(feed);
        for (int i = 0; i < 50; i++)
            request(1000 + i);
        ok(wait_for(is_synced), "given up");
        ok(wait_for(is_counted), "one is counted");
        is_whole("a stop");
        ok(narrived == ncopies, "%zu copies of %zu that somebody waits for", narrived, ncopies);
        end();
    }
}

/* Where one may hear requests and the other must not. */
static void test_requests_rights(void)
{
    static char user[] = "muffled", password[] = "sesame";
    int number = 0;

    command(&one, "ACL SETUSER muffled on >sesame resetchannels &k#/axr#* &k#emitter &k#/axr "
                  "&k#[^/]*/axr#* &k-response#/axr#* +@all");
    requests_begin();
    for (int i = 0; i < 4; i++) {
        change_user(i % 2 == 0 ? user : NULL, i % 2 == 0 ? password : NULL);
        while (!is_swapped() && npublished < MOST / 2) {
            command(&one, "PUBLISH " REQUESTS " -1"); /* is not among those that are published */
            publish(&one, number++);
            turn();
        }
    }
    is_whole("what both hear");
    is_int((long)feed_stats(feed).gaps, 0, "no gap");
    end();
}

static int connections(void)
{
    redisReply *reply = redisCommand(one.context, "INFO clients");
    const char *text = reply != NULL ? strstr(reply->str, "connected_clients:") : NULL;
    int n = text != NULL ? atoi(text + 18) : -1;

    freeReplyObject(reply);
    return n;
}

static int is_new_subscribed(void)
{
    return logged("redis subscribed at") > 0;
}

/* Connections that have been replaced live on for a while, but not as many as there may be. */
static void test_many_changes(void)
{
    int most = 0;

    requests_begin();
    for (int i = 0; i < 40; i++) {
        change_to(&one);
        ok(wait_for(is_new_subscribed), "a new one is subscribed");
        most = connections() > most ? connections() : most;
        request(i);
    }
    ok(wait_for(is_swapped) && wait_for(is_counted), "the last one is in force");
    is_whole("40 changes in a row");
    ok(most > 8 && most <= 14, "%d connections at most", most);
    is_int((long)feed_stats(feed).gaps, 0, "no gap");
    end();
}

static void test_leave_nothing(void)
{
    conf_set(&confs[at = 0], &one, 0);
    confs[0].redis.path = other_path; /* nobody is there */
    left = 0;
    log_begin();
    feed = feed_new(base, &confs[0], &ops, NULL);
    feed_leave(feed, 60000, on_left, NULL);
    ok(wait_for(has_left), "where there is no redis it leaves at once");
    ok(answer(0) == -1, "and nothing can be published");
    end();
}

/* --- what daemons tell each other, and gaps ------------------------------------- */

static int is_lost(void)
{
    return !subscribed;
}

static int has_ponged(void)
{
    return npongs > 0;
}

static void lose(void)
{
    command(&one, "CLIENT KILL TYPE pubsub");
    ok(wait_for(is_lost), "the subscription is lost");
}

static void peer(int number)
{
    freeReplyObject(redisCommand(one.context, "PUBLISH " PEERS " %d", number));
    published[npublished++] = number;
}

static void test_gaps(void)
{
    begin(&one);
    ok(ngaps == 1 && gaps_at[0] == 0, "the beginning is a gap");
    publish(&one, 1);
    ok(wait_for(is_all), "a message");
    lose();
    is_int((long)ngaps, 2, "a loss is one");
    ok(wait_for(is_subscribed), "it is subscribed again");
    publish(&one, 2);
    ok(wait_for(is_all), "another message");
    ok(ngaps == 3 && gaps_at[1] == 1 && gaps_at[2] == 1, "so is that, before what comes then");
    change_password();
    while (!is_swapped()) {
        publish(&one, (int)npublished + 1);
        turn();
    }
    is_whole("another password");
    is_int((long)ngaps, 3, "is none");
    change_to(&one);
    while (!is_swapped()) {
        publish(&one, (int)npublished + 1);
        turn();
    }
    is_whole("another server, as far as anybody knows");
    is_int((long)ngaps, 4, "is one");
    end();
}

/* One that is not reached is no gap each time. */
static void test_gaps_refused(void)
{
    conf_set(&confs[at = 0], &one, 0);
    confs[0].redis.path = other_path; /* nobody is there */
    nheard = ngaps = npublished = 0;
    log_begin();
    feed = feed_new(base, &confs[0], &ops, NULL);
    subscribed = 1;
    ok(wait_for(is_lost), "where there is no redis");
    ok(ngaps == 0 && feed_node(feed).len == 0 && !feed_hears_peers(feed) && feed_ping(feed) < 0,
       "there is no gap either, nor a node, nor an answer");
    change_to(&one);
    ok(wait_for(is_subscribed), "another one is there");
    is_int((long)ngaps, 1, "which is one");
    end();
}

/* Where two have nothing in common, the gap is between them. */
static void test_gap_other(void)
{
    size_t before;

    begin(&one);
    publish_all(&one, 0, 1, 2000);
    before = npublished;
    change_to(&other);
    while (!is_swapped()) {
        if (subscribers(&other) > 0)
            publish_all(&other, 100000 + (int)npublished, 1, 3);
        turn();
    }
    publish(&other, 7);
    is_whole("another server");
    ok(ngaps == 2 && gaps_at[1] == before, "the gap is in its place: %zu of %zu", gaps_at[1],
       before);
    end();
}

/* The connection is lost while what came over it before it was in force still waits. */
static void test_gap_waits(void)
{
    enum { N = 60000 };
    size_t i, had;

    begin(&one);
    is_behind = 1;
    change_to(&other);
    while (subscribers(&other) <= 0)
        turn();
    publish_all(&other, 0, 1, N);
    ok(wait_for(is_swapped), "another server is in force");
    command(&other, "CLIENT KILL TYPE pubsub");
    ok(wait_for(is_lost), "and is lost");
    had = nheard;
    ok(wait_for(is_subscribed), "and there again");
    publish_all(&other, N, 1, 10);
    is_behind = 0;
    for (uint64_t stop = clock_ms() + DEADLINE_MS;
         (nheard == 0 || heard[nheard - 1] != N + 9) && clock_ms() < stop;)
        turn();
    ok(ngaps == 4 && gaps_at[1] == 0, "a gap, and a loss, and the subscription");
    ok(had < N && gaps_at[2] == N && gaps_at[3] == N,
       "behind what waited: %zu had been handed on, and %zu at the gap", had, gaps_at[2]);
    for (i = 0; i < nheard && heard[i] == (int)i;)
        i++;
    ok(i == nheard, "all in order");
    end();
}

static void test_peers(int step, const char *what)
{
    int number = 0;

    recovery = 1;
    begin(&one);
    ok(feed_hears_peers(feed) && feed_node(feed).len == 0, "daemons are heard, without a Cluster");
    peer(number++ * step);
    publish(&one, number++ * step);
    is_whole("what they tell each other");
    is_int((long)feed_stats(feed).messages, 1, "counts as no message");
    for (int i = 0; i < 6; i++) {
        change_password();
        while (!is_swapped()) {
            for (int j = 0; j < 2; j++) {
                publish(&one, number++ * step);
                peer(number++ * step);
            }
            turn();
        }
    }
    is_whole(what);
    ok(npeers * 2 == nheard && ngaps == 1, "half of them of daemons, and no gap");
    end();
    recovery = 0;
}

/* A node of a Cluster, which has a bus, too. */
static void node_start(struct server *node, const char *name)
{
    char port[16], file[16];
    const char *const more[] = {"--cluster-enabled",
                                "yes",
                                "--cluster-port",
                                port,
                                "--bind",
                                "127.0.0.1",
                                "--cluster-config-file",
                                file,
                                NULL};
    int number = 0;

    close(loopback_listen(0, &number));
    snprintf(port, sizeof(port), "%d", number);
    snprintf(file, sizeof(file), "%s.nodes", name);
    redis_server_start(&node->redis, dir, name, more);
    node->context = redis_server_connect(&node->redis);
    command(node, "ACL SETUSER eve on >first >second allchannels +@all");
}

static void node_stop(struct server *node, const char *name)
{
    char file[128];

    server_stop(node);
    snprintf(file, sizeof(file), "%s/%s.nodes", dir, name);
    unlink(file);
}

/* Where the path leads, from now on. */
static void path_to(const struct server *server, const char *path)
{
    unlink(path);
    if (symlink(server->redis.path, path) < 0)
        abort();
}

/* The same settings may lead to another node, where the order is another. */
static void test_node(void)
{
    struct server a, b, either = {.context = NULL};
    char id[64];
    struct slice node;

    node_start(&a, "a");
    node_start(&b, "b");
    (void)snprintf(either.redis.path, sizeof(either.redis.path), "%s/either.sock", dir);
    path_to(&a, either.redis.path);
    begin(&either);
    is_int((long)feed_node(feed).len, 0, "which node it is matters only where clients recover");
    end();
    recovery = 1;
    begin(&either);
    node = feed_node(feed);
    is_int((long)node.len, 40, "a node has an id");
    (void)snprintf(id, sizeof(id), "%.*s", (int)node.len, node.ptr);
    change_password();
    ok(wait_for(is_swapped), "another connection");
    ok(ngaps == 1 && slice_eq(feed_node(feed), slice_str(id)), "to the same node is no gap");
    path_to(&b, either.redis.path);
    change_password();
    ok(wait_for(is_swapped), "and one more");
    ok(ngaps == 2 && feed_node(feed).len == 40 && !slice_eq(feed_node(feed), slice_str(id)),
       "to another node is one");
    end();
    recovery = 0;
    unlink(either.redis.path);
    node_stop(&a, "a");
    node_stop(&b, "b");
}

/* Where only one of both hears daemons: what comes is in its place. */
static void test_peers_rights(int turns_on)
{
    static char user[] = "alone", password[] = "sesame";
    int number = 0;
    size_t ok_to = 1, nmessages = 0;

    command(&one, "ACL SETUSER alone on >sesame resetchannels &k#/axr#* &k#emitter &k#/axr "
                  "&k#[^/]*/axr#* &k-request#/axr#* &k-response#/axr#* +@all");
    recovery = 1;
    begin(&one);
    for (int i = 0; i < 6; i++) {
        const struct conf *was = &confs[at];
        at = !at;
        confs[at] = *was;
        if (turns_on)
            confs[at].recovery = i % 2;
        confs[at].redis.username = i % 2 || turns_on ? NULL : user;
        confs[at].redis.password = i % 2 || turns_on ? NULL : password;
        log_begin();
        feed_configure(feed, was, &confs[at]);
        while (!is_swapped()) {
            publish(&one, number++);
            nmessages++;
            peer(number++);
            turn();
        }
        for (int j = 0; j < 10; j++) {
            publish(&one, number++);
            nmessages++;
            peer(number++);
        }
        publish(&one, number);
        nmessages++;
        while (nheard == 0 || heard[nheard - 1] != number)
            turn();
        number++;
        is_int(feed_hears_peers(feed), i % 2, "are daemons heard?");
        if (!turns_on && i % 2 == 0)
            ok(logged("redis does not allow channel=k-peer#/axr#") > 0, "if not that is logged");
    }
    while (ok_to < nheard && heard[ok_to] > heard[ok_to - 1])
        ok_to++;
    ok(ok_to == nheard, "all that comes is in order: %zu of %zu", ok_to, nheard);
    ok(npeers > 30 && npeers < npublished / 2, "%zu messages of daemons", npeers);
    is_int((long)(nheard - npeers), (long)nmessages, "no other is missing");
    is_int((long)ngaps, 1, "and no gap is told");
    end();
    recovery = 0;
}

static void test_ping(int changes)
{
    for (int turns = 0; turns < 10; turns++) {
        begin(&one);
        publish_all(&one, 0, 1, 3000);
        if (changes)
            change_password();
        for (int i = 0; i < turns; i++)
            turn();
        ok(feed_ping(feed) == 0 && feed_ping(feed) == 0, "asked twice for a sign");
        publish_all(&one, 3000, 1, 1000);
        ok(wait_for(has_ponged) && pong_at >= 3000, "it comes behind what was published before");
        if (changes)
            ok(wait_for(is_swapped), "whichever connection is in force");
        is_whole("and nothing is lost by it");
        is_int(npongs, 1, "once");
        end();
    }
}

static void test_ping_lost(void)
{
    begin(&one);
    ok(feed_ping(feed) == 0, "asked for a sign");
    lose();
    ok(wait_for(is_subscribed), "another connection");
    npongs = 0;
    is_int(feed_ping(feed), 0, "is asked anew");
    ok(wait_for(has_ponged), "and answers");
    end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    if (!redis_server_is_there()) {
        ok(1, "real redis # SKIP no redis-server");
        return tap_done();
    }
    strcpy(dir, "/tmp/test_feed.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(log_file, sizeof(log_file), "%s/log", dir);
    base = event_base_new();
    server_start(&one, "one");
    server_start(&other, "other");
    test_quiet();
    test_stream(1, "a stream");
    test_stream(0, "a stream of equal messages");
    test_behind(60000, 1, "60,000 behind");
    test_behind(60000, 0, "60,000 equal ones behind");
    test_rest(0);
    test_rest(1);
    test_too_far_behind();
    test_other();
    test_lost(1, "and one is lost");
    test_lost(0, "and one is lost, of equal messages");
    test_each_setting();
    test_refused();
    test_doubt();
    test_rights();
    test_sync();
    test_requests(1, "requests and messages");
    test_requests(0, "all of them equal");
    test_requests_stream();
    test_requests_given_up();
    test_requests_rights();
    test_many_changes();
    test_leave_nothing();
    command(&one, "ACL SETUSER eve on >first >second allchannels +@all");
    test_gaps();
    test_gaps_refused();
    test_gap_other();
    test_gap_waits();
    test_peers(1, "daemons and messages");
    test_peers(0, "all of them equal");
    test_node();
    test_peers_rights(0);
    test_peers_rights(1);
    test_ping(0);
    test_ping(1);
    test_ping_lost();
    server_stop(&one);
    server_stop(&other);
    event_base_free(base);
    log_end();
    rmdir(dir);
    return tap_done();
}
