/* --health, asking somebody who is played. */
#include "master/health.h"

#include "base/clock.h"
#include "conf.h"
#include "loopback.h"
#include "tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define WAIT_MS 10000

/* What the one connection is answered: text in pieces of `piece` bytes, after which it ends, stays
 * open or is reset. */
struct played {
    int listener;
    const char *text;
    size_t len, piece;
    enum { ENDS, STAYS, RESETS } then;
    char request[1024];
    int fd;
};

static void *play(void *arg)
{
    static const struct linger at_once = {1, 0};
    struct played *played = arg;
    size_t len = 0;

    played->fd = accept(played->listener, NULL, NULL);
    while (played->fd >= 0 && memmem(played->request, len, "\r\n\r\n", 4) == NULL) {
        ssize_t n = recv(played->fd, played->request + len, sizeof(played->request) - 1 - len, 0);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    for (size_t at = 0; at < played->len; at += played->piece) {
        size_t rest = played->len - at;

        if (send(played->fd, played->text + at, rest < played->piece ? rest : played->piece,
                 MSG_NOSIGNAL) < 0)
            break;
    }
    if (played->then == RESETS)
        setsockopt(played->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    if (played->then != STAYS)
        close(played->fd);
    return NULL;
}

/* Asks it within ms.  Returns what health_ask() does. */
static int asked(struct played *played, unsigned ms, struct buf *body, struct buf *error)
{
    pthread_t thread;
    int port, status;

    if (played->piece == 0)
        played->piece = 65536;
    if (played->len == 0)
        played->len = strlen(played->text);
    played->listener = loopback_listen(0, &port);
    pthread_create(&thread, NULL, play, played);
    buf_reset(body);
    buf_reset(error);
    status = health_ask("127.0.0.1", port, "/health", ms, body, error);
    buf_putc(body, '\0');
    buf_putc(error, '\0');
    pthread_join(thread, NULL);
    if (played->then == STAYS)
        close(played->fd);
    close(played->listener);
    return status;
}

static void test_answers(struct buf *body, struct buf *error)
{
    static const char well[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\":1}\n",
                      ill[] = "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"reasons\":[]}",
                      bare[] = "HTTP/1.1 200 OK\r\n\r\n";
    struct played played = {.text = well};

    is_int(asked(&played, WAIT_MS, body, error), 200, "200");
    is_str((char *)body->data, "{\"a\":1}\n", "its body");
    is_str((char *)error->data, "", "no error");
    is_str(played.request, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
           "the request");
    played = (struct played){.text = ill, .piece = 1};
    is_int(asked(&played, WAIT_MS, body, error), 503, "503, byte by byte");
    is_str((char *)body->data, "{\"reasons\":[]}", "its body");
    played = (struct played){.text = bare};
    is_int(asked(&played, WAIT_MS, body, error), 200, "without a body");
    is_str((char *)body->data, "", "there is none");
}

static void test_no_answers(struct buf *body, struct buf *error)
{
    static const struct {
        const char *text, *why;
    } bad[] = {{"", "nothing"},
               {"HTTP/1.1 20", "half a status"},
               {"HTTP/1.1 2x0 OK\r\n\r\n", "a status that is no number"},
               {"HTTP/1.1 200 OK\r\nA: b\r\n", "a head that does not end"},
               {"+PONG\r\n\r\n", "something else"}};
    struct played played;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        played = (struct played){.text = bad[i].text};
        is_int(asked(&played, WAIT_MS, body, error), -1, bad[i].why);
        ok(strstr((char *)error->data, "is no axr-notifyd") != NULL, "it says so");
    }
    played = (struct played){.text = "HTTP/1.1 200 OK\r\n\r\n", .then = STAYS};
    is_int(asked(&played, 50, body, error), -1, "an answer without an end");
    ok(strstr((char *)error->data, "Connection timed out") != NULL, "it says so");
    played = (struct played){.text = "HTTP/1.1 200 OK\r\n", .then = RESETS};
    ok(asked(&played, WAIT_MS, body, error) == -1 && error->len > 1, "a connection that is reset");
}

static void test_large(struct buf *body, struct buf *error)
{
    size_t len = 1 << 20;
    char *text = malloc(len);
    struct played played = {.text = text, .len = len};

    memset(text, 'x', len);
    memcpy(text, "HTTP/1.1 200 OK\r\n\r\n", 19);
    is_int(asked(&played, WAIT_MS, body, error), -1, "an answer that is too large");
    ok(strstr((char *)error->data, "Message too long") != NULL && body->len < 80000,
       "is not read to its end");
    free(text);
}

static void test_nobody(struct buf *body, struct buf *error)
{
    uint64_t began = clock_ms();
    int port, fd = loopback_listen(0, &port);

    close(fd);
    buf_reset(error);
    is_int(health_ask("127.0.0.1", port, "/health", WAIT_MS, body, error), -1, "nobody listens");
    buf_putc(error, '\0');
    ok(strstr((char *)error->data, "Connection refused") != NULL, "it says so");
    buf_reset(error);
    is_int(health_ask("no such host", 1, "/health", WAIT_MS, body, error), -1, "no host");
    buf_putc(error, '\0');
    ok(strstr((char *)error->data, "no such host: ") != NULL, "it says which");
    ok(clock_ms() - began < WAIT_MS, "at once");
}

/* The exit status, with what it prints to nobody. */
static int run(char *host, char *port, int live)
{
    char *options[] = {(char[]){"--admin:host"}, host, (char[]){"--admin:port"}, port};
    struct conf_args args = {.file = "/dev/null", .options = options, .noptions = 4};
    int out = dup(1), err = dup(2), null = open("/dev/null", O_WRONLY), status;

    fflush(stdout);
    dup2(null, 1);
    dup2(null, 2);
    status = health_run(&args, live);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    close(null);
    return status;
}

static void test_run(void)
{
    struct played played = {.text = "HTTP/1.1 200 OK\r\n\r\n{}"};
    char text[8];
    pthread_t thread;
    int port;

    for (int live = 0; live < 2; live++) {
        for (int well = 0; well < 2; well++) {
            played = (struct played){.text = well ? "HTTP/1.1 200 OK\r\n\r\n{}"
                                                  : "HTTP/1.1 503 No\r\n\r\n{}",
                                     .piece = 99};
            played.len = strlen(played.text);
            played.listener = loopback_listen(0, &port);
            snprintf(text, sizeof(text), "%d", port);
            pthread_create(&thread, NULL, play, &played);
            is_int(run((char[]){"127.0.0.1"}, text, live), !well, "the exit status");
            pthread_join(thread, NULL);
            close(played.listener);
            ok(strncmp(played.request, live ? "GET /health/live " : "GET /health ",
                       live ? 17 : 12) == 0,
               "what was asked for");
        }
    }
    is_int(run((char[]){"127.0.0.1"}, (char[]){"0"}, 0), 1, "a port that nobody knows");
    is_int(run((char[]){"off"}, (char[]){"3001"}, 0), 1, "no admin address");
    is_int(run((char[]){"127.0.0.1"}, (char[]){"many"}, 0), 1, "a bad configuration");
}

int main(void)
{
    struct buf body = {0}, error = {0};

    test_answers(&body, &error);
    test_no_answers(&body, &error);
    test_large(&body, &error);
    test_nobody(&body, &error);
    test_run();
    buf_free(&body);
    buf_free(&error);
    return tap_done();
}
