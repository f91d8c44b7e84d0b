/* comeback - what a client has back with its session, when it is let in: from where on it is
 * told what it missed, and its rooms. */
#ifndef MASTER_COMEBACK_H
#define MASTER_COMEBACK_H

#include "base/buf.h"
#include "codec/once.h"
#include "conf.h"
#include "master/admit.h"
#include "master/resume_stats.h"

#include <stddef.h>
#include <stdint.h>

struct gone;
struct history;

/* admit.resumes, or'ed. */
enum {
    COMEBACK = 1,
    COMEBACK_FOREIGN = 2, /* from another daemon */
    COMEBACK_OWN_ID = 4   /* under a Socket.IO id of its own */
};

struct comeback_parts { /* borrowed */
    const struct conf *conf;
    const struct history *history;
    struct gone *gone;
    uint64_t seq; /* of the stream */
};

struct comeback_maker { /* zero is valid; reused */
    struct comeback comeback;
    struct buf items;          /* of the rooms: as of msg_room(), one behind the other */
    struct slices token, held; /* names of rooms: of the token, of the session */
    struct once once[2];       /* of these */
};

void comeback_clear(struct comeback_maker *maker);

/* The position in the history from which on a client misses what is there, that has all up to the
 * offset of admit, or where it came with none, to start, the offset at which its session began
 * (0: not known).  Never before start.  Returns 0, or -1 if it is not known. */
int comeback_locate(const struct history *history, const struct admit *admit, uint64_t start,
                    uint64_t *pos);

/* What the client has back of the session of its pid, which has been proven: from what is known of
 * it at this moment (gone.h), and with the rooms that each has, those of its present token, and
 * those that it was put into by request.  Returns RESUME_REFUSALS, and it is in maker->comeback,
 * until the next call or a change; or why it has nothing. */
enum resume_refusal comeback_make(struct comeback_maker *maker, const struct comeback_parts *parts,
                                  const struct admit *admit);

#endif
