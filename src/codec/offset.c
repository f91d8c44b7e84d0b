#include "codec/offset.h"

#include "base/base64.h"
#include "base/siphash.h"

#include <endian.h>

/* Where a message has the length of its channel: a number that none has, so that what is hashed
 * for an offset is never what is hashed for a message. */
#define NO_CHANNEL UINT64_MAX

static void put_u64(struct siphash *hash, uint64_t value)
{
    value = htole64(value);
    siphash_put(hash, &value, sizeof(value));
}

void offsets_begin(struct offsets *offsets, const uint8_t random[OFFSETS_RANDOM], struct slice node)
{
    *offsets = (struct offsets){0};
    memcpy(offsets->key, random, sizeof(offsets->key));
    memcpy(&offsets->before, random + sizeof(offsets->key), sizeof(offsets->before));
    offsets->node_len = node.len < OFFSETS_NODE_MAX ? node.len : OFFSETS_NODE_MAX;
    if (offsets->node_len > 0)
        memcpy(offsets->node, node.ptr, offsets->node_len);
}

void offsets_mark(struct offsets *offsets, const uint8_t mark[OFFSETS_MARK])
{
    offsets->before = offsets->c;
    offsets->c = 0;
    memcpy(offsets->key, mark, sizeof(offsets->key));
    offsets->marks++;
}

/* The length of the channel says where the payload begins; where that ends, the hash has by
 * the sum. */
void offsets_next(struct offsets *offsets, struct slice channel, struct slice payload)
{
    struct siphash hash;

    siphash_begin(&hash, offsets->key);
    put_u64(&hash, offsets->c);
    put_u64(&hash, channel.len);
    siphash_put(&hash, channel.ptr, channel.len);
    siphash_put(&hash, payload.ptr, payload.len);
    offsets->c = siphash_end(&hash);
}

static uint64_t offset_of(const struct offsets *offsets, uint64_t c)
{
    struct siphash hash;
    uint64_t offset;

    siphash_begin(&hash, offsets->key);
    put_u64(&hash, c);
    put_u64(&hash, NO_CHANNEL);
    put_u64(&hash, offsets->before);
    siphash_put(&hash, offsets->node, offsets->node_len);
    offset = siphash_end(&hash);
    return offset != 0 ? offset : 1;
}

uint64_t offsets_at(const struct offsets *offsets)
{
    return offset_of(offsets, offsets->c);
}

uint64_t offsets_marked(const struct offsets *offsets)
{
    return offset_of(offsets, 0);
}

int offsets_shared(const struct offsets *offsets)
{
    return offsets->marks >= 2;
}

void offset_write(char dst[OFFSET_LEN], uint64_t offset)
{
    offset = htobe64(offset);
    base64url_encode(dst, &offset, sizeof(offset));
}

int offset_read(struct slice text, uint64_t *offset)
{
    uint8_t bytes[OFFSET_LEN * 3 / 4];
    uint64_t value;

    if (text.len != OFFSET_LEN || base64url_decode(bytes, text.ptr, text.len) != sizeof(value))
        return -1;
    memcpy(&value, bytes, sizeof(value));
    *offset = be64toh(value);
    return *offset != 0 ? 0 : -1;
}
