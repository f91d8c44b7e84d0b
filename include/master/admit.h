/* admit - one client that asks to be let in, and what becomes of the session that it wants
 * back. */
#ifndef MASTER_ADMIT_H
#define MASTER_ADMIT_H

#include "base/slice.h"
#include "base/slices.h"
#include "codec/pid.h"

#include <stddef.h>
#include <stdint.h>

/* The session that a client has back. */
struct comeback {
    uint8_t session[SESSION_LEN];
    uint64_t from;       /* position in the history (history.h): what it has missed */
    int has_own_id;      /* it goes by a Socket.IO id of its own, not by that of the session */
    unsigned left;       /* default rooms that it is not in: enum msg_default */
    struct slices rooms; /* all others that it is in, as of msg_room() */
    size_t nclaimed;     /* the first of these, by its token; the rest by request */
};

/* As of MSG_ADMIT; all is borrowed. */
struct admit {
    unsigned lane;
    uint64_t client;
    struct slice uid;
    struct slices rooms;  /* of its token */
    struct slice session; /* SESSION_LEN bytes: a new session's; empty: it recovers none */
    struct slice pid;     /* PID_LEN bytes, or empty */
    int has_offset;
    uint64_t offset;
    uint64_t opened_ms;
    int resumes;    /* it may have the session of pid back: that is decided when it is let in;
                       what else it says is resume's own */
    uint64_t start; /* then: the start offset of that pid, which resume could read */
};

/* The same in memory of its own, in one piece: the caller's to free.  NULL without memory. */
struct admit *admit_copy(const struct admit *admit);

/* Bytes of its names: of rooms, uid and the like. */
size_t admit_names(const struct admit *admit);

#endif
