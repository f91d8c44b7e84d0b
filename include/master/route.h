/* route - which workers hold a room: where a broadcast has to go.
 *
 * Kept from the admissions of the workers; no sockets, no messages.  A room is
 * mostly one user, and most users are on one worker: the cost of a message to
 * one user does not depend on how many workers or users there are. */
#ifndef MASTER_ROUTE_H
#define MASTER_ROUTE_H

#include "base/slice.h"
#include "codec/broadcast.h"
#include "ipc/start.h"

#include <stddef.h>
#include <stdint.h>

#define ROUTE_EVERYBODY "allusers" /* the room that each client is in, not kept in the table */

struct route;

struct route_targets {
    size_t n;
    uint16_t lanes[START_LANES]; /* each once, in no order */
};

/* nsp is borrowed: EIO3 clients have ids that start with it.  NULL without memory. */
struct route *route_new(const char *nsp);
void route_free(struct route **route);

/* The same namespace, borrowed from another place. */
void route_nsp(struct route *route, const char *nsp);

/* One more client in room (copied) on the worker in lane, which is up; client is that
 * worker's name for it.  Returns 0, or -1 without memory (nothing changed). */
int route_join(struct route *route, struct slice room, unsigned lane, uint64_t client);

/* One less.  Returns 0, or -1 if that worker has no such client in the room. */
int route_leave(struct route *route, struct slice room, unsigned lane, uint64_t client);

/* Clients in room on all workers, without those that are told to leave. */
size_t route_clients(const struct route *route, struct slice room);

/* Of those, the one that joined first.  Returns 0, or -1 if there is none. */
int route_oldest(const struct route *route, struct slice room, unsigned *lane, uint64_t *client);

/* That one is told to leave: it is in the room until route_leave, but counts no
 * more.  Returns 0, or -1 if there is none or no memory (nothing changed). */
int route_oust(struct route *route, struct slice room);

/* How many rooms are in the table. */
size_t route_rooms(const struct route *route);

/* The worker in that lane serves clients from now on: what goes to everybody goes to it too. */
void route_up(struct route *route, unsigned lane);

/* It has gone: everything it held or was expected to hold is forgotten. */
void route_down(struct route *route, unsigned lane);

/* --- further rooms -------------------------------------------------------------- */

/* That client, which route_join has let in, has joined or left room (copied); seq: of the
 * stream, at that time.  Everybody's room and its user's own are not kept here, but that
 * it has left one of them is.  route_leave takes it out of all.  Returns 0; 1 if there
 * can be no such client (nothing changed); -1 without memory: then its worker counts as
 * one that holds every room, until it has no client any more or has gone. */
int route_room_join(struct route *route, unsigned lane, uint64_t client, struct slice room,
                    uint64_t seq);
void route_room_leave(struct route *route, unsigned lane, uint64_t client, struct slice room);

/* A MSG_JOIN of that id, which is not in use, is about to be sent to targets: until each of
 * them has answered (route_settle) or gone, all of names (copied) count as held there.
 * Returns 0, or -1 without memory: then these workers count as those that hold every room,
 * as above. */
int route_expect(struct route *route, uint32_t id, const struct slices *names,
                 const struct route_targets *targets);

/* MSG_ACTED has come for it from that lane, and what it reports before it; any other id
 * or lane means nothing. */
void route_settle(struct route *route, uint32_t id, unsigned lane);

/* The workers a message to these rooms concerns: all that are up for no rooms and
 * for ROUTE_EVERYBODY; for a room that may be the id of a socket (those are not in the
 * table, but a user of that name may be), the one that the id names too.  Valid until the
 * next route_find. */
const struct route_targets *route_find(struct route *route, const struct slices *rooms);

#endif
