/* packet - Socket.IO on a session: which namespaces it is in, and what its
 * packets do (socketio/socket.io, docs/socket.io-protocol). */
#include "base/base64.h"
#include "base/clock.h"
#include "base/rand.h"
#include "codec/ws.h"
#include "engine/state.h"

#include <stdlib.h>

/* Of one client; what it asks after that is not looked at, for to judge a token is
 * what costs. */
#define REFUSALS_MAX 10

static int is_ours(const struct session *session, struct slice nsp)
{
    return slice_eq(nsp, slice_str(session->engine->options.nsp));
}

/* Its bit, 0 if there is none of that name. */
static uint8_t open_bit(const struct session *session, struct slice nsp)
{
    const char *const *names = session->engine->options.open_nsps;

    if (slice_eq(nsp, SLICE("/")))
        return 1;
    for (int i = 0; names != NULL && i < ENGINE_OPEN_NSPS && names[i] != NULL; i++)
        if (slice_eq(nsp, slice_str(names[i])))
            return (uint8_t)(2U << i);
    return 0;
}

static enum nsp_state state_in(const struct session *session, struct slice nsp)
{
    uint8_t bit;

    if (is_ours(session, nsp))
        return (enum nsp_state)session->nsp;
    bit = open_bit(session, nsp);
    if (session->open_in & bit)
        return NSP_JOINED;
    return session->open_left & bit ? NSP_LEFT : NSP_NONE;
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

/* "/" where it is not the configured namespace, and others that the application
 * may have: every client may be in them.  To be in "/" alone does not count as
 * having come, for old clients are in it unasked. */
static void join_open(struct session *session, uint8_t bit, const struct sio_packet *packet)
{
    const struct engine *engine = session->engine;
    char sid[SIO_SID_LEN];
    uint8_t raw[15];

    session->open_in |= bit;
    if (bit != 1) {
        session->connect_due_ms = 0;
        session_rearm(session);
        session_known(session);
    }
    rand_bytes(raw, sizeof(raw));
    base64url_encode(sid, raw, sizeof(raw));
    put_connected(session, packet->nsp, (struct slice){sid, sizeof(sid)});
    if (engine->app->joined != NULL)
        engine->app->joined(session, packet, engine->arg);
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
        join_open(session, 1, &connect);
}

static void on_connect(struct session *session, const struct sio_packet *packet)
{
    struct buf *scratch = &session->engine->scratch;
    uint8_t bit = open_bit(session, packet->nsp);

    if (is_ours(session, packet->nsp)) {
        if (session->nsp == NSP_JOINING || session->nsp == NSP_JOINED)
            fault(session);
        else if (session->refusals < REFUSALS_MAX)
            join_ours(session, packet);
    } else if (bit != 0) {
        if (session->open_in & bit)
            fault(session);
        else
            join_open(session, bit, packet);
    } else {
        buf_reset(scratch);
        sio_put_connect_error(scratch, (enum eio_version)session->version, packet->nsp,
                              "Invalid namespace", NULL);
        session_put_scratch(session);
        if (session->engine->app->unserved != NULL)
            session->engine->app->unserved(session, packet->nsp, session->engine->arg);
    }
}

void session_accept(struct session *session)
{
    char sid[SIO_SID_MAX];

    session->nsp = NSP_JOINED;
    session->joins++;
    session->refusals = 0;
    session->engine->stats.connects++;
    session->connect_due_ms = session->expire_due_ms = 0;
    session_rearm(session);
    session_known(session);
    put_connected(session, slice_str(session->engine->options.nsp),
                  (struct slice){sid, session_sio_sid(session, sid)});
}

int session_ack(struct session *session, uint64_t id, struct slice json)
{
    struct buf *scratch = &session->engine->scratch;

    buf_reset(scratch);
    sio_put_ack(scratch, slice_str(session->engine->options.nsp), id, json);
    return session_put_scratch(session);
}

/* --- leaving --- */

static void put_disconnect(struct session *session)
{
    struct buf *scratch = &session->engine->scratch;

    buf_reset(scratch);
    sio_put_disconnect(scratch, slice_str(session->engine->options.nsp));
    session_put_scratch(session);
}

/* Clients 1.x to 3.x that are closed at once are back at once: those that follow a
 * DISCONNECT by connect(), hundreds of times a second, and after a bare close all of
 * them.  So each has time to leave by itself.  It counts from the first refusal, and
 * where it has run out (the verdict came later) the next one is the last. */
void session_refuse(struct session *session, const char *message, const char *code)
{
    struct buf *scratch = &session->engine->scratch;

    session->nsp = NSP_LEFT; /* so that left() is not called */
    stranger_session(session);
    buf_reset(scratch);
    sio_put_connect_error(scratch, (enum eio_version)session->version,
                          slice_str(session->engine->options.nsp), message, code);
    session_put_scratch(session);
    if (session->refusals++ == 0)
        session->expire_due_ms = clock_ms() + REFUSED_MS;
    if (session->expire_due_ms == 0) {
        session_disconnect(session, CLOSE_REFUSED);
        return;
    }
    if (session->connect_due_ms != 0 && session->connect_due_ms < session->expire_due_ms)
        session->connect_due_ms = session->expire_due_ms;
    session_rearm(session);
}

int packet_expired(struct session *session)
{
    if (session->refusals > 0 && session->nsp == NSP_JOINING) {
        session->expire_due_ms = 0; /* the verdict that is on its way decides */
        return 0;
    }
    session_disconnect(session, session->refusals > 0 ? CLOSE_REFUSED : CLOSE_EXPIRED);
    return -1;
}

void session_disconnect(struct session *session, enum engine_close why)
{
    put_disconnect(session);
    session_close(session, WS_CLOSE_NONE, why);
}

static void on_disconnect(struct session *session, const struct sio_packet *packet)
{
    int was_in = session->nsp == NSP_JOINED || session->nsp == NSP_JOINING;
    uint8_t bit = open_bit(session, packet->nsp);

    if (is_ours(session, packet->nsp)) {
        if (session->refusals == 0)
            session_expire(session, 0);
        if (!was_in)
            return;
        session->nsp = NSP_LEFT;
        session->engine->app->left(session, CLOSE_LEFT, session->engine->arg);
    } else {
        session->open_in &= (uint8_t)~bit;
        session->open_left |= bit;
    }
}

/* --- everything else --- */

void packet_free(struct inbound **inbound)
{
    if (*inbound != NULL)
        buf_free(&(*inbound)->bytes);
    free(*inbound);
    *inbound = NULL;
}

/* One more part of a packet that is collected.  Returns 0, or -1 when the session
 * has been closed. */
static int collect(struct session *session, struct slice part)
{
    struct inbound *inbound = session->inbound;

    if (part.len > session->engine->options.max_payload - inbound->bytes.len) {
        session_close(session, WS_CLOSE_TOO_BIG, CLOSE_TOO_BIG);
        return -1;
    }
    if (buf_put(&inbound->bytes, part.ptr, part.len) < 0) {
        session_close(session, WS_CLOSE_NONE, CLOSE_NO_MEMORY);
        return -1;
    }
    inbound->ends[inbound->parts++] = inbound->bytes.len;
    return 0;
}

static void begin(struct session *session, struct slice text)
{
    if ((session->inbound = calloc(1, sizeof(*session->inbound))) == NULL)
        session_close(session, WS_CLOSE_NONE, CLOSE_NO_MEMORY);
    else
        (void)collect(session, text);
}

/* All is there.  The application may end the session. */
static void deliver(struct session *session)
{
    const struct engine *engine = session->engine;
    struct inbound *inbound = session->inbound;
    const char *bytes = (const char *)inbound->bytes.data;
    struct slice parts[1 + SIO_ATTACHMENTS_MAX] = {{NULL, 0}};
    struct sio_packet packet;
    size_t from = 0;

    session->inbound = NULL;
    for (unsigned i = 0; i < inbound->parts; from = inbound->ends[i++])
        parts[i] = (struct slice){bytes + from, inbound->ends[i] - from};
    /* Once more, for its slices now lie here. */
    if (sio_decode(&packet, (enum eio_version)session->version, parts[0]) == 0)
        engine->app->packet(session, &packet, parts + 1, engine->arg);
    packet_free(&inbound);
}

/* Events and acknowledgements.  What comes late, for a namespace that was left,
 * or early, is tolerated, for old clients do that; for one never asked for it
 * is a fault. */
static void on_other(struct session *session, const struct sio_packet *packet, struct slice text)
{
    const struct engine *engine = session->engine;
    enum nsp_state state = state_in(session, packet->nsp);

    if (state == NSP_NONE) {
        fault(session);
        return;
    }
    session->attachments = (uint8_t)packet->attachments;
    if (state != NSP_JOINED || engine->app->packet == NULL ||
        (packet->attachments > 0 && engine->app->text_only))
        return;
    if (packet->attachments == 0)
        engine->app->packet(session, packet, NULL, engine->arg);
    else
        begin(session, text);
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
        on_other(session, &packet, text);
        break;
    }
}

void packet_binary(struct session *session, struct slice bytes)
{
    if (session->attachments == 0) {
        fault(session);
        return;
    }
    session->attachments--;
    if (session->inbound != NULL && collect(session, bytes) == 0 && session->attachments == 0)
        deliver(session);
}
