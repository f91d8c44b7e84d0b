#include "codec/emit_call.h"

#include "base/log.h"
#include "codec/broadcast.h"
#include "codec/emit.h"
#include "codec/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

#define SHOWN_MAX 60 /* bytes of what is told of a name that is not known */

enum member { TO, EXCEPT, EVENT, ARGS, VOLATILE, ACK, MEMBERS };

static const char *const names[MEMBERS] = {"to", "except", "event", "args", "volatile", "ack"};

static int fault(struct buf *error, const char *text)
{
    return buf_puts(error, text) < 0 ? -2 : -1;
}

static int fault_of(struct buf *error, enum member member, const char *text)
{
    return buf_printf(error, "%s: %s", names[member], text) < 0 ? -2 : -1;
}

/* --- its members -------------------------------------------------------------- */

static enum member member_of(struct slice key)
{
    int i = 0;

    while (i < MEMBERS && !json_key_is(key, names[i]))
        i++;
    return (enum member)i;
}

static int unknown(struct buf *error, struct slice key)
{
    char text[SHOWN_MAX];

    log_escape(text, sizeof(text), key.ptr + 1, key.len - 2);
    return buf_printf(error,
                      "%s: there is no such member, only to, except, event, args, volatile and ack",
                      text) < 0
               ? -2
               : -1;
}

/* The text of each of them, or nothing. */
static int take_members(struct slice text, struct slice values[MEMBERS], struct buf *error)
{
    struct json_walk walk = json_walk(text);
    struct slice key, value;

    while (json_walk_member(&walk, &key, &value)) {
        enum member member = member_of(key);

        if (member == MEMBERS)
            return unknown(error, key);
        if (values[member].ptr != NULL)
            return fault_of(error, member, "it is there twice");
        values[member] = value;
    }
    return 0;
}

/* --- texts -------------------------------------------------------------------- */

/* Appends what the string text, with its quotes, means.  Returns 0, -1 (nothing is told), or -2. */
static int put_string(struct buf *out, struct slice text)
{
    cJSON *tree = json_tree(text);
    int rc = tree != NULL || errno != ENOMEM ? -1 : -2;

    if (tree != NULL && cJSON_IsString(tree))
        rc = buf_puts(out, tree->valuestring) < 0 ? -2 : 0;
    cJSON_Delete(tree);
    return rc;
}

/* One of the rooms of member; *name is then in out, which does not move. */
static int take_room(struct slices *list, struct buf *out, struct slice text, enum member member,
                     struct buf *error)
{
    size_t at = out->len;
    int rc;

    if (text.ptr[0] != '"')
        return fault_of(error, member, "wanted the names of rooms, as texts");
    rc = put_string(out, text);
    if (rc == -1)
        return fault_of(error, member, "a name has half a surrogate pair or a NUL in it");
    if (rc == 0 && out->len == at)
        return fault_of(error, member, "the name of a room is empty");
    if (rc == 0 && list->n == EMIT_ROOMS_MAX)
        return buf_printf(error, "%s: more than %d rooms", names[member], EMIT_ROOMS_MAX) < 0 ? -2
                                                                                              : -1;
    if (rc == 0)
        rc = slices_put(list, (struct slice){(const char *)out->data + at, out->len - at}) < 0 ? -2
                                                                                               : 0;
    return rc;
}

static int take_rooms(struct slices *list, struct buf *out, struct slice text, enum member member,
                      struct buf *error)
{
    struct json_walk walk;
    struct slice one;
    int rc = 0;

    if (text.ptr == NULL)
        return 0;
    if (buf_reserve(out, text.len + 1) == NULL) /* no name is longer than its text */
        return -2;
    if (text.ptr[0] != '[')
        return take_room(list, out, text, member, error);
    walk = json_walk(text);
    while (rc == 0 && json_walk_element(&walk, &one))
        rc = take_room(list, out, one, member, error);
    if (rc == 0 && list->n == 0 && member == TO)
        return fault_of(error, TO, "the list is empty: leave it out if all clients are meant");
    return rc;
}

static int take_event(struct emit_call *call, struct slice text, struct buf *error)
{
    int rc;

    if (text.ptr == NULL)
        return fault_of(error, EVENT, "it is wanted: the name of the event");
    if (text.ptr[0] != '"')
        return fault_of(error, EVENT, "wanted a text");
    rc = put_string(&call->event, text);
    if (rc == -1)
        return fault_of(error, EVENT, "it has half a surrogate pair or a NUL in it");
    if (rc == 0 &&
        emit_event_reserved((struct slice){(const char *)call->event.data, call->event.len}))
        return fault_of(error, EVENT, "it is reserved: clients would disconnect");
    return rc;
}

/* --- the rest ----------------------------------------------------------------- */

/* 1 if there is nothing in the list text, which may be long. */
static int is_empty(struct slice text)
{
    size_t i = 1;

    while (text.ptr[i] == ' ' || text.ptr[i] == '\t' || text.ptr[i] == '\n' || text.ptr[i] == '\r')
        i++;
    return text.ptr[i] == ']';
}

static int put_data(struct emit_call *call, struct slice event, struct slice args,
                    struct buf *error)
{
    if (args.ptr != NULL && args.ptr[0] != '[')
        return fault_of(error, ARGS, "wanted a list");
    buf_putc(&call->json, '[');
    buf_put(&call->json, event.ptr, event.len);
    if (args.ptr != NULL && !is_empty(args)) {
        buf_putc(&call->json, ',');
        buf_put(&call->json, args.ptr + 1, args.len - 2);
    }
    return buf_putc(&call->json, ']') < 0 ? -2 : 0;
}

static int take_volatile(struct emit_call *call, struct slice text, struct buf *error)
{
    if (slice_eq(text, SLICE("true")))
        call->flags |= BROADCAST_VOLATILE;
    else if (text.ptr != NULL && !slice_eq(text, SLICE("false")))
        return fault_of(error, VOLATILE, "wanted true or false");
    return 0;
}

static int take_ack(struct emit_call *call, struct slice text, struct buf *error)
{
    uint32_t ms = 0;

    for (size_t i = 0; i < text.len; i++) {
        ms = text.ptr[i] >= '0' && text.ptr[i] <= '9' ? ms * 10 + (uint32_t)(text.ptr[i] - '0')
                                                      : EMIT_CALL_ACK_MAX + 1;
        if (ms > EMIT_CALL_ACK_MAX)
            return buf_printf(error, "ack: wanted milliseconds, from 0 to %d", EMIT_CALL_ACK_MAX) <
                           0
                       ? -2
                       : -1;
    }
    call->ack_ms = ms;
    return 0;
}

/* What JSON ends in. */
static int is_space(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr(" \t\r\n", text.ptr[i]) == NULL || text.ptr[i] == '\0')
            return 0;
    return 1;
}

/* Takes the white space around the one object that text is.  Returns 0, -1 or -2. */
static int take_object(struct slice *text, struct buf *error)
{
    size_t bad = 0;
    long span = json_span_at(text->ptr, text->len, &bad);

    if (span >= 0 && !is_space((struct slice){text->ptr + span, text->len - (size_t)span})) {
        bad = (size_t)span;
        span = -1;
    }
    if (span < 0)
        return buf_printf(error, "the body is not JSON, from byte %zu on", bad + 1) < 0 ? -2 : -1;
    text->len = (size_t)span;
    while (is_space((struct slice){text->ptr, 1})) {
        text->ptr++;
        text->len--;
    }
    return text->ptr[0] == '{' ? 0 : fault(error, "the body is no object");
}

int emit_call_decode(struct emit_call *call, struct slice text, struct buf *error)
{
    struct slice values[MEMBERS] = {{0}};
    int rc;

    if (text.len == 0)
        return fault(error, "there is no body: wanted an object with the event");
    rc = take_object(&text, error);
    if (rc == 0)
        rc = take_members(text, values, error);
    if (rc == 0)
        rc = take_event(call, values[EVENT], error);
    if (rc == 0)
        rc = take_rooms(&call->rooms, &call->names[0], values[TO], TO, error);
    if (rc == 0)
        rc = take_rooms(&call->except, &call->names[1], values[EXCEPT], EXCEPT, error);
    if (rc == 0)
        rc = take_volatile(call, values[VOLATILE], error);
    if (rc == 0)
        rc = take_ack(call, values[ACK], error);
    return rc == 0 ? put_data(call, values[EVENT], values[ARGS], error) : rc;
}

void emit_call_clear(struct emit_call *call)
{
    slices_clear(&call->rooms);
    slices_clear(&call->except);
    buf_free(&call->event);
    buf_free(&call->json);
    for (int i = 0; i < 2; i++)
        buf_free(&call->names[i]);
}
