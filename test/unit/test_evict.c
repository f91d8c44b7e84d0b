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
    stranger->older = NULL;
}

static const struct stranger_ops ops = {on_spares, on_carrier, on_evict};

/* A session of that kind, of the address with that last byte. */
static struct stranger *session(enum stranger_kind kind, uint8_t from)
{
    struct address address = {.ip = {[10] = 0xff, 0xff, 192, 0, 2, from}};
    int i = 0;

    while (sessions[kind][i].source != NULL)
        i++;
    sessions[kind][i].source = source_take(&net->sources, &address);
    stranger_add(net, kind, &sessions[kind][i]);
    return &sessions[kind][i];
}

static void sessions_end(void)
{
    for (int i = 0; i < MANY; i++)
        for (int kind = STRANGER_POLLING; kind <= STRANGER_WEBSOCKET; kind++) {
            struct stranger *one = &sessions[kind][i];
            struct source *source = one->source;
            if (one->older != NULL)
                stranger_remove(net, (enum stranger_kind)kind, one);
            if (source != NULL)
                source_drop(&net->sources, source);
        }
    memset(sessions, 0, sizeof(sessions));
    net_down();
}

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
    sessions_end();
}

/* One more than there are places: of which address does one go, and is it the oldest? */
static void one_goes(struct stranger *want, size_t places, const char *what)
{
    peer_options.strangers_max = places;
    net_configure(net, &peer_options);
    evicted = NULL;
    net_evict(net);
    ok(evicted == want, "%s", what);
}

static void test_addresses(void)
{
    struct stranger *many[3], *two[2], *one;

    peer_options.strangers_max = 0;
    net_up(NULL, NULL);
    net_speaks(net, &speaker, NULL, 60000);
    net_evicts(net, &ops, NULL);
    two[0] = session(STRANGER_WEBSOCKET, 2);
    two[1] = session(STRANGER_WEBSOCKET, 2);
    one = session(STRANGER_WEBSOCKET, 1);
    for (int i = 0; i < 3; i++)
        many[i] = session(STRANGER_POLLING, 3);
    one_goes(many[0], 5, "the oldest of the address with most");
    one_goes(two[0], 4, "of two with as many, of the one that has had them for longer");
    one_goes(many[1], 3, "then of the other");
    one_goes(one, 2, "of three with one each likewise");
    evicted = NULL;
    peer_options.strangers_max = 0;
    (void)conn_up(0);
    one_goes(NULL, 3, "there is a place for each of them");
    many[0] = session(STRANGER_WEBSOCKET, 2);
    one_goes(two[1], 3, "who has no address is many, and goes after who has more than one");
    ngone = 0;
    one_goes(NULL, 2, "where nobody has");
    is_int(ngone, 1, "it goes");
    sessions_end();
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
    test_addresses();
    event_base_free(base);
    return tap_done();
}
