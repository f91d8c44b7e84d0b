/* census - how many connections and sessions each address has in every worker, in memory that
 * all of them see: limits:connectionsPerAddress is one limit for all.
 *
 * Each worker writes a table of its own and reads the others', which may be a moment old; nobody
 * locks or waits.  An address is a tag in them, 64 bits of a keyed hash, so that nobody can choose
 * two with the same one.  A table has levels, each twice as large as the one before; an address is
 * in the first that has room for it, and levels that are not needed take no memory.
 *
 * A worker is named as in ipc/balance.h, by its place in its generation.  While a generation
 * leaves, the workers of the next see its tables too; what it takes itself in that time it passes
 * on.  What the tables say is believed for this alone: wrong counts refuse somebody, or let him
 * in, and nothing else. */
#ifndef IPC_CENSUS_H
#define IPC_CENSUS_H

#include <stddef.h>
#include <stdint.h>

struct census;

struct census_count {
    uint64_t conns, sessions;
};

#define CENSUS_NONE UINT32_MAX /* a slot that is none */

/* For so many workers with at most so many addresses each (more are not seen by others), to be
 * called before they are forked; nobody is in it.  before: that of the generation that they
 * replace, borrowed until it is freed and census_alone() says so, or NULL.  NULL without
 * memory. */
struct census *census_new(unsigned workers, size_t addresses, const struct census *before);
/* Unmaps it in this process. */
void census_free(struct census **census);
/* The generation before has left. */
void census_alone(struct census *census);

/* What an address of those bytes is called in it. */
uint64_t census_tag(const struct census *census, const void *id, size_t len);

/* The worker has that many of the address; *slot is where it says so, CENSUS_NONE at first, and
 * again where it has none.  Without room nobody else sees it. */
void census_set(struct census *census, unsigned worker, uint64_t tag, uint32_t *slot,
                uint32_t conns, uint32_t sessions);

/* What all others have of it. */
struct census_count census_others(const struct census *census, unsigned worker, uint64_t tag);

/* The worker has nobody: it has died, as the master says, or does not tell any more. */
void census_clear(struct census *census, unsigned worker);

#endif
