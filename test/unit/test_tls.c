/* TLS between a socket and who speaks on it. */
#include "net/tls.h"

#include "net/tls_conn.h"
#include "tls_pair.h"

#include <signal.h>

static struct made ecdsa, rsa;

static struct tickets some_tickets(uint8_t first)
{
    struct tickets tickets = {.n = 1};

    memset(&tickets.at[0], first, sizeof(tickets.at[0]));
    return tickets;
}

/* A net that speaks TLS. */
static void up(void)
{
    struct conf_certificate certificate = pair_certificate(&ecdsa);

    net_up(NULL, NULL);
    net_speaks(net, &speaker, NULL, 60000);
    pair_certify(&certificate, 1);
}

/* ... and a client that is through. */
static struct conn *opened(int version, int sndbuf)
{
    struct conn *conn;

    up();
    conn = pair_conn(sndbuf);
    pair_client();
    SSL_set_max_proto_version(client, version);
    pair_go();
    return conn;
}

static uint64_t faults(void)
{
    uint64_t n = 0;

    for (int i = 0; i < TLS_FAULTS; i++)
        n += net->stats.tls_faults[i];
    return n;
}

static void test_both_ways(int version)
{
    struct conn *conn = opened(version, 0);

    is_int(SSL_is_init_finished(client), 1, "the handshake is done");
    is_int(SSL_version(client), version, "of that version");
    is_int((long)net->stats.tls_handshakes[version == TLS1_3_VERSION][0], 1, "it is counted");
    is_int((long)net->stats.tls_connections, 1, "so is the connection");
    ok(conn->secure && !conn->opening, "it is secure, and open");
    is_int(sk_SSL_CIPHER_num(SSL_get_client_ciphers(((struct tls *)conn->veil_state)->ssl)), 0,
           "what the client offered is not kept");
    ok(conn->due_ms > clock_ms() + 30000, "who speaks has its own time to hear something");
    pair_say("hello", 5);
    is_str(input_text, "hello", "what comes goes to who speaks");
    conn_put(conn, "one ", 4);
    conn_put_static(conn, "two ", 4);
    conn_put(conn, "three", 5);
    is_str(pair_hear(), "one two three", "and what it says to the client");
    is_int((long)net->stats.queued_bytes, 0, "nothing waits");
    ok(net->stats.bytes_sent > 13 + 22, "more was sent than that: %llu",
       (unsigned long long)net->stats.bytes_sent);
    pair_down();
    is_int(ngone, 1, "who speaks is told of the end");
    is_int(nfreed, 1, "and frees what it has");
}

/* What waits leaves in one record of up to 16 KB. */
static void test_records(void)
{
    struct conn *conn = opened(TLS1_3_VERSION, 0);
    uint64_t writes = net->stats.writes, sent = net->stats.bytes_sent;

    for (int i = 0; i < 20; i++)
        conn_put_static(conn, "0123456789", 10);
    pair_hear();
    is_int((long)client_len, 200, "twenty messages");
    is_int((long)(net->stats.writes - writes), 1, "in one write");
    is_int((long)(net->stats.bytes_sent - sent), 200 + 22, "of one record");
    writes = net->stats.writes;
    conn_put(conn, letters('x', 40000), 40000);
    pair_hear();
    is_int((long)client_len, 40000, "a long one");
    is_int((long)(net->stats.writes - writes), 3, "takes several");
    ok(memcmp(client_text, letters('x', 40000), 40000) == 0, "and is whole");
    pair_down();
}

/* Whatever the cut, a record is a record. */
static void test_pieces(size_t piece)
{
    static uint8_t wire[70000];
    BIO *out = BIO_new(BIO_s_mem()), *in = BIO_new(BIO_s_mem());
    struct conn *conn = opened(TLS1_3_VERSION, 0);
    int len;

    SSL_set_bio(client, in, out);
    SSL_write(client, letters('y', 3000), 3000);
    SSL_write(client, "z", 1);
    len = BIO_read(out, wire, sizeof(wire));
    for (size_t at = 0; at < (size_t)len; at += piece) {
        size_t n = (size_t)len - at < piece ? (size_t)len - at : piece;
        if (send(peer_fd, wire + at, n, MSG_NOSIGNAL) != (ssize_t)n)
            abort();
        turns(1);
    }
    is_int((long)ninput, 3001, "all of it has come");
    is_int(input_text[3000], 'z', "in order");
    is_int(conn->state, CONN_OPEN, "and the connection is as it was");
    pair_down();
}

/* A client that does not read: what is sealed waits, what is not waits where it was. */
static void test_blocked(void)
{
    struct conn *conn = opened(TLS1_3_VERSION, 4608);
    size_t total = 0;

    net->options.send_buffer = 1000000;
    conn_put(conn, letters('a', 300000), 300000);
    turns(3);
    is_int(conn->blocked, 1, "the kernel takes no more");
    is_int(conn->owes, 1, "half a record is left");
    ok(conn->out.bytes > 250000, "what waits is where it was: %u", conn->out.bytes);
    conn_put(conn, letters('b', 1000), 1000);
    for (int i = 0; i < 1000 && total < 301000; i++)
        total += strlen(pair_hear());
    is_int((long)total, 301000, "all of it comes");
    is_int(client_text[client_len - 1], 'b', "in order");
    is_int(conn->blocked | conn->owes, 0, "and nothing waits");
    is_int((long)net->stats.queued_bytes, 0, "or is counted");
    pair_down();
}

static void test_end(void)
{
    struct conn *conn = opened(TLS1_3_VERSION, 0);

    conn_put(conn, "last", 4);
    conn_linger(conn);
    is_str(pair_hear(), "last", "what is left is sent");
    ok(SSL_get_shutdown(client) & SSL_RECEIVED_SHUTDOWN, "then the end is said");
    ok(is_closed(), "and the socket shut down");
    pair_down();
    conn = opened(TLS1_3_VERSION, 0);
    conn_kill(conn, CLOSE_CLIENT, 0);
    pair_go();
    ok(SSL_get_shutdown(client) & SSL_RECEIVED_SHUTDOWN, "the end is said to who is closed");
    pair_down();
    conn = opened(TLS1_3_VERSION, 0);
    SSL_shutdown(client);
    turns(3);
    is_int(ngone, 1, "the client says it: over");
    is_int((long)faults(), 0, "nothing is wrong with that");
    pair_down();
    conn = opened(TLS1_2_VERSION, 4608);
    ended_result = 1;
    pair_say("bye", 3);
    conn_put(conn, letters('a', 50000), 50000);
    turns(1);
    SSL_shutdown(client);
    turns(1);
    is_int(conn->deaf, 1, "something is still to leave");
    ended_result = 0;
    is_int((long)strlen(pair_hear()), 50000, "it leaves");
    turns(3);
    is_int(ngone, 1, "then it is over, though the client has not closed its socket");
    pair_down();
    conn = opened(TLS1_3_VERSION, 0);
    peer_close();
    turns(3);
    is_int(ngone, 1, "a client that just goes");
    pair_down();
    (void)conn;
}

/* A long answer, a reader who stalls, and then the end: it is said after the answer. */
static void test_end_blocked(void)
{
    struct conn *conn = opened(TLS1_3_VERSION, 4608);

    net->options.send_buffer = 1000000;
    conn->asks_sent = 0;
    conn_put(conn, letters('a', 100000), 100000);
    conn_linger(conn);
    turns(2);
    is_int(conn->owes, 1, "half a record is left");
    client_len = 0;
    for (int i = 0; i < 200 && client_len < 100000; i++)
        pair_go();
    is_int((long)client_len, 100000, "all has come");
    pair_go();
    ok(SSL_get_shutdown(client) & SSL_RECEIVED_SHUTDOWN, "and then the end");
    pair_down();
}

/* --- what is no TLS, or none that is spoken here --- */

static void sends(const char *bytes, size_t len, enum tls_fault fault, const char *name)
{
    struct conn *conn;

    up();
    conn = pair_conn(0);
    say(bytes, len);
    ok(net->stats.tls_faults[fault] == 1 && faults() == 1, "%s: fault %d", name, (int)fault);
    ok(conn->state != CONN_OPEN, "%s: it is closed", name);
    is_int((long)ninput, 0, "nothing is passed on");
    peer_close();
    turns(3);
    is_int(ngone, 1, "and it is gone");
    is_int((long)faults(), 1, "counted once");
    net_down();
}

static void test_others(void)
{
    char large[] = "\x16\x03\x01\xff\xff";

    sends("GET / HTTP/1.1\r\n\r\n", 18, TLS_HTTP, "HTTP");
    sends("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", 32, TLS_PROXY_LINE, "PROXY v1");
    sends("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16, TLS_PROXY_LINE, "PROXY v2");
    sends("\x80\x2e\x01", 3, TLS_NOT_TLS, "SSL 2");
    sends("\x16\x02\x00", 3, TLS_NOT_TLS, "another version of records");
    sends("\x17\x03\x03\x00\x01x", 6, TLS_NOT_TLS, "data first");
    sends(large, 5, TLS_RECORD, "a record too large");
    sends("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10, TLS_RECORD, "a malformed hello");
}

static void refuses(const char *name, enum tls_fault fault, void (*set)(SSL *ssl))
{
    struct conn *conn;

    up();
    conn = pair_conn(0);
    pair_client();
    SSL_set_security_level(client, 0);
    set(client);
    pair_go();
    ok(net->stats.tls_faults[fault] == 1 && faults() == 1, "%s: fault %d", name, (int)fault);
    ok(conn->state != CONN_OPEN && !SSL_is_init_finished(client), "%s: refused", name);
    while (hear_some(1000) > 0)
        ;
    ok(is_closed(), "%s: closed", name);
    pair_down();
}

static void set_tls_1_1(SSL *ssl)
{
    SSL_set_min_proto_version(ssl, TLS1_VERSION);
    SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
}

static void set_cbc(SSL *ssl)
{
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    SSL_set_cipher_list(ssl, "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:AES128-SHA");
}

static void set_static(SSL *ssl)
{
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    SSL_set_cipher_list(ssl, "AES128-GCM-SHA256:AES256-GCM-SHA384");
}

static void set_h2(SSL *ssl)
{
    SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2", 3);
}

static void set_verify(SSL *ssl)
{
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
}

static void set_curve(SSL *ssl)
{
    SSL_set1_groups_list(ssl, "P-521");
}

static void test_refused(void)
{
    refuses("TLS 1.1", TLS_VERSION, set_tls_1_1);
    refuses("CBC", TLS_CIPHER, set_cbc);
    refuses("static RSA", TLS_CIPHER, set_static);
    refuses("h2", TLS_ALPN, set_h2);
    refuses("who does not trust us", TLS_REFUSED, set_verify);
    refuses("another curve", TLS_CIPHER, set_curve);
}

/* --- those who do not go on, and those who do too much --- */

static void test_timeout(void)
{
    struct conn *conn;

    up();
    conn = pair_conn(0);
    ok(conn->due_ms > clock_ms() && conn->due_ms <= clock_ms() + NET_VEIL_MS, "it has 5 s");
    conn->due_ms = clock_ms() - 1;
    conn_timeout(&conn->timer, clock_ms(), net);
    is_int((long)net->stats.tls_faults[TLS_TIMEOUT], 1, "then it is closed, and counted");
    is_int(ntimeouts, 0, "who speaks has not been asked");
    is_int(ngone, 1, "but told");
    net_down();
    up();
    conn = pair_conn(0);
    say("\x16\x03\x01", 3);
    peer_close();
    turns(3);
    is_int((long)net->stats.tls_faults[TLS_CLOSED], 1, "who leaves before it is done is counted");
    net_down();
    up();
    conn = pair_conn(0);
    say("\x16\x03\x01", 3);
    conn_kill(conn, CLOSE_EVICTED, 0);
    is_int((long)net->stats.tls_faults[TLS_CLOSED], 0, "who has to make place has not left");
    peer_close();
    net_down();
}

static void test_renegotiation(void)
{
    struct conn *conn = opened(TLS1_2_VERSION, 0);

    SSL_renegotiate(client);
    SSL_do_handshake(client);
    pair_go();
    is_int((long)net->stats.tls_faults[TLS_RENEGOTIATION], 1, "a second handshake");
    is_int(ngone, 1, "is the end");
    pair_down();
    (void)conn;
}

static void test_floods(void)
{
    int n = 0;

    (void)opened(TLS1_3_VERSION, 0);
    while (ngone == 0 && n < 10000) {
        SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(client);
        turns(2);
        n++;
    }
    is_int((long)net->stats.tls_faults[TLS_FLOOD], 1, "key updates");
    ok(n > 10 && n < 200, "after %d", n);
    pair_down();
    (void)opened(TLS1_2_VERSION, 0);
    for (n = 0; ngone == 0 && n < 10000; n++) {
        SSL_write(client, "x", 1);
        turns(2);
    }
    is_int((long)net->stats.tls_faults[TLS_FLOOD], 1, "records of one byte");
    ok(n > 1000 && n < 3000, "after %d", n);
    pair_down();
    (void)opened(TLS1_3_VERSION, 0);
    for (n = 0; ngone == 0 && n < 3000; n++) {
        SSL_write(client, "xxxxxx", 6);
        turns(2);
    }
    is_int(ngone, 0, "but frames may be as small as frames are");
    pair_down();
}

/* Bytes that were changed on their way. */
static void test_forged(void)
{
    (void)opened(TLS1_3_VERSION, 0);
    say("\x17\x03\x03\x00\x18"
        "0123456789012345678901234567",
        29);
    is_int((long)net->stats.tls_faults[TLS_RECORD], 1, "a forged record");
    is_int(ngone, 1, "is the end");
    is_int(last_why, CLOSE_PROTOCOL, "of a broken protocol");
    pair_down();
    (void)opened(TLS1_3_VERSION, 0);
    say("\x17\x03\x03\xff\xff", 5);
    is_int((long)net->stats.tls_faults[TLS_RECORD], 1, "one too large");
    is_int(ngone, 1, "is the end, before it has come");
    pair_down();
}

/* --- tickets --- */

/* Returns 1 if the session of before was resumed. */
static int resumes(int version)
{
    int resumed;

    (void)pair_conn(0);
    pair_client();
    SSL_set_max_proto_version(client, version);
    if (client_session != NULL)
        SSL_set_session(client, client_session);
    pair_go();
    resumed = SSL_session_reused(client);
    if (version == TLS1_2_VERSION) /* OpenSSL does not tell of a renewed one */
        pair_keep_session(client, SSL_get1_session(client));
    SSL_shutdown(client);
    pair_client_down();
    peer_close();
    turns(3);
    return resumed;
}

static void test_tickets(int version)
{
    struct tickets tickets = some_tickets('a'), rotated = some_tickets('b');
    struct conf_certificate other = pair_certificate(&rsa);

    SSL_SESSION_free(client_session);
    client_session = NULL;
    up();
    is_int(resumes(version), 0, "the first time in full");
    ok(client_session == NULL || !SSL_SESSION_has_ticket(client_session),
       "without keys no ticket is given");
    net_tickets(net, &tickets);
    is_int(resumes(version), 0, "so again");
    is_int(resumes(version), 1, "with one it is resumed");
    is_int((long)net->stats.tls_handshakes[version == TLS1_3_VERSION][1], 1, "and counted");
    is_int(resumes(version), 1, "again");
    net_down();
    up();
    net_tickets(net, &tickets);
    is_int(resumes(version), 1, "by another worker with the same keys");
    pair_certify(&other, 1);
    is_int(resumes(version), 1, "and with another certificate");
    rotated.n = 2;
    rotated.at[1] = tickets.at[0];
    net_tickets(net, &rotated);
    is_int(resumes(version), 1, "and another key, as long as the old is known");
    rotated.n = 1;
    net_tickets(net, &rotated);
    is_int(resumes(version), 1, "and then, for there was a new ticket");
    tickets = some_tickets('c');
    net_tickets(net, &tickets);
    is_int(resumes(version), 0, "but not with keys that are not known");
    net_down();
}

/* --- handshakes in slices --- */

#define CROWD 40

static SSL *crowd[CROWD];
static struct conn *crowd_conns[CROWD];

/* Says so many hellos at once, each of which is answered by a signature of RSA. */
static void crowd_up(void)
{
    struct conf_certificate certificate = pair_certificate(&rsa);

    up();
    pair_certify(&certificate, 1);
    for (int i = 0; i < CROWD; i++) {
        crowd_conns[i] = pair_conn(0);
        pair_client();
        (void)SSL_do_handshake(client);
        crowd[i] = client;
        client = NULL;
    }
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static int crowd_waiting(void)
{
    int n = 0;

    for (int i = 0; i < CROWD; i++)
        n += crowd_conns[i]->deaf;
    return n;
}

static int crowd_done(void)
{
    int n = 0;

    for (int i = 0; i < CROWD; i++)
        n += SSL_do_handshake(crowd[i]) == 1;
    ERR_clear_error();
    return n;
}

/* Who comes while there is no time waits, is not timed out for that, and is served on a later
 * turn. */
static void test_slices(void)
{
    struct conn *last = NULL;
    int waiting, done = 0;

    crowd_up();
    waiting = crowd_waiting();
    ok(waiting > 0 && waiting < CROWD, "some are served at once, %d wait", waiting);
    for (int i = 0; i < CROWD; i++)
        if (crowd_conns[i]->deaf)
            last = crowd_conns[i];
    last->due_ms = clock_ms() - 1;
    conn_timeout(&last->timer, clock_ms(), net);
    is_int(last->state, CONN_OPEN, "who waits for us is not timed out");
    ok(last->due_ms > clock_ms(), "but has its time again");
    conn_hear(last, 1); /* as when output has left */
    for (int i = 0; i < CROWD; i++)
        if (crowd_conns[i] == last)
            (void)send(SSL_get_fd(crowd[i]), "\x16\x03", 2, MSG_NOSIGNAL);
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    conn_kill(last, CLOSE_CLIENT, 0);
    /* Clients of a program under valgrind are slow. */
    for (int i = 0; i < CROWD; i++)
        if (crowd_conns[i] != last && crowd_conns[i]->opening)
            conn_deadline(crowd_conns[i], 6 * PEER_WAIT_MS);
    for (uint64_t end = clock_ms() + 6 * PEER_WAIT_MS;
         net->stats.tls_connections < CROWD - 1 && clock_ms() < end;) {
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        done = crowd_done();
    }
    is_int(done, CROWD - 1, "all are done but for the one that has gone");
    is_int((long)net->stats.tls_connections, CROWD - 1, "on both sides");
    is_int((long)net->stats.tls_faults[TLS_CLOSED], 1, "and that one is counted");
    for (int i = 0; i < CROWD; i++) {
        close(SSL_get_fd(crowd[i]));
        SSL_free(crowd[i]);
    }
    peer_fd = -1; /* closed with the last */
    net_down();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    ecdsa = make((struct make){.name = "a", .names = "DNS:localhost"});
    rsa = make((struct make){.name = "a", .names = "DNS:localhost", .rsa = 2048});
    test_both_ways(TLS1_3_VERSION);
    test_both_ways(TLS1_2_VERSION);
    test_records();
    test_pieces(1);
    test_pieces(1000);
    test_blocked();
    test_end();
    test_end_blocked();
    test_others();
    test_refused();
    test_timeout();
    test_renegotiation();
    test_floods();
    test_forged();
    test_tickets(TLS1_3_VERSION);
    test_tickets(TLS1_2_VERSION);
    test_slices();
    made_free(&ecdsa);
    made_free(&rsa);
    pair_over();
    return tap_done();
}
