#include "codec/peer.h"

#include "tap.h"

static const uint8_t pid[PID_LEN] = "the pid of a session, of fifty-four bytes, no text at";

static struct slice slice_of(const struct buf *buf)
{
    return (struct slice){(const char *)buf->data, buf->len};
}

static void put_question(struct buf *out, struct slice uid)
{
    peer_put_question(out, &(struct peer_question){.to = 7,
                                                   .id = 0x01020304,
                                                   .is_vouched = 1,
                                                   .came_ms = 0x99887766,
                                                   .offset = 0x1122334455667788,
                                                   .pid = pid,
                                                   .uid = uid});
}

/* One of each. */
static void put_all(struct buf *out)
{
    struct buf rooms = {0};

    peer_begin(out, 42);
    put_question(out, SLICE("u1"));
    peer_put_room(&rooms, &(struct peer_room){.since = 5, .is_claimed = 1, .name = SLICE("red")});
    peer_put_room(&rooms, &(struct peer_room){.name = SLICE("")});
    peer_put_answer(out, &(struct peer_answer){.to = 9,
                                               .id = 3,
                                               .result = PEER_YOURS,
                                               .start = 77,
                                               .away_ms = 1500,
                                               .left = 2,
                                               .rooms = slice_of(&rooms)});
    peer_put_answer(out, &(struct peer_answer){
                             .to = 9, .id = 4, .result = PEER_ELSEWHERE, .holder = 1ULL << 63});
    for (int result = PEER_UNKNOWN; result < PEER_RESULTS; result++)
        peer_put_answer(
            out, &(struct peer_answer){.to = 9, .id = 5, .result = (enum peer_result)result});
    peer_put_presence(out, &(struct peer_presence){.gap_ms = 1796052000000});
    buf_free(&rooms);
}

static void test_all(struct slice payload)
{
    struct peer_room room;
    struct peer peer;

    is_int(peer_read(&peer, payload), 0, "it is read");
    is_int(peer.from, 42, "whose it is");
    is_int(peer_next(&peer), PEER_QUESTION, "a question");
    ok(peer.question.to == 7 && peer.question.id == 0x01020304 && peer.question.is_vouched &&
           peer.question.came_ms == 0x99887766 && peer.question.offset == 0x1122334455667788,
       "its numbers");
    is_mem(peer.question.pid, PID_LEN, pid, PID_LEN, "its pid");
    ok(slice_eq(peer.question.uid, SLICE("u1")), "its user");
    is_int(peer_next(&peer), PEER_ANSWER, "an answer");
    ok(peer.answer.to == 9 && peer.answer.id == 3 && peer.answer.result == PEER_YOURS &&
           peer.answer.start == 77 && peer.answer.away_ms == 1500 && peer.answer.left == 2,
       "its numbers");
    ok(peer_next_room(&peer.answer.rooms, &room) && room.since == 5 && room.is_claimed &&
           slice_eq(room.name, SLICE("red")),
       "a room");
    ok(peer_next_room(&peer.answer.rooms, &room) && room.since == 0 && !room.is_claimed &&
           room.name.len == 0,
       "another");
    ok(!peer_next_room(&peer.answer.rooms, &room), "and no other");
    ok(peer_next(&peer) == PEER_ANSWER && peer.answer.result == PEER_ELSEWHERE &&
           peer.answer.holder == 1ULL << 63 && peer.answer.rooms.len == 0,
       "where it is");
    for (int result = PEER_UNKNOWN; result < PEER_RESULTS; result++)
        ok(peer_next(&peer) == PEER_ANSWER && (int)peer.answer.result == result, "result %d",
           result);
    ok(peer_next(&peer) == PEER_PRESENCE && peer.presence.gap_ms == 1796052000000, "a presence");
    is_int(peer_next(&peer), PEER_END, "the end");
    is_int(peer_next(&peer), PEER_END, "and again");
}

/* How many bytes of payload are a message: where each item ends. */
static void test_prefixes(struct slice payload)
{
    size_t whole = 0;
    struct peer peer;

    for (size_t len = 0; len <= payload.len; len++) {
        unsigned char *at = tap_guard(payload.ptr, len);

        whole += peer_read(&peer, (struct slice){(const char *)at, len}) == 0;
        tap_guard_free(at, len);
    }
    is_int(whole, 4 + PEER_RESULTS - PEER_UNKNOWN, "a prefix is one where an item ends");
}

static void is_bad(const struct buf *message, const char *name)
{
    struct peer peer;

    is_int(peer_read(&peer, slice_of(message)), -1, name);
}

static void spoil(struct slice payload, size_t at, uint8_t byte, const char *name)
{
    struct buf copy = {0};

    buf_put(&copy, payload.ptr, payload.len);
    copy.data[at] = byte;
    is_bad(&copy, name);
    buf_free(&copy);
}

static void test_bad(struct slice payload)
{
    enum { QUESTION = PEER_HEAD_LEN, FLAGS = QUESTION + 13, UID = FLAGS + 13 + PID_LEN };
    struct buf message = {0};

    spoil(payload, 0, 'b', "another beginning");
    spoil(payload, 7, 2, "another version");
    spoil(payload, QUESTION, 0, "an item that is none");
    spoil(payload, QUESTION, 4, "one that is not known");
    spoil(payload, FLAGS, 2, "a flag that is not known");
    spoil(payload, UID, 0, "nobody's");
    spoil(payload, UID + 3 + 13, 0, "an answer without a result");
    spoil(payload, UID + 3 + 13, PEER_RESULTS, "with one that is not known");
    spoil(payload, UID + 3 + 13 + 14, 1, "rooms that end too soon");
    peer_begin(&message, 1);
    is_bad(&message, "no item");
    put_question(&message, SLICE(""));
    is_bad(&message, "a question for nobody");
    buf_reset(&message);
    peer_begin(&message, 1);
    peer_put_answer(&message,
                    &(struct peer_answer){.result = PEER_YOURS, .rooms = SLICE("half a room")});
    is_bad(&message, "half a room");
    buf_reset(&message);
    peer_begin(&message, 1);
    while (message.len <= PEER_MAX)
        peer_put_presence(&message, &(struct peer_presence){1});
    is_bad(&message, "too much");
    buf_free(&message);
}

/* None is taken for a mark. */
static void test_shortest(void)
{
    struct buf message = {0};
    struct peer peer;

    peer_begin(&message, 1);
    is_int(message.len, PEER_HEAD_LEN, "the head");
    peer_put_presence(&message, &(struct peer_presence){1});
    ok(message.len > 16 && peer_read(&peer, slice_of(&message)) == 0, "the shortest");
    buf_free(&message);
}

int main(void)
{
    struct buf message = {0};
    struct slice payload;
    unsigned char *at;

    put_all(&message);
    at = tap_guard(message.data, message.len);
    payload = (struct slice){(const char *)at, message.len};
    test_all(payload);
    test_prefixes(payload);
    test_bad(payload);
    test_shortest();
    tap_guard_free(at, message.len);
    buf_free(&message);
    return tap_done();
}
