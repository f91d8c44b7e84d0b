/* Who is written to and when: the dead stay for as long as a list has them, and what is
 * watched of them is forgotten. */
#include "net/net.h"

#include "peer.h"

#include <signal.h>

#define SNDBUF 4608 /* the least that Linux gives */

static void block(struct conn *conn)
{
    for (int i = 0; i < 100 && !conn->blocked; i++) {
        conn_put(conn, letters('.', 1000), 1000);
        turns(1);
    }
    ok(conn->blocked && conn->out.bytes > 0, "the kernel is full");
}

/* A list of those with output may still have it. */
static void test_sweep(void)
{
    struct conn *conn = speaker_up(0, 1);

    conn_put(conn, "lost", 4);
    is_int(conn->dirty, DIRTY, "it waits to be written to");
    conn_kill(conn, CLOSE_CLIENT, 0);
    net_sweep(net);
    is_int(nfreed, 0, "dead, and not freed while it is in the list");
    turns(3);
    is_int(nfreed, 1, "which has passed it then");
    is_int(net->dead == NULL, 1, "nobody dead is left");
    net_down();

    conn = speaker_up(0, 1);
    conn_kill(conn, CLOSE_CLIENT, 0);
    net_sweep(net);
    is_int(nfreed, 1, "who is in no list is freed at once");
    net_down();
}

/* Its queue is looked at for what only few wait for, until it goes. */
static void test_forgotten(void)
{
    struct conn *conn = speaker_up(SNDBUF, 1);

    is_int(net->compact.n, 0, "nobody has to wait");
    block(conn);
    is_int(net->compact.n, 1, "who has to is watched");
    conn_kill(conn, CLOSE_CLIENT, 0);
    is_int(net->compact.n, 0, "and forgotten when it has gone");
    net_down();
}

/* One of several: of the pass that is on nothing is left with another's queue. */
static void test_forgotten_in_a_pass(void)
{
    struct outq queues[3] = {{.bytes = 0}};
    struct compact *compact;

    speaker_up(0, 1);
    compact = &net->compact;
    for (int i = 0; i < 3; i++)
        compact_watch(compact, &queues[i]);
    compact->next = 1;
    compact->run = 7;
    compact_forget(compact, &queues[0]);
    is_int(compact->run, 7, "another goes: it is looked on from where it was");
    compact->next = queues[1].watch - 1;
    compact_forget(compact, &queues[1]);
    is_int(compact->run, 0, "the one that is looked at goes: the next from its beginning");
    compact_forget(compact, &queues[2]);
    is_int(compact->n, 0, "all gone");
    net_down();
}

/* The whole of what waited counts, not each write by itself. */
static void test_slow_progress(void)
{
    struct conn *conn;
    uint64_t since;
    size_t all = 0;

    peer_options.send_buffer = 1000000;
    conn = speaker_up(SNDBUF, 1);
    conn_put(conn, letters('a', 200000), 200000);
    turns(2);
    ok(conn->blocked && conn->stall_bytes > 100000, "much waits");
    conn_put(conn, letters('b', 200000), 200000);
    since = conn->stall_since_ms -= 59000;
    while (all < 150000 && conn->stall_since_ms == since) {
        nheard = 0;
        all += (size_t)hear_some(2000);
        turns(1);
    }
    ok(all >= 150000, "little by little: what waits has waited since then");
    while (all < 260000 && conn->stall_since_ms == since) {
        nheard = 0;
        all += (size_t)hear_some(2000);
        turns(1);
    }
    ok(conn->blocked && conn->stall_since_ms > since, "all of it has left: what waits came later");
    net_down();
    peer_options.send_buffer = 100000;
}

/* What did not count against the limit, being the first, does when it has left. */
static void test_exempt(void)
{
    struct conn *conn;

    peer_options.send_buffer = 50000;
    conn = speaker_up(SNDBUF, 1);
    conn_put(conn, letters('a', 200000), 200000);
    turns(2);
    for (size_t all = 0; all < 150000;) {
        nheard = 0;
        all += (size_t)hear_some(10000);
        turns(1);
    }
    ok(conn->blocked && conn->out.bytes < 60000, "most of it has left");
    is_int(conn_put(conn, letters('b', 40000), 40000), 0, "beside the rest as much as may wait");
    is_int(conn_put(conn, letters('c', 20000), 20000), -1, "and no more");
    net_down();
    peer_options.send_buffer = 100000;
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_sweep();
    test_forgotten();
    test_forgotten_in_a_pass();
    test_slow_progress();
    test_exempt();
    event_base_free(base);
    return tap_done();
}
