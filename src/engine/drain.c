/* drain - how an engine ends: session by session over the time that there is, or, where
 * others take what is new, with its connections passed on. */
#include "base/clock.h"
#include "codec/ws.h"
#include "engine/state.h"

#include <event2/event.h>

/* Closes of a drain come at most this far apart, so that a few clients do not
 * make a shutdown last for all of its time. */
#define DRAIN_STEP_MS     100
#define DRAIN_STEP_MIN_MS 10

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
    if (session->ws == NULL)
        return session->polling->post == NULL;
    return !session->ws->blocked && !(session->ws->lags && session->ws->out.bytes > 0);
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
            session_close(session, WS_CLOSE_NONE, CLOSE_SHUTDOWN);
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
            session_close(session, WS_CLOSE_NONE, CLOSE_SHUTDOWN);
    }
    engine_flush_all(engine);
    pass_http_on(engine);
}

void drain_conn_gone(struct engine *engine)
{
    /* Not from here: the caller is inside this connection's code. */
    static const struct timeval now = {0, 0};

    if (engine->draining && engine->nconns == 0)
        event_add(&engine->drain_timer, &now);
}

void drain_init(struct engine *engine)
{
    evtimer_assign(&engine->drain_timer, engine->base, on_drain, engine);
}

void drain_clear(struct engine *engine)
{
    event_del(&engine->drain_timer);
}
