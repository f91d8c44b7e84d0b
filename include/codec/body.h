/* body - the body of an HTTP/1.x request (RFC 9112, sections 6 and 7). */
#ifndef CODEC_BODY_H
#define CODEC_BODY_H

#include "base/buf.h"
#include "codec/http.h"

#include <stddef.h>
#include <stdint.h>

struct body {
    int done;        /* the body is complete; the next byte is of the next request */
    int state;       /* the rest is private */
    unsigned digits; /* of this chunk's size */
    size_t extra;    /* bytes of chunk extensions and trailers, all of them */
    size_t left;     /* bytes to come of the body, or of this chunk */
    size_t room;     /* bytes that may yet come */
};

/* Starts on the body of req, which http_parse() has accepted.  Without
 * Content-Length and Transfer-Encoding, and with length 0, it is done at once.
 * Returns 0, or minus the status to refuse it with (then its end is unknown or
 * too far away, and the connection cannot be used again): -400 (the last transfer
 * coding is not chunked, or chunked comes twice), -411 (a POST with neither
 * header), -413 (more than max bytes announced), -501 (a coding other than
 * chunked). */
int body_begin(struct body *body, const struct http_request *req, size_t max);

/* Takes the next bytes and appends what they hold of the body to out (NULL: the
 * body is dropped).  Returns how many it took: all of them, unless done is set
 * with some left; 0 once it is done.  Or minus the status to refuse it with, and
 * there is no going on: -400 (malformed chunks), -413 (more than max bytes, or
 * extensions and trailers without end), -500 (no memory, out->failed). */
long body_feed(struct body *body, const uint8_t *bytes, size_t len, struct buf *out);

/* 1 if the client waits for 100 (Continue) before it sends the body (which it
 * need not get if the body is done or has begun to come), 0 if it does not, -417
 * if it expects anything else.  HTTP/1.0 has no expectations. */
int body_wants_continue(const struct http_request *req);

#endif
