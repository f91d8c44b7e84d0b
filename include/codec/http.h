/* http - the head of an HTTP/1.x request (RFC 9112), parsed in place. */
#ifndef CODEC_HTTP_H
#define CODEC_HTTP_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

#define HTTP_HEADERS_CAP 256 /* largest limits:headers */

struct http_limits {
    size_t head_bytes; /* request line and headers, with their line ends */
    size_t headers;    /* header lines, HTTP_HEADERS_CAP or less */
};

struct http_header {
    struct slice name;  /* as sent; compare without case */
    struct slice value; /* white space around it removed */
};

struct http_request { /* all slices borrow from the bytes given */
    struct slice method;
    struct slice target; /* origin-form, or the path and query of absolute-form */
    struct slice path;   /* of target, before '?'; not percent-decoded, never empty */
    struct slice query;  /* after '?', or empty */
    int minor;           /* HTTP/1.minor: 0 or 1 */
    size_t nheaders;
    struct http_header headers[HTTP_HEADERS_CAP];
};

/* Parses a request head.  Returns its length (with the empty line, and any empty
 * lines before the request line), 0 if it is not complete yet, or minus the HTTP
 * status to refuse it with: -400 (malformed, a bare CR or LF, a control other
 * than HTAB, white space before a colon, obs-fold, two Host, none in HTTP/1.1,
 * a Content-Length that is no number or differs from another, Content-Length
 * with Transfer-Encoding, Transfer-Encoding in HTTP/1.0), -414, -431, -505.
 * *req is valid only after a positive return.  A control byte, a bare CR or LF
 * and a head past head_bytes (-414 where the request line alone is) are reported
 * before the head is complete.  Linear in len for one call; *scanned (0 at
 * first) remembers between calls of one head how far the search for its end has
 * come.  Asterisk- and authority-form are left in path as they are. */
long http_parse(struct http_request *req, const char *bytes, size_t len,
                const struct http_limits *limits, size_t *scanned);

/* First header of that name (any case), or NULL. */
const struct http_header *http_header(const struct http_request *req, const char *name);

/* 1 if the comma-separated value of any header called name has token (any case). */
int http_has_token(const struct http_request *req, const char *name, const char *token);

/* Length of the token (RFC 9110, section 5.6.2) that bytes begins with; 0: none. */
size_t http_token(struct slice bytes);

/* The LAST value of name in a query string (Engine.IO takes the last), not
 * decoded.  Returns 1, or 0 if it is not there.  A name alone has value "". */
int http_query(struct slice query, const char *name, struct slice *value);

/* Decodes %XX and (plus != 0) '+' into dst, which has room for src.len bytes.
 * Returns the length, or -1 for a broken escape. */
long http_unescape(char *dst, struct slice src, int plus);

/* The value of the first cookie (RFC 6265) of that name in any Cookie header,
 * without the quotes around it.  Returns 1, or 0 if it is not there. */
int http_cookie(const struct http_request *req, const char *name, struct slice *value);

/* 1 if path is mount (which ends in '/') or lies below it, or is mount without
 * its last slash. */
int http_path_below(struct slice path, const char *mount);

const char *http_reason(int status);

/* The errors that a request may be answered with, in kinds that can be counted; the
 * last kind is any other. */
#define HTTP_ERRORS(X)                                                                             \
    X(400)                                                                                         \
    X(403)                                                                                         \
    X(404)                                                                                         \
    X(405)                                                                                         \
    X(408)                                                                                         \
    X(411)                                                                                         \
    X(413)                                                                                         \
    X(414)                                                                                         \
    X(417)                                                                                         \
    X(426)                                                                                         \
    X(431)                                                                                         \
    X(501)                                                                                         \
    X(503)                                                                                         \
    X(505)
enum { HTTP_ERROR_KINDS = 15 };
unsigned http_error_kind(int status);

#endif
