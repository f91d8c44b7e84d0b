/* broadcast - one notification on its way from redis to clients: what emit.c
 * makes of a redis payload, what the master relays and the workers frame. */
#ifndef CODEC_BROADCAST_H
#define CODEC_BROADCAST_H

#include "base/buf.h"
#include "base/slices.h"
#include "codec/once.h"

#include <stdint.h>

#define BROADCAST_ATTACHMENTS_MAX 255 /* of an encoding; limits:attachments is lower */

enum broadcast_flags {
    BROADCAST_VOLATILE = 1 << 0, /* not for clients that have output waiting */
};

/* All slices borrow from the payload that was decoded, and from numbers: valid until that
 * goes or the next decode. */
struct broadcast {
    uint32_t flags;            /* enum broadcast_flags */
    uint64_t offset;           /* of recovery; whoever relays it says it; 0: none */
    struct slices rooms;       /* none: everybody; several: their union; each once */
    struct slices except;      /* rooms whose members do not get it, each once */
    struct buf numbers[2];     /* names of those that are numbers (room_name.h): of rooms, except */
    struct buf json;           /* JSON array of event and arguments, without its
                                  closing bracket: ["msg",{"a":1} */
    struct slices attachments; /* in the order of their placeholders' num */
    struct once once;          /* while rooms or except are read */
};

/* Empties it, keeping the memory. */
void broadcast_reset(struct broadcast *bc);

/* Frees what it holds; it is empty and valid again. */
void broadcast_clear(struct broadcast *bc);

#endif
