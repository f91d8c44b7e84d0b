/* emit - what socket.io emitters and adapters publish -> struct broadcast.
 *
 * The payload is msgpack: [uid, packet, opts] with packet {type, data, nsp} and
 * opts {rooms, except, flags} (socket.io-redis-emitter, lib/index.ts; and
 * socket.io-redis-adapter, lib/index.ts, onmessage).  It goes straight from
 * msgpack to JSON text, with no tree in between.  Nothing in it is trusted.
 *
 * What is taken: uid of any type or none ([packet, opts]), keys in any order,
 * unknown keys; nsp missing or undefined is "/"; rooms, except and flags missing,
 * nil, undefined, "" or empty.  Of a key that comes twice the last counts, as in
 * JavaScript.  packet.type must be a number, which one is ignored, for it is
 * wrong where binary is concerned: whoever frames the message goes by the number
 * of attachments.
 *
 * The streams adapter publishes maps {type, data, uid, nsp} on the same channels
 * (socket.io-adapter, cluster-adapter.ts).  Type 3 is a broadcast, its data
 * {packet, opts}, and taken; that it asks for acknowledgements is ignored.  Other
 * types are EMIT_NOT_BROADCAST.
 *
 * Dialects.  Nothing in a payload says in which dialect of msgpack it is
 * (msgpack.h), and the same byte means different things in two of them.  So
 * [uid, packet, opts] is read as modern msgpack, and if that fails as msgpack-js.
 * [packet, opts] is read in the opposite order: who writes that has msgpack-js
 * (socket.io-emitter 0, PHP) or neither bin nor extensions (Java, C#, Go).
 * A try fails where the bytes are not msgpack of that dialect to their very end,
 * or not of the shape above: a key of packet or opts that is no string, no array
 * of data, opts that is no map.  That is how a payload shows that is valid in the
 * wrong dialect.  The c4 that msgpack-js writes for undefined begins a modern
 * binary, which swallows as many bytes as the next one says.  In
 *     "x", 1, undefined, 2, then the key "nsp":  a178 01 c4 02 a3 6e 73 70 ...
 * it swallows "a3 6e", 73 ends the array as the number 115, and 70 is a key of
 * packet.  Its buffers, d8 and two bytes of length, become an extension of 16
 * bytes: the rest of them is out of step, but for one length, 15, and for that
 * msgpack_modern refuses the extension type that the length becomes.
 * What both tries would take is what the first one says: a modern message is
 * never read as anything else, whatever its binaries hold.  The other way round
 * an application that passes on its users' bytes would let them choose the rooms.
 * Only where no modern encoder can have written it (MSGPACK_SEEN_BOTH) is
 * msgpack-js tried before it is taken.
 * The price is that a few messages of msgpack-js that are to the byte a modern
 * one stay what they are on any Node server of today.  They have undefined
 * followed by n, a number or the head of something else, and n bytes later the
 * middle of a string or container that makes up for what was swallowed: "x",
 * undefined, 1, "ab" is also "x", <a2>, 97, 98.  Of random messages with many an
 * undefined, one in 3,000 was such.
 *
 * Rooms are strings or numbers, and the number 42 is another room than "42"
 * (room_name.h).  What else a Node server tells apart from any string (nil, NaN, the
 * inner array of [["a","b"]], invalid UTF-8) is a room that nobody is in: a message
 * for nothing but such rooms is EMIT_NOBODY, never one for everybody, and in except
 * they exclude nobody.  Servers before 3.0 took 42 for "42" and ["a"] for "a", but
 * who sends a message does not say for which server.  One that is named several
 * times counts once, as in a Set.
 *
 * Values become what JSON.stringify makes of the values that Node's decoder
 * gives: notepack.io 3, and msgpack-js and msgpack-lite for what only they have.
 *   nil, NaN, infinities, dates out of range      null
 *   undefined                                     null in an array; a map omits the key
 *   integers above 2^53                           rounded to a double, shortest digits
 *   dates                                         string, YYYY-MM-DDTHH:mm:ss.sssZ
 *   binary                                        {"_placeholder":true,"num":k} and an attachment
 *   an unknown extension type n                   [n,{"_placeholder":true,"num":k}]
 *   boxed strings, numbers, booleans              as if they were not boxed (as old servers have it
 *                                                 in messages without binary)
 *   typed arrays of msgpack-lite                  {"0":1,"1":2}: only modern emitters
 *                                                 send them as binary
 *   an Error                                      its name, message, columnNumber, fileName
 *                                                 and lineNumber, not its stack
 *   RegExp, DataView                              {}
 *   strings that are not UTF-8                    U+FFFD for each maximal bad part, surrogates
 *                                                 included (three each); a lone surrogate that
 *                                                 an emitter has already merged with its
 *                                                 neighbour into a valid point stays so
 *   keys: numbers, nil, undefined, booleans,      as a string, the way JavaScript converts
 *     binary                                      them; other types are malformed
 *   the key __proto__                             left out with its value: an assignment in Node
 *                                                 sets no such property
 * Keys keep their order and repetitions, where Node moves integer keys to the
 * front and drops repetitions: JSON.parse in the client does both, so that it
 * hands over equal values (but not where the last of them is undefined: then
 * the one before it stays).  An object of the application that looks like a
 * placeholder passes unchanged, as in Node: the format cannot tell them apart. */
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
    EMIT_NOBODY,          /* only for rooms that nobody can be in: not an error */
    EMIT_COPY,            /* one of several copies, and not the one that is taken:
                             not an error */
    EMIT_MALFORMED,       /* not msgpack of any dialect, or not of the right shape */
    EMIT_TOO_DEEP,        /* nested more than EMIT_DEPTH_MAX */
    EMIT_TOO_LARGE,       /* above limits:messageBytes, as payload or as JSON */
    EMIT_NO_EVENT,        /* data[0] is missing or neither string nor number */
    EMIT_RESERVED_EVENT,  /* emit_event_reserved(): current clients disconnect
                             when they get one */
    EMIT_ATTACHMENTS,     /* more than limits:attachments */
    EMIT_TOO_MANY_ROOMS,  /* more than EMIT_ROOMS_MAX different ones */
    EMIT_NO_MEMORY,
    EMIT_RESULTS /* how many there are */
};

#define EMIT_DEPTH_MAX 128  /* arrays and maps in each other, data being the first */
#define EMIT_ROOMS_MAX 4096 /* different names in rooms, and in except: they are looked up by */
                            /* the master and by each worker that the message concerns */

struct emit_limits {
    size_t message_bytes; /* largest payload, and largest JSON text made of it */
    size_t attachments;   /* at most, BROADCAST_ATTACHMENTS_MAX or less */
};

/* Decodes one published message.  channel is where it came and key the channel
 * prefix: emitters of the 1.x form publish a message for several rooms once a
 * room, each copy naming all rooms, and the copy that is taken is the one on
 * the channel of the first.  For the rest, where it came means nothing: one
 * without a namespace is for "/" on any channel, as for the servers of the
 * emitters that leave it out.  nsp is our namespace, with its slash.
 * *bc is reset first and borrows from payload; what it holds is complete only
 * with EMIT_OK. */
enum emit_result emit_decode(struct broadcast *bc, struct slice channel, struct slice payload,
                             struct slice key, struct slice nsp, const struct emit_limits *limits);

/* Decodes the packet and the opts of a request for a broadcast with acknowledgements, each one
 * whole value of (modern) msgpack.  A packet without nsp is for ours.  Where nobody can be meant
 * rooms has ROOM_NAME_NOBODY.  There are no flags, for servers heed none here. */
enum emit_result emit_decode_acked(struct broadcast *bc, struct slice packet, struct slice opts,
                                   struct slice nsp, const struct emit_limits *limits);

/* "malformed", "reserved_event", ...; never NULL. */
const char *emit_result_name(enum emit_result result);

/* 1 for connect, connect_error, disconnect, disconnecting, newListener and
 * removeListener, which mean something else to clients; else 0. */
int emit_event_reserved(struct slice name);

/* The other direction, for axr-notify: one message as @socket.io/redis-emitter 5
 * publishes it (but for integers beyond 64 bits, which that truncates: they go
 * as floating point).  rooms and except as in bc; json is a complete JSON array
 * text of the event and its arguments.  Appends the channel name and the
 * msgpack payload.  Returns 0, -1 if json is not what it should be, -2 without
 * memory. */
int emit_encode(struct buf *channel, struct buf *payload, struct slice key, struct slice nsp,
                const struct slices *rooms, const struct slices *except, uint32_t flags,
                struct slice json);

/* Parts of it: {type, data, nsp}, which returns likewise; and {rooms, flags, except}, with
 * flags.timeout where that is not 0, which returns how many different rooms there are (out->failed
 * is set without memory). */
int emit_put_packet(struct buf *out, struct slice nsp, struct slice json);
uint32_t emit_put_opts(struct buf *out, const struct slices *rooms, const struct slices *except,
                       uint32_t flags, uint32_t timeout_ms);

#endif
