/* played_http - a server that takes one request and answers what the test wants. */
#ifndef TEST_PLAYED_HTTP_H
#define TEST_PLAYED_HTTP_H

#include "loopback.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

static inline void *play(void *arg)
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

#endif
