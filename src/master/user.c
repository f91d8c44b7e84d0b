#include "master/user.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NONE     0xffff /* as a lane: nobody is here */
#define CROWD    0xfffe /* as the lane of a struct user: it has a crowd, at.crowd */
#define NOWHERE  UINT32_MAX
#define SCAN_MAX 8 /* a crowd of so many is searched from end to end */

struct connection {
    uint64_t handle;
    uint32_t next; /* in its chain */
    uint16_t lane;
    uint16_t is_leaving; /* told to */
};

/* Connections in the order of admission, with gaps where one has gone: closed when
 * the end is reached.  Behind those of a large crowd are the heads of chains
 * by which one is found, as many as it has room for. */
struct crowd {
    uint32_t n;        /* connections */
    uint32_t leaving;  /* of them: told to leave */
    uint32_t first;    /* none that stays is before it */
    uint32_t end, cap; /* a power of two */
    struct connection at[];
};

/* --- a crowd ------------------------------------------------------------------ */

static int has_chains(const struct crowd *crowd)
{
    return crowd->cap > SCAN_MAX;
}

static uint32_t *chain(struct crowd *crowd, unsigned lane, uint64_t handle)
{
    uint32_t *heads = (uint32_t *)(void *)(crowd->at + crowd->cap);
    uint64_t hash = (handle ^ (uint64_t)lane << 48) * 0x9e3779b97f4a7c15;

    return &heads[hash >> 32 & (crowd->cap - 1)];
}

static struct crowd *crowd_new(uint32_t cap)
{
    size_t bytes = sizeof(struct crowd) + cap * sizeof(struct connection);
    struct crowd *crowd;

    if (cap > SCAN_MAX)
        bytes += cap * sizeof(uint32_t);
    crowd = malloc(bytes);
    if (crowd == NULL)
        return NULL;
    *crowd = (struct crowd){.cap = cap};
    if (has_chains(crowd))
        memset(crowd->at + cap, 0xff, cap * sizeof(uint32_t)); /* NOWHERE */
    return crowd;
}

static void crowd_put(struct crowd *crowd, unsigned lane, uint64_t handle)
{
    uint32_t pos = crowd->end++;
    uint32_t *head;

    assert(pos < crowd->cap);
    crowd->at[pos] = (struct connection){.handle = handle, .next = NOWHERE, .lane = (uint16_t)lane};
    crowd->n++;
    if (!has_chains(crowd))
        return;
    head = chain(crowd, lane, handle);
    crowd->at[pos].next = *head;
    *head = pos;
}

static uint32_t crowd_find(struct crowd *crowd, unsigned lane, uint64_t handle)
{
    int chains = has_chains(crowd);
    uint32_t pos = chains ? *chain(crowd, lane, handle) : 0;

    while (pos != NOWHERE && pos < crowd->end) {
        const struct connection *conn = &crowd->at[pos];
        if (conn->lane == lane && conn->handle == handle)
            return pos;
        pos = chains ? conn->next : pos + 1;
    }
    return NOWHERE;
}

static void crowd_remove(struct crowd *crowd, uint32_t pos)
{
    struct connection *conn = &crowd->at[pos];

    if (has_chains(crowd)) {
        uint32_t *at = chain(crowd, conn->lane, conn->handle);
        while (*at != pos)
            at = &crowd->at[*at].next;
        *at = conn->next;
    }
    conn->lane = NONE;
    crowd->n--;
    crowd->leaving -= conn->is_leaving;
}

/* The same without gaps, in cap user.  Returns 0, or -1 without memory. */
static int crowd_move(struct crowd **crowdp, uint32_t cap)
{
    struct crowd *old = *crowdp, *crowd = crowd_new(cap);

    if (crowd == NULL)
        return -1;
    for (uint32_t pos = 0; pos < old->end; pos++) {
        const struct connection *conn = &old->at[pos];
        if (conn->lane == NONE)
            continue;
        if (pos < old->first)
            crowd->first++;
        crowd_put(crowd, conn->lane, conn->handle);
        crowd->at[crowd->end - 1].is_leaving = conn->is_leaving;
    }
    crowd->leaving = old->leaving;
    free(old);
    *crowdp = crowd;
    return 0;
}

/* Makes room for one at its end.  As much room is freed or made as it costs to move. */
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

    while (pos < crowd->end && (crowd->at[pos].lane == NONE || crowd->at[pos].is_leaving))
        pos++;
    return pos < crowd->end ? pos : NOWHERE;
}

/* --- a user  */

void user_init(struct user *user, unsigned lane, uint64_t handle)
{
    assert(lane <= USER_LANE_MAX);
    user->at.handle = handle;
    user->lane = (uint16_t)lane;
}

void user_drop_all(struct user *user)
{
    if (user->lane == CROWD)
        free(user->at.crowd);
    user->lane = NONE;
}

static int make_crowd(struct user *user)
{
    struct crowd *crowd = crowd_new(2);

    if (crowd == NULL)
        return -1;
    if (user->lane != NONE)
        crowd_put(crowd, user->lane, user->at.handle);
    user->at.crowd = crowd;
    user->lane = CROWD;
    return 0;
}

int user_add(struct user *user, unsigned lane, uint64_t handle)
{
    assert(lane <= USER_LANE_MAX);
    if (user->lane == NONE) {
        user_init(user, lane, handle);
        return 0;
    }
    if (user->lane != CROWD && make_crowd(user) < 0)
        return -1;
    if (crowd_room(&user->at.crowd) < 0)
        return -1;
    crowd_put(user->at.crowd, lane, handle);
    return 0;
}

/* Gives memory back. */
static void tidy(struct user *user)
{
    struct crowd *crowd = user->at.crowd;

    if (crowd->n == 0) {
        user_drop_all(user);
    } else if (crowd->n == 1 && crowd->leaving == 0) {
        uint32_t pos = crowd_oldest(crowd); /* the only one */
        user_init(user, crowd->at[pos].lane, crowd->at[pos].handle);
        free(crowd);
    } else if (crowd->cap > SCAN_MAX && crowd->n <= crowd->cap / 8) {
        (void)crowd_move(&user->at.crowd, crowd->cap / 4); /* without memory it stays large */
    }
}

int user_take(struct user *user, unsigned lane, uint64_t handle)
{
    uint32_t pos;

    if (user->lane != CROWD) {
        if (lane > USER_LANE_MAX || user->lane != lane || user->at.handle != handle)
            return -1;
        user->lane = NONE;
        return 0;
    }
    pos = crowd_find(user->at.crowd, lane, handle);
    if (pos == NOWHERE)
        return -1;
    crowd_remove(user->at.crowd, pos);
    tidy(user);
    return 0;
}

void user_drop_lane(struct user *user, unsigned lane)
{
    struct crowd *crowd;

    if (user->lane == lane)
        user->lane = NONE;
    if (user->lane != CROWD)
        return;
    crowd = user->at.crowd;
    for (uint32_t pos = 0; pos < crowd->end; pos++)
        if (crowd->at[pos].lane == lane)
            crowd_remove(crowd, pos);
    tidy(user);
}

size_t user_count(const struct user *user)
{
    if (user->lane == CROWD)
        return user->at.crowd->n;
    return user->lane != NONE;
}

size_t user_staying(const struct user *user)
{
    if (user->lane == CROWD)
        return user->at.crowd->n - user->at.crowd->leaving;
    return user->lane != NONE;
}

int user_oldest(const struct user *user, unsigned *lane, uint64_t *handle)
{
    const struct connection *conn;

    if (user_staying(user) == 0)
        return -1;
    if (user->lane != CROWD) {
        *lane = user->lane;
        *handle = user->at.handle;
        return 0;
    }
    conn = &user->at.crowd->at[crowd_oldest(user->at.crowd)];
    *lane = conn->lane;
    *handle = conn->handle;
    return 0;
}

static void tell_to_leave(struct crowd *crowd, uint32_t pos)
{
    crowd->leaving += !crowd->at[pos].is_leaving;
    crowd->at[pos].is_leaving = 1;
}

int user_oust(struct user *user)
{
    struct crowd *crowd;

    if (user_staying(user) == 0)
        return -1;
    if (user->lane != CROWD && make_crowd(user) < 0)
        return -1;
    crowd = user->at.crowd;
    crowd->first = crowd_oldest(crowd);
    tell_to_leave(crowd, crowd->first++);
    return 0;
}

int user_oust_one(struct user *user, unsigned lane, uint64_t handle)
{
    uint32_t pos;

    if (user->lane != CROWD &&
        (user->lane != lane || user->at.handle != handle || make_crowd(user) < 0))
        return -1;
    pos = crowd_find(user->at.crowd, lane, handle);
    if (pos == NOWHERE)
        return -1;
    tell_to_leave(user->at.crowd, pos);
    return 0;
}

unsigned user_next(const struct user *user, size_t *at, uint64_t *handle)
{
    const struct crowd *crowd = user->at.crowd;

    if (user->lane != CROWD) {
        if (handle != NULL)
            *handle = user->at.handle;
        return (*at)++ == 0 ? user->lane : USER_END;
    }
    while (*at < crowd->end) {
        const struct connection *conn = &crowd->at[(*at)++];
        if (conn->lane == NONE)
            continue;
        if (handle != NULL)
            *handle = conn->handle;
        return conn->lane;
    }
    return USER_END;
}
