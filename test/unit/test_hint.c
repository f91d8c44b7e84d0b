#include "base/clock.h"
#include "http/http.h"
#include "loopback.h"
#include "tap.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct http http;
static struct net net = {.upper = &http};
static struct conn conn = {.net = &net};
static char file[] = "/tmp/test_hint.XXXXXX";
static char from[64]; /* "address=127.0.0.1:PORT" of conn */

/* How many lines of the log hold text. */
static int logged(const char *text)
{
    char line[1024];
    int n = 0;
    FILE *in = fopen(file, "r");

    while (in != NULL && fgets(line, sizeof(line), in) != NULL)
        n += strstr(line, text) != NULL;
    if (in != NULL)
        fclose(in);
    return n;
}

static const struct http_request *request(const char *text)
{
    static const struct http_limits limits = {4096, 100};
    static struct http_request req;
    size_t scanned = 0;

    if (http_parse(&req, text, strlen(text), &limits, &scanned) <= 0)
        abort();
    return &req;
}

static void bytes(const char *what, size_t len)
{
    unsigned char *guarded = tap_guard(what, len);

    hint_bytes(&conn, guarded, len);
    tap_guard_free(guarded, len);
}

static void connect_conn(void)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t len = sizeof(own);
    int port, listener = loopback_listen(0, &port), fd = loopback_dial(port);

    conn.fd = accept(listener, NULL, NULL);
    getsockname(fd, (struct sockaddr *)&own, &len);
    snprintf(from, sizeof(from), "address=127.0.0.1:%d", ntohs(own.sin_port));
    close(listener);
}

/* A line that holds text and the address, for the first time. */
static void said(const char *text)
{
    char line[512];

    snprintf(line, sizeof(line), " info test[%d]: %s %s times=1\n", (int)getpid(), text, from);
    is_int(logged(line), 1, text);
}

static void test_paths(void)
{
    hint_path(&conn, request("GET /socket.io/\xc3\xa9?EIO=4&transport=polling HTTP/1.0\r\n\r\n"));
    said("request for another path: path=/socket.io/\\xc3\\xa9 served=/notifications/");
    for (int i = 0; i < 5; i++)
        hint_path(&conn, request("GET /other?transport=polling HTTP/1.0\r\n\r\n"));
    is_int(logged("/other"), 0, "no more for now");
    hint_path(&conn, request("GET /favicon.ico HTTP/1.0\r\n\r\n"));
    said("request for another path: path=/favicon.ico served=/notifications/");
    http.hints[HINT_PATH].next_ms = http.hints[HINT_PROBE].next_ms = 0;
    hint_path(&conn, request("GET /later?transport=polling HTTP/1.0\r\n\r\n"));
    is_int(logged("path=/later") && logged("times=6"), 1, "they are counted");
    ok(http.hints[HINT_PATH].next_ms < clock_ms() + 61000, "a line a minute");
    hint_path(&conn, request("GET / HTTP/1.0\r\n\r\n"));
    ok(http.hints[HINT_PROBE].next_ms > clock_ms() + 3000000,
       "what no Socket.IO client asks for has one an hour");
}

static void test_bytes(void)
{
    static const char proxy2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11";

    bytes("", 0);
    bytes("\x80", 1);
    bytes("\x16\x04", 2);
    bytes("PROX", 4);
    bytes("PROXX TCP4", 10);
    bytes("\r\n\r\n", 4);
    bytes("\r\n\r\n\0\r\nQUIC\n", 12);
    bytes("GET / HTTP/9", 12);
    is_int(logged("plain HTTP"), 0, "nothing is said of what is not known");
    bytes("\x16", 1);
    said("TLS on a port for plain HTTP:");
    bytes("\x16\x03\x01\x02\x00", 5);
    http.hints[HINT_TLS].next_ms = 0;
    bytes("\x16\x03\x01\x02\x00", 5);
    is_int(logged("times=2"), 1, "TLS, its first byte or all of it");
    bytes("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", 36);
    said("PROXY header on a listener without proxyProtocol:");
    for (size_t n = 5; n < sizeof(proxy2); n++) {
        http.hints[HINT_PROXY] = (struct log_every){0, 0};
        bytes(proxy2, n);
    }
    is_int(logged("PROXY header on"), 1 + (int)sizeof(proxy2) - 5,
           "the binary form, or part of it");
    http.hints[HINT_PROXY] = (struct log_every){0, 0};
    conn.greeted = 1;
    bytes("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", 36);
    said("second PROXY header on a connection:");
    conn.greeted = 0;
}

static void test_requests(void)
{
    hint_upgrade(&conn, request("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    said("WebSocket request without its upgrade: a proxy has to pass on Upgrade and Connection:");
    http.hints[HINT_UPGRADE] = (struct log_every){0, 0};
    hint_upgrade(&conn, request("GET / HTTP/1.0\r\n\r\n"));
    said("WebSocket over HTTP/1.0: a proxy has to pass requests on as HTTP/1.1:");
    hint_origin(&conn, request("GET / HTTP/1.0\r\nOrigin: https://e vil\r\n\r\n"));
    said("request of a page that may not: origin=https://e\\x20vil site=-");
    http.hints[HINT_ORIGIN] = (struct log_every){0, 0};
    hint_origin(&conn, request("GET / HTTP/1.0\r\nSec-Fetch-Site: cross-site\r\n\r\n"));
    said("request of a page that may not: origin=- site=cross-site");
}

static void test_forwarded(void)
{
    static const char line[] = "X-Forwarded-For or Forwarded by none of proxies does not count:";

    hint_forwarded(&conn, request("GET / HTTP/1.0\r\nX-Forwarded: for=::1\r\n\r\n"));
    is_int(logged(line), 0, "another header");
    hint_forwarded(&conn, request("GET / HTTP/1.0\r\nX-Forwarded-For: ::1\r\n\r\n"));
    said(line);
    ok(http.hints[HINT_FORWARDED].next_ms > clock_ms() + 3000000, "a line an hour");
    http.hints[HINT_FORWARDED] = (struct log_every){0, 0};
    hint_forwarded(&conn, request("GET / HTTP/1.0\r\nforwarded: for=::1\r\n\r\n"));
    is_int(logged(line), 2, "either of them");
}

static void test_levels(void)
{
    log_set_level(LOG_LEVEL_DEBUG);
    hint_origin(&conn, request("GET / HTTP/1.0\r\nOrigin: https://again\r\n\r\n"));
    is_int(logged("debug test[") && logged("origin=https://again site=- address="), 1,
           "at debug each has a line");
    log_set_level(LOG_LEVEL_INFO);
}

int main(void)
{
    close(mkstemp(file));
    log_name("test", 0);
    if (log_open(LOG_TO_FILE, file, LOG_TEXT) < 0)
        return 1;
    http.options.path = "/notifications/";
    connect_conn();
    test_paths();
    test_bytes();
    test_requests();
    test_forwarded();
    test_levels();
    unlink(file);
    (void)log_open(LOG_TO_STDERR, NULL, LOG_TEXT);
    close(conn.fd);
    return tap_done();
}
