#include "codec/payload.h"

#include "base/utf8.h"
#include "codec/http.h"
#include "codec/json.h"

#define SEPARATOR   0x1e /* version 4 */
#define LENGTH_END  0xff /* version 3, binary form */
#define KIND_TEXT   0
#define KIND_BINARY 1

/* --- decoding ---------------------------------------------------------------- */

int payload_begin(struct payload *it, enum eio_version version, int octets, struct slice body)
{
    it->version = version;
    it->octets = octets;
    it->rest = body;
    it->done = 0;
    return body.len == 0 || (octets && version != EIO3) ? -1 : 0;
}

/* Takes n bytes off the front of *rest. */
static struct slice take(struct slice *rest, size_t n)
{
    struct slice part = {rest->ptr, n};

    rest->ptr += n;
    rest->len -= n;
    return part;
}

/* Takes a decimal number and the byte after it, end, off *rest.  zero is the
 * digit 0.  A unit is a byte at least, so a number above what is left is wrong at
 * any of its digits.  A packet is not empty: no number starts with 0. */
static int take_length(struct slice *rest, uint8_t zero, uint8_t end, size_t *length)
{
    size_t value = 0;

    while (rest->len > 0) {
        uint8_t byte = (uint8_t)take(rest, 1).ptr[0];
        unsigned digit = (unsigned)byte - zero;

        if (byte == end && value > 0) {
            *length = value;
            return 0;
        }
        if (digit > 9 || (digit == 0 && value == 0))
            return -1;
        value = value * 10 + digit;
        if (value > rest->len)
            return -1;
    }
    return -1;
}

/* Takes units UTF-16 code units of valid UTF-8 off *rest. */
static int take_units(struct slice *rest, size_t units, struct slice *text)
{
    struct slice all = *rest;
    size_t bytes = 0;

    while (units > 0) {
        size_t n = bytes < all.len ? utf8_next(all.ptr + bytes, all.len - bytes, NULL) : 0;
        size_t used = n == 4 ? 2 : 1; /* what needs four bytes needs two units */

        if (n == 0 || used > units)
            return -1;
        units -= used;
        bytes += n;
    }
    *text = take(rest, bytes);
    return 0;
}

/* Version 4: up to the separator or the end.  What follows a separator is a
 * packet even if it is empty (and then it is malformed). */
static int next_separated(struct payload *it, struct slice *text)
{
    const char *mark = it->rest.len > 0 ? memchr(it->rest.ptr, SEPARATOR, it->rest.len) : NULL;

    *text = take(&it->rest, mark != NULL ? (size_t)(mark - it->rest.ptr) : it->rest.len);
    if (mark != NULL)
        take(&it->rest, 1);
    it->done = mark == NULL;
    return utf8_valid(text->ptr, text->len) ? 0 : -1;
}

static int next_counted(struct payload *it, struct slice *text)
{
    size_t units;

    if (take_length(&it->rest, '0', ':', &units) != 0 || take_units(&it->rest, units, text) != 0)
        return -1;
    it->done = it->rest.len == 0;
    return 0;
}

static int next_octets(struct payload *it, int *binary, struct slice *bytes)
{
    size_t length;
    char kind;

    if (it->rest.len == 0) /* payload_begin() has said so */
        return -1;
    kind = take(&it->rest, 1).ptr[0];
    if (kind != KIND_TEXT && kind != KIND_BINARY)
        return -1;
    if (take_length(&it->rest, 0, LENGTH_END, &length) != 0 || length > it->rest.len)
        return -1;
    *binary = kind == KIND_BINARY;
    *bytes = take(&it->rest, length);
    it->done = it->rest.len == 0;
    return *binary || utf8_valid(bytes->ptr, bytes->len) ? 0 : -1;
}

int payload_next(struct payload *it, struct eio_packet *packet, struct buf *scratch)
{
    struct slice start = it->rest, bytes = {"", 0};
    int binary = 0, status;

    if (it->done)
        return 0;
    if (it->octets)
        status = next_octets(it, &binary, &bytes);
    else if (it->version == EIO3)
        status = next_counted(it, &bytes);
    else
        status = next_separated(it, &bytes);
    if (status == 0 && eio_decode(packet, it->version, binary, bytes, scratch) == 0)
        return 1;
    it->rest = start; /* to fail again */
    it->done = 0;
    return -1;
}

/* In a form, browsers make "\r\n" of a newline.  So the client sends \n for it,
 * and \\n where there was \n before. */
static size_t unescape_newlines(char *text, size_t len)
{
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\\' && len - i > 2 && text[i + 1] == '\\' && text[i + 2] == 'n') {
            text[used++] = '\\';
            text[used++] = 'n';
            i += 2;
        } else if (text[i] == '\\' && len - i > 1 && text[i + 1] == 'n') {
            text[used++] = '\n';
            i++;
        } else {
            text[used++] = text[i];
        }
    }
    return used;
}

int payload_unwrap_jsonp(struct buf *out, struct slice body)
{
    struct slice value;
    char *dst;
    long len;

    if (!http_query(body, "d", &value) || (dst = (char *)buf_reserve(out, value.len)) == NULL)
        return -1;
    if ((len = http_unescape(dst, value, 1)) < 0)
        return -1;
    out->len += unescape_newlines(dst, (size_t)len);
    return 0;
}

/* --- encoding ---------------------------------------------------------------- */

static size_t count_digits(size_t n)
{
    size_t digits = 1;

    for (; n > 9; n /= 10)
        digits++;
    return digits;
}

/* zero is the digit 0. */
static uint8_t *put_digits(uint8_t *dst, size_t n, uint8_t zero)
{
    size_t digits = count_digits(n);

    for (size_t i = digits; i-- > 0; n /= 10)
        dst[i] = (uint8_t)(zero + n % 10);
    return dst + digits;
}

/* What the length in the packet counts: the packet with what marks it as binary. */
static size_t inner_len(enum payload_form form, int binary, size_t len)
{
    if (!binary)
        return len;
    switch (form) {
    case PAYLOAD4:
        return eio_base64_len(EIO4, len);
    case PAYLOAD3_TEXT:
        return eio_base64_len(EIO3, len);
    case PAYLOAD3_BINARY:
        break;
    }
    return 1 + len;
}

size_t payload_packet_len(enum payload_form form, int binary, size_t len)
{
    size_t inner = inner_len(form, binary, len);

    switch (form) {
    case PAYLOAD4:
        return 1 + inner;
    case PAYLOAD3_TEXT:
        return count_digits(inner) + 1 + inner;
    case PAYLOAD3_BINARY:
        break;
    }
    return 1 + count_digits(inner) + 1 + inner;
}

uint8_t *payload_packet_write(uint8_t *dst, enum payload_form form, int binary, const void *bytes,
                              size_t len)
{
    size_t inner = inner_len(form, binary, len);

    switch (form) {
    case PAYLOAD4:
        *dst++ = SEPARATOR;
        if (binary)
            return eio_base64_write(dst, EIO4, bytes, len);
        break;
    case PAYLOAD3_TEXT:
        dst = put_digits(dst, inner, '0');
        *dst++ = ':';
        if (binary)
            return eio_base64_write(dst, EIO3, bytes, len);
        break;
    case PAYLOAD3_BINARY:
        *dst++ = binary ? KIND_BINARY : KIND_TEXT;
        dst = put_digits(dst, inner, 0);
        *dst++ = LENGTH_END;
        if (binary)
            *dst++ = EIO_MESSAGE;
        break;
    }
    if (len > 0)
        memcpy(dst, bytes, len);
    return dst + len;
}

/* --- JSONP ------------------------------------------------------------------- */

/* U+2028 and U+2029: fine in JSON, but line ends in JavaScript before ES2019. */
static int is_line_end(const uint8_t *at, size_t len)
{
    return len >= 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9);
}

/* Puts the six characters of an escape for the three bytes of each line end from
 * start on, the last first. */
static int escape_line_ends(struct buf *out, size_t start)
{
    size_t count = 0, from, to;

    for (size_t i = start; i < out->len; i++)
        count += (size_t)is_line_end(out->data + i, out->len - i);
    if (count == 0)
        return 0;
    if (buf_reserve(out, count * 3) == NULL)
        return -1;
    from = out->len;
    out->len = to = from + count * 3;
    while (to > from) {
        /* data[from, old length) is moved; what is left of to stays. */
        if (from - start >= 3 && is_line_end(out->data + from - 3, 3)) {
            int last = out->data[from - 1] == 0xa8 ? '8' : '9';

            from -= 3;
            to -= 6;
            memcpy(out->data + to, "\\u202", 5);
            out->data[to + 5] = (uint8_t)last;
        } else {
            out->data[--to] = out->data[--from];
        }
    }
    return 0;
}

int payload_put_jsonp(struct buf *out, struct slice j, struct slice payload)
{
    size_t start;

    buf_puts(out, "___eio[");
    for (size_t i = 0; i < j.len; i++)
        if (j.ptr[i] >= '0' && j.ptr[i] <= '9')
            buf_putc(out, (uint8_t)j.ptr[i]);
    buf_puts(out, "](");
    start = out->len;
    if (json_put_string(out, payload.ptr, payload.len) != 0 || escape_line_ends(out, start) != 0)
        return -1;
    return buf_puts(out, ");");
}
