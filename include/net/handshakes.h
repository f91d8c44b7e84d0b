/* handshakes - whose handshake is worked on now: each takes up to milliseconds, and many may
 * come at once, so a turn of the loop has so much time for them, and the rest wait in order
 * of their coming.  Who has been answered once comes before who has not, and of these whose
 * address has few strangers before those of a crowd. */
#ifndef NET_HANDSHAKES_H
#define NET_HANDSHAKES_H

#include <event2/event_struct.h>
#include <stdint.h>

/* One that may wait; embedded.  Zero-initialised is in no list. */
struct handshake {
    struct handshake *next, **prev;
};

enum handshake_rank {
    HANDSHAKE_BEGUN, /* it has been answered once */
    HANDSHAKE_FEW,   /* there are few of its address */
    HANDSHAKE_MANY,
    HANDSHAKE_RANKS
};

struct handshake_list {
    struct handshake *first, **tail;
};

struct handshakes {
    struct handshake_list lists[HANDSHAKE_RANKS];
    struct event timer; /* the next turn */
    uint64_t spent_us;  /* on this turn */
    int going_on;       /* the one whose turn has come is worked on */
    int (*hurries)(void *arg);
    void (*go_on)(struct handshake *handshake, void *arg);
    void *arg;
};

/* hurries: 1 if others wait for this turn to end.  go_on: the turn of one that waited has
 * come; it is in no list any more. */
void handshakes_init(struct handshakes *handshakes, struct event_base *base,
                     int (*hurries)(void *arg),
                     void (*go_on)(struct handshake *handshake, void *arg), void *arg);
void handshakes_clear(struct handshakes *handshakes);

/* 1 if one that comes now is not to wait. */
int handshakes_may(const struct handshakes *handshakes);
/* It waits, and is in no list yet. */
void handshakes_wait(struct handshakes *handshakes, struct handshake *handshake,
                     enum handshake_rank rank);
/* 1 if it waits. */
int handshakes_waits(const struct handshake *handshake);
/* It waits no more, if it did. */
void handshakes_forget(struct handshakes *handshakes, struct handshake *handshake);
/* So long has been worked on one. */
void handshakes_spent(struct handshakes *handshakes, uint64_t us);

#endif
