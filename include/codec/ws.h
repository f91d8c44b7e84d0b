/* ws - what of WebSocket (RFC 6455) wslay leaves to its user: the handshake's
 * checks and key, the frame headers that are written once and shared, and the
 * rules for close payloads. */
#ifndef CODEC_WS_H
#define CODEC_WS_H

#include "codec/http.h"

#include <stddef.h>
#include <stdint.h>

#define WS_ACCEPT_LEN 28 /* characters of Sec-WebSocket-Accept */
#define WS_HEADER_MAX 10 /* bytes of an unmasked frame header */

enum ws_opcode { WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

enum ws_close {                    /* RFC 6455, section 7.4.1 */
                WS_CLOSE_NONE = 0, /* a close frame without a code */
                WS_CLOSE_NORMAL = 1000,
                WS_CLOSE_PROTOCOL = 1002,
                WS_CLOSE_INVALID = 1007,
                WS_CLOSE_POLICY = 1008,
                WS_CLOSE_TOO_BIG = 1009,
};

enum ws_upgrade {
    WS_UPGRADE_NO,      /* the request does not ask for an upgrade to websocket */
    WS_UPGRADE_YES,     /* it does, rightly; accept is filled */
    WS_UPGRADE_VERSION, /* Sec-WebSocket-Version is not 13: 426 with "13", RFC 6455 4.4 */
    WS_UPGRADE_BAD,     /* it does, wrongly (no or bad key, not GET, HTTP/1.0): 400 */
};

/* Judges a request (RFC 6455, section 4.2.1) and computes the accept key. */
enum ws_upgrade ws_upgrade(const struct http_request *req, char accept[WS_ACCEPT_LEN + 1]);

#define WS_PROTOCOL_MAX 128 /* bytes of a subprotocol's name */

/* The first subprotocol that the client offers, or an empty slice: a client that
 * offers some fails unless one is chosen (RFC 6455, section 4.1). */
struct slice ws_protocol(const struct http_request *req);

/* Writes the header of an unfragmented, unmasked frame of len payload bytes to
 * dst and returns its length, at most WS_HEADER_MAX. */
size_t ws_header_encode(uint8_t *dst, enum ws_opcode opcode, size_t len);

#endif
