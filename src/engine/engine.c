#include "engine/engine.h"

#include "base/clock.h"
#include "base/rand.h"
#include "codec/ws.h"
#include "engine/state.h"
#include "ipc/balance.h"

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
/* What is on its way to a client counts too, which for one that has vanished is
 * all that was sent: the kernel doubles this, and by itself would go up to
 * net.ipv4.tcp_wmem's maximum, 4 MB. */
#define SNDBUF_BYTES 65536
/* Closes of a drain come at most this far apart, so that a few clients do not
 * make a shutdown last for all of its time. */
#define DRAIN_STEP_MS     100
#define DRAIN_STEP_MIN_MS 10
#define ACCEPT_REST       4096 /* at most so many of a socket that is left to others */

static void on_flush(evutil_socket_t fd, short what, void *arg);
static void on_resume(evutil_socket_t fd, short what, void *arg);
static void on_rest(evutil_socket_t fd, short what, void *arg);
static void on_drain(evutil_socket_t fd, short what, void *arg);
static void engine_accept_again(struct engine *engine);

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
    evtimer_assign(&engine->resume_timer, base, on_resume, engine);
    evtimer_assign(&engine->rest_timer, base, on_rest, engine);
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
    event_del(&engine->rest_timer);
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
    engine_accept_again(engine);
}

/* --- accepting --- */

void engine_counted(const struct engine *engine)
{
    struct balance *balance = engine->options.balance;
    size_t clients = engine->nconns;

    if (balance == NULL)
        return;
    if (clients < engine->nsessions) /* those of polling live without a connection */
        clients = engine->nsessions;
    balance_set(balance, engine->options.place, (uint32_t)clients);
}

static void engine_accept_stop(struct engine *engine)
{
    engine->accepting = 0;
    for (struct listener *l = engine->listeners; l != NULL; l = l->next)
        event_del(&l->ev);
}

static void engine_accept_start(struct engine *engine)
{
    engine->accepting = 1;
    for (struct listener *l = engine->listeners; l != NULL; l = l->next)
        event_add(&l->ev, NULL);
    if (engine->options.balance == NULL)
        return;
    /* The line may be that of a worker that has died. */
    engine_counted(engine);
    balance_rests(engine->options.balance, engine->options.place, 0);
    balance_accepts(engine->options.balance, engine->options.place, 1);
}

/* For as long as it can take none: the others are not to wait for it. */
static void engine_accept_pause(struct engine *engine)
{
    evtimer_del(&engine->rest_timer);
    if (engine->options.balance != NULL)
        balance_accepts(engine->options.balance, engine->options.place, 0);
    if (engine->accepting)
        engine_accept_stop(engine);
}

static void engine_accept_resume(struct engine *engine)
{
    if (engine->accepting || engine->stopped || evtimer_pending(&engine->resume_timer, NULL) ||
        evtimer_pending(&engine->rest_timer, NULL))
        return;
    engine_accept_start(engine);
}

/* If there is room. */
static void engine_accept_again(struct engine *engine)
{
    if (engine->nconns < engine->options.connections_max)
        engine_accept_resume(engine);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    engine_accept_again(arg);
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

/* Returns 1 if a connection was taken, 0 if it failed for its own reasons, -1 if
 * no more can be taken now. */
static int accept_one(struct engine *engine, int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return -1;
        if (accept_error_is_peers(errno))
            return 0;
        if (errno == EINVAL) { /* the master has ended the listening */
            engine_accept_pause(engine);
            engine->stopped = 1;
            return -1;
        }
        engine_accept_failed(engine, errno);
        return -1;
    }
    if (conn_accept(engine, fd) == NULL) {
        close(fd);
        engine_accept_failed(engine, ENOMEM);
        return -1;
    }
    engine->stats.accepted++;
    if (engine->nconns >= engine->options.connections_max) {
        if (log_due(&engine->full_log, 60000) > 0)
            log_warnx("limits:connections reached: connections=%zu", engine->nconns);
        engine_accept_pause(engine);
        return -1;
    }
    return 1;
}

/* Returns how many were taken. */
static size_t accept_some(struct engine *engine, int listen_fd, unsigned max)
{
    size_t before = engine->nconns, taken;

    for (unsigned i = 0; i < max; i++)
        if (accept_one(engine, listen_fd) < 0)
            break;
    taken = engine->nconns - before;
    if (engine->options.balance != NULL && taken > 0)
        balance_accepted(engine->options.balance, engine->options.place, (uint32_t)taken);
    return taken;
}

static void engine_rest(struct engine *engine)
{
    static const struct timeval rest = {0, REST_MS * 1000L};
    struct balance *balance = engine->options.balance;

    engine_accept_stop(engine);
    balance_rests(balance, engine->options.place, 1);
    engine->others = balance_others(balance, engine->options.place);
    evtimer_add(&engine->rest_timer, &rest);
}

/* If somebody waits and the others have taken nobody since, they are too busy or
 * stopped: then it is this worker's after all. */
static void on_rest(evutil_socket_t fd, short what, void *arg)
{
    struct engine *engine = arg;
    uint32_t others = balance_others(engine->options.balance, engine->options.place);
    struct listener *listener = engine->listeners;

    (void)fd;
    (void)what;
    engine_accept_resume(engine);
    for (; listener != NULL && engine->accepting && others == engine->others;
         listener = listener->next)
        accept_some(engine, event_get_fd(&listener->ev), ACCEPT_BATCH);
}

/* With siblings: a connection is left to those that have fewer.  Every connection
 * wakes all that listen, so who comes too late for one sleeps over the next few,
 * as long as enough others are awake. */
static void accept_in_turn(struct engine *engine, int listen_fd)
{
    const struct balance *balance = engine->options.balance;
    unsigned room = balance_room(balance, engine->options.place, ACCEPT_BATCH);

    if (room > 0 && (accept_some(engine, listen_fd, room) > 0 || !engine->accepting ||
                     balance_awake(balance, engine->options.place) < AWAKE_MIN))
        return;
    engine_rest(engine);
}

static void on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
    struct engine *engine = arg;

    (void)what;
    if (engine->options.balance != NULL)
        accept_in_turn(engine, listen_fd);
    else
        accept_some(engine, listen_fd, ACCEPT_BATCH);
}

int engine_adopt(struct engine *engine, int fd, const void *bytes, size_t len, int stray)
{
    struct conn *conn = conn_accept(engine, fd);

    if (conn == NULL)
        return -1;
    engine->stats.handoffs_received++;
    if (len == 0) {
        conn_deadline(conn, IDLE_MS);
        return 0;
    }
    if ((conn->http = calloc(1, sizeof(*conn->http))) == NULL ||
        buf_put(&conn->http->in, bytes, len) < 0) {
        conn_kill(conn, CLOSE_NO_MEMORY, 0);
        return 0;
    }
    conn->http->stray = stray != 0;
    conn->http->counted = 1;
    conn_pump(conn);
    return 0;
}

int engine_listen(struct engine *engine, int fd)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    int one = 1, lowat = NOTSENT_LOWAT_BYTES, sndbuf = SNDBUF_BYTES;

    if (listener == NULL)
        return -1;
    /* Accepted sockets inherit all of it, which saves calls at every connection; a
     * Unix socket has none, and net.core.wmem_default bounds it. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
    event_assign(&listener->ev, engine->base, fd, EV_READ | EV_PERSIST, on_accept, engine);
    listener->next = engine->listeners;
    engine->listeners = listener;
    engine_accept_start(engine);
    return event_pending(&listener->ev, EV_READ, NULL) ? 0 : -1;
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
    engine_accept_again(engine);
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

/* Connections that wait on a socket that nobody shares any more would be reset. */
static void accept_rest(struct engine *engine)
{
    evtimer_del(&engine->rest_timer);
    engine_accept_again(engine);
    for (struct listener *l = engine->listeners; l != NULL && engine->accepting; l = l->next)
        accept_some(engine, event_get_fd(&l->ev), ACCEPT_REST);
}

void engine_retire(struct engine *engine, uint32_t within_ms, void (*done)(void *arg), void *arg)
{
    /* The last to be told still has some time to poll, and whoever is left then is
     * handed on before our caller's patience ends. */
    uint32_t word_ms = within_ms / 3 < FAREWELL_MS ? within_ms / 3 : FAREWELL_MS;
    uint32_t last_ms = within_ms / 10 < LINGER_MS ? within_ms / 10 : LINGER_MS;

    accept_rest(engine);
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
