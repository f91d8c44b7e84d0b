#include "master/seats.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NONE     0xffff /* as a slot: nobody sits here */
#define CROWD    0xfffe /* ... of struct seats: see at.crowd */
#define NOWHERE  UINT32_MAX
#define SCAN_MAX 8 /* a crowd of so many is searched from end to end */

struct seat {
    uint64_t handle;
    uint32_t next; /* in its chain */
    uint16_t slot;
};

/* Seats in the order of admission, with gaps where somebody has left: closed when
 * the end is reached.  Behind the seats of a large crowd are the heads of chains
 * by which a seat is found, as many as there are seats. */
struct crowd {
    uint32_t n;       /* taken seats */
    uint32_t leaving; /* of them: told to leave, all that are before first */
    uint32_t first;
    uint32_t end, cap; /* a power of two */
    struct seat at[];
};

/* --- a crowd ------------------------------------------------------------------ */

static int has_chains(const struct crowd *crowd)
{
    return crowd->cap > SCAN_MAX;
}

static uint32_t *chain(struct crowd *crowd, unsigned slot, uint64_t handle)
{
    uint32_t *heads = (uint32_t *)(void *)(crowd->at + crowd->cap);
    uint64_t hash = (handle ^ (uint64_t)slot << 48) * 0x9e3779b97f4a7c15;
    return &heads[hash >> 32 & (crowd->cap - 1)];
}

static struct crowd *crowd_new(uint32_t cap)
{
    size_t bytes = sizeof(struct crowd) + cap * sizeof(struct seat);
    if (cap > SCAN_MAX)
        bytes += cap * sizeof(uint32_t);
    struct crowd *crowd = malloc(bytes);
    if (!crowd)
        return NULL;
    *crowd = (struct crowd){.cap = cap};
    if (has_chains(crowd))
        memset(crowd->at + cap, 0xff, cap * sizeof(uint32_t)); /* NOWHERE */
    return crowd;
}

static void crowd_put(struct crowd *crowd, unsigned slot, uint64_t handle)
{
    uint32_t pos = crowd->end++;
    assert(pos < crowd->cap);
    crowd->at[pos] = (struct seat){.handle = handle, .next = NOWHERE, .slot = (uint16_t)slot};
    crowd->n++;
    if (!has_chains(crowd))
        return;
    uint32_t *head = chain(crowd, slot, handle);
    crowd->at[pos].next = *head;
    *head = pos;
}

static uint32_t crowd_find(struct crowd *crowd, unsigned slot, uint64_t handle)
{
    int chains = has_chains(crowd);
    uint32_t pos = chains ? *chain(crowd, slot, handle) : 0;
    while (pos != NOWHERE && pos < crowd->end) {
        const struct seat *seat = &crowd->at[pos];
        if (seat->slot == slot && seat->handle == handle)
            return pos;
        pos = chains ? seat->next : pos + 1;
    }
    return NOWHERE;
}

static void crowd_remove(struct crowd *crowd, uint32_t pos)
{
    struct seat *seat = &crowd->at[pos];
    if (has_chains(crowd)) {
        uint32_t *at = chain(crowd, seat->slot, seat->handle);
        while (*at != pos)
            at = &crowd->at[*at].next;
        *at = seat->next;
    }
    seat->slot = NONE;
    crowd->n--;
    if (pos < crowd->first)
        crowd->leaving--;
}

/* The same without gaps, in cap seats.  Returns 0, or -1 without memory. */
static int crowd_move(struct crowd **crowdp, uint32_t cap)
{
    struct crowd *old = *crowdp, *crowd = crowd_new(cap);
    if (!crowd)
        return -1;
    for (uint32_t pos = 0; pos < old->end; pos++)
        if (old->at[pos].slot != NONE)
            crowd_put(crowd, old->at[pos].slot, old->at[pos].handle);
    crowd->first = crowd->leaving = old->leaving;
    free(old);
    *crowdp = crowd;
    return 0;
}

/* A seat at its end.  As many seats are freed or made as it costs to move. */
static int crowd_room(struct crowd **crowd)
{
    uint32_t n = (*crowd)->n, cap = (*crowd)->cap;
    if ((*crowd)->end < cap)
        return 0;
    if (cap > UINT32_MAX / 64)
        return -1;
    return crowd_move(crowd, n > cap / 2 ? cap * 2 : cap);
}

static uint32_t crowd_oldest(const struct crowd *crowd)
{
    uint32_t pos = crowd->first;
    while (pos < crowd->end && crowd->at[pos].slot == NONE)
        pos++;
    return pos < crowd->end ? pos : NOWHERE;
}

/* --- seats -------------------------------------------------------------------- */

void seats_init(struct seats *seats, unsigned slot, uint64_t handle)
{
    assert(slot <= SEATS_SLOT_MAX);
    seats->at.handle = handle;
    seats->slot = (uint16_t)slot;
}

void seats_drop_all(struct seats *seats)
{
    if (seats->slot == CROWD)
        free(seats->at.crowd);
    seats->slot = NONE;
}

static int make_crowd(struct seats *seats)
{
    struct crowd *crowd = crowd_new(2);
    if (!crowd)
        return -1;
    if (seats->slot != NONE)
        crowd_put(crowd, seats->slot, seats->at.handle);
    seats->at.crowd = crowd;
    seats->slot = CROWD;
    return 0;
}

int seats_add(struct seats *seats, unsigned slot, uint64_t handle)
{
    assert(slot <= SEATS_SLOT_MAX);
    if (seats->slot == NONE) {
        seats_init(seats, slot, handle);
        return 0;
    }
    if (seats->slot != CROWD && make_crowd(seats) < 0)
        return -1;
    if (crowd_room(&seats->at.crowd) < 0)
        return -1;
    crowd_put(seats->at.crowd, slot, handle);
    return 0;
}

/* Gives memory back. */
static void tidy(struct seats *seats)
{
    struct crowd *crowd = seats->at.crowd;
    if (crowd->n == 0) {
        seats_drop_all(seats);
    } else if (crowd->n == 1 && crowd->leaving == 0) {
        uint32_t pos = crowd_oldest(crowd);
        seats_init(seats, crowd->at[pos].slot, crowd->at[pos].handle);
        free(crowd);
    } else if (crowd->cap > SCAN_MAX && crowd->n <= crowd->cap / 8) {
        (void)crowd_move(&seats->at.crowd, crowd->cap / 4); /* without memory it stays large */
    }
}

int seats_take(struct seats *seats, unsigned slot, uint64_t handle)
{
    if (seats->slot != CROWD) {
        if (slot > SEATS_SLOT_MAX || seats->slot != slot || seats->at.handle != handle)
            return -1;
        seats->slot = NONE;
        return 0;
    }
    uint32_t pos = crowd_find(seats->at.crowd, slot, handle);
    if (pos == NOWHERE)
        return -1;
    crowd_remove(seats->at.crowd, pos);
    tidy(seats);
    return 0;
}

void seats_drop_slot(struct seats *seats, unsigned slot)
{
    if (seats->slot == slot)
        seats->slot = NONE;
    if (seats->slot != CROWD)
        return;
    struct crowd *crowd = seats->at.crowd;
    for (uint32_t pos = 0; pos < crowd->end; pos++)
        if (crowd->at[pos].slot == slot)
            crowd_remove(crowd, pos);
    tidy(seats);
}

size_t seats_count(const struct seats *seats)
{
    if (seats->slot == CROWD)
        return seats->at.crowd->n;
    return seats->slot != NONE;
}

size_t seats_staying(const struct seats *seats)
{
    if (seats->slot == CROWD)
        return seats->at.crowd->n - seats->at.crowd->leaving;
    return seats->slot != NONE;
}

int seats_oldest(const struct seats *seats, unsigned *slot, uint64_t *handle)
{
    if (seats_staying(seats) == 0)
        return -1;
    if (seats->slot != CROWD) {
        *slot = seats->slot;
        *handle = seats->at.handle;
        return 0;
    }
    const struct seat *seat = &seats->at.crowd->at[crowd_oldest(seats->at.crowd)];
    *slot = seat->slot;
    *handle = seat->handle;
    return 0;
}

int seats_oust(struct seats *seats)
{
    if (seats_staying(seats) == 0)
        return -1;
    if (seats->slot != CROWD && make_crowd(seats) < 0)
        return -1;
    struct crowd *crowd = seats->at.crowd;
    crowd->first = crowd_oldest(crowd) + 1;
    crowd->leaving++;
    return 0;
}

unsigned seats_next(const struct seats *seats, size_t *at)
{
    const struct crowd *crowd = seats->at.crowd;
    if (seats->slot != CROWD)
        return (*at)++ == 0 ? seats->slot : SEATS_END;
    while (*at < crowd->end) {
        uint16_t slot = crowd->at[(*at)++].slot;
        if (slot != NONE)
            return slot;
    }
    return SEATS_END;
}
