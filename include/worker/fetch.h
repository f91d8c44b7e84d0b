/* fetch - what the master asks about clients: their ids, their rooms, all that other servers of
 * the cluster are told of them.
 *
 * Who is meant is settled at once; the answer is made in slices of about a millisecond, and only
 * while little waits for the pipe to the master, so that broadcasts, heartbeats and new clients
 * go on whatever is asked.  A short one is made at once.  One that has gone before its turn is
 * left out.  Several are served in the order in which they came. */
#ifndef WORKER_FETCH_H
#define WORKER_FETCH_H

#include "worker/select.h"

#include <stdint.h>

struct conf;
struct event_base;
struct fetches;
struct uplink;
struct worker_stats;

#define FETCHES_MAX 64 /* at once; of more each is answered with nobody */

struct fetch_request { /* as in ipc/msg.h; borrowed while fetch_begin() runs */
    uint32_t id;
    unsigned what;  /* enum msg_what */
    struct who who; /* MSG_WHAT_ROOMS does not look at it */
};

/* What one stands on; all is borrowed, conf read each time. */
struct fetch_parts {
    struct event_base *base;
    const struct conf *conf;
    struct engine *engine;
    const struct rooms *rooms;
    struct uplink *uplink;
    struct worker_stats *stats;
};

/* NULL without memory. */
struct fetches *fetches_new(const struct fetch_parts *parts);
void fetches_free(struct fetches **fetches);

/* Answers it with MSG_FETCHED, now or later; without memory for who is meant with nobody. */
void fetch_begin(struct fetches *fetches, const struct fetch_request *request);

#endif
