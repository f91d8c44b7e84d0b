#include "codec/body.h"

#include <limits.h>
#include <strings.h>

#define SIZE_DIGITS_MAX 16        /* of a chunk's size, zeros in front included */
#define EXTRA_MAX_BYTES (8 << 10) /* chunk extensions and trailers of one body */

enum state {
    STATE_LENGTH,    /* in a body of known length */
    STATE_SIZE,      /* in a chunk's size */
    STATE_BLANK,     /* in the white space before an extension */
    STATE_EXTENSION, /* up to the end of the line */
    STATE_SIZE_LF,   /* after the CR of that line */
    STATE_DATA,      /* in a chunk */
    STATE_DATA_CR,   /* after it */
    STATE_DATA_LF,
    STATE_TRAILER,    /* where a trailer or the end starts */
    STATE_TRAILER_ON, /* in a trailer */
    STATE_TRAILER_LF,
    STATE_END_LF,
};

/* --- what a request announces ------------------------------------------------ */

static int is_word(struct slice s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

/* Takes the next element of a comma-separated list off *rest (rest->ptr is NULL
 * after the last), without the white space around it. */
static struct slice next_element(struct slice *rest)
{
    const char *comma = rest->len > 0 ? memchr(rest->ptr, ',', rest->len) : NULL;
    struct slice part = *rest;

    if (comma == NULL) {
        *rest = (struct slice){NULL, 0};
    } else {
        part.len = (size_t)(comma - part.ptr);
        *rest = (struct slice){comma + 1, rest->len - part.len - 1};
    }
    while (part.len > 0 && (part.ptr[0] == ' ' || part.ptr[0] == '\t'))
        part = (struct slice){part.ptr + 1, part.len - 1};
    while (part.len > 0 && (part.ptr[part.len - 1] == ' ' || part.ptr[part.len - 1] == '\t'))
        part.len--;
    return part;
}

/* RFC 9112, section 6.3: if the last coding is not chunked, the end of the body
 * cannot be found, whatever the others are. */
static int check_codings(const struct http_request *req)
{
    int chunked = 0, others = 0, last_chunked = 0;

    for (size_t i = 0; i < req->nheaders; i++) {
        struct slice rest = req->headers[i].value;

        if (!is_word(req->headers[i].name, "transfer-encoding"))
            continue;
        while (rest.ptr != NULL) {
            struct slice coding = next_element(&rest);

            if (coding.len == 0)
                return -400;
            last_chunked = is_word(coding, "chunked");
            chunked += last_chunked;
            others += !last_chunked;
        }
    }
    if (!last_chunked || chunked > 1)
        return -400;
    return others > 0 ? -501 : 0;
}

static int parse_length(struct slice digits, size_t *length)
{
    *length = 0;
    if (digits.len == 0)
        return -400;
    for (size_t i = 0; i < digits.len; i++) {
        unsigned digit = (unsigned char)digits.ptr[i] - (unsigned)'0';

        if (digit > 9)
            return -400;
        if (*length > (SIZE_MAX - digit) / 10)
            return -413;
        *length = *length * 10 + digit;
    }
    return 0;
}

int body_begin(struct body *body, const struct http_request *req, size_t max)
{
    const struct http_header *length = http_header(req, "content-length");
    int status;

    *body = (struct body){.state = STATE_LENGTH, .room = max};
    if (http_header(req, "transfer-encoding") != NULL) {
        body->state = STATE_SIZE;
        return check_codings(req);
    }
    if (length == NULL && slice_eq(req->method, SLICE("POST")))
        return -411;
    if (length != NULL && (status = parse_length(length->value, &body->left)) != 0)
        return status;
    if (body->left > max)
        return -413;
    body->done = body->left == 0;
    return 0;
}

int body_wants_continue(const struct http_request *req)
{
    int wants = 0;

    /* RFC 9110, section 10.1.1: what HTTP/1.0 expects is ignored. */
    for (size_t i = 0; req->minor > 0 && i < req->nheaders; i++) {
        struct slice rest = req->headers[i].value;

        if (!is_word(req->headers[i].name, "expect"))
            continue;
        while (rest.ptr != NULL) {
            if (!is_word(next_element(&rest), "100-continue"))
                return -417;
            wants = 1;
        }
    }
    return wants;
}

/* --- chunks ------------------------------------------------------------------ */

static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Goes to next if byte is the one wanted. */
static int expect_byte(struct body *body, uint8_t byte, uint8_t want, enum state next)
{
    body->state = next;
    return byte == want ? 0 : -400;
}

/* A byte of an extension or trailer: none but CR may be a control. */
static int skip_extra(struct body *body, uint8_t byte, enum state after_cr)
{
    if (byte == '\r') {
        body->state = after_cr;
        return 0;
    }
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
        return -400;
    return ++body->extra > EXTRA_MAX_BYTES ? -413 : 0;
}

static int feed_size(struct body *body, uint8_t byte)
{
    int value = hex_value(byte);

    if (value >= 0) {
        if (++body->digits > SIZE_DIGITS_MAX)
            return -400;
        /* left never exceeds room, so it overflows only where room is huge. */
        if (body->left > (SIZE_MAX >> 4))
            return -413;
        body->left = body->left << 4 | (size_t)value;
        return body->left > body->room ? -413 : 0;
    }
    if (body->digits == 0)
        return -400;
    if (byte == '\r') {
        body->state = STATE_SIZE_LF;
        return 0;
    }
    body->state = byte == ';' ? STATE_EXTENSION : STATE_BLANK;
    if (byte != ';' && byte != ' ' && byte != '\t')
        return -400;
    return ++body->extra > EXTRA_MAX_BYTES ? -413 : 0;
}

/* White space is allowed before an extension only. */
static int feed_blank(struct body *body, uint8_t byte)
{
    if (byte == ';')
        body->state = STATE_EXTENSION;
    else if (byte != ' ' && byte != '\t')
        return -400;
    return ++body->extra > EXTRA_MAX_BYTES ? -413 : 0;
}

static int feed_size_end(struct body *body, uint8_t byte)
{
    body->digits = 0;
    return expect_byte(body, byte, '\n', body->left > 0 ? STATE_DATA : STATE_TRAILER);
}

static int feed_trailer(struct body *body, uint8_t byte)
{
    body->state = STATE_TRAILER_ON;
    return skip_extra(body, byte, STATE_END_LF);
}

/* One byte between the chunks.  Returns 0 or minus the status. */
static int feed_frame(struct body *body, uint8_t byte)
{
    switch ((enum state)body->state) {
    case STATE_SIZE:
        return feed_size(body, byte);
    case STATE_BLANK:
        return feed_blank(body, byte);
    case STATE_EXTENSION:
        return skip_extra(body, byte, STATE_SIZE_LF);
    case STATE_SIZE_LF:
        return feed_size_end(body, byte);
    case STATE_DATA_CR:
        return expect_byte(body, byte, '\r', STATE_DATA_LF);
    case STATE_DATA_LF:
        return expect_byte(body, byte, '\n', STATE_SIZE);
    case STATE_TRAILER:
        return feed_trailer(body, byte);
    case STATE_TRAILER_ON:
        return skip_extra(body, byte, STATE_TRAILER_LF);
    case STATE_TRAILER_LF:
        return expect_byte(body, byte, '\n', STATE_TRAILER);
    case STATE_END_LF:
        body->done = 1;
        return byte == '\n' ? 0 : -400;
    case STATE_LENGTH:
    case STATE_DATA:
        break;
    }
    return -400;
}

/* Returns how many of the bytes belong to the body or chunk. */
static size_t take_data(struct body *body, const uint8_t *bytes, size_t len, struct buf *out)
{
    size_t n = len < body->left ? len : body->left;

    if (out != NULL)
        buf_put(out, bytes, n);
    body->left -= n;
    body->room -= n;
    if (body->left == 0 && body->state == STATE_DATA)
        body->state = STATE_DATA_CR;
    else
        body->done = body->left == 0;
    return n;
}

long body_feed(struct body *body, const uint8_t *bytes, size_t len, struct buf *out)
{
    size_t at = 0;
    int status;

    if (len > LONG_MAX)
        len = LONG_MAX;
    while (at < len && !body->done) {
        if (body->state == STATE_LENGTH || body->state == STATE_DATA) {
            at += take_data(body, bytes + at, len - at, out);
            if (out != NULL && out->failed)
                return -500;
        } else if ((status = feed_frame(body, bytes[at++])) != 0) {
            return status;
        }
    }
    return (long)at;
}
