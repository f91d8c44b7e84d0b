/* payload - several Engine.IO packets in one HTTP body (long-polling), protocol
 * revisions 3 and 4, and what JSONP wraps around them. */
#ifndef CODEC_PAYLOAD_H
#define CODEC_PAYLOAD_H

#include "base/buf.h"
#include "base/slice.h"
#include "codec/eio.h"

#include <stddef.h>
#include <stdint.h>

/* --- decoding ---------------------------------------------------------------- */

struct payload {
    enum eio_version version;
    int octets;
    int done;
    struct slice rest; /* not decoded yet */
};

/* Starts on body (borrowed until the last payload_next()).  octets: the body is
 * application/octet-stream, the binary form that only version 3 has.  Returns 0,
 * or -1 if it can be no payload: empty, or octets in version 4.  Then there is no
 * payload_next(). */
int payload_begin(struct payload *it, enum eio_version version, int octets, struct slice body);

/* Returns 1 and the next packet, 0 at the end, -1 if what follows is malformed
 * (no packet, a length that is no plain number, is 0 or goes beyond the body,
 * invalid UTF-8 in text) and from then on.  At least one packet comes before
 * the end.  packet->data borrows from the body or, if it was base64, from
 * scratch, which the next call overwrites.  The type digit of a packet that is
 * not binary is the byte before data.ptr. */
int payload_next(struct payload *it, struct eio_packet *packet, struct buf *scratch);

/* Appends the payload in a JSONP request's body, d=<form-urlencoded>, with the
 * \n and \\n undone that Engine.IO's client puts for a newline and for \n.
 * The last d counts.  Returns 0, or -1 if there is none, for a broken escape, or
 * without memory (out->failed). */
int payload_unwrap_jsonp(struct buf *out, struct slice body);

/* --- encoding ---------------------------------------------------------------- */

/* Packets of one form one after the other are a payload of that form, but for
 * PAYLOAD4, where the first byte is to be skipped.  payload_begin() and
 * payload_next() read all three. */
enum payload_form {
    PAYLOAD4,        /* each packet after a 0x1e; binary as 'b' and base64 */
    PAYLOAD3_TEXT,   /* <length>:<packet>; binary as 'b4' and base64 */
    PAYLOAD3_BINARY, /* kind, digits as numbers, 0xff, packet; for octet-stream */
};

/* One packet.  If it is not binary, bytes are its text with the type digit: valid
 * UTF-8 and, in PAYLOAD3_TEXT, ASCII (json_put_ascii()), for there the length
 * counts UTF-16 units.  If it is binary, they are the message alone, without a
 * type. */
size_t payload_packet_len(enum payload_form form, int binary, size_t len);
/* Writes exactly payload_packet_len() bytes to dst; returns the end of them. */
uint8_t *payload_packet_write(uint8_t *dst, enum payload_form form, int binary, const void *bytes,
                              size_t len);

/* Appends ___eio[<j>]("<payload as a JavaScript string>"); .  j: the value of the
 * query parameter, of which only the digits are used.  payload is valid UTF-8
 * (PAYLOAD4 without its first byte, or PAYLOAD3_TEXT).  Returns 0, or -1 without
 * memory (out->failed). */
int payload_put_jsonp(struct buf *out, struct slice j, struct slice payload);

#endif
