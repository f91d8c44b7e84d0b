/* gather - a pause between two rounds of a fan-out's list, for what comes meanwhile.
 *
 * The list is gone through in rounds, each of those that were in it when the round began.
 * What comes during a round leaves in the next, in one write for each client however much
 * it is.  Where two rounds in succession end with more waiting, fan-outs come faster than a
 * round takes.  Written back to back such rounds may carry one or two each for ever: who
 * sends the fan-outs may wait for those who read them, and these, kept busy with a little
 * from each of thousands, for a core.  So the next round begins after a rest, which is the
 * shorter the more the round has brought, and where it has brought enough there is none.  A
 * fan-out that comes when no round is under way never waits, nor do answers to clients that
 * are not in the list: those have one of their own. */
#ifndef NET_GATHER_H
#define NET_GATHER_H

#include <event2/event_struct.h>
#include <stddef.h>
#include <stdint.h>

struct net;

struct gather {
    struct event timer; /* the end of a rest */
    size_t listed;      /* connections in the list */
    size_t left;        /* ... that are still to be taken in this round; 0: there is none */
    uint64_t began_us;  /* the round */
    uint32_t fanouts;   /* that have come since */
    uint8_t dense;      /* more was waiting at the end of the last round */
    uint8_t rests;      /* nobody in the list is written to */
};

void gather_init(struct net *net);
void gather_clear(struct net *net);
/* A connection has been taken off the list; net_clock() was called for it or shortly
 * before.  Returns 1 if it is the last of its round: then there may be a rest. */
int gather_taken(struct net *net);
/* Ends a rest, if there is one. */
void gather_over(struct net *net);

#endif
