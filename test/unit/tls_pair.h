/* tls_pair - a client of TLS, by OpenSSL, on the other end of a connection of net (peer.h). */
#ifndef TEST_TLS_PAIR_H
#define TEST_TLS_PAIR_H

#include "certificate_make.h"
#include "conf.h"
#include "net/tls.h"
#include "peer.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#define PAIR_FN static __attribute__((unused))

static SSL_CTX *client_context;
static SSL *client;
static char client_text[1 << 20];
static size_t client_len;
static SSL_SESSION *client_session; /* the last that it was given */

PAIR_FN struct conf_certificate pair_certificate(const struct made *made)
{
    char *cert = (char *)(uintptr_t)made->cert, *key = (char *)(uintptr_t)made->pem_key;
    char *name = (char *)(uintptr_t) "the file";

    return (struct conf_certificate){.cert_file = name,
                                     .key_file = name,
                                     .cert = cert,
                                     .key = key,
                                     .cert_len = strlen(cert),
                                     .key_len = strlen(key)};
}

/* net speaks TLS with these from now on. */
PAIR_FN void pair_certify(struct conf_certificate *at, size_t n)
{
    struct conf_tls tls = {.at = at, .n = n, .min_version = CONF_TLS_1_2};
    struct buf error = {0};

    if (net_certify(net, &tls, &error) < 0) {
        printf("# %.*s\n", (int)error.len, (const char *)error.data);
        abort();
    }
    buf_free(&error);
}

PAIR_FN int pair_keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(client_session);
    client_session = session;
    return 1;
}

/* A connection with TLS on it, of a user; the client's end is there, too, but says nothing. */
PAIR_FN struct conn *pair_conn(int sndbuf)
{
    struct conn *conn = conn_up(sndbuf);

    conn->stranger = 0;
    stranger_conn(conn);
    if (tls_begin(conn, NET_VEIL_MS) < 0)
        abort();
    ngone = nfreed = nsent = nflushed = ntimeouts = ended_result = 0;
    ninput = 0;
    input_text[0] = '\0';
    return conn;
}

PAIR_FN void pair_client(void)
{
    if (client_context == NULL)
        client_context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(client_context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(client_context, pair_keep_session);
    client = SSL_new(client_context);
    SSL_set_fd(client, peer_fd);
    SSL_set_connect_state(client);
    client_len = 0;
    ERR_clear_error();
}

/* Lets both sides go on, and takes what comes; until nothing happens any more. */
PAIR_FN void pair_go(void)
{
    for (int quiet = 0; quiet < 3; quiet++) {
        size_t before = client_len;
        int n;

        turns(2);
        ERR_clear_error();
        while ((n = SSL_read(client, client_text + client_len,
                             (int)(sizeof(client_text) - 1 - client_len))) > 0)
            client_len += (size_t)n;
        if (client_len != before)
            quiet = 0;
    }
    client_text[client_len] = '\0';
}

/* What has come since the last call. */
PAIR_FN const char *pair_hear(void)
{
    client_len = 0;
    pair_go();
    return client_text;
}

PAIR_FN void pair_say(const void *bytes, size_t len)
{
    if (SSL_write(client, bytes, (int)len) != (int)len)
        printf("# the client cannot write\n");
    pair_go();
}

PAIR_FN void pair_client_down(void)
{
    SSL_free(client);
    client = NULL;
}

PAIR_FN void pair_down(void)
{
    pair_client_down();
    net_down();
}

/* At the end of the program. */
PAIR_FN void pair_over(void)
{
    SSL_SESSION_free(client_session);
    client_session = NULL;
    SSL_CTX_free(client_context);
    client_context = NULL;
    event_base_free(base);
    base = NULL;
}

#endif
