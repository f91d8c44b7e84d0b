/* stats - what all workers have counted: the last that each has told, what those
 * that have gone had told before, and rounds of asking all of them.
 *
 * A total never goes back: what a worker told stays when it goes.  What it counted
 * after that and never told is lost. */
#ifndef MASTER_STATS_H
#define MASTER_STATS_H

#include "ipc/counters.h"
#include "ipc/worst.h"

#include <stdint.h>

#define STATS_MS 500 /* a round waits so long for answers */

struct event_base;
struct stats;

struct stats_ops {
    /* Sends MSG_COUNT with that id to the worker; may call stats_gone. */
    void (*ask)(unsigned lane, uint32_t id, void *arg);
};

/* Somebody who waits for the end of a round.  done is called from the loop. */
struct stats_wait {
    struct stats_wait *next;
    void (*done)(void *arg);
    void *arg;
};

/* ops is borrowed.  NULL without memory. */
struct stats *stats_new(struct event_base *base, const struct stats_ops *ops, void *arg);
/* Nobody waits any more. */
void stats_free(struct stats **stats);

/* The worker in that lane (ipc/start.h) serves clients from now on, and can be asked. */
void stats_up(struct stats *stats, unsigned lane);

/* What it has counted up to now, as it says; id is that of the question or 0. */
void stats_told(struct stats *stats, unsigned lane, uint32_t id, const struct counters *counters);

/* Its worst addresses, which come before the counters that were asked for. */
void stats_worst_told(struct stats *stats, unsigned lane, const struct worst *list, size_t n);

/* It has gone, or is heard no more: it counts as having answered. */
void stats_gone(struct stats *stats, unsigned lane);

/* Asks all that are up, unless a round is on already, and has wait->done called once
 * they have answered, or after STATS_MS.  *wait is borrowed until then. */
void stats_ask(struct stats *stats, struct stats_wait *wait);
void stats_cancel(struct stats *stats, struct stats_wait *wait);

/* The highest number, as in the log, of a worker that was ever up. */
unsigned stats_workers(const struct stats *stats);

/* All that the workers of that number have counted: one after another, and those of
 * two generations. */
void stats_worker(const struct stats *stats, unsigned number, struct counters *dst);

/* The same of all. */
void stats_sum(const struct stats *stats, struct counters *dst);

/* The worst addresses of all that are up, at most max, the worst first.  Returns how many; 0
 * also without memory. */
size_t stats_worst(const struct stats *stats, struct worst *dst, size_t max);

#endif
