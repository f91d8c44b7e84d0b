/* What comes in front of a connection's bytes, on one whose speaker only counts. */
#include "net/proxy.h"

#include "hex.h"
#include "log_file.h"
#include "loopback.h"
#include "nomem_nth.h"
#include "peer.h"

#include <signal.h>

#define V1 "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n"
#define V2 "0d0a0d0a000d0a515549540a "

static struct networks proxies = {.unix_too = 1};

static struct conn *up(void)
{
    struct conn *conn;

    peer_options.proxies = &proxies;
    conn = speaker_up(0, 0);
    if (proxy_begin(conn, NET_PROXY) < 0)
        abort();
    return conn;
}

static void say_text(const char *text)
{
    say(text, strlen(text));
}

static void say_hex(const char *digits)
{
    struct buf bytes = {0};

    hex_put(&bytes, digits);
    say(bytes.data, bytes.len);
    buf_free(&bytes);
}

static const char *peer_of(const struct conn *conn)
{
    static char text[ADDRESS_TEXT_MAX];

    return conn_peer_text(conn, text);
}

static void test_taken(void)
{
    struct conn *conn = up();

    ok(conn->opening && conn->due_ms <= clock_ms() + NET_VEIL_MS, "it has its time");
    say_text(V1 "hello");
    is_str(input_text, "hello", "what is behind it goes to who speaks");
    is_str(peer_of(conn), "203.0.113.9:56324", "whose it is");
    ok(!conn->veiled && !conn->opening && !conn->secure, "nothing is between any more");
    ok(conn->due_ms > clock_ms() + NET_VEIL_MS, "and who speaks has its own time");
    is_int((long)net->stats.proxy_headers[0], 1, "counted by its version");
    say_text(V1);
    ok(ninput == 5 + strlen(V1), "a second one is no header");
    net_down();
    conn = up();
    say_hex(V2 "2111 0014 cb007109 c6336401 dc04 01bb 200005 01 00000000 6869");
    is_str(input_text, "hi", "version 2");
    is_str(peer_of(conn), "203.0.113.9:56324", "its client");
    is_int(conn->secure, 1, "who speaks TLS with the proxy");
    is_int((long)net->stats.proxy_headers[1], 1, "counted");
    net_down();
}

static void test_limit(void)
{
    struct conn *conn;

    peer_options.address_max = 1;
    conn = up();
    say_text(V1 "hello");
    is_str(input_text, "hello", "the first of an address");
    peer_keep();
    conn = conn_up(0);
    if (proxy_begin(conn, NET_PROXY) < 0)
        abort();
    ninput = 0;
    say_text(V1 "hello");
    ok(ninput == 0 && is_closed(), "a second one is closed");
    is_int((long)net->stats.turned_away[SOURCE_CONN], 1, "which is counted");
    net_down();
    peer_options.address_max = 0;
}

static void test_bytewise(void)
{
    struct conn *conn = up();

    for (const char *at = V1 "hi"; *at != '\0'; at++)
        say(at, 1);
    is_str(input_text, "hi", "byte by byte");
    is_str(peer_of(conn), "203.0.113.9:56324", "its client");
    net_down();
    conn = up();
    say_text("PROXY TCP4 203.0.113.9");
    say_text(" 198.51.100.1 56324 443\r\nhello");
    is_str(input_text, "hello", "in two parts");
    is_str(peer_of(conn), "203.0.113.9:56324", "its client");
    net_down();
}

/* A header and a request that do not fit into one another's bounds. */
static void test_long(void)
{
    static char text[16384];
    struct conn *conn = up();
    size_t len = strlen(V1);

    memset(text, 'x', sizeof(text));
    memcpy(text, V1, len);
    say(text, 3);
    say(text + 3, sizeof(text) - 3);
    is_int((long)net->stats.bytes_received, sizeof(text), "all was read");
    is_str(peer_of(conn), "203.0.113.9:56324", "the header in front of much");
    is_int((long)ninput, sizeof(input_text) - 1, "which goes on");
    net_down();
}

/* The proxy's own, such as its probes. */
static void test_local(void)
{
    struct conn *conn = up();

    say_hex(V2 "2000 0000");
    is_str(peer_of(conn), "unix", "LOCAL: the proxy itself");
    ok(conn->peer == NULL && !conn->veiled, "is as if nothing had come");
    say_text("probe");
    is_str(input_text, "probe", "and may ask for something");
    net_down();
    conn = up();
    say_text("PROXY UNKNOWN\r\nprobe");
    is_str(input_text, "probe", "UNKNOWN, too");
    is_str(peer_of(conn), "unix", "of the proxy");
    net_down();
}

static int refusals(void)
{
    uint64_t n = 0;

    for (int i = 0; i < PROXY_REFUSALS; i++)
        n += net->stats.proxy_refused[i];
    return (int)n;
}

static void refused(const char *bytes, size_t len, enum proxy_refusal why, const char *line)
{
    log_begin();
    up();
    say(bytes, len);
    if (why == PROXY_INCOMPLETE)
        shutdown(peer_fd, SHUT_WR);
    ok(is_closed(), "closed: %s", line);
    is_int((long)net->stats.proxy_refused[why], 1, "counted as it is");
    is_int(refusals(), 1, "and as nothing else");
    is_int((long)ninput, 0, "nobody heard of it");
    net_down();
    is_int(logged(line), 1, "the log says it");
}

static void test_refused(void)
{
    refused("GET / HTTP/1.1\r\n\r\n", 18, PROXY_ABSENT,
            "HTTP without a PROXY header on a listener with proxyProtocol: address=unix times=1");
    refused("\x16\x03\x01\x02", 4, PROXY_ABSENT,
            "TLS without a PROXY header on a listener with proxyProtocol: address=unix times=1");
    refused("\0", 1, PROXY_ABSENT,
            "no PROXY header on a listener with proxyProtocol: address=unix times=1");
    refused("PROXY TCP4 x\r\n", 14, PROXY_MALFORMED, "malformed PROXY header: address=unix");
    refused(letters('P', 1), 1, PROXY_INCOMPLETE,
            "PROXY header that never became whole: address=unix");
    refused("\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16, PROXY_TOO_LONG,
            "PROXY header that is too long: address=unix");
    proxies.unix_too = 0;
    refused(V1 "GET", strlen(V1) + 3, PROXY_UNTRUSTED,
            "connection to a listener with proxyProtocol by none of proxies: address=unix times=1");
    proxies.unix_too = 1;
}

/* One line a minute for each cause. */
static void test_flood(void)
{
    log_begin();
    up();
    for (int i = 0; i < 5; i++) {
        if (i > 0 && proxy_begin(conn_up(0), NET_PROXY) < 0)
            abort();
        say_text("GET / HTTP/1.1\r\n\r\n");
        close(peer_fd);
        peer_fd = -1;
    }
    is_int((long)net->stats.proxy_refused[PROXY_ABSENT], 5, "all are counted");
    net_down();
    is_int(logged("HTTP without a PROXY header"), 1, "one has a line");
}

/* Who only looks whether we are there makes no noise. */
static void test_probe(void)
{
    struct conn *conn;

    log_begin();
    up();
    peer_close();
    turns(3);
    is_int(ngone, 1, "it has come and gone");
    is_int(refusals(), 0, "nothing is counted");
    net_down();
    conn = up();
    conn->due_ms = clock_ms() - 1;
    conn_timeout(&conn->timer, clock_ms(), net);
    is_int(ngone, 1, "its time is over");
    is_int(ntimeouts, 0, "of which who speaks hears nothing");
    is_int(refusals(), 0, "nothing is counted");
    net_down();
    proxies.unix_too = 0;
    up();
    peer_close();
    turns(3);
    is_int(refusals(), 0, "nor where a stranger looks");
    net_down();
    proxies.unix_too = 1;
    is_int(logged("PROXY"), 0, "nothing is in the log");
}

/* Health checks of haproxy reset the connection behind their header: where it came from is not
 * known when that is read. */
static void test_reset(void)
{
    const struct linger reset = {.l_onoff = 1};
    int port, listener = loopback_listen(0, &port), client = loopback_dial(port);

    log_begin();
    proxies.unix_too = 0;
    up();
    if (proxy_begin(conn_new(net, accept4(listener, NULL, NULL, SOCK_NONBLOCK)), NET_PROXY) < 0)
        abort();
    is_int(send(client, "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16, 0), 16, "LOCAL");
    setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(client);
    turns(3);
    is_int((long)net->nconns, 1, "it has come and gone");
    is_int(refusals(), 0, "nothing is counted");
    close(listener);
    net_down();
    proxies.unix_too = 1;
    is_int(logged("proxyProtocol"), 0, "nothing is in the log");
}

/* Closed before its header came, as when the worker leaves. */
static void test_closed(void)
{
    struct conn *conn = up();

    conn_linger(conn);
    turns(2);
    say_text(V1 "hello");
    is_int((long)ninput, 0, "what comes then is thrown away");
    ok(conn->due_ms <= clock_ms() + LINGER_MS, "and makes it live no longer");
    is_int(refusals(), 0, "it is no refusal");
    net_down();
}

/* Whichever allocation fails: at worst that connection is lost, and nobody is taken for
 * another. */
static void test_no_memory(void)
{
    struct conn *conn;
    int closed = 0;

    peer_options.proxies = &proxies;
    conn = speaker_up(0, 0);
    nomem_nth = 1;
    is_int(proxy_begin(conn, NET_PROXY), -1, "no memory to begin with");
    ok(nomem_nth == 0 && !conn->veiled, "nothing is between");
    net_down();
    for (int nth = 1; nth <= 4; nth++) { /* what has come, its address, and who counts it */
        conn = up();
        if (send(peer_fd, V1 "hello", strlen(V1 "hello"), MSG_NOSIGNAL) < 0)
            abort();
        nomem_nth = nth;
        event_base_loop(base, EVLOOP_NONBLOCK);
        nomem_nth = 0;
        if (ninput == 0) {
            closed++;
            ok(ngone == 1 && last_why == CLOSE_NO_MEMORY && is_closed(), "%d: closed", nth);
        } else {
            is_str(peer_of(conn), "203.0.113.9:56324", "taken for who it is");
        }
        net_down();
    }
    is_int(closed, 2, "two of these it cannot do without");
}

static void test_late(void)
{
    struct conn *conn = up();

    say_text("PROXY TCP4 ");
    conn->due_ms = clock_ms() - 1;
    conn_timeout(&conn->timer, clock_ms(), net);
    ok(is_closed(), "half a header, and its time is over");
    is_int((long)net->stats.proxy_refused[PROXY_INCOMPLETE], 1, "counted");
    net_down();
    peer_options.proxies = NULL;
    conn = speaker_up(0, 0);
    proxy_begin(conn, NET_PROXY);
    say_text(V1);
    is_int((long)net->stats.proxy_refused[PROXY_UNTRUSTED], 1, "nobody is believed");
    net_down();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    log_begin_at(LOG_LEVEL_INFO);
    test_taken();
    test_limit();
    test_bytewise();
    test_long();
    test_local();
    test_refused();
    test_flood();
    test_probe();
    test_reset();
    test_closed();
    test_no_memory();
    test_late();
    log_end();
    event_base_free(base);
    return tap_done();
}
