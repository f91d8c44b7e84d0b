/* The life of a connection, with somebody above who only counts. */
#include "loopback.h"
#include "peer.h"

#include <signal.h>

/* Its deadline is over. */
static void due(struct conn *conn)
{
    conn->due_ms = clock_ms() - 1;
    conn_timeout(&conn->timer, clock_ms(), net);
}

static void test_input(void)
{
    struct conn *conn = speaker_up(0, 0);

    ok(conn->due_ms >= clock_ms() + 50000, "it has a while to say something");
    is_int((long)net->nconns, 1, "it is counted");
    say("hello", 5);
    is_str(input_text, "hello", "what comes goes to who speaks");
    is_int((long)net->stats.bytes_received, 5, "and is counted");
    net_down();
    is_int(ngone, 1, "who is told of the end");
    is_int(last_why, CLOSE_SHUTDOWN, "and why");
    is_int(nfreed, 1, "and gives back what it has");
}

/* The client has sent its last. */
static void test_ended(void)
{
    struct conn *conn = speaker_up(0, 0);

    ended_result = 1;
    shutdown(peer_fd, SHUT_WR);
    turns(3);
    is_int(ngone, 0, "something is still to leave");
    is_int(conn->deaf, 1, "the end is not looked at again");
    conn_put(conn, "bye", 3);
    ended_result = 0;
    is_str(hear(), "bye", "it leaves");
    turns(3);
    is_int(ngone, 1, "then it is over");
    is_int(last_why, CLOSE_CLIENT, "by the client");
    is_int(nfreed, 1, "and freed");
    net_down();
    speaker_up(0, 0);
    shutdown(peer_fd, SHUT_WR);
    turns(3);
    is_int(ngone, 1, "nothing is to leave: over at once");
    net_down();
}

static void test_kill(void)
{
    struct conn *conn = speaker_up(0, 0);

    conn_put(conn, "lost", 4);
    conn_kill(conn, CLOSE_EXPIRED, 0);
    is_int(ngone, 1, "who speaks is told at once");
    is_int(last_why, CLOSE_EXPIRED, "why");
    is_int((long)net->stats.discarded_bytes[CLOSE_EXPIRED], 4, "what did not leave is counted");
    is_int((long)net->stats.queued_bytes, 0, "and does not wait");
    is_int(conn->state, CONN_DEAD, "it can still be looked at");
    conn_kill(conn, CLOSE_CLIENT, 0);
    is_int(ngone, 1, "it ends once");
    is_int(conn_put(conn, "x", 1), -1, "nothing is taken for it");
    is_int(nfreed, 0, "by who is using it");
    turns(2);
    is_int(nfreed, 1, "and freed on a later turn");
    ok(is_closed(), "the client sees the end");
    net_down();
}

/* The reason for which it was to end is the one that counts. */
static void test_close_soon(void)
{
    struct conn *conn = speaker_up(0, 1);

    is_int(conn_close_soon(conn, CLOSE_SEND_BUFFER), -1, "the caller passes it on");
    conn_close_soon(conn, CLOSE_NO_MEMORY);
    is_int(ngone, 0, "not here");
    turns(2);
    is_int(ngone, 1, "but on the next turn");
    is_int(last_why, CLOSE_SEND_BUFFER, "for what came first");
    net_down();
    conn = speaker_up(0, 1);
    conn_close_soon(conn, CLOSE_SEND_BUFFER);
    conn_kill(conn, CLOSE_CLIENT, 0);
    is_int(last_why, CLOSE_SEND_BUFFER, "also if it breaks before that");
    net_down();
}

/* Output, FIN, and a second for the client to read it. */
static void test_linger(void)
{
    struct conn *conn = speaker_up(0, 0);

    conn_put(conn, "last", 4);
    conn_linger(conn);
    is_int(conn->fin_sent, 0, "output first");
    is_str(hear(), "last", "it leaves");
    ok(is_closed(), "then FIN");
    is_int(ngone, 0, "the client has its second");
    ok(conn->due_ms != 0 && conn->due_ms <= clock_ms() + LINGER_MS, "and no more");
    say("late", 4);
    is_int((long)ninput, 0, "what it says is thrown away");
    due(conn);
    is_int(ngone, 1, "the second is over");
    net_down();
    conn = speaker_up(0, 0);
    conn_linger(conn);
    turns(1);
    ok(is_closed(), "with nothing to leave, FIN at once");
    peer_close();
    turns(3);
    is_int(ngone, 1, "the client has gone, too");
    net_down();
}

/* An answer may take as long as it takes; what a stream has to say, a second. */
static void test_linger_long(void)
{
    struct conn *conn = speaker_up(4608, 0);

    conn_put(conn, letters('a', 90000), 90000);
    conn_linger(conn);
    turns(2);
    is_int(conn->answering, 1, "an answer is leaving");
    is_int((long)conn->due_ms, 0, "it has no deadline");
    ok(conn_may_stall(conn), "but that of a reader who does not read");
    net_down();
    conn = speaker_up(4608, 1);
    conn_put(conn, letters('a', 90000), 90000);
    conn_linger(conn);
    turns(2);
    is_int(conn->answering, 0, "a stream");
    ok(conn->due_ms != 0 && !conn_may_stall(conn), "has its second");
    net_down();
    conn = speaker_up(4608, 1);
    net->draining = 1;
    conn_put(conn, letters('a', 90000), 90000);
    conn_linger(conn);
    is_int(conn->answering, 1, "unless it is sent away for our sake");
    net_down();
}

/* Who speaks is asked on output only if it wants to be. */
static void test_asks(void)
{
    struct conn *conn = speaker_up(0, 0);

    conn->asks_flush = 1;
    conn_put(conn, "a", 1);
    hear();
    is_int(nflushed, 1, "before it is written to");
    is_int(nsent, 1, "and after");
    is_int(was_blocked_last, 0, "it was not blocked");
    conn->asks_flush = conn->asks_sent = 0;
    conn_put(conn, "b", 1);
    hear();
    is_int(nflushed + nsent, 2, "not if it does not ask");
    net_down();
    conn = speaker_up(4608, 0);
    conn_put(conn, letters('a', 90000), 90000);
    turns(2);
    ok(conn->blocked, "blocked");
    for (int i = 0; i < 1000 && conn->out.bytes > 0; i++)
        hear();
    is_int(was_blocked_last, 1, "it is told when that is over");
    net_down();
}

static void test_timeout(void)
{
    struct conn *conn = speaker_up(0, 0);

    conn_deadline(conn, 50000);
    conn_timeout(&conn->timer, clock_ms(), net);
    is_int(ntimeouts, 0, "not yet");
    due(conn);
    is_int(ntimeouts, 1, "who speaks decides what a deadline means");
    is_int((long)conn->due_ms, 0, "it is over");
    conn_rearm(conn);
    ok(conn->timer.prev == NULL, "and does not come again");
    conn_deadline(conn, 0);
    ok(conn->timer.prev == NULL, "none");
    net_down();
}

/* A reset, after which the kernel has nothing of it, or an end. */
static void test_abort(void)
{
    char text[16];

    for (int abort = 0; abort < 2; abort++) {
        int port, listener = loopback_listen(0, &port), client = loopback_dial(port);
        struct conn *conn;
        net_up(NULL, NULL);
        net_speaks(net, &speaker, NULL, 60000);
        conn = conn_new(net, accept4(listener, NULL, NULL, SOCK_NONBLOCK));
        conn_put(conn, "there", 5);
        turns(2);
        conn_kill(conn, CLOSE_SEND_BUFFER, abort);
        is_int(recv(client, text, sizeof(text), 0), 5, "what it got");
        if (abort)
            ok(recv(client, text, 1, 0) < 0 && errno == ECONNRESET, "then a reset");
        else
            is_int(recv(client, text, 1, 0), 0, "then the end");
        close(client);
        close(listener);
        net_down();
    }
}

/* Before it is read: by an end, by a reset, or not at all. */
static void test_has_ended(void)
{
    const struct linger reset = {.l_onoff = 1};

    for (int how = 0; how < 3; how++) {
        int port, listener = loopback_listen(0, &port), client = loopback_dial(port);
        struct conn *conn;
        net_up(NULL, NULL);
        net_speaks(net, &speaker, NULL, 60000);
        conn = conn_new(net, accept4(listener, NULL, NULL, SOCK_NONBLOCK));
        is_int(send(client, "there", 5, 0), 5, "something comes");
        is_int(conn_has_ended(conn), 0, "it is there");
        if (how == 0)
            shutdown(client, SHUT_WR);
        if (how == 1)
            setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        if (how == 1)
            close(client);
        is_int(conn_has_ended(conn), how < 2, "or has gone, behind that");
        if (how != 1)
            close(client);
        close(listener);
        net_down();
    }
}

static int told;

static void on_gone(void *arg)
{
    (void)arg;
    told++;
}

/* Whoever made the net hears of it from the loop, once for all that went. */
static void test_net_told(void)
{
    static const struct net_ops ops = {.gone = on_gone};
    struct conn *one, *other;
    int fd;

    net_up(&ops, NULL);
    net_speaks(net, &speaker, NULL, 60000);
    one = conn_up(0);
    fd = peer_fd;
    other = conn_up(0);
    conn_kill(one, CLOSE_CLIENT, 0);
    conn_kill(other, CLOSE_CLIENT, 0);
    is_int(told, 0, "not within the call");
    turns(3);
    is_int(told, 1, "on the next turn");
    is_int((long)net->nconns, 0, "none is left");
    close(fd);
    net_down();
}

/* Nobody refers to them any more: not those who had output to be tried either. */
static void test_kill_all(void)
{
    struct conn *conn = speaker_up(0, 1);

    net->fanning = 1;
    conn_put(conn, "a", 1);
    net->fanning = 0;
    peer_close();
    conn_put(conn_up(0), "b", 1);
    net_kill_all(net, CLOSE_SHUTDOWN);
    is_int(nfreed, 2, "all are freed");
    ok(net->dirty[DIRTY_OWN].first == NULL && net->dirty[DIRTY_FANOUT].first == NULL,
       "and in no list");
    is_int((long)net->gather.listed, 0, "nor counted in one");
    peer_close();
    conn = conn_up(0);
    conn_put(conn, "c", 1);
    is_str(hear(), "c", "another may come");
    net_down();
}

/* --- what stands between --- */

enum { KEY = 0x55 };
static int nfinished, nveils_freed, nveil_timeouts, veil_takes;

/* The first byte opens it, an 'E' behind it ends the input. */
static void veil_input(struct conn *conn, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] ^= KEY;
    if (conn->opening) {
        conn_opened(conn);
        bytes++;
        len--;
    }
    if (len > 0 && bytes[0] == 'E')
        conn_input_ended(conn);
    else if (len > 0)
        conn_input(conn, bytes, len);
}

/* A word of its own first, if it owes one; then veil_takes bytes at a time. */
static ssize_t veil_send(struct conn *conn)
{
    struct iovec iov;
    uint8_t text[64];
    size_t n;

    if (conn->owes) {
        if (send(conn->fd, "own:", 4, MSG_NOSIGNAL) < 0)
            return -1;
        conn->owes = 0;
        return 0;
    }
    outq_iov(&conn->out, &iov, 1);
    n = iov.iov_len < (size_t)veil_takes ? iov.iov_len : (size_t)veil_takes;
    for (size_t i = 0; i < n; i++)
        text[i] = ((const uint8_t *)iov.iov_base)[i] ^ KEY;
    return send(conn->fd, text, n, MSG_NOSIGNAL);
}

static void veil_finish(struct conn *conn)
{
    nfinished++;
    (void)send(conn->fd, "bye", 3, MSG_NOSIGNAL);
}

static void veil_timeout(struct conn *conn)
{
    nveil_timeouts++;
    conn_kill(conn, CLOSE_CLIENT, 0);
}

static void veil_free(struct conn *conn)
{
    nveils_freed += conn->veil_state == &veil_takes;
}

static const struct veil_ops veil = {veil_input, veil_send, veil_finish, veil_timeout, veil_free};

static struct conn *veiled_up(void)
{
    struct conn *conn = speaker_up(0, 0);

    nfinished = nveils_freed = nveil_timeouts = 0;
    veil_takes = 3;
    conn_veil(conn, &veil, &veil_takes, 5000);
    return conn;
}

static const char *through_veil(const char *text)
{
    static char out[64];
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text[i] ^ KEY);
    out[n] = '\0';
    return out;
}

static void test_veil(void)
{
    struct conn *conn = veiled_up();

    ok(conn->due_ms <= clock_ms() + 5000, "it has its time");
    say(through_veil("!"), 1);
    is_int((long)ninput, 0, "its first byte is nobody's");
    ok(conn->due_ms > clock_ms() + 5000, "then the speaker's time begins");
    say(through_veil("hello"), 5);
    is_str(input_text, "hello", "what it makes of what comes is heard");
    conn_put(conn, "answer", 6);
    is_str(hear(), through_veil("answer"), "and it sends what waits, in parts");
    conn->owes = 1;
    conn_flush(conn);
    is_str(hear(), "own:", "its own as well, with nothing else to send");
    conn_linger(conn);
    is_str(hear(), "bye", "the last word is its own");
    is_int(nfinished, 1, "said once");
    ok(is_closed(), "then FIN");
    say(through_veil("late"), 4);
    is_str(input_text, "hello", "what comes then is thrown away");
    conn_kill(conn, CLOSE_CLIENT, 0);
    is_int(nveils_freed, 1, "it goes with the connection");
    net_down();
}

static void test_veil_waits(void)
{
    struct conn *conn = veiled_up();
    size_t stuffed = 0;
    ssize_t n;

    say(through_veil("!hello"), 6);
    is_str(input_text, "hello", "first byte and more in one read");
    while ((n = send(conn->fd, letters('x', 1000), 1000, MSG_NOSIGNAL)) > 0)
        stuffed += (size_t)n;
    is_int(conn_put(conn, "answer", 6), 0, "an answer");
    conn->owes = 1;
    turns(1);
    is_int(conn->blocked, 1, "the kernel takes nothing");
    is_int((long)conn->out.bytes, 6, "all waits");
    is_int((long)(strlen(hear()) - stuffed), 10, "then it takes more");
    is_str(heard + stuffed, "own:\x34;&\x22\x30'", "what the veil owed comes first");
    is_int(conn->blocked, 0, "nothing waits");
    say(through_veil("E"), 1);
    is_int(ngone, 1, "an end that only it sees is one");
    net_down();
}

static void test_veil_timeout(void)
{
    struct conn *conn = veiled_up();

    due(conn);
    is_int(nveil_timeouts, 1, "until it is open its deadline is its own");
    is_int(ntimeouts, 0, "the speaker knows nothing of it");
    ok(ngone == 1 && nveils_freed == 1, "it ends");
    net_down();
    conn = veiled_up();
    conn_unveil(conn);
    is_int(nveils_freed, 1, "one that is over goes");
    say("plain", 5);
    is_str(input_text, "plain", "the rest is as it comes");
    net_down();
}

/* --- where it comes from --- */

static void test_peer(void)
{
    struct conn *conn = speaker_up(0, 0);
    struct address there = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 7},
                            .port = 80};
    struct address got;
    char text[ADDRESS_TEXT_MAX];

    is_str(conn_peer_text(conn, text), "unix", "as the kernel says");
    is_int(conn_set_peer(conn, &there), 0, "elsewhere");
    is_str(conn_peer_text(conn, text), "192.0.2.7:80", "so it is told");
    there.port = 81;
    conn_set_peer(conn, &there);
    conn_peer(conn, &got);
    is_int(got.port, 81, "and somewhere else");
    conn_set_peer(conn, NULL);
    is_str(conn_peer_text(conn, text), "unix", "as the kernel says again");
    conn_set_peer(conn, &there);
    net_down();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_input();
    test_ended();
    test_kill();
    test_close_soon();
    test_linger();
    test_linger_long();
    test_asks();
    test_timeout();
    test_abort();
    test_has_ended();
    test_net_told();
    test_kill_all();
    test_veil();
    test_veil_waits();
    test_veil_timeout();
    test_peer();
    event_base_free(base);
    return tap_done();
}
