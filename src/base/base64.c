#include "base/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Without padding; returns the characters written. */
static size_t encode(char *dst, const uint8_t *at, size_t n, const char *alphabet)
{
    char *to = dst;

    for (; n >= 3; at += 3, n -= 3) {
        *to++ = alphabet[at[0] >> 2];
        *to++ = alphabet[(at[0] & 3) << 4 | at[1] >> 4];
        *to++ = alphabet[(at[1] & 15) << 2 | at[2] >> 6];
        *to++ = alphabet[at[2] & 63];
    }
    if (n > 0) {
        unsigned second = n == 2 ? at[1] : 0;

        *to++ = alphabet[at[0] >> 2];
        *to++ = alphabet[(at[0] & 3) << 4 | second >> 4];
        if (n == 2)
            *to++ = alphabet[(second & 15) << 2];
    }
    return (size_t)(to - dst);
}

size_t base64_encode(char *dst, const void *bytes, size_t n)
{
    size_t len = encode(dst, bytes, n, standard);

    while (len % 4 != 0)
        dst[len++] = '=';
    return len;
}

size_t base64url_encode(char *dst, const void *bytes, size_t n)
{
    return encode(dst, bytes, n, url_safe);
}

/* 0 to 63, or -1.  *alphabets loses the bit of each alphabet (1 standard, 2
 * URL-safe) that c is not in. */
static int value_of(char c, unsigned *alphabets)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '/') {
        *alphabets &= 1;
        return c == '+' ? 62 : 63;
    }
    if (c == '-' || c == '_') {
        *alphabets &= 2;
        return c == '-' ? 62 : 63;
    }
    return -1;
}

long base64_decode(uint8_t *dst, const char *src, size_t len)
{
    unsigned alphabets = 3;
    uint32_t bits = 0;
    int nbits = 0;
    long written = 0;

    if (len > 0 && len % 4 == 0 && src[len - 1] == '=')
        len -= src[len - 2] == '=' ? 2 : 1;
    if (len % 4 == 1)
        return -1;
    for (size_t i = 0; i < len; i++) {
        int value = value_of(src[i], &alphabets);

        if (value < 0 || alphabets == 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        nbits += 6;
        if (nbits >= 8) {
            nbits -= 8;
            dst[written++] = (uint8_t)(bits >> nbits);
            bits &= (1u << nbits) - 1;
        }
    }
    return bits == 0 ? written : -1;
}
