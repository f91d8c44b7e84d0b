#include "eio/websocket.h"

#include "eio/session.h"

#include <stdlib.h>
#include <wslay/wslay.h>

/* Input is read by wslay's event context, lent to a connection only while one of its frames
 * or messages is partly read.  A context is 9.4 KB and an idle connection needs none of it,
 * so a spare one serves whoever reads now.  wslay does not say whether it stands between
 * two messages; it is counted here: the bytes it has taken against those of the frames it
 * has begun. */

#define SPARES        4    /* contexts kept for the next partial frames */
#define FRAGMENTS_MAX 63   /* frames of one message: wslay keeps 96 bytes for each */
#define HEADER_MAX    14   /* bytes of a masked frame's header */
#define FEED_BYTES    4096 /* at a time: bounds the pongs that wslay queues in between */

struct websocket {
    wslay_event_context_ptr ctx;
    struct websocket *next; /* among the spare ones */
    struct conn *conn;      /* whose bytes it reads now */
    const uint8_t *at, *end;
    uint64_t taken;             /* bytes given to wslay */
    uint64_t begun;             /* bytes, headers included, of the frames it has begun */
    unsigned frames;            /* of the message that is being read; 0: none is */
    uint8_t header[HEADER_MAX]; /* of a frame that has not begun, as far as it came */
};

static const struct conn_ops websocket_ops;

int websocket_is_open(const struct conn *conn)
{
    return conn->state == CONN_OPEN && conn->ops == &websocket_ops;
}

static size_t message_max(const struct conn *conn)
{
    const struct eio *eio = eio_of(conn);

    return conn->stranger ? eio->stranger_message_max : eio->options.max_payload;
}

/* --- frames out, and the end --- */

int websocket_put(struct conn *conn, enum ws_opcode opcode, const void *payload, size_t len)
{
    struct run run;
    uint8_t header[WS_HEADER_MAX];
    size_t n = ws_header_encode(header, opcode, len);
    uint8_t *dst = chunklog_reserve(&conn->net->private_log, n + len, &run);

    if (dst == NULL)
        return conn_close_soon(conn, CLOSE_NO_MEMORY);
    memcpy(dst, header, n);
    if (len > 0)
        memcpy(dst + n, payload, len);
    return conn_push(conn, &run);
}

/* Its close frame has been queued, or there is none. */
static void finish(struct conn *conn, enum close_reason why)
{
    conn_linger(conn);
    eio_of(conn)->ws_ops->gone(conn, why);
    stranger_conn(conn);
}

void websocket_close(struct conn *conn, int code, enum close_reason why)
{
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    if (!websocket_is_open(conn) || conn->closing)
        return;
    if (!close_may_return(why) &&
        websocket_put(conn, WS_CLOSE, payload, code == WS_CLOSE_NONE ? 0 : 2) < 0)
        return;
    finish(conn, why);
}

/* --- frames in --- */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *dst, size_t len, int flags, void *arg)
{
    struct websocket *ws = arg;
    size_t n = (size_t)(ws->end - ws->at);

    (void)flags;
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (n > len)
        n = len;
    memcpy(dst, ws->at, n);
    ws->at += n;
    ws->taken += n;
    return (ssize_t)n;
}

/* Pongs, and the close frames with which wslay answers a peer's faults. */
static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *bytes, size_t len, int flags,
                       void *arg)
{
    struct websocket *ws = arg;

    (void)flags;
    if (!websocket_is_open(ws->conn) || conn_put(ws->conn, bytes, len) < 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    return (ssize_t)len;
}

static void on_frame(wslay_event_context_ptr ctx,
                     const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
    struct websocket *ws = arg;
    struct conn *conn = ws->conn;
    uint64_t len = frame->payload_length;

    (void)ctx;
    ws->begun += 2 + (len < 126 ? 0 : len < 65536 ? 2 : 8) + 4 + len;
    if (frame->opcode == WSLAY_PING && conn_ping(conn) < 0)
        conn_close_soon(conn, CLOSE_PROTOCOL); /* it would not read a close frame either */
    if (wslay_is_ctrl_frame(frame->opcode))
        return;
    if (++ws->frames > FRAGMENTS_MAX)
        websocket_close(conn, WS_CLOSE_POLICY, CLOSE_PROTOCOL);
    else if (frame->fin)
        ws->frames = 0;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *msg,
                       void *arg)
{
    struct websocket *ws = arg;
    struct slice payload = {(const char *)msg->msg, msg->msg_length};

    /* A code has two bytes (RFC 6455, section 5.5.1); wslay lets one pass. */
    if (msg->opcode == WSLAY_CONNECTION_CLOSE && msg->msg_length == 1)
        websocket_close(ws->conn, WS_CLOSE_PROTOCOL, CLOSE_PROTOCOL);
    if (wslay_is_ctrl_frame(msg->opcode))
        return;
    /* A ping that came before is answered before. */
    if (wslay_event_want_write(ctx))
        wslay_event_send(ctx);
    /* The session may have been closed by an earlier message of this batch; a
     * connection that is closing could not even be given its close frame. */
    if (!websocket_is_open(ws->conn) || ws->conn->closing)
        return;
    eio_of(ws->conn)->ws_ops->message(ws->conn, msg->opcode == WSLAY_BINARY_FRAME, payload);
}

static struct websocket *ws_new(void)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .on_frame_recv_start_callback = on_frame,
        .on_msg_recv_callback = on_message,
    };
    struct websocket *ws = calloc(1, sizeof(*ws));

    if (ws == NULL || wslay_event_context_server_init(&ws->ctx, &callbacks, ws) != 0) {
        free(ws);
        return NULL;
    }
    return ws;
}

void websocket_free(struct websocket **spare)
{
    struct websocket *ws, *next;

    for (ws = *spare; ws != NULL; ws = next) {
        next = ws->next;
        wslay_event_context_free(ws->ctx);
        free(ws);
    }
    *spare = NULL;
}

static struct websocket *ws_take(struct conn *conn)
{
    struct eio *eio = eio_of(conn);
    struct websocket *ws = conn->input;

    conn->input = NULL;
    if (ws != NULL)
        return ws;
    if ((ws = eio->spare) != NULL) {
        eio->spare = ws->next;
        eio->nspare--;
        ws->next = NULL;
        return ws;
    }
    return ws_new();
}

/* Leaves it with the connection, among the spare ones, or nowhere. */
static void ws_put_back(struct conn *conn, struct websocket *ws)
{
    struct eio *eio = eio_of(conn);

    if (websocket_is_open(conn) && (ws->taken != ws->begun || ws->frames > 0)) {
        conn->input = ws;
    } else if (websocket_is_open(conn) && eio->nspare < SPARES) {
        ws->conn = NULL;
        ws->taken = ws->begun = 0;
        ws->next = eio->spare;
        eio->spare = ws;
        eio->nspare++;
    } else {
        websocket_free(&ws);
    }
}

static enum close_reason close_why(const struct websocket *ws)
{
    if (wslay_event_get_close_received(ws->ctx))
        return CLOSE_CLIENT;
    if (wslay_event_get_status_code_sent(ws->ctx) == WSLAY_CODE_MESSAGE_TOO_BIG)
        return CLOSE_TOO_BIG;
    return CLOSE_PROTOCOL;
}

/* Reads and answers one piece of input.  Returns 0, or -1 when nothing more is
 * to be read from this connection. */
static int ws_step(struct websocket *ws)
{
    struct conn *conn = ws->conn;
    int result = wslay_event_recv(ws->ctx);

    if (!websocket_is_open(conn))
        return -1;
    if (result != 0) { /* a header that wslay cannot read, or no memory */
        websocket_close(conn, WS_CLOSE_PROTOCOL,
                        result == WSLAY_ERR_NOMEM ? CLOSE_NO_MEMORY : CLOSE_PROTOCOL);
        return -1;
    }
    if (wslay_event_want_write(ws->ctx) && wslay_event_send(ws->ctx) != 0) {
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
        return -1;
    }
    if (!websocket_is_open(conn))
        return -1;
    if (!wslay_event_get_read_enabled(ws->ctx)) {
        enum close_reason why = close_why(ws);
        finish(conn, why); /* wslay has put its close frame */
        return -1;
    }
    return 0;
}

/* wslay judges a frame by its length only when the first byte of its payload is
 * there.  A client that claims gigabytes and then waits is told at once.
 * end is where the n bytes that have just been read end.  Returns 0, or -1 when it has
 * been closed. */
static int ws_check_header(struct websocket *ws, const uint8_t *end, size_t n)
{
    uint64_t have = ws->taken - ws->begun, claim = 0;

    if (ws->taken <= ws->begun || have > HEADER_MAX)
        return 0;
    if (n > have)
        n = have;
    memcpy(ws->header + have - n, end - n, n);
    if ((ws->header[1] & 0x7f) != 127 || have < 10)
        return 0;
    for (int i = 2; i < 10; i++)
        claim = claim << 8 | ws->header[i];
    if (claim <= message_max(ws->conn))
        return 0;
    websocket_close(ws->conn, WS_CLOSE_TOO_BIG, CLOSE_TOO_BIG);
    return -1;
}

void websocket_input(struct conn *conn, const uint8_t *bytes, size_t len)
{
    struct websocket *ws = ws_take(conn);

    if (ws == NULL) {
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
        return;
    }
    ws->conn = conn;
    wslay_event_config_set_max_recv_msg_length(ws->ctx, message_max(conn));
    while (len > 0) {
        size_t n = len < FEED_BYTES ? len : FEED_BYTES;
        ws->at = bytes;
        ws->end = bytes + n;
        bytes += n;
        len -= n;
        if (ws_step(ws) < 0 || ws_check_header(ws, bytes, n) < 0)
            break;
    }
    ws_put_back(conn, ws);
}

/* --- what the connection asks --- */

static int on_ended(struct conn *conn)
{
    (void)conn;
    return 0;
}

static void on_timeout(struct conn *conn) /* there is no deadline but its session's */
{
    conn_kill(conn, CLOSE_CLIENT, 0);
}

static void on_gone(struct conn *conn, enum close_reason why)
{
    eio_of(conn)->ws_ops->gone(conn, why);
}

static void on_free(struct conn *conn)
{
    struct websocket *ws = conn->input;

    websocket_free(&ws);
}

static const struct conn_ops websocket_ops = {
    .input = websocket_input,
    .ended = on_ended,
    .timeout = on_timeout,
    .gone = on_gone,
    .free = on_free,
};

void websocket_begin(struct conn *conn)
{
    conn->ops = &websocket_ops;
    conn->streams = 1;
    conn_deadline(conn, 0);
}
