#include "worker/room.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_MIN 4 /* entries of the first allocated array */

/* Most rooms are a user's and have one member: it is kept here, and the name
 * behind the struct, so that such a room is one allocation. */
struct room {
    struct table_node node; /* key is name[] */
    uint32_t n, cap;        /* cap 1: entries are in one, else in many */
    union {
        struct room_entry one;
        struct room_entry *many;
    } at;
    char name[];
};

static struct room *room_of(struct table_node *node)
{
    return (struct room *)((char *)node - offsetof(struct room, node));
}

static struct room_entry *entries(struct room *room)
{
    return room->cap == 1 ? &room->at.one : room->at.many;
}

static struct room_seat *seat_at(struct room_member *member, uint32_t seat)
{
    return seat < ROOM_SEATS_INLINE ? &member->inline_seats[seat]
                                    : &member->more[seat - ROOM_SEATS_INLINE];
}

void rooms_init(struct rooms *rooms)
{
    table_init(&rooms->table);
}

void rooms_clear(struct rooms *rooms)
{
    assert(rooms->table.count == 0);
    table_clear(&rooms->table);
}

size_t rooms_count(const struct rooms *rooms)
{
    return rooms->table.count;
}

struct scan {
    void (*visit)(struct slice name, void *arg);
    void *arg;
};

static void on_scanned(const struct table_node *node, void *arg)
{
    const struct scan *scan = arg;

    scan->visit((struct slice){node->key, node->key_len}, scan->arg);
}

uint32_t rooms_scan(const struct rooms *rooms, uint32_t cursor,
                    void (*visit)(struct slice name, void *arg), void *arg)
{
    struct scan scan = {visit, arg};

    return table_scan(&rooms->table, cursor, on_scanned, &scan);
}

const struct room *room_find(const struct rooms *rooms, struct slice name)
{
    struct table_node *node = table_find(&rooms->table, name.ptr, name.len);

    return node == NULL ? NULL : room_of(node);
}

const struct room_entry *room_members(const struct room *room, size_t *n)
{
    *n = room->n;
    return room->cap == 1 ? &room->at.one : room->at.many;
}

struct slice room_name(const struct room *room)
{
    return (struct slice){room->name, room->node.key_len};
}

const struct room *room_at(const struct room_member *member, uint32_t i)
{
    return i < ROOM_SEATS_INLINE ? member->inline_seats[i].room
                                 : member->more[i - ROOM_SEATS_INLINE].room;
}

/* Returns a room with no member, which is in the table. */
static struct room *room_new(struct rooms *rooms, struct slice name)
{
    struct room *room;

    if (name.len > UINT32_MAX - sizeof(*room))
        return NULL;
    room = malloc(offsetof(struct room, name) + name.len);
    if (room == NULL)
        return NULL;
    if (name.len > 0)
        memcpy(room->name, name.ptr, name.len);
    room->node.key = room->name;
    room->node.key_len = (uint32_t)name.len;
    room->n = 0;
    room->cap = 1;
    if (table_insert(&rooms->table, &room->node) < 0) {
        free(room);
        return NULL;
    }
    return room;
}

static void room_drop(struct rooms *rooms, struct room *room)
{
    assert(room->n == 0);
    table_remove(&rooms->table, &room->node);
    if (room->cap > 1)
        free(room->at.many);
    free(room);
}

/* Makes place for one more entry.  Returns 0, or -1 without memory. */
static int room_grow(struct room *room)
{
    uint32_t cap = room->cap < ARRAY_MIN ? ARRAY_MIN : room->cap * 2;
    struct room_entry *many;

    if (room->n < room->cap)
        return 0;
    if (room->cap > UINT32_MAX / 2)
        return -1;
    many = realloc(room->cap == 1 ? NULL : room->at.many, cap * sizeof(*many));
    if (many == NULL)
        return -1;
    if (room->cap == 1 && room->n == 1)
        many[0] = room->at.one;
    room->at.many = many;
    room->cap = cap;
    return 0;
}

/* Gives memory back once three quarters are idle.  The gap to the growing limit
 * keeps a room that hovers at a size from being copied again and again. */
static void room_shrink(struct room *room)
{
    uint32_t cap = room->cap / 2;
    struct room_entry *many;

    if (cap < ARRAY_MIN || room->n > room->cap / 4)
        return;
    many = realloc(room->at.many, cap * sizeof(*many));
    if (many == NULL)
        return;
    room->at.many = many;
    room->cap = cap;
}

/* The same for the member's seats. */
static int member_grow(struct room_member *member)
{
    uint32_t cap = member->more_cap == 0 ? ARRAY_MIN : member->more_cap * 2;
    struct room_seat *more;

    if (member->n < ROOM_SEATS_INLINE || member->n - ROOM_SEATS_INLINE < member->more_cap)
        return 0;
    if (member->more_cap > UINT32_MAX / 4)
        return -1;
    more = realloc(member->more, cap * sizeof(*more));
    if (more == NULL)
        return -1;
    member->more = more;
    member->more_cap = cap;
    return 0;
}

/* The index of member's seat in room, or -1; looks through the shorter side. */
static int64_t seat_in(struct room *room, struct room_member *member)
{
    struct room_entry *at = entries(room);

    if (room->n < member->n) {
        for (uint32_t i = 0; i < room->n; i++)
            if (at[i].member == member)
                return at[i].seat;
        return -1;
    }
    for (uint32_t i = 0; i < member->n; i++)
        if (seat_at(member, i)->room == room)
            return i;
    return -1;
}

int room_join(struct rooms *rooms, struct room_member *member, struct slice name)
{
    struct table_node *node = table_find(&rooms->table, name.ptr, name.len);
    struct room *room = node == NULL ? room_new(rooms, name) : room_of(node);

    if (room == NULL)
        return -1;
    if (seat_in(room, member) >= 0)
        return 0;
    if (member_grow(member) < 0 || room_grow(room) < 0) {
        if (room->n == 0)
            room_drop(rooms, room);
        return -1;
    }
    entries(room)[room->n] = (struct room_entry){member, member->n};
    *seat_at(member, member->n) = (struct room_seat){room, room->n};
    room->n++;
    member->n++;
    return 1;
}

/* Gives memory back once three quarters are idle, or all of it. */
static void member_shrink(struct room_member *member)
{
    uint32_t used = member->n > ROOM_SEATS_INLINE ? member->n - ROOM_SEATS_INLINE : 0;
    uint32_t cap = member->more_cap / 2;
    struct room_seat *more;

    if (used == 0) {
        free(member->more);
        member->more = NULL;
        member->more_cap = 0;
        return;
    }
    if (cap < ARRAY_MIN || used > member->more_cap / 4)
        return;
    more = realloc(member->more, cap * sizeof(*more));
    if (more == NULL)
        return;
    member->more = more;
    member->more_cap = cap;
}

/* Empties a seat: the room's last entry moves into the gap there, and the member's last
 * seat into the one here; the counterpart of each is told. */
static void seat_leave(struct rooms *rooms, struct room_member *member, uint32_t gap)
{
    struct room_seat *seat = seat_at(member, gap), *last = seat_at(member, member->n - 1);
    struct room *room = seat->room;
    struct room_entry *all = entries(room);
    uint32_t at = seat->at;

    assert(all[at].member == member && all[at].seat == gap);
    all[at] = all[room->n - 1];
    seat_at(all[at].member, all[at].seat)->at = at;
    room->n--;
    if (seat != last) {
        *seat = *last;
        entries(seat->room)[seat->at].seat = gap;
    }
    *last = (struct room_seat){NULL, 0};
    member->n--;

    if (room->n == 0)
        room_drop(rooms, room);
    else
        room_shrink(room);
}

int room_leave(struct rooms *rooms, struct room_member *member, struct slice name)
{
    struct table_node *node = table_find(&rooms->table, name.ptr, name.len);
    int64_t seat = node == NULL ? -1 : seat_in(room_of(node), member);

    if (seat < 0)
        return 0;
    seat_leave(rooms, member, (uint32_t)seat);
    member_shrink(member);
    return 1;
}

void room_leave_all(struct rooms *rooms, struct room_member *member)
{
    while (member->n > 0)
        seat_leave(rooms, member, member->n - 1);
    free(member->more);
    memset(member, 0, sizeof(*member));
}
