/* tickets - the keys of TLS session tickets: made by the master, the same in every worker of
 * all generations, so that a client may resume on any of them.  They are in no file.  What a
 * ticket is made of is RFC 5077, 4. */
#ifndef IPC_TICKETS_H
#define IPC_TICKETS_H

#include "base/buf.h"
#include "ipc/msg.h"

#include <stdint.h>

#define TICKETS_MAX  4
#define TICKET_BYTES 16 /* of a name */
#define TICKET_KEY   32 /* of each of its two keys */

struct ticket_key {
    uint8_t name[TICKET_BYTES]; /* chance; what a ticket begins with */
    uint8_t aes[TICKET_KEY];    /* AES-256-CBC */
    uint8_t hmac[TICKET_KEY];   /* SHA-256 */
};

/* The first makes new tickets; all of them open old ones, and who comes with one of another
 * key than the first gets a new ticket.  One of them is that which is to be the first next:
 * so a worker that hears of the change late opens what another makes already. */
struct tickets {
    uint32_t n; /* 0: none are made */
    struct ticket_key at[TICKETS_MAX];
};

/* Appends a MSG_TICKETS.  Returns 0, or -1 without memory (out is as it was).  out is secret
 * from then on. */
int tickets_put(struct buf *out, const struct tickets *tickets);

/* Takes one apart.  Returns 0, or -1 if it is malformed: one key at least, no more than there
 * is room for. */
int tickets_get(struct msg *msg, struct tickets *tickets);

#endif
