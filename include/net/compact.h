/* compact - memory by what waits: clients that do not read keep whole blocks for the few
 * bytes of theirs in them.  When there are too many such blocks, the queues of those
 * clients are gone through, and get copies of their own. */
#ifndef NET_COMPACT_H
#define NET_COMPACT_H

#include "net/chunk.h"

#include <stddef.h>
#include <stdint.h>

/* Queues of clients that may not read, and how far they have been gone through. */
struct compact {
    struct chunks *chunks;
    struct outq **queues;
    uint32_t n, cap;
    uint32_t next, run; /* the queue, and the run in it, to go on with */
    size_t cost;        /* of this pass */
    size_t slack;       /* in thin blocks, before there is another */
    int running;        /* a pass */
};

/* chunks: of which the queues hold blocks.  It is borrowed, and its thin_max is set. */
void compact_init(struct compact *compact, struct chunks *chunks);
void compact_clear(struct compact *compact);

/* The queue, which has output or is about to, may keep it for long.  Without memory it
 * keeps its blocks. */
void compact_watch(struct compact *compact, struct outq *queue);
/* The queue goes. */
void compact_forget(struct compact *compact, struct outq *queue);

/* If it is time, or not all was looked at: has queues that are watched do without
 * blocks that are thin, for a moment.  Returns 1 if it has to go on. */
int compact_slice(struct compact *compact);

#endif
