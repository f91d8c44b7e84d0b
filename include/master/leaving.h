/* leaving - the members whose place another one has taken, or that were given up: each is there
 * until nobody counts it any more, and can publish for a while longer. */
#ifndef MASTER_LEAVING_H
#define MASTER_LEAVING_H

#include "base/slice.h"
#include "master/member.h"

#include <stddef.h>
#include <stdint.h>

struct leaving_ops {
    /* A request over one of them.  Whoever was counted when it was sent is asked by it, and has
     * to answer; nothing else that they hear is told. */
    void (*arrived)(struct slice payload, int is_counted, uint32_t via, void *arg);
    /* One has left. */
    void (*left)(struct member *member, void *arg);
};

struct leaving { /* fields are private */
    const struct leaving_ops *ops;
    void *arg;
    struct member *first;
    struct commands_stats past; /* of those that are gone */
};

/* ops is borrowed. */
void leaving_init(struct leaving *leaving, const struct leaving_ops *ops, void *arg);

/* All are freed.  What they are asked from then on they do not do. */
void leaving_clear(struct leaving *leaving);

/* Takes member.  Where there are many the oldest goes at once. */
void leaving_put(struct leaving *leaving, struct member *member);

/* The end: they have so much time, and no more; have all left? */
void leaving_hurry(struct leaving *leaving, unsigned ms);
int leaving_is_over(const struct leaving *leaving);

/* The one of that number, if it can publish; else NULL. */
struct member *leaving_via(const struct leaving *leaving, uint32_t via);

/* What they and those before have published. */
struct commands_stats leaving_stats(const struct leaving *leaving);

/* In a child: gives up all secrets. */
void leaving_disown(struct leaving *leaving);

#endif
