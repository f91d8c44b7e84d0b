/* session - one Engine.IO session: handshake, heartbeats, deadlines. */
#include "base/clock.h"
#include "base/rand.h"
#include "codec/ws.h"
#include "engine/state.h"

#include <stdlib.h>

/* --- the table of sessions --- */

static int slots_grow(struct engine *engine)
{
    uint32_t n = engine->nslots ? engine->nslots * 2 : 64;
    struct slot *slots = realloc(engine->slots, n * sizeof(*slots));

    if (slots == NULL)
        return -1;
    for (uint32_t i = n; i-- > engine->nslots;) {
        slots[i] = (struct slot){.serial = 1, .next_free = engine->free_slot};
        engine->free_slot = i;
    }
    engine->slots = slots;
    engine->nslots = n;
    return 0;
}

static enum engine_transport transport_of(const struct session *session)
{
    return session->polling != NULL ? ENGINE_POLLING : ENGINE_WEBSOCKET;
}

struct session *session_new(struct engine *engine, struct conn *ws, enum eio_version version,
                            int base64)
{
    struct session *session;
    struct slot *slot;

    if (engine->free_slot == UINT32_MAX && slots_grow(engine) < 0)
        return NULL;
    if ((session = calloc(1, sizeof(*session))) == NULL)
        return NULL;
    if (ws == NULL && (session->polling = calloc(1, sizeof(*session->polling))) == NULL) {
        free(session);
        return NULL;
    }
    slot = &engine->slots[engine->free_slot];
    session->engine = engine;
    session->ws = ws;
    session->index = engine->free_slot;
    session->serial = slot->serial;
    session->version = (uint8_t)version;
    session->base64 = base64 != 0;
    rand_bytes(session->random, sizeof(session->random));
    engine->free_slot = slot->next_free;
    slot->session = session;
    engine->nsessions++;
    engine_counted(engine);
    engine->stats.opened[transport_of(session)][version == EIO4]++;
    engine->stats.sessions[transport_of(session)][version == EIO4]++;
    stranger_session(session);
    return session;
}

void session_leave(struct session *session, enum engine_close why)
{
    const struct engine_app *app = session->engine->app;
    int was_in = session->nsp == NSP_JOINED || session->nsp == NSP_JOINING;

    session->nsp = NSP_LEFT;
    if (session->data == NULL)
        return;
    if (was_in)
        app->left(session, why, session->engine->arg);
    session->engine->stats.closed[why]++;
    app->closed(session, why, session->engine->arg);
    session->data = NULL;
}

void session_end(struct session *session, enum engine_close why)
{
    struct engine *engine = session->engine;
    struct slot *slot = &engine->slots[session->index];

    session_leave(session, why);
    stranger_session_gone(session);
    wheel_unset(engine->session_wheel, &session->timer);
    slot->session = NULL;
    slot->serial++;
    slot->next_free = engine->free_slot;
    engine->free_slot = session->index;
    engine->nsessions--;
    engine_counted(engine);
    engine->stats.sessions[transport_of(session)][session->version == EIO4]--;
    polling_free(session, why);
    packet_free(&session->inbound);
    free(session);
}

void session_close(struct session *session, int code, enum engine_close why)
{
    if (session->ws != NULL)
        conn_close(session->ws, code, why);
    else
        polling_close(session, why);
}

int session_may_return(enum engine_close why)
{
    switch (why) {
    case CLOSE_SHUTDOWN:
    case CLOSE_PING_TIMEOUT:
    case CLOSE_SEND_TIMEOUT:
    case CLOSE_SEND_BUFFER:
    case CLOSE_EVICTED:
    case CLOSE_NO_MEMORY:
        return 1;
    default:
        return 0;
    }
}

void *session_data(const struct session *session)
{
    return session->data;
}

enum eio_version session_version(const struct session *session)
{
    return (enum eio_version)session->version;
}

int session_joined(const struct session *session)
{
    return session->nsp == NSP_JOINED;
}

const char *session_transport(const struct session *session)
{
    return session->polling == NULL ? "websocket" : "polling";
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
    uint64_t due = earlier(session->heartbeat_due_ms, session->connect_due_ms);

    due = earlier(due, session->expire_due_ms);
    if (session->polling != NULL)
        due = earlier(due, polling_due(session));
    wheel_set(session->engine->session_wheel, &session->timer, due);
}

/* EIO3: the client pings, EIO4: the server does. */
static void heartbeat_start(struct session *session)
{
    const struct engine_options *options = &session->engine->options;

    session->ping_sent = 0;
    session->heartbeat_due_ms = clock_ms() + options->ping_interval_ms;
    if (session->version == EIO3)
        session->heartbeat_due_ms += options->ping_timeout_ms;
}

/* Returns 0, or -1 when the session has been closed. */
static int heartbeat_beat(struct session *session, uint64_t now_ms)
{
    uint32_t timeout_ms = session->engine->options.ping_timeout_ms;

    if (session->version == EIO3 || session->ping_sent) {
        session_close(session, WS_CLOSE_NONE, CLOSE_PING_TIMEOUT);
        return -1;
    }
    session->ping_sent = 1;
    /* A ping counts from when it was due; one that is late by much, from now. */
    if (now_ms - session->heartbeat_due_ms > timeout_ms / 4)
        session->heartbeat_due_ms = now_ms;
    session->heartbeat_due_ms += timeout_ms;
    session_put(session, "2", 1);
    return 0;
}

static void session_forget(struct session *session)
{
    struct conn *get = session->polling->get;

    if (get != NULL) {
        session->polling->get = NULL;
        get->session = NULL;
        conn_kill(get, CLOSE_SHUTDOWN, 0);
    }
    session_end(session, CLOSE_CLIENT); /* it was told why: here it only stayed away */
}

void session_timeout(struct wheel_entry *entry, uint64_t now_ms, void *arg)
{
    struct session *session =
        (struct session *)(void *)((char *)entry - offsetof(struct session, timer));

    (void)arg;
    if (session->over) { /* it did not come for its last answer */
        if (session->heartbeat_due_ms <= now_ms)
            session_forget(session);
        else
            session_rearm(session);
        return;
    }
    if (session->polling != NULL && polling_timeout(session, now_ms) < 0)
        return;
    if (session->expire_due_ms != 0 && session->expire_due_ms <= now_ms &&
        packet_expired(session) < 0)
        return;
    if (session->connect_due_ms != 0 && session->connect_due_ms <= now_ms) {
        session_close(session, WS_CLOSE_NONE, CLOSE_CONNECT_TIMEOUT);
        return;
    }
    if (session->heartbeat_due_ms <= now_ms && heartbeat_beat(session, now_ms) < 0)
        return;
    session_rearm(session);
}

void session_settle(struct session *session)
{
    uint64_t now_ms = clock_ms();

    if (session->timer.due_ms <= now_ms)
        session_timeout(&session->timer, now_ms, session->engine);
}

void session_expire(struct session *session, uint64_t at_ms)
{
    session->expire_due_ms = at_ms;
    session_rearm(session);
}

/* --- packets --- */

int session_put(struct session *session, const void *text, size_t len)
{
    if (session->ws != NULL)
        return conn_put_frame(session->ws, WS_TEXT, text, len);
    return polling_put(session, text, len);
}

int session_put_scratch(struct session *session)
{
    const struct buf *scratch = &session->engine->scratch;

    if (!scratch->failed)
        return session_put(session, scratch->data, scratch->len);
    if (session->ws != NULL)
        return conn_doom(session->ws, CLOSE_NO_MEMORY);
    return polling_doom(session, CLOSE_NO_MEMORY);
}

int session_push(struct session *session, const struct run *run)
{
    return session->ws != NULL ? conn_push(session->ws, run) : polling_push(session, run);
}

enum encoding session_encoding(const struct session *session, int binary)
{
    if (session->ws != NULL) {
        if (!binary)
            return ENC_WS4;
        if (session->version == EIO4)
            return session->base64 ? ENC_WS4_BASE64 : ENC_WS4;
        return session->base64 ? ENC_WS3_BASE64 : ENC_WS3;
    }
    if (session->version == EIO4)
        return ENC_POLL4;
    return binary && !session->base64 ? ENC_POLL3_BINARY : ENC_POLL3_TEXT;
}

int session_send(struct session *session, struct slice text)
{
    struct buf *scratch = &session->engine->scratch;

    /* What is without Socket.IO mixes text and binary: in one form it goes as one
     * payload. */
    if (session->polling != NULL && session->engine->app->message != NULL)
        return polling_put_message(session, 0, text);
    buf_reset(scratch);
    buf_putc(scratch, '4');
    buf_put(scratch, text.ptr, text.len);
    return session_put_scratch(session);
}

int session_send_binary(struct session *session, struct slice bytes)
{
    struct buf *scratch = &session->engine->scratch;

    if (session->polling != NULL)
        return polling_put_message(session, 1, bytes);
    if (session->base64) {
        fan_put_base64(scratch, (enum eio_version)session->version, bytes);
        return session_put_scratch(session);
    }
    buf_reset(scratch);
    if (session->version == EIO3)
        buf_putc(scratch, EIO_MESSAGE);
    buf_put(scratch, bytes.ptr, bytes.len);
    if (scratch->failed)
        return conn_doom(session->ws, CLOSE_NO_MEMORY);
    return conn_put_frame(session->ws, WS_BINARY, scratch->data, scratch->len);
}

int session_start(struct session *session, const struct http_request *req,
                  const struct sockaddr *peer)
{
    struct engine *engine = session->engine;
    const struct engine_options *options = &engine->options;
    char sid[ENGINE_SID_LEN + 1];
    int upgrade = session->ws == NULL && options->websocket;
    struct eio_open open = {sid, upgrade, options->ping_interval_ms, options->ping_timeout_ms,
                            options->max_payload};

    session_sid(session, sid);
    heartbeat_start(session);
    if (engine->app->message == NULL)
        session->connect_due_ms = clock_ms() + options->connect_timeout_ms;
    session_rearm(session);
    buf_reset(&engine->scratch);
    eio_put_open(&engine->scratch, &open);
    session_put_scratch(session);
    if ((session->data = engine->app->opened(session, req, peer, engine->arg)) == NULL) {
        engine->stats.closed[CLOSE_NO_MEMORY]++;
        if (session->ws != NULL)
            session_close(session, WS_CLOSE_NONE, CLOSE_NO_MEMORY);
        else
            session_end(session, CLOSE_NO_MEMORY);
        return -1;
    }
    if (engine->app->message == NULL)
        packet_started(session);
    else
        session_known(session); /* there are no tokens */
    return 0;
}

static void on_ping(struct session *session, struct slice data)
{
    struct buf *scratch = &session->engine->scratch;

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
        if (session->engine->app->message != NULL)
            session->engine->app->message(session, packet->binary, packet->data,
                                          session->engine->arg);
        else if (packet->binary)
            packet_binary(session, packet->data);
        else
            packet_text(session, packet->data);
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
