/* strangers - those that have no good token yet, and how many there are.
 *
 * A place is what somebody holds who may be nobody: a connection, or a session that
 * polls, which needs no connection; a WebSocket and its session are one.  Strangers have
 * options.strangers_max of them.  Beside that connections_max holds, for connections and for
 * sessions: strangers have what users leave of it.  Each is with its address (sources.c), in
 * order of age; who goes when there are too many is evict.c's.
 *
 * A connection that is carried for another worker counts as two here, and as one there.  Who
 * carries it cannot see a token.  To it the connection is what the other worker last said it
 * is, and a stranger's until then; so both agree on it, a flood of such connections has no
 * more of any worker than its share, and none of a user's has to go for it. */
#include "ipc/balance.h"
#include "net/net.h"
#include "net/pair.h"

#define PART 10

/* What may be said of one connection.  The kernel limits how many descriptors of one user are
 * on their way, and one is with each word until it is read: of strangers, who may be many,
 * there is nothing to say. */
#define TELLS_MAX 8

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

/* Of its connections, and of what they carry. */
static size_t descriptors(const struct net *net)
{
    return net->nconns + net->ncarried;
}

int net_conns_full(const struct net *net)
{
    return descriptors(net) >= net->options.connections_max && !has_conns(net);
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

    if (descriptors(net) > max && has_conns(net))
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
    if (conn->owner != NULL || conn->nopened > 0)
        return PLACE_CARRIES;
    return conn->carries ? PLACE_BOTH : PLACE_OWN;
}

static unsigned takes(enum place place)
{
    return place == PLACE_NONE ? 0 : place == PLACE_BOTH ? 2 : 1;
}

/* Who carries it is told what it is.  If that is not possible now, it will be when output
 * flows again. */
static void tell(struct conn *conn)
{
    unsigned says = conn->stranger ? 0 : PAIR_USER | (conn->streams ? PAIR_STREAMS : 0);

    if (says == conn->told || conn->tells == TELLS_MAX || conn->state != CONN_OPEN ||
        pair_say(conn->fd, says) < 0)
        return;
    conn->told = (uint8_t)says;
    conn->tells++;
}

void stranger_conn(struct conn *conn)
{
    struct net *net = conn->net;
    enum place place = place_of(conn);
    unsigned was = takes((enum place)conn->place), is = takes(place);

    if (conn->carried)
        tell(conn);
    if (place == conn->place)
        return;
    /* One that is in the list stays where it is: it gets no younger. */
    if (place_is_listed((enum place)conn->place) && !place_is_listed(place))
        source_remove(&net->sources, STRANGER_SOCKET, &conn->age);
    if (!place_is_listed((enum place)conn->place) && place_is_listed(place))
        source_add(&net->sources, STRANGER_SOCKET, &conn->age);
    net->stats.strangers[STRANGER_SOCKET] += is;
    net->stats.strangers[STRANGER_SOCKET] -= was;
    conn->place = place;
    if (is > was)
        came(net);
}

void stranger_carries(struct conn *conn, int carries)
{
    struct net *net = conn->net;

    if (conn->carries == (carries != 0))
        return;
    conn->carries = carries != 0;
    net->ncarried += carries ? 1 : (size_t)-1;
    net_counted(net);
    stranger_conn(conn);
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
    size_t conns = descriptors(net), clients = conns > net->nclients ? conns : net->nclients;

    if (balance != NULL)
        balance_set(balance, net->options.place, (uint32_t)clients);
}

void net_count_clients(struct net *net, size_t nclients)
{
    net->nclients = nclients;
    net_counted(net);
}
