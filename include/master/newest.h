/* newest - when the clients asked that have had their sessions back of late.
 *
 * Another daemon asks for a session on behalf of a client that may have waited for redis there,
 * and is not there any more: who came back here after it has asked is the newer one, and keeps
 * the session.  Of two whose places are the same the later is remembered. */
#ifndef MASTER_NEWEST_H
#define MASTER_NEWEST_H

#include "codec/pid.h"

#include <stdint.h>

#define NEWEST_PLACES 2048

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
