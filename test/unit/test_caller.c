/* One who calls the admin address, on a loopback socket: what it may do to us, and we to it. */
#include "master/caller.h"

#include "base/clock.h"
#include "loopback.h"
#include "tap.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <string.h>

#define WAIT_MS    10000
#define MAX        4
#define BODY_BYTES 20

static struct event_base *base;
static struct callers *callers;
static int port, listener;
static struct caller *current; /* the last that has asked for something that takes long */
static int gone, taken, watched;
static char body[200];

/* --- what is served ---------------------------------------------------------------- */

static void on_gone(void *arg)
{
    (void)arg;
    gone++;
}

static void put_text(struct caller *caller, const char *text)
{
    struct buf out = {0};

    buf_puts(&out, text);
    caller_answer(caller, 200, "text/plain", "X-More: 1\r\n", &out);
    ok(out.data == NULL, "the answer's body is taken");
}

static void on_taken(struct caller *caller, struct slice bytes, void *arg)
{
    ok(arg == &taken, "with what was given");
    taken++;
    snprintf(body, sizeof(body), "%.*s", (int)bytes.len, bytes.ptr != NULL ? bytes.ptr : "");
    if (strcmp(body, "later") == 0)
        caller_wait(caller, 200, on_gone, NULL);
    else
        put_text(caller, "taken");
}

static const struct caller_stream_ops stream_ops = {on_gone};

static void on_request(struct caller *caller, const struct http_request *req, void *arg)
{
    struct slice path = req->path;

    ok(arg == &callers, "request");
    current = caller;
    if (slice_eq(path, SLICE("/now")))
        put_text(caller, "now");
    else if (slice_eq(path, SLICE("/no")))
        caller_refuse(caller, 503, "Retry-After: 1\r\n", "not today");
    else if (slice_eq(path, SLICE("/wait")))
        caller_wait(caller, 200, on_gone, NULL);
    else if (slice_eq(path, SLICE("/heeded"))) {
        caller_wait(caller, 3 * WAIT_MS, on_gone, NULL);
        caller_heed(caller);
    } else if (slice_eq(path, SLICE("/kept"))) {
        caller_keep(caller);
        caller_wait(caller, WAIT_MS, on_gone, NULL);
    } else if (slice_eq(path, SLICE("/body")))
        caller_body(caller, req, BODY_BYTES, on_taken, on_gone, &taken);
    else if (slice_eq(path, SLICE("/large")))
        caller_body(caller, req, 1 << 20, on_taken, on_gone, &taken);
    else
        watched += caller_stream(caller, "text/event-stream", &stream_ops, NULL) == 0;
}

static const struct callers_ops callers_ops = {on_request};

/* --- a caller ---------------------------------------------------------------------- */

static void turn(void)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
    usleep(500);
}

static int call(void)
{
    int fd = loopback_dial(port), peer = accept(listener, NULL, NULL);

    evutil_make_socket_nonblocking(peer);
    callers_add(callers, peer);
    return fd;
}

static void put(int fd, const char *bytes)
{
    if (send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) != (ssize_t)strlen(bytes))
        perror("# send");
}

static const char *request(const char *target, const char *headers, const char *more)
{
    static char text[2000];

    snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: h\r\n%s\r\n%s", target, headers, more);
    return text;
}

/* What comes until what is there, or the end, which is "(end)" behind it, or a reset. */
static const char *hear(int fd, const char *what)
{
    static char text[70000];
    uint64_t end = clock_ms() + WAIT_MS;
    size_t n = 0;

    text[0] = '\0';
    while (clock_ms() < end && (what == NULL || strstr(text, what) == NULL)) {
        ssize_t r = recv(fd, text + n, sizeof(text) - 10 - n, MSG_DONTWAIT);

        if (r > 0)
            text[n += (size_t)r] = '\0';
        if (r == 0)
            return strcat(text, "(end)");
        if (r < 0 && errno != EAGAIN && errno != EINTR)
            return "(reset)";
        turn();
    }
    return text;
}

static const char *ask(const char *text)
{
    int fd = call();
    const char *reply;

    put(fd, text);
    reply = hear(fd, NULL);
    close(fd);
    return reply;
}

static void wait_for(const int *count, int n, const char *what)
{
    for (uint64_t end = clock_ms() + WAIT_MS; *count < n && clock_ms() < end;)
        turn();
    is_int(*count, n, what);
}

/* --- tests ------------------------------------------------------------------------- */

static void test_answers(void)
{
    is_str(ask(request("GET /now", "", "")),
           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nX-More: 1\r\n"
           "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
           "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"
           "Connection: close\r\n\r\nnow(end)",
           "an answer");
    ok(strstr(ask(request("HEAD /now", "", "")), "Length: 3\r\n") != NULL &&
           strstr(ask(request("HEAD /now", "", "")), "\r\n\r\n(end)") != NULL,
       "HEAD");
    ok(strstr(ask(request("GET /no", "", "")), "Content-Type: application/json\r\n") != NULL &&
           strstr(ask(request("GET /no", "", "")), "\r\nRetry-After: 1\r\n") != NULL &&
           strstr(ask(request("GET /no", "", "")),
                  "{\"error\":\"Service Unavailable\",\"message\":\"not today\"}\n(end)") != NULL,
       "a refusal");
    ok(strncmp(ask("what\r\n\r\n"), "HTTP/1.1 400 ", 13) == 0, "no request");
    ok(strstr(ask(request("GET /now", "", "GET /now HTTP/1.1\r\n")), "now(end)") != NULL,
       "what follows is not looked at");
}

static void test_waiting(void)
{
    int fd = call();

    gone = 0;
    put(fd, request("GET /wait", "", ""));
    is_str(hear(fd, NULL), "(end)", "one that is not answered in its time is closed");
    is_int(gone, 1, "and its owner knows");
    close(fd);
    fd = call();
    put(fd, request("GET /wait", "", ""));
    shutdown(fd, SHUT_WR);
    for (current = NULL; current == NULL;)
        turn();
    for (int i = 0; i < 20; i++)
        turn();
    put_text(current, "late");
    ok(strstr(hear(fd, NULL), "late(end)") != NULL, "one that has said all is answered");
    is_int(gone, 1, "and does not go before that");
    close(fd);
}

/* Its end is heeded where it may wait for long. */
static void test_heeded(void)
{
    int fd = call();

    gone = 0;
    put(fd, request("GET /heeded", "", ""));
    for (current = NULL; current == NULL;)
        turn();
    shutdown(fd, SHUT_WR);
    wait_for(&gone, 1, "one that says nothing more has gone");
    is_str(hear(fd, NULL), "(end)", "without an answer");
    close(fd);
}

static void test_bodies(void)
{
    static const struct {
        const char *headers, *more;
        int status;
        const char *body;
    } cases[] = {
        {"Content-Length: 5\r\n", "hello", 200, "hello"},
        {"Content-Length: 5\r\n", "hello, and more", 200, "hello"},
        {"Content-Length: 20\r\n", "12345678901234567890", 200, "12345678901234567890"},
        {"Content-Length: 21\r\n", "", 413, ""},
        {"Content-Length: 99999999999999999999999\r\n", "", 400, ""},
        {"Content-Length: 0\r\n", "", 200, ""},
        {"", "", 200, ""},
        {"Content-Length: 5\r\nContent-Length: 5\r\n", "hello", 200, "hello"},
        {"Content-Length: 5\r\nContent-Length: 6\r\n", "hello", 400, ""},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "hello", 400, ""},
        {"Content-Length: -5\r\n", "hello", 400, ""},
        {"Content-Length: 5, 5\r\n", "hello", 400, ""},
        {"Content-Length: +5\r\n", "hello", 400, ""},
        {"Transfer-Encoding: chunked\r\n", "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: x\r\n\r\n", 200,
         "hello"},
        {"Transfer-Encoding: chunked\r\n", "15\r\n", 413, ""},
        {"Transfer-Encoding: chunked\r\n", "x\r\n", 400, ""},
        {"Transfer-Encoding: gzip\r\n", "", 400, ""},
        {"Transfer-Encoding: gzip, chunked\r\n", "", 501, ""},
        {"Expect: 200-ok\r\nContent-Length: 5\r\n", "", 417, ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int status = 0, was_taken = taken, was_gone = gone;

        body[0] = '\0';
        (void)sscanf(ask(request("POST /body", cases[i].headers, cases[i].more)), "HTTP/1.1 %d",
                     &status);
        is_int(status, cases[i].status, "its status");
        is_str(body, cases[i].body, "what was taken");
        /* What is wrong in the head itself never gets that far. */
        ok(taken - was_taken + gone - was_gone == 1 || status == 400, "once: case %zu", i);
    }
}

static void test_slow_body(void)
{
    static const char text[] = "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nlater";
    int fd = call();

    gone = taken = 0;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        char byte[2] = {text[i]};
        put(fd, byte);
        turn();
    }
    is_str(hear(fd, NULL), "(end)", "byte by byte, and not answered");
    ok(taken == 1 && gone == 1, "taken, then gone");
    close(fd);
    fd = call();
    put(fd, request("POST /body", "Expect: 100-continue\r\nContent-Length: 5\r\n", ""));
    is_str(hear(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n", "it is told to go on");
    put(fd, "hello");
    ok(strstr(hear(fd, NULL), "taken(end)") != NULL, "and does");
    close(fd);
    fd = call();
    put(fd, request("POST /body", "Content-Length: 5\r\n", "he"));
    shutdown(fd, SHUT_WR);
    is_str(hear(fd, NULL), "(end)", "half a body is none");
    ok(taken == 2 && gone == 2, "and is gone");
    close(fd);
}

static void test_large_body(void)
{
    static char bytes[1 << 20];
    int fd = call();
    size_t sent = 0;

    memset(bytes, 'x', sizeof(bytes));
    put(fd, request("POST /large", "Content-Length: 1048576\r\n", ""));
    while (sent < sizeof(bytes)) {
        ssize_t n = send(fd, bytes + sent, sizeof(bytes) - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        turn();
    }
    ok(strstr(hear(fd, NULL), "taken(end)") != NULL && strlen(body) == sizeof(body) - 1,
       "a large body");
    close(fd);
}

/* The oldest makes place, but for those that are kept. */
static void test_crowd(void)
{
    int kept = call(), fds[MAX + 1];
    struct caller *caller;

    gone = 0;
    put(kept, request("GET /kept", "", ""));
    for (current = NULL; current == NULL;)
        turn();
    caller = current;
    for (int i = 0; i <= MAX; i++) {
        fds[i] = call();
        put(fds[i], "GET /");
        turn();
    }
    is_str(hear(fds[0], NULL), "(end)", "the oldest has made place");
    put(fds[1], "now HTTP/1.0\r\n\r\n");
    ok(strstr(hear(fds[1], NULL), "now(end)") != NULL, "the next one is served");
    is_int(gone, 0, "who is kept is still there");
    put_text(caller, "kept");
    for (int i = 0; i <= MAX; i++)
        close(fds[i]);
    turn();
    close(kept);
}

static void test_streams(void)
{
    int fds[CALLER_STREAMS], fd;
    struct caller *first;

    gone = watched = 0;
    for (int i = 0; i < CALLER_STREAMS; i++) {
        fds[i] = call();
        put(fds[i], request("GET /watch", "", ""));
        wait_for(&watched, i + 1, "a stream");
        if (i == 0)
            first = current;
    }
    ok(strncmp(ask(request("GET /watch", "", "")), "HTTP/1.1 503 ", 13) == 0, "and one too many");
    caller_stream_put(first, "data: 1\n\n", 9);
    ok(strstr(hear(fds[0], "data"), "\r\nContent-Type: text/event-stream\r\n") != NULL, "its head");
    caller_stream_put(first, "last", 4);
    caller_stream_end(first);
    ok(strstr(hear(fds[0], NULL), "last(end)") != NULL, "it is ended");
    is_int(gone, 0, "whoever ends it knows");
    close(fds[1]);
    wait_for(&gone, 1, "one that has closed is gone");
    ok(strstr(ask(request("HEAD /watch", "", "")), "text/event-stream") != NULL, "HEAD has an end");
    fd = call();
    put(fd, request("GET /watch", "", ""));
    wait_for(&watched, CALLER_STREAMS + 1, "there is place again");
    ok(hear(fd, "\r\n\r\n") != NULL, "for another one");
    for (int i = 2; i < CALLER_STREAMS; i++)
        close(fds[i]);
    close(fds[0]);
    close(fd);
    wait_for(&gone, CALLER_STREAMS, "all are gone");
}

/* It does not read. */
static void test_slow_stream(void)
{
    static char bytes[CALLER_STREAM_MAX];
    uint64_t start;
    int fd = call();

    gone = watched = 0;
    put(fd, request("GET /watch", "", ""));
    wait_for(&watched, 1, "a stream");
    memset(bytes, 'x', sizeof(bytes));
    caller_stream_put(current, bytes, CALLER_BEHIND_BYTES);
    caller_stream_put(current, bytes, CALLER_BEHIND_BYTES);
    for (int i = 0; i < 300; i++)
        (void)recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), turn();
    is_int(gone, 0, "one that is behind for a moment stays");
    caller_stream_put(current, bytes, sizeof(bytes));
    caller_stream_put(current, bytes, sizeof(bytes));
    is_int(gone, 0, "too much at once: not from within");
    start = clock_ms();
    wait_for(&gone, 1, "but it has to go");
    ok(clock_ms() - start < CALLER_BEHIND_MS, "at once");
    close(fd);
}

static void test_end(void)
{
    int fd = call(), waiting = call();

    gone = watched = 0;
    put(fd, request("GET /watch", "", ""));
    wait_for(&watched, 1, "a stream");
    put(waiting, request("GET /kept", "", ""));
    for (current = NULL; current == NULL;)
        turn();
    callers_free(&callers);
    ok(callers == NULL, "freed");
    is_int(gone, 2, "at the end all are gone");
    close(fd);
    close(waiting);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    listener = loopback_listen(SOCK_CLOEXEC, &port);
    callers = callers_new(base, MAX, &callers_ops, &callers);
    test_answers();
    test_waiting();
    test_heeded();
    test_bodies();
    test_slow_body();
    test_large_body();
    test_crowd();
    test_streams();
    test_slow_stream();
    test_end();
    close(listener);
    event_base_free(base);
    return tap_done();
}
