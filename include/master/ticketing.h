/* ticketing - makes the keys of TLS session tickets, and changes them from time to time.
 *
 * A key makes tickets for eight hours and opens them for sixteen more; the next one is known
 * to all workers eight hours before it is used.  They live as long as the master does, over
 * all reloads, and are written nowhere. */
#ifndef MASTER_TICKETING_H
#define MASTER_TICKETING_H

#include "ipc/tickets.h"

struct event_base;
struct ticketing;

/* They are others now. */
typedef void ticketing_fn(const struct tickets *tickets, void *arg);

/* NULL without memory, or without chance. */
struct ticketing *ticketing_new(struct event_base *base, ticketing_fn *fn, void *arg);
void ticketing_free(struct ticketing **ticketing);

/* Those of this moment, for a worker to be born with, which overwrites its copy; where they
 * lie they stay, and change. */
struct tickets *ticketing_keys(struct ticketing *ticketing);

/* The time of the first has come: fn is called.  For tests, and for the timer. */
void ticketing_turn(struct ticketing *ticketing);

/* In a child that serves nobody: overwrites them. */
void ticketing_wipe(struct ticketing *ticketing);

#endif
