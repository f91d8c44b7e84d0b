/* peers - the other workers: connections that are handed to them, and taken from them,
 * over the lanes of ipc/handoff.h. */
#ifndef WORKER_PEERS_H
#define WORKER_PEERS_H

#include <stddef.h>
#include <stdint.h>

struct engine;
struct event_base;
struct handoff_conn;
struct peers;
struct worker_start;
struct worker_stats;

/* Takes what they hand over, from the loop's first turn on, into engine.  All is
 * borrowed; counts stats->handoffs_lost.  NULL without memory. */
struct peers *peers_new(struct event_base *base, const struct worker_start *start,
                        struct engine *engine, struct worker_stats *stats);
void peers_free(struct peers **peers);

/* The lanes of the workers that take new clients in this one's place: n of them, from
 * first on; n 0: there are none.  Lanes are below START_LANES. */
void peers_set_successors(struct peers *peers, uint32_t first, uint32_t n);
int peers_have_successors(const struct peers *peers);

/* http_options.handoff: hands the connection to the worker in that lane, or to one of the
 * successors. */
int peers_handoff(struct peers *peers, uint32_t lane, int fd, const struct handoff_conn *conn,
                  const void *bytes, size_t len);

#endif
