#include "master/route.h"

#include "tap.h"

#include <stdio.h>
#include <stdlib.h>

static char text[64];

/* "1 4 7": where a message to the rooms goes, in order; "-" for nowhere. */
static const char *find(struct route *route, const char *const *names)
{
    struct slices rooms = {0};
    const struct route_targets *targets;
    size_t at = 0;

    for (size_t i = 0; names[i] != NULL; i++)
        if (slices_put(&rooms, slice_str(names[i])) < 0)
            abort();
    targets = route_find(route, &rooms);
    text[0] = '\0';
    for (unsigned lane = 0; lane < CONF_WORKERS_MAX; lane++)
        for (size_t i = 0; i < targets->n; i++)
            if (targets->lanes[i] == lane)
                at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u", at ? " " : "", lane);
    free(rooms.at);
    return targets->n ? text : "-";
}
#define FIND(route, ...) find(route, (const char *const[]){__VA_ARGS__, NULL})

static int join(struct route *route, const char *room, unsigned lane, uint64_t client)
{
    return route_join(route, slice_str(room), lane, client);
}

static int leave(struct route *route, const char *room, unsigned lane, uint64_t client)
{
    return route_leave(route, slice_str(room), lane, client);
}

static struct route *three_workers(const char *nsp)
{
    struct route *route = route_new(nsp);

    if (route == NULL)
        abort();
    for (unsigned lane = 1; lane <= 3; lane++)
        route_up(route, lane);
    return route;
}

static void test_rooms(void)
{
    struct route *route = three_workers("/axr");

    is_str(FIND(route, "ann"), "-", "a room that nobody holds goes nowhere");
    is_int(join(route, "ann", 2, 7), 0, "first client of a room");
    is_int(join(route, "ann", 2, 8), 0, "second on the same worker");
    is_str(FIND(route, "ann"), "2", "goes to its worker");
    is_int(join(route, "ann", 3, 7), 0, "third on another worker, of the same name there");
    is_int(join(route, "ann", 1, 9), 0, "fourth on yet another");
    is_int((long)route_clients(route, SLICE("ann")), 4, "clients are counted across workers");
    is_str(FIND(route, "ann"), "1 2 3", "goes to all its workers");
    is_int(leave(route, "ann", 2, 7), 0, "one of two leaves");
    is_str(FIND(route, "ann"), "1 2 3", "still goes to all");
    is_int(leave(route, "ann", 2, 7), -1, "nobody leaves twice");
    is_int(leave(route, "ann", 2, 8), 0, "the other leaves");
    is_str(FIND(route, "ann"), "1 3", "that worker is left out");
    is_int(leave(route, "ann", 2, 8), -1, "a worker with none has none to leave");
    is_int(leave(route, "bob", 2, 8), -1, "nor from a room that is not there");
    is_int(leave(route, "ann", 1, 9), 0, "another leaves");
    is_int(leave(route, "ann", 3, 7), 0, "the last leaves");
    is_str(FIND(route, "ann"), "-", "goes nowhere again");
    is_int((long)route_rooms(route), 0, "the room is freed with its last client");
    route_free(&route);
    ok(route == NULL, "route_free clears the pointer");
}

/* "2:7": which client of ann's is the oldest; "-" for none. */
static const char *oldest(const struct route *route)
{
    unsigned lane = 0;
    uint64_t client = 0;

    if (route_oldest(route, SLICE("ann"), &lane, &client) < 0)
        return "-";
    snprintf(text, sizeof(text), "%u:%u", lane, (unsigned)client);
    return text;
}

static void test_oust(void)
{
    struct route *route = three_workers("/axr");

    is_str(oldest(route), "-", "a room that is not there has no oldest");
    is_int(route_oust(route, SLICE("ann")), -1, "who is to be told to leave");
    join(route, "ann", 2, 7);
    join(route, "ann", 1, 8);
    is_str(oldest(route), "2:7", "the first is the oldest");
    is_int(route_oust(route, SLICE("ann")), 0, "it is told to leave");
    is_int((long)route_clients(route, SLICE("ann")), 1, "and counts no more");
    is_str(FIND(route, "ann"), "1 2", "but is in the room until it has left");
    is_str(oldest(route), "1:8", "the next is the oldest");
    is_int(leave(route, "ann", 1, 8), 0, "which leaves by itself");
    is_int((long)route_clients(route, SLICE("ann")), 0, "nobody counts");
    is_int((long)route_rooms(route), 1, "the room is still there");
    is_str(oldest(route), "-", "without an oldest");
    is_int(leave(route, "ann", 2, 7), 0, "the one that was told leaves");
    is_int((long)route_rooms(route), 0, "and the room goes");
    join(route, "ann", 3, 1);
    join(route, "ann", 2, 2);
    route_oust(route, SLICE("ann"));
    route_down(route, 3);
    is_str(oldest(route), "2:2", "one that was told goes with its worker");
    is_int((long)route_clients(route, SLICE("ann")), 1, "the count is right");
    route_free(&route);
}

static void test_union(void)
{
    struct route *route = three_workers("/axr");

    join(route, "ann", 1, 0);
    join(route, "ann", 3, 0);
    join(route, "bob", 3, 0);
    is_str(FIND(route, "ann", "bob", "ann"), "1 3", "several rooms: each worker once");
    is_str(FIND(route, "bob", "nobody"), "3", "a room without holders adds none");
    is_str(find(route, (const char *const[]){NULL}), "1 2 3", "no room: every worker");
    is_str(FIND(route, "bob", "allusers"), "1 2 3", "allusers: every worker");
    is_str(FIND(route, "Allusers"), "-", "names are compared exactly");
    is_int(join(route, "", 1, 0), 0, "the empty name is a name");
    is_str(FIND(route, ""), "1", "and is found");
    route_free(&route);
}

/* Ids of sockets, which name the lane they are in. */
#define SIO_2   "AAAABwIAAVpaWlpaWlpa" /* EIO4 */
#define SIO_9   "AAAABwkAAVpaWlpaWlpa"
#define SIO_258 "AAAABwKAAVpaWlpaWlpa"
#define EIO_3   "MzMzMzMzMzMzMzMzMzMzMwMAAAEAAAAH" /* EIO3 */
#define EIO_9   "MzMzMzMzMzMzMzMzMzMzMwkAAAEAAAAH"

static void test_ids(void)
{
    struct route *route = three_workers("/axr");

    is_str(FIND(route, SIO_2), "2", "an id goes to the worker that it names");
    is_str(FIND(route, SIO_9), "-", "if that is up");
    is_str(FIND(route, SIO_258), "-", "and not to one of another generation");
    is_str(FIND(route, "/axr#" EIO_3), "3", "an id of an EIO3 client, too");
    is_str(FIND(route, "/axr#" EIO_9), "-", "if that is up");
    is_str(FIND(route, "/axr#" EIO_3, SIO_2, SIO_2), "2 3", "several: each worker once");
    is_str(FIND(route, "/axr#x"), "-", "<nsp>#... alone is none");
    is_str(FIND(route, "/axr"), "-", "nor is the namespace");
    is_str(FIND(route, "/axs#" EIO_3), "-", "nor an id of another namespace");
    is_str(FIND(route, EIO_3), "-", "nor one without it");
    is_str(FIND(route, "twenty characters..."), "-", "nor 20 that no id is made of");
    join(route, SIO_2, 3, 0);
    is_str(FIND(route, SIO_2), "2 3", "a user of that name takes nothing away from the id");
    join(route, SIO_2, 2, 0);
    is_str(FIND(route, SIO_2), "2 3", "nor where one is on its worker: each once");
    join(route, "/axr#" EIO_3, 1, 0);
    is_str(FIND(route, "/axr#" EIO_3), "1 3", "nor from one of an EIO3 client");
    join(route, SIO_9, 1, 0);
    is_str(FIND(route, SIO_9), "1", "one that names a worker that is not up is a user's only");
    route_free(&route);

    route = three_workers("/");
    is_str(FIND(route, EIO_3), "3", "in the default namespace it is left out");
    is_str(FIND(route, "/#" EIO_3), "3", "or not");
    join(route, EIO_3, 2, 0);
    is_str(FIND(route, EIO_3), "2 3", "and keeps its messages there");
    route_free(&route);
}

static void test_down(void)
{
    struct route *route = three_workers("/axr");
    const struct route_targets *targets;

    route_up(route, 2);
    is_str(FIND(route, "allusers"), "1 2 3", "up twice is up once");
    join(route, "ann", 1, 0);
    join(route, "ann", 2, 0);
    join(route, "bob", 2, 0);
    struct slices none = {0};
    targets = route_find(route, &none);
    route_down(route, 2);
    is_int((long)targets->n, 3, "what was found stays while a worker goes down");
    is_str(FIND(route, "ann"), "1", "what a dead worker held is forgotten");
    is_str(FIND(route, "bob"), "-", "with its only room");
    is_str(FIND(route, "allusers"), "1 3", "it gets nothing that goes to everybody");
    is_int((long)route_rooms(route), 1, "one room is left");
    route_up(route, 2);
    is_str(FIND(route, "allusers"), "1 2 3", "its successor does");
    route_free(&route);
}

/* Users come and go on every worker; what is found is checked against a plain array. */
static void test_churn(void)
{
    enum { USERS = 3000, LANES = 8 };
    static unsigned char held[USERS][LANES];
    struct route *route = route_new("/axr");
    unsigned seed = 4711;
    int wrong, rooms = 0;

    if (route == NULL)
        abort();
    for (unsigned lane = 0; lane < LANES; lane++)
        route_up(route, lane);
    for (int i = 0; i < 60000; i++) {
        unsigned user, lane;
        char name[16];
        seed = seed * 1103515245 + 12345;
        user = (seed >> 8) % USERS;
        lane = (seed >> 20) % LANES;

        struct slice room = {name, (size_t)snprintf(name, sizeof(name), "u%u", user)};
        /* The names of those that are in are 0 to held - 1. */
        if (held[user][lane] > 0 && (seed >> 28) % 2) {
            held[user][lane]--;
            route_leave(route, room, lane, held[user][lane]);
        } else if (route_join(route, room, lane, held[user][lane]) == 0) {
            held[user][lane]++;
        }
    }
    wrong = 0;
    for (int user = 0; user < USERS; user++) {
        char name[16], want[32] = "-";
        size_t at = 0, clients = 0;
        snprintf(name, sizeof(name), "u%d", user);
        for (int lane = 0; lane < LANES; lane++) {
            clients += held[user][lane];
            if (held[user][lane] > 0)
                at += (size_t)snprintf(want + at, sizeof(want) - at, "%s%d", at ? " " : "", lane);
        }
        wrong += strcmp(FIND(route, name), want) != 0;
        wrong += route_clients(route, slice_str(name)) != clients;
        rooms += clients > 0;
    }
    is_int(wrong, 0, "60,000 joins and leaves leave the right workers");
    is_int((long)route_rooms(route), rooms, "and no room too many");
    for (unsigned lane = 0; lane < LANES; lane++)
        route_down(route, lane);
    is_int((long)route_rooms(route), 0, "all workers down: nothing left");
    route_free(&route);
}

int main(void)
{
    test_rooms();
    test_oust();
    test_union();
    test_ids();
    test_down();
    test_churn();
    return tap_done();
}
