#include "ipc/msg.h"

#include "base/siphash.h"
#include "msg_fields.h"
#include "nomem.h"
#include "tap.h"

#include <unistd.h>

#define MAX_BYTES 100000

/* One message of a type, each field with a value that shows its place. */
static void sample(struct buf *out, const struct msg_fields *fields)
{
    struct slice items[] = {SLICE("allusers"), {NULL, 0}, SLICE("u\0id")};
    struct slices list = {items, 3, 3};
    size_t mark = msg_begin(out, (enum msg_type)fields->type);

    for (const char *field = fields->fields; *field != '\0'; field++) {
        if (*field == '1')
            msg_put_u8(out, 0xfe);
        else if (*field == '4')
            msg_put_u32(out, 0xfedcba98);
        else if (*field == '8')
            msg_put_u64(out, 0xfedcba9876543210);
        else if (*field == 'b')
            msg_put_bytes(out, "[\"msg\",{}", 9);
        else
            msg_put_list(out, &list);
    }
    is_int(msg_end(out, mark), 0, fields->name);
}

/* The len bytes, right before an unreadable page: decoded and copied. */
static int copy(const uint8_t *bytes, size_t len, struct buf *out)
{
    unsigned char *guarded = tap_guard(bytes, len);
    struct msg msg;
    long n = msg_decode(&msg, guarded, len, MAX_BYTES);
    int result = n > 0 ? msg_copy(&msg, out) : n == 0 ? 1 : -1;

    tap_guard_free(guarded, len);
    return result;
}

static void set_length(struct buf *buf, size_t length)
{
    for (int i = 0; i < 4; i++)
        buf->data[i] = (uint8_t)(length >> (8 * i));
}

/* A message cut anywhere needs more, and one that says it is shorter than its
 * fields, or longer, is malformed. */
static void test_type(const struct msg_fields *fields)
{
    struct buf in = {0}, out = {0};
    int wrong = 0;

    sample(&in, fields);
    is_str(msg_name(fields->type), fields->name, "its name");
    is_int(copy(in.data, in.len, &out), 0, "whole");
    is_mem(out.data, out.len, in.data, in.len, "there and back");
    for (size_t n = 0; n < in.len; n++)
        wrong += copy(in.data, n, &out) != 1;
    is_int(wrong, 0, "each prefix needs more");
    for (size_t n = 5; n < in.len; n++) {
        set_length(&in, n - 4);
        wrong += copy(in.data, n, &out) != -1;
    }
    is_int(wrong, 0, "each shorter length is malformed");
    buf_putc(&in, 0);
    set_length(&in, in.len - 4);
    is_int(copy(in.data, in.len, &out), -1, "a byte left over is malformed");
    buf_free(&in);
    buf_free(&out);
}

static void test_bytes_on_the_wire(void)
{
    static const char want[] = "\x2c\0\0\0"
                               "\x42"
                               "\x08\x07\x06\x05\x04\x03\x02\x01"
                               "\x1f\0\0\0"
                               "0123456789abcdef0123456789abcde";
    struct buf out = {0};
    size_t mark = msg_begin(&out, MSG_ADMIT);

    msg_put_u64(&out, 0x0102030405060708);
    msg_put_bytes(&out, "0123456789abcdef0123456789abcde", 31);
    is_int(msg_end(&out, mark), 0, "end");
    is_mem(out.data, out.len, want, sizeof(want) - 1, "the bytes of an admit");
    buf_free(&out);
}

/* What is put is what is got, and what is no admission is malformed. */
static int get_admit(struct buf *out, struct msg_admit *got)
{
    struct msg msg;

    msg_decode(&msg, out->data, out->len, 4096);
    return msg_get_admit(&msg, got);
}

static void test_admit(void)
{
    static const char id[PID_LEN + 1] = "fifteen bytes..";
    struct slice room = SLICE("guild");
    struct msg_admit admit = {.client = 7, .uid = SLICE("ann"), .rooms = {.at = &room, .n = 1}};
    struct msg_admit got = {0};
    struct buf out = {0};

    is_int(msg_put_admit(&out, &admit), 0, "an admission");
    is_int(get_admit(&out, &got), 0, "of who recovers nothing");
    ok(got.client == 7 && slice_eq(got.uid, admit.uid) && slice_eq(got.rooms.at[0], room) &&
           got.session.len + got.pid.len == 0 && !got.has_offset,
       "as it was");
    for (int i = 0; i < 6; i++) {
        struct msg_admit bad = admit;
        static const size_t lens[][2] = {
            {SESSION_LEN, 0},     {SESSION_LEN, PID_LEN},     {0, PID_LEN},
            {SESSION_LEN - 1, 0}, {SESSION_LEN, PID_LEN - 1}, {SESSION_LEN, PID_LEN}};

        bad.session = (struct slice){id, lens[i][0]};
        bad.pid = (struct slice){id, lens[i][1]};
        bad.has_offset = i == 5 ? 2 : 1;
        bad.offset = UINT64_MAX;
        bad.opened_ms = 5;
        buf_reset(&out);
        msg_put_admit(&out, &bad);
        is_int(get_admit(&out, &got), i < 2 ? 0 : -1, "ids of some lengths");
        ok(i >= 2 || (slice_eq(got.session, bad.session) && slice_eq(got.pid, bad.pid) &&
                      got.has_offset == 1 && got.offset == UINT64_MAX && got.opened_ms == 5),
           "come as they are");
    }
    msg_admit_clear(&got);
    buf_free(&out);
}

static int get_admitted(struct buf *out, struct msg_admitted *got)
{
    struct msg msg;

    msg_decode(&msg, out->data, out->len, 4096);
    return msg_get_admitted(&msg, got);
}

static void test_admitted(void)
{
    static const char id[PID_LEN + 1] = "fifteen bytes..";
    struct buf out = {0}, room = {0};
    struct slice item;
    struct msg_admitted admitted = {.client = 7,
                                    .epoch = 1,
                                    .seq = 2,
                                    .pid = {id, PID_LEN},
                                    .offset = 3,
                                    .resumed = 1,
                                    .from = 4,
                                    .session = {id, SESSION_LEN},
                                    .left = 5,
                                    .rooms = {.at = &item, .n = 1}};
    struct msg_admitted got = {0}, bad;
    uint64_t since;

    is_int(msg_put_room(&room, 77, SLICE("guild")), 0, "a room");
    item = (struct slice){(const char *)room.data, room.len};
    is_int(msg_put_admitted(&out, &admitted), 0, "an answer");
    is_int(get_admitted(&out, &got), 0, "is understood");
    ok(got.client == 7 && got.verdict == 0 && got.epoch == 1 && got.seq == 2 && got.offset == 3 &&
           got.resumed && got.from == 4 && got.left == 5 && slice_eq(got.pid, admitted.pid) &&
           slice_eq(got.session, admitted.session),
       "as it was");
    ok(slice_eq(msg_room(got.rooms.at[0], &since), SLICE("guild")) && since == 77, "with its room");
    for (int i = 0; i < 6; i++) {
        bad = admitted;
        bad.pid.len -= i == 0;
        bad.session.len -= i == 1;
        bad.resumed += i == 2;
        bad.verdict = i == 3 ? MSG_ADMIT_NO_MEMORY + 1 : 0;
        item.len = i == 4 ? MSG_ROOM_HEAD - 1 : room.len;
        if (i == 5)
            bad.pid.len = 0;
        buf_reset(&out);
        msg_put_admitted(&out, &bad);
        is_int(get_admitted(&out, &got), -1, "one that is wrong somewhere");
    }
    item.len = MSG_ROOM_HEAD;
    buf_reset(&out);
    msg_put_admitted(&out, &admitted);
    is_int(get_admitted(&out, &got), 0, "a room without a name");
    is_int((long)msg_room(got.rooms.at[0], &since).len, 0, "has none");
    msg_admitted_clear(&got);
    buf_free(&out);
    buf_free(&room);
}

static void test_limits(void)
{
    struct msg msg;

    is_int(msg_decode(&msg, "\0\0\0\0", 4, 100), -1, "length 0");
    is_int(msg_decode(&msg, "\x65\0\0\0", 4, 100), -1, "length above max, told at once");
    is_int(msg_decode(&msg, "\x64\0\0\0", 4, 100), 0, "length of max");
    is_int(msg_decode(&msg, "\xff\xff\xff\xff", 4, SIZE_MAX), 0, "the largest length");
    is_int(msg_decode(&msg, "", 0, 100), 0, "nothing");
    is_int(msg_decode(&msg, "\1\0\0\0\xff_", 6, 100), 5, "a type that is none");
    is_str(msg_name(msg.type), "unknown", "has no name");
    is_int(msg_close(&msg), 0, "and no fields");
    is_int(msg_get_u8(&msg), 0, "what is behind it");
    is_int(msg_close(&msg), -1, "is not its own");
}

static void test_gets(void)
{
    struct msg msg;
    struct slice bytes;
    struct slices list = {0};

    msg_decode(&msg, "\x4\0\0\0\1abc", 8, 100);
    is_int(msg_get_u32(&msg), 0, "u32 of three bytes");
    is_int(msg_get_u8(&msg), 0, "nothing after a bad get");
    ok(msg.bad && msg_close(&msg) == -1, "bad stays");
    msg_decode(&msg, "\x8\0\0\0\1abcdefg", 12, 100);
    is_int(msg_get_u64(&msg), 0, "u64 of seven bytes");
    msg_decode(&msg, "\x7\0\0\0\1\3\0\0\0ab", 11, 100);
    bytes = msg_get_bytes(&msg);
    ok(msg.bad && bytes.ptr == NULL && bytes.len == 0, "bytes past the end");
    msg_decode(&msg,
               "\x7\0\0\0\1\xff\xff\xff\xff"
               "ab",
               11, 100);
    bytes = msg_get_bytes(&msg);
    ok(msg.bad && bytes.len == 0, "4 GiB of bytes");
    msg_decode(&msg, "\x5\0\0\0\1\0\0\0\0", 9, 100);
    bytes = msg_get_bytes(&msg);
    ok(msg_close(&msg) == 0 && bytes.len == 0, "no bytes");

    msg_decode(&msg, "\x9\0\0\0\1\xff\xff\xff\xff\0\0\0\0", 13, 100);
    msg_get_list(&msg, &list);
    ok(msg.bad && list.cap == 0, "a list of 4 G items allocates nothing");
    msg_decode(&msg, "\x9\0\0\0\1\2\0\0\0\0\0\0\0", 13, 100);
    msg_get_list(&msg, &list);
    ok(msg.bad && list.cap == 0, "nor does one of an item too many");
    msg_decode(&msg, "\xd\0\0\0\1\2\0\0\0\1\0\0\0a\7\0\0", 17, 100);
    msg_get_list(&msg, &list);
    ok(msg.bad && list.n <= 1, "a list whose second item is cut");
    list.n = 0;
    msg_decode(&msg, "\xe\0\0\0\1\2\0\0\0\1\0\0\0a\0\0\0\0", 18, 100);
    msg_get_list(&msg, &list);
    ok(msg_close(&msg) == 0 && list.n == 2 && slice_eq(list.at[0], SLICE("a")) &&
           list.at[1].len == 0,
       "a list of two");
    free(list.at);
}

static void test_stream(void)
{
    struct buf in = {0}, out = {0}, held = {0};
    size_t count = sizeof(msg_fields) / sizeof(msg_fields[0]), seen = 0;

    for (size_t i = 0; i < count; i++)
        sample(&in, &msg_fields[i]);
    for (size_t i = 0; i < in.len; i++) {
        struct msg msg;
        long n;

        buf_putc(&held, in.data[i]);
        n = msg_decode(&msg, held.data, held.len, MAX_BYTES);
        if (n == 0)
            continue;
        if (n < 0 || msg_copy(&msg, &out) < 0)
            break;
        seen++;
        buf_consume(&held, (size_t)n);
    }
    is_int(seen, count, "all types, one byte at a time");
    is_mem(out.data, out.len, in.data, in.len, "there and back");
    buf_free(&in);
    buf_free(&out);
    buf_free(&held);
}

static void test_failure(void)
{
    struct buf out = {0};
    size_t mark, before;

    mark = msg_begin(&out, MSG_READY);
    is_int(msg_end(&out, mark), 0, "a message that stays");
    before = out.len;
    mark = msg_begin(&out, MSG_ADMIT);
    msg_put_u64(&out, 1);
    buf_reserve(&out, SIZE_MAX);
    msg_put_u8(&out, 1);
    is_int(msg_end(&out, mark), -1, "out of memory");
    ok(out.len == before && !out.failed, "the message is taken back, the one before stays");
    mark = msg_begin(&out, MSG_ADMIT);
    msg_put_bytes(&out, out.data, (size_t)UINT32_MAX + 1);
    is_int(msg_end(&out, mark), -1, "bytes that their length cannot tell");
    is_int(out.len, before, "taken back");
    buf_reserve(&out, SIZE_MAX);
    mark = msg_begin(&out, MSG_READY);
    is_int(msg_end(&out, mark), -1, "a buffer that had failed before");
    ok(out.len == before && out.failed, "stays failed");
    buf_free(&out);
}

static void test_broadcast(void)
{
    struct slice rooms[] = {SLICE("a"), SLICE("bb")}, blob[300];
    struct broadcast bc = {.flags = BROADCAST_VOLATILE, .rooms = {rooms, 2, 2}};
    struct msg_broadcast got = {0};
    struct buf out = {0};
    struct msg msg;
    long n;

    for (size_t i = 0; i < 300; i++)
        blob[i] = SLICE("\0\1");
    buf_puts(&bc.json, "[\"msg\",1");
    bc.attachments = (struct slices){blob, 1, 300};
    is_int(msg_put_broadcast(&out, 7, 8, 9, &bc), 0, "put");
    for (int round = 0; round < 2; round++) {
        n = msg_decode(&msg, out.data, out.len, MAX_BYTES);
        is_int(n, out.len, "decode");
        is_int(msg_get_broadcast(&msg, &got), 0, "get, the second time with the same struct");
    }
    ok(got.epoch == 7 && got.seq == 8 && got.received_us == 9 && got.flags == BROADCAST_VOLATILE,
       "its numbers");
    ok(got.rooms.n == 2 && slice_eq(got.rooms.at[1], SLICE("bb")) && got.except.n == 0, "rooms");
    is_mem(got.json.ptr, got.json.len, "[\"msg\",1", 8, "its JSON");
    ok(got.attachments.n == 1 && slice_eq(got.attachments.at[0], SLICE("\0\1")), "attachment");
    buf_reset(&out);
    bc.attachments.n = 255;
    is_int(msg_put_broadcast(&out, 7, 8, 9, &bc), 0, "the most attachments");
    msg_decode(&msg, out.data, out.len, MAX_BYTES);
    is_int(msg_get_broadcast(&msg, &got), 0, "are taken");
    is_int((long)got.attachments.n, 255, "and all there");
    buf_reset(&out);
    bc.attachments.n = 256;
    is_int(msg_put_broadcast(&out, 7, 8, 9, &bc), 0, "too many attachments");
    msg_decode(&msg, out.data, out.len, MAX_BYTES);
    is_int(msg_get_broadcast(&msg, &got), -1, "are malformed");
    out.failed = 1;
    is_int(msg_put_broadcast(&out, 7, 8, 9, &bc), -1, "no memory");
    msg_broadcast_clear(&got);
    ok(got.rooms.at == NULL && got.rooms.cap == 0, "clear");
    buf_reset(&out);
    bc.attachments.n = 1;
    msg_put_broadcast(&out, 7, 8, 9, &bc);
    nomem = 1;
    msg_decode(&msg, out.data, out.len, MAX_BYTES);
    is_int(msg_get_broadcast(&msg, &got), 1, "no memory for what it holds");
    msg_decode(&msg, out.data, out.len, MAX_BYTES);
    is_int(msg_get_broadcast(&msg, &got), 0, "which is not malformed");
    msg_broadcast_clear(&got);
    buf_free(&out);
    buf_free(&bc.json);
}

/* The version that the two ends tell each other is that of these fields. */
static void test_version(void)
{
    static const struct {
        uint32_t version;
        uint64_t fields;
    } last = {6, UINT64_C(0xda8ae65a3bb0062a)};
    static const uint8_t key[16];
    struct buf text = {0};
    uint64_t fields;

    for (size_t i = 0; i < sizeof(msg_fields) / sizeof(msg_fields[0]); i++)
        buf_printf(&text, "%u %s\n", msg_fields[i].type, msg_fields[i].fields);
    fields = siphash(key, text.data, text.len);
    ok(MSG_VERSION == last.version && fields == last.fields,
       "the fields are those of version %u; else: another MSG_VERSION, and 0x%llx here",
       (unsigned)MSG_VERSION, (unsigned long long)fields);
    buf_free(&text);
}

/* The fuzz target begins with one of each type. */
static void test_seed(const struct msg_fields *fields)
{
    char path[128];

    snprintf(path, sizeof(path), "test/fuzz/corpus/msg/%s", fields->name);
    ok(access(path, R_OK) == 0, "%s is there", path);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(msg_fields) / sizeof(msg_fields[0]); i++) {
        test_type(&msg_fields[i]);
        test_seed(&msg_fields[i]);
    }
    test_version();
    for (unsigned type = 0, named = 0; type <= 256; type++) {
        named += strcmp(msg_name(type), "unknown") != 0;
        if (type == 256)
            is_int(named, sizeof(msg_fields) / sizeof(msg_fields[0]), "every named type is here");
    }
    test_bytes_on_the_wire();
    test_admit();
    test_admitted();
    test_limits();
    test_gets();
    test_stream();
    test_failure();
    test_broadcast();
    return tap_done();
}
