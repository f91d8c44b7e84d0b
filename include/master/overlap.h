/* overlap - where one connection of the subscription goes on from another.
 *
 * While a new connection comes about, the old one serves.  From the moment at which the
 * new one is subscribed, what is published comes over both, over each in its own time:
 * the old one may be seconds and many thousands of messages behind.  Where the new one
 * goes on from is found like this.
 *
 * redis is one thread.  It appends to what each subscriber is to be sent in the order in
 * which it publishes, and the answer to a PING takes its place in that order.  So of the
 * messages that have come over the old connection since the new one was asked for, some
 * number d had been published before the new one was subscribed, and from there on both
 * streams are the same: the message new[i] is old[d + i].  Only d has to be found.
 *
 * - By what they say: for most d the streams differ somewhere (in their digests, by a
 *   keyed hash).  Where each message is another one d is known at once.
 * - By their numbers: a PING on the old connection that is sent after the answer of one on
 *   the new has been read, is carried out later, so the old stream holds at its answer all
 *   that the new one held at its own, or more: d is at most the difference between both
 *   counts.  A PING on the new one that is sent thereafter makes it at least that.  Where
 *   nothing is published between two of them d is exact, though all messages be the same;
 *   and each further pair narrows it, for it does not change.
 *
 * - By a marker: a message that both have seen has the same place in both, so d is the
 *   difference between them.  It needs the right to publish, which a subscriber need not
 *   have, and a connection of its own, and all servers and daemons on the channel see it:
 *   it is the last means.  The other two need no right beyond those of a subscriber, and
 *   show nothing to others.
 *
 * Servers may differ.  On a replica and its master the streams are the same, but a PING on
 * one says nothing of the other: then only what they say counts.  On servers that have
 * nothing to do with each other nothing of the one comes over the other, and all that the
 * new one has had is new.  Connections may differ in what they hear: what only one hears
 * makes the streams two.
 *
 * What remains, without a marker, is a stream of equal messages that never pauses.  There the
 * smallest d that is left is taken: none comes twice, and how many may be lost is told. */
#ifndef MASTER_OVERLAP_H
#define MASTER_OVERLAP_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define OVERLAP_MAX (1UL << 18) /* messages of each stream */

struct overlap_stream {
    uint64_t *at; /* digests */
    size_t n, cap;
};

struct overlap { /* zero is one that has not begun */
    uint8_t key[16];
    struct overlap_stream old, new;
    size_t low, high;          /* bounds of d */
    size_t old_mark, new_mark; /* what each stream held at the last answer of a PING */
};

/* The new connection is asked for: what has come over the old one before is in neither. */
void overlap_begin(struct overlap *overlap);

/* Frees its memory; it has not begun again. */
void overlap_clear(struct overlap *overlap);

/* A message has come over that connection.  Returns 0, or -1 where there are too many or
 * is no memory: then nothing can be said any more. */
int overlap_old(struct overlap *overlap, struct slice channel, struct slice payload);
int overlap_new(struct overlap *overlap, struct slice channel, struct slice payload);

/* That connection answers a PING, which was sent after what came last of these over the
 * other one had been read: its confirmation of the subscription, or the answer to a PING.
 * They take turns, and the old one begins. */
void overlap_old_mark(struct overlap *overlap);
void overlap_new_mark(struct overlap *overlap);

/* A marker has come over both, behind so many messages. */
void overlap_marker(struct overlap *overlap, size_t old_at, size_t new_at);

/* What is known of d. */
struct overlap_found {
    size_t least, most; /* not all between them may be possible */
    int apart;          /* the streams have nothing in common, as far as they have come */
};

/* Returns 0, or -1 without memory. */
int overlap_find(const struct overlap *overlap, struct overlap_found *found);

/* How many of the new stream have come over the old one as well, which may be more than
 * have come over the new one as yet. */
size_t overlap_common(const struct overlap *overlap, size_t d);

/* The new connection is in force: d is fixed, and of its messages that are still to come
 * left are the same as the last of the old one.  Returns 1 if this one is the next of them;
 * 0 if it is another, and after the last. */
int overlap_again(struct overlap *overlap, size_t *left, struct slice channel,
                  struct slice payload);

#endif
