/* network - ranges of addresses: 192.0.2.0/24, 2001:db8::/32, or one address alone. */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include "base/buf.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

struct address;

struct network {
    uint8_t ip[16]; /* as in struct address; all bits behind the first ones are 0 */
    uint8_t bits;   /* how many of ip's count: 0 to 128, of IPv4 96 more than written */
};

struct networks {
    struct network *at;
    size_t n;
    int unix_too; /* who connects over a Unix socket is among them */
};

enum network_fault {
    NETWORK_GOOD,
    NETWORK_NO_ADDRESS, /* before the '/', or at all */
    NETWORK_NO_PREFIX,  /* behind the '/': no number, or one that is too large */
    NETWORK_HOST_BITS,  /* bits behind the prefix are set: an address, or a slip */
};

/* "192.0.2.0/24", "2001:db8::/32", "192.0.2.1" or "::1"; what is mapped into IPv6 is IPv4.
 * *network is set only where the result is NETWORK_GOOD. */
enum network_fault network_parse(struct network *network, struct slice text);

int network_equal(const struct network *a, const struct network *b);

/* Appends NETWORK_BYTES to out; and takes so many.  Returns 0, or -1 if they are none. */
#define NETWORK_BYTES 17
void network_encode(const struct network *network, struct buf *out);
int network_decode(struct network *network, const uint8_t *bytes);

/* 1 if it is all of IPv4, or of IPv6. */
int network_is_all(const struct network *network);

/* 1 if address is of one of them.  IPv4 is in no network of IPv6, not even in ::/0, and who
 * has no address in none; unix_too decides on those. */
int networks_have(const struct networks *networks, const struct address *address);

#endif
