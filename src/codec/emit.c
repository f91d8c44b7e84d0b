#include "codec/emit.h"

#include "base/utf8.h"
#include "codec/emit_json.h"
#include "codec/msgpack.h"
#include "codec/once.h"
#include "codec/room_name.h"

#include <assert.h>
#include <math.h>

/* What is decoded, and by what. */
struct source {
    struct slice channel, payload, key, nsp;
    const struct emit_limits *limits;
};

/* ---- envelope ---- */

#define CLUSTER_BROADCAST 3 /* MessageType of socket.io-adapter, cluster-adapter.ts */

struct envelope {
    int has_data;
    struct msgpack_reader data; /* at the head of packet.data */
    struct msgpack_reader opts; /* at the head of opts, which are all it holds */
    struct slice nsp;
};

/* Reads a key of packet or opts: a string, or the whole is not of our shape.
 * This is what most payloads of another dialect fail at. */
static int read_key(struct msgpack_reader *in, struct slice *key)
{
    struct msgpack_item item;

    if (msgpack_next(in, &item) != 0 || item.type != MSGPACK_STR)
        return -1;
    *key = msgpack_slice(&item);
    return 0;
}

/* missing: what undefined stands for. */
static int read_nsp(struct msgpack_reader *in, struct slice *nsp, struct slice missing)
{
    struct msgpack_item item;

    if (msgpack_next(in, &item) != 0)
        return -1;
    if (item.type == MSGPACK_STR)
        *nsp = msgpack_slice(&item);
    else if (item.type == MSGPACK_UNDEFINED)
        *nsp = missing;
    else
        return -1;
    return 0;
}

/* Which number it is means nothing: see emit.h. */
static int read_type(struct msgpack_reader *in)
{
    struct msgpack_item item;

    if (msgpack_next(in, &item) != 0)
        return -1;
    return item.type == MSGPACK_UINT || item.type == MSGPACK_INT || item.type == MSGPACK_FLOAT ? 0
                                                                                               : -1;
}

/* data is only read over: nsp comes after it, and a packet for another
 * namespace should cost no more than that.  nsp: that of a packet without one. */
static int read_packet(struct msgpack_reader *in, struct envelope *envelope, struct slice nsp)
{
    struct msgpack_item map;
    struct slice key;
    int rc;

    *envelope = (struct envelope){.nsp = nsp};
    if (msgpack_next(in, &map) != 0 || map.type != MSGPACK_MAP)
        return -1;
    for (uint32_t i = 0; i < map.len; i++) {
        if (read_key(in, &key) != 0)
            return -1;
        if (slice_eq(key, SLICE("nsp"))) {
            rc = read_nsp(in, &envelope->nsp, nsp);
        } else if (slice_eq(key, SLICE("type"))) {
            rc = read_type(in);
        } else {
            if (slice_eq(key, SLICE("data"))) {
                envelope->has_data = 1;
                envelope->data = *in;
            }
            rc = msgpack_skip(in, 1);
        }
        if (rc != 0)
            return -1;
    }
    return envelope->has_data ? 0 : -1;
}

/* Reads {packet, opts}, which a broadcast of the streams adapter has in data. */
static int read_cluster_data(struct msgpack_reader *in, struct envelope *envelope)
{
    struct msgpack_reader packet = {0}, opts = {0};
    struct msgpack_item map;
    struct slice key;

    if (msgpack_next(in, &map) != 0 || map.type != MSGPACK_MAP)
        return -1;
    for (uint32_t i = 0; i < map.len; i++) {
        struct msgpack_reader value;

        if (read_key(in, &key) != 0)
            return -1;
        value = *in;
        if (msgpack_skip(in, 1) != 0)
            return -1;
        value.end = in->at;
        if (slice_eq(key, SLICE("packet")))
            packet = value;
        else if (slice_eq(key, SLICE("opts")))
            opts = value;
    }
    if (packet.at == NULL || opts.at == NULL || read_packet(&packet, envelope, SLICE("/")) != 0)
        return -1;
    envelope->opts = opts;
    return 0;
}

/* Reads {type, data, uid, nsp} of the streams adapter, whose head has been read. */
static enum emit_result read_cluster(struct msgpack_reader *in, uint32_t pairs,
                                     struct envelope *envelope)
{
    struct msgpack_item type = {.type = MSGPACK_NIL};
    struct msgpack_reader data = {0};
    struct slice key, nsp = SLICE("/");
    int rc;

    for (uint32_t i = 0; i < pairs; i++) {
        if (read_key(in, &key) != 0)
            return EMIT_MALFORMED;
        if (slice_eq(key, SLICE("nsp"))) {
            rc = read_nsp(in, &nsp, SLICE("/"));
        } else if (slice_eq(key, SLICE("type"))) {
            rc = msgpack_next(in, &type) != 0 || msgpack_leave(in, &type) != 0;
        } else {
            if (slice_eq(key, SLICE("data")))
                data = *in;
            rc = msgpack_skip(in, 1);
        }
        if (rc != 0)
            return EMIT_MALFORMED;
    }
    if (in->at != in->end)
        return EMIT_MALFORMED;
    if (type.type != MSGPACK_UINT || type.u != CLUSTER_BROADCAST)
        return EMIT_NOT_BROADCAST;
    if (data.at == NULL || read_cluster_data(&data, envelope) != 0)
        return EMIT_MALFORMED;
    envelope->nsp = nsp; /* its packets have none */
    return EMIT_OK;
}

/* Reads [uid, packet, opts] or [packet, opts] up to opts, or a map. */
static enum emit_result read_envelope(struct msgpack_reader *in, struct envelope *envelope)
{
    struct msgpack_item root;

    if (msgpack_next(in, &root) != 0)
        return EMIT_MALFORMED;
    if (root.type == MSGPACK_MAP)
        return read_cluster(in, root.len, envelope);
    if (root.type != MSGPACK_ARRAY || (root.len != 2 && root.len != 3))
        return EMIT_MALFORMED;
    if (root.len == 3 && msgpack_skip(in, 1) != 0)
        return EMIT_MALFORMED;
    if (read_packet(in, envelope, SLICE("/")) != 0)
        return EMIT_MALFORMED;
    envelope->opts = *in;
    return EMIT_OK;
}

/* ---- opts ---- */

/* A list that is being read: rooms or except. */
struct rooms {
    struct once *once;
    struct slices *list;
    struct buf *numbers; /* names of its rooms that are numbers */
    size_t others;       /* how many are no names of rooms */
};

/* A room that is no string.  Apart, for they are rare. */
static __attribute__((noinline)) enum emit_result read_odd_room(const struct msgpack_item *item,
                                                                struct rooms *rooms)
{
    double value = NAN;

    if (item->type == MSGPACK_UINT)
        value = (double)item->u;
    else if (item->type == MSGPACK_INT)
        value = (double)item->i;
    else if (item->type == MSGPACK_FLOAT)
        value = item->f;
    if (!isfinite(value)) {
        rooms->others++;
        return EMIT_OK;
    }
    return room_name_put(rooms->once, rooms->list, rooms->numbers, EMIT_ROOMS_MAX + 1, value) < 0
               ? EMIT_NO_MEMORY
               : EMIT_OK;
}

/* Takes what can be the name of a room into the list, each once and up to one more than
 * EMIT_ROOMS_MAX. */
static enum emit_result read_room(const struct msgpack_item *item, struct rooms *rooms)
{
    if (rooms->list->n > EMIT_ROOMS_MAX)
        return EMIT_OK;
    if (item->type != MSGPACK_STR)
        return read_odd_room(item, rooms);
    if (!utf8_valid(item->bytes, item->len)) {
        rooms->others++;
        return EMIT_OK;
    }
    return once_put(rooms->once, rooms->list, msgpack_slice(item)) < 0 ? EMIT_NO_MEMORY : EMIT_OK;
}

static enum emit_result read_rooms(struct msgpack_reader *in, struct rooms *rooms)
{
    struct msgpack_item array, item;
    enum emit_result result = EMIT_OK;

    once_begin(rooms->once, rooms->list);
    buf_reset(rooms->numbers);
    rooms->others = 0;
    if (msgpack_next(in, &array) != 0)
        return EMIT_MALFORMED;
    if (array.type == MSGPACK_NIL || array.type == MSGPACK_UNDEFINED ||
        ((array.type == MSGPACK_STR || array.type == MSGPACK_MAP) && array.len == 0))
        return EMIT_OK;
    if (array.type != MSGPACK_ARRAY)
        return EMIT_MALFORMED;
    for (uint32_t i = 0; i < array.len && result == EMIT_OK; i++) {
        if (msgpack_next(in, &item) != 0 || msgpack_leave(in, &item) != 0)
            return EMIT_MALFORMED;
        result = read_room(&item, rooms);
    }
    return result;
}

/* As JavaScript's Boolean(). */
static int truthy(const struct msgpack_item *item)
{
    switch (item->type) {
    case MSGPACK_NIL:
    case MSGPACK_UNDEFINED:
        return 0;
    case MSGPACK_BOOL:
    case MSGPACK_UINT:
        return item->u != 0;
    case MSGPACK_INT:
        return item->i != 0;
    case MSGPACK_FLOAT:
        return item->f != 0 && !isnan(item->f);
    case MSGPACK_STR:
        return item->len > 0;
    default:
        return 1;
    }
}

/* Any type will do: some emitters write "" or [] where there are no flags. */
static enum emit_result read_flags(struct msgpack_reader *in, uint32_t *flags)
{
    struct msgpack_item map, key, value;

    *flags = 0;
    if (msgpack_next(in, &map) != 0)
        return EMIT_MALFORMED;
    if (map.type != MSGPACK_MAP)
        return msgpack_leave(in, &map) == 0 ? EMIT_OK : EMIT_MALFORMED;
    for (uint32_t i = 0; i < map.len; i++) {
        if (msgpack_next(in, &key) != 0 || msgpack_leave(in, &key) != 0 ||
            msgpack_next(in, &value) != 0 || msgpack_leave(in, &value) != 0)
            return EMIT_MALFORMED;
        if (key.type == MSGPACK_STR && slice_eq(msgpack_slice(&key), SLICE("volatile")))
            *flags = truthy(&value) ? BROADCAST_VOLATILE : 0;
    }
    return EMIT_OK;
}

/* The rest of the payload.  *others is how many in rooms are no names of rooms. */
static enum emit_result read_opts(struct msgpack_reader *in, struct broadcast *bc, size_t *others)
{
    struct rooms rooms = {&bc->once, &bc->rooms, &bc->numbers[0], 0};
    struct rooms except = {&bc->once, &bc->except, &bc->numbers[1], 0};
    enum emit_result result = EMIT_OK;
    struct msgpack_item map;
    struct slice key;

    if (msgpack_next(in, &map) != 0 || map.type != MSGPACK_MAP)
        return EMIT_MALFORMED;
    for (uint32_t i = 0; i < map.len && result == EMIT_OK; i++) {
        if (read_key(in, &key) != 0)
            return EMIT_MALFORMED;
        if (slice_eq(key, SLICE("rooms")))
            result = read_rooms(in, &rooms);
        else if (slice_eq(key, SLICE("except")))
            result = read_rooms(in, &except);
        else if (slice_eq(key, SLICE("flags")))
            result = read_flags(in, &bc->flags);
        else
            result = msgpack_skip(in, 1) == 0 ? EMIT_OK : EMIT_MALFORMED;
    }
    *others = rooms.others;
    return result == EMIT_OK && in->at != in->end ? EMIT_MALFORMED : result;
}

/* ---- channel ---- */

/* Takes prefix off the front of *slice if it is there. */
static int take_prefix(struct slice *slice, struct slice prefix)
{
    if (slice->len < prefix.len || !slice_eq((struct slice){slice->ptr, prefix.len}, prefix))
        return 0;
    slice->ptr += prefix.len;
    slice->len -= prefix.len;
    return 1;
}

/* The room in "key#nsp#room#" (some emitters leave out the last '#'), which may
 * be empty; without bytes (NULL) if there is none, or it is not such a channel. */
static struct slice channel_room(struct slice channel, struct slice key, struct slice nsp)
{
    if (!take_prefix(&channel, key) || !take_prefix(&channel, SLICE("#")) ||
        !take_prefix(&channel, nsp) || !take_prefix(&channel, SLICE("#")) || channel.len == 0)
        return (struct slice){NULL, 0};
    assert(channel.ptr != NULL);
    if (channel.ptr[channel.len - 1] == '#')
        channel.len--;
    return channel;
}

/* Whether a channel with that room in it is that of the room called name. */
static int names_room(struct slice room, struct slice name)
{
    if (name.len > 0 && name.ptr[0] == ROOM_NAME_MARK) { /* a number */
        name.ptr++;
        name.len--;
    }
    return slice_eq(room, name);
}

static int among(const struct slices *rooms, struct slice room)
{
    for (size_t i = 0; i < rooms->n; i++) {
        if (names_room(room, rooms->at[i]))
            return 1;
    }
    return 0;
}

/* Who gets it, if anybody: see EMIT_NOBODY and EMIT_COPY; others as in read_opts().
 * Emitters of the 1.x form publish once a room, and name that room in the channel.
 * One of 0.x form puts them all into one channel, "a#b": that is none of them. */
static enum emit_result judge_rooms(const struct slices *rooms, size_t others,
                                    const struct source *source)
{
    struct slice room;

    if (rooms->n > EMIT_ROOMS_MAX)
        return EMIT_TOO_MANY_ROOMS;
    if (rooms->n == 0)
        return others > 0 ? EMIT_NOBODY : EMIT_OK;
    if (rooms->n + others < 2)
        return EMIT_OK;
    room = channel_room(source->channel, source->key, source->nsp);
    if (room.ptr == NULL || names_room(room, rooms->at[0]))
        return EMIT_OK;
    /* Where some are no names, the channel may name one of those. */
    return others > 0 || among(rooms, room) ? EMIT_COPY : EMIT_OK;
}

/* ---- data ---- */

int emit_event_reserved(struct slice name)
{
    static const struct slice reserved[] = {
        {"connect", 7},        {"connect_error", 13}, {"disconnect", 10},
        {"disconnecting", 13}, {"newListener", 11},   {"removeListener", 14},
    };

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (slice_eq(name, reserved[i]))
            return 1;
    }
    return 0;
}

/* Whether data, an array of n elements of which none has been read, starts with
 * the name of an event (isDataValid() in socket.io-parser 4.2.3 and later). */
static enum emit_result check_event(struct msgpack_reader data, uint32_t n)
{
    struct msgpack_item name;

    if (n == 0)
        return EMIT_NO_EVENT;
    if (msgpack_next(&data, &name) != 0)
        return EMIT_MALFORMED;
    switch (name.type) {
    case MSGPACK_STR:
        return emit_event_reserved(msgpack_slice(&name)) ? EMIT_RESERVED_EVENT : EMIT_OK;
    case MSGPACK_UINT:
    case MSGPACK_INT:
        return EMIT_OK;
    case MSGPACK_FLOAT: /* what is not finite arrives as null */
        return isfinite(name.f) ? EMIT_OK : EMIT_NO_EVENT;
    default:
        return EMIT_NO_EVENT;
    }
}

static enum emit_result convert(struct broadcast *bc, struct msgpack_reader data,
                                const struct emit_limits *limits)
{
    struct msgpack_item array;
    enum emit_result result;

    if (msgpack_next(&data, &array) != 0 || array.type != MSGPACK_ARRAY)
        return EMIT_MALFORMED;
    result = check_event(data, array.len);
    return result == EMIT_OK ? emit_json_put(bc, &data, &array, limits) : result;
}

/* One try.  doubtful: EMIT_MALFORMED is also what has met all of these; 0: nothing. */
static enum emit_result decode_as(const struct msgpack_dialect *dialect, struct broadcast *bc,
                                  const struct source *source, unsigned doubtful)
{
    struct msgpack_reader in = msgpack_read(source->payload, dialect);
    struct envelope envelope;
    enum emit_result result;
    size_t others;

    broadcast_reset(bc);
    result = read_envelope(&in, &envelope);
    if (result == EMIT_OK)
        result = read_opts(&envelope.opts, bc, &others);
    if (result != EMIT_OK)
        return result;
    if (doubtful != 0 && envelope.opts.seen == doubtful)
        return EMIT_MALFORMED;
    /* After the shape: where the dialect is another one, so may be the namespace. */
    if (!slice_eq(envelope.nsp, source->nsp))
        return EMIT_OTHER_NAMESPACE;
    if (bc->except.n > EMIT_ROOMS_MAX)
        return EMIT_TOO_MANY_ROOMS;
    result = judge_rooms(&bc->rooms, others, source);
    return result == EMIT_OK ? convert(bc, envelope.data, source->limits) : result;
}

enum emit_result emit_decode(struct broadcast *bc, struct slice channel, struct slice payload,
                             struct slice key, struct slice nsp, const struct emit_limits *limits)
{
    const struct source source = {channel, payload, key, nsp, limits};
    /* [packet, opts], see emit.h */
    int old = payload.len > 0 && (uint8_t)payload.ptr[0] == 0x92;
    enum emit_result result = EMIT_MALFORMED;

    if (payload.len > limits->message_bytes) {
        broadcast_reset(bc);
        return EMIT_TOO_LARGE;
    }
    if (!old)
        result = decode_as(&msgpack_modern, bc, &source, MSGPACK_SEEN_BOTH);
    if (result == EMIT_MALFORMED)
        result = decode_as(&msgpack_js, bc, &source, 0);
    if (result == EMIT_MALFORMED)
        result = decode_as(&msgpack_modern, bc, &source, 0);
    return result;
}

enum emit_result emit_decode_acked(struct broadcast *bc, struct slice packet, struct slice opts,
                                   struct slice nsp, const struct emit_limits *limits)
{
    struct msgpack_reader in = msgpack_read(packet, &msgpack_modern);
    struct envelope envelope;
    enum emit_result result;
    size_t others;

    broadcast_reset(bc);
    if (read_packet(&in, &envelope, nsp) != 0)
        return EMIT_MALFORMED;
    envelope.opts = msgpack_read(opts, &msgpack_modern);
    result = read_opts(&envelope.opts, bc, &others);
    if (result != EMIT_OK)
        return result;
    if (!slice_eq(envelope.nsp, nsp))
        return EMIT_OTHER_NAMESPACE;
    if (bc->rooms.n > EMIT_ROOMS_MAX || bc->except.n > EMIT_ROOMS_MAX)
        return EMIT_TOO_MANY_ROOMS;
    if (bc->rooms.n == 0 && others > 0 && slices_put(&bc->rooms, ROOM_NAME_NOBODY) != 0)
        return EMIT_NO_MEMORY;
    bc->flags = 0;
    return convert(bc, envelope.data, limits);
}

const char *emit_result_name(enum emit_result result)
{
    static const char *const names[EMIT_RESULTS] = {
        [EMIT_OK] = "ok",
        [EMIT_OTHER_NAMESPACE] = "other_namespace",
        [EMIT_NOT_BROADCAST] = "not_broadcast",
        [EMIT_NOBODY] = "nobody",
        [EMIT_COPY] = "copy",
        [EMIT_MALFORMED] = "malformed",
        [EMIT_TOO_DEEP] = "too_deep",
        [EMIT_TOO_LARGE] = "too_large",
        [EMIT_NO_EVENT] = "no_event",
        [EMIT_RESERVED_EVENT] = "reserved_event",
        [EMIT_ATTACHMENTS] = "attachments",
        [EMIT_TOO_MANY_ROOMS] = "too_many_rooms",
        [EMIT_NO_MEMORY] = "no_memory",
    };

    return (unsigned)result < EMIT_RESULTS ? names[result] : "unknown";
}
