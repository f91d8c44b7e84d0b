/* evict - who goes when there are too many that have no good token: the oldest, of the
 * kind that has most, so that a flood of one kind leaves the others alone, and who has come
 * as far as a session does not fall to sockets that say nothing.  No place of a user is
 * ever taken. */
#include "net/net.h"

#include <assert.h>

#define EVICT_SLICE 256 /* places taken before the loop gets its turn */

/* The kind that has most; of connections, where that is what there are too many of. */
static enum stranger_kind kind_to_go(const struct net *net, enum excess what)
{
    const struct stranger_list *lists = net->strangers;
    size_t sockets = lists[STRANGER_SOCKET].n, polling = lists[STRANGER_POLLING].n,
           websocket = lists[STRANGER_WEBSOCKET].n;

    if (what == EXCESS_CLIENTS)
        sockets = 0;
    if (what == EXCESS_CONNS && sockets + websocket > 0)
        polling = 0;
    if (polling > 0 && polling >= websocket && polling >= sockets)
        return STRANGER_POLLING;
    return websocket > 0 && websocket >= sockets ? STRANGER_WEBSOCKET : STRANGER_SOCKET;
}

/* conn NULL: not known. */
static void evict_log(struct net *net, enum excess what, const struct conn *conn)
{
    const uint64_t *n = net->stats.strangers;
    uint64_t times = log_due(&net->strangers_log, FULL_LOG_MS);
    char address[ADDRESS_TEXT_MAX] = "unknown";

    if (times == 0)
        return;
    if (conn != NULL)
        conn_peer_text(conn, address);
    log_warnx("limits:%s reached: sockets=%llu polling=%llu websocket=%llu without a good token; "
              "for each that comes the oldest is closed: address=%s times=%llu",
              what == EXCESS_PLACES ? "strangers" : "connections",
              (unsigned long long)n[STRANGER_SOCKET], (unsigned long long)n[STRANGER_POLLING],
              (unsigned long long)n[STRANGER_WEBSOCKET], address, (unsigned long long)times);
}

static void evict_conn(struct net *net, enum excess what, struct stranger *oldest)
{
    struct conn *conn = (struct conn *)(void *)((char *)oldest - offsetof(struct conn, age));

    if (net->stranger_ops != NULL && net->stranger_ops->spares(conn, net->stranger_arg))
        return;
    evict_log(net, what, conn);
    net->stats.strangers_evicted[STRANGER_SOCKET]++;
    conn_kill(conn, CLOSE_EVICTED, conn->out.bytes > 0);
}

static void evict(struct net *net, enum excess what)
{
    enum stranger_kind kind = kind_to_go(net, what);
    struct stranger *oldest = net->strangers[kind].ends.newer;

    assert(net->strangers[kind].n > 0);
    if (kind == STRANGER_SOCKET) {
        evict_conn(net, what, oldest);
        return;
    }
    evict_log(net, what, net->stranger_ops->carrier(oldest, net->stranger_arg));
    net->stranger_ops->evict(oldest, net->stranger_arg);
}

void net_evict(struct net *net)
{
    enum excess what;

    for (int n = 0; (what = net_excess(net)) != EXCESS_NONE; n++) {
        if (n == EVICT_SLICE) {
            net_flush_later(net);
            return;
        }
        evict(net, what);
    }
}
