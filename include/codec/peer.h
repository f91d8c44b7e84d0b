/* peer - what daemons on one redis say to each other about sessions, on the peer channel.
 *
 *     "axrpeer" 1 | from u64 | items, one at least
 *     item: 1 question   to u64, id u32, flags u8 (1: vouched), age u32, offset u64, pid 54, uid
 * u8+ 2 answer     to u64, id u32, result u8, start u64; then, by the result: yours   away u32,
 * left u8, rooms u32+ moved   holder u64 3 presence   gap u64 room: since u64, flags u8 (1:
 * claimed), name u32+
 *
 * Integers are little-endian, "u8+" is a length and that many bytes.  The shortest is 24 bytes:
 * none is as long as a mark, 16 bytes, which are alone on the channel with them.
 *
 * from is how a daemon calls itself: nothing proves it.  Whoever may publish there may publish
 * everything, and a message decides nothing but about a session whose pid proves itself, or that
 * was asked for. */
#ifndef CODEC_PEER_H
#define CODEC_PEER_H

#include "base/buf.h"
#include "base/slice.h"
#include "codec/pid.h"

#include <stddef.h>
#include <stdint.h>

#define PEER_MAX      (1024UL * 1024) /* bytes of a message; a longer one is malformed */
#define PEER_HEAD_LEN 16              /* before the items */

enum peer_kind { PEER_END, PEER_QUESTION, PEER_ANSWER, PEER_PRESENCE };

/* A client is here with that pid, and wants its session back.  Who has it gives it up. */
struct peer_question {
    uint64_t to;    /* whose pid it is: it answers in any case, others if they have the session */
    uint32_t id;    /* for the answer */
    int is_vouched; /* the pid is proven: by who asks, or by its daemon */
    uint32_t
        came_ms; /* when the client asked, by the clock of who asks: since 1970, its last bits */
    uint64_t offset;    /* from which on it is to have what it missed; 0: from its start on */
    const uint8_t *pid; /* PID_LEN bytes */
    struct slice uid;   /* of its token; 1 to 255 bytes */
};

enum peer_result {
    PEER_YOURS = 1, /* the session, as it was, which is no longer here */
    PEER_ELSEWHERE, /* proven, but another daemon (holder) has it */
    PEER_UNKNOWN,   /* proven, but nothing is known of it */
    PEER_ENDED,     /* it is over: the client left, or was put out */
    PEER_GAP,       /* it began before a gap of this daemon */
    PEER_ROOMS,     /* it has rooms of which it cannot be said since when, or too many */
    PEER_UNPROVEN,  /* that pid was not made for that user */
    PEER_TAKEN,     /* another client, which asked later, has it */
    PEER_RESULTS
};

struct peer_answer {
    uint64_t to; /* who asked */
    uint32_t id;
    enum peer_result result;
    uint64_t start;     /* the start offset in the pid, which not everybody can read; 0: not said */
    uint64_t holder;    /* PEER_ELSEWHERE */
    uint32_t away_ms;   /* PEER_YOURS: for so long its client has not been there */
    uint8_t left;       /* default rooms that it has left */
    struct slice rooms; /* further ones: peer_put_room(), peer_next_room() */
};

/* from is there, and sees what is published since its last gap. */
struct peer_presence {
    uint64_t gap_ms; /* when that was over, by its clock (since 1970): what began before may have
                        missed something */
};

struct peer_room {
    uint64_t since; /* offset: it was joined behind that; 0: before the offset of the question */
    int is_claimed; /* by its token, not by a request */
    struct slice name;
};

/* --- writing: each appends, and returns 0, or -1 without memory (out is as it was) --- */

int peer_begin(struct buf *out, uint64_t from);
int peer_put_question(struct buf *out, const struct peer_question *question);
int peer_put_answer(struct buf *out, const struct peer_answer *answer);
int peer_put_presence(struct buf *out, const struct peer_presence *presence);
/* For peer_answer.rooms. */
int peer_put_room(struct buf *rooms, const struct peer_room *room);

/* --- reading: what is read borrows from the payload --- */

struct peer {
    uint64_t from;
    struct peer_question question; /* of the item that peer_next() has read */
    struct peer_answer answer;
    struct peer_presence presence;
    const uint8_t *at, *end; /* private */
};

/* 0; or -1 if payload is none, in whole or in part: nothing of it is to be heeded then. */
int peer_read(struct peer *peer, struct slice payload);

/* The next item, PEER_END at the end. */
enum peer_kind peer_next(struct peer *peer);

/* Takes the next room off the front of rooms.  1, or 0 at the end. */
int peer_next_room(struct slice *rooms, struct peer_room *room);

#endif
