#include "master/route.h"

#include "codec/sid.h"
#include "ipc/msg.h"
#include "master/directory.h"
#include "master/expect.h"
#include "master/mirror.h"
#include "master/roomlist.h"
#include "master/sessions.h"

#include <assert.h>
#include <stdlib.h>

_Static_assert((int)MIRROR_EVERYBODY == MSG_LEFT_EVERYBODY && (int)MIRROR_OWN == MSG_LEFT_OWN,
               "what one says of default rooms the other does");

struct route {
    struct directory directory;
    struct mirror mirror;
    struct expect expect;
    struct sessions *sessions;     /* NULL: nothing is to be recovered */
    uint64_t joining[START_LANES]; /* the seq, and 1; 0: ROUTE_NOT_JOINING */
    struct slice nsp;
    struct route_targets up;
    struct route_targets found;
    uint32_t stamp[START_LANES]; /* == turn: already among found */
    uint32_t turn;
    uint32_t clients[START_LANES]; /* admitted, by worker */
    uint8_t unsure[START_LANES];   /* 1: some of what it holds is not known */
    size_t nunsure;                /* workers of which that is so */
};

void route_nsp(struct route *route, const char *nsp)
{
    route->nsp = slice_str(nsp);
}

struct route *route_new(const char *nsp)
{
    struct route *route = calloc(1, sizeof(*route));

    if (route == NULL)
        return NULL;
    directory_init(&route->directory);
    mirror_init(&route->mirror);
    expect_init(&route->expect);
    route_nsp(route, nsp);
    return route;
}

void route_free(struct route **routep)
{
    struct route *route = *routep;

    if (route == NULL)
        return;
    mirror_clear(&route->mirror);
    expect_clear(&route->expect);
    directory_clear(&route->directory);
    free(route);
    *routep = NULL;
}

void route_sessions(struct route *route, struct sessions *sessions)
{
    route->sessions = sessions;
}

/* --- users ---------------------------------------------------------------------- */

static struct user *user_find(const struct route *route, struct slice uid)
{
    struct listing *listing = directory_find(&route->directory, uid);

    return listing != NULL ? listing_user(listing) : NULL;
}

/* What that worker holds is known again. */
static void sure(struct route *route, unsigned lane)
{
    route->nunsure -= route->unsure[lane];
    route->unsure[lane] = 0;
}

int route_join(struct route *route, struct slice uid, unsigned lane, uint64_t client)
{
    assert(lane < START_LANES);
    if (directory_user_add(&route->directory, uid, lane, client) < 0)
        return -1;
    route->clients[lane]++;
    return 0;
}

int route_leave(struct route *route, struct slice uid, unsigned lane, uint64_t client)
{
    if (directory_user_take(&route->directory, uid, lane, client) < 0)
        return -1;
    mirror_gone(&route->mirror, &route->directory, lane, client);
    /* A join that is on its way there finds nobody: who is let in later is in behind it. */
    if (--route->clients[lane] == 0)
        sure(route, lane);
    return 0;
}

size_t route_clients(const struct route *route, struct slice uid)
{
    const struct user *user = user_find(route, uid);

    return user != NULL ? user_staying(user) : 0;
}

int route_oldest(const struct route *route, struct slice uid, unsigned *lane, uint64_t *client)
{
    const struct user *user = user_find(route, uid);

    return user != NULL ? user_oldest(user, lane, client) : -1;
}

int route_oust(struct route *route, struct slice uid)
{
    struct user *user = user_find(route, uid);

    return user != NULL ? user_oust(user) : -1;
}

int route_oust_client(struct route *route, struct slice uid, unsigned lane, uint64_t client)
{
    struct user *user = user_find(route, uid);

    return user != NULL ? user_oust_one(user, lane, client) : -1;
}

size_t route_users(const struct route *route)
{
    return route->directory.users;
}

uint32_t route_scan_users(const struct route *route, uint32_t cursor,
                          void (*visit)(struct slice uid, void *arg), void *arg)
{
    return directory_scan_users(&route->directory, cursor, visit, arg);
}

/* --- workers -------------------------------------------------------------------- */

void route_up(struct route *route, unsigned lane)
{
    assert(lane < START_LANES);
    for (size_t i = 0; i < route->up.n; i++)
        if (route->up.lanes[i] == lane)
            return;
    route->up.lanes[route->up.n++] = (uint16_t)lane;
}

void route_down(struct route *route, unsigned lane)
{
    for (size_t i = 0; i < route->up.n; i++) {
        if (route->up.lanes[i] == lane) {
            route->up.lanes[i] = route->up.lanes[--route->up.n];
            break;
        }
    }
    mirror_drop_lane(&route->mirror, lane);
    expect_drop_lane(&route->expect, lane);
    directory_drop_lane(&route->directory, lane);
    route->clients[lane] = 0;
    sure(route, lane);
}

/* --- further rooms -------------------------------------------------------------- */

/* Some of what that worker holds is not known. */
static void unsure(struct route *route, unsigned lane)
{
    route->nunsure += !route->unsure[lane];
    route->unsure[lane] = 1;
}

/* A worker has no more clients in further rooms than it has clients. */
static int may_be(const struct route *route, unsigned lane, uint64_t client)
{
    return route->mirror.lanes[lane] < route->clients[lane] ||
           mirror_find(&route->mirror, lane, client) != NULL;
}

/* Not all of that client's rooms are known. */
static void forget_session(struct route *route, unsigned lane, uint64_t client)
{
    if (route->sessions != NULL)
        sessions_take(route->sessions, lane, client);
}

int route_room_join(struct route *route, unsigned lane, uint64_t client, struct slice room,
                    uint64_t seq, int is_claim)
{
    if (!may_be(route, lane, client))
        return 1;
    if (slice_eq(room, SLICE(ROUTE_EVERYBODY))) {
        mirror_default_join(&route->mirror, lane, client, MIRROR_EVERYBODY,
                            route->sessions != NULL ? seq : 0);
        return 0;
    }
    seq |= is_claim ? MIRROR_CLAIMED : 0;
    if (mirror_join(&route->mirror, &route->directory, lane, client, room, seq) == 0)
        return 0;
    unsure(route, lane);
    forget_session(route, lane, client);
    return -1;
}

/* A room that it was not in is one of the two that it is in from the beginning. */
void route_room_leave(struct route *route, unsigned lane, uint64_t client, struct slice room)
{
    int rc = 0;

    if (!may_be(route, lane, client))
        return;
    if (slice_eq(room, SLICE(ROUTE_EVERYBODY)))
        rc = mirror_default_leave(&route->mirror, lane, client, MIRROR_EVERYBODY);
    else if (mirror_leave(&route->mirror, &route->directory, lane, client, room) < 0)
        rc = mirror_default_leave(&route->mirror, lane, client, MIRROR_OWN);
    if (rc < 0)
        forget_session(route, lane, client);
}

int route_expect(struct route *route, uint32_t id, const struct slices *names,
                 const struct route_targets *targets)
{
    if (expect_put(&route->expect, &route->directory, id, names, targets->lanes, targets->n) == 0)
        return 0;
    for (size_t i = 0; i < targets->n; i++)
        unsure(route, targets->lanes[i]);
    return -1;
}

void route_settle(struct route *route, uint32_t id, unsigned lane)
{
    expect_settle(&route->expect, &route->directory, id, lane);
}

int route_user_rooms(const struct route *route, struct slice uid, struct slices *rooms)
{
    return roomlist_take(rooms, &route->directory, &route->mirror, uid, SLICE(ROUTE_EVERYBODY));
}

size_t route_rooms(const struct route *route)
{
    return route->directory.rooms;
}

size_t route_seats(const struct route *route)
{
    return route->mirror.seats;
}

void route_joining(struct route *route, unsigned lane, uint64_t seq)
{
    route->joining[lane] = seq + 1;
}

uint64_t route_joined_seq(struct route *route, unsigned lane, uint64_t client, uint64_t seq)
{
    if (route->joining[lane] == ROUTE_UNKNOWN + 1)
        forget_session(route, lane, client);
    else if (route->joining[lane] != 0)
        return route->joining[lane] - 1;
    return seq;
}

/* --- for whoever looks ---------------------------------------------------------- */

unsigned route_client_rooms(const struct route *route, unsigned lane, uint64_t client,
                            void (*visit)(const struct route_seat *seat, void *arg), void *arg)
{
    const struct mirrored *mirrored = mirror_find(&route->mirror, lane, client);
    uint64_t seq = mirrored != NULL ? mirrored_since(mirrored) : 0;
    unsigned left = mirrored != NULL ? mirrored_left(mirrored) : 0;
    const struct listing *room;
    size_t at = 0;

    if (seq != 0) {
        left |= MIRROR_EVERYBODY;
        visit(&(struct route_seat){SLICE(ROUTE_EVERYBODY), seq, 0}, arg);
    }
    while (mirrored != NULL && (room = mirrored_next(mirrored, &at, &seq)) != NULL)
        visit(&(struct route_seat){listing_name(room), seq & ~MIRROR_CLAIMED,
                                   (seq & MIRROR_CLAIMED) != 0},
              arg);
    return left;
}

void route_each_client(struct route *route, unsigned lane,
                       void (*visit)(struct slice uid, uint64_t client, void *arg), void *arg)
{
    if (route->clients[lane] > 0)
        directory_each_client(&route->directory, lane, visit, arg);
}

/* --- where a message goes ------------------------------------------------------- */

/* A socket's id is a room of its own that is in no table: 20 characters, or (EIO3)
 * "<nsp>#<engine sid>", where the default namespace may be left out.  It names its
 * lane.  A user may have the same for a name, and then both are meant: what stands in
 * the table says nothing of the id.  A name that only looks like one costs a message
 * to one worker at most.  Returns the lane, or -1 if room is no id, or of a worker that
 * is not up. */
static int lane_of_id(const struct route *route, struct slice room)
{
    struct slice id = room, nsp = route->nsp;
    uint32_t lane;

    if (room.len == nsp.len + 1 + SID_LEN && room.ptr[nsp.len] == '#' &&
        memcmp(room.ptr, nsp.ptr, nsp.len) == 0)
        id = (struct slice){room.ptr + nsp.len + 1, SID_LEN};
    else if (room.len != SIO_SID_LEN && nsp.len != 1)
        return -1;
    if (sid_process(id, &lane) < 0)
        return -1;
    for (size_t i = 0; i < route->up.n; i++)
        if (route->up.lanes[i] == lane)
            return (int)lane;
    return -1;
}

/* The same where the client goes by the id of its first connection, which names another. */
static int lane_of_moved(const struct route *route, struct slice room)
{
    return route->sessions != NULL ? sessions_moved_lane(route->sessions, room) : -1;
}

static void turn_next(struct route *route)
{
    route->found.n = 0;
    if (++route->turn == 0) { /* wrapped: old stamps would count as new ones */
        memset(route->stamp, 0, sizeof(route->stamp));
        route->turn = 1;
    }
}

/* A copy: the caller may find a worker dead, and call route_down, on its way. */
static const struct route_targets *find_all(struct route *route)
{
    route->found.n = route->up.n;
    memcpy(route->found.lanes, route->up.lanes, route->up.n * sizeof(route->up.lanes[0]));
    return &route->found;
}

static void add_target(struct route *route, unsigned lane)
{
    if (route->stamp[lane] == route->turn)
        return;
    route->stamp[lane] = route->turn;
    route->found.lanes[route->found.n++] = (uint16_t)lane;
}

/* In a crowd it is over as soon as every worker has been met. */
static void add_user(struct route *route, const struct user *user)
{
    size_t at = 0;
    unsigned lane;

    while (route->found.n < route->up.n && (lane = user_next(user, &at, NULL)) != USER_END)
        add_target(route, lane);
}

static void add_holders(struct route *route, const struct held *held)
{
    size_t at = 0;
    unsigned lane;

    while ((lane = held_next(held, &at)) != HELD_END)
        add_target(route, lane);
}

static void add_listing(struct route *route, struct listing *listing)
{
    const struct user *user = listing_user(listing);
    const struct held *held = listing_room(listing);

    if (user != NULL)
        add_user(route, user);
    if (held != NULL)
        add_holders(route, held);
}

/* Those of which it is not known what they hold. */
static void add_unsure(struct route *route)
{
    for (size_t i = 0; i < route->up.n; i++) {
        unsigned lane = route->up.lanes[i];

        if (route->unsure[lane] || route->expect.unnamed[lane] > 0)
            add_target(route, lane);
    }
}

const struct route_targets *route_find(struct route *route, const struct slices *rooms)
{
    if (rooms->n == 0)
        return find_all(route);
    turn_next(route);
    for (size_t i = 0; i < rooms->n; i++) {
        struct listing *listing;
        int lane, moved;
        if (slice_eq(rooms->at[i], SLICE(ROUTE_EVERYBODY)))
            return find_all(route);
        listing = directory_find(&route->directory, rooms->at[i]);
        lane = lane_of_id(route, rooms->at[i]);
        moved = lane_of_moved(route, rooms->at[i]);
        if (listing != NULL)
            add_listing(route, listing);
        if (lane >= 0)
            add_target(route, (unsigned)lane);
        if (moved >= 0)
            add_target(route, (unsigned)moved);
    }
    if (route->nunsure + route->expect.nunnamed > 0)
        add_unsure(route);
    return &route->found;
}
