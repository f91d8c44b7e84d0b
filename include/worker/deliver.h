/* deliver - one broadcast to those of this worker's clients that it is for. */
#ifndef WORKER_DELIVER_H
#define WORKER_DELIVER_H

#include "ipc/msg.h"

struct engine;
struct rooms;

/* Queues it for each of them.  Returns 0, or -1 without memory: then some of them, or
 * all, do not get it. */
int deliver_broadcast(struct engine *engine, const struct rooms *rooms,
                      const struct msg_broadcast *bc);

#endif
