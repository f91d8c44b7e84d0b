/* membership - the rooms that a client joins and leaves by names from outside: those of a
 * request, or of its token.
 *
 * Its Socket.IO id is a room of its own (socket_in_sid()), which it may leave and join again;
 * that is not counted, nor told to the master, which passes on what is for an id to where the id
 * is.  Everybody's room and its user's are rooms like others. */
#ifndef WORKER_MEMBERSHIP_H
#define WORKER_MEMBERSHIP_H

#include "base/slices.h"

struct client;
struct conf;
struct membership;
struct rooms;
struct sio;
struct worker_stats;

/* All is borrowed; conf is read each time.  NULL without memory. */
struct membership *membership_new(const struct conf *conf, const struct sio *sio,
                                  struct rooms *rooms, struct worker_stats *stats);
void membership_free(struct membership **membership);

/* client, which is in, joins each room of names, but for those past limits:roomsPerClient, of
 * too long a name (ROOM_NAME_MAX), or for which there is no memory: these are counted, and
 * logged now and then.  One that has as many rooms as it may have is not asked whether it is
 * in them already.  Those that it was not in are appended to joined, as they are in names. */
void membership_join(struct membership *membership, struct client *client,
                     const struct slices *names, struct slices *joined);

/* In the order that membership_leave() wants. */
void membership_sort(struct slices *names);

/* It leaves those of names that it is in; they are appended to left.  names are sorted.  Costs
 * as much as the fewer of these and of its rooms. */
void membership_leave(struct membership *membership, struct client *client,
                      const struct slices *names, struct slices *left);

#endif
