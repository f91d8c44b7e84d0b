/* tally - what all workers have counted: the last that each has told, what those
 * that have gone had told before, and rounds of asking all of them.
 *
 * A total never goes back: what a worker told stays when it goes.  What it counted
 * after that and never told is lost. */
#ifndef MASTER_TALLY_H
#define MASTER_TALLY_H

#include "ipc/counters.h"

#include <stdint.h>

#define TALLY_MS 500 /* a round waits so long for answers */

struct event_base;
struct tally;

struct tally_ops {
    /* Sends MSG_COUNT with that id to the worker; may call tally_gone. */
    void (*ask)(unsigned lane, uint32_t id, void *arg);
};

/* Somebody who waits for the end of a round.  done is called from the loop. */
struct tally_wait {
    struct tally_wait *next;
    void (*done)(void *arg);
    void *arg;
};

/* ops is borrowed.  NULL without memory. */
struct tally *tally_new(struct event_base *base, const struct tally_ops *ops, void *arg);
/* Nobody waits any more. */
void tally_free(struct tally **tally);

/* The worker in that lane (ipc/start.h) serves clients from now on, and can be asked. */
void tally_up(struct tally *tally, unsigned lane);

/* What it has counted up to now, as it says; id is that of the question or 0. */
void tally_told(struct tally *tally, unsigned lane, uint32_t id, const struct counters *counters);

/* It has gone, or is heard no more: it counts as having answered. */
void tally_gone(struct tally *tally, unsigned lane);

/* Asks all that are up, unless a round is on already, and has wait->done called once
 * they have answered, or after TALLY_MS.  *wait is borrowed until then. */
void tally_ask(struct tally *tally, struct tally_wait *wait);
void tally_cancel(struct tally *tally, struct tally_wait *wait);

/* The highest number, as in the log, of a worker that was ever up. */
unsigned tally_workers(const struct tally *tally);

/* All that the workers of that number have counted: one after another, and those of
 * two generations. */
void tally_worker(const struct tally *tally, unsigned number, struct counters *dst);

/* The same of all. */
void tally_sum(const struct tally *tally, struct counters *dst);

#endif
