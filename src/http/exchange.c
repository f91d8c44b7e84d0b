/* httpin - HTTP input: the requests of a connection that is not upgraded, one after
 * the other: none is served before the answer to the one before it has left. */
#include "codec/body.h"
#include "codec/http.h"
#include "engine/state.h"

#include <assert.h>
#include <stdlib.h>

void httpin_free(struct exchange **httpp)
{
    struct exchange *http = *httpp;

    if (http == NULL)
        return;
    buf_free(&http->in);
    buf_free(&http->data);
    free(http);
    *httpp = NULL;
}

/* Returns the bytes used, 0 if there are too few, -1 if nothing more is to be
 * read as HTTP. */
static long pump_head(struct conn *conn)
{
    static struct http_request req; /* 8 KB; one process, one thread, no reentry */
    struct exchange *http = conn->http;
    const struct buf *in = &http->in;
    long used = http_parse(&req, (const char *)in->data, in->len, &conn->engine->options.http,
                           &http->scanned);

    assert(conn->session == NULL && conn->polled == 0);
    if (used < 0) {
        hint_bytes(conn, in->data, in->len);
        request_refuse(conn, (int)-used);
        return -1;
    }
    if (used == 0)
        return 0;
    http->scanned = 0;
    request_serve(conn, &req, (size_t)used);
    return used;
}

static long pump_body(struct conn *conn)
{
    struct exchange *http = conn->http;
    long used = body_feed(&http->body, http->in.data, http->in.len, &http->data);

    if (used < 0) {
        request_refuse(conn, (int)-used);
        return -1;
    }
    return used;
}

static int pump_step(struct conn *conn)
{
    struct exchange *http = conn->http;
    long used = conn->state == CONN_HTTP ? pump_head(conn) : pump_body(conn);

    if (used < 0 || conn->state == CONN_DEAD || conn->http == NULL)
        return -1;
    if (conn->state == CONN_LINGER || conn->state == CONN_HANDOFF)
        return -1;
    buf_consume(&http->in, (size_t)used);
    if (conn->state == CONN_BODY && http->body.done) {
        polling_posted(conn);
        return conn->state == CONN_HTTP ? 0 : -1;
    }
    return used > 0 ? 0 : -1;
}

/* Nothing of a next request while something of an answer is still to leave: a session
 * that loses an answer is ended, and one connection has one session to tell. */
static int may_pump(const struct conn *conn)
{
    if (conn->http == NULL || conn->http->in.len == 0 || conn->doomed)
        return 0;
    return conn->state == CONN_BODY || (conn->state == CONN_HTTP && conn->out.bytes == 0);
}

/* What comes while a GET waits, a handoff is due or an answer leaves is kept, but for a
 * read beyond a whole head the rest stays with the kernel. */
static void bound_input(struct conn *conn)
{
    size_t most = conn->engine->options.http.head_bytes + INPUT_BYTES;

    if (conn->state == CONN_HTTP || conn->state == CONN_POLL || conn->state == CONN_HANDOFF)
        conn_hear(conn, conn->http->in.len <= most);
}

void httpin_pump(struct conn *conn)
{
    struct exchange *http = conn->http;

    if (http == NULL || http->pumping)
        return;
    http->pumping = 1;
    while (may_pump(conn) && pump_step(conn) == 0)
        ;
    if (conn->http == NULL)
        return;
    http->pumping = 0;
    bound_input(conn);
    if (conn->state == CONN_HTTP && http->in.len == 0) {
        httpin_free(&conn->http);
        conn_await(conn);
    }
}

void httpin_feed(struct conn *conn, const uint8_t *bytes, size_t len)
{
    if (conn->http == NULL && (conn->http = calloc(1, sizeof(*conn->http))) == NULL) {
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
        return;
    }
    if (conn->state == CONN_HTTP && conn->http->in.len == 0)
        conn_deadline(conn, HEAD_MS);
    if (buf_put(&conn->http->in, bytes, len) < 0) {
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
        return;
    }
    httpin_pump(conn);
}
