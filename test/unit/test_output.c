/* A connection's output, with nobody above: how much may wait, for how long, and what
 * becomes of who does not read. */
#include "peer.h"

#include <signal.h>

#define SNDBUF 4608 /* the least that Linux gives */

/* Its kernel takes nothing more, and something waits. */
static void block(struct conn *conn)
{
    for (int i = 0; i < 100 && !conn->blocked; i++) {
        conn_put(conn, letters('.', 1000), 1000);
        turns(1);
    }
    ok(conn->blocked && conn->out.bytes > 0, "the kernel is full");
}

static void test_order(void)
{
    struct conn *conn = speaker_up(0, 1);
    struct outq queue = {.bytes = 0};
    struct run run;

    conn_put(conn, "one,", 4);
    conn_put_static(conn, "two,", 4);
    is_int((long)net->stats.queued_bytes, 8, "what waits is counted");
    chunklog_put(&net->private_log, "three,", 6, &run);
    outq_push(&queue, &run);
    is_int(conn_put_queue(conn, &queue), 0, "a queue is moved");
    is_int((long)queue.bytes, 0, "all of it");
    conn_put(conn, "four", 4);
    is_str(hear(), "one,two,three,four", "all leaves in order");
    is_int((long)net->stats.queued_bytes, 0, "nothing waits any more");
    is_int((long)net->stats.bytes_sent, 18, "what left is counted");
    is_int((long)net->stats.writes, 1, "in one write");
    net_down();
}

/* A queue needs nothing in front of it, and one that has gone takes none. */
static void test_queue(void)
{
    struct conn *conn = speaker_up(0, 1);
    struct outq queue = {.bytes = 0};
    struct run run;

    chunklog_put(&net->private_log, "queue", 5, &run);
    outq_push(&queue, &run);
    is_int(conn_put_queue(conn, &queue), 0, "a queue alone is moved");
    is_str(hear(), "queue", "and leaves");
    chunklog_put(&net->private_log, "queue", 5, &run);
    outq_push(&queue, &run);
    conn_kill(conn, CLOSE_CLIENT, 0);
    is_int(conn_put_queue(conn, &queue), -1, "there is nobody for it any more");
    is_int((long)queue.bytes, 5, "so it stays the caller's");
    is_int((long)net->stats.queued_bytes, 0, "and nothing waits");
    outq_clear(&queue);
    net_down();
}

/* Exactly the limit may wait, and not one byte more. */
static void test_limit(void)
{
    struct conn *conn;
    size_t runs;

    for (int over = 0; over < 2; over++) {
        peer_options.send_buffer = 20000;
        conn = speaker_up(SNDBUF, 1);
        conn->blocked = 1; /* nothing is tried */
        is_int(conn_put(conn, letters('a', 30000), 30000), 0, "into an empty queue: any length");
        is_int(conn_put(conn, letters('b', 10000), 10000), 0, "that does not count");
        runs = conn->out.more_n * sizeof(struct run);
        is_int(conn_put(conn, letters('c', 10000), 10000 - runs + (size_t)over), -over,
               over ? "one byte above the limit" : "exactly the limit");
        is_int(conn->closing, over, over ? "ends it" : "is taken");
        if (over) {
            is_int(conn->closing_why, CLOSE_SEND_BUFFER, "for that");
            is_int(ngone, 0, "but not here");
            is_int(conn_put(conn, "d", 1), -1, "and nothing more is taken");
            turns(3);
            is_int(ngone, 1, "on the loop's next turn");
            is_int(last_why, CLOSE_SEND_BUFFER, "with its reason");
            is_int((long)net->stats.discarded_bytes[CLOSE_SEND_BUFFER], 40000,
                   "what is lost is counted");
            is_int((long)net->stats.queued_bytes, 0, "and waits no more");
        }
        net_down();
    }
    peer_options.send_buffer = 100000;
}

/* It may wait only for us: the kernel is asked first. */
static void test_asks_the_kernel(void)
{
    struct conn *conn;

    peer_options.send_buffer = 10000;
    conn = speaker_up(0, 1);
    for (int i = 0; i < 5; i++)
        is_int(conn_put(conn, letters('a', 9000), 9000), 0, "more than may wait, without a turn");
    is_int(ngone, 0, "it goes on");
    hear();
    is_int((long)nheard, 45000, "and all comes");
    net_down();
    peer_options.send_buffer = 100000;
}

static void test_static(void)
{
    struct conn *conn;

    peer_options.send_buffer = 1000;
    conn = speaker_up(0, 0);
    conn->blocked = 1;
    conn_put(conn, "head", 4);
    is_int(conn_put_static(conn, letters('s', 500000), 500000), 0,
           "of what is not ours any length");
    is_int(conn_put(conn, letters('t', 900), 900), 0, "beside which as much may wait as without");
    is_int(conn_put(conn, letters('t', 200), 200), -1, "and no more");
    net_down();
    peer_options.send_buffer = 100000;
}

/* Who has no good token: a tenth, without the exception for an empty queue. */
static void test_stranger(void)
{
    struct conn *conn;

    peer_options.send_buffer = 100000;
    conn = speaker_up(SNDBUF, 1);
    conn->stranger = 1;
    conn->blocked = 1;
    is_int((long)net->stranger_send_buffer, 10000, "a tenth may wait");
    is_int(conn_put(conn, letters('a', 10000), 10000), 0, "exactly that");
    is_int(conn_put(conn, "b", 1), -1, "not one byte more");
    net_down();
    conn = speaker_up(SNDBUF, 1);
    conn->stranger = 1;
    conn->blocked = 1;
    is_int(conn_put(conn, letters('a', 10001), 10001), -1, "into an empty queue neither");
    net_down();
    peer_options.send_buffer = 4000;
    speaker_up(0, 1);
    is_int((long)net->stranger_send_buffer, 4000, "never more than users have");
    net_down();
    peer_options.send_buffer = 40000;
    speaker_up(0, 1);
    is_int((long)net->stranger_send_buffer, 4096, "nor less than is needed to get in");
    net_down();
    peer_options.send_buffer = 100000;
}

/* A turn of the clock for conn, whose output has waited since so long. */
static void waited(struct conn *conn, uint64_t ms)
{
    conn->stall_since_ms = clock_ms() - ms;
    conn_timeout(&conn->timer, clock_ms(), net);
}

static void test_stall(void)
{
    struct conn *conn = speaker_up(SNDBUF, 1);
    uint64_t since;

    block(conn);
    ok(conn->timer.prev != NULL, "it has a deadline");
    waited(conn, 59000);
    is_int(conn->closing, 0, "not yet");
    since = conn->stall_since_ms;
    hear_some(100);
    turns(2);
    ok(conn->blocked && conn->stall_since_ms == since,
       "that something leaves does not change since when the rest waits");
    waited(conn, 60000);
    is_int(conn->closing, 1, "its time is over");
    turns(2);
    is_int(ngone, 1, "it ends");
    is_int(last_why, CLOSE_SEND_TIMEOUT, "for that");
    net_down();
}

/* What waited at first has left: what waits then came later. */
static void test_progress(void)
{
    struct conn *conn = speaker_up(SNDBUF, 1);

    block(conn);
    conn->stall_since_ms = clock_ms() - 59000;
    conn_put(conn, letters('b', 50000), 50000);
    for (int i = 0; i < 1000 && conn->stall_since_ms < clock_ms() - 30000; i++) {
        hear_some(2000);
        turns(1);
    }
    ok(conn->blocked && conn->stall_since_ms >= clock_ms() - 30000, "counted from then");
    for (int i = 0; i < 100 && conn->out.bytes > 0; i++) {
        nheard = 0;
        hear_some(sizeof(heard));
        turns(1);
    }
    ok(!conn->blocked && conn->out.bytes == 0, "all has left");
    ok(conn->timer.prev == NULL || conn->due_ms != 0, "nothing of that is due any more");
    nheard = 0;
    block(conn);
    ok(conn->stall_since_ms >= clock_ms() - 30000, "blocked again: counted anew");
    net_down();
}

/* Of an answer 64 KB have to leave within the time, then the next. */
static void test_share(void)
{
    struct conn *conn;

    peer_options.send_buffer = 1000000;
    conn = speaker_up(SNDBUF, 0);
    conn_put(conn, letters('a', 300000), 300000);
    turns(2);
    ok(conn->blocked && conn->stall_bytes == 65536, "a share of an answer");
    net_down();
    conn = speaker_up(SNDBUF, 1);
    conn_put(conn, letters('a', 300000), 300000);
    turns(2);
    ok(conn->blocked && conn->stall_bytes == conn->out.bytes, "of a stream it is all that waits");
    net_down();
    peer_options.send_buffer = 100000;
}

static void test_pings(void)
{
    struct conn *conn = speaker_up(SNDBUF, 1);
    int taken = 0;

    for (int i = 0; i < 1000; i++)
        taken += conn_ping(conn) == 0;
    is_int(taken, 1000, "who reads may ping as he likes");
    block(conn);
    for (taken = 0; taken < 1000 && conn_ping(conn) == 0;)
        taken++;
    is_int(taken, 100, "who does not, a hundred times");
    for (int i = 0; i < 100 && conn->blocked; i++) {
        nheard = 0;
        hear_some(sizeof(heard));
        turns(1);
    }
    block(conn);
    is_int(conn_ping(conn), 0, "blocked again: counted anew");
    net_down();
}

static void test_deaf(void)
{
    struct conn *conn = speaker_up(0, 0);

    conn_hear(conn, 0);
    conn_hear(conn, 0);
    say("x", 1);
    is_int((long)net->stats.bytes_received, 0, "it is not read from");
    conn_put(conn, "y", 1);
    is_str(hear(), "y", "but written to");
    is_int(conn->deaf, 0, "and read again when all has left");
    turns(2);
    is_int((long)net->stats.bytes_received, 1, "what came meanwhile is there");
    net_down();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_order();
    test_queue();
    test_limit();
    test_asks_the_kernel();
    test_static();
    test_stranger();
    test_stall();
    test_progress();
    test_share();
    test_pings();
    test_deaf();
    event_base_free(base);
    return tap_done();
}
