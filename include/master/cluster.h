/* cluster - what other servers and emitters ask of this one: decoded, carried out by the
 * workers that it concerns, and answered.
 *
 * A request comes twice here: cluster_arrived() for each copy, over whichever connection, and
 * cluster_request() once, in its place among the messages.  Queries are answered from the
 * first, for nothing has to be in order there but what a worker hears; what is done to clients
 * is done in the second, in the same queues as the messages.  Only copies that are counted,
 * so that whoever asks waits for them, are answered. */
#ifndef MASTER_CLUSTER_H
#define MASTER_CLUSTER_H

#include "base/slice.h"
#include "codec/request.h"
#include "conf.h"
#include "ipc/msg.h"
#include "master/responder.h"

#include <stdint.h>

struct cluster;
struct gone;
struct relay;

#define CLUSTER_UID_LEN 16

struct cluster_stats {
    uint64_t requests[REQUEST_TYPES];   /* that were good, by kind */
    uint64_t dropped[REQUEST_RESULTS];  /* that were not, by reason */
    uint64_t results[RESPONSE_RESULTS]; /* of what had to be answered */
    uint64_t acks, acks_lost;           /* of clients: passed on, and not */
};

/* Everything is borrowed.  NULL without memory. */
struct cluster *cluster_new(const struct conf *conf, struct relay *relay,
                            const struct responder_ops *ops, void *arg);
void cluster_free(struct cluster **cluster);

/* conf (borrowed) is in force from now on; its namespace and key are the same. */
void cluster_configure(struct cluster *cluster, const struct conf *conf);

/* Joins, leaves and disconnects act on those who have gone, too (borrowed).  NULL, as at first:
 * there are none. */
void cluster_gone(struct cluster *cluster, struct gone *gone);

/* As of feed_ops. */
void cluster_arrived(struct cluster *cluster, struct slice payload, int is_counted, uint32_t via);
void cluster_request(struct cluster *cluster, struct slice payload, uint32_t via);

/* MSG_ACTED, MSG_FETCHED, MSG_REACHED and MSG_ACK of the worker in that lane.  Return 0, or
 * -1 if it is malformed, or 1 without memory. */
int cluster_acted(struct cluster *cluster, unsigned lane, struct msg *msg);
int cluster_fetched(struct cluster *cluster, unsigned lane, struct msg *msg);
int cluster_reached(struct cluster *cluster, unsigned lane, struct msg *msg);
int cluster_ack(struct cluster *cluster, unsigned lane, struct msg *msg);

/* That worker has gone, after relay_worker_down(). */
void cluster_worker_down(struct cluster *cluster, unsigned lane);

/* What responder_ops.wake asked for. */
void cluster_wake(struct cluster *cluster);

/* The uid that requests of our own have, by which they are known: random, and kept. */
struct slice cluster_uid(const struct cluster *cluster);

void cluster_stats(const struct cluster *cluster, struct cluster_stats *stats);

#endif
