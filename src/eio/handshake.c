/* request - what an HTTP request gets: a handshake, a session's GET or POST, an
 * upgrade, another worker, or an error in the words that Engine.IO uses
 * (engine.io, lib/server.ts, verify and abort). */
#include "base/clock.h"
#include "codec/json.h"
#include "codec/ws.h"
#include "engine/state.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#define HANDOFF_RETRY_MS 20

/* --- answers --- */

int request_answer_head(struct conn *conn, int status, const char *type, const char *extra,
                        size_t len)
{
    const struct exchange *http = conn->http;
    char head[1024], length[48] = "";
    int n;

    if (status >= 400)
        conn->engine->stats.http_errors[http_error_kind(status)]++;
    if (status != 304) /* there it would be that of the whole */
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", len);
    n = snprintf(head, sizeof(head), "HTTP/1.1 %d %s\r\n%s%s%s%s%s%s%s\r\n", status,
                 http_reason(status), extra, http->cors, type ? "Content-Type: " : "",
                 type ? type : "", type ? "\r\n" : "", length,
                 !http->keep       ? "Connection: close\r\n"
                 : http->says_keep ? "Connection: keep-alive\r\n"
                                   : "");
    return conn_put(conn, head, (size_t)n);
}

int request_keeps(const struct http_request *req)
{
    return !http_has_token(req, "Connection", "close") &&
           (req->minor >= 1 || http_has_token(req, "Connection", "keep-alive"));
}

void request_done(struct conn *conn)
{
    if (conn->state == CONN_DEAD)
        return;
    stranger_conn(conn);
    if (!conn->http->keep) {
        conn_linger(conn);
        return;
    }
    conn->state = CONN_HTTP;
    conn_await(conn);
}

void request_answer(struct conn *conn, int status, const char *type, struct slice body)
{
    if (request_answer_head(conn, status, type, "", body.len) == 0 && !conn->http->head_only &&
        body.len > 0)
        conn_put(conn, body.ptr, body.len);
    request_done(conn);
}

void request_refuse(struct conn *conn, int status)
{
    if (conn->state == CONN_BODY)
        polling_post_failed(conn, status);
    if (conn->http == NULL && (conn->http = calloc(1, sizeof(*conn->http))) == NULL) {
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
        return;
    }
    conn->http->keep = 0;
    request_answer(conn, status, "text/plain", slice_str(http_reason(status)));
}

void request_error(struct conn *conn, enum eio_error error)
{
    char body[128];

    conn->engine->stats.eio_errors[error]++;
    snprintf(body, sizeof(body), "{\"code\":%d,\"message\":\"%s\"}", (int)error,
             eio_error_message(error));
    request_answer(conn, error == EIO_FORBIDDEN ? 403 : 400, "application/json", slice_str(body));
}

/* An upgrade is refused with the bare message, and before it has happened. */
static void refuse_upgrade(struct conn *conn, enum eio_error error)
{
    conn->engine->stats.eio_errors[error]++;
    conn->http->keep = 0;
    request_answer(conn, 400, "text/html", slice_str(eio_error_message(error)));
}

static void refuse_method(struct conn *conn, const char *allowed)
{
    struct slice body = slice_str(http_reason(405));
    char allow[64];

    conn->http->keep = 0;
    snprintf(allow, sizeof(allow), "Allow: %s\r\n", allowed);
    if (request_answer_head(conn, 405, "text/plain", allow, body.len) == 0 &&
        !conn->http->head_only)
        conn_put(conn, body.ptr, body.len);
    request_done(conn);
}

static void refuse_version(struct conn *conn)
{
    conn->http->keep = 0;
    if (request_answer_head(conn, 426, "text/plain",
                            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", 0) == 0)
        request_done(conn);
}

/* --- another worker's --- */

/* A connection of which nothing is wanted now, or not yet. */
void request_pass_on(struct conn *conn)
{
    struct engine *engine = conn->engine;
    const struct exchange *http = conn->http;

    if (engine->app->handoff(ENGINE_HEIR, conn->fd, http ? http->in.data : NULL,
                             http ? http->in.len : 0, engine->arg) != 0)
        return;
    engine->stats.handoffs_sent++;
    conn_kill(conn, CLOSE_CLIENT, 0); /* our copy of the descriptor */
}

/* Answers 503 once the time is over. */
void request_handoff(struct conn *conn)
{
    struct engine *engine = conn->engine;
    struct exchange *http = conn->http;
    int result;

    assert(conn->out.bytes == 0);
    result = engine->app->handoff(http->handoff_slot, conn->fd, http->in.data, http->in.len,
                                  engine->arg);
    if (result == 0) {
        engine->stats.handoffs_sent++;
        conn_kill(conn, CLOSE_CLIENT, 0); /* our copy of the descriptor */
    } else if (result < 0 && http->handoff_slot == ENGINE_HEIR) {
        engine->stats.handoffs_failed++;
        conn->state = CONN_HTTP;
        request_refuse(conn, 503);
    } else if (result < 0) {
        engine->stats.handoffs_failed++;
        conn->state = CONN_HTTP;
        http->keep = 0;
        request_error(conn, EIO_UNKNOWN_SID);
    } else if (clock_ms() >= http->handoff_end_ms) {
        engine->stats.handoffs_failed++;
        conn->state = CONN_HTTP;
        if (log_due(&engine->handoff_log, 60000) > 0)
            log_warnx("handoff failed: nobody takes what waits for %s",
                      http->handoff_slot == ENGINE_HEIR ? "the other workers"
                                                        : "the session's worker");
        request_refuse(conn, 503);
    } else {
        conn_deadline(conn, HANDOFF_RETRY_MS);
    }
}

static void hand_over(struct conn *conn, uint32_t slot)
{
    conn->state = CONN_HANDOFF;
    conn->http->handoff_slot = slot;
    conn->http->handoff_end_ms = clock_ms() + HANDOFF_MS;
    request_handoff(conn);
}

/* Returns 1 if the session lives in another process, which then gets it. */
static int is_elsewhere(struct conn *conn, struct slice sid)
{
    const struct engine *engine = conn->engine;
    uint32_t slot;

    if (engine->app->handoff == NULL || conn->http->stray || session_sid_home(sid, &slot) < 0 ||
        slot == engine->options.slot)
        return 0;
    hand_over(conn, slot);
    return 1;
}

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

static int transport_of(const struct engine *engine, const struct http_request *req, int *websocket)
{
    struct slice transport;

    if (!http_query(req->query, "transport", &transport))
        return -1;
    *websocket = slice_eq(transport, SLICE("websocket"));
    if (*websocket)
        return engine->options.websocket ? 0 : -1;
    return engine->options.polling && slice_eq(transport, SLICE("polling")) ? 0 : -1;
}

/* Of a request with a sid.  Returns 0, or -1 with *error. */
static int verify_session(struct conn *conn, struct target *target, struct slice sid,
                          enum eio_error *error)
{
    struct engine *engine = conn->engine;
    struct session *session = session_by_sid(engine, sid);

    *error = EIO_UNKNOWN_SID;
    if (session != NULL) {
        session_settle(session);
        session = session_by_sid(engine, sid);
    }
    if (session == NULL || (session->over && target->websocket))
        return -1;
    *error = EIO_BAD_REQUEST;
    if (version_of(target->req) != session->version ||
        (target->websocket ? target->upgrade != WS_UPGRADE_YES : session->polling == NULL))
        return -1;
    *error = EIO_FORBIDDEN;
    if (session->guarded && engine->app->guarded != NULL &&
        !engine->app->guarded(target->req, engine->arg))
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
    return version_of(target->req) == EIO4 || conn->engine->options.allow_eio3 ? 0 : -1;
}

static void open_session(struct conn *conn, const struct target *target)
{
    struct engine *engine = conn->engine;
    struct sockaddr_storage peer = {0};
    socklen_t peer_len = sizeof(peer);
    struct session *session;

    session = session_new(engine, target->websocket ? conn : NULL, version_of(target->req),
                          wants_base64(target->req));
    if (session == NULL) {
        if (target->websocket) /* upgraded by now: no place for a status */
            conn_kill(conn, CLOSE_NO_MEMORY, 1);
        else
            request_refuse(conn, 503);
        return;
    }
    getpeername(conn->fd, (struct sockaddr *)&peer, &peer_len);
    if (target->websocket)
        conn->session = session;
    if (session_start(session, target->req, (struct sockaddr *)&peer) < 0) {
        if (!target->websocket)
            request_refuse(conn, 503);
    } else if (!target->websocket) {
        polling_get(conn, session);
        stranger_opened(conn, session);
    }
}

/* From here on the connection speaks WebSocket. */
static void upgrade_conn(struct conn *conn, const struct target *target)
{
    struct exchange *http = conn->http;
    size_t head_len = target->head_len;
    struct slice protocol = ws_protocol(target->req);
    char head[256 + WS_PROTOCOL_MAX];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s%.*s%s\r\n",
                     target->accept, protocol.len > 0 ? "Sec-WebSocket-Protocol: " : "",
                     (int)protocol.len, protocol.ptr, protocol.len > 0 ? "\r\n" : "");

    conn->state = CONN_WEBSOCKET;
    conn_deadline(conn, 0);
    conn_put(conn, head, (size_t)n);
    if (target->session != NULL) {
        upgrade_begin(conn, target->session, wants_base64(target->req));
    } else {
        /* Ahead of the open packet: who begins to listen for messages only when
         * the connection is open would miss one that comes with the same read. */
        conn_flush(conn);
        if (conn->state == CONN_WEBSOCKET)
            open_session(conn, target);
    }
    if (conn->state != CONN_WEBSOCKET)
        return;
    conn->http = NULL;
    if (http->in.len > head_len)
        wsin_feed(conn, http->in.data + head_len, http->in.len - head_len);
    buf_free(&http->in);
    buf_free(&http->data);
    free(http);
}

/* Sessions are limited too: those of polling live without a connection. */
static void refuse_full(struct conn *conn)
{
    struct engine *engine = conn->engine;
    uint64_t times = log_due(&engine->full_sessions_log, FULL_LOG_MS);

    if (times > 0)
        log_warnx("limits:connections reached: sessions=%zu; answered with 503 times=%llu",
                  engine->nsessions, (unsigned long long)times);
    request_refuse(conn, 503);
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
        refuse_method(conn, "GET, POST");
}

/* --- from the head to the answer --- */

static void read_head(struct conn *conn, const struct http_request *req)
{
    struct exchange *http = conn->http;
    struct slice j;

    http->head_only = slice_eq(req->method, SLICE("HEAD"));
    http->keep = (uint8_t)request_keeps(req);
    http->says_keep = req->minor == 0;
    /* A body that nobody reads would be taken for the next request. */
    if (body_begin(&http->body, req, 0) < 0 || !http->body.done)
        http->keep = 0;
    http->jsonp = 0;
    if (http_query(req->query, "j", &j) && j.len > 0) {
        size_t n = 0;
        http->jsonp = 1;
        for (size_t i = 0; i < j.len && n < sizeof(http->callback) - 1; i++)
            if (j.ptr[i] >= '0' && j.ptr[i] <= '9')
                http->callback[n++] = j.ptr[i];
        http->callback[n] = '\0';
    }
    cors_headers(conn->engine, req, http->cors, sizeof(http->cors));
}

static void refuse(struct conn *conn, const struct target *target, enum eio_error error)
{
    if (error == EIO_FORBIDDEN)
        hint_origin(conn, target->req);
    else if (error == EIO_BAD_REQUEST && target->websocket &&
             (target->upgrade == WS_UPGRADE_NO || target->req->minor < 1))
        hint_upgrade(conn, target->req);
    if (target->upgrade == WS_UPGRADE_NO)
        request_error(conn, error);
    else if (target->upgrade == WS_UPGRADE_VERSION && error == EIO_BAD_REQUEST)
        refuse_version(conn);
    else
        refuse_upgrade(conn, error);
}

/* Checks in Engine.IO's order.  Returns 0, -1 with *error, or 1 if it is another
 * worker's business now. */
static int verify(struct conn *conn, struct target *target, enum eio_error *error)
{
    struct slice sid;

    *error = EIO_UNKNOWN_TRANSPORT;
    if (transport_of(conn->engine, target->req, &target->websocket) < 0)
        return -1;
    *error = EIO_FORBIDDEN;
    if (!cors_allowed(conn->engine, target->req))
        return -1;
    if (!http_query(target->req->query, "sid", &sid) || sid.len == 0)
        return verify_handshake(conn, target, error);
    if (is_elsewhere(conn, sid))
        return 1;
    return verify_session(conn, target, sid, error);
}

/* What services of this ecosystem say of themselves.  Returns 0 if the request is
 * for something else. */
static int serve_status(struct conn *conn, const struct http_request *req)
{
    const struct engine_options *options = &conn->engine->options;
    struct buf body = {0};
    struct timespec now;
    int64_t ms;

    if (options->name == NULL || !slice_eq(req->path, SLICE("/status")))
        return 0;
    if (slice_eq(req->method, SLICE("OPTIONS")) && http_header(req, "Origin") != NULL) {
        cors_preflight(conn, req);
        return 1;
    }
    if (!slice_eq(req->method, SLICE("GET")) && !conn->http->head_only) {
        refuse_method(conn, "GET, HEAD");
        return 1;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    buf_printf(&body, "{\"name\":\"%s\",\"time\":", options->name);
    ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    json_put_date(&body, (double)ms);
    buf_printf(&body, ",\"version\":\"%s\"}", options->version);
    if (body.failed)
        request_refuse(conn, 503);
    else
        request_answer(conn, 200, "application/json", (struct slice){(char *)body.data, body.len});
    buf_free(&body);
    return 1;
}

static void serve(struct conn *conn, const struct http_request *req, size_t head_len)
{
    struct target target = {.req = req, .head_len = head_len};
    enum eio_error error;
    int result;

    conn->engine->stats.requests += !conn->http->counted;
    conn->http->counted = 0;
    target.upgrade = ws_upgrade(req, target.accept);
    read_head(conn, req);
    if (!http_path_below(req->path, conn->engine->options.path)) {
        if (!serve_status(conn, req)) {
            hint_path(conn, req);
            request_refuse(conn, 404);
        }
        return;
    }
    if (slice_eq(req->method, SLICE("OPTIONS")) && http_header(req, "Origin") != NULL) {
        cors_preflight(conn, req);
        return;
    }
    if (script_serve(conn, req))
        return;
    result = verify(conn, &target, &error);
    if (result < 0)
        refuse(conn, &target, error);
    else if (result == 0 && target.session == NULL && conn->engine->retiring)
        hand_over(conn, ENGINE_HEIR); /* here it would be closed soon */
    else if (result == 0 && target.session == NULL && stranger_sessions_full(conn->engine))
        refuse_full(conn);
    else if (result == 0 && target.websocket)
        upgrade_conn(conn, &target);
    else if (result == 0)
        serve_polling(conn, &target);
}

void request_serve(struct conn *conn, const struct http_request *req, size_t head_len)
{
    conn->stranger = 1; /* unless it is for a user's session */
    serve(conn, req, head_len);
    stranger_conn(conn);
}
