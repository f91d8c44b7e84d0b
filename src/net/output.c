/* output - what waits for one client: how much of it and for how long, what the kernel
 * takes of it, and the deadlines. */
#include "base/clock.h"
#include "net/net.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/socket.h>

#define IOV_RUNS      64    /* runs in one sendmsg */
#define STALL_SHARE   65536 /* of an answer, leaves within send_timeout_ms */
#define PINGS_BLOCKED 100   /* pings taken from a client that does not read its pongs */

/* --- deadlines --- */

/* A WebSocket that has been closed is given LINGER_MS, and no more, but while we drain. */
int conn_may_stall(const struct conn *conn)
{
    return conn->blocked && !conn->patient && (conn->state != CONN_LINGER || conn->answering);
}

/* Its own, or that of output that the kernel does not take. */
void conn_rearm(struct conn *conn)
{
    struct net *net = conn->net;
    uint64_t due_ms = conn->due_ms;

    if (conn_may_stall(conn)) {
        uint64_t stall_ms = conn->stall_since_ms + net->options.send_timeout_ms;
        if (due_ms == 0 || stall_ms < due_ms)
            due_ms = stall_ms;
    }
    if (due_ms == 0)
        wheel_unset(net->wheel, &conn->timer);
    else
        wheel_set(net->wheel, &conn->timer, due_ms);
}

void conn_deadline(struct conn *conn, uint32_t in_ms)
{
    conn->due_ms = in_ms == 0 ? 0 : clock_ms() + in_ms;
    conn_rearm(conn);
}

/* --- what the loop waits for --- */

static void conn_wait(struct conn *conn)
{
    short what = (short)((conn->deaf ? 0 : EV_READ) | (conn->blocked ? EV_WRITE : 0));

    event_del(&conn->ev);
    event_assign(&conn->ev, conn->net->base, conn->fd, what | EV_PERSIST,
                 event_get_callback(&conn->ev), conn);
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
static uint32_t stall_share(const struct conn *conn)
{
    int is_answer = conn->answering || (conn->state == CONN_OPEN && !conn->streams);

    return is_answer && conn->out.bytes > STALL_SHARE ? STALL_SHARE : conn->out.bytes;
}

void conn_set_blocked(struct conn *conn)
{
    if (conn->blocked)
        return;
    conn->blocked = 1;
    conn->pings_blocked = 0;
    conn->stall_since_ms = clock_ms();
    conn->stall_bytes = stall_share(conn);
    compact_watch(&conn->net->compact, &conn->out);
    conn_wait(conn);
    conn_rearm(conn);
}

static void set_flowing(struct conn *conn)
{
    if (!conn->blocked)
        return;
    conn->blocked = conn->slow = 0;
    conn_wait(conn);
    conn_rearm(conn);
    if (conn->carried)
        stranger_conn(conn); /* there is room for what is to be said of it */
}

int conn_ping(struct conn *conn)
{
    if (!conn->blocked)
        return 0;
    return ++conn->pings_blocked > PINGS_BLOCKED ? -1 : 0;
}

/* --- writing --- */

/* n bytes have left: what waits now may have begun to wait later. */
static void progress(struct conn *conn, size_t n)
{
    conn->exempt_bytes -= n < conn->exempt_bytes ? (uint32_t)n : conn->exempt_bytes;
    if (!conn->blocked)
        return;
    if (n < conn->stall_bytes) {
        conn->stall_bytes -= (uint32_t)n;
        return;
    }
    if (conn->stamp != 0 && conn->streams && conn->state == CONN_OPEN)
        conn->stamp = stamp_of(conn->stall_since_ms * 1000);
    conn->stall_since_ms = clock_ms();
    conn->stall_bytes = stall_share(conn);
}

int conn_finish(struct conn *conn)
{
    if (conn->fin_sent || conn->owes)
        return 0;
    if (conn->veil->finish != NULL)
        conn->veil->finish(conn);
    if (!conn->owes)
        return 0;
    conn_set_blocked(conn);
    return -1;
}

static void sent_all(struct conn *conn)
{
    conn->leaving = 0;
    set_flowing(conn);
    conn_hear(conn, 1);
    if (conn->state == CONN_LINGER && !conn->fin_sent) {
        if (conn->veiled && conn_finish(conn) < 0)
            return;
        conn->fin_sent = 1;
        shutdown(conn->fd, SHUT_WR);
        conn_deadline(conn, LINGER_MS);
    }
}

/* The oldest broadcast in what is written now is as old as the stamp says, or not
 * quite: while the kernel takes less than waits, the stamp is from before it. */
static void count(struct conn *conn, size_t n)
{
    struct net *net = conn->net;
    int32_t waited;

    net->stats.writes++;
    net->stats.bytes_sent += n;
    net->stats.queued_bytes -= n;
    if (conn->stamp == 0)
        return;
    waited = (int32_t)(stamp_of(net->now_us) - conn->stamp);
    latency_observe(&net->stats.latency, waited > 0 ? (uint64_t)waited << STAMP_BITS : 0);
    if (conn->out.bytes == 0)
        conn->stamp = 0;
}

/* One send of what comes next. */
static ssize_t send_next(struct conn *conn)
{
    struct iovec iov[IOV_RUNS];
    struct msghdr msg = {.msg_iov = iov};

    if (conn->veiled && conn->veil->send != NULL)
        return conn->veil->send(conn);
    msg.msg_iovlen = (size_t)outq_iov(&conn->out, iov, IOV_RUNS);
    if (msg.msg_iovlen == 1) /* nearly always, and the kernel has less to copy */
        return send(conn->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int conn_write(struct conn *conn)
{
    if (conn->closing)
        return -1;
    while (conn->out.bytes > 0 || conn->owes) {
        ssize_t n = send_next(conn);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) {
            conn_set_blocked(conn);
            return 0;
        }
        if (n < 0)
            return -1;
        outq_consume(&conn->out, (size_t)n);
        count(conn, (size_t)n);
        progress(conn, (size_t)n);
    }
    sent_all(conn);
    return 0;
}

int conn_close_soon(struct conn *conn, enum close_reason why)
{
    if (!conn->closing) {
        conn->closing = 1;
        conn->closing_why = (uint8_t)why;
        conn_dirty(conn);
    }
    return -1;
}

/* --- queueing --- */

/* What is pushed into an empty queue does not count against the limit: a
 * message larger than that would reach nobody who is sent another.  There is none for a
 * stranger. */
static int is_full(const struct conn *conn, size_t len)
{
    const struct net *net = conn->net;
    size_t waiting = outq_held(&conn->out) - conn->exempt_bytes;

    if (conn->stranger)
        return waiting + len > net->stranger_send_buffer;
    return conn->out.bytes > 0 && waiting + len > net->options.send_buffer;
}

/* len bytes have been queued. */
static void queued(struct conn *conn, size_t len)
{
    conn->net->stats.queued_bytes += len;
    if (!conn->blocked) /* else the kernel tells when */
        conn_dirty(conn);
}

int conn_push(struct conn *conn, const struct run *run)
{
    if (conn->state == CONN_DEAD || conn->closing)
        return -1;
    if (is_full(conn, run->len)) {
        /* It may wait only for us: ask the kernel before blaming the client. */
        net_clock(conn->net);
        if (!conn->blocked && conn_write(conn) < 0)
            return conn_close_soon(conn, CLOSE_CLIENT);
        if (is_full(conn, run->len))
            return conn_close_soon(conn, CLOSE_SEND_BUFFER);
    }
    if (conn->out.bytes == 0)
        conn->exempt_bytes = conn->stranger ? 0 : run->len;
    if (outq_push(&conn->out, run) < 0)
        return conn_close_soon(conn, CLOSE_NO_MEMORY);
    queued(conn, run->len);
    return 0;
}

int conn_put(struct conn *conn, const void *bytes, size_t len)
{
    struct run run;

    if (chunklog_put(&conn->net->private_log, bytes, len, &run) < 0)
        return conn_close_soon(conn, CLOSE_NO_MEMORY);
    return conn_push(conn, &run);
}

int conn_put_static(struct conn *conn, const void *bytes, size_t len)
{
    struct run run;
    int result;

    if (conn->state == CONN_DEAD || conn->closing)
        return -1;
    if (run_wrap(&run, bytes, len) < 0)
        return conn_close_soon(conn, CLOSE_NO_MEMORY);
    result = outq_push(&conn->out, &run);
    run_unref(&run);
    if (result < 0)
        return conn_close_soon(conn, CLOSE_NO_MEMORY);
    conn->exempt_bytes += (uint32_t)len;
    queued(conn, len);
    return 0;
}

int conn_put_queue(struct conn *conn, struct outq *queue)
{
    if (conn->state == CONN_DEAD || conn->closing)
        return -1;
    while (queue->bytes > 0) {
        uint32_t before = conn->out.bytes;
        long moved = outq_move(&conn->out, queue);
        queued(conn, conn->out.bytes - before);
        if (moved < 0)
            return conn_close_soon(conn, CLOSE_NO_MEMORY);
    }
    return 0;
}
