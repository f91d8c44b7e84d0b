/* deliver - one broadcast to those of this worker's clients that it is for. */
#ifndef WORKER_DELIVER_H
#define WORKER_DELIVER_H

#include "ipc/msg.h"

struct acks;
struct engine;
struct rooms;

/* Queues it for each of them.  Returns 0, or -1 without memory: then some of them, or
 * all, do not get it. */
int deliver_broadcast(struct engine *engine, const struct rooms *rooms,
                      const struct msg_broadcast *bc);

/* The same with MSG_EMIT's: each is to acknowledge it, and who is asked is noted in acks, which
 * tells the master. */
int deliver_emit(struct engine *engine, const struct rooms *rooms, const struct msg_broadcast *bc,
                 struct acks *acks, uint32_t request, uint32_t timeout_ms);

#endif
