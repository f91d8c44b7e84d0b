/* engine_check - what holds of the engine's structs between two turns of its loop. */
#ifndef FUZZ_ENGINE_CHECK_H
#define FUZZ_ENGINE_CHECK_H

#include "base/clock.h"
#include "codec/http.h"
#include "engine_app.h"
#include "engine_world.h"

#include <event2/event.h>

/* What a connection does that speaks HTTP; -1: it does not. */
static int phase_of(const struct conn *conn)
{
    const struct exchange *exchange = conn->input;

    if (conn->state != CONN_OPEN || conn->streams)
        return -1;
    return exchange != NULL ? exchange->phase : EXCHANGE_HEAD;
}

static int is_websocket(const struct conn *conn)
{
    return conn->state == CONN_OPEN && conn->streams;
}

/* A request that could be served, is. */
static void check_input(const struct conn *conn)
{
    static struct http_request req;
    const struct http_limits *limits = &http_of(conn)->options.limits;
    const struct exchange *http = conn->streams ? NULL : exchange_of(conn);
    size_t scanned = 0;

    if (http == NULL)
        return;
    must(!http->pumping);
    must(http->in.len <= limits->head_bytes + 2UL * INPUT_BYTES || conn->deaf);
    if (phase_of(conn) == EXCHANGE_HEAD && conn->out.bytes == 0 && !conn->closing)
        must(http->in.len > 0 &&
             http_parse(&req, (const char *)http->in.data, http->in.len, limits, &scanned) == 0);
}

/* Output leaves: somebody will try, or the kernel tells when it can. */
static void check_output(const struct conn *conn)
{
    must(conn->out.bytes == 0 || conn->blocked || conn->dirty != CLEAN);
    must(!conn->blocked || conn->out.bytes > 0);
    must(!conn->closing || conn->dirty != CLEAN);
    must(!conn->deaf || conn->out.bytes > 0 || phase_of(conn) == EXCHANGE_WAIT ||
         phase_of(conn) == EXCHANGE_HANDOFF);
    must(conn->leaving == 0 || (conn->owner == NULL && conn->out.bytes > 0) || conn->closing);
}

/* Nobody stays for ever: it has a deadline, its session has one, or its output has. */
static void check_deadline(const struct conn *conn)
{
    if (is_websocket(conn) || phase_of(conn) == EXCHANGE_WAIT)
        must(conn->owner != NULL || conn->closing);
    else
        must(conn->timer.prev != NULL || conn->dirty != CLEAN);
    must(!conn->blocked || conn->state == CONN_LINGER || conn->timer.prev != NULL);
}

/* It is in the list of those that may wait for long, or says that it is not. */
static void check_watched(const struct outq *queue)
{
    const struct compact *compact = &engine->net->compact;

    must(queue->watch == 0 ||
         (queue->watch <= compact->n && compact->queues[queue->watch - 1] == queue));
}

static void check_conn(const struct conn *conn)
{
    const struct session *session = conn->owner;

    check_watched(&conn->out);
    must(conn->state != CONN_DEAD);
    must((session != NULL) <= (is_websocket(conn) || phase_of(conn) == EXCHANGE_WAIT ||
                               phase_of(conn) == EXCHANGE_BODY));
    if (phase_of(conn) == EXCHANGE_WAIT)
        must(session->polling != NULL && session->polling->get == conn);
    if (phase_of(conn) == EXCHANGE_BODY)
        must(session->polling != NULL && session->polling->post == conn);
    if (is_websocket(conn) && session != NULL)
        must(!conn->paired ? session->polling != NULL && session->polling->probe == conn
                           : session->ws == conn);
    check_input(conn);
    check_output(conn);
    check_deadline(conn);
}

static void check_session(const struct session *session)
{
    const struct polling *polling = session->polling;

    must((session->ws == NULL) == (polling != NULL));
    must(session->timer.prev != NULL);
    must((session->known == 0) == (session->over != 0) || session->ws != NULL);
    if (polling == NULL) {
        must(session->ws->owner == session && is_websocket(session->ws));
        return;
    }
    check_watched(&polling->out);
    must(polling->get == NULL || polling->get->owner == session);
    must(polling->post == NULL || polling->post->owner == session);
    must(polling->probe == NULL || polling->probe->owner == session);
    must(!session->over || (polling->post == NULL && polling->probe == NULL));
    must(polling->get == NULL || polling->out.bytes == 0 || polling->get->dirty != CLEAN);
    must((polling->waiting_since_ms != 0) == (polling->get == NULL && polling->out.bytes > 0) ||
         session->over || polling->closing);
}

/* Places are counted, nobody's are more than there may be for longer than a turn, and who
 * is in has none; those among the ids of others are counted, too. */
static void check_strangers(void)
{
    const uint64_t *n = engine->net->stats.strangers;
    uint64_t found[STRANGER_KINDS] = {0};
    size_t max = engine->net->options.strangers_max, opened = 0, over = 0, placed = 0;

    for (const struct conn *conn = engine->net->conns; conn != NULL; conn = conn->next) {
        const struct session *session = conn->owner;
        must(session == NULL || conn->stranger == session->stranger);
        found[STRANGER_SOCKET] += conn->stranger && (session == NULL || session->ws != conn);
        must((conn->opened != NULL) == (conn->nopened > 0));
        opened += conn->nopened;
    }
    for (uint32_t i = 0; i < engine->eio->nslots; i++) {
        struct session *session = engine->eio->slots[i].session;
        if (session == NULL)
            continue;
        must(without_sio || socket_of(session)->nsp != NSP_JOINED || !session->stranger);
        placed += !without_sio && socket_of(session)->placed;
        found[session->ws != NULL ? STRANGER_WEBSOCKET : STRANGER_POLLING] += session->stranger;
        over += session->polling != NULL && session->polling->opener != NULL;
        must(session->stranger || session->ws != NULL || session->polling->opener == NULL);
    }
    must(memcmp(n, found, sizeof(found)) == 0 && opened == over);
    must(placed == engine->sio.lent.n);
    must(max == 0 || n[0] + n[1] + n[2] <= max || evtimer_pending(&engine->net->flush_timer, NULL));
}

static void check_engine(void)
{
    uint64_t queued = 0, sessions = 0, found = 0, conns = 0, watched = 0, collected = 0;

    for (const struct conn *conn = engine->net->conns; conn != NULL; conn = conn->next) {
        check_conn(conn);
        queued += conn->out.bytes;
        watched += conn->out.watch != 0;
        conns++;
    }
    for (uint32_t i = 0; i < engine->eio->nslots; i++) {
        struct session *session = engine->eio->slots[i].session;
        if (session == NULL)
            continue;
        check_session(session);
        found++;
        collected += !without_sio && socket_of(session)->inbound != NULL;
        if (session->polling == NULL)
            continue;
        queued += session->polling->out.bytes;
        watched += session->polling->out.watch != 0;
    }
    for (int i = 0; i < 4; i++)
        sessions += engine->eio->stats.sessions[i / 2][i % 2];
    must(engine->net->stats.queued_bytes == queued);
    must(found == engine->eio->nsessions && sessions == found);
    must(conns == engine_connections(engine));
    check_strangers();
    must(watched == engine->net->compact.n);
    must((collected > 0) == (engine->sio.inbounds.bytes > 0));
    must(engine->net->chunks.thin <= engine->net->chunks.bytes);
}

#endif
