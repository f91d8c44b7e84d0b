/* worst - addresses from which most trouble comes: strangers, refused tokens, and attempts
 * beyond limits:connectionsPerAddress.  Each worker tells of its own (MSG_SOURCES). */
#ifndef IPC_WORST_H
#define IPC_WORST_H

#include "base/buf.h"
#include "ipc/msg.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define WORST_MAX      32 /* that a worker tells of */
#define WORST_ID_MAX   8
#define WORST_TEXT_MAX (INET6_ADDRSTRLEN + 4)

enum worst_value {
    WORST_CONNS,
    WORST_SESSIONS,
    WORST_STRANGERS, /* of these */
    WORST_HANDSHAKES,
    WORST_TLS, /* handshakes of TLS begun */
    WORST_REFUSED,
    WORST_TURNED_AWAY,
    WORST_VALUES
};

struct worst {
    uint8_t id[WORST_ID_MAX]; /* an IPv4 address, or the first half of one of IPv6 */
    uint8_t len;              /* 4 or 8 bytes */
    uint32_t n[WORST_VALUES];
};

/* "192.0.2.7" or "2001:db8::/64".  Returns dst. */
const char *worst_text(const struct worst *worst, char dst[WORST_TEXT_MAX]);
/* Adds up those of one address, in any order.  Returns how many are left. */
size_t worst_merge(struct worst *list, size_t n);
/* The worst first: by strangers, refused tokens and attempts together. */
void worst_sort(struct worst *list, size_t n);

/* Appends a whole MSG_SOURCES.  Returns 0, or -1 without memory (out is as it was). */
int worst_put(struct buf *out, uint32_t id, const struct worst *list, size_t n);
/* Reads one.  Returns 0, or -1 if it is malformed. */
int worst_get(struct msg *msg, uint32_t *id, struct worst list[WORST_MAX], size_t *n);

#endif
