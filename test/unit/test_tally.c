/* For which address connections and sessions count, as that becomes known, and the limit. */
#include "ipc/census.h"

#include "peer.h"

static struct address at(uint8_t last)
{
    struct address address = {.ip = {[10] = 0xff, 0xff, 192, 0, 2, last}, .port = 1000};

    return address;
}

static uint32_t has(uint8_t last, enum source_member what)
{
    struct address address = at(last);
    struct source *source = source_take(&net->sources, &address);
    uint32_t n = source->n[what];

    source_drop(&net->sources, source);
    return n;
}

static uint32_t strangers(uint8_t last)
{
    struct address address = at(last);
    struct source *source = source_take(&net->sources, &address);
    uint32_t n = source_strangers(source, SOURCE_PLACES);

    source_drop(&net->sources, source);
    return n;
}

static void up(uint32_t limit)
{
    peer_options.address_max = limit;
    net_up(NULL, NULL);
    net_speaks(net, &speaker, NULL, 60000);
}

static void test_moves(void)
{
    struct conn *conn;
    struct address one = at(1), two = at(2);

    up(0);
    conn = conn_up(0);
    is_int(net->sources.unknown.n[SOURCE_CONN], 1, "over a Unix socket it is nobody's");
    is_int(source_strangers(&net->sources.unknown, SOURCE_PLACES), 1, "and a stranger");
    conn_set_peer(conn, &one);
    ok(has(1, SOURCE_CONN) == 1 && strangers(1) == 1, "it is of an address");
    is_int(net->sources.unknown.n[SOURCE_CONN], 0, "and of nobody else");
    one.port = 7;
    conn_set_peer(conn, &one);
    ok(has(1, SOURCE_CONN) == 1 && strangers(1) == 1, "the same once more");
    conn->relayed = 1;
    conn_set_peer(conn, &one);
    ok(has(1, SOURCE_CONN) == 0 && strangers(1) == 1,
       "where a proxy names its client it is not his, but his stranger");
    conn_set_peer(conn, &two);
    ok(strangers(1) == 0 && strangers(2) == 1, "until it serves another");
    conn->stranger = 0;
    stranger_conn(conn);
    is_int(strangers(2), 0, "a user's is no stranger");
    conn_set_peer(conn, &one);
    is_int(strangers(1), 0, "wherever he comes from");
    conn_set_peer(conn, NULL);
    is_int(net->sources.table.count, 0, "nobody is left of who is named no more");
    conn->relayed = 0;
    conn->carried = 1;
    conn_set_peer(conn, &two);
    is_int(has(2, SOURCE_CONN), 0, "one that is carried counts where it was accepted");
    conn->carried = 0;
    conn_set_peer(conn, &two);
    is_int(has(2, SOURCE_CONN), 1, "and here it does");
    conn_kill(conn, CLOSE_CLIENT, 0);
    is_int(net->sources.table.count, 0, "a dead one does not");
    net_down();
}

static void test_proxies(void)
{
    struct network network = {.ip = {[10] = 0xff, 0xff, 192, 0, 2, 9}, .bits = 128};
    struct networks proxies = {.at = &network, .n = 1};
    struct address proxy = at(9), one = at(1);
    struct conn *conn;

    peer_options.proxies = &proxies;
    up(1);
    conn = conn_up(0);
    conn_set_peer(conn, &proxy);
    is_int(net->sources.table.count, 0, "one of a proxy is nobody's");
    ok(!tally_is_beyond(net, &proxy), "and may have company");
    conn_relay(conn, &one, 0);
    ok(strangers(1) == 1 && has(1, SOURCE_CONN) == 0, "it brings a stranger");
    conn_relay(conn, &proxy, 0);
    is_int(net->sources.table.count, 0, "until it comes with no word of one");
    conn_relay_end(conn);
    is_int(source_strangers(&net->sources.unknown, SOURCE_PLACES), 1, "or is no proxy's any more");
    peer_options.proxies = NULL;
    net_down();
}

static void test_sessions(void)
{
    struct stranger session = {0};
    struct address one = at(1), two = at(2);
    struct conn *conn;

    up(0);
    conn = conn_up(0);
    conn_set_peer(conn, &one);
    tally_session(net, &session, conn);
    stranger_add(net, STRANGER_POLLING, &session);
    conn_set_peer(conn, &two);
    ok(has(1, SOURCE_SESSION) == 1 && strangers(1) == 1, "a session stays with its first address");
    is_int(source_counted(session.source, SOURCE_HANDSHAKES), 1, "for which it is counted");
    stranger_remove(net, STRANGER_POLLING, &session);
    tally_session_gone(net, &session);
    is_int(has(1, SOURCE_SESSION), 0, "it has gone");
    tally_session_gone(net, &session);
    is_int(net->sources.nidle, 1, "its address stays for what is counted");
    net_down();
}

static void test_crowd(void)
{
    struct stranger sessions[8] = {{0}};
    struct address one = at(1);
    struct conn *conn;

    up(0);
    conn = conn_up(0);
    for (int i = 0; i < 8; i++)
        stranger_add(net, STRANGER_POLLING, &sessions[i]);
    ok(!tally_is_crowd(conn), "of those without an address nobody knows");
    for (int i = 0; i < 8; i++)
        stranger_remove(net, STRANGER_POLLING, &sessions[i]);
    conn_set_peer(conn, &one);
    for (int i = 0; i < 8; i++) {
        ok(!tally_is_crowd(conn), "few strangers of an address");
        tally_session(net, &sessions[i], conn);
        stranger_add(net, STRANGER_POLLING, &sessions[i]);
    }
    ok(tally_is_crowd(conn), "nine are many");
    for (int i = 0; i < 8; i++) {
        stranger_remove(net, STRANGER_POLLING, &sessions[i]);
        tally_session_gone(net, &sessions[i]);
    }
    net_down();
}

static void test_limit(void)
{
    struct address one = at(1), none = {{0}, 0};
    struct stranger session = {0};
    struct conn *conn;

    up(1);
    ok(!tally_is_beyond(net, &one), "the first");
    conn = conn_up(0);
    conn_set_peer(conn, &one);
    ok(tally_is_beyond(net, &one) && !tally_is_beyond(net, &none), "one more is one too many");
    ok(!tally_session_is_beyond(net, conn), "a session");
    tally_session(net, &session, conn);
    ok(tally_session_is_beyond(net, conn), "and one more");
    is_int(net->stats.turned_away[SOURCE_CONN], 1, "a connection is counted");
    is_int(net->stats.turned_away[SOURCE_SESSION], 1, "and a session");
    is_int(source_counted(session.source, SOURCE_TURNED_AWAY), 2, "for the address");
    peer_options.address_max = 2;
    net_configure(net, &peer_options);
    ok(!tally_is_beyond(net, &one) && !tally_session_is_beyond(net, conn), "the limit is another");
    tally_session_gone(net, &session);
    net_down();
}

int main(void)
{
    test_moves();
    test_proxies();
    test_sessions();
    test_crowd();
    test_limit();
    event_base_free(base);
    return tap_done();
}
