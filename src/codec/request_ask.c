/* request_ask - the other side of a request: what we ask, and what comes back. */
#include "codec/emit_json.h"
#include "codec/json.h"
#include "codec/msgpack.h"
#include "codec/pack.h"
#include "codec/request_parts.h"

#include <math.h>

#define TYPE_DISCONNECT       4
#define TYPE_FETCH            5
#define TYPE_SERVER_SIDE_EMIT 6
#define TYPE_BROADCAST        7
#define TYPE_COUNT            8
#define TYPE_ACK              9

static void pack_slice(struct buf *out, struct slice text)
{
    pack_str(out, text.ptr, text.len);
}

int request_put_broadcast(struct buf *out, const struct request_broadcast *broadcast)
{
    int rc;

    pack_map(out, 5);
    pack_slice(out, SLICE("uid"));
    pack_slice(out, broadcast->uid);
    pack_slice(out, SLICE("requestId"));
    pack_slice(out, broadcast->id);
    pack_slice(out, SLICE("type"));
    pack_number(out, TYPE_BROADCAST);
    pack_slice(out, SLICE("packet"));
    rc = emit_put_packet(out, broadcast->nsp, broadcast->json);
    if (rc != 0)
        return rc;
    pack_slice(out, SLICE("opts"));
    emit_put_opts(out, broadcast->rooms, broadcast->except, broadcast->flags,
                  broadcast->timeout_ms);
    return out->failed ? -2 : 0;
}

int request_put_server_side_emit(struct buf *out, struct slice uid, struct slice event,
                                 struct slice json)
{
    if (json_span(json.ptr, json.len) != (long)json.len)
        return -1;
    buf_puts(out, "{\"uid\":");
    json_put_string_lossy(out, uid.ptr, uid.len);
    buf_printf(out, ",\"type\":%d,\"data\":[", TYPE_SERVER_SIDE_EMIT);
    json_put_string_lossy(out, event.ptr, event.len);
    buf_putc(out, ',');
    buf_put(out, json.ptr, json.len);
    buf_puts(out, "]}");
    return out->failed ? -2 : 0;
}

static int put_opts(struct buf *out, int type, struct slice room)
{
    buf_printf(out, ",\"type\":%d,\"opts\":{\"rooms\":[", type);
    json_put_string_lossy(out, room.ptr, room.len);
    return buf_puts(out, "],\"except\":[]}");
}

int request_put_fetch(struct buf *out, struct slice uid, struct slice id, struct slice room)
{
    buf_puts(out, "{\"uid\":");
    json_put_string_lossy(out, uid.ptr, uid.len);
    buf_puts(out, ",\"requestId\":");
    json_put_string_lossy(out, id.ptr, id.len);
    put_opts(out, TYPE_FETCH, room);
    return buf_putc(out, '}');
}

int request_put_disconnect(struct buf *out, struct slice uid, struct slice room, int close)
{
    buf_puts(out, "{\"uid\":");
    json_put_string_lossy(out, uid.ptr, uid.len);
    put_opts(out, TYPE_DISCONNECT, room);
    return buf_printf(out, ",\"close\":%s}", close ? "true" : "false");
}

/* ---- what comes back ---- */

/* Whether text is the string id, as JSON has it. */
static int is_id(struct slice text, struct slice id)
{
    return text.len == id.len + 2 && text.ptr[0] == '"' &&
           slice_eq((struct slice){text.ptr + 1, id.len}, id);
}

static int is_count(double value)
{
    return value >= 0 && value <= UINT32_MAX && floor(value) == value;
}

static enum answer_type decode_json(struct answer *answer, struct slice payload, struct slice id)
{
    static const char *const keys[] = {"type", "requestId", "clientCount", "packet"};
    long span = json_span(payload.ptr, payload.len);
    struct slice values[4];
    int starved = 0;
    double type;

    if (span < 0)
        return ANSWER_NONE;
    request_members((struct slice){payload.ptr, (size_t)span}, keys, values, 4);
    if (!is_id(values[1], id))
        return ANSWER_NONE;
    type = request_number(values[0], &starved);
    answer->clients = request_number(values[2], &starved);
    answer->json = values[3];
    if (starved)
        return ANSWER_NO_MEMORY;
    if (type == TYPE_ACK)
        return ANSWER_ACK;
    return type == TYPE_COUNT && is_count(answer->clients) ? ANSWER_COUNT : ANSWER_NONE;
}

/* The argument that is next in in. */
static enum answer_type take_packet(struct answer *answer, const struct msgpack_reader *in,
                                    const struct emit_limits *limits)
{
    static const struct msgpack_item array = {.type = MSGPACK_ARRAY, .len = 1};
    struct broadcast *bc = &answer->bc;
    enum emit_result result;

    broadcast_reset(bc);
    result = emit_json_put(bc, in, &array, limits);
    if (result == EMIT_NO_MEMORY)
        return ANSWER_NO_MEMORY;
    if (result != EMIT_OK)
        return ANSWER_ACK;
    answer->json = (struct slice){(const char *)bc->json.data + 1, bc->json.len - 1};
    answer->attachments = bc->attachments; /* on loan */
    return ANSWER_ACK;
}

static enum answer_type decode_msgpack(struct answer *answer, struct slice payload, struct slice id,
                                       const struct emit_limits *limits)
{
    struct msgpack_reader in = msgpack_read(payload, &msgpack_modern), packet = {0};
    struct msgpack_item map, key, value, type = {0}, theirs = {0};

    if (msgpack_next(&in, &map) != 0 || map.type != MSGPACK_MAP)
        return ANSWER_NONE;
    for (uint32_t i = 0; i < map.len; i++) {
        struct msgpack_reader at;

        if (msgpack_next(&in, &key) != 0 || key.type != MSGPACK_STR)
            return ANSWER_NONE;
        at = in;
        if (msgpack_next(&in, &value) != 0 || msgpack_leave(&in, &value) != 0)
            return ANSWER_NONE;
        if (slice_eq(msgpack_slice(&key), SLICE("type")))
            type = value;
        else if (slice_eq(msgpack_slice(&key), SLICE("requestId")))
            theirs = value;
        else if (slice_eq(msgpack_slice(&key), SLICE("packet")) && value.type != MSGPACK_UNDEFINED)
            packet = at;
    }
    if (in.at != in.end || type.type != MSGPACK_UINT || type.u != TYPE_ACK ||
        theirs.type != MSGPACK_STR || !slice_eq(msgpack_slice(&theirs), id))
        return ANSWER_NONE;
    return packet.at != NULL ? take_packet(answer, &packet, limits) : ANSWER_ACK;
}

enum answer_type answer_decode(struct answer *answer, struct slice payload, struct slice id,
                               const struct emit_limits *limits)
{
    answer->clients = 0;
    answer->json = (struct slice){NULL, 0};
    answer->attachments = (struct slices){0};
    if (payload.len == 0)
        return ANSWER_NONE;
    return payload.ptr[0] == '{' ? decode_json(answer, payload, id)
                                 : decode_msgpack(answer, payload, id, limits);
}

/* The text of value, if it begins so; else empty. */
static struct slice of_kind(struct slice value, char first)
{
    return value.len > 0 && value.ptr[0] == first ? value : (struct slice){0};
}

static int read_client(struct slice text, struct answer_client *client)
{
    static const char *const keys[] = {"id", "rooms", "handshake", "data"};
    static const char *const shakes[] = {"address", "issued"};
    static const char *const whose[] = {"uid"};
    struct slice values[4], handshake[2], uid;

    request_members(text, keys, values, 4);
    request_members(values[3], whose, &uid, 1);
    client->uid = of_kind(uid, '"');
    request_members(values[2], shakes, handshake, 2);
    client->id = of_kind(values[0], '"');
    client->rooms = of_kind(values[1], '[');
    client->address = of_kind(handshake[0], '"');
    client->issued = handshake[1];
    if (client->issued.len > 0 && strchr("tfn\"{[-", client->issued.ptr[0]) != NULL)
        client->issued = (struct slice){0};
    return client->id.len > 0;
}

long answer_clients(struct slice payload, struct slice id,
                    void (*visit)(const struct answer_client *client, void *arg), void *arg)
{
    static const char *const keys[] = {"requestId", "sockets"};
    long span = payload.len > 0 && payload.ptr[0] == '{' ? json_span(payload.ptr, payload.len) : -1;
    struct slice values[2], one;
    struct json_walk walk;
    long n = 0;

    if (span < 0)
        return -1;
    request_members((struct slice){payload.ptr, (size_t)span}, keys, values, 2);
    if (!is_id(values[0], id) || of_kind(values[1], '[').len == 0)
        return -1;
    walk = json_walk(values[1]);
    while (json_walk_element(&walk, &one)) {
        struct answer_client client;

        if (!read_client(one, &client))
            continue;
        visit(&client, arg);
        n++;
    }
    return n;
}

void answer_clear(struct answer *answer)
{
    broadcast_clear(&answer->bc);
    *answer = (struct answer){0};
}
