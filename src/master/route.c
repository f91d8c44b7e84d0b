#include "master/route.h"

#include "base/table.h"
#include "codec/sid.h"
#include "master/user.h"

#include <assert.h>
#include <stdlib.h>

/* Hundreds of thousands of these: one allocation for a user with one connection. */
struct entry {
    struct table_node node; /* first: a node is its entry */
    struct user user;       /* never empty */
    char name[];
};

struct route {
    struct table rooms;
    struct slice nsp;
    struct route_targets up;
    struct route_targets found;
    uint32_t stamp[START_LANES]; /* == turn: already among found */
    uint32_t turn;
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
    table_init(&route->rooms);
    route_nsp(route, nsp);
    return route;
}

static void entry_free(struct entry *entry)
{
    user_drop_all(&entry->user);
    free(entry);
}

static int visit_free(struct table_node *node, void *arg)
{
    (void)arg;
    entry_free((struct entry *)node);
    return 0;
}

void route_free(struct route **routep)
{
    struct route *route = *routep;

    if (route == NULL)
        return;
    table_each(&route->rooms, visit_free, NULL);
    table_clear(&route->rooms);
    free(route);
    *routep = NULL;
}

static struct entry *find(const struct route *route, struct slice room)
{
    return (struct entry *)table_find(&route->rooms, room.ptr, room.len);
}

static struct entry *entry_new(struct slice room, unsigned lane, uint64_t client)
{
    struct entry *entry;

    if (room.len > UINT32_MAX)
        return NULL;
    entry = malloc(sizeof(*entry) + room.len);
    if (entry == NULL)
        return NULL;
    if (room.len > 0)
        memcpy(entry->name, room.ptr, room.len);
    entry->node = (struct table_node){.key = entry->name, .key_len = (uint32_t)room.len};
    user_init(&entry->user, lane, client);
    return entry;
}

int route_join(struct route *route, struct slice room, unsigned lane, uint64_t client)
{
    struct entry *entry;

    assert(lane < START_LANES);
    entry = find(route, room);
    if (entry != NULL)
        return user_add(&entry->user, lane, client);
    entry = entry_new(room, lane, client);
    if (entry == NULL)
        return -1;
    if (table_insert(&route->rooms, &entry->node) < 0) {
        entry_free(entry);
        return -1;
    }
    return 0;
}

static void entry_drop_if_empty(struct route *route, struct entry *entry)
{
    if (user_count(&entry->user) > 0)
        return;
    table_remove(&route->rooms, &entry->node);
    entry_free(entry);
}

int route_leave(struct route *route, struct slice room, unsigned lane, uint64_t client)
{
    struct entry *entry = find(route, room);

    if (entry == NULL || user_take(&entry->user, lane, client) < 0)
        return -1;
    entry_drop_if_empty(route, entry);
    return 0;
}

size_t route_clients(const struct route *route, struct slice room)
{
    const struct entry *entry = find(route, room);

    return entry != NULL ? user_staying(&entry->user) : 0;
}

int route_oldest(const struct route *route, struct slice room, unsigned *lane, uint64_t *client)
{
    const struct entry *entry = find(route, room);

    return entry != NULL ? user_oldest(&entry->user, lane, client) : -1;
}

int route_oust(struct route *route, struct slice room)
{
    struct entry *entry = find(route, room);

    return entry != NULL ? user_oust(&entry->user) : -1;
}

size_t route_rooms(const struct route *route)
{
    return route->rooms.count;
}

void route_up(struct route *route, unsigned lane)
{
    assert(lane < START_LANES);
    for (size_t i = 0; i < route->up.n; i++)
        if (route->up.lanes[i] == lane)
            return;
    route->up.lanes[route->up.n++] = (uint16_t)lane;
}

struct leaver {
    struct route *route;
    unsigned lane;
};

static int visit_leave(struct table_node *node, void *arg)
{
    struct leaver *leaver = arg;
    struct entry *entry = (struct entry *)node;

    user_drop_lane(&entry->user, leaver->lane);
    entry_drop_if_empty(leaver->route, entry);
    return 0;
}

/* Walks the whole table: a worker dies rarely, and a list of what each holds
 * would cost every room two pointers. */
void route_down(struct route *route, unsigned lane)
{
    for (size_t i = 0; i < route->up.n; i++) {
        if (route->up.lanes[i] == lane) {
            route->up.lanes[i] = route->up.lanes[--route->up.n];
            break;
        }
    }
    table_each(&route->rooms, visit_leave, &(struct leaver){route, lane});
}

/* --- further rooms -------------------------------------------------------------- */

int route_room_join(struct route *route, unsigned lane, uint64_t client, struct slice room,
                    uint64_t seq)
{
    (void)route, (void)lane, (void)client, (void)room, (void)seq;
    return 0;
}

void route_room_leave(struct route *route, unsigned lane, uint64_t client, struct slice room)
{
    (void)route, (void)lane, (void)client, (void)room;
}

int route_expect(struct route *route, uint32_t id, const struct slices *names,
                 const struct route_targets *targets)
{
    (void)route, (void)id, (void)names, (void)targets;
    return 0;
}

void route_settle(struct route *route, uint32_t id, unsigned lane)
{
    (void)route, (void)id, (void)lane;
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
static void add_targets(struct route *route, const struct user *user)
{
    size_t at = 0;
    unsigned lane;

    while (route->found.n < route->up.n && (lane = user_next(user, &at)) != USER_END)
        add_target(route, lane);
}

const struct route_targets *route_find(struct route *route, const struct slices *rooms)
{
    if (rooms->n == 0)
        return find_all(route);
    turn_next(route);
    for (size_t i = 0; i < rooms->n; i++) {
        const struct entry *entry;
        int lane;
        if (slice_eq(rooms->at[i], SLICE(ROUTE_EVERYBODY)))
            return find_all(route);
        entry = find(route, rooms->at[i]);
        lane = lane_of_id(route, rooms->at[i]);
        if (entry != NULL)
            add_targets(route, &entry->user);
        if (lane >= 0)
            add_target(route, (unsigned)lane);
    }
    return &route->found;
}
