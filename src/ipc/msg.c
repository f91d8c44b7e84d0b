#include "ipc/msg.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_BYTES 4        /* in front of each message, "bytes" and "list" */
#define MARK_NONE    SIZE_MAX /* the buffer had failed before msg_begin */

const char *msg_name(unsigned type)
{
    /* Without a default, so that the compiler names a type that is left out. */
    switch ((enum msg_type)type) {
    case MSG_HELLO:
        return "hello";
    case MSG_BROADCAST:
        return "broadcast";
    case MSG_ADMITTED:
        return "admitted";
    case MSG_LOG_LEVEL:
        return "log_level";
    case MSG_LOG_REOPEN:
        return "log_reopen";
    case MSG_DRAIN:
        return "drain";
    case MSG_SETTINGS:
        return "settings";
    case MSG_COUNT:
        return "count";
    case MSG_KICK:
        return "kick";
    case MSG_JOIN:
        return "join";
    case MSG_LEAVE:
        return "leave";
    case MSG_DISCONNECT:
        return "disconnect";
    case MSG_FETCH:
        return "fetch";
    case MSG_EMIT:
        return "emit";
    case MSG_NOTED:
        return "noted";
    case MSG_OFFSET:
        return "offset";
    case MSG_TICKETS:
        return "tickets";
    case MSG_WORKER_HELLO:
        return "worker_hello";
    case MSG_READY:
        return "ready";
    case MSG_ADMIT:
        return "admit";
    case MSG_LEFT:
        return "left";
    case MSG_COUNTERS:
        return "counters";
    case MSG_ROOMS:
        return "rooms";
    case MSG_ACTED:
        return "acted";
    case MSG_FETCHED:
        return "fetched";
    case MSG_REACHED:
        return "reached";
    case MSG_ACK:
        return "ack";
    case MSG_SOURCES:
        return "sources";
    }
    return "unknown";
}

int msg_is_secret(const void *data, size_t len)
{
    int type = len > LENGTH_BYTES ? ((const uint8_t *)data)[LENGTH_BYTES] : -1;

    return type == MSG_SETTINGS || type == MSG_TICKETS;
}

/* --- writing ---------------------------------------------------------------- */

size_t msg_begin(struct buf *out, enum msg_type type)
{
    size_t mark = out->failed ? MARK_NONE : out->len;

    msg_put_u32(out, 0); /* the length, which msg_end() knows */
    msg_put_u8(out, (uint8_t)type);
    return mark;
}

void msg_put_u8(struct buf *out, uint8_t value)
{
    buf_putc(out, value);
}

void msg_put_u32(struct buf *out, uint32_t value)
{
    value = htole32(value);
    buf_put(out, &value, sizeof(value));
}

void msg_put_u64(struct buf *out, uint64_t value)
{
    value = htole64(value);
    buf_put(out, &value, sizeof(value));
}

/* A length or count that its field cannot hold spoils the message. */
static void put_count(struct buf *out, size_t n)
{
    if (n > UINT32_MAX)
        out->failed = 1;
    msg_put_u32(out, (uint32_t)n);
}

void msg_put_bytes(struct buf *out, const void *bytes, size_t len)
{
    put_count(out, len);
    buf_put(out, bytes, len);
}

void msg_put_list(struct buf *out, const struct slices *list)
{
    put_count(out, list->n);
    for (size_t i = 0; i < list->n; i++)
        msg_put_bytes(out, list->at[i].ptr, list->at[i].len);
}

int msg_end(struct buf *out, size_t mark)
{
    uint32_t length;

    if (mark == MARK_NONE)
        return -1;
    assert(out->failed || out->len > mark + LENGTH_BYTES);
    if (out->failed || out->len - mark - LENGTH_BYTES > UINT32_MAX) {
        out->len = mark;
        out->failed = 0;
        return -1;
    }
    length = htole32((uint32_t)(out->len - mark - LENGTH_BYTES));
    memcpy(out->data + mark, &length, sizeof(length));
    return 0;
}

/* --- reading ---------------------------------------------------------------- */

static uint32_t load32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

long msg_decode(struct msg *msg, const void *data, size_t len, size_t max)
{
    const uint8_t *at = data;
    size_t length;

    if (len < LENGTH_BYTES)
        return 0;
    length = load32(at);
    if (length == 0 || length > max)
        return -1;
    if (length > len - LENGTH_BYTES)
        return 0;
    at += LENGTH_BYTES;
    msg->type = at[0];
    msg->at = at + 1;
    msg->end = at + length;
    msg->bad = msg->starved = 0;
    return (long)(LENGTH_BYTES + length);
}

/* The next n bytes, or NULL with bad set. */
static const uint8_t *take(struct msg *msg, size_t n)
{
    const uint8_t *at = msg->at;

    if (msg->bad || n > (size_t)(msg->end - at)) {
        msg->bad = 1;
        return NULL;
    }
    msg->at += n;
    return at;
}

uint8_t msg_get_u8(struct msg *msg)
{
    const uint8_t *at = take(msg, 1);

    return at != NULL ? at[0] : 0;
}

uint32_t msg_get_u32(struct msg *msg)
{
    const uint8_t *at = take(msg, 4);

    return at != NULL ? load32(at) : 0;
}

uint64_t msg_get_u64(struct msg *msg)
{
    const uint8_t *at = take(msg, 8);
    uint64_t value;

    if (at == NULL)
        return 0;
    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

struct slice msg_get_bytes(struct msg *msg)
{
    size_t len = msg_get_u32(msg);
    const uint8_t *at = take(msg, len);

    return at != NULL ? (struct slice){(const char *)at, len} : (struct slice){NULL, 0};
}

void msg_get_list(struct msg *msg, struct slices *list)
{
    uint32_t n = msg_get_u32(msg);

    /* Each item has a length: a count that the rest cannot hold is a lie, and
     * must not cost memory. */
    if (n > (size_t)(msg->end - msg->at) / LENGTH_BYTES)
        msg->bad = 1;
    for (; n > 0 && !msg->bad; n--) {
        struct slice item = msg_get_bytes(msg);

        if (!msg->bad && slices_put(list, item) < 0)
            msg->bad = msg->starved = 1;
    }
}

int msg_close(const struct msg *msg)
{
    return msg->bad || msg->at != msg->end ? -1 : 0;
}

/* --- broadcast -------------------------------------------------------------- */

void msg_put_broadcast_fields(struct buf *out, uint64_t epoch, uint64_t seq, uint64_t received_us,
                              const struct broadcast *bc)
{
    msg_put_u64(out, epoch);
    msg_put_u64(out, seq);
    msg_put_u64(out, received_us);
    msg_put_u64(out, bc->offset);
    msg_put_u32(out, bc->flags);
    msg_put_list(out, &bc->rooms);
    msg_put_list(out, &bc->except);
    msg_put_bytes(out, bc->json.data, bc->json.len);
    msg_put_list(out, &bc->attachments);
}

int msg_put_broadcast(struct buf *out, uint64_t epoch, uint64_t seq, uint64_t received_us,
                      const struct broadcast *bc)
{
    size_t mark = msg_begin(out, MSG_BROADCAST);

    msg_put_broadcast_fields(out, epoch, seq, received_us, bc);
    return msg_end(out, mark);
}

int msg_get_broadcast(struct msg *msg, struct msg_broadcast *out)
{
    out->rooms.n = out->except.n = out->attachments.n = 0;
    out->epoch = msg_get_u64(msg);
    out->seq = msg_get_u64(msg);
    out->received_us = msg_get_u64(msg);
    out->offset = msg_get_u64(msg);
    out->flags = msg_get_u32(msg);
    msg_get_list(msg, &out->rooms);
    msg_get_list(msg, &out->except);
    out->json = msg_get_bytes(msg);
    msg_get_list(msg, &out->attachments);
    if (msg->starved)
        return 1;
    if (out->attachments.n > BROADCAST_ATTACHMENTS_MAX)
        return -1;
    return msg_close(msg);
}

void msg_broadcast_clear(struct msg_broadcast *bc)
{
    free(bc->rooms.at);
    free(bc->except.at);
    free(bc->attachments.at);
    memset(bc, 0, sizeof(*bc));
}

/* --- admission -------------------------------------------------------------- */

int msg_put_admit(struct buf *out, const struct msg_admit *admit)
{
    size_t mark = msg_begin(out, MSG_ADMIT);

    msg_put_u64(out, admit->client);
    msg_put_bytes(out, admit->uid.ptr, admit->uid.len);
    msg_put_list(out, &admit->rooms);
    msg_put_bytes(out, admit->session.ptr, admit->session.len);
    msg_put_bytes(out, admit->pid.ptr, admit->pid.len);
    msg_put_u8(out, admit->has_offset);
    msg_put_u64(out, admit->offset);
    msg_put_u64(out, admit->opened_ms);
    return msg_end(out, mark);
}

/* Of that length, or empty. */
static int is_whole(struct slice bytes, size_t len)
{
    return bytes.len == 0 || bytes.len == len;
}

int msg_get_admit(struct msg *msg, struct msg_admit *out)
{
    out->rooms.n = 0;
    out->client = msg_get_u64(msg);
    out->uid = msg_get_bytes(msg);
    msg_get_list(msg, &out->rooms);
    out->session = msg_get_bytes(msg);
    out->pid = msg_get_bytes(msg);
    out->has_offset = msg_get_u8(msg);
    out->offset = msg_get_u64(msg);
    out->opened_ms = msg_get_u64(msg);
    if (msg->starved)
        return 1;
    if (!is_whole(out->session, SESSION_LEN) || !is_whole(out->pid, PID_LEN) ||
        (out->pid.len > 0 && out->session.len == 0) || out->has_offset > 1)
        return -1;
    return msg_close(msg);
}

void msg_admit_clear(struct msg_admit *admit)
{
    slices_clear(&admit->rooms);
    memset(admit, 0, sizeof(*admit));
}

int msg_put_admitted(struct buf *out, const struct msg_admitted *admitted)
{
    size_t mark = msg_begin(out, MSG_ADMITTED);

    msg_put_u64(out, admitted->client);
    msg_put_u8(out, admitted->verdict);
    msg_put_u64(out, admitted->epoch);
    msg_put_u64(out, admitted->seq);
    msg_put_bytes(out, admitted->pid.ptr, admitted->pid.len);
    msg_put_u64(out, admitted->offset);
    msg_put_u8(out, admitted->resumed);
    msg_put_u64(out, admitted->from);
    msg_put_bytes(out, admitted->session.ptr, admitted->session.len);
    msg_put_u8(out, admitted->left);
    msg_put_list(out, &admitted->rooms);
    return msg_end(out, mark);
}

int msg_get_admitted(struct msg *msg, struct msg_admitted *out)
{
    out->rooms.n = 0;
    out->client = msg_get_u64(msg);
    out->verdict = msg_get_u8(msg);
    out->epoch = msg_get_u64(msg);
    out->seq = msg_get_u64(msg);
    out->pid = msg_get_bytes(msg);
    out->offset = msg_get_u64(msg);
    out->resumed = msg_get_u8(msg);
    out->from = msg_get_u64(msg);
    out->session = msg_get_bytes(msg);
    out->left = msg_get_u8(msg);
    msg_get_list(msg, &out->rooms);
    if (msg->starved)
        return 1;
    for (size_t i = 0; i < out->rooms.n; i++)
        if (out->rooms.at[i].len < MSG_ROOM_HEAD)
            return -1;
    if (out->verdict > MSG_ADMIT_NO_MEMORY || !is_whole(out->pid, PID_LEN) ||
        !is_whole(out->session, SESSION_LEN) || out->resumed > 1 ||
        (out->resumed && out->pid.len == 0))
        return -1;
    return msg_close(msg);
}

void msg_admitted_clear(struct msg_admitted *admitted)
{
    slices_clear(&admitted->rooms);
    memset(admitted, 0, sizeof(*admitted));
}

int msg_put_room(struct buf *out, uint64_t since, struct slice name)
{
    msg_put_u64(out, since);
    return buf_put(out, name.ptr, name.len);
}

struct slice msg_room(struct slice item, uint64_t *since)
{
    uint64_t value;

    memcpy(&value, item.ptr, sizeof(value));
    *since = le64toh(value);
    return (struct slice){item.ptr + MSG_ROOM_HEAD, item.len - MSG_ROOM_HEAD};
}
