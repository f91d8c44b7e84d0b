/* hex - bytes written as hexadecimal digits; white space in between is ignored. */
#ifndef TEST_HEX_H
#define TEST_HEX_H

#include "base/buf.h"

#include <ctype.h>
#include <stdint.h>

/* Appends the bytes. */
static inline void hex_put(struct buf *out, const char *hex)
{
    int half = -1;

    for (; *hex != '\0'; hex++) {
        int digit = *hex <= '9' ? *hex - '0' : (*hex | 0x20) - 'a' + 10;

        if (isspace((unsigned char)*hex))
            continue;
        if (half >= 0)
            buf_putc(out, (uint8_t)(half << 4 | digit));
        half = half >= 0 ? -1 : digit;
    }
}

#endif
