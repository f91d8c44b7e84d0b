#include "engine/engine.h"

#include "base/clock.h"
#include "base/rand.h"
#include "codec/ws.h"
#include "engine/state.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel takes this much unsent output of a client and then says EAGAIN:
 * without it, a reader that stalls ties up megabytes of kernel memory. */
#define NOTSENT_LOWAT_BYTES 16384
/* Closes of a drain come at most this far apart, so that a few clients do not
 * make a shutdown last for all of its time. */
#define DRAIN_STEP_MS     100
#define DRAIN_STEP_MIN_MS 10

static void on_flush(evutil_socket_t fd, short what, void *arg);
static void on_resume(evutil_socket_t fd, short what, void *arg);
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
    engine->dirty_tail = &engine->dirty;
    rand_bytes(engine->sid_key, sizeof(engine->sid_key));
    evtimer_assign(&engine->flush_timer, base, on_flush, engine);
    evtimer_assign(&engine->resume_timer, base, on_resume, engine);
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
    engine_stop_listening(engine);
    while (engine->conns != NULL)
        conn_kill(engine->conns, CLOSE_SHUTDOWN, 0);
    for (uint32_t i = 0; i < engine->nslots; i++)
        if (engine->slots[i].session != NULL)
            session_end(engine->slots[i].session, CLOSE_SHUTDOWN);
    engine_free_dead(engine);
    event_del(&engine->flush_timer);
    event_del(&engine->resume_timer);
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

/* --- accepting --- */

static void engine_accept_pause(struct engine *engine)
{
    if (!engine->accepting)
        return;
    engine->accepting = 0;
    for (struct listener *l = engine->listeners; l != NULL; l = l->next)
        event_del(&l->ev);
}

static void engine_accept_resume(struct engine *engine)
{
    if (engine->accepting || engine->stopped || evtimer_pending(&engine->resume_timer, NULL))
        return;
    engine->accepting = 1;
    for (struct listener *l = engine->listeners; l != NULL; l = l->next)
        event_add(&l->ev, NULL);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct engine *engine = arg;

    (void)fd;
    (void)what;
    if (engine->nconns < engine->options.connections_max)
        engine_accept_resume(engine);
}

/* Out of descriptors or memory: a listening socket would be reported readable
 * again and again and spin the loop.  Let it rest. */
static void engine_accept_failed(struct engine *engine, int error)
{
    struct timeval pause = {0, EMFILE_PAUSE_MS * 1000L};
    uint64_t times = log_due(&engine->emfile_log, 10000);

    engine->stats.accept_failures++;
    if (times > 0) {
        errno = error;
        log_warn("accept: connections=%zu times=%llu", engine->nconns, (unsigned long long)times);
    }
    engine_accept_pause(engine);
    evtimer_add(&engine->resume_timer, &pause);
}

static int accept_error_is_peers(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
           error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH;
}

static void on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
    struct engine *engine = arg;

    (void)what;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                return;
            if (accept_error_is_peers(errno))
                continue;
            if (errno == EINVAL) { /* the master has ended the listening */
                engine_accept_pause(engine);
                engine->stopped = 1;
                return;
            }
            engine_accept_failed(engine, errno);
            return;
        }
        if (conn_accept(engine, fd) == NULL) {
            close(fd);
            engine_accept_failed(engine, ENOMEM);
            return;
        }
        engine->stats.accepted++;
        if (engine->nconns >= engine->options.connections_max) {
            if (log_due(&engine->full_log, 60000) > 0)
                log_warnx("limits:connections reached: connections=%zu", engine->nconns);
            engine_accept_pause(engine);
            return;
        }
    }
}

int engine_adopt(struct engine *engine, int fd, const void *bytes, size_t len)
{
    struct conn *conn = conn_accept(engine, fd);

    if (conn == NULL)
        return -1;
    engine->stats.handoffs_received++;
    if ((conn->http = calloc(1, sizeof(*conn->http))) == NULL ||
        buf_put(&conn->http->in, bytes, len) < 0) {
        conn_kill(conn, CLOSE_NO_MEMORY, 0);
        return 0;
    }
    conn_pump(conn);
    return 0;
}

int engine_listen(struct engine *engine, int fd)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    int one = 1, lowat = NOTSENT_LOWAT_BYTES;

    if (listener == NULL)
        return -1;
    /* Accepted sockets inherit both, which saves two calls a connection; a Unix
     * socket has neither. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
    event_assign(&listener->ev, engine->base, fd, EV_READ | EV_PERSIST, on_accept, engine);
    listener->next = engine->listeners;
    engine->listeners = listener;
    engine->accepting = 1;
    return event_add(&listener->ev, NULL);
}

void engine_stop_listening(struct engine *engine)
{
    struct listener *listener;

    engine_accept_pause(engine);
    engine->stopped = 1;
    while ((listener = engine->listeners) != NULL) {
        engine->listeners = listener->next;
        free(listener);
    }
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

void engine_flush(struct engine *engine)
{
    for (int n = 0; engine->dirty != NULL && n < FLUSH_SLICE; n++) {
        struct conn *conn = engine->dirty;
        if (n % CLOCK_SLICE == 0)
            engine_clock(engine);
        if ((engine->dirty = conn->dirty_next) == NULL)
            engine->dirty_tail = &engine->dirty;
        conn->dirty_next = NULL;
        conn->dirty = 0;
        if (conn->state != CONN_DEAD)
            conn_flush(conn);
    }
    if (engine->dirty != NULL)
        engine_flush_later(engine);
}

/* Frees the dead ones, but for those that are still in the dirty list: they go
 * when it has passed them.  The list as a whole may not be empty for long. */
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
    if (engine->nconns < engine->options.connections_max)
        engine_accept_resume(engine);
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
        if (session != NULL && !session->over) {
            session_close(session, WS_CLOSE_GOING_AWAY, CLOSE_SHUTDOWN);
            due--;
        }
    }
    if (engine->nsessions == 0 || now >= engine->drain_end_ms)
        kill_http(engine);
    if (engine->nconns == 0) {
        engine->draining = 0;
        engine->drain_done(engine->drain_arg);
        return;
    }
    next = (struct timeval){0, (suseconds_t)step_ms * 1000};
    event_add(&engine->drain_timer, &next);
}

void engine_drain(struct engine *engine, uint32_t within_ms, void (*done)(void *arg), void *arg)
{
    static const struct timeval now = {0, 0};

    engine_stop_listening(engine);
    engine->draining = 1;
    engine->drain_index = 0;
    engine->drain_done = done;
    engine->drain_arg = arg;
    /* The last to be told still has its second to answer. */
    engine->drain_end_ms =
        clock_ms() + (within_ms > 2 * LINGER_MS ? within_ms - LINGER_MS : within_ms / 2);
    event_add(&engine->drain_timer, &now);
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
