/* The engine on a loopback listener, with an application that lets everybody in
 * and a raw client in the same thread: what is sent when. */
#include "engine/engine.h"

#include "base/clock.h"
#include "eio/polling.h"
#include "loopback.h"
#include "tap.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 10000
#define FANNED  300 /* more than FLUSH_SLICE */

static struct event_base *base;
static struct engine *engine;
static size_t connections_max = 1000, send_buffer = 1 << 20;
static uint32_t process = 1, send_timeout_ms = 1000, idle_timeout_ms; /* of the engine */
/* Nothing is due that a test does not ask for, however slow the machine. */
static uint32_t ping_interval_ms = 3600000, connect_timeout_ms = 3600000;
static int offer_polling, no_eio3, port, verdict, connects, lefts, joins, closes, packets, drained;
static enum close_reason last_why, last_left;
static const char *const *open_nsps;
static struct slice client_file;
static const char *service;
static char heard_text[256];         /* the last packet: "type nsp data", then attachments in hex */
static struct socket *last, *opened; /* the last that has asked, and that has come */

static void *on_opened(struct socket *socket, const struct http_request *req,
                       const struct address *peer, void *arg)
{
    (void)req;
    (void)peer;
    (void)arg;
    opened = socket;
    return socket;
}

static void on_connect(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    (void)packet;
    (void)arg;
    connects++;
    last = socket;
    if (verdict > 0)
        socket_accept(socket, NULL);
    else if (verdict < 0)
        socket_refuse(socket, "no", "token_missing");
}

static void on_left(struct socket *socket, enum close_reason why, void *arg)
{
    last_left = why;
    (void)socket;
    (void)arg;
    lefts++;
}

static void on_packet(struct socket *socket, const struct sio_packet *packet,
                      const struct slice *attachments, void *arg)
{
    int n =
        snprintf(heard_text, sizeof(heard_text), "%d %.*s %.*s", (int)packet->type,
                 (int)packet->nsp.len, packet->nsp.ptr, (int)packet->data.len, packet->data.ptr);

    (void)socket;
    (void)arg;
    packets++;
    for (unsigned i = 0; i < packet->attachments; i++) {
        n += snprintf(heard_text + n, sizeof(heard_text) - (size_t)n, " ");
        for (size_t k = 0; k < attachments[i].len && n < (int)sizeof(heard_text) - 3; k++)
            n += sprintf(heard_text + n, "%02x", (unsigned char)attachments[i].ptr[k]);
    }
}

static void on_joined(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    (void)socket;
    (void)packet;
    (void)arg;
    joins++;
}

static int on_echo_opened(struct session *session, const struct http_request *req,
                          const struct address *peer, void *arg)
{
    (void)req;
    (void)peer;
    (void)arg;
    session_known(session);
    return 0;
}

static struct session *on_echo_make(void *arg)
{
    (void)arg;
    return calloc(1, sizeof(struct session));
}

static void on_echo_release(struct session *session, void *arg)
{
    (void)arg;
    free(session);
}

static void on_echo(struct session *session, int binary, struct slice data, void *arg)
{
    (void)arg;
    if (binary)
        session_send_binary(session, data);
    else
        session_send(session, data);
}

static void on_echo_closed(struct session *session, enum close_reason why, void *arg)
{
    (void)session;
    (void)why;
    (void)arg;
}

static void on_closed(struct socket *socket, enum close_reason why, void *arg)
{
    (void)socket;
    (void)arg;
    closes++;
    last_why = why;
}

static void on_drained(void *arg)
{
    (void)arg;
    drained = 1;
}

/* Of a guarded session: only with the mark "own" in the query. */
static int on_guarded(const struct http_request *req, void *arg)
{
    struct slice value;

    (void)arg;
    return http_query(req->query, "own", &value);
}

static const struct sio_app app = {
    .opened = on_opened,
    .guarded = on_guarded,
    .connect = on_connect,
    .left = on_left,
    .joined = on_joined,
    .packet = on_packet,
    .closed = on_closed,
};

/* What is handed on, and to whom. */
static uint32_t handed_to;
static int handed, handoff_result;
static char handed_bytes[4096];
static size_t handed_len;

static int on_handoff(uint32_t to, int fd, const struct handoff_conn *known, const void *bytes,
                      size_t len, void *arg)
{
    (void)known;
    (void)fd;
    (void)arg;
    if (handoff_result != 0)
        return handoff_result;
    handed++;
    handed_to = to;
    handed_len = len < sizeof(handed_bytes) ? len : sizeof(handed_bytes);
    if (handed_len > 0)
        memcpy(handed_bytes, bytes, handed_len);
    return 0;
}

static const struct sio_app one_of_many = {
    .opened = on_opened,
    .connect = on_connect,
    .left = on_left,
    .closed = on_closed,
};

/* Without Socket.IO: every message comes back. */
static const struct eio_app echo = {
    .make = on_echo_make,
    .release = on_echo_release,
    .opened = on_echo_opened,
    .message = on_echo,
    .closed = on_echo_closed,
    .mixes = 1,
};
/* The same, but of what has attachments it wants acknowledgements with an id above 7. */
static int on_wants(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    (void)socket;
    (void)arg;
    return packet->type == SIO_BINARY_ACK && packet->has_id && packet->id > 7;
}

static const struct sio_app wanting_app = {
    .opened = on_opened,
    .connect = on_connect,
    .left = on_left,
    .packet = on_packet,
    .wants = on_wants,
    .closed = on_closed,
};
static const struct sio_app *used = &app;
static struct engine_options up_options; /* of engine_up() */

struct snapshot {
    struct net_stats net;
    struct http_stats http;
    struct eio_stats eio;
    struct sio_stats sio;
};

static struct snapshot snapshot(void)
{
    struct engine_stats stats = engine_stats(engine);

    return (struct snapshot){*stats.net, *stats.http, *stats.eio, *stats.sio};
}

static void engine_up(const char *nsp)
{
    static char *origins[] = {(char *)(uintptr_t) "https://app.example", NULL};
    struct engine_options options = {
        .path = "/notifications/",
        .nsp = nsp,
        .open_nsps = open_nsps,
        .client_file = client_file,
        .name = service,
        .version = "1.2",
        .ping_interval_ms = ping_interval_ms,
        .ping_timeout_ms = 600000,
        .connect_timeout_ms = connect_timeout_ms,
        .upgrade_timeout_ms = 1000,
        .polling = offer_polling,
        .max_payload = 100000,
        .websocket = 1,
        .allow_eio3 = !no_eio3,
        .http = {16384, 100},
        .connections_max = connections_max,
        .send_buffer = send_buffer,
        .send_timeout_ms = send_timeout_ms,
        .idle_timeout_ms = idle_timeout_ms,
        .process = process,
        .handoff = used == &one_of_many ? on_handoff : NULL,
        .generation = 2,
        .origins = origins,
    };
    static int fd = -1;

    if (fd >= 0)
        close(fd);
    fd = loopback_listen(SOCK_NONBLOCK, &port);
    up_options = options;
    engine = engine_new(base, &options, used, NULL);
    engine_listen(engine, fd, 0);
    verdict = 1;
    connects = lefts = joins = closes = packets = drained = 0;
}

/* The layers below Socket.IO alone. */
static void echo_up(void)
{
    struct net_options net = {.connections_max = connections_max,
                              .send_buffer = send_buffer,
                              .send_timeout_ms = send_timeout_ms};
    struct http_options http = {.path = "/notifications/", .limits = {16384, 100}};
    struct eio_options eio = {.polling = 1,
                              .websocket = 1,
                              .allow_eio3 = 1,
                              .ping_interval_ms = 3600000,
                              .ping_timeout_ms = 600000,
                              .upgrade_timeout_ms = 1000,
                              .max_payload = 100000};
    int fd = loopback_listen(SOCK_NONBLOCK, &port);

    engine = calloc(1, sizeof(*engine));
    engine->net = net_new(base, &net, NULL, NULL);
    engine->http = http_new(engine->net, &http);
    engine->eio = eio_new(engine->http, &eio, &echo, NULL);
    drain_init(&engine->drain, engine->eio);
    engine_listen(engine, fd, 0);
}

/* The gauges are what a walk over everything finds. */
static void engine_down(void)
{
    uint64_t queued = 0, sessions = 0, strangers[STRANGER_KINDS] = {0};

    for (const struct conn *conn = engine->net->conns; conn != NULL; conn = conn->next) {
        queued += conn->out.bytes;
        const struct session *owner = conn->owner;
        strangers[STRANGER_SOCKET] +=
            owner == NULL ? conn->stranger : owner->ws != conn && owner->stranger;
    }
    for (uint32_t i = 0; i < engine->eio->nslots; i++) {
        const struct session *session = engine->eio->slots[i].session;
        if (session == NULL)
            continue;
        if (session->polling != NULL)
            queued += session->polling->out.bytes;
        strangers[session->ws != NULL ? STRANGER_WEBSOCKET : STRANGER_POLLING] += session->stranger;
    }
    is_mem(engine->net->stats.strangers, sizeof(strangers), strangers, sizeof(strangers),
           "the strangers");
    for (int i = 0; i < 4; i++)
        sessions += engine->eio->stats.sessions[i / 2][i % 2];
    is_int(engine->net->stats.queued_bytes, queued, "what waits was counted");
    is_int(sessions, engine->eio->nsessions, "and so were the sessions");
    engine_free(&engine);
}

/* --- a client --- */

static int dial(void)
{
    return loopback_dial(port);
}

/* Reads exactly n bytes while the engine runs.  Returns what came before the end. */
static size_t take(int fd, void *dst, size_t n)
{
    uint64_t end = clock_ms() + WAIT_MS;
    size_t got = 0;

    while (got < n && clock_ms() < end) {
        ssize_t r = recv(fd, (char *)dst + got, n - got, MSG_DONTWAIT);
        if (r > 0)
            got += (size_t)r;
        else if (r == 0 || (errno != EAGAIN && errno != EINTR))
            break;
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    return got;
}

/* Its heartbeat is due now; a pong that has come counts first. */
static void beat(struct socket *socket)
{
    struct session *session = &socket->session;

    for (int i = 0; i < 3; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    session->heartbeat_due_ms = clock_ms();
    session_rearm(session);
}

static void pump(const int *until)
{
    for (uint64_t end = clock_ms() + WAIT_MS; !*until && clock_ms() < end;)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

static void put(int fd, const void *bytes, size_t n)
{
    if (send(fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
        perror("send");
}

/* One masked frame (mask 0). */
static void put_frame(int fd, int first, const void *payload, size_t n)
{
    unsigned char frame[70000];
    size_t at = 0;

    frame[at++] = (unsigned char)first;
    if (n < 126) {
        frame[at++] = (unsigned char)(0x80 | n);
    } else {
        frame[at++] = 0x80 | 126;
        frame[at++] = (unsigned char)(n >> 8);
        frame[at++] = (unsigned char)n;
    }
    memset(frame + at, 0, 4);
    memcpy(frame + at + 4, payload, n);
    put(fd, frame, at + 4 + n);
}

static void put_text(int fd, const char *text)
{
    put_frame(fd, 0x81, text, strlen(text));
}

/* The next frame as "T:text", "B:hex", "C:code", or "EOF". */
static const char *frame(int fd)
{
    static char out[70000];
    unsigned char head[2], ext[2], body[65536];
    size_t n;

    if (take(fd, head, 2) < 2)
        return "EOF";
    n = head[1];
    if (n == 126) {
        take(fd, ext, 2);
        n = (size_t)ext[0] << 8 | ext[1];
    }
    if (take(fd, body, n) < n)
        return "cut off";
    if (head[0] == 0x81)
        snprintf(out, sizeof(out), "T:%.*s", (int)n, (char *)body);
    else if (head[0] == 0x88)
        snprintf(out, sizeof(out), "C:%d", n >= 2 ? body[0] << 8 | body[1] : 0);
    else if (head[0] == 0x8a)
        snprintf(out, sizeof(out), "P:%.*s", (int)n, (char *)body);
    else {
        strcpy(out, head[0] == 0x82 ? "B:" : "?:");
        for (size_t i = 0; i < n; i++)
            sprintf(out + 2 + 2 * i, "%02x", body[i]);
    }
    return out;
}

/* The next one that is no ping: on a slow machine there may be one. */
static const char *last_frame(int fd)
{
    const char *got;

    do
        got = frame(fd);
    while (strcmp(got, "T:2") == 0);
    return got;
}

static const char *upgrade(int fd, const char *query, const char *extra)
{
    static char reply[4096];
    char request[1024];
    size_t n = 0;
    int len = snprintf(request, sizeof(request),
                       "GET /notifications/?%s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
                       "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                       query, extra);

    put(fd, request, (size_t)len);
    do {
        if (take(fd, reply + n, 1) < 1)
            break;
        n++;
    } while (n < sizeof(reply) - 1 && (n < 4 || memcmp(reply + n - 4, "\r\n\r\n", 4) != 0));
    reply[n] = '\0';
    return reply;
}

static int client(const char *query)
{
    int fd = dial();
    const char *open;

    if (strncmp(upgrade(fd, query, ""), "HTTP/1.1 101 ", 13) != 0)
        ok(0, "upgrade");
    open = frame(fd);
    ok(strncmp(open, "T:0{\"sid\":\"", 11) == 0 && strstr(open, "\"upgrades\":[],") != NULL,
       "open packet");
    return fd;
}

static int client4(void)
{
    int fd = client("EIO=4&transport=websocket");

    put_text(fd, "40/axr,{\"token\":\"x\"}");
    ok(strncmp(frame(fd), "T:40/axr,{\"sid\":\"", 17) == 0, "connected");
    return fd;
}

/* --- the tests --- */

static void test_refusals(void)
{
    static const struct {
        const char *query, *extra, *want;
    } cases[] = {
        {"EIO=4&transport=polling", "", "Transport unknown"},
        {"EIO=4", "", "Transport unknown"},
        {"EIO=4&transport=websocket&sid=abc", "", "Session ID unknown"},
        {"EIO=4&transport=websocket", "Origin: https://evil.example\r\n", "Forbidden"},
        {"EIO=4&transport=websocket", "Origin: null\r\n", "Forbidden"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char body[64] = "", *length;
        int fd = dial();
        const char *head = upgrade(fd, cases[i].query, cases[i].extra);
        ok(strncmp(head, "HTTP/1.1 400 ", 13) == 0, "400 for %s", cases[i].query);
        if ((length = strstr(head, "Content-Length: ")) != NULL)
            take(fd, body, (size_t)atoi(length + 16));
        is_str(body, cases[i].want, cases[i].query);
        is_str(frame(fd), "EOF", "and then closed");
        close(fd);
    }
}

/* Who shuts its sending side down after the request still reads the answer. */
static void test_half_closed(const char *want)
{
    static const char request[] = "GET /notifications/?EIO=4&transport=polling HTTP/1.1\r\n"
                                  "Host: h\r\n\r\n";
    int answered = 0;

    for (int i = 0; i < 10; i++) {
        char reply[13] = "";
        int fd = dial();
        put(fd, request, sizeof(request) - 1);
        shutdown(fd, SHUT_WR);
        take(fd, reply, sizeof(reply) - 1);
        answered += strcmp(reply, want) == 0;
        close(fd);
    }
    is_int(answered, 10, "half-closed connections that were answered");
}

static void test_eio4(void)
{
    int fd = dial();

    ok(strstr(upgrade(fd, "EIO=4&transport=websocket", "Sec-WebSocket-Protocol: one, two\r\n"),
              "\r\nSec-WebSocket-Protocol: one\r\n") != NULL,
       "the first subprotocol is chosen");
    close(fd);
    fd = client4();

    is_int(connects, 1, "asked once");
    put_text(fd, "42/axr,[\"up\",1]");
    put_text(fd, "40/nope,");
    is_str(frame(fd), "T:44/nope,{\"message\":\"Invalid namespace\"}", "other namespace");
    is_int(packets, 1, "the event reached the application");
    put_text(fd, "40");
    ok(strncmp(frame(fd), "T:40{\"sid\":\"", 12) == 0, "the default namespace may be joined");
    for (int i = 0; i < 3; i++) {
        beat(last);
        is_str(frame(fd), "T:2", "the server pings");
        put_text(fd, "3");
    }
    put_frame(fd, 0x89, "hello", 5);
    is_str(frame(fd), "P:hello", "a WebSocket ping is answered");
    put_text(fd, "451-/axr,[\"up\",{\"_placeholder\":true,\"num\":0}]");
    put_frame(fd, 0x82, "abc", 3);
    put_text(fd, "41/axr,");
    put_text(fd, "40/axr,{}");
    ok(strncmp(frame(fd), "T:40/axr,{\"sid\":\"", 17) == 0, "left and joined again");
    is_int(lefts, 1, "left once");
    put_frame(fd, 0x88, "\x03\xe8", 2);
    is_str(frame(fd), "C:1000", "the close is echoed");
    is_str(frame(fd), "EOF", "and the connection ends");
    close(fd);
    pump(&closes);
    is_int(last_why, CLOSE_CLIENT, "closed by the client");
    is_int(lefts, 2, "left again");
    is_int((int)engine->eio->nsessions, 0, "no session is left");
}

/* The time in which it had to ask for the namespace is over. */
static void connect_due(struct socket *socket)
{
    socket->connect_due_ms = clock_ms();
    socket_rearm(socket);
}

static void test_timeouts(void)
{
    int fd = client4();
    uint64_t before_ms;

    beat(last);
    is_str(frame(fd), "T:2", "a ping");
    beat(last);
    is_str(frame(fd), "EOF", "no pong: closed without a frame, for it may be there and come back");
    is_int(last_why, CLOSE_PING_TIMEOUT, "ping timeout");
    close(fd);
    engine_down();
    ping_interval_ms = 200;
    engine_up("/axr");
    before_ms = clock_ms();
    fd = client("EIO=4&transport=websocket");
    ok(opened->connect_due_ms >= before_ms + connect_timeout_ms &&
           opened->connect_due_ms <= clock_ms() + connect_timeout_ms,
       "it has its time to ask for the namespace");
    is_str(frame(fd), "T:2", "a ping comes by itself");
    put_text(fd, "3");
    connect_due(opened);
    is_str(last_frame(fd), "C:0", "nobody asked for the namespace");
    is_int(last_why, CLOSE_CONNECT_TIMEOUT, "connect timeout");
    close(fd);
    engine_down();
    ping_interval_ms = 3600000;
    engine_up("/axr");
    fd = client("EIO=3&transport=websocket");
    is_str(frame(fd), "T:40", "EIO3 is in the default namespace unasked");
    put_text(fd, "2probe");
    is_str(frame(fd), "T:3probe", "EIO3 pings");
    connect_due(opened);
    is_str(frame(fd), "C:0", "which does not stop the connect timeout");
    is_int(last_why, CLOSE_CONNECT_TIMEOUT, "connect timeout");
    close(fd);
    engine_down();
    engine_up("/axr");
}

static void test_faults(void)
{
    static const struct {
        const char *query, *text, *want, *name;
    } cases[] = {
        {"EIO=4&transport=websocket", "2", "C:0", "EIO4 ping from the client"},
        {"EIO=4&transport=websocket", "", "C:0", "empty message"},
        {"EIO=4&transport=websocket", "4", "C:0", "empty packet"},
        {"EIO=4&transport=websocket", "9", "C:0", "unknown type"},
        {"EIO=4&transport=websocket", "42/axr,[\"a\"]", "C:0", "event before joining"},
        {"EIO=4&transport=websocket", "1", "C:0", "close packet"},
    };
    unsigned char masked[] = {0x81, 0x01, '3'}, rsv[] = {0xc1, 0x81, 0, 0, 0, 0, '3'};
    unsigned char padded[] = {0x81, 0xfe, 0, 1, 0, 0, 0, 0, '3'};
    unsigned char huge[] = {0x82, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xfe, 0, 0, 0, 0};
    int fd;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        fd = client(cases[i].query);
        put_text(fd, cases[i].text);
        is_str(frame(fd), cases[i].want, cases[i].name);
        close(fd);
    }
    fd = client4();
    put(fd, masked, sizeof(masked));
    is_str(frame(fd), "C:1002", "unmasked frame");
    close(fd);
    fd = client4();
    put(fd, rsv, sizeof(rsv));
    is_str(frame(fd), "C:1002", "reserved bit");
    close(fd);
    fd = client4();
    put(fd, padded, sizeof(padded));
    is_str(frame(fd), "C:1002", "length in more bytes than it needs");
    close(fd);
    fd = client4();
    put_frame(fd, 0x88, "x", 1);
    is_str(frame(fd), "C:1002", "close payload of one byte");
    close(fd);
    fd = client4();
    put(fd, huge, sizeof(huge));
    is_str(frame(fd), "C:1009", "huge frame");
    is_int(last_why, CLOSE_TOO_BIG, "too big");
    close(fd);
    fd = client4();
    put_frame(fd, 0x81, "4\xff", 2);
    is_str(frame(fd), "C:1007", "text that is not UTF-8");
    close(fd);
    fd = client4();
    put_frame(fd, 0x01, "4", 1);
    for (int i = 0; i < 63; i++)
        put_frame(fd, 0x00, "", 0);
    is_str(frame(fd), "C:1008", "64 fragments");
    close(fd);
    fd = client4();
    put_text(fd, "451-/axr,[\"up\",{\"_placeholder\":true,\"num\":0}]");
    put_text(fd, "42/axr,[\"up\"]");
    is_str(frame(fd), "C:0", "text in place of an attachment");
    close(fd);
    fd = client4();
    put_frame(fd, 0x82, "abc", 3);
    is_str(frame(fd), "C:0", "binary that nobody announced");
    close(fd);
}

/* Frames cut anywhere: the context is lent, kept and given back. */
static void test_pieces(void)
{
    unsigned char frames[4096];
    size_t n = 0;
    int fd = client4(), before = packets;

    for (int i = 0; i < 40; i++) {
        const char *text = "42/axr,[\"up\",\"0123456789\"]";
        frames[n++] = 0x81;
        frames[n++] = (unsigned char)(0x80 | strlen(text));
        memset(frames + n, 0, 4);
        n += 4;
        memcpy(frames + n, text, strlen(text));
        n += strlen(text);
    }
    for (size_t at = 0, step = 1; at < n; at += step, step = step % 37 + 1) {
        put(fd, frames + at, at + step <= n ? step : n - at);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    put_frame(fd, 0x89, "x", 1);
    is_str(frame(fd), "P:x", "everything before it has been read");
    is_int(packets - before, 40, "40 messages in odd pieces");
    close(fd);
}

static void test_fan(void)
{
    struct slice bins[2] = {{"\x01\x02", 2}, {"", 0}};
    struct fanout fan;
    char sid[SIO_SID_MAX];
    struct socket *s4, *s3;
    int fd4 = client4(), fd3, fd64;

    s4 = last;
    fd3 = client("EIO=3&transport=websocket");
    frame(fd3);
    put_text(fd3, "40/axr?token=x,");
    is_str(frame(fd3), "T:40/axr,", "EIO3 joins");
    s3 = last;
    fd64 = client("EIO=3&transport=websocket&b64=1");
    frame(fd64);
    put_text(fd64, "40/axr");
    is_str(frame(fd64), "T:40/axr,", "EIO3 without binary joins");
    fanout_begin(&engine->sio, &fan, SLICE("[\"m\",1"), NULL, 0, 0);
    is_int(fanout_send(&fan, s4), 1, "queued");
    is_int(fanout_send(&fan, s4), 0, "once");
    is_int(fanout_send(&fan, s3), 1, "queued");
    fanout_end(&fan);
    fanout_begin(&engine->sio, &fan, SLICE("[\"b\",0,1"), bins, 2, 0);
    fanout_except(&fan, s4);
    is_int(fanout_send(&fan, s4), 0, "excepted");
    fanout_send(&fan, s3);
    fanout_send(&fan, last);
    fanout_end(&fan);
    fanout_begin(&engine->sio, &fan, SLICE("[\"b\",0,1"), bins, 2, 0);
    fanout_send(&fan, s4);
    fanout_end(&fan);
    is_str(frame(fd4), "T:42/axr,[\"m\",1]", "EIO4 text");
    is_str(frame(fd3), "T:42/axr,[\"m\",1]", "EIO3 text");
    is_str(frame(fd4), "T:452-/axr,[\"b\",0,1]", "EIO4 header");
    is_str(frame(fd4), "B:0102", "EIO4 attachment");
    is_str(frame(fd4), "B:", "EIO4 empty attachment");
    is_str(frame(fd3), "T:452-/axr,[\"b\",0,1]", "EIO3 header");
    is_str(frame(fd3), "B:040102", "EIO3 attachment");
    is_str(frame(fd3), "B:04", "EIO3 empty attachment");
    is_str(frame(fd64), "T:452-/axr,[\"b\",0,1]", "base64 header");
    is_str(frame(fd64), "T:b4AQI=", "base64 attachment");
    is_str(frame(fd64), "T:b4", "base64 empty attachment");
    fanout_begin(&engine->sio, &fan, SLICE("[\"m\",2"), NULL, 0, 0);
    fanout_ack(&fan, 0);
    fanout_send(&fan, s4);
    fanout_send(&fan, s3);
    fanout_end(&fan);
    fanout_begin(&engine->sio, &fan, SLICE("[\"b\",0"), bins, 1, 0);
    fanout_ack(&fan, 281474976710655);
    fanout_send(&fan, s4);
    fanout_send(&fan, s3);
    fanout_send(&fan, last);
    fanout_end(&fan);
    is_str(frame(fd4), "T:42/axr,0[\"m\",2]", "EIO4 text to be acknowledged");
    is_str(frame(fd3), "T:42/axr,0[\"m\",2]", "EIO3 text");
    is_str(frame(fd4), "T:451-/axr,281474976710655[\"b\",0]", "EIO4 header");
    is_str(frame(fd4), "B:0102", "EIO4 attachment");
    is_str(frame(fd3), "T:451-/axr,281474976710655[\"b\",0]", "EIO3 header");
    is_str(frame(fd3), "B:040102", "EIO3 attachment");
    is_str(frame(fd64), "T:451-/axr,281474976710655[\"b\",0]", "base64 header");
    is_str(frame(fd64), "T:b4AQI=", "base64 attachment");
    for (int i = 0; i < 2; i++) {
        struct socket *s = i == 0 ? s4 : s3;
        struct slice name = {sid, socket_sid(s, sid)};
        struct slice id = {sid + name.len - (i == 0 ? SIO_SID_LEN : EIO_SID_LEN),
                           i == 0 ? SIO_SID_LEN : EIO_SID_LEN};
        uint32_t home = 0;
        ok(socket_by_sid(&engine->sio, name) == s, "found by its Socket.IO id");
        is_int(sid_process(id, &home), 0, "which names");
        is_int(home, process, "where it lives");
        sid[i == 0 ? 12 : 20] ^= 1;
        ok(socket_by_sid(&engine->sio, name) == NULL, "not by another");
    }
    ok(socket_find(&engine->sio, socket_handle(s3)) == s3, "found by its handle");
    ok(socket_find(&engine->sio, socket_handle(s3) + (1ULL << 32)) == NULL, "not by another's");
    close(fd4);
    close(fd3);
    close(fd64);
}

/* The next frame that is no heartbeat. */
static const char *event_frame(int fd)
{
    const char *got = frame(fd);

    while (strcmp(got, "T:2") == 0)
        got = frame(fd);
    return got;
}

/* An answer does not stand behind a fan-out to more clients than are written to in
 * one go; what goes to one client keeps its order. */
static void test_own_first(void)
{
    static int fds[FANNED];
    static struct socket *fanned[FANNED];
    struct fanout fan;
    struct socket *own;
    int fd;
    char c;

    engine_up("/axr");
    fd = client4();
    own = last;
    for (int i = 0; i < FANNED; i++) {
        fds[i] = client4();
        fanned[i] = last;
    }
    fanout_begin(&engine->sio, &fan, SLICE("[\"m\",1"), NULL, 0, 0);
    for (int i = 0; i < FANNED; i++)
        fanout_send(&fan, fanned[i]);
    fanout_end(&fan);
    session_send(&fanned[FANNED - 1]->session, SLICE("2/axr,[\"n\"]"));
    session_send(&own->session, SLICE("2/axr,[\"n\"]"));
    net_flush(engine->net);
    is_int(recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK), 1, "who gets an answer has it");
    is_str(event_frame(fd), "T:42/axr,[\"n\"]", "an answer");
    is_str(event_frame(fds[FANNED - 1]), "T:42/axr,[\"m\",1]", "in order for the last of them too");
    is_str(event_frame(fds[FANNED - 1]), "T:42/axr,[\"n\"]", "and the answer");
    close(fd);
    for (int i = 0; i < FANNED; i++)
        close(fds[i]);
    engine_down();
}

/* What was counted has to fit what the tests before have done. */
static void test_counts(void)
{
    static const char elsewhere[] = "GET /elsewhere HTTP/1.1\r\nHost: h\r\n\r\n";
    struct snapshot before;
    struct fanout fan;
    char body[64];
    uint64_t seen = 0;
    int fd;

    while (engine->eio->nsessions > 0) /* those of the tests before */
        event_base_loop(base, EVLOOP_ONCE);
    before = snapshot();
    fd = client4();
    fanout_begin(&engine->sio, &fan, SLICE("[\"m\",1"), NULL, 0, 0);
    fanout_received(&fan, clock_us() - 30000);
    fanout_send(&fan, last);
    is_int(engine->net->stats.queued_bytes, 16, "what waits");
    fanout_end(&fan);
    fanout_begin(&engine->sio, &fan, SLICE("[\"m\",1"), NULL, 0, 0);
    fanout_received(&fan, clock_us());
    fanout_send(&fan, last);
    fanout_end(&fan);
    is_str(frame(fd), "T:42/axr,[\"m\",1]", "two notifications");
    is_str(frame(fd), "T:42/axr,[\"m\",1]", "in one write");
    is_int(engine->net->stats.queued_bytes, 0, "nothing waits");
    is_int(engine->sio.stats.deliveries - before.sio.deliveries, 2, "deliveries");
    is_int(engine->sio.stats.connects - before.sio.connects, 1, "connects");
    is_int(engine->net->stats.accepted - before.net.accepted, 1, "accepted");
    is_int(engine->eio->stats.opened[EIO_WEBSOCKET][1] - before.eio.opened[EIO_WEBSOCKET][1], 1,
           "opened");
    is_int(engine->eio->stats.sessions[EIO_WEBSOCKET][1], 1, "one session");
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        seen += engine->net->stats.latency.buckets[i] - before.net.latency.buckets[i];
    is_int(seen, 1, "one observation for the write");
    ok(engine->net->stats.latency.sum_us - before.net.latency.sum_us >= 29900, "of the older one");
    ok(engine->net->stats.writes > before.net.writes &&
           engine->net->stats.bytes_sent >= before.net.bytes_sent + 36 &&
           engine->net->stats.bytes_received > before.net.bytes_received,
       "writes and bytes");
    closes = 0;
    close(fd);
    pump(&closes);
    is_int(engine->eio->stats.closed[CLOSE_CLIENT] - before.eio.closed[CLOSE_CLIENT], 1, "closed");
    is_int(engine->eio->stats.sessions[EIO_WEBSOCKET][1], 0, "no session");
    fd = dial();
    upgrade(fd, "EIO=4&transport=polling", "");
    is_int(engine->eio->stats.eio_errors[EIO_UNKNOWN_TRANSPORT] -
               before.eio.eio_errors[EIO_UNKNOWN_TRANSPORT],
           1, "an error of Engine.IO");
    is_int(engine->http->stats.http_errors[http_error_kind(400)] -
               before.http.http_errors[http_error_kind(400)],
           1, "is one of HTTP");
    close(fd);
    fd = dial();
    put(fd, elsewhere, sizeof(elsewhere) - 1);
    take(fd, body, 20);
    is_int(engine->http->stats.http_errors[http_error_kind(404)] -
               before.http.http_errors[http_error_kind(404)],
           1, "not found");
    is_int(engine->http->stats.requests - before.http.requests, 3, "requests");
    close(fd);
}

/* A message above the limit for what may wait reaches a client that reads, and
 * so does what follows it. */
static void test_large(void)
{
    static char json[3 << 20], got[(3 << 20) + 64];
    struct fanout fan;
    int fd = client4();

    memset(json, 'x', sizeof(json));
    memcpy(json, "[\"m\",\"", 6);
    json[sizeof(json) - 1] = '"';
    fanout_begin(&engine->sio, &fan, (struct slice){json, sizeof(json)}, NULL, 0, 0);
    fanout_send(&fan, last);
    fanout_end(&fan);
    fanout_begin(&engine->sio, &fan, SLICE("[\"n\""), NULL, 0, 0);
    is_int(fanout_send(&fan, last), 1, "a message behind a large one is queued");
    fanout_end(&fan);
    take(fd, got, 10 + 7 + sizeof(json) + 1);
    is_mem(got + 10, 16, "42/axr,[\"m\",\"xxx", 16, "the large one arrives");
    is_str(frame(fd), "T:42/axr,[\"n\"]", "and arrives after it");
    close(fd);
}

static void test_stalled(void)
{
    static char json[20000];
    struct fanout fan;
    int small = 4096, fd;
    uint64_t waiting, discarded;

    memset(json, 'x', sizeof(json));
    memcpy(json, "[\"m\",\"", 6);
    json[sizeof(json) - 1] = '"';
    fd = client4();
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    closes = 0;
    for (int i = 0; i < 30; i++) { /* 600 KB: more than the kernel takes, less than the limit */
        fanout_begin(&engine->sio, &fan, (struct slice){json, sizeof(json)}, NULL, 0, 0);
        is_int(fanout_send(&fan, last), 1, "queued");
        fanout_end(&fan);
    }
    net_flush(engine->net);
    fanout_begin(&engine->sio, &fan, (struct slice){json, sizeof(json)}, NULL, 0, 1);
    is_int(fanout_send(&fan, last), 0, "volatile is dropped while output waits");
    fanout_end(&fan);
    waiting = engine->net->stats.queued_bytes;
    ok(waiting > 100000, "much waits");
    pump(&closes);
    is_int(last_why, CLOSE_SEND_TIMEOUT, "a reader that stalls is cut");
    discarded = engine->net->stats.discarded_bytes[CLOSE_SEND_TIMEOUT];
    ok(discarded > 0 && discarded <= waiting, "and its output is lost, which is counted");
    is_int(engine->sio.stats.volatile_skipped, 1, "the volatile one is counted");
    is_int(engine->net->stats.queued_bytes, 0, "nothing waits any more");
    close(fd);
    fd = client4();
    closes = 0;
    for (int i = 0; i < 100; i++) {
        fanout_begin(&engine->sio, &fan, (struct slice){json, sizeof(json)}, NULL, 0, 0);
        fanout_send(&fan, last);
        fanout_end(&fan);
    }
    is_int(closes, 0, "never from inside a fan-out");
    pump(&closes);
    is_int(last_why, CLOSE_SEND_BUFFER, "too much waits: cut");
    ok(engine->sio.stats.dropped[CLOSE_SEND_BUFFER] > 0, "notifications dropped for that");
    is_int(engine->net->stats.queued_bytes, 0, "nothing waits any more");
    close(fd);
}

#define REFUSAL4 "44/axr,{\"message\":\"no\",\"data\":{\"code\":\"token_missing\"}}"

/* Its deadline is now. */
static void due(struct socket *socket)
{
    socket_expire(socket, clock_ms());
}

/* One that was refused and still is there: EIO4, asked with that verdict. */
static int refused4(void)
{
    int fd = client("EIO=4&transport=websocket");

    verdict = -1;
    put_text(fd, "40/axr,{}");
    is_str(frame(fd), "T:" REFUSAL4, "the error");
    return fd;
}

static void test_refused(void)
{
    uint64_t asked_ms = clock_ms(), due_ms;
    int fd = refused4(), answers = 0;

    ok(last->expire_due_ms >= asked_ms + 5000 && last->expire_due_ms <= clock_ms() + 5000,
       "it has 5 s to leave");
    ok(last->connect_due_ms >= last->expire_due_ms, "and no less for it came late");
    is_int((last->nsp == NSP_JOINED), 0, "it is not in");
    packets = closes = 0;
    put_text(fd, "42/axr,[\"up\"]");
    beat(last);
    is_str(frame(fd), "T:2", "its heart beats, and nothing else is sent");
    put_text(fd, "3");
    is_int(packets, 0, "what it says is dropped");
    verdict = 1;
    put_text(fd, "40/axr,{}");
    ok(strncmp(frame(fd), "T:40/axr,{\"sid\":\"", 17) == 0, "it may ask again");
    is_int((long)last->expire_due_ms, 0, "and stays");
    verdict = -1;
    put_text(fd, "41/axr,");
    put_text(fd, "40/axr,{}");
    is_str(frame(fd), "T:" REFUSAL4, "it has left, and is refused now");
    due_ms = last->expire_due_ms;
    ok(due_ms >= asked_ms + 5000, "that counts anew");
    connects = 0;
    for (int i = 0; i < 20; i++)
        put_text(fd, "40/axr,{}");
    put_text(fd, "40/nope,");
    while (strcmp(frame(fd), "T:" REFUSAL4) == 0)
        answers++;
    is_int(answers, 9, "one that asks again and again is answered ten times in all");
    is_int(connects, 9, "and judged no more often");
    is_int((long)(last->expire_due_ms - due_ms), 0, "which prolongs nothing");
    due(last);
    is_str(frame(fd), "T:41/axr,", "whoever is still there is told to go");
    is_str(frame(fd), "C:0", "and closed");
    is_int(last_why, CLOSE_REFUSED, "as refused");
    close(fd);

    fd = client("EIO=3&transport=websocket");
    frame(fd);
    put_text(fd, "40/axr");
    is_str(frame(fd), "T:44/axr,\"no\"", "EIO3");
    due(last);
    is_str(frame(fd), "T:41/axr,", "is told, too");
    is_str(frame(fd), "C:0", "and closed");
    close(fd);
    verdict = 1;
}

/* What it does, and what comes, while its time runs. */
static void test_refused_meanwhile(void)
{
    int fd = refused4();
    uint64_t due_ms = last->expire_due_ms;

    put_text(fd, "41/axr,");
    beat(last);
    is_str(frame(fd), "T:2", "one that only says that it leaves");
    is_int((long)(last->expire_due_ms - due_ms), 0, "has no more time for that");
    put_text(fd, "40/axr,{}");
    is_str(frame(fd), "T:" REFUSAL4, "nor if it is refused again");
    put_text(fd, "41/axr,");
    put_text(fd, "40/nope,");
    frame(fd);
    is_int((long)(last->expire_due_ms - due_ms), 0, "and leaves again");
    due(last);
    is_str(frame(fd), "T:41/axr,", "it is told to go");
    is_str(frame(fd), "C:0", "and closed");
    close(fd);

    fd = refused4();
    verdict = 0;
    put_text(fd, "40/axr,{}");
    put_text(fd, "40/nope,");
    frame(fd);
    due(last);
    beat(last);
    is_str(frame(fd), "T:2", "its time is over while it is judged: it stays for the verdict");
    socket_refuse(last, "no", "token_missing");
    is_str(frame(fd), "T:" REFUSAL4, "which is another refusal");
    is_str(frame(fd), "T:41/axr,", "the last one");
    is_str(frame(fd), "C:0", "and closed");
    close(fd);

    fd = refused4();
    verdict = 0;
    put_text(fd, "40/axr,{}");
    put_text(fd, "40/nope,");
    frame(fd);
    due(last);
    beat(last);
    frame(fd);
    socket_accept(last, NULL);
    ok(strncmp(frame(fd), "T:40/axr,{\"sid\":\"", 17) == 0, "or lets it in");
    is_int(last->refusals, 0, "for good");
    lefts = 0;
    close(fd);
    pump(&lefts);
    verdict = 1;
}

static void test_refuse_and_drain(void)
{
    int fds[3];

    test_refused();
    test_refused_meanwhile();
    lefts = 0;
    for (int i = 0; i < 3; i++)
        fds[i] = client4();
    due(last);
    is_str(frame(fds[2]), "T:41/axr,", "an expired one is told");
    is_str(frame(fds[2]), "C:0", "and closed");
    is_int(last_why, CLOSE_EXPIRED, "expired");
    engine_drain(engine, 1000, on_drained, NULL);
    is_str(last_frame(fds[0]), "EOF", "a drained client is sent away");
    is_str(last_frame(fds[1]), "EOF", "and so is the other");
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    pump(&drained);
    is_int(drained, 1, "drained");
    is_int(lefts, 3, "all have left");
    is_int(last_left, CLOSE_SHUTDOWN, "for the drain");
}

/* --- polling --- */

/* One request on its own connection; returns "status body". */
static const char *http(const char *method, const char *query, const char *body)
{
    static char out[8192];
    char request[2048], reply[8192] = "", *end;
    int fd = dial();
    int len = snprintf(request, sizeof(request),
                       "%s /notifications/?%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       method, query, strlen(body), body);

    put(fd, request, (size_t)len);
    reply[take(fd, reply, sizeof(reply) - 1)] = '\0';
    close(fd);
    end = strstr(reply, "\r\n\r\n");
    end = end != NULL ? end + 4 : reply + sizeof(reply) - 1;
    memcpy(out, reply + 9, 4);
    memcpy(out + 4, end, (size_t)(reply + sizeof(reply) - end));
    return out;
}

/* Reads until needle has come; returns whether it has. */
static int heard(int fd, const char *needle)
{
    char got[8192];
    size_t n = 0;

    while (n < sizeof(got) - 1 && take(fd, got + n, 1) == 1) {
        got[++n] = '\0';
        if (strstr(got, needle) != NULL)
            return 1;
    }
    return 0;
}

static char sid[EIO_SID_LEN + 1], poll_query[128];

/* A new polling session; its open packet must begin with want. */
static void poll_open(int eio, const char *more, const char *want)
{
    char query[64];
    const char *reply, *at;

    snprintf(query, sizeof(query), "EIO=%d&transport=polling%s", eio, more);
    reply = http("GET", query, "");
    ok(strstr(reply, want) != NULL && strstr(reply, "[\"websocket\"]") != NULL, "open: %.60s",
       reply);
    at = strstr(reply, "\"sid\":\"");
    snprintf(sid, sizeof(sid), "%.32s", at != NULL ? at + 7 : "");
    snprintf(poll_query, sizeof(poll_query), "%s&sid=%s", query, sid);
}

static const uint64_t *fan_id; /* NULL: it is not to be acknowledged */

static void fan(const char *json, size_t nbins)
{
    struct slice bin = {"\x01\x02", 2};
    struct fanout one;

    fanout_begin(&engine->sio, &one, slice_str(json), &bin, nbins, 0);
    if (fan_id != NULL)
        fanout_ack(&one, *fan_id);
    fanout_send(&one, last);
    fanout_end(&one);
}

static void test_polling(void)
{
    char want[256];

    poll_open(4, "", "200 0{\"sid\":\"");
    is_str(http("POST", poll_query, "40/axr,{}"), "200 ok", "POST");
    ok(strncmp(http("GET", poll_query, ""), "200 40/axr,{\"sid\":\"", 19) == 0, "EIO4 connected");
    fan("[\"m\",\"\u00e9\"", 0);
    fan("[\"b\",0", 1);
    is_str(http("GET", poll_query, ""),
           "200 42/axr,[\"m\",\"\u00e9\"]\x1e"
           "451-/axr,[\"b\",0]\x1e"
           "bAQI=",
           "EIO4 payload");
    beat(last);
    is_str(http("GET", poll_query, ""), "200 2", "heartbeat");
    is_str(http("POST", poll_query,
                "3\x1e"
                "42/axr,[\"up\"]"),
           "200 ok", "two packets");
    is_str(http("PUT", poll_query, ""), "405 Method Not Allowed", "another method");
    is_str(http("GET", "EIO=3&transport=polling&sid=x", ""),
           "400 {\"code\":1,\"message\":\"Session ID unknown\"}", "a sid that is none");
    snprintf(want, sizeof(want), "EIO=3&transport=polling&sid=%s", sid);
    is_str(http("GET", want, ""), "400 {\"code\":3,\"message\":\"Bad request\"}", "other version");
    closes = 0;
    is_str(http("POST", poll_query, "junk"), "200 ok", "a malformed payload");
    is_int(closes, 1, "ends the session");
    is_str(http("GET", poll_query, ""), "400 {\"code\":1,\"message\":\"Session ID unknown\"}",
           "which is unknown then");
    poll_open(3, "", ":0{\"sid\":\"");
    is_str(http("POST", poll_query, "6:40/axr"), "200 ok", "EIO3 POST");
    is_str(http("GET", poll_query, ""), "200 7:40/axr,", "EIO3 connected");
    fan("[\"m\",\"\u00e9\"", 0);
    is_str(http("GET", poll_query, ""), "200 21:42/axr,[\"m\",\"\\u00e9\"]", "EIO3 text is ASCII");
    fan("[\"b\",0", 1);
    is_mem(http("GET", poll_query, ""), 12,
           "200 \0\1\6\xff"
           "451-",
           12, "EIO3 binary form");
    closes = 0;
    beat(last);
    pump(&closes);
    is_int(last_why, CLOSE_PING_TIMEOUT, "EIO3 that does not ping is over");
    ok(strncmp(http("GET", "EIO=3&transport=polling&j=2x", ""),
               "200 ___eio[2](\"132:0{\\\"sid\\\":", 29) == 0,
       "JSONP");
}

/* As it is with acknowledgements, which come by POST. */
static void test_polling_acks(void)
{
    static const uint64_t id = 17;

    fan_id = &id;
    poll_open(4, "", "200 0{\"sid\":\"");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    fan("[\"m\",1", 0);
    fan("[\"b\",0", 1);
    is_str(http("GET", poll_query, ""),
           "200 42/axr,17[\"m\",1]\x1e"
           "451-/axr,17[\"b\",0]\x1e"
           "bAQI=",
           "EIO4 payload");
    packets = 0;
    is_str(http("POST", poll_query,
                "43/axr,17[\"yes\"]\x1e"
                "461-/axr,17[{\"_placeholder\":true,\"num\":0}]\x1e"
                "bAQI="),
           "200 ok", "acknowledged");
    is_int(packets, 2, "twice");
    is_str(heard_text, "6 /axr [{\"_placeholder\":true,\"num\":0}] 0102", "with an attachment");
    poll_open(3, "", ":0{\"sid\":\"");
    http("POST", poll_query, "6:40/axr");
    http("GET", poll_query, "");
    fan("[\"m\",1", 0);
    is_str(http("GET", poll_query, ""), "200 16:42/axr,17[\"m\",1]", "EIO3 text");
    fan("[\"b\",0", 1);
    is_mem(http("GET", poll_query, ""), 25,
           "200 \0\1\x8\xff"
           "451-/axr,17[\"b\",0",
           25, "EIO3 binary form");
    fan_id = NULL;
}

static void test_polling_pair(void)
{
    char request[512];
    int get, second, len;

    poll_open(4, "", "200 0{\"sid\":\"");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    len = snprintf(request, sizeof(request), "GET /notifications/?%s HTTP/1.1\r\nHost: h\r\n\r\n",
                   poll_query);
    get = dial();
    put(get, request, (size_t)len);
    put(get, request, (size_t)len); /* pipelined: served when the first is answered */
    event_base_loop(base, EVLOOP_NONBLOCK);
    fan("[\"m\",1", 0);
    ok(heard(get, "\r\n\r\n42/axr,[\"m\",1]"), "a waiting GET is answered");
    fan("[\"m\",2", 0);
    ok(heard(get, "\r\n\r\n42/axr,[\"m\",2]"), "and the one behind it");
    put(get, request, (size_t)len);
    event_base_loop(base, EVLOOP_NONBLOCK);
    second = dial();
    put(second, request, (size_t)len);
    ok(heard(second, "HTTP/1.1 400"), "a second GET at the same time is refused");
    close(second);
    ok(heard(get, "\r\n\r\n1"), "and the first hears that it is over");
    close(get);
}

static void test_upgrade(void)
{
    char query[128];
    int fd;

    poll_open(4, "", "200 0{\"sid\":\"");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    snprintf(query, sizeof(query), "EIO=4&transport=websocket&sid=%s", sid);
    fd = dial();
    ok(strncmp(upgrade(fd, query, ""), "HTTP/1.1 101 ", 13) == 0, "upgrade");
    put_text(fd, "2probe");
    is_str(frame(fd), "T:3probe", "probed");
    is_str(http("GET", poll_query, ""), "200 6", "a GET is answered at once");
    fan("[\"m\",1", 0);
    fan("[\"b\",2", 1);
    put_text(fd, "5");
    is_str(frame(fd), "T:42/axr,[\"m\",1]", "what waited comes first");
    is_str(frame(fd), "T:451-/axr,[\"b\",2]", "framed anew");
    is_str(frame(fd), "B:0102", "binary too");
    fan("[\"m\",3", 0);
    is_str(frame(fd), "T:42/axr,[\"m\",3]", "then what is new");
    is_str(http("GET", poll_query, ""), "400 {\"code\":3,\"message\":\"Bad request\"}",
           "polling is over");
    close(fd);
    poll_open(4, "", "200 0{\"sid\":\"");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    snprintf(query, sizeof(query), "EIO=4&transport=websocket&sid=%s", sid);
    fd = dial();
    upgrade(fd, query, "");
    put_text(fd, "4junk");
    is_str(frame(fd), "C:0", "anything but a probe ends the attempt");
    close(fd);
    fan("[\"m\",4", 0);
    is_str(http("GET", poll_query, ""), "200 42/axr,[\"m\",4]", "and polling goes on");
}

/* What is not revision 4 is 3: clients that name none, on no request, are served. */
static void test_versions(void)
{
    static const struct {
        const char *eio;
        int version;
    } rows[] = {
        {"EIO=4&", 4},  {"EIO=%34&", 4},     {"EIO=3&EIO=4&", 4}, {"", 3},
        {"EIO=&", 3},   {"EIO&", 3},         {"EIO=2&", 3},       {"EIO=5&", 3},
        {"EIO=04&", 3}, {"EIO=4x&", 3},      {"EIO=44&", 3},      {"EIO=+4&", 3},
        {"EIO=%4&", 3}, {"EIO=4&EIO=3&", 3}, {"eio=4&", 3},
    };
    static const char unsupported[] =
        "400 {\"code\":5,\"message\":\"Unsupported protocol version\"}";
    char query[160];
    int fd;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *reply;
        snprintf(query, sizeof(query), "%stransport=polling", rows[i].eio);
        reply = http("GET", query, "");
        ok(strncmp(reply, rows[i].version == 4 ? "200 0{" : "200 132:0{", 6) == 0,
           "%s: revision %d", query, rows[i].version);
    }
    snprintf(sid, sizeof(sid), "%.32s",
             strstr(http("GET", "transport=polling", ""), "sid\":\"") + 6);
    snprintf(query, sizeof(query), "transport=polling&sid=%s", sid);
    is_str(http("POST", query, "6:40/axr"), "200 ok", "a POST without a revision");
    is_str(http("GET", query, ""), "200 7:40/axr,", "and a GET");
    snprintf(query, sizeof(query), "EIO=4&transport=polling&sid=%s", sid);
    is_str(http("GET", query, ""), "400 {\"code\":3,\"message\":\"Bad request\"}",
           "one of revision 4 is not its own");
    snprintf(query, sizeof(query), "transport=websocket&sid=%s", sid);
    fd = dial();
    ok(strncmp(upgrade(fd, query, ""), "HTTP/1.1 101 ", 13) == 0, "a WebSocket without a revision");
    put_text(fd, "2probe");
    is_str(frame(fd), "T:3probe", "probes");
    put_text(fd, "5");
    put_text(fd, "2");
    is_str(frame(fd), "T:3", "and takes over, and speaks revision 3");
    close(fd);
    engine_down();
    no_eio3 = 1;
    engine_up("/axr");
    is_str(http("GET", "transport=polling", ""), unsupported, "where revision 3 is not served");
    is_str(http("GET", "EIO=3&transport=polling", ""), unsupported, "nor by name");
    fd = dial();
    ok(strncmp(upgrade(fd, "transport=websocket", ""), "HTTP/1.1 400 ", 13) == 0,
       "nor over WebSocket");
    close(fd);
    poll_open(4, "", "200 0{\"sid\":\"");
    snprintf(query, sizeof(query), "transport=polling&sid=%s", sid);
    is_str(http("GET", query, ""), "400 {\"code\":3,\"message\":\"Bad request\"}", "4 it remains");
    engine_down();
    no_eio3 = 0;
    engine_up("/axr");
}

/* What is not the client's own costs the session nothing. */
static void test_guarded(void)
{
    static const char forbidden[] = "{\"code\":4,\"message\":\"Forbidden\"}";
    uint64_t counted = engine->eio->stats.eio_errors[EIO_FORBIDDEN];
    char own[160], query[160], want[64];
    int fd, get, len;

    poll_open(4, "", "200 0{\"sid\":\"");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    socket_guard(last, 1);
    closes = 0;
    fan("[\"m\",1", 0);
    snprintf(own, sizeof(own), "%s&own", poll_query);
    snprintf(want, sizeof(want), "403 %s", forbidden);
    is_str(http("GET", poll_query, ""), want, "a GET that is not the client's hears nothing");
    is_str(http("POST", poll_query, "41/axr,"), want, "nor is a POST heard");
    snprintf(query, sizeof(query), "EIO=4&transport=websocket&sid=%s", sid);
    fd = dial();
    ok(strncmp(upgrade(fd, query, ""), "HTTP/1.1 400 ", 13) == 0, "nor does it upgrade");
    close(fd);
    is_int(engine->eio->stats.eio_errors[EIO_FORBIDDEN] - counted, 3, "they are counted");
    is_str(http("GET", own, ""), "200 42/axr,[\"m\",1]", "its own does");
    get = dial();
    len = snprintf(query, sizeof(query), "GET /notifications/?%s HTTP/1.1\r\nHost: h\r\n\r\n", own);
    put(get, query, (size_t)len);
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_str(http("GET", poll_query, ""), want, "a second GET that is not its own");
    fan("[\"m\",2", 0);
    ok(heard(get, "\r\n\r\n42/axr,[\"m\",2]"), "does not disturb the one that waits");
    close(get);
    is_int(closes, 0, "the session goes on");
    socket_guard(last, 0);
    fan("[\"m\",3", 0);
    is_str(http("GET", poll_query, ""), "200 42/axr,[\"m\",3]", "no more guarded");
}

/* A polling session that is in the namespace, and a GET of it that waits. */
static int waiting_get(const char *more)
{
    char request[1024];
    int len, get = dial();

    poll_open(4, "", "0{");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    len = snprintf(request, sizeof(request), "GET /notifications/?%s%s HTTP/1.1\r\nHost: h\r\n\r\n",
                   poll_query, more);
    put(get, request, (size_t)len);
    for (int i = 0; i < 10; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    return get;
}

/* A request behind the GET that an upgrade ends must not be served in the middle
 * of that upgrade: it may end the session. */
static void test_upgrade_behind(void)
{
    char request[512], query[128];
    int get, fd;

    get = waiting_get("");
    snprintf(request, sizeof(request),
             "POST /notifications/?%s HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1",
             poll_query);
    put(get, request, strlen(request));
    snprintf(query, sizeof(query), "EIO=4&transport=websocket&sid=%s", sid);
    fd = dial();
    upgrade(fd, query, "");
    put_text(fd, "5");
    ok(heard(get, "\r\n\r\n6"), "the GET that waits is answered with a noop");
    ok(heard(get, "{\"code\":3,"), "the POST behind it comes too late");
    close(get);
    fan("[\"m\",1", 0);
    is_str(frame(fd), "T:42/axr,[\"m\",1]", "and the upgrade is done");
    close(fd);
    poll_open(3, "&b64=1", ":0{");
    http("POST", poll_query, "7:40/axr,");
    http("GET", poll_query, "");
    snprintf(query, sizeof(query), "EIO=3&transport=websocket&sid=%s", sid);
    fd = dial();
    upgrade(fd, query, "");
    fan("[\"b\",1", 1);
    put_text(fd, "5");
    fan("[\"b\",2", 1);
    for (int i = 1; i <= 2; i++) {
        frame(fd);
        is_str(frame(fd), "B:040102", "b64 is of the transport that asked for it");
    }
    close(fd);
}

/* Posts a chunked body; returns the status. */
static int post_chunked(const char *body)
{
    char request[1024], reply[13] = "";
    int fd = dial();
    int len = snprintf(request, sizeof(request),
                       "POST /notifications/?%s HTTP/1.1\r\nHost: h\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n%s",
                       poll_query, body);

    put(fd, request, (size_t)len);
    take(fd, reply, 12);
    close(fd);
    return (int)strtol(reply + 9, NULL, 10);
}

static void test_bodies(void)
{
    poll_open(4, "", "0{");
    closes = 0;
    is_int(post_chunked("9\r\n40/axr,{}\r\n0\r\n\r\n"), 200, "a chunked body");
    ok(strncmp(http("GET", poll_query, ""), "200 40/axr,", 11) == 0, "is read");
    is_int(post_chunked("3\r\n42/\r\n186A1\r\n"), 413, "one that is too large");
    is_int(closes, 0, "costs the session nothing");
    is_int(post_chunked("3\r\n42/x"), 400, "a malformed one");
    is_int(closes, 1, "ends it at once");
    is_str(http("GET", poll_query, ""), "200 1", "as the next GET hears");
}

static void test_bursts(void)
{
    static char json[100000];
    char got[1000];
    size_t n = 0, room = 1500000;
    char *all = malloc(room);
    struct socket *ours, *other;
    int get;

    get = waiting_get("");
    memcpy(json, "[\"", 2);
    memset(json + 2, 'x', sizeof(json) - 4);
    memcpy(json + sizeof(json) - 2, "\"", 2);
    closes = 0;
    for (int i = 0; i < 12; i++)
        fan(json, 0);
    n = take(get, all, 1000000);
    is_int((long)n, 1000000, "more than send_buffer at once, while a GET waits");
    is_int(closes, 0, "does not end the session");
    free(all);
    close(get);

    get = waiting_get("&j=0");
    ours = last;
    poll_open(4, "", "0{");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    other = last;
    for (int i = 0; i < 200; i++) {
        snprintf(got, sizeof(got), "[%d", i);
        last = ours;
        fan(got, 0);
        last = other;
        fan("[\"other\"", 0);
    }
    ok(heard(get, "\r\n\r\n___eio[0](\"42/axr,[0]") && heard(get, "[199]\");"),
       "a script of many pieces is whole");
    close(get);
}

/* A connection whose answers are not read is about to end.  Nothing that it sends
 * is used any more: it may be a WebSocket that has no session. */
static void test_closing(void)
{
    static const char more[] = "GET /notifications/?transport=x HTTP/1.1\r\nHost: h\r\n\r\n";
    static const unsigned char frames[] = {0x81, 0x81, 0, 0, 0, 0, 'x',
                                           0x81, 0x81, 0, 0, 0, 0, 'y'};
    int fd = socket(AF_INET, SOCK_STREAM, 0), bytes = 2304, other, len;
    char query[128], all[65536];
    size_t n = 0;

    poll_open(4, "", "0{");
    snprintf(query, sizeof(query), "EIO=4&transport=websocket&sid=%s", sid);
    other = dial();
    upgrade(other, query, ""); /* so that the second is refused */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    loopback_connect(fd, port);
    for (; n < 60000; n += sizeof(more) - 1)
        memcpy(all + n, more, sizeof(more) - 1);
    len = snprintf(all + n, sizeof(all) - n,
                   "GET /notifications/?%s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
                   "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                   query);
    memcpy(all + n + len, frames, sizeof(frames));
    put(fd, all, n + (size_t)len + sizeof(frames));
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    put_text(other, "2probe");
    is_str(frame(other), "T:3probe", "input behind unread answers does no harm");
    close(fd);
    close(other);
}

/* What the kernel holds for a client that does not read, or has vanished, is
 * bounded; connections have it from their listener. */
static void test_kernel_share(void)
{
    socklen_t size = sizeof(int);
    int there, listener = loopback_listen(0, &there), client, accepted, value = 0;

    engine_up("/axr");
    engine_listen(engine, listener, 0);
    client = loopback_dial(there);
    accepted = accept(listener, NULL, NULL); /* before the engine, whose loop does not run */
    getsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &value, &size);
    is_int(value, 128 << 10, "the kernel holds 128 KB for a connection");
    getsockopt(accepted, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &size);
    is_int(value, 16 << 10, "of which 16 KB may wait to be sent");
    close(accepted);
    close(client);
    engine_free(&engine);
    close(listener);
}

static void overflow(void)
{
    closes = 0;
    for (int i = 0; i < 400; i++)
        fan("[\"0123456789\"", 0);
}

/* What did not fit is lost, so the session has to end, whatever comes first. */
static void test_overflow(void)
{
    char request[512], query[128];
    const char *reply;
    int fd, len;

    poll_open(4, "", "0{");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    overflow();
    pump(&closes);
    is_int(last_why, CLOSE_SEND_BUFFER, "too much waits for a GET");
    reply = http("GET", poll_query, "");
    ok(strncmp(reply, "200 42/axr,", 11) == 0 && strcmp(reply + strlen(reply) - 2, "\"]") == 0,
       "the next one gets what fitted");
    is_str(http("GET", poll_query, ""), "400 {\"code\":1,\"message\":\"Session ID unknown\"}",
           "the one after it hears of it");

    poll_open(4, "", "0{");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    len = snprintf(request, sizeof(request), "GET /notifications/?%s HTTP/1.1\r\nHost: h\r\n\r\n",
                   poll_query);
    fd = dial();
    put(fd, request, (size_t)len);
    overflow();
    ok(heard(fd, "\r\n\r\n42/axr,"), "a GET that is on its way");
    pump(&closes);
    is_int(last_why, CLOSE_SEND_BUFFER, "does not save the session");
    close(fd);

    poll_open(4, "", "0{");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    snprintf(query, sizeof(query), "EIO=4&transport=websocket&sid=%s", sid);
    fd = dial();
    upgrade(fd, query, "");
    put_text(fd, "2probe");
    is_str(frame(fd), "T:3probe", "probed");
    put_text(fd, "5");
    overflow();
    is_str(frame(fd), "EOF", "nor does an upgrade");
    pump(&closes);
    is_int(last_why, CLOSE_SEND_BUFFER, "for the same reason");
    close(fd);
}

/* Output that nobody comes for any more is counted under what ended the session. */
static void test_overflow_counted(void)
{
    struct snapshot before;
    uint64_t queued;

    poll_open(4, "", "0{");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    before = snapshot();
    overflow();
    ok(engine->sio.stats.dropped[CLOSE_SEND_BUFFER] > before.sio.dropped[CLOSE_SEND_BUFFER],
       "what does not fit is dropped");
    pump(&closes);
    is_int(last_why, CLOSE_SEND_BUFFER, "and the session is over");
    queued = engine->net->stats.queued_bytes;
    ok(queued > 0, "what fitted is kept for a last GET");
    last->session.heartbeat_due_ms = clock_ms(); /* which would be its time, 10 s later */
    session_rearm(&last->session);
    while (engine->eio->nsessions > 0)
        event_base_loop(base, EVLOOP_ONCE);
    is_int(engine->net->stats.queued_bytes, 0, "which does not come");
    is_int(engine->net->stats.discarded_bytes[CLOSE_SEND_BUFFER] -
               before.net.discarded_bytes[CLOSE_SEND_BUFFER],
           queued, "so it is lost, to the overflow");
    is_int(engine->net->stats.discarded_bytes[CLOSE_CLIENT] -
               before.net.discarded_bytes[CLOSE_CLIENT],
           0, "and to nothing else");
}

/* Adds to *sum_us what has been observed since then; returns how many times. */
static int observed(const struct snapshot *before, uint64_t *sum_us)
{
    uint64_t n = 0;

    for (int i = 0; i < LATENCY_BUCKETS; i++)
        n += engine->net->stats.latency.buckets[i] - before->net.latency.buckets[i];
    *sum_us = engine->net->stats.latency.sum_us - before->net.latency.sum_us;
    return (int)n;
}

static void fan_from(uint64_t at_us)
{
    struct fanout fan;

    fanout_begin(&engine->sio, &fan, SLICE("[\"m\",1"), NULL, 0, 0);
    fanout_received(&fan, at_us);
    fanout_send(&fan, last);
    fanout_end(&fan);
}

/* A client that polls is not always there: what it stays away for is no latency. */
static void test_latency_polling(void)
{
    struct snapshot before;
    char query[128];
    uint64_t sum_us;
    int fd;

    engine_up("/axr");
    fd = waiting_get("");
    before = snapshot();
    fan_from(clock_us() - 3600000000U);
    ok(heard(fd, "42/axr,[\"m\",1]"), "one whose GET waits");
    is_int(observed(&before, &sum_us), 1, "is observed");
    ok(sum_us >= 3599000000U, "from the receipt on");
    close(fd);

    poll_open(4, "", "0{");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    before = snapshot();
    fan_from(clock_us() - 3600000000U);
    is_int(observed(&before, &sum_us), 0, "nothing is written to one that is away");
    is_str(http("GET", poll_query, ""), "200 42/axr,[\"m\",1]", "until it comes");
    is_int(observed(&before, &sum_us), 1, "then it is observed");
    ok(sum_us < 1800000000U, "from its coming on (%llu us)", (unsigned long long)sum_us);

    before = snapshot();
    fan_from(clock_us() - 3600000000U);
    snprintf(query, sizeof(query), "EIO=4&transport=websocket&sid=%s", sid);
    fd = dial();
    upgrade(fd, query, "");
    put_text(fd, "2probe");
    is_str(frame(fd), "T:3probe", "or comes over WebSocket");
    put_text(fd, "5");
    is_str(frame(fd), "T:42/axr,[\"m\",1]", "and gets it there");
    is_int(observed(&before, &sum_us), 1, "the same");
    ok(sum_us < 1800000000U, "from then on (%llu us)", (unsigned long long)sum_us);
    close(fd);
    engine_down();
}

static void test_full(void)
{
    int fd;

    connections_max = 2;
    engine_up("/axr");
    for (int i = 0; i < 2; i++) {
        poll_open(4, "", "0{");
        http("POST", poll_query, "40/axr,{}");
        is_int(engine_is_full(engine), i, "full of users, or not yet");
    }
    fd = dial();
    ok(strncmp(upgrade(fd, "EIO=4&transport=websocket", ""), "HTTP/1.1 503 ", 13) == 0,
       "no room for another session: refused before the upgrade");
    close(fd);
    engine_down();
    connections_max = 1000;
}

/* A connection that is there may bring a session while the engine drains. */
static void test_late_session(void)
{
    int fd, other, late;

    engine_up("/axr");
    late = dial();
    fd = client4();
    other = client4();
    engine_drain(engine, 4000, on_drained, NULL);
    is_str(frame(fd), "EOF", "a drained client is sent away");
    ok(strncmp(upgrade(late, "EIO=4&transport=websocket", ""), "HTTP/1.1 101 ", 13) == 0,
       "one comes late");
    frame(late);
    is_str(frame(other), "EOF", "the next is sent away");
    is_str(frame(late), "EOF", "and so is the late one");
    close(late);
    close(other);
    close(fd);
    pump(&drained);
    is_int(drained, 1, "drained");
    engine_down();
}

/* --- several processes --- */

/* A connection that another has accepted; returns the client's end. */
static int adopt(const char *query, const char *rest, int orphan)
{
    char request[512];
    int fds[2], len = snprintf(request, sizeof(request),
                               "GET /notifications/?%s HTTP/1.1\r\nHost: h\r\n%s", query, rest);

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0 ||
        engine_adopt(engine, fds[1], NULL, request, (size_t)len, orphan) < 0)
        ok(0, "adopted");
    return fds[0];
}

/* Whose way is full: there need not be a worker that it leads to. */
static void test_way_full(const char *query, const char *whose)
{
    char name[64], line[256] = "";
    FILE *log;
    int fd;

    snprintf(name, sizeof(name), "/tmp/test_engine.%d", (int)getpid());
    ok(log_open(LOG_TO_FILE, name, LOG_TEXT) == 0, "a log");
    handoff_result = 1;
    fd = adopt(query, "\r\n", 0);
    ok(heard(fd, "HTTP/1.1 503"), "a second in which nobody takes it");
    handoff_result = 0;
    close(fd);
    log = fopen(name, "r");
    ok(log != NULL && fgets(line, sizeof(line), log) != NULL && strstr(line, whose) != NULL, "%s",
       line);
    if (log != NULL)
        fclose(log);
    ok(log_open(LOG_TO_STDERR, NULL, LOG_TEXT) == 0 && unlink(name) == 0, "and no more of it");
}

static void test_lanes(void)
{
    /* 128 bits; then process 300 = 0x12c: 0x2c and the highest bit of the next */
    static const char other[] = "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAACyAAAAAAAAA";
    int fd;

    used = &one_of_many;
    offer_polling = 1;
    process = 44;
    engine_up("/axr");
    handed = 0;
    close(adopt(other, "\r\n", 0));
    ok(handed == 1 && handed_to == 300, "a session of process 300");
    fd = adopt(other, "\r\n", 1);
    ok(heard(fd, "HTTP/1.1 400") && handed == 1, "an orphan is handed to no other");
    close(fd);
    poll_open(4, "", "200 0{\"sid\":\"");
    is_str(http("POST", poll_query, "40/axr,{}"), "200 ok", "one of process 44 is served");
    is_int(handed, 1, "here");
    test_way_full(other, "for the session's worker");
    engine_free(&engine);
    process = 300;
    engine_up("/axr");
    poll_open(4, "", "200 0{\"sid\":\"");
    is_str(http("POST", poll_query, "40/axr,{}"), "200 ok", "one of slot 300 is, too");
    ok(strncmp(http("GET", poll_query, ""), "200 40/axr,{\"sid\":\"", 19) == 0, "where it lives");
    is_int(handed, 1, "and is not taken for another's");
    engine_free(&engine);
    process = 1;
}

static void test_migrate(void)
{
    int ws, late, idle, half, fd;

    engine_up("/axr");
    handed = 0;
    late = dial();
    half = dial();
    put(half, "GET /not", 8);
    idle = dial();
    put(idle, "GET /notifications/?transport=none HTTP/1.1\r\nHost: h\r\n\r\n", 56);
    ok(heard(idle, "HTTP/1.1 400"), "a connection that is kept");
    poll_open(4, "", "200 0{\"sid\":\"");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    fan("[\"m\",1", 0);
    ws = client4();
    engine_migrate(engine, 1500, on_drained, NULL);
    put(late, "GET /notifications/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n\r\n", 65);
    is_str(last_frame(ws), "EOF", "a client is sent away");
    close(ws);
    is_int(handed, 1, "a handshake is handed on");
    ok(handed_to == HTTP_SUCCESSOR && handed_len == 65, "to a successor, as it came");
    fd = adopt(poll_query, "Connection: close\r\n\r\n", 0);
    ok(heard(fd, "42/axr,[\"m\",1]"), "one that polls hears everything");
    close(fd);
    fd = adopt(poll_query, "Connection: close\r\n\r\n", 0);
    ok(heard(fd, "\r\n\r\n1"), "and then that it is over");
    close(fd);
    pump(&drained);
    is_int(drained, 1, "drained");
    is_int(handed, 3,
           "what is left is handed on: nothing read of one, half a request of the other");
    is_int((long)engine_connections(engine), 0, "and nobody is cut off");
    is_int(engine->http->stats.handoffs_sent, 3, "which is counted");
    close(late);
    close(idle);
    close(half);
    engine_free(&engine);

    engine_up("/axr");
    poll_open(4, "", "200 0{\"sid\":\"");
    http("POST", poll_query, "40/axr,{}");
    engine_migrate(engine, 300, on_drained, NULL);
    handoff_result = 1;
    late = adopt("EIO=4&transport=polling", "\r\n", 0);
    ok(heard(late, "HTTP/1.1 503"), "a successor that takes nothing for a second");
    close(late);
    handoff_result = -1;
    late = adopt("EIO=4&transport=polling", "\r\n", 0);
    ok(heard(late, "HTTP/1.1 503"), "or none at all");
    close(late);
    handoff_result = 0;
    is_int(engine->http->stats.handoffs_failed, 2, "both are counted");
    pump(&drained);
    is_int(drained, 1, "one that never polls again keeps nobody");
    engine_free(&engine);

    engine_up("/axr");
    handed = 0;
    ws = client4();
    poll_open(4, "", "200 0{\"sid\":\"");
    http("POST", poll_query, "40/axr,{}");
    http("GET", poll_query, "");
    fd = adopt(poll_query, "\r\n", 0);
    idle = adopt("", "", 0);
    engine_migrate(engine, 60000, on_drained, NULL);
    engine_migrate_now(engine);
    is_int(handed, 2, "its time is over: what can be is handed on");
    engine_free(&engine);
    is_str(last_frame(ws), "EOF", "clients are sent away");
    ok(heard(fd, "\r\n\r\n1"), "those that poll are told");
    close(ws);
    close(fd);
    close(idle);
    engine_up("/axr");
    engine_free(&engine);
    used = &app;
    offer_polling = 0;
}

/* It has not read what waits for it: it is closed when it has, or at the end. */
static void test_migrate_blocked(void)
{
    static char big[60000];
    int slow, fd, n = 0, last_number = -1, wrong = 0;
    const char *got;
    char json[sizeof(big) + 32];

    send_buffer = 64 << 20;
    send_timeout_ms = 20000;
    engine_up("/axr");
    slow = client4();
    memset(big, 'x', sizeof(big) - 1);
    while (n < 200) {
        snprintf(json, sizeof(json), "[%d,\"%s\"", n, big);
        fan(json, 0);
        n++;
        for (int i = 0; i < 3; i++)
            event_base_loop(base, EVLOOP_NONBLOCK);
    }
    fd = client4();
    closes = 0;
    engine_migrate(engine, 20000, on_drained, NULL);
    is_str(last_frame(fd), "EOF", "one that reads is closed");
    is_int(closes, 1, "one that does not, waits");
    close(fd);
    while (strncmp(got = frame(slow), "T:42/axr,[", 10) == 0) {
        wrong += atoi(got + 10) != last_number + 1;
        last_number = atoi(got + 10);
    }
    ok(wrong == 0 && last_number == n - 1, "it hears everything (%d of %d)", last_number + 1, n);
    is_str(got, "EOF", "and then, that it is over");
    close(slow);
    pump(&drained);
    is_int(drained, 1, "drained");
    engine_free(&engine);
    send_buffer = 1 << 20;
    send_timeout_ms = 1000;
}

/* Nor is one closed whose output stands behind that of others, for it seemed not to
 * read: what the kernel does not take at once would have a second. */
static void test_migrate_slow(void)
{
    int fd;

    engine_up("/axr");
    fd = client4();
    closes = 0;
    engine_migrate(engine, 20000, on_drained, NULL);
    last->session.ws->slow = 1;
    fan("[1", 0);
    event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(closes, 0, "one that lags is not closed before it has been written to");
    is_str(frame(fd), "T:42/axr,[1]", "it is");
    is_str(frame(fd), "EOF", "and closed then");
    close(fd);
    pump(&drained);
    is_int(drained, 1, "drained");
    engine_free(&engine);
}

/* Of an answer to a GET, what has not left is lost with its connection: a session
 * that went on would have a gap. */
static void test_answer_lost(void)
{
    static const char unknown[] = "400 {\"code\":1,\"message\":\"Session ID unknown\"}";
    static char json[100000];
    int get;

    memcpy(json, "[\"", 2);
    memset(json + 2, 'x', sizeof(json) - 4);
    memcpy(json + sizeof(json) - 2, "\"", 2);
    offer_polling = 1;
    engine_up("/axr");
    get = waiting_get("");
    closes = 0;
    last_why = CLOSE_PROTOCOL;
    for (int i = 0; i < 8; i++) /* more than the kernel takes */
        fan(json, 0);
    pump(&closes);
    is_int(last_why, CLOSE_SEND_TIMEOUT, "who does not read the answer is disconnected");
    is_str(http("GET", poll_query, ""), unknown, "for good");
    close(get);
    get = waiting_get("");
    closes = 0;
    last_why = CLOSE_PROTOCOL;
    for (int i = 0; i < 8; i++)
        fan(json, 0);
    for (int i = 0; i < 10; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    close(get);
    pump(&closes);
    is_int(last_why, CLOSE_CLIENT, "and so is who resets the connection amid the answer");
    is_str(http("GET", poll_query, ""), unknown, "for good, too");
    engine_down();
    offer_polling = 0;
}

/* A connection is idle when its answer has left, and not while it leaves slowly. */
static void test_answer_slow(void)
{
    static char json[100000], sink[8 * 100000];
    struct conn *conn;
    int get;

    memcpy(json, "[\"", 2);
    memset(json + 2, 'x', sizeof(json) - 4);
    memcpy(json + sizeof(json) - 2, "\"", 2);
    offer_polling = 1;
    send_timeout_ms = 60000;
    engine_up("/axr");
    get = waiting_get("");
    for (int i = 0; i < 8; i++) /* more than the kernel takes */
        fan(json, 0);
    for (int i = 0; i < 10; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    for (conn = engine->net->conns; conn != NULL && conn->leaving == 0;)
        conn = conn->next;
    ok(conn != NULL && conn->blocked, "an answer leaves slowly");
    if (conn != NULL) {
        conn->due_ms = clock_ms();
        conn_timeout(&conn->timer, conn->due_ms, engine->net);
    }
    is_int(take(get, sink, sizeof(sink)), sizeof(sink), "a minute later it still does");
    is_int(closes, 0, "which does not end the session");
    close(get);
    engine_down();
    send_timeout_ms = 300;
    offer_polling = 0;
}

static void test_configure(void)
{
    static char *nobody[] = {NULL};
    struct engine_options options = {.origins = nobody,
                                     .http = {1024, 8},
                                     .connections_max = 2,
                                     .send_buffer = 4096,
                                     .send_timeout_ms = 100,
                                     .connect_timeout_ms = 100,
                                     .upgrade_timeout_ms = 100};
    int fd, late;

    connections_max = 1;
    engine_up("/axr");
    fd = client4();
    late = dial();
    engine_configure(engine, &options);
    ok(strncmp(upgrade(late, "EIO=4&transport=websocket", "Origin: https://app.example\r\n"),
               "HTTP/1.1 400", 12) == 0,
       "room for one more; and an origin that is foreign now");
    close(late);
    put_text(fd, "42/axr,[1]");
    last_why = CLOSE_CLIENT;
    fan("[1", 0);
    is_str(frame(fd), "T:42/axr,[1]", "who was there is served");
    late = client("EIO=4&transport=websocket");
    closes = 0;
    pump(&closes);
    is_int(last_why, CLOSE_CONNECT_TIMEOUT, "another connectTimeout");
    close(late);
    close(fd);
    engine_free(&engine);
    connections_max = 1000;
}

/* Sends a request of HTTP/1.0; the answer's head, up to its empty line. */
static const char *ask10(int fd, const char *method, const char *query, const char *lines,
                         const char *body)
{
    static char reply[2048];
    char request[1024];
    size_t n = 0;
    int len = snprintf(request, sizeof(request), "%s /notifications/?%s HTTP/1.0\r\n%s\r\n%s",
                       method, query, lines, body);

    put(fd, request, (size_t)len);
    while (n < sizeof(reply) - 1 && take(fd, reply + n, 1) == 1) {
        reply[++n] = '\0';
        if (n > 3 && strcmp(reply + n - 4, "\r\n\r\n") == 0)
            break;
    }
    reply[n] = '\0';
    return reply;
}

static int is_open(int fd)
{
    char bytes[256];
    ssize_t n;

    for (int i = 0; i < 10; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    do /* what is left of an answer */
        n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    while (n > 0);
    return n < 0 && errno == EAGAIN;
}

/* What a client of HTTP/1.0 is told of its connection is done. */
static void test_http10(void)
{
    static const char keep[] = "Connection: keep-alive\r\n",
                      post[] = "Connection: Keep-Alive\r\nContent-Length: 2\r\n",
                      says[] = "\r\nConnection: keep-alive\r\n",
                      ends[] = "\r\nConnection: close\r\n";
    int fd = dial();

    poll_open(4, "", "200 0{\"sid\":\"");
    ok(strstr(ask10(fd, "GET", "EIO=4&transport=polling", keep, ""), says) != NULL, "a handshake");
    ok(is_open(fd), "after which the connection is kept");
    ok(strstr(ask10(fd, "POST", poll_query, post, "40"), says) != NULL, "a POST");
    ok(is_open(fd), "after that too");
    ok(strstr(ask10(fd, "GET", poll_query, keep, ""), says) != NULL, "a GET");
    ok(is_open(fd), "and then");
    ok(strstr(ask10(fd, "GET", "EIO=4&transport=none", keep, ""), says) != NULL, "an error");
    ok(is_open(fd), "and then");
    ok(strstr(ask10(fd, "PUT", poll_query, keep, ""), ends) != NULL, "one after which it ends");
    ok(!is_open(fd), "ends");
    close(fd);
    fd = dial();
    ok(strstr(ask10(fd, "GET", "EIO=4&transport=polling", "", ""), ends) != NULL, "unasked");
    ok(!is_open(fd), "it is not kept");
    close(fd);
    fd = dial();
    ok(strstr(ask10(fd, "GET", "EIO=4&transport=polling", "Connection: keep-alive, close\r\n", ""),
              ends) != NULL,
       "with both words");
    ok(!is_open(fd), "neither");
    close(fd);
    ok(strstr(http("GET", "EIO=4&transport=polling", ""), "keep-alive") == NULL, "HTTP/1.1");
}

/* A connection is kept for its next request for as long as it is said. */
static void test_idle(void)
{
    struct engine_options options;
    uint64_t since;
    int fd, ended = 0;

    idle_timeout_ms = 300;
    engine_up("/axr");
    options = up_options;
    fd = dial();
    since = clock_ms();
    ok(strstr(ask10(fd, "GET", "EIO=4&transport=none", "Connection: keep-alive\r\n", ""),
              " 400 ") != NULL,
       "an answer");
    while (!ended && clock_ms() < since + WAIT_MS)
        ended = !is_open(fd);
    ok(ended && clock_ms() >= since + 300, "ends when the time is over");
    close(fd);
    options.idle_timeout_ms = 60000;
    engine_configure(engine, &options);
    fd = dial();
    ask10(fd, "GET", "EIO=4&transport=none", "Connection: keep-alive\r\n", "");
    ok(engine->net->conns != NULL && engine->net->conns->due_ms > clock_ms() + 50000,
       "another time, live");
    close(fd);
    engine_down();
    idle_timeout_ms = 0;
}

/* The limit falls to what is there already: nobody comes in, but when one goes. */
static void test_lower_limit(void)
{
    struct engine_options options = {.http = {1024, 8},
                                     .connections_max = 1,
                                     .send_buffer = 4096,
                                     .send_timeout_ms = 1000,
                                     .connect_timeout_ms = 10000,
                                     .upgrade_timeout_ms = 1000};
    int fd, late;

    engine_up("/axr");
    fd = client4();
    engine_configure(engine, &options);
    late = dial();
    for (int i = 0; i < 10; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    is_int((long)engine_connections(engine), 1, "no more than the new limit");
    is_int((long)engine->net->stats.accepted, 1, "the next one waits");
    close(fd);
    ok(strncmp(upgrade(late, "EIO=4&transport=websocket", ""), "HTTP/1.1 101 ", 13) == 0,
       "until there is a place");
    is_int((long)engine_connections(engine), 1, "for one");
    close(late);
    engine_down();
}

static void test_root_namespace(void)
{
    int fd;

    engine_up("/");
    fd = client("EIO=3&transport=websocket");
    is_str(frame(fd), "T:40", "EIO3 is let into / unasked");
    is_int(connects, 1, "by the application");
    close(fd);
    verdict = -1;
    fd = client("EIO=3&transport=websocket");
    is_str(frame(fd), "T:44\"no\"", "or refused, without a 40");
    is_str(frame(fd), "T:41", "then a DISCONNECT");
    close(fd);
    engine_down();
}

/* --- ends of polling that Engine.IO answers with an error at once --- */

static void test_polling_ends(void)
{
    static const char unknown[] = "400 {\"code\":1,\"message\":\"Session ID unknown\"}";
    char request[256];
    int fd;

    poll_open(4, "", "200 0{\"sid\":\"");
    fd = dial();
    put(fd, request,
        (size_t)snprintf(request, sizeof(request),
                         "GET /notifications/?%s HTTP/1.1\r\nHost: h\r\n\r\n", poll_query));
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    is_str(http("POST", poll_query, "1"), "200 ok", "a client leaves");
    ok(heard(fd, "\r\n\r\n6"), "its GET is answered with a noop");
    close(fd);
    is_str(http("GET", poll_query, ""), unknown, "and its session is unknown");
    poll_open(3, "&b64=1", ":0{\"sid\":\"");
    http("POST", poll_query, "6:40/axr");
    http("GET", poll_query, "");
    last->session.heartbeat_due_ms = clock_ms();
    last->session.overdue = 1; /* it has been looked for */
    session_rearm(&last->session);
    for (uint64_t end = clock_ms() + 100; clock_ms() < end;)
        ;
    is_str(http("POST", poll_query, "1:2"), unknown,
           "a session whose time is over is, though no timer has run yet");
    is_int(last_why, CLOSE_PING_TIMEOUT, "ping timeout");
}

static void test_refused_polling(void)
{
    static const char unknown[] = "400 {\"code\":1,\"message\":\"Session ID unknown\"}";
    char request[256];
    int fd;

    verdict = -1;
    closes = 0;
    poll_open(4, "", "200 0{\"sid\":\"");
    http("POST", poll_query, "40/axr,{}");
    is_str(http("GET", poll_query, ""), "200 " REFUSAL4, "refused over polling");
    fd = dial();
    put(fd, request,
        (size_t)snprintf(request, sizeof(request),
                         "GET /notifications/?%s HTTP/1.1\r\nHost: h\r\n\r\n", poll_query));
    beat(last);
    ok(heard(fd, "\r\n\r\n2"), "it may poll on");
    close(fd);
    http("POST", poll_query, "3");
    is_int(closes, 0, "and is not closed yet");
    due(last);
    pump(&closes);
    is_int(last_why, CLOSE_REFUSED, "until its time is over");
    is_str(http("GET", poll_query, ""), "200 41/axr,", "it is told to go");
    is_str(http("GET", poll_query, ""), "200 1",
           "then that it is over: clients 4.x would act on "
           "that first if both came at once");
    is_str(http("GET", poll_query, ""), unknown, "and it is");
    verdict = 1;
}

/* --- without Socket.IO --- */

static void test_messages(void)
{
    static const unsigned char both[] = "200 \0\2\xff"
                                        "4a\1\3\xff\4\1\2";
    int fd;

    echo_up();
    fd = client("EIO=4&transport=websocket");
    put_text(fd, "42{}");
    is_str(frame(fd), "T:42{}", "a text comes back, whatever it is");
    put_frame(fd, 0x82, "\1\2", 2);
    is_str(frame(fd), "B:0102", "binary too");
    put_frame(fd, 0x82, "", 0);
    is_str(frame(fd), "B:", "and none");
    close(fd);
    fd = client("EIO=3&transport=websocket");
    put_frame(fd, 0x82, "\4\1\2", 3);
    is_str(frame(fd), "B:040102", "EIO3, with its type, and nothing before it");
    close(fd);
    fd = client("EIO=4&transport=websocket&b64=1");
    put_text(fd, "bAQI=");
    is_str(frame(fd), "T:bAQI=", "as base64 to who cannot take it");
    close(fd);
    poll_open(4, "", "200 0{\"sid\":\"");
    http("POST", poll_query,
         "4a\x1e"
         "bAQI=\x1e"
         "4\u00e9");
    is_str(http("GET", poll_query, ""),
           "200 4a\x1e"
           "bAQI=\x1e"
           "4\u00e9",
           "EIO4 polling");
    poll_open(3, "&b64=1", ":0{\"sid\":\"");
    http("POST", poll_query, "4:4\u00e9\U0001f6006:b4AQI=");
    is_str(http("GET", poll_query, ""),
           "200 4:4\u00e9\U0001f6006:b4AQI=", "EIO3 polling counts UTF-16 units");
    poll_open(3, "", ":0{\"sid\":\"");
    http("POST", poll_query, "2:4a6:b4AQI=");
    is_mem(http("GET", poll_query, ""), sizeof(both) - 1, both, sizeof(both) - 1,
           "text and binary in one payload, where the client takes binary");
    engine_down();
}

/* --- open namespaces and whole packets --- */

static void test_open_namespaces(void)
{
    int fd = client("EIO=4&transport=websocket");

    put_text(fd, "40/custom");
    ok(strncmp(frame(fd), "T:40/custom,{\"sid\":\"", 20) == 0, "an open namespace");
    is_int(joins, 1, "the application hears of it");
    is_int(connects, 0, "and is not asked");
    put_text(fd, "42/custom,[\"a\"]");
    pump(&packets);
    is_str(heard_text, "2 /custom [\"a\"]", "an event there");
    put_text(fd, "40/nope,");
    is_str(frame(fd), "T:44/nope,{\"message\":\"Invalid namespace\"}", "one that there is not");
    put_text(fd, "41/custom");
    put_text(fd, "42/custom,[\"late\"]");
    put_text(fd, "40/custom,{}");
    ok(strncmp(frame(fd), "T:40/custom,", 12) == 0, "left, and in again");
    is_int(packets, 1, "what came between is dropped");
    put_text(fd, "42/more,[\"a\"]");
    is_str(frame(fd), "C:0", "an event for one that was not asked for is a fault");
    close(fd);
    is_int(lefts, 0, "the configured namespace was not entered");
}

static void test_whole_packets(void)
{
    static char large[60000];
    int fd = client4();

    packets = 0;
    put_text(fd, "452-/axr,7[\"a\",{\"_placeholder\":true,\"num\":0}]");
    put_frame(fd, 0x82, "\1\2", 2);
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(packets, 0, "not before all of it is there");
    put_frame(fd, 0x82, "", 0);
    pump(&packets);
    is_str(heard_text, "5 /axr [\"a\",{\"_placeholder\":true,\"num\":0}] 0102 ",
           "an event with attachments");
    put_text(fd, "461-/axr,7[0]");
    put_frame(fd, 0x82, "\3", 1);
    packets = 0;
    pump(&packets);
    is_str(heard_text, "6 /axr [0] 03", "an acknowledgement");
    put_text(fd, "452-/axr,[\"a\"]");
    put_frame(fd, 0x82, large, sizeof(large));
    put_frame(fd, 0x82, large, sizeof(large));
    is_str(frame(fd), "C:1009", "more than max_payload together is too much");
    is_int(last_why, CLOSE_TOO_BIG, "too big");
    close(fd);
    fd = client4();
    closes = 0;
    put_text(fd, "452-/axr,[\"a\"]");
    put_frame(fd, 0x82, "\1", 1);
    close(fd);
    pump(&closes);
    is_int(closes, 1, "a client may go in the middle of one");
}

static void test_wants(void)
{
    int fd = client4();

    put_text(fd, "452-/axr,7[\"a\",{\"_placeholder\":true,\"num\":0}]");
    put_frame(fd, 0x82, "\1\2", 2);
    put_frame(fd, 0x82, "\3", 1);
    put_text(fd, "461-/axr,7[0]");
    put_frame(fd, 0x82, "\3", 1);
    put_text(fd, "42/axr,8[\"text\"]");
    pump(&packets);
    is_str(heard_text, "2 /axr [\"text\"]", "text is told");
    is_int(packets, 1, "what has attachments that are not wanted is read and dropped");
    packets = 0;
    put_text(fd, "461-/axr,8[0]");
    put_frame(fd, 0x82, "\3", 1);
    pump(&packets);
    is_str(heard_text, "6 /axr [0] 03", "what is wanted is told, whole");
    is_str(socket_transport(last), "websocket", "what carries it");
    socket_ack(last, 8, SLICE("[{\"ok\":true}]"));
    is_str(frame(fd), "T:43/axr,8[{\"ok\":true}]", "an acknowledgement");
    close(fd);
    fd = client("EIO=3&transport=websocket");
    is_str(frame(fd), "T:40", "EIO3");
    put_text(fd, "40/axr");
    is_str(frame(fd), "T:40/axr,", "is in");
    socket_ack(last, 0, SLICE("[]"));
    is_str(frame(fd), "T:43/axr,0[]", "and gets the same");
    socket_disconnect(last, CLOSE_REPLACED);
    is_str(frame(fd), "T:41/axr,", "one that is disconnected is told");
    is_str(frame(fd), "C:0", "and closed");
    is_int(last_left, CLOSE_REPLACED, "left() has the reason");
    is_int(last_why, CLOSE_REPLACED, "closed() too");
    close(fd);
}

/* --- the client file --- */

/* Returns the whole answer, as long as it is short. */
static const char *asked(const char *method, const char *target, const char *lines)
{
    static char reply[8192];
    char request[512];
    int fd = dial();

    put(fd, request,
        (size_t)snprintf(request, sizeof(request),
                         "%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s\r\n", method, target,
                         lines));
    reply[take(fd, reply, sizeof(reply) - 1)] = '\0';
    close(fd);
    return reply;
}

static const char *script(const char *method, const char *lines)
{
    return asked(method, "/notifications/socket.io.js?v=1", lines);
}

static int is_file(const char *reply)
{
    return strncmp(reply, "HTTP/1.1 200 OK\r\n", 17) == 0 && strstr(reply, "\r\n\r\nfile!") != NULL;
}

static void test_script(void)
{
    char tag[64], lines[256];
    const char *reply;

    client_file = SLICE("file!");
    engine_up("/axr");
    reply = script("GET", "Origin: https://app.example\r\n");
    ok(is_file(reply), "served: %.12s", reply);
    ok(strstr(reply, "\r\nContent-Type: application/javascript; charset=utf-8\r\n") != NULL &&
           strstr(reply, "\r\nCache-Control: public, max-age=0\r\n") != NULL &&
           strstr(reply, "\r\nContent-Length: 5\r\n") != NULL &&
           strstr(reply, "\r\nAccess-Control-Allow-Origin: https://app.example\r\n") != NULL,
       "its headers");
    ok(sscanf(strstr(reply, "\r\nETag: "), "\r\nETag: %63s", tag) == 1 && tag[0] == '"', "tag");
    reply = script("HEAD", "");
    ok(strstr(reply, "\r\nContent-Length: 5\r\n") != NULL && strstr(reply, "file!") == NULL,
       "HEAD");
    snprintf(lines, sizeof(lines), "If-None-Match: \"x\", W/%s\r\n", tag);
    reply = script("GET", lines);
    ok(strncmp(reply, "HTTP/1.1 304 ", 13) == 0 && strstr(reply, tag) != NULL &&
           strstr(reply, "Content-") == NULL && strstr(reply, "file!") == NULL,
       "known already");
    ok(strncmp(script("GET", "If-None-Match: *\r\n"), "HTTP/1.1 304 ", 13) == 0, "in any form");
    ok(is_file(script("GET", "If-None-Match: \"x\"\r\n")), "another");
    reply = script("POST", "");
    ok(strncmp(reply, "HTTP/1.1 405 ", 13) == 0 && strstr(reply, "\r\nAllow: GET, HEAD\r\n"),
       "another method");
    engine_down();
    client_file = (struct slice){NULL, 0};
    engine_up("/axr");
    ok(strncmp(script("GET", ""), "HTTP/1.1 404 ", 13) == 0, "404 without a file");
    engine_down();
}

static int is_status(const char *reply)
{
    const char *body = strstr(reply, "\r\n\r\n");
    char time[32] = "";

    return strncmp(reply, "HTTP/1.1 200 OK\r\n", 17) == 0 && body != NULL &&
           sscanf(body + 4, "{\"name\":\"it\",\"time\":\"%24[0-9TZ:.-]\",\"version\":\"1.2\"}",
                  time) == 1 &&
           strlen(time) == 24 && time[10] == 'T' && time[23] == 'Z';
}

static void test_status(void)
{
    const char *reply;

    engine_up("/axr");
    ok(strncmp(asked("GET", "/status", ""), "HTTP/1.1 404 ", 13) == 0, "404 without a name");
    engine_down();
    service = "it";
    engine_up("/axr");
    reply = asked("GET", "/status", "Origin: https://app.example\r\n");
    ok(is_status(reply), "name, time, version");
    ok(strstr(reply, "\r\nAccess-Control-Allow-Origin: https://app.example\r\n") != NULL, "CORS");
    ok(is_status(asked("GET", "/status?x=1", "")), "with a query");
    reply = asked("HEAD", "/status", "");
    ok(strncmp(reply, "HTTP/1.1 200 ", 13) == 0 && strstr(reply, "name") == NULL, "HEAD");
    ok(strncmp(asked("OPTIONS", "/status", "Origin: https://app.example\r\n"), "HTTP/1.1 204 ",
               13) == 0,
       "preflight");
    reply = asked("DELETE", "/status", "");
    ok(strncmp(reply, "HTTP/1.1 405 ", 13) == 0 && strstr(reply, "\r\nAllow: GET, HEAD\r\n"),
       "another method");
    ok(strncmp(asked("GET", "/status/", ""), "HTTP/1.1 404 ", 13) == 0, "another path");
    ok(strncmp(asked("GET", "/statusx", ""), "HTTP/1.1 404 ", 13) == 0, "and another");
    engine_down();
    service = NULL;
}

/* Far more than send_buffer, asked for twice at once, to a client that takes its
 * time: more than send_timeout_ms, but for no piece of it. */
static void test_script_large(void)
{
    static const char request[] = "GET /notifications/socket.io.js HTTP/1.1\r\nHost: h\r\n\r\n"
                                  "GET /notifications/socket.io.js HTTP/1.1\r\nHost: h\r\n"
                                  "Connection: close\r\n\r\n";
    size_t len = 6U << 20, got = 0, n;
    char *text = calloc(1, len), *sink = malloc(1U << 20);
    uint64_t end;
    int fd;

    client_file = (struct slice){text, len};
    send_timeout_ms = 2000;
    engine_up("/axr");
    fd = dial();
    put(fd, request, sizeof(request) - 1);
    do {
        n = take(fd, sink, 1U << 20);
        got += n;
        for (end = clock_ms() + 200; clock_ms() < end;)
            event_base_loop(base, EVLOOP_NONBLOCK);
    } while (n > 0);
    ok(got > 2 * len && got < 2 * len + 2000, "a large file comes whole, twice: %zu", got);
    close(fd);
    engine_down();
    send_timeout_ms = 1000;
    client_file = (struct slice){NULL, 0};
    free(sink);
    free(text);
}

int main(void)
{
    static const char *const nsps[] = {"/more", "/custom", NULL};

    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    engine_up("/axr");
    test_refusals();
    test_half_closed("HTTP/1.1 400");
    test_eio4();
    test_timeouts();
    test_faults();
    test_pieces();
    test_fan();
    test_counts();
    test_large();
    test_stalled();
    test_refuse_and_drain();
    engine_down();
    test_own_first();
    test_root_namespace();
    offer_polling = 1;
    engine_up("/axr");
    test_polling();
    test_polling_acks();
    test_polling_pair();
    test_guarded();
    test_versions();
    test_http10();
    test_upgrade();
    test_upgrade_behind();
    test_bodies();
    test_bursts();
    test_half_closed("HTTP/1.1 200");
    test_polling_ends();
    engine_down();
    engine_up("/axr"); /* nobody else's end is to be taken for this one's */
    test_refused_polling();
    engine_down();
    test_idle();
    test_latency_polling();
    test_messages();
    open_nsps = nsps;
    engine_up("/axr");
    test_open_namespaces();
    test_whole_packets();
    engine_down();
    used = &wanting_app;
    engine_up("/axr");
    test_wants();
    engine_down();
    used = &app;
    open_nsps = NULL;
    test_script();
    test_status();
    test_script_large();
    send_buffer = 4096;
    engine_up("/axr");
    test_closing();
    test_overflow();
    engine_down();
    engine_up("/axr");
    test_overflow_counted();
    engine_down();
    send_buffer = 1 << 20;
    test_kernel_share();
    test_full();
    test_late_session();
    test_lanes();
    test_migrate();
    test_migrate_blocked();
    test_migrate_slow();
    test_answer_lost();
    test_answer_slow();
    test_configure();
    test_lower_limit();
    event_base_free(base);
    return tap_done();
}
