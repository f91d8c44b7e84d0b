/* How an engine ends: who is closed, and when, with the time that there is. */
#include "engine/engine.h"

#include "eio/polling.h"
#include "peer.h"

#include <signal.h>

static struct engine *engine;
static int nclosed, drained;

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
    nclosed++;
    last_why = why;
}

static const struct sio_app app = {
    .opened = on_opened, .connect = on_connect, .left = on_left, .closed = on_closed};

static int on_handoff(uint32_t process, int fd, const struct handoff_conn *known, const void *bytes,
                      size_t len, void *arg)
{
    (void)known;
    (void)process;
    (void)fd;
    (void)bytes;
    (void)len;
    (void)arg;
    return -1; /* there is no successor */
}

static void on_drained(void *arg)
{
    (void)arg;
    drained = 1;
}

static void up(void)
{
    const struct engine_options options = {
        .path = "/",
        .nsp = "/",
        .handoff = on_handoff,
        .polling = 1,
        .websocket = 1,
        .ping_interval_ms = 60000,
        .ping_timeout_ms = 60000,
        .connect_timeout_ms = 60000,
        .upgrade_timeout_ms = 60000,
        .max_payload = 1000,
        .http = {4096, 30},
        .connections_max = 100,
        .send_buffer = 100000,
        .send_timeout_ms = 60000,
    };

    if (base == NULL)
        base = event_base_new();
    engine = engine_new(base, &options, &app, NULL);
    net = engine->net;
    nclosed = drained = 0;
}

static void down(void)
{
    engine_free(&engine);
}

/* A connection of its own, which says text; returns the client's end. */
static int ask(const char *text)
{
    conn_up(0);
    say(text, strlen(text));
    return peer_fd;
}

/* A client that polls and is in the namespace; sid is its session's. */
static void join(char sid[EIO_SID_LEN + 1])
{
    char text[512];

    close(ask("GET /?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n\r\n"));
    turns(3);
    session_sid(engine->eio->slots[engine->eio->nsessions - 1].session, sid);
    snprintf(
        text, sizeof(text),
        "POST /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n40",
        sid);
    close(ask(text));
    turns(3);
    snprintf(text, sizeof(text), "GET /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\n\r\n",
             sid);
    close(ask(text));
    turns(3);
}

/* Others take new clients: who is about to say something is left until it has said it. */
static void test_post(void)
{
    char one[EIO_SID_LEN + 1], other[EIO_SID_LEN + 1], text[512];
    const struct session *talking;
    int fd;

    up();
    join(one);
    join(other);
    is_int((long)engine->eio->nsessions, 2, "two clients");
    snprintf(
        text, sizeof(text),
        "POST /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n4",
        one);
    fd = ask(text);
    talking = session_by_sid(engine->eio, slice_str(one));
    ok(talking != NULL && talking->polling->post != NULL, "one is in the middle of its POST");
    engine_migrate(engine, 600000, on_drained, NULL);
    until(&nclosed);
    is_int(last_why, CLOSE_SHUTDOWN, "the other one is closed");
    engine->drain.index = 0;
    for (int i = 0; i < 3; i++)
        event_active(&engine->drain.timer, EV_TIMEOUT, 1), turns(2);
    is_int(nclosed, 1, "it is not");
    if (send(fd, "2", 1, MSG_NOSIGNAL) != 1)
        perror("# send");
    nclosed = 0;
    until(&nclosed);
    is_int(nclosed, 1, "but when it has said it");
    close(fd);
    down();
}

/* Whoever is told last has a second to answer, or half of what there is. */
static void test_last_second(void)
{
    static const struct {
        uint32_t within_ms, spread_ms;
    } rows[] = {{10000, 9000}, {2001, 1001}, {2000, 1000}, {1000, 500}};
    uint64_t now;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        up();
        now = clock_ms();
        engine_drain(engine, rows[i].within_ms, on_drained, NULL);
        ok(engine->drain.end_ms >= now + rows[i].spread_ms &&
               engine->drain.end_ms <= clock_ms() + rows[i].spread_ms,
           "of %u ms, %u to tell them", rows[i].within_ms, rows[i].spread_ms);
        until(&drained);
        ok(drained, "and nobody is there: over at once");
        down();
    }
}

/* A process that was not run for a while finds all its time over: whoever polls is told all the
 * same, before the connections are closed that nobody has use for. */
static void test_late(void)
{
    char sid[EIO_SID_LEN + 1], text[512];
    int fds[3], idle;

    up();
    for (size_t i = 0; i < 3; i++) {
        join(sid);
        snprintf(text, sizeof(text),
                 "GET /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\n\r\n", sid);
        fds[i] = ask(text);
    }
    idle = ask("");
    turns(3);
    engine_drain(engine, 10000, on_drained, NULL);
    engine->drain.end_ms = clock_ms() - 1;
    until(&drained);
    for (size_t i = 0; i < 3; i++) {
        ssize_t n = recv(fds[i], text, sizeof(text) - 1, MSG_DONTWAIT);
        text[n > 0 ? n : 0] = 0;
        ok(strstr(text, "\r\n\r\n1") != NULL, "number %zu is told with its GET", i + 1);
        is_int(recv(fds[i], text, sizeof(text), MSG_DONTWAIT), 0, "and closed");
        close(fds[i]);
    }
    is_int(recv(idle, text, sizeof(text), MSG_DONTWAIT), 0, "so is who asked for nothing");
    close(idle);
    down();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_post();
    test_late();
    test_last_second();
    event_base_free(base);
    return tap_done();
}
