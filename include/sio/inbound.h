/* inbound - packets whose attachments are still to come, of all clients.
 *
 * A client may take its time with them, and so may many at once: what they hold together is
 * bounded.  Where that is reached, the packet that has waited longest is given up; the rest
 * of it is its owner's to read and drop. */
#ifndef SIO_INBOUND_H
#define SIO_INBOUND_H

#include "base/slice.h"
#include "codec/sio.h"

#include <stddef.h>
#include <stdint.h>

#define INBOUND_MAX_BYTES ((size_t)32 << 20) /* of all packets but the one that has grown last */
#define INBOUND_PARTS     (1 + SIO_ATTACHMENTS_MAX) /* its text, and the attachments */

struct inbound; /* one packet */

struct inbounds {
    struct inbound *first, **last; /* the oldest; where the next one goes */
    size_t bytes;                  /* memory that they hold */
    uint64_t *given_up;            /* how many have been */
};

/* given_up is borrowed. */
void inbounds_init(struct inbounds *all, uint64_t *given_up);

/* A packet, of which nothing is there yet.  *owner is NULL until then, is set to it, and to
 * NULL when it is given up.  Returns 0, or -1 without memory. */
int inbound_begin(struct inbounds *all, struct inbound **owner);

/* One more part (copied), at most INBOUND_PARTS.  Others may be given up for it.  Returns 0, or
 * -1 without memory (nothing changed). */
int inbound_put(struct inbound *inbound, struct slice part);

/* Bytes of its parts. */
size_t inbound_bytes(const struct inbound *inbound);

/* It is its owner's alone from now on, who frees it; *owner is NULL. */
struct inbound *inbound_take(struct inbound **owner);

/* Its parts, which borrow from it; those that are not there are empty. */
void inbound_parts(const struct inbound *inbound, struct slice parts[INBOUND_PARTS]);

void inbound_free(struct inbound **inbound);

#endif
