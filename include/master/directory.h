/* directory - what is called by a name: a user, who may be connected several times; a room
 * that clients of some workers are in; or both, for nothing keeps a room from being
 * called as a user is.
 *
 * One table for both, so that a name costs one look.  A name is kept while there is
 * something that it calls.  A user with one connection, and a room of one worker, is
 * one allocation: 41 bytes and the name. */
#ifndef MASTER_DIRECTORY_H
#define MASTER_DIRECTORY_H

#include "base/slice.h"
#include "base/table.h"
#include "master/held.h"
#include "master/user.h"

#include <stddef.h>
#include <stdint.h>

struct listing; /* a name, and what it calls; stays where it is */

struct directory {
    struct table names;
    size_t users, rooms;
};

void directory_init(struct directory *directory);
void directory_clear(struct directory *directory);

/* NULL if nothing is called so. */
struct listing *directory_find(const struct directory *directory, struct slice name);

/* Valid as long as it is listed. */
struct slice listing_name(const struct listing *listing);

/* NULL if it is none.  Valid until the next change; never empty. */
struct user *listing_user(struct listing *listing);
const struct held *listing_room(struct listing *listing);

/* One more connection of the user called name (copied).  Returns 0, or -1 without memory
 * (nothing changed). */
int directory_user_add(struct directory *directory, struct slice name, unsigned lane,
                       uint64_t client);

/* One less.  Returns 0, or -1 if there is no such connection. */
int directory_user_take(struct directory *directory, struct slice name, unsigned lane,
                        uint64_t client);

/* One more client of that worker in the room called name (copied).  NULL without memory
 * (nothing changed).  Valid until directory_room_take has been called as often. */
struct listing *directory_room_add(struct directory *directory, struct slice name, unsigned lane);

/* One less. */
void directory_room_take(struct directory *directory, struct listing *room, unsigned lane);

/* As table_scan(), of users alone; visit changes nothing here. */
uint32_t directory_scan_users(const struct directory *directory, uint32_t cursor,
                              void (*visit)(struct slice uid, void *arg), void *arg);

/* Each connection of a user that is on that worker; visit changes nothing here.  Looks at every
 * name. */
void directory_each_client(struct directory *directory, unsigned lane,
                           void (*visit)(struct slice uid, uint64_t client, void *arg), void *arg);

/* All that is on that worker.  Looks at every name. */
void directory_drop_lane(struct directory *directory, unsigned lane);

#endif
