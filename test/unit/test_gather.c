/* Fan-outs to many, of which more come while the first is being written: how many writes
 * they take.  The loop runs only where it says so, so nothing here depends on its pace. */
#include "peer.h"

#include <signal.h>

#define CLIENTS 600   /* 256 are written to in one call of net_flush() */
#define LONG_US 2000  /* of a round: more than a rest is at least */
#define REST_US 30000 /* more than a rest is at most, and the clock's ticks */

static struct conn *conns[CLIENTS], *other;
static int fds[CLIENTS], other_fd;

static void up(void)
{
    peer_options.connections_max = CLIENTS + 1;
    net_up(NULL, NULL);
    net_speaks(net, &speaker, NULL, 60000);
    for (int i = 0; i < CLIENTS; i++) {
        conns[i] = conn_up(0);
        conns[i]->streams = 1;
        fds[i] = peer_fd;
    }
    other = conn_up(0);
    other_fd = peer_fd;
    peer_fd = -1;
}

static void down(void)
{
    net_free(&net);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    close(other_fd);
}

static void fan_out(void)
{
    net->fanning = 1;
    net->gather.fanouts++;
    for (int i = 0; i < CLIENTS; i++)
        conn_put(conns[i], "x", 1);
    net->fanning = 0;
}

static long writes(void)
{
    return (long)net->stats.writes;
}

/* A round that takes long, over all clients, in which n more come. */
static void dense_round(int n)
{
    net_flush(net);
    usleep(LONG_US);
    for (int i = 0; i < n; i++)
        fan_out();
    net_flush(net);
    net_flush(net);
}

/* Two such rounds, at whose end there is a rest. */
static void rest(void)
{
    fan_out();
    dense_round(1);
    fan_out();
    dense_round(1);
}

static void all_is_heard(int n)
{
    char text[64];
    int bad = 0;

    for (int i = 0; i < CLIENTS; i++)
        bad += recv(fds[i], text, sizeof(text), MSG_DONTWAIT) != n;
    is_int(bad, 0, "all have heard all");
}

static int is_empty(void)
{
    return net->dirty[DIRTY_FANOUT].first == NULL;
}

static void until_empty(void)
{
    for (uint64_t end = clock_ms() + PEER_WAIT_MS; !is_empty() && clock_ms() < end;)
        event_base_loop(base, EVLOOP_ONCE);
}

static void test_alone(void)
{
    up();
    for (int i = 1; i <= 3; i++) {
        fan_out();
        dense_round(0);
        is_int(writes(), i * CLIENTS, "each is written at once");
        ok(is_empty() && !net->gather.rests, "and then there is nothing");
    }
    all_is_heard(3);
    down();
}

static void test_dense(void)
{
    up();
    fan_out();
    dense_round(1);
    is_int(writes(), CLIENTS, "one comes in a round");
    ok(!is_empty() && !net->gather.rests, "the next round begins at once");
    fan_out();
    dense_round(1);
    is_int(writes(), 2 * CLIENTS, "one comes in that, too");
    ok(net->gather.rests, "now there is a rest");
    fan_out();
    net_flush(net);
    is_int(writes(), 2 * CLIENTS, "what comes meanwhile waits");
    conn_put(other, "answer", 6);
    net_flush(net);
    is_int(writes(), 2 * CLIENTS + 1, "an answer does not");
    until_empty();
    is_int(writes(), 3 * CLIENTS + 1, "and leaves with what waited already");
    all_is_heard(5);
    down();
}

/* Two dense rounds, of which the second took us and brought so many. */
static void rest_of(uint32_t us, uint32_t fanouts)
{
    fan_out();
    dense_round(1);
    fan_out();
    net_flush(net);
    fan_out();
    net->gather.fanouts = fanouts;
    net->gather.began_us -= us;
    net_flush(net);
    net_flush(net);
    ok(!is_empty(), "more is waiting");
}

static void test_how_long(void)
{
    up();
    rest_of(10000000, 1);
    ok(net->gather.rests, "after a round of 10 s");
    usleep(REST_US);
    turns(1);
    ok(!net->gather.rests, "not much longer than 10 ms");
    down();
    up();
    rest_of(10000000, 3);
    ok(net->gather.rests, "where three have come, too");
    down();
    up();
    rest_of(10000000, 4);
    ok(!net->gather.rests, "where four have come there is none");
    down();
}

static void test_interrupted(void)
{
    up();
    rest();
    ok(net->gather.rests, "a rest");
    net_flush_all(net);
    is_int(net->gather.rests, 0, "that somebody cannot wait for");
    ok(is_empty(), "all is written");
    all_is_heard(4);
    down();
    up();
    net->draining = 1;
    rest();
    ok(!is_empty() && !net->gather.rests, "there is none while clients are sent away");
    net_flush_all(net);
    net->draining = 0;
    down();
    up();
    rest();
    for (int i = 0; i < CLIENTS; i++)
        conn_kill(conns[i], CLOSE_CLIENT, 0);
    until_empty();
    ok(is_empty(), "those that have gone meanwhile are passed");
    is_int((long)net->gather.listed, 0, "and counted");
    down();
    up();
    rest();
    down();
    ok(1, "the end of all, in a rest");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    test_alone();
    test_dense();
    test_how_long();
    test_interrupted();
    event_base_free(base);
    return tap_done();
}
