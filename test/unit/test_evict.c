/* Which of those without a good token goes when there are too many, with sessions that are
 * made up. */
#include "net/net.h"

#include "peer.h"

enum { MANY = 8 };

static struct stranger sessions[STRANGER_KINDS][MANY];
static struct stranger *evicted;
static enum stranger_kind kind_evicted;

static int on_spares(struct conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    return 0;
}

static const struct conn *on_carrier(struct stranger *stranger, void *arg)
{
    (void)stranger;
    (void)arg;
    return NULL;
}

static void on_evict(struct stranger *stranger, void *arg)
{
    (void)arg;
    evicted = stranger;
    for (int kind = 0; kind < STRANGER_KINDS; kind++)
        for (int i = 0; i < MANY; i++)
            if (stranger == &sessions[kind][i])
                kind_evicted = (enum stranger_kind)kind;
    stranger_remove(net, kind_evicted, stranger);
}

static const struct stranger_ops ops = {on_spares, on_carrier, on_evict};

/* So many of each, in this order; then one more than there are places: who goes? */
static void begin(int sockets, int polling, int websockets)
{
    int pair[2];

    peer_options.strangers_max = (size_t)(sockets + polling + websockets - 1);
    net_up(NULL, NULL);
    net_speaks(net, &speaker, NULL, 60000);
    net_evicts(net, &ops, NULL);
    ngone = 0;
    evicted = NULL;
    for (int i = 0; i < sockets; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0 ||
            conn_new(net, pair[0]) == NULL)
            abort();
        close(pair[1]);
    }
    for (int i = 0; i < polling; i++)
        stranger_add(net, STRANGER_POLLING, &sessions[STRANGER_POLLING][i]);
    for (int i = 0; i < websockets; i++)
        stranger_add(net, STRANGER_WEBSOCKET, &sessions[STRANGER_WEBSOCKET][i]);
    net_evict(net);
}

static void goes(int sockets, int polling, int websockets, int kind, const char *what)
{
    begin(sockets, polling, websockets);
    if (kind == STRANGER_SOCKET)
        ok(ngone == 1 && evicted == NULL, "%s: a socket", what);
    else
        ok(ngone == 0 && evicted == &sessions[kind][0], "%s: the oldest of kind %d", what, kind);
    is_int((long)net->stats.strangers_evicted[STRANGER_SOCKET], kind == STRANGER_SOCKET,
           "counted here if it is one");
    for (int left = 0; left < MANY; left++)
        for (kind = STRANGER_POLLING; kind <= STRANGER_WEBSOCKET; kind++)
            if (sessions[kind][left].older != NULL && evicted != &sessions[kind][left])
                stranger_remove(net, (enum stranger_kind)kind, &sessions[kind][left]);
    memset(sessions, 0, sizeof(sessions));
    net_down();
}

int main(void)
{
    base = event_base_new();
    goes(3, 2, 1, STRANGER_SOCKET, "most are sockets");
    goes(2, 3, 1, STRANGER_POLLING, "most poll");
    goes(1, 2, 3, STRANGER_WEBSOCKET, "most are WebSockets");
    goes(2, 2, 2, STRANGER_POLLING, "as many of each");
    goes(2, 2, 1, STRANGER_POLLING, "as many that poll as sockets");
    goes(1, 2, 2, STRANGER_POLLING, "as many that poll as WebSockets");
    goes(2, 1, 2, STRANGER_WEBSOCKET, "as many WebSockets as sockets");
    goes(3, 0, 0, STRANGER_SOCKET, "nothing but sockets");
    event_base_free(base);
    return tap_done();
}
