/* compare - what comes over two connections, until it is known where the new one goes on
 * from the old one: when that is certain enough, and by which means (overlap.h).
 *
 * Both are looked at in rounds: the old connection answers a PING, then the new one. */
#ifndef MASTER_COMPARE_H
#define MASTER_COMPARE_H

#include "base/slice.h"
#include "conf.h"
#include "master/marker.h"
#include "master/overlap.h"

#include <stddef.h>
#include <stdint.h>

struct event_base;

/* For so long at least, or so often: */
#define COMPARE_APART_MS     250 /* before it is certain that they have nothing in common */
#define COMPARE_MARK_MS      250 /* before a marker is published; or */
#define COMPARE_MARK_ROUNDS  4
#define COMPARE_DOUBT_MS     2000 /* before equal messages are given up; and */
#define COMPARE_DOUBT_ROUNDS 8

struct compare { /* zero is one that has not begun; the marks are private */
    struct overlap overlap;
    struct marker marker;
    int is_marked_old, is_marked_new; /* it has come over that one ... */
    size_t marked_old, marked_new;    /* ... behind so many */
    uint64_t since_ms;                /* when they were judged first; 0: not yet */
    unsigned rounds;                  /* how often they were */
};

/* The new connection is asked for: what has come over the old one before is in neither. */
void compare_begin(struct compare *compare);

/* Gives its memory, and a marker that is still to be published, up. */
void compare_clear(struct compare *compare);

/* 1 if what has come on channel, over that connection, is the marker, and nothing else. */
int compare_mark_old(struct compare *compare, struct slice channel);
int compare_mark_new(struct compare *compare, struct slice channel);

enum compare_verdict {
    COMPARE_AGAIN, /* another round is needed */
    COMPARE_LATER, /* likewise, in a moment: nothing has come over both as yet */
    COMPARE_KNOWN, /* found->least */
    COMPARE_DOUBT  /* found->least is taken, though it may be up to found->most */
};

/* Both have answered a PING.  A marker may be published, with conf and on the loop of
 * base. */
enum compare_verdict compare_judge(struct compare *compare, struct event_base *base,
                                   const struct conf *conf, uint64_t now_ms,
                                   struct overlap_found *found);

/* The old connection is lost: what can be known is known. */
void compare_decide(const struct compare *compare, struct overlap_found *found);

#endif
