/* From polling to WebSocket, and what a session that polls keeps through it; on real
 * connections, with an application that is made up. */
#include "eio/upgrade.h"

#include "eio/polling.h"
#include "eio/session.h"
#include "eio/websocket.h"
#include "peer.h"

#include <signal.h>

#define WS                                                                                         \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define SNDBUF  4608 /* the least that Linux gives */
#define PAYLOAD 1000

static struct http *http;
static struct eio *eio;
static struct session *session;
static char sid[EIO_SID_LEN + 1], input[1024];
static int nclosed, upgrades_at_message;
static enum close_reason closed_why;

static struct session *on_make(void *arg)
{
    (void)arg;
    return calloc(1, sizeof(struct session));
}

static void on_release(struct session *of, void *arg)
{
    (void)arg;
    if (of == session)
        session = NULL;
    free(of);
}

static int on_opened(struct session *of, const struct http_request *req, const struct address *peer,
                     void *arg)
{
    (void)req;
    (void)peer;
    (void)arg;
    session = of;
    return 0;
}

static void on_message(struct session *of, int binary, struct slice data, void *arg)
{
    (void)binary;
    (void)arg;
    snprintf(input + strlen(input), sizeof(input) - strlen(input), "%.*s ", (int)data.len,
             data.ptr);
    if (upgrades_at_message && of->polling != NULL && of->polling->probe != NULL)
        upgrade_input(of->polling->probe, 0, SLICE("5"));
}

static int on_due(struct session *of, uint64_t now_ms, void *arg)
{
    (void)of;
    (void)now_ms;
    (void)arg;
    return 0;
}

static void on_closed(struct session *of, enum close_reason why, void *arg)
{
    (void)of;
    (void)arg;
    nclosed++;
    closed_why = why;
}

static const struct eio_app app = {
    .make = on_make,
    .release = on_release,
    .opened = on_opened,
    .message = on_message,
    .due = on_due,
    .closed = on_closed,
};

/* --- clients ---------------------------------------------------------------------- */

static int clients[8], nclients;

/* A connection of its own; the one before it stays. */
static struct conn *dial(int sndbuf)
{
    struct conn *conn = conn_up(sndbuf);

    clients[nclients++] = peer_fd;
    return conn;
}

static void ask(const char *method, const char *query, const char *rest)
{
    char text[2048];
    int n = snprintf(text, sizeof(text), "%s /n/?EIO=4&%s HTTP/1.1\r\nHost: h\r\n%s", method, query,
                     rest);

    say(text, (size_t)n);
}

static const char *with_sid(const char *transport)
{
    static char query[128];

    snprintf(query, sizeof(query), "transport=%s&sid=%s", transport, sid);
    return query;
}

static struct conn *get(void)
{
    struct conn *conn = dial(0);

    ask("GET", with_sid("polling"), "\r\n");
    return conn;
}

static struct conn *websocket(void)
{
    struct conn *conn = dial(0);

    ask("GET", with_sid("websocket"), WS "\r\n");
    return conn;
}

static void frame(const char *text)
{
    char bytes[256] = {(char)0x81, (char)(0x80 | strlen(text))}; /* masked with zeros */

    memcpy(bytes + 6, text, strlen(text));
    say(bytes, 6 + strlen(text));
}

/* A session that polls and has had its open packet. */
static struct conn *up(void)
{
    static const struct http_options http_options = {.path = "/n/", .limits = {4096, 30}};
    static const struct eio_options options = {.polling = 1,
                                               .websocket = 1,
                                               .ping_interval_ms = 25000,
                                               .ping_timeout_ms = 20000,
                                               .upgrade_timeout_ms = 10000,
                                               .max_payload = PAYLOAD};
    struct conn *conn;

    net_up(NULL, NULL);
    http = http_new(net, &http_options);
    eio = eio_new(http, &options, &app, NULL);
    session = NULL;
    nclosed = nclients = upgrades_at_message = 0;
    input[0] = '\0';
    conn = dial(0);
    ask("GET", "transport=polling", "\r\n");
    hear();
    if (session == NULL)
        abort();
    session_sid(session, sid);
    return conn;
}

static void down(void)
{
    while (nclients > 0)
        close(clients[--nclients]);
    peer_fd = -1;
    net_kill_all(net, CLOSE_SHUTDOWN);
    eio_free(&eio);
    http_free(&http);
    net_free(&net);
}

/* --- ------------------------------------------------------------------------------ */

static void test_upgrade(void)
{
    struct conn *conn;

    up();
    session_send(session, SLICE("waits"));
    conn = websocket();
    ok(session->polling->probe == conn, "a WebSocket comes");
    frame("2probe");
    hear();
    ok(memmem(heard, nheard, "3probe", 6) != NULL, "and is answered");
    frame("5");
    hear();
    ok(session->ws == conn && session->polling == NULL, "it takes over");
    ok(memmem(heard, nheard, "4waits", 6) != NULL, "what waited comes over it");
    is_int((long)eio->stats.upgrades, 1, "counted");
    is_int((long)eio->stats.sessions[EIO_WEBSOCKET][1], 1, "as what it is now");
    down();
}

static void test_second(void)
{
    struct conn *first;

    up();
    first = websocket();
    websocket();
    ok(session->polling->probe == first, "a second WebSocket does not take the first one's place");
    hear();
    is_int(is_closed(), 1, "it is closed");
    is_int((long)eio->stats.upgrades_failed, 1, "and counted");
    down();
}

/* Its rest would come to nobody. */
static void test_post_in_part(void)
{
    int post;

    up();
    dial(0);
    post = peer_fd;
    ask("POST", with_sid("polling"), "Content-Length: 10\r\n\r\n4half");
    ok(session->polling->post != NULL, "a part of a POST");
    websocket();
    frame("2probe");
    frame("5");
    ok(session->ws != NULL, "the session goes on over WebSocket");
    peer_fd = post;
    is_int(is_closed(), 1, "the POST is over");
    is_int(nclosed, 0, "the session is not");
    down();
}

/* What follows in the payload is not for a session that polls no more. */
static void test_upgrade_within_post(void)
{
    up();
    websocket();
    frame("2probe");
    upgrades_at_message = 1;
    dial(0);
    ask("POST", with_sid("polling"),
        "Content-Length: 5\r\n\r\n4a\x1e"
        "4b");
    is_str(input, "a ", "the packets of a POST up to the upgrade");
    ok(session->ws != NULL, "which happened within it");
    down();
}

static void test_too_large(void)
{
    up();
    dial(0);
    ask("POST", with_sid("polling"), "Transfer-Encoding: chunked\r\n\r\n7d0\r\n");
    hear();
    ok(strstr(heard, "HTTP/1.1 413 ") == heard, "a body that is too large is refused");
    is_int(nclosed, 0, "and costs the session nothing");
    dial(0);
    ask("POST", with_sid("polling"), "Transfer-Encoding: chunked\r\n\r\nx\r\n");
    hear();
    ok(strstr(heard, "HTTP/1.1 400 ") == heard, "one that is malformed");
    is_int(nclosed, 1, "costs it its life: packets are lost");
    down();
}

/* What has not left of an answer is lost, and the client could not tell. */
static void test_cut_answer(void)
{
    static char large[90000];
    struct conn *conn;

    up();
    session_known(session); /* of a stranger not so much may wait */
    memset(large, 'x', sizeof(large));
    session_send(session, (struct slice){large, sizeof(large)});
    conn = dial(SNDBUF);
    ask("GET", with_sid("polling"), "\r\n");
    turns(3);
    ok(conn->blocked && conn->leaving != 0, "an answer leaves");
    close(peer_fd);
    nclients--;
    turns(3);
    is_int(nclosed, 1, "its connection breaks: the session is over");
    is_int(closed_why, CLOSE_CLIENT, "for that");
    down();
}

/* The application hears of the end once, though the client is told of it later. */
static void test_told_once(void)
{
    up();
    session_send(session, SLICE("first"));
    session_close(session, WS_CLOSE_NONE, CLOSE_EXPIRED);
    is_int(nclosed, 1, "it is over, and the application knows");
    ok(session != NULL && session->over, "what waits is still to be fetched");
    get();
    hear();
    ok(strstr(heard, "4first") != NULL, "as it is");
    get();
    hear();
    ok(strstr(heard, "\r\n\r\n1") != NULL, "then that it is over");
    ok(session == NULL, "and it is freed");
    is_int(nclosed, 1, "the application has heard of it once");
    is_int((long)eio->stats.closed[CLOSE_EXPIRED], 1, "and it is counted once");
    down();
}

/* That it was away is not our delay. */
static void test_latency(void)
{
    up();
    session_send(session, SLICE("waits"));
    session->polling->stamp = stamp_of(clock_us() - 100000000);
    get();
    hear();
    ok(strstr(heard, "4waits") != NULL, "it comes for what waited");
    ok(net->stats.latency.sum_us < 50000000, "which is as old as its GET: %llu us",
       (unsigned long long)net->stats.latency.sum_us);
    is_int((long)net->stats.latency.buckets[LATENCY_BUCKETS - 1], 0, "no observation of 100 s");
    down();
}

/* The connection over which it was opened waits for its next GET. */
static void test_known(void)
{
    struct conn *conn = up();

    is_int(conn->stranger, 1, "a stranger's connection");
    is_int((long)net->stats.strangers[STRANGER_SOCKET], 1, "has a place");
    session_known(session);
    is_int(conn->stranger, 0, "a user's has not");
    is_int((long)net->stats.strangers[STRANGER_SOCKET], 0, "the place is free");
    is_int((long)net->stats.strangers[STRANGER_POLLING], 0, "and the session's, too");
    down();
}

/* Each of its characters counts. */
static void test_id(void)
{
    up();
    ok(session_by_sid(eio, slice_str(sid)) == session, "found by its id");
    for (int i = 0; i < EIO_SID_LEN; i++) {
        char was = sid[i];
        sid[i] = was == 'A' ? 'B' : 'A';
        ok(session_by_sid(eio, slice_str(sid)) == NULL, "another character %d: not", i);
        sid[i] = was;
    }
    down();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_upgrade();
    test_second();
    test_post_in_part();
    test_upgrade_within_post();
    test_too_large();
    test_cut_answer();
    test_told_once();
    test_latency();
    test_known();
    test_id();
    event_base_free(base);
    return tap_done();
}
