/* peer - a net with one connection on a socket pair, and the other end of it: what the
 * layers above net, and its own files, are tested on. */
#ifndef TEST_PEER_H
#define TEST_PEER_H

#include "base/clock.h"
#include "net/net.h"
#include "tap.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_FN      static __attribute__((unused))
#define PEER_WAIT_MS 10000

static struct event_base *base;
static struct net *net;
static int peer_fd = -1; /* the client's end */
static int peer_kept[8]; /* those of others, which stay until net_down() */
static size_t peer_nkept;
static char heard[1 << 20]; /* of it, as far as it was taken; 0-terminated */
static size_t nheard;

static struct net_options peer_options = {
    .connections_max = 100, .send_buffer = 100000, .send_timeout_ms = 60000};

PEER_FN void net_up(const struct net_ops *ops, void *arg)
{
    if (base == NULL)
        base = event_base_new();
    net = net_new(base, &peer_options, ops, arg);
    if (net == NULL)
        abort();
}

/* The next connection is another. */
PEER_FN void peer_keep(void)
{
    if (peer_nkept == sizeof(peer_kept) / sizeof(peer_kept[0]))
        abort();
    peer_kept[peer_nkept++] = peer_fd;
    peer_fd = -1;
}

/* A connection of net; sndbuf: of its socket, 0: the system's.  Its client's end is peer_fd. */
PEER_FN struct conn *conn_up(int sndbuf)
{
    struct conn *conn;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    if (sndbuf > 0)
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
    conn = conn_new(net, pair[0]);
    if (conn == NULL)
        abort();
    peer_fd = pair[1];
    nheard = 0;
    return conn;
}

/* --- somebody who speaks on it, and only counts --- */

static int ngone, nfreed, nsent, nflushed, ntimeouts, ended_result, was_blocked_last;
static enum close_reason last_why;
static char input_text[4096];
static size_t ninput;

PEER_FN void speaker_input(struct conn *conn, const uint8_t *bytes, size_t len)
{
    size_t room = sizeof(input_text) - 1 - ninput, n = len < room ? len : room;

    (void)conn;
    memcpy(input_text + ninput, bytes, n);
    ninput += n;
    input_text[ninput] = '\0';
}

PEER_FN int speaker_ended(struct conn *conn)
{
    (void)conn;
    return ended_result;
}

PEER_FN void speaker_flush(struct conn *conn)
{
    (void)conn;
    nflushed++;
}

PEER_FN void speaker_sent(struct conn *conn, int was_blocked)
{
    (void)conn;
    nsent++;
    was_blocked_last = was_blocked;
}

PEER_FN void speaker_timeout(struct conn *conn)
{
    (void)conn;
    ntimeouts++;
}

PEER_FN void speaker_gone(struct conn *conn, enum close_reason why)
{
    conn->owner = NULL;
    ngone++;
    last_why = why;
}

PEER_FN void speaker_free(struct conn *conn)
{
    (void)conn;
    nfreed++;
}

static const struct conn_ops speaker __attribute__((unused)) = {
    .input = speaker_input,
    .ended = speaker_ended,
    .flush = speaker_flush,
    .sent = speaker_sent,
    .timeout = speaker_timeout,
    .gone = speaker_gone,
    .free = speaker_free,
};

/* A net with a connection on which it speaks, of a user.  streams: as a WebSocket. */
PEER_FN struct conn *speaker_up(int sndbuf, int streams)
{
    struct conn *conn;

    net_up(NULL, NULL);
    net_speaks(net, &speaker, NULL, 60000);
    conn = conn_up(sndbuf);
    conn->streams = streams != 0;
    conn->asks_sent = !streams;
    conn->stranger = 0;
    stranger_conn(conn);
    ngone = nfreed = nsent = nflushed = ntimeouts = ended_result = 0;
    ninput = 0;
    return conn;
}

PEER_FN void peer_close(void)
{
    while (peer_nkept > 0)
        close(peer_kept[--peer_nkept]);
    if (peer_fd >= 0)
        close(peer_fd);
    peer_fd = -1;
}

PEER_FN void net_down(void)
{
    peer_close();
    net_free(&net);
}

/* n bytes of one letter. */
PEER_FN const char *letters(char letter, size_t n)
{
    static char text[1 << 20];

    memset(text, letter, n);
    return text;
}

PEER_FN void turns(int n)
{
    while (n-- > 0)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Runs the loop until *until is not 0. */
PEER_FN int until(const int *done)
{
    for (uint64_t end = clock_ms() + PEER_WAIT_MS; !*done && clock_ms() < end;)
        event_base_loop(base, EVLOOP_NONBLOCK);
    return *done;
}

PEER_FN void say(const void *bytes, size_t len)
{
    if (send(peer_fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        perror("# send");
    turns(2);
}

/* Takes what has come, at most max bytes more.  Returns how many did, -1 at the end. */
PEER_FN ssize_t hear_some(size_t max)
{
    size_t got = 0;

    while (got < max && nheard < sizeof(heard) - 1) {
        size_t room = sizeof(heard) - 1 - nheard;
        ssize_t n =
            recv(peer_fd, heard + nheard, max - got < room ? max - got : room, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 && got == 0)
            return -1;
        if (n <= 0)
            break;
        nheard += (size_t)n;
        got += (size_t)n;
    }
    heard[nheard] = '\0';
    return (ssize_t)got;
}

/* All that was sent until the loop has nothing left to do; from the last call on.  0-terminated,
 * nheard bytes. */
PEER_FN const char *hear(void)
{
    nheard = 0;
    heard[0] = '\0';
    for (int quiet = 0; quiet < 3; quiet++) {
        turns(2);
        if (hear_some(sizeof(heard)) > 0)
            quiet = 0;
    }
    return heard;
}

/* 1 if the connection has been closed by the other side, all of it taken. */
PEER_FN int is_closed(void)
{
    char byte;
    ssize_t n;

    turns(3);
    n = recv(peer_fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

#endif
