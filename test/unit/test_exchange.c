/* The requests of a connection, with an application that is made up: what it is asked, in
 * which order, and what becomes of the connection. */
#include "http/http.h"
#include "ipc/handoff.h"
#include "peer.h"

#include <signal.h>

static struct http *http;
static struct conn *conn;
static char log_text[4096]; /* what the application was asked */
static int app;             /* http_app's arg */
static enum { ANSWER, WAIT, BODY, HAND_OVER, LEAVE, CHECK } does;
static size_t body_max;
static int handoff_result, nhanded, handed_len;
static struct handoff_conn handed;
static uint32_t handed_to;
static char left[4096];

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *fmt, ...)
{
    size_t at = strlen(log_text);
    va_list args;

    va_start(args, fmt);
    vsnprintf(log_text + at, sizeof(log_text) - at, fmt, args);
    va_end(args);
}

/* --- another speaker --- */

static const struct conn_ops *next_speaker = &speaker;

/* --- the application --- */

static void reply(struct conn *to)
{
    struct buf *data = &exchange_of(to)->data;

    answer(to, 200, "text/plain", (struct slice){(char *)data->data, data->len});
}

static void on_request(struct conn *of, const struct http_request *req, size_t head_len)
{
    struct buf in = {0};

    note("%.*s%.*s ", (int)req->method.len, req->method.ptr, (int)req->path.len, req->path.ptr);
    switch (does) {
    case ANSWER:
        answer(of, 200, "text/plain", req->path);
        break;
    case WAIT:
        exchange_wait(of);
        break;
    case BODY:
        if (exchange_check_body(of, req, body_max) == 0 && exchange_body(of, req))
            reply(of);
        break;
    case HAND_OVER:
        exchange_hand_over(of, 5);
        break;
    case LEAVE:
        exchange_leave(of, &in);
        of->ops = next_speaker;
        of->streams = 1;
        snprintf(left, sizeof(left), "%.*s", (int)(in.len - head_len), in.data + head_len);
        buf_free(&in);
        break;
    case CHECK:
        break;
    }
}

static void on_body(struct conn *of, int status)
{
    note("body%d ", status);
    if (status == 0)
        reply(of);
}

static void on_ready(struct conn *of)
{
    note("ready ");
    if (does == ANSWER)
        answer(of, 200, NULL, SLICE("now"));
}

static void on_lost(struct conn *of, enum close_reason why)
{
    note("lost%d%s ", (int)why, of->leaving != 0 ? "!" : "");
}

static void on_error(struct conn *of, enum http_fault fault)
{
    note("error%d ", (int)fault);
    answer(of, fault == HTTP_FORBIDDEN ? 403 : 400, NULL, SLICE("words"));
}

static const struct http_app http_app = {
    .request = on_request,
    .body = on_body,
    .ready = on_ready,
    .lost = on_lost,
    .error = on_error,
};

static int on_handoff(uint32_t process, int fd, const struct handoff_conn *known, const void *bytes,
                      size_t len, void *arg)
{
    (void)fd;
    (void)bytes;
    is_int(arg == &app, 1, "whose processes they are");
    if (handoff_result != 0)
        return handoff_result;
    nhanded++;
    handed_to = process;
    handed = *known;
    handed_len = (int)len;
    return 0;
}

static void up(void)
{
    static char *origins[] = {(char *)(uintptr_t) "https://app.example", NULL};
    static const struct http_options options = {.path = "/n/",
                                                .limits = {1024, 10},
                                                .idle_timeout_ms = 30000,
                                                .origins = origins,
                                                .credentials = 1,
                                                .client_file = {"file", 4},
                                                .name = "axr",
                                                .version = "1",
                                                .handoff = on_handoff,
                                                .handoff_arg = &app};

    net_up(NULL, NULL);
    http = http_new(net, &options);
    http_serves(http, &http_app, NULL);
    conn = conn_up(0);
    does = ANSWER;
    body_max = 100;
    log_text[0] = '\0';
    handoff_result = nhanded = 0;
}

static void down(void)
{
    peer_close();
    net_kill_all(net, CLOSE_SHUTDOWN);
    http_free(&http);
    net_free(&net);
}

static void ask(const char *text)
{
    say(text, strlen(text));
}

/* How many answers have come since the last hear(). */
static int answers(void)
{
    int n = 0;

    hear();
    for (const char *at = heard; (at = strstr(at, "HTTP/1.1 ")) != NULL; at++)
        n++;
    return n;
}

/* --- one after the other --- */

static void test_requests(void)
{
    up();
    ask("GET /n/a HTTP/1.1\r\nHost: h\r\n\r\n");
    is_int(answers(), 1, "a request, an answer");
    ok(strstr(heard, "200 OK") != NULL && strstr(heard, "Content-Length: 4\r\n") != NULL,
       "with its length");
    ok(strstr(heard, "Connection:") == NULL, "HTTP/1.1 goes on, unsaid");
    ok(conn->input == NULL, "an idle connection has no exchange");
    ok(conn->due_ms > clock_ms() + 25000 && conn->due_ms <= clock_ms() + 30000, "and idleTimeout");
    ask("GET /n/b HTTP/1.1\r\nHost: h\r\n\r\nGET /n/c HTTP/1.1\r\nHost: h\r\n\r\nGET /n/");
    is_int(answers(), 2, "two at once, two answers");
    is_str(log_text, "GET/n/a GET/n/b GET/n/c ", "in order");
    ok(conn->due_ms <= clock_ms() + HEAD_MS, "half a head: its rest is due");
    ask("d HTTP/1.1\r\nHost: h\r\n\r\n");
    is_int(answers(), 1, "the rest of it");
    is_int((long)http->stats.requests, 4, "all are counted");
    down();
}

static void test_keep(void)
{
    static const struct {
        const char *head, *says;
        int ends;
    } rows[] = {
        {"GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n", NULL, 0},
        {"GET /n/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "Connection: close\r\n", 1},
        {"GET /n/ HTTP/1.0\r\nHost: h\r\n\r\n", "Connection: close\r\n", 1},
        {"GET /n/ HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
         "Connection: keep-alive\r\n", 0},
        {"GET /n/ HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "Connection: close\r\n", 1},
        {"GET /n/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "Connection: close\r\n", 1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        up();
        ask(rows[i].head);
        is_int(answers(), 1, "an answer");
        ok(rows[i].says == NULL ? strstr(heard, "Connection:") == NULL
                                : strstr(heard, rows[i].says) != NULL,
           "row %zu: what it says", i);
        is_int(is_closed(), rows[i].ends, "and does");
        down();
    }
}

/* A body that nobody reads is no request, and nothing behind it is one. */
static void test_smuggling(void)
{
    static const char inner[] = "GET /n/inner HTTP/1.1\r\nHost: h\r\n\r\n";
    static const char *const firsts[] = {
        "GET /n/",        "GET /status",          "OPTIONS /n/",   "GET /n/socket.io.js",
        "GET /elsewhere", "POST /n/socket.io.js", "DELETE /status"};
    char text[1024];

    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        for (int late = 0; late < 2; late++) {
            up();
            snprintf(text, sizeof(text),
                     "%s HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\nContent-Length: "
                     "%zu\r\n\r\n",
                     firsts[i], sizeof(inner) - 1);
            if (!late)
                strcat(text, inner);
            ask(text);
            is_int(answers(), 1, firsts[i]);
            ok(strstr(heard, "Connection: close\r\n") != NULL, "says that it is the last");
            if (late)
                send(peer_fd, inner, sizeof(inner) - 1, MSG_NOSIGNAL);
            is_int(answers(), 0, "one answer");
            ok(is_closed(), "and the end");
            ok(strstr(log_text, "inner") == NULL, "the body is not asked for");
            down();
        }
    }
}

/* --- bodies --- */

static void test_bodies(void)
{
    up();
    does = BODY;
    ask("POST /n/ HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    is_int(exchange_of(conn)->phase, EXCHANGE_BODY, "a part of a body");
    ok(conn->due_ms <= clock_ms() + HEAD_MS, "its rest is due");
    ask("lloGET");
    is_int(answers(), 1, "the rest");
    ok(strstr(heard, "\r\n\r\nhello") != NULL, "is all there");
    is_str(log_text, "POST/n/ body0 ", "the application is told of its end");
    ask(" /n/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    ok(strstr(hear(), "\r\n\r\nx") != NULL, "the request behind it");
    ask("POST /n/ HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    ok(strstr(hear(), "100 Continue") != NULL, "it is asked for");
    ask("ab");
    ok(strstr(hear(), "\r\n\r\nab") != NULL, "and comes");
    down();
}

static void test_body_limits(void)
{
    static const struct {
        const char *head;
        int status;
        const char *log;
    } rows[] = {
        {"Content-Length: 100\r\n\r\n", 0, "POST/n/ "},
        {"Content-Length: 101\r\n\r\n", 413, "POST/n/ "},
        {"Transfer-Encoding: chunked\r\n\r\nffff\r\n", 413, "POST/n/ body413 "},
        {"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "POST/n/ body400 "},
        {"Transfer-Encoding: gzip\r\n\r\n", 400, "POST/n/ "},
        {"Expect: tea\r\nContent-Length: 1\r\n\r\n", 417, "POST/n/ "},
    };
    char text[512], want[32];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        up();
        does = BODY;
        snprintf(text, sizeof(text), "POST /n/ HTTP/1.1\r\nHost: h\r\n%s", rows[i].head);
        ask(text);
        hear();
        snprintf(want, sizeof(want), "HTTP/1.1 %d ", rows[i].status);
        ok(rows[i].status == 0 ? nheard == 0 : strncmp(heard, want, strlen(want)) == 0,
           "row %zu: %d", i, rows[i].status);
        is_int(is_closed(), rows[i].status != 0, "and the end, or not");
        if (rows[i].status == 0)
            peer_close();
        turns(3);
        ok(strncmp(log_text, rows[i].log, strlen(rows[i].log)) == 0, "what the application hears");
        is_int(strstr(log_text, "body") != NULL, strstr(rows[i].log, "body") != NULL,
               "and no more");
        down();
    }
}

/* --- waiting --- */

static void test_wait(void)
{
    up();
    does = WAIT;
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n");
    is_int(answers(), 0, "it waits");
    is_int((long)conn->due_ms, 0, "for as long as it takes");
    ask("GET /n/behind HTTP/1.1\r\nHost: h\r\n\r\n");
    is_str(log_text, "GET/n/ ", "what comes behind it waits, too");
    does = ANSWER;
    conn_dirty(conn);
    is_int(answers(), 2, "both are answered");
    is_str(log_text, "GET/n/ ready GET/n/behind ", "in order");
    down();
}

/* More than a head and a read behind one that waits stays with the kernel. */
static void test_bound(void)
{
    up();
    does = WAIT;
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < 100 && !conn->deaf; i++)
        ask(letters('x', 10000));
    ok(conn->deaf, "it is not read from any more");
    ok(exchange_of(conn)->in.len <= 1024 + 2 * INPUT_BYTES, "after a head and two reads at most");
    down();
}

static void test_ended(void)
{
    up();
    does = WAIT;
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n");
    shutdown(peer_fd, SHUT_WR);
    turns(3);
    is_str(log_text, "GET/n/ ready lost0 ", "there may be something for it; there was not");
    down();
    up();
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n");
    shutdown(peer_fd, SHUT_WR);
    is_int(answers(), 1, "what was asked for is answered");
    ok(is_closed(), "then it is over");
    down();
}

/* --- deadlines --- */

static void due(void)
{
    conn->due_ms = clock_ms() - 1;
    conn_timeout(&conn->timer, clock_ms(), net);
}

static void test_timeouts(void)
{
    up();
    due();
    is_str(log_text, "lost0 ", "who says nothing goes without a word");
    down();
    up();
    ask("GET /n/ HT");
    due();
    is_int(answers(), 1, "who says half a head");
    ok(strncmp(heard, "HTTP/1.1 408 ", 13) == 0, "is told");
    is_str(log_text, "", "the application is not");
    down();
    up();
    does = BODY;
    ask("POST /n/ HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    due();
    ok(strncmp(hear(), "HTTP/1.1 408 ", 13) == 0, "half a body");
    is_str(log_text, "POST/n/ body408 ", "is the application's, too");
    down();
}

/* --- other processes --- */

static const struct address somewhere = {.ip = {[10] = 0xff, 0xff, 192, 0, 2, 7}, .port = 99};

static void test_hand_over(void)
{
    up();
    does = HAND_OVER;
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\nmore");
    is_int(nhanded, 1, "handed over");
    is_int((long)handed_to, 5, "to whom it is for");
    is_int(handed_len, (int)strlen("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\nmore"),
           "with all that was read");
    is_int((long)net->nconns, 0, "it is not ours any more");
    is_int((long)http->stats.handoffs_sent, 1, "counted");
    ok(!handed.known && !handed.secure && !handed.carried, "its descriptor tells the rest");
    down();
    up();
    does = HAND_OVER;
    conn_set_peer(conn, &somewhere);
    conn->secure = 1;
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n");
    ok(handed.known && memcmp(&handed.peer, &somewhere, sizeof(somewhere)) == 0,
       "an address that the descriptor does not tell goes along");
    ok(handed.secure && !handed.carried, "and that it is encrypted");
    down();
    up();
    does = HAND_OVER;
    conn->carried = 1;
    conn->told = 3;
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n");
    ok(handed.carried && handed.told == 3, "that it is carried, and what was told of it");
    down();
    up();
    does = HAND_OVER;
    handoff_result = 1;
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n");
    is_int(exchange_of(conn)->phase, EXCHANGE_HANDOFF, "no room: it waits");
    due();
    is_int(exchange_of(conn)->phase, EXCHANGE_HANDOFF, "and is tried again");
    exchange_of(conn)->handoff_end_ms = clock_ms();
    due();
    ok(strncmp(hear(), "HTTP/1.1 503 ", 13) == 0, "for a second");
    is_int((long)http->stats.handoffs_failed, 1, "counted");
    down();
    up();
    does = HAND_OVER;
    handoff_result = -1;
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n");
    is_int(answers(), 1, "there is no such process");
    is_str(log_text, "GET/n/ error1 ", "the application says so");
    ok(is_closed(), "and it ends");
    down();
}

/* Those without a request go to the successor; others stay. */
static void test_pass_on(void)
{
    up();
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n");
    hear();
    http_pass_on(http, 0);
    is_int(nhanded, 1, "an idle one");
    ok(handed_to == HTTP_SUCCESSOR && handed_len == 0, "to the successor");
    down();
    up();
    does = WAIT;
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n");
    http_pass_on(http, 0);
    is_int(nhanded, 0, "one whose answer waits stays");
    down();
    up();
    conn_put(conn, "x", 1);
    http_pass_on(http, 0);
    is_int(nhanded, 0, "and one to whom something is leaving");
    down();
}

static void test_adopt(void)
{
    static const char text[] = "GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n";
    const struct handoff_conn known = {.peer = somewhere, .known = 1, .secure = 1};
    char from[ADDRESS_TEXT_MAX];
    int pair[2];

    up();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
        abort();
    peer_close();
    peer_fd = pair[1];
    is_int(http_adopt(http, pair[0], &known, text, sizeof(text) - 1, 0), 0,
           "one that comes from another");
    is_int(answers(), 1, "is answered");
    is_str(conn_peer_text(net->conns, from), "192.0.2.7:99", "it comes from where it is said");
    ok(net->conns->secure && !net->conns->carried, "in the way that is said");
    is_int((long)http->stats.requests, 0, "its request was counted there");
    is_int((long)http->stats.handoffs_received, 1, "its coming is here");
    ask(text);
    is_int(answers(), 1, "the next one");
    is_int((long)http->stats.requests, 1, "is ours");
    down();
}

/* --- another protocol --- */

static void test_leave(void)
{
    up();
    does = LEAVE;
    ninput = 0;
    ask("GET /n/ HTTP/1.1\r\nHost: h\r\n\r\nbehind");
    is_str(left, "behind", "what was read behind the head goes along");
    ok(conn->input == NULL && !conn->asks_sent && !conn->asks_flush, "HTTP asks nothing more");
    ask("new");
    is_str(input_text, "new", "and hears nothing more");
    down();
    ok(strstr(log_text, "lost") == NULL, "not of its end, either");
}

/* --- what http answers itself --- */

static void test_own(void)
{
    static const struct {
        const char *request;
        int status;
        const char *log;
    } rows[] = {
        {"GET /n/socket.io.js", 200, ""},  {"HEAD /n/socket.io.js", 200, ""},
        {"POST /n/socket.io.js", 405, ""}, {"GET /status", 200, ""},
        {"HEAD /status", 200, ""},         {"DELETE /status", 405, ""},
        {"GET /elsewhere", 404, ""},       {"OPTIONS /n/", 204, ""},
        {"OPTIONS /status", 204, ""},      {"GET /n/x", 200, "GET/n/x "},
    };
    char text[256], want[32];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        up();
        snprintf(text, sizeof(text),
                 "%s HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\n\r\n", rows[i].request);
        ask(text);
        hear();
        snprintf(want, sizeof(want), "HTTP/1.1 %d ", rows[i].status);
        ok(strncmp(heard, want, strlen(want)) == 0, "%s: %d", rows[i].request, rows[i].status);
        ok(strstr(heard, "Access-Control-Allow-Origin: https://app.example\r\n") != NULL,
           "with CORS");
        ok(rows[i].status != 405 || strstr(heard, "Allow: GET, HEAD\r\n") != NULL,
           "405 says what is");
        is_str(log_text, rows[i].log, "the application is asked for the rest");
        if (strncmp(rows[i].request, "HEAD", 4) == 0)
            is_str(strstr(heard, "\r\n\r\n"), "\r\n\r\n", "no body to HEAD");
        down();
    }
    up();
    ask("OPTIONS /n/ HTTP/1.1\r\nHost: h\r\nOrigin: https://evil.example\r\n\r\n");
    is_str(log_text, "error0 ", "a page that may not: in the application's words");
    down();
}

/* An Origin that exactly fits the answer's lines, and one that does not. */
static void test_long_origin(void)
{
    static char origin[1024];
    static char *any[] = {(char *)(uintptr_t) "*", NULL};
    struct http_options options;
    char text[2048];

    for (int over = 0; over < 2; over++) {
        size_t len = sizeof(((struct exchange *)0)->cors) - 128 + (size_t)over;
        up();
        options = http->options;
        options.limits.head_bytes = 4096;
        options.origins = any;
        http_configure(http, &options);
        memset(origin, 'o', len);
        memcpy(origin, "https://", 8);
        origin[len] = '\0';
        snprintf(text, sizeof(text), "GET /n/ HTTP/1.1\r\nHost: h\r\nOrigin: %s\r\n\r\n", origin);
        ask(text);
        hear();
        ok(strncmp(heard, "HTTP/1.1 200 ", 13) == 0, "answered");
        snprintf(text, sizeof(text), "Access-Control-Allow-Origin: %s\r\n", origin);
        is_int(strstr(heard, text) != NULL, !over,
               over ? "one that no browser has" : "the longest");
        is_int(strstr(heard, "Access-Control-Allow-Origin") != NULL, !over, "whole or not at all");
        ok(strstr(heard, "\r\n\r\n/n/") != NULL, "and nothing else is hurt");
        down();
    }
}

static void test_no_http(void)
{
    up();
    ask("\x16\x03\x01\r\n\r\n");
    ok(strncmp(hear(), "HTTP/1.1 400 ", 13) == 0, "what is no HTTP");
    ok(is_closed(), "ends");
    is_str(log_text, "", "and the application is not asked");
    is_int((long)http->stats.http_errors[http_error_kind(400)], 1, "counted");
    down();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    test_requests();
    test_keep();
    test_smuggling();
    test_bodies();
    test_body_limits();
    test_wait();
    test_bound();
    test_ended();
    test_timeouts();
    test_hand_over();
    test_pass_on();
    test_adopt();
    test_leave();
    test_own();
    test_long_origin();
    test_no_http();
    event_base_free(base);
    return tap_done();
}
