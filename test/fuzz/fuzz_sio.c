/* A Socket.IO packet.  The first byte says which version it came with (bit 0: 3).
 * What is accepted is written again from its parts, and must read the same. */
#include "codec/json.h"
#include "codec/sio.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
    if (!cond)
        abort();
}

static void put_slice(struct buf *out, struct slice s)
{
    buf_put(out, s.ptr, s.len);
}

static void put_packet(struct buf *out, const struct sio_packet *packet)
{
    buf_printf(out, "%d", (int)packet->type);
    if (packet->attachments > 0)
        buf_printf(out, "%u-", packet->attachments);
    put_slice(out, packet->nsp);
    if (packet->query.len > 0)
        buf_putc(out, '?');
    put_slice(out, packet->query);
    buf_putc(out, ',');
    if (packet->has_id)
        buf_printf(out, "%llu", (unsigned long long)packet->id);
    put_slice(out, packet->data);
}

/* It is a value inside of the data; without one there is nothing but space in the brackets. */
static void check_first(const struct sio_packet *packet)
{
    struct slice first = sio_first(packet), data = packet->data;

    if (first.len == 0) {
        if (data.len > 0 && data.ptr[0] == '[')
            for (size_t i = 1; i + 1 < data.len; i++)
                must(strchr(" \t\n\r", data.ptr[i]) != NULL);
        return;
    }
    must(data.ptr[0] == '[' && first.ptr > data.ptr && first.ptr + first.len < data.ptr + data.len);
    must(json_span(first.ptr, first.len) == (long)first.len);
}

static void check_packet(const struct sio_packet *packet)
{
    int binary = packet->type == SIO_BINARY_EVENT || packet->type == SIO_BINARY_ACK;

    must(packet->type >= SIO_CONNECT && packet->type <= SIO_BINARY_ACK);
    must(binary == (packet->attachments > 0) && packet->attachments <= SIO_ATTACHMENTS_MAX);
    must(packet->nsp.len > 0 && packet->nsp.ptr[0] == '/');
    must(memchr(packet->nsp.ptr, ',', packet->nsp.len) == NULL);
    must(packet->data.len == 0 ||
         json_span(packet->data.ptr, packet->data.len) == (long)packet->data.len);
    must(packet->type != SIO_DISCONNECT || packet->data.len == 0);
    check_first(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sio_packet packet, again;
    struct buf out = {0};
    enum eio_version version;

    if (size == 0)
        return 0;
    version = data[0] & 1 ? EIO3 : EIO4;
    if (sio_decode(&packet, version, (struct slice){(const char *)data + 1, size - 1}) == 0) {
        check_packet(&packet);
        put_packet(&out, &packet);
        must(sio_decode(&again, version, (struct slice){(char *)out.data, out.len}) == 0);
        must(again.type == packet.type && again.attachments == packet.attachments &&
             again.has_id == packet.has_id && again.id == packet.id &&
             slice_eq(again.nsp, packet.nsp) && slice_eq(again.query, packet.query) &&
             slice_eq(again.data, packet.data));
    }
    buf_free(&out);
    return 0;
}
