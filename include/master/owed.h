/* owed - what workers owe to queries.  Each question to a worker has an end, also where nobody
 * waits for it any more, and until then the worker is at work on it.
 *
 * A worker that has said nothing for as long as a query may take counts as one that hangs: it
 * is waited for no longer. */
#ifndef MASTER_OWED_H
#define MASTER_OWED_H

#include "ipc/start.h"
#include "master/laneset.h"

#include <stdint.h>

#define OWED_MAX      48 /* by a worker: it has places for more (worker/fetch.h) */
#define OWED_LATE_MAX 8

struct owed_lane {
    unsigned n;
    uint64_t heard_ms; /* when it began to owe, or said something last */
};

struct owed_late {
    uint32_t id; /* 0: there is none here */
    struct laneset waiting;
};

struct owed { /* zero is one of which nothing is owed; fields are private */
    struct owed_lane lanes[START_LANES];
    unsigned nfull; /* of them: they owe OWED_MAX */
    struct owed_late late[OWED_LATE_MAX];
};

/* 1 if it may be asked nothing more. */
int owed_is_full(const struct owed *owed, unsigned lane);

/* It is asked one more; or that was not sent. */
void owed_ask(struct owed *owed, unsigned lane, uint64_t now_ms);
void owed_unask(struct owed *owed, unsigned lane);

/* It says something to the question of that id, or its last. */
void owed_said(struct owed *owed, unsigned lane, uint32_t id, int is_last, uint64_t now_ms);

/* It has gone. */
void owed_down(struct owed *owed, unsigned lane);

/* A query that is much work is over, while these are still at it. */
void owed_late(struct owed *owed, uint32_t id, const struct laneset *waiting);

/* 1 while a worker is at work on as much as it may; on one that is over.  Those that hang do
 * not count: patience_ms is how long a query may take. */
int owed_is_crowded(const struct owed *owed, uint64_t now_ms, uint32_t patience_ms);
int owed_is_late(const struct owed *owed, uint64_t now_ms, uint32_t patience_ms);

/* 1 if one of them is at work on what it owes, and does not hang. */
int owed_works(const struct owed *owed, const struct laneset *lanes, uint64_t now_ms,
               uint32_t patience_ms);

/* When the next of those that either speaks of will count as one that hangs; UINT64_MAX: none. */
uint64_t owed_due_ms(const struct owed *owed, uint64_t now_ms, uint32_t patience_ms);

#endif
