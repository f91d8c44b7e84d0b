/* loopback - TCP on 127.0.0.1. */
#ifndef TEST_LOOPBACK_H
#define TEST_LOOPBACK_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Who dialled and who listens, to be closed at the end if the test has not: by the port and
 * the kind, for the number may be another's by then. */
static struct {
    int fd, port, listens;
} loopback_made[4096];
static size_t loopback_nmade;

static inline int loopback_listens(int fd)
{
    int listens = 0;
    socklen_t len = sizeof(listens);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens;
}

static inline int loopback_port(int fd)
{
    struct sockaddr_in addr = {.sin_port = 0};
    socklen_t len = sizeof(addr);

    return getsockname(fd, (struct sockaddr *)&addr, &len) == 0 ? ntohs(addr.sin_port) : -1;
}

static void __attribute__((destructor)) loopback_end(void)
{
    for (size_t i = 0; i < loopback_nmade; i++)
        if (loopback_port(loopback_made[i].fd) == loopback_made[i].port &&
            loopback_listens(loopback_made[i].fd) == loopback_made[i].listens)
            close(loopback_made[i].fd);
}

static inline int loopback_note(int fd)
{
    if (loopback_nmade < sizeof(loopback_made) / sizeof(loopback_made[0])) {
        loopback_made[loopback_nmade].fd = fd;
        loopback_made[loopback_nmade].listens = loopback_listens(fd);
        loopback_made[loopback_nmade++].port = loopback_port(fd);
    }
    return fd;
}

/* A listening socket on a free port, which goes to *port.  flags: SOCK_NONBLOCK, ... */
static inline int loopback_listen(int flags, int *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, 100) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        abort();
    *port = ntohs(addr.sin_port);
    return loopback_note(fd);
}

/* Connects a socket that has been made; returns it. */
static inline int loopback_connect(int fd, int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        perror("# connect");
    return loopback_note(fd);
}

static inline int loopback_dial(int port)
{
    return loopback_connect(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port);
}

#endif
