#include "codec/emit_json.h"

#include "codec/json.h"

#include <math.h>

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
    return slices_put(list, msgpack_slice(item)) == 0 ? EMIT_OK : EMIT_NO_MEMORY;
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
    struct msgpack_reader held = msgpack_read(msgpack_slice(error), w->in.dialect);
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
    return slice_eq(msgpack_slice(key), SLICE("__proto__")) ||
           (level->error && slice_eq(msgpack_slice(key), SLICE("stack")));
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

enum emit_result emit_json_put(struct broadcast *bc, const struct msgpack_reader *in,
                               const struct msgpack_item *array, const struct emit_limits *limits)
{
    struct writer w;

    w.in = *in;
    w.bc = bc;
    w.limits = limits;
    w.depth = 0; /* levels need no initial value */
    return put_data(&w, array);
}
