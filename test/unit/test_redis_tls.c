/* A link to redis over TLS, against a server of OpenSSL's on the same loop: its handshake, bytes
 * both ways however they come, and every way in which it ends. */
#include "master/redis_tls.h"

#include "base/clock.h"
#include "codec/tls_client.h"
#include "master/redis_link.h"

#include "loopback.h"
#include "tap.h"
#include "tls_server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#define WAIT_MS    20000
#define SHORT_MS   500 /* where an attempt is to fail */
#define MANY_BYTES (2 << 20)

static struct event_base *base;
static struct made authority, cert, stranger;

/* --- the server ------------------------------------------------------------------- */

static struct {
    int listener, port, fd;
    struct event *accepts, *readable;
    SSL_CTX *ctx;
    SSL *ssl;
    struct buf heard; /* what the client has said */
    struct buf out;   /* records, still to be sent */
    size_t step;      /* bytes of out at a time; 0: all */
    int is_mute;      /* says nothing, not even in the handshake */
    unsigned accepted;
} server;

/* What OpenSSL has written goes to out, and of that a step to the socket. */
static void server_flush(void)
{
    char bytes[16384];
    size_t len;
    ssize_t n;

    while (server.ssl != NULL && (n = BIO_read(SSL_get_wbio(server.ssl), bytes, sizeof(bytes))) > 0)
        buf_put(&server.out, bytes, (size_t)n);
    if (server.fd < 0 || server.is_mute || server.out.len == 0)
        return;
    len = server.step > 0 && server.step < server.out.len ? server.step : server.out.len;
    n = send(server.fd, server.out.data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        buf_consume(&server.out, (size_t)n);
}

/* Returns 0, or -1 where it has enough of this client. */
static int server_read(void)
{
    char bytes[16384];
    int n, is_over;

    while ((n = SSL_read(server.ssl, bytes, sizeof(bytes))) > 0)
        buf_put(&server.heard, bytes, (size_t)n);
    is_over = SSL_get_error(server.ssl, n) == SSL_ERROR_SSL;
    ERR_clear_error();
    return is_over ? -1 : 0;
}

static void server_hang_up(void)
{
    if (server.readable != NULL)
        event_free(server.readable);
    server.readable = NULL;
    if (server.fd >= 0)
        close(server.fd);
    server.fd = -1;
    SSL_free(server.ssl);
    server.ssl = NULL;
    buf_reset(&server.out);
}

static void on_server_readable(evutil_socket_t fd, short what, void *arg)
{
    char bytes[16384];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    (void)what, (void)arg;
    if (n <= 0) {
        event_del(server.readable);
        return;
    }
    BIO_write(SSL_get_rbio(server.ssl), bytes, (int)n);
    if (server_read() < 0) {
        server_flush();
        server_hang_up();
    } else {
        server_flush();
    }
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    (void)what, (void)arg;
    server_hang_up();
    server.fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    server.accepted++;
    server.ssl = SSL_new(server.ctx);
    SSL_set_bio(server.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(server.ssl);
    server.readable = event_new(base, server.fd, EV_READ | EV_PERSIST, on_server_readable, NULL);
    event_add(server.readable, NULL);
}

static void server_say(const void *bytes, size_t len)
{
    if (SSL_write(server.ssl, bytes, (int)len) != (int)len)
        abort();
    server_flush();
}

/* --- the link --------------------------------------------------------------------- */

static struct {
    struct conf_redis conf;
    struct tls_client *client;
    struct redis_link link;
    uint64_t attempts;
    struct buf heard;
    unsigned begun, lost, begun_then; /* then: when it was lost */
    enum redis_fault_kind kind;
    char why[400];
    const char *says; /* when it begins */
    int pauses;       /* at the first input */
} us;

static int on_begin(struct bufferevent *bev, const struct redis_wire *wire, void *arg)
{
    (void)arg;
    us.begun++;
    redis_link_up(&us.link);
    if (us.says == NULL)
        return 0;
    if (redis_wire_send(wire, "AUTH ", 5) != 5)
        return redis_fault_note(&us.link.fault, REDIS_FAULT_CLOSED, "AUTH");
    return bufferevent_write(bev, us.says, strlen(us.says));
}

static int on_input(const char *bytes, size_t len, void *arg)
{
    (void)arg;
    buf_put(&us.heard, bytes, len);
    if (us.pauses)
        redis_link_pause(&us.link);
    us.pauses = 0;
    return 0;
}

static void on_lost(int was_up, void *arg)
{
    (void)was_up, (void)arg;
    us.lost++;
    us.begun_then = us.begun;
    us.kind = us.link.fault.kind;
    (void)snprintf(us.why, sizeof(us.why), "%s", us.link.fault.why);
}

static struct redis_link_ops ops = {on_begin, on_input, on_lost, WAIT_MS, "answered"};

/* Both, from the beginning; says: what the client writes first, or NULL. */
static void meet(const struct tls_server_options *options, const struct conf_redis_tls *tls,
                 const char *says)
{
    static char host[] = "127.0.0.1";

    server.ctx = tls_server_new(options, NULL);
    server.step = 0;
    server.is_mute = 0;
    us.conf = (struct conf_redis){.host = host, .port = server.port, .tls = *tls};
    if (redis_tls_client(&us.client, &us.conf.tls) < 0)
        abort();
    us.begun = us.lost = 0;
    us.says = says;
    us.pauses = 0;
    us.why[0] = '\0';
    buf_reset(&us.heard);
    buf_reset(&server.heard);
    if (redis_link_init(&us.link, base, &us.conf, us.client, &us.attempts, &ops, NULL) < 0)
        abort();
    redis_link_start(&us.link, 0);
}

static void part(void)
{
    redis_link_clear(&us.link);
    tls_client_free(&us.client);
    server_hang_up();
    SSL_CTX_free(server.ctx);
}

#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        uint64_t until_ = clock_ms() + WAIT_MS;                                                    \
        while (!(condition) && clock_ms() < until_) {                                              \
            event_base_loop(base, EVLOOP_NONBLOCK);                                                \
            server_flush();                                                                        \
        }                                                                                          \
        ok(condition, "%s", #condition);                                                           \
    } while (0)

static const struct tls_server_options plain_server = {.cert = &cert};

static struct conf_redis_tls trusting(void)
{
    return (struct conf_redis_tls){.on = 1, .verify = 1, .ca = authority.cert};
}

static int is_heard(const struct buf *buf, const char *text)
{
    return buf->len == strlen(text) && memcmp(buf->data, text, buf->len) == 0;
}

/* --- bytes ------------------------------------------------------------------------ */

static void test_dialogue(int version)
{
    const struct conf_redis_tls tls = trusting();
    struct tls_server_options options = plain_server;

    options.min_version = options.max_version = version;
    meet(&options, &tls, "PING");
    UNTIL(is_heard(&server.heard, "AUTH PING"));
    server_say("+PONG", 5);
    UNTIL(is_heard(&us.heard, "+PONG"));
    is_int(us.begun, 1, "it has begun once");
    is_int(redis_link_waiting(&us.link), 0, "nothing waits");
    is_int(us.link.bytes, 5, "what counts is the text");
    part();
}

static void test_steps(void)
{
    const struct conf_redis_tls tls = trusting();

    meet(&plain_server, &tls, "PING");
    server.step = 1;
    UNTIL(is_heard(&server.heard, "AUTH PING"));
    server_say("+PONG", 5);
    server_say("\r\n", 2);
    UNTIL(is_heard(&us.heard, "+PONG\r\n"));
    is_int(us.lost, 0, "byte by byte nothing is lost");
    part();
}

/* Many bytes, none of which says where it stands but by its place. */
static void fill(struct buf *buf)
{
    uint8_t *at = buf_reserve(buf, MANY_BYTES);

    for (size_t i = 0; i < MANY_BYTES; i++)
        at[i] = (uint8_t)(i ^ (i >> 8) ^ (i >> 16));
    buf->len = MANY_BYTES;
}

static int is_same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void test_many(void)
{
    const struct conf_redis_tls tls = trusting();
    struct buf many = {0};

    fill(&many);
    meet(&plain_server, &tls, "");
    UNTIL(is_heard(&server.heard, "AUTH "));
    us.pauses = 1;
    server_say(many.data, many.len);
    UNTIL(us.heard.len > 0);
    for (int i = 0; i < 20; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    ok(us.heard.len <= 65536, "while it is paused not much comes: %zu", us.heard.len);
    redis_link_resume(&us.link);
    UNTIL(is_same(&us.heard, &many));
    buf_reset(&server.heard);
    is_int(bufferevent_write(us.link.bev, many.data, many.len), 0, "the other way");
    ok(redis_link_waiting(&us.link) >= many.len, "all of it waits");
    UNTIL(is_same(&server.heard, &many));
    UNTIL(redis_link_waiting(&us.link) == 0);
    buf_free(&many);
    part();
}

static void is_lost(enum redis_fault_kind kind, const char *why)
{
    UNTIL(us.lost > 0);
    is_int(us.kind, kind, why);
    if (!ok(strncmp(us.why, why, strlen(why)) == 0, "is why"))
        printf("# %s\n", us.why);
}

static void update_keys(int n)
{
    for (int i = 0; i < n; i++)
        if (SSL_key_update(server.ssl, SSL_KEY_UPDATE_REQUESTED) != 1 ||
            SSL_do_handshake(server.ssl) != 1)
            abort();
    server_flush();
}

/* Records that carry nothing. */
static void test_key_updates(void)
{
    const struct conf_redis_tls tls = trusting();

    meet(&plain_server, &tls, "PING");
    UNTIL(is_heard(&server.heard, "AUTH PING"));
    update_keys(31);
    server_say("+PONG", 5);
    UNTIL(is_heard(&us.heard, "+PONG"));
    buf_reset(&server.heard);
    is_int(bufferevent_write(us.link.bev, "PING2", 5), 0, "with new keys");
    UNTIL(is_heard(&server.heard, "PING2"));
    part();

    meet(&plain_server, &tls, "PING");
    UNTIL(is_heard(&server.heard, "AUTH PING"));
    update_keys(500);
    is_lost(REDIS_FAULT_TLS, "TLS: it sends records with nothing in them");
    part();
}

/* One that wants to begin anew does not get it, and what else it says is heard. */
static void test_renegotiation(void)
{
    const struct conf_redis_tls tls = trusting();
    struct tls_server_options options = plain_server;

    options.max_version = TLS1_2_VERSION;
    meet(&options, &tls, "PING");
    UNTIL(is_heard(&server.heard, "AUTH PING"));
    SSL_renegotiate(server.ssl);
    (void)SSL_do_handshake(server.ssl);
    server_flush();
    UNTIL(server.out.len == 0);
    UNTIL(us.lost > 0); /* the server gives up, and is soon dialled again */
    is_int(us.begun_then, 1, "there is no other handshake");
    part();
}

/* --- ends ------------------------------------------------------------------------- */

static void meet_and_talk(void)
{
    const struct conf_redis_tls tls = trusting();

    meet(&plain_server, &tls, "PING");
    UNTIL(is_heard(&server.heard, "AUTH PING"));
}

static void test_ends(void)
{
    const struct linger now = {1, 0};
    uint8_t byte;

    meet_and_talk();
    shutdown(server.fd, SHUT_WR);
    is_lost(REDIS_FAULT_CLOSED, "it closed the connection");
    part();

    meet_and_talk();
    SSL_shutdown(server.ssl);
    server_flush();
    is_lost(REDIS_FAULT_CLOSED, "TLS: it closed the connection");
    part();

    meet_and_talk();
    if (SSL_write(server.ssl, "+PONG", 5) != 5 || BIO_read(SSL_get_wbio(server.ssl), &byte, 1) != 1)
        abort();
    if (send(server.fd,
             "\x17\x03\x03\0\x20"
             "0123456789abcdef0123456789abcdef",
             37, 0) != 37)
        abort();
    is_lost(REDIS_FAULT_TLS, "TLS: ");
    ok(us.heard.len == 0, "nothing of that is heard");
    part();

    meet_and_talk();
    if (send(server.fd, "\x17\x03\x03\xff\xff", 5, 0) != 5)
        abort();
    is_lost(REDIS_FAULT_TLS, "TLS: ");
    part();

    meet_and_talk();
    if (setsockopt(server.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) < 0)
        abort();
    server_hang_up();
    is_lost(REDIS_FAULT_CLOSED, "connection broken: Connection reset by peer");
    part();
}

/* Text, and then the end. */
static void test_last_words(void)
{
    meet_and_talk();
    server_say("-ERR bye", 8);
    SSL_shutdown(server.ssl);
    server_flush();
    shutdown(server.fd, SHUT_WR);
    is_lost(REDIS_FAULT_CLOSED, "TLS: it closed the connection");
    ok(is_heard(&us.heard, "-ERR bye"), "what it has said before is heard");
    part();
}

static void test_handshake_ends(void)
{
    const struct conf_redis_tls tls = trusting();
    unsigned accepted;

    ops.attempt_ms = SHORT_MS;
    meet(&plain_server, &tls, NULL);
    server.is_mute = 1;
    is_lost(REDIS_FAULT_TLS,
            "TLS: no answer to the handshake within 500 ms; does it speak TLS there?");
    part();

    meet(&plain_server, &tls, NULL);
    server.step = 100;
    UNTIL(us.link.has_read);
    server.is_mute = 1;
    is_lost(REDIS_FAULT_TLS, "TLS: no end to the handshake within 500 ms");
    part();

    ops.attempt_ms = WAIT_MS;
    accepted = server.accepted;
    meet(&plain_server, &tls, NULL);
    server.is_mute = 1;
    UNTIL(server.accepted > accepted);
    shutdown(server.fd, SHUT_WR);
    is_lost(REDIS_FAULT_TLS, "TLS: within the handshake: it closed the connection");
    part();

    accepted = server.accepted;
    meet(&plain_server, &tls, NULL);
    server.is_mute = 1;
    UNTIL(server.accepted > accepted);
    if (send(server.fd, "-ERR max number of clients reached\r\n", 36, 0) != 36)
        abort();
    is_lost(REDIS_FAULT_TLS, "TLS: it does not speak TLS");
    is_int(us.begun, 0, "it never began");
    part();
}

static void test_certificates(void)
{
    struct conf_redis_tls tls = trusting();
    struct tls_server_options options = plain_server;

    tls.ca = stranger.cert;
    meet(&options, &tls, "PING");
    is_lost(REDIS_FAULT_CERTIFICATE,
            "TLS: its certificate is signed by an authority that is not known: authority");
    is_int(us.begun, 0, "it is told nothing");
    part();

    tls = trusting();
    tls.servername = (char[]){"b.example"};
    meet(&options, &tls, "PING");
    is_lost(REDIS_FAULT_CERTIFICATE, "TLS: its certificate is for a.example, 127.0.0.1, wanted "
                                     "b.example (tls:servername)");
    part();

    tls = trusting();
    options.clients = &authority;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        options.min_version = options.max_version = version;
        meet(&options, &tls, "PING");
        is_lost(REDIS_FAULT_OUR_CERTIFICATE, "TLS: it wants a client certificate");
        part();
    }
}

/* Neither side speaks TLS, or only one does. */
static void test_plain(void)
{
    const struct conf_redis_tls none = {0};

    meet(&plain_server, &none, "PING");
    UNTIL(us.begun > 0);
    is_lost(REDIS_FAULT_WANTS_TLS,
            "it closed the connection, and it has said nothing: does it want TLS");
    part();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    server.fd = -1;
    server.listener = loopback_listen(SOCK_NONBLOCK | SOCK_CLOEXEC, &server.port);
    server.accepts = event_new(base, server.listener, EV_READ | EV_PERSIST, on_accept, NULL);
    event_add(server.accepts, NULL);
    authority = make((struct make){.name = "authority", .is_authority = 1});
    stranger = make((struct make){.name = "stranger", .is_authority = 1});
    cert = make((struct make){
        .name = "redis", .names = "DNS:a.example,IP:127.0.0.1", .issuer = &authority});
    test_dialogue(TLS1_2_VERSION);
    test_dialogue(TLS1_3_VERSION);
    test_steps();
    test_many();
    test_key_updates();
    test_renegotiation();
    test_ends();
    test_last_words();
    test_handshake_ends();
    test_certificates();
    test_plain();
    event_free(server.accepts);
    close(server.listener);
    event_base_free(base);
    buf_free(&us.heard);
    buf_free(&server.heard);
    buf_free(&server.out);
    made_free(&authority);
    made_free(&stranger);
    made_free(&cert);
    return tap_done();
}
