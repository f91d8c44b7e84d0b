/* expect - rooms that workers will hold soon: those that a MSG_JOIN names, while it is on
 * its way.
 *
 * Nobody in the master knows which clients it means.  So each name counts as a room that
 * each worker holds which it goes to (directory.h) until that worker has answered: what
 * it has reported before it answers is what stays.
 *
 * Where many join at once (EXPECT_MAX names in a worker each), or memory is out, the names
 * are not kept: then a worker counts as one that holds every room. */
#ifndef MASTER_EXPECT_H
#define MASTER_EXPECT_H

#include "base/slices.h"
#include "base/table.h"
#include "ipc/start.h"
#include "master/directory.h"

#include <stddef.h>
#include <stdint.h>

#define EXPECT_MAX 65536

struct expect {
    struct table ids;
    size_t names;                  /* for each worker that one is kept for */
    uint32_t unnamed[START_LANES]; /* joins of each worker without their names */
    size_t nunnamed;               /* their sum */
};

void expect_init(struct expect *expect);

/* Frees everything but the listings. */
void expect_clear(struct expect *expect);

/* A join of that id, which is not in use, goes to n workers, each once; names are copied.
 * Returns 0, or -1 without memory (nothing changed). */
int expect_put(struct expect *expect, struct directory *directory, uint32_t id,
               const struct slices *names, const uint16_t *lanes, size_t n);

/* That worker has answered it.  An id, or a worker, that is not waited for means nothing. */
void expect_settle(struct expect *expect, struct directory *directory, uint32_t id, unsigned lane);

/* That worker answers no more; the listings are as they are: directory_drop_lane() is next. */
void expect_drop_lane(struct expect *expect, unsigned lane);

#endif
