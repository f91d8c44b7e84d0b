#include "net/tls_fault.h"

#include "net/tls_conn.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#define FAULT_LOG_MS  60000
#define CLOSED_LOG_MS 3600000 /* those of health checks and scanners */

#define ENTRY(event, text)                                                                         \
    {                                                                                              \
        "tls_" event, "TLS: " text "[ ({})][: address={}][ times={}]"                              \
    }

static const struct log_entry entries[] = {
    [TLS_TIMEOUT] = ENTRY("timeout", "the handshake takes too long"),
    [TLS_CLOSED] = ENTRY("closed", "the client left during the handshake"),
    [TLS_HTTP] = ENTRY("plain_http", "plain HTTP on a port for TLS"),
    [TLS_PROXY_LINE] = ENTRY("proxy_header", "PROXY protocol on a port that does not expect it"),
    [TLS_NOT_TLS] = ENTRY("not_tls", "no TLS on a port for TLS"),
    [TLS_VERSION] = ENTRY("version", "the client knows no version of TLS that is allowed"),
    [TLS_CIPHER] = ENTRY("cipher", "the client knows no cipher or key exchange that is allowed"),
    [TLS_ALPN] = ENTRY("alpn", "the client wants another protocol than HTTP/1.1"),
    [TLS_REFUSED] = ENTRY("refused", "the client refuses"),
    [TLS_RECORD] = ENTRY("malformed", "a record that is malformed"),
    [TLS_FLOOD] = ENTRY("flood", "records that carry nothing"),
    [TLS_RENEGOTIATION] = ENTRY("renegotiation", "the client wants another handshake"),
    [TLS_NO_MEMORY] = ENTRY("no_memory", "no memory"),
};

static enum tls_fault fault_of(unsigned long code)
{
    int reason = ERR_GET_REASON(code);

    if (reason == ERR_R_MALLOC_FAILURE)
        return TLS_NO_MEMORY;
    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return TLS_RECORD;
    if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
        return TLS_REFUSED;
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_INAPPROPRIATE_FALLBACK:
        return TLS_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_CIPHERS_SPECIFIED:
        return TLS_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return TLS_ALPN;
    default:
        return TLS_RECORD;
    }
}

/* Of the newest of its errors; *reason is its own name for it.  All are forgotten. */
static enum tls_fault take(const char **reason)
{
    unsigned long code = ERR_peek_last_error();

    *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return fault_of(code);
}

/* Whose it is.  A client that is gone has no address any more. */
static const char *whose(const struct conn *conn, char dst[ADDRESS_TEXT_MAX])
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);

    if (conn->peer == NULL && getpeername(conn->fd, (struct sockaddr *)&peer, &len) < 0)
        return "unknown";
    return conn_peer_text(conn, dst);
}

void tls_fault(struct conn *conn, enum tls_fault why, const char *reason)
{
    struct net *net = conn->net;
    uint64_t times =
        log_due(&net->tls->logs[why], why == TLS_CLOSED ? CLOSED_LOG_MS : FAULT_LOG_MS);
    struct tls *tls = conn->veil_state;
    char from[ADDRESS_TEXT_MAX];

    net->stats.tls_faults[why]++;
    tls->failed = 1;
    if (times > 0 || log_wants(LOG_LEVEL_DEBUG))
        log_entry_at(log_due_level(LOG_LEVEL_INFO, times), entries[why],
                     LOG_IF(reason != NULL, LOG_STR("detail", reason)),
                     LOG_STR("address", whose(conn, from)), LOG_TIMES(times));
}

enum tls_outcome tls_fails(struct tls *tls, enum tls_fault why, const char *reason)
{
    tls_fault(tls->conn, why, reason);
    return TLS_FAILED;
}

/* What OpenSSL says of a call that returned result. */
enum tls_outcome tls_outcome_of(struct tls *tls, int result)
{
    const char *reason;
    enum tls_fault why;

    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_ENDED;
    case SSL_ERROR_SSL:
        why = take(&reason);
        return tls_fails(tls, why, reason);
    default: /* the client has gone: the socket says so */
        ERR_clear_error();
        return tls_fails(tls, TLS_CLOSED, NULL);
    }
}
