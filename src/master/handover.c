#include "master/handover.h"

#include "base/clock.h"
#include "master/history.h"
#include "master/reclaim.h"

#include <stdlib.h>
#include <string.h>

void handover_clear(struct handover *handover)
{
    buf_free(&handover->given);
    free(handover->rooms);
    *handover = (struct handover){0};
}

/* --- to another ------------------------------------------------------------------- */

/* Since when, for who has all up to pos (if is_known); 0: in any case.  Returns 0, or 1 if the
 * history does not say. */
static int since_offset(const struct history *history, uint64_t seq, int is_known, uint64_t pos,
                        uint64_t *since)
{
    uint64_t joined = 0;

    *since = history_offset_of(history, seq);
    if (*since == 0) /* before all that is in the history, and so before pos */
        return !is_known;
    if (is_known && history_find(history, *since, &joined) == 0 && joined <= pos)
        *since = 0;
    return 0;
}

/* Returns 0, 1 if it cannot be said of each room since when, or -1 without memory. */
static int put_rooms(struct buf *out, const struct history *history,
                     const struct gone_session *session, uint64_t offset)
{
    uint64_t pos = 0;
    int is_known = offset != 0 && history_find(history, offset, &pos) == 0;

    for (size_t i = 0; i < session->nrooms; i++) {
        const struct gone_room *from = &session->rooms[i];
        struct peer_room room = {.is_claimed = from->is_claimed, .name = from->name};

        if (since_offset(history, from->since, is_known, pos, &room.since) != 0)
            return 1;
        if (peer_put_room(out, &room) < 0)
            return -1;
    }
    return 0;
}

static enum peer_result give(struct handover *handover, struct reclaim *reclaim,
                             const struct history *history, uint64_t from,
                             const struct peer_question *question, const struct pid *pid,
                             struct peer_answer *answer)
{
    uint64_t now_ms = clock_ms(), away_ms;
    struct gone_session session, moved = {.state = GONE_MOVED, .daemon = from};

    buf_reset(&handover->given);
    if (reclaim_take(reclaim, pid->session, question->uid, now_ms) < 0 ||
        gone_find(reclaim->gone, pid->session, &session) < 0)
        return PEER_UNPROVEN;
    if (put_rooms(&handover->given, history, &session,
                  question->offset != 0 ? question->offset : pid->offset) != 0)
        return PEER_ROOMS;
    away_ms = now_ms - session.left_ms;
    answer->away_ms = away_ms < UINT32_MAX ? (uint32_t)away_ms : UINT32_MAX;
    answer->left = (uint8_t)session.left;
    answer->rooms = (struct slice){(const char *)handover->given.data, handover->given.len};
    moved.left_ms = session.left_ms;
    memcpy(moved.session, pid->session, SESSION_LEN);
    (void)gone_put(reclaim->gone, &moved, now_ms); /* else nothing is known of it */
    return PEER_YOURS;
}

void handover_give(struct handover *handover, struct reclaim *reclaim,
                   const struct history *history, uint64_t from,
                   const struct peer_question *question, const struct pid *pid,
                   struct peer_answer *answer)
{
    answer->start = pid->offset;
    switch (reclaim_look(reclaim, pid->session, &answer->holder)) {
    case RECLAIM_UNKNOWN:
        answer->result = PEER_UNKNOWN;
        break;
    case RECLAIM_HERE:
        answer->result = give(handover, reclaim, history, from, question, pid, answer);
        break;
    case RECLAIM_ENDED:
        answer->result = PEER_ENDED;
        break;
    case RECLAIM_BROKEN:
        answer->result = PEER_GAP;
        break;
    case RECLAIM_MOVED:
        answer->result = PEER_ELSEWHERE;
        break;
    }
}

/* --- from another ----------------------------------------------------------------- */

/* 1 if who has all up to the message of that seq has nothing behind pos. */
static int is_before(const struct history *history, uint64_t seq, uint64_t pos)
{
    uint64_t offset = history_offset_of(history, seq), behind;

    return offset == 0 || (history_find(history, offset, &behind) == 0 && behind <= pos);
}

/* The last message that who has all up to offset has.  Returns 0, or 1 if that is not known. */
static int since_seq(const struct history *history, uint64_t last, uint64_t offset, uint64_t *seq)
{
    uint64_t low = 0, high = last, pos;

    if (history_find(history, offset, &pos) < 0)
        return 1;
    while (low < high) {
        uint64_t middle = high - (high - low) / 2;

        if (is_before(history, middle, pos))
            low = middle;
        else
            high = middle - 1;
    }
    *seq = low;
    return 0;
}

static int room_for_one(struct handover *handover)
{
    size_t cap = handover->cap > 0 ? 2 * handover->cap : 8;
    struct gone_room *rooms;

    if (handover->n < handover->cap)
        return 0;
    rooms = reallocarray(handover->rooms, cap, sizeof(*rooms));
    if (rooms == NULL)
        return -1;
    handover->rooms = rooms;
    handover->cap = cap;
    return 0;
}

int handover_get(struct handover *handover, const struct history *history, uint64_t seq,
                 struct slice rooms)
{
    struct peer_room room;

    handover->n = 0;
    while (peer_next_room(&rooms, &room)) {
        uint64_t since = 0;

        if (room.since != 0 && since_seq(history, seq, room.since, &since) != 0)
            return 1;
        if (room_for_one(handover) < 0)
            return -1;
        handover->rooms[handover->n++] =
            (struct gone_room){.name = room.name, .since = since, .is_claimed = room.is_claimed};
    }
    return 0;
}
