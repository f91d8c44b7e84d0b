#include "ipc/handoff.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (4 << 20) /* asked for; the kernel gives what it allows */

union control { /* aligned as a cmsghdr has to be */
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int handoff_pair(int *read_fd, int *write_fd)
{
    int fds[2], size = BUFFER_BYTES;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    *read_fd = fds[0];
    *write_fd = fds[1];
    return 0;
}

int handoff_send(int write_fd, int fd, const void *bytes, size_t len)
{
    union control control = {.bytes = {0}};
    struct iovec iov;
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

    if (len == 0 || len > HANDOFF_MAX_BYTES) {
        errno = EMSGSIZE;
        return -1;
    }
    memcpy(&iov.iov_base, &bytes, sizeof(bytes)); /* sendmsg only reads it */
    iov.iov_len = len;
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    while (sendmsg(write_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno == EINTR)
            continue;
        /* ETOOMANYREFS: too many descriptors of ours are on their way. */
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ETOOMANYREFS)
            return 1;
        return -1;
    }
    return 0;
}

int handoff_receive(int read_fd, int *fd, uint8_t *dst, size_t *len)
{
    union control control = {.bytes = {0}};
    struct iovec iov = {dst, HANDOFF_MAX_BYTES};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(read_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header;

    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
    header = CMSG_FIRSTHDR(&msg);
    *fd = -1;
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(fd, CMSG_DATA(header), sizeof(*fd));
    if (*fd >= 0 && n > 0 && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        *len = (size_t)n;
        return 1;
    }
    if (*fd >= 0)
        close(*fd);
    errno = EBADMSG;
    return -1;
}
