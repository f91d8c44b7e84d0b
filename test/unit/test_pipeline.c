/* Requests that come before the answer to an earlier one has left: served in turn, kept
 * within bounds, and nobody loses anything without being told. */
#include "engine/engine.h"

#include "base/clock.h"
#include "eio/polling.h"
#include "loopback.h"
#include "tap.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

#define WAIT_MS     60000
#define SMALL_BYTES 4096   /* of the kernel's, for a client that does not read */
#define BIG_BYTES   900000 /* of one answer: more than the kernel takes */
#define POSTS       12
#define POST_BYTES  90000

static struct event_base *base;
static struct engine *engine;
static struct socket *last;
static int port, closes;
static int nomem; /* so many more of malloc() and pages_alloc() fail (Makefile: --wrap) */
static enum close_reason last_why;
static void *last_closed;

void *__real_pages_alloc(size_t size);
void *__wrap_pages_alloc(size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    if (nomem == 0)
        return __real_malloc(size);
    nomem--;
    return NULL;
}

void *__wrap_pages_alloc(size_t size)
{
    if (nomem == 0)
        return __real_pages_alloc(size);
    nomem--;
    return NULL;
}

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
    socket_accept(socket, NULL);
}

static void on_left(struct socket *socket, enum close_reason why, void *arg)
{
    (void)socket;
    (void)why;
    (void)arg;
}

static void on_closed(struct socket *socket, enum close_reason why, void *arg)
{
    (void)arg;
    closes++;
    last_closed = socket;
    last_why = why;
}

static const struct sio_app app = {
    .opened = on_opened,
    .connect = on_connect,
    .left = on_left,
    .closed = on_closed,
};

static void engine_up(void)
{
    const struct engine_options options = {
        .path = "/n/",
        .nsp = "/axr",
        .ping_interval_ms = 600000,
        .ping_timeout_ms = 600000,
        .connect_timeout_ms = 600000,
        .upgrade_timeout_ms = 600000,
        .polling = 1,
        .websocket = 1,
        .max_payload = 1000000,
        .http = {16384, 100},
        .connections_max = 1000,
        .send_buffer = 2 << 20,
        .send_timeout_ms = 600000,
    };
    static int fd = -1;

    if (fd >= 0)
        close(fd);
    fd = loopback_listen(SOCK_NONBLOCK, &port);
    engine = engine_new(base, &options, &app, NULL);
    engine_listen(engine, fd, 0);
    closes = 0;
}

static void engine_down(void)
{
    engine_free(&engine);
}

/* --- a client --- */

static void turns(int n)
{
    while (n-- > 0)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

static void until(const int *cond)
{
    for (uint64_t end = clock_ms() + WAIT_MS; !*cond && clock_ms() < end;)
        turns(1);
}

static int dial(void)
{
    return loopback_dial(port);
}

/* One that lets little come before it reads. */
static int dial_small(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), bytes = SMALL_BYTES;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    return loopback_connect(fd, port);
}

/* As much of it as goes while the engine runs.  Returns how much that was. */
static size_t put(int fd, const char *bytes, size_t len)
{
    size_t done = 0;

    for (int idle = 0; done < len && idle < 100; idle++) {
        ssize_t n = send(fd, bytes + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            done += (size_t)n;
            idle = 0;
        } else if (errno != EAGAIN) {
            break;
        }
        turns(1);
    }
    return done;
}

static void request(int fd, const char *method, const char *query, const char *body, size_t sent)
{
    char head[512];
    int n = snprintf(head, sizeof(head), "%s /n/?%s HTTP/1.1\r\nHost: h\r\n", method, query);

    if (strcmp(method, "POST") == 0)
        n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %zu\r\n", strlen(body));
    n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
    put(fd, head, (size_t)n);
    if (put(fd, body, sent) != sent)
        ok(0, "%zu bytes of a body", sent);
}

/* Reads until needle has come; returns whether it has. */
static int heard(int fd, const char *needle)
{
    static char got[2 * BIG_BYTES];
    uint64_t end = clock_ms() + WAIT_MS;
    size_t n = 0, len = strlen(needle);

    while (n < sizeof(got) && clock_ms() < end) {
        ssize_t r = recv(fd, got + n, sizeof(got) - n, MSG_DONTWAIT | MSG_PEEK);
        if (r < 0 && errno == EAGAIN) {
            turns(1);
            continue;
        }
        if (r <= 0)
            return 0;
        size_t from = n < len ? 0 : n - len, all = n + (size_t)r;
        const char *at = memmem(got + from, all - from, needle, len);
        /* What is behind it stays where it is. */
        size_t used = (at != NULL ? (size_t)(at - got) + len : all) - n;
        if (recv(fd, got + n, used, MSG_DONTWAIT) != (ssize_t)used)
            abort();
        if (at != NULL)
            return 1;
        n = all;
    }
    return 0;
}

/* A new polling session that has read what waited; its query goes to query, and it to
 * `last`. */
static void poll_open(char query[128])
{
    char sid[EIO_SID_LEN + 1];
    int fd = dial();
    size_t n;

    last = NULL;
    request(fd, "GET", "EIO=4&transport=polling", "", 0);
    ok(heard(fd, "0{\"sid\":\""), "open");
    for (n = 0; n < EIO_SID_LEN;) {
        ssize_t r = recv(fd, sid + n, EIO_SID_LEN - n, MSG_DONTWAIT);
        n += r > 0 ? (size_t)r : 0;
        turns(1);
    }
    snprintf(query, 128, "EIO=4&transport=polling&sid=%.*s", EIO_SID_LEN, sid);
    request(fd, "POST", query, "40/axr,", 7);
    ok(heard(fd, "\r\n\r\nok"), "asked");
    request(fd, "GET", query, "", 0);
    ok(heard(fd, "40/axr,"), "connected");
    close(fd);
    turns(3);
}

static int websocket(const char *query)
{
    const char *sid = strstr(query, "sid=");
    char head[512];
    int fd = dial();
    int n = snprintf(head, sizeof(head),
                     "GET /n/?EIO=4&transport=websocket&%s HTTP/1.1\r\nHost: h\r\n"
                     "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                     sid);

    put(fd, head, (size_t)n);
    ok(heard(fd, "HTTP/1.1 101 ") && heard(fd, "\r\n\r\n"), "a WebSocket");
    return fd;
}

static void put_text(int fd, const char *text)
{
    char frame[128];
    size_t n = strlen(text);

    memset(frame, 0, 6);
    frame[0] = (char)0x81;
    frame[1] = (char)(0x80 | n);
    memcpy(frame + 6, text, n);
    put(fd, frame, 6 + n);
}

/* "40/xxx..., ", which is answered with as much. */
static const char *big_packet(void)
{
    static char text[BIG_BYTES + 1];

    memset(text, 'x', BIG_BYTES);
    memcpy(text, "40/", 3);
    text[BIG_BYTES - 1] = ',';
    return text;
}

static void ask_big(const char *query)
{
    int fd = dial();

    request(fd, "POST", query, big_packet(), BIG_BYTES);
    ok(heard(fd, "\r\n\r\nok"), "asked for much");
    close(fd);
    turns(3);
}

static void fan(struct socket *socket, const char *json)
{
    struct fanout one;

    fanout_begin(&engine->sio, &one, slice_str(json), NULL, 0, 0);
    fanout_send(&one, socket);
    fanout_end(&one);
}

static struct conn *answering(void)
{
    struct conn *conn = engine->net->conns;

    while (conn != NULL && (conn->leaving == 0 || !conn->blocked))
        conn = conn->next;
    return conn;
}

/* --- the tests --- */

/* The connection's GET is being answered, it has sent part of a POST of the same
 * session, and then a WebSocket takes the session over. */
static void test_upgrade_amid(void)
{
    char query[128];
    int get, ws;

    poll_open(query);
    ask_big(query);
    get = dial_small();
    request(get, "GET", query, "", 0);
    turns(10);
    ok(answering() != NULL, "an answer is leaving");
    request(get, "POST", query,
            "3\x1e"
            "3\x1e"
            "3",
            3);
    turns(10);
    ok(answering() != NULL && answering()->state == CONN_OPEN, "what comes behind it waits");
    ws = websocket(query);
    put_text(ws, "2probe");
    ok(heard(ws, "3probe"), "probed");
    put_text(ws, "5");
    turns(10);
    fan(last, "[\"m\",1");
    ok(heard(ws, "42/axr,[\"m\",1]"), "upgraded");
    is_int(closes, 0, "and nobody lost anything");
    ok(heard(get, "x,"), "the answer leaves");
    put(get,
        "\x1e"
        "3",
        2);
    ok(heard(get, "HTTP/1.1 400 "), "then the request behind it gets its own");
    close(get);
    close(ws);
    until(&closes);
}

/* The first has lost something when the connection is reset, the second has not. */
static void test_two_sessions(void)
{
    struct socket *first, *second;
    char one[128], two[128];
    int get, again;

    poll_open(one);
    first = last;
    poll_open(two);
    second = last;
    ask_big(one);
    get = dial_small();
    request(get, "GET", one, "", 0);
    request(get, "GET", two, "", 0);
    turns(10);
    fan(second, "[\"m\",2");
    turns(10);
    closes = 0;
    close(get); /* with unread bytes: a reset */
    until(&closes);
    is_int(closes, 1, "one of the two is closed");
    ok(last_closed == first && last_why == CLOSE_CLIENT, "the one that lost an answer");
    again = dial();
    request(again, "GET", two, "", 0);
    ok(heard(again, "42/axr,[\"m\",2]"), "the other one has all");
    close(again);
}

/* Bodies behind a GET that waits for long: more than is kept is left to the kernel. */
static void test_held(void)
{
    static char bodies[POSTS * (POST_BYTES + 256)];
    char query[128];
    size_t len = 0, sent, held;
    int fd, whole = 1;

    closes = 0;
    poll_open(query);
    fd = dial();
    request(fd, "GET", query, "", 0);
    turns(10);
    for (int i = 0; i < POSTS; i++) {
        len += (size_t)snprintf(bodies + len, 256,
                                "POST /n/?%s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
                                query, POST_BYTES);
        memset(bodies + len, 'x', POST_BYTES);
        memcpy(bodies + len, "4\x32/axr,[\"", 9);
        memcpy(bodies + len + POST_BYTES - 2, "\"]", 2);
        len += POST_BYTES;
    }
    sent = put(fd, bodies, len);
    held = engine->net->conns != NULL ? exchange_of(engine->net->conns)->in.len : 0;
    ok(held > 0 && held <= 16384 + 2 * INPUT_BYTES, "what is kept has a limit: %zu", held);
    fan(last, "[\"m\",1");
    ok(heard(fd, "42/axr,[\"m\",1]"), "the GET is answered");
    put(fd, bodies + sent, len - sent);
    for (int i = 0; i < POSTS; i++)
        whole &= heard(fd, "\r\n\r\nok");
    ok(whole, "and so are %d POSTs behind it", POSTS);
    is_int(closes, 0, "nobody was disconnected");
    close(fd);
    turns(3);
}

/* All that was asked for before the client's FIN is answered. */
static void test_half_closed(void)
{
    char query[128];
    int fd;

    poll_open(query);
    ask_big(query);
    fd = dial_small();
    request(fd, "GET", query, "", 0);
    request(fd, "POST", query, "42/axr,[1]", 10);
    request(fd, "POST", query, "42/axr,[2]", 10);
    shutdown(fd, SHUT_WR);
    turns(10);
    ok(heard(fd, "x,"), "the answer leaves");
    ok(heard(fd, "\r\n\r\nok") && heard(fd, "\r\n\r\nok"), "and those behind it");
    ok(!heard(fd, "HTTP"), "then the connection ends");
    close(fd);
}

/* The clock of a request's head runs when the answer before it has left. */
static void test_deadlines(void)
{
    char query[128];
    struct conn *conn;
    int fd;

    poll_open(query);
    ask_big(query);
    fd = dial_small();
    request(fd, "GET", query, "", 0);
    put(fd, "GET /n/", 7);
    turns(10);
    if ((conn = answering()) != NULL) {
        conn->due_ms = clock_ms();
        conn_timeout(&conn->timer, conn->due_ms, engine->net);
    }
    ok(heard(fd, "x,"), "an answer that leaves slowly is not cut short for a head");
    turns(10);
    conn = engine->net->conns;
    ok(conn != NULL && conn->due_ms > clock_ms() && conn->due_ms <= clock_ms() + HEAD_MS,
       "which then has its time");
    put(fd, "x HTTP/1.1\r\nHost: h\r\n\r\n", 23);
    ok(heard(fd, "HTTP/1.1 400 "), "and is answered");
    close(fd);
    turns(3);
}

/* A GET waits and there is no memory for its noop: the session ends, for lack of it. */
static void test_no_memory(void)
{
    char query[128];
    int get, ws;

    poll_open(query);
    get = dial();
    request(get, "GET", query, "", 0);
    turns(10);
    ws = websocket(query);
    turns(10);
    closes = 0;
    chunklog_clear(&engine->eio->logs[ENC_POLL4]);
    chunks_clear(&engine->net->chunks);
    nomem = 1;
    put_text(ws, "5");
    until(&closes);
    is_int(nomem, 0, "there was none");
    is_int(closes, 1, "the session has ended");
    is_int(last_why, CLOSE_NO_MEMORY, "for lack of memory");
    ok(heard(get, "Session ID unknown"), "which the GET hears");
    close(get);
    close(ws);
    turns(3);
}

/* There is no memory for an answer's head: what the answer was for has been lost. */
static void test_no_answer(void)
{
    char query[128];
    int get;

    poll_open(query);
    get = dial();
    request(get, "GET", query, "", 0);
    turns(10);
    closes = 0;
    fan(last, "[\"m\",1");
    chunklog_clear(&engine->net->private_log);
    chunks_clear(&engine->net->chunks);
    nomem = 1;
    until(&closes);
    is_int(nomem, 0, "there was none");
    ok(closes == 1 && last_why == CLOSE_NO_MEMORY, "the session has ended for it");
    ok(!heard(get, "HTTP"), "and so has the connection");
    close(get);
}

/* Its last word is late: the GET that came for it goes with the session. */
static void test_forgotten(void)
{
    struct session *session;
    char query[128], text[256];
    size_t there;
    int get = dial(), len;

    poll_open(query);
    session = &last->session;
    socket_disconnect(last, CLOSE_REPLACED);
    turns(10);
    len = snprintf(text, sizeof(text), "GET /n/?%s HTTP/1.1\r\nHost: h\r\n\r\n", query);
    if (send(get, text, (size_t)len, MSG_NOSIGNAL) != len)
        perror("send");
    for (int i = 0; i < 100 && session->polling->get == NULL; i++)
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    ok(session->polling->get != NULL && session->polling->out.bytes > 0, "a GET for the last word");
    there = engine->eio->nsessions;
    session_timeout(&session->timer, session->heartbeat_due_ms, engine->eio);
    is_int((long)engine->eio->nsessions, (long)there - 1, "too late: the session has gone");
    ok(!heard(get, "HTTP"), "and the connection with it");
    close(get);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    engine_up();
    test_upgrade_amid();
    test_two_sessions();
    test_held();
    test_half_closed();
    test_deadlines();
    test_no_memory();
    test_no_answer();
    test_forgotten();
    engine_down();
    event_base_free(base);
    return tap_done();
}
