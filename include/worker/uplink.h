/* uplink - what the worker says to the master: each message of ipc/msg.h that goes up.
 *
 * A message that cannot be queued ends it: nothing more is sent or read, and whoever owns
 * the link hears of it on the loop's next turn, so that who sends is never left in the
 * middle of the worker's end. */
#ifndef WORKER_UPLINK_H
#define WORKER_UPLINK_H

#include "base/slice.h"
#include "codec/sio.h"
#include "ipc/start.h"

#include <stdint.h>

/* Beside it there are lengths. */
#define UPLINK_ACK_BYTES (START_UP_MAX - 64 - 4UL * SIO_ATTACHMENTS_MAX)

struct counters;
struct event_base;
struct link;
struct msg_admit;
struct slices;
struct uplink;
struct worst;

/* link is borrowed.  failed(arg) is called once, from the loop, after a message could
 * not be sent, which is logged.  NULL without memory. */
struct uplink *uplink_new(struct event_base *base, struct link *link, void (*failed)(void *arg),
                          void *arg);
void uplink_free(struct uplink **uplink);

/* Nothing more is sent; what is still said is dropped in silence. */
void uplink_shut(struct uplink *uplink);
int uplink_is_shut(const struct uplink *uplink);

/* They leave at the end of this turn of the loop, in this order. */
void uplink_hello(struct uplink *uplink);
void uplink_ready(struct uplink *uplink);
void uplink_admit(struct uplink *uplink, const struct msg_admit *admit);
/* ended: its session is over; else it may come back for it. */
void uplink_left(struct uplink *uplink, uint64_t client, struct slice uid, int ended);
/* client, which is in, has joined and left rooms, for its token (is_claim) or by request; in as
 * many messages as it takes.  id: not 0: MSG_NOTED comes when the master has taken all of it. */
void uplink_rooms(struct uplink *uplink, uint32_t id, uint64_t client, int is_claim,
                  const struct slices *joined, const struct slices *left);
/* id: of the request that has been carried out; clients: how many were meant. */
void uplink_acted(struct uplink *uplink, uint32_t id, uint32_t clients);
/* Each answers the MSG_EMIT of that id: it went to so many; and one of them has acknowledged it,
 * json with its n attachments, all together at most UPLINK_ACK_BYTES.  Returns 0; or -1 if that
 * cannot wait: there is too much of it already, or no memory.  It is no harm to anything
 * else. */
void uplink_reached(struct uplink *uplink, uint32_t id, uint32_t clients);
int uplink_ack(struct uplink *uplink, uint32_t id, struct slice json,
               const struct slice *attachments, size_t n);
/* id: of MSG_FETCH; last: it is over; records: n of them, which without memory are left out. */
void uplink_fetched(struct uplink *uplink, uint32_t id, int last, uint32_t n, struct slice records);
/* id: of the MSG_COUNT that it answers; 0: it was not asked for. */
void uplink_counters(struct uplink *uplink, uint32_t id, const struct counters *counters);
/* The worst addresses, before these; n: at most WORST_MAX. */
void uplink_sources(struct uplink *uplink, uint32_t id, const struct worst *list, size_t n);

/* 1 while so much waits for the pipe that whoever has a lot to say says it later. */
int uplink_is_behind(const struct uplink *uplink);

/* Writes now what the pipe takes. */
void uplink_flush(struct uplink *uplink);

#endif
