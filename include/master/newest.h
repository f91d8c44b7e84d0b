/* newest - when the clients came that have had their sessions back of late.
 *
 * A client that is back may have asked for its session before, over a connection that it has given
 * up since: a worker was long in reading that, or another daemon asks on behalf of one that waited
 * for redis there.  Who came later keeps the session.  A client has come when its Engine.IO session
 * was opened, which is before all that it says.  Times are of the wall clock, for a question may be
 * long on its way; where the clock there is slow, a client that comes to it within as much of its
 * last return is not recovered.  Of two whose places are the same the later is remembered. */
#ifndef MASTER_NEWEST_H
#define MASTER_NEWEST_H

#include "codec/pid.h"

#include <stdint.h>

#define NEWEST_PLACES 2048
#define NEWEST_MS     10000 /* no question is older: a later one has been set wrong by a clock */

struct newest {
    struct newest_place {
        uint8_t session[SESSION_LEN];
        uint64_t asked_ms;
    } places[NEWEST_PLACES]; /* all zero: empty */
};

void newest_note(struct newest *newest, const uint8_t session[SESSION_LEN], uint64_t asked_ms);

/* 1 if a client that asked later than that has had this session back. */
int newest_is_later(const struct newest *newest, const uint8_t session[SESSION_LEN],
                    uint64_t asked_ms);

#endif
