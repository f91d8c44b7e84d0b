#include "codec/peer.h"

#include <string.h>

static const uint8_t magic[8] = {'a', 'x', 'r', 'p', 'e', 'e', 'r', 1};

/* --- writing ---------------------------------------------------------------------- */

static void put_int(struct buf *out, uint64_t value, size_t bytes)
{
    uint8_t raw[8];

    for (size_t i = 0; i < bytes; i++)
        raw[i] = (uint8_t)(value >> 8 * i);
    (void)buf_put(out, raw, bytes);
}

/* What has been put since mark stays, or goes. */
static int settle(struct buf *out, size_t mark)
{
    if (!out->failed)
        return 0;
    out->len = mark;
    out->failed = 0;
    return -1;
}

int peer_begin(struct buf *out, uint64_t from)
{
    size_t mark = out->len;

    (void)buf_put(out, magic, sizeof(magic));
    put_int(out, from, 8);
    return settle(out, mark);
}

int peer_put_question(struct buf *out, const struct peer_question *question)
{
    size_t mark = out->len;

    (void)buf_putc(out, PEER_QUESTION);
    put_int(out, question->to, 8);
    put_int(out, question->id, 4);
    put_int(out, question->is_vouched != 0, 1);
    put_int(out, question->came_ms, 4);
    put_int(out, question->offset, 8);
    (void)buf_put(out, question->pid, PID_LEN);
    put_int(out, question->uid.len, 1);
    (void)buf_put(out, question->uid.ptr, question->uid.len);
    return settle(out, mark);
}

int peer_put_answer(struct buf *out, const struct peer_answer *answer)
{
    size_t mark = out->len;

    (void)buf_putc(out, PEER_ANSWER);
    put_int(out, answer->to, 8);
    put_int(out, answer->id, 4);
    put_int(out, answer->result, 1);
    put_int(out, answer->start, 8);
    if (answer->result == PEER_ELSEWHERE)
        put_int(out, answer->holder, 8);
    if (answer->result == PEER_YOURS) {
        put_int(out, answer->away_ms, 4);
        put_int(out, answer->left, 1);
        put_int(out, answer->rooms.len, 4);
        (void)buf_put(out, answer->rooms.ptr, answer->rooms.len);
    }
    return settle(out, mark);
}

int peer_put_presence(struct buf *out, const struct peer_presence *presence)
{
    size_t mark = out->len;

    (void)buf_putc(out, PEER_PRESENCE);
    put_int(out, presence->gap_ms, 8);
    return settle(out, mark);
}

int peer_put_room(struct buf *rooms, const struct peer_room *room)
{
    size_t mark = rooms->len;

    put_int(rooms, room->since, 8);
    put_int(rooms, room->is_claimed != 0, 1);
    put_int(rooms, room->name.len, 4);
    (void)buf_put(rooms, room->name.ptr, room->name.len);
    return settle(rooms, mark);
}

/* --- reading ---------------------------------------------------------------------- */

/* What is left to be read; bad is set by the first that is not there, and what is read then
 * is 0 or empty. */
struct rest {
    const uint8_t *at, *end;
    int bad;
};

static struct rest rest_of(struct slice bytes)
{
    const uint8_t *at = (const uint8_t *)bytes.ptr;

    /* Nothing may be added to NULL, not even nothing. */
    return (struct rest){at, bytes.len > 0 ? at + bytes.len : at, 0};
}

static struct slice get_bytes(struct rest *rest, size_t n)
{
    struct slice bytes = {(const char *)rest->at, n};

    if (rest->bad || (size_t)(rest->end - rest->at) < n) {
        rest->bad = 1;
        return (struct slice){0};
    }
    rest->at += n;
    return bytes;
}

static uint64_t get_int(struct rest *rest, size_t bytes)
{
    struct slice raw = get_bytes(rest, bytes);
    uint64_t value = 0;

    for (size_t i = raw.len; i > 0; i--)
        value = value << 8 | (uint8_t)raw.ptr[i - 1];
    return value;
}

/* One of two values. */
static int get_flag(struct rest *rest)
{
    uint64_t value = get_int(rest, 1);

    rest->bad |= value > 1;
    return value == 1;
}

static void get_question(struct rest *rest, struct peer_question *question)
{
    question->to = get_int(rest, 8);
    question->id = (uint32_t)get_int(rest, 4);
    question->is_vouched = get_flag(rest);
    question->came_ms = (uint32_t)get_int(rest, 4);
    question->offset = get_int(rest, 8);
    question->pid = (const uint8_t *)get_bytes(rest, PID_LEN).ptr;
    question->uid = get_bytes(rest, (size_t)get_int(rest, 1));
    rest->bad |= question->uid.len == 0;
}

static void get_room(struct rest *rest, struct peer_room *room)
{
    room->since = get_int(rest, 8);
    room->is_claimed = get_flag(rest);
    room->name = get_bytes(rest, (size_t)get_int(rest, 4));
}

static struct slice get_rooms(struct rest *rest)
{
    struct slice rooms = get_bytes(rest, (size_t)get_int(rest, 4));
    struct rest inner = rest_of(rooms);
    struct peer_room room;

    while (!inner.bad && inner.at != inner.end)
        get_room(&inner, &room);
    rest->bad |= inner.bad;
    return rooms;
}

static void get_answer(struct rest *rest, struct peer_answer *answer)
{
    uint64_t result;

    *answer = (struct peer_answer){0};
    answer->to = get_int(rest, 8);
    answer->id = (uint32_t)get_int(rest, 4);
    result = get_int(rest, 1);
    answer->start = get_int(rest, 8);
    if (result < PEER_YOURS || result >= PEER_RESULTS) {
        rest->bad = 1;
        return;
    }
    answer->result = (enum peer_result)result;
    if (answer->result == PEER_ELSEWHERE)
        answer->holder = get_int(rest, 8);
    if (answer->result == PEER_YOURS) {
        answer->away_ms = (uint32_t)get_int(rest, 4);
        answer->left = (uint8_t)get_int(rest, 1);
        answer->rooms = get_rooms(rest);
    }
}

/* PEER_END: it is none. */
static enum peer_kind get_item(struct rest *rest, struct peer *peer)
{
    uint64_t kind = get_int(rest, 1);

    if (kind == PEER_QUESTION)
        get_question(rest, &peer->question);
    else if (kind == PEER_ANSWER)
        get_answer(rest, &peer->answer);
    else if (kind == PEER_PRESENCE)
        peer->presence.gap_ms = get_int(rest, 8);
    else
        return PEER_END;
    return rest->bad ? PEER_END : (enum peer_kind)kind;
}

int peer_read(struct peer *peer, struct slice payload)
{
    struct rest rest = rest_of(payload);

    *peer = (struct peer){0};
    if (payload.len <= PEER_HEAD_LEN || payload.len > PEER_MAX ||
        memcmp(payload.ptr, magic, sizeof(magic)) != 0)
        return -1;
    rest.at += sizeof(magic);
    peer->from = get_int(&rest, 8);
    peer->at = rest.at;
    peer->end = rest.end;
    while (rest.at != rest.end)
        if (get_item(&rest, peer) == PEER_END)
            return -1;
    return 0;
}

enum peer_kind peer_next(struct peer *peer)
{
    struct rest rest = {peer->at, peer->end, 0};
    enum peer_kind kind = rest.at != rest.end ? get_item(&rest, peer) : PEER_END;

    peer->at = rest.at;
    return kind;
}

int peer_next_room(struct slice *rooms, struct peer_room *room)
{
    struct rest rest = rest_of(*rooms);

    if (rooms->len == 0)
        return 0;
    get_room(&rest, room);
    *rooms = (struct slice){(const char *)rest.at, (size_t)(rest.end - rest.at)};
    return !rest.bad;
}
