/* offset - where in the stream of messages a client is, as it is told to say again when it
 * comes back: a number for each place in what redis sent, which all daemons that saw the
 * same name alike, and no other place has.
 *
 * Somebody publishes a mark each second: 16 random bytes k, which all daemons get in the same
 * place among the messages.  From a mark on, c is 0, and each message that comes makes
 * c = SipHash(k, c, channel, payload).  The offset behind it is SipHash(k, c, before, node):
 * before is the last c of the interval that the mark ended, node the id of the node of a
 * Cluster.  So two daemons say the same if they saw the same since the mark before the last,
 * in the same order, at the same node.  One that saw something else does not know the offset,
 * but for one chance in 2^64 per place it keeps; it does not take it for another place.
 *
 * A daemon begins with a k and a before of its own, which nobody else has: until two marks
 * have come, or for good where all its marks are its own.
 *
 * What a client learns from offsets: they are 64 bits of a function that nobody can tell from
 * chance without k, and marks never reach clients.  So an offset says nothing of what came
 * before it, how much that was, or whose; made-up ones are unknown; and one that another client
 * was sent names a place in the stream, from which whoever shows it, with a pid of his own, gets
 * what was for himself, and nothing else.  What two offsets do show is whether they are the same:
 * that nothing came in between.  So a client is told no offset but that of a message which it
 * gets (its own place, whoever else got it) and that of the last mark (offsets_marked()), which
 * moves by the clock, whatever comes.  That an offset is not known any more says that it is too
 * old, or that more has come since than the history holds. */
#ifndef CODEC_OFFSET_H
#define CODEC_OFFSET_H

#include "base/slice.h"

#include <stdint.h>

#define OFFSET_LEN       11 /* characters of one on the wire */
#define OFFSETS_RANDOM   24 /* bytes that a new subscription begins with */
#define OFFSETS_MARK     16 /* bytes of a mark */
#define OFFSETS_NODE_MAX 64 /* bytes of a node's id that count */

/* Nobody's business but offset.c's. */
struct offsets {
    uint8_t key[OFFSETS_MARK]; /* k */
    uint64_t c, before;
    uint64_t marks;
    uint8_t node[OFFSETS_NODE_MAX];
    size_t node_len;
};

/* A subscription begins; random: from rand_bytes().  node: empty without a Cluster; its first
 * OFFSETS_NODE_MAX bytes are copied. */
void offsets_begin(struct offsets *offsets, const uint8_t random[OFFSETS_RANDOM],
                   struct slice node);
void offsets_mark(struct offsets *offsets, const uint8_t mark[OFFSETS_MARK]);
/* A message, as redis sent it: also one that is then dropped. */
void offsets_next(struct offsets *offsets, struct slice channel, struct slice payload);

/* Behind the last message or mark.  Never 0. */
uint64_t offsets_at(const struct offsets *offsets);
/* Behind the last mark, before any message since.  Never 0. */
uint64_t offsets_marked(const struct offsets *offsets);
/* 1 once two marks have come: others that heard them say the same. */
int offsets_shared(const struct offsets *offsets);

/* Not terminated.  offset: not 0. */
void offset_write(char dst[OFFSET_LEN], uint64_t offset);
/* Returns 0, or -1 for what offset_write() writes for none. */
int offset_read(struct slice text, uint64_t *offset);

#endif
