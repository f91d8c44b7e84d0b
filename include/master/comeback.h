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

#define COMEBACK_CLOCK_MS 10000 /* clocks of daemons differ by less */

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
    uint64_t seq;  /* of the stream */
    uint64_t self; /* relay_epoch() */
};

struct comeback_maker { /* zero is valid; reused */
    struct comeback comeback;
    struct buf items;          /* of the rooms: as of msg_room(), one behind the other */
    struct slices token, held; /* names of rooms: of the token, of the session */
    struct once once[2];       /* of these */
};

void comeback_clear(struct comeback_maker *maker);

struct comeback_start { /* of a session */
    uint64_t offset;    /* where the stream was; 0: not known */
    uint64_t at_ms;     /* since 1970, by the clock of its daemon */
    int is_own;         /* this one */
};

/* The position in the history from which on a client misses what is there, that has all up to the
 * offset of admit, or where it came with none, to the start of its session.  Never before
 * that: a client that was refused its session comes with the offset of that one, and what it
 * missed then is not for the next.  Returns 0, or -1 if it is not known. */
int comeback_locate(const struct history *history, const struct admit *admit,
                    const struct comeback_start *start, uint64_t *pos);

/* What the client has back of the session of its pid, which has been proven: from what is known of
 * it at this moment (gone.h), and with the rooms that each has, those of its present token, and
 * those that it was put into by request.  Returns RESUME_REFUSALS, and it is in maker->comeback,
 * until the next call or a change; or why it has nothing. */
enum resume_refusal comeback_make(struct comeback_maker *maker, const struct comeback_parts *parts,
                                  const struct admit *admit);

#endif
