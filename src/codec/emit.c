#include "codec/emit.h"

#include "base/utf8.h"
#include "codec/json.h"
#include "codec/msgpack.h"
#include "codec/pack.h"

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

static struct slice item_slice(const struct msgpack_item *item)
{
    return (struct slice){item->bytes, item->len};
}

/* Reads a key of packet or opts: a string, or the whole is not of our shape.
 * This is what most payloads of another dialect fail at. */
static int read_key(struct msgpack_reader *in, struct slice *key)
{
    struct msgpack_item item;

    if (msgpack_next(in, &item) != 0 || item.type != MSGPACK_STR)
        return -1;
    *key = item_slice(&item);
    return 0;
}

static int read_nsp(struct msgpack_reader *in, struct slice *nsp)
{
    struct msgpack_item item;

    if (msgpack_next(in, &item) != 0)
        return -1;
    if (item.type == MSGPACK_STR)
        *nsp = item_slice(&item);
    else if (item.type == MSGPACK_UNDEFINED)
        *nsp = SLICE("/");
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
 * namespace should cost no more than that. */
static int read_packet(struct msgpack_reader *in, struct envelope *envelope)
{
    struct msgpack_item map;
    struct slice key;
    int rc;

    *envelope = (struct envelope){.nsp = SLICE("/")};
    if (msgpack_next(in, &map) != 0 || map.type != MSGPACK_MAP)
        return -1;
    for (uint32_t i = 0; i < map.len; i++) {
        if (read_key(in, &key) != 0)
            return -1;
        if (slice_eq(key, SLICE("nsp"))) {
            rc = read_nsp(in, &envelope->nsp);
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
    if (packet.at == NULL || opts.at == NULL || read_packet(&packet, envelope) != 0)
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
            rc = read_nsp(in, &nsp);
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
    if (read_packet(in, envelope) != 0)
        return EMIT_MALFORMED;
    envelope->opts = *in;
    return EMIT_OK;
}

/* ---- opts ---- */

/* Adds to list what can be the name of a room; *total counts all elements. */
static enum emit_result read_rooms(struct msgpack_reader *in, struct slices *list, size_t *total)
{
    struct msgpack_item array, item;

    list->n = 0;
    *total = 0;
    if (msgpack_next(in, &array) != 0)
        return EMIT_MALFORMED;
    if (array.type == MSGPACK_NIL || array.type == MSGPACK_UNDEFINED ||
        ((array.type == MSGPACK_STR || array.type == MSGPACK_MAP) && array.len == 0))
        return EMIT_OK;
    if (array.type != MSGPACK_ARRAY)
        return EMIT_MALFORMED;
    for (*total = 0; *total < array.len; ++*total) {
        if (msgpack_next(in, &item) != 0 || msgpack_leave(in, &item) != 0)
            return EMIT_MALFORMED;
        if (item.type == MSGPACK_STR && utf8_valid(item.bytes, item.len) &&
            slices_put(list, item_slice(&item)) != 0)
            return EMIT_NO_MEMORY;
    }
    return EMIT_OK;
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
        if (key.type == MSGPACK_STR && slice_eq(item_slice(&key), SLICE("volatile")))
            *flags = truthy(&value) ? BROADCAST_VOLATILE : 0;
    }
    return EMIT_OK;
}

/* The rest of the payload.  *rooms is how many were named, whatever they are. */
static enum emit_result read_opts(struct msgpack_reader *in, struct broadcast *bc, size_t *rooms)
{
    enum emit_result result = EMIT_OK;
    struct msgpack_item map;
    struct slice key;
    size_t excepted;

    *rooms = 0;
    if (msgpack_next(in, &map) != 0 || map.type != MSGPACK_MAP)
        return EMIT_MALFORMED;
    for (uint32_t i = 0; i < map.len && result == EMIT_OK; i++) {
        if (read_key(in, &key) != 0)
            return EMIT_MALFORMED;
        if (slice_eq(key, SLICE("rooms")))
            result = read_rooms(in, &bc->rooms, rooms);
        else if (slice_eq(key, SLICE("except")))
            result = read_rooms(in, &bc->except, &excepted);
        else if (slice_eq(key, SLICE("flags")))
            result = read_flags(in, &bc->flags);
        else
            result = msgpack_skip(in, 1) == 0 ? EMIT_OK : EMIT_MALFORMED;
    }
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
    if (channel.ptr[channel.len - 1] == '#')
        channel.len--;
    return channel;
}

static int among(const struct slices *rooms, struct slice room)
{
    for (size_t i = 0; i < rooms->n; i++) {
        if (slice_eq(rooms->at[i], room))
            return 1;
    }
    return 0;
}

/* Who gets it, if anybody: see EMIT_NOBODY and EMIT_COPY.  Emitters of the 1.x
 * form publish once a room, and name that room in the channel.  One of 0.x form
 * puts them all into one channel, "a#b": that is none of them. */
static enum emit_result judge_rooms(const struct slices *rooms, size_t named,
                                    const struct source *source)
{
    struct slice room;

    if (named > 0 && rooms->n == 0)
        return EMIT_NOBODY;
    if (named < 2)
        return EMIT_OK;
    room = channel_room(source->channel, source->key, source->nsp);
    if (room.ptr == NULL || slice_eq(room, rooms->at[0]))
        return EMIT_OK;
    /* Where some are no strings, the channel may name one of those. */
    return named > rooms->n || among(rooms, room) ? EMIT_COPY : EMIT_OK;
}

/* ---- data ---- */

/* An array or map that is being written. */
struct level {
    uint32_t left; /* elements or pairs to come */
    char close;    /* its bracket */
    char comma;    /* something was written */
    char error;    /* an Error's properties */
};

struct writer {
    struct msgpack_reader in;
    struct broadcast *bc;
    const struct emit_limits *limits;
    unsigned depth;
    struct level levels[EMIT_DEPTH_MAX];
};

static inline enum emit_result enter(struct writer *w, const struct msgpack_item *item)
{
    int map = item->type == MSGPACK_MAP;

    if (w->depth == EMIT_DEPTH_MAX)
        return EMIT_TOO_DEEP;
    w->levels[w->depth++] = (struct level){item->len, map ? '}' : ']', 0, 0};
    buf_putc(&w->bc->json, map ? '{' : '[');
    return EMIT_OK;
}

static enum emit_result put_attachment(struct writer *w, const struct msgpack_item *item)
{
    static const char open[] = "{\"_placeholder\":true,\"num\":";
    struct slices *list = &w->bc->attachments;
    struct buf *json = &w->bc->json;

    if (list->n >= w->limits->attachments || list->n >= BROADCAST_ATTACHMENTS_MAX)
        return EMIT_ATTACHMENTS;
    buf_put(json, open, sizeof(open) - 1);
    json_put_uint64(json, list->n);
    buf_putc(json, '}');
    return slices_put(list, item_slice(item)) == 0 ? EMIT_OK : EMIT_NO_MEMORY;
}

static enum emit_result put_ext(struct writer *w, const struct msgpack_item *item)
{
    enum emit_result result;

    buf_putc(&w->bc->json, '[');
    json_put_int64(&w->bc->json, item->ext);
    buf_putc(&w->bc->json, ',');
    result = put_attachment(w, item);
    buf_putc(&w->bc->json, ']');
    return result;
}

static void put_number(struct buf *json, const struct msgpack_item *item)
{
    if (item->type == MSGPACK_UINT)
        json_put_uint64(json, item->u);
    else if (item->type == MSGPACK_INT)
        json_put_int64(json, item->i);
    else
        json_put_double(json, item->f);
}

/* {"0":1,"1":2}: a byte becomes a dozen, so the limit is watched on the way. */
static enum emit_result put_vector(struct writer *w, const struct msgpack_item *vector)
{
    struct buf *json = &w->bc->json;

    buf_putc(json, '{');
    for (uint32_t i = 0; i < vector->len; i++) {
        struct msgpack_item number = msgpack_vector_at(vector, i);

        buf_puts(json, i > 0 ? ",\"" : "\"");
        json_put_uint64(json, i);
        buf_puts(json, "\":");
        put_number(json, &number);
        if (json->len >= w->limits->message_bytes)
            return EMIT_TOO_LARGE;
    }
    buf_putc(json, '}');
    return EMIT_OK;
}

/* Enters the map that an Error holds, which is part of the input like any other. */
static enum emit_result enter_error(struct writer *w, const struct msgpack_item *error)
{
    struct msgpack_reader held = msgpack_read(item_slice(error), w->in.dialect);
    struct msgpack_item map;
    enum emit_result result;

    if (msgpack_skip(&held, 1) != 0 || held.at != held.end)
        return EMIT_MALFORMED;
    w->in.at = (const uint8_t *)error->bytes;
    if (msgpack_next(&w->in, &map) != 0 || map.type != MSGPACK_MAP)
        return EMIT_MALFORMED;
    result = enter(w, &map);
    if (result == EMIT_OK)
        w->levels[w->depth - 1].error = 1;
    return result;
}

/* What extension types mean.  Apart, for it made put_value() slower for all. */
static __attribute__((noinline)) enum emit_result put_extension(struct writer *w,
                                                                const struct msgpack_item *item)
{
    switch (item->type) {
    case MSGPACK_DATE:
        json_put_date(&w->bc->json, item->f);
        return EMIT_OK;
    case MSGPACK_VECTOR:
        return put_vector(w, item);
    case MSGPACK_ERROR:
        return enter_error(w, item);
    default:
        return put_ext(w, item);
    }
}

/* Writes the value that item is; of an array or map the opening bracket. */
static enum emit_result put_value(struct writer *w, const struct msgpack_item *item)
{
    struct buf *json = &w->bc->json;

    switch (item->type) {
    case MSGPACK_BOOL:
        buf_puts(json, item->u ? "true" : "false");
        break;
    case MSGPACK_UINT:
        json_put_uint64(json, item->u);
        break;
    case MSGPACK_INT:
        json_put_int64(json, item->i);
        break;
    case MSGPACK_FLOAT:
        json_put_double(json, item->f);
        break;
    case MSGPACK_STR:
        json_put_string_lossy(json, item->bytes, item->len);
        break;
    case MSGPACK_BIN:
        return put_attachment(w, item);
    case MSGPACK_ARRAY:
    case MSGPACK_MAP:
        return enter(w, item);
    case MSGPACK_NIL:
    case MSGPACK_UNDEFINED: /* where it is an element */
        buf_put(json, "null", 4);
        break;
    default:
        return put_extension(w, item);
    }
    return EMIT_OK;
}

/* A key that is no string, as String() makes one of it. */
static enum emit_result put_odd_key(struct buf *json, const struct msgpack_item *key)
{
    buf_putc(json, '"');
    if (key->type == MSGPACK_NIL)
        buf_puts(json, "null");
    else if (key->type == MSGPACK_UNDEFINED)
        buf_puts(json, "undefined");
    else if (key->type == MSGPACK_BOOL)
        buf_puts(json, key->u ? "true" : "false");
    else if (key->type == MSGPACK_UINT)
        json_put_uint64(json, key->u);
    else if (key->type == MSGPACK_INT)
        json_put_int64(json, key->i);
    else if (key->type == MSGPACK_FLOAT && isfinite(key->f))
        json_put_double(json, key->f);
    else if (key->type == MSGPACK_FLOAT)
        buf_puts(json, isnan(key->f) ? "NaN" : key->f > 0 ? "Infinity" : "-Infinity");
    else
        return EMIT_MALFORMED;
    buf_putc(json, '"');
    return EMIT_OK;
}

static void put_comma(struct buf *json, struct level *level)
{
    if (level->comma)
        buf_putc(json, ',');
    level->comma = 1;
}

/* 1 for what JSON.stringify does not show of an object that has such a key: an
 * assignment to __proto__ makes no property of it, and the stack of an Error is
 * not enumerable. */
static int hidden(const struct level *level, const struct msgpack_item *key)
{
    return slice_eq(item_slice(key), SLICE("__proto__")) ||
           (level->error && slice_eq(item_slice(key), SLICE("stack")));
}

/* The next pair of the map at hand. */
static enum emit_result put_member(struct writer *w, struct level *level)
{
    enum emit_result result = EMIT_OK;
    struct buf *json = &w->bc->json;
    struct msgpack_item key, value;
    int text;

    if (msgpack_next(&w->in, &key) != 0)
        return EMIT_MALFORMED;
    if (key.type == MSGPACK_ARRAY || key.type == MSGPACK_MAP)
        return EMIT_MALFORMED;
    if (msgpack_next(&w->in, &value) != 0)
        return EMIT_MALFORMED;
    text = key.type == MSGPACK_STR || key.type == MSGPACK_BIN;
    if (value.type == MSGPACK_UNDEFINED || (text && hidden(level, &key)))
        return msgpack_leave(&w->in, &value) == 0 ? EMIT_OK : EMIT_MALFORMED;
    put_comma(json, level);
    if (text)
        json_put_string_lossy(json, key.bytes, key.len);
    else
        result = put_odd_key(json, &key);
    buf_putc(json, ':');
    return result == EMIT_OK ? put_value(w, &value) : result;
}

static enum emit_result put_element(struct writer *w, struct level *level)
{
    struct msgpack_item value;

    if (msgpack_next(&w->in, &value) != 0)
        return EMIT_MALFORMED;
    put_comma(&w->bc->json, level);
    return put_value(w, &value);
}

/* Writes the array whose head has been read, without its closing bracket. */
static enum emit_result put_data(struct writer *w, const struct msgpack_item *array)
{
    enum emit_result result = enter(w, array);
    struct buf *json = &w->bc->json;
    struct level *level;

    while (result == EMIT_OK && w->depth > 0) {
        level = &w->levels[w->depth - 1];
        if (level->left > 0) {
            level->left--;
            result = level->close == '}' ? put_member(w, level) : put_element(w, level);
        } else if (--w->depth > 0) {
            buf_putc(json, (uint8_t)level->close);
        }
        if (result == EMIT_OK && json->len >= w->limits->message_bytes)
            result = EMIT_TOO_LARGE; /* at the limit: a bracket is still to come */
    }
    return result == EMIT_OK && json->failed ? EMIT_NO_MEMORY : result;
}

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
        return emit_event_reserved(item_slice(&name)) ? EMIT_RESERVED_EVENT : EMIT_OK;
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
    struct writer w;

    if (msgpack_next(&data, &array) != 0 || array.type != MSGPACK_ARRAY)
        return EMIT_MALFORMED;
    result = check_event(data, array.len);
    if (result != EMIT_OK)
        return result;
    w.in = data;
    w.bc = bc;
    w.limits = limits;
    w.depth = 0; /* levels need no initial value */
    return put_data(&w, &array);
}

/* One try.  doubtful: EMIT_MALFORMED is also what has met all of these; 0: nothing. */
static enum emit_result decode_as(const struct msgpack_dialect *dialect, struct broadcast *bc,
                                  const struct source *source, unsigned doubtful)
{
    struct msgpack_reader in = msgpack_read(source->payload, dialect);
    struct envelope envelope;
    enum emit_result result;
    size_t named;

    broadcast_reset(bc);
    result = read_envelope(&in, &envelope);
    if (result == EMIT_OK)
        result = read_opts(&envelope.opts, bc, &named);
    if (result != EMIT_OK)
        return result;
    if (doubtful != 0 && envelope.opts.seen == doubtful)
        return EMIT_MALFORMED;
    /* After the shape: where the dialect is another one, so may be the namespace. */
    if (!slice_eq(envelope.nsp, source->nsp))
        return EMIT_OTHER_NAMESPACE;
    result = judge_rooms(&bc->rooms, named, source);
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
        [EMIT_NO_MEMORY] = "no_memory",
    };

    return (unsigned)result < EMIT_RESULTS ? names[result] : "unknown";
}

/* ---- encoding ---- */

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
