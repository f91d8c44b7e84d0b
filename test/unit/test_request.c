#include "codec/request.h"

#include "hex.h"
#include "request_show.h"
#include "tap.h"

#include <cjson/cJSON.h>
#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct emit_limits limits = {4194304, 10};
static struct request request;

static enum request_result decode(const void *payload, size_t len)
{
    unsigned char *guarded = tap_guard(payload, len);
    enum request_result result = request_decode(
        &request, (struct slice){(const char *)guarded, len}, SLICE("/axr"), &limits);

    show(&request); /* what borrows from it */
    tap_guard_free(guarded, len);
    return result;
}

struct one {
    const char *payload;
    enum request_result result;
    const char *shown;
};

static void check(const struct one *one, size_t len)
{
    is_int(decode(one->payload, len), one->result, one->payload);
    is_str((const char *)shown.data, one->shown, one->payload);
}

static void check_all(const struct one *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check(&cases[i], strlen(cases[i].payload));
}

/* ---- JSON ---- */

#define ID "\"requestId\":\"i\","

static void test_types(void)
{
    static const struct one cases[] = {
        {"{\"requestId\":\"UP635i\",\"type\":1}", REQUEST_OK, "all_rooms id=\"UP635i\""},
        {"{" ID "\"type\":0,\"rooms\":[\"r\"]}", REQUEST_OK, "sockets id=\"i\" rooms=\"r\""},
        {"{\"uid\":\"U\"," ID "\"type\":0,\"rooms\":[]}", REQUEST_OK, "sockets id=\"i\" uid=U"},
        {"{" ID "\"type\":2,\"sid\":\"S\",\"room\":\"z\"}", REQUEST_OK,
         "join id=\"i\" by_id rooms=\"S\" names=\"z\""},
        {"{" ID "\"type\":3,\"sid\":\"S\",\"room\":\"z\"}", REQUEST_OK,
         "leave id=\"i\" by_id rooms=\"S\" names=\"z\""},
        {"{" ID "\"type\":4,\"sid\":\"S\",\"close\":true}", REQUEST_OK,
         "disconnect id=\"i\" by_id rooms=\"S\" close"},
        {"{" ID "\"type\":5,\"opts\":{\"rooms\":[\"s\"],\"except\":[\"q\"]}}", REQUEST_OK,
         "fetch id=\"i\" rooms=\"s\" except=\"q\""},
        {"{\"type\":2,\"opts\":{\"rooms\":[\"s\"],\"except\":[\"q\"]},\"rooms\":[\"j\",\"k\"]}",
         REQUEST_OK, "join rooms=\"s\" except=\"q\" names=\"j\",\"k\""},
        {"{\"type\":3,\"opts\":{\"rooms\":[],\"except\":[]},\"rooms\":[\"j\"]}", REQUEST_OK,
         "leave names=\"j\""},
        {"{\"uid\":\"U\",\"type\":4,\"opts\":{\"rooms\":[],\"except\":[]},\"close\":true}",
         REQUEST_OK, "disconnect uid=U close"},
        {"{\"type\":4,\"opts\":{\"rooms\":[\"a\",\"b\"],\"except\":[]},\"close\":false}",
         REQUEST_OK, "disconnect rooms=\"a\",\"b\""},
        {"{\"uid\":\"U\",\"type\":6,\"data\":[\"sse\",1]}", REQUEST_OK, "server_side_emit uid=U"},
        {"{\"uid\":\"U\"," ID "\"type\":6,\"data\":[\"sse\",1]}", REQUEST_OK,
         "server_side_emit id=\"i\" uid=U"},
        /* the older kind */
        {"{\"requestid\":\"i\",\"type\":0,\"rooms\":[\"r\"]}", REQUEST_OK,
         "sockets old id=\"i\" rooms=\"r\""},
        {"{\"requestid\":\"i\",\"type\":1,\"sid\":\"S\"}", REQUEST_OK,
         "client_rooms old id=\"i\" by_id rooms=\"S\""},
        {"{\"requestid\":\"i\",\"type\":2}", REQUEST_OK, "all_rooms old id=\"i\""},
        {"{\"requestid\":\"i\",\"type\":3,\"sid\":\"S\",\"room\":\"z\"}", REQUEST_OK,
         "join old id=\"i\" by_id rooms=\"S\" names=\"z\""},
        {"{\"requestid\":\"i\",\"type\":4,\"sid\":\"S\",\"room\":\"z\"}", REQUEST_OK,
         "leave old id=\"i\" by_id rooms=\"S\" names=\"z\""},
        {"{\"requestid\":\"i\",\"type\":5,\"data\":\"x\"}", REQUEST_OK, "custom old id=\"i\""},
        {"{\"requestid\":\"i\",\"type\":6,\"sid\":\"S\",\"close\":true}", REQUEST_OK,
         "disconnect old id=\"i\" by_id rooms=\"S\" close"},
        {"{\"requestid\":\"i\",\"requestId\":\"I\",\"type\":1}", REQUEST_OK, "all_rooms id=\"I\""},
        /* what there is no such type of */
        {"{}", REQUEST_UNKNOWN, "unknown"},
        {"{" ID "\"type\":8,\"clientCount\":1}", REQUEST_UNKNOWN, "unknown id=\"i\""},
        {"{" ID "\"type\":9}", REQUEST_UNKNOWN, "unknown id=\"i\""},
        {"{" ID "\"type\":-1}", REQUEST_UNKNOWN, "unknown id=\"i\""},
        {"{" ID "\"type\":1.5}", REQUEST_UNKNOWN, "unknown id=\"i\""},
        {"{" ID "\"type\":\"1\"}", REQUEST_UNKNOWN, "unknown id=\"i\""},
        {"{" ID "\"type\":null}", REQUEST_UNKNOWN, "unknown id=\"i\""},
        {"{" ID "\"type\":[1]}", REQUEST_UNKNOWN, "unknown id=\"i\""},
        {"{" ID "\"type\":1e999}", REQUEST_UNKNOWN, "unknown id=\"i\""},
        {"{\"requestid\":\"i\",\"type\":7}", REQUEST_UNKNOWN, "unknown old id=\"i\""},
        {"{" ID "\"type\":1.0}", REQUEST_OK, "all_rooms id=\"i\""},
        {"{" ID "\"type\":10e-1}", REQUEST_OK, "all_rooms id=\"i\""},
        {"{" ID "\"type\":-0}", REQUEST_OK, "sockets id=\"i\""},
    };

    check_all(cases, COUNT(cases));
}

static void test_ids(void)
{
    static const struct one cases[] = {
        {"{\"requestId\":42,\"type\":1}", REQUEST_OK, "all_rooms id=42"},
        {"{\"requestId\":-1.5e3,\"type\":1}", REQUEST_OK, "all_rooms id=-1.5e3"},
        {"{\"requestId\":\"\\u0000\\ud800\\\"\",\"type\":1}", REQUEST_OK,
         "all_rooms id=\"\\u0000\\ud800\\\"\""},
        {"{\"requestId\":\"\",\"type\":1}", REQUEST_OK, "all_rooms id=\"\""},
        {"{\"requestId\":null,\"type\":1}", REQUEST_MALFORMED, "all_rooms"},
        {"{\"requestId\":{},\"type\":1}", REQUEST_MALFORMED, "all_rooms"},
        {"{\"requestId\":[1],\"type\":5,\"opts\":{}}", REQUEST_MALFORMED, "fetch"},
        {"{\"requestId\":true,\"type\":6}", REQUEST_MALFORMED, "server_side_emit"},
        {"{\"type\":1}", REQUEST_MALFORMED, "all_rooms"},
        {"{\"type\":0,\"rooms\":[]}", REQUEST_MALFORMED, "sockets"},
        {"{\"type\":5,\"opts\":{}}", REQUEST_MALFORMED, "fetch"},
        {"{\"type\":2,\"sid\":\"S\",\"room\":\"z\"}", REQUEST_OK,
         "join by_id rooms=\"S\" names=\"z\""},
        /* with opts there is no answer, whatever it says */
        {"{" ID "\"type\":2,\"opts\":{},\"rooms\":\"z\",\"sid\":\"S\"}", REQUEST_OK,
         "join names=\"z\""},
        /* uid */
        {"{\"uid\":1,\"type\":6}", REQUEST_OK, "server_side_emit"},
        {"{\"uid\":null,\"type\":6}", REQUEST_OK, "server_side_emit"},
        {"{\"uid\":\"a\\u00e4\",\"type\":6}", REQUEST_OK, "server_side_emit uid=a\xc3\xa4"},
        {"{\"uid\":\"a\\ud800\",\"type\":6}", REQUEST_OK, "server_side_emit"},
    };
    char text[600];

    check_all(cases, COUNT(cases));
    snprintf(text, sizeof(text), "{\"requestId\":\"%0254d\",\"type\":1}", 0);
    is_int(decode(text, strlen(text)), REQUEST_OK, "an id as long as may be");
    is_int((long)request.id.len, REQUEST_ID_MAX, "is there");
    snprintf(text, sizeof(text), "{\"requestId\":\"%0255d\",\"type\":1}", 0);
    is_int(decode(text, strlen(text)), REQUEST_MALFORMED, "a longer one is none");
    is_int((long)request.id.len, 0, "and cannot be answered");
    snprintf(text, sizeof(text), "{\"uid\":\"%0255d\",\"type\":6}", 0);
    is_int(decode(text, strlen(text)), REQUEST_OK, "a uid that is too long");
    is_int((long)request.uid.len, 0, "is none");
}

static void test_shapes(void)
{
    static const struct one cases[] = {
        {"", REQUEST_MALFORMED, "unknown"},
        {"{", REQUEST_MALFORMED, "unknown"},
        {"{\"type\":1", REQUEST_MALFORMED, "unknown"},
        {"{" ID "\"type\":1}x", REQUEST_MALFORMED, "unknown"},
        {"{" ID "\"type\":1}{}", REQUEST_MALFORMED, "unknown"},
        {"{'type':1}", REQUEST_MALFORMED, "unknown"},
        {"{" ID "\"type\":01}", REQUEST_MALFORMED, "unknown"},
        {"[]", REQUEST_MALFORMED, "unknown"},
        {" {" ID "\"type\":1}", REQUEST_MALFORMED, "unknown"},
        {"{ \"requestId\"\t:\r\n \"i\" ,\n\"type\" : 1 } \n", REQUEST_OK, "all_rooms id=\"i\""},
        {"{\"type\":1,\"x\":{\"type\":2},\"__proto__\":{\"type\":3}," ID "\"y\":\"}\\\"\"}",
         REQUEST_OK, "all_rooms id=\"i\""},
        {"{\"type\":1,\"type\":0," ID "\"rooms\":[\"a\"],\"rooms\":[\"b\"]}", REQUEST_OK,
         "sockets id=\"i\" rooms=\"b\""},
        {"{\"t\\u0079pe\":1,\"request\\u0049d\":\"i\"}", REQUEST_OK, "all_rooms id=\"i\""},
        {"{\"type\\u0000\":1,\"Type\":1,\"typ\":1,\"types\":1,\"\":1,\"\\type\":1}",
         REQUEST_UNKNOWN, "unknown"},
        /* opts */
        {"{" ID "\"type\":5}", REQUEST_MALFORMED, "fetch id=\"i\""},
        {"{" ID "\"type\":5,\"opts\":null}", REQUEST_MALFORMED, "fetch id=\"i\""},
        {"{" ID "\"type\":5,\"opts\":\"x\"}", REQUEST_MALFORMED, "fetch id=\"i\""},
        {"{" ID "\"type\":5,\"opts\":[\"x\"]}", REQUEST_MALFORMED, "fetch id=\"i\""},
        {"{" ID "\"type\":5,\"opts\":[ ]}", REQUEST_OK, "fetch id=\"i\""},
        {"{" ID "\"type\":5,\"opts\":{}}", REQUEST_OK, "fetch id=\"i\""},
        {"{" ID "\"type\":5,\"opts\":{\"rooms\":[\"a\"],\"rooms\":[],\"except\":[\"b\"]}}",
         REQUEST_OK, "fetch id=\"i\" except=\"b\""},
        {"{\"type\":4}", REQUEST_MALFORMED, "disconnect by_id"},
        {"{\"type\":4,\"opts\":null}", REQUEST_MALFORMED, "disconnect by_id"},
        {"{\"type\":4,\"opts\":0}", REQUEST_MALFORMED, "disconnect by_id"},
        {"{\"type\":4,\"opts\":true}", REQUEST_MALFORMED, "disconnect"},
        {"{\"type\":4,\"opts\":[]}", REQUEST_OK, "disconnect"},
        {"{\"type\":4,\"opts\":{}}", REQUEST_OK, "disconnect"},
        {"{" ID "\"type\":2,\"rooms\":[\"x\"]}", REQUEST_MALFORMED, "join by_id"},
        /* the sid */
        {"{" ID "\"type\":4,\"sid\":5}", REQUEST_MALFORMED, "disconnect by_id"},
        {"{" ID "\"type\":4,\"sid\":\"\"}", REQUEST_MALFORMED, "disconnect by_id"},
        {"{" ID "\"type\":4,\"sid\":[\"S\"]}", REQUEST_MALFORMED, "disconnect by_id"},
        {"{\"requestid\":\"i\",\"type\":1}", REQUEST_MALFORMED, "client_rooms old by_id"},
        {"{" ID "\"type\":2,\"sid\":\"S\"}", REQUEST_MALFORMED, "join by_id rooms=\"S\""},
    };

    check_all(cases, COUNT(cases));
}

#define SOCKETS "{" ID "\"type\":0,\"rooms\":"
#define JOIN    "{\"type\":2,\"opts\":{},\"rooms\":"
#define KICK    "{\"type\":4,\"opts\":{},\"close\":"

static void test_rooms(void)
{
    static const struct one cases[] = {
        {SOCKETS "null}", REQUEST_OK, "sockets id=\"i\""},
        {SOCKETS "\"\"}", REQUEST_OK, "sockets id=\"i\""},
        {SOCKETS "[]}", REQUEST_OK, "sockets id=\"i\""},
        {SOCKETS "[\"\"]}", REQUEST_OK, "sockets id=\"i\" rooms=\"\""},
        {SOCKETS "\"abc\"}", REQUEST_OK, "sockets id=\"i\" rooms=\"abc\""},
        {SOCKETS "42}", REQUEST_OK, "sockets id=\"i\" rooms=42"},
        {SOCKETS "[42,\"42\",4.2e1,1e999,\"a\",\"a\"]}", REQUEST_OK,
         "sockets id=\"i\" rooms=42,\"42\",\"a\""},
        {SOCKETS "[-0,1e21,0.1]}", REQUEST_OK, "sockets id=\"i\" rooms=0,1e+21,0.1"},
        {SOCKETS "{}}", REQUEST_MALFORMED, "sockets id=\"i\""},
        {SOCKETS "true}", REQUEST_MALFORMED, "sockets id=\"i\""},
        {SOCKETS "false}", REQUEST_MALFORMED, "sockets id=\"i\""},
        {SOCKETS "1e999}", REQUEST_OK, "sockets id=\"i\" rooms=nobody"},
        {SOCKETS "[null]}", REQUEST_OK, "sockets id=\"i\" rooms=nobody"},
        {SOCKETS "[[\"a\"],{\"b\":1},true,null]}", REQUEST_OK, "sockets id=\"i\" rooms=nobody"},
        {SOCKETS "[[\"a\"],\"c\",null]}", REQUEST_OK, "sockets id=\"i\" rooms=\"c\""},
        /* what cJSON cannot hold */
        {SOCKETS "[\"a\\u0000b\",\"a\"]}", REQUEST_OK,
         "sockets id=\"i\" rooms=\"a\\u0000b\",\"a\""},
        {SOCKETS "[\"a\\\\u0000\"]}", REQUEST_OK, "sockets id=\"i\" rooms=\"a\\\\u0000\""},
        {SOCKETS "[\"\\ud800\",\"\\udc00\",\"\\ud800\\ud800\",\"\\ud800x\",\"\\ud83d\\\\ude00\"]}",
         REQUEST_OK, "sockets id=\"i\" rooms=nobody"},
        {SOCKETS "[\"\\ud83d\\ude00\\u00e4\\ud83d\\uDE01\"]}", REQUEST_OK,
         "sockets id=\"i\" rooms=\"\xf0\x9f\x98\x80\xc3\xa4\xf0\x9f\x98\x81\""},
        {SOCKETS "\"\\ud800\"}", REQUEST_OK, "sockets id=\"i\" rooms=nobody"},
        {SOCKETS "[\"\\u0000\",\"\\u0000\"]}", REQUEST_OK, "sockets id=\"i\" rooms=\"\\u0000\""},
        /* except */
        {"{" ID "\"type\":5,\"opts\":{\"except\":[null,\"a\",1]}}", REQUEST_OK,
         "fetch id=\"i\" except=\"a\",1"},
        {"{" ID "\"type\":5,\"opts\":{\"except\":[null]}}", REQUEST_OK, "fetch id=\"i\""},
        {"{" ID "\"type\":5,\"opts\":{\"except\":\"a\",\"rooms\":null}}", REQUEST_OK,
         "fetch id=\"i\" except=\"a\""},
        {"{" ID "\"type\":5,\"opts\":{\"except\":{}}}", REQUEST_MALFORMED, "fetch id=\"i\""},
        {"{\"type\":4,\"opts\":{\"rooms\":[null]}}", REQUEST_OK, "disconnect rooms=nobody"},
        /* names */
        {JOIN "\"b\"}", REQUEST_OK, "join names=\"b\""},
        {JOIN "\"\"}", REQUEST_OK, "join names=\"\""},
        {JOIN "7}", REQUEST_OK, "join names=7"},
        {JOIN "[\"b\",null,7,\"b\",[\"c\"],\"\\ud800\"]}", REQUEST_OK, "join names=\"b\",7"},
        {JOIN "[null]}", REQUEST_OK, "join"},
        {JOIN "[]}", REQUEST_OK, "join"},
        {JOIN "null}", REQUEST_MALFORMED, "join"},
        {JOIN "{\"0\":\"b\"}}", REQUEST_MALFORMED, "join"},
        {JOIN "true}", REQUEST_MALFORMED, "join"},
        {"{\"type\":2,\"opts\":{}}", REQUEST_MALFORMED, "join"},
        {"{" ID "\"type\":2,\"sid\":\"S\",\"room\":[\"a\",2]}", REQUEST_OK,
         "join id=\"i\" by_id rooms=\"S\" names=\"a\",2"},
        /* close */
        {KICK "true}", REQUEST_OK, "disconnect close"},
        {KICK "1}", REQUEST_OK, "disconnect close"},
        {KICK "\"x\"}", REQUEST_OK, "disconnect close"},
        {KICK "[]}", REQUEST_OK, "disconnect close"},
        {KICK "{}}", REQUEST_OK, "disconnect close"},
        {KICK "false}", REQUEST_OK, "disconnect"},
        {KICK "null}", REQUEST_OK, "disconnect"},
        {KICK "0}", REQUEST_OK, "disconnect"},
        {KICK "-0.0}", REQUEST_OK, "disconnect"},
        {KICK "\"\"}", REQUEST_OK, "disconnect"},
    };

    check_all(cases, COUNT(cases));
}

/* As Buffer.toString() has it. */
static void test_utf8(void)
{
    static const struct one cases[] = {
        {SOCKETS "[\"a\xff\",\"b\"]}", REQUEST_OK,
         "sockets id=\"i\" rooms=\"a\xef\xbf\xbd\",\"b\""},
        {SOCKETS "[\"\xed\xa0\x80\"]}", REQUEST_OK,
         "sockets id=\"i\" rooms=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"{\"requestId\":\"\xff\",\"type\":1}", REQUEST_OK, "all_rooms id=\"\\ufffd\""},
        {"{\xff}", REQUEST_MALFORMED, "unknown"},
    };

    check_all(cases, COUNT(cases));
}

/* ---- sizes ---- */

/* rooms of n values, each of them the text that format makes of its number. */
static enum request_result decode_rooms(const char *format, unsigned n)
{
    struct buf text = {0};
    enum request_result result;

    buf_puts(&text, SOCKETS "[");
    for (unsigned i = 0; i < n; i++) {
        char one[32];

        snprintf(one, sizeof(one), "%u", i);
        buf_puts(&text, i > 0 ? "," : "");
        for (const char *at = format; *at != '\0'; at++)
            *at == '#' ? buf_puts(&text, one) : buf_putc(&text, (uint8_t)*at);
    }
    buf_puts(&text, "]}");
    result = decode(text.data, text.len);
    buf_free(&text);
    return result;
}

static void test_sizes(void)
{
    static const char *const formats[] = {"\"r#\"", "#", "-0.1234567890#9e-300"};
    struct emit_limits low = limits;
    struct slice text = SLICE(SOCKETS "[]}");

    for (size_t i = 0; i < COUNT(formats); i++) {
        is_int(decode_rooms(formats[i], EMIT_ROOMS_MAX), REQUEST_OK, "as many rooms as may be");
        is_int((long)request.rooms.n, EMIT_ROOMS_MAX, "are all there");
        is_int(decode_rooms(formats[i], EMIT_ROOMS_MAX + 1), REQUEST_TOO_LARGE, "one more");
        ok(request.id.len > 0 && request.type == REQUEST_SOCKETS, "can be answered");
    }
    is_int(decode_rooms("\"r\"", REQUEST_VALUES_MAX - 1), REQUEST_OK, "often the same");
    is_int((long)request.rooms.n, 1, "is one");
    is_int(decode_rooms("\"r\"", REQUEST_VALUES_MAX), REQUEST_TOO_LARGE, "too often");
    is_int(decode_rooms("[]", REQUEST_VALUES_MAX / 2 + 1), REQUEST_TOO_LARGE, "too many arrays");
    is_int(decode_rooms("{\"a\":1}", REQUEST_VALUES_MAX / 2 + 1), REQUEST_TOO_LARGE,
           "too many objects");
    is_int(decode_rooms("\",,,,[[[[\\\\\\\"{{\"", 10000), REQUEST_OK,
           "what is in strings is not counted");
    low.message_bytes = text.len;
    is_int(request_decode(&request, text, SLICE("/axr"), &low), REQUEST_OK, "at the limit");
    low.message_bytes--;
    is_int(request_decode(&request, text, SLICE("/axr"), &low), REQUEST_TOO_LARGE, "above it");
    is_str(show(&request), "unknown", "nothing is known of it");
}

/* n brackets of each kind around nothing. */
static enum request_result decode_deep(const char *before, unsigned n, const char *behind)
{
    struct buf text = {0};
    enum request_result result;

    buf_puts(&text, before);
    for (unsigned i = 0; i < n; i++)
        buf_putc(&text, '[');
    for (unsigned i = 0; i < n; i++)
        buf_putc(&text, ']');
    buf_puts(&text, behind);
    result = decode(text.data, text.len);
    buf_free(&text);
    return result;
}

static void test_depth(void)
{
    is_int(decode_deep(SOCKETS "[\"a\",", 510, "]}"), REQUEST_OK, "a room that is 510 deep");
    is_str((const char *)shown.data, "sockets id=\"i\" rooms=\"a\"", "is nobody's");
    is_int(decode_deep(SOCKETS "[\"a\",", 511, "]}"), REQUEST_MALFORMED, "no deeper");
    is_int(decode_deep(SOCKETS, 2000000, "}"), REQUEST_MALFORMED, "nor in megabytes");
    is_int(decode_deep("{" ID "\"type\":6,\"data\":", 511, "}"), REQUEST_OK, "data as deep");
}

/* What is not looked at may be as much as a message. */
static void test_data(void)
{
    struct buf text = {0};

    buf_puts(&text, "{\"data\":[\"e\",\"\\u0000\\ud800\"");
    for (int i = 0; i < 1000000; i++)
        buf_puts(&text, ",[]");
    buf_puts(&text, "]," ID "\"type\":6}");
    is_int(decode(text.data, text.len), REQUEST_OK, "a million values in data");
    is_str((const char *)shown.data, "server_side_emit id=\"i\"", "are an event like any other");
    buf_free(&text);
}

/* ---- broadcasts ---- */

#define HEAD   "85 a3756964 a6433852714d5f a9726571756573744964 a668 2d57566334 a474797065 07 "
#define PACKET "a67061636b6574 83 a474797065 02 a464617461 92 a26576 a171 a36e7370 a42f617872 "
#define OPTS   "a46f707473 83 a5726f6f6d73 90 a6657863657074 90 a5666c616773 81 a774696d656f7574 "

static void test_msgpack(void)
{
    static const struct one cases[] = {
        {HEAD PACKET OPTS "cd03e8", REQUEST_OK,
         "broadcast id=\"h-WVc4\" uid=C8RqM_ timeout=1000 json=[\"ev\",\"q\""},
        {HEAD PACKET "a46f707473 83 a5726f6f6d73 92 a172 2a a6657863657074 91 a173 a5666c616773 80",
         REQUEST_OK, "broadcast id=\"h-WVc4\" uid=C8RqM_ json=[\"ev\",\"q\" to=\"r\",42 not=\"s\""},
        {HEAD PACKET "a46f707473 81 a5726f6f6d73 91 c0", REQUEST_OK,
         "broadcast id=\"h-WVc4\" uid=C8RqM_ json=[\"ev\",\"q\" to=nobody"},
        {HEAD PACKET "a46f707473 80", REQUEST_OK,
         "broadcast id=\"h-WVc4\" uid=C8RqM_ json=[\"ev\",\"q\""},
        /* times */
        {HEAD PACKET OPTS "ff", REQUEST_OK,
         "broadcast id=\"h-WVc4\" uid=C8RqM_ json=[\"ev\",\"q\""},
        {HEAD PACKET OPTS "cf0000010000000000", REQUEST_OK,
         "broadcast id=\"h-WVc4\" uid=C8RqM_ timeout=4294967295 json=[\"ev\",\"q\""},
        {HEAD PACKET OPTS "cb3fe0000000000000", REQUEST_OK,
         "broadcast id=\"h-WVc4\" uid=C8RqM_ timeout=1 json=[\"ev\",\"q\""},
        {HEAD PACKET OPTS "cb7ff8000000000000", REQUEST_OK,
         "broadcast id=\"h-WVc4\" uid=C8RqM_ json=[\"ev\",\"q\""},
        {HEAD PACKET OPTS "a3313030", REQUEST_OK,
         "broadcast id=\"h-WVc4\" uid=C8RqM_ json=[\"ev\",\"q\""},
        /* namespaces */
        {HEAD "a67061636b6574 81 a464617461 91 a26576 a46f707473 80", REQUEST_OK,
         "broadcast id=\"h-WVc4\" uid=C8RqM_ json=[\"ev\""},
        {HEAD "a67061636b6574 82 a464617461 91 a26576 a36e7370 a12f a46f707473 80",
         REQUEST_OTHER_NAMESPACE, "broadcast id=\"h-WVc4\" uid=C8RqM_"},
        /* events */
        {HEAD "a67061636b6574 81 a464617461 90 a46f707473 80", REQUEST_BAD_EVENT,
         "broadcast id=\"h-WVc4\" uid=C8RqM_"},
        {HEAD "a67061636b6574 81 a464617461 91 c0 a46f707473 80", REQUEST_BAD_EVENT,
         "broadcast id=\"h-WVc4\" uid=C8RqM_"},
        {HEAD "a67061636b6574 81 a464617461 91 a7636f6e6e656374 a46f707473 80", REQUEST_BAD_EVENT,
         "broadcast id=\"h-WVc4\" uid=C8RqM_"},
        {HEAD "a67061636b6574 81 a464617461 92 a26576 c40101 a46f707473 80", REQUEST_OK,
         "broadcast id=\"h-WVc4\" uid=C8RqM_ json=[\"ev\",{\"_placeholder\":true,\"num\":0} "
         "attachments=1"},
        /* shapes */
        {HEAD "a67061636b6574 81 a464617461 c0 a46f707473 80", REQUEST_MALFORMED,
         "broadcast id=\"h-WVc4\" uid=C8RqM_"},
        {HEAD "a67061636b6574 c0 a46f707473 80", REQUEST_MALFORMED,
         "broadcast id=\"h-WVc4\" uid=C8RqM_"},
        {HEAD PACKET "a46f707473 c0", REQUEST_MALFORMED, "broadcast id=\"h-WVc4\" uid=C8RqM_"},
        {HEAD PACKET "a46f707473 81 a5726f6f6d73 05", REQUEST_MALFORMED,
         "broadcast id=\"h-WVc4\" uid=C8RqM_"},
        {HEAD PACKET OPTS "01 00", REQUEST_MALFORMED, "unknown"},
        {"82 a9726571756573744964 a169 a474797065 07", REQUEST_MALFORMED, "broadcast id=\"i\""},
        {"82 a9726571756573744964 2a a474797065 cb401c000000000000", REQUEST_MALFORMED,
         "broadcast id=42"},
        {"82 a9726571756573744964 a16a a474797065 01", REQUEST_UNKNOWN, "unknown id=\"j\""},
        {"82 a9726571756573744964 c0 a474797065 07", REQUEST_MALFORMED, "broadcast"},
        {"81 a474797065 07", REQUEST_MALFORMED, "broadcast"},
        {"80", REQUEST_UNKNOWN, "unknown"},
        {"81 07 07", REQUEST_MALFORMED, "unknown"},
        {"90", REQUEST_MALFORMED, "unknown"},
        {"93 a175 80 80", REQUEST_MALFORMED, "unknown"},
    };
    struct buf bytes = {0};

    for (size_t i = 0; i < COUNT(cases); i++) {
        buf_reset(&bytes);
        hex_put(&bytes, cases[i].payload);
        is_int(decode(bytes.data, bytes.len), cases[i].result, cases[i].payload);
        is_str((const char *)shown.data, cases[i].shown, "what is known of it");
    }
    buf_free(&bytes);
}

#define BROADCAST "{\"uid\":\"U\"," ID "\"type\":7,\"packet\":"

static void test_json_broadcasts(void)
{
    static const struct one cases[] = {
        {BROADCAST "{\"type\":2,\"data\":[\"ev\",{\"a\":1.50}],\"nsp\":\"/axr\"},\"opts\":"
                   "{\"rooms\":[\"r\",7],\"except\":[\"s\"],\"flags\":{\"timeout\":1000}}}",
         REQUEST_OK,
         "broadcast id=\"i\" uid=U timeout=1000 json=[\"ev\",{\"a\":1.50} to=\"r\",7 not=\"s\""},
        {BROADCAST "{\"data\":[\"ev\"]},\"opts\":{}}", REQUEST_OK,
         "broadcast id=\"i\" uid=U json=[\"ev\""},
        {BROADCAST "{\"data\":[ 5 ]},\"opts\":{\"rooms\":[null]}}", REQUEST_OK,
         "broadcast id=\"i\" uid=U json=[ 5  to=nobody"},
        {BROADCAST "{\"data\":[\"ev\"],\"nsp\":\"/\"},\"opts\":{}}", REQUEST_OTHER_NAMESPACE,
         "broadcast id=\"i\" uid=U"},
        {BROADCAST "{\"data\":[\"ev\"],\"nsp\":5},\"opts\":{}}", REQUEST_MALFORMED,
         "broadcast id=\"i\" uid=U"},
        {BROADCAST "{\"data\":[]},\"opts\":{}}", REQUEST_BAD_EVENT, "broadcast id=\"i\" uid=U"},
        {BROADCAST "{\"data\":[null]},\"opts\":{}}", REQUEST_BAD_EVENT, "broadcast id=\"i\" uid=U"},
        {BROADCAST "{\"data\":[1e999]},\"opts\":{}}", REQUEST_BAD_EVENT,
         "broadcast id=\"i\" uid=U"},
        {BROADCAST "{\"data\":[\n\"\\u0063onnect\"]},\"opts\":{}}", REQUEST_BAD_EVENT,
         "broadcast id=\"i\" uid=U"},
        {BROADCAST "{\"data\":{}},\"opts\":{}}", REQUEST_MALFORMED, "broadcast id=\"i\" uid=U"},
        {BROADCAST "[],\"opts\":{}}", REQUEST_MALFORMED, "broadcast id=\"i\" uid=U"},
        {BROADCAST "{\"data\":[\"ev\"]}}", REQUEST_MALFORMED, "broadcast id=\"i\" uid=U"},
    };

    check_all(cases, COUNT(cases));
}

/* ---- no memory ---- */

void *__real_realloc(void *ptr, size_t size);
void *__real_reallocarray(void *ptr, size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void *__wrap_reallocarray(void *ptr, size_t n, size_t size);

static long allowed = -1; /* after so many no more; -1: there is enough */

static int fails(void)
{
    if (allowed != 0) {
        allowed -= allowed > 0;
        return 0;
    }
    errno = ENOMEM;
    return 1;
}

void *__wrap_realloc(void *ptr, size_t size)
{
    return fails() ? NULL : __real_realloc(ptr, size);
}

void *__wrap_reallocarray(void *ptr, size_t n, size_t size)
{
    return fails() ? NULL : __real_reallocarray(ptr, n, size);
}

static void *scarce_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

/* Whatever of what a request needs is not there, it is without memory, and nothing else. */
static void is_starved(const char *payload, size_t len, const char *name)
{
    struct slice text = {payload, len};
    enum request_result result;
    long n = 0;
    int good = 1;

    do {
        request_clear(&request);
        allowed = n++;
        result = request_decode(&request, text, SLICE("/axr"), &limits);
        good &= result == REQUEST_NO_MEMORY || result == REQUEST_OK;
    } while (result == REQUEST_NO_MEMORY && n < 1000);
    allowed = -1;
    ok(good && result == REQUEST_OK && n > 2, "%s: without memory in each of %ld places", name,
       n - 1);
}

static void test_no_memory(void)
{
    static const char *const payloads[] = {
        "{\"uid\":\"U\\u0000\",\"type\":2,\"opts\":{\"rooms\":[null],\"except\":[1,2,\"a\",3,4,5,6,"
        "7,8,"
        "9]},\"rooms\":[\"j\",1]}",
        "{" ID "\"type\":2,\"sid\":\"S\",\"room\":\"z\"}",
        SOCKETS "[\"a\xff\"]}",
        "{\"uid\":\"U\"," ID "\"type\":7,\"packet\":{\"data\":[\"ev\"],\"nsp\":\"/axr\"},\"opts\":{"
        "\"rooms\":[null],\"flags\":{\"timeout\":7}}}",
    };
    struct buf bytes = {0};

    cJSON_InitHooks(&(cJSON_Hooks){scarce_malloc, free});
    for (size_t i = 0; i < COUNT(payloads); i++)
        is_starved(payloads[i], strlen(payloads[i]), payloads[i]);
    hex_put(&bytes, HEAD PACKET "a46f707473 81 a5726f6f6d73 91 2a");
    is_starved((const char *)bytes.data, bytes.len, "msgpack");
    buf_free(&bytes);
    cJSON_InitHooks(NULL);
}

/* ---- a part of one ---- */

static void is_cut(const void *payload, size_t len)
{
    int good = 1;

    for (size_t n = 0; n < len; n++)
        good &= decode(payload, n) != REQUEST_OK;
    ok(good, "no prefix of it is taken");
}

static void test_prefixes(void)
{
    static const char text[] =
        "{\"uid\":\"U\\u0041\"," ID
        "\"type\":5,\"opts\":{\"rooms\":[\"\\u0000\",\"\\ud83d\\ude00\","
        "\"\\ud800\",\"\xc3\xa4\xf0\x9f\x98\x80\",-1.5e3,null,true,false,[{}]],\"except\":[]}}";
    struct buf bytes = {0};

    is_cut(text, sizeof(text) - 1);
    is_int(decode(text, sizeof(text) - 1), REQUEST_OK, "the whole is");
    hex_put(&bytes, HEAD PACKET OPTS "cd03e8");
    is_cut(bytes.data, bytes.len);
    buf_free(&bytes);
}

static void test_words(void)
{
    for (int i = 0; i < REQUEST_TYPES; i++)
        for (int k = 0; k <= i; k++)
            ok((strcmp(request_type_name((enum request_type)i),
                       request_type_name((enum request_type)k)) == 0) == (i == k),
               "%s is one name", request_type_name((enum request_type)i));
    is_str(request_type_name(REQUEST_TYPES), "unknown", "of none");
    for (int i = 0; i < REQUEST_RESULTS; i++)
        ok(request_result_name((enum request_result)i)[0] != '\0', "a name of result %d", i);
}

int main(void)
{
    test_words();
    test_prefixes();
    test_no_memory();
    test_types();
    test_ids();
    test_shapes();
    test_rooms();
    test_utf8();
    test_sizes();
    test_depth();
    test_data();
    test_msgpack();
    test_json_broadcasts();
    request_clear(&request);
    buf_free(&shown);
    return tap_done();
}
