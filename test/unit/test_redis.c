/* Against a real redis-server (skipped where there is none) and against a fake
 * one in the same loop, which says what no redis should. */
#include "master/redis.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#include "log_file.h"
#include "redis_server.h"
#include "tap.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

uint64_t __real_clock_ms(void);
uint64_t __wrap_clock_ms(void);

static uint64_t ahead_ms; /* by which the clock has jumped */
static uint64_t still_ms; /* what it shows while it stands still; 0: it goes */

uint64_t __wrap_clock_ms(void)
{
    return still_ms > 0 ? still_ms : __real_clock_ms() + ahead_ms;
}

int __real_event_add(struct event *event, const struct timeval *tv);
int __wrap_event_add(struct event *event, const struct timeval *tv);

static long last_wait_ms; /* of the timer that was set last */

int __wrap_event_add(struct event *event, const struct timeval *tv)
{
    if (tv != NULL)
        last_wait_ms = tv->tv_sec * 1000 + tv->tv_usec / 1000;
    return __real_event_add(event, tv);
}

#define DEADLINE_MS 90000 /* valgrind reads 70 MB in half of it, on a busy machine */

static struct event_base *base;
static char dir[64];

/* --- what the subscription tells ------------------------------------------------ */

static struct {
    struct buf text; /* "channel=payload " for each message */
    int subscribed, state_calls, too_large, synced;
    long waits[16]; /* after each failure */
    int nwaits;
} heard;

static void on_message(struct slice channel, struct slice payload, void *arg)
{
    (void)arg;
    buf_put(&heard.text, channel.ptr, channel.len);
    buf_putc(&heard.text, '=');
    buf_put(&heard.text, payload.ptr, payload.len);
    buf_putc(&heard.text, ' ');
}

static void on_too_large(void *arg)
{
    (void)arg;
    heard.too_large++;
}

static void on_state(int subscribed, void *arg)
{
    (void)arg;
    heard.subscribed = subscribed;
    heard.state_calls++;
    if (!subscribed && heard.nwaits < 16)
        heard.waits[heard.nwaits++] = last_wait_ms;
}

static void on_synced(void *arg)
{
    (void)arg;
    heard.synced++;
}

static const struct redis_ops ops = {
    .message = on_message, .too_large = on_too_large, .state = on_state, .synced = on_synced};

static const char *messages(void)
{
    buf_putc(&heard.text, '\0');
    heard.text.len--;
    return (const char *)heard.text.data;
}

static int has_messages(void)
{
    return heard.text.len > 0;
}

static int is_subscribed(void)
{
    return heard.subscribed;
}

static int is_not_subscribed(void)
{
    return !heard.subscribed;
}

static int has_failed(void)
{
    return heard.state_calls > 0;
}

static int is_synced(void)
{
    return heard.synced > 0;
}

static int has_given_up(void)
{
    return heard.too_large > 0;
}

/* Turns the loop until done() or the deadline; returns the ms it took, or -1. */
static long run_until(int (*done)(void))
{
    const struct timeval tick = {0, 20000};
    uint64_t start = __real_clock_ms();

    while (!done()) {
        if (__real_clock_ms() - start > DEADLINE_MS)
            return -1;
        event_base_loopexit(base, &tick);
        event_base_loop(base, EVLOOP_ONCE);
    }
    return (long)(__real_clock_ms() - start);
}

static int never(void)
{
    return 0;
}

static void run_for(unsigned ms)
{
    uint64_t end = __real_clock_ms() + ms;
    const struct timeval tick = {0, 10000};

    while (__real_clock_ms() < end && !never()) {
        event_base_loopexit(base, &tick);
        event_base_loop(base, EVLOOP_ONCE);
    }
}

static void heard_reset(void)
{
    buf_reset(&heard.text);
    heard.subscribed = heard.state_calls = heard.too_large = heard.synced = 0;
    heard.nwaits = 0;
}

/* --- a fake redis ---------------------------------------------------------------- */

#define BULK(n, text) "$" #n "\r\n" text "\r\n"
#define CONFIRMED                                                                                  \
    "*3\r\n" BULK(10, "psubscribe")                                                                \
        BULK(8, "k#/axr#*") ":1\r\n"                                                               \
                            "*3\r\n" BULK(9, "subscribe")                                          \
                                BULK(9, "k#emitter") ":2\r\n"                                      \
                                                     "*3\r\n" BULK(9, "subscribe")                 \
                                                         BULK(6, "k#/axr") ":3\r\n"
#define MESSAGE "*3\r\n" BULK(7, "message") BULK(6, "k#/axr") BULK(2, "hi")

static struct {
    struct evconnlistener *listener;
    int port;
    struct bufferevent *client; /* the last one */
    int clients;
    size_t from[16];    /* where in asked each of the first of them begins */
    struct buf asked;   /* by all of them */
    const char *answer; /* to whoever has asked something, once */
    size_t answer_len;
    int bytewise;      /* one byte a turn */
    int close_at_once; /* after the answer, before reading */
    int breaks;        /* it closes behind each answer */
    int answered;      /* this client has its answer */
    size_t flood;      /* bytes of nothing after the answer */
    struct event *drip;
    size_t dripped;
} fake;

static void fake_drip(evutil_socket_t fd, short what, void *arg)
{
    const struct timeval soon = {0, 0};

    (void)fd, (void)what, (void)arg;
    if (fake.client == NULL || fake.dripped >= fake.answer_len)
        return;
    bufferevent_write(fake.client, fake.answer + fake.dripped++, 1);
    event_add(fake.drip, &soon);
}

static void fake_break(struct bufferevent *bev, void *arg)
{
    (void)arg;
    fake.client = NULL;
    bufferevent_free(bev);
}

static void fake_answer(struct bufferevent *bev)
{
    const struct timeval soon = {0, 0};
    static char nothing[1 << 20];

    fake.answered = 1;
    if (fake.breaks)
        bufferevent_setcb(bev, NULL, fake_break, NULL, NULL);
    if (fake.bytewise) {
        fake.dripped = 0;
        event_add(fake.drip, &soon);
        return;
    }
    bufferevent_write(bev, fake.answer, fake.answer_len);
    for (size_t left = fake.flood; left > 0;
         left -= left < sizeof(nothing) ? left : sizeof(nothing))
        evbuffer_add_reference(bufferevent_get_output(bev), nothing,
                               left < sizeof(nothing) ? left : sizeof(nothing), NULL, NULL);
}

static void fake_read(struct bufferevent *bev, void *arg)
{
    char bytes[4096];
    size_t n;

    (void)arg;
    while ((n = bufferevent_read(bev, bytes, sizeof(bytes))) > 0)
        buf_put(&fake.asked, bytes, n);
    if (!fake.answered && fake.answer != NULL)
        fake_answer(bev);
}

static void fake_event(struct bufferevent *bev, short what, void *arg)
{
    (void)what, (void)arg;
    if (fake.client == bev)
        fake.client = NULL;
    bufferevent_free(bev);
}

static void fake_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr,
                        int len, void *arg)
{
    int one = 1;

    (void)listener, (void)addr, (void)len, (void)arg;
    if (fake.clients < 16)
        fake.from[fake.clients] = fake.asked.len;
    fake.clients++;
    if (fake.close_at_once) {
        ok(send(fd, fake.answer, fake.answer_len, MSG_NOSIGNAL) > 0, "fake: last words sent");
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fake.client = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    fake.answered = 0;
    bufferevent_setcb(fake.client, fake_read, NULL, fake_event, NULL);
    bufferevent_enable(fake.client, EV_READ | EV_WRITE);
}

static void fake_start(const char *answer, size_t len)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(addr);

    memset(&fake, 0, sizeof(fake));
    fake.answer = answer;
    fake.answer_len = len;
    fake.drip = event_new(base, -1, 0, fake_drip, NULL);
    fake.listener =
        evconnlistener_new_bind(base, fake_accept, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                                16, (struct sockaddr *)&addr, sizeof(addr));
    getsockname(evconnlistener_get_fd(fake.listener), (struct sockaddr *)&addr, &size);
    fake.port = ntohs(addr.sin_port);
}
#define FAKE(text) fake_start(text, sizeof(text) - 1)

static void fake_stop(void)
{
    evconnlistener_free(fake.listener);
    event_free(fake.drip);
    if (fake.client != NULL)
        bufferevent_free(fake.client);
    buf_free(&fake.asked);
}

static void fake_say(const char *text)
{
    bufferevent_write(fake.client, text, strlen(text));
}

static int fake_has_two(void)
{
    return fake.clients >= 2;
}

static int fake_has_three(void)
{
    return fake.clients >= 3;
}

static int fake_was_pinged(void)
{
    return fake.asked.len > 4 && memmem(fake.asked.data, fake.asked.len, "PING", 4) != NULL;
}

static struct conf *conf_fake(void)
{
    static struct conf conf;
    static char key[] = "k", nsp[] = "/axr", host[] = "127.0.0.1";

    memset(&conf, 0, sizeof(conf));
    conf.key = key;
    conf.nsp = nsp;
    conf.redis.host = host;
    conf.redis.port = fake.port;
    conf.message_bytes = 4194304;
    return &conf;
}

static struct redis *redis_begin(const struct conf *conf)
{
    struct redis *redis;

    heard_reset();
    log_begin();
    redis = redis_new(base, conf, &ops, NULL);
    if (redis == NULL)
        exit(1);
    return redis;
}

static void redis_end(struct redis **redis)
{
    redis_free(redis);
    /* What libevent frees it frees in the next turn. */
    run_for(1);
}

/* --- tests with it --------------------------------------------------------------- */

static void test_handshake(void)
{
    struct conf *conf;
    struct redis *redis;
    size_t n;
    static char key[] = "k*?", nsp[] = "/a[x]-^\\", user[] = "me", password[] = "sesame";
    static const char want[] = "*3\r\n" BULK(4, "AUTH") BULK(2, "me") BULK(6, "sesame") /* */
        "*2\r\n" BULK(6, "SELECT") BULK(1, "3")                                         /* */
        "*2\r\n" BULK(6, "CLIENT") BULK(4, "INFO")                                      /* */
        "*2\r\n" BULK(10, "PSUBSCRIBE") BULK(18, "k\\*\\?#/a\\[x]-^\\\\#*")             /* */
        "*3\r\n" BULK(9, "SUBSCRIBE") BULK(11, "k*?#emitter") BULK(12, "k*?#/a[x]-^\\") /* */
        "*2\r\n" BULK(10, "PSUBSCRIBE") BULK(23, "k\\*\\?#[^/]*/a\\[x]-^\\\\#*")        /* */
        "*2\r\n" BULK(10, "PSUBSCRIBE") BULK(25, "k\\*\\?-request#/a\\[x]-^\\\\#");

    FAKE("+OK\r\n+OK\r\n"
         "*3\r\n" BULK(10, "psubscribe") BULK(18, "k\\*\\?#/a\\[x]-^\\\\#*") ":1\r\n");
    conf = conf_fake();
    conf->key = key;
    conf->nsp = nsp;
    conf->redis.username = user;
    conf->redis.password = password;
    conf->redis.database = 3;
    redis = redis_begin(conf);
    ok(run_until(fake_has_two) >= 2500, "confirmations that do not come: given up after 3 s");
    n = fake.asked.len < sizeof(want) - 1 ? fake.asked.len : sizeof(want) - 1;
    is_mem(fake.asked.data, n, want, sizeof(want) - 1,
           "AUTH, SELECT, the patterns with their glob characters escaped, the channels");
    is_int(logged("not subscribed within"), 1, "and logged");
    is_int(logged("sesame"), 0, "without the password");
    redis_end(&redis);
    fake_stop();
}

static void test_bytewise(void)
{
    struct redis *redis;

    FAKE(CONFIRMED MESSAGE "*4\r\n" BULK(8, "pmessage") BULK(8, "k#/axr#*") BULK(10, "k#/axr#me#")
             BULK(0, "") "*2\r\n" BULK(4, "pong") BULK(0, "") MESSAGE);
    fake.bytewise = 1;
    redis = redis_begin(conf_fake());
    ok(run_until(is_subscribed) >= 0, "subscribed, one byte at a time");
    while (heard.text.len < 32)
        if (run_until(has_messages) < 0)
            break;
        else
            run_for(1);
    is_str(messages(), "k#/axr=hi k#/axr#me#= k#/axr=hi ", "messages of both kinds, an empty one");
    is_int(redis_stats(redis)->odd, 0, "nothing odd in that");
    redis_end(&redis);
    fake_stop();
}

static const char *const odd_replies[] = {
    "+OK\r\n",
    "*0\r\n",
    "*-1\r\n",
    "$-1\r\n",
    "$3\r\nabc\r\n",
    ":5\r\n",
    "-ERR what a day\r\n",
    "-\r\n",
    "+\r\n",
    "*1\r\n" BULK(7, "message"),
    "*2\r\n" BULK(7, "message") BULK(6, "k#/axr"),
    "*3\r\n" BULK(7, "message") "$-1\r\n" BULK(2, "hi"),
    "*3\r\n" BULK(7, "message") BULK(6, "k#/axr") "$-1\r\n",
    "*3\r\n" BULK(7, "message") BULK(6, "k#/axr") ":7\r\n",
    "*4\r\n" BULK(7, "message") BULK(6, "k#/axr") BULK(2, "hi") BULK(2, "ho"),
    "*3\r\n" BULK(8, "pmessage") BULK(8, "k#/axr#*") BULK(6, "k#/axr"),
    "*3\r\n:7\r\n" BULK(6, "k#/axr") BULK(2, "hi"),
    "*3\r\n" BULK(7, "MESSAGE") BULK(6, "k#/axr") BULK(2, "hi"),
};

static void test_odd(void)
{
    struct redis *redis;
    size_t n;

    FAKE(CONFIRMED);
    redis = redis_begin(conf_fake());
    ok(run_until(is_subscribed) >= 0, "subscribed");
    n = sizeof(odd_replies) / sizeof(*odd_replies);
    for (size_t i = 0; i < n; i++)
        fake_say(odd_replies[i]);
    fake_say("*3\r\n" BULK(9, "subscribe") "$-1\r\n:0\r\n" MESSAGE);
    ok(run_until(has_messages) >= 0, "a message after odd replies");
    is_str(messages(), "k#/axr=hi ", "is the only one taken");
    is_int(redis_stats(redis)->odd, n, "each odd reply is counted");
    is_int(logged("reply ignored"), 1, "one line for all of them");
    is_int(fake.clients, 1, "the connection lives");
    redis_end(&redis);
    fake_stop();
}

static const struct {
    const char *name, *text;
    size_t len;
} garbage[] = {
#define GARBAGE(name, text)                                                                        \
    {                                                                                              \
        name, text, sizeof(text) - 1                                                               \
    }
    GARBAGE("HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n"),
    GARBAGE("NUL bytes", "\0\0\0\0\r\n"),
    GARBAGE("an array of 2^31-1", "*2147483647\r\n"),
    GARBAGE("an array of 2^64", "*18446744073709551616\r\n"),
    GARBAGE("an array of 65", "*65\r\n"),
    GARBAGE("a negative length", "$-5\r\n"),
    GARBAGE("a length of 2^63", "$9223372036854775808\r\n"),
    GARBAGE("a bulk that is no number", "$x\r\n"),
    GARBAGE("an integer that is none", ":1x\r\n"),
    GARBAGE("nesting of 9", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"),
    GARBAGE("the end of the pattern",
            "*3\r\n" BULK(12, "punsubscribe") BULK(8, "k#/axr#*") ":0\r\n"),
    GARBAGE("the end of a channel", "*3\r\n" BULK(11, "unsubscribe") "$-1\r\n:0\r\n"),
};

static void test_garbage(void)
{
    for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
        struct redis *redis;
        int good;
        FAKE(CONFIRMED);
        redis = redis_begin(conf_fake());
        good = run_until(is_subscribed) >= 0;
        bufferevent_write(fake.client, garbage[i].text, garbage[i].len);
        good = good && run_until(is_not_subscribed) >= 0 && run_until(is_subscribed) >= 0;
        ok(good && fake.clients == 2, "%s: connected anew", garbage[i].name);
        redis_end(&redis);
        fake_stop();
    }
}

/* As soon as it begins, for it may become large. */
static void test_nested(void)
{
    static const char *const cases[] = {
        "*1\r\n*1\r\n",
        "*64\r\n*64\r\n:1\r\n",
        "*4\r\n" BULK(8, "pmessage") "*0\r\n",
        "*3\r\n" BULK(7, "message") BULK(6, "k#/axr") "*1\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct redis *redis;
        int good;
        FAKE(CONFIRMED);
        redis = redis_begin(conf_fake());
        good = run_until(is_subscribed) >= 0;
        fake_say(cases[i]);
        good = good && run_until(is_not_subscribed) >= 0 && run_until(is_subscribed) >= 0;
        ok(good && fake.clients == 2, "array in array %zu: connected anew", i);
        is_int(logged("redis lost: an array within an array"), 1, "for that");
        is_int(redis_stats(redis)->gaps, 1, "and counted");
        redis_end(&redis);
        fake_stop();
    }
}

/* Random bytes, and a good conversation with bytes of it changed: nothing but
 * surviving is asked. */
static void test_mutated(void)
{
    static char bytes[] = CONFIRMED MESSAGE MESSAGE;
    static const char good[] = CONFIRMED MESSAGE MESSAGE;
    unsigned seed = 20240229;
    struct redis *redis;

    FAKE("");
    redis = redis_begin(conf_fake());
    fake.bytewise = 0;
    for (int round = 0; round < 200; round++) {
        memcpy(bytes, good, sizeof(good));
        for (int i = 0; i < 3; i++) {
            seed = seed * 1103515245 + 12345;
            bytes[(seed >> 8) % (sizeof(bytes) - 1)] = (char)(seed >> 24);
        }
        fake.answer = bytes;
        fake.answer_len = sizeof(bytes) - 1;
        if (fake.client != NULL)
            bufferevent_write(fake.client, bytes, sizeof(bytes) - 1);
        run_for(1);
    }
    fake.answer = good;
    fake.answer_len = sizeof(good) - 1;
    if (fake.client != NULL) {
        bufferevent_free(fake.client);
        fake.client = NULL;
    }
    heard.subscribed = 0;
    ok(run_until(is_subscribed) >= 0, "after 200 mutated conversations a good one counts");
    redis_end(&redis);
    fake_stop();
}

static void test_refusals(void)
{
    static const struct {
        const char *answer, *shown;
        int close_at_once;
    } cases[] = {
        {"-NOAUTH Authentication required.\r\n", "NOAUTH Authentication required.", 0},
        {"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "WRONGPASS", 0},
        {"-NOPERM this user has no permissions\r\n", "NOPERM", 0}, /* to AUTH */
        {"-LOADING Redis is loading the dataset in memory\r\n", "LOADING", 0},
        {"-ERR max number of clients reached\r\n", "max number of clients", 1},
        {"-ERR unknown command `AUTH`, with args beginning with: `ses\r\n", "unknown command", 0},
        {"-ERR what is `sesame`?\r\n", "an error that shows the password", 0},
        {"-ERR \x1b[31m\x01\r\n", "ERR \\x1b[31m\\x01", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        static char password[] = "sesame";
        struct conf *conf;
        struct redis *redis;
        fake_start(cases[i].answer, strlen(cases[i].answer));
        fake.close_at_once = cases[i].close_at_once;
        conf = conf_fake();
        conf->redis.password = password;
        redis = redis_begin(conf);
        ok(run_until(fake_has_three) >= 0, "%s: tried again", cases[i].shown);
        ok(is_not_subscribed() && heard.state_calls >= 2, "each attempt is reported as failed");
        is_int(logged("redis not reachable"), 1, "one line for all attempts");
        is_int(logged(cases[i].shown), 1, "which says why");
        is_int(logged("`ses") + logged("sesame"), 0, "and no secret");
        redis_end(&redis);
        fake_stop();
    }
}

static void test_changing_reasons(void)
{
    struct redis *redis;

    FAKE("-LOADING soon\r\n");
    redis = redis_begin(conf_fake());
    ok(run_until(fake_has_two) >= 0, "refused");
    fake.answer = "-NOPERM no\r\n-NOPERM no\r\n";
    fake.answer_len = strlen(fake.answer);
    fake.clients = 0;
    ok(run_until(fake_has_two) >= 0, "refused for another reason");
    run_for(50);
    is_int(logged("redis not reachable"), 2, "each reason has a line");
    fake.answer = CONFIRMED;
    fake.answer_len = sizeof(CONFIRMED) - 1;
    ok(run_until(is_subscribed) >= 0, "subscribed at last");
    is_int(logged("redis subscribed at"), 1, "logged");
    is_int(redis_stats(redis)->gaps, 0, "no gap: there was no subscription before");
    redis_end(&redis);
    fake_stop();
}

static void test_closed(void)
{
    struct redis *redis;

    FAKE(CONFIRMED);
    redis = redis_begin(conf_fake());
    ok(run_until(is_subscribed) >= 0, "subscribed");
    bufferevent_free(fake.client);
    fake.client = NULL;
    ok(run_until(is_not_subscribed) >= 0, "closed by redis");
    is_int(logged("redis lost: it closed the connection"), 1, "logged");
    ok(run_until(is_subscribed) >= 0, "subscribed again");
    is_int(logged("redis subscribed again after"), 1, "and the gap is logged");
    is_int(redis_stats(redis)->gaps, 1, "and counted");
    fake_say(MESSAGE);
    ok(run_until(has_messages) >= 0, "messages come again");
    redis_end(&redis);
    fake_stop();
}

/* --- the same again --------------------------------------------------------------- */

static size_t awaited; /* bytes that are to be asked */

static int has_asked(void)
{
    return fake.asked.len >= awaited;
}

static int has_waited(void)
{
    return heard.nwaits >= 10;
}

/* Client i (from 0) has asked for want, and for nothing else. */
static void is_asked(int i, const struct buf *want, const char *name)
{
    awaited = fake.from[i] + want->len;
    ok(run_until(has_asked) >= 0, "%s: all is asked", name);
    run_for(20);
    is_mem(fake.asked.data + fake.from[i], fake.asked.len - fake.from[i], want->data, want->len,
           name);
}

/* Loses the subscription twice, and looks at what is asked each time. */
static void check_again(struct conf *conf, const char *name)
{
    struct redis *redis = redis_begin(conf);
    struct buf first = {0};

    ok(run_until(is_subscribed) >= 0, "%s: subscribed", name);
    run_for(50);
    buf_put(&first, fake.asked.data, fake.asked.len);
    ok(first.len > 60, "%s: %zu bytes were asked", name, first.len);
    for (int i = 1; i < 3; i++) {
        bufferevent_free(fake.client);
        fake.client = NULL;
        ok(run_until(is_not_subscribed) >= 0, "lost");
        is_int(run_until(is_subscribed) >= 0, 1, "and there again");
        is_asked(i, &first, "byte for byte what was asked at first");
    }
    redis_end(&redis);
    buf_free(&first);
}

/* What is subscribed after a loss is byte for byte what was at first. */
static void test_asked_again(void)
{
    static char password[] = "sesame", user[] = "me", key[] = "k*?", nsp[] = "/a[x]", root[] = "/";
    struct conf *conf;

    FAKE(CONFIRMED);
    check_again(conf_fake(), "by default");
    fake_stop();
    FAKE("+OK\r\n+OK\r\n" CONFIRMED);
    conf = conf_fake();
    conf->redis.username = user;
    conf->redis.password = password;
    conf->redis.database = 3;
    check_again(conf, "with a user, a password and a database");
    fake_stop();
    FAKE("*3\r\n" BULK(10, "psubscribe") BULK(
        14, "k\\*\\?#/a\\[x]#*") ":1\r\n"
                                 "*3\r\n" BULK(9, "subscribe")
                                     BULK(11, "k*?#emitter") ":2\r\n"
                                                             "*3\r\n" BULK(9, "subscribe")
                                                                 BULK(9, "k*?#/a[x]") ":3\r\n");
    conf = conf_fake();
    conf->key = key;
    conf->nsp = nsp;
    check_again(conf, "with glob characters");
    fake_stop();
    FAKE("*3\r\n" BULK(10, "psubscribe")
             BULK(5, "k#/#*") ":1\r\n"
                              "*3\r\n" BULK(9, "subscribe")
                                  BULK(9, "k#emitter") ":2\r\n"
                                                       "*3\r\n" BULK(9, "subscribe")
                                                           BULK(3, "k#/") ":3\r\n");
    conf = conf_fake();
    conf->nsp = root;
    check_again(conf, "for the root namespace");
    fake_stop();
}

/* --- how long it waits ------------------------------------------------------------- */

/* Waits from half of each up to it: most, and twice as long each time, up to 1 s. */
static void check_waits(int n, long most)
{
    for (int i = 0; i < n; i++) {
        ok(heard.waits[i] >= most / 2 && heard.waits[i] <= most, "wait %d: %ld of %ld ms", i + 1,
           heard.waits[i], most);
        most = most * 2 < 1000 ? most * 2 : 1000;
    }
}

/* One that confirms and then breaks off is no better than one that refuses. */
static void test_breaks_off(void)
{
    struct redis *redis;

    FAKE(CONFIRMED);
    fake.breaks = 1;
    still_ms = clock_ms();
    redis = redis_begin(conf_fake());
    ok(run_until(has_waited) >= 0, "confirmed and broken off, again and again");
    check_waits(10, 50);
    ok(redis_stats(redis)->gaps >= 10, "each time it was subscribed");
    still_ms = 0;
    redis_end(&redis);
    fake_stop();
}

/* Loses the subscription after so long; most: that it waits then. */
static void check_was_there(uint64_t ms, long most)
{
    still_ms += ms;
    heard.nwaits = 0;
    bufferevent_free(fake.client);
    fake.client = NULL;
    ok(run_until(is_not_subscribed) >= 0 && run_until(is_subscribed) >= 0,
       "lost after %d ms, and there again", (int)ms);
    is_int(heard.nwaits, 1, "at the first attempt");
    check_waits(1, most);
}

/* One that was there for more than a second is. */
static void test_was_there(void)
{
    struct redis *redis;

    FAKE("-LOADING soon\r\n");
    still_ms = clock_ms();
    redis = redis_begin(conf_fake());
    while (heard.nwaits < 3 && run_until(has_failed) >= 0)
        run_for(1);
    check_waits(3, 50);
    fake.answer = CONFIRMED;
    fake.answer_len = sizeof(CONFIRMED) - 1;
    ok(run_until(is_subscribed) >= 0, "subscribed at last");
    check_was_there(1000, 400);
    check_was_there(1001, 50);
    check_was_there(1000, 100);
    still_ms = 0;
    redis_end(&redis);
    fake_stop();
}

static void test_silent(void)
{
    struct redis *redis;
    long ms;

    FAKE(CONFIRMED);
    redis = redis_begin(conf_fake());
    ok(run_until(is_subscribed) >= 0, "subscribed");
    ok(run_until(fake_was_pinged) >= 250, "asked for a sign of life after 300 ms");
    ms = run_until(is_not_subscribed);
    ok(ms >= 7000 && ms < 20000, "silent for 8 s (%ld ms): lost", ms);
    is_int(logged("redis lost: no answer for"), 1, "logged");
    ok(run_until(is_subscribed) >= 0, "subscribed again");
    ok(redis_stats(redis)->gap_ms >= 7500, "the gap counts from the last that was heard");
    redis_end(&redis);
    fake_stop();
}

/* What looks like the start of a huge reply swallows what comes after it: not for long. */
static void test_swallowed(void)
{
    struct redis *redis;
    uint64_t start, ms;

    FAKE(CONFIRMED);
    redis = redis_begin(conf_fake());
    ok(run_until(is_subscribed) >= 0, "subscribed");
    fake_say("$60000000\r\n");
    start = clock_ms();
    while (redis_stats(redis)->gaps == 0 && clock_ms() - start < DEADLINE_MS) {
        fake_say(MESSAGE);
        run_for(100);
    }
    ms = clock_ms() - start;
    ok(ms >= 7500 && ms < 20000, "no whole reply for 8 s (%llu ms): lost", (unsigned long long)ms);
    redis_end(&redis);
    fake_stop();
}

static void test_too_large(void)
{
    struct redis *redis;

    FAKE(CONFIRMED "*3\r\n" BULK(7, "message") BULK(6, "k#/axr") "$500000000\r\n");
    fake.flood = 70UL << 20;
    redis = redis_begin(conf_fake());
    ok(run_until(has_given_up) >= 0, "a message above 64 MiB is given up");
    fake.flood = 0;
    ok(run_until(fake_has_two) >= 0, "with its connection");
    redis_end(&redis);
    fake_stop();
}

/* The bound is for one reply, not for all of them. */
static void test_stream(void)
{
    static char large[1 << 20];
    struct redis *redis;
    int heard_all = 1;

    FAKE(CONFIRMED);
    redis = redis_begin(conf_fake());
    ok(run_until(is_subscribed) >= 0, "subscribed");
    memset(large, 'x', sizeof(large) - 1);
    for (int i = 0; i < 66 && heard_all; i++) {
        fake_say("*3\r\n" BULK(7, "message") BULK(6, "k#/axr") "$1048575\r\n");
        fake_say(large);
        fake_say("\r\n");
        heard_all = run_until(has_messages) >= 0 && heard.text.len > sizeof(large);
        buf_reset(&heard.text);
    }
    ok(heard_all && fake.clients == 1, "66 MiB in many messages come over one connection");
    redis_end(&redis);
    fake_stop();
}

static int subscribed_or_again(void)
{
    return heard.subscribed || fake.clients >= 2;
}

/* What is confirmed counts if it is confirmed as what was asked for. */
static void test_other_kind(void)
{
    struct redis *redis;

    FAKE("*3\r\n" BULK(9, "subscribe")
             BULK(8, "k#/axr#*") ":1\r\n"
                                 "*3\r\n" BULK(9, "subscribe")
                                     BULK(9, "k#emitter") ":2\r\n"
                                                          "*3\r\n" BULK(9, "subscribe")
                                                              BULK(6, "k#/axr") ":3\r\n");
    redis = redis_begin(conf_fake());
    ok(run_until(subscribed_or_again) >= 0 && !heard.subscribed,
       "a pattern confirmed as a channel is none");
    redis_end(&redis);
    fake_stop();
}

/* A sign that is asked for comes when all that was asked for before it has come. */
static void test_signs(void)
{
    struct redis *redis;

    FAKE(CONFIRMED);
    redis = redis_begin(conf_fake());
    ok(run_until(is_subscribed) >= 0, "subscribed");
    is_int(redis_sync(redis) + redis_sync(redis), 0, "asked for a sign, twice");
    fake_say("*2\r\n" BULK(4, "pong") BULK(4, "sync") MESSAGE);
    ok(run_until(has_messages) >= 0, "one answer has come");
    is_int(heard.synced, 0, "and is none yet");
    fake_say("*2\r\n" BULK(4, "pong") BULK(4, "sync"));
    ok(run_until(is_synced) >= 0, "the second is");
    redis_end(&redis);
    fake_stop();
}

static void test_unreachable(void)
{
    struct conf *conf;
    struct redis *redis;
    unsigned long long attempts;
    uint64_t start;
    static char path[] = "/nowhere/redis.sock";
    static char longpath[300];
    static char host[] = "no-such-host.invalid";

    FAKE("");
    conf = conf_fake();
    fake_stop();
    redis = redis_begin(conf);
    run_for(2500);
    attempts = redis_stats(redis)->attempts;
    ok(attempts >= 4 && attempts <= 14, "refused: back-off grows (%llu attempts)", attempts);
    is_int(logged("Connection refused"), 1, "one line");
    for (int minute = 1; minute <= 2; minute++) {
        ahead_ms += 55000;
        run_for(1500); /* a failed attempt a second */
        is_int(logged("redis not reachable"), minute, "not again within a minute");
        ahead_ms += 5000;
        run_for(1500);
        is_int(logged("redis not reachable"), minute + 1, "once a minute while it lasts");
    }
    redis_end(&redis);

    conf->redis.path = path;
    redis = redis_begin(conf);
    ok(run_until(has_failed) >= 0, "a path that is not there");
    is_int(logged("unix:/nowhere/redis.sock: connect: No such file"), 1, "one line");
    redis_end(&redis);

    memset(longpath, 'x', sizeof(longpath) - 1);
    conf->redis.path = longpath;
    redis = redis_begin(conf);
    ok(run_until(has_failed) >= 0, "a path that is too long");
    redis_end(&redis);

    conf->redis.path = NULL;
    conf->redis.host = host;
    redis = redis_begin(conf);
    start = clock_ms();
    run_for(100);
    ok(clock_ms() - start < 4500, "a name: the loop turns while it is looked up");
    ok(run_until(has_failed) >= 0, "a name that is not known");
    redis_end(&redis);
}

static void test_names(void)
{
    struct conf *conf;
    struct redis *redis;
    static char localhost[] = "localhost", name[256];

    FAKE(CONFIRMED);
    conf = conf_fake();
    conf->redis.host = localhost;
    redis = redis_begin(conf);
    ok(run_until(is_subscribed) >= 0, "localhost, on 127.0.0.1");
    redis_end(&redis);
    fake_stop();

    FAKE(CONFIRMED);
    /* A name that this machine knows by its files, where it has one. */
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (getnameinfo((struct sockaddr *)&addr, sizeof(addr), name, sizeof(name), NULL, 0,
                    NI_NAMEREQD) != 0)
        strcpy(name, "localhost.");
    conf = conf_fake();
    conf->redis.host = name;
    redis = redis_begin(conf);
    ok(run_until(has_failed) >= 0, "%s: an attempt has ended", name);
    redis_end(&redis);
    fake_stop();
}

/* --- a real redis ----------------------------------------------------------------- */

static struct redis_server server;

static void server_start(const char *const *more)
{
    redis_server_start(&server, dir, "redis", more);
}

static void server_stop(void)
{
    redis_server_stop(&server);
}

static long publish(const char *user, const char *password, const char *channel, const char *text)
{
    long got = -1;
    redisContext *context = redisConnectUnix(server.path);

    if (context != NULL && !context->err) {
        redisReply *reply;
        if (password != NULL)
            freeReplyObject(redisCommand(context, "AUTH %s %s", user, password));
        reply = redisCommand(context, "PUBLISH %s %s", channel, text);
        if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
            got = (long)reply->integer;
        if (reply != NULL)
            freeReplyObject(reply);
    }
    if (context != NULL)
        redisFree(context);
    return got;
}

static struct conf *conf_real(void)
{
    struct conf *conf = conf_fake();

    conf->redis.path = server.path;
    return conf;
}

static void test_real(void)
{
    struct redis *redis;
    long ms;

    server_start(NULL);
    redis = redis_begin(conf_real());
    ok(run_until(is_subscribed) >= 0, "real redis: subscribed");
    is_int(publish(NULL, NULL, "k#/axr#", "one"), 1, "to all: one subscriber");
    is_int(publish(NULL, NULL, "k#/axr#ann#", "two"), 1, "to a room");
    is_int(publish(NULL, NULL, "k#emitter", "three"), 1, "old emitters' channel");
    is_int(publish(NULL, NULL, "k#/axr", "four"), 1, "the channel without its end");
    is_int(publish(NULL, NULL, "k#/axs#", "no"), 0, "not another namespace");
    is_int(publish(NULL, NULL, "k-request#/axr#", "no"), 1, "requests are none of these");
    while (redis_stats(redis)->messages < 4 && run_until(has_messages) >= 0)
        run_for(1);
    is_str(messages(), "k#/axr#=one k#/axr#ann#=two k#emitter=three k#/axr=four ", "all, in order");
    run_for(3500);
    is_int(redis_stats(redis)->odd, 0, "its pong is as expected");
    ok(is_subscribed(), "and it is alive");
    server_stop();
    ok(run_until(is_not_subscribed) >= 0, "redis has gone");
    run_for(1500);
    server_start(NULL);
    ms = run_until(is_subscribed);
    ok(ms >= 0 && ms < 9000, "back: subscribed again after %ld ms", ms);
    is_int(logged("redis lost"), 1, "the loss is logged once");
    is_int(logged("redis subscribed again after"), 1, "so is the gap");
    heard_reset();
    is_int(publish(NULL, NULL, "k#/axr#", "five"), 1, "published");
    ok(run_until(has_messages) >= 0, "and received");
    heard_reset();
    heard.subscribed = 1;
    for (int i = 0; i < 1000; i++)
        publish(NULL, NULL, "k#/axr#", "x");
    is_int(redis_sync(redis), 0, "asked for a sign");
    ok(run_until(is_synced) >= 0, "which comes");
    is_int(heard.text.len, 1000 * strlen("k#/axr#=x "), "behind all that was published before");
    is_int(heard.synced, 1, "once");
    server_stop();
    ok(run_until(is_not_subscribed) >= 0, "redis has gone again");
    is_int(redis_sync(redis), -1, "no sign to be had");
    redis_end(&redis);
}

/* What is heard in a namespace, of all the channels that emitters publish on. */
static void check_channels(char *nsp, const char *const *channels, const char *const *deaf)
{
    struct buf want = {0};
    struct conf *conf = conf_real();
    struct redis *redis;
    size_t n = 0;

    conf->nsp = nsp;
    redis = redis_begin(conf);
    ok(run_until(is_subscribed) >= 0, "subscribed for %s", nsp);
    for (; channels[n] != NULL; n++) {
        is_int(publish(NULL, NULL, channels[n], "x"), 1, channels[n]);
        buf_printf(&want, "%s=x ", channels[n]);
    }
    for (size_t i = 0; deaf[i] != NULL; i++)
        is_int(publish(NULL, NULL, deaf[i], "x"), 0, deaf[i]);
    is_int(redis_sync(redis), 0, "asked for a sign");
    ok(run_until(is_synced) >= 0, "which comes");
    is_mem(heard.text.data, heard.text.len, want.data, want.len, "each of them once, in order");
    is_int(redis_stats(redis)->messages, n, "and no more than that is counted");
    redis_end(&redis);
    buf_free(&want);
}

static void test_real_channels(void)
{
    static char axr[] = "/axr", root[] = "/";
    static const char *const of_axr[] = {
        "k#/axr#",   "k#/axr#r#",     "k#/axr#/axr#sid#", "k#/axr##",       "k#/axr#a#b#",
        "k#/axr#r",  "k#/axr",        "k#/axr##emitter",  "k#/axr##/axr#",  "k#emitter",
        "k#r#/axr#", "k#r#s#/axr#t#", "k#r#/axr#/axr#",   "k#emitter/axr#", NULL};
    static const char *const not_of_axr[] = {"k#/#",    "k#/#r#",    "k#",     "k#r#",
                                             "k#axr#",  "k#/axr2#",  "k#/ax#", "k#/x#/axr#",
                                             "j#/axr#", "k#/axr?q#", NULL};
    static const char *const of_root[] = {
        "k#/#", "k#/#r#", "k#/##",  "k#/##emitter", "k#/##/#", "k#/",         "k#/#r",
        "k#",   "k#r#",   "k#a#b#", "k#emitter",    "k#axr#",  "k#emitterr#", NULL};
    static const char *const not_of_root[] = {"k#/axr#", "k#/axr", "k#/axr#r#",
                                              "k#/a#/#", "k",      NULL};

    server_start(NULL);
    check_channels(axr, of_axr, not_of_axr);
    check_channels(root, of_root, not_of_root);
    server_stop();
}

/* An ACL that has the pattern and the two channels, and no more. */
static void test_real_withheld(void)
{
    const char *acl[] = {"--user",    "me",      "on",         ">sesame", "resetchannels",
                         "&k#/axr#*", "&k#/axr", "&k#emitter", "+@all",   NULL};
    static char user[] = "me", password[] = "sesame";
    struct conf *conf;
    struct redis *redis;

    server_start(acl);
    conf = conf_real();
    conf->redis.username = user;
    conf->redis.password = password;
    redis = redis_begin(conf);
    ok(run_until(is_subscribed) >= 0, "subscribed to what is allowed");
    is_int(publish(NULL, NULL, "k#/axr#", "in"), 1, "published");
    ok(run_until(has_messages) >= 0, "and received");
    is_int(logged("redis does not allow pattern=k#[^/]*/axr#*"), 1, "the rest is logged");
    is_int(redis_stats(redis)->odd, 0, "and is nothing odd");
    is_int(publish(NULL, NULL, "k#r#/axr#", "x"), 0, "and not heard");
    redis_end(&redis);
    server_stop();
}

static void test_real_acl(void)
{
    const char *acl[] = {"--user", "me",     "on",      ">sesame", "allchannels",
                         "+@all",  "--user", "default", "off",     NULL};
    static char user[] = "me", password[] = "sesame", wrong[] = "open!";
    struct conf *conf;
    struct redis *redis;

    server_start(acl);
    conf = conf_real();
    conf->redis.username = user;
    conf->redis.password = wrong;
    redis = redis_begin(conf);
    while (logged("WRONGPASS") == 0 && heard.state_calls < 20)
        run_for(50);
    is_int(logged("WRONGPASS"), 1, "wrong password: says so");
    is_int(logged("open!"), 0, "without it");
    redis_end(&redis);
    conf->redis.password = password;
    conf->redis.database = 2;
    redis = redis_begin(conf);
    ok(run_until(is_subscribed) >= 0, "user, password and database");
    is_int(publish("me", "sesame", "k#/axr#", "in"), 1, "published");
    ok(run_until(has_messages) >= 0, "and received");
    redis_end(&redis);
    server_stop();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    strcpy(dir, "/tmp/test_redis.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(log_file, sizeof(log_file), "%s/log", dir);
    base = event_base_new();
    test_handshake();
    test_bytewise();
    test_odd();
    test_garbage();
    test_nested();
    test_mutated();
    test_refusals();
    test_changing_reasons();
    test_closed();
    test_asked_again();
    test_breaks_off();
    test_was_there();
    test_silent();
    test_swallowed();
    test_too_large();
    test_stream();
    test_other_kind();
    test_signs();
    test_unreachable();
    test_names();
    if (redis_server_is_there()) {
        test_real();
        test_real_acl();
        test_real_channels();
        test_real_withheld();
    } else {
        ok(1, "real redis # SKIP no redis-server");
    }
    event_base_free(base);
    buf_free(&heard.text);
    log_end();
    rmdir(dir);
    return tap_done();
}
