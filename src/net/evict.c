/* evict - who goes when there are too many that have no good token: of the address that has
 * most of them (sources.h), so that those of others come in however many it sends; there the
 * oldest of the kind that has most, so that a flood of one kind leaves the others alone, and who
 * has come as far as a session does not fall to sockets that say nothing.  No place of a user is
 * ever taken. */
#include "net/net.h"

#include <assert.h>

#define EVICT_SLICE 256 /* places taken before the loop gets its turn */

/* Whose strangers are too many. */
static struct source *source_to_go(struct net *net, enum excess what)
{
    struct sources *sources = &net->sources;
    struct source *source = NULL;

    if (what == EXCESS_CONNS)
        source = sources_first(sources, SOURCE_CONNS);
    else if (what == EXCESS_CLIENTS)
        source = sources_first(sources, SOURCE_SESSIONS);
    /* Connections may be nobody's by themselves: with their sessions they go. */
    return source != NULL ? source : sources_first(sources, SOURCE_PLACES);
}

/* The kind that has most there; of connections, where that is what there are too many of. */
static enum stranger_kind kind_to_go(const struct source *source, enum excess what)
{
    const uint32_t *n = source->crowd->strangers;
    size_t sockets = n[STRANGER_SOCKET], polling = n[STRANGER_POLLING],
           websocket = n[STRANGER_WEBSOCKET];

    if (what == EXCESS_CLIENTS)
        sockets = 0;
    if (what == EXCESS_CONNS && sockets + websocket > 0)
        polling = 0;
    if (polling > 0 && polling >= websocket && polling >= sockets)
        return STRANGER_POLLING;
    return websocket > 0 && websocket >= sockets ? STRANGER_WEBSOCKET : STRANGER_SOCKET;
}

#define STRANGERS                                                                                  \
    "[: sockets={} polling={} websocket={} without a good token]; for each that comes the oldest " \
    "is closed, of the address that has most[: strangers={} address={} times={}]"

/* conn NULL: there is none now. */
static void evict_log(struct net *net, enum excess what, const struct source *source,
                      const struct conn *conn)
{
    static const struct log_entry entries[] = {
        [EXCESS_PLACES] = {"strangers_full", "limits:strangers reached" STRANGERS},
        [EXCESS_CONNS] = {"connections_full_strangers", "limits:connections reached" STRANGERS},
        [EXCESS_CLIENTS] = {"connections_full_strangers", "limits:connections reached" STRANGERS},
    };
    const uint64_t *n = net->stats.strangers;
    uint64_t times = log_due(&net->strangers_log, FULL_LOG_MS);
    char address[ADDRESS_TEXT_MAX];

    _Static_assert(WORST_TEXT_MAX <= ADDRESS_TEXT_MAX, "either fits");
    if (times == 0)
        return;
    if (conn != NULL)
        conn_peer_text(conn, address);
    else
        source_text(source, address);
    log_entry_at(LOG_LEVEL_WARN, entries[what], LOG_UINT("sockets", n[STRANGER_SOCKET]),
                 LOG_UINT("polling", n[STRANGER_POLLING]),
                 LOG_UINT("websocket", n[STRANGER_WEBSOCKET]),
                 LOG_UINT("strangers", source_strangers(source, SOURCE_PLACES)),
                 LOG_STR("address", address), LOG_TIMES(times));
}

static void evict_conn(struct net *net, enum excess what, struct stranger *oldest)
{
    struct conn *conn = (struct conn *)(void *)((char *)oldest - offsetof(struct conn, age));

    if (net->stranger_ops != NULL && net->stranger_ops->spares(conn, net->stranger_arg))
        return;
    evict_log(net, what, oldest->source, conn);
    net->stats.strangers_evicted[STRANGER_SOCKET]++;
    conn_kill(conn, CLOSE_EVICTED, conn->out.bytes > 0);
}

static void evict(struct net *net, enum excess what)
{
    const struct source *source = source_to_go(net, what);
    enum stranger_kind kind;
    struct stranger *oldest;

    assert(source != NULL);
    kind = kind_to_go(source, what);
    oldest = source->crowd->oldest[kind];
    assert(oldest != NULL);
    if (kind == STRANGER_SOCKET) {
        evict_conn(net, what, oldest);
        return;
    }
    evict_log(net, what, source, net->stranger_ops->carrier(oldest, net->stranger_arg));
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
