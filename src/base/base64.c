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

/* The value of a character, 0 to 63, and the alphabets that it is in: bit 6 standard, bit
 * 7 URL-safe. */
#define STANDARD 1
#define URL_SAFE 2
/* clang-format off */
static const uint8_t values[256] = {
    ['A'] = 0xc0, ['B'] = 0xc1, ['C'] = 0xc2, ['D'] = 0xc3, ['E'] = 0xc4, ['F'] = 0xc5,
    ['G'] = 0xc6, ['H'] = 0xc7, ['I'] = 0xc8, ['J'] = 0xc9, ['K'] = 0xca, ['L'] = 0xcb,
    ['M'] = 0xcc, ['N'] = 0xcd, ['O'] = 0xce, ['P'] = 0xcf, ['Q'] = 0xd0, ['R'] = 0xd1,
    ['S'] = 0xd2, ['T'] = 0xd3, ['U'] = 0xd4, ['V'] = 0xd5, ['W'] = 0xd6, ['X'] = 0xd7,
    ['Y'] = 0xd8, ['Z'] = 0xd9, ['a'] = 0xda, ['b'] = 0xdb, ['c'] = 0xdc, ['d'] = 0xdd,
    ['e'] = 0xde, ['f'] = 0xdf, ['g'] = 0xe0, ['h'] = 0xe1, ['i'] = 0xe2, ['j'] = 0xe3,
    ['k'] = 0xe4, ['l'] = 0xe5, ['m'] = 0xe6, ['n'] = 0xe7, ['o'] = 0xe8, ['p'] = 0xe9,
    ['q'] = 0xea, ['r'] = 0xeb, ['s'] = 0xec, ['t'] = 0xed, ['u'] = 0xee, ['v'] = 0xef,
    ['w'] = 0xf0, ['x'] = 0xf1, ['y'] = 0xf2, ['z'] = 0xf3, ['0'] = 0xf4, ['1'] = 0xf5,
    ['2'] = 0xf6, ['3'] = 0xf7, ['4'] = 0xf8, ['5'] = 0xf9, ['6'] = 0xfa, ['7'] = 0xfb,
    ['8'] = 0xfc, ['9'] = 0xfd, ['+'] = 0x7e, ['/'] = 0x7f, ['-'] = 0xbe, ['_'] = 0xbf
};
/* clang-format on */

/* alphabets: those that src may be in. */
static long decode(uint8_t *dst, const char *src, size_t len, unsigned alphabets)
{
    uint32_t bits = 0;
    int nbits = 0;
    long written = 0;

    if (len % 4 == 1)
        return -1;
    for (size_t i = 0; i < len; i++) {
        uint8_t value = values[(uint8_t)src[i]];

        alphabets &= (unsigned)value >> 6;
        bits = bits << 6 | (value & 63);
        nbits += 6;
        if (nbits >= 8) {
            nbits -= 8;
            dst[written++] = (uint8_t)(bits >> nbits);
            bits &= (1u << nbits) - 1;
        }
    }
    return bits == 0 && alphabets != 0 ? written : -1;
}

long base64_decode(uint8_t *dst, const char *src, size_t len)
{
    if (len > 0 && len % 4 == 0 && src[len - 1] == '=')
        len -= src[len - 2] == '=' ? 2 : 1;
    return decode(dst, src, len, STANDARD | URL_SAFE);
}

long base64url_decode(uint8_t *dst, const char *src, size_t len)
{
    return decode(dst, src, len, URL_SAFE);
}
