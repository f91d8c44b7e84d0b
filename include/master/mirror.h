/* mirror - which further rooms each client is in: those beside everybody's and its
 * user's own, as its worker reports.
 *
 * A client that is in none has no entry here.  Each client in a room counts once in the
 * room's listing (directory.h), so that the room is listed as long as there is one.  To
 * join, to leave and to find cost the same for a client with one room and with a
 * million: they are found by a hash. */
#ifndef MASTER_MIRROR_H
#define MASTER_MIRROR_H

#include "base/slice.h"
#include "base/table.h"
#include "ipc/start.h"
#include "master/directory.h"

#include <stddef.h>
#include <stdint.h>

struct mirrored; /* one client */

struct mirror {
    struct table clients;
    uint32_t lanes[START_LANES]; /* clients here, by worker */
    size_t seats;                /* of all: one for each client in a room */
};

/* Default rooms that a client may have left. */
enum { MIRROR_EVERYBODY = 1, MIRROR_OWN = 2 };

void mirror_init(struct mirror *mirror);

/* Frees everything but the listings. */
void mirror_clear(struct mirror *mirror);

/* That client is in room (copied) from now on; seq is kept with it, where it was not in
 * it.  MIRROR_CLAIMED in it: for its token, and that is kept as long as no join without it
 * follows.  Returns 0, or -1 without memory (nothing changed). */
#define MIRROR_CLAIMED (UINT64_C(1) << 63)
int mirror_join(struct mirror *mirror, struct directory *directory, unsigned lane, uint64_t client,
                struct slice room, uint64_t seq);

/* It is not.  Returns 0, or -1 if it was not. */
int mirror_leave(struct mirror *mirror, struct directory *directory, unsigned lane, uint64_t client,
                 struct slice room);

/* It has left that default room, or joined it again; seq is kept with the second, of everybody's
 * room, unless it is 0.  Only for whoever looks (mirrored_left).  Leaving returns 0, or -1
 * without memory: it is not known. */
int mirror_default_leave(struct mirror *mirror, unsigned lane, uint64_t client, unsigned which);
void mirror_default_join(struct mirror *mirror, unsigned lane, uint64_t client, unsigned which,
                         uint64_t seq);

/* It has gone: it is in no room. */
void mirror_gone(struct mirror *mirror, struct directory *directory, unsigned lane,
                 uint64_t client);

/* All of that worker are forgotten, but in the listings: directory_drop_lane() is next. */
void mirror_drop_lane(struct mirror *mirror, unsigned lane);

/* NULL where there is nothing about it.  Valid until the next change. */
const struct mirrored *mirror_find(const struct mirror *mirror, unsigned lane, uint64_t client);

/* The default rooms that it has left, or'ed. */
unsigned mirrored_left(const struct mirrored *mirrored);

/* What was kept when it joined everybody's room again; 0: it is in there since ever, or not. */
uint64_t mirrored_since(const struct mirrored *mirrored);

/* Its further rooms, in no order, and in *seq (unless NULL) what was kept with the join: *at is
 * 0 at first.  NULL at the end. */
const struct listing *mirrored_next(const struct mirrored *mirrored, size_t *at, uint64_t *seq);

#endif
