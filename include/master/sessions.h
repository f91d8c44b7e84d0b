/* sessions - which session each client is that is in, and which client has a session.
 *
 * A session's id is that of its first connection (codec/sid.h): a worker, and a place there.
 * 16 bytes a client, in blocks of an array for each lane, indexed by the low 32 bits of the
 * worker's name for the client: that is its place among the worker's sessions, those that
 * are free are used first (eio/handles.c), so the places in use are about the first ones.
 * A client whose place is not below SESSIONS_PLACE_MAX has no session here, and so cannot be
 * recovered: no honest worker has one, and a hostile one gets 16 MB of memory by it.
 *
 * A client that was recovered goes by an id that names another place, mostly: it has moved.
 * Those are in a hash table besides, 8 bytes each, 10 to 13 with what is free in it.
 *
 * A session is one client's, the newest's: whoever had it before has none from then on. */
#ifndef MASTER_SESSIONS_H
#define MASTER_SESSIONS_H

#include "base/slice.h"
#include "codec/pid.h"

#include <stddef.h>
#include <stdint.h>

#define SESSIONS_PLACE_MAX ((1U << 20) - 1)

struct sessions;

enum sessions_origin {
    SESSIONS_NEW,    /* it begins with this client */
    SESSIONS_OWN,    /* it was recovered, and began at this daemon */
    SESSIONS_FOREIGN /* ... at another one */
};

/* NULL without memory. */
struct sessions *sessions_new(void);
void sessions_free(struct sessions **sessions);

/* The client, which is in, is session from now on.  A new one has to
 * name this lane and the client's place.  Returns 0; 1 where it names
 * another place that it may not, where the client's is past the end, or where a newer client is
 * in that place already (nothing changed); -1 without memory.  But for 0 the client has none. */
int sessions_put(struct sessions *sessions, unsigned lane, uint64_t client,
                 const uint8_t session[SESSION_LEN], enum sessions_origin origin);

/* What is known of a session whose client is in. */
struct sessions_entry {
    uint8_t session[SESSION_LEN];
    int has_moved; /* its id names another lane or place */
    int is_foreign;
    int is_broken; /* sessions_break() */
    int youth;     /* sessions_mark_young(); 0: it has not been */
};

/* Returns 0, or -1 if that client has no session. */
int sessions_get(const struct sessions *sessions, unsigned lane, uint64_t client,
                 struct sessions_entry *out);

/* Something is kept with it: 1 to SESSIONS_YOUTH_MAX. */
#define SESSIONS_YOUTH_MAX 15
void sessions_mark_young(struct sessions *sessions, unsigned lane, uint64_t client, int youth);

/* It has none any more.  Nothing happens where it had none. */
void sessions_take(struct sessions *sessions, unsigned lane, uint64_t client);

/* Whose it is.  Returns 0, or -1 if it is nobody's. */
int sessions_find(const struct sessions *sessions, const uint8_t session[SESSION_LEN],
                  unsigned *lane, uint64_t *client);

/* The lane of the client that goes by that id and has moved, or -1: where a message to the room
 * of that name goes.  Where nobody has moved, or by its length it is none, at no cost. */
int sessions_moved_lane(const struct sessions *sessions, struct slice id);

/* Something has been missed here that nobody can replay: all sessions there are now are broken.
 * Looks at each. */
void sessions_break(struct sessions *sessions);

/* None of that worker's clients has one any more. */
void sessions_drop_lane(struct sessions *sessions, unsigned lane);

size_t sessions_count(const struct sessions *sessions); /* of all */
size_t sessions_moved(const struct sessions *sessions); /* of them: that have moved */

#endif
