/* hear - what a worker says: each message taken apart, and told to whom it concerns. */
#ifndef MASTER_HEAR_H
#define MASTER_HEAR_H

#include "ipc/msg.h"

struct cluster;
struct recovery;
struct relay;
struct stats;

struct hear {            /* one worker, from its fork on */
    struct relay *relay; /* borrowed, like the next three */
    struct stats *stats;
    struct cluster *cluster;
    struct recovery *recovery;
    unsigned lane;
    int has_hello; /* 0 at first: it has told its version */
    int is_up;     /* likewise: it has said MSG_READY */
};

enum heard {
    HEARD_BAD = -1, /* malformed, or nothing that it may say (now) */
    HEARD_GOOD,
    HEARD_STARVED, /* there is no memory for it: to be heard again */
    HEARD_READY    /* it has said that it accepts clients */
};

/* Nobody is told of HEARD_READY but the caller. */
enum heard hear_message(struct hear *hear, struct msg *msg);

#endif
