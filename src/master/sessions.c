#include "master/sessions.h"

#include "base/base64.h"
#include "base/rand.h"
#include "base/siphash.h"
#include "codec/sid.h"
#include "ipc/start.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK     256        /* clients; a power of two */
#define NOBODY    UINT32_MAX /* as what is at a slot */
#define SLOTS_MIN 16

_Static_assert(SESSION_LEN == SIO_SID_BYTES, "a session's id is that of a connection");

enum { IS_HOME = 1, IS_MOVED = 2, IS_BROKEN = 4, IS_FOREIGN = 8, YOUTH = 16 /* ... times it */ };

/* What the place says is not kept again.  IS_HOME: hash (8), home (3), and the serial in the
 * client's name (4); IS_MOVED: the id, the serial is in its slot. */
struct entry {
    uint8_t at[SESSION_LEN];
    uint8_t is; /* 0: nobody */
};

#define HASH_AT   0
#define HOME_AT   SIO_SID_HASH
#define SERIAL_AT (HOME_AT + 3)
#define RAW_HOME  4 /* where that is in an id: index (4), home (3), hash (8) */
#define RAW_HASH  7

_Static_assert(SESSIONS_YOUTH_MAX *YOUTH + YOUTH - 1 <= UINT8_MAX, "all that is in entry.is");
_Static_assert(sizeof(struct entry) == 16, "hundreds of thousands of these");
_Static_assert(SERIAL_AT + 4 == SESSION_LEN, "a serial's place");

struct block {
    uint32_t n;
    struct entry entries[BLOCK];
};

struct lane {
    struct block **blocks;
    uint32_t nblocks, n;
};

/* One that has moved, in the first free slot from that of its hash on. */
struct slot {
    uint32_t at; /* some bits of the hash, lane, place */
    uint32_t serial;
};

#define PLACE_BITS 20
#define LANE_BITS  9
#define TAG_SHIFT  (PLACE_BITS + LANE_BITS)

_Static_assert(SESSIONS_PLACE_MAX < 1U << PLACE_BITS, "the last place is nobody's: NOBODY");
_Static_assert(START_LANES <= 1 << LANE_BITS, "each lane has a number");

struct sessions {
    struct lane lanes[START_LANES];
    struct slot *slots;
    uint32_t cap, moved;
    size_t n;
    uint8_t key[16];
};

struct sessions *sessions_new(void)
{
    struct sessions *sessions = calloc(1, sizeof(*sessions));

    if (sessions != NULL)
        rand_bytes(sessions->key, sizeof(sessions->key));
    return sessions;
}

void sessions_free(struct sessions **sessionsp)
{
    struct sessions *sessions = *sessionsp;

    if (sessions == NULL)
        return;
    for (unsigned lane = 0; lane < START_LANES; lane++)
        sessions_drop_lane(sessions, lane);
    free(sessions->slots);
    free(sessions);
    *sessionsp = NULL;
}

/* --- places --------------------------------------------------------------------- */

static uint32_t place_of(uint64_t client)
{
    return (uint32_t)client;
}

static uint32_t serial_of(uint64_t client)
{
    return (uint32_t)(client >> 32);
}

/* NULL where nobody is. */
static struct entry *entry_at(const struct sessions *sessions, uint32_t lane, uint32_t place)
{
    const struct lane *in = lane < START_LANES ? &sessions->lanes[lane] : NULL;
    struct entry *entry;

    if (in == NULL || place / BLOCK >= in->nblocks || in->blocks[place / BLOCK] == NULL)
        return NULL;
    entry = &in->blocks[place / BLOCK]->entries[place % BLOCK];
    return entry->is != 0 ? entry : NULL;
}

/* As many blocks as it takes to have that one.  Returns 0, or -1 without memory. */
static int blocks_reach(struct lane *lane, uint32_t at)
{
    uint32_t n = at + 1 + at / 4;
    struct block **blocks;

    if (at < lane->nblocks)
        return 0;
    if ((blocks = reallocarray(lane->blocks, n, sizeof(struct block *))) == NULL)
        return -1;
    memset(blocks + lane->nblocks, 0, (n - lane->nblocks) * sizeof(struct block *));
    lane->blocks = blocks;
    lane->nblocks = n;
    return 0;
}

/* A place for one more; NULL without memory. */
static struct entry *entry_make(struct sessions *sessions, unsigned lane, uint32_t place)
{
    struct lane *in = &sessions->lanes[lane];
    uint32_t at = place / BLOCK;

    if (blocks_reach(in, at) < 0 ||
        (in->blocks[at] == NULL && (in->blocks[at] = calloc(1, sizeof(struct block))) == NULL))
        return NULL;
    in->blocks[at]->n++;
    in->n++;
    sessions->n++;
    return &in->blocks[at]->entries[place % BLOCK];
}

static void entry_free(struct sessions *sessions, unsigned lane, uint32_t place)
{
    struct lane *in = &sessions->lanes[lane];
    struct block **block = &in->blocks[place / BLOCK];

    (*block)->entries[place % BLOCK].is = 0;
    sessions->n--;
    in->n--;
    if (--(*block)->n > 0)
        return;
    free(*block);
    *block = NULL;
}

/* --- those that have moved -------------------------------------------------------- */

/* Ids are made by workers: with a key of ours nobody chooses where one is. */
static uint64_t hash_of(const struct sessions *sessions, const uint8_t session[SESSION_LEN])
{
    return siphash(sessions->key, session, SESSION_LEN);
}

static uint32_t slot_home(const struct sessions *sessions, uint64_t hash)
{
    return (uint32_t)((hash >> 32) * sessions->cap >> 32);
}

/* Most that are another's are told by it, without a look at where they are. */
static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash & ((1U << (32 - TAG_SHIFT)) - 1));
}

static unsigned lane_of(const struct slot *slot)
{
    return slot->at >> PLACE_BITS & ((1U << LANE_BITS) - 1);
}

static uint32_t slot_place(const struct slot *slot)
{
    return slot->at & ((1U << PLACE_BITS) - 1);
}

static const struct entry *entry_of(const struct sessions *sessions, const struct slot *slot)
{
    const struct entry *entry = entry_at(sessions, lane_of(slot), slot_place(slot));

    assert(entry != NULL);
    return entry;
}

static int is_at(const struct sessions *sessions, const struct slot *slot, uint64_t hash,
                 const uint8_t session[SESSION_LEN])
{
    return slot->at >> TAG_SHIFT == tag_of(hash) &&
           memcmp(entry_of(sessions, slot)->at, session, SESSION_LEN) == 0;
}

static uint32_t after(const struct sessions *sessions, uint32_t i)
{
    return i + 1 < sessions->cap ? i + 1 : 0;
}

/* From one slot on to another. */
static uint32_t steps(const struct sessions *sessions, uint32_t from, uint32_t to)
{
    return to >= from ? to - from : to + sessions->cap - from;
}

/* Its slot, or the free one where it would be.  There is always one that is free. */
static struct slot *slot_find(const struct sessions *sessions, const uint8_t session[SESSION_LEN])
{
    uint64_t hash = hash_of(sessions, session);
    uint32_t i = slot_home(sessions, hash);

    while (sessions->slots[i].at != NOBODY && !is_at(sessions, &sessions->slots[i], hash, session))
        i = after(sessions, i);
    return &sessions->slots[i];
}

/* NULL if that session has not moved, or is nobody's. */
static struct slot *moved_find(const struct sessions *sessions, const uint8_t session[SESSION_LEN])
{
    struct slot *slot = sessions->moved > 0 ? slot_find(sessions, session) : NULL;

    return slot != NULL && slot->at != NOBODY ? slot : NULL;
}

/* The same with cap slots, which are enough.  Returns 0, or -1 without memory. */
static int slots_resize(struct sessions *sessions, uint32_t cap)
{
    struct slot *old = sessions->slots, *slots = reallocarray(NULL, cap, sizeof(*slots));
    uint32_t old_cap = sessions->cap;

    if (slots == NULL)
        return -1;
    memset(slots, 0xff, cap * sizeof(*slots)); /* NOBODY */
    sessions->slots = slots;
    sessions->cap = cap;
    for (uint32_t i = 0; i < old_cap; i++)
        if (old[i].at != NOBODY)
            *slot_find(sessions, entry_of(sessions, &old[i])->at) = old[i];
    free(old);
    return 0;
}

/* A fifth of the slots stays free, so that a search ends soon. */
static int slots_room(struct sessions *sessions)
{
    uint32_t cap = sessions->cap;

    if (sessions->moved < cap - cap / 5)
        return 0;
    return slots_resize(sessions, cap == 0 ? SLOTS_MIN : cap + cap / 4);
}

/* Those behind it that are not where they belong move up, so that none is behind a gap. */
static void slot_remove(struct sessions *sessions, struct slot *slot)
{
    struct slot *slots = sessions->slots;
    uint32_t cap = sessions->cap, gap = (uint32_t)(slot - slots), i = gap;

    slots[gap].at = NOBODY;
    sessions->moved--;
    while (slots[i = after(sessions, i)].at != NOBODY) {
        uint64_t hash = hash_of(sessions, entry_of(sessions, &slots[i])->at);
        uint32_t from = slot_home(sessions, hash);

        if (steps(sessions, from, i) < steps(sessions, gap, i))
            continue; /* it belongs behind the gap */
        slots[gap] = slots[i];
        slots[i].at = NOBODY;
        gap = i;
    }
    if (cap > SLOTS_MIN && sessions->moved <= cap / 4)
        (void)slots_resize(sessions, cap / 2); /* without memory it stays large */
}

/* --- clients ---------------------------------------------------------------------- */

static void put_be32(uint8_t dst[4], uint32_t value)
{
    for (int i = 0; i < 4; i++)
        dst[i] = (uint8_t)(value >> 8 * (3 - i));
}

static uint32_t get_be32(const uint8_t src[4])
{
    return (uint32_t)src[0] << 24 | (uint32_t)src[1] << 16 | (uint32_t)src[2] << 8 | src[3];
}

static void session_of(const struct entry *entry, uint32_t place, uint8_t session[SESSION_LEN])
{
    if (entry->is & IS_MOVED) {
        memcpy(session, entry->at, SESSION_LEN);
        return;
    }
    put_be32(session, place);
    memcpy(session + RAW_HOME, entry->at + HOME_AT, 3);
    memcpy(session + RAW_HASH, entry->at + HASH_AT, SIO_SID_HASH);
}

static uint32_t serial_in(const struct sessions *sessions, const struct entry *entry)
{
    const struct slot *slot;

    if (entry->is & IS_HOME)
        return get_be32(entry->at + SERIAL_AT);
    slot = moved_find(sessions, entry->at);
    assert(slot != NULL);
    return slot->serial;
}

static struct entry *client_find(const struct sessions *sessions, unsigned lane, uint64_t client)
{
    struct entry *entry = entry_at(sessions, lane, place_of(client));

    return entry != NULL && serial_in(sessions, entry) == serial_of(client) ? entry : NULL;
}

static void remove_at(struct sessions *sessions, unsigned lane, uint32_t place)
{
    const struct entry *entry = entry_at(sessions, lane, place);

    if (entry->is & IS_MOVED)
        slot_remove(sessions, moved_find(sessions, entry->at));
    entry_free(sessions, lane, place);
}

static int names_place(const uint8_t session[SESSION_LEN], unsigned lane, uint32_t place)
{
    struct sid_home home;

    sio_sid_home(session, &home);
    return home.process == lane && home.index == place;
}

/* Whose place and whose session it was has none any more.  Returns 1 if a newer one is there. */
static int make_way(struct sessions *sessions, unsigned lane, uint64_t client,
                    const uint8_t session[SESSION_LEN])
{
    const struct entry *entry = entry_at(sessions, lane, place_of(client));
    uint64_t other;
    unsigned where;

    /* A place's serials count up, and begin again when they are through. */
    if (entry != NULL && (int32_t)(serial_of(client) - serial_in(sessions, entry)) < 0)
        return 1;
    if (entry != NULL)
        remove_at(sessions, lane, place_of(client));
    if (sessions_find(sessions, session, &where, &other) == 0)
        remove_at(sessions, where, place_of(other));
    return 0;
}

static void put_home(struct entry *entry, uint64_t client, const uint8_t session[SESSION_LEN])
{
    memcpy(entry->at + HASH_AT, session + RAW_HASH, SIO_SID_HASH);
    memcpy(entry->at + HOME_AT, session + RAW_HOME, 3);
    put_be32(entry->at + SERIAL_AT, serial_of(client));
    entry->is = IS_HOME;
}

/* The slot first, for it is looked for by the ids of those that are there. */
static void put_moved(struct sessions *sessions, struct entry *entry, unsigned lane,
                      uint64_t client, const uint8_t session[SESSION_LEN])
{
    uint32_t tag = tag_of(hash_of(sessions, session));

    *slot_find(sessions, session) =
        (struct slot){tag << TAG_SHIFT | lane << PLACE_BITS | place_of(client), serial_of(client)};
    sessions->moved++;
    memcpy(entry->at, session, SESSION_LEN);
    entry->is = IS_MOVED;
}

int sessions_put(struct sessions *sessions, unsigned lane, uint64_t client,
                 const uint8_t session[SESSION_LEN], enum sessions_origin origin)
{
    uint32_t place = place_of(client);
    int is_home = names_place(session, lane, place);
    struct entry *entry;

    assert(lane < START_LANES);
    if (place >= SESSIONS_PLACE_MAX || (!is_home && origin == SESSIONS_NEW) ||
        make_way(sessions, lane, client, session))
        return 1;
    if ((!is_home && slots_room(sessions) < 0) ||
        (entry = entry_make(sessions, lane, place)) == NULL)
        return -1;
    if (is_home)
        put_home(entry, client, session);
    else
        put_moved(sessions, entry, lane, client, session);
    entry->is |= origin == SESSIONS_FOREIGN ? IS_FOREIGN : 0;
    return 0;
}

int sessions_get(const struct sessions *sessions, unsigned lane, uint64_t client,
                 struct sessions_entry *out)
{
    const struct entry *entry = client_find(sessions, lane, client);

    if (entry == NULL)
        return -1;
    session_of(entry, place_of(client), out->session);
    out->has_moved = (entry->is & IS_MOVED) != 0;
    out->is_foreign = (entry->is & IS_FOREIGN) != 0;
    out->is_broken = (entry->is & IS_BROKEN) != 0;
    out->youth = entry->is / YOUTH;
    return 0;
}

void sessions_mark_young(struct sessions *sessions, unsigned lane, uint64_t client, int youth)
{
    struct entry *entry = client_find(sessions, lane, client);

    if (entry != NULL)
        entry->is = (uint8_t)(entry->is % YOUTH + youth * YOUTH);
}

void sessions_take(struct sessions *sessions, unsigned lane, uint64_t client)
{
    if (client_find(sessions, lane, client) != NULL)
        remove_at(sessions, lane, place_of(client));
}

int sessions_find(const struct sessions *sessions, const uint8_t session[SESSION_LEN],
                  unsigned *lane, uint64_t *client)
{
    const struct slot *slot = moved_find(sessions, session);
    const struct entry *entry;
    struct sid_home home;

    if (slot != NULL) {
        *lane = lane_of(slot);
        *client = (uint64_t)slot->serial << 32 | slot_place(slot);
        return 0;
    }
    sio_sid_home(session, &home);
    entry = entry_at(sessions, home.process, home.index);
    if (entry == NULL || !(entry->is & IS_HOME) ||
        memcmp(entry->at + HASH_AT, session + RAW_HASH, SIO_SID_HASH) != 0 ||
        memcmp(entry->at + HOME_AT, session + RAW_HOME, 3) != 0)
        return -1;
    *lane = home.process;
    *client = (uint64_t)get_be32(entry->at + SERIAL_AT) << 32 | home.index;
    return 0;
}

int sessions_moved_lane(const struct sessions *sessions, struct slice id)
{
    uint8_t session[SESSION_LEN];
    const struct slot *slot;

    if (sessions->moved == 0 || id.len != SIO_SID_LEN ||
        base64_decode(session, id.ptr, id.len) != SESSION_LEN)
        return -1;
    slot = moved_find(sessions, session);
    return slot != NULL ? (int)lane_of(slot) : -1;
}

/* --- all of them ------------------------------------------------------------------ */

static void break_block(struct block *block)
{
    for (uint32_t i = 0; block != NULL && i < BLOCK; i++)
        if (block->entries[i].is != 0)
            block->entries[i].is |= IS_BROKEN;
}

void sessions_break(struct sessions *sessions)
{
    for (unsigned lane = 0; lane < START_LANES; lane++)
        for (uint32_t i = 0; i < sessions->lanes[lane].nblocks; i++)
            break_block(sessions->lanes[lane].blocks[i]);
}

void sessions_drop_lane(struct sessions *sessions, unsigned lane)
{
    struct lane *in = &sessions->lanes[lane];

    for (uint32_t place = 0; in->n > 0; place++) {
        if (place % BLOCK == 0 && in->blocks[place / BLOCK] == NULL)
            place += BLOCK - 1;
        else if (entry_at(sessions, lane, place) != NULL)
            remove_at(sessions, lane, place);
    }
    free(in->blocks);
    *in = (struct lane){.blocks = NULL};
}

size_t sessions_count(const struct sessions *sessions)
{
    return sessions->n;
}

size_t sessions_moved(const struct sessions *sessions)
{
    return sessions->moved;
}
