#include "codec/json.h"

#include "base/utf8.h"

#include <string.h>

#define ESCAPE_MAX  6 /* bytes that one byte of a string can become: \u001f */
#define CHUNK_BYTES 512

/* What follows the backslash of an ASCII character that is escaped; 'u' for
 * the six-character form; 0 for what stands for itself. */
static const char escapes[128] = {
    [0 ... 7] = 'u', ['\b'] = 'b', ['\t'] = 't',          ['\n'] = 'n', [0x0b] = 'u',
    ['\f'] = 'f',    ['\r'] = 'r', [0x0e ... 0x1f] = 'u', ['"'] = '"',  ['\\'] = '\\',
};

#define EACH(byte) (0x0101010101010101u * (byte))

/* Whether one of eight bytes is a control character, a quote, a backslash or
 * not ASCII.  Among ASCII bytes only those that are too small borrow, and that
 * sets their top bit; what a borrow does to the next byte does not matter. */
static int needs_care(uint64_t eight)
{
    uint64_t quote = eight ^ EACH('"'), slash = eight ^ EACH('\\');

    return ((eight | (eight - EACH(0x20)) | (quote - EACH(1)) | (slash - EACH(1))) & EACH(0x80)) !=
           0;
}

/* Length of what the WHATWG decoder replaces by one U+FFFD: the longest start of
 * a valid sequence, or one byte.  bytes do not start with a valid sequence. */
static size_t broken_len(const uint8_t *bytes, size_t len)
{
    uint8_t probe[4] = {bytes[0], 0x80, 0x80, 0x80};
    size_t n;

    for (n = 1; n < 3 && n < len; n++) {
        probe[n] = bytes[n];
        if (utf8_next(probe, sizeof(probe), NULL) == 0)
            break;
    }
    return n;
}

/* Writes one character that is not plain ASCII.  Returns how much it took;
 * *to moves by at most ESCAPE_MAX. */
static size_t put_special(uint8_t **to, const uint8_t *at, size_t len, int lossy)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t *dst = *to;
    size_t n;

    if (at[0] >= 0x80) {
        n = lossy ? utf8_next(at, len, NULL) : 1;
        memcpy(dst, n > 0 ? (const void *)at : "\xef\xbf\xbd", n > 0 ? n : 3);
        *to += n > 0 ? n : 3;
        return n > 0 ? n : broken_len(at, len);
    }
    *dst++ = '\\';
    *dst++ = (uint8_t)escapes[at[0]];
    if (escapes[at[0]] == 'u') {
        *dst++ = '0';
        *dst++ = '0';
        *dst++ = (uint8_t)hex[at[0] >> 4];
        *dst++ = (uint8_t)hex[at[0] & 15];
    }
    *to = dst;
    return 1;
}

/* Writes what starts before stop; a sequence may reach beyond, up to end. */
static const uint8_t *put_chunk(uint8_t **to, const uint8_t *at, const uint8_t *stop,
                                const uint8_t *end, int lossy)
{
    uint8_t *dst = *to;
    uint64_t eight;

    while (at < stop) {
        while (stop - at >= 8) {
            memcpy(&eight, at, 8);
            if (needs_care(eight))
                break;
            memcpy(dst, &eight, 8);
            at += 8;
            dst += 8;
        }
        while (at < stop && *at < 0x80 && escapes[*at] == 0)
            *dst++ = *at++;
        while (at < stop && (*at >= 0x80 || escapes[*at] != 0))
            at += put_special(&dst, at, (size_t)(end - at), lossy);
    }
    *to = dst;
    return at;
}

static int put_string(struct buf *out, const char *bytes, size_t len, int lossy)
{
    const uint8_t *at = (const uint8_t *)bytes, *end = at + len, *stop;
    uint8_t *start, *to;

    do {
        stop = end - at > CHUNK_BYTES ? at + CHUNK_BYTES : end;
        start = to = buf_reserve(out, (size_t)(stop - at) * ESCAPE_MAX + 2);
        if (to == NULL)
            return -1;
        if (at == (const uint8_t *)bytes)
            *to++ = '"';
        at = put_chunk(&to, at, stop, end, lossy);
        if (at == end)
            *to++ = '"';
        out->len += (size_t)(to - start);
    } while (at < end);
    return 0;
}

int json_put_string(struct buf *out, const char *bytes, size_t len)
{
    return put_string(out, len > 0 ? bytes : "", len, 0);
}

int json_put_string_lossy(struct buf *out, const char *bytes, size_t len)
{
    return put_string(out, len > 0 ? bytes : "", len, 1);
}

/* \u and four digits. */
static uint8_t *put_unit(uint8_t *to, uint32_t unit)
{
    static const char hex[] = "0123456789abcdef";

    *to++ = '\\';
    *to++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4)
        *to++ = (uint8_t)hex[unit >> shift & 15];
    return to;
}

/* As put_chunk(), but all that is ASCII stays and nothing else does. */
static const uint8_t *put_ascii_chunk(uint8_t **to, const uint8_t *at, const uint8_t *stop,
                                      const uint8_t *end)
{
    uint8_t *dst = *to;

    while (at < stop) {
        uint32_t point = 0xfffd;
        size_t n;

        if (*at < 0x80) {
            *dst++ = *at++;
            continue;
        }
        n = utf8_next(at, (size_t)(end - at), &point);
        if (point > 0xffff)
            dst = put_unit(dst, 0xd800 + ((point - 0x10000) >> 10));
        dst = put_unit(dst, point > 0xffff ? 0xdc00 + (point & 0x3ff) : point);
        at += n > 0 ? n : broken_len(at, (size_t)(end - at));
    }
    *to = dst;
    return at;
}

int json_put_ascii(struct buf *out, struct slice json)
{
    const uint8_t *at = (const uint8_t *)json.ptr;
    const uint8_t *end = json.len > 0 ? at + json.len : at;

    while (at < end) {
        const uint8_t *stop = end - at > CHUNK_BYTES ? at + CHUNK_BYTES : end;
        /* The last character may reach beyond stop and become two escapes. */
        uint8_t *to = buf_reserve(out, ((size_t)(stop - at) + 1) * ESCAPE_MAX);

        if (to == NULL)
            return -1;
        at = put_ascii_chunk(&to, at, stop, end);
        out->len = (size_t)(to - out->data);
    }
    return 0;
}
