/* Who may change something on the admin address: requests on a loopback socket. */
#include "master/access.h"

#include "base/clock.h"
#include "conf.h"
#include "loopback.h"
#include "master/caller.h"
#include "tap.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>

#define TOKEN   "0123456789abcdef"
#define WAIT_MS 10000

static struct event_base *base;
static struct callers *callers;
static struct access access_;
static const char *token = TOKEN;
static int port, listener;

static void on_request(struct caller *caller, const struct http_request *req, void *arg)
{
    struct buf body = {0};

    (void)arg;
    if (!access_admit(&access_, caller, req, token))
        return;
    buf_puts(&body, "in");
    caller_answer(caller, 200, "text/plain", NULL, &body);
}

static const struct callers_ops ops = {on_request};

/* The whole answer to a POST with those lines in its head. */
static const char *ask(const char *headers)
{
    static char text[5000];
    int fd = loopback_dial(port), peer = accept(listener, NULL, NULL);
    size_t n =
        (size_t)snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: h:3001\r\n%s\r\n", headers);

    evutil_make_socket_nonblocking(peer);
    callers_add(callers, peer);
    if (send(fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
        perror("# send");
    n = 0;
    for (uint64_t end = clock_ms() + WAIT_MS; clock_ms() < end;) {
        ssize_t r = recv(fd, text + n, sizeof(text) - 1 - n, MSG_DONTWAIT);

        if (r == 0 || (r < 0 && errno != EAGAIN && errno != EINTR))
            break;
        n += r > 0 ? (size_t)r : 0;
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    text[n] = '\0';
    close(fd);
    return text;
}

static int status(const char *headers)
{
    int code = 0;

    (void)sscanf(ask(headers), "HTTP/1.1 %d ", &code);
    return code;
}

/* --- tests ------------------------------------------------------------------------- */

#define GOOD "Authorization: Bearer " TOKEN "\r\n"

static void test_requests(void)
{
    static const struct {
        int status;
        const char *headers;
    } cases[] = {
        {200, GOOD},
        {200, "authorization: bearer   " TOKEN "\r\n"},
        {200, "X-Admin-Token: " TOKEN "\r\n"},
        {200, "Authorization: Basic eDp5\r\nX-Admin-Token: " TOKEN "\r\n"},
        {401, GOOD "X-Admin-Token: x\r\n"}, /* the one that is for us alone decides */
        {401, ""},
        {401, "Authorization: Bearer\r\n"},
        {401, "Authorization: Bearer \r\n"},
        {401, "Authorization: " TOKEN "\r\n"},
        {401, "Authorization: Basic " TOKEN "\r\n"},
        {401, "Authorization: Bearer " TOKEN "0\r\n"},
        {401, "Authorization: Bearer 0123456789abcde\r\n"},
        {401, "Authorization: Bearer 1123456789abcdef\r\n"},
        {401, "Cookie: token=" TOKEN "\r\n"},
        /* pages */
        {200, GOOD "Origin: http://h:3001\r\n"},
        {200, GOOD "Origin: http://h:3001\r\nSec-Fetch-Site: same-origin\r\n"},
        {200, GOOD "Origin: https://proxy\r\nSec-Fetch-Site: same-origin\r\n"},
        {200, GOOD "Sec-Fetch-Site: none\r\n"},
        {403, GOOD "Origin: http://h:3002\r\n"},
        {403, GOOD "Origin: http://evil\r\n"},
        {403, GOOD "Origin: null\r\n"},
        {403, GOOD "Sec-Fetch-Site: cross-site\r\n"},
        {403, GOOD "Sec-Fetch-Site: same-site\r\n"},
        {403, GOOD "Origin: http://h:3001\r\nSec-Fetch-Site: cross-site\r\n"},
        {403, "Origin: http://evil\r\n"},
        /* bodies */
        {200, GOOD "Content-Length: 0\r\n"},
        {200, GOOD "Content-Length: 0\r\nContent-Type: text/plain\r\n"},
        {200, GOOD "Content-Length: 2\r\nContent-Type: application/json\r\n"},
        {200, GOOD "Content-Length: 2\r\nContent-Type: Application/JSON; charset=utf-8\r\n"},
        {415, GOOD "Content-Length: 2\r\n"},
        {415, GOOD "Content-Length: 2\r\nContent-Type: text/plain\r\n"},
        {415, GOOD "Content-Length: 2\r\nContent-Type: application/jsonp\r\n"},
        {415, GOOD "Content-Length: 2\r\nContent-Type: application/x-www-form-urlencoded\r\n"},
        {415, GOOD "Transfer-Encoding: chunked\r\n"},
        {200, GOOD "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int code = status(cases[i].headers);

        access_.failures = 0;
        ok(code == cases[i].status, "case %zu: %d, %d wanted", i, code, cases[i].status);
    }
    ok(strstr(ask(""), "\r\nWWW-Authenticate: Bearer\r\n") != NULL, "what is wanted is told");
    access_.failures = 0;
}

static void test_none(void)
{
    const char *text;

    token = NULL;
    text = ask(GOOD);
    ok(strncmp(text, "HTTP/1.1 403 ", 13) == 0 && strstr(text, "admin:token is not set") != NULL,
       "without a token nobody may");
    is_int(access_.failures, 0, "and nobody has failed");
    token = TOKEN;
}

static void test_long(void)
{
    static char line[CONF_ADMIN_TOKEN_MAX + 100], long_token[CONF_ADMIN_TOKEN_MAX + 1];

    memset(long_token, 'x', CONF_ADMIN_TOKEN_MAX);
    token = long_token;
    snprintf(line, sizeof(line), "X-Admin-Token: %s\r\n", long_token);
    is_int(status(line), 200, "as long as one may be");
    snprintf(line, sizeof(line), "X-Admin-Token: %sx\r\n", long_token);
    is_int(status(line), 401, "and one more");
    snprintf(line, sizeof(line), "X-Admin-Token: %s\r\n", long_token + 1);
    is_int(status(line), 401, "one less");
    token = TOKEN;
    access_.failures = 0;
}

static void test_failures(void)
{
    const char *text;

    for (int i = 0; i < ACCESS_FAILURES; i++)
        is_int(status("X-Admin-Token: y\r\n"), 401, "a bad one");
    text = ask("X-Admin-Token: y\r\n");
    ok(strncmp(text, "HTTP/1.1 429 ", 13) == 0 && strstr(text, "\r\nRetry-After: 60\r\n") != NULL,
       "one too many within a minute");
    is_int(status(GOOD), 200, "who has the token is not kept out");
    access_.minute_ms = clock_ms() - 60000;
    is_int(status("X-Admin-Token: y\r\n"), 401, "a minute later");
    is_int(status(GOOD), 200, "as ever");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    base = event_base_new();
    listener = loopback_listen(SOCK_CLOEXEC, &port);
    callers = callers_new(base, 4, &ops, NULL);
    test_requests();
    test_none();
    test_long();
    test_failures();
    callers_free(&callers);
    close(listener);
    event_base_free(base);
    return tap_done();
}
