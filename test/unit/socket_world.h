/* socket_world - a WebSocket with Socket.IO on it, and an application that is made up. */
#ifndef TEST_SOCKET_WORLD_H
#define TEST_SOCKET_WORLD_H

#include "sio/socket.h"

#include "codec/ws.h"
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
                       const struct address *peer, void *arg)
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

/* --- sessions that are recovered --- */

#define PID_TEXT "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2"
#define SID_TEXT "8PHy8_T19vf4-fr7_P3-"
#define OFFSET   UINT64_C(0x0102030405060708) /* AQIDBAUGBwg */
#define TOLD     "42/axr,[\"$offset\",\"AQIDBAUGBwg\"]"

static uint8_t pid[PID_LEN], sid[SESSION_LEN]; /* PID_TEXT, SID_TEXT */

PEER_FN struct sio_session session_of(uint64_t offset, int is_lent)
{
    return (struct sio_session){.pid = {(char *)pid, sizeof(pid)},
                                .offset = offset,
                                .sid = {(char *)sid, is_lent ? sizeof(sid) : 0}};
}

/* One frame that is heard, and nothing else. */
PEER_FN void is_heard(const char *text, const char *name)
{
    uint8_t want[1024] = {0x81};
    size_t len = strlen(text), head = ws_header_encode(want, WS_TEXT, len);

    hear();
    memcpy(want + head, text, len);
    is_mem(heard, nheard, want, len > 0 ? head + len : 0, name);
}

/* It asks, and is let in with a pid. */
PEER_FN void enter(uint64_t offset)
{
    struct sio_session session = session_of(offset, 0);

    tell("40/axr,");
    socket_accept(socket_, &session);
    hear();
}

/* It asks, is let in by another's id, and gets what it missed from now on. */
PEER_FN void come_back(void)
{
    struct sio_session session = session_of(0, 1);

    tell("40/axr,");
    if (socket_replay(socket_) < 0)
        abort();
    socket_resume(socket_, &session);
    hear();
}

/* Over polling, with nothing that waits for it. */
PEER_FN struct socket *poller(enum eio_version version)
{
    struct session *session = session_new(eio, NULL, version, 0);

    session_start(session, NULL, NULL);
    net->stats.queued_bytes -= session->polling->out.bytes;
    outq_clear(&session->polling->out);
    return socket_;
}

PEER_FN void poller_joins(struct socket *socket, int recovers)
{
    struct sio_session session = session_of(0, 0);
    struct outq *out = &socket->session.polling->out;

    socket->nsp = NSP_JOINING;
    socket_accept(socket, recovers ? &session : NULL);
    net->stats.queued_bytes -= out->bytes;
    outq_clear(out);
}

/* What waits for one that polls, and does not any more. */
PEER_FN struct slice taken(struct socket *socket)
{
    static struct buf text;
    struct outq *out = &socket->session.polling->out;

    net->stats.queued_bytes -= out->bytes;
    buf_free(&text);
    outq_drain(out, &text);
    return (struct slice){text.len > 0 ? (char *)text.data : "", text.len};
}

PEER_FN void is_taken(struct socket *socket, const char *want, const char *name)
{
    struct slice got = taken(socket);

    is_mem(got.ptr, got.len, want, strlen(want), name);
}

/* From the next up() on. */
PEER_FN void recovery_on(void)
{
    for (unsigned i = 0; i < sizeof(pid); i++)
        pid[i] = (uint8_t)(i + 1);
    for (unsigned i = 0; i < sizeof(sid); i++)
        sid[i] = (uint8_t)(0xf0 + i);
    with_recovery = 1;
}

#endif
