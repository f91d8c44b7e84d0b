/* forwarded - whose request it is that proxies have passed on: what X-Forwarded-For, or
 * Forwarded (RFC 7239), and X-Forwarded-Proto say of it. */
#ifndef CODEC_FORWARDED_H
#define CODEC_FORWARDED_H

#include "base/address.h"
#include "base/network.h"
#include "codec/http.h"

/* Addresses that are looked at in one request; no chain of proxies is longer. */
#define FORWARDED_HOPS_MAX 32

enum forwarded_header {
    FORWARDED_EITHER, /* X-Forwarded-For where the request has one, else Forwarded */
    FORWARDED_X_FOR,
    FORWARDED_STANDARD,
};

struct forwarded {
    /* The client: the first address from the right that is none of proxies, or the last one
     * before something that is no address (junk, "unknown", a name that hides one).  Its port
     * is 0 where it is not told. */
    struct address client;
    uint8_t named;   /* addresses that were walked over; 0: none, and client is who connected */
    int8_t is_https; /* what that client spoke: 1 HTTPS, 0 HTTP, -1: not told */
};

/* Who is believed is proxies, and who connected, peer, is one of them.  Each proxy adds at the
 * right: what is left of the first address that is no proxy's may be made up.  Linear. */
void forwarded_read(struct forwarded *forwarded, const struct http_request *req,
                    enum forwarded_header header, const struct networks *proxies,
                    const struct address *peer);

#endif
