/* emit_encode - the way back to what emit.c reads, for axr-notify. */
#include "codec/emit.h"
#include "codec/json.h"
#include "codec/pack.h"

/* Packs each name once, as a Set has it.  Returns how many there are. */
static uint32_t pack_rooms(struct buf *out, const struct slices *rooms)
{
    struct buf names = {0};
    uint32_t n = 0;

    for (size_t i = 0; i < rooms->n; i++) {
        size_t j = 0;

        while (!slice_eq(rooms->at[j], rooms->at[i]))
            j++;
        if (j == i) {
            pack_str(&names, rooms->at[i].ptr, rooms->at[i].len);
            n++;
        }
    }
    pack_array(out, n);
    buf_put(out, names.data, names.len);
    out->failed |= names.failed;
    buf_free(&names);
    return n;
}

static void pack_slice(struct buf *out, struct slice text)
{
    pack_str(out, text.ptr, text.len);
}

int emit_encode(struct buf *channel, struct buf *payload, struct slice key, struct slice nsp,
                const struct slices *rooms, const struct slices *except, uint32_t flags,
                struct slice json)
{
    long span = json_span(json.ptr, json.len);
    uint32_t named;

    if (span < 0 || (size_t)span != json.len || json.ptr[0] != '[')
        return -1;
    pack_array(payload, 3);
    pack_slice(payload, SLICE("emitter"));
    pack_map(payload, 3);
    pack_slice(payload, SLICE("type"));
    pack_number(payload, 2);
    pack_slice(payload, SLICE("data"));
    if (pack_json(payload, json.ptr, json.len) != 0)
        return -2;
    pack_slice(payload, SLICE("nsp"));
    pack_slice(payload, nsp);
    pack_map(payload, 3);
    pack_slice(payload, SLICE("rooms"));
    named = pack_rooms(payload, rooms);
    pack_slice(payload, SLICE("flags"));
    pack_map(payload, flags & BROADCAST_VOLATILE ? 1 : 0);
    if (flags & BROADCAST_VOLATILE) {
        pack_slice(payload, SLICE("volatile"));
        pack_bool(payload, 1);
    }
    pack_slice(payload, SLICE("except"));
    pack_rooms(payload, except);
    buf_put(channel, key.ptr, key.len);
    buf_putc(channel, '#');
    buf_put(channel, nsp.ptr, nsp.len);
    buf_putc(channel, '#');
    if (named == 1) {
        buf_put(channel, rooms->at[0].ptr, rooms->at[0].len);
        buf_putc(channel, '#');
    }
    return channel->failed || payload->failed ? -2 : 0;
}
