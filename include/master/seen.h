/* seen - the requests that have come of late, so that each is answered and carried out once,
 * over however many connections it comes.
 *
 * What makes two of them one is its kind, its id and the uid of its sender.  Whoever may
 * publish can take those of somebody else: then one of both is answered as a further copy,
 * which is: empty. */
#ifndef MASTER_SEEN_H
#define MASTER_SEEN_H

#include "base/table.h"
#include "codec/request.h"

#include <stdint.h>

#define SEEN_MS  10000 /* it is remembered for so long */
#define SEEN_MAX 10000 /* beyond it the oldest is forgotten */

struct seen_request {
    struct table_node node;
    struct seen_request *next; /* the next younger one */
    uint64_t until_ms;
    int is_counted;  /* for its owner, 0 at first: a copy has come that has to be answered */
    int is_ordered;  /* likewise: it has come in its place in the stream */
    uint32_t number; /* likewise: of what it led to, or 0 */
    char key[];
};

struct seen {
    struct table table;
    struct seen_request *first, **end; /* first: the oldest, or NULL */
    size_t most;                       /* that there were since there were none */
};

#define SEEN_FLOOD 5000 /* so many at a time are one */

void seen_init(struct seen *seen);
void seen_clear(struct seen *seen);

/* That of a request with an id, which is made if there is none; valid until the next call.
 * NULL without memory. */
struct seen_request *seen_look(struct seen *seen, const struct request *request, uint64_t now_ms);

/* Forgets those whose time is up.  Where there are none any more, and it was a flood, the
 * memory that it took is given back, for answers and what waits lay among what is kept.
 * When that is to be done next, at most once a second; UINT64_MAX: there are none. */
void seen_turn(struct seen *seen, uint64_t now_ms);
uint64_t seen_due_ms(const struct seen *seen);

#endif
