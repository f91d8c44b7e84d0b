/* Against a fake redis in the same loop, which says what the test wants. */
#include "master/commands.h"

#include "base/clock.h"

#include "log_file.h"
#include "tap.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DEADLINE_MS   30000
#define BULK(n, text) "$" #n "\r\n" text "\r\n"
#define PROBE         "*3\r\n" BULK(7, "PUBLISH") BULK(16, "k-response#/axr#") BULK(2, "{}")
#define PING          "*1\r\n" BULK(4, "PING")
#define COMMON        SLICE("k-response#/axr#")
#define OF_ONE        SLICE("k-response#/axr#abc#")
#define NOPERM        "-NOPERM this user has no permissions\r\n"

static struct event_base *base;
static char dir[64];
static struct commands *commands;
static struct conf conf;
static int changes, ticks;

static void on_changed(void *arg)
{
    (void)arg;
    changes++;
}

static void on_tick(void *arg)
{
    (void)arg;
    ticks++;
}

static const struct commands_ops ops = {on_changed, on_tick};

/* --- a fake redis ------------------------------------------------------------- */

static struct {
    struct evconnlistener *listener;
    struct bufferevent *client; /* the last one */
    int clients;
    int pongs;        /* it answers each PING that comes alone */
    struct buf asked; /* by the last one */
    size_t read;
} fake;

static void fake_read(struct bufferevent *bev, void *arg)
{
    static char bytes[1 << 16];
    size_t n;

    (void)arg;
    while ((n = bufferevent_read(bev, bytes, sizeof(bytes))) > 0) {
        fake.read += n;
        if (fake.pongs && n == strlen(PING) && memcmp(bytes, PING, n) == 0)
            bufferevent_write(bev, "+PONG\r\n", 7);
        if (fake.asked.len < 1 << 16)
            buf_put(&fake.asked, bytes, n);
    }
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
    (void)listener, (void)addr, (void)len, (void)arg;
    fake.clients++;
    buf_reset(&fake.asked);
    fake.read = 0;
    fake.client = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(fake.client, fake_read, NULL, fake_event, NULL);
    bufferevent_enable(fake.client, EV_READ | EV_WRITE);
}

static void fake_start(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    memset(&fake, 0, sizeof(fake));
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/redis", dir);
    unlink(addr.sun_path);
    fake.listener = evconnlistener_new_bind(base, fake_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 16,
                                            (struct sockaddr *)&addr, sizeof(addr));
    if (fake.listener == NULL)
        abort();
}

static void turn(void)
{
    const struct timeval tick = {0, 2000};

    event_base_loopexit(base, &tick);
    event_base_loop(base, EVLOOP_ONCE);
}

static int wait_for(int (*done)(void))
{
    uint64_t end = clock_ms() + DEADLINE_MS;

    while (!done() && clock_ms() < end)
        turn();
    return done();
}

static const char *awaited;

static int has_asked(void)
{
    return fake.asked.len > 0 &&
           memmem(fake.asked.data, fake.asked.len, awaited, strlen(awaited)) != NULL;
}

static void asks(const char *text, const char *name)
{
    awaited = text;
    ok(wait_for(has_asked), "%s", name);
    buf_reset(&fake.asked);
}

static void say(const char *text)
{
    bufferevent_write(fake.client, text, strlen(text));
}

static int is_ready(void)
{
    return commands_ready(commands);
}

static int is_not_ready(void)
{
    return !commands_ready(commands);
}

static int is_refused(void)
{
    return commands_refused(commands);
}

static int has_client(void)
{
    return fake.client != NULL;
}

static void begin_refused(void)
{
    static char key[] = "k", nsp[] = "/axr", path[96];

    snprintf(path, sizeof(path), "%s/redis", dir);
    conf.key = key;
    conf.nsp = nsp;
    conf.redis.path = path;
    changes = ticks = 0;
    log_begin();
    fake_start();
    commands = commands_new(base, &conf, &conf.redis, NULL, &ops, NULL);
    if (commands == NULL || !wait_for(has_client))
        abort();
}

static void begin(void)
{
    begin_refused();
    asks(PROBE, "it tries to publish");
    say(":0\r\n");
    ok(wait_for(is_ready), "and may");
}

static void end(void)
{
    commands_free(&commands);
    evconnlistener_free(fake.listener);
    if (fake.client != NULL)
        bufferevent_free(fake.client);
    buf_free(&fake.asked);
    turn(); /* what libevent frees it frees in the next turn */
    turn();
}

/* --- what is published -------------------------------------------------------- */

static char told[64];   /* "a1b0": what became of a and b */
static int subscribers; /* 1 more than that, of the last */
static char names[] = "abcdefghijklmnopqrstuvwxyz";

static void on_done(int ok, void *arg)
{
    size_t len = strlen(told);

    subscribers = ok;
    snprintf(told + len, sizeof(told) - len, "%c%d", *(char *)arg, ok != 0);
}

static int publish(struct slice channel, const char *text, int name)
{
    struct buf payload = {0};
    int rc;

    buf_puts(&payload, text);
    rc = commands_publish(commands, channel, &payload, on_done, names + name);
    if (rc == 0 && payload.data != NULL)
        ok(0, "the payload is taken");
    buf_free(&payload);
    return rc;
}

static const char *told_wanted;

static int is_told(void)
{
    return strcmp(told, told_wanted) == 0;
}

static void tells(const char *want, const char *name)
{
    told_wanted = want;
    (void)wait_for(is_told);
    is_str(told, want, name);
    told[0] = '\0';
}

/* --- tests -------------------------------------------------------------------- */

static void test_begins(void)
{
    static char user[] = "me", password[] = "sesame";

    conf.redis.username = user;
    conf.redis.password = password;
    conf.redis.database = 3;
    begin_refused();
    ok(!commands_tried(commands), "nothing is known");
    asks("*3\r\n" BULK(4, "AUTH") BULK(2, "me") BULK(6, "sesame") /* */
         "*2\r\n" BULK(6, "SELECT") BULK(1, "3") PROBE,
         "AUTH, SELECT, and {} on the channel of answers");
    say("+OK\r\n+OK\r\n");
    turn();
    ok(is_not_ready() && publish(COMMON, "x", 0) == -1, "nothing can be published yet");
    say(":0\r\n");
    ok(wait_for(is_ready) && commands_tried(commands) && changes == 1, "then it can");
    asks(PING, "it is asked for signs of life");
    ok(commands_answered_ms(commands) > 0 && commands_heard_ms(commands) > 0, "answers count");
    say("+PONG\r\n");
    asks(PING, "again and again");
    is_int(logged("sesame"), 0, "no secret is logged");
    end();
    conf.redis = (struct conf_redis){0};
}

static struct commands_stats stats(void)
{
    struct commands_stats sum = {0};

    commands_add(&sum, commands);
    return sum;
}

static void test_publishes(void)
{
    begin();
    is_int(publish(COMMON, "one", 0) + publish(OF_ONE, "", 1) + publish(COMMON, "three", 2), 0,
           "three at once");
    is_int(commands_unconfirmed(commands), 3, "none is confirmed");
    asks("*3\r\n" BULK(7, "PUBLISH") BULK(16, "k-response#/axr#") BULK(3, "one")  /* */
         "*3\r\n" BULK(7, "PUBLISH") BULK(20, "k-response#/axr#abc#") BULK(0, "") /* */
         "*3\r\n" BULK(7, "PUBLISH") BULK(16, "k-response#/axr#") BULK(5, "three"),
         "come in order");
    is_str(told, "", "nobody is told before redis has");
    say(":17\r\n");
    tells("a1", "the first is confirmed");
    is_int(subscribers, 1 + 17, "and to how many it went is told");
    say("-ERR no\r\n:0\r\n");
    tells("b0c1", "the second is refused, the third confirmed");
    is_int(commands_unconfirmed(commands) + commands_waiting(commands), 0, "nothing is left");
    is_int(stats().published, 2, "two are counted");
    is_int(stats().failed, 1, "and one that failed");
    is_int(fake.clients, 1, "all on one connection");
    is_int(publish(COMMON, "four", 3), 0, "another");
    bufferevent_free(fake.client);
    fake.client = NULL;
    tells("d0", "is lost with the connection");
    ok(is_not_ready() && publish(COMMON, "five", 4) == -1, "then none is taken");
    ok(wait_for(has_client), "it comes back");
    asks(PROBE, "and tries again");
    say(":0\r\n");
    ok(wait_for(is_ready), "and may");
    is_int(publish(COMMON, "six", 5), 0, "one that is freed");
    end();
    tells("f0", "has failed");
}

/* While it is not connected. */
static void test_holds(void)
{
    begin();
    commands_hold(commands, 1);
    is_int(publish(COMMON, "one", 0), 0, "on its way");
    bufferevent_free(fake.client);
    fake.client = NULL;
    ok(wait_for(is_not_ready), "lost");
    tells("a0", "what was on its way has failed");
    is_int(publish(COMMON, "two", 1) + publish(OF_ONE, "three", 2), 0, "others wait");
    ok(wait_for(has_client), "it comes back");
    asks(PROBE, "and tries");
    say(":0\r\n");
    asks("*3\r\n" BULK(7, "PUBLISH") BULK(16, "k-response#/axr#") BULK(3, "two") /* */
         "*3\r\n" BULK(7, "PUBLISH") BULK(20, "k-response#/axr#abc#") BULK(5, "three"),
         "they come, in order");
    say(":0\r\n:0\r\n");
    tells("b1c1", "and are confirmed");
    bufferevent_free(fake.client);
    fake.client = NULL;
    ok(wait_for(is_not_ready), "lost again");
    is_int(publish(COMMON, "four", 3), 0, "one waits");
    commands_hold(commands, 0);
    tells("d0", "until it need not");
    is_int(publish(COMMON, "five", 4), -1, "and no more do");
    end();
}

static void test_rights(void)
{
    begin_refused();
    asks(PROBE, "it tries to publish");
    say(NOPERM);
    ok(wait_for(is_refused) && is_not_ready() && commands_tried(commands), "and must not");
    is_int(publish(COMMON, "x", 0), -1, "nothing is taken");
    asks(PING, "the connection stays");
    say("+PONG\r\n");
    commands_retry(commands);
    asks(PROBE, "it tries again");
    say(":0\r\n");
    ok(wait_for(is_ready) && !is_refused(), "and may");
    commands_retry(commands);
    is_int(publish(COMMON, "x", 0), 0, "one");
    asks("x\r\n", "is published, and nothing was tried");
    say(NOPERM);
    tells("a0", "it must not any more");
    ok(is_refused(), "for all that follows");
    fake.pongs = 1;
    asks(PROBE, "after 10 s it tries again");
    is_int(fake.clients, 1, "on the same connection");
    is_int(logged("allow"), 0, "nothing is logged here");
    end();
}

/* What is for one goes to all where that is all that redis allows. */
static void test_of_one(void)
{
    begin();
    is_int(publish(OF_ONE, "one", 0) + publish(COMMON, "two", 1), 0, "for one, and for all");
    asks("two", "published");
    say(NOPERM ":1\r\n");
    asks("*3\r\n" BULK(7, "PUBLISH") BULK(16, "k-response#/axr#") BULK(3, "one"),
         "the first again, for all");
    tells("b1", "the other is confirmed");
    say(":1\r\n");
    tells("a1", "so is the first, once");
    is_int(publish(OF_ONE, "three", 2), 0, "the next for one");
    asks("*3\r\n" BULK(7, "PUBLISH") BULK(16, "k-response#/axr#") BULK(5, "three"),
         "goes to all at once");
    say(":1\r\n");
    tells("c1", "and is confirmed");
    is_int(publish(SLICE("k-request#/axr#"), "r", 3), 0, "a request");
    asks("k-request#/axr#", "is tried");
    say(NOPERM);
    tells("d0", "and refused");
    is_int(publish(SLICE("k-request#/axr#"), "r", 4), 0, "another");
    asks("k-request#/axr#", "is tried, too");
    say(NOPERM);
    tells("e0", "and refused");
    is_int(logged("redis does not allow PUBLISH on channel=k-request#/axr#"), 1, "logged once");
    ok(is_ready(), "answers go on");
    end();
}

static int has_two(void)
{
    return fake.clients >= 2;
}

static void test_silence(void)
{
    uint64_t start;

    begin();
    asks(PING, "a sign of life is asked for");
    start = clock_ms();
    ok(wait_for(is_not_ready), "none comes");
    ok(clock_ms() - start >= 400 && clock_ms() - start < 5000, "for 600 ms: %d ms",
       (int)(clock_ms() - start));
    is_str(commands_why(commands), "no answer for 600 ms", "it says so");
    ok(wait_for(has_two), "another connection");
    end();
    begin();
    asks(PING, "a sign of life is asked for");
    usleep(1500000); /* this process was not run */
    say("+PONG\r\n");
    for (int i = 0; i < 50; i++)
        turn();
    ok(is_ready() && fake.clients == 1, "who was not run is no judge");
    end();
}

/* It is read, and more comes behind it, but nothing is said. */
static void test_busy_silence(void)
{
    uint64_t start;

    begin();
    start = clock_ms();
    while (is_ready() && clock_ms() - start < DEADLINE_MS) {
        (void)publish(COMMON, "x", 0);
        turn();
    }
    ok(is_not_ready(), "nothing is said to one after the other: %d ms", (int)(clock_ms() - start));
    is_str(commands_why(commands), "no answer for 600 ms", "that is silence");
    told[0] = '\0';
    end();
}

static int large_read;

static int has_read(void)
{
    return fake.read >= (size_t)large_read;
}

/* It takes longer than any answer may, and is not copied. */
static void test_large(void)
{
    enum { LARGE = 24 << 20 };
    struct buf payload = {0};
    uint64_t start;

    begin();
    large_read = LARGE;
    if (buf_reserve(&payload, LARGE) == NULL)
        abort();
    memset(payload.data, 'x', LARGE);
    payload.len = LARGE;
    is_int(commands_publish(commands, OF_ONE, &payload, on_done, names), 0, "24 MB");
    ok(payload.data == NULL && commands_waiting(commands) >= LARGE, "are taken");
    bufferevent_setwatermark(fake.client, EV_READ, 0, 65536);
    bufferevent_disable(fake.client, EV_READ);
    start = clock_ms();
    while (!has_read() && clock_ms() - start < 1500) { /* little by little */
        bufferevent_enable(fake.client, EV_READ);
        turn();
        bufferevent_disable(fake.client, EV_READ);
        for (uint64_t until = clock_ms() + 100; clock_ms() < until;)
            turn();
    }
    ok(is_ready() && fake.clients == 1 && !has_read(), "1.5 s on its way: nothing is wrong");
    bufferevent_setwatermark(fake.client, EV_READ, 0, 0);
    bufferevent_enable(fake.client, EV_READ);
    ok(wait_for(has_read), "all of it comes");
    turn();
    say(":1\r\n");
    tells("a1", "and is confirmed");
    is_int(commands_waiting(commands), 0, "then it is gone");
    end();
}

/* Nothing of it is taken: that is silence, however much is to go. */
static void test_stuck(void)
{
    struct buf payload = {0};
    int n = 0, rc;

    begin();
    bufferevent_disable(fake.client, EV_READ);
    do {
        if (buf_reserve(&payload, 4 << 20) == NULL)
            abort();
        payload.len = 4 << 20;
        memset(payload.data, 'x', payload.len);
        rc = commands_publish(commands, COMMON, &payload, NULL, NULL);
        n += rc == 0;
    } while (rc == 0 && n < 100);
    buf_free(&payload);
    is_int(n, 15, "no more than 64 MB may wait");
    ok(wait_for(is_not_ready), "nothing is taken: it does not stand");
    is_int(commands_waiting(commands), 0, "and nothing waits");
    is_int(stats().failed, n, "all have failed");
    end();
}

static void test_kill(void)
{
    const struct redis_client nobody = {"", ""}, client = {"17", "127.0.0.1:1"};

    begin();
    commands_kill(commands, &nobody);
    commands_kill(commands, &client);
    is_int(publish(COMMON, "x", 0), 0, "and something to publish");
    asks("*6\r\n" BULK(6, "CLIENT") BULK(4, "KILL") BULK(2, "ID") BULK(2, "17") /* */
         BULK(4, "ADDR") BULK(11, "127.0.0.1:1") "*3\r\n",
         "a connection is ended");
    say(NOPERM ":1\r\n");
    tells("a1", "whether that is allowed or not");
    commands_kill(commands, &client);
    asks("KILL", "another");
    say(":1\r\n");
    for (int i = 0; i < 20; i++)
        turn();
    ok(is_ready() && fake.clients == 1, "all is well");
    end();
}

static void test_odd(void)
{
    static const char *const cases[] = {
        "+OK\r\n",
        ":1\r\n:1\r\n",
        "$1\r\nx\r\n",
        "*1\r\n$4\r\nPONG\r\n",
        "HTTP/1.1 400\r\n",
        "*2147483647\r\n",
        "-LOADING soon\r\n-LOADING soon\r\n",
        "*-1\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        begin();
        is_int(publish(COMMON, "x", 0), 0, "something to publish");
        asks("x\r\n", "is published");
        say(cases[i]);
        ok(wait_for(is_not_ready), "odd answer %d: another connection", (int)i);
        ok(strcmp(told, "a0") == 0 || strcmp(told, "a1") == 0, "told once: %s", told);
        told[0] = '\0';
        end();
    }
    begin_refused();
    asks(PROBE, "it tries to publish");
    say("-ERR unknown command\r\n");
    ok(wait_for(is_refused), "a redis that has no such command is not asked all the time");
    end();
    begin_refused();
    asks(PROBE, "it tries to publish");
    say("-LOADING soon\r\n");
    ok(wait_for(has_two), "a redis that is not ready is asked again");
    is_str(commands_why(commands), "it answered: LOADING soon", "it says why");
    ok(is_not_ready() && !is_refused(), "that is no refusal");
    end();
}

static unsigned seed = 20240229;

static unsigned draw(unsigned bound)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % bound;
}

static int nended;

static void on_ended(int is_ok, void *arg)
{
    (void)is_ok, (void)arg;
    nended++;
}

/* Whatever redis says: nothing is asked but that each is told what became of it, once. */
static void test_anything(void)
{
    static const char *const answers[] = {
        ":1\r\n",  "+PONG\r\n",    NOPERM, "-ERR no\r\n",
        "+OK\r\n", "*1\r\n:1\r\n", ":",    "$2\r\nxx\r\n",
    };
    int n = 0;

    begin();
    commands_hold(commands, 1);
    for (int round = 0; round < 3000; round++) {
        struct buf payload = {0};
        buf_puts(&payload, "x");
        if (draw(3) == 0)
            n += commands_publish(commands, draw(2) ? OF_ONE : COMMON, &payload, on_ended, NULL) ==
                 0;
        buf_free(&payload);
        if (draw(20) == 0)
            commands_retry(commands);
        if (fake.client != NULL && draw(3) != 0)
            say(answers[draw(draw(8) == 0 ? 8 : 2)]);
        else if (fake.client != NULL && draw(200) == 0) {
            bufferevent_free(fake.client);
            fake.client = NULL;
        }
        if (draw(4) == 0)
            event_base_loop(base, EVLOOP_NONBLOCK);
    }
    ok(n > 100, "%d messages, and answers of all kinds", n);
    end();
    is_int(nended, n, "each is told once");
}

static void test_last(void)
{
    begin();
    commands_last(commands);
    is_int(publish(COMMON, "one", 0), 0, "it goes on");
    asks("one", "published");
    say(":0\r\n");
    tells("a1", "confirmed");
    bufferevent_free(fake.client);
    fake.client = NULL;
    ok(wait_for(is_not_ready), "until it is lost");
    commands_hold(commands, 1);
    for (int i = 0; i < 100; i++)
        turn();
    is_int(fake.clients, 1, "no other is made");
    end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    strcpy(dir, "/tmp/test_commands.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(log_file, sizeof(log_file), "%s/log", dir);
    base = event_base_new();
    test_begins();
    test_publishes();
    test_holds();
    test_rights();
    test_of_one();
    test_silence();
    test_busy_silence();
    test_large();
    test_stuck();
    test_kill();
    test_odd();
    test_last();
    test_anything();
    event_base_free(base);
    log_end();
    snprintf(log_file, sizeof(log_file), "%s/redis", dir);
    unlink(log_file);
    rmdir(dir);
    return tap_done();
}
