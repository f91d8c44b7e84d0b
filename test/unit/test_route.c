#include "master/route.h"

#include "base/base64.h"
#include "codec/sid.h"
#include "ipc/msg.h"
#include "master/expect.h"
#include "master/sessions.h"

#include "nomem_nth.h"
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
    is_int((long)route_users(route), 0, "the room is freed with its last client");
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
    is_int((long)route_users(route), 1, "the room is still there");
    is_str(oldest(route), "-", "without an oldest");
    is_int(leave(route, "ann", 2, 7), 0, "the one that was told leaves");
    is_int((long)route_users(route), 0, "and the room goes");
    join(route, "ann", 3, 1);
    join(route, "ann", 2, 2);
    route_oust(route, SLICE("ann"));
    route_down(route, 3);
    is_str(oldest(route), "2:2", "one that was told goes with its worker");
    is_int((long)route_clients(route, SLICE("ann")), 1, "the count is right");
    join(route, "ann", 1, 3);
    is_int(route_oust_client(route, SLICE("ann"), 1, 3), 0, "the newest is told to leave");
    is_int(route_oust_client(route, SLICE("ann"), 1, 4), -1, "not one that is not there");
    is_int(route_oust_client(route, SLICE("bob"), 1, 3), -1, "nor another user's");
    is_int((long)route_clients(route, SLICE("ann")), 1, "it counts no more");
    is_str(oldest(route), "2:2", "the other does");
    is_int(leave(route, "ann", 1, 3), 0, "it leaves");
    is_int((long)route_clients(route, SLICE("ann")), 1, "which is counted once");
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
    is_int((long)route_users(route), 1, "one room is left");
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
    is_int((long)route_users(route), rooms, "and no room too many");
    for (unsigned lane = 0; lane < LANES; lane++)
        route_down(route, lane);
    is_int((long)route_users(route), 0, "all workers down: nothing left");
    route_free(&route);
}

/* --- further rooms -------------------------------------------------------------- */

static int room_join(struct route *route, unsigned lane, uint64_t client, const char *room)
{
    return route_room_join(route, lane, client, slice_str(room), 1, 0);
}

static void room_leave(struct route *route, unsigned lane, uint64_t client, const char *room)
{
    route_room_leave(route, lane, client, slice_str(room));
}

/* "ann,allusers,x": the rooms that ann is in. */
static const char *rooms_of_ann(const struct route *route)
{
    static char list[128];
    struct slices rooms = {0};
    size_t at = 0;

    list[0] = '\0';
    (void)route_user_rooms(route, SLICE("ann"), &rooms);
    for (size_t i = 0; i < rooms.n; i++)
        at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%.*s", i ? "," : "",
                               (int)rooms.at[i].len, rooms.at[i].ptr);
    slices_clear(&rooms);
    return list;
}

static void test_further(void)
{
    struct route *route = three_workers("/axr");

    is_int(room_join(route, 1, 7, "game"), 1, "a client that is not in joins nothing");
    join(route, "ann", 1, 7);
    join(route, "bob", 2, 7);
    join(route, "bob", 3, 1);
    is_int(room_join(route, 1, 7, "game"), 0, "one that is does");
    is_int(room_join(route, 1, 8, "game"), 1, "but no more of them than there are");
    is_str(FIND(route, "game"), "1", "its worker holds the room");
    room_join(route, 2, 7, "game");
    is_str(FIND(route, "game", "ann"), "1 2", "two do");
    ok(route_rooms(route) == 1 && route_seats(route) == 2 && route_users(route) == 2,
       "rooms, who is in them, and users are counted");
    is_int(room_join(route, 1, 7, "bob"), 0, "a room that is called as a user is");
    is_str(FIND(route, "bob"), "1 2 3", "a message to it goes to both");
    leave(route, "bob", 3, 1);
    is_str(FIND(route, "bob"), "1 2", "the user has left one worker");
    room_leave(route, 1, 7, "bob");
    is_str(FIND(route, "bob"), "2", "the other has left the room");
    is_str(rooms_of_ann(route), "ann,allusers,game", "the rooms of a user");
    leave(route, "ann", 1, 7);
    is_str(FIND(route, "game"), "2", "who goes leaves all");
    route_down(route, 2);
    is_str(FIND(route, "game"), "-", "and so does all of a worker");
    ok(route_rooms(route) == 0 && route_seats(route) == 0, "nothing is left");
    route_free(&route);
}

/* A client that has left a default room still counts as one of its user. */
static void test_defaults(void)
{
    struct route *route = three_workers("/axr");

    room_leave(route, 1, 7, "allusers");
    join(route, "ann", 1, 7);
    is_str(rooms_of_ann(route), "ann,allusers", "who is not in leaves nothing");
    room_leave(route, 1, 7, "allusers");
    is_str(rooms_of_ann(route), "ann", "everybody's room is left");
    is_str(FIND(route, "allusers"), "1 2 3", "who has is for the worker to know");
    room_leave(route, 1, 7, "ann");
    is_str(rooms_of_ann(route), "", "so is the own");
    is_str(FIND(route, "ann"), "1", "likewise");
    is_int((long)route_clients(route, SLICE("ann")), 1, "the seat is taken");
    is_int(room_join(route, 1, 7, "allusers"), 0, "they are joined again");
    is_int(room_join(route, 1, 7, "ann"), 0, "both");
    is_str(rooms_of_ann(route), "allusers,ann", "and listed again");
    route_free(&route);
}

static int expect(struct route *route, uint32_t id, const char *name, unsigned lane)
{
    struct slice room = slice_str(name);
    const struct slices names = {.at = &room, .n = 1};

    return route_expect(route, id, &names,
                        &(struct route_targets){.n = 1, .lanes = {(uint16_t)lane}});
}

static void test_expectations(void)
{
    struct route *route = three_workers("/axr");

    join(route, "ann", 2, 7);
    is_int(expect(route, 9, "game", 2), 0, "a join is on its way");
    is_str(FIND(route, "game"), "2", "the room counts as held");
    is_int(room_join(route, 2, 7, "game"), 0, "who it meant is told");
    route_settle(route, 9, 2);
    is_str(FIND(route, "game"), "2", "and stays in when it has come");
    expect(route, 10, "chat", 2);
    route_settle(route, 10, 2);
    is_str(FIND(route, "chat"), "-", "a join that meant nobody");
    expect(route, 11, "bob", 1);
    join(route, "bob", 3, 1);
    is_str(FIND(route, "bob"), "1 3", "a room that is called as a user is");
    route_down(route, 1);
    route_up(route, 1);
    is_str(FIND(route, "bob"), "3", "a worker that has gone joins nobody");
    route_settle(route, 11, 1);
    is_str(FIND(route, "bob"), "3", "nor does its successor");
    expect(route, 12, "late", 3);
    route_free(&route);
}

/* More joins on their way than are kept by name. */
static void test_flood(void)
{
    static struct slice names[EXPECT_MAX + 1];
    const struct slices list = {.at = names, .n = EXPECT_MAX + 1};
    struct route *route = three_workers("/axr");

    for (size_t i = 0; i < list.n; i++)
        names[i] = SLICE("game");
    is_int(route_expect(route, 1, &list, &(struct route_targets){.n = 1, .lanes = {2}}), 0,
           "a huge join");
    is_str(FIND(route, "x"), "2", "its worker gets everything meanwhile");
    is_int((long)route_rooms(route), 0, "and nothing is kept");
    route_settle(route, 1, 2);
    is_str(FIND(route, "x"), "-", "until it has answered");
    route_free(&route);
}

/* Without memory a worker gets everything. */
static void test_memory(void)
{
    struct route *route = three_workers("/axr");

    join(route, "ann", 2, 7);
    join(route, "bob", 2, 8);
    join(route, "eve", 3, 8);
    nomem_nth = 1;
    is_int(room_join(route, 2, 7, "game"), -1, "no memory for a room");
    is_str(FIND(route, "game"), "2", "its worker may hold it");
    is_str(FIND(route, "eve"), "2 3", "and everything");
    is_int(room_join(route, 2, 8, "chat"), 0, "what there is memory for");
    leave(route, "ann", 2, 7);
    is_str(FIND(route, "x"), "2", "as long as it has a client");
    leave(route, "bob", 2, 8);
    is_str(FIND(route, "x", "chat"), "-", "and no longer");
    nomem_nth = 1;
    is_int(expect(route, 9, "game", 3), -1, "no memory for what is expected");
    is_str(FIND(route, "game", "eve"), "3", "its worker gets everything");
    route_settle(route, 9, 3);
    is_str(FIND(route, "x"), "3", "whatever it answers");
    route_down(route, 3);
    is_str(FIND(route, "x"), "-", "until it has gone");
    route_up(route, 3);
    is_str(FIND(route, "x"), "-", "its successor is another one");
    nomem_nth = 0;
    route_free(&route);
}

/* What a model of some clients, rooms and joins on their way says: each worker that holds
 * a room is found, once, and no other unless memory is out now and then. */
enum { M_LANES = 4, M_CLIENTS = 6, M_ROOMS = 12, M_IDS = 5 };
static struct {
    struct route *route;
    int in[M_LANES][M_CLIENTS];
    int seat[M_LANES][M_CLIENTS][M_ROOMS];
    int expected[M_IDS][M_LANES];
    int expects[M_IDS][M_ROOMS];
    int memory_fails;
    int failed[M_LANES]; /* it is not known what it holds */
    unsigned seed;
} m;

static unsigned chance(unsigned n)
{
    m.seed = m.seed * 1103515245 + 12345;
    return (m.seed >> 12) % n;
}

/* Client i is the user called i % 3, rooms are called 0 to 11. */
static struct slice m_name(unsigned i)
{
    static const char *const names[] = {"0", "1", "2", "3", "4",  "5",
                                        "6", "7", "8", "9", "10", "11"};

    return slice_str(names[i]);
}

static int m_holds(unsigned lane, unsigned room)
{
    int holds = 0;

    for (unsigned c = 0; c < M_CLIENTS; c++)
        holds |= m.in[lane][c] && (c % 3 == room || m.seat[lane][c][room]);
    for (unsigned id = 0; id < M_IDS; id++)
        holds |= m.expected[id][lane] && m.expects[id][room];
    return holds;
}

/* Wrong answers for all rooms. */
static int m_check(void)
{
    int wrong = 0;

    for (unsigned room = 0; room < M_ROOMS; room++) {
        struct slice name = m_name(room);
        const struct route_targets *targets =
            route_find(m.route, &(struct slices){.at = &name, .n = 1});
        int found[M_LANES] = {0};
        for (size_t i = 0; i < targets->n; i++)
            found[targets->lanes[i]]++;
        for (unsigned lane = 0; lane < M_LANES; lane++)
            wrong += m.memory_fails ? m_holds(lane, room) && !found[lane]
                                    : found[lane] != m_holds(lane, room);
    }
    return wrong;
}

static void m_client(unsigned lane, unsigned c)
{
    int left = 1;

    if (!m.in[lane][c]) {
        m.in[lane][c] = route_join(m.route, m_name(c % 3), lane, c) == 0;
        return;
    }
    (void)route_leave(m.route, m_name(c % 3), lane, c);
    m.in[lane][c] = 0;
    memset(m.seat[lane][c], 0, sizeof(m.seat[lane][c]));
    for (unsigned i = 0; i < M_CLIENTS; i++)
        left &= !m.in[lane][i];
    if (left)
        m.failed[lane] = 0;
}

static void m_room(unsigned lane, unsigned c, unsigned room)
{
    if (!m.in[lane][c] || room % 3 == c % 3)
        return;
    if (m.seat[lane][c][room])
        route_room_leave(m.route, lane, c, m_name(room));
    else
        m.failed[lane] |= route_room_join(m.route, lane, c, m_name(room), 1, 0) < 0;
    m.seat[lane][c][room] ^= 1;
}

static void m_expect(unsigned id)
{
    struct slice at[M_ROOMS];
    struct slices names = {.at = at};
    struct route_targets targets = {0};
    int waits = 0;

    for (unsigned lane = 0; lane < M_LANES; lane++)
        waits |= m.expected[id][lane];
    if (waits)
        return;
    for (unsigned room = 0; room < M_ROOMS; room++) {
        m.expects[id][room] = chance(4) == 0;
        if (m.expects[id][room])
            at[names.n++] = m_name(room);
    }
    for (unsigned lane = 0; lane < M_LANES; lane++) {
        m.expected[id][lane] = chance(2) != 0;
        if (m.expected[id][lane])
            targets.lanes[targets.n++] = (uint16_t)lane;
    }
    if (route_expect(m.route, id, &names, &targets) == 0)
        return;
    for (unsigned lane = 0; lane < M_LANES; lane++) {
        m.failed[lane] |= m.expected[id][lane];
        m.expected[id][lane] = 0;
    }
}

static void m_down(unsigned lane)
{
    route_down(m.route, lane);
    route_up(m.route, lane);
    memset(m.in[lane], 0, sizeof(m.in[lane]));
    memset(m.seat[lane], 0, sizeof(m.seat[lane]));
    for (unsigned id = 0; id < M_IDS; id++)
        m.expected[id][lane] = 0;
    m.failed[lane] = 0;
}

static void m_step(void)
{
    unsigned lane = chance(M_LANES), id = chance(M_IDS);

    nomem_nth = m.memory_fails && chance(8) == 0 ? 1 + (int)chance(3) : 0;
    switch (chance(100)) {
    case 0:
        m_down(lane);
        break;
    case 1 ... 15:
        m_client(lane, chance(M_CLIENTS));
        break;
    case 16 ... 70:
        m_room(lane, chance(M_CLIENTS), chance(M_ROOMS));
        break;
    case 71 ... 80:
        m_expect(id);
        break;
    default:
        route_settle(m.route, id, lane);
        m.expected[id][lane] = 0;
    }
    nomem_nth = 0;
}

static void test_model(int memory_fails, const char *name)
{
    int wrong = 0, unsure = 0;

    memset(&m, 0, sizeof(m));
    m.seed = 99;
    m.memory_fails = memory_fails;
    m.route = route_new("/axr");
    if (m.route == NULL)
        abort();
    for (unsigned lane = 0; lane < M_LANES; lane++)
        route_up(m.route, lane);
    for (int i = 0; i < 30000; i++) {
        m_step();
        wrong += m_check();
        for (unsigned lane = 0; lane < M_LANES; lane++)
            unsure += m.failed[lane];
    }
    is_int(wrong, 0, name);
    is_int(unsure > 0, memory_fails, "workers that got everything");
    for (unsigned lane = 0; lane < M_LANES; lane++)
        route_down(m.route, lane);
    ok(route_rooms(m.route) == 0 && route_seats(m.route) == 0 && route_users(m.route) == 0,
       "all workers down: nothing left");
    route_free(&m.route);
}

/* --- sessions ------------------------------------------------------------------- */

static char rooms_text[256];

static void visit_room(const struct route_seat *seat, void *arg)
{
    size_t at = strlen(rooms_text);

    (void)arg;
    snprintf(rooms_text + at, sizeof(rooms_text) - at, " %.*s@%u%s", (int)seat->room.len,
             seat->room.ptr, (unsigned)seat->seq, seat->is_claimed ? "!" : "");
}

/* " a@5 b@6!": rooms with their seq, ! for those of a token. */
static const char *rooms_of(const struct route *route, unsigned lane, uint64_t client,
                            unsigned *left)
{
    rooms_text[0] = '\0';
    *left = route_client_rooms(route, lane, client, visit_room, NULL);
    return rooms_text;
}

static void test_client_rooms(void)
{
    struct route *route = three_workers("/axr");
    struct sessions *sessions = sessions_new();
    unsigned left;

    join(route, "ann", 2, 7);
    is_str(rooms_of(route, 2, 7, &left), "", "no further rooms");
    is_int(left, 0, "none left");
    route_room_join(route, 2, 7, SLICE("a"), 5, 1);
    is_str(rooms_of(route, 2, 7, &left), " a@5!", "one of its token");
    route_room_join(route, 2, 7, SLICE("a"), 6, 0);
    is_str(rooms_of(route, 2, 7, &left), " a@5", "which it joins by request, too");
    route_room_leave(route, 2, 7, SLICE(ROUTE_EVERYBODY));
    route_room_join(route, 2, 7, SLICE(ROUTE_EVERYBODY), 7, 0);
    is_str(rooms_of(route, 2, 7, &left), " a@5", "everybody's room again");
    is_int(left, 0, "is as it was, where nobody comes back");
    route_sessions(route, sessions);
    route_room_leave(route, 2, 7, SLICE("ann"));
    route_room_leave(route, 2, 7, SLICE(ROUTE_EVERYBODY));
    route_room_join(route, 2, 7, SLICE(ROUTE_EVERYBODY), 8, 0);
    is_str(rooms_of(route, 2, 7, &left), " allusers@8 a@5", "else since when is known");
    is_int(left, MSG_LEFT_EVERYBODY | MSG_LEFT_OWN, "and what was left");
    is_str(rooms_of(route, 1, 7, &left), "", "nobody else is in them");
    sessions_free(&sessions);
    route_free(&route);
}

static void visit_client(struct slice uid, uint64_t client, void *arg)
{
    (void)arg;
    snprintf(rooms_text + strlen(rooms_text), sizeof(rooms_text) - strlen(rooms_text), " %.*s.%u",
             (int)uid.len, uid.ptr, (unsigned)client);
}

static void test_each_client(void)
{
    struct route *route = three_workers("/axr");

    for (uint64_t client = 1; client < 40; client++)
        join(route, "ann", 1 + client % 3, client);
    join(route, "bob", 2, 700);
    leave(route, "ann", 2, 4);
    rooms_text[0] = '\0';
    route_each_client(route, 2, visit_client, NULL);
    ok(strstr(rooms_text, " ann.1 ann.7 ann.10") != NULL &&
           strstr(rooms_text, " bob.700") != NULL && strstr(rooms_text, "ann.2 ") == NULL &&
           strstr(rooms_text, "ann.4 ") == NULL,
       "each client of a worker, with its user");
    rooms_text[0] = '\0';
    route_each_client(route, 9, visit_client, NULL);
    is_str(rooms_text, "", "one that has none has none");
    route_free(&route);
}

static void test_moved(void)
{
    struct route *route = three_workers("/axr");
    struct sessions *sessions = sessions_new();
    struct sid_home home = {1, 1, 5};
    char id[SIO_SID_LEN + 1];
    uint8_t raw[SESSION_LEN];

    id[sio_sid_encode(id, 4711, &home)] = '\0';
    base64_decode(raw, id, SIO_SID_LEN);
    join(route, "ann", 3, 7);
    is_str(FIND(route, id), "1", "an id names the worker of a client");
    sessions_put(sessions, 3, 7, raw, 1);
    route_sessions(route, sessions);
    is_str(FIND(route, id), "1 3", "where one goes by it elsewhere, that one, too");
    is_str(FIND(route, "ann"), "3", "a user is where it is");
    sessions_take(sessions, 3, 7);
    is_str(FIND(route, id), "1", "until it has gone");
    sessions_free(&sessions);
    route_free(&route);
}

static void test_joining(void)
{
    struct route *route = three_workers("/axr");

    is_int((int)route_joined_seq(route, 2, 7, 50), 50, "a join of which nothing is known is new");
    route_joining(route, 2, 40);
    is_int((int)route_joined_seq(route, 2, 7, 50), 40, "else it was in the stream before");
    is_int((int)route_joined_seq(route, 1, 7, 50), 50, "of that worker");
    route_joining(route, 2, 0);
    is_int((int)route_joined_seq(route, 2, 7, 50), 0, "or at its beginning");
    route_joining(route, 2, ROUTE_NOT_JOINING);
    is_int((int)route_joined_seq(route, 2, 7, 50), 50, "until it is done");
    route_joining(route, 2, ROUTE_UNKNOWN);
    is_int((int)route_joined_seq(route, 2, 7, 50), 50, "where it is not known it is new");
    route_free(&route);
}

/* Whose rooms are not all known has no session. */
static void test_sessions_memory(void)
{
    struct route *route = three_workers("/axr");
    struct sessions *sessions = sessions_new();
    uint8_t raw[SESSION_LEN] = {0};

    route_sessions(route, sessions);
    join(route, "ann", 2, 7);
    for (int nth = 1; nth < 4; nth++) {
        sessions_put(sessions, 2, 7, raw, 1);
        nomem_nth = nth;
        ok(route_room_join(route, 2, 7, SLICE("a room"), 5, 0) < 0 && sessions_count(sessions) == 0,
           "a room of which nothing can be kept, %d", nth);
        nomem_nth = 0;
    }
    for (int i = 0; i < 2; i++) {
        sessions_put(sessions, 2, 7, raw, 1);
        nomem_nth = 1;
        route_room_leave(route, 2, 7, i ? SLICE("ann") : SLICE(ROUTE_EVERYBODY));
        nomem_nth = 0;
        is_int((int)sessions_count(sessions), 0, "or that one that it was in is left");
    }
    sessions_put(sessions, 2, 7, raw, 1);
    route_joining(route, 2, ROUTE_UNKNOWN);
    route_joined_seq(route, 2, 7, 50);
    is_int((int)sessions_count(sessions), 0, "or since when it is in one");
    sessions_free(&sessions);
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
    test_further();
    test_defaults();
    test_expectations();
    test_flood();
    test_memory();
    test_client_rooms();
    test_each_client();
    test_moved();
    test_joining();
    test_sessions_memory();
    test_model(0, "30,000 changes of clients, rooms and joins on their way");
    test_model(1, "the same while memory is out now and then");
    return tap_done();
}
