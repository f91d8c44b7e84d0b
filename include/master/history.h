/* history - the messages of the last minutes, as the master keeps them for clients that come
 * back: who writes what ipc/history.h describes, and finds positions by offsets.
 *
 * A worker gets a descriptor that was opened for reading, of a file that is sealed against any
 * further writing, by whatever descriptor (F_SEAL_FUTURE_WRITE; Linux 5.1): what is left to it
 * is to read.  The mapping that writes is not there in children. */
#ifndef MASTER_HISTORY_H
#define MASTER_HISTORY_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

struct broadcast;
struct history;

struct history_stats {
    uint64_t bytes;   /* of what is in it */
    uint64_t entries; /* messages in it */
    uint64_t age_ms;  /* of the oldest */
    uint64_t cuts;    /* how often it was emptied */
    uint64_t crowded; /* stops that had to go before their time, for want of room */
};

/* max_bytes: of memory, all in all, which is taken as it is filled; at least 16
 * pages.  What is older
 * than keep_ms goes.  NULL if it cannot be made, which is logged. */
struct history *history_new(size_t max_bytes, uint64_t keep_ms);
/* Whoever still reads it hears HISTORY_OVERRUN, wherever he is. */
void history_free(struct history **historyp);

/* For workers.  The history's, who closes it. */
int history_fd(const struct history *history);

/* now_ms: of clock_ms(), and never less than before.  Without memory for what comes it is emptied,
 * and what came has no place in it. */

/* The stream has come to offset without a message that is kept: a mark, or one that is dropped
 * or volatile. */
void history_step(struct history *history, uint64_t offset, uint64_t now_ms);
/* The same for a message that was dropped here, by limits, and maybe not by other daemons. */
void history_hole(struct history *history, uint64_t offset, uint64_t now_ms);
/* A message; seq is more than that before.  message: the whole MSG_BROADCAST, copied.  One that
 * has no room empties it, and has a place all the same. */
void history_put(struct history *history, uint64_t seq, uint64_t offset, const struct broadcast *bc,
                 struct slice message, uint64_t now_ms);
/* Empties it: something is missing here.  Every position and offset of before is of no use. */
void history_cut(struct history *history);
/* What is too old goes; so it does with each of the calls above. */
void history_trim(struct history *history, uint64_t now_ms);

/* Where a replay begins for who has all up to offset.  Returns 0, or -1 if it is not known. */
int history_find(const struct history *history, uint64_t offset, uint64_t *pos);
uint64_t history_end(const struct history *history);
/* How long ago the stream was there: pos is of history_find(), and is still valid. */
uint64_t history_age_of(const struct history *history, uint64_t pos, uint64_t now_ms);
/* The position behind the last hole; 0: none. */
uint64_t history_holed(const struct history *history);
/* The offset right behind the last message of this seq or below.  0: older than the history. */
uint64_t history_offset_of(const struct history *history, uint64_t seq);

void history_stats(const struct history *history, uint64_t now_ms, struct history_stats *out);

#endif
