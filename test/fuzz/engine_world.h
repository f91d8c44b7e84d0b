/* engine_world - what surrounds the engine in fuzz_engine.c: a clock that is set, memory
 * that fails, the program that is read, the clients' ends of connections, and what each
 * session is owed. */
#ifndef FUZZ_ENGINE_WORLD_H
#define FUZZ_ENGINE_WORLD_H

#include "eio/polling.h"
#include "engine/engine.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PEERS     8
#define PLAYERS   32
#define FANS_MAX  200    /* to one session */
#define OUT_BYTES 300000 /* that a client has still to send */

#define WORLD_FN static __attribute__((unused))

#define must(cond) must_hold(!!(cond), #cond, __FILE__, __LINE__)
WORLD_FN void must_hold(int holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* With FUZZ_TRACE in the environment: what happens, for whoever looks into a finding. */
static int traces;

#define trace(...)                                                                                 \
    do {                                                                                           \
        if (traces)                                                                                \
            fprintf(stderr, __VA_ARGS__);                                                          \
    } while (0)

static struct engine *engine;
static int listener;

/* --- the clock, of libevent too --- */

#define EPOCH_NS 1000000000000ULL

static uint64_t fake_ns; /* 0: it is the system's */

int clock_gettime(clockid_t id, struct timespec *ts)
{
    if (fake_ns == 0 || (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE))
        return (int)syscall(SYS_clock_gettime, id, ts);
    ts->tv_sec = (time_t)(fake_ns / 1000000000);
    ts->tv_nsec = (long)(fake_ns % 1000000000);
    return 0;
}

/* --- what the kernel says of a client that reads slowly (Makefile: --wrap) --- */

static enum { KERNEL_SILENT, KERNEL_READS, KERNEL_LAGS, KERNEL_FULL } kernel;
static uint32_t kernel_acked;

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    struct tcp_info info = {.tcpi_snd_wnd = 1000};

    if (level != IPPROTO_TCP || name != TCP_INFO)
        return __real_getsockopt(fd, level, name, value, len);
    if (kernel == KERNEL_SILENT) {
        errno = EOPNOTSUPP;
        return -1;
    }
    kernel_acked += 4000;
    info.tcpi_bytes_acked = kernel_acked;
    if (kernel == KERNEL_LAGS)
        info.tcpi_snd_wnd = 50000 - kernel_acked % 50000;
    if (kernel == KERNEL_FULL)
        info.tcpi_notsent_bytes = NOTSENT_LOWAT_BYTES;
    must(*len >= sizeof(info));
    memcpy(value, &info, sizeof(info));
    *len = sizeof(info);
    return 0;
}

/* --- memory (likewise) --- */

static unsigned nomem_skip, nomem_count; /* so many more succeed, then so many fail */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static int nomem_now(void)
{
    if (nomem_count == 0)
        return 0;
    if (nomem_skip > 0) {
        nomem_skip--;
        return 0;
    }
    nomem_count--;
    errno = ENOMEM;
    return 1;
}

void *__wrap_malloc(size_t size)
{
    return nomem_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return nomem_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    return nomem_now() ? NULL : __real_realloc(ptr, size);
}

/* --- the program --- */

static const uint8_t *at, *end;

WORLD_FN unsigned u8(void)
{
    return at < end ? *at++ : 0;
}

/* So many of its bytes, or what is left, as they are but for the mark. */
WORLD_FN size_t raw(char *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (at == end)
            return i;
        dst[i] = (char)*at++;
        if (dst[i] == '~')
            dst[i] = '-';
    }
    return n;
}

/* --- sessions, as the application and their clients know them --- */

struct player {
    struct session *session; /* NULL: it is over */
    char sid[EIO_SID_LEN + 1];
    int eio;
    int asks;   /* connect() has come, and it is not in yet */
    int joined; /* socket_accept() or socket_caught_up(), and not left() */
    unsigned sent;
    uint8_t got[FANS_MAX + 1];
};

static struct player players[PLAYERS];
static unsigned nplayers;

/* Fan-outs that several are sent: how often each was owed, to whom, and came. */
static struct {
    uint32_t to; /* bit per player */
    uint8_t got;
} shared[FANS_MAX + 1];
static unsigned nshared;

/* A fan-out carries "~Qz7v=PPNNNN": player and number; player 99: a shared one. */
#define MARK     "~Qz7v="
#define MARK_LEN 6
#define SHARED   99

struct scan {
    unsigned at, value;
    uint16_t last[PLAYERS]; /* number, on this connection */
};

static void scan_found(struct scan *scan)
{
    unsigned who = scan->value / 10000, n = scan->value % 10000;

    must(n > 0);
    trace("  hears %u of %u\n", n, who);
    if (who == SHARED) {
        must(n <= nshared && shared[n].got < PLAYERS);
        shared[n].got++;
        return;
    }
    must(who < nplayers && n <= players[who].sent);
    must(players[who].got[n]++ == 0); /* never twice */
    must(n > scan->last[who]);        /* and in order */
    scan->last[who] = (uint16_t)n;
}

WORLD_FN void scan_bytes(struct scan *scan, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = bytes[i];
        if (scan->at < MARK_LEN) {
            scan->at = c == MARK[scan->at] ? scan->at + 1 : c == MARK[0];
            scan->value = 0;
            continue;
        }
        must(c >= '0' && c <= '9'); /* nothing comes between */
        scan->value = scan->value * 10 + (unsigned)(c - '0');
        if (++scan->at == MARK_LEN + 6) {
            scan->at = 0;
            scan_found(scan);
        }
    }
}

/* --- the clients' ends --- */

struct peer {
    int fd; /* -1: none */
    int fin;
    size_t len;  /* of out: to be sent */
    size_t tail; /* ... and of what comes behind that when peer_continue() says so */
    char out[OUT_BYTES];
    struct scan scan;
};

static struct peer peers[PEERS];
static char sink[1 << 20];

WORLD_FN void peer_begin(struct peer *peer, int fd)
{
    *peer = (struct peer){.fd = fd};
}

/* Appends bytes, of which only the first `now` are to be sent as yet. */
WORLD_FN void peer_put(struct peer *peer, const char *bytes, size_t len, size_t now)
{
    if (peer->fd < 0 || peer->fin)
        return;
    trace("  says %.*s (%zu of %zu bytes)\n", (int)strcspn(bytes, "\r\n"), bytes, now, len);
    peer->len += peer->tail;
    peer->tail = 0;
    if (peer->len + len > sizeof(peer->out))
        return;
    memcpy(peer->out + peer->len, bytes, len);
    peer->len += now;
    peer->tail = len - now;
}

WORLD_FN void peer_continue(struct peer *peer)
{
    peer->len += peer->tail;
    peer->tail = 0;
}

/* Returns 1 if something could be sent. */
WORLD_FN int peer_send(struct peer *peer)
{
    ssize_t n;

    if (peer->fd < 0 || peer->len == 0)
        return 0;
    n = send(peer->fd, peer->out, peer->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n < 0) { /* nobody hears it */
        peer->len = peer->tail = 0;
        return 0;
    }
    peer->len -= (size_t)n;
    memmove(peer->out, peer->out + n, peer->len + peer->tail);
    return 1;
}

/* Returns 1 if something was read. */
WORLD_FN int peer_read(struct peer *peer, size_t max)
{
    ssize_t n;

    if (peer->fd < 0)
        return 0;
    n = recv(peer->fd, sink, max < sizeof(sink) ? max : sizeof(sink), MSG_DONTWAIT);
    if (n > 0)
        scan_bytes(&peer->scan, sink, (size_t)n);
    if (n >= 0)
        trace("  reads %zd bytes on %zd\n", n, peer - peers);
    return n > 0;
}

/* What has come is read first, so that the other side finds an end, not a reset. */
WORLD_FN void peer_close(struct peer *peer)
{
    if (peer->fd < 0)
        return;
    while (peer_read(peer, sizeof(sink)))
        ;
    close(peer->fd);
    peer->fd = -1;
}

/* What has come stays unread, which resets the connection; it has come all the same. */
WORLD_FN void peer_abort(struct peer *peer)
{
    ssize_t n;

    if (peer->fd < 0)
        return;
    n = recv(peer->fd, sink, sizeof(sink), MSG_DONTWAIT | MSG_PEEK);
    if (n > 0)
        scan_bytes(&peer->scan, sink, (size_t)n);
    close(peer->fd);
    peer->fd = -1;
}

WORLD_FN void peer_half_close(struct peer *peer)
{
    if (peer->fd < 0)
        return;
    peer_send(peer);
    peer->fin = 1;
    peer->len = peer->tail = 0;
    shutdown(peer->fd, SHUT_WR);
}

#endif
