#include "worker/missed.h"
#include "ipc/history.h"

#include <stdlib.h>
#include <string.h>

#define BITS_EACH 16 /* for each name: one entry in so many is looked up in vain */

/* Indices count from 1 on, 0 being none. */
struct name {
    const char *at;
    uint32_t len, hash;
    uint32_t next;  /* another name, in its bucket */
    uint32_t first; /* of those who want it */
};

struct want {
    uint64_t since;
    uint32_t who, next; /* who counts from 0 on; next: another of the same name */
};

/* One piece of memory. */
struct missed {
    struct missing *const *who;
    size_t n;
    uint32_t nnames, nwants;
    uint32_t bucket_mask, bit_mask;
    uint64_t *bits;
    uint32_t *buckets; /* names */
    struct name *names;
    struct want *wants;
    char *text;
};

/* --- making it --- */

static uint32_t find(const struct missed *missed, uint32_t hash, struct slice name)
{
    uint32_t at = missed->buckets[hash & missed->bucket_mask];

    for (; at != 0; at = missed->names[at - 1].next) {
        const struct name *one = &missed->names[at - 1];

        if (one->hash == hash && slice_eq((struct slice){one->at, one->len}, name))
            break;
    }
    return at;
}

static uint32_t name_add(struct missed *missed, const struct missed_room *room)
{
    uint32_t *bucket = &missed->buckets[room->hash & missed->bucket_mask];
    uint32_t bit = room->hash & missed->bit_mask;

    if (room->len > 0)
        memcpy(missed->text, room->name, room->len);
    missed->names[missed->nnames] = (struct name){missed->text, room->len, room->hash, *bucket, 0};
    missed->text += room->len;
    missed->bits[bit / 64] |= UINT64_C(1) << bit % 64;
    return *bucket = ++missed->nnames;
}

static void want_add(struct missed *missed, uint32_t who, const struct missed_room *room)
{
    uint32_t at = find(missed, room->hash, (struct slice){room->name, room->len});
    struct name *name;

    if (at == 0)
        at = name_add(missed, room);
    name = &missed->names[at - 1];
    missed->wants[missed->nwants++] = (struct want){room->since, who, name->first};
    name->first = missed->nwants;
}

static size_t power_of_two(size_t least)
{
    size_t n = 64;

    while (n < least)
        n *= 2;
    return n;
}

/* The parts lie behind the struct, those that are aligned most first. */
static struct missed *allocate(size_t nrooms, size_t text)
{
    size_t nbuckets = power_of_two(nrooms), nbits = power_of_two(nrooms * BITS_EACH);
    size_t bits = nbits / 8, buckets = nbuckets * sizeof(uint32_t);
    size_t names = nrooms * sizeof(struct name), wants = nrooms * sizeof(struct want);
    struct missed *missed;

    if (nrooms > UINT32_MAX / BITS_EACH / 2)
        return NULL;
    missed = malloc(sizeof(*missed) + names + wants + bits + buckets + text);
    if (missed == NULL)
        return NULL;
    *missed =
        (struct missed){.bucket_mask = (uint32_t)nbuckets - 1, .bit_mask = (uint32_t)nbits - 1};
    missed->names = (struct name *)(void *)(missed + 1);
    missed->wants = (struct want *)(void *)(missed->names + nrooms);
    missed->bits = (uint64_t *)(void *)(missed->wants + nrooms);
    missed->buckets = (uint32_t *)(void *)(missed->bits + nbits / 64);
    missed->text = (char *)(missed->buckets + nbuckets);
    memset(missed->bits, 0, bits + buckets);
    return missed;
}

struct missed *missed_new(struct missing *const *who, size_t n)
{
    size_t nrooms = 0, text = 0;
    struct missed *missed;

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; who[i] != NULL && k < who[i]->nrooms; k++)
            text += who[i]->rooms[k].len;
        nrooms += who[i] != NULL ? who[i]->nrooms : 0;
    }
    if (n > UINT32_MAX || (missed = allocate(nrooms, text)) == NULL)
        return NULL;
    missed->who = who;
    missed->n = n;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; who[i] != NULL && k < who[i]->nrooms; k++)
            want_add(missed, (uint32_t)i, &who[i]->rooms[k]);
    return missed;
}

void missed_free(struct missed **missed)
{
    free(*missed);
    *missed = NULL;
}

/* --- an entry --- */

static int has_hash(const struct missed *missed, uint32_t hash)
{
    uint32_t bit = hash & missed->bit_mask;
    uint32_t at = (missed->bits[bit / 64] >> bit % 64 & 1) != 0
                      ? missed->buckets[hash & missed->bucket_mask]
                      : 0;

    while (at != 0 && missed->names[at - 1].hash != hash)
        at = missed->names[at - 1].next;
    return at != 0;
}

int missed_may(const struct missed *missed, const struct history_entry *entry)
{
    for (unsigned i = 0; i < entry->nrooms; i++)
        if (has_hash(missed, entry->hashes[i]))
            return 1;
    return entry->nrooms == 0; /* for everybody, or for more rooms than it tells */
}

/* One of those that a message is chosen for. */
struct choice {
    uint64_t at, seq, serial;
    void (*visit)(struct missing *one, void *arg); /* NULL: it is not for these */
    void *arg;
};

static void choose(const struct choice *choice, struct missing *one, uint64_t since)
{
    if (one == NULL || one->from > choice->at || choice->seq <= since ||
        one->mark == choice->serial)
        return;
    one->mark = choice->serial;
    if (choice->visit != NULL)
        choice->visit(one, choice->arg);
}

static void choose_room(const struct missed *missed, const struct history_view *view,
                        const struct choice *choice, struct slice name)
{
    uint32_t at = find(missed, history_hash(view, name), name);

    if (at == 0)
        return;
    for (at = missed->names[at - 1].first; at != 0; at = missed->wants[at - 1].next)
        choose(choice, missed->who[missed->wants[at - 1].who], missed->wants[at - 1].since);
}

void missed_choose(const struct missed *missed, const struct history_view *view, uint64_t at,
                   const struct msg_broadcast *bc, uint64_t serial,
                   void (*visit)(struct missing *one, void *arg), void *arg)
{
    const struct choice choice = {at, bc->seq, serial, visit, arg};
    const struct choice except = {at, bc->seq, serial, NULL, NULL};

    for (size_t i = 0; i < bc->except.n; i++)
        choose_room(missed, view, &except, bc->except.at[i]);
    for (size_t i = 0; i < bc->rooms.n; i++)
        choose_room(missed, view, &choice, bc->rooms.at[i]);
    for (size_t i = 0; bc->rooms.n == 0 && i < missed->n; i++)
        choose(&choice, missed->who[i], 0);
}
