/* Clients that do not read, amid others that are sent a lot. */
#include "base/clock.h"
#include "eio/polling.h"
#include "engine/engine.h"
#include "tap.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS    10000
#define ROUNDS     400
#define LONG_BYTES 60000  /* for the others: little is left of a block */
#define FIRST      300000 /* for those who will not read: more than the kernel takes */
#define MB         (1024UL * 1024)

static struct event_base *base;
static struct engine *engine;
static struct socket *last;

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
    socket_accept(socket, NULL);
    last = socket;
}

static void on_left(struct socket *socket, enum close_reason why, void *arg)
{
    (void)socket;
    (void)why;
    (void)arg;
}

static const struct sio_app app = {
    .opened = on_opened,
    .connect = on_connect,
    .left = on_left,
    .closed = on_left,
};

static void up(void)
{
    const struct engine_options options = {
        .path = "/",
        .nsp = "/axr",
        .ping_interval_ms = 600000,
        .ping_timeout_ms = 600000,
        .connect_timeout_ms = 600000,
        .max_payload = 100000,
        .polling = 1,
        .websocket = 1,
        .http = {16384, 100},
        .connections_max = 10,
        .send_buffer = 16 * MB,
        .send_timeout_ms = 600000,
        .idle_timeout_ms = 600000,
    };

    engine = engine_new(base, &options, &app, NULL);
}

/* --- clients ----------------------------------------------------------------------- */

static char heard[64 * MB];
static size_t nheard;

/* A connection on which text has been read already; returns our end. */
static int dial(const char *text)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0 ||
        engine_adopt(engine, fds[1], NULL, text, strlen(text), 0) < 0)
        abort();
    return fds[0];
}

/* Turns the loop until what has come on fd ends with, or has, text. */
static int hear(int fd, const char *text)
{
    nheard = 0;
    for (uint64_t end_ms = clock_ms() + WAIT_MS; clock_ms() < end_ms;) {
        ssize_t n = recv(fd, heard + nheard, sizeof(heard) - nheard, MSG_DONTWAIT);

        if (n > 0)
            nheard += (size_t)n;
        /* What comes last is short. */
        if (memmem(heard + (nheard > 4096 ? nheard - 4096 : 0), nheard < 4096 ? nheard : 4096, text,
                   strlen(text)) != NULL)
            return 1;
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    return 0;
}

static int open_websocket(struct socket **socket)
{
    int fd = dial("GET /?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\n"
                  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");

    if (send(fd,
             "\x81\x89\0\0\0\0"
             "40/axr,{}",
             15, 0) != 15)
        abort();
    ok(hear(fd, "40/axr,{\"sid\":"), "one that has a WebSocket is in");
    *socket = last;
    return fd;
}

static const char *sid_of(const char *text)
{
    static char sid[40];
    const char *at = strstr(text, "\"sid\":\"");

    snprintf(sid, sizeof(sid), "%.32s", at != NULL ? at + 7 : "");
    return sid;
}

static void request(const char *method, const char *sid, const char *body, const char *want)
{
    char text[512];
    int fd;

    snprintf(
        text, sizeof(text),
        "%s /?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n%s",
        method, sid[0] != '\0' ? "&sid=" : "", sid, strlen(body), body);
    fd = dial(text);
    if (!hear(fd, want))
        ok(0, "%s: got %.*s", method, (int)(nheard < 200 ? nheard : 200), heard);
    close(fd);
}

static struct socket *open_polling(char sid[40])
{
    request("GET", "", "", "\"sid\"");
    heard[nheard] = '\0';
    snprintf(sid, 40, "%s", sid_of(heard));
    request("POST", sid, "40/axr,{}", "\r\n\r\nok");
    request("GET", sid, "", "40/axr,{\"sid\":");
    return last;
}

/* --- what they are sent -------------------------------------------------------------- */

static void fan(struct socket *one, struct socket *other, struct slice json)
{
    struct fanout fan;

    fanout_begin(&engine->sio, &fan, json, NULL, 0, 0);
    fanout_send(&fan, one);
    fanout_send(&fan, other);
    fanout_end(&fan);
}

static struct slice long_json(char end, size_t len)
{
    static char json[FIRST + 16];

    memset(json, 'x', len);
    memcpy(json, "[\"", 2);
    json[len - 2] = end;
    json[len - 1] = '"';
    return (struct slice){json, len};
}

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

/* 1 if the numbers were heard, from 0 on, each once. */
static int heard_numbers(int n)
{
    const char *at = heard, *end = heard + nheard;
    char want[32];

    for (int i = 0; i < n; i++) {
        size_t len = (size_t)snprintf(want, sizeof(want), "42/axr,[%d]", i);
        const char *next = memmem(at, (size_t)(end - at), "42/axr,[", 8);
        while (next != NULL && next[8] == '"') /* not a number */
            next = memmem(next + 8, (size_t)(end - next) - 8, "42/axr,[", 8);
        if (next == NULL || (size_t)(end - next) < len || memcmp(next, want, len) != 0)
            return 0;
        at = next + len;
    }
    return 1;
}

static void test_away(void)
{
    char away_sid[40], other_sid[40], json[16];
    struct socket *slow, *fast, *away, *other;
    int slow_fd, fast_fd;
    size_t before, most = 0, own;

    up();
    slow_fd = open_websocket(&slow);
    fast_fd = open_websocket(&fast);
    away = open_polling(away_sid);
    other = open_polling(other_sid);
    before = engine->net->chunks.bytes;
    fan(slow, away, long_json('.', FIRST));
    turn();
    ok(slow->session.ws->blocked, "one does not read, and one is away");
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(json, sizeof(json), "[%d", i);
        fan(slow, away, slice_str(json));
        fan(fast, other, long_json('!', LONG_BYTES));
        turn();
        if (!hear(fast_fd, "!\"]"))
            ok(0, "round %d", i);
        request("GET", other_sid, "", "!\"]");
        most = engine->net->chunks.bytes > most ? engine->net->chunks.bytes : most;
    }
    own = slow->session.ws->out.bytes + away->session.polling->out.bytes;
    ok(own < 2 * FIRST + ROUNDS * 64, "%zu bytes wait for them", own);
    ok(most < before + own + 2 * MB, "others were sent %zu MB, and blocks take %zu KB",
       2 * ROUNDS * LONG_BYTES / MB, most / 1024);
    ok(slow->session.ws->out.more_n < 40 && away->session.polling->out.more_n < 40,
       "in a few runs");
    snprintf(json, sizeof(json), "[%d]", ROUNDS - 1);
    ok(hear(slow_fd, json) && heard_numbers(ROUNDS), "the one reads all of it");
    request("GET", away_sid, "", json);
    ok(heard_numbers(ROUNDS), "and so does the other");
    ok(engine->net->chunks.bytes < before + 2 * MB, "and it is given back");
    is_int((long)engine->net->stats.queued_bytes, 0, "nothing waits");
    close(slow_fd);
    close(fast_fd);
    turn();
    is_int(engine->net->compact.n <= 2, 1, "those that are gone are not watched");
    engine_free(&engine);
}

/* --- the list ------------------------------------------------------------------------ */

/* Little in each of n blocks. */
static void scatter(struct outq *queue, int n)
{
    struct chunklog *log = &engine->eio->logs[ENC_WS4];
    struct run run;

    for (int i = 0; i < n; i++) {
        chunklog_put(log, "little", 6, &run);
        outq_push(queue, &run);
        for (struct chunk *tail = log->tail; log->tail == tail;)
            chunklog_reserve(log, 1000, &run);
    }
}

/* All that is due, however much of it a slice takes. */
static void pass(struct compact *compact)
{
    while (compact_slice(compact))
        ;
}

static void test_list(void)
{
    enum { MANY = 100 };
    static struct outq queues[MANY];
    struct compact *compact;
    int bad = 0;

    up();
    compact = &engine->net->compact;
    for (int i = 0; i < MANY; i++) {
        compact_watch(&engine->net->compact, &queues[i]);
        compact_watch(&engine->net->compact, &queues[i]);
        scatter(&queues[i], 1);
    }
    is_int(compact->n, MANY, "each is watched once");
    ok(engine->net->chunks.thin >= 99UL * CHUNK_BYTES, "and has a block for little");
    compact->running = 1; /* as if the time was over then */
    compact->next = 50;
    compact->run = 7;
    outq_clear(&queues[50]);
    compact_forget(compact, &queues[50]);
    compact_forget(compact, &queues[50]);
    is_int(compact->n, MANY - 1, "one that goes is forgotten");
    is_int(compact->run, 0, "the one in its place is begun with");
    for (int i = 90; i < 95; i++) {
        outq_clear(&queues[i]);
        compact_forget(compact, &queues[i]);
    }
    pass(compact);
    ok(engine->net->chunks.thin >= 50UL * CHUNK_BYTES &&
           engine->net->chunks.thin < 53UL * CHUNK_BYTES,
       "the pass went on where it was");
    engine->net->chunks.thin_max = 0; /* another is due */
    pass(compact);
    is_int((long)engine->net->chunks.thin, 0, "the next has them all");
    for (int i = 0; i < MANY; i++) {
        bad += (queues[i].watch != 0) != (queues[i].bytes > 0);
        outq_clear(&queues[i]);
    }
    is_int(bad, 0, "those that wait are watched, and no others");
    engine->net->chunks.thin_max = 0;
    pass(compact);
    is_int(compact->n, 0, "and those that wait no more are not");
    engine_free(&engine);
}

/* Where nobody is watched that it would help to look at, it is not done again and again. */
static void test_in_vain(void)
{
    struct outq queue = {0};

    up();
    scatter(&queue, 100);
    pass(&engine->net->compact);
    pass(&engine->net->compact);
    ok(engine->net->chunks.thin > 0 && !engine->net->compact.running,
       "nobody is there to be looked at");
    ok(engine->net->chunks.thin_max >= engine->net->chunks.thin + MB,
       "when there are more, it is tried again");
    outq_clear(&queue);
    pass(&engine->net->compact);
    is_int((long)engine->net->chunks.thin_max, (long)MB, "and soon, if those go by themselves");
    engine_free(&engine);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    test_away();
    test_list();
    test_in_vain();
    event_base_free(base);
    return tap_done();
}
