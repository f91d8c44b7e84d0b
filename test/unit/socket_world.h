/* socket_world - a WebSocket with Socket.IO on it, and an application that is made up. */
#ifndef TEST_SOCKET_WORLD_H
#define TEST_SOCKET_WORLD_H

#include "sio/socket.h"

#include "eio/polling.h"
#include "eio/websocket.h"
#include "peer.h"
#include "sio/fanout.h"

#define PAYLOAD 1000

static struct http *http;
static struct eio *eio;
static struct sio sio;
static struct socket *socket_;
static int nconnects, nleft, nclosed, npackets;
static enum close_reason left_why, closed_why;
static struct slice first_attachment;

static void *on_opened(struct socket *of, const struct http_request *req,
                       const struct sockaddr *peer, void *arg)
{
    (void)req;
    (void)peer;
    (void)arg;
    socket_ = of;
    return &sio;
}

static void on_connect(struct socket *of, const struct sio_packet *packet, void *arg)
{
    (void)of;
    (void)packet;
    (void)arg;
    nconnects++;
}

static void on_left(struct socket *of, enum close_reason why, void *arg)
{
    (void)of;
    (void)arg;
    nleft++;
    left_why = why;
}

static void on_packet(struct socket *of, const struct sio_packet *packet,
                      const struct slice *attachments, void *arg)
{
    (void)of;
    (void)packet;
    (void)arg;
    npackets++;
    first_attachment = attachments != NULL ? attachments[0] : (struct slice){NULL, 0};
}

static void on_closed(struct socket *of, enum close_reason why, void *arg)
{
    (void)of;
    (void)arg;
    nclosed++;
    closed_why = why;
    socket_ = NULL;
}

static int wanted = 1, nwants;

static int on_wants(struct socket *of, const struct sio_packet *packet, void *arg)
{
    (void)of;
    (void)packet;
    (void)arg;
    nwants++;
    return wanted;
}

static const struct sio_app app = {
    .opened = on_opened,
    .connect = on_connect,
    .left = on_left,
    .packet = on_packet,
    .wants = on_wants,
    .closed = on_closed,
};

static int with_recovery; /* sio_options.recovery of the next */
static enum eio_version with_version = EIO4;

/* A WebSocket that has had its open packet. */
PEER_FN void up(void)
{
    static const struct http_options http_options = {.path = "/", .limits = {4096, 30}};
    static const struct eio_options options = {
        .websocket = 1, .ping_interval_ms = 25000, .ping_timeout_ms = 20000, .max_payload = 100000};
    static const char *const open_nsps[] = {"/one", "/two", NULL};
    struct sio_options sio_options = {.nsp = "/axr",
                                      .open_nsps = open_nsps,
                                      .connect_timeout_ms = 45000,
                                      .max_payload = PAYLOAD,
                                      .recovery = with_recovery};
    struct conn *conn;
    struct buf in = {0};
    struct session *session;

    net_up(NULL, NULL);
    http = http_new(net, &http_options);
    eio = eio_new(http, &options, &sio_eio_app, &sio);
    if (sio_init(&sio, eio, &sio_options, &app, NULL) < 0)
        abort();
    nconnects = nleft = nclosed = npackets = nwants = 0;
    wanted = 1;
    conn = conn_up(0);
    conn->input = calloc(1, sizeof(struct exchange));
    exchange_leave(conn, &in);
    websocket_begin(conn);
    session = session_new(eio, conn, with_version, 0);
    stranger_carry(conn, session);
    session_start(session, NULL, NULL);
    hear();
}

PEER_FN void down(void)
{
    peer_close();
    net_kill_all(net, CLOSE_SHUTDOWN);
    eio_free(&eio);
    sio_clear(&sio);
    http_free(&http);
    net_free(&net);
}

/* A frame of that opcode, masked with zeros. */
PEER_FN void frame(int opcode, const void *bytes, size_t len)
{
    char text[PAYLOAD + 64] = {(char)(0x80 | opcode), (char)(0x80 | (len < 126 ? len : 126))};
    size_t head = 6;

    if (len >= 126) {
        text[2] = (char)(len >> 8);
        text[3] = (char)len;
        head = 8;
    }
    memcpy(text + head, bytes, len);
    say(text, head + len);
}

PEER_FN void tell(const char *packet)
{
    frame(1, packet, strlen(packet));
}

PEER_FN int has(const char *text)
{
    hear();
    return memmem(heard, nheard, text, strlen(text)) != NULL;
}

PEER_FN void join(void)
{
    tell("40/axr,");
    socket_accept(socket_, NULL);
    hear();
}

#endif
