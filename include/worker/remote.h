/* remote - a client as other servers of the cluster get it from fetchSockets(): text of a JSON
 * object, in three parts.
 *
 * Of its handshake there is what is known: when it was let in, the address, protocol and transport
 * that it came with.  Headers and tokens are not kept, and told to nobody. */
#ifndef WORKER_REMOTE_H
#define WORKER_REMOTE_H

#include "base/buf.h"

#include <stdint.h>

struct client;
struct conf;

/* Of rooms that take more than so many bytes the last ones are left out. */
#define REMOTE_ROOMS_BYTES (1024UL * 1024)

struct remote_now { /* both of the same moment */
    uint64_t ms;    /* clock_ms() */
    int64_t wall_ms;
};

/* Each appends to out; without memory out->failed is set.  client is in. */
void remote_head(struct buf *out, const struct client *client); /* up to the handshake */
void remote_handshake(struct buf *out, const struct client *client, const struct conf *conf,
                      const struct remote_now *now);
void remote_tail(struct buf *out, const struct client *client); /* the rest */

#endif
