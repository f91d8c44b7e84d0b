/* tls_input - what a client sends: records, one by one, and what each leads to. */
#include "base/clock.h"
#include "net/tls_conn.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HEADER_BYTES 5
#define RECORD_MAX   (HEADER_BYTES + SSL3_RT_MAX_ENCRYPTED_LENGTH)

/* Records of a handshake: a client needs ten. */
#define HANDSHAKE_RECORDS 100
/* Records that carry nothing, or next to nothing.  A client's shortest message has 6 bytes
 * (an empty frame of a WebSocket); what has as much makes up for some that have less. */
#define USEFUL_BYTES 6
#define USEFUL       8
#define TINY         1
#define EMPTY        32
#define USELESS_MAX  2000

/* What is no TLS at all shows in the first bytes. */
static enum tls_outcome check_first(struct tls *tls, const uint8_t *bytes, size_t len)
{
    static const char proxy1[] = "PROXY ", proxy2[] = "\r\n\r\n\0\r\nQUIT\n";

    if (bytes[0] == SSL3_RT_HANDSHAKE && (len == 1 || bytes[1] == SSL3_VERSION_MAJOR))
        return TLS_MORE;
    if ((len >= 6 && memcmp(bytes, proxy1, 6) == 0) ||
        (len >= 5 && memcmp(bytes, proxy2, len < 12 ? len : 12) == 0))
        return tls_fails(tls, TLS_PROXY_LINE, tls->conn->greeted ? "a second header" : NULL);
    return tls_fails(tls, bytes[0] >= 'A' && bytes[0] <= 'Z' ? TLS_HTTP : TLS_NOT_TLS, NULL);
}

/* What the client offers is kept for a handshake that never comes: half a kilobyte, of a
 * client with many ciphers. */
static void forget_offer(SSL *ssl)
{
    STACK_OF(SSL_CIPHER) *offered = SSL_get_client_ciphers(ssl);

    if (offered == NULL)
        return;
    sk_SSL_CIPHER_zero(offered);
    (void)sk_SSL_CIPHER_reserve(offered, 0); /* shrinks it */
}

static void opened(struct tls *tls)
{
    struct conn *conn = tls->conn;
    struct net_stats *stats = &conn->net->stats;

    tls->opened = 1;
    stats->tls_handshakes[SSL_version(tls->ssl) == TLS1_3_VERSION][SSL_session_reused(tls->ssl)]++;
    stats->tls_connections++;
    conn->secure = 1;
    forget_offer(tls->ssl);
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

static enum tls_outcome shake(struct tls_net *layer, struct tls *tls, const uint8_t *record,
                              size_t len)
{
    uint64_t began_us;
    int result;

    if (!handshakes_may(&layer->handshakes))
        return TLS_WAITS;
    if (++tls->records > HANDSHAKE_RECORDS)
        return tls_fails(tls, TLS_FLOOD, NULL);
    began_us = clock_us();
    if (tls->ssl == NULL && begin(layer, tls) < 0)
        return tls_fails(tls, TLS_NO_MEMORY, NULL);
    ERR_clear_error();
    tls_enter(layer, tls, record, len);
    result = SSL_do_handshake(tls->ssl);
    handshakes_spent(&layer->handshakes, clock_us() - began_us);
    if (result != 1)
        return tls_outcome_of(tls, result);
    opened(tls);
    return TLS_MORE;
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

static enum tls_outcome decipher(struct tls_net *layer, struct tls *tls, const uint8_t *record,
                                 size_t len)
{
    size_t before = layer->plain_len;
    enum tls_outcome outcome = TLS_MORE;
    int n;

    ERR_clear_error();
    tls_enter(layer, tls, record, len);
    do {
        n = SSL_read(tls->ssl, layer->plain + layer->plain_len,
                     (int)(INPUT_BYTES - layer->plain_len));
        if (n > 0)
            layer->plain_len += (size_t)n;
        else
            outcome = tls_outcome_of(tls, n);
    } while (n > 0 && (layer->in_len > 0 || SSL_pending(tls->ssl) > 0));
    if (outcome != TLS_MORE)
        return outcome;
    /* OpenSSL has said no, in words that the client may ignore. */
    if (record[0] == SSL3_RT_HANDSHAKE && SSL_version(tls->ssl) < TLS1_3_VERSION)
        return tls_fails(tls, TLS_RENEGOTIATION, NULL);
    return is_flood(tls, layer->plain_len - before) ? tls_fails(tls, TLS_FLOOD, NULL) : TLS_MORE;
}

/* Returns how many bytes have been used. */
static size_t take_records(struct tls_net *layer, struct tls *tls, const uint8_t *bytes, size_t len,
                           enum tls_outcome *outcome)
{
    size_t used = 0, record_len;

    *outcome = TLS_MORE;
    while (used < len && *outcome == TLS_MORE) {
        const uint8_t *record = bytes + used;

        if (tls->ssl == NULL && (*outcome = check_first(tls, record, len - used)) != TLS_MORE)
            break;
        if (len - used < HEADER_BYTES)
            break;
        record_len = HEADER_BYTES + (((size_t)record[3] << 8) | record[4]);
        if (record_len > RECORD_MAX) {
            *outcome = tls_fails(tls, TLS_RECORD, "record too large");
            break;
        }
        if (len - used < record_len)
            break;
        *outcome = tls->opened ? decipher(layer, tls, record, record_len)
                               : shake(layer, tls, record, record_len);
        if (*outcome != TLS_WAITS)
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
        tls_fault(tls->conn, TLS_FLOOD, NULL);
        return -1;
    }
    part = realloc(tls->part, tls->part_len + len);
    if (part == NULL) {
        tls_fault(tls->conn, TLS_NO_MEMORY, NULL);
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
static void pass_on(struct tls_net *layer, struct conn *conn, enum tls_outcome outcome)
{
    size_t len = layer->plain_len;
    struct tls *tls = conn->veil_state;

    layer->plain_len = 0;
    if (conn->owes)
        conn_set_blocked(conn);
    if (outcome == TLS_ENDED)
        tls->ended = 1;
    if (len > 0) {
        conn_input(conn, layer->plain, len);
        explicit_bzero(layer->plain, len); /* there may be a token in it */
    }
    if (conn->state == CONN_DEAD)
        return;
    if (outcome == TLS_ENDED)
        end_input(conn);
    if (outcome == TLS_FAILED)
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
    enum tls_outcome outcome = TLS_MORE;
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
    if (outcome <= TLS_WAITS && keep_part(tls, bytes, len, used) < 0) {
        tls_fault(conn, TLS_NO_MEMORY, NULL);
        outcome = TLS_FAILED;
    }
    if (outcome == TLS_WAITS) {
        if (!handshakes_waits(&tls->turn))
            handshakes_wait(&layer->handshakes, &tls->turn, rank_of(conn));
        conn_hear(conn, 0);
    }
    pass_on(layer, conn, outcome);
}

void tls_input(struct conn *conn, uint8_t *bytes, size_t len)
{
    const struct tls *tls = conn->veil_state;

    if (conn->state != CONN_OPEN)
        return;
    if (tls->ended)
        conn_input_ended(conn);
    else
        take(conn, bytes, len);
}

void tls_go_on(struct handshake *turn, void *arg)
{
    struct tls *tls = (struct tls *)(void *)((char *)turn - offsetof(struct tls, turn));

    (void)arg;
    conn_hear(tls->conn, 1);
    if (tls->conn->state == CONN_OPEN)
        take(tls->conn, NULL, 0);
}
