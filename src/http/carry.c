/* carry - a connection over TLS whose request another worker serves: its bytes, both ways,
 * between the client and one end of a pair of sockets (net/pair.h), until one side ends.
 *
 * What comes from the client goes into the pair at once.  If the pair is full, what was read
 * is kept and no more is read.  What comes from the pair goes into the connection's output,
 * which is no more than CARRY_OUT_BYTES and a read; with that much in it the pair is left
 * alone, and the worker at the other end sees it fill: it is that worker which knows
 * what may wait for the client, and for how long. */
#include "base/buf.h"
#include "http/http.h"
#include "net/pair.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CARRY_OUT_BYTES  16384 /* more waits for the client: none is taken from the pair */
#define CARRY_READ_BYTES 16384

struct carry {
    struct conn *conn;
    int fd;           /* our end; -1: closed */
    struct buf in;    /* of the client: the pair has not taken it */
    uint8_t readable; /* there may be something in the pair */
    uint8_t ended;    /* the client sends no more */
    uint8_t shut;     /* ... and the other end knows, or does not listen any more */
    uint8_t over;     /* the other end sends no more than is in the pair */
    uint8_t answered; /* the last that went over it came from the other end */
    struct event ev;  /* edges of the pair: reading is left off and taken up without a call */
};

static struct carry *carry_of(const struct conn *conn)
{
    return conn->input;
}

static void wait_for(struct carry *carry, short what)
{
    struct net *net = carry->conn->net;

    event_del(&carry->ev);
    event_assign(&carry->ev, net->base, carry->fd, what | EV_READ | EV_ET | EV_PERSIST,
                 event_get_callback(&carry->ev), carry);
    event_add(&carry->ev, NULL);
}

static void drop_end(struct carry *carry)
{
    if (carry->fd < 0)
        return;
    event_del(&carry->ev);
    close(carry->fd);
    carry->fd = -1;
    buf_free(&carry->in);
    stranger_carries(carry->conn, 0);
}

/* What came from the other end still leaves, within the time that an answer has. */
static void finish(struct carry *carry)
{
    struct conn *conn = carry->conn;

    drop_end(carry);
    conn->patient = conn->streams = 0;
    conn_linger(conn);
}

/* --- from the client to the pair --- */

/* Returns how much of it the pair took. */
static size_t give(struct carry *carry, const uint8_t *bytes, size_t len)
{
    size_t given = 0;
    ssize_t n = 0;

    while (given < len && n >= 0) {
        n = send(carry->fd, bytes + given, len - given, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            given += (size_t)n;
        else if (n < 0 && errno == EINTR)
            n = 0;
    }
    if (n >= 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
        return given;
    /* Nobody hears it; what the other worker has said before may still be in the pair. */
    carry->shut = 1;
    return len;
}

static void pass_end(struct carry *carry)
{
    if (!carry->ended || carry->shut || carry->in.len > 0)
        return;
    carry->shut = 1;
    shutdown(carry->fd, SHUT_WR);
}

static void hear_or_not(const struct carry *carry)
{
    conn_hear(carry->conn, carry->in.len == 0 && !carry->ended);
}

static void on_input(struct conn *conn, const uint8_t *bytes, size_t len)
{
    struct carry *carry = carry_of(conn);
    size_t given = 0;

    http_of(conn)->stats.carried_bytes[HTTP_CARRIED_IN] += len;
    carry->answered = 0;
    if (carry->shut || carry->fd < 0)
        return;
    if (carry->in.len == 0)
        given = give(carry, bytes, len);
    if (given == len)
        return;
    carry->in.secret = 1; /* there may be a token in it */
    if (buf_put(&carry->in, bytes + given, len - given) < 0) {
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
        return;
    }
    wait_for(carry, EV_WRITE);
    hear_or_not(carry);
}

/* The pair takes more. */
static void give_rest(struct carry *carry)
{
    if (carry->in.len == 0)
        return;
    buf_consume(&carry->in, give(carry, carry->in.data, carry->in.len));
    if (carry->shut)
        buf_reset(&carry->in);
    if (carry->in.len > 0)
        return;
    buf_free(&carry->in);
    wait_for(carry, 0);
    pass_end(carry);
    hear_or_not(carry);
}

/* It is the other worker that ends the connection then, when its answers have left. */
static int on_ended(struct conn *conn)
{
    struct carry *carry = carry_of(conn);

    if (carry->fd < 0)
        return 0;
    carry->ended = 1;
    pass_end(carry);
    return 1;
}

/* --- from the pair to the client --- */

/* What the other worker says of whom it serves. */
static void heed(const struct carry *carry, int says)
{
    struct conn *conn = carry->conn;

    if (says < 0)
        return;
    conn->stranger = (says & PAIR_USER) == 0;
    conn->streams = (says & PAIR_STREAMS) != 0;
    stranger_conn(conn);
}

/* However little a stranger may have waiting: that is for the other worker to say. */
static void put(struct carry *carry, const uint8_t *bytes, size_t len)
{
    struct conn *conn = carry->conn;
    struct net *net = conn->net;
    struct outq queue = {.bytes = 0};
    struct run run;

    http_of(conn)->stats.carried_bytes[HTTP_CARRIED_OUT] += len;
    carry->answered = 1;
    if (chunklog_put(&net->private_log, bytes, len, &run) < 0 || outq_push(&queue, &run) < 0)
        conn_close_soon(conn, CLOSE_NO_MEMORY);
    else
        conn_put_queue(conn, &queue);
    outq_clear(&queue);
}

/* Returns 0 when there is no more to take now. */
static int take_some(struct carry *carry)
{
    uint8_t *bytes = carry->conn->net->input;
    size_t len;
    int says, result = pair_receive(carry->fd, bytes, CARRY_READ_BYTES, &len, &says);

    if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        carry->readable = 0;
        return 0;
    }
    if (result <= 0) {
        finish(carry);
        return 0;
    }
    heed(carry, says);
    if (len > 0)
        put(carry, bytes, len);
    explicit_bzero(bytes, len);
    return 1;
}

/* While the pair is left alone for the client's sake, the other worker judges its
 * patience.  It may have lost it. */
static void look_for_end(struct carry *carry)
{
    struct pollfd wait = {.fd = carry->fd, .events = POLLRDHUP};

    if (carry->over || poll(&wait, 1, 0) <= 0)
        return;
    carry->over = 1;
    carry->conn->patient = 0;
    conn_rearm(carry->conn);
}

static void take(struct carry *carry)
{
    const struct conn *conn = carry->conn;

    while (carry->readable && conn->state == CONN_OPEN && !conn->closing &&
           conn->out.bytes < CARRY_OUT_BYTES)
        if (!take_some(carry))
            return;
    if (carry->readable && conn->state == CONN_OPEN)
        look_for_end(carry);
}

static void on_sent(struct conn *conn, int was_blocked)
{
    struct carry *carry = carry_of(conn);

    (void)was_blocked;
    if (carry->fd < 0)
        return;
    hear_or_not(carry);
    take(carry);
}

static void on_pair(evutil_socket_t fd, short what, void *arg)
{
    struct carry *carry = arg;

    (void)fd;
    if (what & EV_WRITE)
        give_rest(carry);
    if (what & EV_READ) {
        carry->readable = 1;
        take(carry);
    }
}

/* --- the end --- */

static void on_timeout(struct conn *conn) /* it has no deadline of its own */
{
    conn_kill(conn, CLOSE_CLIENT, 0);
}

static void on_gone(struct conn *conn, enum close_reason why)
{
    drop_end(carry_of(conn));
    http_of(conn)->app->lost(conn, why);
}

static void on_free(struct conn *conn)
{
    free(carry_of(conn));
}

static const struct conn_ops carry_ops = {
    .input = on_input,
    .ended = on_ended,
    .sent = on_sent,
    .timeout = on_timeout,
    .gone = on_gone,
    .free = on_free,
};

void carry_leave(struct conn *conn, int now)
{
    struct carry *carry = carry_of(conn);
    int idle = carry->answered && !conn->streams && carry->in.len == 0 && conn->out.bytes == 0;

    if (conn->state == CONN_OPEN && (now || idle))
        finish(carry);
}

/* --- the beginning --- */

struct carry *carry_new(struct conn *conn, int *theirs)
{
    struct carry *carry = calloc(1, sizeof(*carry));
    int fds[2];

    if (carry == NULL)
        return NULL;
    if (pair_make(fds) < 0) {
        free(carry);
        return NULL;
    }
    carry->conn = conn;
    carry->fd = fds[0];
    event_assign(&carry->ev, conn->net->base, carry->fd, EV_READ | EV_ET | EV_PERSIST, on_pair,
                 carry);
    if (event_add(&carry->ev, NULL) < 0) {
        close(fds[0]);
        close(fds[1]);
        free(carry);
        errno = ENOMEM;
        return NULL;
    }
    *theirs = fds[1];
    return carry;
}

void carry_cancel(struct carry **carryp)
{
    struct carry *carry = *carryp;

    event_del(&carry->ev);
    close(carry->fd);
    free(carry);
    *carryp = NULL;
}

void carry_begin(struct carry *carry)
{
    struct conn *conn = carry->conn;

    http_of(conn)->stats.carried++;
    conn->ops->free(conn); /* what was read has gone along */
    conn->ops = &carry_ops;
    conn->input = carry;
    conn->asks_flush = 0;
    conn->asks_sent = conn->patient = 1;
    conn_deadline(conn, 0);
    stranger_carries(conn, 1);
    hear_or_not(carry);
    net_evict(conn->net); /* before there are more than there may be descriptors */
}
