/* rooms - what a join, a leave and a broadcast cost in the tables of a worker and of the
 * master, by the number of rooms.
 *
 *     rooms MEMBERS ROUNDS ROOMS...
 *
 * The same members are spread over each number of rooms, so that rooms get smaller as they get
 * more and the memory that is walked stays alike.  They join and leave in an order that
 * is not that of their rooms.  One line of JSON for each number of rooms, with the least
 * of the rounds, in ns of CPU: join and leave for each member, walk (a broadcast) for each
 * room that is found and each member that is visited; route_join and route_leave of
 * the master for each member, route_find for each room.
 *
 * Then each member is a user, and the rooms are further ones, at the master: user_find for
 * each user before there is a room; further_join for each member; further_find for each room,
 * user_among for each user; expect, a join on its way and its answer, for each room;
 * further_leave for each member; down, the end of one of 16 workers, for all together.
 * further_bytes is what the allocator has given for each member and its share of the rooms. */
#include "master/route.h"
#include "worker/room.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LANES 16

enum {
    JOIN,
    LEAVE,
    WALK,
    ROUTE_JOIN,
    ROUTE_LEAVE,
    ROUTE_FIND,
    USER_FIND,
    FURTHER_JOIN,
    FURTHER_FIND,
    USER_AMONG,
    EXPECT,
    FURTHER_LEAVE,
    DOWN,
    FURTHER_BYTES,
    OPS
};

static const char *const names[OPS] = {"join",         "leave",        "walk",      "route_join",
                                       "route_leave",  "route_find",   "user_find", "further_join",
                                       "further_find", "user_among",   "expect",    "further_leave",
                                       "down",         "further_bytes"};

struct spread { /* members over rooms */
    struct room_member *members;
    size_t nmembers, nrooms;
    uint64_t sum; /* of what was visited, so that nothing is left out */
};

/* Visits all indexes below 2^k, neighbours far apart: the multiplier is odd. */
static size_t shuffled(size_t i, size_t n)
{
    return (i * 2654435761u) & (n - 1);
}

static struct slice room_called(char dst[32], size_t room)
{
    int n = snprintf(dst, 32, "room-%08zx-of-many", room);

    return (struct slice){dst, (size_t)n};
}

static void check(int good)
{
    if (!good) {
        fputs("rooms: a table is wrong\n", stderr);
        exit(1);
    }
}

static void join_all(struct spread *spread, struct rooms *rooms)
{
    char name[32];

    for (size_t i = 0; i < spread->nmembers; i++) {
        size_t at = shuffled(i, spread->nmembers);

        check(room_join(rooms, &spread->members[at], room_called(name, at % spread->nrooms)) == 1);
    }
}

static void leave_all(struct spread *spread, struct rooms *rooms)
{
    for (size_t i = 0; i < spread->nmembers; i++)
        room_leave_all(rooms, &spread->members[shuffled(i, spread->nmembers)]);
    check(rooms_count(rooms) == 0);
}

static void walk_all(struct spread *spread, struct rooms *rooms)
{
    size_t visited = 0, n;
    char name[32];

    for (size_t i = 0; i < spread->nrooms; i++) {
        const struct room *room = room_find(rooms, room_called(name, i));
        const struct room_entry *entries = room_members(room, &n);

        for (size_t k = 0; k < n; k++)
            spread->sum += entries[k].member->n;
        visited += n;
    }
    check(visited == spread->nmembers);
}

static void route_change_all(struct spread *spread, struct route *route,
                             int (*change)(struct route *, struct slice, unsigned, uint64_t))
{
    char name[32];

    for (size_t i = 0; i < spread->nmembers; i++) {
        size_t at = shuffled(i, spread->nmembers);

        check(change(route, room_called(name, at % spread->nrooms), at % LANES, at) == 0);
    }
}

static void route_find_all(struct spread *spread, struct route *route)
{
    char name[32];

    for (size_t i = 0; i < spread->nrooms; i++) {
        struct slice room = room_called(name, i);

        spread->sum += route_find(route, &(struct slices){.at = &room, .n = 1})->n;
    }
    check(spread->sum > 0);
}

static uint64_t cpu_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

/* Keeps the least time since *from for each of n, and begins anew. */
static void lap(double *least, uint64_t *from, size_t n)
{
    double ns = (double)(cpu_ns() - *from) / (double)n;

    if (*least == 0 || ns < *least)
        *least = ns;
    *from = cpu_ns();
}

/* --- further rooms at the master ------------------------------------------------ */

static struct slice user_called(char dst[32], size_t user)
{
    int n = snprintf(dst, 32, "user-%08zx", user);

    return (struct slice){dst, (size_t)n};
}

static void users_find_all(struct spread *spread, struct route *route)
{
    char name[32];

    for (size_t i = 0; i < spread->nmembers; i++) {
        struct slice user = user_called(name, shuffled(i, spread->nmembers));

        check(route_find(route, &(struct slices){.at = &user, .n = 1})->n == 1);
    }
}

static void further_join_all(struct spread *spread, struct route *route)
{
    char name[32];

    for (size_t i = 0; i < spread->nmembers; i++) {
        size_t at = shuffled(i, spread->nmembers);

        check(route_room_join(route, at % LANES, at, room_called(name, at % spread->nrooms), i,
                              0) == 0);
    }
    check(route_rooms(route) == spread->nrooms && route_seats(route) == spread->nmembers);
}

static void further_leave_all(struct spread *spread, struct route *route)
{
    char name[32];

    for (size_t i = 0; i < spread->nmembers; i++) {
        size_t at = shuffled(i, spread->nmembers);

        route_room_leave(route, at % LANES, at, room_called(name, at % spread->nrooms));
    }
    check(route_rooms(route) == 0);
}

static void expect_all(const struct spread *spread, struct route *route)
{
    char name[32];

    for (size_t i = 0; i < spread->nrooms; i++) {
        struct slice room = room_called(name, i);

        check(route_expect(route, 1, &(struct slices){.at = &room, .n = 1},
                           &(struct route_targets){.n = 1, .lanes = {(uint16_t)(i % LANES)}}) == 0);
        route_settle(route, 1, i % LANES);
    }
}

static void measure_further(struct spread *spread, struct route *route, double least[OPS])
{
    size_t bytes;
    uint64_t from;
    char name[32];

    for (size_t i = 0; i < spread->nmembers; i++)
        check(route_join(route, user_called(name, i), i % LANES, i) == 0);
    from = cpu_ns();
    users_find_all(spread, route);
    lap(&least[USER_FIND], &from, spread->nmembers);
    bytes = mallinfo2().uordblks + mallinfo2().hblkhd;
    from = cpu_ns();
    further_join_all(spread, route);
    lap(&least[FURTHER_JOIN], &from, spread->nmembers);
    bytes = mallinfo2().uordblks + mallinfo2().hblkhd - bytes;
    least[FURTHER_BYTES] = (double)bytes / (double)spread->nmembers;
    from = cpu_ns();
    route_find_all(spread, route);
    lap(&least[FURTHER_FIND], &from, spread->nrooms);
    users_find_all(spread, route);
    lap(&least[USER_AMONG], &from, spread->nmembers);
    expect_all(spread, route);
    lap(&least[EXPECT], &from, spread->nrooms);
    further_leave_all(spread, route);
    lap(&least[FURTHER_LEAVE], &from, spread->nmembers);
    further_join_all(spread, route);
    from = cpu_ns();
    route_down(route, 0);
    lap(&least[DOWN], &from, 1);
}

/* --- all -------------------------------------------------------------------------- */

static void measure(struct spread *spread, double least[OPS])
{
    struct route *route = route_new("/axr");
    struct rooms rooms;
    uint64_t from;

    check(route != NULL);
    for (unsigned lane = 0; lane < LANES; lane++)
        route_up(route, lane);
    rooms_init(&rooms);
    from = cpu_ns();
    join_all(spread, &rooms);
    lap(&least[JOIN], &from, spread->nmembers);
    walk_all(spread, &rooms);
    lap(&least[WALK], &from, spread->nmembers + spread->nrooms);
    leave_all(spread, &rooms);
    lap(&least[LEAVE], &from, spread->nmembers);
    route_change_all(spread, route, route_join);
    lap(&least[ROUTE_JOIN], &from, spread->nmembers);
    route_find_all(spread, route);
    lap(&least[ROUTE_FIND], &from, spread->nrooms);
    route_change_all(spread, route, route_leave);
    lap(&least[ROUTE_LEAVE], &from, spread->nmembers);
    measure_further(spread, route, least);
    rooms_clear(&rooms);
    route_free(&route);
}

static size_t number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || value == 0) {
        fprintf(stderr, "rooms: not a number: %s\n", text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    struct spread spread = {.nmembers = 1};
    size_t rounds;

    if (argc < 4) {
        fputs("usage: rooms MEMBERS ROUNDS ROOMS...\n", stderr);
        return 2;
    }
    while (spread.nmembers < number(argv[1]))
        spread.nmembers *= 2;
    rounds = number(argv[2]);
    spread.members = calloc(spread.nmembers, sizeof(*spread.members));
    check(spread.members != NULL);
    for (int i = 3; i < argc; i++) {
        double least[OPS] = {0};

        spread.nrooms = number(argv[i]);
        if (spread.nrooms > spread.nmembers)
            spread.nrooms = spread.nmembers;
        for (size_t k = 0; k < rounds; k++)
            measure(&spread, least);
        printf("{\"rooms\":%zu,\"members\":%zu", spread.nrooms, spread.nmembers);
        for (int op = 0; op < OPS; op++)
            printf(",\"%s\":%.1f", names[op], least[op]);
        printf("}\n");
        fflush(stdout);
    }
    free(spread.members);
    return 0;
}
