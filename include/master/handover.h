/* handover - a session on its way to another daemon, or from one.
 *
 * Here it is known since which message of the stream, by its number, a session is in a room;
 * numbers are each daemon's own, so between them offsets say it. */
#ifndef MASTER_HANDOVER_H
#define MASTER_HANDOVER_H

#include "base/buf.h"
#include "codec/peer.h"
#include "master/gone.h"

#include <stddef.h>
#include <stdint.h>

struct history;
struct reclaim;

struct handover {            /* zero is valid; reused */
    struct buf given;        /* the rooms of an answer */
    struct gone_room *rooms; /* those that have come with one */
    size_t n, cap;
};
void handover_clear(struct handover *handover);

/* What another daemon (from) is told of the session of that pid, which is proven; answer is
 * filled in but for what says to which question.  If it is here, it is not any more.  answer
 * borrows from handover, until the next call. */
void handover_give(struct handover *handover, struct reclaim *reclaim,
                   const struct history *history, uint64_t from,
                   const struct peer_question *question, const struct pid *pid,
                   struct peer_answer *answer);

/* The rooms of an answer are handover->rooms, as they are here; seq: of the stream.  Borrowed
 * from rooms.  Returns 0, 1 if it cannot be said since when it is in one, or -1 without memory. */
int handover_get(struct handover *handover, const struct history *history, uint64_t seq,
                 struct slice rooms);

#endif
