#include "master/http_get.h"

#include "base/clock.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_BYTES 65536 /* of its head and body */

/* Waits for fd.  Returns 0, or -1 with errno, ETIMEDOUT at the time `until`. */
static int await(int fd, short events, uint64_t until)
{
    for (;;) {
        uint64_t now = clock_ms();
        struct pollfd one = {.fd = fd, .events = events};
        int n = poll(&one, 1, now < until ? (int)(until - now) : 0);

        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -1;
        if (n == 0 && clock_ms() >= until) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
}

/* A connection, or -1 with errno. */
static int reach(const struct addrinfo *to, uint64_t until)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int failed = 0;
    socklen_t len = sizeof(failed);

    if (fd < 0)
        return -1;
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
        return fd;
    if (errno == EINPROGRESS && await(fd, POLLOUT, until) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) == 0) {
        if (failed == 0)
            return fd;
        errno = failed;
    }
    failed = errno;
    close(fd);
    errno = failed;
    return -1;
}

/* The request is less than what a new socket has room for.  Returns 0, or -1 with errno. */
static int ask(int fd, const char *path)
{
    struct buf request = {0};
    ssize_t n;

    (void)buf_printf(&request, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                     path);
    errno = ENOMEM;
    n = request.failed ? -1 : send(fd, request.data, request.len, MSG_NOSIGNAL);
    buf_free(&request);
    return n < 0 ? -1 : 0;
}

/* All that comes until the end of the connection.  Returns 0, or -1 with errno. */
static int hear(int fd, uint64_t until, struct buf *answer)
{
    for (;;) {
        uint8_t *to = buf_reserve(answer, 4096);
        ssize_t n;

        if (to == NULL || answer->len > ANSWER_BYTES) {
            errno = to == NULL ? ENOMEM : EMSGSIZE;
            return -1;
        }
        if (await(fd, POLLIN, until) < 0)
            return -1;
        n = recv(fd, to, 4096, 0);
        if (n == 0)
            return 0;
        if (n > 0)
            answer->len += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            return -1;
    }
}

/* The status, and the body to where the whole answer was; -1 if it is none of HTTP/1.1. */
static int read_answer(struct buf *answer)
{
    static const char begin[] = "HTTP/1.1 ", end[] = "\r\n\r\n";
    const uint8_t *digits, *body;
    int status = 0;

    if (answer->len < sizeof(begin) + 3 || memcmp(answer->data, begin, sizeof(begin) - 1) != 0)
        return -1;
    digits = answer->data + sizeof(begin) - 1;
    for (int i = 0; i < 3; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return -1;
        status = status * 10 + digits[i] - '0';
    }
    body = memmem(answer->data, answer->len, end, sizeof(end) - 1);
    if (body == NULL)
        return -1;
    buf_consume(answer, (size_t)(body - answer->data) + sizeof(end) - 1);
    return status;
}

/* The first of its addresses that can be reached, as who listens takes the first that is free. */
static int reach_one(const char *host, int port, uint64_t until, struct buf *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char service[8];
    int fd = -1, failed;

    (void)snprintf(service, sizeof(service), "%d", port);
    failed = getaddrinfo(host, service, &hints, &list);
    if (failed != 0) {
        (void)buf_printf(error, "%s: %s", host, gai_strerror(failed));
        return -1;
    }
    for (const struct addrinfo *at = list; at != NULL && fd < 0; at = at->ai_next)
        fd = reach(at, until);
    if (fd < 0)
        (void)buf_printf(error, "no connection to %s, port %d: %s", host, port, strerror(errno));
    freeaddrinfo(list);
    return fd;
}

int http_get(const char *host, int port, const char *path, unsigned ms, struct buf *body,
             struct buf *error)
{
    uint64_t until = clock_ms() + ms;
    int fd = reach_one(host, port, until, error), status = -1;

    if (fd < 0)
        return -1;
    if (ask(fd, path) < 0 || hear(fd, until, body) < 0)
        (void)buf_printf(error, "no answer from %s, port %d: %s", host, port, strerror(errno));
    else if ((status = read_answer(body)) < 0)
        (void)buf_printf(error, "%s, port %d: what answers there does not speak HTTP", host, port);
    close(fd);
    return status;
}
