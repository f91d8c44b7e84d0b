/* The payload of one WebSocket message.  The first byte says which version (bit
 * 0: 3) and opcode (bit 1: binary) it came with. */
#include "codec/eio.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
    if (!cond)
        abort();
}

static int is_inside(struct slice s, const void *bytes, size_t len)
{
    const char *start = bytes;

    return s.len == 0 || (s.ptr >= start && s.len <= len && (size_t)(s.ptr - start) <= len - s.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct eio_packet packet;
    struct slice payload;
    struct buf scratch = {0};
    enum eio_version version;
    int binary;

    if (size == 0)
        return 0;
    version = data[0] & 1 ? EIO3 : EIO4;
    binary = (data[0] & 2) != 0;
    payload = (struct slice){(const char *)data + 1, size - 1};
    if (eio_decode(&packet, version, binary, payload, &scratch) == 0) {
        must(packet.type >= EIO_OPEN && packet.type <= EIO_NOOP);
        must(packet.type == EIO_MESSAGE || !packet.binary);
        must(packet.binary || !binary);
        must(packet.data.len <= payload.len);
        must(is_inside(packet.data, payload.ptr, payload.len) ||
             is_inside(packet.data, scratch.data, scratch.len));
    }
    buf_free(&scratch);
    return 0;
}
