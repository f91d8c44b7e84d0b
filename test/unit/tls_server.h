/* tls_server - a server of TLS for the tests of a client, of OpenSSL itself. */
#ifndef TEST_TLS_SERVER_H
#define TEST_TLS_SERVER_H

#include "certificate_make.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

struct tls_server_options {
    const struct made *cert, *chain; /* chain: is shown, too, or NULL */
    const struct made *clients;      /* who signs those of clients, which are wanted; NULL: none */
    int min_version, max_version;    /* 0: any */
};

static int tls_server_sni(SSL *ssl, int *alert, void *arg)
{
    char *names = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    (void)snprintf(names, 64, "%s", name != NULL ? name : "");
    return SSL_TLSEXT_ERR_OK;
}

/* sni: 64 bytes for the name that a client says, or NULL. */
static __attribute__((unused)) SSL_CTX *tls_server_new(const struct tls_server_options *options,
                                                       char *sni)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, options->min_version);
    SSL_CTX_set_max_proto_version(ctx, options->max_version);
    SSL_CTX_set_options(ctx, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    if (SSL_CTX_use_certificate(ctx, options->cert->x509) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, options->cert->key) != 1)
        abort();
    if (options->chain != NULL && SSL_CTX_add1_chain_cert(ctx, options->chain->x509) != 1)
        abort();
    if (options->clients != NULL) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), options->clients->x509);
    }
    if (sni != NULL) {
        SSL_CTX_set_tlsext_servername_callback(ctx, tls_server_sni);
        SSL_CTX_set_tlsext_servername_arg(ctx, sni);
    }
    return ctx;
}

#endif
