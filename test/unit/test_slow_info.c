/* What the kernel tells of a client, and whether it reads.  Linked with --wrap for
 * getsockopt() (Makefile). */
#include "net/net.h"

#include "peer.h"

#include <linux/tcp.h>
#include <netinet/in.h>

static struct tcp_info info;
static socklen_t info_len = sizeof(info);
static int looks;

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    if (level != IPPROTO_TCP || name != TCP_INFO)
        return __real_getsockopt(fd, level, name, value, len);
    looks++;
    *len = info_len < *len ? info_len : *len;
    memcpy(value, &info, *len);
    return 0;
}

/* Its output is late; its kernel has got so much more, and would take that. */
static int look(struct conn *conn, uint32_t received, uint32_t window)
{
    info.tcpi_bytes_acked += received;
    info.tcpi_snd_wnd = window;
    net_clock(net);
    conn->stamp = stamp_of(net->now_us - 1000000);
    return slow_blocks(conn);
}

static struct conn *up(void)
{
    struct conn *conn = speaker_up(0, 1);

    memset(&info, 0, sizeof(info));
    info_len = sizeof(info);
    looks = 0;
    is_int(look(conn, 10000, 30000), 0, "the first look");
    is_int(conn->slow, 0, "finds a window where there was none");
    return conn;
}

static void test_reads(void)
{
    struct conn *conn = up();

    is_int(look(conn, 4000, 26000) + conn->slow, 1, "the window closes by what has come: slow");
    is_int(look(conn, 4000, 26000) + conn->slow, 0, "what has come has been read: it is not");
    is_int(look(conn, 4000, 23000) + conn->slow, 0, "a quarter of it has");
    is_int(look(conn, 4000, 19999) + conn->slow, 1, "a byte less than a quarter");
    is_int(look(conn, 2047, 10000) + conn->slow, 1, "too little has come to judge anew");
    is_int(look(conn, 1, 19999) + conn->slow, 0, "with the byte that was missing there is enough");
    net_down();
}

/* Kernels that offered much take it back as what they offered is used. */
static void test_wide(void)
{
    struct conn *conn = up();

    is_int(look(conn, 4000, 100000) + conn->slow, 0, "a wide window");
    is_int(look(conn, 4000, 90000) + conn->slow, 0, "that closes by more than came");
    is_int(look(conn, 4000, 65536) + conn->slow, 0, "as long as it is wide");
    is_int(look(conn, 4000, 61000) + conn->slow, 1, "and no longer");
    net_down();
}

static void test_no_look(void)
{
    struct conn *conn = up();

    looks = 0;
    conn->slow = 1;
    conn->stamp = stamp_of(net->now_us);
    is_int(slow_blocks(conn) + conn->slow, 0, "what is not late is written");
    conn->streams = 0;
    conn->slow = 1;
    is_int(look(conn, 0, 0) + conn->slow, 0, "so is an answer");
    conn->streams = 1;
    conn->stamp = 0;
    is_int(slow_blocks(conn), 0, "and what was not in a fan-out");
    is_int(looks, 0, "without a look");
    info_len = 100;
    conn->slow = 1;
    is_int(look(conn, 4000, 10) + conn->slow, 1, "a kernel that says less changes nothing");
    net_down();
}

static void test_unsent(void)
{
    struct conn *conn = up();

    info.tcpi_notsent_bytes = NOTSENT_LOWAT_BYTES - 1;
    is_int(look(conn, 0, 30000), 0, "a byte less than the mark is unsent");
    info.tcpi_notsent_bytes = NOTSENT_LOWAT_BYTES;
    is_int(look(conn, 0, 30000), 1, "as much as the mark: it is not written to");
    is_int(conn->blocked, 1, "but waited for");
    net_down();
}

int main(void)
{
    test_reads();
    test_wide();
    test_no_look();
    test_unsent();
    event_base_free(base);
    return tap_done();
}
