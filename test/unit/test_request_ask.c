#include "codec/request.h"

#include "hex.h"
#include "request_show.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct emit_limits limits = {4194304, 10};
static struct answer answer;
static struct request request;
static struct buf out;

static void is_out(const char *want, const char *name)
{
    is_mem(out.data, out.len, want, strlen(want), name);
    buf_reset(&out);
}

/* ---- what we ask ---- */

static void test_broadcast(void)
{
    static struct slice names[] = {{"r", 1}, {"s", 1}, {"r", 1}}, excepted[] = {{"x", 1}};
    static const struct slices rooms = {names, 3, 3}, except = {excepted, 1, 1}, none = {0};
    struct request_broadcast one = {
        .uid = SLICE("AbC-_1"),
        .id = SLICE("h-WVc4"),
        .nsp = SLICE("/axr"),
        .rooms = &rooms,
        .except = &except,
        .timeout_ms = 1000,
        .json = SLICE("[\"ev\",\"q\"]"),
        .flags = BROADCAST_VOLATILE,
    };
    struct buf want = {0};

    is_int(request_put_broadcast(&out, &one), 0, "a broadcast");
    is_int(request_decode(&request, (struct slice){(const char *)out.data, out.len}, SLICE("/axr"),
                          &limits),
           REQUEST_OK, "is one");
    is_str(show(&request),
           "broadcast id=\"h-WVc4\" uid=AbC-_1 timeout=1000 json=[\"ev\",\"q\" to=\"r\",\"s\" "
           "not=\"x\"",
           "with all that it has");
    buf_reset(&out);
    /* one that a server sent */
    one.uid = SLICE("C8RqM_");
    one.nsp = SLICE("/");
    one.rooms = one.except = &none;
    one.flags = 0;
    is_int(request_put_broadcast(&out, &one), 0, "to all");
    hex_put(&want,
            "85a3756964a6433852714d5fa9726571756573744964a6682d57566334a47479706507"
            "a67061636b657483a47479706502a46461746192a26576a171a36e7370a12f"
            "a46f70747383a5726f6f6d7390 a5666c61677381a774696d656f7574cd03e8 a665786365707490");
    is_mem(out.data, out.len, want.data, want.len, "as a server sends it");
    buf_free(&want);
    buf_reset(&out);
    one.json = SLICE("{}");
    is_int(request_put_broadcast(&out, &one), -1, "no array");
    buf_reset(&out);
    one.json = SLICE("[1");
    is_int(request_put_broadcast(&out, &one), -1, "no JSON");
    buf_reset(&out);
}

static void test_server_side_emit(void)
{
    is_int(request_put_server_side_emit(&out, SLICE("u"), SLICE("e\"v"), SLICE("{\"a\":[1]}")), 0,
           "an event for servers");
    is_out("{\"uid\":\"u\",\"type\":6,\"data\":[\"e\\\"v\",{\"a\":[1]}]}", "as they send it");
    is_int(request_put_server_side_emit(&out, SLICE("u"), SLICE("e"), SLICE("1]")), -1, "no JSON");
    is_int((long)out.len, 0, "is not sent");
}

/* What is put is what servers take, whatever is in the name. */
static void is_taken(const char *want, const char *name)
{
    is_int(request_decode(&request, (struct slice){(const char *)out.data, out.len}, SLICE("/axr"),
                          &limits),
           REQUEST_OK, name);
    is_str(show(&request), want, "with all that it has");
    buf_reset(&out);
}

static void test_of_room(void)
{
    is_int(request_put_fetch(&out, SLICE("AbC-_1"), SLICE("i-_9"), SLICE("u\"\\\n\xc3\xa9")), 0,
           "a fetch");
    is_mem(out.data, out.len,
           "{\"uid\":\"AbC-_1\",\"requestId\":\"i-_9\",\"type\":5,\"opts\":{\"rooms\":"
           "[\"u\\\"\\\\\\n\xc3\xa9\"],\"except\":[]}}",
           87, "as servers send it");
    is_taken("fetch id=\"i-_9\" uid=AbC-_1 rooms=\"u\\\"\\\\\\n\xc3\xa9\"", "is one");
    is_int(request_put_disconnect(&out, SLICE("AbC-_1"), SLICE("u"), 1), 0, "a disconnect");
    is_taken("disconnect uid=AbC-_1 rooms=\"u\" close", "is one");
    is_int(request_put_disconnect(&out, SLICE("AbC-_1"), SLICE("u"), 0), 0, "without the end");
    is_taken("disconnect uid=AbC-_1 rooms=\"u\"", "is one");
}

/* ---- what comes back ---- */

static enum answer_type decode(const void *payload, size_t len)
{
    unsigned char *guarded = tap_guard(payload, len);
    enum answer_type type =
        answer_decode(&answer, (struct slice){(const char *)guarded, len}, SLICE("i-_9"), &limits);

    /* What it borrows is looked at while it is there. */
    buf_reset(&out);
    buf_put(&out, answer.json.ptr, answer.json.len);
    for (size_t i = 0; i < answer.attachments.n; i++)
        buf_printf(&out, " %zu:%02x", answer.attachments.at[i].len,
                   answer.attachments.at[i].len > 0 ? answer.attachments.at[i].ptr[0] : 0);
    tap_guard_free(guarded, len);
    return type;
}

#define COUNTED "{\"type\":8,\"requestId\":\"i-_9\",\"clientCount\":"

static void test_json(void)
{
    static const struct {
        const char *payload;
        enum answer_type type;
        int clients;
        const char *json;
    } cases[] = {
        {COUNTED "7}", ANSWER_COUNT, 7, ""},
        {COUNTED "0}", ANSWER_COUNT, 0, ""},
        {"{\"requestId\":\"i-_9\",\"clientCount\":1e2,\"type\":8.0,\"x\":1}", ANSWER_COUNT, 100,
         ""},
        {COUNTED "-1}", ANSWER_NONE, 0, NULL},
        {COUNTED "4294967296}", ANSWER_NONE, 0, NULL},
        {COUNTED "1e999}", ANSWER_NONE, 0, NULL},
        {COUNTED "0.5}", ANSWER_NONE, 0, NULL},
        {COUNTED "\"7\"}", ANSWER_NONE, 0, NULL},
        {COUNTED "null}", ANSWER_NONE, 0, NULL},
        {COUNTED "7", ANSWER_NONE, 0, NULL},
        {"{\"type\":8,\"requestId\":\"i-_9\"}", ANSWER_NONE, 0, NULL},
        {"{\"type\":8,\"requestId\":\"i-_8\",\"clientCount\":1}", ANSWER_NONE, 0, NULL},
        {"{\"type\":8,\"requestId\":\"i-_99\",\"clientCount\":1}", ANSWER_NONE, 0, NULL},
        {"{\"type\":8,\"requestId\":5,\"clientCount\":1}", ANSWER_NONE, 0, NULL},
        {"{\"type\":8,\"clientCount\":1}", ANSWER_NONE, 0, NULL},
        {"{\"type\":6,\"requestId\":\"i-_9\",\"data\":null,\"clientCount\":1}", ANSWER_NONE, 0,
         NULL},
        {"{\"requestId\":\"i-_9\",\"sockets\":[]}", ANSWER_NONE, 0, NULL},
        {"{}", ANSWER_NONE, 0, NULL},
        {"{", ANSWER_NONE, 0, NULL},
        {"", ANSWER_NONE, 0, NULL},
        {"x", ANSWER_NONE, 0, NULL},
        /* where the adapter's parser is JSON */
        {"{\"type\":9,\"requestId\":\"i-_9\",\"packet\":{\"a\":[1.0]}}", ANSWER_ACK, 0,
         "{\"a\":[1.0]}"},
        {"{\"type\":9,\"requestId\":\"i-_9\"}", ANSWER_ACK, 0, ""},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        is_int(decode(cases[i].payload, strlen(cases[i].payload)), cases[i].type, cases[i].payload);
        if (cases[i].type == ANSWER_COUNT)
            is_int((long)answer.clients, cases[i].clients, "clients");
        if (cases[i].json != NULL)
            is_out(cases[i].json, "argument");
    }
}

#define ACK "a474797065 09 a9726571756573744964 a4692d5f39"

static void test_msgpack(void)
{
    static const struct {
        const char *hex;
        enum answer_type type;
        const char *shown;
    } cases[] = {
        {"83" ACK "a67061636b6574 a5422d61636b", ANSWER_ACK, "\"B-ack\""},
        {"83" ACK "a67061636b6574 c0", ANSWER_ACK, "null"},
        {"83" ACK "a67061636b6574 81a16190", ANSWER_ACK, "{\"a\":[]}"},
        {"83" ACK "a67061636b6574 93 01 c40102 c400", ANSWER_ACK,
         "[1,{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}] 1:02 0:00"},
        {"83" ACK "a67061636b6574 c40105", ANSWER_ACK, "{\"_placeholder\":true,\"num\":0} 1:05"},
        {"83" ACK "a67061636b6574 d40000", ANSWER_ACK, ""},
        {"83" ACK "a67061636b6574 d6ff6553f100", ANSWER_ACK, "\"2023-11-14T22:13:20.000Z\""},
        {"82" ACK, ANSWER_ACK, ""},
        /* too many attachments: an answer all the same */
        {"83" ACK "a67061636b6574 9b c400c400c400c400c400c400c400c400c400c400c400", ANSWER_ACK, ""},
        {"83" ACK "a67061636b6574 c0 c0", ANSWER_NONE, ""},
        {"83" ACK "a67061636b6574", ANSWER_NONE, ""},
        {"83" ACK "01 02", ANSWER_NONE, ""},
        {"82 a474797065 08 a9726571756573744964 a4692d5f39", ANSWER_NONE, ""},
        {"82 a474797065 09 a9726571756573744964 a4692d5f38", ANSWER_NONE, ""},
        {"82 a474797065 09 a9726571756573744964 09", ANSWER_NONE, ""},
        {"81 a474797065 09", ANSWER_NONE, ""},
        {"80", ANSWER_NONE, ""},
        {"93 a165 80 80", ANSWER_NONE, ""},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf payload = {0};
        int cut = 0;

        hex_put(&payload, cases[i].hex);
        is_int(decode(payload.data, payload.len), cases[i].type, cases[i].hex);
        is_out(cases[i].shown, "its argument");
        for (size_t n = 0; n < payload.len && cases[i].type == ANSWER_ACK; n++)
            cut += decode(payload.data, n) != ANSWER_NONE;
        is_int(cut, 0, "no prefix of it is one");
        buf_free(&payload);
    }
}

/* What is nested too deep to be shown. */
static void test_deep(void)
{
    struct buf payload = {0};

    hex_put(&payload, "83" ACK "a67061636b6574");
    for (int i = 0; i < 100000; i++)
        buf_putc(&payload, 0x91);
    buf_putc(&payload, 0xc0);
    is_int(decode(payload.data, payload.len), ANSWER_ACK, "an answer all the same");
    is_out("", "without what it says");
    buf_free(&payload);
}

int main(void)
{
    test_broadcast();
    test_server_side_emit();
    test_of_room();
    test_json();
    test_msgpack();
    test_deep();
    answer_clear(&answer);
    request_clear(&request);
    buf_free(&out);
    buf_free(&shown);
    return tap_done();
}
