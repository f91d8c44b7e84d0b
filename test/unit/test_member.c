/* Against a real redis (skipped where there is none), by way of a proxy in the same loop, which
 * lets a connection hang. */
#include "master/member.h"

#include "base/clock.h"

#include "log_file.h"
#include "redis_server.h"
#include "tap.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DEADLINE_MS 30000
#define REQUESTS    "k-request#/axr#"

static struct event_base *base;
static char dir[64];
static struct redis_server server;
static redisContext *context;

/* --- a proxy ------------------------------------------------------------------ */

enum { PAIRS = 64, COMMANDS = 1, SUBSCRIPTION = 2 };

static struct pair {
    struct bufferevent *daemon, *redis;
    int kind; /* what is said on it */
    int hangs;
} pairs[PAIRS];
static struct {
    struct evconnlistener *listener;
    int port;
    int npairs;
    int hangs; /* so do the connections to come */
} proxy;

static void pair_end(struct pair *pair)
{
    if (pair->daemon != NULL)
        bufferevent_free(pair->daemon);
    if (pair->redis != NULL)
        bufferevent_free(pair->redis);
    pair->daemon = pair->redis = NULL;
}

static int holds(struct evbuffer *input, const char *text)
{
    return evbuffer_search(input, text, strlen(text), NULL).pos >= 0;
}

static void pair_read(struct bufferevent *bev, void *arg)
{
    struct pair *pair = arg;
    struct evbuffer *input = bufferevent_get_input(bev);

    if (bev == pair->daemon && holds(input, "PUBLISH"))
        pair->kind = COMMANDS;
    else if (bev == pair->daemon && holds(input, "SUBSCRIBE"))
        pair->kind = SUBSCRIPTION;
    if (pair->hangs)
        evbuffer_drain(input, evbuffer_get_length(input));
    else
        bufferevent_write_buffer(bev == pair->daemon ? pair->redis : pair->daemon, input);
}

/* One that hangs does so to its end. */
static void pair_event(struct bufferevent *bev, short what, void *arg)
{
    struct pair *pair = arg;

    if (what & BEV_EVENT_CONNECTED)
        return;
    if (!pair->hangs || bev == pair->daemon)
        pair_end(pair);
}

static void proxy_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr,
                         int len, void *arg)
{
    struct pair *pair = &pairs[proxy.npairs++ % PAIRS];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void)listener, (void)addr, (void)len;
    to.sin_port = htons((uint16_t) * (int *)arg);
    *pair = (struct pair){.hangs = proxy.hangs};
    pair->daemon = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    pair->redis = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(pair->daemon, pair_read, NULL, pair_event, pair);
    bufferevent_setcb(pair->redis, pair_read, NULL, pair_event, pair);
    bufferevent_enable(pair->daemon, EV_READ | EV_WRITE);
    bufferevent_enable(pair->redis, EV_READ | EV_WRITE);
    bufferevent_socket_connect(pair->redis, (struct sockaddr *)&to, sizeof(to));
}

static int port_of(int fd)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);

    getsockname(fd, (struct sockaddr *)&addr, &len);
    return ntohs(addr.sin_port);
}

static void proxy_start(int *target)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    proxy.listener = evconnlistener_new_bind(base, proxy_accept, target, LEV_OPT_CLOSE_ON_FREE, 16,
                                             (struct sockaddr *)&addr, sizeof(addr));
    if (proxy.listener == NULL)
        abort();
    proxy.port = port_of(evconnlistener_get_fd(proxy.listener));
}

/* All of that kind. */
static void each(int kind, int hangs)
{
    for (int i = 0; i < PAIRS; i++) {
        if (pairs[i].daemon == NULL || pairs[i].kind != kind)
            continue;
        pairs[i].hangs |= hangs;
        if (!hangs)
            pair_end(&pairs[i]);
    }
}

static void proxy_stop(void)
{
    for (int i = 0; i < PAIRS; i++)
        pair_end(&pairs[i]);
    memset(pairs, 0, sizeof(pairs));
    proxy.hangs = 0;
}

/* --- redis -------------------------------------------------------------------- */

static int free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), port;

    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        abort();
    port = port_of(fd);
    close(fd);
    return port;
}

static long long command(const char *text)
{
    redisReply *reply = redisCommand(context, text);
    long long result = -1;

    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        result = reply->integer;
    else if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
        result = reply->element[1]->integer;
    else if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        printf("# %s: %s\n", text, reply->str);
    freeReplyObject(reply);
    return result;
}

static int counted(void)
{
    return (int)command("PUBSUB NUMSUB " REQUESTS);
}

/* --- what comes --------------------------------------------------------------- */

enum { MOST = 20000 };

static struct member *member;
static struct conf conf;
static int npublished, nheard, ncounted, wrong, subscribed, gaps, commands_told, is_left, is_over;
static int messages;

static void on_message(struct slice channel, struct slice payload, void *arg)
{
    (void)channel, (void)payload, (void)arg;
    messages++;
}

/* Each is the number after the one before it. */
static void on_request(struct slice channel, struct slice payload, int is_counted, uint32_t via,
                       void *arg)
{
    char text[32];

    (void)channel, (void)arg;
    snprintf(text, sizeof(text), "%.*s", (int)payload.len, payload.ptr);
    wrong += atoi(text) != nheard || via != member_via(member);
    nheard++;
    ncounted += is_counted;
}

static void on_nothing(void *arg)
{
    (void)arg;
}

static void on_state(int is_subscribed, void *arg)
{
    (void)arg;
    gaps += subscribed && !is_subscribed;
    subscribed = is_subscribed;
}

static void on_commands(int ready, void *arg)
{
    (void)arg;
    commands_told = ready;
}

static const struct member_ops ops = {on_message, on_request, on_nothing, on_state,
                                      on_nothing, on_nothing, on_nothing, on_commands};

static void on_left(struct member *which, void *arg)
{
    (void)which, (void)arg;
    is_left = 1;
}

static void on_over(struct member *which, void *arg)
{
    (void)which, (void)arg;
    is_over = 1;
}

static const struct member_end member_end = {on_left, on_over};

static void turn(void)
{
    const struct timeval tick = {0, 2000};

    event_base_loopexit(base, &tick);
    event_base_loop(base, EVLOOP_ONCE);
}

static void request(void)
{
    char text[64];

    snprintf(text, sizeof(text), "PUBLISH " REQUESTS " %d", npublished++);
    (void)command(text);
}

static int wait_for(int (*done)(void))
{
    uint64_t end = clock_ms() + DEADLINE_MS;

    while (!done() && clock_ms() < end)
        turn();
    return done();
}

/* The same while requests come. */
static long wait_busy(int (*done)(void))
{
    uint64_t start = clock_ms();

    while (!done() && clock_ms() - start < DEADLINE_MS) {
        request();
        turn();
    }
    return done() ? (long)(clock_ms() - start) : -1;
}

static int is_subscribed(void)
{
    return subscribed;
}

static int is_counted(void)
{
    return member_is_counted(member) && counted() == 1;
}

static int is_not_counted(void)
{
    return counted() == 0;
}

static int is_ready(void)
{
    return commands_ready(member_commands(member));
}

static int is_not_ready(void)
{
    return !is_ready();
}

static int is_all(void)
{
    return nheard >= npublished;
}

static void is_whole(const char *what)
{
    wait_for(is_all);
    for (int i = 0; i < 20; i++)
        turn();
    ok(nheard == npublished && wrong == 0, "%s: all of %d requests, once, in order", what,
       npublished);
    if (nheard != npublished || wrong > 0)
        printf("#   %d came, %d wrong\n", nheard, wrong);
}

static int redis_port;

static void begin_unsettled(const char *user, unsigned flags)
{
    static char key[] = "k", nsp[] = "/axr", host[] = "127.0.0.1", password[] = "sesame";

    conf = (struct conf){.key = key, .nsp = nsp, .message_bytes = 4194304};
    conf.redis.host = host;
    conf.redis.port = proxy.port;
    if (user != NULL) {
        conf.redis.username = (char *)(uintptr_t)user;
        conf.redis.password = password;
    }
    npublished = nheard = ncounted = wrong = subscribed = gaps = messages = 0;
    commands_told = is_left = is_over = 0;
    log_begin();
    member = member_new(base, &conf, flags, &ops, NULL);
    if (member == NULL)
        abort();
}

static void begin(const char *user)
{
    begin_unsettled(user, 0);
    ok(wait_for(is_subscribed), "subscribed");
}

static void end(void)
{
    member_free(&member);
    proxy_stop();
    turn();
    turn();
}

static struct slice response = {"k-response#/axr#", 16};
static int ndone, nconfirmed;

static void on_done(int is_ok, void *arg)
{
    (void)arg;
    ndone++;
    nconfirmed += is_ok;
}

static int publish(void)
{
    struct buf payload = {0};
    int rc;

    buf_puts(&payload, "{}");
    rc = commands_publish(member_commands(member), response, &payload, on_done, NULL);
    buf_free(&payload);
    return rc;
}

static int is_done(void)
{
    return ndone > 0;
}

/* --- tests -------------------------------------------------------------------- */

static void test_counts(void)
{
    begin(NULL);
    is_int(counted(), 1, "once it is subscribed it is counted");
    ok(commands_told == 1 && member_can_publish(member), "it can answer");
    for (int i = 0; i < 100; i++)
        request();
    command("PUBLISH k#/axr# x");
    is_whole("a stream");
    ok(ncounted == 100 && messages == 1, "whoever asks waits for it");
    end();
    begin_unsettled(NULL, MEMBER_PATIENT);
    ok(wait_for(is_subscribed), "one that is patient");
    is_int(counted(), 1, "is counted as soon");
    end();
    begin_unsettled(NULL, MEMBER_MUTE);
    ok(wait_for(is_subscribed), "one that answers nothing");
    request();
    is_whole("it hears them");
    ok(counted() == 0 && ncounted == 0, "and is not counted");
    end();
}

/* The connection for commands is cut: it is there again soon, and what is published waits.  Without
 * it for a second of the clock it is counted no more: a test that was late proves nothing. */
static void test_commands_cut(void)
{
    int most = 0, late = 0, unpublished = 0;

    begin(NULL);
    for (int i = 0; i < 5 && !late; i++) {
        uint64_t start = clock_ms();

        each(COMMANDS, 0);
        ok(wait_for(is_not_ready), "commands are lost");
        ndone = nconfirmed = 0;
        unpublished += publish() != 0;
        most += counted() != 1;
        ok(wait_busy(is_ready) >= 0, "they are there again");
        unpublished += !wait_for(is_done) || nconfirmed != 1;
        late = clock_ms() - start >= 1000;
    }
    printf("# %s\n", late ? "too late to tell" : "in time");
    ok(late || unpublished == 0, "what is published meanwhile is confirmed");
    ok(late || most == 0, "it is counted all the time");
    is_whole("meanwhile");
    ok(late || ncounted == npublished, "by the channel");
    is_int(gaps, 0, "nothing else is lost");
    ok(late || logged("redis:") == 0, "and nothing is logged");
    end();
}

/* It hangs, and so does each that follows. */
static void test_commands_hang(void)
{
    long ms;

    begin(NULL);
    for (int i = 0; i < 20; i++)
        request();
    each(COMMANDS, 1);
    proxy.hangs = 1;
    ms = wait_busy(is_not_counted);
    ok(ms >= 500 && ms < 5000, "it is not counted after %ld ms", ms);
    ok(!member_can_publish(member), "nor can it publish");
    for (int i = 0; i < 20; i++)
        request();
    proxy.hangs = 0;
    ok(wait_busy(is_counted) >= 0, "but when commands can be sent again");
    is_whole("all the time");
    ok(ncounted >= 20 && ncounted <= npublished - 20, "first by the channel, then by the pattern");
    is_int(gaps, 0, "nothing else is lost");
    end();
}

static int is_again(void)
{
    return gaps == 1 && subscribed;
}

/* The subscription hangs: it is noticed, and ended in redis. */
static void test_subscription_hangs(void)
{
    uint64_t start;
    long most;

    begin(NULL);
    for (int i = 0; i < 20; i++)
        request();
    is_whole("before");
    each(SUBSCRIPTION, 1);
    start = clock_ms();
    ok(wait_for(is_again), "subscribed again");
    most = (long)(clock_ms() - start);
    ok(most < 6000, "after %ld ms", most);
    is_int(logged("redis lost: no answer for"), 1, "logged as the gap that it is");
    ok(wait_for(is_counted), "it is counted once: redis has closed the old one");
    npublished = nheard = 0;
    request();
    is_whole("then");
    end();
}

/* This process was not run, or was busy: nothing is lost. */
static void test_stopped(void)
{
    int made;

    begin(NULL);
    made = proxy.npairs;
    for (int i = 0; i < 3; i++) {
        request();
        for (int j = 0; j < 30; j++)
            turn();
        usleep(1200000);
    }
    for (int j = 0; j < 100; j++)
        turn();
    is_whole("before and after");
    is_int(gaps, 0, "the subscription is there");
    ok(is_ready() && logged("redis:") == 0, "so are commands");
    is_int(proxy.npairs, made, "no connection was made");
    end();
}

static int has_heard(void)
{
    return logged("redis does not allow PUBLISH of answers") > 0;
}

static void test_no_publish(void)
{
    command("ACL SETUSER mute on >sesame resetchannels allchannels -@all +subscribe +psubscribe "
            "+unsubscribe +punsubscribe +ping");
    begin("mute");
    is_int(counted(), 0, "who cannot answer is not counted");
    ok(wait_for(has_heard), "one warning");
    ok(!member_can_publish(member) && publish() == -1 && commands_told == 0, "nothing is taken");
    request();
    is_whole("it hears them");
    is_int(ncounted, 0, "by the pattern");
    member_retry(member);
    for (int i = 0; i < 50; i++)
        turn();
    is_int(logged("redis does not allow PUBLISH of answers"), 1, "no other when it is tried again");
    command("ACL SETUSER mute +publish");
    member_retry(member);
    ok(wait_busy(is_counted) >= 0, "until that is allowed");
    ok(commands_told == 1, "and told");
    command("ACL SETUSER mute -publish");
    ok(publish() == 0 && wait_busy(is_not_counted) >= 0, "and not when it is not any more");
    is_whole("all the time");
    is_int(gaps, 0, "the subscription was not lost");
    end();
    command("ACL DELUSER mute");
}

/* Neither the channel of requests, nor its pattern; or one of both. */
static void test_no_requests(void)
{
    command("ACL SETUSER deaf on >sesame resetchannels &k#/axr#* &k#/axr &k#emitter "
            "&k-response#/axr#* -@all +subscribe +psubscribe +unsubscribe +punsubscribe +ping "
            "+publish");
    begin("deaf");
    for (int i = 0; i < 20; i++)
        turn();
    is_int(logged("what servers of the cluster ask is not heard"), 1, "one line");
    is_int(counted(), 0, "it is not counted");
    command("PUBLISH k#/axr# x");
    while (messages == 0 && wait_for(is_subscribed))
        turn();
    ok(messages == 1 && gaps == 0, "and goes on");
    end();
    command("ACL SETUSER deaf &k-request#/axr#*");
    begin("deaf");
    is_int(counted(), 1, "only the channel: it is counted");
    request();
    is_whole("by it");
    each(COMMANDS, 1);
    proxy.hangs = 1;
    ok(wait_for(is_not_counted), "but not without commands");
    is_int(gaps, 0, "all else goes on");
    end();
    command("ACL DELUSER deaf");
}

static int has_left(void)
{
    return is_left;
}

static int has_ended(void)
{
    return is_over;
}

static void test_leaves(void)
{
    begin(NULL);
    ndone = nconfirmed = 0;
    for (int i = 0; i < 50; i++)
        request();
    is_int(publish(), 0, "something is on its way");
    member_leave(member, 5000, &member_end);
    ok(wait_for(has_left) && member_has_left(member), "it leaves");
    ok(ndone == 1 && nconfirmed == 1, "what was published is confirmed");
    is_int(counted(), 0, "it is not counted");
    is_whole("those from before have come");
    ok(publish() == 0, "it may answer for a while");
    each(COMMANDS, 0);
    ok(wait_for(has_ended), "until that is lost");
    end();
    begin(NULL);
    each(SUBSCRIPTION, 1);
    each(COMMANDS, 1);
    member_leave(member, 300, &member_end);
    ok(wait_for(has_left), "one that hangs leaves after its time");
    end();
    begin_unsettled(NULL, 0);
    member_leave(member, 60000, &member_end);
    ok(wait_for(has_left) && wait_for(has_ended), "one that was never there at once");
    end();
}

/* Where redis begins again numbers begin again: a stranger that has ours is left alone. */
static void test_strangers(void)
{
    char port[16];
    const char *more[] = {"--port", port, NULL};
    redisContext *strangers[12];
    int alive = 0;

    snprintf(port, sizeof(port), "%d", redis_port);
    begin(NULL);
    redisFree(context);
    redis_server_stop(&server);
    redis_server_start(&server, dir, "redis", more);
    context = redis_server_connect(&server);
    for (int i = 0; i < 12; i++)
        strangers[i] = redisConnect("127.0.0.1", redis_port);
    ok(wait_for(is_again), "another redis");
    ok(wait_for(is_counted), "counts it");
    for (int i = 0; i < 12; i++) {
        redisReply *reply = redisCommand(strangers[i], "PING");
        alive += reply != NULL && reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
        redisFree(strangers[i]);
    }
    is_int(alive, 12, "nobody else's connection was ended");
    end();
}

int main(void)
{
    char port[16];
    const char *more[] = {"--port", port, NULL};

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    if (!redis_server_is_there()) {
        ok(1, "real redis # SKIP no redis-server");
        return tap_done();
    }
    strcpy(dir, "/tmp/test_member.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(log_file, sizeof(log_file), "%s/log", dir);
    base = event_base_new();
    redis_port = free_port();
    snprintf(port, sizeof(port), "%d", redis_port);
    redis_server_start(&server, dir, "redis", more);
    context = redis_server_connect(&server);
    proxy_start(&redis_port);
    test_counts();
    test_commands_cut();
    test_commands_hang();
    test_subscription_hangs();
    test_stopped();
    test_no_publish();
    test_no_requests();
    test_leaves();
    test_strangers();
    redisFree(context);
    redis_server_stop(&server);
    evconnlistener_free(proxy.listener);
    event_base_free(base);
    log_end();
    rmdir(dir);
    return tap_done();
}
