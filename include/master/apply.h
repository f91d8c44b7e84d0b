/* apply - what a join, leave or disconnect by request does to sessions whose clients have gone:
 * what a worker would do to these (worker/select.c, membership.c), in one step. */
#ifndef MASTER_APPLY_H
#define MASTER_APPLY_H

#include "base/slices.h"
#include "ipc/msg.h"
#include "master/absent.h"

#include <stddef.h>
#include <stdint.h>

#define APPLY_NAME_MAX 1024 /* bytes of a room's name: worker/room.h */

struct gone_request {
    enum msg_type type;                          /* MSG_JOIN, MSG_LEAVE or MSG_DISCONNECT */
    uint32_t id;                                 /* of the message to the workers */
    int by_id;                                   /* rooms are ids: MSG_SELECT_IDS */
    const struct slices *rooms, *except, *names; /* names: not of a MSG_DISCONNECT */
    uint64_t seq;                                /* of the stream: relay_seq() */
    uint32_t rooms_max;                          /* limits:roomsPerClient */
    uint64_t number;                             /* gone_requests() with it: gone.c's */
};

struct apply_limits {
    size_t looks; /* at sessions, and rooms of theirs, as often as it looks at one */
    size_t seats; /* that there may be */
};

/* What is set as the state of those who are disconnected. */
struct apply {
    struct absents *absents;
    struct apply_limits limits;
    uint8_t ended;
};

/* To all from that number on.  Returns 0; -1 if that takes more than it may, or without
 * memory: then some may have had it in part or not at all. */
int apply_request(const struct apply *apply, const struct gone_request *request, uint64_t from);

/* To that one, as if it were the only one. */
int apply_to(const struct apply *apply, const struct gone_request *request, struct absent *absent);

/* 1 if it is meant. */
int apply_concerns(const struct absents *absents, const struct gone_request *request,
                   const struct absent *absent);

#endif
