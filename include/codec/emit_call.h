/* emit_call - a message as a backend without an emitter says it, in JSON:
 *
 *     {"to":["r"],"except":["s"],"event":"msg","args":[1,{"a":2}],"volatile":false,"ack":0}
 *
 * to and except are a text or a list of texts, which may be left out; so may all but event.
 * A list that is empty is no good for to: it would mean everybody, whom nobody meant who had
 * a list.  Nothing is taken that means something else than it says: no unknown member, none
 * that is there twice, no other type. */
#ifndef CODEC_EMIT_CALL_H
#define CODEC_EMIT_CALL_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/slices.h"

#include <stdint.h>

#define EMIT_CALL_ACK_MAX 3600000 /* ms */

struct emit_call { /* zero is empty, and valid; slices are its own */
    struct slices rooms, except;
    struct buf event;    /* its name */
    struct buf json;     /* the array of the event and its arguments, as they were written */
    uint32_t flags;      /* enum broadcast_flags */
    uint32_t ack_ms;     /* 0: nobody is to acknowledge it */
    struct buf names[2]; /* private: of rooms, except */
};

/* Reads text into call, which is empty.  Returns 0; -1, and a sentence in error, if it is not what
 * it should be; -2 without memory. */
int emit_call_decode(struct emit_call *call, struct slice text, struct buf *error);

/* Frees what it holds; it is empty and valid again. */
void emit_call_clear(struct emit_call *call);

#endif
