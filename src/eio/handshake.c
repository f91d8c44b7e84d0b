/* handshake - what a request asks of Engine.IO: a new session, one that is there, over
 * polling or WebSocket, another worker's, or nothing that can be had (engine.io,
 * lib/server.ts, verify). */
#include "codec/sid.h"
#include "eio/polling.h"
#include "eio/session.h"
#include "eio/upgrade.h"
#include "eio/websocket.h"

#include <stdio.h>

/* --- what is asked --- */

struct target {
    const struct http_request *req;
    size_t head_len;
    enum ws_upgrade upgrade;
    char accept[WS_ACCEPT_LEN + 1];
    int websocket; /* the transport that is asked for */
    struct session *session;
};

static int has(const struct http_request *req, const char *name)
{
    struct slice value;

    return http_query(req->query, name, &value) && value.len > 0;
}

/* A transport's own: Node clients poll with b64 and then upgrade without. */
static int wants_base64(const struct http_request *req)
{
    return has(req, "b64") || has(req, "j");
}

/* As engine.io has it: what is not revision 4 is 3.  There are clients that name none, or
 * an older one. */
static enum eio_version version_of(const struct http_request *req)
{
    struct slice eio;
    char text[3]; /* "4" may be escaped */

    if (!http_query(req->query, "EIO", &eio) || eio.len > sizeof(text))
        return EIO3;
    return http_unescape(text, eio, 1) == 1 && text[0] == '4' ? EIO4 : EIO3;
}

static int transport_of(const struct eio *eio, const struct http_request *req, int *websocket)
{
    struct slice transport;

    if (!http_query(req->query, "transport", &transport))
        return -1;
    *websocket = slice_eq(transport, SLICE("websocket"));
    if (*websocket)
        return eio->options.websocket ? 0 : -1;
    return eio->options.polling && slice_eq(transport, SLICE("polling")) ? 0 : -1;
}

/* Returns 1 if the session lives in another process, which then gets it. */
static int is_elsewhere(struct conn *conn, struct slice sid)
{
    const struct eio *eio = eio_of(conn);
    uint32_t process;

    if (eio->http->options.handoff == NULL || exchange_of(conn)->orphan || sid.len != SID_LEN ||
        sid_process(sid, &process) < 0 || process == eio->options.process)
        return 0;
    exchange_hand_over(conn, process);
    return 1;
}

/* Of a request with a sid.  Returns 0, or -1 with *error. */
static int verify_session(struct conn *conn, struct target *target, struct slice sid,
                          enum eio_error *error)
{
    const struct eio *eio = eio_of(conn);
    struct session *session = session_by_sid(eio, sid);

    *error = EIO_UNKNOWN_SID;
    if (session != NULL) {
        session_settle(session);
        session = session_by_sid(eio, sid);
    }
    if (session == NULL || (session->over && target->websocket))
        return -1;
    *error = EIO_BAD_REQUEST;
    if (version_of(target->req) != session->version ||
        (target->websocket ? target->upgrade != WS_UPGRADE_YES : session->polling == NULL))
        return -1;
    *error = EIO_FORBIDDEN;
    if (session->guarded && eio->app->guarded != NULL && !eio->app->guarded(target->req, eio->arg))
        return -1;
    target->session = session;
    return 0;
}

/* Of a request without: a handshake, in Engine.IO's order of checks. */
static int verify_handshake(const struct conn *conn, const struct target *target,
                            enum eio_error *error)
{
    *error = EIO_BAD_HANDSHAKE_METHOD;
    if (!slice_eq(target->req->method, SLICE("GET")))
        return -1;
    *error = EIO_BAD_REQUEST;
    if (target->websocket && target->upgrade != WS_UPGRADE_YES)
        return -1;
    *error = EIO_UNSUPPORTED_VERSION;
    return version_of(target->req) == EIO4 || eio_of(conn)->options.allow_eio3 ? 0 : -1;
}

/* Checks in Engine.IO's order.  Returns 0, -1 with *error, or 1 if it is another
 * worker's business now. */
static int verify(struct conn *conn, struct target *target, enum eio_error *error)
{
    struct slice sid;

    *error = EIO_UNKNOWN_TRANSPORT;
    if (transport_of(eio_of(conn), target->req, &target->websocket) < 0)
        return -1;
    *error = EIO_FORBIDDEN;
    if (!cors_allowed(http_of(conn), target->req))
        return -1;
    if (!http_query(target->req->query, "sid", &sid) || sid.len == 0)
        return verify_handshake(conn, target, error);
    if (is_elsewhere(conn, sid))
        return 1;
    return verify_session(conn, target, sid, error);
}

/* --- what it gets --- */

static void open_session(struct conn *conn, const struct target *target)
{
    struct session *session, *older;
    struct address peer;

    session = session_new(eio_of(conn), target->websocket ? conn : NULL, version_of(target->req),
                          wants_base64(target->req));
    if (session == NULL) {
        if (target->websocket) /* upgraded by now: no place for a status */
            conn_kill(conn, CLOSE_NO_MEMORY, 1);
        else
            answer_refuse(conn, 503);
        return;
    }
    stranger_asked(conn, session);
    conn_peer(conn, &peer);
    session->secure = conn->secure;
    if (target->websocket)
        stranger_carry(conn, session);
    if (session_start(session, target->req, &peer) < 0) {
        if (!target->websocket)
            answer_refuse(conn, 503);
    } else if (!target->websocket) {
        polling_get(conn, session);
        if ((older = stranger_opened(conn, session)) != NULL)
            session_evict(older);
    }
}

/* There are small clients (of microcontrollers, mostly) that read the head of an answer
 * with whatever comes in the same read, and then drop that: with the open packet in it they
 * are never open.  Sent ahead, the head mostly comes in a read of its own.  Those that offer
 * extensions have been seen to go on with the rest: browsers, and all that Node has. */
static int may_drop(const struct http_request *req)
{
    return http_header(req, "Sec-WebSocket-Extensions") == NULL;
}

/* From here on the connection speaks WebSocket. */
static void upgrade_conn(struct conn *conn, const struct target *target)
{
    struct slice protocol = ws_protocol(target->req);
    char head[256 + WS_PROTOCOL_MAX];
    struct buf in;
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s%.*s%s\r\n",
                     target->accept, protocol.len > 0 ? "Sec-WebSocket-Protocol: " : "",
                     (int)protocol.len, protocol.ptr, protocol.len > 0 ? "\r\n" : "");

    exchange_leave(conn, &in);
    websocket_begin(conn);
    conn_put(conn, head, (size_t)n);
    if (target->session != NULL) {
        upgrade_begin(conn, target->session, wants_base64(target->req));
    } else {
        if (may_drop(target->req))
            conn_flush(conn);
        if (websocket_is_open(conn))
            open_session(conn, target);
    }
    if (websocket_is_open(conn) && in.len > target->head_len)
        websocket_input(conn, in.data + target->head_len, in.len - target->head_len);
    buf_free(&in);
}

/* Sessions are limited too: those of polling live without a connection. */
static void refuse_full(struct conn *conn)
{
    struct eio *eio = eio_of(conn);
    uint64_t times = log_due(&eio->full_log, FULL_LOG_MS);

    if (times > 0)
        log_event(WARN, "sessions_full",
                  "limits:connections reached[: sessions={}]; answered with 503[ times={}]",
                  LOG_UINT("sessions", eio->nsessions), LOG_TIMES(times));
    answer_refuse(conn, 503);
}

static void serve_polling(struct conn *conn, const struct target *target)
{
    struct slice method = target->req->method;

    if (target->session == NULL)
        open_session(conn, target);
    else if (slice_eq(method, SLICE("GET")))
        polling_get(conn, target->session);
    else if (slice_eq(method, SLICE("POST")))
        polling_post(conn, target->session, target->req);
    else
        answer_method(conn, "GET, POST");
}

static void refuse_version(struct conn *conn)
{
    exchange_of(conn)->keep = 0;
    if (answer_head(conn, 426, "text/plain", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
                    0) == 0)
        answer_done(conn);
}

static void refuse(struct conn *conn, const struct target *target, enum eio_error error)
{
    if (error == EIO_FORBIDDEN)
        hint_origin(conn, target->req);
    else if (error == EIO_BAD_REQUEST && target->websocket &&
             (target->upgrade == WS_UPGRADE_NO || target->req->minor < 1))
        hint_upgrade(conn, target->req);
    if (target->upgrade == WS_UPGRADE_NO)
        eio_refuse(conn, error);
    else if (target->upgrade == WS_UPGRADE_VERSION && error == EIO_BAD_REQUEST)
        refuse_version(conn);
    else
        eio_refuse_upgrade(conn, error);
}

/* --- what HTTP asks --- */

static void on_request(struct conn *conn, const struct http_request *req, size_t head_len)
{
    const struct eio *eio = eio_of(conn);
    struct target target = {.req = req, .head_len = head_len};
    enum eio_error error;
    int result;

    polling_read(conn, req);
    target.upgrade = ws_upgrade(req, target.accept);
    result = verify(conn, &target, &error);
    if (result < 0)
        refuse(conn, &target, error);
    else if (result == 0 && target.session == NULL && eio->migrate_end_ms != 0)
        exchange_hand_over(conn, HTTP_SUCCESSOR); /* here it would be closed soon */
    else if (result == 0 && target.session == NULL && net_clients_full(eio->net))
        refuse_full(conn);
    else if (result == 0 && target.session == NULL && tally_session_is_beyond(eio->net, conn))
        answer_refuse(conn, 429);
    else if (result == 0 && target.websocket)
        upgrade_conn(conn, &target);
    else if (result == 0)
        serve_polling(conn, &target);
}

static void on_body(struct conn *conn, int status)
{
    if (status == 0)
        polling_posted(conn);
    else
        polling_post_failed(conn, status);
}

static void on_ready(struct conn *conn)
{
    polling_flush(conn);
}

/* What has not left of the answer to a GET is lost, and nobody could tell: a session
 * that went on would have a gap. */
static void on_lost(struct conn *conn, enum close_reason why)
{
    struct session *session = conn->owner;

    stranger_conn_gone(conn);
    conn->owner = NULL;
    if (session != NULL)
        polling_conn_gone(session, conn);
    if (conn->leaving != 0 && (session = session_find(eio_of(conn), conn->leaving)) != NULL)
        session_close(session, WS_CLOSE_NONE, why);
}

static void on_error(struct conn *conn, enum http_fault fault)
{
    eio_refuse(conn, fault == HTTP_FORBIDDEN ? EIO_FORBIDDEN : EIO_UNKNOWN_SID);
}

const struct http_app handshake_http_app = {
    .request = on_request,
    .body = on_body,
    .ready = on_ready,
    .lost = on_lost,
    .error = on_error,
};

/* --- what a WebSocket asks --- */

static void on_message(struct conn *conn, int binary, struct slice payload)
{
    struct session *session = conn->owner;

    if (session->ws == conn)
        session_input(session, binary, payload);
    else
        upgrade_input(conn, binary, payload);
}

/* A WebSocket's end is its session's; a polling session may outlive this. */
static void on_ws_gone(struct conn *conn, enum close_reason why)
{
    struct session *session = conn->owner;

    if (conn->state == CONN_DEAD)
        stranger_conn_gone(conn);
    conn->owner = NULL;
    conn->paired = 0;
    if (session == NULL)
        return;
    if (session->ws == conn)
        session_end(session, why);
    else
        polling_conn_gone(session, conn);
}

const struct ws_ops handshake_ws_ops = {
    .message = on_message,
    .gone = on_ws_gone,
};
