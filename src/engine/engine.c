#include "engine/engine.h"

#include "base/clock.h"
#include "base/rand.h"
#include "codec/ws.h"
#include "engine/state.h"

#include <event2/event.h>
#include <stdlib.h>

/* Closes of a drain come at most this far apart, so that a few clients do not
 * make a shutdown last for all of its time. */
#define DRAIN_STEP_MS     100
#define DRAIN_STEP_MIN_MS 10

static void on_flush(evutil_socket_t fd, short what, void *arg);
static void on_drain(evutil_socket_t fd, short what, void *arg);

const char *engine_close_name(enum engine_close why)
{
    static const char *const names[] = {
        [CLOSE_CLIENT] = "client",
        [CLOSE_PING_TIMEOUT] = "ping timeout",
        [CLOSE_CONNECT_TIMEOUT] = "connect timeout",
        [CLOSE_SEND_TIMEOUT] = "send timeout",
        [CLOSE_SEND_BUFFER] = "send buffer full",
        [CLOSE_PROTOCOL] = "protocol error",
        [CLOSE_TOO_BIG] = "message too big",
        [CLOSE_REFUSED] = "refused",
        [CLOSE_EXPIRED] = "token expired",
        [CLOSE_LEFT] = "client left",
        [CLOSE_REPLACED] = "replaced by a newer connection",
        [CLOSE_SHUTDOWN] = "shutdown",
        [CLOSE_NO_MEMORY] = "no memory",
    };
    return names[why];
}

struct engine *engine_new(struct event_base *base, const struct engine_options *options,
                          const struct engine_app *app, void *arg)
{
    struct engine *engine = calloc(1, sizeof(*engine));

    if (engine == NULL)
        return NULL;
    engine->base = base;
    engine->options = *options;
    engine->app = app;
    engine->arg = arg;
    engine->free_slot = UINT32_MAX;
    for (int i = 0; i < DIRTIES; i++)
        engine->dirty[i].tail = &engine->dirty[i].first;
    rand_bytes(engine->sid_key, sizeof(engine->sid_key));
    evtimer_assign(&engine->flush_timer, base, on_flush, engine);
    accept_init(engine);
    evtimer_assign(&engine->drain_timer, base, on_drain, engine);
    for (int i = 0; i < ENCODINGS; i++)
        engine->logs[i].kind = (uint8_t)i;
    script_tag(engine);
    engine->input = malloc(INPUT_BYTES);
    engine->conn_wheel = wheel_new(base, conn_timeout, engine);
    engine->session_wheel = wheel_new(base, session_timeout, engine);
    sio_put_event_head(&engine->event_head, slice_str(options->nsp), 0);
    if (engine->input == NULL || engine->conn_wheel == NULL || engine->session_wheel == NULL ||
        engine->event_head.failed)
        engine_free(&engine);
    return engine;
}

static void engine_free_dead(struct engine *engine)
{
    struct conn *conn;

    while ((conn = engine->dead) != NULL) {
        engine->dead = conn->next;
        conn_free(conn);
    }
}

void engine_free(struct engine **enginep)
{
    struct engine *engine = *enginep;

    if (engine == NULL)
        return;
    accept_clear(engine);
    while (engine->conns != NULL)
        conn_kill(engine->conns, CLOSE_SHUTDOWN, 0);
    for (uint32_t i = 0; i < engine->nslots; i++)
        if (engine->slots[i].session != NULL)
            session_end(engine->slots[i].session, CLOSE_SHUTDOWN);
    engine_free_dead(engine);
    event_del(&engine->flush_timer);
    event_del(&engine->drain_timer);
    wheel_free(&engine->conn_wheel);
    wheel_free(&engine->session_wheel);
    wsin_free(&engine->spare_wsin);
    for (int i = 0; i < ENCODINGS; i++)
        chunklog_clear(&engine->logs[i]);
    chunklog_clear(&engine->private_log);
    buf_free(&engine->scratch);
    buf_free(&engine->event_head);
    free(engine->slots);
    free(engine->input);
    free(engine);
    *enginep = NULL;
}

size_t engine_connections(const struct engine *engine)
{
    return engine->nconns;
}

size_t engine_sessions(const struct engine *engine)
{
    return engine->nsessions;
}

const struct engine_stats *engine_stats(const struct engine *engine)
{
    return &engine->stats;
}

void engine_clock(struct engine *engine)
{
    engine->now_us = clock_us();
}

void engine_configure(struct engine *engine, const struct engine_options *options)
{
    struct engine_options *own = &engine->options;

    own->origins = options->origins;
    own->credentials = options->credentials;
    own->http = options->http;
    own->connections_max = options->connections_max;
    own->send_buffer = options->send_buffer;
    own->send_timeout_ms = options->send_timeout_ms;
    own->connect_timeout_ms = options->connect_timeout_ms;
    own->upgrade_timeout_ms = options->upgrade_timeout_ms;
    accept_again(engine);
}

/* --- output --- */

void engine_flush_later(struct engine *engine)
{
    static const struct timeval now = {0, 0};

    /* A timer, not event_active(): that would run before the sockets are looked
     * at again, and a long flush would keep new clients and pings waiting. */
    if (!evtimer_pending(&engine->flush_timer, NULL))
        evtimer_add(&engine->flush_timer, &now);
}

static struct conn *take_dirty(struct dirty *dirty)
{
    struct conn *conn = dirty->first;

    if ((dirty->first = conn->dirty_next) == NULL)
        dirty->tail = &dirty->first;
    conn->dirty_next = NULL;
    conn->dirty = 0;
    return conn;
}

static void flush_slice(struct engine *engine, struct dirty *dirty)
{
    for (int n = 0; dirty->first != NULL && n < FLUSH_SLICE; n++) {
        struct conn *conn = take_dirty(dirty);
        if (n % CLOCK_SLICE == 0)
            engine_clock(engine);
        if (conn->state == CONN_DEAD)
            continue;
        if (conn->doomed)
            conn_dirty(conn);
        else
            conn_flush(conn);
    }
}

static void doom_slice(struct engine *engine)
{
    struct dirty *dirty = &engine->dirty[DIRTY_DOOMED];
    uint64_t end_us = dirty->first != NULL ? clock_us() + DOOM_SLICE_US : 0;

    while (dirty->first != NULL) {
        struct conn *conn = take_dirty(dirty);
        if (conn->state != CONN_DEAD)
            conn_flush(conn);
        if (clock_us() >= end_us)
            return;
    }
}

static int is_dirty(const struct engine *engine)
{
    for (int i = 0; i < DIRTIES; i++)
        if (engine->dirty[i].first != NULL)
            return 1;
    return 0;
}

void engine_flush(struct engine *engine)
{
    flush_slice(engine, &engine->dirty[DIRTY_OWN]);
    flush_slice(engine, &engine->dirty[DIRTY_FAN]);
    doom_slice(engine);
    if (is_dirty(engine))
        engine_flush_later(engine);
}

/* Frees the dead ones, but for those that are still in the dirty list: they go
 * when it has passed them.  The lists as a whole may not be empty for long. */
static void engine_sweep_dead(struct engine *engine)
{
    struct conn **at = &engine->dead, *conn;

    while ((conn = *at) != NULL) {
        if (conn->dirty) {
            at = &conn->next;
            continue;
        }
        if ((*at = conn->next) != NULL)
            conn->next->prev = at;
        conn_free(conn);
    }
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct engine *engine = arg;

    (void)fd;
    (void)what;
    engine_flush(engine);
    engine_sweep_dead(engine);
}

/* --- leaving --- */

void engine_conn_gone(struct engine *engine)
{
    accept_again(engine);
    if (engine->draining && engine->nconns == 0) {
        /* Not from here: the caller is inside this connection's code. */
        static const struct timeval now = {0, 0};
        event_add(&engine->drain_timer, &now);
    }
}

/* What is between two requests, or in one that is not answered: no session has
 * use for it any more. */
static void kill_http(struct engine *engine)
{
    struct conn *conn = engine->conns, *next;

    for (; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->state != CONN_WEBSOCKET && conn->state != CONN_LINGER && conn->out.bytes == 0)
            conn_kill(conn, CLOSE_SHUTDOWN, 0);
    }
}

/* The same, for those that a heir may serve. */
static void pass_http_on(struct engine *engine)
{
    struct conn *conn = engine->conns, *next;

    for (; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->state == CONN_HTTP && conn->out.bytes == 0)
            request_pass_on(conn);
    }
}

/* 1 if it is to be closed now.  Where others take new clients there is time: one that
 * is still coming in, has not read what waits for it, or is about to say something, is
 * left for the end. */
static int drain_takes(const struct engine *engine, const struct session *session, uint64_t now_ms)
{
    if (session == NULL || session->over)
        return 0;
    if (!engine->retiring || now_ms >= engine->drain_end_ms)
        return 1;
    if (session->connect_due_ms != 0)
        return 0;
    return session->ws != NULL ? !session->ws->blocked : session->polling->post == NULL;
}

static int drain_is_done(struct engine *engine, uint64_t now_ms)
{
    if (!engine->retiring && (engine->nsessions == 0 || now_ms >= engine->drain_end_ms))
        kill_http(engine);
    if (engine->retiring && (engine->nsessions == 0 || now_ms >= engine->retire_end_ms))
        pass_http_on(engine);
    return engine->nconns == 0 && (!engine->retiring || engine->nsessions == 0);
}

/* Closes the next session, or the next few where there is less than a step for
 * each, and sets the timer for those after. */
static void on_drain(evutil_socket_t fd, short what, void *arg)
{
    struct engine *engine = arg;
    uint64_t now = clock_ms(), n = engine->nsessions, due = 1, step_ms = DRAIN_STEP_MS;
    uint64_t left_ms = engine->drain_end_ms > now ? engine->drain_end_ms - now : 1;
    struct timeval next;

    (void)fd;
    (void)what;
    if (n > 0 && left_ms / n < DRAIN_STEP_MS)
        step_ms = left_ms / n;
    if (step_ms < DRAIN_STEP_MIN_MS) {
        step_ms = DRAIN_STEP_MIN_MS;
        due = (n * step_ms + left_ms - 1) / left_ms;
    }
    /* Round and round: connections that were there may bring new ones, into slots
     * gone by. */
    for (uint32_t seen = 0; due > 0 && seen < engine->nslots; seen++) {
        struct session *session = engine->slots[engine->drain_index++ % engine->nslots].session;
        if (drain_takes(engine, session, now)) {
            session_close(session, WS_CLOSE_GOING_AWAY, CLOSE_SHUTDOWN);
            due--;
        }
    }
    if (drain_is_done(engine, now)) {
        engine->draining = engine->retiring = 0;
        engine->drain_done(engine->drain_arg);
        return;
    }
    next = (struct timeval){0, (suseconds_t)step_ms * 1000};
    event_add(&engine->drain_timer, &next);
}

static void drain_begin(struct engine *engine, uint32_t spread_ms, void (*done)(void *arg),
                        void *arg)
{
    static const struct timeval now = {0, 0};

    engine_stop_listening(engine);
    engine->draining = 1;
    engine->drain_index = 0;
    engine->drain_done = done;
    engine->drain_arg = arg;
    engine->drain_end_ms = clock_ms() + spread_ms;
    event_add(&engine->drain_timer, &now);
}

void engine_drain(struct engine *engine, uint32_t within_ms, void (*done)(void *arg), void *arg)
{
    engine->retiring = 0;
    /* The last to be told still has its second to answer. */
    drain_begin(engine, within_ms > 2 * LINGER_MS ? within_ms - LINGER_MS : within_ms / 2, done,
                arg);
}

void engine_retire(struct engine *engine, uint32_t within_ms, void (*done)(void *arg), void *arg)
{
    /* The last to be told still has some time to poll, and whoever is left then is
     * handed on before our caller's patience ends. */
    uint32_t word_ms = within_ms / 3 < FAREWELL_MS ? within_ms / 3 : FAREWELL_MS;
    uint32_t last_ms = within_ms / 10 < LINGER_MS ? within_ms / 10 : LINGER_MS;

    accept_backlog(engine);
    engine->retiring = 1;
    engine->retire_end_ms = clock_ms() + within_ms - last_ms;
    drain_begin(engine, within_ms - word_ms, done, arg);
}

void engine_retire_now(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->nslots; i++) {
        struct session *session = engine->slots[i].session;
        if (session != NULL && !session->over)
            session_close(session, WS_CLOSE_GOING_AWAY, CLOSE_SHUTDOWN);
    }
    while (is_dirty(engine))
        engine_flush(engine);
    pass_http_on(engine);
}

/* --- sessions by handle --- */

struct session *session_find(struct engine *engine, uint64_t handle)
{
    uint32_t index = (uint32_t)handle, serial = (uint32_t)(handle >> 32);

    if (index >= engine->nslots || engine->slots[index].serial != serial)
        return NULL;
    if (engine->slots[index].session == NULL || engine->slots[index].session->over)
        return NULL;
    return engine->slots[index].session;
}
