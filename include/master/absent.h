/* absent - sessions whose clients have gone, found by their ids, and by the rooms that they are
 * in: gone.h is what they are for.
 *
 * Of one that has ended there is no more than the session; one that may come back has its user
 * and rooms.  Its user's own room and everybody's it is in unless left says otherwise, and these
 * cost nothing for each; any other room is a seat.  To find, join and leave cost the same
 * however many there are of either.
 *
 * Memory, with the tables' own: 170 bytes for each, with a user of its own 240; 95 for a seat, 90
 * for a room that nobody else is in.  The system has it again when they have come back. */
#ifndef MASTER_ABSENT_H
#define MASTER_ABSENT_H

#include "base/slab.h"
#include "base/slice.h"
#include "base/table.h"
#include "codec/pid.h"

#include <stddef.h>
#include <stdint.h>

struct absent_seat;

/* Of those that may not come back: what is known of them has to be kept, or is only good for
 * saying why. */
enum absent_over { ABSENT_KEPT, ABSENT_TOLD, ABSENT_OVERS };

struct absent { /* fields are for whoever looks, but for left, mark and what is said to be its
                   user's: gone.c */
    struct table_node node;             /* first: a node is its absent; the key is session */
    struct absent *prev, *next;         /* in the order of number */
    struct absent_name *own;            /* its user's room; NULL: it may not come back */
    struct absent *own_prev, *own_next; /* a newer and an older one of its user; or of those that
                                           are over */
    struct absent_seat *seats;
    uint64_t number, put_ms;
    uint64_t left_ms, daemon; /* its user's */
    uint32_t nseats;
    uint32_t mark;
    uint8_t session[SESSION_LEN];
    uint8_t state;      /* its user's */
    uint8_t left;       /* enum msg_default */
    uint8_t over;       /* enum absent_over */
    uint8_t is_foreign; /* its user's */
};

struct absent_list { /* by own_prev and own_next */
    struct absent *newest, *oldest;
    size_t n;
};

struct absent_name {
    struct table_node node;    /* first */
    struct absent_list owners; /* of the user of that name */
    struct absent_seat *seats; /* in the room of that name */
    char text[];
};

struct absent_seat {
    struct table_node node; /* first; the key are these two: */
    struct absent *absent;
    struct absent_name *name;
    struct absent_seat *prev, *next;             /* of the room */
    struct absent_seat *other_prev, *other_next; /* of the session */
    uint64_t since;
};

struct absents {
    struct slab slab;
    struct table sessions, names, seats;
    struct absent *first, *last;
    struct absent_list over[ABSENT_OVERS];
    uint64_t number; /* of the next */
    uint32_t turn;   /* marks up to that are old ones */
};

void absents_init(struct absents *absents);
void absents_clear(struct absents *absents);

struct absent *absents_find(const struct absents *absents, const uint8_t session[SESSION_LEN]);

/* One more, the last, which is not there yet; it may not come back.  NULL without memory. */
struct absent *absents_put(struct absents *absents, const uint8_t session[SESSION_LEN],
                           enum absent_over over, uint64_t now_ms);
void absents_take(struct absents *absents, struct absent *absent);

/* It may come back, as uid (copied).  Returns 0, or -1 without memory (nothing changed). */
int absent_begin(struct absents *absents, struct absent *absent, struct slice uid);

/* It may not any more, and is in no room. */
void absent_end(struct absents *absents, struct absent *absent, enum absent_over over);

/* NULL if no room is called so, or with make: without memory. */
struct absent_name *absents_name(struct absents *absents, struct slice name, int make);
struct slice absent_name_text(const struct absent_name *name);

/* Frees it if nobody is in there, after a name was made, or somebody has left it. */
void absents_name_tidy(struct absents *absents, struct absent_name *name);

/* NULL if it has no seat there. */
struct absent_seat *absent_seat(const struct absents *absents, const struct absent *absent,
                                const struct absent_name *name);

/* A seat in that room, where it has none.  ABSENT_CLAIMED in since: for its token, and that is
 * kept as long as no join without it follows.  Returns 1; 0 if it had one; -1 without memory. */
#define ABSENT_CLAIMED (UINT64_C(1) << 63)
int absent_join(struct absents *absents, struct absent *absent, struct absent_name *name,
                uint64_t since);
/* Returns 1, or 0 if it had none. */
int absent_leave(struct absents *absents, struct absent *absent, struct absent_name *name);

#endif
