/* history - the messages of the last minutes, in memory that the master writes and all workers
 * read: for clients that come back.
 *
 * It is a row of stops, each a place in the stream that has an offset: an entry, with a message,
 * or a step, without one (a mark, or a message that is not kept).  A position counts stops: it
 * grows, is never 0, and those of one history are none of another.  What a client missed are the
 * entries from its position to the end.
 *
 * The memory is words of 8 bytes, in this order:
 *     the head of the file, one page: enum history_word
 *     the heads of the stops, HISTORY_HEAD words each, in a ring: small and side by side, for
 *         whoever looks for a few among many
 *     the messages (each a whole MSG_BROADCAST, from a word's beginning on), in a ring
 * The master moves the first valid position (HISTORY_BEGIN) before it overwrites anything:
 *
 *     master:  BEGIN = n, relaxed;  release fence;  words of a stop, relaxed;  END = m, release
 *     worker:  END, acquire;  words of a stop, relaxed;  acquire fence;  BEGIN, relaxed
 *
 * A worker that saw in any word what overwrites the stop at p has read from a store behind the
 * release fence, so behind its own acquire fence it sees a BEGIN above p, and throws away what it
 * copied.  One that sees BEGIN at p or below has copied nothing but what was there, all of which
 * was written before the END that it saw first.  Every word is read and written as an
 * atomic of its own, so there is no data race, and nothing tears but between words, which is
 * what BEGIN is for.
 *
 * What is read is checked as if a stranger had written it: whatever the words say, nothing outside
 * the mapping is read, and no call goes through more stops than there are heads. */
#ifndef IPC_HISTORY_H
#define IPC_HISTORY_H

#include "base/buf.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define HISTORY_HASHES 3 /* of rooms and of except, in each head */

/* --- who reads ------------------------------------------------------------------ */

struct history_view;

struct history_entry {
    uint64_t at;   /* its position */
    uint64_t next; /* the one behind it */
    uint64_t seq, offset;
    uint64_t body; /* where its message is, for history_copy() alone */
    uint32_t size; /* bytes of that */
    /* First the rooms, then except: a filter.  The names in the message decide.  nrooms 0:
     * everybody, or more rooms than there is place for; nexcept 0: the same of except. */
    uint16_t nrooms, nexcept;
    uint32_t hashes[HISTORY_HASHES];
};

enum history_read { HISTORY_ENTRY, HISTORY_END, HISTORY_OVERRUN };

/* Borrows fd until it returns.  NULL if it cannot be mapped, or holds no history (errno
 * EINVAL). */
struct history_view *history_view_open(int fd);
void history_view_close(struct history_view **viewp);

/* The first entry at pos or behind it; steps are passed over.
 * HISTORY_END: there is none so far; next is then the end, seq and offset those of the last stop
 * (0 if that has gone).  HISTORY_OVERRUN: what was at pos is gone, or pos is of another
 * history; *out is of no use. */
enum history_read history_next(const struct history_view *view, uint64_t pos,
                               struct history_entry *out);

/* The same, and appends the message of that entry to out; unless HISTORY_ENTRY is returned, out
 * is as it was.  Without memory: HISTORY_OVERRUN, with out->failed. */
enum history_read history_copy(const struct history_view *view, uint64_t pos, struct buf *out);

/* What a head has for the name of a room.  Never 0. */
uint32_t history_hash(const struct history_view *view, struct slice name);

/* --- the layout, for master/history.c ---------------------------------------------- */

#define HISTORY_MAGIC      UINT64_C(0x3179726f74736968) /* "history1" */
#define HISTORY_FILE_WORDS 512                          /* in front of the heads */
#define HISTORY_HEADS_MAX  (UINT64_C(1) << 26)
#define HISTORY_BODIES_MAX (UINT64_C(1) << 36) /* words */

enum history_word {
    HISTORY_WORD_MAGIC,
    HISTORY_WORD_HEADS,  /* how many; a power of 2 */
    HISTORY_WORD_BODIES, /* words of messages */
    HISTORY_WORD_KEY,    /* of the hashes: two words */
    /* In a line of the cache of their own. */
    HISTORY_WORD_BEGIN = 8, /* the first valid position */
    HISTORY_WORD_END        /* behind the last one */
};

enum history_head {
    HISTORY_HEAD_SEQ,
    HISTORY_HEAD_OFFSET,
    HISTORY_HEAD_BODY,   /* where its message begins: words ever written before it */
    HISTORY_HEAD_SIZE,   /* bytes of the message, 0 for a step; above 32 bits: when, in ms */
    HISTORY_HEAD_ROOMS,  /* nrooms; above 16 bits: nexcept; above 32: the first hash */
    HISTORY_HEAD_HASHES, /* the second hash; above 32 bits: the third */
    HISTORY_HEAD
};

uint32_t history_hash_keyed(const uint64_t key[2], struct slice name);

static inline uint64_t history_load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void history_store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

#endif
