#include "engine/drain.h"

#include "base/clock.h"
#include "codec/ws.h"
#include "eio/polling.h"
#include "sio/socket.h"

#include <event2/event.h>

/* Closes of a drain come at most this far apart, so that a few clients do not
 * make a shutdown last for all of its time. */
#define DRAIN_STEP_MS     100
#define DRAIN_STEP_MIN_MS 10

/* What is between two requests, or in one that is not answered: no session has
 * use for it any more.  What is to be flushed has its answer still to come: it is for the
 * next turn.  What is carried ends when the worker that serves it says so. */
static void kill_http(struct net *net)
{
    struct conn *conn = net->conns, *next;

    for (; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->state == CONN_OPEN && !conn->streams && !conn->carries && conn->dirty == CLEAN &&
            conn->out.bytes == 0)
            conn_kill(conn, CLOSE_SHUTDOWN, 0);
    }
}

/* 1 if it is to be closed now.  Where others take new clients there is time: one that
 * is still coming in, has not read what waits for it, or is about to say something, is
 * left for the end. */
static int takes(const struct drain *drain, struct session *session, uint64_t now_ms)
{
    if (session == NULL || session->over)
        return 0;
    if (drain->eio->migrate_end_ms == 0 || now_ms >= drain->end_ms)
        return 1;
    if (socket_of(session)->connect_due_ms != 0)
        return 0;
    if (session->ws == NULL)
        return session->polling->post == NULL;
    return !session->ws->blocked && !(session->ws->slow && session->ws->out.bytes > 0);
}

static int is_done(const struct drain *drain, uint64_t now_ms)
{
    struct eio *eio = drain->eio;
    int is_empty = eio->nsessions == 0;

    if (eio->migrate_end_ms == 0 && (is_empty || now_ms >= drain->end_ms))
        kill_http(eio->net);
    if (eio->migrate_end_ms != 0 && (is_empty || now_ms >= eio->migrate_end_ms))
        http_pass_on(eio->http, now_ms >= eio->migrate_end_ms);
    return eio->net->nconns == 0 && (eio->migrate_end_ms == 0 || eio->nsessions == 0);
}

/* Closes due sessions.  Round and round: connections that were there may bring new ones,
 * into slots gone by. */
static void close_some(struct drain *drain, uint64_t due, uint64_t now_ms)
{
    const struct eio *eio = drain->eio;

    for (uint32_t seen = 0; due > 0 && seen < eio->nslots; seen++) {
        struct session *session = eio->slots[drain->index++ % eio->nslots].session;
        if (takes(drain, session, now_ms)) {
            session_close(session, WS_CLOSE_NONE, CLOSE_SHUTDOWN);
            due--;
        }
    }
}

/* Closes the next session, or the next few where there is less than a step for
 * each, and sets the timer for those after. */
static void on_drain(evutil_socket_t fd, short what, void *arg)
{
    struct drain *drain = arg;
    uint64_t now = clock_ms(), n = drain->eio->nsessions, due = 1, step_ms = DRAIN_STEP_MS;
    uint64_t left_ms = drain->end_ms > now ? drain->end_ms - now : 1;
    struct timeval next;

    (void)fd;
    (void)what;
    if (n > 0 && left_ms / n < DRAIN_STEP_MS)
        step_ms = left_ms / n;
    if (step_ms < DRAIN_STEP_MIN_MS) {
        step_ms = DRAIN_STEP_MIN_MS;
        due = (n * step_ms + left_ms - 1) / left_ms;
    }
    close_some(drain, due, now);
    if (is_done(drain, now)) {
        drain->eio->net->draining = 0;
        drain->eio->migrate_end_ms = 0;
        drain->eio->http->migrates = 0;
        drain->done(drain->arg);
        return;
    }
    next = (struct timeval){0, (suseconds_t)step_ms * 1000};
    event_add(&drain->timer, &next);
}

static void begin(struct drain *drain, uint32_t spread_ms, void (*done)(void *arg), void *arg)
{
    static const struct timeval now = {0, 0};

    net_stop_listening(drain->eio->net);
    drain->eio->net->draining = 1;
    drain->index = 0;
    drain->done = done;
    drain->arg = arg;
    drain->end_ms = clock_ms() + spread_ms;
    event_add(&drain->timer, &now);
}

void drain_start(struct drain *drain, uint32_t within_ms, void (*done)(void *arg), void *arg)
{
    drain->eio->migrate_end_ms = 0;
    drain->eio->http->migrates = 0;
    /* The last to be told still has its second to answer. */
    begin(drain, within_ms > 2 * LINGER_MS ? within_ms - LINGER_MS : within_ms / 2, done, arg);
}

void drain_migrate(struct drain *drain, uint32_t within_ms, void (*done)(void *arg), void *arg)
{
    /* The last to be told still has some time to poll, and whoever is left then is
     * handed on before our caller's patience ends. */
    uint32_t word_ms = within_ms / 3 < FAREWELL_MS ? within_ms / 3 : FAREWELL_MS;
    uint32_t last_ms = within_ms / 10 < LINGER_MS ? within_ms / 10 : LINGER_MS;

    accept_backlog(drain->eio->net);
    drain->eio->migrate_end_ms = clock_ms() + within_ms - last_ms;
    drain->eio->http->migrates = 1;
    begin(drain, within_ms - word_ms, done, arg);
}

void drain_migrate_now(struct drain *drain)
{
    eio_close_all(drain->eio, CLOSE_SHUTDOWN);
    net_flush_all(drain->eio->net);
    http_pass_on(drain->eio->http, 1);
}

void drain_conn_gone(struct drain *drain)
{
    static const struct timeval now = {0, 0};

    if (drain->eio->net->draining && drain->eio->net->nconns == 0)
        event_add(&drain->timer, &now);
}

void drain_init(struct drain *drain, struct eio *eio)
{
    drain->eio = eio;
    evtimer_assign(&drain->timer, eio->net->base, on_drain, drain);
}

void drain_clear(struct drain *drain)
{
    event_del(&drain->timer);
}
