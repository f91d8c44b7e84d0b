/* exchange - the requests of a connection that speaks HTTP, one after the other, and their
 * bodies: none is served before the answer to the one before it has left. */
#include "http/http.h"

#include "ipc/handoff.h"

#include <assert.h>
#include <stdlib.h>

static void exchange_free(struct exchange *exchange)
{
    if (exchange == NULL)
        return;
    buf_free(&exchange->in);
    buf_free(&exchange->data);
    free(exchange);
}

/* --- from a head to its answer --- */

/* 1 if the client wants its connection kept after the answer. */
static int keeps(const struct http_request *req)
{
    return !http_has_token(req, "Connection", "close") &&
           (req->minor >= 1 || http_has_token(req, "Connection", "keep-alive"));
}

static void read_head(struct conn *conn, const struct http_request *req)
{
    struct exchange *exchange = exchange_of(conn);

    exchange->head_only = slice_eq(req->method, SLICE("HEAD"));
    exchange->keep = (uint8_t)keeps(req);
    exchange->says_keep = req->minor == 0;
    /* A body that nobody reads would be taken for the next request. */
    if (body_begin(&exchange->body, req, 0) < 0 || !exchange->body.done)
        exchange->keep = 0;
    cors_headers(http_of(conn), req, exchange->cors, sizeof(exchange->cors));
}

static void serve(struct conn *conn, const struct http_request *req, size_t head_len)
{
    struct http *http = http_of(conn);
    struct exchange *exchange = exchange_of(conn);

    http->stats.requests += !exchange->counted;
    exchange->counted = 0;
    read_head(conn, req);
    if (forwarded_request(conn, req) < 0) {
        answer_refuse(conn, 503);
        return;
    }
    if (!http_path_below(req->path, http->options.path)) {
        if (!pages_status(conn, req)) {
            hint_path(conn, req);
            answer_refuse(conn, 404);
        }
        return;
    }
    if (slice_eq(req->method, SLICE("OPTIONS")) && http_header(req, "Origin") != NULL)
        cors_preflight(conn, req);
    else if (!pages_client_file(conn, req))
        http->app->request(conn, req, head_len);
}

/* --- bodies --- */

int exchange_check_body(struct conn *conn, const struct http_request *req, size_t max)
{
    struct exchange *exchange = exchange_of(conn);
    int status = body_begin(&exchange->body, req, max), waits = body_wants_continue(req);

    if (status == 0 && waits < 0)
        status = waits;
    if (status == 0)
        return 0;
    exchange->keep = 0;
    answer(conn, -status, NULL, (struct slice){NULL, 0});
    return -1;
}

int exchange_body(struct conn *conn, const struct http_request *req)
{
    struct exchange *exchange = exchange_of(conn);

    /* read_head() saw a body and took it for one that nobody reads. */
    exchange->keep = (uint8_t)keeps(req);
    exchange->phase = EXCHANGE_BODY;
    conn_deadline(conn, HEAD_MS);
    buf_reset(&exchange->data);
    if (body_wants_continue(req) && !exchange->body.done)
        conn_put(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return exchange->body.done;
}

static void refuse_body(struct conn *conn, int status)
{
    http_of(conn)->app->body(conn, status);
    answer_refuse(conn, status);
}

void exchange_wait(struct conn *conn)
{
    exchange_of(conn)->phase = EXCHANGE_WAIT;
    conn->asks_flush = 1;
    conn_deadline(conn, 0);
}

/* --- input --- */

/* Returns the bytes used, 0 if there are too few, -1 if nothing more is to be
 * read as HTTP. */
static long pump_head(struct conn *conn)
{
    static struct http_request req; /* 8 KB; one process, one thread, no reentry */
    struct exchange *exchange = exchange_of(conn);
    const struct buf *in = &exchange->in;
    long used = http_parse(&req, (const char *)in->data, in->len, &http_of(conn)->options.limits,
                           &exchange->scanned);

    assert(conn->owner == NULL && conn->leaving == 0);
    if (used < 0) {
        hint_bytes(conn, in->data, in->len);
        answer_refuse(conn, (int)-used);
        return -1;
    }
    if (used == 0)
        return 0;
    exchange->scanned = 0;
    conn->asked = 1;
    conn->stranger = 1; /* unless it is for a user's session */
    serve(conn, &req, (size_t)used);
    stranger_conn(conn);
    return used;
}

static long pump_body(struct conn *conn)
{
    struct exchange *exchange = exchange_of(conn);
    long used = body_feed(&exchange->body, exchange->in.data, exchange->in.len, &exchange->data);

    if (used < 0) {
        refuse_body(conn, (int)-used);
        return -1;
    }
    return used;
}

static const struct conn_ops exchange_ops;

/* 1 if what comes is still read as HTTP. */
static int is_http(const struct conn *conn)
{
    return conn->state == CONN_OPEN && conn->ops == &exchange_ops;
}

static int pump_step(struct conn *conn)
{
    struct exchange *exchange = exchange_of(conn);
    long used = exchange->phase == EXCHANGE_HEAD ? pump_head(conn) : pump_body(conn);

    if (used < 0 || !is_http(conn) || exchange->phase == EXCHANGE_HANDOFF)
        return -1;
    buf_consume(&exchange->in, (size_t)used);
    if (exchange->phase == EXCHANGE_BODY && exchange->body.done) {
        http_of(conn)->app->body(conn, 0);
        return is_http(conn) && exchange->phase == EXCHANGE_HEAD ? 0 : -1;
    }
    return used > 0 ? 0 : -1;
}

/* Nothing of a next request while something of an answer is still to leave: a session
 * that loses an answer is ended, and one connection has one session to tell. */
static int may_pump(const struct conn *conn)
{
    const struct exchange *exchange = exchange_of(conn);

    if (!is_http(conn) || exchange->in.len == 0 || conn->closing)
        return 0;
    return exchange->phase == EXCHANGE_BODY ||
           (exchange->phase == EXCHANGE_HEAD && conn->out.bytes == 0);
}

/* What comes while a GET waits, a handoff is due or an answer leaves is kept, but for a
 * read beyond a whole head the rest stays with the kernel. */
static void bound_input(struct conn *conn)
{
    size_t most = http_of(conn)->options.limits.head_bytes + INPUT_BYTES;

    if (exchange_of(conn)->phase != EXCHANGE_BODY)
        conn_hear(conn, exchange_of(conn)->in.len <= most);
}

/* Uses what has been read: heads, bodies, and the next request, unless an answer is
 * still to leave; then it goes on once that has. */
static void exchange_pump(struct conn *conn)
{
    struct exchange *exchange = exchange_of(conn);

    if (exchange == NULL || exchange->pumping)
        return;
    exchange->pumping = 1;
    while (may_pump(conn) && pump_step(conn) == 0)
        ;
    if (conn->ops != &exchange_ops)
        return;
    exchange->pumping = 0;
    if (conn->state != CONN_OPEN)
        return;
    bound_input(conn);
    if (exchange->phase == EXCHANGE_HEAD && exchange->in.len == 0) {
        conn->input = NULL;
        exchange_free(exchange);
        answer_await(conn);
    }
}

/* Returns 0, or -1 without memory. */
static int put_input(struct conn *conn, const void *bytes, size_t len)
{
    struct exchange *exchange = conn->input;

    if (exchange == NULL && (exchange = conn->input = calloc(1, sizeof(*exchange))) != NULL)
        exchange->in.secret = exchange->data.secret = 1; /* there may be a token in them */
    return exchange != NULL ? buf_put(&exchange_of(conn)->in, bytes, len) : -1;
}

static void on_input(struct conn *conn, const uint8_t *bytes, size_t len)
{
    if (conn->input == NULL ||
        (exchange_of(conn)->phase == EXCHANGE_HEAD && exchange_of(conn)->in.len == 0))
        conn_deadline(conn, HEAD_MS);
    if (put_input(conn, bytes, len) < 0)
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
    else
        exchange_pump(conn);
}

/* The answers to all that was asked for leave first. */
static int on_ended(struct conn *conn)
{
    for (;;) {
        if (conn->asks_flush)
            http_of(conn)->app->ready(conn); /* there may be something for it */
        if (!is_http(conn))
            return 0;
        if (exchange_of(conn) != NULL && exchange_of(conn)->phase == EXCHANGE_HANDOFF)
            return 1;
        if (exchange_of(conn) != NULL && exchange_of(conn)->phase != EXCHANGE_HEAD)
            return 0;
        if (conn->out.bytes == 0 || conn_write(conn) < 0)
            return 0;
        if (conn->out.bytes > 0) {
            if (!exchange_has_request(conn))
                conn_linger(conn);
            return 1;
        }
        exchange_pump(conn);
    }
}

static void on_flush(struct conn *conn)
{
    http_of(conn)->app->ready(conn);
}

/* An answer has left: what came behind its request is next. */
static void on_sent(struct conn *conn, int was_blocked)
{
    if (exchange_of(conn) != NULL && exchange_of(conn)->phase != EXCHANGE_HEAD)
        return;
    if (was_blocked && !conn->blocked) /* until now it was not the client's turn */
        answer_await(conn);
    exchange_pump(conn);
}

static void on_timeout(struct conn *conn)
{
    const struct exchange *exchange = exchange_of(conn);
    int phase = exchange != NULL ? exchange->phase : EXCHANGE_HEAD;

    if (phase == EXCHANGE_HANDOFF)
        exchange_hand_over_again(conn);
    else if (phase == EXCHANGE_HEAD && conn->out.bytes > 0)
        answer_await(conn); /* not idle yet: how long that lasts has its own limit */
    else if (phase == EXCHANGE_BODY)
        refuse_body(conn, 408);
    else if (exchange_has_request(conn))
        answer_refuse(conn, 408);
    else
        conn_kill(conn, CLOSE_CLIENT, conn->out.bytes > 0);
}

static void on_gone(struct conn *conn, enum close_reason why)
{
    http_of(conn)->app->lost(conn, why);
}

static void on_free(struct conn *conn)
{
    exchange_free(exchange_of(conn));
}

static const struct conn_ops exchange_ops = {
    .input = on_input,
    .ended = on_ended,
    .flush = on_flush,
    .sent = on_sent,
    .timeout = on_timeout,
    .gone = on_gone,
    .free = on_free,
};

void exchange_leave(struct conn *conn, struct buf *in)
{
    struct exchange *exchange = exchange_of(conn);

    *in = exchange->in;
    exchange->in = (struct buf){0};
    exchange_free(exchange);
    conn->input = NULL;
    conn->asks_flush = conn->asks_sent = 0;
}

/* --- life --- */

struct http *http_new(struct net *net, const struct http_options *options)
{
    struct http *http = calloc(1, sizeof(*http));

    if (http == NULL)
        return NULL;
    http->net = net;
    http->options = *options;
    pages_tag(http);
    net_speaks(net, &exchange_ops, http, HEAD_MS);
    return http;
}

void http_serves(struct http *http, const struct http_app *app, void *arg)
{
    http->app = app;
    http->arg = arg;
}

void http_free(struct http **httpp)
{
    free(*httpp);
    *httpp = NULL;
}

void http_configure(struct http *http, const struct http_options *options)
{
    http->options.limits = options->limits;
    http->options.idle_timeout_ms = options->idle_timeout_ms;
    http->options.origins = options->origins;
    http->options.credentials = options->credentials;
    http->options.proxy_header = options->proxy_header;
}

static void adopted(struct conn *conn, const struct handoff_conn *known)
{
    conn->secure = known->secure;
    conn->carried = known->carried;
    conn->last = known->last;
    conn->told = known->told;
    if (known->known && conn_set_peer(conn, &known->peer) < 0)
        conn_kill(conn, CLOSE_NO_MEMORY, 0);
}

int http_adopt(struct http *http, int fd, const struct handoff_conn *known, const void *bytes,
               size_t len, int orphan)
{
    struct conn *conn = conn_new(http->net, fd);

    if (conn == NULL)
        return -1;
    if (known != NULL)
        adopted(conn, known);
    if (conn->state == CONN_DEAD)
        return 0;
    http->stats.handoffs_received++;
    if (len == 0) {
        answer_await(conn);
        return 0;
    }
    if (put_input(conn, bytes, len) < 0) {
        conn_kill(conn, CLOSE_NO_MEMORY, 0);
        return 0;
    }
    exchange_of(conn)->orphan = orphan != 0;
    exchange_of(conn)->counted = 1;
    exchange_pump(conn);
    return 0;
}
