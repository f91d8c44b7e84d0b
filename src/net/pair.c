#include "net/pair.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int pair_make(int fds[2])
{
    int size = PAIR_SNDBUF_BYTES;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return 0;
}

/* Which descriptor is of no importance, for it is not received.  This one is always open. */
int pair_say(int fd, unsigned says)
{
    static const int mark = STDERR_FILENO;
    uint8_t byte = (uint8_t)says;
    struct iovec iov = {&byte, 1};
    union { /* aligned as a cmsghdr has to be */
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(mark))];
    } control = {.bytes = {0}};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(mark));
    memcpy(CMSG_DATA(&control.header), &mark, sizeof(mark));
    while (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        if (errno != EINTR)
            return -1;
    return 0;
}

/* There is no room for a descriptor: the kernel drops it and says that it did, so it needs
 * none of our numbers. */
int pair_receive(int fd, void *dst, size_t cap, size_t *len, int *says)
{
    struct iovec iov = {dst, cap};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    *says = -1;
    *len = 0;
    while ((n = recvmsg(fd, &msg, MSG_DONTWAIT)) < 0)
        if (errno != EINTR)
            return -1;
    if (n == 0)
        return 0;
    *len = (size_t)n;
    if (msg.msg_flags & MSG_CTRUNC)
        *says = ((const uint8_t *)dst)[--*len];
    return 1;
}
