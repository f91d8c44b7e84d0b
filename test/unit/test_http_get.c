/* A server that is played. */
#include "master/http_get.h"

#include "base/clock.h"
#include "loopback.h"
#include "played_http.h"
#include "tap.h"

#include <string.h>

#define WAIT_MS 10000

/* Asks it within ms.  Returns what http_get() does. */
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
    status = http_get("127.0.0.1", port, "/path", ms, body, error);
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
    is_str(played.request, "GET /path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
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
        ok(strstr((char *)error->data, "does not speak HTTP") != NULL, "it says so");
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
    is_int(http_get("127.0.0.1", port, "/path", WAIT_MS, body, error), -1, "nobody listens");
    buf_putc(error, '\0');
    ok(strstr((char *)error->data, "Connection refused") != NULL, "it says so");
    buf_reset(error);
    is_int(http_get("no such host", 1, "/path", WAIT_MS, body, error), -1, "no host");
    buf_putc(error, '\0');
    ok(strstr((char *)error->data, "no such host: ") != NULL, "it says which");
    ok(clock_ms() - began < WAIT_MS, "at once");
}

int main(void)
{
    struct buf body = {0}, error = {0};

    test_answers(&body, &error);
    test_no_answers(&body, &error);
    test_large(&body, &error);
    test_nobody(&body, &error);
    buf_free(&body);
    buf_free(&error);
    return tap_done();
}
