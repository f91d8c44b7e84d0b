#include "engine/engine.h"

#include "base/clock.h"
#include "base/rand.h"
#include "engine/state.h"

#include <event2/event.h>
#include <stdlib.h>

static void on_flush(evutil_socket_t fd, short what, void *arg);

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
        [CLOSE_EVICTED] = "evicted for want of a token",
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
    stranger_init(engine);
    accept_init(engine);
    drain_init(engine);
    for (int i = 0; i < ENCODINGS; i++)
        engine->logs[i].kind = (uint8_t)i;
    compact_init(engine);
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
    drain_clear(engine);
    wheel_free(&engine->conn_wheel);
    wheel_free(&engine->session_wheel);
    wsin_free(&engine->spare_wsin);
    for (int i = 0; i < ENCODINGS; i++)
        chunklog_clear(&engine->logs[i]);
    chunklog_clear(&engine->private_log);
    chunks_clear(&engine->chunks);
    compact_clear(engine);
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

size_t engine_output_memory(const struct engine *engine)
{
    return engine->chunks.bytes + engine->chunks.spare_bytes;
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
    own->strangers_max = options->strangers_max;
    own->send_buffer = options->send_buffer;
    own->send_timeout_ms = options->send_timeout_ms;
    own->idle_timeout_ms = options->idle_timeout_ms;
    own->connect_timeout_ms = options->connect_timeout_ms;
    own->upgrade_timeout_ms = options->upgrade_timeout_ms;
    engine_flush_later(engine); /* there may be too many now */
    accept_again(engine);
}

void engine_conn_gone(struct engine *engine)
{
    accept_again(engine);
    drain_conn_gone(engine);
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
    conn->dirty = CLEAN;
    return conn;
}

static void flush_slice(struct engine *engine, struct dirty *dirty)
{
    for (int n = 0; dirty->first != NULL && n < FLUSH_SLICE; n++) {
        int behind = dirty->first->dirty == DIRTIER;
        struct conn *conn = take_dirty(dirty);
        if (dirty->first != NULL) /* while this one is written to */
            conn_fetch(dirty->first);
        if (n % CLOCK_SLICE == 0)
            engine_clock(engine);
        if (conn->state == CONN_DEAD)
            continue;
        if (behind && !conn->doomed && lag_blocks(conn))
            continue;
        if (conn->doomed || conn->lags)
            conn_dirty(conn);
        else
            conn_flush(conn);
    }
}

/* Those who wait here for long may have begun to read. */
static void lag_slice(struct engine *engine)
{
    struct dirty *dirty = &engine->dirty[DIRTY_LAGS];
    uint64_t begun_us;

    if (dirty->first == NULL)
        return;
    engine_clock(engine);
    begun_us = engine->now_us;
    while (dirty->first != NULL) {
        struct conn *conn = take_dirty(dirty);
        engine_clock(engine);
        if (conn->doomed && conn->state != CONN_DEAD)
            conn_dirty(conn);
        else if (conn->state != CONN_DEAD && !lag_blocks(conn))
            conn_flush(conn);
        if (engine->now_us - begun_us >= LAG_SLICE_US)
            return;
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
    lag_slice(engine);
    doom_slice(engine);
    compact_slice(engine);
    if (is_dirty(engine))
        engine_flush_later(engine);
}

void engine_flush_all(struct engine *engine)
{
    while (is_dirty(engine))
        engine_flush(engine);
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
    stranger_trim(engine);
    engine_sweep_dead(engine);
}
