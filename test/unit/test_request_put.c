/* Answers; and each request of test/vectors/requests.json with what servers answered to it. */
#include "codec/json.h"
#include "codec/request.h"

#include "hex.h"
#include "request_show.h"
#include "tap.h"

#include <cjson/cJSON.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define VECTORS      "test/vectors/requests.json" /* tests run in the top directory */

static const struct emit_limits limits = {4194304, 10};
static struct request request;
static struct buf out;

static enum request_result decode(const void *payload, size_t len, struct slice nsp)
{
    return request_decode(&request, (struct slice){(const char *)payload, len}, nsp, &limits);
}

static void is_out(const char *want, const char *name)
{
    is_mem(out.data, out.len, want, strlen(want), name);
    buf_reset(&out);
}

/* ---- each form ---- */

static void test_lists(void)
{
    static const struct {
        const char *payload, *answer;
    } cases[] = {
        {"{\"requestId\":\"i\",\"type\":0}", "{\"requestId\":\"i\",\"sockets\":[1,2]}"},
        {"{\"requestId\":5,\"type\":1}", "{\"requestId\":5,\"rooms\":[1,2]}"},
        {"{\"requestId\":\"\\u0041\",\"type\":5,\"opts\":{}}",
         "{\"requestId\":\"\\u0041\",\"sockets\":[1,2]}"},
        {"{\"requestid\":\"i\",\"type\":0}", "{\"requestid\":\"i\",\"clients\":[1,2]}"},
        {"{\"requestid\":\"i\",\"type\":1,\"sid\":\"s\"}", "{\"requestid\":\"i\",\"rooms\":[1,2]}"},
        {"{\"requestid\":\"i\",\"type\":2}", "{\"requestid\":\"i\",\"rooms\":[1,2]}"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        is_int(decode(cases[i].payload, strlen(cases[i].payload), SLICE("/")), REQUEST_OK,
               cases[i].payload);
        is_int(request_put_head(&out, &request), 0, "its head");
        buf_puts(&out, "1,2");
        is_int(request_put_tail(&out), 0, "its tail");
        is_out(cases[i].answer, "its answer");
    }
}

static void decode_text(const char *payload)
{
    is_int(decode(payload, strlen(payload), SLICE("/")), REQUEST_OK, payload);
}

static void test_single(void)
{
    decode_text("{\"requestId\":\"i\",\"type\":2,\"sid\":\"s\",\"room\":\"r\"}");
    is_int(request_put_done(&out, &request), 0, "done");
    is_out("{\"requestId\":\"i\"}", "of a join");
    decode_text("{\"requestid\":\"i\",\"type\":6,\"sid\":\"s\"}");
    is_int(request_put_done(&out, &request), 0, "done");
    is_out("{\"requestid\":\"i\"}", "of a disconnect");
    decode_text("{\"requestId\":\"i\",\"type\":6,\"data\":[]}");
    is_int(request_put_null(&out, &request), 0, "nothing to say");
    is_out("{\"type\":6,\"requestId\":\"i\",\"data\":null}", "to an event");
    decode_text("{\"requestid\":\"i\",\"type\":5}");
    is_int(request_put_null(&out, &request), 0, "nothing to say");
    is_out("{\"requestid\":\"i\",\"data\":null}", "to a custom request");
}

static void test_rooms(void)
{
    static const struct {
        struct slice name;
        const char *json;
    } cases[] = {
        {{"a", 1}, "\"a\""},
        {{"", 0}, "\"\""},
        {{"\0\"\n", 3}, "\"\\u0000\\\"\\n\""},
        {{"\xff"
          "42",
          3},
         "42"},
        {{"\xff-1.5e-7", 8}, "-1.5e-7"},
        {{"\xff", 1}, "\"\xef\xbf\xbd\""},
        {{"a\xff", 2}, "\"a\xef\xbf\xbd\""},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        is_int(request_put_room(&out, cases[i].name), 0, "a room");
        is_out(cases[i].json, "as JSON");
    }
}

static void test_channels(void)
{
    is_int(request_channel(&out, SLICE("socket.io"), SLICE("/axr")), 0, "requests");
    is_out("socket.io-request#/axr#", "their channel");
    is_int(response_channel(&out, SLICE("k"), SLICE("/"), SLICE("")), 0, "answers to all");
    is_out("k-response#/#", "their channel");
    is_int(response_channel(&out, SLICE("k"), SLICE("/"), SLICE("u-_1")), 0, "answers to one");
    is_out("k-response#/#u-_1#", "its channel");
}

/* ---- acknowledgements ---- */

/* A request of that id, in hexadecimal. */
static void decode_broadcast(const char *id)
{
    struct buf payload = {0};
    char hex[256];

    snprintf(hex, sizeof(hex),
             "84 a9726571756573744964 %s a474797065 07 "
             "a67061636b6574 81 a464617461 91 a178 a46f707473 80",
             id);
    hex_put(&payload, hex);
    is_int(decode(payload.data, payload.len, SLICE("/")), REQUEST_OK, "a broadcast");
    /* only the id is looked at, which is its own */
    buf_free(&payload);
}

static void is_hex(const char *hex, const char *name)
{
    struct buf want = {0};

    hex_put(&want, hex);
    is_mem(out.data, out.len, want.data, want.len, name);
    buf_free(&want);
    buf_reset(&out);
}

#define ACK "83 a474797065 09 a9726571756573744964 a169 a67061636b6574 "

static void test_acks(void)
{
    static struct slice two[] = {{"\1\2", 2}, {"", 0}};
    static const struct slices bins = {two, 2, 2}, none = {0};
    static const struct {
        const char *json, *hex;
    } cases[] = {
        {"null", "c0"},
        {"\"B-ack\"", "a5422d61636b"},
        {"\"\\u0000\\ud83d\\ude00\"", "a500f09f9880"},
        {"42", "2a"},
        {"-0", "00"},
        {"1.5", "cb3ff8000000000000"},
        {"4294967296", "cf0000000100000000"},
        {"-129", "d1ff7f"},
        {"[true,false,{}]", "93c3c280"},
        {"{\"a\":[]}", "81a16190"},
        {"{\"_placeholder\":true,\"num\":0}", "c4020102"},
        {" { \"num\" : 1 ,\n\"_placeholder\" : true } ", "c400"},
        {"[1,{\"_placeholder\":true,\"num\":1},{\"a\":{\"_placeholder\":true,\"num\":0}}]",
         "9301c40081a161c4020102"},
        /* what is none stays an object */
        {"{\"_placeholder\":true,\"num\":2}", "82ac5f706c616365686f6c646572c3a36e756d02"},
        {"{\"_placeholder\":false,\"num\":0}", "82ac5f706c616365686f6c646572c2a36e756d00"},
        {"{\"_placeholder\":true,\"num\":-1}", "82ac5f706c616365686f6c646572c3a36e756dff"},
        {"{\"_placeholder\":true,\"num\":0.5}",
         "82ac5f706c616365686f6c646572c3a36e756dcb3fe0000000000000"},
        {"{\"_placeholder\":true,\"num\":4294967296}",
         "82ac5f706c616365686f6c646572c3a36e756dcf0000000100000000"},
        {"{\"_placeholder\":true,\"x\":0}", "82ac5f706c616365686f6c646572c3a17800"},
        {"{\"num\":0,\"x\":true}", "82a36e756d00a178c3"},
        {"{\"_placeholder\":true}", "81ac5f706c616365686f6c646572c3"},
    };

    decode_broadcast("a169");
    for (size_t i = 0; i < COUNT(cases); i++) {
        char hex[256];
        size_t len = strlen(cases[i].json);
        unsigned char *guarded = tap_guard(cases[i].json, len);

        is_int(request_put_ack(&out, &request, (struct slice){(const char *)guarded, len}, &bins),
               0, cases[i].json);
        snprintf(hex, sizeof(hex), ACK "%s", cases[i].hex);
        is_hex(hex, "as msgpack");
        tap_guard_free(guarded, len);
    }
    request_put_ack(&out, &request, SLICE("{\"_placeholder\":true,\"num\":0}"), &none);
    is_hex(ACK "82ac5f706c616365686f6c646572c3a36e756d00", "without attachments none is one");
    request_put_ack(&out, &request, SLICE(""), &none);
    is_hex("82 a474797065 09 a9726571756573744964 a169", "no argument");
    request_put_ack(&out, &request, SLICE("{\"_placeholder\":true,\"num\":"), &bins);
    is_hex("82 a474797065 09 a9726571756573744964 a169", "what is no JSON is none");
    decode_broadcast("cd03e8");
    request_put_ack(&out, &request, SLICE("1"), &none);
    is_hex("83 a474797065 09 a9726571756573744964 cd03e8 a67061636b6574 01",
           "an id that is a number");
    request_put_count(&out, &request, 100000);
    is_out("{\"type\":8,\"requestId\":1000,\"clientCount\":100000}", "how many");
}

/* A binary of each head. */
static void test_binaries(void)
{
    static const size_t sizes[] = {255, 256, 65535, 65536};
    static const char *const heads[] = {"c4ff", "c50100", "c5ffff", "c600010000"};

    decode_broadcast("a169");
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct slice bin = {calloc(1, sizes[i]), sizes[i]};
        struct slices bins = {&bin, 1, 1};
        struct buf want = {0};

        request_put_ack(&out, &request, SLICE("{\"_placeholder\":true,\"num\":0}"), &bins);
        hex_put(&want, ACK);
        hex_put(&want, heads[i]);
        ok(out.len == want.len + sizes[i] && memcmp(out.data, want.data, want.len) == 0,
           "%zu bytes", sizes[i]);
        buf_reset(&out);
        buf_free(&want);
        free((void *)(uintptr_t)bin.ptr);
    }
}

/* ---- recorded ---- */

static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* What is between the brackets of a list in an answer. */
static void put_list(const char *text)
{
    const char *open = strchr(text, '['), *close = strrchr(text, ']');

    if (open != NULL && close != NULL)
        buf_put(&out, open + 1, (size_t)(close - open - 1));
}

/* The recorded answer, made here of the same values. */
static void put_answer(const cJSON *answer)
{
    const char *text = text_of(answer, "text"), *count, *json = text_of(answer, "json");
    struct buf bytes = {0};
    struct slice bin;
    struct slices bins = {&bin, 0, 1};

    switch (request.type) {
    case REQUEST_BROADCAST:
        if (text != NULL && (count = strstr(text, "clientCount\":")) != NULL) {
            request_put_count(&out, &request, strtoull(strchr(count, ':') + 1, NULL, 10));
            break;
        }
        if (cJSON_GetArraySize(cJSON_GetObjectItem(answer, "bins")) > 0) {
            hex_put(&bytes,
                    cJSON_GetArrayItem(cJSON_GetObjectItem(answer, "bins"), 0)->valuestring);
            bin = (struct slice){(const char *)bytes.data, bytes.len};
            bins.n = 1;
        }
        request_put_ack(&out, &request, slice_str(json), &bins);
        break;
    case REQUEST_SERVER_SIDE_EMIT:
    case REQUEST_CUSTOM:
        request_put_null(&out, &request);
        break;
    case REQUEST_JOIN:
    case REQUEST_LEAVE:
    case REQUEST_DISCONNECT:
        request_put_done(&out, &request);
        break;
    default:
        request_put_head(&out, &request);
        put_list(text);
        request_put_tail(&out);
    }
}

static void check_answer(const cJSON *answer, const char *name)
{
    const char *text = text_of(answer, "text"), *data;
    struct buf want = {0};

    if (text == NULL)
        hex_put(&want, text_of(answer, "hex"));
    else if ((data = strstr(text, ",\"data\":")) != NULL) /* here it is null */
        buf_printf(&want, "%.*s,\"data\":null}", (int)(data - text), text);
    else
        buf_puts(&want, text);
    if (request.type == REQUEST_FETCH) { /* the data of sockets are not that */
        buf_reset(&want);
        buf_puts(&want, text);
    }
    put_answer(answer);
    is_mem(out.data, out.len, want.data, want.len, name);
    buf_reset(&out);
    buf_free(&want);
}

static void check_recorded(const cJSON *one)
{
    const char *channel = text_of(one, "channel"), *name = text_of(one, "name");
    const char *nsp = strchr(channel, '#') + 1, *key = strstr(channel, "-request#");
    struct buf payload = {0};
    const cJSON *answer;

    if (text_of(one, "text") != NULL)
        buf_puts(&payload, text_of(one, "text"));
    else
        hex_put(&payload, text_of(one, "hex"));
    is_int(decode(payload.data, payload.len, (struct slice){nsp, strlen(nsp) - 1}), REQUEST_OK,
           name);
    is_str(show(&request), text_of(one, "is"), name);
    request_channel(&out, (struct slice){channel, (size_t)(key - channel)},
                    (struct slice){nsp, strlen(nsp) - 1});
    is_out(channel, "its channel");
    cJSON_ArrayForEach(answer, cJSON_GetObjectItem(one, "answers"))
    {
        check_answer(answer, name);
        response_channel(&out, (struct slice){channel, (size_t)(key - channel)},
                         (struct slice){nsp, strlen(nsp) - 1},
                         strstr(text_of(one, "by"), "specific") != NULL &&
                                 request.type != REQUEST_SERVER_SIDE_EMIT
                             ? request.uid
                             : SLICE(""));
        is_out(text_of(answer, "channel"), "the channel of an answer");
    }
    buf_free(&payload);
}

static void test_recorded(void)
{
    FILE *file = fopen(VECTORS, "r");
    struct buf text = {0};
    const cJSON *one;
    int count = 0;
    cJSON *all;
    size_t n;

    if (!ok(file != NULL, "%s is there", VECTORS))
        return;
    do {
        n = fread(buf_reserve(&text, 65536), 1, 65536, file);
        text.len += n;
    } while (n > 0);
    fclose(file);
    all = cJSON_ParseWithLength((const char *)text.data, text.len);
    cJSON_ArrayForEach(one, all)
    {
        check_recorded(one);
        count++;
    }
    ok(count > 100, "%d recorded requests", count);
    cJSON_Delete(all);
    buf_free(&text);
}

int main(void)
{
    test_lists();
    test_single();
    test_rooms();
    test_channels();
    test_acks();
    test_binaries();
    test_recorded();
    request_clear(&request);
    buf_free(&out);
    buf_free(&shown);
    return tap_done();
}
