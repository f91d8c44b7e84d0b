#include "net/net.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_ready(evutil_socket_t fd, short what, void *arg);

/* --- lists --- */

static void list_add(struct conn **head, struct conn *conn)
{
    conn->next = *head;
    conn->prev = head;
    if (*head != NULL)
        (*head)->prev = &conn->next;
    *head = conn;
}

static void list_remove(struct conn *conn)
{
    *conn->prev = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
}

/* --- life --- */

struct conn *conn_new(struct net *net, int fd)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    struct address peer;

    if (conn == NULL)
        return NULL;
    conn->net = net;
    conn->fd = fd;
    conn->ops = net->speaker;
    conn->asks_sent = 1;
    event_assign(&conn->ev, net->base, fd, EV_READ | EV_PERSIST, on_ready, conn);
    if (event_add(&conn->ev, NULL) < 0) {
        free(conn);
        return NULL;
    }
    list_add(&net->conns, conn);
    net->nconns++;
    net_counted(net);
    (void)address_of_peer(&peer, fd);
    tally_conn(conn, &peer);
    conn->stranger = 1;
    stranger_conn(conn);
    conn_deadline(conn, net->first_ms);
    return conn;
}

void conn_kill(struct conn *conn, enum close_reason why, int abort)
{
    struct net *net = conn->net;

    if (conn->state == CONN_DEAD)
        return;
    /* The end of a session may end connections that have one: with only one thing to
     * lose, this goes no deeper. */
    assert(conn->owner == NULL || conn->leaving == 0);
    conn->state = CONN_DEAD;
    if (conn->closing)
        why = (enum close_reason)conn->closing_why;
    conn->closing_why = (uint8_t)why;
    if (abort) {
        struct linger reset = {1, 0};
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    if (!abort && conn->veiled && conn->out.bytes == 0)
        conn_finish(conn);
    conn_unveil(conn);
    event_del(&conn->ev);
    close(conn->fd);
    wheel_unset(net->wheel, &conn->timer);
    net->stats.queued_bytes -= conn->out.bytes;
    net->stats.discarded_bytes[why] += conn->out.bytes;
    outq_clear(&conn->out);
    compact_forget(&net->compact, &conn->out);
    list_remove(conn);
    list_add(&net->dead, conn);
    net->nconns--;
    net->gone = 1;
    net_counted(net);
    stranger_conn(conn);
    tally_conn_gone(conn);
    /* Freed on a later turn: our caller may still be using it. */
    net_flush_later(net);
    conn->ops->gone(conn, why);
}

int conn_has_ended(const struct conn *conn)
{
    struct pollfd wait = {.fd = conn->fd, .events = POLLRDHUP};

    return poll(&wait, 1, 0) > 0;
}

/* --- where it comes from --- */

int conn_set_peer(struct conn *conn, const struct address *peer)
{
    struct address own;

    if (peer == NULL) {
        free(conn->peer);
        conn->peer = NULL;
        (void)address_of_peer(&own, conn->fd);
        tally_conn(conn, &own);
        return 0;
    }
    if (conn->peer == NULL && (conn->peer = malloc(sizeof(*conn->peer))) == NULL)
        return -1;
    *conn->peer = *peer;
    tally_conn(conn, peer);
    return 0;
}

static int same(const struct address *a, const struct address *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* What is its own is kept before it is another's. */
static int relay_begin(struct conn *conn)
{
    if (conn->peer != NULL && (conn->own = malloc(sizeof(*conn->own))) == NULL)
        return -1;
    if (conn->peer != NULL)
        *conn->own = *conn->peer;
    conn->own_secure = conn->secure;
    conn->relayed = 1;
    return 0;
}

int conn_relay(struct conn *conn, const struct address *client, int secure)
{
    if (!conn->relayed && relay_begin(conn) < 0)
        return -1;
    conn->secure = secure != 0;
    if (conn->peer != NULL && same(conn->peer, client))
        return 0;
    return conn_set_peer(conn, client);
}

void conn_relay_end(struct conn *conn)
{
    struct address *own = conn->own;

    if (!conn->relayed)
        return;
    conn->own = NULL;
    conn->relayed = 0; /* from here on it counts for its address again */
    conn->secure = conn->own_secure;
    (void)conn_set_peer(conn, own); /* needs no memory: there is a peer, or own is NULL */
    free(own);
}

void conn_peer(const struct conn *conn, struct address *peer)
{
    if (conn->peer != NULL)
        *peer = *conn->peer;
    else
        (void)address_of_peer(peer, conn->fd);
}

int conn_own_peer(const struct conn *conn, struct address *peer)
{
    if (conn_own(conn) == NULL)
        return address_of_peer(peer, conn->fd);
    *peer = *conn_own(conn);
    return 0;
}

const char *conn_peer_text(const struct conn *conn, char dst[ADDRESS_TEXT_MAX])
{
    struct address address;

    conn_peer(conn, &address);
    return address_text(&address, dst);
}

void conn_free(struct conn *conn)
{
    conn->ops->free(conn);
    free(conn->peer);
    free(conn->own);
    free(conn);
}

void conn_linger(struct conn *conn)
{
    if (conn->state == CONN_DEAD)
        return;
    /* The answer to a request may be long, and its reader slow; and who is sent away for
     * our sake hears all that was sent to it. */
    conn->answering = conn->out.bytes > 0 && (!conn->streams || conn->net->draining);
    conn->state = CONN_LINGER;
    conn_deadline(conn, conn->answering ? 0 : LINGER_MS);
    if (conn->out.bytes == 0 && !conn->closing)
        (void)conn_write(conn); /* nothing: the FIN follows it */
}

static void due(struct conn *conn)
{
    conn_deadline(conn, 0);
    if (conn->opening)
        conn->veil->timeout(conn);
    else
        conn->ops->timeout(conn);
}

void conn_timeout(struct wheel_entry *entry, uint64_t now_ms, void *arg)
{
    struct conn *conn = (struct conn *)(void *)((char *)entry - offsetof(struct conn, timer));
    const struct net *net = arg;

    if (conn_may_stall(conn) && conn->stall_since_ms + net->options.send_timeout_ms <= now_ms)
        conn_close_soon(conn, CLOSE_SEND_TIMEOUT);
    else if (conn->due_ms == 0 || conn->due_ms > now_ms)
        conn_rearm(conn);
    else if (conn->state == CONN_OPEN)
        due(conn);
    else
        conn_kill(conn, CLOSE_CLIENT, conn->out.bytes > 0);
}

/* --- what is between --- */

void conn_veil(struct conn *conn, const struct veil_ops *veil, void *state, uint32_t in_ms)
{
    conn->veil = veil;
    conn->veil_state = state;
    conn->veiled = conn->opening = 1;
    conn_deadline(conn, in_ms);
}

void conn_unveil(struct conn *conn)
{
    if (!conn->veiled)
        return;
    conn->veiled = conn->opening = conn->owes = 0;
    conn->veil->free(conn);
    conn->veil = NULL;
    conn->veil_state = NULL;
}

void conn_opened(struct conn *conn)
{
    conn->opening = 0;
    conn_deadline(conn, conn->net->first_ms);
}

/* --- output --- */

void conn_flush(struct conn *conn)
{
    int was_blocked = conn->blocked;

    if (conn->asks_flush && !conn->closing)
        conn->ops->flush(conn);
    if (conn->closing) {
        conn_kill(conn, (enum close_reason)conn->closing_why, 1);
        return;
    }
    if (conn->state != CONN_DEAD && conn_write(conn) < 0)
        conn_kill(conn, CLOSE_CLIENT, 0);
    if (conn->asks_sent && conn->state == CONN_OPEN)
        conn->ops->sent(conn, was_blocked);
}

/* --- input --- */

/* What waits leaves first; while it does, the end is not looked at, for it would be found
 * again and again. */
void conn_input_ended(struct conn *conn)
{
    net_clock(conn->net);
    if (conn->state == CONN_OPEN && conn->ops->ended(conn) && conn->state == CONN_OPEN) {
        conn_hear(conn, 0);
        return;
    }
    if (conn->state == CONN_LINGER && conn->out.bytes > 0 && conn_write(conn) == 0 &&
        conn->out.bytes > 0) {
        conn_hear(conn, 0);
        return;
    }
    conn_kill(conn, CLOSE_CLIENT, 0);
}

/* CONN_LINGER: it is read so that closing does not reset what we sent. */
void conn_input(struct conn *conn, const uint8_t *bytes, size_t len)
{
    if (conn->state == CONN_OPEN)
        conn->ops->input(conn, bytes, len);
}

static void conn_read(struct conn *conn)
{
    uint8_t *input = conn->net->input;
    ssize_t n = recv(conn->fd, input, conn->veiled ? VEIL_BYTES : INPUT_BYTES, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n > 0)
        conn->net->stats.bytes_received += (uint64_t)n;
    if (n == 0)
        conn_input_ended(conn);
    else if (n < 0)
        conn_kill(conn, CLOSE_CLIENT, 0);
    else if (conn->veiled)
        conn->veil->input(conn, input, (size_t)n);
    else
        conn_input(conn, input, (size_t)n);
    if (n > 0)
        explicit_bzero(input, (size_t)n); /* there may be a token in it */
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;

    (void)fd;
    if (what & EV_WRITE) {
        net_clock(conn->net);
        conn_flush(conn);
    }
    if ((what & EV_READ) && conn->state != CONN_DEAD)
        conn_read(conn);
}
