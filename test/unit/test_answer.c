/* What answers say: of the connection, of caches and browsers, of what the client has
 * already; and that none is begun while the one before it leaves. */
#include "http/http.h"

#include "peer.h"

#include <signal.h>

#define SNDBUF 4608 /* the least that Linux gives */

static struct http *http;
static struct conn *conn;
static int nrequests;
static char large[300000];

/* --- the application -------------------------------------------------------------- */

static void on_request(struct conn *of, const struct http_request *req, size_t head_len)
{
    (void)head_len;
    nrequests++;
    if (slice_eq(req->path, SLICE("/n/only-get")))
        answer_method(of, "GET");
    else
        answer(of, 200, "text/plain", req->path);
}

static void on_body(struct conn *of, int status)
{
    (void)of;
    (void)status;
}

static void on_ready(struct conn *of)
{
    (void)of;
}

static void on_lost(struct conn *of, enum close_reason why)
{
    (void)of;
    (void)why;
}

static void on_error(struct conn *of, enum http_fault fault)
{
    (void)fault;
    answer(of, 403, NULL, SLICE("no"));
}

static const struct http_app app = {
    .request = on_request,
    .body = on_body,
    .ready = on_ready,
    .lost = on_lost,
    .error = on_error,
};

static void up(char *const *origins, int credentials, int sndbuf)
{
    struct http_options options = {.path = "/n/",
                                   .limits = {1024, 20},
                                   .idle_timeout_ms = 30000,
                                   .origins = origins,
                                   .credentials = credentials,
                                   .client_file = {large, sizeof(large)}};

    peer_options.send_buffer = 1000000;
    net_up(NULL, NULL);
    http = http_new(net, &options);
    http_serves(http, &app, NULL);
    conn = conn_up(sndbuf);
    nrequests = 0;
}

static void down(void)
{
    peer_close();
    net_kill_all(net, CLOSE_SHUTDOWN);
    http_free(&http);
    net_free(&net);
}

static void ask(const char *target, const char *headers)
{
    char text[1024];

    say(text, (size_t)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", target,
                               headers));
}

static int says(const char *text)
{
    return strstr(heard, text) != NULL;
}

/* --- ------------------------------------------------------------------------------ */

/* A client that has the file is told so, in a head alone. */
static void test_client_file(void)
{
    char has[128];

    up(NULL, 0, 0);
    ask("/n/socket.io.js", "");
    hear();
    ok(says("HTTP/1.1 200 ") && says("Content-Length: 300000\r\n"), "the file, and its length");
    ok(says(http->etag), "with its tag");
    snprintf(has, sizeof(has), "If-None-Match: W/\"x\", %s\r\n", http->etag);
    ask("/n/socket.io.js", has);
    hear();
    ok(says("HTTP/1.1 304 "), "who has it is told so");
    ok(!says("Content-Length"), "without a length, which would be that of the whole");
    ok(nheard > 4 && memcmp(heard + nheard - 4, "\r\n\r\n", 4) == 0, "and without the file");
    ask("/n/socket.io.js", "If-None-Match: *\r\n");
    hear();
    ok(says("HTTP/1.1 304 "), "any tag is one of them");
    ask("/n/socket.io.js", "If-None-Match: \"other\"\r\n");
    hear();
    ok(says("HTTP/1.1 200 "), "another is not");
    down();
}

static void test_method(void)
{
    up(NULL, 0, 0);
    ask("/n/only-get", "");
    hear();
    ok(says("HTTP/1.1 405 ") && says("Allow: GET\r\n"), "a method that is not taken");
    ok(says("Connection: close\r\n"), "is the last that is asked");
    is_int(is_closed(), 1, "of this connection");
    down();
}

/* Who may come, and what caches have to tell apart. */
static void test_origins(void)
{
    static char one[] = "https://app.example", any[] = "*";
    static char *list[] = {one, NULL}, *all[] = {any, NULL};

    up(list, 0, 0);
    ask("/n/", "");
    hear();
    ok(says("Vary: Origin\r\n") && !says("Allow-Origin"),
       "an answer without an Origin is for no other");
    ask("/n/", "Origin: https://app.example\r\n");
    hear();
    ok(says("Vary: Origin\r\n") && says("Allow-Origin: https://app.example\r\n"), "one's own");
    ask("/n/", "Origin: https://evil.example\r\n");
    hear();
    ok(says("Vary: Origin\r\n") && !says("Allow-Origin"), "a foreign one is not allowed");
    down();
    up(all, 0, 0);
    ask("/n/", "Origin: https://evil.example\r\n");
    hear();
    ok(says("Allow-Origin: *\r\n") && !says("Vary"), "where all may come all answers are the same");
    down();
    up(all, 1, 0);
    ask("/n/", "Origin: https://evil.example\r\n");
    hear();
    ok(says("Vary: Origin\r\n") && says("Allow-Origin: https://evil.example\r\n") &&
           says("Allow-Credentials: true\r\n"),
       "with credentials each has its own");
    down();
}

/* The head of the first comes in two parts, and is longer than the second. */
static void test_scanned(void)
{
    up(NULL, 0, 0);
    say("GET /n/a-long-name-that-is-longer-than-all-of-the-next HTTP/1.1\r\nHost: h\r\nA: b\r\n",
        80);
    hear();
    is_int(nrequests, 0, "a part of a head");
    say("\r\nGET /n/b HTTP/1.1\r\nHost: h\r\n\r\n", 32);
    hear();
    ok(says("\r\n\r\n/n/b"), "its end, and a shorter one behind it");
    is_int(nrequests, 2, "both are asked");
    down();
}

static void test_next_waits(void)
{
    up(NULL, 0, SNDBUF);
    ask("/n/socket.io.js", "");
    ok(conn->blocked, "a large answer leaves");
    ask("/n/next", "");
    is_int(nrequests, 0, "what is asked next waits for it");
    hear();
    ok(says("Content-Length: 300000\r\n"), "it has left");
    is_int(nrequests, 1, "then it is asked");
    down();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    memset(large, 'x', sizeof(large));
    test_client_file();
    test_method();
    test_origins();
    test_scanned();
    test_next_waits();
    event_base_free(base);
    return tap_done();
}
