/* chunk - output bytes that many clients share.
 *
 * A log appends frames to refcounted blocks.  Frames that follow each other in
 * one block are one run: a client that waits for several of them holds one
 * (block, offset, length) and gets them in one send, with no copy of its own. */
#ifndef NET_CHUNK_H
#define NET_CHUNK_H

#include "base/buf.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define CHUNK_BYTES 65536 /* of one block; a larger frame gets a block of its own */

struct chunk;

/* What the blocks of some logs take.  A block is thin when it is no log's newest any
 * more and less than half of it would be needed to give each client a copy of what it
 * waits for: it is kept for a few bytes, and outq_copy_thin() does without it.
 * Zero-initialised is valid. */
struct chunks {
    size_t bytes; /* all of them, but for the spare ones */
    size_t thin;  /* ... that are thin */
    size_t thin_max;
    void (*on_thin)(void *arg); /* one has become thin, and there are thin_max bytes of
                                   them; from any call that takes from a queue, or that
                                   adds to a log.  May be NULL. */
    void *arg;
    struct chunk *spare; /* a few, for the next that are needed */
    size_t spare_bytes;
};

/* Frees the spare ones; all others are to be gone. */
void chunks_clear(struct chunks *chunks);

/* Where the newest bytes go.  Zero-initialised is valid. */
struct chunklog {
    struct chunk *tail;    /* the log's own reference, or NULL */
    struct chunks *chunks; /* where its blocks are counted, or NULL; it outlives them */
    uint8_t kind;          /* of what is in it; the caller's to choose, and to ask for: run_kind */
};

/* A run of bytes in a chunk; holding one means holding a reference. */
struct run {
    struct chunk *chunk;
    uint32_t off, len;
};

/* Room for exactly n bytes at the end of the log, contiguous.  Returns where
 * to write them and fills *run with no reference of its own: it is valid until
 * the next call on this log unless run_ref or outq_push takes one.  NULL without
 * memory. */
uint8_t *chunklog_reserve(struct chunklog *log, size_t n, struct run *run);
/* Gives back what was not needed: run, just reserved, is n bytes long. */
void chunklog_unreserve(struct chunklog *log, struct run *run, size_t n);
int chunklog_put(struct chunklog *log, const void *bytes, size_t n, struct run *run);

/* Lets go of a block that was made for one large frame, if that is the newest. */
void chunklog_trim(struct chunklog *log);
void chunklog_clear(struct chunklog *log);

/* A run of bytes that stay the caller's and outlive it, of kind 0, with a
 * reference of its own: run_unref.  Returns 0, or -1 without memory. */
int run_wrap(struct run *run, const void *bytes, size_t n);

/* A reference more, and one less (run is empty after that). */
void run_ref(const struct run *run);
void run_unref(struct run *run);

/* The kind of the log it came from. */
uint8_t run_kind(const struct run *run);

/* A client's output: runs in order.  Zero-initialised is empty and holds no
 * memory; one run is held inline. */
struct outq {
    struct run first; /* len 0: the queue is empty */
    struct run *more; /* after first; ring of more_cap */
    uint32_t more_head, more_n, more_cap;
    uint32_t bytes; /* in all runs */
    uint32_t watch; /* whoever keeps a list of queues: where it is in that; else 0 */
};

/* Bytes that wait, and those that it takes to know of them: what counts against a
 * client's limit, so that it bounds the number of small messages too. */
static inline size_t outq_held(const struct outq *queue)
{
    return queue->bytes + (size_t)queue->more_n * sizeof(struct run);
}

/* Appends a run (takes a reference of its own), joining it to the last one where
 * they touch.  Returns 0, or -1 without memory (nothing changed). */
int outq_push(struct outq *queue, const struct run *run);

/* Fills iov with what comes next; returns how many entries (0: empty). */
int outq_iov(const struct outq *queue, struct iovec *iov, int max);

/* n bytes were written; n <= bytes.  Memory of an emptied queue is given back. */
void outq_consume(struct outq *queue, size_t n);

/* Takes all that is in it, and appends it to out, whose failed tells if not all is
 * there. */
void outq_drain(struct outq *queue, struct buf *out);

/* Moves runs from the front of src to the end of dst while they are of the
 * first one's kind.  Returns the bytes moved, or -1 without memory (a part may
 * have moved). */
long outq_move(struct outq *dst, struct outq *src);

void outq_clear(struct outq *queue);

/* Gives the queue its own copy of what it has in thin blocks, as far as there is
 * memory; what waits stays the same.  Begins with run number from (0: the first) and
 * looks at max of them.  Returns where to go on, or 0 at the end. */
uint32_t outq_copy_thin(struct outq *queue, uint32_t from, uint32_t max);

#endif
