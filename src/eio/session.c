#include "eio/session.h"

#include "base/clock.h"
#include "base/rand.h"
#include "eio/polling.h"
#include "eio/websocket.h"

#include <stdlib.h>

#define LATE_MS      20  /* a heartbeat that is looked at so late: we were not run */
#define LAST_LOOK_MS 100 /* then, for what came in time, and is not read yet */

/* --- life --- */

static enum eio_transport transport_of(const struct session *session)
{
    return session->polling != NULL ? EIO_POLLING : EIO_WEBSOCKET;
}

struct session *session_new(struct eio *eio, struct conn *ws, enum eio_version version, int base64)
{
    struct session *session = eio->app->make(eio->arg);

    if (session == NULL)
        return NULL;
    session->eio = eio;
    if ((ws == NULL && (session->polling = calloc(1, sizeof(*session->polling))) == NULL) ||
        handle_add(eio, session) < 0) {
        free(session->polling);
        eio->app->release(session, eio->arg);
        return NULL;
    }
    session->ws = ws;
    session->version = (uint8_t)version;
    session->base64 = base64 != 0;
    rand_bytes(session->random, sizeof(session->random));
    eio->stats.opened[transport_of(session)][version == EIO4]++;
    eio->stats.sessions[transport_of(session)][version == EIO4]++;
    session_unknown(session);
    return session;
}

/* Tells the application of the end, once. */
static void leave(struct session *session, enum close_reason why)
{
    struct eio *eio = session->eio;

    if (!session->known)
        return;
    session->known = 0;
    eio->stats.closed[why]++;
    eio->app->closed(session, why, eio->arg);
}

void session_end(struct session *session, enum close_reason why)
{
    struct eio *eio = session->eio;

    leave(session, why);
    stranger_session_gone(session);
    wheel_unset(eio->wheel, &session->timer);
    handle_remove(session);
    eio->stats.sessions[transport_of(session)][session->version == EIO4]--;
    polling_free(session, why);
    eio->app->release(session, eio->arg);
}

void session_close(struct session *session, int code, enum close_reason why)
{
    if (session->ws != NULL) {
        websocket_close(session->ws, code, why);
        return;
    }
    if (session->over)
        return;
    polling_abandon(session, why);
    session->over = 1;
    leave(session, why);
    if (polling_part(session, why))
        session_end(session, why);
}

/* They hold places, too. */
void session_evict(struct session *session)
{
    struct polling *polling = session->polling;
    uint64_t *evicted = session->eio->net->stats.strangers_evicted;

    evicted[polling != NULL ? STRANGER_POLLING : STRANGER_WEBSOCKET]++;
    if (polling == NULL) {
        conn_kill(session->ws, CLOSE_EVICTED, session->ws->out.bytes > 0);
        return;
    }
    struct conn *conns[] = {polling->get, polling->post, polling->probe};
    session->eio->stats.upgrades_failed += polling->probe != NULL;
    polling->get = polling->post = polling->probe = NULL;
    for (size_t i = 0; i < sizeof(conns) / sizeof(conns[0]); i++)
        if (conns[i] != NULL)
            conns[i]->owner = NULL;
    session_end(session, CLOSE_EVICTED);
    for (size_t i = 0; i < sizeof(conns) / sizeof(conns[0]); i++)
        if (conns[i] != NULL)
            conn_kill(conns[i], CLOSE_EVICTED, conns[i]->out.bytes > 0);
}

enum eio_version session_version(const struct session *session)
{
    return (enum eio_version)session->version;
}

const char *session_transport(const struct session *session)
{
    return session->polling == NULL ? "websocket" : "polling";
}

int session_has_ended(const struct session *session)
{
    return session->ws != NULL && conn_has_ended(session->ws);
}

void session_guard(struct session *session, int on)
{
    session->guarded = on != 0;
}

/* --- deadlines --- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return b != 0 && b < a ? b : a;
}

void session_rearm(struct session *session)
{
    uint64_t due = earlier(session->heartbeat_due_ms, session->app_due_ms);

    if (session->polling != NULL)
        due = earlier(due, polling_due(session));
    wheel_set(session->eio->wheel, &session->timer, due);
}

static int put(struct session *session, const void *text, size_t len)
{
    if (session->ws != NULL)
        return websocket_put(session->ws, WS_TEXT, text, len);
    return polling_put(session, text, len);
}

/* EIO3: the client pings, EIO4: the server does. */
static void heartbeat_start(struct session *session)
{
    const struct eio_options *options = &session->eio->options;

    session->ping_sent = session->overdue = 0;
    session->heartbeat_due_ms = clock_ms() + options->ping_interval_ms;
    if (session->version == EIO3)
        session->heartbeat_due_ms += options->ping_timeout_ms;
}

/* Its answer may have come while we were not run, and be still unread.  Of a WebSocket what
 * the loop has found with this deadline is read first; one that polls comes with its answer
 * itself, and who comes too late finds no session, as with Engine.IO. */
static uint32_t last_look_ms(const struct session *session, uint64_t now_ms)
{
    if (now_ms - session->heartbeat_due_ms > LATE_MS)
        return LAST_LOOK_MS;
    return session->ws != NULL ? WHEEL_TICK_MS : 0;
}

/* Returns 0, or -1 when the session has been closed. */
static int heartbeat_beat(struct session *session, uint64_t now_ms)
{
    const struct eio_app *app = session->eio->app;
    uint32_t timeout_ms = session->eio->options.ping_timeout_ms;

    if (session->version == EIO3 || session->ping_sent) {
        uint32_t look_ms = last_look_ms(session, now_ms);
        if (!session->overdue && look_ms > 0) {
            session->overdue = 1;
            session->heartbeat_due_ms = now_ms + look_ms;
            return 0;
        }
        session_close(session, WS_CLOSE_NONE, CLOSE_PING_TIMEOUT);
        return -1;
    }
    session->ping_sent = 1;
    /* A ping counts from when it was due; one that is late by much, from now. */
    if (now_ms - session->heartbeat_due_ms > timeout_ms / 4)
        session->heartbeat_due_ms = now_ms;
    session->heartbeat_due_ms += timeout_ms;
    if (put(session, "2", 1) == 0 && session->known && app->pinged != NULL)
        app->pinged(session, session->eio->arg);
    return 0;
}

/* It did not come for its last answer. */
static void forget(struct session *session)
{
    struct conn *get = session->polling->get;

    if (get != NULL) {
        session->polling->get = NULL;
        get->owner = NULL;
        conn_kill(get, CLOSE_SHUTDOWN, 0);
    }
    session_end(session, CLOSE_CLIENT); /* it was told why: here it only stayed away */
}

void session_timeout(struct wheel_entry *entry, uint64_t now_ms, void *arg)
{
    struct session *session =
        (struct session *)(void *)((char *)entry - offsetof(struct session, timer));
    const struct eio *eio = arg;

    if (session->over) {
        if (session->heartbeat_due_ms <= now_ms)
            forget(session);
        else
            session_rearm(session);
        return;
    }
    if (session->polling != NULL && polling_timeout(session, now_ms) < 0)
        return;
    if (session->app_due_ms != 0 && session->app_due_ms <= now_ms &&
        eio->app->due(session, now_ms, eio->arg) < 0)
        return;
    if (session->heartbeat_due_ms <= now_ms && heartbeat_beat(session, now_ms) < 0)
        return;
    session_rearm(session);
}

void session_settle(struct session *session)
{
    uint64_t now_ms = clock_ms();

    if (session->timer.due_ms <= now_ms)
        session_timeout(&session->timer, now_ms, session->eio);
}

/* --- packets out --- */

/* Something is not there for want of memory. */
static int close_soon(struct session *session)
{
    if (session->ws != NULL)
        return conn_close_soon(session->ws, CLOSE_NO_MEMORY);
    return polling_close_soon(session, CLOSE_NO_MEMORY);
}

int session_put_scratch(struct session *session)
{
    const struct buf *scratch = &session->eio->scratch;

    return scratch->failed ? close_soon(session) : put(session, scratch->data, scratch->len);
}

int session_push(struct session *session, const struct run *run)
{
    return session->ws != NULL ? conn_push(session->ws, run) : polling_push(session, run);
}

int session_send(struct session *session, struct slice text)
{
    struct buf *scratch = &session->eio->scratch;

    if (session->polling != NULL && session->eio->app->mixes)
        return polling_put_message(session, 0, text);
    buf_reset(scratch);
    buf_putc(scratch, '4');
    buf_put(scratch, text.ptr, text.len);
    return session_put_scratch(session);
}

int session_put_binary(struct session *session, struct conn *ws, struct slice bytes)
{
    struct buf *scratch = &session->eio->scratch;

    buf_reset(scratch);
    if (session->base64) {
        eio_put_base64(scratch, (enum eio_version)session->version, bytes);
    } else {
        if (session->version == EIO3)
            buf_putc(scratch, EIO_MESSAGE);
        buf_put(scratch, bytes.ptr, bytes.len);
    }
    if (scratch->failed)
        return conn_close_soon(ws, CLOSE_NO_MEMORY);
    return websocket_put(ws, session->base64 ? WS_TEXT : WS_BINARY, scratch->data, scratch->len);
}

int session_send_binary(struct session *session, struct slice bytes)
{
    if (session->polling != NULL)
        return polling_put_message(session, 1, bytes);
    return session_put_binary(session, session->ws, bytes);
}

int session_start(struct session *session, const struct http_request *req,
                  const struct address *peer)
{
    struct eio *eio = session->eio;
    const struct eio_options *options = &eio->options;
    uint64_t handle = session_handle(session);
    char sid[EIO_SID_LEN + 1];
    int upgrade = session->ws == NULL && options->websocket;
    struct eio_open open = {sid, upgrade, options->ping_interval_ms, options->ping_timeout_ms,
                            options->max_payload};

    session_sid(session, sid);
    heartbeat_start(session);
    session_rearm(session);
    buf_reset(&eio->scratch);
    eio_put_open(&eio->scratch, &open);
    session_put_scratch(session);
    session->known = 1;
    if (eio->app->opened(session, req, peer, eio->arg) == 0)
        return handle_is_used(eio, handle) ? 0 : -1;
    session->known = 0;
    eio->stats.closed[CLOSE_NO_MEMORY]++;
    if (session->ws != NULL)
        session_close(session, WS_CLOSE_NONE, CLOSE_NO_MEMORY);
    else
        session_end(session, CLOSE_NO_MEMORY);
    return -1;
}

/* --- packets in --- */

static void on_ping(struct session *session, struct slice data)
{
    struct buf *scratch = &session->eio->scratch;

    heartbeat_start(session);
    session_rearm(session);
    buf_reset(scratch);
    buf_putc(scratch, '3');
    if (slice_eq(data, SLICE("probe")))
        buf_put(scratch, data.ptr, data.len);
    session_put_scratch(session);
}

static void fault(struct session *session)
{
    session_close(session, WS_CLOSE_NONE, CLOSE_PROTOCOL);
}

void session_packet(struct session *session, const struct eio_packet *packet)
{
    const struct eio *eio = session->eio;

    switch (packet->type) {
    case EIO_CLOSE:
        session_close(session, WS_CLOSE_NONE, CLOSE_CLIENT);
        break;
    case EIO_PING:
        if (session->version == EIO3)
            on_ping(session, packet->data);
        else
            fault(session);
        break;
    case EIO_PONG:
        if (session->version == EIO3) {
            fault(session);
        } else if (session->ping_sent) {
            heartbeat_start(session);
            session_rearm(session);
        }
        break;
    case EIO_MESSAGE:
        eio->app->message(session, packet->binary, packet->data, eio->arg);
        break;
    case EIO_OPEN:
    case EIO_UPGRADE:
    case EIO_NOOP:
        break; /* ignored, as Engine.IO does */
    }
}

void session_input(struct session *session, int binary, struct slice payload)
{
    struct buf decoded = {0};
    struct eio_packet packet;

    if (eio_decode(&packet, (enum eio_version)session->version, binary, payload, &decoded) < 0)
        fault(session);
    else
        session_packet(session, &packet);
    buf_free(&decoded);
}
