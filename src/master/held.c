#include "master/held.h"

#include <assert.h>
#include <stdlib.h>

#define NONE    0xffff /* as a lane: nobody holds it */
#define SEVERAL 0xfffe /* as the lane of a struct held: at.lanes */
#define CAP_MIN 2

struct held_lane {
    uint32_t clients;
    uint16_t lane;
};

struct held_lanes {
    uint32_t n, cap;
    struct held_lane at[];
};

void held_init(struct held *held, unsigned lane)
{
    assert(lane <= HELD_LANE_MAX);
    held->at.clients = 1;
    held->lane = (uint16_t)lane;
}

void held_drop_all(struct held *held)
{
    if (held->lane == SEVERAL)
        free(held->at.lanes);
    held->lane = NONE;
}

static struct held_lane *find(const struct held *held, unsigned lane)
{
    struct held_lanes *lanes = held->at.lanes;

    for (uint32_t i = 0; i < lanes->n; i++)
        if (lanes->at[i].lane == lane)
            return &lanes->at[i];
    return NULL;
}

/* The same with place for cap workers.  Returns 0, or -1 without memory. */
static int lanes_resize(struct held *held, uint32_t cap)
{
    struct held_lanes *old = held->lane == SEVERAL ? held->at.lanes : NULL;
    struct held_lanes *lanes = realloc(old, sizeof(*lanes) + cap * sizeof(lanes->at[0]));

    if (lanes == NULL)
        return -1;
    if (old == NULL) {
        lanes->n = 1;
        lanes->at[0] =
            (struct held_lane){.clients = (uint32_t)held->at.clients, .lane = held->lane};
        held->lane = SEVERAL;
    }
    lanes->cap = cap;
    held->at.lanes = lanes;
    return 0;
}

static int lane_put(struct held *held, unsigned lane)
{
    struct held_lanes *lanes = held->at.lanes;

    if (held->lane != SEVERAL) {
        if (lanes_resize(held, CAP_MIN) < 0)
            return -1;
    } else if (lanes->n == lanes->cap && lanes_resize(held, lanes->cap * 2) < 0) {
        return -1;
    }
    lanes = held->at.lanes;
    lanes->at[lanes->n++] = (struct held_lane){.clients = 1, .lane = (uint16_t)lane};
    return 0;
}

int held_add(struct held *held, unsigned lane)
{
    struct held_lane *there;

    assert(lane <= HELD_LANE_MAX);
    if (held->lane == NONE) {
        held_init(held, lane);
        return 0;
    }
    if (held->lane == lane) {
        held->at.clients++;
        return 0;
    }
    there = held->lane == SEVERAL ? find(held, lane) : NULL;
    if (there == NULL)
        return lane_put(held, lane);
    there->clients++;
    return 0;
}

/* The last one moves into the gap; memory is given back. */
static void lane_remove(struct held *held, struct held_lane *there)
{
    struct held_lanes *lanes = held->at.lanes;
    struct held_lane last = lanes->at[--lanes->n];

    *there = last;
    if (lanes->n == 1) {
        last = lanes->at[0];
        free(lanes);
        held->at.clients = last.clients;
        held->lane = last.lane;
    } else if (lanes->n <= lanes->cap / 4) {
        (void)lanes_resize(held, lanes->cap / 2); /* without memory it stays large */
    }
}

void held_take(struct held *held, unsigned lane)
{
    struct held_lane *there;

    if (held->lane != SEVERAL) {
        assert(held->lane == lane);
        if (--held->at.clients == 0)
            held->lane = NONE;
        return;
    }
    there = find(held, lane);
    assert(there != NULL);
    if (--there->clients == 0)
        lane_remove(held, there);
}

void held_drop_lane(struct held *held, unsigned lane)
{
    struct held_lane *there = held->lane == SEVERAL ? find(held, lane) : NULL;

    if (held->lane == lane)
        held->lane = NONE;
    if (there != NULL)
        lane_remove(held, there);
}

int held_is_empty(const struct held *held)
{
    return held->lane == NONE;
}

unsigned held_next(const struct held *held, size_t *at)
{
    const struct held_lanes *lanes = held->at.lanes;

    if (held->lane != SEVERAL)
        return (*at)++ == 0 ? held->lane : HELD_END;
    return *at < lanes->n ? lanes->at[(*at)++].lane : HELD_END;
}
