/* strangers - those that have no good token yet, and how many there are.
 *
 * A place is what somebody holds who may be nobody: a connection, or a session that
 * polls, which needs no connection; a WebSocket and its session are one.  Strangers have
 * options.strangers_max of them.  Beside that connections_max holds, for connections and for
 * sessions: strangers have what users leave of it.  Each is with its address (sources.c), in
 * order of age; who goes when there are too many is evict.c's. */
#include "ipc/balance.h"
#include "net/net.h"

#define PART 10

/* --- how many there are, and may be, and what of --- */

size_t stranger_part(size_t of, size_t min)
{
    size_t part = of / PART > min ? of / PART : min;

    return part < of ? part : of;
}

size_t net_places_max(const struct net *net)
{
    size_t max = net->options.strangers_max;

    return max != 0 ? max : SIZE_MAX;
}

static size_t places(const struct net *net)
{
    const uint64_t *n = net->stats.strangers;

    return n[STRANGER_SOCKET] + n[STRANGER_POLLING] + n[STRANGER_WEBSOCKET];
}

static int has_conns(const struct net *net)
{
    const uint64_t *n = net->stats.strangers;

    return n[STRANGER_SOCKET] + n[STRANGER_WEBSOCKET] > 0;
}

static int has_sessions(const struct net *net)
{
    const uint64_t *n = net->stats.strangers;

    return n[STRANGER_POLLING] + n[STRANGER_WEBSOCKET] > 0;
}

int net_conns_full(const struct net *net)
{
    return net->nconns >= net->options.connections_max && !has_conns(net);
}

int net_clients_full(const struct net *net)
{
    return net->nclients >= net->options.connections_max && !has_sessions(net);
}

int net_is_full(const struct net *net)
{
    return !net->stopped && (net_conns_full(net) || net_clients_full(net));
}

int net_strangers_full(const struct net *net)
{
    return !net->stopped && places(net) >= net_places_max(net);
}

enum excess net_excess(const struct net *net)
{
    size_t max = net->options.connections_max;

    if (net->nconns > max && has_conns(net))
        return EXCESS_CONNS;
    if (net->nclients > max && has_sessions(net))
        return EXCESS_CLIENTS;
    return places(net) > net_places_max(net) ? EXCESS_PLACES : EXCESS_NONE;
}

/* One more is there: nobody goes from here, for our caller may be using it. */
static void came(struct net *net)
{
    if (net_excess(net) != EXCESS_NONE || !net->accepting)
        net_flush_later(net);
}

/* --- who comes and goes --- */

static enum place place_of(const struct conn *conn)
{
    if (!conn->stranger || conn->state == CONN_DEAD || conn->paired)
        return PLACE_NONE;
    return conn->owner != NULL || conn->nopened > 0 ? PLACE_CARRIES : PLACE_OWN;
}

void stranger_conn(struct conn *conn)
{
    struct net *net = conn->net;
    enum place place = place_of(conn);
    int was = conn->place != PLACE_NONE, is = place != PLACE_NONE;

    if (place == conn->place)
        return;
    if (conn->place == PLACE_OWN)
        source_remove(&net->sources, STRANGER_SOCKET, &conn->age);
    if (place == PLACE_OWN)
        source_add(&net->sources, STRANGER_SOCKET, &conn->age);
    net->stats.strangers[STRANGER_SOCKET] += (uint64_t)is;
    net->stats.strangers[STRANGER_SOCKET] -= (uint64_t)was;
    conn->place = place;
    if (is && !was)
        came(net);
}

void stranger_add(struct net *net, enum stranger_kind kind, struct stranger *stranger)
{
    source_add(&net->sources, kind, stranger);
    net->stats.strangers[kind]++;
    came(net);
}

void stranger_remove(struct net *net, enum stranger_kind kind, struct stranger *stranger)
{
    source_remove(&net->sources, kind, stranger);
    net->stats.strangers[kind]--;
}

/* --- what other workers are told --- */

void net_counted(const struct net *net)
{
    struct balance *balance = net->options.balance;
    size_t clients = net->nconns > net->nclients ? net->nconns : net->nclients;

    if (balance != NULL)
        balance_set(balance, net->options.place, (uint32_t)clients);
}

void net_count_clients(struct net *net, size_t nclients)
{
    net->nclients = nclients;
    net_counted(net);
}
