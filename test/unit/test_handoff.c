#include "ipc/handoff.h"

#include "tap.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define CONN_BYTES (offsetof(struct handoff_conn, told) + 1) /* without what pads it */

static int reader, writer;
static struct handoff_conn known; /* of what is received */
static const struct handoff_conn plain;
static uint8_t bytes[HANDOFF_MAX_BYTES + 21], got[HANDOFF_MAX_BYTES];

static int same_file(int a, int b)
{
    struct stat one, other;

    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino &&
           one.st_dev == other.st_dev;
}

static void test_connection(enum handoff_kind kind, const struct handoff_conn *conn, size_t len,
                            const char *name)
{
    int pipes[2], fd = -1;
    size_t n = 1;

    if (pipe(pipes) < 0)
        exit(1);
    is_int(handoff_send(writer, kind, pipes[0], conn, bytes, len), 0, name);
    is_int(handoff_receive(reader, &fd, &known, got, &n), kind, "its kind");
    is_mem(&known, CONN_BYTES, conn, CONN_BYTES, "what is known of it");
    is_mem(got, n, bytes, len, "its bytes");
    ok(fd != pipes[0] && same_file(fd, pipes[0]), "its descriptor");
    ok(fcntl(fd, F_GETFD) == FD_CLOEXEC, "closed by exec");
    is_int(handoff_receive(reader, &fd, &known, got, &n), 0, "and no more");
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
}

static void test_known(void)
{
    struct handoff_conn conn = {.known = 1};

    for (size_t i = 0; i < 16; i++)
        conn.peer.ip[i] = (uint8_t)(i * 17 + 1);
    conn.peer.port = 0xfedc;
    test_connection(HANDOFF_CONNECTION, &conn, 3, "one with an address");
    conn.secure = 1;
    test_connection(HANDOFF_ORPHAN, &conn, 3, "one that is encrypted, too");
    conn.told = 2;
    test_connection(HANDOFF_ORPHAN, &conn, 0, "one of which something was told");
    conn.last = 1;
    test_connection(HANDOFF_CONNECTION, &conn, 7, "one that is to bring no more");
    conn = (struct handoff_conn){.carried = 1, .told = HANDOFF_TOLD_MAX};
    test_connection(HANDOFF_CONNECTION, &conn, 0, "one that is carried");
}

static void test_bad(void)
{
    int fd;
    size_t n;

    is_int(handoff_send(writer, HANDOFF_CONNECTION, 0, &plain, bytes, HANDOFF_MAX_BYTES + 1), -1,
           "too long");
    is_int(errno, EMSGSIZE, "is not sent");
    send(writer, "\001x", 2, 0);
    is_int(handoff_receive(reader, &fd, &known, got, &n), -1, "without a descriptor");
    is_int(errno, EBADMSG, "is dropped");
    is_int(handoff_send(writer, (enum handoff_kind)9, 0, &plain, "x", 1), 0, "an unknown kind");
    is_int(handoff_receive(reader, &fd, &known, got, &n), -1, "is dropped");
    int two[2] = {0, 1};
    handoff_send_peers(writer, 3, two, 2);
    is_int(handoff_receive(reader, &fd, &known, got, &n), -1, "ends where a connection is wanted");
    handoff_send(writer, HANDOFF_ORPHAN, 0, &plain, "x", 1);
    unsigned first;
    int fds[HANDOFF_PEERS_MAX];
    is_int(handoff_receive_peers(reader, &first, fds, &n), -1, "and the other way round");
    is_int(handoff_receive(reader, &fd, &known, got, &n), 0, "nothing is left");
}

/* --- descriptors of what is bad --- */

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 2000; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* What nothing here would send: len bytes with n descriptors. */
static void send_raw(const void *data, size_t len, size_t n)
{
    static union {
        struct cmsghdr header;
        char room[CMSG_SPACE(253 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    memcpy(&iov.iov_base, &data, sizeof(data));
    if (n > 0) {
        memset(&control, 0, sizeof(control));
        msg.msg_control = control.room;
        msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(n * sizeof(int)),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
    }
    if (sendmsg(writer, &msg, 0) != (ssize_t)len)
        abort();
}

/* Received in either way it is bad, and costs nothing. */
static void bad_costs_nothing(const void *data, size_t len, size_t n, int error, const char *name)
{
    int before = open_fds(), fd = -1, fds[HANDOFF_PEERS_MAX];
    unsigned first;
    size_t bytes_n;

    send_raw(data, len, n);
    is_int(handoff_receive(reader, &fd, &known, got, &bytes_n), -1, name);
    is_int(errno, error, "... as a connection");
    is_int(open_fds(), before, "... and no descriptor of it stays");
    send_raw(data, len, n);
    is_int(handoff_receive_peers(reader, &first, fds, &bytes_n), -1, name);
    is_int(errno, error, "... as peers");
    is_int(open_fds(), before, "... and no descriptor of it stays");
}

/* A message of peers whose number is n, with so many. */
static void peers_cost_nothing(uint32_t claim, size_t n, const char *name)
{
    const uint32_t fields[2] = {htole32(5), htole32(claim)};

    bad_costs_nothing(fields, sizeof(fields), n, EBADMSG, name);
}

static void test_descriptors(void)
{
    const uint8_t kinds[] = {0, HANDOFF_CONNECTION, HANDOFF_ORPHAN, 3, 255};
    char name[64];

    for (size_t i = 0; i < sizeof(kinds); i++) {
        const size_t counts[] = {
            0, 2, 3, HANDOFF_PEERS_MAX, HANDOFF_PEERS_MAX + 1, HANDOFF_PEERS_MAX + 2, 253};

        memcpy(bytes, &kinds[i], 1);
        for (size_t j = 0; j < sizeof(counts) / sizeof(counts[0]); j++) {
            (void)snprintf(name, sizeof(name), "kind %u with %zu descriptors", kinds[i], counts[j]);
            bad_costs_nothing(bytes, 40, counts[j], EBADMSG, name);
        }
    }
    bad_costs_nothing("\0", 1, 1, EBADMSG, "kind 0 with one");
    bad_costs_nothing("\3abc", 4, 1, EBADMSG, "kind 3 with one");
    bad_costs_nothing("\1\0abcdefghijklmnopq", 19, 1, EBADMSG, "less than a head");
    bad_costs_nothing("\1\100abcdefghijklmnopqr", 20, 1, EBADMSG, "a head with an unknown bit");
    memcpy(bytes, "\1\0", 2);
    bad_costs_nothing(bytes, 20 + HANDOFF_MAX_BYTES + 1, 1, EBADMSG,
                      "a byte more than there is room for");
    bad_costs_nothing("", 0, 1, EPIPE, "nothing, with one");
    bad_costs_nothing("", 0, 3, EPIPE, "nothing, with three");
    peers_cost_nothing(1, 0, "peers without any");
    peers_cost_nothing(2, 3, "one more than is said");
    peers_cost_nothing(4, 3, "one less than is said");
    peers_cost_nothing(HANDOFF_PEERS_MAX, HANDOFF_PEERS_MAX + 1, "one more than there is room for");
    peers_cost_nothing(253, 253, "as many as the kernel takes");
}

static void test_ends(void)
{
    int fds[HANDOFF_PEERS_MAX], back[HANDOFF_PEERS_MAX], wrong = 0;
    unsigned first = 0;
    size_t n = 0;

    for (size_t i = 0; i < HANDOFF_PEERS_MAX; i++)
        fds[i] = (int)(i % 3);
    is_int(handoff_send_peers(writer, 256, fds, HANDOFF_PEERS_MAX), 0, "as many as go at once");
    is_int(handoff_send_peers(writer, 7, fds, 1), 0, "and one");
    is_int(handoff_receive_peers(reader, &first, back, &n), 1, "come");
    ok(first == 256 && n == HANDOFF_PEERS_MAX, "with their number");
    for (size_t i = 0; i < n; i++) {
        wrong += !same_file(back[i], fds[i]);
        close(back[i]);
    }
    is_int(wrong, 0, "in their order");
    is_int(handoff_receive_peers(reader, &first, back, &n), 1, "the one too");
    ok(first == 7 && n == 1, "with its own");
    close(back[0]);
    is_int(handoff_receive_peers(reader, &first, back, &n), 0, "and no more");
}

static void test_full(void)
{
    int sent = 0, rc, fd = reader;
    size_t n;

    while ((rc = handoff_send(writer, HANDOFF_CONNECTION, 0, &plain, bytes, 60000)) == 0 &&
           sent < 10000)
        sent++;
    is_int(rc, 1, "no room");
    is_int(handoff_send_peers(writer, 0, &fd, 1), -1, "for ends neither");
    is_int(errno, EAGAIN, "and it is said");
    while (handoff_receive(reader, &fd, &known, got, &n) > 0) {
        sent--;
        close(fd);
    }
    is_int(sent, 0, "all of them come");
}

static void test_gone(void)
{
    int fds[HANDOFF_PEERS_MAX], fd;
    unsigned first;
    size_t n;

    close(writer);
    is_int(handoff_receive_peers(reader, &first, fds, &n), -1, "nobody has the other end");
    is_int(errno, EPIPE, "and it is said");
    is_int(handoff_receive(reader, &fd, &known, got, &n), -1, "for connections too");
    is_int(errno, EPIPE, "in the same way");
}

int main(void)
{
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    if (handoff_pair(&reader, &writer) < 0)
        return 1;
    test_connection(HANDOFF_CONNECTION, &plain, 100, "a connection");
    test_connection(HANDOFF_ORPHAN, &plain, 0, "one of which nothing was read");
    test_connection(HANDOFF_CONNECTION, &plain, HANDOFF_MAX_BYTES, "as much as there is room for");
    test_known();
    test_bad();
    test_descriptors();
    test_connection(HANDOFF_CONNECTION, &plain, 100, "a good one after all that");
    test_ends();
    test_full();
    test_gone();
    close(reader);
    return tap_done();
}
