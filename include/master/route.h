/* route - which workers hold a room: where a broadcast has to go.
 *
 * No sockets, no messages.  A user's own room is kept from the admissions of the workers: it
 * is on the worker of each of its connections, whether one of these has left that room or
 * not, for limits:connectionsPerUser counts them.  Further rooms, into which requests and
 * tokens put clients, are kept from what workers report.  A room is mostly one user, and
 * most users are on one worker: the cost of a message to one user does not depend on how
 * many workers, users or rooms there are.
 *
 * A worker that is named although it does not hold the room costs a message there, which
 * it drops; one that holds the room and is not named would lose the message in silence.  So
 * route errs to the first side, and the order of what one publisher sends is kept:
 *
 * - A join, and an emit to that room behind it.  Who joins is known to the workers only.  So
 *   from the moment that MSG_JOIN is put into a pipe until that worker has answered it, the
 *   rooms of it count as held there (route_expect); the emit is behind it in the same pipe, and
 *   finds the worker's tables with the join done.  Reports (MSG_ROOMS) come before
 *   the answer (MSG_ACTED), in one pipe, so there is no moment between the two in which the
 *   room is held by neither.  A request to those in such a room goes by the same table.
 * - A leave or a disconnect, and an emit behind it.  The worker has done the one before it
 *   reads the other, and its tables decide who gets it.  Here the room is still held, until
 *   the report comes: a message too many on a pipe.
 * - A worker that is not up when a join is relayed has no client: whoever is let in there
 *   is let in after it.  In a reload with two generations both are up, and each has what
 *   its clients are in.  When a worker's pipe ends all that it holds is forgotten, expectations
 *   too: its clients have gone, and with them their further rooms.
 * - A client's rooms by its token are here before its admission is answered.
 * - Without memory for any of this the worker counts as one that holds every room.
 *
 * Memory, with malloc's and the tables' own, measured with a million each: a client with one
 * further room 96 bytes, with more of them 21 to 43 for each; a room 80 with a name of 21
 * bytes, 8 more for each of several workers.  So a million rooms of one client each are
 * 172 MB, a room of a million clients is 96.  A worker's end looks at each name once. */
#ifndef MASTER_ROUTE_H
#define MASTER_ROUTE_H

#include "base/slice.h"
#include "codec/broadcast.h"
#include "ipc/start.h"

#include <stddef.h>
#include <stdint.h>

#define ROUTE_EVERYBODY "allusers" /* the room that each client is in, not kept in the table */

struct route;
struct sessions;

struct route_targets {
    size_t n;
    uint16_t lanes[START_LANES]; /* each once, in no order */
};

/* nsp is borrowed: EIO3 clients have ids that start with it.  NULL without memory. */
struct route *route_new(const char *nsp);
void route_free(struct route **route);

/* The same namespace, borrowed from another place. */
void route_nsp(struct route *route, const char *nsp);

/* Whose sessions are to be recovered (borrowed): an id of a client that has moved names its lane,
 * it is kept since when who has left everybody's room is in it again, and who is in rooms of
 * which nothing can be kept for want of memory has no session any more.  NULL, as at first:
 * nobody's. */
void route_sessions(struct route *route, struct sessions *sessions);

/* One more client of the user uid (copied) on the worker in lane, which is up; client is that
 * worker's name for it.  Returns 0, or -1 without memory (nothing changed). */
int route_join(struct route *route, struct slice uid, unsigned lane, uint64_t client);

/* One less, which leaves all its further rooms.  Returns 0, or -1 if that worker has no such
 * client of the user. */
int route_leave(struct route *route, struct slice uid, unsigned lane, uint64_t client);

/* Clients of the user on all workers, without those that are told to leave. */
size_t route_clients(const struct route *route, struct slice uid);

/* Of those, the one that joined first.  Returns 0, or -1 if there is none. */
int route_oldest(const struct route *route, struct slice uid, unsigned *lane, uint64_t *client);

/* That one is told to leave: it is there until route_leave, but counts no
 * more.  Returns 0, or -1 if there is none or no memory (nothing changed). */
int route_oust(struct route *route, struct slice uid);

/* The same of that client of the user; nothing changes if it has been told already.  Returns 0, or
 * -1 if that worker has no such client of the user, or no memory (nothing changed). */
int route_oust_client(struct route *route, struct slice uid, unsigned lane, uint64_t client);

/* Users that are connected. */
size_t route_users(const struct route *route);

/* As table_scan(), of users; visit changes nothing here. */
uint32_t route_scan_users(const struct route *route, uint32_t cursor,
                          void (*visit)(struct slice uid, void *arg), void *arg);

/* The worker in that lane serves clients from now on: what goes to everybody goes to it too. */
void route_up(struct route *route, unsigned lane);

/* It has gone: everything it held or was expected to hold is forgotten. */
void route_down(struct route *route, unsigned lane);

/* --- further rooms -------------------------------------------------------------- */

/* That client, which route_join has let in, has joined or left room (copied); seq: of the
 * stream, at that time; is_claim: for its token, else by request.  Everybody's room and its
 * user's own it is in without a word: that it has left one of them, or has joined it again, is told
 * likewise.  Returns 0; 1 if that worker can have no such client (nothing changed); -1 without
 * memory: then the worker counts as one that holds every room, until it has no client any more or
 * has gone. */
int route_room_join(struct route *route, unsigned lane, uint64_t client, struct slice room,
                    uint64_t seq, int is_claim);
void route_room_leave(struct route *route, unsigned lane, uint64_t client, struct slice room);

/* That worker carries out a join by request that was in the stream at seq: it, and nothing else,
 * tells of joins by request until this is called again. */
#define ROUTE_NOT_JOINING UINT64_MAX       /* none, as far as is known */
#define ROUTE_UNKNOWN     (UINT64_MAX - 1) /* of which nothing is known */
void route_joining(struct route *route, unsigned lane, uint64_t seq);

/* The seq of a join by request of which that worker tells, seq is that of now: where its place in
 * the stream is not known, the client has no session any more. */
uint64_t route_joined_seq(struct route *route, unsigned lane, uint64_t client, uint64_t seq);

/* --- for whoever looks ------------------------------------------------------------- */

/* Which default rooms that client has left, as enum msg_default, whether it has joined them again
 * or not; then each room that it is in, but for the default ones that it has not left, with the
 * seq of the join.  visit changes nothing here. */
struct route_seat {
    struct slice room; /* valid until the next change */
    uint64_t seq;
    int is_claimed; /* is_claim of route_room_join() */
};
unsigned route_client_rooms(const struct route *route, unsigned lane, uint64_t client,
                            void (*visit)(const struct route_seat *seat, void *arg), void *arg);

/* Each client of that worker, and whose it is; visit changes nothing here.  Looks at each
 * name once. */
void route_each_client(struct route *route, unsigned lane,
                       void (*visit)(struct slice uid, uint64_t client, void *arg), void *arg);

/* A MSG_JOIN of that id, which is not in use, is about to be sent to targets: until each of
 * them has answered (route_settle) or gone, all of names (copied) count as held there.
 * Returns 0, or -1 without memory: then these workers count as such that hold every room,
 * likewise. */
int route_expect(struct route *route, uint32_t id, const struct slices *names,
                 const struct route_targets *targets);

/* MSG_ACTED has come for it from that lane, and what it reports before it; any other id
 * or lane means nothing. */
void route_settle(struct route *route, uint32_t id, unsigned lane);

/* The rooms that a user is in, as of roomlist_take(). */
int route_user_rooms(const struct route *route, struct slice uid, struct slices *rooms);

/* Further rooms that somebody is in or is expected in, and memberships: of each client in
 * each of them. */
size_t route_rooms(const struct route *route);
size_t route_seats(const struct route *route);

/* The workers a message to these rooms concerns: all that are up for no rooms and
 * for ROUTE_EVERYBODY; for a room that may be the id of a socket (those are not in the
 * table, but a user of that name may be), the one that the id names too.  Valid until the
 * next route_find. */
const struct route_targets *route_find(struct route *route, const struct slices *rooms);

#endif
