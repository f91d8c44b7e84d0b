/* loopback - TCP on 127.0.0.1. */
#ifndef TEST_LOOPBACK_H
#define TEST_LOOPBACK_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

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
    return fd;
}

/* Connects a socket that has been made; returns it. */
static inline int loopback_connect(int fd, int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        perror("# connect");
    return fd;
}

static inline int loopback_dial(int port)
{
    return loopback_connect(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port);
}

#endif
