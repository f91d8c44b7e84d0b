/* slow - which clients do not read, found out while there is more to write than there
 * is time for: those that do are served first. */
#include "net/net.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#define LATE_US 32000 /* output is older than that: ask who reads, it may help */

/* What it has received since the last look that counted, and of that it must have
 * read a quarter. */
#define LOOK_BYTES 2048
#define READ_PART  4
/* A wider window may close without being full: kernels that offered much take it
 * back as what they offered is used. */
#define WIDE_WINDOW_BYTES 65536

static int is_late(const struct conn *conn)
{
    int32_t waited = (int32_t)(stamp_of(conn->net->now_us) - conn->stamp);

    return conn->stamp != 0 && waited > LATE_US >> STAMP_BITS;
}

/* A client's kernel acknowledges what it receives, and lets come as much more as
 * there is room for: where the acknowledged bytes and the window end moves with what
 * the client reads, and with nothing else but a buffer that grows. */
static void judge(struct conn *conn, const struct tcp_info *info)
{
    uint32_t acked = (uint32_t)info->tcpi_bytes_acked, received = acked - conn->acked;
    int64_t read = (int64_t)received + info->tcpi_snd_wnd - conn->window;

    if (received < LOOK_BYTES)
        return;
    conn->slow = info->tcpi_snd_wnd < WIDE_WINDOW_BYTES && read < received / READ_PART;
    conn->acked = acked;
    conn->window = info->tcpi_snd_wnd;
}

int slow_blocks(struct conn *conn)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    /* Of a pair there is nothing to ask, and it takes little. */
    if (conn->state != CONN_OPEN || !conn->streams || conn->blocked || conn->carried ||
        !is_late(conn)) {
        conn->slow = 0;
        return 0;
    }
    /* A Unix socket has no such thing, an old kernel less of it. */
    if (getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
        len < offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof(info.tcpi_snd_wnd))
        return 0;
    /* The kernel looks at TCP_NOTSENT_LOWAT when it begins a segment, and those of
     * loopback have 64 KB. */
    if (info.tcpi_notsent_bytes >= NOTSENT_LOWAT_BYTES) {
        conn_set_blocked(conn);
        return 1;
    }
    judge(conn, &info);
    return 0;
}
