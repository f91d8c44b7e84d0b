/* balance - how many clients each worker has, in memory that all of them see, and
 * who takes the next connection: workers accept from the same sockets, and the
 * kernel alone gives nearly everything to one of them.
 *
 * Nobody locks or waits: each worker writes its own line and reads the others',
 * which may be a moment old.  What a line says is believed only for this: wrong
 * counts make the spread uneven, nothing else.
 *
 * A worker accepts while it has at most a few more clients than the mean of
 * those that accept.  So somebody always may, and a worker that has fewer (it was
 * replaced) fills up first.
 *
 * A worker is named by its place in its generation, from 0: start_number() - 1. */
#ifndef IPC_BALANCE_H
#define IPC_BALANCE_H

#include <stdint.h>

struct balance;

/* For so many workers, none of which accepts.  To be called before they are
 * forked: they share it.  NULL without memory. */
struct balance *balance_new(unsigned workers);
/* Unmaps it in this process. */
void balance_free(struct balance **balance);

/* Whether the worker accepts: only then does it count.  The master says
 * 0 for a worker that has died. */
void balance_accepts(struct balance *balance, unsigned worker, int on);

/* The worker has so many clients. */
void balance_set(struct balance *balance, unsigned worker, uint32_t clients);

/* The worker has accepted so many connections more. */
void balance_accepted(struct balance *balance, unsigned worker, uint32_t n);

/* How many connections the worker may take now, at most max; 0: none, others have fewer
 * clients. */
unsigned balance_room(const struct balance *balance, unsigned worker, unsigned max);

/* Connections that all others have ever accepted; it wraps.  While it grows the others
 * accept, and this worker may leave connections to them. */
uint32_t balance_others(const struct balance *balance, unsigned worker);

/* 1: the worker does not watch the listening sockets for a moment, though it counts
 * among those that accept; 0: it watches them again. */
void balance_rests(struct balance *balance, unsigned worker, int on);

/* How many others accept and watch the listening sockets. */
unsigned balance_awake(const struct balance *balance, unsigned worker);

#endif
