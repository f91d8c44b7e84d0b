/* claim - what a client says of the session that it wants back.
 *
 * Stock clients put it into the auth object of their CONNECT: the pid of the last reply, and the
 * last argument of the last event, if that is a string.  Nothing of it is to be believed: whether
 * the pid is one of ours, and this client's, only the master can tell. */
#ifndef SIO_CLAIM_H
#define SIO_CLAIM_H

#include "base/slice.h"
#include "codec/offset.h"
#include "codec/pid.h"
#include "codec/sio.h"

#include <stdint.h>

struct sio_claim {
    int wants; /* 0: it has said that it does not recover ("recovery": false) */
    int has_pid;
    int bad_pid; /* there is one that cannot be a pid; has_pid is 0 */
    uint8_t pid[PID_LEN];
    int has_offset;
    int bad_offset; /* likewise */
    uint64_t offset;
};

/* Of the auth object of a CONNECT that sio_decode() has read; there may be none.  Of a member
 * that is there twice the last counts, as for JSON.parse(), and null is as good as none, as some
 * clients say it.  It takes the time of one look at the packet, and no memory. */
void sio_claim_get(const struct sio_packet *packet, struct sio_claim *out);

/* 1, unless the query of its handshake says "recovery=0" or "recovery=false". */
int sio_claim_query(struct slice query);

#endif
