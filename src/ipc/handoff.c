#include "ipc/handoff.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (4 << 20) /* asked for; the kernel gives what it allows */

union control { /* aligned as a cmsghdr has to be */
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * HANDOFF_PEERS_MAX)];
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

/* --- messages of a few bytes, a few more, and descriptors --- */

/* Returns 0, 1 if there is no room now, -1 with errno. */
static int send_fds(int write_fd, struct iovec iov[2], const int *fds, size_t n)
{
    union control control = {.bytes = {0}};
    struct msghdr msg = {.msg_iov = iov,
                         .msg_iovlen = 2,
                         .msg_control = control.bytes,
                         .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(header), fds, n * sizeof(int));
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

static void close_all(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

/* Returns the bytes that came, 0 if there are none, -1 with errno; *n descriptors are
 * in fds, which has room for HANDOFF_PEERS_MAX. */
static ssize_t receive_fds(int read_fd, struct iovec iov[2], int *fds, size_t *n)
{
    union control control = {.bytes = {0}};
    struct msghdr msg = {.msg_iov = iov,
                         .msg_iovlen = 2,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t got = recvmsg(read_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header;

    *n = 0;
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
    header = CMSG_FIRSTHDR(&msg);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        *n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(header), *n * sizeof(int));
    }
    if (got > 0 && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return got;
    close_all(fds, *n);
    errno = got == 0 ? EPIPE : EBADMSG; /* nothing empty is ever sent */
    return -1;
}

static struct iovec iov_const(const void *bytes, size_t len)
{
    struct iovec iov = {.iov_len = len};

    memcpy(&iov.iov_base, &bytes, sizeof(bytes)); /* sendmsg only reads it */
    return iov;
}

/* --- connections --- */

/* In front of the bytes: the kind, then what struct handoff_conn has: bits, the address, and
 * its port. */
#define HEAD_BYTES (1 + 1 + 16 + 2)

enum { BIT_KNOWN = 1, BIT_SECURE = 2, BIT_CARRIED = 4, BIT_LAST = 8, TOLD_SHIFT = 4, BITS = 63 };

_Static_assert(HANDOFF_TOLD_MAX << TOLD_SHIFT == 48, "the bits above the others");

static void head_put(uint8_t head[HEAD_BYTES], enum handoff_kind kind,
                     const struct handoff_conn *conn)
{
    static const struct address none;
    const struct address *peer = conn->known ? &conn->peer : &none;

    head[0] = (uint8_t)kind;
    head[1] = (uint8_t)((conn->known ? BIT_KNOWN : 0) | (conn->secure ? BIT_SECURE : 0) |
                        (conn->carried ? BIT_CARRIED : 0) | (conn->last ? BIT_LAST : 0) |
                        (conn->told & HANDOFF_TOLD_MAX) << TOLD_SHIFT);
    memcpy(head + 2, peer->ip, 16);
    head[18] = (uint8_t)(peer->port >> 8);
    head[19] = (uint8_t)peer->port;
}

/* Returns the kind, or -1. */
static int head_get(const uint8_t head[HEAD_BYTES], struct handoff_conn *conn)
{
    *conn = (struct handoff_conn){.known = (head[1] & BIT_KNOWN) != 0,
                                  .secure = (head[1] & BIT_SECURE) != 0,
                                  .carried = (head[1] & BIT_CARRIED) != 0,
                                  .last = (head[1] & BIT_LAST) != 0,
                                  .told = head[1] >> TOLD_SHIFT & HANDOFF_TOLD_MAX,
                                  .peer.port = (uint16_t)(head[18] << 8 | head[19])};
    memcpy(conn->peer.ip, head + 2, 16);
    if ((head[0] != HANDOFF_CONNECTION && head[0] != HANDOFF_ORPHAN) || (head[1] & ~BITS) != 0)
        return -1;
    return head[0];
}

int handoff_send(int write_fd, enum handoff_kind kind, int fd, const struct handoff_conn *conn,
                 const void *bytes, size_t len)
{
    uint8_t head[HEAD_BYTES];
    struct iovec iov[2] = {{head, sizeof(head)}, iov_const(bytes, len)};

    head_put(head, kind, conn);
    if (len > HANDOFF_MAX_BYTES) {
        errno = EMSGSIZE;
        return -1;
    }
    return send_fds(write_fd, iov, &fd, 1);
}

int handoff_receive(int read_fd, int *fd, struct handoff_conn *conn, uint8_t *dst, size_t *len)
{
    uint8_t head[HEAD_BYTES];
    struct iovec iov[2] = {{head, sizeof(head)}, {dst, HANDOFF_MAX_BYTES}};
    int fds[HANDOFF_PEERS_MAX], kind;
    size_t n;
    ssize_t got = receive_fds(read_fd, iov, fds, &n);

    if (got <= 0)
        return (int)got;
    kind = got >= HEAD_BYTES ? head_get(head, conn) : -1;
    if (n == 1 && kind > 0) {
        *fd = fds[0];
        *len = (size_t)got - HEAD_BYTES;
        return kind;
    }
    close_all(fds, n);
    errno = EBADMSG;
    return -1;
}

/* --- peers: where other lanes are reached --- */

int handoff_send_peers(int write_fd, unsigned first, const int *fds, size_t n)
{
    uint32_t fields[2] = {htole32(first), htole32((uint32_t)n)};
    struct iovec iov[2] = {{fields, sizeof(fields)}, {NULL, 0}};
    int result = send_fds(write_fd, iov, fds, n);

    if (result > 0)
        errno = EAGAIN;
    return result == 0 ? 0 : -1;
}

int handoff_receive_peers(int read_fd, unsigned *first, int *fds, size_t *n)
{
    uint32_t fields[2];
    struct iovec iov[2] = {{fields, sizeof(fields)}, {NULL, 0}};
    ssize_t got = receive_fds(read_fd, iov, fds, n);

    if (got <= 0)
        return (int)got;
    if (got == sizeof(fields) && le32toh(fields[1]) == *n) {
        *first = le32toh(fields[0]);
        return 1;
    }
    close_all(fds, *n);
    errno = EBADMSG;
    return -1;
}
