/* bare - the least that can bring a notification to a client: one send() for each
 * client and message.  What it costs is what the kernel costs.
 *
 *     bare PORT REDIS_PORT KEY
 *
 * It does the WebSocket handshake and answers CONNECT to /axr; there are no rooms,
 * tokens, queues or heartbeats.  It understands the swarm's notes only, and expects
 * each request and CONNECT in one piece.  Prints "ready PORT" (0 picks one).
 *
 * One that cannot take a frame loses it, and the loop is one connection shorter if
 * a part of the frame had left: to wait for it would cost the others. */
#include "note.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define NSP     "/axr"
#define BACKLOG 4096
#define EVENTS  512

enum state { STATE_CLOSED, STATE_HTTP, STATE_OPEN, STATE_IN };

struct peer { /* by descriptor */
    enum state state;
    int at; /* index among the members; STATE_IN only */
};

static struct peer *peers;
static int npeers, *members, nmembers;

_Noreturn static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void peer_close(int fd)
{
    struct peer *peer = &peers[fd];

    if (peer->state == STATE_IN) {
        members[peer->at] = members[--nmembers];
        peers[members[peer->at]].at = peer->at;
    }
    peer->state = STATE_CLOSED;
    close(fd);
}

/* Puts a frame header before len bytes that begin at text, and returns its size. */
static size_t frame(char *text, size_t len)
{
    if (len < 126) {
        text[-2] = (char)0x81;
        text[-1] = (char)len;
        return 2;
    }
    text[-4] = (char)0x81;
    text[-3] = 126;
    text[-2] = (char)(len >> 8);
    text[-1] = (char)len;
    return 4;
}

static void peer_upgrade(int fd, const char *request)
{
    static const char open[] =
        "0{\"sid\":\"aaaaaaaaaaaaaaaaaaaa\",\"upgrades\":[],\"pingInterval\":"
        "25000,\"pingTimeout\":20000,\"maxPayload\":1000000}";
    const char *key = strcasestr(request, "\r\nSec-WebSocket-Key:");
    char source[128], accept[64], answer[512], packet[sizeof(open) + 4];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size;
    size_t head;
    int n;

    if (key == NULL || sscanf(key + 20, " %60s", source) != 1) {
        peer_close(fd);
        return;
    }
    strcat(source, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    EVP_Digest(source, strlen(source), digest, &size, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, (int)size);
    memcpy(packet + 4, open, sizeof(open));
    head = frame(packet + 4, sizeof(open) - 1);
    n = sprintf(answer,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                accept);
    memcpy(answer + n, packet + 4 - head, head + sizeof(open) - 1);
    if (send(fd, answer, (size_t)n + head + sizeof(open) - 1, MSG_NOSIGNAL) < 0)
        peer_close(fd);
    else
        peers[fd].state = STATE_OPEN;
}

static void peer_join(int fd)
{
    char answer[] = "  40" NSP ",{\"sid\":\"bbbbbbbbbbbbbbbbbbbb\"}";

    frame(answer + 2, sizeof(answer) - 3);
    if (send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0) {
        peer_close(fd);
        return;
    }
    peers[fd] = (struct peer){STATE_IN, nmembers};
    members[nmembers++] = fd;
}

static void peer_read(int fd)
{
    char in[8192];
    ssize_t n = recv(fd, in, sizeof(in) - 1, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        peer_close(fd);
        return;
    }
    in[n] = '\0';
    if (peers[fd].state == STATE_HTTP)
        peer_upgrade(fd, in);
    else if (peers[fd].state == STATE_OPEN)
        peer_join(fd);
}

static void fan_out(const struct note *note)
{
    char text[NOTE_CAP + 4];
    size_t len = note_text(text + 4, note, NSP), head = frame(text + 4, len);

    for (int i = nmembers - 1; i >= 0; i--) {
        ssize_t n = send(members[i], text + 4 - head, head + len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0 && (size_t)n < head + len)
            peer_close(members[i]);
    }
}

static void redis_read(redisContext *redis)
{
    void *any;

    if (redisBufferRead(redis) != REDIS_OK)
        die("redis");
    while (redisGetReplyFromReader(redis, &any) == REDIS_OK && any != NULL) {
        redisReply *reply = any;
        struct note note;

        if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 4 &&
            reply->element[3]->type == REDIS_REPLY_STRING &&
            note_decode(&note, reply->element[3]->str, reply->element[3]->len) == 0)
            fan_out(&note);
        freeReplyObject(reply);
    }
}

static redisContext *redis_open(int port, const char *key)
{
    redisContext *redis = redisConnect("127.0.0.1", port);

    if (redis == NULL || redis->err != 0)
        die("redis");
    redisAppendCommand(redis, "PSUBSCRIBE %s#" NSP "#*", key);
    for (int done = 0; !done;)
        if (redisBufferWrite(redis, &done) != REDIS_OK)
            die("redis");
    return redis;
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll_ctl");
}

static void accept_all(int epoll, int listener)
{
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= npeers) { /* cannot be: it is the limit of descriptors */
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        peers[fd].state = STATE_HTTP;
        watch(epoll, fd);
    }
}

static int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof(addr);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        die("listen");
    printf("ready %d\n", ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

static void allocate_peers(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    npeers = limit.rlim_max > 1 << 20 ? 1 << 20 : (int)limit.rlim_max;
    peers = calloc((size_t)npeers, sizeof(*peers));
    members = calloc((size_t)npeers, sizeof(*members));
    if (peers == NULL || members == NULL)
        die("calloc");
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    redisContext *redis;
    int epoll, listener;

    if (argc != 4) {
        fputs("usage: bare PORT REDIS_PORT KEY\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    allocate_peers();
    epoll = epoll_create1(0);
    redis = redis_open(atoi(argv[2]), argv[3]);
    watch(epoll, redis->fd);
    listener = listen_on(atoi(argv[1]));
    watch(epoll, listener);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;

            if (fd == listener)
                accept_all(epoll, listener);
            else if (fd == redis->fd)
                redis_read(redis);
            else if (peers[fd].state != STATE_CLOSED) /* a fan-out may have closed it */
                peer_read(fd);
        }
    }
}
