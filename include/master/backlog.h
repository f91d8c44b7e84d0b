/* backlog - messages that wait, in order: copies, with a bound. */
#ifndef MASTER_BACKLOG_H
#define MASTER_BACKLOG_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define BACKLOG_MAX_BYTES (64UL * 1024 * 1024)

struct backlog_message {
    struct backlog_message *next;
    uint64_t received_us;
    struct slice channel, payload; /* of its own */
};

struct backlog {
    struct backlog_message *first, **end; /* first: the oldest, or NULL */
    size_t bytes;
};

void backlog_init(struct backlog *backlog);

/* Returns 0, or -1 where it would be too much or is no memory. */
int backlog_put(struct backlog *backlog, struct slice channel, struct slice payload,
                uint64_t received_us);

/* The first is gone; there is one. */
void backlog_drop(struct backlog *backlog);

/* The first of from, and there is one, is the last of to, whatever the bound of that. */
void backlog_move(struct backlog *from, struct backlog *to);

void backlog_clear(struct backlog *backlog);

#endif
