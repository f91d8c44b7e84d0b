/* asking_world - a redis that says what the test wants, and what publishes to it: for those that
 * ask the cluster. */
#ifndef TEST_ASKING_WORLD_H
#define TEST_ASKING_WORLD_H

#include "base/clock.h"
#include "loopback.h"
#include "master/asking.h"
#include "tap.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#define ASKING_WAIT_MS  10000
#define BULK(len, text) "$" #len "\r\n" text "\r\n"
#define COMMON_CHANNEL  "k-response#/axr#"

static struct event_base *base;
static struct evconnlistener *listener;
static struct bufferevent *peer; /* the last connection */
static int connections;
static struct buf heard; /* what came on it */

static char host[] = "127.0.0.1", key[] = "k", nsp[] = "/axr";
static struct conf conf = {.key = key, .nsp = nsp, .redis.host = host};
static struct asking *asking;

/* What was published, and what becomes of that. */
static struct {
    int n, fails;
    char channel[100];
    struct buf payload;
    void (*done)(int ok, void *arg);
    void *arg;
} sent;

static int on_publish(struct slice channel, struct buf *payload, void (*done)(int ok, void *arg),
                      void *done_arg, void *arg)
{
    ok(arg == &asking, "with what was given");
    if (sent.fails)
        return -1;
    sent.n++;
    snprintf(sent.channel, sizeof(sent.channel), "%.*s", (int)channel.len, channel.ptr);
    buf_free(&sent.payload);
    sent.payload = *payload;
    *payload = (struct buf){0};
    sent.done = done;
    sent.arg = done_arg;
    return 0;
}

static const struct conf *on_conf(void *arg)
{
    (void)arg;
    return &conf;
}

static const struct conf_redis *on_server(void *arg)
{
    (void)arg;
    return &conf.redis;
}

static const struct asking_ops asking_ops = {on_publish, on_conf, on_server};

/* --- the server -------------------------------------------------------------------- */

static void on_peer_read(struct bufferevent *bev, void *arg)
{
    char bytes[4096];
    size_t n;

    (void)arg;
    while ((n = bufferevent_read(bev, bytes, sizeof(bytes))) > 0)
        buf_put(&heard, bytes, n);
}

static void on_peer_event(struct bufferevent *bev, short what, void *arg)
{
    (void)what, (void)arg;
    if (peer == bev)
        peer = NULL;
    bufferevent_free(bev);
}

static void on_accept(struct evconnlistener *from, evutil_socket_t fd, struct sockaddr *addr,
                      int len, void *arg)
{
    (void)from, (void)addr, (void)len, (void)arg;
    connections++;
    buf_reset(&heard);
    peer = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(peer, on_peer_read, NULL, on_peer_event, NULL);
    bufferevent_enable(peer, EV_READ | EV_WRITE);
}

static void world_begin(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    base = event_base_new();
    listener = evconnlistener_new_bind(base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 16,
                                       (struct sockaddr *)&addr, sizeof(addr));
    if (listener == NULL)
        abort();
    conf.redis.port = loopback_port(evconnlistener_get_fd(listener));
    asking = asking_new(base, &asking_ops, &asking);
}

static void world_end(void)
{
    asking_free(&asking);
    if (peer != NULL)
        bufferevent_free(peer);
    evconnlistener_free(listener);
    event_base_free(base);
    buf_free(&heard);
    buf_free(&sent.payload);
}

/* --- waiting ----------------------------------------------------------------------- */

static void turn(void)
{
    const struct timeval tick = {0, 1000};

    event_base_loopexit(base, &tick);
    event_base_loop(base, EVLOOP_ONCE);
}

static void wait_for(const int *count, int n, const char *what)
{
    for (uint64_t end = clock_ms() + ASKING_WAIT_MS; *count < n && clock_ms() < end;)
        turn();
    is_int(*count, n, what);
}

static void hears(const char *text, const char *what)
{
    uint64_t end = clock_ms() + ASKING_WAIT_MS;

    while (clock_ms() < end &&
           (heard.len == 0 || memmem(heard.data, heard.len, text, strlen(text)) == NULL))
        turn();
    ok(heard.len > 0 && memmem(heard.data, heard.len, text, strlen(text)) != NULL, "%s", what);
}

static void say(const char *text)
{
    bufferevent_write(peer, text, strlen(text));
}

/* There are so many servers; both channels are subscribed to. */
static void say_subscribed(int servers)
{
    char text[400];

    snprintf(text, sizeof(text),
             "*2\r\n" BULK(
                 15, "k-request#/axr#") ":%d\r\n"
                                        "*3\r\n" BULK(9, "subscribe")
                                            BULK(16, COMMON_CHANNEL) ":1\r\n"
                                                                     "*3\r\n" BULK(9, "subscribe")
                                                                         BULK(3, "own") ":2\r\n",
             servers);
    say(text);
}

static void say_message(const char *payload)
{
    struct buf text = {0};

    buf_printf(&text, "*3\r\n" BULK(7, "message") BULK(16, COMMON_CHANNEL) "$%zu\r\n%s\r\n",
               strlen(payload), payload);
    bufferevent_write(peer, text.data, text.len);
    buf_free(&text);
}

/* redis has it, and gave it to so many; -1: it has not. */
static void confirm(int subscribers)
{
    void (*done)(int ok, void *arg) = sent.done;

    sent.done = NULL;
    done(subscribers + 1, sent.arg);
}

#endif
