#include "codec/request.h"

#include "base/utf8.h"
#include "codec/json.h"
#include "codec/request_parts.h"

#include <cjson/cJSON.h>
#include <math.h>

#define KEEP_BYTES_MAX 65536

/* Members that mean something. */
enum member { TYPE, NEW_ID, OLD_ID, UID, ROOMS, ROOM, SID, OPTS, CLOSE, PACKET, MEMBERS };

static const char *const keys[MEMBERS] = {
    [TYPE] = "type",   [NEW_ID] = "requestId", [OLD_ID] = "requestid", [UID] = "uid",
    [ROOMS] = "rooms", [ROOM] = "room",        [SID] = "sid",          [OPTS] = "opts",
    [CLOSE] = "close", [PACKET] = "packet",
};

static const enum request_type types[] = {
    REQUEST_SOCKETS, REQUEST_ALL_ROOMS,        REQUEST_JOIN,      REQUEST_LEAVE, REQUEST_DISCONNECT,
    REQUEST_FETCH,   REQUEST_SERVER_SIDE_EMIT, REQUEST_BROADCAST,
};

static const enum request_type old_types[] = {
    REQUEST_SOCKETS, REQUEST_CLIENT_ROOMS, REQUEST_ALL_ROOMS,  REQUEST_JOIN,
    REQUEST_LEAVE,   REQUEST_CUSTOM,       REQUEST_DISCONNECT,
};

/* As in JavaScript, where 2 and 2.0 are one and "2" is another. */
static enum request_type type_of(struct request *request, struct slice text)
{
    const enum request_type *list = request->is_old ? old_types : types;
    size_t n = request->is_old ? sizeof(old_types) / sizeof(*list) : sizeof(types) / sizeof(*list);
    double value = request_number(text, &request->starved);

    return value >= 0 && value < (double)n && floor(value) == value ? list[(size_t)value]
                                                                    : REQUEST_TYPES;
}

/* As in JavaScript, of a value that may be missing. */
static int truthy(struct request *request, struct slice text)
{
    if (text.len == 0 || strchr("tfn\"{[", text.ptr[0]) == NULL)
        return text.len > 0 && request_number(text, &request->starved) != 0;
    return text.ptr[0] != 'f' && text.ptr[0] != 'n' && !slice_eq(text, SLICE("\"\""));
}

/* Whoever sent it waits for an answer in any case. */
static int needs_id(enum request_type type)
{
    return type == REQUEST_SOCKETS || type == REQUEST_ALL_ROOMS || type == REQUEST_CLIENT_ROOMS ||
           type == REQUEST_FETCH || type == REQUEST_CUSTOM || type == REQUEST_BROADCAST;
}

static enum request_result read_head(struct request *request, const struct slice *values)
{
    enum request_result result = REQUEST_OK;
    struct slice id = values[NEW_ID];
    const cJSON *tree;

    request->is_old = values[NEW_ID].len == 0 && values[OLD_ID].len > 0;
    if (request->is_old)
        id = values[OLD_ID];
    if (id.len > 0 && id.len <= REQUEST_ID_MAX && strchr("tfn{[", id.ptr[0]) == NULL)
        request->id = id;
    request->type = type_of(request, values[TYPE]);
    if (values[UID].len > 0 && values[UID].len <= REQUEST_ID_MAX && values[UID].ptr[0] == '"') {
        tree = request_tree(request, values[UID], &result);
        if (tree == NULL)
            return result;
        if (!request_string(tree, &request->uid))
            request->uid = (struct slice){NULL, 0};
    }
    if (request->type == REQUEST_TYPES)
        return REQUEST_UNKNOWN;
    /* One that is not to be answered has no id; one that cannot be has to do without. */
    if (request->id.len == 0 && (needs_id(request->type) || id.len > 0))
        return REQUEST_MALFORMED;
    return REQUEST_OK;
}

/* The lists that are read. */
static struct request_rooms list_of(struct request *request, int number)
{
    struct slices *lists[] = {&request->rooms, &request->except, &request->names};

    return (struct request_rooms){&request->once, lists[number], &request->numbers[number], 0};
}

static enum request_result read_opts(struct request *request, struct slice opts)
{
    struct request_rooms rooms = list_of(request, 0), except = list_of(request, 1);
    struct slice flags;

    return request_opts(request, opts, &rooms, &except, &flags);
}

static enum request_result read_sid(struct request *request, struct slice sid)
{
    enum request_result result;
    const cJSON *tree;
    struct slice id;

    request->by_id = 1;
    if (sid.len == 0)
        return REQUEST_MALFORMED;
    tree = request_tree(request, sid, &result);
    if (tree == NULL)
        return result;
    if (!request_string(tree, &id) || id.len == 0)
        return REQUEST_MALFORMED;
    return slices_put(&request->rooms, id) == 0 ? REQUEST_OK : REQUEST_NO_MEMORY;
}

/* JOIN, LEAVE or DISCONNECT. */
static enum request_result read_action(struct request *request, const struct slice *values)
{
    struct request_rooms names = list_of(request, 2);
    int bulk = !request->is_old && truthy(request, values[OPTS]);
    enum request_result result;

    if (bulk) {
        request->id = (struct slice){NULL, 0}; /* a server sends no answer to such, either */
        result = read_opts(request, values[OPTS]);
    } else {
        result = read_sid(request, values[SID]);
    }
    if (request->type == REQUEST_DISCONNECT)
        request->close = truthy(request, values[CLOSE]);
    else if (result == REQUEST_OK)
        result = request_rooms(request, values[bulk ? ROOMS : ROOM], &names, REQUEST_LIST_NAMES);
    return result;
}

static enum request_result read_rest(struct request *request, const struct slice *values,
                                     struct slice nsp)
{
    struct request_rooms rooms = list_of(request, 0);

    switch (request->type) {
    case REQUEST_SOCKETS:
        return request_rooms(request, values[ROOMS], &rooms, REQUEST_LIST_ROOMS);
    case REQUEST_CLIENT_ROOMS:
        return read_sid(request, values[SID]);
    case REQUEST_JOIN:
    case REQUEST_LEAVE:
    case REQUEST_DISCONNECT:
        return read_action(request, values);
    case REQUEST_FETCH:
        return read_opts(request, values[OPTS]);
    case REQUEST_BROADCAST:
        return request_emit_json(request, values[PACKET], values[OPTS], nsp);
    case REQUEST_ALL_ROOMS:
    case REQUEST_SERVER_SIDE_EMIT:
    case REQUEST_CUSTOM:
    case REQUEST_TYPES:
        break;
    }
    return REQUEST_OK;
}

/* The payload as JSON text that is valid to its end. */
static enum request_result take_text(struct request *request, struct slice *payload,
                                     const struct emit_limits *limits)
{
    long span = json_span(payload->ptr, payload->len);

    if (span < 0 && !utf8_valid(payload->ptr, payload->len)) {
        if (json_put_ascii(&request->text, *payload) != 0)
            return REQUEST_NO_MEMORY;
        *payload = (struct slice){(const char *)request->text.data, request->text.len};
        if (payload->len > limits->message_bytes)
            return REQUEST_TOO_LARGE;
        span = json_span(payload->ptr, payload->len);
    }
    if (span < 0)
        return REQUEST_MALFORMED;
    for (size_t i = (size_t)span; i < payload->len; i++) {
        if (strchr(" \t\r\n", payload->ptr[i]) == NULL || payload->ptr[i] == '\0')
            return REQUEST_MALFORMED;
    }
    payload->len = (size_t)span;
    return REQUEST_OK;
}

/* A huge one must not leave its size behind for good. */
static void empty(struct buf *buf)
{
    if (buf->cap > KEEP_BYTES_MAX)
        buf_free(buf);
    else
        buf_reset(buf);
}

/* Empties it, keeping most of the memory. */
static void reset(struct request *request)
{
    for (size_t i = 0; i < request->ntrees; i++)
        cJSON_Delete(request->trees[i]);
    request->ntrees = request->nvalues = 0;
    request->starved = 0;
    request->type = REQUEST_TYPES;
    request->id = request->uid = (struct slice){NULL, 0};
    request->is_old = request->by_id = request->close = 0;
    request->timeout_ms = 0;
    request->rooms.n = request->except.n = request->names.n = 0;
    broadcast_reset(&request->bc);
    empty(&request->text);
    empty(&request->words);
    empty(&request->clean);
    empty(&request->bc.json);
}

enum request_result request_decode(struct request *request, struct slice payload, struct slice nsp,
                                   const struct emit_limits *limits)
{
    struct slice values[MEMBERS];
    enum request_result result;

    reset(request);
    if (payload.len > limits->message_bytes)
        return REQUEST_TOO_LARGE;
    if (payload.len == 0 || payload.ptr[0] != '{')
        return request_emit(request, payload, nsp, limits);
    result = take_text(request, &payload, limits);
    if (result != REQUEST_OK)
        return result;
    request_members(payload, keys, values, MEMBERS);
    result = read_head(request, values);
    if (result == REQUEST_OK)
        result = read_rest(request, values, nsp);
    if (request->starved)
        result = REQUEST_NO_MEMORY;
    if (result != REQUEST_OK && request->by_id)
        request->id = (struct slice){NULL, 0};
    return result;
}

void request_clear(struct request *request)
{
    reset(request);
    slices_clear(&request->rooms);
    slices_clear(&request->except);
    slices_clear(&request->names);
    broadcast_clear(&request->bc);
    buf_free(&request->text);
    buf_free(&request->words);
    buf_free(&request->clean);
    for (size_t i = 0; i < sizeof(request->numbers) / sizeof(*request->numbers); i++)
        buf_free(&request->numbers[i]);
    once_clear(&request->once);
}

const char *request_type_name(enum request_type type)
{
    static const char *const names[REQUEST_TYPES] = {
        [REQUEST_SOCKETS] = "sockets",
        [REQUEST_ALL_ROOMS] = "all_rooms",
        [REQUEST_CLIENT_ROOMS] = "client_rooms",
        [REQUEST_JOIN] = "join",
        [REQUEST_LEAVE] = "leave",
        [REQUEST_DISCONNECT] = "disconnect",
        [REQUEST_FETCH] = "fetch",
        [REQUEST_SERVER_SIDE_EMIT] = "server_side_emit",
        [REQUEST_CUSTOM] = "custom",
        [REQUEST_BROADCAST] = "broadcast",
    };

    return (size_t)type < REQUEST_TYPES ? names[type] : "unknown";
}

const char *request_result_name(enum request_result result)
{
    static const char *const names[REQUEST_RESULTS] = {
        [REQUEST_OK] = "ok",
        [REQUEST_UNKNOWN] = "unknown",
        [REQUEST_MALFORMED] = "malformed",
        [REQUEST_TOO_LARGE] = "too_large",
        [REQUEST_OTHER_NAMESPACE] = "other_namespace",
        [REQUEST_BAD_EVENT] = "bad_event",
        [REQUEST_NO_MEMORY] = "no_memory",
    };

    return (size_t)result < REQUEST_RESULTS ? names[result] : "?";
}
