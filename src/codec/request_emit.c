/* request_emit - broadcasts with acknowledgements: what emit.c reads of others, in an envelope
 * of their own. */
#include "codec/request_parts.h"

#include "codec/json.h"
#include "codec/msgpack.h"

#include <cjson/cJSON.h>
#include <math.h>

#define TYPE_BROADCAST 7

/* A timer of Node takes no more than 2^31 - 1 ms; of what is none or not above 0 there is none. */
static uint32_t milliseconds(double value)
{
    if (!(value > 0))
        return 0;
    return value < UINT32_MAX ? (uint32_t)ceil(value) : UINT32_MAX;
}

static enum request_result result_of(enum emit_result result)
{
    switch (result) {
    case EMIT_OK:
        return REQUEST_OK;
    case EMIT_OTHER_NAMESPACE:
        return REQUEST_OTHER_NAMESPACE;
    case EMIT_TOO_LARGE:
    case EMIT_TOO_MANY_ROOMS:
        return REQUEST_TOO_LARGE;
    case EMIT_NO_EVENT:
    case EMIT_RESERVED_EVENT:
    case EMIT_ATTACHMENTS:
        return REQUEST_BAD_EVENT;
    case EMIT_NO_MEMORY:
        return REQUEST_NO_MEMORY;
    default:
        return REQUEST_MALFORMED;
    }
}

/* ---- msgpack ---- */

/* What is known of the members of a map. */
struct parts {
    struct msgpack_item type, id, uid;
    struct slice packet, opts; /* each one value */
};

/* A value, of which an array or map is read over. */
static int take_item(struct msgpack_reader *in, struct msgpack_item *item)
{
    return msgpack_next(in, item) == 0 && msgpack_leave(in, item) == 0 ? 0 : -1;
}

static int take_slice(struct msgpack_reader *in, struct slice *value)
{
    value->ptr = (const char *)in->at;
    if (msgpack_skip(in, 1) != 0)
        return -1;
    value->len = (size_t)((const char *)in->at - value->ptr);
    return 0;
}

static int take_part(struct msgpack_reader *in, struct slice key, struct parts *parts)
{
    if (slice_eq(key, SLICE("type")))
        return take_item(in, &parts->type);
    if (slice_eq(key, SLICE("requestId")))
        return take_item(in, &parts->id);
    if (slice_eq(key, SLICE("uid")))
        return take_item(in, &parts->uid);
    if (slice_eq(key, SLICE("packet")))
        return take_slice(in, &parts->packet);
    if (slice_eq(key, SLICE("opts")))
        return take_slice(in, &parts->opts);
    return msgpack_skip(in, 1);
}

/* Reads {uid, requestId, type, packet, opts} to its end. */
static int read_parts(struct slice payload, struct parts *parts)
{
    struct msgpack_reader in = msgpack_read(payload, &msgpack_modern);
    struct msgpack_item map, key;

    *parts = (struct parts){0};
    if (msgpack_next(&in, &map) != 0 || map.type != MSGPACK_MAP)
        return -1;
    for (uint32_t i = 0; i < map.len; i++) {
        if (msgpack_next(&in, &key) != 0 || key.type != MSGPACK_STR ||
            take_part(&in, msgpack_slice(&key), parts) != 0)
            return -1;
    }
    return in.at == in.end ? 0 : -1;
}

/* NAN for what is no number. */
static double number_of(const struct msgpack_item *item)
{
    switch (item->type) {
    case MSGPACK_UINT:
        return (double)item->u;
    case MSGPACK_INT:
        return (double)item->i;
    case MSGPACK_FLOAT:
        return item->f;
    default:
        return NAN;
    }
}

/* Returns 0, or -1 without memory. */
static int take_names(struct request *request, const struct parts *parts)
{
    double number = number_of(&parts->id);
    struct buf *out = &request->words;

    if (parts->uid.type == MSGPACK_STR && parts->uid.len <= REQUEST_ID_MAX)
        request->uid = msgpack_slice(&parts->uid);
    if (parts->id.type == MSGPACK_STR && parts->id.len < REQUEST_ID_MAX)
        json_put_string_lossy(out, parts->id.bytes, parts->id.len);
    else if (isfinite(number))
        json_put_double(out, number);
    if (out->len <= REQUEST_ID_MAX)
        request->id = (struct slice){(const char *)out->data, out->len};
    return out->failed ? -1 : 0;
}

/* flags.timeout of opts, which have been read. */
static double timeout_of(struct slice opts)
{
    struct msgpack_reader in = msgpack_read(opts, &msgpack_modern);
    struct msgpack_item map, key, flags, value;
    double timeout = NAN;

    if (msgpack_next(&in, &map) != 0 || map.type != MSGPACK_MAP)
        return NAN;
    for (uint32_t i = 0; i < map.len; i++) {
        if (msgpack_next(&in, &key) != 0 || msgpack_next(&in, &flags) != 0)
            return NAN;
        if (flags.type != MSGPACK_MAP || !slice_eq(msgpack_slice(&key), SLICE("flags"))) {
            if (msgpack_leave(&in, &flags) != 0)
                return NAN;
            continue;
        }
        timeout = NAN;
        for (uint32_t k = 0; k < flags.len; k++) {
            if (take_item(&in, &key) != 0 || take_item(&in, &value) != 0)
                return NAN;
            if (key.type == MSGPACK_STR && slice_eq(msgpack_slice(&key), SLICE("timeout")))
                timeout = number_of(&value);
        }
    }
    return timeout;
}

enum request_result request_emit(struct request *request, struct slice payload, struct slice nsp,
                                 const struct emit_limits *limits)
{
    enum request_result result;
    struct parts parts;

    if (read_parts(payload, &parts) != 0)
        return REQUEST_MALFORMED;
    if (take_names(request, &parts) != 0)
        return REQUEST_NO_MEMORY;
    if (number_of(&parts.type) != TYPE_BROADCAST)
        return REQUEST_UNKNOWN;
    request->type = REQUEST_BROADCAST;
    if (request->id.len == 0)
        return REQUEST_MALFORMED;
    result = result_of(emit_decode_acked(&request->bc, parts.packet, parts.opts, nsp, limits));
    if (result == REQUEST_OK)
        request->timeout_ms = milliseconds(timeout_of(parts.opts));
    return result;
}

/* ---- JSON ---- */

/* Whether data, an array, starts with the name of an event. */
static enum request_result check_event(struct request *request, struct slice data)
{
    enum request_result result;
    const char *at = data.ptr + 1, *end = data.ptr + data.len;
    const cJSON *tree;
    struct slice first, name;
    long span;

    span = json_span(at, (size_t)(end - at));
    if (span < 0) /* there is none */
        return REQUEST_BAD_EVENT;
    first = (struct slice){at, (size_t)span};
    while (strchr(" \t\r\n", *first.ptr) != NULL) {
        first.ptr++;
        first.len--;
    }
    if (*first.ptr != '"')
        return isfinite(request_number(first, &request->starved)) ? REQUEST_OK : REQUEST_BAD_EVENT;
    tree = request_tree(request, first, &result);
    if (tree == NULL)
        return result;
    return request_string(tree, &name) && emit_event_reserved(name) ? REQUEST_BAD_EVENT
                                                                    : REQUEST_OK;
}

/* A packet of our namespace. */
static enum request_result read_packet(struct request *request, struct slice packet,
                                       struct slice nsp)
{
    static const char *const keys[] = {"data", "nsp"};
    struct slice values[2], name;
    enum request_result result;
    const cJSON *tree;

    request_members(packet, keys, values, 2);
    if (values[0].len == 0 || values[0].ptr[0] != '[')
        return REQUEST_MALFORMED;
    if (values[1].len > 0) {
        tree = request_tree(request, values[1], &result);
        if (tree == NULL)
            return result;
        if (!request_string(tree, &name))
            return REQUEST_MALFORMED;
        if (!slice_eq(name, nsp))
            return REQUEST_OTHER_NAMESPACE;
    }
    result = check_event(request, values[0]);
    if (result == REQUEST_OK && buf_put(&request->bc.json, values[0].ptr, values[0].len - 1) != 0)
        return REQUEST_NO_MEMORY;
    return result;
}

enum request_result request_emit_json(struct request *request, struct slice packet,
                                      struct slice opts, struct slice nsp)
{
    static const char *const keys[] = {"timeout"};
    struct broadcast *bc = &request->bc;
    struct request_rooms rooms = {&bc->once, &bc->rooms, &bc->numbers[0], 0};
    struct request_rooms except = {&bc->once, &bc->except, &bc->numbers[1], 0};
    struct slice flags, timeout;
    enum request_result result;

    result = request_opts(request, opts, &rooms, &except, &flags);
    if (result != REQUEST_OK)
        return result;
    request_members(flags, keys, &timeout, 1);
    request->timeout_ms = milliseconds(request_number(timeout, &request->starved));
    return read_packet(request, packet, nsp);
}
