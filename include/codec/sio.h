/* sio - Socket.IO packets, protocol revisions 4 and 5
 * (socketio/socket.io, docs/socket.io-protocol), after Engine.IO's "4":
 *     <type>[<attachments>-][<nsp>,][<ack id>][<JSON>] */
#ifndef CODEC_SIO_H
#define CODEC_SIO_H

#include "base/buf.h"
#include "base/slice.h"
#include "codec/eio.h"

#include <stddef.h>
#include <stdint.h>

enum sio_type {
    SIO_CONNECT,
    SIO_DISCONNECT,
    SIO_EVENT,
    SIO_ACK,
    SIO_CONNECT_ERROR,
    SIO_BINARY_EVENT,
    SIO_BINARY_ACK
};

#define SIO_ATTACHMENTS_MAX 10 /* of an inbound packet, as socket.io-parser 4.2.6 */

struct sio_packet { /* slices borrow from the input */
    enum sio_type type;
    unsigned attachments; /* 1 to SIO_ATTACHMENTS_MAX for the binary types, else 0 */
    struct slice nsp;     /* "/" if none was given; without its query */
    struct slice query;   /* EIO3: what followed '?' in the namespace, else empty */
    int has_id;
    uint64_t id;       /* of an acknowledgement */
    struct slice data; /* JSON text, checked; empty if there is none */
};

/* Decodes a text packet and checks that its data is none, or JSON of the right
 * kind for its type (events: an array whose first element is a string or number;
 * acks: an array; CONNECT: an object, from EIO3 an array or null too; DISCONNECT:
 * nothing; CONNECT_ERROR: an object or a string).  Whether a packet without data
 * makes sense is the caller's business.  Returns 0, or -1 if it is malformed. */
int sio_decode(struct sio_packet *packet, enum eio_version version, struct slice text);

/* The first element of a decoded packet's data, which is an array: JSON text that borrows from
 * it; empty if there is none. */
struct slice sio_first(const struct sio_packet *packet);

/* Each appends a whole Engine.IO message, type 4 included: "40/axr,{...}". */
/* pid: with which its session can be recovered; empty: it cannot. */
int sio_put_connect(struct buf *out, enum eio_version version, struct slice nsp, struct slice sid,
                    struct slice pid);
/* 44 with message and data.code (EIO4; code may be NULL) or the message as a string (EIO3). */
int sio_put_connect_error(struct buf *out, enum eio_version version, struct slice nsp,
                          const char *message, const char *code);
int sio_put_disconnect(struct buf *out, struct slice nsp);
/* 43; json: an array. */
int sio_put_ack(struct buf *out, struct slice nsp, uint64_t id, struct slice json);
/* "42/axr," or "45N-/axr,": what goes before the JSON array of an event.  id: with which
 * it is to be acknowledged, "42/axr,17"; NULL: it is not. */
int sio_put_event_head(struct buf *out, struct slice nsp, size_t attachments, const uint64_t *id);

#endif
