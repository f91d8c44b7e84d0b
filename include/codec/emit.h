/* emit - what socket.io emitters and adapters publish -> struct broadcast.
 *
 * The payload is msgpack: [uid, packet, opts] with packet {type, data, nsp} and
 * opts {rooms, except, flags} (socket.io-redis-emitter, lib/index.ts; and
 * socket.io-redis-adapter, lib/index.ts, onmessage).  It goes straight from
 * msgpack to JSON text, with no tree in between.  Nothing in it is trusted. */
#ifndef CODEC_EMIT_H
#define CODEC_EMIT_H

#include "base/slice.h"
#include "codec/broadcast.h"

#include <stddef.h>
#include <stdint.h>

/* Why a message is not forwarded.  Every cause is counted and logged by the
 * name that emit_result_name() gives. */
enum emit_result {
    EMIT_OK,
    EMIT_OTHER_NAMESPACE, /* for a namespace that is not ours: not an error */
    EMIT_NOT_BROADCAST,   /* another kind of message of the cluster: not an error */
    EMIT_MALFORMED,       /* not msgpack of any dialect, or not of the right shape */
    EMIT_TOO_DEEP,        /* nested more than EMIT_DEPTH_MAX */
    EMIT_TOO_LARGE,       /* above limits:messageBytes, as payload or as JSON */
    EMIT_NO_EVENT,        /* data[0] is missing or neither string nor number */
    EMIT_RESERVED_EVENT,  /* connect, connect_error, disconnect, disconnecting,
                             newListener, removeListener: current clients
                             disconnect when they get one */
    EMIT_ATTACHMENTS,     /* more than limits:attachments */
    EMIT_NO_MEMORY,
    EMIT_RESULTS /* how many there are */
};

#define EMIT_DEPTH_MAX 128 /* nesting of data; real emitters pass 100 levels */

struct emit_limits {
    size_t message_bytes; /* largest payload, and largest JSON text made of it */
    size_t attachments;   /* at most, BROADCAST_ATTACHMENTS_MAX or less */
};

/* Decodes one published message.  channel is where it came (used for the copies
 * that some emitters publish once a room, and where the payload has no
 * namespace); key is the channel prefix, nsp our namespace, with its slash.
 * *bc is reset first and borrows from payload. */
enum emit_result emit_decode(struct broadcast *bc, struct slice channel, struct slice payload,
                             struct slice key, struct slice nsp, const struct emit_limits *limits);

/* "malformed", "reserved_event", ...; never NULL. */
const char *emit_result_name(enum emit_result result);

/* The other direction, for axr-notify: one message as @socket.io/redis-emitter 5
 * publishes it.  rooms and except as in bc; json is a complete JSON array text
 * of the event and its arguments, valid UTF-8.  Appends the channel name and
 * the msgpack payload.  Returns 0, -1 if json is not what it should be, -2
 * without memory. */
int emit_encode(struct buf *channel, struct buf *payload, struct slice key, struct slice nsp,
                const struct slices *rooms, const struct slices *except, uint32_t flags,
                struct slice json);

#endif
