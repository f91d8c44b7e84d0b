/* address - where a connection comes from, in 18 bytes and as text. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include "base/slice.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

struct address {
    uint8_t ip[16]; /* IPv6, or mapped IPv4; all zero: none, as of a Unix socket */
    uint16_t port;
};

#define ADDRESS_TEXT_MAX (INET6_ADDRSTRLEN + 8) /* [...]:65535 */

/* None where peer is of another family. */
void address_set(struct address *address, const struct sockaddr *peer);

/* That of a connected socket; none for Unix sockets.  Returns 0, or -1, and none, where the peer
 * has reset it. */
int address_of_peer(struct address *address, int fd);

/* An address without a port: IPv4, or IPv6 without brackets and zone.  Returns 0, or -1. */
int address_parse_ip(struct address *address, struct slice text);

/* 1 if there is none. */
int address_is_none(const struct address *address);
/* 1 if it is IPv4. */
int address_is_v4(const struct address *address);

/* "192.0.2.7:51234", "[2001:db8::1]:51234" or "unix"; where the port is not known (0),
 * without it and the brackets.  Returns dst. */
const char *address_text(const struct address *address, char dst[ADDRESS_TEXT_MAX]);

/* The same without the port: "192.0.2.7", "2001:db8::1" or "unix". */
const char *address_ip_text(const struct address *address, char dst[ADDRESS_TEXT_MAX]);

#endif
