/* tls - TLS on connections of clients, by OpenSSL: between the socket and who speaks, who
 * notices nothing of it.
 *
 * What a connection needs of its own is small: what comes is read into net's one buffer and
 * deciphered into another, what waits is gathered into one record of up to 16 KB and sent at
 * once, and only what is left - half a record that came, half a record that the kernel did
 * not take - is kept.  Records: RFC 8446, 5.1 and 5.2; RFC 5246, 6.2. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/buf.h"
#include "ipc/tickets.h"

#include <stdint.h>

struct conf_tls;
struct conn;
struct net;

/* With these certificates, from the next handshake on.  Returns 0; or -1, with the reason in
 * words in error, and all is as it was. */
int net_certify(struct net *net, const struct conf_tls *tls, struct buf *error);
/* With these keys for tickets.  Returns 0, or -1 without memory. */
int net_tickets(struct net *net, const struct tickets *tickets);
/* All connections have gone. */
void net_tls_clear(struct net *net);

/* TLS comes first on conn, which has no veil, and has in_ms for its handshake.  Returns 0, or
 * -1 without memory or without a certificate. */
int tls_begin(struct conn *conn, uint32_t in_ms);

#endif
