/* Those that have no good token: a share of the places, of which the oldest goes, and a
 * part of the memory; users lose neither. */
#include "engine/engine.h"

#include "base/clock.h"
#include "eio/polling.h"
#include "loopback.h"
#include "tap.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

#define WAIT_MS  10000
#define PLACES   16
#define USERS    4  /* of one kind */
#define FLOOD    60 /* of one kind */
#define BUFFER   1000000
#define SMALL    4096 /* of the kernel's, for a client that does not read */
#define WS_QUERY "EIO=4&transport=websocket"
#define OPEN     "EIO=4&transport=polling"

static struct event_base *base;
static struct engine *engine;
static struct socket *last;
static int port, closes, verdict, evicted;
static enum close_reason last_why;

enum { REFUSE = -1, WAIT, ACCEPT };

static void *on_opened(struct socket *socket, const struct http_request *req,
                       const struct address *peer, void *arg)
{
    (void)req;
    (void)peer;
    (void)arg;
    return socket;
}

static void on_connect(struct socket *socket, const struct sio_packet *packet, void *arg)
{
    (void)packet;
    (void)arg;
    last = socket;
    if (verdict == ACCEPT)
        socket_accept(socket, NULL);
    else if (verdict == REFUSE)
        socket_refuse(socket, "no", "token_missing");
}

static void on_left(struct socket *socket, enum close_reason why, void *arg)
{
    (void)socket;
    (void)why;
    (void)arg;
}

static void on_closed(struct socket *socket, enum close_reason why, void *arg)
{
    (void)socket;
    (void)arg;
    closes++;
    last_why = why;
    evicted += why == CLOSE_EVICTED;
}

static const struct sio_app app = {
    .opened = on_opened,
    .connect = on_connect,
    .left = on_left,
    .closed = on_closed,
};

static struct engine_options options(size_t connections, size_t strangers)
{
    return (struct engine_options){
        .path = "/n/",
        .nsp = "/axr",
        .ping_interval_ms = 3600000,
        .ping_timeout_ms = 3600000,
        .connect_timeout_ms = 3600000,
        .upgrade_timeout_ms = 3600000,
        .polling = 1,
        .websocket = 1,
        .max_payload = BUFFER,
        .http = {16384, 100},
        .connections_max = connections,
        .strangers_max = strangers,
        .send_buffer = BUFFER,
        .send_timeout_ms = 3600000,
        .name = "axr-notifyd",
        .version = "1",
    };
}

static void engine_up(size_t connections, size_t strangers)
{
    struct engine_options own = options(connections, strangers);
    static int fd = -1;

    if (fd >= 0)
        close(fd);
    fd = loopback_listen(SOCK_NONBLOCK, &port);
    engine = engine_new(base, &own, &app, NULL);
    engine_listen(engine, fd, 0);
    closes = evicted = 0;
    verdict = ACCEPT;
}

/* --- clients --- */

static void turns(int n)
{
    while (n-- > 0)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Connects, and is accepted, after which it says text. */
static int dial(const char *text)
{
    uint64_t accepted = engine->net->stats.accepted, end = clock_ms() + WAIT_MS;
    int fd = loopback_dial(port), one = 1;

    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
    while (engine->net->stats.accepted == accepted && clock_ms() < end)
        event_base_loop(base, EVLOOP_NONBLOCK);
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        perror("# send");
    turns(3);
    return fd;
}

/* Everything up to needle; NULL: it did not come. */
static const char *hear(int fd, const char *needle)
{
    static char got[65536];
    uint64_t end = clock_ms() + WAIT_MS;
    size_t n = 0;

    while (n < sizeof(got) - 1 && clock_ms() < end) {
        ssize_t r = recv(fd, got + n, 1, MSG_DONTWAIT);
        if (r > 0) {
            got[++n] = '\0';
            if (strcmp(got + n - (n < strlen(needle) ? n : strlen(needle)), needle) == 0)
                return got;
            continue;
        }
        if (r == 0 || (errno != EAGAIN && errno != EINTR))
            return NULL;
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    return NULL;
}

static int is_open(int fd)
{
    char byte;
    ssize_t r;

    turns(3);
    r = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return r > 0 || (r < 0 && errno == EAGAIN);
}

static void ask(int fd, const char *method, const char *query, const char *body)
{
    char request[1024];
    int len = snprintf(request, sizeof(request),
                       "%s /n/?%s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n%s", method,
                       query, strlen(body), body);

    if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
        perror("# send");
    turns(3);
}

static void put_text(int fd, const char *text)
{
    char frame[200];
    size_t n = strlen(text);

    memcpy(frame, "\x81\0\0\0\0\0", 6);
    frame[1] = (char)(0x80 | n);
    memcpy(frame + 6, text, n);
    if (send(fd, frame, n + 6, MSG_NOSIGNAL) < 0)
        perror("# send");
    turns(3);
}

static int websocket(const char *query)
{
    char request[512];

    snprintf(request, sizeof(request),
             "GET /n/?%s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             query);
    return dial(request);
}

static int ws_user(void)
{
    int fd = websocket(WS_QUERY);

    put_text(fd, "40/axr,{}");
    ok(hear(fd, "40/axr,{\"sid\"") != NULL, "a user's WebSocket");
    return fd;
}

/* One more session that polls, over a connection that is there. */
static const char *poll_open(int fd)
{
    static char query[128];
    const char *reply;
    char sid[EIO_SID_LEN + 1] = "", *at;

    ask(fd, "GET", OPEN, "");
    reply = hear(fd, "}");
    at = reply != NULL ? strstr(reply, "\"sid\":\"") : NULL;
    if (at != NULL)
        snprintf(sid, sizeof(sid), "%s", at + 7);
    snprintf(query, sizeof(query), OPEN "&sid=%s", sid);
    return query;
}

/* Returns its connection, which waits for its next request. */
static int poll_user(char query[128])
{
    int fd = dial("");

    strcpy(query, poll_open(fd));
    ask(fd, "POST", query, "40/axr,{}");
    ok(hear(fd, "ok") != NULL, "a user that polls");
    ask(fd, "GET", query, "");
    ok(hear(fd, "}") != NULL, "and is told");
    return fd;
}

/* What the gauges say is what a walk finds, and within bounds. */
static void counted(size_t max, const char *what)
{
    const uint64_t *n = engine->net->stats.strangers;
    uint64_t want[STRANGER_KINDS] = {0};

    for (const struct conn *conn = engine->net->conns; conn != NULL; conn = conn->next) {
        const struct session *owner = conn->owner;
        want[STRANGER_SOCKET] +=
            owner == NULL ? conn->stranger : owner->ws != conn && owner->stranger;
    }
    for (uint32_t i = 0; i < engine->eio->nslots; i++) {
        const struct session *session = engine->eio->slots[i].session;
        if (session != NULL)
            want[session->ws ? STRANGER_WEBSOCKET : STRANGER_POLLING] += session->stranger;
    }
    is_mem(n, sizeof(want), want, sizeof(want), what);
    ok(n[0] + n[1] + n[2] <= max, "within %zu: %d, %d, %d", max, (int)n[0], (int)n[1], (int)n[2]);
}

static uint64_t gone(enum stranger_kind kind)
{
    return engine->net->stats.strangers_evicted[kind];
}

/* --- places --- */

static void test_oldest(void)
{
    int fds[PLACES + 2];

    engine_up(1000, PLACES);
    for (int i = 0; i < PLACES; i++)
        fds[i] = dial("");
    ok(engine_strangers_full(engine) && !engine_is_full(engine), "their places are taken");
    is_int(gone(STRANGER_SOCKET), 0, "and nobody has gone");
    fds[PLACES] = dial("");
    ok(!is_open(fds[0]) && is_open(fds[1]) && is_open(fds[PLACES]), "the oldest goes for one more");
    fds[PLACES + 1] = dial("GET /status HTTP/1.1\r\nHost: h\r\n\r\n");
    ok(hear(fds[PLACES + 1], "\"version\":\"1\"}") != NULL, "which is served");
    ok(!is_open(fds[1]) && is_open(fds[2]), "and the next");
    is_int(gone(STRANGER_SOCKET), 2, "both are counted");
    counted(PLACES, "sockets");
    for (int i = 0; i < PLACES + 2; i++)
        close(fds[i]);
    turns(3);
    counted(0, "none is left");
    engine_free(&engine);
}

static void flood(void)
{
    char query[128];

    for (int i = 0; i < FLOOD; i++) {
        close(i % 2 ? dial("") : dial("GET /status HTTP/1.1\r\nHost: h\r\n\r\n"));
        (void)!loopback_dial(port); /* stays; the program ends soon */
        turns(3);
        int fd = dial("");
        strcpy(query, poll_open(fd));
        if (i % 2)
            close(fd);
        websocket(WS_QUERY);
        counted(PLACES, "a flood");
    }
}

static void test_users(void)
{
    char queries[USERS][128];
    int ws[USERS], polling[USERS], waiting[USERS];

    engine_up(1000, PLACES);
    for (int i = 0; i < USERS; i++) {
        ws[i] = ws_user();
        polling[i] = poll_user(queries[i]);
        waiting[i] = dial("");
        ask(waiting[i], "GET", queries[i], "");
    }
    counted(0, "users are no strangers, nor are their connections");
    flood();
    is_int((long long)(gone(0) > 0) + (gone(1) > 0) + (gone(2) > 0), 3,
           "strangers of all kinds go");
    for (int i = 0; i < USERS; i++) {
        ok(is_open(ws[i]) && is_open(polling[i]) && is_open(waiting[i]), "no user does");
        ask(polling[i], "POST", queries[i], "41/axr,");
        ok(hear(polling[i], "ok") != NULL, "they are served");
        put_text(ws[i], "40/x,");
        ok(hear(ws[i], "Invalid namespace\"}") != NULL, "over WebSocket too");
    }
    close(ws_user());
    engine_free(&engine);
}

/* Their kind has most: others of it go. */
static void test_kinds(void)
{
    int first = -1, fd;
    char query[128];

    engine_up(1000, PLACES);
    first = websocket(WS_QUERY);
    fd = dial("");
    strcpy(query, poll_open(fd));
    close(fd);
    for (int i = 0; i < FLOOD; i++)
        (void)dial("");
    ok(is_open(first), "a session does not fall to sockets that say nothing");
    fd = dial("");
    ask(fd, "POST", query, "40/axr,{}");
    ok(hear(fd, "ok") != NULL, "nor does one that polls");
    counted(PLACES, "a flood of sockets");
    put_text(first, "40/axr,{}");
    ok(hear(first, "40/axr,{\"sid\"") != NULL, "both come in");
    first = dial("");
    for (int i = 0; i < FLOOD; i++)
        (void)websocket(WS_QUERY);
    counted(PLACES, "a flood of WebSockets");
    ok(is_open(first), "leaves the youngest sockets alone");
    engine_free(&engine);
}

/* With all that it has, and for good. */
static void test_polling_goes(void)
{
    char query[128];
    int get, post, probe, fd;

    engine_up(1000, PLACES);
    get = dial("");
    strcpy(query, poll_open(get));
    ask(get, "GET", query, "");
    post = dial("");
    ask(post, "POST", query, "3");
    ok(hear(post, "ok") != NULL, "a session that polls");
    char ws_query[160];
    snprintf(ws_query, sizeof(ws_query), WS_QUERY "&sid=%s", strstr(query, "sid=") + 4);
    probe = websocket(ws_query);
    put_text(probe, "2probe");
    ok(hear(probe, "3probe") != NULL, "and is about to upgrade");
    counted(PLACES, "all its connections count");
    for (int i = 0; i < FLOOD; i++) {
        fd = dial("");
        poll_open(fd);
        close(fd);
        turns(3);
    }
    ok(!is_open(probe), "when it goes its WebSocket goes");
    ok(last_why == CLOSE_EVICTED, "for others");
    fd = dial("");
    ask(fd, "GET", query, "");
    ok(hear(fd, "Session ID unknown") != NULL, "it is not found any more");
    counted(PLACES, "sessions that poll");
    is_int(evicted, gone(STRANGER_POLLING), "all are told to the application");
    engine_free(&engine);
}

static void test_one_connection(void)
{
    char first[128], query[128];
    int fd, other;

    engine_up(100000, 100000);
    fd = dial("");
    other = dial("");
    strcpy(first, poll_open(other));
    for (int i = 0; i < 1000; i++)
        strcpy(query, poll_open(fd));
    is_int(engine->eio->nsessions, 65, "sessions over one connection are bounded");
    is_int(gone(STRANGER_POLLING), 1000 - 64, "the oldest goes for each");
    ask(other, "POST", first, "40/axr,{}");
    ok(hear(other, "ok") != NULL && (last->nsp == NSP_JOINED), "another's stays");
    ask(fd, "POST", query, "40/axr,{}");
    ok(hear(fd, "ok") != NULL && (last->nsp == NSP_JOINED), "and so does the newest");
    poll_open(fd);
    is_int(gone(STRANGER_POLLING), 1000 - 64, "which counts no more when it is a user's");
    close(fd);
    turns(3);
    is_int(engine->eio->nsessions, 66, "they outlive their connection");
    counted(64, "and stay strangers");
    engine_free(&engine);
}

/* --- the limit of all --- */

static void test_what_users_leave(void)
{
    struct engine_options fewer = options(3, PLACES);
    int fds[3], idle[4], late, found = 0;

    engine_up(4, PLACES);
    for (int i = 0; i < 4; i++)
        idle[i] = dial("");
    for (int i = 0; i < 3; i++)
        fds[i] = ws_user();
    for (int i = 0; i < 4; i++)
        found += is_open(idle[i]);
    is_int(found, 1, "users come in while strangers have what there is");
    ok(!engine_is_full(engine), "not full yet");
    int fd = ws_user();
    ok(engine_is_full(engine) && engine_connections(engine) == 4, "full of users");
    late = loopback_dial(port);
    turns(5);
    is_int(engine_connections(engine), 4, "one more waits");
    for (int i = 0; i < 3; i++)
        ok(is_open(fds[i]), "users stay");
    close(fd);
    turns(5);
    is_int(engine_connections(engine), 4, "until one goes");
    engine_configure(engine, &fewer);
    turns(5);
    ok(engine_connections(engine) == 3 && !is_open(late), "with a lower limit strangers go");
    ok(is_open(fds[0]) && is_open(fds[1]) && is_open(fds[2]), "and users stay");
    engine_free(&engine);

    engine_up(100, PLACES);
    for (int i = 0; i < PLACES; i++)
        idle[0] = dial("");
    fewer = options(100, 2);
    engine_configure(engine, &fewer);
    turns(5);
    counted(2, "a lower limit of strangers");
    ok(is_open(idle[0]), "the youngest stay");
    engine_free(&engine);
}

/* --- from one to the other --- */

static void test_known(void)
{
    int fd, other;

    engine_up(1000, 3);
    verdict = WAIT;
    fd = websocket(WS_QUERY);
    put_text(fd, "40/axr,{}");
    counted(3, "one that asks");
    is_int(engine->net->stats.strangers[STRANGER_WEBSOCKET], 1, "is a stranger");
    socket_known(last);
    counted(0, "until its token is good");
    for (int i = 0; i < FLOOD; i++)
        (void)websocket(WS_QUERY);
    ok(is_open(fd), "then it waits in peace");
    socket_accept(last, NULL);
    ok(hear(fd, "40/axr,{\"sid\"") != NULL, "and is let in");
    other = websocket(WS_QUERY);
    put_text(other, "40/axr,{}");
    socket_known(last);
    counted(3, "another");
    socket_refuse(last, "too many", "user_limit");
    ok(hear(other, "user_limit") != NULL, "that is refused");
    counted(3, "is a stranger again");
    for (int i = 0; i < FLOOD; i++)
        (void)websocket(WS_QUERY);
    ok(hear(other, "never") == NULL, "and goes");
    engine_free(&engine);
}

/* A connection is what its last request was. */
static void test_connection(void)
{
    char query[128];
    int fd;

    engine_up(1000, PLACES);
    fd = poll_user(query);
    counted(0, "a user's connection that waits for its next request");
    ask(fd, "GET", "transport=none", "");
    ok(hear(fd, "}") != NULL, "which is another's");
    counted(1, "is a stranger's");
    is_int(engine->net->stats.strangers[STRANGER_SOCKET], 1, "a socket");
    ask(fd, "POST", query, "41/axr,");
    ok(hear(fd, "ok") != NULL, "and a user's again");
    counted(0, "as its request is");
    engine_free(&engine);
}

/* --- what waits --- */

static int stalled(const char *request)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = SMALL;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    loopback_connect(fd, port);
    turns(3);
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
        perror("# send");
    turns(3);
    return fd;
}

static void test_output(void)
{
    static const char upgrade[] =
        "GET /n/?" WS_QUERY " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    static char name[1000 + 8];
    uint64_t most = 0, queued;
    int fd;

    engine_up(1000, PLACES);
    memset(name, 'x', sizeof(name) - 1);
    memcpy(name, "40/", 3);
    fd = stalled(upgrade);
    for (int i = 0; i < 2000 && closes == 0; i++) {
        char frame[1100];
        size_t n = strlen(name);
        memcpy(frame, "\x81\xfe\0\0\0\0\0\0", 8);
        frame[2] = (char)(n >> 8);
        frame[3] = (char)n;
        memcpy(frame + 8, name, n);
        if (send(fd, frame, n + 8, MSG_NOSIGNAL) < 0)
            break;
        turns(2);
        queued = engine->net->stats.queued_bytes;
        most = queued > most ? queued : most;
    }
    is_int(last_why, CLOSE_SEND_BUFFER, "who asks and does not read is cut off");
    ok(most > BUFFER / 20 && most <= BUFFER / 10, "at a tenth of the limit: %d", (int)most);
    close(fd);
    engine_free(&engine);
}

/* Not even in an empty queue. */
static void test_large(void)
{
    struct engine_options tenth;
    static char big[BUFFER / 2], head[256];
    char query[128];
    int fd, n;

    engine_up(1000, PLACES);
    memset(big, 'x', sizeof(big) - 1);
    memcpy(big, "40/", 3);
    fd = dial("");
    strcpy(query, poll_open(fd));
    n = snprintf(head, sizeof(head),
                 "POST /n/?%s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", query,
                 sizeof(big) - 1);
    if (send(fd, head, (size_t)n, MSG_NOSIGNAL) < 0)
        perror("# send");
    ok(hear(fd, "\r\n") != NULL, "a large POST of a stranger is answered");
    is_int(engine->http->stats.http_errors[http_error_kind(413)], 1, "with 413");
    close(fd);

    fd = websocket(WS_QUERY);
    hear(fd, "}");
    memcpy(head, "\x81\xff\0\0\0\0\0\0\0\0\0\0\0\0", 14);
    head[7] = sizeof(big) >> 16;
    head[8] = (char)(sizeof(big) >> 8 & 0xff);
    head[9] = (char)(sizeof(big) & 0xff);
    if (send(fd, head, 14, MSG_NOSIGNAL) < 0)
        perror("# send");
    ok(hear(fd, "\x03\xf1") != NULL, "and so is a large frame: 1009");
    close(fd);

    turns(3);
    closes = 0;
    tenth = options(1000, PLACES);
    tenth.send_buffer = BUFFER / 2;
    engine_configure(engine, &tenth);
    fd = dial("");
    strcpy(query, poll_open(fd));
    snprintf(head, sizeof(head), "POST /n/?%s HTTP/1.1\r\nHost: h\r\nContent-Length: 90000\r\n\r\n",
             query);
    if (send(fd, head, strlen(head), MSG_NOSIGNAL) < 0 || send(fd, big, 90000, MSG_NOSIGNAL) < 0)
        perror("# send");
    hear(fd, "ok");
    for (uint64_t end = clock_ms() + WAIT_MS; closes == 0 && clock_ms() < end;)
        turns(1);
    is_int(last_why, CLOSE_SEND_BUFFER, "one answer of more than a tenth is too much");
    ok(engine->net->stats.queued_bytes < 1000, "and does not wait");
    close(fd);
    engine_free(&engine);

    engine_up(1000, PLACES);
    fd = ws_user();
    memcpy(head, "\x81\xff\0\0\0\0\0\0\0\0\0\0\0\0", 14);
    head[7] = sizeof(big) >> 16;
    head[8] = (char)(sizeof(big) >> 8 & 0xff);
    head[9] = (char)(sizeof(big) & 0xff);
    if (send(fd, head, 14, MSG_NOSIGNAL) < 0)
        perror("# send");
    ok(is_open(fd), "of a user it is taken");
    close(fd);
    engine_free(&engine);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    test_oldest();
    test_users();
    test_kinds();
    test_polling_goes();
    test_one_connection();
    test_what_users_leave();
    test_known();
    test_connection();
    test_output();
    test_large();
    event_base_free(base);
    return tap_done();
}
