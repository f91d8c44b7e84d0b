#include "eio/upgrade.h"

#include "base/clock.h"
#include "codec/payload.h"
#include "eio/polling.h"
#include "eio/websocket.h"

void upgrade_begin(struct conn *conn, struct session *session, int base64)
{
    if (session->polling == NULL || session->polling->probe != NULL || session->over) {
        session->eio->stats.upgrades_failed++;
        websocket_close(conn, WS_CLOSE_NONE, CLOSE_PROTOCOL);
        return;
    }
    stranger_carry(conn, session);
    session->polling->probe = conn;
    session->polling->probe_base64 = base64 != 0;
    session->polling->probe_due_ms = clock_ms() + session->eio->options.upgrade_timeout_ms;
    session_rearm(session);
}

/* Puts one packet of a payload as a WebSocket message. */
static void put_packet(struct session *session, struct conn *conn, const struct eio_packet *packet)
{
    if (packet->binary)
        session_put_binary(session, conn, packet->data);
    else /* the type digit stands before the data */
        websocket_put(conn, WS_TEXT, packet->data.ptr - 1, packet->data.len + 1);
}

/* What waited was written for polling.  It is read back and framed anew: dear,
 * but it happens once a session, and there is rarely anything. */
static int move_output(struct session *session, struct conn *conn)
{
    struct buf text = {0}, decoded = {0};
    struct outq out = {.bytes = 0};
    struct eio_packet packet;
    struct payload it;
    int result = 0;

    while (result == 0 && session->polling->out.bytes > 0) {
        uint8_t kind = run_kind(&session->polling->out.first);
        uint32_t before = session->polling->out.bytes;
        buf_reset(&text);
        if (outq_move(&out, &session->polling->out) < 0)
            result = -1;
        session->eio->net->stats.queued_bytes -= before - session->polling->out.bytes;
        outq_drain(&out, &text);
        if (result < 0 || text.failed ||
            payload_begin(&it, (enum eio_version)session->version, kind == ENC_POLL3_BINARY,
                          (struct slice){(char *)text.data + (kind == ENC_POLL4),
                                         text.len - (kind == ENC_POLL4)}) < 0) {
            result = -1;
            break;
        }
        while ((result = payload_next(&it, &packet, &decoded)) == 1)
            if (packet.binary || packet.type != EIO_NOOP)
                put_packet(session, conn, &packet);
    }
    outq_clear(&out);
    buf_free(&text);
    buf_free(&decoded);
    return result;
}

/* The session hears of nothing that has to do with polling any more.  Returns the
 * connection of a POST that has come in part, or NULL. */
static struct conn *leave_polling(struct session *session)
{
    struct polling *polling = session->polling;
    struct conn *post = polling->post;

    polling->probe = polling->post = NULL;
    if (post != NULL)
        post->owner = NULL;
    return post;
}

static void upgrade_finish(struct conn *conn, struct session *session)
{
    struct polling *polling = session->polling;
    struct eio_stats *stats = &session->eio->stats;
    struct conn *post;

    if (polling->get != NULL) /* it should have been answered before: it hears nothing of use */
        polling_put(session, "6", 1);
    if (polling->get != NULL)
        polling_flush(polling->get);
    if (polling->get != NULL || polling->closing) { /* no memory: the session is about to end */
        polling_abandon(session, CLOSE_PROTOCOL);
        return;
    }
    post = leave_polling(session);
    session->base64 = polling->probe_base64;
    if (move_output(session, conn) < 0)
        conn_close_soon(conn, CLOSE_NO_MEMORY);
    session->ws = conn;
    polling_came(session);
    conn->stamp = polling->stamp;
    stats->upgrades++;
    stats->sessions[EIO_POLLING][session->version == EIO4]--;
    stats->sessions[EIO_WEBSOCKET][session->version == EIO4]++;
    stranger_upgraded(session);
    polling_free(session, CLOSE_NO_MEMORY);
    session_rearm(session);
    if (post != NULL) /* last, for it may end whatever session it likes */
        conn_kill(post, CLOSE_CLIENT, 0);
}

void upgrade_input(struct conn *conn, int binary, struct slice payload)
{
    struct session *session = conn->owner;
    struct polling *polling = session->polling;
    /* Of a session that has lost output there is nothing to take over. */
    int sane = !binary && !polling->closing;

    if (sane && slice_eq(payload, SLICE("2probe")) && !polling->probed) {
        polling->probed = 1;
        websocket_put(conn, WS_TEXT, "3probe", 6);
        /* The client waits for its GET to end before it says "5". */
        if (polling->get != NULL && polling->out.bytes == 0)
            polling_put(session, "6", 1);
    } else if (sane && slice_eq(payload, SLICE("5"))) {
        upgrade_finish(conn, session);
    } else {
        polling_abandon(session,
                        polling->closing ? (enum close_reason)polling->why : CLOSE_PROTOCOL);
    }
}
