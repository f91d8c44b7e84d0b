/* room - who is in which room.  Knows no sockets and no sessions: a member is
 * a struct that the caller embeds in its own.
 *
 * Membership is kept both ways: a room has an array of its members, a member
 * an array of its seats, each entry naming its counterpart's index.  Who leaves
 * finds its place in the room, and the room's last entry moves into the gap.  A
 * room exists while it has a member.  Names come from outside: the table's hash
 * is keyed.
 *
 * A room takes 48 bytes, its name, 8 of the table and what malloc adds (some 80 for a
 * name of 16 bytes), the first entry included; each further membership 32, 16 on either
 * side, and up to twice that while an array has grown.  Joining and leaving cost the same
 * among a million rooms as among a thousand, but for the CPU's caches: 0.1 us for both
 * together there, 0.6 us here. */
#ifndef WORKER_ROOM_H
#define WORKER_ROOM_H

#include "base/slice.h"
#include "base/table.h"

#include <stddef.h>
#include <stdint.h>

#define ROOM_EVERYBODY SLICE("allusers") /* every client is in it at first */

#define ROOM_NAME_MAX 1024 /* bytes of a name by which a client may be told to join */

struct room;

struct rooms { /* all rooms of one worker */
    struct table table;
};

struct room_seat { /* a member's side */
    struct room *room;
    uint32_t at; /* index in the room's members */
};

#define ROOM_SEATS_INLINE 2 /* every client has two: everybody's room and its user's */

struct room_member { /* zero-initialised: in no room; must not move while in one */
    struct room_seat inline_seats[ROOM_SEATS_INLINE];
    struct room_seat *more; /* seats beyond the inline ones */
    uint32_t n, more_cap;
};

struct room_entry { /* a room's side */
    struct room_member *member;
    uint32_t seat; /* index of the member's seat */
};

void rooms_init(struct rooms *rooms);

/* Frees the table; every member has left. */
void rooms_clear(struct rooms *rooms);

size_t rooms_count(const struct rooms *rooms);

/* Adds member to the room called name (copied), making the room if needed.
 * Returns 1 if added, 0 if it is in already, -1 without memory (nothing
 * changed).  room_leave_all() undoes it.  To see whether it is in already costs as
 * much as the fewer of its seats and the room's members. */
int room_join(struct rooms *rooms, struct room_member *member, struct slice name);

/* Takes member out of the room called name, which is freed with its last member.  name may
 * be the room's own.  Returns 1 if it was in, else 0.  Costs as much as room_join(). */
int room_leave(struct rooms *rooms, struct room_member *member, struct slice name);

/* Leaves every room and frees what member holds; it is zero again.  A room is freed
 * with its last member. */
void room_leave_all(struct rooms *rooms, struct room_member *member);

/* Visits some rooms (name is theirs): as table_scan(). */
uint32_t rooms_scan(const struct rooms *rooms, uint32_t cursor,
                    void (*visit)(struct slice name, void *arg), void *arg);

/* NULL if nobody is in it. */
const struct room *room_find(const struct rooms *rooms, struct slice name);

/* Valid as long as the room. */
struct slice room_name(const struct room *room);

/* The room of a member's seat i, below member->n.  Whoever leaves it moves the last seat
 * to i. */
const struct room *room_at(const struct room_member *member, uint32_t i);

/* The members, in no order: *n entries, at least one.  Valid until the next
 * join or leave. */
const struct room_entry *room_members(const struct room *room, size_t *n);

#endif
