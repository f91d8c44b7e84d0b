#include "net/tls.h"

#include "base/clock.h"
#include "base/pages.h"
#include "net/handshakes.h"
#include "net/net.h"
#include "net/tls_context.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HEADER_BYTES    5
#define RECORD_MAX      (HEADER_BYTES + SSL3_RT_MAX_ENCRYPTED_LENGTH)
#define SEAL_BYTES      SSL3_RT_MAX_PLAIN_LENGTH
#define GATHER_RUNS     64
#define RECORDS_PER_KEY (1U << 23) /* RFC 8446, 5.5, with a margin */

/* Records of a handshake: a client needs ten. */
#define HANDSHAKE_RECORDS 100
/* Records that carry nothing, or next to nothing.  A client's shortest message has 6 bytes
 * (an empty frame of a WebSocket); what has as much makes up for some that have less. */
#define USEFUL_BYTES 6
#define USEFUL       8
#define TINY         1
#define EMPTY        32
#define USELESS_MAX  2000

/* A connection takes some 14 KB in pieces.  When most have gone, the system has back what they
 * had: that takes a while, so it is done once for many. */
#define TRIM_GONE 1000
#define TRIM_S    2

#define FAULT_LOG_MS  60000
#define CLOSED_LOG_MS 3600000 /* those of health checks and scanners */

/* Of one connection.  Its SSL, the most of it, is there from the first whole record on. */
struct tls {
    struct handshake turn;
    struct conn *conn;
    SSL *ssl;
    uint8_t *part; /* what came, and is no whole record yet or waits for its turn */
    uint8_t *rest; /* what the kernel has not taken */
    uint32_t part_len;
    uint32_t rest_off, rest_len;
    uint32_t sealed;  /* records, with the key that is in use */
    uint16_t sealing; /* bytes of conn->out that rest is made of */
    uint16_t useless; /* records, weighted */
    uint8_t records;  /* of the handshake */
    uint8_t opened : 1;
    uint8_t failed : 1; /* counted; nothing is said any more */
    uint8_t ended : 1;  /* the client has said that nothing more comes */
};

/* Of all. */
struct tls_net {
    struct tls_contexts *contexts;
    BIO_METHOD *method;
    BIO *bio; /* one for all: a call into OpenSSL is about one connection */
    struct tls *now;
    const uint8_t *in; /* one record */
    size_t in_len;
    uint8_t *plain; /* INPUT_BYTES */
    size_t plain_len;
    uint8_t *gather; /* SEAL_BYTES */
    struct handshakes handshakes;
    struct event trim_timer;
    uint64_t gone; /* connections, since memory was given back */
    struct log_every logs[TLS_FAULTS];
};

/* What a record, or several, have led to. */
enum outcome {
    MORE,
    WAITS, /* for its turn; the record is still to be used */
    ENDED,
    FAILED
};

/* --- faults --- */

/* Whose it is.  A client that is gone has no address any more. */
static const char *whose(const struct conn *conn, char dst[ADDRESS_TEXT_MAX])
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);

    if (conn->peer == NULL && getpeername(conn->fd, (struct sockaddr *)&peer, &len) < 0)
        return "unknown";
    return conn_peer_text(conn, dst);
}

static void fault(struct conn *conn, enum tls_fault why, const char *reason)
{
    struct net *net = conn->net;
    uint64_t times =
        log_due(&net->tls->logs[why], why == TLS_CLOSED ? CLOSED_LOG_MS : FAULT_LOG_MS);
    struct tls *tls = conn->veil_state;
    char from[ADDRESS_TEXT_MAX], text[256];

    net->stats.tls_faults[why]++;
    tls->failed = 1;
    if (times == 0 && log_get_level() < LOG_LEVEL_DEBUG)
        return;
    if (reason != NULL)
        (void)snprintf(text, sizeof(text), "TLS: %s (%s)", tls_fault_text(why), reason);
    else
        (void)snprintf(text, sizeof(text), "TLS: %s", tls_fault_text(why));
    if (times > 0)
        log_info("%s: address=%s times=%llu", text, whose(conn, from), (unsigned long long)times);
    else
        log_debug("%s: address=%s", text, whose(conn, from));
}

static enum outcome fails(struct tls *tls, enum tls_fault why, const char *reason)
{
    fault(tls->conn, why, reason);
    return FAILED;
}

/* What OpenSSL says of a call that returned result. */
static enum outcome outcome_of(struct tls *tls, int result)
{
    const char *reason;
    enum tls_fault why;

    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return MORE;
    case SSL_ERROR_ZERO_RETURN:
        return ENDED;
    case SSL_ERROR_SSL:
        why = tls_fault_take(&reason);
        return fails(tls, why, reason);
    default: /* the client has gone: the socket says so */
        ERR_clear_error();
        return fails(tls, TLS_CLOSED, NULL);
    }
}

/* --- OpenSSL's way out and in --- */

static int keep_rest(struct tls *tls, const char *bytes, size_t len)
{
    uint8_t *rest = realloc(tls->rest, tls->rest_len + len);

    if (rest == NULL)
        return -1;
    memcpy(rest + tls->rest_len, bytes, len);
    tls->rest = rest;
    tls->rest_len += (uint32_t)len;
    tls->conn->owes = 1;
    return 0;
}

/* Takes all, whatever the kernel does, so that OpenSSL keeps no buffer. */
static int on_write(BIO *bio, const char *bytes, int len)
{
    struct tls_net *layer = BIO_get_data(bio);
    struct tls *tls = layer->now;
    ssize_t n = 0;

    BIO_clear_retry_flags(bio);
    if (tls->rest == NULL) {
        do
            n = send(tls->conn->fd, bytes, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS)
            return -1;
        if (n < 0)
            n = 0;
        tls->conn->net->stats.bytes_sent += (uint64_t)n;
    }
    if (n < len && keep_rest(tls, bytes + n, (size_t)(len - n)) < 0)
        return -1;
    return len;
}

static int on_read(BIO *bio, char *dst, int cap)
{
    struct tls_net *layer = BIO_get_data(bio);
    size_t n = layer->in_len < (size_t)cap ? layer->in_len : (size_t)cap;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(dst, layer->in, n);
    layer->in += n;
    layer->in_len -= n;
    return (int)n;
}

static long on_ctrl(BIO *bio, int command, long value, void *arg)
{
    (void)bio;
    (void)value;
    (void)arg;
    return command == BIO_CTRL_FLUSH;
}

/* The next call into OpenSSL is about this one, and may read that. */
static void enter(struct tls_net *layer, struct tls *tls, const uint8_t *bytes, size_t len)
{
    layer->now = tls;
    layer->in = bytes;
    layer->in_len = len;
}

/* --- input --- */

/* What is no TLS at all shows in the first bytes. */
static enum outcome check_first(struct tls *tls, const uint8_t *bytes, size_t len)
{
    static const char proxy1[] = "PROXY ", proxy2[] = "\r\n\r\n\0\r\nQUIT\n";

    if (bytes[0] == SSL3_RT_HANDSHAKE && (len == 1 || bytes[1] == SSL3_VERSION_MAJOR))
        return MORE;
    if ((len >= 6 && memcmp(bytes, proxy1, 6) == 0) ||
        (len >= 5 && memcmp(bytes, proxy2, len < 12 ? len : 12) == 0))
        return fails(tls, TLS_PROXY_LINE, tls->conn->greeted ? "a second header" : NULL);
    return fails(tls, bytes[0] >= 'A' && bytes[0] <= 'Z' ? TLS_HTTP : TLS_NOT_TLS, NULL);
}

static void opened(struct tls *tls)
{
    struct conn *conn = tls->conn;
    struct net_stats *stats = &conn->net->stats;

    tls->opened = 1;
    stats->tls_handshakes[SSL_version(tls->ssl) == TLS1_3_VERSION][SSL_session_reused(tls->ssl)]++;
    stats->tls_connections++;
    conn->secure = 1;
    conn_opened(conn);
}

static int begin(struct tls_net *layer, struct tls *tls)
{
    tls->ssl = tls_contexts_accept(layer->contexts);
    if (tls->ssl == NULL)
        return -1;
    BIO_up_ref(layer->bio);
    SSL_set_bio(tls->ssl, layer->bio, layer->bio);
    return 0;
}

static enum outcome shake(struct tls_net *layer, struct tls *tls, const uint8_t *record, size_t len)
{
    uint64_t began_us;
    int result;

    if (!handshakes_may(&layer->handshakes))
        return WAITS;
    if (++tls->records > HANDSHAKE_RECORDS)
        return fails(tls, TLS_FLOOD, NULL);
    began_us = clock_us();
    if (tls->ssl == NULL && begin(layer, tls) < 0)
        return fails(tls, TLS_NO_MEMORY, NULL);
    ERR_clear_error();
    enter(layer, tls, record, len);
    result = SSL_do_handshake(tls->ssl);
    handshakes_spent(&layer->handshakes, clock_us() - began_us);
    if (result != 1)
        return outcome_of(tls, result);
    opened(tls);
    return MORE;
}

/* One record more that carried n bytes.  Returns 1 if it is one too many. */
static int is_flood(struct tls *tls, size_t n)
{
    if (n >= USEFUL_BYTES)
        tls->useless -= tls->useless < USEFUL ? tls->useless : USEFUL;
    else
        tls->useless += n > 0 ? TINY : EMPTY;
    return tls->useless > USELESS_MAX;
}

static enum outcome decipher(struct tls_net *layer, struct tls *tls, const uint8_t *record,
                             size_t len)
{
    size_t before = layer->plain_len;
    enum outcome outcome = MORE;
    int n;

    ERR_clear_error();
    enter(layer, tls, record, len);
    do {
        n = SSL_read(tls->ssl, layer->plain + layer->plain_len,
                     (int)(INPUT_BYTES - layer->plain_len));
        if (n > 0)
            layer->plain_len += (size_t)n;
        else
            outcome = outcome_of(tls, n);
    } while (n > 0 && (layer->in_len > 0 || SSL_pending(tls->ssl) > 0));
    if (outcome != MORE)
        return outcome;
    /* OpenSSL has said no, in words that the client may ignore. */
    if (record[0] == SSL3_RT_HANDSHAKE && SSL_version(tls->ssl) < TLS1_3_VERSION)
        return fails(tls, TLS_RENEGOTIATION, NULL);
    return is_flood(tls, layer->plain_len - before) ? fails(tls, TLS_FLOOD, NULL) : MORE;
}

/* Returns how many bytes have been used. */
static size_t take_records(struct tls_net *layer, struct tls *tls, const uint8_t *bytes, size_t len,
                           enum outcome *outcome)
{
    size_t used = 0, record_len;

    *outcome = MORE;
    while (used < len && *outcome == MORE) {
        const uint8_t *record = bytes + used;

        if (tls->ssl == NULL && (*outcome = check_first(tls, record, len - used)) != MORE)
            break;
        if (len - used < HEADER_BYTES)
            break;
        record_len = HEADER_BYTES + (((size_t)record[3] << 8) | record[4]);
        if (record_len > RECORD_MAX) {
            *outcome = fails(tls, TLS_RECORD, "record too large");
            break;
        }
        if (len - used < record_len)
            break;
        *outcome = tls->opened ? decipher(layer, tls, record, record_len)
                               : shake(layer, tls, record, record_len);
        if (*outcome != WAITS)
            used += record_len;
    }
    return used;
}

/* Of bytes, which may be those of tls->part, the first are used.  Returns 0 or -1. */
static int keep_part(struct tls *tls, const uint8_t *bytes, size_t len, size_t used)
{
    uint8_t *part = NULL;

    if (used == 0 && bytes == tls->part)
        return 0;
    if (used < len) {
        if ((part = malloc(len - used)) == NULL)
            return -1;
        memcpy(part, bytes + used, len - used);
    }
    free(tls->part);
    tls->part = part;
    tls->part_len = (uint32_t)(len - used);
    return 0;
}

/* No more than there is room for when it is deciphered.  Half a record and one read are less;
 * who waits for its turn is not read from, but for once when output has left. */
static int add_part(struct tls *tls, const uint8_t *bytes, size_t len)
{
    uint8_t *part;

    if (tls->part_len + len > INPUT_BYTES) {
        fault(tls->conn, TLS_FLOOD, NULL);
        return -1;
    }
    part = realloc(tls->part, tls->part_len + len);
    if (part == NULL) {
        fault(tls->conn, TLS_NO_MEMORY, NULL);
        return -1;
    }
    memcpy(part + tls->part_len, bytes, len);
    tls->part = part;
    tls->part_len += (uint32_t)len;
    return 0;
}

/* Before the handshake the client is to hear what is wrong; afterwards it has heard. */
static void give_up(struct conn *conn)
{
    const struct tls *tls = conn->veil_state;

    if (tls->opened)
        conn_kill(conn, CLOSE_PROTOCOL, 0);
    else
        conn_linger(conn);
}

/* Where an answer is still to leave, the end is looked at again when it has: then the socket
 * has to say it, too, and the client may wait for us to end the connection. */
static void end_input(struct conn *conn)
{
    conn_input_ended(conn);
    if (conn->state == CONN_OPEN)
        shutdown(conn->fd, SHUT_RD);
}

/* What was deciphered goes up, and then what else has come of it. */
static void pass_on(struct tls_net *layer, struct conn *conn, enum outcome outcome)
{
    size_t len = layer->plain_len;
    struct tls *tls = conn->veil_state;

    layer->plain_len = 0;
    if (conn->owes)
        conn_set_blocked(conn);
    if (outcome == ENDED)
        tls->ended = 1;
    if (len > 0) {
        conn_input(conn, layer->plain, len);
        explicit_bzero(layer->plain, len); /* there may be a token in it */
    }
    if (conn->state == CONN_DEAD)
        return;
    if (outcome == ENDED)
        end_input(conn);
    if (outcome == FAILED)
        give_up(conn);
}

static enum handshake_rank rank_of(const struct conn *conn)
{
    const struct tls *tls = conn->veil_state;

    if (tls->ssl != NULL)
        return HANDSHAKE_BEGUN;
    return tally_is_crowd(conn) ? HANDSHAKE_MANY : HANDSHAKE_FEW;
}

/* len may be 0: its turn has come. */
static void take(struct conn *conn, const uint8_t *bytes, size_t len)
{
    struct tls_net *layer = conn->net->tls;
    struct tls *tls = conn->veil_state;
    enum outcome outcome = MORE;
    size_t used;

    if (tls->part != NULL) {
        if (len > 0 && add_part(tls, bytes, len) < 0) {
            give_up(conn);
            return;
        }
        bytes = tls->part;
        len = tls->part_len;
    }
    used = take_records(layer, tls, bytes, len, &outcome);
    if (outcome <= WAITS && keep_part(tls, bytes, len, used) < 0) {
        fault(conn, TLS_NO_MEMORY, NULL);
        outcome = FAILED;
    }
    if (outcome == WAITS) {
        if (!handshakes_waits(&tls->turn))
            handshakes_wait(&layer->handshakes, &tls->turn, rank_of(conn));
        conn_hear(conn, 0);
    }
    pass_on(layer, conn, outcome);
}

static void on_input(struct conn *conn, uint8_t *bytes, size_t len)
{
    const struct tls *tls = conn->veil_state;

    if (conn->state != CONN_OPEN)
        return;
    if (tls->ended)
        conn_input_ended(conn);
    else
        take(conn, bytes, len);
}

/* --- output --- */

/* What the kernel has not taken of a record.  Returns as veil_ops.send. */
static ssize_t send_rest(struct conn *conn, struct tls *tls)
{
    ssize_t n = send(conn->fd, tls->rest + tls->rest_off, tls->rest_len - tls->rest_off,
                     MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0)
        return -1;
    conn->net->stats.bytes_sent += (uint64_t)n;
    tls->rest_off += (uint32_t)n;
    if (tls->rest_off < tls->rest_len) {
        errno = EAGAIN;
        return -1;
    }
    free(tls->rest);
    tls->rest = NULL;
    tls->rest_off = tls->rest_len = 0;
    conn->owes = 0;
    n = tls->sealing;
    tls->sealing = 0;
    return n;
}

/* What comes next, up to a record of it, in one piece. */
static size_t gather(struct tls_net *layer, const struct conn *conn, const uint8_t **bytes)
{
    struct iovec iov[GATHER_RUNS];
    int n = outq_iov(&conn->out, iov, GATHER_RUNS);
    size_t len = 0;

    if (n == 1 || iov[0].iov_len >= SEAL_BYTES) {
        *bytes = iov[0].iov_base;
        return iov[0].iov_len < SEAL_BYTES ? iov[0].iov_len : SEAL_BYTES;
    }
    for (int i = 0; i < n && len < SEAL_BYTES; i++) {
        size_t part = iov[i].iov_len < SEAL_BYTES - len ? iov[i].iov_len : SEAL_BYTES - len;
        memcpy(layer->gather + len, iov[i].iov_base, part);
        len += part;
    }
    *bytes = layer->gather;
    return len;
}

/* A key is good for so many records: the next are under another. */
static void count_record(struct tls *tls)
{
    if (++tls->sealed < RECORDS_PER_KEY || SSL_version(tls->ssl) != TLS1_3_VERSION)
        return;
    tls->sealed = 0;
    if (SSL_key_update(tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1)
        ERR_clear_error();
}

static ssize_t on_send(struct conn *conn)
{
    struct tls_net *layer = conn->net->tls;
    struct tls *tls = conn->veil_state;
    const uint8_t *bytes;
    size_t len;

    if (tls->rest != NULL)
        return send_rest(conn, tls);
    if (!tls->opened || tls->failed) {
        errno = EPIPE;
        return -1;
    }
    len = gather(layer, conn, &bytes);
    count_record(tls);
    enter(layer, tls, NULL, 0);
    if (SSL_write(tls->ssl, bytes, (int)len) != (int)len) {
        ERR_clear_error();
        errno = EPIPE;
        return -1;
    }
    conn->net->stats.bytes_sent -= len; /* counted as it went, in its cipher */
    if (tls->rest == NULL)
        return (ssize_t)len;
    tls->sealing = (uint16_t)len;
    errno = EAGAIN;
    return -1;
}

static void on_finish(struct conn *conn)
{
    struct tls *tls = conn->veil_state;

    if (!tls->opened || tls->failed || (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN))
        return;
    enter(conn->net->tls, tls, NULL, 0);
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

/* --- life --- */

/* Who waits for us is not to blame. */
static void on_timeout(struct conn *conn)
{
    const struct tls *tls = conn->veil_state;

    if (handshakes_waits(&tls->turn)) {
        conn_deadline(conn, NET_VEIL_MS);
        return;
    }
    fault(conn, TLS_TIMEOUT, NULL);
    conn_kill(conn, CLOSE_CLIENT, 0);
}

/* left: so many are still there. */
static void gone(struct tls_net *layer, uint64_t left)
{
    static const struct timeval soon = {TRIM_S, 0};

    if (++layer->gone >= TRIM_GONE && layer->gone > left &&
        !evtimer_pending(&layer->trim_timer, NULL))
        evtimer_add(&layer->trim_timer, &soon);
}

static void on_trim(evutil_socket_t fd, short what, void *arg)
{
    struct tls_net *layer = arg;

    (void)fd;
    (void)what;
    layer->gone = 0;
    pages_trim();
}

static void on_free(struct conn *conn)
{
    struct tls_net *layer = conn->net->tls;
    struct tls *tls = conn->veil_state;

    if (tls->opened)
        conn->net->stats.tls_connections--;
    else if (!tls->failed)
        fault(conn, TLS_CLOSED, NULL);
    if (tls->ssl != NULL)
        gone(layer, conn->net->stats.tls_connections);
    handshakes_forget(&layer->handshakes, &tls->turn);
    SSL_free(tls->ssl);
    free(tls->part);
    free(tls->rest);
    free(tls);
}

static const struct veil_ops tls_veil = {
    .input = on_input,
    .send = on_send,
    .finish = on_finish,
    .timeout = on_timeout,
    .free = on_free,
};

int tls_begin(struct conn *conn, uint32_t in_ms)
{
    struct tls *tls = conn->net->tls != NULL ? calloc(1, sizeof(*tls)) : NULL;

    if (tls == NULL)
        return -1;
    tls->conn = conn;
    tally_tls(conn);
    conn_veil(conn, &tls_veil, tls, in_ms);
    return 0;
}

/* --- all of them --- */

/* Output that waits is not to wait for those that come. */
static int hurries(void *arg)
{
    const struct net *net = arg;

    return net->dirty[DIRTY_OWN].first != NULL || net->dirty[DIRTY_FANOUT].first != NULL;
}

static void go_on(struct handshake *turn, void *arg)
{
    struct tls *tls = (struct tls *)(void *)((char *)turn - offsetof(struct tls, turn));

    (void)arg;
    conn_hear(tls->conn, 1);
    if (tls->conn->state == CONN_OPEN)
        take(tls->conn, NULL, 0);
}

static BIO *make_bio(struct tls_net *layer)
{
    BIO *bio;

    layer->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "connection of a client");
    if (layer->method == NULL || BIO_meth_set_write(layer->method, on_write) != 1 ||
        BIO_meth_set_read(layer->method, on_read) != 1 ||
        BIO_meth_set_ctrl(layer->method, on_ctrl) != 1 || (bio = BIO_new(layer->method)) == NULL)
        return NULL;
    BIO_set_data(bio, layer);
    BIO_set_init(bio, 1);
    return bio;
}

static struct tls_net *layer_of(struct net *net)
{
    struct tls_net *layer = net->tls;

    if (layer != NULL)
        return layer;
    layer = net->tls = calloc(1, sizeof(*layer));
    if (layer == NULL)
        return NULL;
    evtimer_assign(&layer->trim_timer, net->base, on_trim, layer);
    handshakes_init(&layer->handshakes, net->base, hurries, go_on, net);
    layer->contexts = tls_contexts_new();
    layer->plain = malloc(INPUT_BYTES);
    layer->gather = malloc(SEAL_BYTES);
    layer->bio = make_bio(layer);
    if (layer->contexts == NULL || layer->plain == NULL || layer->gather == NULL ||
        layer->bio == NULL)
        net_tls_clear(net);
    return net->tls;
}

int net_certify(struct net *net, const struct conf_tls *tls, struct buf *error)
{
    struct tls_net *layer = layer_of(net);

    if (layer != NULL)
        return tls_contexts_certify(layer->contexts, tls, error);
    buf_puts(error, "no memory");
    return -1;
}

int net_tickets(struct net *net, const struct tickets *tickets)
{
    struct tls_net *layer = layer_of(net);

    if (layer == NULL)
        return -1;
    tls_contexts_tickets(layer->contexts, tickets);
    return 0;
}

void net_tls_clear(struct net *net)
{
    struct tls_net *layer = net->tls;

    net->tls = NULL;
    if (layer == NULL)
        return;
    handshakes_clear(&layer->handshakes);
    event_del(&layer->trim_timer);
    tls_contexts_free(&layer->contexts);
    BIO_free(layer->bio);
    BIO_meth_free(layer->method);
    free(layer->plain);
    free(layer->gather);
    free(layer);
}
