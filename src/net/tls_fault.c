#include "net/tls_fault.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

const char *tls_fault_text(enum tls_fault fault)
{
    static const char *const texts[] = {
        [TLS_TIMEOUT] = "the handshake takes too long",
        [TLS_CLOSED] = "the client left during the handshake",
        [TLS_HTTP] = "plain HTTP on a port for TLS",
        [TLS_PROXY_LINE] = "PROXY protocol on a port that does not expect it",
        [TLS_NOT_TLS] = "no TLS on a port for TLS",
        [TLS_VERSION] = "the client knows no version of TLS that is allowed",
        [TLS_CIPHER] = "the client knows no cipher or key exchange that is allowed",
        [TLS_ALPN] = "the client wants another protocol than HTTP/1.1",
        [TLS_REFUSED] = "the client refuses",
        [TLS_RECORD] = "a record that is malformed",
        [TLS_FLOOD] = "records that carry nothing",
        [TLS_RENEGOTIATION] = "the client wants another handshake",
        [TLS_NO_MEMORY] = "no memory",
    };

    return texts[fault];
}

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

enum tls_fault tls_fault_take(const char **reason)
{
    unsigned long code = ERR_peek_last_error();

    *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return fault_of(code);
}
