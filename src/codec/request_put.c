/* request_put - answers to requests, as the servers of each generation send them, and the
 * channels of both. */
#include "codec/json.h"
#include "codec/pack.h"
#include "codec/request.h"
#include "codec/room_name.h"

/* {"requestId":ID */
static void put_id(struct buf *out, const struct request *request)
{
    buf_puts(out, request->is_old ? "{\"requestid\":" : "{\"requestId\":");
    buf_put(out, request->id.ptr, request->id.len);
}

static int status(const struct buf *out)
{
    return out->failed ? -1 : 0;
}

int request_put_head(struct buf *out, const struct request *request)
{
    put_id(out, request);
    if (request->type == REQUEST_ALL_ROOMS || request->type == REQUEST_CLIENT_ROOMS)
        buf_puts(out, ",\"rooms\":[");
    else
        buf_puts(out, request->is_old ? ",\"clients\":[" : ",\"sockets\":[");
    return status(out);
}

int request_put_tail(struct buf *out)
{
    return buf_puts(out, "]}");
}

int request_put_done(struct buf *out, const struct request *request)
{
    put_id(out, request);
    return buf_putc(out, '}');
}

int request_put_null(struct buf *out, const struct request *request)
{
    if (request->is_old) {
        put_id(out, request);
    } else {
        buf_puts(out, "{\"type\":6,\"requestId\":");
        buf_put(out, request->id.ptr, request->id.len);
    }
    return buf_puts(out, ",\"data\":null}");
}

int request_put_count(struct buf *out, const struct request *request, uint64_t clients)
{
    buf_puts(out, "{\"type\":8,\"requestId\":");
    buf_put(out, request->id.ptr, request->id.len);
    buf_puts(out, ",\"clientCount\":");
    json_put_uint64(out, clients);
    return buf_putc(out, '}');
}

int request_put_ack(struct buf *out, const struct request *request, struct slice json,
                    const struct slices *attachments)
{
    long span = json.len > 0 ? json_span(json.ptr, json.len) : -1;

    /* undefined: notepack.io 3 leaves the member out, and whoever reads it makes undefined
     * of that. */
    pack_map(out, span > 0 ? 3 : 2);
    pack_str(out, "type", 4);
    pack_number(out, 9);
    pack_str(out, "requestId", 9);
    pack_json(out, request->id.ptr, request->id.len);
    if (span > 0) {
        pack_str(out, "packet", 6);
        pack_json_bins(out, json.ptr, (size_t)span, attachments);
    }
    return status(out);
}

int request_put_room(struct buf *out, struct slice name)
{
    if (name.len > 1 && name.ptr[0] == ROOM_NAME_MARK)
        return buf_put(out, name.ptr + 1, name.len - 1);
    return json_put_string_lossy(out, name.ptr, name.len);
}

static void put_channel(struct buf *out, struct slice key, const char *what, struct slice nsp)
{
    buf_put(out, key.ptr, key.len);
    buf_puts(out, what);
    buf_put(out, nsp.ptr, nsp.len);
    buf_putc(out, '#');
}

int request_channel(struct buf *out, struct slice key, struct slice nsp)
{
    put_channel(out, key, "-request#", nsp);
    return status(out);
}

int response_channel(struct buf *out, struct slice key, struct slice nsp, struct slice uid)
{
    put_channel(out, key, "-response#", nsp);
    if (uid.len > 0) {
        buf_put(out, uid.ptr, uid.len);
        buf_putc(out, '#');
    }
    return status(out);
}
