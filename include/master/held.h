/* held - which workers hold a room, and how many clients each has in it.
 *
 * Most rooms are on one worker, which is kept without an allocation; several cost 8
 * bytes each.  To join and to leave costs a look at each of these. */
#ifndef MASTER_HELD_H
#define MASTER_HELD_H

#include <stddef.h>
#include <stdint.h>

#define HELD_LANE_MAX 0xfffd /* the largest lane */
#define HELD_END      0xffff

struct held_lanes;

struct held { /* held_init or held_drop_all makes it valid; fields are private */
    union {
        uint64_t clients;
        struct held_lanes *lanes;
    } at;
    uint16_t lane; /* the only one, or what says that there are several, or none */
};

/* With one client there. */
void held_init(struct held *held, unsigned lane);

/* Frees all; nobody holds it then. */
void held_drop_all(struct held *held);

/* One more client there.  Returns 0, or -1 without memory (nothing changed). */
int held_add(struct held *held, unsigned lane);

/* One less, of those that are there. */
void held_take(struct held *held, unsigned lane);

/* All that are there. */
void held_drop_lane(struct held *held, unsigned lane);

/* 1 if nobody holds it. */
int held_is_empty(const struct held *held);

/* The workers, each once, in no order: *at is 0 at first.  HELD_END at the end. */
unsigned held_next(const struct held *held, size_t *at);

#endif
