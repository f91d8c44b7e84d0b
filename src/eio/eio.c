/* eio - all sessions: what they stand on, and what stands on them. */
#include "eio/polling.h"
#include "eio/session.h"
#include "eio/websocket.h"

#include <stddef.h>
#include <stdlib.h>

#define STRANGER_MIN_BYTES 100000 /* of a message from who has no good token yet */

/* --- what polling asks --- */

static void on_fault(struct session *session, enum close_reason why)
{
    session_close(session, WS_CLOSE_NONE, why);
}

static const struct polling_ops polling_ops = {
    .packet = session_packet,
    .fault = on_fault,
    .told = session_end,
    .due = session_rearm,
};

/* --- what net asks, when a stranger has to go --- */

static struct session *session_of(struct stranger *stranger)
{
    return (struct session *)(void *)((char *)stranger - offsetof(struct session, age));
}

/* An answer may still be leaving on it to a session that has become a user's. */
static int on_spares(struct conn *conn, void *arg)
{
    const struct session *session = session_find(arg, conn->leaving);

    if (session == NULL || session->stranger)
        return 0;
    conn->stranger = 0;
    stranger_conn(conn);
    return 1;
}

static const struct conn *on_carrier(struct stranger *stranger, void *arg)
{
    const struct session *session = session_of(stranger);
    const struct polling *polling = session->polling;

    (void)arg;
    if (polling == NULL)
        return session->ws;
    if (polling->get != NULL)
        return polling->get;
    return polling->post != NULL ? polling->post : polling->opener;
}

static void on_evict(struct stranger *stranger, void *arg)
{
    (void)arg;
    session_evict(session_of(stranger));
}

static const struct stranger_ops stranger_ops = {
    .spares = on_spares,
    .carrier = on_carrier,
    .evict = on_evict,
};

/* --- life --- */

struct eio *eio_new(struct http *http, const struct eio_options *options, const struct eio_app *app,
                    void *arg)
{
    struct eio *eio = calloc(1, sizeof(*eio));

    if (eio == NULL)
        return NULL;
    eio->net = http->net;
    eio->http = http;
    eio->options = *options;
    eio->app = app;
    eio->arg = arg;
    eio->polling_ops = &polling_ops;
    eio->ws_ops = &handshake_ws_ops;
    eio->free_slot = UINT32_MAX;
    eio->stranger_message_max = stranger_part(options->max_payload, STRANGER_MIN_BYTES);
    for (int i = 0; i < EIO_LOGS; i++) {
        eio->logs[i].kind = (uint8_t)(i % ENCODINGS);
        eio->logs[i].chunks = &eio->net->chunks;
    }
    if ((eio->wheel = wheel_new(eio->net->base, session_timeout, eio)) == NULL) {
        free(eio);
        return NULL;
    }
    http_serves(http, &handshake_http_app, eio);
    net_evicts(eio->net, &stranger_ops, eio);
    return eio;
}

void eio_close_all(struct eio *eio, enum close_reason why)
{
    for (uint32_t i = 0; i < eio->nslots; i++)
        if (eio->slots[i].session != NULL)
            session_close(eio->slots[i].session, WS_CLOSE_NONE, why);
}

void eio_free(struct eio **eiop)
{
    struct eio *eio = *eiop;

    if (eio == NULL)
        return;
    for (uint32_t i = 0; i < eio->nslots; i++)
        if (eio->slots[i].session != NULL)
            session_end(eio->slots[i].session, CLOSE_SHUTDOWN);
    wheel_free(&eio->wheel);
    websocket_free(&eio->spare);
    for (int i = 0; i < EIO_LOGS; i++)
        chunklog_clear(&eio->logs[i]);
    buf_free(&eio->scratch);
    free(eio->slots);
    free(eio->blocks);
    free(eio);
    *eiop = NULL;
}
