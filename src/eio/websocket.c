/* wsin - WebSocket input: wslay's event context, lent to a connection only
 * while one of its frames or messages is partly read.
 *
 * A context is 9.4 KB and an idle connection needs none of it, so a spare one
 * serves whoever reads now.  wslay does not say whether it stands between two
 * messages; it is counted here: the bytes it has taken against those of the
 * frames it has begun. */
#include "codec/ws.h"
#include "engine/state.h"

#include <stdlib.h>
#include <wslay/wslay.h>

#define SPARES        4    /* contexts kept for the next partial frames */
#define FRAGMENTS_MAX 63   /* frames of one message: wslay keeps 96 bytes for each */
#define HEADER_MAX    14   /* bytes of a masked frame's header */
#define FEED_BYTES    4096 /* at a time: bounds the pongs that wslay queues in between */

struct wsin {
    wslay_event_context_ptr ctx;
    struct wsin *next; /* among the spare ones */
    struct conn *conn; /* whose bytes it reads now */
    const uint8_t *at, *end;
    uint64_t taken;             /* bytes given to wslay */
    uint64_t begun;             /* bytes, headers included, of the frames it has begun */
    unsigned frames;            /* of the message that is being read; 0: none is */
    uint8_t header[HEADER_MAX]; /* of a frame that has not begun, as far as it came */
};

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *dst, size_t len, int flags, void *arg)
{
    struct wsin *wsin = arg;
    size_t n = (size_t)(wsin->end - wsin->at);

    (void)flags;
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (n > len)
        n = len;
    memcpy(dst, wsin->at, n);
    wsin->at += n;
    wsin->taken += n;
    return (ssize_t)n;
}

/* Pongs, and the close frames with which wslay answers a peer's faults. */
static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *bytes, size_t len, int flags,
                       void *arg)
{
    struct wsin *wsin = arg;

    (void)flags;
    if (wsin->conn->state != CONN_WEBSOCKET || conn_put(wsin->conn, bytes, len) < 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    return (ssize_t)len;
}

static void on_frame(wslay_event_context_ptr ctx,
                     const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
    struct wsin *wsin = arg;
    struct conn *conn = wsin->conn;
    uint64_t len = frame->payload_length;

    (void)ctx;
    wsin->begun += 2 + (len < 126 ? 0 : len < 65536 ? 2 : 8) + 4 + len;
    if (frame->opcode == WSLAY_PING && conn_ping(conn) < 0)
        conn_doom(conn, CLOSE_PROTOCOL); /* it would not read a close frame either */
    if (wslay_is_ctrl_frame(frame->opcode))
        return;
    if (++wsin->frames > FRAGMENTS_MAX)
        conn_close(conn, WS_CLOSE_POLICY, CLOSE_PROTOCOL);
    else if (frame->fin)
        wsin->frames = 0;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *msg,
                       void *arg)
{
    struct wsin *wsin = arg;
    struct slice payload = {(const char *)msg->msg, msg->msg_length};

    /* A code has two bytes (RFC 6455, section 5.5.1); wslay lets one pass. */
    if (msg->opcode == WSLAY_CONNECTION_CLOSE && msg->msg_length == 1)
        conn_close(wsin->conn, WS_CLOSE_PROTOCOL, CLOSE_PROTOCOL);
    if (wslay_is_ctrl_frame(msg->opcode))
        return;
    /* A ping that came before is answered before. */
    if (wslay_event_want_write(ctx))
        wslay_event_send(ctx);
    /* The session may have been closed by an earlier message of this batch; a
     * doomed connection could not even be given its close frame. */
    if (wsin->conn->state != CONN_WEBSOCKET || wsin->conn->doomed)
        return;
    if (wsin->conn->probing)
        upgrade_input(wsin->conn, msg->opcode == WSLAY_BINARY_FRAME, payload);
    else
        session_input(wsin->conn->session, msg->opcode == WSLAY_BINARY_FRAME, payload);
}

static struct wsin *wsin_new(void)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .on_frame_recv_start_callback = on_frame,
        .on_msg_recv_callback = on_message,
    };
    struct wsin *wsin = calloc(1, sizeof(*wsin));

    if (wsin == NULL || wslay_event_context_server_init(&wsin->ctx, &callbacks, wsin) != 0) {
        free(wsin);
        return NULL;
    }
    return wsin;
}

/* Frees the list that starts with *wsin. */
void wsin_free(struct wsin **wsinp)
{
    struct wsin *wsin, *next;

    for (wsin = *wsinp; wsin != NULL; wsin = next) {
        next = wsin->next;
        wslay_event_context_free(wsin->ctx);
        free(wsin);
    }
    *wsinp = NULL;
}

static struct wsin *wsin_take(struct conn *conn)
{
    struct engine *engine = conn->engine;
    struct wsin *wsin = conn->wsin;

    conn->wsin = NULL;
    if (wsin != NULL)
        return wsin;
    if ((wsin = engine->spare_wsin) != NULL) {
        engine->spare_wsin = wsin->next;
        engine->nspare_wsin--;
        wsin->next = NULL;
        return wsin;
    }
    return wsin_new();
}

/* Leaves it with the connection, among the spare ones, or nowhere. */
static void wsin_put_back(struct conn *conn, struct wsin *wsin)
{
    struct engine *engine = conn->engine;

    if (conn->state == CONN_WEBSOCKET && (wsin->taken != wsin->begun || wsin->frames > 0)) {
        conn->wsin = wsin;
    } else if (conn->state == CONN_WEBSOCKET && engine->nspare_wsin < SPARES) {
        wsin->conn = NULL;
        wsin->taken = wsin->begun = 0;
        wsin->next = engine->spare_wsin;
        engine->spare_wsin = wsin;
        engine->nspare_wsin++;
    } else {
        wsin_free(&wsin);
    }
}

static enum engine_close close_why(const struct wsin *wsin)
{
    if (wslay_event_get_close_received(wsin->ctx))
        return CLOSE_CLIENT;
    if (wslay_event_get_status_code_sent(wsin->ctx) == WSLAY_CODE_MESSAGE_TOO_BIG)
        return CLOSE_TOO_BIG;
    return CLOSE_PROTOCOL;
}

/* Reads and answers one piece of input.  Returns 0, or -1 when nothing more is
 * to be read from this connection. */
static int wsin_step(struct wsin *wsin)
{
    struct conn *conn = wsin->conn;
    int result = wslay_event_recv(wsin->ctx);

    if (conn->state != CONN_WEBSOCKET)
        return -1;
    if (result != 0) { /* a header that wslay cannot read, or no memory */
        conn_close(conn, WS_CLOSE_PROTOCOL,
                   result == WSLAY_ERR_NOMEM ? CLOSE_NO_MEMORY : CLOSE_PROTOCOL);
        return -1;
    }
    if (wslay_event_want_write(wsin->ctx) && wslay_event_send(wsin->ctx) != 0) {
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
        return -1;
    }
    if (conn->state != CONN_WEBSOCKET)
        return -1;
    if (!wslay_event_get_read_enabled(wsin->ctx)) {
        enum engine_close why = close_why(wsin);
        conn_finish(conn, why); /* wslay has put its close frame */
        return -1;
    }
    return 0;
}

/* wslay judges a frame by its length only when the first byte of its payload is
 * there.  A client that claims gigabytes and then waits is told at once.
 * end is where the n bytes that have just been read end.  Returns 0, or -1 when it has been closed.
 */
static int wsin_check_header(struct wsin *wsin, const uint8_t *end, size_t n)
{
    uint64_t have = wsin->taken - wsin->begun, claim = 0;

    if (wsin->taken <= wsin->begun || have > HEADER_MAX)
        return 0;
    if (n > have)
        n = have;
    memcpy(wsin->header + have - n, end - n, n);
    if ((wsin->header[1] & 0x7f) != 127 || have < 10)
        return 0;
    for (int i = 2; i < 10; i++)
        claim = claim << 8 | wsin->header[i];
    if (claim <= conn_message_max(wsin->conn))
        return 0;
    conn_close(wsin->conn, WS_CLOSE_TOO_BIG, CLOSE_TOO_BIG);
    return -1;
}

void wsin_feed(struct conn *conn, const uint8_t *bytes, size_t len)
{
    struct wsin *wsin = wsin_take(conn);

    if (wsin == NULL) {
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
        return;
    }
    wsin->conn = conn;
    wslay_event_config_set_max_recv_msg_length(wsin->ctx, conn_message_max(conn));
    while (len > 0) {
        size_t n = len < FEED_BYTES ? len : FEED_BYTES;
        wsin->at = bytes;
        wsin->end = bytes + n;
        bytes += n;
        len -= n;
        if (wsin_step(wsin) < 0 || wsin_check_header(wsin, bytes, n) < 0)
            break;
    }
    wsin_put_back(conn, wsin);
}
