/* orders - joins, leaves and disconnects by request that workers have been sent and have not
 * said to be done: what of them a worker that dies, or a client that leaves, has not heard has to
 * be done elsewhere.  In the order of the stream.
 *
 * Bounded: of those past ORDERS_MAX, or of more than ORDERS_BYTES_MAX in all, it is only known
 * that there were some (orders_are_lost). */
#ifndef MASTER_ORDERS_H
#define MASTER_ORDERS_H

#include "base/table.h"
#include "ipc/start.h"
#include "master/apply.h"
#include "master/laneset.h"

#include <stddef.h>
#include <stdint.h>

#define ORDERS_MAX       1024
#define ORDERS_BYTES_MAX (8UL * 1024 * 1024)

struct route_targets;

struct order {
    struct table_node node; /* first; its key is request.id */
    struct order *prev, *next;
    struct gone_request request; /* what it refers to is its own */
    struct laneset waiting;
    size_t bytes;
    struct slices lists[3];
};

struct orders {
    struct table table;
    struct order *first, *last;
    size_t bytes;
    uint32_t waiting[START_LANES]; /* of each worker */
    uint32_t lost[START_LANES];    /* the id of the last that is not known; 0: there is none */
};

void orders_init(struct orders *orders);
void orders_clear(struct orders *orders);

/* It (copied) is about to be sent to targets. */
void orders_put(struct orders *orders, const struct gone_request *request,
                const struct route_targets *targets);

/* MSG_ACTED has come for it from that lane; any other id or lane means nothing. */
void orders_acted(struct orders *orders, uint32_t id, unsigned lane);

/* That worker will act on none. */
void orders_drop_lane(struct orders *orders, unsigned lane);

/* 1 if there is something that this worker has not done. */
int orders_are_open(const struct orders *orders, unsigned lane);

/* 1 if of that not all is known. */
int orders_are_lost(const struct orders *orders, unsigned lane);

/* What it has not done, one after the other, behind order, or from the first on (NULL).  NULL at
 * the end. */
const struct order *orders_next(const struct orders *orders, const struct order *order,
                                unsigned lane);

#endif
