#include "master/collect.h"

#include "codec/json.h"

#include "tap.h"

static struct collect collect;

static void begin(enum request_type type)
{
    struct request request = {.type = type, .id = SLICE("\"q\"")};

    collect_begin(&collect, &request);
}

static void put(struct buf *out, const char *text)
{
    msg_put_bytes(out, text, strlen(text));
}

static int part(uint32_t n, struct buf *records)
{
    int rc = collect_part(&collect, n, (struct slice){(const char *)records->data, records->len});

    buf_reset(records);
    return rc;
}

/* Ends it. */
static const char *text(void)
{
    static char copy[4096];
    struct buf payload = {0};

    collect_end(&collect, &payload);
    snprintf(copy, sizeof(copy), "%.*s", (int)payload.len, (const char *)payload.data);
    buf_free(&payload);
    collect_clear(&collect);
    return copy;
}

static void test_ids(void)
{
    struct buf records = {0};

    begin(REQUEST_SOCKETS);
    is_str(text(), "{\"requestId\":\"q\",\"sockets\":[]}", "nobody");
    begin(REQUEST_SOCKETS);
    put(&records, "a");
    put(&records, "b\"");
    is_int(part(2, &records), 0, "two ids");
    put(&records, "c");
    is_int(part(1, &records), 0, "one more");
    is_int(part(0, &records), 0, "none");
    is_str(text(), "{\"requestId\":\"q\",\"sockets\":[\"a\",\"b\\\"\",\"c\"]}", "as strings");
    buf_free(&records);
}

static void put_room(struct buf *out, int is_id, const char *name)
{
    msg_put_u8(out, (uint8_t)is_id);
    put(out, name);
}

static void test_rooms(void)
{
    struct buf records = {0};
    char name[16];
    size_t len;

    begin(REQUEST_ALL_ROOMS);
    put_room(&records, 1, "id");
    put_room(&records, 0, "a");
    put_room(&records, 0, "ab");
    put_room(&records, 0, "a");
    put_room(&records, 0,
             "\xff"
             "42");
    put_room(&records, 0, "42");
    put_room(&records, 0,
             "\xff"
             "4");
    is_int(part(7, &records), 0, "rooms of one worker");
    put_room(&records, 0, "42");
    put_room(&records, 0,
             "\xff"
             "42");
    put_room(&records, 0,
             "\xff"
             "4");
    put_room(&records, 0, "");
    put_room(&records, 0, "a,b");
    put_room(&records, 0, "ab");
    is_int(part(6, &records), 0, "and of another");
    is_str(text(), "{\"requestId\":\"q\",\"rooms\":[\"id\",\"a\",\"ab\",42,\"42\",4,\"\",\"a,b\"]}",
           "each once");

    begin(REQUEST_ALL_ROOMS);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 20000; i++) {
            snprintf(name, sizeof(name), "room%d", i);
            put_room(&records, 0, name);
            part(1, &records);
        }
    is_int(collect.n, 20000, "twenty thousand, each once");
    len = collect.text.len;
    put_room(&records, 0, "room19999");
    part(1, &records);
    is_int(collect.text.len, len, "with no trace of the others");
    ok(json_span((char *)collect.text.data + 24, len - 24) == -1 &&
           request_put_tail(&collect.text) == 0 &&
           json_span((char *)collect.text.data, collect.text.len) == (long)collect.text.len,
       "and all of it is JSON");
    collect_clear(&collect);
    buf_free(&records);
}

static void put_socket(struct buf *out, const char *id, const char *handshake)
{
    char head[64];

    snprintf(head, sizeof(head), "{\"id\":\"%s\",\"handshake\":", id);
    put(out, head);
    put(out, handshake);
    put(out, ",\"rooms\":[\"r\",7],\"data\":{}}");
}

static void test_sockets(void)
{
    struct buf records = {0};
    static char handshake[65536];
    uint32_t n = 0;
    struct buf payload = {0};

    begin(REQUEST_FETCH);
    put_socket(&records, "a", "{\"x\":1}");
    put_socket(&records, "b", "{}");
    is_int(part(2, &records), 0, "two clients");
    is_str(text(),
           "{\"requestId\":\"q\",\"sockets\":["
           "{\"id\":\"a\",\"handshake\":{\"x\":1},\"rooms\":[\"r\",7],\"data\":{}},"
           "{\"id\":\"b\",\"handshake\":{},\"rooms\":[\"r\",7],\"data\":{}}]}",
           "with their handshakes");

    memset(handshake, ' ', sizeof(handshake) - 1);
    handshake[0] = '{';
    handshake[sizeof(handshake) - 2] = '}';
    begin(REQUEST_FETCH);
    do {
        put_socket(&records, "a", handshake);
        part(1, &records);
        n++;
    } while (collect.has_full);
    is_int(n, 32, "past 2 MB ...");
    collect_end(&collect, &payload);
    ok(payload.len < 32 * 128 && memmem(payload.data, payload.len, COLLECT_NO_HANDSHAKE,
                                        sizeof(COLLECT_NO_HANDSHAKE) - 1) != NULL,
       "handshakes are empty: %zu bytes", payload.len);
    is_int(json_span((char *)payload.data, payload.len), payload.len, "it is JSON");
    buf_free(&payload);
    collect_clear(&collect);
    buf_free(&records);
}

static void test_rooms_of(void)
{
    struct buf records = {0};

    begin(REQUEST_CLIENT_ROOMS);
    put_socket(&records, "a", "{}");
    is_int(part(1, &records), 0, "one client");
    is_int(collect.n, 1, "it is there");
    is_str(text(), "{\"requestId\":\"q\",\"rooms\":[\"r\",7]}", "its rooms");
    begin(REQUEST_CLIENT_ROOMS);
    put(&records, "{\"id\":\"a\",\"handshake\":");
    put(&records, "{}");
    put(&records, ",\"rooms\":[],\"data\":{}}");
    is_int(part(1, &records), 0, "one in no room");
    is_str(text(), "{\"requestId\":\"q\",\"rooms\":[]}", "has none");
    for (size_t i = 0; i < 4; i++) {
        static const char *const bad[] = {",\"rooms\":", ",\"rooms\":{}", ",\"rom\":[]}", ""};
        begin(REQUEST_CLIENT_ROOMS);
        put(&records, "");
        put(&records, "");
        put(&records, bad[i]);
        is_int(part(1, &records), -1, "what has no rooms");
        collect_clear(&collect);
    }
    buf_free(&records);
}

static void test_malformed(void)
{
    static const enum request_type types[] = {REQUEST_SOCKETS, REQUEST_ALL_ROOMS, REQUEST_FETCH};
    struct buf records = {0};
    size_t whole;

    for (size_t i = 0; i < 3; i++) {
        if (types[i] == REQUEST_SOCKETS)
            put(&records, "abc");
        else if (types[i] == REQUEST_ALL_ROOMS)
            put_room(&records, 0, "abc");
        else
            put_socket(&records, "abc", "{}");
        whole = records.len;
        for (size_t len = 0; len < whole; len++) {
            unsigned char *at = tap_guard(records.data, len);
            begin(types[i]);
            ok(collect_part(&collect, 1, (struct slice){(char *)at, len}) == -1,
               "%zu bytes of a record", len);
            collect_clear(&collect);
            tap_guard_free(at, len);
        }
        begin(types[i]);
        buf_putc(&records, 0);
        is_int(part(1, &records), -1, "one byte too many");
        collect_clear(&collect);
    }
    buf_free(&records);
}

static void test_too_large(void)
{
    static char id[65536];
    struct buf records = {0}, payload = {0};

    memset(id, 'x', sizeof(id) - 1);
    begin(REQUEST_SOCKETS);
    while (!collect.is_too_large) {
        put(&records, id);
        if (part(1, &records) < 0)
            break;
    }
    is_int(collect.n, 384, "past 24 MB there is no answer");
    ok(collect_bytes(&collect) < 4096, "nor what it would have been");
    put(&records, id);
    is_int(part(1, &records), 0, "more of it means nothing");
    collect_clear(&collect);
    buf_free(&records);
    buf_free(&payload);
}

int main(void)
{
    test_ids();
    test_rooms();
    test_sockets();
    test_rooms_of();
    test_malformed();
    test_too_large();
    return tap_done();
}
