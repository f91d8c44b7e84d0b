#include "base/utf8.h"

/* Length that a first byte announces, and the range of its second byte, which
 * is where overlong forms, surrogates and points above U+10FFFF show. */
static size_t announced(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0)
            *low = 0xa0;
        if (first == 0xed)
            *high = 0x9f;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0)
            *low = 0x90;
        if (first == 0xf4)
            *high = 0x8f;
        return 4;
    }
    return 0;
}

size_t utf8_next(const void *bytes, size_t len, uint32_t *point)
{
    const uint8_t *at = bytes;
    uint32_t value = at[0];
    uint8_t low, high;
    size_t n = 1;

    if (value >= 0x80) {
        n = announced(at[0], &low, &high);
        if (n == 0 || n > len || at[1] < low || at[1] > high)
            return 0;
        value &= 0x7fu >> n;
        for (size_t i = 1; i < n; i++) {
            if ((at[i] & 0xc0) != 0x80)
                return 0;
            value = value << 6 | (at[i] & 0x3f);
        }
    }
    if (point != NULL)
        *point = value;
    return n;
}

int utf8_valid(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        size_t n = at[0] < 0x80 ? 1 : utf8_next(at, len, NULL);

        if (n == 0)
            return 0;
        at += n;
        len -= n;
    }
    return 1;
}

size_t utf8_put(uint8_t dst[4], uint32_t point)
{
    static const uint8_t mark[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;

    for (size_t i = n - 1; i > 0; i--) {
        dst[i] = (uint8_t)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    dst[0] = (uint8_t)(n == 1 ? point : mark[n] | point);
    return n;
}
