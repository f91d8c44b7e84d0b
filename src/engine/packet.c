/* packet - Socket.IO on a session: which namespaces it is in, and what its
 * packets do (socketio/socket.io, docs/socket.io-protocol). */
#include "base/base64.h"
#include "base/rand.h"
#include "codec/ws.h"
#include "engine/state.h"

static int is_ours(const struct session *session, struct slice nsp)
{
    return slice_eq(nsp, slice_str(session->engine->options.nsp));
}

static void fault(struct session *session)
{
    session_close(session, WS_CLOSE_NONE, CLOSE_PROTOCOL);
}

/* --- joining --- */

static void put_connected(struct session *session, struct slice nsp, struct slice sid)
{
    struct buf *scratch = &session->engine->scratch;

    buf_reset(scratch);
    sio_put_connect(scratch, (enum eio_version)session->version, nsp, sid);
    session_put_scratch(session);
}

/* "/" where it is not the configured namespace: every client may be in it, and
 * nothing is ever sent there. */
static void join_root(struct session *session)
{
    char sid[SIO_SID_LEN];
    uint8_t raw[15];

    session->root = NSP_JOINED;
    rand_bytes(raw, sizeof(raw));
    base64url_encode(sid, raw, sizeof(raw));
    put_connected(session, SLICE("/"), (struct slice){sid, sizeof(sid)});
}

static void join_ours(struct session *session, const struct sio_packet *packet)
{
    session->nsp = NSP_JOINING;
    session->engine->app->connect(session, packet, session->engine->arg);
}

void packet_started(struct session *session)
{
    struct sio_packet connect = {.type = SIO_CONNECT, .nsp = SLICE("/")};

    if (session->version == EIO4)
        return; /* the client asks */
    if (is_ours(session, connect.nsp))
        join_ours(session, &connect);
    else
        join_root(session);
}

static void on_connect(struct session *session, const struct sio_packet *packet)
{
    struct buf *scratch = &session->engine->scratch;

    if (is_ours(session, packet->nsp)) {
        if (session->nsp == NSP_JOINING || session->nsp == NSP_JOINED)
            fault(session);
        else
            join_ours(session, packet);
    } else if (slice_eq(packet->nsp, SLICE("/"))) {
        if (session->root == NSP_JOINED)
            fault(session);
        else
            join_root(session);
    } else {
        buf_reset(scratch);
        sio_put_connect_error(scratch, (enum eio_version)session->version, packet->nsp,
                              "Invalid namespace", NULL);
        session_put_scratch(session);
    }
}

void session_accept(struct session *session)
{
    char sid[SIO_SID_MAX];

    session->nsp = NSP_JOINED;
    session->joins++;
    session->connect_due_ms = 0;
    session_rearm(session);
    put_connected(session, slice_str(session->engine->options.nsp),
                  (struct slice){sid, session_sio_sid(session, sid)});
}

/* --- leaving --- */

static void put_disconnect(struct session *session)
{
    struct buf *scratch = &session->engine->scratch;

    buf_reset(scratch);
    sio_put_disconnect(scratch, slice_str(session->engine->options.nsp));
    session_put_scratch(session);
}

void session_refuse(struct session *session, const char *message, const char *code)
{
    struct buf *scratch = &session->engine->scratch;

    session->nsp = NSP_LEFT; /* so that left() is not called */
    buf_reset(scratch);
    sio_put_connect_error(scratch, (enum eio_version)session->version,
                          slice_str(session->engine->options.nsp), message, code);
    session_put_scratch(session);
    session_disconnect(session, CLOSE_REFUSED);
}

void session_disconnect(struct session *session, enum engine_close why)
{
    put_disconnect(session);
    session_close(session, WS_CLOSE_NONE, why);
}

static void on_disconnect(struct session *session, const struct sio_packet *packet)
{
    int was_in = session->nsp == NSP_JOINED || session->nsp == NSP_JOINING;

    if (is_ours(session, packet->nsp)) {
        if (!was_in)
            return;
        session->nsp = NSP_LEFT;
        session_expire(session, 0);
        session->engine->app->left(session, session->engine->arg);
    } else if (slice_eq(packet->nsp, SLICE("/"))) {
        session->root = NSP_LEFT;
    }
}

/* --- everything else --- */

/* Events and acknowledgements.  What comes late, for a namespace that was left,
 * or early, is tolerated, for old clients do that; for one never asked for it
 * is a fault. */
static void on_other(struct session *session, const struct sio_packet *packet)
{
    enum nsp_state state = NSP_NONE;

    if (is_ours(session, packet->nsp))
        state = (enum nsp_state)session->nsp;
    else if (slice_eq(packet->nsp, SLICE("/")))
        state = (enum nsp_state)session->root;
    if (state == NSP_NONE) {
        fault(session);
        return;
    }
    session->attachments = (uint8_t)packet->attachments;
    if (is_ours(session, packet->nsp) && state == NSP_JOINED &&
        session->engine->app->packet != NULL)
        session->engine->app->packet(session, packet, session->engine->arg);
}

void packet_text(struct session *session, struct slice text)
{
    struct sio_packet packet;

    if (session->attachments > 0 ||
        sio_decode(&packet, (enum eio_version)session->version, text) < 0) {
        fault(session);
        return;
    }
    switch (packet.type) {
    case SIO_CONNECT:
        on_connect(session, &packet);
        break;
    case SIO_DISCONNECT:
        on_disconnect(session, &packet);
        break;
    case SIO_CONNECT_ERROR:
        fault(session);
        break;
    case SIO_EVENT:
    case SIO_ACK:
    case SIO_BINARY_EVENT:
    case SIO_BINARY_ACK:
        on_other(session, &packet);
        break;
    }
}

void packet_binary(struct session *session)
{
    if (session->attachments == 0)
        fault(session);
    else
        session->attachments--;
}

int session_send(struct session *session, struct slice text)
{
    struct buf *scratch = &session->engine->scratch;

    buf_reset(scratch);
    buf_putc(scratch, '4');
    buf_put(scratch, text.ptr, text.len);
    return session_put_scratch(session);
}
