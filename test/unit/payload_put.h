/* payload_put - a packet behind those that are in a buffer: a payload is made of several. */
#ifndef TEST_PAYLOAD_PUT_H
#define TEST_PAYLOAD_PUT_H

#include "base/buf.h"
#include "codec/payload.h"

#include <stdlib.h>

static inline void payload_put(struct buf *out, enum payload_form form, int binary,
                               struct slice bytes)
{
    size_t len = payload_packet_len(form, binary, bytes.len);
    uint8_t *dst = buf_reserve(out, len);

    if (dst == NULL || payload_packet_write(dst, form, binary, bytes.ptr, bytes.len) != dst + len)
        abort(); /* no memory, or not as long as was said */
    out->len += len;
}

#endif
