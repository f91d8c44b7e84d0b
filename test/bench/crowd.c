#include "crowd.h"
#include "token.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS      1024
#define IN_BYTES    (256 << 10) /* read at once */
#define SOURCE_EACH 12288       /* clients that come from one address: see dial() */
#define TOLD        3           /* failures that are told of */
#define MS_NS       UINT64_C(1000000)
#define BACK_MS     1000 /* until a client comes back, at first */
#define BACK_MAX_MS 5000

int crowd_init(struct crowd *crowd)
{
    crowd->clients = calloc(crowd->cap, sizeof(*crowd->clients));
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    return crowd->clients == NULL || crowd->epoll < 0 ? -1 : 0;
}

static void client_close(struct client *client)
{
    secure_free(client->ssl);
    client->ssl = NULL;
    close(client->fd);
    free(client->rest);
    client->rest = NULL;
    client->rest_len = 0;
    client->state = CLIENT_NONE;
}

/* Comes back later. */
static void client_away(struct crowd *crowd, struct client *client, uint64_t after_ns)
{
    uint64_t now = note_now_ns();

    if (client->state == CLIENT_IN)
        crowd->in--;
    else
        crowd->dialling--;
    if (client->lost_ns == 0)
        client->lost_ns = now;
    client_close(client);
    client->was_away = 1;
    client->state = CLIENT_AWAY;
    client->back_ns = now + after_ns;
    crowd->away++;
}

/* As socket.io-client: the delay doubles, and is less or more by up to a half. */
static uint64_t backoff_ns(struct client *client)
{
    uint64_t ms = client->tries < 3 ? (uint64_t)BACK_MS << client->tries : BACK_MAX_MS;

    client->tries += client->tries < 3;
    return ms * MS_NS / 2 + (uint64_t)random() % (ms * MS_NS);
}

/* The client is of no more use, and counted as failed or gone. */
static void client_lost(struct crowd *crowd, struct client *client, const char *why, size_t len)
{
    if (client->ticket != NULL && (client->state == CLIENT_IN || client->lost_ns != 0)) {
        client_away(crowd, client, backoff_ns(client));
        return;
    }
    if (client->state == CLIENT_IN) {
        crowd->in--;
        crowd->gone++;
    } else {
        crowd->dialling--;
        crowd->failed++;
    }
    if (crowd->failed + crowd->gone <= TOLD)
        fprintf(stderr, "swarm: client %td, state %d: %.*s\n", client - crowd->clients,
                client->state, (int)(len > 200 ? 200 : len), why);
    client_close(client);
}

static void client_fail(struct crowd *crowd, struct client *client, int error)
{
    const char *why = error == 0 ? "closed by the server" : strerror(error);

    client_lost(crowd, client, why, strlen(why));
}

/* --- out --- */

static void client_write(struct crowd *crowd, struct client *client, const char *bytes, size_t len)
{
    ssize_t n = client->ssl != NULL ? secure_send(client->ssl, bytes, len)
                                    : send(client->fd, bytes, len, MSG_NOSIGNAL);

    if (n != (ssize_t)len)
        client_fail(crowd, client, n < 0 ? errno : ENOBUFS);
}

/* Sends text in one frame, masked with zeros. */
static void client_send(struct crowd *crowd, struct client *client, const char *text, size_t len)
{
    char frame[1024] = {(char)0x81};
    size_t head = 2;

    if (len < 126) {
        frame[1] = (char)(0x80 | len);
    } else {
        frame[1] = (char)(0x80 | 126);
        frame[2] = (char)(len >> 8);
        frame[3] = (char)len;
        head = 4;
    }
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, text, len);
    client_write(crowd, client, frame, head + 4 + len);
}

/* With the offer that browsers and Node's clients make; what is negotiated is nothing. */
static void client_upgrade(struct crowd *crowd, struct client *client)
{
    char request[1024];
    int n = snprintf(request, sizeof(request),
                     "GET %s?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                     "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
                     "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
                     crowd->path, ntohs(crowd->server.sin_port));

    client->state = CLIENT_UPGRADING;
    client_write(crowd, client, request, (size_t)n);
}

static void client_ask(struct crowd *crowd, struct client *client)
{
    char uid[64], token[TOKEN_CAP], packet[TOKEN_CAP + 320], back[224] = "";
    const struct ticket *ticket = client->ticket;
    int n;

    snprintf(uid, sizeof(uid), "%.40s%td", crowd->prefix, client - crowd->clients);
    token_make(token, crowd->secret, uid);
    if (ticket != NULL && ticket->pid[0] != '\0' && ticket->offset[0] != '\0')
        snprintf(back, sizeof(back), ",\"pid\":\"%s\",\"offset\":\"%s\"", ticket->pid,
                 ticket->offset);
    else if (ticket != NULL && ticket->pid[0] != '\0')
        snprintf(back, sizeof(back), ",\"pid\":\"%s\"", ticket->pid);
    n = snprintf(packet, sizeof(packet), "40%.80s,{\"token\":\"%s\"%s}", crowd->nsp, token, back);
    client->state = CLIENT_JOINING;
    client_send(crowd, client, packet, (size_t)n);
}

/* --- in --- */

/* It has what it missed, if it does. */
static void client_caught(struct crowd *crowd, struct client *client, uint64_t now)
{
    if (client->lost_ns == 0 || client->state != CLIENT_IN || client->next < client->goal)
        return;
    hist_add(&crowd->caught, now - client->dial_ns);
    hist_add(&crowd->missing, now - client->lost_ns);
    client->lost_ns = 0;
}

static void client_hear(struct crowd *crowd, struct client *client, const struct note *note,
                        uint64_t now)
{
    uint32_t user = (uint32_t)(client - crowd->clients);

    if (crowd->direct ? note->number < client->next || note_user(note->number, crowd->n) != user
                      : client->next != 0 && note->number != client->next)
        crowd->wrong++;
    client->next = note->number + 1;
    if (client->next > crowd->published)
        crowd->published = client->next;
    crowd->heard++;
    if (!client->was_away)
        hist_add(&crowd->latency, now - note->sent_ns);
    client_caught(crowd, client, now);
}

/* Of what it is told: an event's last argument. */
static void client_offset(struct client *client, const char *text, size_t len)
{
    const char *at;
    size_t n = client->ticket != NULL ? note_offset(&at, text, len) : 0;

    if (n == 0 || n >= sizeof(client->ticket->offset))
        return;
    memcpy(client->ticket->offset, at, n);
    client->ticket->offset[n] = '\0';
}

/* The answer to its CONNECT. */
static void client_joined(struct crowd *crowd, struct client *client, const char *text, size_t len,
                          uint64_t now)
{
    const char *pid = memmem(text, len, "\"pid\":\"", 7), *end = NULL;
    struct ticket *ticket = client->ticket;

    client->state = CLIENT_IN;
    client->tries = 0;
    crowd->dialling--;
    crowd->in++;
    hist_add(&crowd->joined, now - client->dial_ns);
    if (client->ssl != NULL)
        secure_keep(crowd->secure, client->ssl);
    if (client->lost_ns != 0)
        client->goal = crowd->direct ? client->due : crowd->published;
    if (pid != NULL)
        end = memchr(pid + 7, '"', len - (size_t)(pid + 7 - text));
    if (ticket != NULL && end != NULL && (size_t)(end - pid - 7) < sizeof(ticket->pid)) {
        size_t n = (size_t)(end - pid - 7);
        int same = strlen(ticket->pid) == n && memcmp(ticket->pid, pid + 7, n) == 0;

        if (client->lost_ns != 0 && same)
            crowd->recovered++;
        else if (client->lost_ns != 0)
            crowd->forgotten++;
        memcpy(ticket->pid, pid + 7, n);
        ticket->pid[n] = '\0';
    }
    client_caught(crowd, client, now);
}

/* Events come before the answer, too: Node sends what was missed first. */
static int takes_events(const struct client *client)
{
    return client->state == CLIENT_IN ||
           (client->state == CLIENT_JOINING && client->ticket != NULL);
}

/* An event with an id: "id[...".  The answer is the user's name. */
static void client_answer(struct crowd *crowd, struct client *client, const char *text, size_t len)
{
    char packet[256];
    size_t digits = 0;
    int n;

    while (digits < len && isdigit((unsigned char)text[digits]))
        digits++;
    n = snprintf(packet, sizeof(packet), "43%.80s,%.*s[\"%.40s%td\"]", crowd->nsp,
                 (int)(digits > 20 ? 20 : digits), text, crowd->prefix, client - crowd->clients);
    crowd->asked++;
    client_send(crowd, client, packet, (size_t)n);
}

/* A Socket.IO packet, behind its "4". */
static void client_packet(struct crowd *crowd, struct client *client, const char *text, size_t len,
                          uint64_t now)
{
    size_t nsp = strlen(crowd->nsp);
    struct note note;

    if (len < nsp + 2 || memcmp(text + 1, crowd->nsp, nsp) != 0 || text[nsp + 1] != ',')
        return;
    if (text[0] == '0' && client->state == CLIENT_JOINING) {
        client_joined(crowd, client, text, len, now);
    } else if (text[0] == '4' || text[0] == '1') {
        client_lost(crowd, client, text, len);
    } else if (text[0] == '2' && takes_events(client)) {
        client_offset(client, text + nsp + 2, len - nsp - 2);
        if (len > nsp + 2 && isdigit((unsigned char)text[nsp + 2]))
            client_answer(crowd, client, text + nsp + 2, len - nsp - 2);
        else if (note_parse(&note, text + nsp + 2, len - nsp - 2) == 0)
            client_hear(crowd, client, &note, now);
        else if (client->ticket == NULL || memmem(text, len, "[\"$offset\",", 11) == NULL)
            crowd->wrong++;
    }
}

static void client_frame(struct crowd *crowd, struct client *client, int opcode, const char *text,
                         size_t len, uint64_t now)
{
    if (opcode == 8)
        client_fail(crowd, client, 0);
    if (opcode != 1 || len == 0)
        return;
    if (text[0] == '4')
        client_packet(crowd, client, text + 1, len - 1, now);
    else if (text[0] == '2')
        client_send(crowd, client, "3", 1);
    else if (text[0] == '0' && client->state == CLIENT_OPENING)
        client_ask(crowd, client);
}

/* The size of the whole frame at bytes and in *head that of its header; 0: not all of it there. */
static size_t frame_size(const char *bytes, size_t len, size_t *head)
{
    const uint8_t *at = (const uint8_t *)bytes;
    uint64_t payload;

    if (len < 2)
        return 0;
    payload = at[1] & 127;
    *head = payload < 126 ? 2 : payload == 126 ? 4 : 10;
    if (len < *head)
        return 0;
    if (payload > 125) {
        payload = 0;
        for (size_t i = 2; i < *head; i++)
            payload = payload << 8 | at[i];
    }
    return payload > len - *head ? 0 : *head + (size_t)payload;
}

/* Takes what is whole off bytes.  Returns how much that was. */
static size_t client_take(struct crowd *crowd, struct client *client, const char *bytes, size_t len)
{
    uint64_t now = note_now_ns();
    size_t done = 0, head, size;

    if (client->state == CLIENT_UPGRADING) {
        const char *end = memmem(bytes, len, "\r\n\r\n", 4);

        if (end == NULL)
            return 0;
        if (memcmp(bytes, "HTTP/1.1 101", 12) != 0) {
            client_lost(crowd, client, bytes, len);
            return len;
        }
        client->state = CLIENT_OPENING;
        done = (size_t)(end - bytes) + 4;
    }
    while (client->state >= CLIENT_DIALLING &&
           (size = frame_size(bytes + done, len - done, &head)) != 0) {
        client_frame(crowd, client, bytes[done] & 15, bytes + done + head, size - head, now);
        done += size;
    }
    return done;
}

/* Keeps what is not whole.  Returns 0, or -1 if that is too much. */
static int client_keep(struct client *client, const char *bytes, size_t len)
{
    char *rest;

    if (len == 0) {
        free(client->rest);
        client->rest = NULL;
    } else if (len != client->rest_len) {
        rest = len > IN_BYTES / 2 ? NULL : realloc(client->rest, len);
        if (rest == NULL)
            return -1;
        client->rest = rest;
    }
    if (len > 0)
        memcpy(client->rest, bytes, len);
    client->rest_len = (uint32_t)len;
    return 0;
}

/* Returns 1 if there may be more that nobody tells of: TLS has read ahead. */
static int client_read(struct crowd *crowd, struct client *client)
{
    static char in[IN_BYTES];
    size_t len = client->rest_len, done;
    ssize_t n;

    if (len > 0)
        memcpy(in, client->rest, len);
    n = client->ssl != NULL ? secure_recv(client->ssl, in + len, sizeof(in) - len)
                            : recv(client->fd, in + len, sizeof(in) - len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        client_fail(crowd, client, n < 0 ? errno : 0);
        return 0;
    }
    len += (size_t)n;
    done = client_take(crowd, client, in, len);
    if (client->state < CLIENT_DIALLING)
        return 0;
    if (client_keep(client, in + done, len - done) != 0) {
        client_fail(crowd, client, ENOMEM);
        return 0;
    }
    return client->ssl != NULL && SSL_has_pending(client->ssl);
}

static void client_shake(struct crowd *crowd, struct client *client)
{
    int done = secure_shake(client->ssl);

    if (done < 0) {
        client_fail(crowd, client, errno);
    } else if (done > 0) {
        crowd->resumed += (uint64_t)SSL_session_reused(client->ssl);
        client_upgrade(crowd, client);
    }
}

static void client_dialled(struct crowd *crowd, struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)(client - crowd->clients)};
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        client_fail(crowd, client, error);
        return;
    }
    epoll_ctl(crowd->epoll, EPOLL_CTL_MOD, client->fd, &event);
    if (crowd->secure == NULL) {
        client_upgrade(crowd, client);
        return;
    }
    client->state = CLIENT_SECURING;
    client->ssl = secure_new(crowd->secure, client->fd);
    if (client->ssl == NULL)
        client_fail(crowd, client, ENOMEM);
    else
        client_shake(crowd, client);
}

/* --- all of them --- */

/* A socket from the next source address to the server, or -1. */
static int dial(struct crowd *crowd)
{
    uint32_t first = ntohl(crowd->source.sin_addr.s_addr);
    struct sockaddr_in from = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1, error;

    if (fd < 0)
        return -1;
    /* An address has 28,000 ports, and connect() tries every other one first: once those
     * are taken, each call walks over all of them. */
    from.sin_addr.s_addr = htonl(first + (uint32_t)(crowd->dials++ / SOURCE_EACH) % 200);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
        (connect(fd, (struct sockaddr *)&crowd->server, sizeof(crowd->server)) == 0 ||
         errno == EINPROGRESS))
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Returns 0, or -1 if it failed at once. */
static int client_dial(struct crowd *crowd, struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT,
                                .data.u32 = (uint32_t)(client - crowd->clients)};

    client->state = CLIENT_DIALLING;
    client->dial_ns = note_now_ns();
    crowd->dialling++;
    client->fd = dial(crowd);
    if (client->fd >= 0 && epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, client->fd, &event) == 0)
        return 0;
    client_fail(crowd, client, errno);
    return -1;
}

int crowd_dial(struct crowd *crowd)
{
    struct client *client = &crowd->clients[crowd->n];

    if (crowd->n == crowd->cap)
        return -1;
    crowd->n++;
    *client = (struct client){0};
    if (crowd->returns && (client->ticket = calloc(1, sizeof(*client->ticket))) == NULL)
        return -1;
    return client_dial(crowd, client);
}

/* Those whose time has come. */
static void come_back(struct crowd *crowd)
{
    uint64_t now = note_now_ns();

    for (uint32_t i = 0; i < crowd->n && crowd->away > 0; i++) {
        struct client *client = &crowd->clients[i];

        if (client->state != CLIENT_AWAY || client->back_ns > now)
            continue;
        crowd->away--;
        client_dial(crowd, client);
    }
}

void crowd_cut(struct crowd *crowd, uint32_t n, uint64_t away_ns, uint64_t spread_ns)
{
    for (uint32_t i = 0; i < crowd->n && i < n; i++)
        if (crowd->clients[i].state == CLIENT_IN)
            client_away(crowd, &crowd->clients[i],
                        away_ns + (spread_ns > 0 ? (uint64_t)random() % spread_ns : 0));
}

void crowd_poll(struct crowd *crowd, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(crowd->epoll, events, EVENTS, wait_ms);

    for (int i = 0; i < n; i++) {
        struct client *client = &crowd->clients[events[i].data.u32];

        if (client->state == CLIENT_DIALLING)
            client_dialled(crowd, client);
        if ((events[i].events & ~(uint32_t)EPOLLOUT) == 0)
            continue;
        if (client->state == CLIENT_SECURING)
            client_shake(crowd, client);
        else if (client->state > CLIENT_SECURING)
            while (client_read(crowd, client))
                ;
    }
    if (crowd->away > 0)
        come_back(crowd);
}

void crowd_listen(struct crowd *crowd, int direct)
{
    crowd->direct = direct;
    crowd->heard = crowd->wrong = 0;
    memset(&crowd->latency, 0, sizeof(crowd->latency));
    memset(&crowd->caught, 0, sizeof(crowd->caught));
    memset(&crowd->missing, 0, sizeof(crowd->missing));
    crowd->recovered = crowd->forgotten = 0;
    for (uint32_t i = 0; i < crowd->n; i++)
        crowd->clients[i].next = crowd->clients[i].due = crowd->clients[i].was_away = 0;
}

void crowd_close(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->n; i++) {
        if (crowd->clients[i].state >= CLIENT_DIALLING)
            client_close(&crowd->clients[i]);
        free(crowd->clients[i].ticket);
        crowd->clients[i].ticket = NULL;
    }
    crowd->away = 0;
    crowd->n = crowd->dialling = crowd->in = crowd->failed = crowd->gone = 0;
    crowd->asked = crowd->resumed = 0;
    memset(&crowd->joined, 0, sizeof(crowd->joined));
    crowd_listen(crowd, 0);
}
