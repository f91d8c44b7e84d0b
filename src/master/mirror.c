#include "master/mirror.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 4 /* of the first table; a power of two */

struct seat {
    struct listing *room; /* NULL: nothing is here */
    uint64_t seq;
};

/* One room is kept here; several in slots, a table in which a seat is in the first free
 * place from that of its hash on. */
struct mirrored {
    struct table_node node; /* first: a node is its client; the key begins at handle ... */
    uint64_t handle;
    uint16_t lane; /* ... and ends here */
    uint16_t left; /* default rooms */
    uint32_t n;
    uint32_t cap; /* a power of two; 1: at.one */
    union {
        struct seat one;
        struct seat *slots;
    } at;
    uint64_t since; /* in everybody's room again; 0: it is not so */
};

#define KEY_LEN (sizeof(uint64_t) + sizeof(uint16_t))

_Static_assert(offsetof(struct mirrored, lane) == offsetof(struct mirrored, handle) + 8,
               "a key has no gap");

/* --- one client --------------------------------------------------------------- */

static struct seat *slots_of(struct mirrored *mirrored)
{
    return mirrored->cap == 1 ? &mirrored->at.one : mirrored->at.slots;
}

/* Where a seat in room belongs.  Nobody outside knows where a listing lies. */
static uint32_t home(const struct listing *room, uint32_t cap)
{
    uint64_t hash = (uint64_t)(uintptr_t)room * 0x9e3779b97f4a7c15;

    return (uint32_t)(hash >> 32) & (cap - 1);
}

/* The seat in room, or the free place for one; NULL if it is not there and all are
 * taken. */
static struct seat *seat_find(struct mirrored *mirrored, const struct listing *room)
{
    struct seat *slots = slots_of(mirrored);
    uint32_t i = home(room, mirrored->cap);

    if (mirrored->cap == 1)
        return slots->room == room || slots->room == NULL ? slots : NULL;
    while (slots[i].room != room && slots[i].room != NULL)
        i = (i + 1) & (mirrored->cap - 1);
    return &slots[i];
}

/* The same with cap places, which are enough.  Returns 0, or -1 without memory. */
static int slots_resize(struct mirrored *mirrored, uint32_t cap)
{
    struct mirrored old = *mirrored;
    struct seat *slots = slots_of(&old);

    if (cap == 1)
        mirrored->at.one = (struct seat){NULL, 0};
    else
        mirrored->at.slots = calloc(cap, sizeof(*slots));
    if (cap > 1 && mirrored->at.slots == NULL) {
        *mirrored = old;
        return -1;
    }
    mirrored->cap = cap;
    for (uint32_t i = 0; i < old.cap; i++)
        if (slots[i].room != NULL)
            *seat_find(mirrored, slots[i].room) = slots[i];
    if (old.cap > 1)
        free(old.at.slots);
    return 0;
}

/* A quarter of the places stays free, so that a search ends soon. */
static int seat_room(struct mirrored *mirrored)
{
    uint32_t cap = mirrored->cap;

    if (mirrored->n < cap - cap / 4)
        return 0;
    if (cap > UINT32_MAX / 4)
        return -1;
    return slots_resize(mirrored, cap == 1 ? SLOTS_MIN : cap * 2);
}

/* Those behind it that are not where they belong move up, so that none is behind a gap. */
static void seat_remove(struct mirrored *mirrored, struct seat *seat)
{
    struct seat *slots = slots_of(mirrored);
    uint32_t mask = mirrored->cap - 1, gap = (uint32_t)(seat - slots), i = gap;

    slots[gap].room = NULL;
    mirrored->n--;
    while (slots[i = (i + 1) & mask].room != NULL) {
        uint32_t from = home(slots[i].room, mirrored->cap);

        if (((i - from) & mask) < ((i - gap) & mask))
            continue; /* it belongs behind the gap */
        slots[gap] = slots[i];
        slots[i].room = NULL;
        gap = i;
    }
    if (mirrored->cap > 1 && mirrored->n <= mirrored->cap / 8)
        (void)slots_resize(mirrored, mirrored->n > 1 ? mirrored->cap / 4 : 1);
}

static void mirrored_free(struct mirrored *mirrored)
{
    if (mirrored->cap > 1)
        free(mirrored->at.slots);
    free(mirrored);
}

/* --- all ------------------------------------------------------------------------ */

void mirror_init(struct mirror *mirror)
{
    memset(mirror, 0, sizeof(*mirror));
    table_init(&mirror->clients);
}

static int visit_free(struct table_node *node, void *arg)
{
    (void)arg;
    mirrored_free((struct mirrored *)node);
    return 0;
}

void mirror_clear(struct mirror *mirror)
{
    table_each(&mirror->clients, visit_free, NULL);
    table_clear(&mirror->clients);
}

static struct mirrored *find(const struct mirror *mirror, unsigned lane, uint64_t client)
{
    const struct mirrored key = {.handle = client, .lane = (uint16_t)lane};

    return (struct mirrored *)table_find(&mirror->clients, (const char *)&key.handle, KEY_LEN);
}

/* The entry of that client, which is made if there is none. */
static struct mirrored *provide(struct mirror *mirror, unsigned lane, uint64_t client)
{
    struct mirrored *mirrored = find(mirror, lane, client);

    if (mirrored != NULL)
        return mirrored;
    mirrored = calloc(1, sizeof(*mirrored));
    if (mirrored == NULL)
        return NULL;
    mirrored->handle = client;
    mirrored->lane = (uint16_t)lane;
    mirrored->cap = 1;
    mirrored->node =
        (struct table_node){.key = (const char *)&mirrored->handle, .key_len = KEY_LEN};
    if (table_insert(&mirror->clients, &mirrored->node) < 0) {
        free(mirrored);
        return NULL;
    }
    mirror->lanes[lane]++;
    return mirrored;
}

static void tidy(struct mirror *mirror, struct mirrored *mirrored)
{
    if (mirrored->n > 0 || mirrored->left != 0 || mirrored->since != 0)
        return;
    mirror->lanes[mirrored->lane]--;
    table_remove(&mirror->clients, &mirrored->node);
    mirrored_free(mirrored);
}

/* Counts it in before it is looked for, so that the room is listed. */
int mirror_join(struct mirror *mirror, struct directory *directory, unsigned lane, uint64_t client,
                struct slice room, uint64_t seq)
{
    struct listing *listing = directory_room_add(directory, room, lane);
    struct mirrored *mirrored = listing != NULL ? provide(mirror, lane, client) : NULL;
    struct seat *seat = mirrored != NULL ? seat_find(mirrored, listing) : NULL;

    if (seat != NULL && seat->room == listing) {
        seat->seq &= seq | ~MIRROR_CLAIMED;
        directory_room_take(directory, listing, lane);
        return 0;
    }
    if (mirrored == NULL || seat_room(mirrored) < 0) {
        if (listing != NULL)
            directory_room_take(directory, listing, lane);
        if (mirrored != NULL)
            tidy(mirror, mirrored);
        return -1;
    }
    *seat_find(mirrored, listing) = (struct seat){listing, seq};
    mirrored->n++;
    mirror->seats++;
    return 0;
}

int mirror_leave(struct mirror *mirror, struct directory *directory, unsigned lane, uint64_t client,
                 struct slice room)
{
    struct mirrored *mirrored = find(mirror, lane, client);
    struct listing *listing = mirrored != NULL ? directory_find(directory, room) : NULL;
    struct seat *seat = listing != NULL ? seat_find(mirrored, listing) : NULL;

    if (seat == NULL || seat->room != listing)
        return -1;
    seat_remove(mirrored, seat);
    mirror->seats--;
    directory_room_take(directory, listing, lane);
    tidy(mirror, mirrored);
    return 0;
}

int mirror_default_leave(struct mirror *mirror, unsigned lane, uint64_t client, unsigned which)
{
    struct mirrored *mirrored = provide(mirror, lane, client);

    if (mirrored == NULL)
        return -1;
    mirrored->left |= (uint16_t)which;
    if (which & MIRROR_EVERYBODY)
        mirrored->since = 0;
    return 0;
}

void mirror_default_join(struct mirror *mirror, unsigned lane, uint64_t client, unsigned which,
                         uint64_t seq)
{
    struct mirrored *mirrored = find(mirror, lane, client);

    if (mirrored == NULL)
        return;
    if (mirrored->left & which & MIRROR_EVERYBODY)
        mirrored->since = seq;
    mirrored->left &= (uint16_t)~which;
    tidy(mirror, mirrored);
}

void mirror_gone(struct mirror *mirror, struct directory *directory, unsigned lane, uint64_t client)
{
    struct mirrored *mirrored = find(mirror, lane, client);
    const struct seat *slots;

    if (mirrored == NULL)
        return;
    slots = slots_of(mirrored);
    for (uint32_t i = 0; i < mirrored->cap; i++)
        if (slots[i].room != NULL)
            directory_room_take(directory, slots[i].room, lane);
    mirror->seats -= mirrored->n;
    mirrored->n = mirrored->left = 0;
    mirrored->since = 0;
    tidy(mirror, mirrored);
}

struct leaver {
    struct mirror *mirror;
    unsigned lane;
};

static int visit_drop(struct table_node *node, void *arg)
{
    const struct leaver *leaver = arg;
    struct mirrored *mirrored = (struct mirrored *)node;

    if (mirrored->lane != leaver->lane)
        return 0;
    leaver->mirror->seats -= mirrored->n;
    table_remove(&leaver->mirror->clients, node);
    mirrored_free(mirrored);
    return 0;
}

/* What it held is not looked for in each room: the directory is walked anyway. */
void mirror_drop_lane(struct mirror *mirror, unsigned lane)
{
    if (mirror->lanes[lane] == 0)
        return;
    table_each(&mirror->clients, visit_drop, &(struct leaver){mirror, lane});
    mirror->lanes[lane] = 0;
}

/* --- for whoever looks ---------------------------------------------------------- */

const struct mirrored *mirror_find(const struct mirror *mirror, unsigned lane, uint64_t client)
{
    return find(mirror, lane, client);
}

unsigned mirrored_left(const struct mirrored *mirrored)
{
    return mirrored->left;
}

uint64_t mirrored_since(const struct mirrored *mirrored)
{
    return mirrored->since;
}

const struct listing *mirrored_next(const struct mirrored *mirrored, size_t *at, uint64_t *seq)
{
    const struct seat *slots = mirrored->cap == 1 ? &mirrored->at.one : mirrored->at.slots;

    while (*at < mirrored->cap) {
        const struct seat *seat = &slots[(*at)++];

        if (seat->room == NULL)
            continue;
        if (seq != NULL)
            *seq = seat->seq;
        return seat->room;
    }
    return NULL;
}
