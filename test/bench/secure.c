#include "secure.h"

#include <errno.h>
#include <openssl/err.h>

int secure_init(struct secure *secure)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    char groups[] = "X25519:P-256"; /* OpenSSL only reads it, but does not say so */

    *secure = (struct secure){.context = context};
    if (context == NULL)
        return -1;
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                   SSL_CTX_set_ciphersuites(context,
                                            "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                            "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
                   SSL_CTX_set1_groups_list(context, groups) == 1
               ? 0
               : -1;
}

SSL *secure_new(struct secure *secure, int fd)
{
    SSL *ssl = SSL_new(secure->context);

    if (ssl == NULL)
        return NULL;
    if (SSL_set_fd(ssl, fd) != 1 || (secure->resumes && secure->session != NULL &&
                                     SSL_set_session(ssl, secure->session) != 1)) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

void secure_free(SSL *ssl)
{
    if (ssl == NULL)
        return;
    /* Of a connection that ends with no word the session would be taken for bad. */
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
}

/* What a call that returned n, not above 0, means: as recv() says it. */
static ssize_t outcome(const SSL *ssl, int n)
{
    switch (SSL_get_error(ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return errno == 0 ? 0 : -1;
    default:
        errno = EPROTO;
        return -1;
    }
}

int secure_shake(SSL *ssl)
{
    int n;

    ERR_clear_error();
    errno = 0;
    n = SSL_do_handshake(ssl);
    if (n == 1)
        return 1;
    if (outcome(ssl, n) == 0)
        errno = ECONNRESET;
    return errno == EAGAIN ? 0 : -1;
}

ssize_t secure_recv(SSL *ssl, void *dst, size_t cap)
{
    int n;

    ERR_clear_error();
    errno = 0;
    n = SSL_read(ssl, dst, (int)cap);
    return n > 0 ? n : outcome(ssl, n);
}

ssize_t secure_send(SSL *ssl, const void *bytes, size_t len)
{
    int n;

    ERR_clear_error();
    errno = 0;
    n = SSL_write(ssl, bytes, (int)len);
    return n > 0 ? n : outcome(ssl, n);
}

void secure_keep(struct secure *secure, SSL *ssl)
{
    SSL_SESSION *session = secure->session == NULL ? SSL_get1_session(ssl) : NULL;

    if (session != NULL && SSL_SESSION_is_resumable(session))
        secure->session = session;
    else
        SSL_SESSION_free(session);
}
