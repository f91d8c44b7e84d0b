/* Two clients of one room, one of which does not read, written to by an engine that
 * is late each time. */
#include "base/clock.h"
#include "eio/polling.h"
#include "engine/engine.h"
#include "tap.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS   10000
#define LATE_US   1000000 /* of every fan-out */
#define TEXT_LEN  4096
#define IN_FLIGHT 2 /* fan-outs before the engine writes */
/* Bytes of which the kernel takes twice as many: the reader's window is small enough
 * that it is looked at too. */
#define STALLED_RCVBUF 65536
#define READER_RCVBUF  16384
#define TURNS          1000 /* tries, where the machine is busy */
#define ENOUGH         400  /* fan-outs, of which the kernel takes about 30 */

static struct event_base *base;
static struct engine *engine;
static struct socket *last;

struct client {
    int fd, next; /* next: the fan-out that it has to hear of now */
    struct socket *socket;
    size_t got; /* bytes of in */
    char in[4 * TEXT_LEN];
};

static void *on_opened(struct socket *socket, const struct http_request *req,
                       const struct address *peer, void *arg)
{
    (void)req;
    (void)peer;
    (void)arg;
    return socket;
}

static void on_connect(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    (void)packet;
    (void)arg;
    socket_accept(socket, NULL);
    last = socket;
}

static void on_left(struct socket *socket, enum close_reason why, void *arg)
{
    (void)socket;
    (void)why;
    (void)arg;
}

static const struct sio_app app = {
    .opened = on_opened,
    .connect = on_connect,
    .left = on_left,
    .closed = on_left,
};

static int up(int family)
{
    const struct engine_options options = {
        .path = "/",
        .nsp = "/axr",
        .ping_interval_ms = 60000,
        .ping_timeout_ms = 60000,
        .connect_timeout_ms = 60000,
        .max_payload = 100000,
        .websocket = 1,
        .http = {16384, 100},
        .connections_max = 10,
        .send_buffer = 1 << 20,
        .send_timeout_ms = 60000,
    };
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr un = {.sa_family = AF_UNIX}; /* the kernel finds a name */
    struct sockaddr *addr = family == AF_INET ? (struct sockaddr *)&in : &un;
    socklen_t len = family == AF_INET ? sizeof(in) : sizeof(un.sa_family);
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (bind(fd, addr, len) < 0 || listen(fd, 10) < 0)
        perror("bind");
    engine = engine_new(base, &options, &app, NULL);
    engine_listen(engine, fd, 0);
    return fd;
}

/* Appends what has come. */
static void hear(struct client *client)
{
    ssize_t n =
        recv(client->fd, client->in + client->got, sizeof(client->in) - client->got, MSG_DONTWAIT);

    if (n > 0)
        client->got += (size_t)n;
}

/* Takes whole frames that are a fan-out's off client->in.  They come in order. */
static void use(struct client *client)
{
    char want[32];
    int len = snprintf(want, sizeof(want), "42/axr,[\"%06d", client->next);
    size_t whole = 4 + strlen("42/axr,[\"\"]") + TEXT_LEN;

    while (client->got >= whole) {
        if (memcmp(client->in + 4, want, (size_t)len) != 0)
            ok(0, "frame %d: got %.20s", client->next, client->in + 4);
        client->got -= whole;
        memmove(client->in, client->in + whole, client->got);
        len = snprintf(want, sizeof(want), "42/axr,[\"%06d", ++client->next);
    }
}

static void join(struct client *client, int listener, int rcvbuf)
{
    static const char request[] = "GET /?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\n"
                                  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                  "Sec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    static const char connect_packet[] = "\x81\x89\0\0\0\0"
                                         "40/axr,{}";
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    char *end;

    getsockname(listener, (struct sockaddr *)&addr, &len);
    client->fd = socket(addr.ss_family, SOCK_STREAM, 0);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
    if (connect(client->fd, (struct sockaddr *)&addr, len) < 0 ||
        send(client->fd, request, sizeof(request) - 1, 0) < 0 ||
        send(client->fd, connect_packet, sizeof(connect_packet) - 1, 0) < 0)
        perror("client");
    last = NULL;
    for (uint64_t end_ms = clock_ms() + WAIT_MS; clock_ms() < end_ms; hear(client)) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        end = memmem(client->in, client->got, "40/axr,{\"sid\":\"", 15);
        if (end != NULL && memchr(end, '}', client->got - (size_t)(end - client->in)) != NULL)
            break;
    }
    ok(last != NULL, "a client is in");
    client->socket = last;
    client->got = 0;
}

/* One to both, the first of which is first in line. */
static void fan(struct client *first, struct client *second, int number)
{
    static char json[2 + 1 + TEXT_LEN + 1];
    struct fanout one;
    size_t n = (size_t)snprintf(json, sizeof(json), "[\"%06d", number);

    memset(json + n, 'x', 2 + TEXT_LEN - n);
    json[2 + TEXT_LEN] = '"';
    fanout_begin(&engine->sio, &one, (struct slice){json, 2 + TEXT_LEN + 1}, NULL, 0, 0);
    fanout_received(&one, clock_us() - LATE_US);
    fanout_send(&one, first->socket);
    fanout_send(&one, second->socket);
    fanout_end(&one);
}

/* Returns 1 if it was queued. */
static int fan_volatile(const struct client *client)
{
    struct fanout one;
    int queued;

    fanout_begin(&engine->sio, &one, SLICE("[\"volatile\""), NULL, 0, 1);
    fanout_received(&one, clock_us());
    queued = fanout_send(&one, client->socket);
    fanout_end(&one);
    return queued;
}

static struct tcp_info info_of(const struct client *client)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    getsockopt(client->socket->session.ws->fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    return info;
}

/* Its kernel has acknowledged all that was sent to it, or takes no more. */
static int is_settled(const struct client *client)
{
    struct tcp_info info = info_of(client);

    return info.tcpi_unacked == 0 || info.tcpi_notsent_bytes > 0 ||
           client->socket->session.ws->blocked;
}

/* Two fan-outs that are late, and time for the one that reads. */
static int round_of(struct client *stalled, struct client *reader, int number)
{
    uint64_t end_ms = clock_ms() + WAIT_MS;

    for (int i = 0; i < IN_FLIGHT; i++)
        fan(stalled, reader, number++);
    while (clock_ms() < end_ms) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        hear(reader);
        use(reader);
        if (reader->next == number && is_settled(reader) && is_settled(stalled))
            break;
    }
    return number;
}

/* That a connection was given more than a number of 31 bits can say since it was last
 * looked at tells nothing against it. */
static int test_much_since(struct client *stalled, struct client *reader, int number)
{
    struct conn *conn = reader->socket->session.ws;
    struct tcp_info info;

    number = round_of(stalled, reader, number);
    info = info_of(reader);
    ok(info.tcpi_snd_wnd < 65536, "the window of one that reads is small");
    conn->acked = (uint32_t)info.tcpi_bytes_acked - 0x90000000U;
    conn->window = info.tcpi_snd_wnd;
    for (int i = 0; i < IN_FLIGHT; i++)
        fan(stalled, reader, number++);
    net_flush(engine->net);
    ok(!conn->slow, "who has read 2.4 GB since the last look is not taken for one that does not");
    return number;
}

/* What others took of the time since the last write is not taken off theirs. */
static int test_turn(struct client *one, struct client *other, int number)
{
    int served = 0;

    for (int i = 0; i < TURNS && !served; i++) {
        one->socket->session.ws->slow = other->socket->session.ws->slow = 1;
        fan(one, other, number++);
        engine->net->now_us = clock_us() - LATE_US;
        net_flush(engine->net);
        served = engine->net->dirty[DIRTY_SLOW].first == NULL;
        for (uint64_t end_ms = clock_ms() + WAIT_MS;
             (one->next < number || other->next < number) && clock_ms() < end_ms;) {
            event_base_loop(base, EVLOOP_NONBLOCK);
            hear(one);
            use(one);
            hear(other);
            use(other);
        }
    }
    ok(served, "a turn serves more than one of those that lag");
    is_int(one->next, number, "and they hear all");
    return number;
}

/* Until it has heard of all. */
static void catch_up(struct client *client, int number)
{
    for (uint64_t end_ms = clock_ms() + WAIT_MS; client->next < number && clock_ms() < end_ms;) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        hear(client);
        use(client);
    }
    is_int(client->next, number, "who begins to read hears all, in order");
}

static void down(struct client *one, struct client *other, int listener)
{
    close(one->fd);
    close(other->fd);
    engine_free(&engine);
    close(listener);
}

static void test_tcp(void)
{
    static struct client stalled, reader;
    struct conn *behind, *reading;
    int listener, number = 0;

    listener = up(AF_INET);
    join(&stalled, listener, STALLED_RCVBUF);
    join(&reader, listener, READER_RCVBUF);
    behind = stalled.socket->session.ws;
    reading = reader.socket->session.ws;
    number = test_much_since(&stalled, &reader, number);
    while (number < ENOUGH && !behind->slow && !behind->blocked)
        number = round_of(&stalled, &reader, number);
    ok(behind->slow, "who does not read is found out");
    ok(!behind->blocked, "while the kernel still takes what is sent to it");
    ok(!reading->slow, "who reads is not taken for it");

    fan(&stalled, &reader, number++);
    ok(engine->net->dirty[DIRTY_FANOUT].first == reading, "who reads goes first");
    ok(engine->net->dirty[DIRTY_SLOW].first == behind, "who does not waits apart");
    is_int(fan_volatile(&stalled), 0, "with what is not volatile");
    while (number < ENOUGH && !behind->blocked)
        number = round_of(&stalled, &reader, number);
    ok(behind->blocked, "in the end the kernel is full");
    ok(info_of(&stalled).tcpi_notsent_bytes < NOTSENT_LOWAT_BYTES + IN_FLIGHT * 4200,
       "and not much more than 16 KB are unsent");
    is_int(reader.next, number, "who reads has heard all");

    catch_up(&stalled, number);
    ok(!behind->blocked && !behind->slow, "and is one of the others again");
    test_turn(&stalled, &reader, number);
    down(&stalled, &reader, listener);
}

/* Of which the kernel tells nothing. */
static void test_unix(void)
{
    static struct client stalled, reader;
    const struct conn *behind;
    int listener = up(AF_UNIX), number = 0;

    join(&stalled, listener, STALLED_RCVBUF);
    join(&reader, listener, READER_RCVBUF);
    behind = stalled.socket->session.ws;
    while (number < ENOUGH && !behind->blocked)
        number = round_of(&stalled, &reader, number);
    ok(behind->blocked, "a Unix socket is full");
    for (int i = 0; i < IN_FLIGHT; i++)
        number = round_of(&stalled, &reader, number);
    is_int(reader.next, number, "who reads has heard all");
    catch_up(&stalled, number);
    ok(!behind->blocked && !behind->slow, "and is one of the others again");
    down(&stalled, &reader, listener);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    test_tcp();
    test_unix();
    event_base_free(base);
    return tap_done();
}
