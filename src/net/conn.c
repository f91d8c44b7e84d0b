/* conn - one connection: its life, its reading and its output. */
#include "base/clock.h"
#include "codec/ws.h"
#include "engine/state.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define IOV_RUNS      64    /* runs in one sendmsg */
#define STALL_SHARE   65536 /* of an answer, leaves within send_timeout_ms */
#define PINGS_BLOCKED 100   /* pings taken from a client that does not read its pongs */

static void on_ready(evutil_socket_t fd, short what, void *arg);

/* --- lists --- */

static void conn_link(struct conn **head, struct conn *conn)
{
    conn->next = *head;
    conn->prev = head;
    if (*head != NULL)
        (*head)->prev = &conn->next;
    *head = conn;
}

static void conn_unlink(struct conn *conn)
{
    *conn->prev = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
}

void conn_dirty(struct conn *conn)
{
    struct engine *engine = conn->engine;
    struct dirty *dirty = &engine->dirty[engine->fanning ? DIRTY_FAN : DIRTY_OWN];

    if (conn->dirty != CLEAN) {
        conn->dirty = DIRTIER;
        return;
    }
    if (conn->doomed || conn->lags) {
        dirty = &engine->dirty[conn->doomed ? DIRTY_DOOMED : DIRTY_LAGS];
        if (conn->lags)
            compact_watch(engine, &conn->out);
    }
    conn->dirty = DIRTY;
    conn->dirty_next = NULL;
    *dirty->tail = conn;
    dirty->tail = &conn->dirty_next;
    engine_flush_later(engine);
}

/* --- deadlines --- */

static int conn_has_request(const struct conn *conn)
{
    return conn->http != NULL && conn->http->in.len > 0;
}

/* 1 if it ends when its output has waited for too long.  A WebSocket that has been
 * closed is given LINGER_MS, and no more, but while we drain. */
static int conn_may_stall(const struct conn *conn)
{
    return conn->blocked && (conn->state != CONN_LINGER || conn->answering);
}

/* The state's own, or that of output that the kernel does not take. */
static void conn_rearm(struct conn *conn)
{
    const struct engine *engine = conn->engine;
    uint64_t due_ms = conn->due_ms;

    if (conn_may_stall(conn)) {
        uint64_t stall_ms = conn->stall_since_ms + engine->options.send_timeout_ms;
        if (due_ms == 0 || stall_ms < due_ms)
            due_ms = stall_ms;
    }
    if (due_ms == 0)
        wheel_unset(engine->conn_wheel, &conn->timer);
    else
        wheel_set(engine->conn_wheel, &conn->timer, due_ms);
}

void conn_deadline(struct conn *conn, uint32_t in_ms)
{
    conn->due_ms = in_ms == 0 ? 0 : clock_ms() + in_ms;
    conn_rearm(conn);
}

void conn_await(struct conn *conn)
{
    conn_deadline(conn, conn_has_request(conn) ? HEAD_MS : conn->engine->options.idle_timeout_ms);
}

/* --- life --- */

struct conn *conn_accept(struct engine *engine, int fd)
{
    struct conn *conn = calloc(1, sizeof(*conn));

    if (conn == NULL)
        return NULL;
    conn->engine = engine;
    conn->fd = fd;
    conn->state = CONN_HTTP;
    event_assign(&conn->ev, engine->base, fd, EV_READ | EV_PERSIST, on_ready, conn);
    if (event_add(&conn->ev, NULL) < 0) {
        free(conn);
        return NULL;
    }
    conn_link(&engine->conns, conn);
    engine->nconns++;
    engine_counted(engine);
    stranger_new_conn(conn);
    conn_deadline(conn, HEAD_MS);
    return conn;
}

/* A WebSocket's end is its session's; a polling session may outlive this. */
static void conn_drop_session(struct conn *conn, enum engine_close why)
{
    struct session *session = conn->session;

    conn->session = NULL;
    if (session == NULL)
        return;
    if (session->ws == conn)
        session_end(session, why);
    else
        polling_conn_gone(session, conn);
}

/* What has not left of the answer to a GET is lost, and nobody could tell: a session
 * that went on would have a gap. */
static void conn_drop_answer(const struct conn *conn, enum engine_close why)
{
    struct session *session = session_find(conn->engine, conn->polled);

    if (session != NULL)
        session_close(session, WS_CLOSE_NONE, why);
}

void conn_kill(struct conn *conn, enum engine_close why, int abort)
{
    struct engine *engine = conn->engine;

    if (conn->state == CONN_DEAD)
        return;
    /* The end of a session may end connections that have one: with only one thing to
     * lose, this goes no deeper. */
    assert(conn->session == NULL || conn->polled == 0);
    conn->state = CONN_DEAD;
    if (conn->doomed)
        why = (enum engine_close)conn->doom_why;
    if (abort) {
        struct linger reset = {1, 0};
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    event_del(&conn->ev);
    close(conn->fd);
    wheel_unset(engine->conn_wheel, &conn->timer);
    engine->stats.queued_bytes -= conn->out.bytes;
    engine->stats.discarded_bytes[why] += conn->out.bytes;
    outq_clear(&conn->out);
    compact_forget(engine, &conn->out);
    conn_unlink(conn);
    conn_link(&engine->dead, conn);
    engine->nconns--;
    engine_counted(engine);
    stranger_conn_gone(conn);
    /* Freed on a later turn: our caller may still be using it. */
    engine_flush_later(engine);
    conn_drop_session(conn, why);
    if (conn->polled != 0)
        conn_drop_answer(conn, why);
    engine_conn_gone(engine);
}

void conn_free(struct conn *conn)
{
    wsin_free(&conn->wsin);
    httpin_free(&conn->http);
    free(conn);
}

/* --- output --- */

static void conn_wait(struct conn *conn)
{
    struct engine *engine = conn->engine;
    short what = (short)((conn->deaf ? 0 : EV_READ) | (conn->blocked ? EV_WRITE : 0));

    event_del(&conn->ev);
    event_assign(&conn->ev, engine->base, conn->fd, what | EV_PERSIST, on_ready, conn);
    if (what != 0)
        event_add(&conn->ev, NULL);
}

void conn_hear(struct conn *conn, int hears)
{
    if (conn->deaf == !hears)
        return;
    conn->deaf = !hears;
    conn_wait(conn);
}

/* What must leave before the output counts as stalled: of an answer, a share at
 * a time, for a file may be large and the line slow. */
static uint32_t conn_stall_share(const struct conn *conn)
{
    if ((conn->state == CONN_HTTP || conn->answering) && conn->out.bytes > STALL_SHARE)
        return STALL_SHARE;
    return conn->out.bytes;
}

void conn_set_blocked(struct conn *conn)
{
    if (conn->blocked)
        return;
    conn->blocked = 1;
    conn->pings_blocked = 0;
    conn->stall_since_ms = clock_ms();
    conn->stall_bytes = conn_stall_share(conn);
    compact_watch(conn->engine, &conn->out);
    conn_wait(conn);
    conn_rearm(conn);
}

static void conn_set_flowing(struct conn *conn)
{
    if (!conn->blocked)
        return;
    conn->blocked = conn->lags = 0;
    conn_wait(conn);
    conn_rearm(conn);
}

/* n bytes have left: what waits now may have begun to wait later. */
static void conn_progress(struct conn *conn, size_t n)
{
    conn->exempt_bytes -= n < conn->exempt_bytes ? (uint32_t)n : conn->exempt_bytes;
    if (!conn->blocked)
        return;
    if (n < conn->stall_bytes) {
        conn->stall_bytes -= (uint32_t)n;
        return;
    }
    if (conn->stamp != 0 && conn->state == CONN_WEBSOCKET)
        conn->stamp = stamp_of(conn->stall_since_ms * 1000);
    conn->stall_since_ms = clock_ms();
    conn->stall_bytes = conn_stall_share(conn);
}

static void conn_sent_all(struct conn *conn)
{
    conn->polled = 0;
    if (conn->blocked && conn->state == CONN_HTTP) /* until now it was not the client's turn */
        conn_await(conn);
    conn_set_flowing(conn);
    conn_hear(conn, 1);
    if (conn->state == CONN_LINGER && !conn->fin_sent) {
        conn->fin_sent = 1;
        shutdown(conn->fd, SHUT_WR);
        conn_deadline(conn, LINGER_MS);
    }
}

/* The oldest broadcast in what is written now is as old as the stamp says, or not
 * quite: while the kernel takes less than waits, the stamp is from before it. */
static void conn_count(struct conn *conn, size_t n)
{
    struct engine *engine = conn->engine;
    int32_t waited;

    engine->stats.writes++;
    engine->stats.bytes_sent += n;
    engine->stats.queued_bytes -= n;
    if (conn->stamp == 0)
        return;
    waited = (int32_t)(stamp_of(engine->now_us) - conn->stamp);
    latency_observe(&engine->stats.latency, waited > 0 ? (uint64_t)waited << STAMP_BITS : 0);
    if (conn->out.bytes == 0)
        conn->stamp = 0;
}

/* One send of what comes next. */
static ssize_t conn_send(const struct conn *conn)
{
    struct iovec iov[IOV_RUNS];
    struct msghdr msg = {.msg_iov = iov};

    msg.msg_iovlen = (size_t)outq_iov(&conn->out, iov, IOV_RUNS);
    if (msg.msg_iovlen == 1) /* nearly always, and the kernel has less to copy */
        return send(conn->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Returns 0, or -1 if the connection is broken, or doomed: it has lost output, and what
 * is left is not to pass for all. */
static int conn_write(struct conn *conn)
{
    if (conn->doomed)
        return -1;
    while (conn->out.bytes > 0) {
        ssize_t n = conn_send(conn);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) {
            conn_set_blocked(conn);
            return 0;
        }
        if (n < 0)
            return -1;
        outq_consume(&conn->out, (size_t)n);
        conn_count(conn, (size_t)n);
        conn_progress(conn, (size_t)n);
    }
    conn_sent_all(conn);
    return 0;
}

void conn_flush(struct conn *conn)
{
    if (conn->state == CONN_POLL && !conn->doomed)
        polling_flush(conn);
    if (conn->doomed) {
        conn_kill(conn, (enum engine_close)conn->doom_why, 1);
        return;
    }
    if (conn->state != CONN_DEAD && conn_write(conn) < 0)
        conn_kill(conn, CLOSE_CLIENT, 0);
    if (conn->state == CONN_HTTP) /* an answer has left: what came behind its request */
        httpin_pump(conn);
}

int conn_doom(struct conn *conn, enum engine_close why)
{
    if (!conn->doomed) {
        conn->doomed = 1;
        conn->doom_why = (uint8_t)why;
        conn_dirty(conn);
    }
    return -1;
}

/* What is pushed into an empty queue does not count against the limit: a
 * message larger than that would reach nobody who is sent another.  There is none for a
 * stranger. */
static int conn_is_full(const struct conn *conn, size_t len)
{
    size_t waiting = outq_held(&conn->out) - conn->exempt_bytes;

    if (conn->stranger)
        return waiting + len > stranger_send_buffer(conn->engine);
    return conn->out.bytes > 0 && waiting + len > conn->engine->options.send_buffer;
}

int conn_push(struct conn *conn, const struct run *run)
{
    if (conn->state == CONN_DEAD || conn->doomed)
        return -1;
    if (conn_is_full(conn, run->len)) {
        /* It may wait only for us: ask the kernel before blaming the client. */
        engine_clock(conn->engine);
        if (!conn->blocked && conn_write(conn) < 0)
            return conn_doom(conn, CLOSE_CLIENT);
        if (conn_is_full(conn, run->len))
            return conn_doom(conn, CLOSE_SEND_BUFFER);
    }
    if (conn->out.bytes == 0)
        conn->exempt_bytes = conn->stranger ? 0 : run->len;
    if (outq_push(&conn->out, run) < 0)
        return conn_doom(conn, CLOSE_NO_MEMORY);
    conn->engine->stats.queued_bytes += run->len;
    if (!conn->blocked) /* else the kernel tells when */
        conn_dirty(conn);
    return 0;
}

int conn_put(struct conn *conn, const void *bytes, size_t len)
{
    struct run run;

    if (chunklog_put(&conn->engine->private_log, bytes, len, &run) < 0)
        return conn_doom(conn, CLOSE_NO_MEMORY);
    return conn_push(conn, &run);
}

int conn_put_static(struct conn *conn, const void *bytes, size_t len)
{
    struct run run;
    int result;

    if (conn->state == CONN_DEAD || conn->doomed)
        return -1;
    if (run_wrap(&run, bytes, len) < 0)
        return conn_doom(conn, CLOSE_NO_MEMORY);
    result = outq_push(&conn->out, &run);
    run_unref(&run);
    if (result < 0)
        return conn_doom(conn, CLOSE_NO_MEMORY);
    conn->exempt_bytes += (uint32_t)len;
    conn->engine->stats.queued_bytes += len;
    if (!conn->blocked)
        conn_dirty(conn);
    return 0;
}

int conn_put_frame(struct conn *conn, int opcode, const void *payload, size_t len)
{
    struct run run;
    uint8_t header[WS_HEADER_MAX];
    size_t n = ws_header_encode(header, (enum ws_opcode)opcode, len);
    uint8_t *dst = chunklog_reserve(&conn->engine->private_log, n + len, &run);

    if (dst == NULL)
        return conn_doom(conn, CLOSE_NO_MEMORY);
    memcpy(dst, header, n);
    if (len > 0)
        memcpy(dst + n, payload, len);
    return conn_push(conn, &run);
}

size_t conn_message_max(const struct conn *conn)
{
    const struct engine *engine = conn->engine;

    return conn->stranger ? stranger_message_max(engine) : engine->options.max_payload;
}

int conn_ping(struct conn *conn)
{
    if (!conn->blocked)
        return 0;
    return ++conn->pings_blocked > PINGS_BLOCKED ? -1 : 0;
}

/* --- the end --- */

void conn_linger(struct conn *conn)
{
    if (conn->state == CONN_DEAD)
        return;
    /* The answer to a request may be long, and its reader slow; and who is sent away for
     * our sake hears all that was sent to it. */
    conn->answering =
        conn->out.bytes > 0 && (conn->state != CONN_WEBSOCKET || conn->engine->draining);
    conn->state = CONN_LINGER;
    conn_deadline(conn, conn->answering ? 0 : LINGER_MS);
    if (conn->out.bytes == 0 && !conn->doomed)
        conn_sent_all(conn);
}

void conn_finish(struct conn *conn, enum engine_close why)
{
    conn_linger(conn);
    conn_drop_session(conn, why);
    stranger_conn(conn);
}

void conn_close(struct conn *conn, int code, enum engine_close why)
{
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    if (conn->state != CONN_WEBSOCKET || conn->doomed)
        return;
    if (!session_may_return(why) &&
        conn_put_frame(conn, WS_CLOSE, payload, code == WS_CLOSE_NONE ? 0 : 2) < 0)
        return;
    conn_finish(conn, why);
}

void conn_timeout(struct wheel_entry *entry, uint64_t now_ms, void *arg)
{
    struct conn *conn = (struct conn *)(void *)((char *)entry - offsetof(struct conn, timer));
    const struct engine *engine = arg;

    if (conn_may_stall(conn) && conn->stall_since_ms + engine->options.send_timeout_ms <= now_ms) {
        conn_doom(conn, CLOSE_SEND_TIMEOUT);
    } else if (conn->due_ms == 0 || conn->due_ms > now_ms) {
        conn_rearm(conn);
    } else if (conn->state == CONN_HANDOFF) {
        request_handoff(conn);
    } else if (conn->state == CONN_HTTP && conn->out.bytes > 0) {
        conn_await(conn); /* not idle yet: how long that lasts has its own limit */
    } else if (conn->state == CONN_BODY || (conn->state == CONN_HTTP && conn_has_request(conn))) {
        request_refuse(conn, 408);
    } else {
        conn_kill(conn, CLOSE_CLIENT, conn->out.bytes > 0);
    }
}

/* --- input --- */

/* The client sends nothing more, which does not say that it reads nothing more: the
 * answers to all that it has asked for (or a close frame) leave first.  While one does,
 * the end is not looked at, for it would be found again and again. */
static void conn_eof(struct conn *conn)
{
    engine_clock(conn->engine);
    for (;;) {
        if (conn->state == CONN_POLL)
            polling_flush(conn); /* there may be something for it */
        if (conn->state == CONN_HANDOFF) {
            conn_hear(conn, 0);
            return;
        }
        if (conn->out.bytes == 0 || (conn->state != CONN_HTTP && conn->state != CONN_LINGER) ||
            conn_write(conn) < 0)
            break;
        if (conn->out.bytes > 0) {
            if (conn->state == CONN_HTTP && !conn_has_request(conn))
                conn_linger(conn);
            conn_hear(conn, 0);
            return;
        }
        if (conn->state == CONN_HTTP)
            httpin_pump(conn);
    }
    conn_kill(conn, CLOSE_CLIENT, 0);
}

static void conn_read(struct conn *conn)
{
    uint8_t *input = conn->engine->input;
    ssize_t n = recv(conn->fd, input, INPUT_BYTES, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n > 0)
        conn->engine->stats.bytes_received += (uint64_t)n;
    if (n == 0)
        conn_eof(conn);
    else if (n < 0)
        conn_kill(conn, CLOSE_CLIENT, 0);
    else if (conn->state == CONN_WEBSOCKET)
        wsin_feed(conn, input, (size_t)n);
    else if (conn->state != CONN_LINGER)
        httpin_feed(conn, input, (size_t)n);
    /* CONN_LINGER: it is read so that closing does not reset what we sent. */
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;

    (void)fd;
    if (what & EV_WRITE) {
        engine_clock(conn->engine);
        conn_flush(conn);
    }
    if ((what & EV_READ) && conn->state != CONN_DEAD)
        conn_read(conn);
}
