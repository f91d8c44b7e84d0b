/* emit_encode - the way back to what emit.c reads, for axr-notify and requests. */
#include "codec/emit.h"
#include "codec/json.h"
#include "codec/pack.h"

/* Packs each name once, as a Set has it.  Returns how many there are. */
static uint32_t pack_rooms(struct buf *out, const struct slices *rooms)
{
    struct once once = {0};
    struct slices names = {0};
    uint32_t n;

    once_begin(&once, &names);
    for (size_t i = 0; i < rooms->n; i++)
        if (once_put(&once, &names, rooms->at[i]) < 0)
            out->failed = 1;
    n = (uint32_t)names.n;
    pack_array(out, n);
    for (size_t i = 0; i < n; i++)
        pack_str(out, names.at[i].ptr, names.at[i].len);
    slices_clear(&names);
    once_clear(&once);
    return n;
}

static void pack_slice(struct buf *out, struct slice text)
{
    pack_str(out, text.ptr, text.len);
}

int emit_put_packet(struct buf *out, struct slice nsp, struct slice json)
{
    long span = json_span(json.ptr, json.len);

    if (span < 0 || (size_t)span != json.len || json.ptr[0] != '[')
        return -1;
    pack_map(out, 3);
    pack_slice(out, SLICE("type"));
    pack_number(out, 2);
    pack_slice(out, SLICE("data"));
    if (pack_json(out, json.ptr, json.len) != 0)
        return -2;
    pack_slice(out, SLICE("nsp"));
    pack_slice(out, nsp);
    return out->failed ? -2 : 0;
}

uint32_t emit_put_opts(struct buf *out, const struct slices *rooms, const struct slices *except,
                       uint32_t flags, uint32_t timeout_ms)
{
    uint32_t named;

    pack_map(out, 3);
    pack_slice(out, SLICE("rooms"));
    named = pack_rooms(out, rooms);
    pack_slice(out, SLICE("flags"));
    pack_map(out, (flags & BROADCAST_VOLATILE ? 1 : 0) + (timeout_ms > 0 ? 1 : 0));
    if (flags & BROADCAST_VOLATILE) {
        pack_slice(out, SLICE("volatile"));
        pack_bool(out, 1);
    }
    if (timeout_ms > 0) {
        pack_slice(out, SLICE("timeout"));
        pack_number(out, timeout_ms);
    }
    pack_slice(out, SLICE("except"));
    pack_rooms(out, except);
    return named;
}

int emit_encode(struct buf *channel, struct buf *payload, struct slice key, struct slice nsp,
                const struct slices *rooms, const struct slices *except, uint32_t flags,
                struct slice json)
{
    uint32_t named;
    int rc;

    pack_array(payload, 3);
    pack_slice(payload, SLICE("emitter"));
    rc = emit_put_packet(payload, nsp, json);
    if (rc != 0)
        return rc;
    named = emit_put_opts(payload, rooms, except, flags, 0);
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
