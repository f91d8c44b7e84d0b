/* pending - admissions that wait for a place of their user, in the order they came.
 *
 * A client that disconnects and connects again at once often asks, from another
 * worker, before the first worker has told that it left: a refusal there would be
 * final, for clients do not come back by themselves.  No clock, no messages. */
#ifndef MASTER_PENDING_H
#define MASTER_PENDING_H

#include "master/admit.h"

#include <stddef.h>
#include <stdint.h>

/* How long.  A worker tells what it reads within a turn of its loop, some milliseconds;
 * a busy one, or one that shares its CPU, needs longer.  Nobody notices that it takes
 * so long to be refused. */
#define PENDING_MS 250
/* Of all users.  Beyond it the refusal is at once. */
#define PENDING_MAX 1024
/* One user may have so many wait beside those that it has places for: clients that
 * come, go and come again while they wait. */
#define PENDING_SPARE 8
/* Bytes of a client's names: those of its rooms come from a token, which is shorter. */
#define PENDING_NAMES_MAX 16384

struct admission {
    struct admission *next;
    uint64_t until_ms;
    struct admit *admit;
    int gone; /* its worker is: nobody waits for an answer */
};

struct pending {
    struct admission *first, **end; /* in the order of until_ms */
    size_t n;
};

void pending_init(struct pending *pending);
void pending_clear(struct pending *pending);

/* One more, the last, copied; until_ms is not less than that of those before it.  places: how
 * many clients its user may have.  Returns 0, or -1 if as many wait as may, if these names are
 * longer than those of a client may be, or without memory (nothing changed). */
int pending_put(struct pending *pending, const struct admit *admit, size_t places,
                uint64_t until_ms);

/* Takes out the one that *at points to, which then is the next one: the caller's,
 * admission_free(). */
struct admission *pending_take(struct pending *pending, struct admission **at);
void admission_free(struct admission *admission);

/* Marks those of that worker as gone.  Takes none out: may be called while somebody
 * walks through them. */
void pending_drop_lane(struct pending *pending, unsigned lane);

#endif
