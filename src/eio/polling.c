#include "eio/polling.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "codec/payload.h"
#include "eio/websocket.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define TEXT_TYPE   "text/plain; charset=UTF-8"
#define BINARY_TYPE "application/octet-stream"
#define SCRIPT_TYPE "text/javascript; charset=UTF-8"
#define NO_STORE    "Cache-Control: no-store\r\n"

/* What a request says of itself, and whose body it is. */
struct request {
    uint64_t session; /* a POST's: the handle */
    uint8_t version;  /* of the session */
    uint8_t octets;   /* the body is application/octet-stream */
    uint8_t jsonp;    /* the answer is a script, for callback number callback */
    char callback[12];
};

_Static_assert(sizeof(struct request) <= HTTP_APP_BYTES, "room in struct exchange");

static struct request *request_of(const struct conn *conn)
{
    return (struct request *)(void *)exchange_of(conn)->app;
}

void polling_read(struct conn *conn, const struct http_request *req)
{
    struct request *request = request_of(conn);
    struct slice j;
    size_t n = 0;

    *request = (struct request){0};
    if (!http_query(req->query, "j", &j) || j.len == 0)
        return;
    request->jsonp = 1;
    for (size_t i = 0; i < j.len && n < sizeof(request->callback) - 1; i++)
        if (j.ptr[i] >= '0' && j.ptr[i] <= '9')
            request->callback[n++] = j.ptr[i];
}

static const struct polling_ops *ops(const struct session *session)
{
    return session->eio->polling_ops;
}

static void discard(struct session *session, enum close_reason why)
{
    struct outq *out = &session->polling->out;
    struct net_stats *stats = &session->eio->net->stats;

    stats->queued_bytes -= out->bytes;
    stats->discarded_bytes[why] += out->bytes;
    outq_clear(out);
    session->polling->exempt_bytes = 0;
}

void polling_free(struct session *session, enum close_reason why)
{
    const struct polling *polling = session->polling;

    if (polling == NULL)
        return;
    assert(polling->get == NULL && polling->post == NULL && polling->probe == NULL);
    /* Of one that was over it is not why it is freed that cost it its output. */
    discard(session, session->over ? (enum close_reason)polling->why : why);
    compact_forget(&session->eio->net->compact, &session->polling->out);
    free(session->polling);
    session->polling = NULL;
}

/* --- answering a GET --- */

static void answer_script(struct conn *conn, struct outq *out)
{
    struct buf text = {0}, script = {0};
    struct slice index = slice_str(request_of(conn)->callback);
    size_t skip =
        ((const struct session *)conn->owner)->version == EIO4; /* the separator before the first */

    outq_drain(out, &text);
    if (text.len > skip)
        payload_put_jsonp(&script, index,
                          (struct slice){(char *)text.data + skip, text.len - skip});
    if (text.failed || script.failed)
        conn_close_soon(conn, CLOSE_NO_MEMORY);
    else if (answer_head(conn, 200, SCRIPT_TYPE, NO_STORE, script.len) == 0)
        conn_put(conn, script.data, script.len);
    buf_free(&text);
    buf_free(&script);
}

/* The runs go as they are, shared with everybody who hears the same. */
static void answer_runs(struct conn *conn, struct outq *out, uint8_t kind)
{
    const char *type = kind == ENC_POLL3_BINARY ? BINARY_TYPE : TEXT_TYPE;

    if (kind == ENC_POLL4) /* the separator before the first packet */
        outq_consume(out, 1);
    if (answer_head(conn, 200, type, NO_STORE, out->bytes) < 0)
        return;
    (void)conn_put_queue(conn, out);
}

static void get_over(struct conn *conn)
{
    struct session *session = conn->owner;

    session->polling->get = NULL;
    conn->owner = NULL;
    conn->leaving = session_handle(session);
    answer_done(conn);
}

/* 1 if the end is told with a packet of its own, as Engine.IO has it; else a later request
 * finds no session, for clients in Python and Rust take the packet for the end for good. */
static int is_told(enum close_reason why)
{
    return why == CLOSE_SHUTDOWN || !close_may_return(why);
}

/* The last packet of one that is over. */
static void part(struct session *session)
{
    struct polling *polling = session->polling;

    polling->parted = 1;
    polling_put(session, polling->why == CLOSE_CLIENT ? "6" : "1", 1);
}

void polling_flush(struct conn *conn)
{
    struct session *session = conn->owner;
    struct polling *polling = session->polling;
    struct outq out = {.bytes = 0};
    uint32_t before = polling->out.bytes;
    uint8_t kind;
    long moved;

    if (before == 0)
        return;
    kind = run_kind(&polling->out.first);
    /* Of one kind only: what follows waits for the next GET. */
    moved = outq_move(&out, &polling->out);
    polling->exempt_bytes = 0;
    session->eio->net->stats.queued_bytes -= before - polling->out.bytes;
    conn->stamp = polling->stamp;
    if (polling->out.bytes == 0)
        polling->stamp = 0;
    if (moved < 0)
        conn_close_soon(conn, CLOSE_NO_MEMORY);
    else if (request_of(conn)->jsonp)
        answer_script(conn, &out);
    else
        answer_runs(conn, &out, kind);
    outq_clear(&out);
    polling->waiting_since_ms = polling->out.bytes > 0 ? clock_ms() : 0;
    if (polling->out.bytes > 0)
        compact_watch(&session->eio->net->compact, &polling->out);
    get_over(conn);
    if (session->over && polling->out.bytes == 0 &&
        (polling->parted || !is_told((enum close_reason)polling->why))) {
        ops(session)->told(session, CLOSE_CLIENT);
        return;
    }
    if (session->over && polling->out.bytes == 0)
        part(session);
    ops(session)->due(session);
}

/* --- output --- */

static int wake(struct session *session)
{
    struct polling *polling = session->polling;

    if (polling->get != NULL) {
        conn_dirty(polling->get);
    } else if (polling->waiting_since_ms == 0) {
        polling->waiting_since_ms = clock_ms();
        compact_watch(&session->eio->net->compact, &polling->out);
        ops(session)->due(session);
    }
    return 0;
}

/* The session ends on its deadline, which is now: not here, for who pushes may be
 * walking over a room.  A GET that comes first does not save it, for something has
 * been lost. */
int polling_close_soon(struct session *session, enum close_reason why)
{
    struct polling *polling = session->polling;

    if (!session->over && !polling->closing) {
        polling->closing = 1;
        polling->why = (uint8_t)why;
        ops(session)->due(session);
    }
    return -1;
}

static int queue(struct session *session, const struct run *run)
{
    if (outq_push(&session->polling->out, run) < 0)
        return -1;
    session->eio->net->stats.queued_bytes += run->len;
    return 0;
}

int polling_push(struct session *session, const struct run *run)
{
    struct polling *polling = session->polling;
    const struct net *net = session->eio->net;
    size_t limit = session->stranger ? net->stranger_send_buffer : net->options.send_buffer;

    if (session->over) /* its last word */
        return queue(session, run) < 0 ? -1 : wake(session);
    if (polling->closing)
        return -1;
    /* It may wait only for us: what a GET is there for does not count. */
    if (outq_held(&polling->out) + run->len > limit && polling->get != NULL)
        polling_flush(polling->get);
    if ((polling->out.bytes > 0 || session->stranger) &&
        outq_held(&polling->out) - polling->exempt_bytes + run->len > limit)
        return polling_close_soon(session, CLOSE_SEND_BUFFER);
    /* What comes first does not count, as over WebSocket. */
    if (polling->out.bytes == 0)
        polling->exempt_bytes = session->stranger ? 0 : run->len;
    if (queue(session, run) < 0)
        return polling_close_soon(session, CLOSE_NO_MEMORY);
    return wake(session);
}

/* Version 3 counts UTF-16 code units. */
static size_t units(const char *text, size_t len)
{
    size_t n, count = 0;

    for (size_t at = 0; at < len; at += n, count++) {
        n = utf8_next(text + at, len - at, NULL);
        if (n == 4)
            count++;
        else if (n == 0)
            n = 1;
    }
    return count;
}

static int put(struct session *session, enum encoding encoding, int binary, struct slice packet)
{
    struct chunklog *log = &session->eio->logs[encoding];
    enum payload_form form = encoding == ENC_POLL4 ? PAYLOAD4 : PAYLOAD3_BINARY;
    struct run run;
    uint8_t *dst;
    char length[24];
    size_t n;

    if (encoding == ENC_POLL3_TEXT && !binary) {
        n = (size_t)snprintf(length, sizeof(length), "%zu:", units(packet.ptr, packet.len));
        if ((dst = chunklog_reserve(log, n + packet.len, &run)) == NULL)
            return polling_close_soon(session, CLOSE_NO_MEMORY);
        memcpy(dst, length, n);
        memcpy(dst + n, packet.ptr, packet.len);
        return polling_push(session, &run);
    }
    if (encoding == ENC_POLL3_TEXT)
        form = PAYLOAD3_TEXT;
    n = payload_packet_len(form, binary, packet.len);
    if ((dst = chunklog_reserve(log, n, &run)) == NULL)
        return polling_close_soon(session, CLOSE_NO_MEMORY);
    payload_packet_write(dst, form, binary, packet.ptr, packet.len);
    return polling_push(session, &run);
}

int polling_put(struct session *session, const void *text, size_t len)
{
    return put(session, session_encoding(session, 0), 0, (struct slice){text, len});
}

int polling_put_message(struct session *session, int binary, struct slice data)
{
    struct buf *scratch = &session->eio->scratch;
    enum encoding encoding = session_encoding(session, 1);

    if (binary)
        return put(session, encoding, 1, data);
    buf_reset(scratch);
    buf_putc(scratch, '4');
    if (buf_put(scratch, data.ptr, data.len) < 0)
        return polling_close_soon(session, CLOSE_NO_MEMORY);
    return put(session, encoding, 0, (struct slice){(char *)scratch->data, scratch->len});
}

/* --- GET --- */

/* Engine.IO: of two at once the second is an error, and the session is over. */
static void overlap(struct conn *conn, struct session *session)
{
    answer(conn, 400, NULL, (struct slice){NULL, 0});
    ops(session)->fault(session, CLOSE_PROTOCOL);
}

/* That it was away is not our delay. */
void polling_came(struct session *session)
{
    struct net *net = session->eio->net;

    if (session->polling->stamp == 0)
        return;
    net_clock(net);
    session->polling->stamp = stamp_of(net->now_us);
}

void polling_get(struct conn *conn, struct session *session)
{
    struct polling *polling = session->polling;

    if (polling->get != NULL) {
        overlap(conn, session);
        return;
    }
    assert(conn->out.bytes == 0);
    polling_came(session);
    polling->get = conn;
    polling->waiting_since_ms = 0;
    stranger_carry(conn, session);
    exchange_wait(conn);
    /* Before who carries the connection cuts it, the client is to come over another. */
    if ((polling->probed || conn->last) && polling->out.bytes == 0)
        polling_put(session, "6", 1);
    if (polling->out.bytes > 0)
        conn_dirty(conn);
    ops(session)->due(session);
}

/* --- POST --- */

static int is_octets(const struct http_request *req)
{
    const struct http_header *type = http_header(req, "Content-Type");

    return type != NULL && type->value.len >= sizeof(BINARY_TYPE) - 1 &&
           strncasecmp(type->value.ptr, BINARY_TYPE, sizeof(BINARY_TYPE) - 1) == 0;
}

/* A client that sends no payload is told nothing but that it has no session. */
static void malformed(struct session *session)
{
    struct polling *polling = session->polling;

    if (polling == NULL || polling->get != NULL || session->over) {
        ops(session)->fault(session, CLOSE_PROTOCOL);
        return;
    }
    polling_abandon(session, CLOSE_PROTOCOL);
    ops(session)->told(session, CLOSE_PROTOCOL);
}

void polling_post(struct conn *conn, struct session *session, const struct http_request *req)
{
    struct exchange *exchange = exchange_of(conn);
    struct request *request = request_of(conn);
    const struct eio *eio = session->eio;

    if (exchange_check_body(conn, req,
                            session->stranger ? eio->stranger_message_max
                                              : eio->options.max_payload) < 0)
        return;
    exchange->keep = 0;
    if (session->over) {
        eio_refuse(conn, EIO_UNKNOWN_SID);
        return;
    }
    if (session->polling->post != NULL) {
        overlap(conn, session);
        return;
    }
    /* No payload, whatever is in it, and nothing to wait for. */
    if (session->version == EIO4 && is_octets(req)) {
        answer(conn, 400, NULL, (struct slice){NULL, 0});
        malformed(session);
        return;
    }
    request->octets = (uint8_t)is_octets(req);
    request->session = session_handle(session);
    request->version = session->version;
    session->polling->post = conn;
    stranger_carry(conn, session);
    if (exchange_body(conn, req))
        polling_posted(conn);
}

/* The body is not the session's any more. */
static void post_over(struct conn *conn)
{
    struct session *session = conn->owner;

    session->polling->post = NULL;
    conn->owner = NULL;
}

/* A body that is too large costs the session nothing, as with Engine.IO; of any
 * other, packets are lost. */
void polling_post_failed(struct conn *conn, int status)
{
    struct session *session = conn->owner;

    post_over(conn);
    if (status != 413)
        ops(session)->fault(session, CLOSE_PROTOCOL);
}

/* Returns 0, or -1 if the payload is malformed. */
static int take_packets(const struct eio *eio, const struct request *request, struct slice body)
{
    struct payload it;
    struct eio_packet packet;
    struct buf scratch = {.secret = 1};
    struct session *session = NULL;
    int result = payload_begin(&it, (enum eio_version)request->version, request->octets, body);

    while (result == 0 && (result = payload_next(&it, &packet, &scratch)) == 1) {
        result = 0;
        /* Any packet may have been the last one of the session. */
        if ((session = session_find(eio, request->session)) == NULL || session->polling == NULL)
            break;
        eio->polling_ops->packet(session, &packet);
    }
    buf_free(&scratch);
    return result;
}

void polling_posted(struct conn *conn)
{
    const struct eio *eio = eio_of(conn);
    const struct request *request = request_of(conn);
    struct buf *data = &exchange_of(conn)->data;
    struct slice body = {(char *)data->data, data->len};
    struct buf unwrapped = {.secret = 1}; /* a CONNECT may bring a token */
    struct session *session;
    int result = 0;

    post_over(conn);
    if (request->jsonp) {
        result = payload_unwrap_jsonp(&unwrapped, body);
        body = (struct slice){(char *)unwrapped.data, unwrapped.len};
    }
    if (result == 0)
        result = take_packets(eio, request, body);
    if (result < 0 && (session = session_find(eio, request->session)) != NULL)
        malformed(session);
    buf_free(&unwrapped);
    buf_reset(data);
    stranger_served(conn, request->session);
    answer(conn, 200, "text/html", SLICE("ok"));
}

/* --- the end --- */

void polling_conn_gone(struct session *session, struct conn *conn)
{
    struct polling *polling = session->polling;

    if (conn == polling->probe) {
        session->eio->stats.upgrades_failed++;
        polling->probe = NULL;
        polling->probed = 0;
        ops(session)->due(session);
    } else if (conn == polling->get) {
        polling->get = NULL;
        ops(session)->fault(session, CLOSE_CLIENT);
    } else if (conn == polling->post) {
        polling->post = NULL;
        ops(session)->fault(session, CLOSE_CLIENT);
    }
}

void polling_abandon(struct session *session, enum close_reason why)
{
    struct polling *polling = session->polling;
    struct conn *conn = polling->probe;

    polling->probe = NULL;
    polling->probed = 0;
    polling->probe_due_ms = 0;
    if (conn == NULL)
        return;
    session->eio->stats.upgrades_failed++;
    conn->owner = NULL;
    websocket_close(conn, WS_CLOSE_NONE, why);
}

/* No word is said: the next request finds no session, and the one that waits is told so. */
static void vanish(struct session *session)
{
    struct conn *get = session->polling->get;

    if (get == NULL)
        return;
    session->polling->get = NULL;
    get->owner = NULL;
    eio_refuse(get, EIO_UNKNOWN_SID);
}

int polling_part(struct session *session, enum close_reason why)
{
    struct polling *polling = session->polling;
    struct conn *post = polling->post;

    polling->why = (uint8_t)why;
    if (post != NULL) {
        polling->post = NULL;
        post->owner = NULL;
        conn_kill(post, why, 0);
    }
    /* A client that has left, or seems to have, needs no word; others hear what waits,
     * and that it is over, with their next GETs. */
    if (why == CLOSE_CLIENT || why == CLOSE_SEND_TIMEOUT || why == CLOSE_PING_TIMEOUT)
        discard(session, why);
    if (polling->out.bytes == 0 &&
        (!is_told(why) || (why == CLOSE_CLIENT && polling->get == NULL))) {
        vanish(session);
        return 1;
    }
    /* In an answer of its own: clients 4.x act on it before what stands in front of it. */
    if (polling->out.bytes == 0)
        part(session);
    session->heartbeat_due_ms = clock_ms() + FAREWELL_MS;
    if (session->eio->migrate_end_ms != 0)
        session->heartbeat_due_ms = session->eio->migrate_end_ms;
    session->app_due_ms = 0;
    ops(session)->due(session);
    return 0;
}

uint64_t polling_due(const struct session *session)
{
    const struct polling *polling = session->polling;
    uint64_t due = polling->probe_due_ms;

    if (session->over) /* the farewell's deadline is all that counts */
        return 0;
    if (polling->closing)
        return 1; /* at once */
    if (polling->waiting_since_ms != 0) {
        uint64_t stall = polling->waiting_since_ms + session->eio->net->options.send_timeout_ms;
        if (due == 0 || stall < due)
            due = stall;
    }
    return due;
}

/* Output has waited for too long. */
static int is_stalled(const struct session *session, uint64_t now_ms)
{
    uint64_t since_ms = session->polling->waiting_since_ms;

    return since_ms != 0 && since_ms + session->eio->net->options.send_timeout_ms <= now_ms;
}

int polling_timeout(struct session *session, uint64_t now_ms)
{
    struct polling *polling = session->polling;

    if (polling->probe_due_ms != 0 && polling->probe_due_ms <= now_ms)
        polling_abandon(session, CLOSE_PROTOCOL);
    if (!polling->closing && !is_stalled(session, now_ms))
        return 0;
    ops(session)->fault(session,
                        polling->closing ? (enum close_reason)polling->why : CLOSE_SEND_TIMEOUT);
    return -1;
}
