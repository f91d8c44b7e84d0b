#include "base/logescape.h"

#include <stdio.h>
#include <string.h>

/* Bytes below from, from 0x7f, the backslash and also are shown as \xNN. */
static const char *escape(char *dst, size_t cap, const void *bytes, size_t len, unsigned char from,
                          unsigned char also)
{
    const unsigned char *at = bytes;
    char shown[sizeof("\\x00")];
    size_t used = 0, fits = 0; /* fits: how much stays in front of "..." */

    if (cap == 0)
        return "";
    for (size_t i = 0; i < len; i++) {
        int plain = at[i] >= from && at[i] < 0x7f && at[i] != '\\' && at[i] != also;
        size_t n = plain ? 1 : 4;

        if (used + n > cap - 1) {
            used = fits;
            for (int dots = 0; dots < 3 && used < cap - 1; dots++)
                dst[used++] = '.';
            break;
        }
        if (plain) {
            dst[used] = (char)at[i];
        } else {
            (void)snprintf(shown, sizeof(shown), "\\x%02x", at[i]);
            memcpy(dst + used, shown, n);
        }
        used += n;
        if (used + 3 <= cap - 1)
            fits = used;
    }
    dst[used] = '\0';
    return dst;
}

const char *log_escape(char *dst, size_t cap, const void *bytes, size_t len)
{
    return escape(dst, cap, bytes, len, ' ', '\\');
}

const char *log_word(char *dst, size_t cap, const void *bytes, size_t len)
{
    return escape(dst, cap, bytes, len, '!', '"');
}
