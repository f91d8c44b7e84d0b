/* websocket - frames in (wslay) and out, on a connection that was upgraded (RFC 6455). */
#ifndef EIO_WEBSOCKET_H
#define EIO_WEBSOCKET_H

#include "base/slice.h"
#include "codec/ws.h"
#include "net/conn.h"

#include <stddef.h>
#include <stdint.h>

struct websocket;

struct ws_ops {
    /* A whole message. */
    void (*message)(struct conn *conn, int binary, struct slice payload);
    /* It has been closed, or it is dead; a closed one comes again when it is dead.
     * conn->owner, if there still is one, is to be told, and let go of. */
    void (*gone)(struct conn *conn, enum close_reason why);
};

/* conn, whose 101 has been queued, speaks WebSocket from now on. */
void websocket_begin(struct conn *conn);
/* Bytes from the client. */
void websocket_input(struct conn *conn, const uint8_t *bytes, size_t len);

/* Queues one frame.  Returns 0 or -1. */
int websocket_put(struct conn *conn, enum ws_opcode opcode, const void *payload, size_t len);
/* A close frame with code (WS_CLOSE_NONE: without), or none where close_may_return(); then
 * it lingers; its owner is told why. */
void websocket_close(struct conn *conn, int code, enum close_reason why);
/* 1 if it has been neither closed nor lost. */
int websocket_is_open(const struct conn *conn);

/* Frees the list that starts with *spare: what eio keeps for the next partial frames. */
void websocket_free(struct websocket **spare);

#endif
