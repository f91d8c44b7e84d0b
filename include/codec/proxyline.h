/* proxyline - the header that a proxy puts in front of a connection's bytes to tell whose they
 * are: the PROXY protocol (haproxy, doc/proxy-protocol.txt), version 1, a line of text, and
 * version 2, binary. */
#ifndef CODEC_PROXYLINE_H
#define CODEC_PROXYLINE_H

#include "base/address.h"

#include <stddef.h>
#include <stdint.h>

#define PROXYLINE_V1_MAX 107  /* bytes of version 1, its line end included */
#define PROXYLINE_MAX    4096 /* bytes of version 2 that are taken, what is skipped included */

struct proxyline {
    uint8_t version; /* 1 or 2 */
    /* 1: it tells of no client; whose the connection is is what the kernel says: LOCAL, as
     * of the proxy's own probes, and UNKNOWN. */
    uint8_t local;
    uint8_t secure;      /* 1: TLS is spoken between the client and the proxy (version 2) */
    struct address from; /* the client; none: it came to the proxy over a Unix socket */
};

enum proxyline_fault {
    PROXYLINE_ABSENT = 1, /* what came is no such header */
    PROXYLINE_MALFORMED,
    PROXYLINE_TOO_LONG,
};

/* Takes one off the front of bytes.  Returns its length; 0 if there are too few of them, and
 * those that are there may begin one; or minus the fault, as soon as it can be seen.  *line is
 * valid only after a positive return. */
long proxyline_decode(struct proxyline *line, const uint8_t *bytes, size_t len);

#endif
