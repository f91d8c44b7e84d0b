/* Whose request it is, on connections that proxies keep, with an application that says it. */
#include "http/http.h"
#include "ipc/handoff.h"
#include "nomem_nth.h"
#include "peer.h"

#include <signal.h>

static struct http *http;
static struct conn *conn;
static struct network trusted[2];
static struct networks proxies = {.at = trusted, .n = 2};
static enum forwarded_header header;
static struct handoff_conn handed;
static int hands_over;

static void on_request(struct conn *of, const struct http_request *req, size_t head_len)
{
    char from[ADDRESS_TEXT_MAX], text[ADDRESS_TEXT_MAX + 16];

    (void)req;
    (void)head_len;
    if (hands_over) {
        exchange_hand_over(of, 5);
        return;
    }
    conn_peer_text(of, from);
    snprintf(text, sizeof(text), "[%s%s]", from, of->secure ? " secure" : "");
    answer(of, 200, "text/plain", slice_str(text));
}

static void on_lost(struct conn *of, enum close_reason why)
{
    (void)of;
    (void)why;
}

static const struct http_app http_app = {.request = on_request, .lost = on_lost};

static int on_handoff(uint32_t process, int fd, const struct handoff_conn *known, const void *bytes,
                      size_t len, void *arg)
{
    (void)process;
    (void)fd;
    (void)bytes;
    (void)len;
    (void)arg;
    handed = *known;
    return 0;
}

/* A connection from there ("": a Unix socket), as if a PROXY header or another worker had
 * said it. */
static void up(const char *from)
{
    struct http_options options = {.path = "/",
                                   .limits = {4096, 30},
                                   .idle_timeout_ms = 30000,
                                   .proxy_header = header,
                                   .handoff = on_handoff};
    struct address address = {0};

    peer_options.proxies = &proxies;
    net_up(NULL, NULL);
    http = http_new(net, &options);
    http_serves(http, &http_app, NULL);
    conn = conn_up(0);
    if (*from != '\0' && address_parse_ip(&address, slice_str(from)) < 0)
        abort();
    address.port = 99;
    if (*from != '\0')
        conn_set_peer(conn, &address);
}

static void down(void)
{
    peer_close();
    net_kill_all(net, CLOSE_SHUTDOWN);
    http_free(&http);
    net_free(&net);
}

/* A request with those header lines, and what the application says of it. */
static const char *ask(const char *lines)
{
    char text[1024], *begin, *end;

    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", lines);
    say(text, strlen(text));
    hear();
    begin = strchr(heard, '[');
    end = strrchr(heard, ']');
    if (begin == NULL || end == NULL)
        return heard;
    *end = '\0';
    return begin + 1;
}

#define XFF   "X-Forwarded-For: 203.0.113.9\r\n"
#define HTTPS "X-Forwarded-Proto: https\r\n"
#define FWD   "Forwarded: for=203.0.113.8;proto=https\r\n"

static void test_not_a_proxy(void)
{
    up("198.51.100.1");
    is_str(ask(""), "198.51.100.1:99", "a client");
    is_str(ask(XFF HTTPS), "198.51.100.1:99", "nobody else is believed");
    is_str(ask(FWD), "198.51.100.1:99", "whatever it says");
    is_int(conn->relayed, 0, "it is no proxy's");
    down();
    up("");
    is_str(ask(XFF HTTPS), "unix", "nor is a Unix socket");
    down();
}

static void test_proxy(void)
{
    up("10.0.0.1");
    is_str(ask(XFF), "203.0.113.9", "its client");
    is_int(conn->relayed, 1, "what is said of it is its request's");
    is_str(ask("X-Forwarded-For: 203.0.113.7\r\n" HTTPS), "203.0.113.7 secure", "another one");
    is_str(ask("X-Forwarded-For: 203.0.113.7\r\n"), "203.0.113.7", "again, and not over HTTPS");
    is_str(ask(""), "10.0.0.1:99", "the proxy's own request");
    is_str(ask(HTTPS), "10.0.0.1:99 secure", "which may be secure");
    is_str(ask("X-Forwarded-For: 203.0.113.9, unknown\r\n"), "10.0.0.1:99", "nobody is named");
    is_str(ask(FWD), "203.0.113.8 secure", "the other header");
    is_str(ask("X-Forwarded-For: 203.0.113.9, 10.0.0.2\r\n"), "203.0.113.9", "two proxies");
    is_str(ask("X-Forwarded-For: 1.1.1.1, 203.0.113.9\r\n"), "203.0.113.9",
           "what the client has made up");
    down();
}

static void test_header(void)
{
    header = FORWARDED_STANDARD;
    up("10.0.0.1");
    is_str(ask(XFF), "10.0.0.1:99", "the one that is not looked at");
    is_str(ask(FWD), "203.0.113.8 secure", "the one that is");
    header = FORWARDED_EITHER;
    http_configure(http, &(struct http_options){.limits = {4096, 30}, .proxy_header = header});
    is_str(ask(XFF), "203.0.113.9", "from a reload on both are");
    down();
}

static void test_unix(void)
{
    proxies.unix_too = 1;
    up("");
    is_str(ask(XFF), "203.0.113.9", "a proxy over a Unix socket");
    is_str(ask(""), "unix", "its own request");
    down();
    proxies.unix_too = 0;
}

/* The connection has been encrypted all the way here. */
static void test_secure(void)
{
    up("10.0.0.1");
    conn->secure = 1;
    is_str(ask(XFF), "203.0.113.9 secure", "as the connection is");
    is_str(ask(XFF "X-Forwarded-Proto: http\r\n"), "203.0.113.9",
           "unless the proxy says otherwise");
    is_str(ask(""), "10.0.0.1:99 secure", "of that request");
    down();
}

/* Who is believed is another after a reload. */
static void test_reload(void)
{
    struct networks nobody = {.at = trusted, .n = 0};

    up("10.0.0.1");
    is_str(ask(XFF HTTPS), "203.0.113.9 secure", "believed");
    net->options.proxies = &nobody;
    is_str(ask(XFF HTTPS), "10.0.0.1:99", "not any more");
    is_int(conn->relayed, 0, "it is a client like others");
    net->options.proxies = &proxies;
    is_str(ask(XFF HTTPS), "203.0.113.9 secure", "again");
    net->options.proxies = NULL;
    is_str(ask(XFF HTTPS), "10.0.0.1:99", "nobody ever is");
    down();
}

/* Another worker is told whose the connection is, and reads the request itself. */
static void test_hand_over(void)
{
    char text[ADDRESS_TEXT_MAX];

    up("10.0.0.1");
    is_str(ask(XFF HTTPS), "203.0.113.9 secure", "one request");
    hands_over = 1;
    ask(XFF HTTPS);
    is_str(address_text(&handed.peer, text), "10.0.0.1:99", "the proxy's connection is passed on");
    ok(handed.known && !handed.secure, "as it is");
    down();
    proxies.unix_too = 1;
    up("");
    ask(XFF HTTPS);
    ok(!handed.known && !handed.secure, "where the kernel knows, it is asked again");
    down();
    proxies.unix_too = hands_over = 0;
}

/* Whichever allocation fails, a request is of its client, or it is refused. */
static void test_no_memory(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\n" XFF "\r\n";
    int refused = 0, lost = 0;

    for (int nth = 1; nth <= 8; nth++) {
        up(nth % 2 ? "10.0.0.1" : "");
        proxies.unix_too = 1;
        if (send(peer_fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
            abort();
        nomem_nth = (nth + 1) / 2;
        event_base_loop(base, EVLOOP_NONBLOCK);
        nomem_nth = 0;
        hear();
        refused += strncmp(heard, "HTTP/1.1 503 ", 13) == 0;
        lost += nheard == 0;
        ok(nheard == 0 || strncmp(heard, "HTTP/1.1 503 ", 13) == 0 ||
               strstr(heard, "[203.0.113.9]") != NULL,
           "%d: nobody is taken for another", nth);
        down();
        proxies.unix_too = 0;
    }
    ok(refused > 0, "%d were refused, %d lost", refused, lost);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    network_parse(&trusted[0], SLICE("10.0.0.0/8"));
    network_parse(&trusted[1], SLICE("fd00::/8"));
    test_not_a_proxy();
    test_proxy();
    test_header();
    test_unix();
    test_secure();
    test_reload();
    test_hand_over();
    test_no_memory();
    event_base_free(base);
    return tap_done();
}
