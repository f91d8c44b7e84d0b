/* tls_context - with which certificates, protocols and ticket keys TLS is spoken: OpenSSL's
 * contexts, made of PEM text in memory, and which of them a client gets (SNI: RFC 6066, 3; ALPN:
 * RFC 7301; tickets: RFC 5077, and RFC 8446, 4.6.1).  No file is opened. */
#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H

#include "base/buf.h"
#include "ipc/tickets.h"

#include <openssl/types.h>

struct conf_tls;
struct tls_contexts;

/* Without a certificate: tls_contexts_certify().  NULL without memory. */
struct tls_contexts *tls_contexts_new(void);
/* What was made of it lives on by itself. */
void tls_contexts_free(struct tls_contexts **contexts);

/* New connections get these certificates, one at least, which are copied; those that are there
 * keep what they have.  Returns 0; or -1, with the reason in words in error, and nothing has
 * changed. */
int tls_contexts_certify(struct tls_contexts *contexts, const struct conf_tls *tls,
                         struct buf *error);
/* Likewise the keys of tickets; before the first there are no tickets. */
void tls_contexts_tickets(struct tls_contexts *contexts, const struct tickets *tickets);

/* The server's side of a new connection, which is to be given a BIO.  NULL without memory. */
SSL *tls_contexts_accept(struct tls_contexts *contexts);

#endif
