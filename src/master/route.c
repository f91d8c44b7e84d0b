#include "master/route.h"

#include "base/table.h"
#include "engine/engine.h"

#include <assert.h>
#include <stdlib.h>

struct holder {
    uint32_t slot;
    uint32_t clients; /* > 0 */
};

/* Hundreds of thousands of these: one allocation, and a second one only for a
 * room that lies on several workers. */
struct entry {
    struct table_node node; /* first: a node is its entry */
    struct holder *holders; /* &one, or an array of its own */
    struct holder one;
    uint32_t nholders; /* > 0 */
    char name[];
};

struct route {
    struct table rooms;
    struct slice nsp;
    struct route_targets up;
    struct route_targets found;
    uint32_t stamp[CONF_WORKERS_MAX]; /* == turn: already among found */
    uint32_t turn;
};

struct route *route_new(const char *nsp)
{
    struct route *route = calloc(1, sizeof *route);
    if (!route)
        return NULL;
    table_init(&route->rooms);
    route->nsp = slice_str(nsp);
    return route;
}

static void entry_free(struct entry *entry)
{
    if (entry->holders != &entry->one)
        free(entry->holders);
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
    if (!route)
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

static struct entry *entry_new(struct slice room, unsigned slot)
{
    if (room.len > UINT32_MAX)
        return NULL;
    struct entry *entry = malloc(sizeof *entry + room.len);
    if (!entry)
        return NULL;
    if (room.len > 0)
        memcpy(entry->name, room.ptr, room.len);
    entry->node = (struct table_node){.key = entry->name, .key_len = (uint32_t)room.len};
    entry->holders = &entry->one;
    entry->one = (struct holder){.slot = slot, .clients = 1};
    entry->nholders = 1;
    return entry;
}

static struct holder *entry_holder(struct entry *entry, unsigned slot)
{
    for (uint32_t i = 0; i < entry->nholders; i++)
        if (entry->holders[i].slot == slot)
            return &entry->holders[i];
    return NULL;
}

static int entry_grow(struct entry *entry, unsigned slot)
{
    int inside = entry->holders == &entry->one;
    struct holder *more =
        realloc(inside ? NULL : entry->holders, (entry->nholders + 1) * sizeof *more);
    if (!more)
        return -1;
    if (inside)
        more[0] = entry->one;
    more[entry->nholders++] = (struct holder){.slot = slot, .clients = 1};
    entry->holders = more;
    return 0;
}

int route_join(struct route *route, struct slice room, unsigned slot)
{
    assert(slot < CONF_WORKERS_MAX);
    struct entry *entry = find(route, room);
    if (entry) {
        struct holder *holder = entry_holder(entry, slot);
        if (!holder)
            return entry_grow(entry, slot);
        if (holder->clients == UINT32_MAX)
            return -1;
        holder->clients++;
        return 0;
    }
    entry = entry_new(room, slot);
    if (!entry)
        return -1;
    if (table_insert(&route->rooms, &entry->node) < 0) {
        entry_free(entry);
        return -1;
    }
    return 0;
}

/* Takes holder out; the entry goes with its last one. */
static void entry_drop(struct route *route, struct entry *entry, struct holder *holder)
{
    *holder = entry->holders[--entry->nholders];
    if (entry->nholders > 0)
        return;
    table_remove(&route->rooms, &entry->node);
    entry_free(entry);
}

int route_leave(struct route *route, struct slice room, unsigned slot)
{
    struct entry *entry = find(route, room);
    struct holder *holder = entry ? entry_holder(entry, slot) : NULL;
    if (!holder)
        return -1;
    if (--holder->clients == 0)
        entry_drop(route, entry, holder);
    return 0;
}

size_t route_clients(const struct route *route, struct slice room)
{
    const struct entry *entry = find(route, room);
    size_t clients = 0;
    for (uint32_t i = 0; entry && i < entry->nholders; i++)
        clients += entry->holders[i].clients;
    return clients;
}

size_t route_rooms(const struct route *route)
{
    return route->rooms.count;
}

void route_up(struct route *route, unsigned slot)
{
    assert(slot < CONF_WORKERS_MAX);
    for (size_t i = 0; i < route->up.n; i++)
        if (route->up.slots[i] == slot)
            return;
    route->up.slots[route->up.n++] = (uint16_t)slot;
}

struct leaver {
    struct route *route;
    unsigned slot;
};

static int visit_leave(struct table_node *node, void *arg)
{
    struct leaver *leaver = arg;
    struct entry *entry = (struct entry *)node;
    struct holder *holder = entry_holder(entry, leaver->slot);
    if (holder)
        entry_drop(leaver->route, entry, holder);
    return 0;
}

/* Walks the whole table: a worker dies rarely, and a list of what each holds
 * would cost every room two pointers. */
void route_down(struct route *route, unsigned slot)
{
    for (size_t i = 0; i < route->up.n; i++) {
        if (route->up.slots[i] == slot) {
            route->up.slots[i] = route->up.slots[--route->up.n];
            break;
        }
    }
    table_each(&route->rooms, visit_leave, &(struct leaver){route, slot});
}

/* A socket's id is a room of its own that is in no table: 20 characters, or
 * (EIO3) "<nsp>#<engine sid>", where the default namespace may be left out. */
static int may_be_sid(const struct route *route, struct slice room)
{
    struct slice nsp = route->nsp;
    if (room.len == SIO_SID_LEN)
        return 1;
    if (room.len > nsp.len && room.ptr[nsp.len] == '#' && memcmp(room.ptr, nsp.ptr, nsp.len) == 0)
        return 1;
    return room.len == ENGINE_SID_LEN && nsp.len == 1;
}

static void turn_next(struct route *route)
{
    route->found.n = 0;
    if (++route->turn == 0) { /* wrapped: old stamps would count as new ones */
        memset(route->stamp, 0, sizeof route->stamp);
        route->turn = 1;
    }
}

/* A copy: the caller may find a worker dead, and call route_down, on its way. */
static const struct route_targets *find_all(struct route *route)
{
    route->found = route->up;
    return &route->found;
}

const struct route_targets *route_find(struct route *route, const struct slices *rooms)
{
    if (rooms->n == 0)
        return find_all(route);
    turn_next(route);
    for (size_t i = 0; i < rooms->n; i++) {
        if (slice_eq(rooms->at[i], SLICE(ROUTE_EVERYBODY)))
            return find_all(route);
        const struct entry *entry = find(route, rooms->at[i]);
        if (!entry && may_be_sid(route, rooms->at[i]))
            return find_all(route);
        for (uint32_t k = 0; entry && k < entry->nholders; k++) {
            uint32_t slot = entry->holders[k].slot;
            if (route->stamp[slot] == route->turn)
                continue;
            route->stamp[slot] = route->turn;
            route->found.slots[route->found.n++] = (uint16_t)slot;
        }
    }
    return &route->found;
}
