/* eio - Engine.IO packets, protocol revisions 3 and 4
 * (socketio/socket.io, docs/engine.io-protocol). */
#ifndef CODEC_EIO_H
#define CODEC_EIO_H

#include "base/buf.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

enum eio_version { EIO3 = 3, EIO4 = 4 };

enum eio_type { EIO_OPEN, EIO_CLOSE, EIO_PING, EIO_PONG, EIO_MESSAGE, EIO_UPGRADE, EIO_NOOP };

/* The error codes of the handshake, with the messages clients show. */
enum eio_error {
    EIO_UNKNOWN_TRANSPORT = 0,
    EIO_UNKNOWN_SID = 1,
    EIO_BAD_HANDSHAKE_METHOD = 2,
    EIO_BAD_REQUEST = 3,
    EIO_FORBIDDEN = 4,
    EIO_UNSUPPORTED_VERSION = 5,
};
#define EIO_ERRORS (EIO_UNSUPPORTED_VERSION + 1)
const char *eio_error_message(enum eio_error error);

struct eio_packet {
    enum eio_type type;
    int binary;        /* data is a binary message */
    struct slice data; /* what follows the type; borrows from the input */
};

/* Decodes the payload of one WebSocket message.  binary says which opcode it
 * had.  data of a base64 packet ("b...") is decoded into scratch.  Returns 0,
 * or -1 if it is no Engine.IO packet (empty, unknown type). */
int eio_decode(struct eio_packet *packet, enum eio_version version, int binary,
               struct slice payload, struct buf *scratch);

/* The text for a binary message where no binary may go: "b" and its base64; version 3
 * has the type after the "b". */
size_t eio_base64_len(enum eio_version version, size_t len);
/* Writes exactly so many bytes to dst; returns the end of them. */
uint8_t *eio_base64_write(uint8_t *dst, enum eio_version version, const void *bytes, size_t len);
/* The same, appended.  Returns 0, or -1 without memory (out->failed). */
int eio_put_base64(struct buf *out, enum eio_version version, struct slice bytes);

/* What the server announces in the open packet, in Engine.IO's key order. */
struct eio_open {
    const char *sid;
    int upgrade_websocket; /* "upgrades":["websocket"] or [] */
    uint32_t ping_interval_ms, ping_timeout_ms;
    size_t max_payload; /* bytes */
};
int eio_put_open(struct buf *out, const struct eio_open *open);

#endif
