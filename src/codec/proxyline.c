#include "codec/proxyline.h"

#include "base/slice.h"

#include <arpa/inet.h>
#include <string.h>

static const char text_begin[6] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const uint8_t binary_begin[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                         0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

#define BINARY_HEAD 16

enum { COMMAND_LOCAL, COMMAND_PROXY };
enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX, FAMILIES };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM };

#define TLV_SSL        0x20
#define SSL_BYTES      5    /* of its value, before what is nested in it */
#define SSL_CLIENT_TLS 0x01 /* bit of the first: the client speaks TLS */

static int begins(const uint8_t *bytes, size_t len, const void *with, size_t with_len)
{
    return memcmp(bytes, with, len < with_len ? len : with_len) == 0;
}

/* --- version 1 --- */

/* The word that rest begins with, and the one space behind it, off its front. */
static struct slice next_word(struct slice *rest)
{
    const char *space = rest->len > 0 ? memchr(rest->ptr, ' ', rest->len) : NULL;
    struct slice word = *rest;

    if (space != NULL)
        word.len = (size_t)(space - rest->ptr);
    rest->ptr += word.len + (space != NULL);
    rest->len -= word.len + (space != NULL);
    return word;
}

/* Of that family.  Returns 0 or -1. */
static int read_ip(struct slice word, int family, struct address *address)
{
    if ((word.len > 0 && memchr(word.ptr, ':', word.len) != NULL) != (family == AF_INET6))
        return -1;
    return address_parse_ip(address, word);
}

static int read_port(struct slice word, uint16_t *port)
{
    uint32_t number = 0;

    if (word.len == 0 || word.len > 5 || (word.len > 1 && word.ptr[0] == '0'))
        return -1;
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9')
            return -1;
        number = number * 10 + (uint32_t)(word.ptr[i] - '0');
    }
    *port = (uint16_t)number;
    return number <= UINT16_MAX ? 0 : -1;
}

/* rest: what is between "PROXY " and the line's end. */
static int read_text(struct proxyline *line, struct slice rest)
{
    struct slice family = next_word(&rest);
    int is_v4 = slice_eq(family, SLICE("TCP4")), inet = is_v4 ? AF_INET : AF_INET6;
    struct slice from, to, from_port, to_port;
    struct address other;

    if (slice_eq(family, SLICE("UNKNOWN"))) {
        line->local = 1; /* whatever follows is to be ignored */
        return 0;
    }
    if (!is_v4 && !slice_eq(family, SLICE("TCP6")))
        return -1;
    from = next_word(&rest);
    to = next_word(&rest);
    from_port = next_word(&rest);
    to_port = rest;
    if (read_ip(from, inet, &line->from) < 0 || read_ip(to, inet, &other) < 0 ||
        read_port(from_port, &line->from.port) < 0 || read_port(to_port, &other.port) < 0)
        return -1;
    return address_is_none(&line->from) ? -1 : 0; /* ::, which nobody has */
}

static long decode_text(struct proxyline *line, const uint8_t *bytes, size_t len)
{
    size_t most = len < PROXYLINE_V1_MAX - 1 ? len : PROXYLINE_V1_MAX - 1, end;
    const uint8_t *cr = memchr(bytes, '\r', most);
    struct slice rest;

    end = cr != NULL ? (size_t)(cr - bytes) : most;
    if (memchr(bytes, '\n', end) != NULL)
        return -PROXYLINE_MALFORMED;
    if (cr == NULL)
        return end < PROXYLINE_V1_MAX - 1 ? 0 : -PROXYLINE_TOO_LONG;
    if (end + 1 == len)
        return 0;
    if (bytes[end + 1] != '\n')
        return -PROXYLINE_MALFORMED;
    line->version = 1;
    rest.ptr = (const char *)bytes + sizeof(text_begin);
    rest.len = end - sizeof(text_begin);
    return read_text(line, rest) == 0 ? (long)end + 2 : -PROXYLINE_MALFORMED;
}

/* --- version 2 --- */

static unsigned u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* What follows the addresses: type, length, value, of which only TLS is looked at. */
static int read_more(struct proxyline *line, const uint8_t *at, size_t len)
{
    while (len > 0) {
        size_t n = len >= 3 ? u16(at + 1) : 0;

        if (len < 3 || n > len - 3 || (at[0] == TLV_SSL && n < SSL_BYTES))
            return -1;
        if (at[0] == TLV_SSL)
            line->secure = (at[3] & SSL_CLIENT_TLS) != 0;
        at += 3 + n;
        len -= 3 + n;
    }
    return 0;
}

/* Returns 0, or -1 for ::, which nobody has. */
static int set_from(struct address *from, unsigned family, const uint8_t *at)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (family == FAMILY_INET) {
        memcpy(&in.sin_addr, at, 4);
        memcpy(&in.sin_port, at + 8, 2);
        address_set(from, (struct sockaddr *)&in);
    } else if (family == FAMILY_INET6) {
        memcpy(&in6.sin6_addr, at, 16);
        memcpy(&in6.sin6_port, at + 32, 2);
        address_set(from, (struct sockaddr *)&in6);
    }
    return family != FAMILY_UNIX && address_is_none(from) ? -1 : 0;
}

/* at: the len bytes behind the head, which says what they are. */
static int read_binary(struct proxyline *line, const uint8_t head[BINARY_HEAD], const uint8_t *at,
                       size_t len)
{
    static const uint8_t sizes[FAMILIES] = {
        [FAMILY_INET] = 12, [FAMILY_INET6] = 36, [FAMILY_UNIX] = 216};
    unsigned command = head[12] & 0xf, family = head[13] >> 4, transport = head[13] & 0xf;

    if (command == COMMAND_LOCAL) {
        line->local = 1; /* the rest is to be skipped, whatever it is */
        return 0;
    }
    if (command != COMMAND_PROXY || family >= FAMILIES || transport > TRANSPORT_STREAM ||
        len < sizes[family])
        return -1;
    /* Neither is known, or only one of them: the proxy could not tell. */
    line->local = family == FAMILY_UNSPEC || transport == TRANSPORT_UNSPEC;
    if (!line->local && set_from(&line->from, family, at) < 0)
        return -1;
    return read_more(line, at + sizes[family], len - sizes[family]);
}

static long decode_binary(struct proxyline *line, const uint8_t *bytes, size_t len)
{
    size_t rest;

    if (len > 12 && bytes[12] >> 4 != 2)
        return -PROXYLINE_MALFORMED; /* of a version to come */
    if (len < BINARY_HEAD)
        return 0;
    rest = u16(bytes + 14);
    if (rest > PROXYLINE_MAX - BINARY_HEAD)
        return -PROXYLINE_TOO_LONG;
    if (len - BINARY_HEAD < rest)
        return 0;
    line->version = 2;
    return read_binary(line, bytes, bytes + BINARY_HEAD, rest) == 0 ? (long)(BINARY_HEAD + rest)
                                                                    : -PROXYLINE_MALFORMED;
}

long proxyline_decode(struct proxyline *line, const uint8_t *bytes, size_t len)
{
    *line = (struct proxyline){0};
    if (len == 0)
        return 0;
    if (begins(bytes, len, text_begin, sizeof(text_begin)))
        return len < sizeof(text_begin) ? 0 : decode_text(line, bytes, len);
    if (begins(bytes, len, binary_begin, sizeof(binary_begin)))
        return len < sizeof(binary_begin) ? 0 : decode_binary(line, bytes, len);
    return -PROXYLINE_ABSENT;
}
