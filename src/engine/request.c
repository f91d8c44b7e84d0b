/* request - answers to HTTP requests: the upgrade to WebSocket, or an error in
 * the words that Engine.IO uses (engine.io, lib/server.ts, verify and abort). */
#include "codec/origin.h"
#include "codec/ws.h"
#include "engine/state.h"

#include <event2/event.h>
#include <stdio.h>
#include <sys/socket.h>

/* Queues a whole answer; the connection is closed after it. */
static void answer(struct conn *conn, int status, const char *extra, const char *type,
                   const char *body, int head_only)
{
    char bytes[1024];
    int n = snprintf(bytes, sizeof(bytes),
                     "HTTP/1.1 %d %s\r\n%sContent-Type: %s\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s",
                     status, http_reason(status), extra, type, strlen(body), head_only ? "" : body);

    if (conn_put(conn, bytes, (size_t)n) == 0)
        conn_linger(conn);
}

void request_refuse(struct conn *conn, int status)
{
    answer(conn, status, "", "text/plain", http_reason(status), 0);
}

/* An upgrade is refused with the bare message, any other request with JSON. */
static void refuse(struct conn *conn, const struct http_request *req, int upgrade,
                   enum eio_error error)
{
    char body[128];
    int status = error == EIO_FORBIDDEN && !upgrade ? 403 : 400;

    if (upgrade) {
        answer(conn, status, "", "text/html", eio_error_message(error), 0);
        return;
    }
    snprintf(body, sizeof(body), "{\"code\":%d,\"message\":\"%s\"}", (int)error,
             eio_error_message(error));
    answer(conn, status, "", "application/json", body, slice_eq(req->method, SLICE("HEAD")));
}

/* Browsers always send Origin with an upgrade and do not ask first (CORS does
 * not cover WebSocket), so the server has to look.  Others send none. */
static int origin_allowed(const struct engine *engine, const struct http_request *req)
{
    return engine->options.origins == NULL ||
           origin_judge(req, engine->options.origins) != ORIGIN_FOREIGN;
}

static int base64_wanted(const struct http_request *req)
{
    struct slice b64;

    return http_query(req->query, "b64", &b64) && b64.len > 0;
}

/* Checks in Engine.IO's order.  Returns the version to speak, or -1 with *error. */
static int verify(const struct engine *engine, const struct http_request *req,
                  enum ws_upgrade upgrade, enum eio_error *error)
{
    struct slice transport, sid, eio;

    *error = EIO_UNKNOWN_TRANSPORT;
    if (!engine->options.websocket || !http_query(req->query, "transport", &transport) ||
        !slice_eq(transport, SLICE("websocket")))
        return -1;
    *error = EIO_UNKNOWN_SID;
    if (http_query(req->query, "sid", &sid) && sid.len > 0)
        return -1; /* only a polling session could be upgraded */
    *error = EIO_BAD_HANDSHAKE_METHOD;
    if (!slice_eq(req->method, SLICE("GET")))
        return -1;
    *error = EIO_BAD_REQUEST;
    if (upgrade != WS_UPGRADE_YES)
        return -1;
    *error = EIO_FORBIDDEN;
    if (!origin_allowed(engine, req))
        return -1;
    *error = EIO_UNSUPPORTED_VERSION;
    if (!http_query(req->query, "EIO", &eio) || eio.len != 1)
        return -1;
    if (eio.ptr[0] == '4')
        return EIO4;
    return eio.ptr[0] == '3' && engine->options.allow_eio3 ? EIO3 : -1;
}

static void upgrade_now(struct conn *conn, const struct http_request *req, int version,
                        const char *accept, const uint8_t *rest, size_t len)
{
    struct sockaddr_storage peer = {0};
    socklen_t peer_len = sizeof(peer);
    char head[256];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                     accept);

    if ((conn->session = session_new(conn, (enum eio_version)version, base64_wanted(req))) ==
        NULL) {
        request_refuse(conn, 503);
        return;
    }
    conn->state = CONN_WEBSOCKET;
    wheel_unset(conn->engine->conn_wheel, &conn->timer);
    if (conn_put(conn, head, (size_t)n) < 0)
        return;
    getpeername(event_get_fd(&conn->ev), (struct sockaddr *)&peer, &peer_len);
    session_start(conn->session, req, (struct sockaddr *)&peer);
    if (conn->state == CONN_WEBSOCKET && len > 0)
        wsin_feed(conn, rest, len);
}

void request_serve(struct conn *conn, const struct http_request *req, const uint8_t *rest,
                   size_t len)
{
    char accept[WS_ACCEPT_LEN + 1];
    enum ws_upgrade upgrade = ws_upgrade(req, accept);
    enum eio_error error;
    int version;

    if (!http_path_below(req->path, conn->engine->options.path)) {
        request_refuse(conn, 404);
        return;
    }
    if ((version = verify(conn->engine, req, upgrade, &error)) >= 0)
        upgrade_now(conn, req, version, accept, rest, len);
    else if (upgrade == WS_UPGRADE_VERSION && error == EIO_BAD_REQUEST)
        answer(conn, 426, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", "text/plain",
               http_reason(426), 0);
    else
        refuse(conn, req, upgrade != WS_UPGRADE_NO, error);
}
