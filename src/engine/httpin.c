/* httpin - HTTP input: the requests of a connection that is not upgraded, one after
 * the other. */
#include "codec/body.h"
#include "codec/http.h"
#include "engine/state.h"

#include <stdlib.h>

#define HELD_BYTES (2UL * INPUT_BYTES) /* of later requests, kept beside a head */

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

    if (used < 0) {
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

void httpin_pump(struct conn *conn)
{
    struct exchange *http = conn->http;

    if (http == NULL || http->pumping)
        return;
    http->pumping = 1;
    while (conn->http != NULL && (conn->state == CONN_HTTP || conn->state == CONN_BODY) &&
           http->in.len > 0 && !conn->doomed)
        if (pump_step(conn) < 0)
            break;
    if (conn->http == NULL)
        return;
    http->pumping = 0;
    if (conn->state == CONN_HTTP && http->in.len == 0) {
        httpin_free(&conn->http);
        conn_deadline(conn, IDLE_MS);
    }
}

void httpin_feed(struct conn *conn, const uint8_t *bytes, size_t len)
{
    const struct engine_options *options = &conn->engine->options;

    if (conn->http == NULL && (conn->http = calloc(1, sizeof(*conn->http))) == NULL) {
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
        return;
    }
    if (conn->state == CONN_HTTP && conn->http->in.len == 0)
        conn_deadline(conn, HEAD_MS);
    /* While a GET waits or a handoff is due, what comes is kept, within bounds. */
    if (conn->http->in.len + len > options->http.head_bytes + HELD_BYTES ||
        buf_put(&conn->http->in, bytes, len) < 0) {
        conn_kill(conn, CLOSE_PROTOCOL, 1);
        return;
    }
    httpin_pump(conn);
}
