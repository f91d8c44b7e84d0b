/* tls_client - TLS as the client of a server that is known by a name: whom to trust, what to
 * show, and in words why it does not come about (names: RFC 9525).  TLS 1.2 at least, no
 * renegotiation, no resumption.  Whoever uses it moves the bytes.
 *
 * Of codec/ this alone opens files: the system's authorities, which OpenSSL looks up while a
 * chain is checked. */
#ifndef CODEC_TLS_CLIENT_H
#define CODEC_TLS_CLIENT_H

#include "base/buf.h"

#include <openssl/ssl.h>
#include <stdint.h>

struct tls_client;

struct tls_client_options { /* PEM, each terminated, or NULL */
    const char *ca;         /* certificates of those who are trusted; NULL: the system's */
    const char *cert, *key; /* to show who we are: both or neither */
    int verify;             /* 0: any certificate will do */
};

enum tls_client_part { TLS_CLIENT_CA, TLS_CLIENT_CERT, TLS_CLIENT_KEY };

/* options are not kept.  Returns NULL with what is wrong in error, without a newline, and
 * *part where. */
struct tls_client *tls_client_new(const struct tls_client_options *options, struct buf *error,
                                  enum tls_client_part *part);

/* How many certificates of a text are good at that time (seconds since 1970); appends a line for
 * each that is not. */
int tls_client_dates(const char *pem, int64_t now_s, struct buf *lines);

/* Sessions that were made of it stay. */
void tls_client_free(struct tls_client **client);

enum tls_client_fault {
    TLS_CLIENT_CLOSED,      /* the connection has ended or is broken */
    TLS_CLIENT_SPEECH,      /* that is no TLS, or not one that we speak */
    TLS_CLIENT_CERTIFICATE, /* what the server shows does not hold */
    TLS_CLIENT_OURS         /* what we show, or that we show nothing, does not please it */
};

struct tls_client_why {
    enum tls_client_fault kind;
    int is_asked;   /* the server wants a certificate */
    char text[256]; /* for the log; what the server says is escaped.  Empty: nothing yet */
};

/* A session with a server that has to show a certificate for name: a host name (which it is
 * told) or an address.  why is borrowed until SSL_free().  Before SSL_connect() it needs its
 * BIOs.  NULL without memory. */
SSL *tls_client_session(const struct tls_client *client, const char *name,
                        struct tls_client_why *why);

/* After SSL_connect(), SSL_read() or SSL_write() has failed with that result, for another reason
 * than that it wants to read or write (SSL_get_error(); errno as it was): fills in what
 * tls_client_session() was given. */
void tls_client_explain(SSL *ssl, int result);

#endif
