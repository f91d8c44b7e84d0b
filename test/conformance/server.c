/* conformance-server - what the public test suites of Engine.IO 3 and 4 and of
 * Socket.IO 5 expect of the server under test, on the daemon's own layers: the first two on
 * those up to src/eio, the last on src/sio too.  The daemon itself echoes nothing.
 *
 *     conformance-server [--port N] [--ping-interval MS] [--ping-timeout MS] [--allow-eio3 0]
 *
 * The suites of Engine.IO 4 and Socket.IO 5 want a request without EIO refused, as
 * Node's server does where allowEIO3 is false: --allow-eio3 0.  That of Engine.IO 3
 * wants revision 3.
 *
 * /engine.io/  every message comes back, text and binary; no Socket.IO.
 * /socket.io/  revision 4 only, namespaces "/" and "/custom": the event "auth" with what the client
 *              sent to get in; "message" comes back as "message-back", and
 *              "message-with-ack" is acknowledged, each with its arguments. */
#include "base/buf.h"
#include "codec/json.h"
#include "sio/socket.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OPEN_PAUSE_US 20000

/* --- Engine.IO --- */

static struct session *on_make(void *arg)
{
    (void)arg;
    return calloc(1, sizeof(struct session));
}

static void on_release(struct session *session, void *arg)
{
    (void)arg;
    free(session);
}

/* The suite of version 3 waits for the connection to be open and only then for the
 * first message: that must not arrive together with the 101; see hide_offer(). */
static int on_opened(struct session *session, const struct http_request *req,
                     const struct address *peer, void *arg)
{
    (void)req;
    (void)peer;
    (void)arg;
    session_known(session); /* there are no tokens */
    if (session_version(session) == EIO3)
        usleep(OPEN_PAUSE_US);
    return 0;
}

static void on_message(struct session *session, int binary, struct slice data, void *arg)
{
    (void)arg;
    if (binary)
        session_send_binary(session, data);
    else
        session_send(session, data);
}

static void on_over(struct session *session, enum close_reason why, void *arg)
{
    (void)session;
    (void)why;
    (void)arg;
}

static const struct eio_app echo = {
    .make = on_make,
    .release = on_release,
    .opened = on_opened,
    .message = on_message,
    .closed = on_over,
    .mixes = 1,
};

/* --- Socket.IO --- */

static void *on_socket_opened(struct socket *socket, const struct http_request *req,
                              const struct address *peer, void *arg)
{
    (void)req;
    (void)peer;
    (void)arg;
    return socket; /* nothing is kept: anything but NULL */
}

static void put_nsp(struct buf *out, struct slice nsp)
{
    if (slice_eq(nsp, SLICE("/")))
        return;
    buf_put(out, nsp.ptr, nsp.len);
    buf_putc(out, ',');
}

static void send_buf(struct socket *socket, struct buf *out)
{
    if (!out->failed)
        session_send(&socket->session, (struct slice){(char *)out->data, out->len});
    buf_free(out);
}

static void on_joined(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    struct slice auth = packet->data.len > 0 ? packet->data : SLICE("{}");
    struct buf out = {0};

    (void)arg;
    buf_putc(&out, '0' + SIO_EVENT);
    put_nsp(&out, packet->nsp);
    buf_puts(&out, "[\"auth\",");
    buf_put(&out, auth.ptr, auth.len);
    buf_putc(&out, ']');
    send_buf(socket, &out);
}

static void on_connect(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    socket_accept(socket, NULL);
    on_joined(socket, packet, arg);
}

/* What follows the event's name: ",arg,arg]", or "]" alone. */
static struct slice after_name(struct slice data, struct slice *name)
{
    const char *end = data.ptr + data.len, *at = data.ptr;
    long len;

    while (at < end && *at != '[')
        at++;
    at++;
    len = json_span(at, (size_t)(end - at));
    *name = (struct slice){at, (size_t)len};
    at += len;
    while (at < end && *at != ',' && *at != ']')
        at++;
    return (struct slice){at, (size_t)(end - at)};
}

/* "2", "3", "52-" or "62-", the namespace, and the id of an acknowledgement. */
static void put_head(struct buf *out, const struct sio_packet *packet, int is_ack)
{
    int type = is_ack ? SIO_ACK : SIO_EVENT;

    if (packet->attachments > 0)
        buf_printf(out, "%d%u-", is_ack ? SIO_BINARY_ACK : SIO_BINARY_EVENT, packet->attachments);
    else
        buf_printf(out, "%d", type);
    put_nsp(out, packet->nsp);
    if (is_ack)
        buf_printf(out, "%llu", (unsigned long long)packet->id);
}

static void on_packet(struct socket *socket, const struct sio_packet *packet,
                      const struct slice *attachments, void *arg)
{
    struct slice name, rest;
    struct buf out = {0};

    (void)arg;
    if (packet->type != SIO_EVENT && packet->type != SIO_BINARY_EVENT)
        return;
    rest = after_name(packet->data, &name);
    if (slice_eq(name, SLICE("\"message\""))) {
        put_head(&out, packet, 0);
        buf_puts(&out, "[\"message-back\"");
        buf_put(&out, rest.ptr, rest.len);
    } else if (slice_eq(name, SLICE("\"message-with-ack\"")) && packet->has_id) {
        size_t comma = rest.len > 0 && rest.ptr[0] == ',';
        put_head(&out, packet, 1);
        buf_putc(&out, '[');
        buf_put(&out, rest.ptr + comma, rest.len - comma);
    } else {
        return;
    }
    send_buf(socket, &out);
    for (unsigned i = 0; i < packet->attachments; i++)
        session_send_binary(&socket->session, attachments[i]);
}

static void on_left(struct socket *socket, enum close_reason why, void *arg)
{
    (void)why;
    (void)socket;
    (void)arg;
}

static const struct sio_app talk = {
    .opened = on_socket_opened,
    .connect = on_connect,
    .left = on_left,
    .joined = on_joined,
    .packet = on_packet,
    .closed = on_left,
};

/* --- both, on layers of their own --- */

struct settings {
    long port, ping_interval_ms, ping_timeout_ms, allow_eio3;
};

struct layers {
    struct net *net;
    struct http *http;
    struct eio *eio;
    struct sio sio; /* zero for Engine.IO alone */
};

static void layers_up(struct layers *layers, struct event_base *base, const char *path,
                      const struct eio_app *app, const struct settings *settings, int allow_eio3)
{
    static const char *const nsps[] = {"/custom", NULL};
    const struct net_options net = {
        .connections_max = 10000,
        .send_buffer = 1 << 20,
        .send_timeout_ms = 10000,
    };
    const struct http_options http = {
        .path = path,
        .limits = {.head_bytes = 16384, .headers = 100},
    };
    const struct eio_options eio = {
        .ping_interval_ms = (uint32_t)settings->ping_interval_ms,
        .ping_timeout_ms = (uint32_t)settings->ping_timeout_ms,
        .upgrade_timeout_ms = 10000,
        .max_payload = 1000000,
        .polling = 1,
        .websocket = 1,
        .allow_eio3 = allow_eio3,
    };
    const struct sio_options sio = {
        .nsp = "/",
        .open_nsps = nsps,
        .connect_timeout_ms = 45000,
        .max_payload = 1000000,
    };

    if ((layers->net = net_new(base, &net, NULL, NULL)) == NULL ||
        (layers->http = http_new(layers->net, &http)) == NULL ||
        (layers->eio = eio_new(layers->http, &eio, app, &layers->sio)) == NULL ||
        (app == &sio_eio_app && sio_init(&layers->sio, layers->eio, &sio, &talk, NULL) < 0)) {
        fputs("conformance-server: no memory\n", stderr);
        exit(1);
    }
}

static void layers_down(struct layers *layers)
{
    net_kill_all(layers->net, CLOSE_SHUTDOWN);
    eio_free(&layers->eio);
    sio_clear(&layers->sio);
    http_free(&layers->http);
    net_free(&layers->net);
}

/* --- one port --- */

struct server {
    struct event_base *base;
    struct layers engine_io, socket_io;
};

/* A connection until its first request line says whose it is; a client that
 * goes on to the other path on it gets 404. */
struct caller {
    struct server *server;
    struct event *ev;
    size_t len;
    char line[512];
};

static void caller_free(struct caller *caller)
{
    event_free(caller->ev);
    free(caller);
}

/* Who offers extensions gets the open packet in one write with the 101 (eio/handshake.c);
 * see on_opened(). */
static void hide_offer(struct caller *caller)
{
    static const char mark[] = "EIO=3&", name[] = "Sec-WebSocket-Extensions:";
    char *at = memmem(caller->line, caller->len, name, sizeof(name) - 1);

    if (at != NULL && memmem(caller->line, caller->len, mark, sizeof(mark) - 1) != NULL)
        *at = 'X';
}

static void on_line(evutil_socket_t fd, short what, void *arg)
{
    static const char mark[] = " /engine.io/";
    struct caller *caller = arg;
    struct server *server = caller->server;
    struct http *http = server->socket_io.http;
    ssize_t n = 0;

    if (what & EV_READ)
        n = recv(fd, caller->line + caller->len, sizeof(caller->line) - caller->len, 0);
    if (n <= 0) {
        close(fd);
        caller_free(caller);
        return;
    }
    caller->len += (size_t)n;
    if (memmem(caller->line, caller->len, mark, sizeof(mark) - 1) != NULL)
        http = server->engine_io.http;
    else if (caller->len < sizeof(caller->line) && !memchr(caller->line, '\n', caller->len))
        return; /* not all of it is there */
    event_del(caller->ev);
    hide_offer(caller);
    if (http_adopt(http, fd, NULL, caller->line, caller->len, 0) < 0)
        close(fd);
    caller_free(caller);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
    static const struct timeval limit = {10, 0};
    struct server *server = arg;
    struct caller *caller = calloc(1, sizeof(*caller));
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)what;
    if (caller != NULL && fd >= 0)
        caller->ev = event_new(server->base, fd, EV_READ | EV_PERSIST, on_line, caller);
    if (caller == NULL || caller->ev == NULL) {
        if (fd >= 0)
            close(fd);
        free(caller);
        return;
    }
    caller->server = server;
    event_add(caller->ev, &limit);
}

static int listen_on(int port)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, zero = 0;
    struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    socklen_t len = sizeof(addr);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0) {
        perror("conformance-server");
        exit(1);
    }
    printf("conformance-server ready: port %d\n", ntohs(addr.sin6_port));
    fflush(stdout);
    return fd;
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    event_base_loopbreak(arg);
}

/* The port and the times are what the public suites want. */
static struct settings settings_of(int argc, char **argv)
{
    struct settings settings = {3000, 300, 200, 1};
    char none = '\0', *end = &none;
    int i = 1;

    for (; i + 1 < argc && *end == '\0'; i += 2) {
        if (strcmp(argv[i], "--port") == 0)
            settings.port = strtol(argv[i + 1], &end, 10);
        else if (strcmp(argv[i], "--ping-interval") == 0)
            settings.ping_interval_ms = strtol(argv[i + 1], &end, 10);
        else if (strcmp(argv[i], "--ping-timeout") == 0)
            settings.ping_timeout_ms = strtol(argv[i + 1], &end, 10);
        else if (strcmp(argv[i], "--allow-eio3") == 0)
            settings.allow_eio3 = strtol(argv[i + 1], &end, 10);
        else
            break;
    }
    if (i < argc || *end != '\0' || settings.port < 0 || settings.port > 65535 ||
        settings.ping_interval_ms < 1 || settings.ping_interval_ms > 60000 ||
        settings.ping_timeout_ms < 1 || settings.ping_timeout_ms > 60000 ||
        settings.allow_eio3 < 0 || settings.allow_eio3 > 1) {
        fprintf(stderr, "usage: conformance-server [--port N] [--ping-interval MS] "
                        "[--ping-timeout MS] [--allow-eio3 0|1]\n");
        exit(2);
    }
    return settings;
}

int main(int argc, char **argv)
{
    struct settings settings = settings_of(argc, argv);
    struct event_base *base = event_base_new();
    struct server server = {.base = base};
    int fd = listen_on((int)settings.port);
    struct event *accepting = event_new(base, fd, EV_READ | EV_PERSIST, on_accept, &server);
    struct event *ending[] = {evsignal_new(base, SIGTERM, on_signal, base),
                              evsignal_new(base, SIGINT, on_signal, base)};

    layers_up(&server.engine_io, base, "/engine.io/", &echo, &settings, (int)settings.allow_eio3);
    layers_up(&server.socket_io, base, "/socket.io/", &sio_eio_app, &settings, 0);
    event_add(accepting, NULL);
    event_add(ending[0], NULL);
    event_add(ending[1], NULL);
    event_base_dispatch(base);
    layers_down(&server.engine_io);
    layers_down(&server.socket_io);
    event_free(accepting);
    event_free(ending[0]);
    event_free(ending[1]);
    event_base_free(base);
    close(fd);
    return 0;
}
