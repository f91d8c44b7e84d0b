/* accept - how connections come in: accepted from the listening sockets, at a pace that
 * the workers settle among them (ipc/balance.h). */
#include "ipc/balance.h"
#include "net/net.h"
#include "net/proxy.h"
#include "net/tls.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Beside NOTSENT_LOWAT_BYTES what is on its way to a client counts, which for one that
 * has vanished is all that was sent: the kernel doubles this, and by itself would go up
 * to net.ipv4.tcp_wmem's maximum, 4 MB. */
#define SNDBUF_BYTES 65536

#define ACCEPT_BATCH    16   /* connections accepted before the loop gets its turn */
#define BACKLOG_MAX     4096 /* at most so many of a socket that is left to others */
#define EMFILE_PAUSE_MS 100  /* no accepting after we ran out of descriptors */
#define REST_MS         20   /* no accepting: connections are left to other workers */
#define AWAKE_MIN       2    /* other workers, so that one may rest without need */

static void accept_stop(struct net *net)
{
    net->accepting = 0;
    for (struct listener *l = net->listeners; l != NULL; l = l->next)
        event_del(&l->ev);
}

static void accept_start(struct net *net)
{
    net->accepting = 1;
    for (struct listener *l = net->listeners; l != NULL; l = l->next)
        event_add(&l->ev, NULL);
    if (net->options.balance == NULL)
        return;
    /* The line may be that of a worker that has died. */
    net_counted(net);
    balance_rests(net->options.balance, net->options.place, 0);
    balance_accepts(net->options.balance, net->options.place, 1);
}

/* For as long as it can take none: the others are not to wait for it. */
static void accept_pause(struct net *net)
{
    evtimer_del(&net->rest_timer);
    if (net->options.balance != NULL)
        balance_accepts(net->options.balance, net->options.place, 0);
    if (net->accepting)
        accept_stop(net);
}

static void accept_resume(struct net *net)
{
    if (net->accepting || net->stopped || evtimer_pending(&net->resume_timer, NULL) ||
        evtimer_pending(&net->rest_timer, NULL))
        return;
    accept_start(net);
}

/* Returns 1 if there is no place for another connection, not even a stranger's: then
 * none is accepted until accept_again(). */
static int accept_full(struct net *net)
{
    if (!net_conns_full(net))
        return 0;
    if (!net->stopped && log_due(&net->full_log, FULL_LOG_MS) > 0)
        log_event(WARN, "connections_full", "limits:connections reached[: connections={}][{}]",
                  LOG_UINT("connections", net->nconns),
                  LOG_IF(net->ncarried > 0, LOG_SHOWN(", some of them carried, which take two")),
                  LOG_IF(net->ncarried > 0, LOG_UINT("carried_connections", net->ncarried)));
    accept_pause(net);
    return 1;
}

void accept_again(struct net *net)
{
    if (!accept_full(net))
        accept_resume(net);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    accept_again(arg);
}

/* Out of descriptors or memory: a listening socket would be reported readable
 * again and again and spin the loop.  Let it rest. */
static void accept_failed(struct net *net, int error)
{
    struct timeval pause = {0, EMFILE_PAUSE_MS * 1000L};
    uint64_t times = log_due(&net->emfile_log, 10000);

    net->stats.accept_failures++;
    if (times > 0) {
        errno = error;
        log_event(WARN, "accept_failed", "accept[: connections={} times={}: {}]< failed>",
                  LOG_UINT("connections", net->nconns), LOG_TIMES(times), LOG_ERRNO());
    }
    accept_pause(net);
    evtimer_add(&net->resume_timer, &pause);
}

static int accept_error_is_peers(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
           error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH;
}

/* What comes first on it.  Returns 0, or -1 if nobody here understands that. */
static int begin(struct conn *conn, unsigned speaks)
{
    if (speaks & NET_PROXY)
        return proxy_begin(conn, speaks);
    return speaks & NET_TLS ? tls_begin(conn, NET_VEIL_MS) : 0;
}

static int is_beyond(struct net *net, int fd)
{
    struct address peer;

    if (net->options.address_max == 0)
        return 0;
    (void)address_of_peer(&peer, fd);
    return tally_is_beyond(net, &peer);
}

/* Returns 1 if a connection was taken, 0 if it failed for its own reasons, -1 if
 * no more can be taken now. */
static int accept_one(const struct listener *listener)
{
    struct net *net = listener->net;
    struct conn *conn;
    int fd;

    if (accept_full(net)) /* by those that others handed over */
        return -1;
    fd = accept4(event_get_fd(&listener->ev), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return -1;
        if (accept_error_is_peers(errno))
            return 0;
        if (errno == EINVAL) { /* the master has ended the listening */
            accept_pause(net);
            net->stopped = 1;
            return -1;
        }
        accept_failed(net, errno);
        return -1;
    }
    if (is_beyond(net, fd)) {
        close(fd);
        return 0;
    }
    conn = conn_new(net, fd);
    if (conn == NULL) {
        close(fd);
        accept_failed(net, ENOMEM);
        return -1;
    }
    net->stats.accepted++;
    if (begin(conn, listener->speaks) < 0)
        conn_kill(conn, CLOSE_NO_MEMORY, 0);
    net_evict(net); /* before there are more than there may be descriptors */
    return accept_full(net) ? -1 : 1;
}

/* Returns how many were taken. */
static size_t accept_some(const struct listener *listener, unsigned max)
{
    struct net *net = listener->net;
    uint64_t before = net->stats.accepted, taken;

    for (unsigned i = 0; i < max; i++)
        if (accept_one(listener) < 0)
            break;
    taken = net->stats.accepted - before;
    if (net->options.balance != NULL && taken > 0)
        balance_accepted(net->options.balance, net->options.place, (uint32_t)taken);
    return taken;
}

static void accept_rest(struct net *net)
{
    static const struct timeval rest = {0, REST_MS * 1000L};
    struct balance *balance = net->options.balance;

    accept_stop(net);
    balance_rests(balance, net->options.place, 1);
    net->others = balance_others(balance, net->options.place);
    evtimer_add(&net->rest_timer, &rest);
}

/* If somebody waits and the others have taken nobody since, they are too busy or
 * stopped: then it is this worker's after all. */
static void on_rest(evutil_socket_t fd, short what, void *arg)
{
    struct net *net = arg;
    uint32_t others = balance_others(net->options.balance, net->options.place);
    struct listener *listener = net->listeners;

    (void)fd;
    (void)what;
    accept_resume(net);
    for (; listener != NULL && net->accepting && others == net->others; listener = listener->next)
        accept_some(listener, ACCEPT_BATCH);
}

/* With other workers: a connection is left to those that have fewer.  Every connection
 * wakes all that listen, so who comes too late for one sleeps over the next few,
 * as long as enough others are awake. */
static void accept_in_turn(const struct listener *listener)
{
    struct net *net = listener->net;
    const struct balance *balance = net->options.balance;
    unsigned room = balance_room(balance, net->options.place, ACCEPT_BATCH);

    if (room > 0 && (accept_some(listener, room) > 0 || !net->accepting ||
                     balance_awake(balance, net->options.place) < AWAKE_MIN))
        return;
    accept_rest(net);
}

static void on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
    const struct listener *listener = arg;

    (void)listen_fd;
    (void)what;
    if (listener->net->options.balance != NULL)
        accept_in_turn(listener);
    else
        accept_some(listener, ACCEPT_BATCH);
}

void accept_backlog(struct net *net)
{
    evtimer_del(&net->rest_timer);
    accept_again(net);
    for (struct listener *l = net->listeners; l != NULL && net->accepting; l = l->next)
        accept_some(l, BACKLOG_MAX);
}

int net_listen(struct net *net, int fd, unsigned speaks)
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
    event_assign(&listener->ev, net->base, fd, EV_READ | EV_PERSIST, on_accept, listener);
    listener->net = net;
    listener->speaks = speaks;
    listener->next = net->listeners;
    net->listeners = listener;
    accept_start(net);
    return event_pending(&listener->ev, EV_READ, NULL) ? 0 : -1;
}

void net_stop_listening(struct net *net)
{
    struct listener *listener;

    accept_pause(net);
    net->stopped = 1;
    while ((listener = net->listeners) != NULL) {
        net->listeners = listener->next;
        free(listener);
    }
}

void accept_init(struct net *net)
{
    evtimer_assign(&net->resume_timer, net->base, on_resume, net);
    evtimer_assign(&net->rest_timer, net->base, on_rest, net);
}

void accept_clear(struct net *net)
{
    net_stop_listening(net);
    event_del(&net->resume_timer);
}
