#include "codec/emit.h"
#include "codec/json.h"

#include "hex.h"
#include "tap.h"

#include <cjson/cJSON.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define VECTORS      "test/vectors/emit.json" /* tests run in the top directory */

static const struct emit_limits limits = {4194304, 10};
static struct broadcast bc;

static struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){(const char *)buf->data, buf->len};
}

/* Decodes a guarded copy; what bc borrows from it must be looked at in between. */
static enum emit_result decode(const char *channel, const unsigned char *payload, size_t len,
                               const char *nsp)
{
    return emit_decode(&bc, slice_str(channel), (struct slice){(const char *)payload, len},
                       SLICE("socket.io"), slice_str(nsp), &limits);
}

/* ---- recorded messages ---- */

static const char *text_of(const cJSON *vector, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(vector, name));
}

/* The strings of a recorded list, which are the rooms that we know. */
static int same_rooms(const struct slices *got, const cJSON *want)
{
    const cJSON *room;
    size_t n = 0;

    cJSON_ArrayForEach(room, want)
    {
        if (!cJSON_IsString(room))
            continue;
        if (n == got->n || !slice_eq(got->at[n], slice_str(room->valuestring)))
            return 0;
        n++;
    }
    return n == got->n;
}

static int same_bins(const cJSON *want)
{
    struct buf bytes = {0};
    const cJSON *bin;
    size_t n = 0;
    int same = 1;

    cJSON_ArrayForEach(bin, want)
    {
        buf_reset(&bytes);
        hex_put(&bytes, bin->valuestring);
        same &= n < bc.attachments.n && slice_eq(bc.attachments.at[n], buf_slice(&bytes));
        n++;
    }
    buf_free(&bytes);
    return same && n == bc.attachments.n;
}

static void check_vector(const cJSON *vector)
{
    const char *name = text_of(vector, "name"), *want = text_of(vector, "text");
    struct buf payload = {0};
    unsigned char *guarded;
    enum emit_result result;
    int good = 1;

    hex_put(&payload, text_of(vector, "payload"));
    guarded = tap_guard(payload.data, payload.len);
    result = decode(text_of(vector, "channel"), guarded, payload.len, text_of(vector, "nsp"));
    ok(strcmp(emit_result_name(result), text_of(vector, "result")) == 0, "%s of %s: %s", name,
       text_of(vector, "producer"), emit_result_name(result));
    if (result == EMIT_OK) {
        buf_putc(&bc.json, ']');
        is_mem(bc.json.data, bc.json.len, want, strlen(want), name);
        ok(same_bins(cJSON_GetObjectItem(vector, "bins")), "attachments of %s", name);
        ok(same_rooms(&bc.rooms, cJSON_GetObjectItem(vector, "rooms")) &&
               same_rooms(&bc.except, cJSON_GetObjectItem(vector, "except")),
           "rooms of %s", name);
        ok(!(bc.flags & BROADCAST_VOLATILE) == !strstr(name, "volatile"), "flags of %s", name);
    }
    tap_guard_free(guarded, payload.len);
    for (size_t n = 0; n < payload.len; n++) {
        guarded = tap_guard(payload.data, n);
        result = decode(text_of(vector, "channel"), guarded, n, text_of(vector, "nsp"));
        /* A foreign packet is not read to its end. */
        good &= result == EMIT_MALFORMED || result == EMIT_OTHER_NAMESPACE;
        tap_guard_free(guarded, n);
    }
    ok(good, "no prefix of it is taken");
    buf_free(&payload);
}

static void test_vectors(void)
{
    FILE *file = fopen(VECTORS, "r");
    struct buf text = {0};
    const cJSON *vector;
    cJSON *list;
    size_t n;

    if (!ok(file != NULL, "%s is there", VECTORS))
        return;
    do {
        n = fread(buf_reserve(&text, 65536), 1, 65536, file);
        text.len += n;
    } while (n > 0);
    fclose(file);
    list = cJSON_ParseWithLength((const char *)text.data, text.len);
    ok(cJSON_GetArraySize(list) > 300, "it holds the recorded messages");
    cJSON_ArrayForEach(vector, list) check_vector(vector);
    cJSON_Delete(list);
    buf_free(&text);
}

/* ---- values ---- */

/* A message with the arguments that hex holds after its event name "x". */
static void put_message(struct buf *out, unsigned elements, const char *hex)
{
    buf_reset(out);
    hex_put(out, "93 a1 75 83 a4 74797065 02 a4 64617461");
    buf_putc(out, 0xdc);
    buf_putc(out, (uint8_t)(elements >> 8));
    buf_putc(out, (uint8_t)elements);
    hex_put(out, hex);
    hex_put(out, "a3 6e7370 a4 2f617872 82 a5 726f6f6d73 90 a5 666c616773 80");
}

static const struct {
    const char *hex, *json; /* of one argument; NULL: malformed */
} values[] = {
    {"c0", "null"},
    {"c2", "false"},
    {"c3", "true"},
    {"d40000", "null"},
    {"93 01 d40000 c0", "[1,null,null]"},
    {"82 a161 d40000 a162 01", "{\"b\":1}"},
    {"82 a162 01 a161 d40000", "{\"b\":1}"},
    {"81 a161 d40000", "{}"},
    {"81 a161 c0", "{\"a\":null}"},
    {"cb 7ff8000000000000", "null"},
    {"ca 7f800000", "null"},
    {"cb fff0000000000000", "null"},
    {"cb 8000000000000000", "0"},
    {"ca 3fc00000", "1.5"},
    {"ca 3dcccccd", "0.10000000149011612"},
    {"cb 3fb999999999999a", "0.1"},
    {"cf 35c9adc5dea00000", "3875820019684212700"},
    {"d3 ffe0000000000001", "-9007199254740991"},
    {"d0 80", "-128"},
    {"d7 00 0000018bcfe5687b", "\"2023-11-14T22:13:20.123Z\""},
    {"d7 ff 1d5353006553f100", "\"2023-11-14T22:13:20.123Z\""},
    {"d6 ff 6553f100", "\"2023-11-14T22:13:20.000Z\""},
    {"c7 0c ff 3b8b87c0 ffffffffffffffff", "\"1969-12-31T23:59:59.999Z\""},
    {"d7 00 7fffffffffffffff", "null"},
    {"a2 ed62", "\"\xef\xbf\xbd"
                "b\""},
    {"a3 eda080", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {"a4 f0908180", "\"\xf0\x90\x81\x80\""},
    {"a2 220a", "\"\\\"\\n\""},
    {"c4 01 05", "{\"_placeholder\":true,\"num\":0}"},
    {"c7 01 00 05", "{\"_placeholder\":true,\"num\":0}"},
    {"c7 08 00 0102030405060708", "{\"_placeholder\":true,\"num\":0}"},
    {"d4 0d ff", "[13,{\"_placeholder\":true,\"num\":0}]"},
    {"d8 fb 00000000000000000000000000000000", "[-5,{\"_placeholder\":true,\"num\":0}]"},
    {"92 c4 01 05 81 a161 c4 00",
     "[{\"_placeholder\":true,\"num\":0},{\"a\":{\"_placeholder\":true,\"num\":1}}]"},
    {"90", "[]"},
    {"80", "{}"},
    {"93 90 80 91 90", "[[],{},[[]]]"},
    {"82 a161 91 80 a162 81 a163 90", "{\"a\":[{}],\"b\":{\"c\":[]}}"},
    /* keys */
    {"81 01 02", "{\"1\":2}"},
    {"81 ff 02", "{\"-1\":2}"},
    {"81 c0 02", "{\"null\":2}"},
    {"81 c3 02", "{\"true\":2}"},
    {"81 c2 02", "{\"false\":2}"},
    {"81 d40000 02", "{\"undefined\":2}"},
    {"81 cb 3ff8000000000000 02", "{\"1.5\":2}"},
    {"81 cb 7ff8000000000000 02", "{\"NaN\":2}"},
    {"81 cb fff0000000000000 02", "{\"-Infinity\":2}"},
    {"81 c4 02 6b6b 02", "{\"kk\":2}"},
    {"81 a0 02", "{\"\":2}"},
    {"81 a2 22ff 02", "{\"\\\"\xef\xbf\xbd\":2}"},
    {"82 a162 01 a131 02", "{\"b\":1,\"1\":2}"},
    {"82 a161 01 a161 02", "{\"a\":1,\"a\":2}"},
    {"81 90 02", NULL},
    {"81 80 02", NULL},
    {"81 d6ff6553f100 02", NULL},
    {"81 d40dff 02", NULL},
    {"81 a9 5f5f70726f746f5f5f 02", "{}"},
    {"82 a9 5f5f70726f746f5f5f 92 c40101 81 a161 90 a161 01", "{\"a\":1}"},
    {"81 c4 09 5f5f70726f746f5f5f 02", "{}"},
};

static void test_values(void)
{
    struct buf message = {0}, want = {0}, hex = {0};

    for (size_t i = 0; i < COUNT(values); i++) {
        unsigned char *guarded;
        enum emit_result result;

        buf_reset(&hex);
        buf_printf(&hex, "a178 %s", values[i].hex);
        buf_putc(&hex, '\0');
        put_message(&message, 2, (const char *)hex.data);
        guarded = tap_guard(message.data, message.len);
        result = decode("socket.io#/axr#", guarded, message.len, "/axr");
        if (values[i].json == NULL) {
            is_int(result, EMIT_MALFORMED, values[i].hex);
        } else if (ok(result == EMIT_OK, "%s", values[i].hex)) {
            buf_reset(&want);
            buf_printf(&want, "[\"x\",%s", values[i].json);
            is_mem(bc.json.data, bc.json.len, want.data, want.len, values[i].json);
        }
        tap_guard_free(guarded, message.len);
    }
    buf_free(&message);
    buf_free(&want);
    buf_free(&hex);
}

static void test_events(void)
{
    static const struct {
        unsigned elements;
        const char *hex;
        enum emit_result result;
    } cases[] = {
        {0, "", EMIT_NO_EVENT},
        {1, "a178", EMIT_OK},
        {1, "a0", EMIT_OK},
        {1, "05", EMIT_OK},
        {1, "ff", EMIT_OK},
        {1, "cb 3ff8000000000000", EMIT_OK},
        {1, "cb 7ff8000000000000", EMIT_NO_EVENT},
        {1, "c0", EMIT_NO_EVENT},
        {1, "c3", EMIT_NO_EVENT},
        {1, "d40000", EMIT_NO_EVENT},
        {1, "90", EMIT_NO_EVENT},
        {1, "80", EMIT_NO_EVENT},
        {1, "c40161", EMIT_NO_EVENT},
        {1, "d6ff6553f100", EMIT_NO_EVENT},
        {1, "a7 636f6e6e656374", EMIT_RESERVED_EVENT},
        {1, "ad 636f6e6e6563745f6572726f72", EMIT_RESERVED_EVENT},
        {1, "aa 646973636f6e6e656374", EMIT_RESERVED_EVENT},
        {1, "ad 646973636f6e6e656374696e67", EMIT_RESERVED_EVENT},
        {1, "ab 6e65774c697374656e6572", EMIT_RESERVED_EVENT},
        {1, "ae 72656d6f76654c697374656e6572", EMIT_RESERVED_EVENT},
        {1, "a7 436f6e6e656374", EMIT_OK},
        {1, "a5 6572726f72", EMIT_OK},
        {2, "a178 a7 636f6e6e656374", EMIT_OK},
    };
    struct buf message = {0};

    for (size_t i = 0; i < COUNT(cases); i++) {
        put_message(&message, cases[i].elements, cases[i].hex);
        is_int(decode("socket.io#/axr#", message.data, message.len, "/axr"), cases[i].result,
               cases[i].hex);
    }
    buf_free(&message);
}

/* ---- shape ---- */

#define PACKET "83 a474797065 02 a464617461 91a178 a36e7370 a42f617872"
#define DATA   "a464617461 91a178"
#define NSP    "a36e7370 a42f617872"
#define ROOMS  "a5726f6f6d73"
#define EXCEPT "a6657863657074"
#define FLAGS  "a5666c616773"

/* Of what bc gets only the counts stay valid. */
static enum emit_result decode_hex(const char *channel, const char *hex)
{
    struct buf payload = {0};
    enum emit_result result;

    hex_put(&payload, hex);
    result = decode(channel, payload.data, payload.len, "/axr");
    buf_free(&payload);
    return result;
}

static void test_shapes(void)
{
    static const struct {
        const char *hex;
        enum emit_result result;
    } cases[] = {
        {"93 a175 " PACKET " 80", EMIT_OK},
        {"92 " PACKET " 80", EMIT_OK},
        {"93 c0 " PACKET " 80", EMIT_OK},
        {"93 92 01 80 " PACKET " 80", EMIT_OK},
        {"93 a175 82 " NSP DATA " 80", EMIT_OK},
        {"93 a175 84 a161 92 01 02 " NSP "a162 80 " DATA " 81 a161 91 c0", EMIT_OK},
        {"93 a175 83 a464617461 91 c0 " NSP DATA " 80", EMIT_OK},
        {"dd 00000003 a175 df 00000002 " NSP DATA " de 0000", EMIT_OK},
        /* not ours */
        {"93 a175 82 " DATA "a36e7370 a12f 80", EMIT_OTHER_NAMESPACE},
        {"93 a175 82 " DATA "a36e7370 a3617872 80", EMIT_OTHER_NAMESPACE},
        {"93 a175 81 " DATA " 80", EMIT_OTHER_NAMESPACE},
        {"93 a175 82 " DATA "a36e7370 d40000 80", EMIT_OTHER_NAMESPACE},
        {"84 a474797065 03 a464617461 80 a3756964 a175 " NSP, EMIT_NOT_BROADCAST},
        {"80", EMIT_NOT_BROADCAST},
        /* malformed */
        {"", EMIT_MALFORMED},
        {"c1", EMIT_MALFORMED},
        {"c0", EMIT_MALFORMED},
        {"90", EMIT_MALFORMED},
        {"91 " PACKET, EMIT_MALFORMED},
        {"94 a175 " PACKET " 80 80", EMIT_MALFORMED},
        {"93 a175 " PACKET " 80 00", EMIT_MALFORMED},
        {"93 a175 " PACKET " 90", EMIT_MALFORMED},
        {"93 a175 " PACKET " c0", EMIT_MALFORMED},
        {"93 " PACKET " a175 80", EMIT_MALFORMED},
        {"93 a175 90 80", EMIT_MALFORMED},
        {"93 a175 81 " NSP " 80", EMIT_MALFORMED},
        {"93 a175 82 " NSP "a464617461 a178 80", EMIT_MALFORMED},
        {"93 a175 82 " NSP "a464617461 81 a178 01 80", EMIT_MALFORMED},
        {"93 a175 82 " DATA "a36e7370 c0 80", EMIT_MALFORMED},
        {"93 a175 82 " DATA "a36e7370 05 80", EMIT_MALFORMED},
        {"93 a175 83 " DATA NSP "05 05 80", EMIT_MALFORMED},
        {"93 a175 " PACKET " 81 05 05", EMIT_MALFORMED},
        {"dd ffffffff a175 " PACKET " 80", EMIT_MALFORMED},
        {"7b 22 61 22 3a 31 7d", EMIT_MALFORMED},
        {"5b 22 61 22 5d", EMIT_MALFORMED},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        is_int(decode_hex("socket.io#/axr#", cases[i].hex), cases[i].result, cases[i].hex);
    is_int(decode("socket.io#/#",
                  (const unsigned char *)"\x92\x81\xa4"
                                         "data\x91\xa1x\x80",
                  11, "/"),
           EMIT_OK, "without a namespace it is for /");
}

static void test_opts(void)
{
    static const struct {
        const char *hex; /* of opts */
        enum emit_result result;
        size_t rooms, except;
        uint32_t flags;
    } cases[] = {
        {"80", EMIT_OK, 0, 0, 0},
        {"83 " ROOMS "c0" EXCEPT "c0" FLAGS "c0", EMIT_OK, 0, 0, 0},
        {"83 " ROOMS "d40000" EXCEPT "d40000" FLAGS "d40000", EMIT_OK, 0, 0, 0},
        {"83 " ROOMS "a0" EXCEPT "a0" FLAGS "a0", EMIT_OK, 0, 0, 0},
        {"83 " ROOMS "90" EXCEPT "90" FLAGS "90", EMIT_OK, 0, 0, 0},
        {"83 " ROOMS "80" EXCEPT "80" FLAGS "80", EMIT_OK, 0, 0, 0},
        {"83 " FLAGS "80" EXCEPT "91a162" ROOMS "92a161a163", EMIT_OK, 2, 1, 0},
        {"81 " ROOMS "91a0", EMIT_OK, 1, 0, 0},
        {"81 " ROOMS "dc0001a161", EMIT_OK, 1, 0, 0},
        {"82 " ROOMS "91a161" ROOMS "90", EMIT_OK, 0, 0, 0},
        /* rooms that are no strings */
        {"81 " ROOMS "912a", EMIT_NOBODY, 0, 0, 0},
        {"81 " ROOMS "91c0", EMIT_NOBODY, 0, 0, 0},
        {"81 " ROOMS "9192a161a162", EMIT_NOBODY, 0, 0, 0},
        {"81 " ROOMS "91c40161", EMIT_NOBODY, 0, 0, 0},
        {"81 " ROOMS "91a1ff", EMIT_NOBODY, 0, 0, 0},
        {"81 " ROOMS "922aa161", EMIT_OK, 1, 0, 0},
        {"81 " EXCEPT "932a91a162a161", EMIT_OK, 0, 1, 0},
        {"81 " ROOMS "a161", EMIT_MALFORMED, 0, 0, 0},
        {"81 " ROOMS "05", EMIT_MALFORMED, 0, 0, 0},
        {"81 " ROOMS "c2", EMIT_MALFORMED, 0, 0, 0},
        {"81 " ROOMS "8100a161", EMIT_MALFORMED, 0, 0, 0},
        {"81 " EXCEPT "a161", EMIT_MALFORMED, 0, 0, 0},
        /* flags */
        {"81 " FLAGS "81 a8766f6c6174696c65 c3", EMIT_OK, 0, 0, BROADCAST_VOLATILE},
        {"81 " FLAGS "81 a8766f6c6174696c65 01", EMIT_OK, 0, 0, BROADCAST_VOLATILE},
        {"81 " FLAGS "81 a8766f6c6174696c65 ff", EMIT_OK, 0, 0, BROADCAST_VOLATILE},
        {"81 " FLAGS "81 a8766f6c6174696c65 a130", EMIT_OK, 0, 0, BROADCAST_VOLATILE},
        {"81 " FLAGS "81 a8766f6c6174696c65 9105", EMIT_OK, 0, 0, BROADCAST_VOLATILE},
        {"81 " FLAGS "81 a8766f6c6174696c65 ca3fc00000", EMIT_OK, 0, 0, BROADCAST_VOLATILE},
        {"81 " FLAGS "81 a8766f6c6174696c65 c2", EMIT_OK, 0, 0, 0},
        {"81 " FLAGS "81 a8766f6c6174696c65 c0", EMIT_OK, 0, 0, 0},
        {"81 " FLAGS "81 a8766f6c6174696c65 00", EMIT_OK, 0, 0, 0},
        {"81 " FLAGS "81 a8766f6c6174696c65 a0", EMIT_OK, 0, 0, 0},
        {"81 " FLAGS "81 a8766f6c6174696c65 d000", EMIT_OK, 0, 0, 0},
        {"81 " FLAGS "81 a8766f6c6174696c65 ca7fc00000", EMIT_OK, 0, 0, 0},
        {"81 " FLAGS "82 a8766f6c6174696c65 c3 a8766f6c6174696c65 c2", EMIT_OK, 0, 0, 0},
        {"81 " FLAGS "83 a8636f6d7072657373 c2 9101 8101c0 a8766f6c6174696c65 c3", EMIT_OK, 0, 0,
         BROADCAST_VOLATILE},
        {"81 " FLAGS "92 a8766f6c6174696c65 c3", EMIT_OK, 0, 0, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        char hex[256];

        snprintf(hex, sizeof(hex), "93 a175 " PACKET " %s", cases[i].hex);
        is_int(decode_hex("socket.io#/axr#", hex), cases[i].result, cases[i].hex);
        if (cases[i].result == EMIT_OK)
            ok(bc.rooms.n == cases[i].rooms && bc.except.n == cases[i].except &&
                   bc.flags == cases[i].flags,
               "%zu rooms, %zu excepted, flags %u", bc.rooms.n, bc.except.n, bc.flags);
    }
}

/* Copies that emitters of the 1.x form publish, one a room. */
static void test_copies(void)
{
    static const struct {
        const char *channel, *rooms;
        enum emit_result result;
    } cases[] = {
        {"socket.io#/axr#a#", "92a161a162", EMIT_OK},
        {"socket.io#/axr#b#", "92a161a162", EMIT_COPY},
        {"socket.io#/axr#", "92a161a162", EMIT_OK},
        {"socket.io#/axr", "92a161a162", EMIT_OK},
        {"socket.io#/axr#a", "92a161a162", EMIT_OK},
        {"socket.io#/axr#b", "92a161a162", EMIT_COPY},
        {"socket.io#emitter", "92a161a162", EMIT_OK},
        {"socket.io#/axr#b#", "91a162", EMIT_OK},
        {"socket.io#/axr#b#", "90", EMIT_OK},
        {"socket.io#/axr#42#", "922aa162", EMIT_COPY},
        {"socket.io#/axr#b#", "922aa162", EMIT_OK},
        {"socket.io#/axr#a#b#", "92a3612362a162", EMIT_OK},
        {"socket.io#/axr##", "92a0a162", EMIT_OK},
        {"other#/axr#b#", "92a161a162", EMIT_OK},
        {"", "92a161a162", EMIT_OK},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        char hex[256];

        snprintf(hex, sizeof(hex), "93 a175 " PACKET " 81 " ROOMS "%s", cases[i].rooms);
        is_int(decode_hex(cases[i].channel, hex), cases[i].result, cases[i].channel);
    }
}

/* ---- limits ---- */

static void test_depth(void)
{
    struct buf hex = {0}, message = {0};

    for (int deeper = 0; deeper < 2; deeper++) {
        buf_reset(&hex);
        buf_puts(&hex, "a178");
        for (int i = 1; i < EMIT_DEPTH_MAX + deeper; i++)
            buf_puts(&hex, i % 2 ? "91" : "81a161");
        buf_puts(&hex, "c0");
        buf_putc(&hex, '\0');
        put_message(&message, 2, (const char *)hex.data);
        is_int(decode("socket.io#/axr#", message.data, message.len, "/axr"),
               deeper ? EMIT_TOO_DEEP : EMIT_OK, deeper ? "one too deep" : "as deep as may be");
        if (!deeper) {
            buf_putc(&bc.json, ']');
            is_int(json_span((const char *)bc.json.data, bc.json.len), (long)bc.json.len,
                   "and all brackets close");
        }
    }
    buf_free(&hex);
    buf_free(&message);
}

static void test_sizes(void)
{
    struct emit_limits tight = {0, 2};
    struct buf message = {0};
    struct slice channel = SLICE("socket.io#/axr#"), key = SLICE("socket.io"), nsp = SLICE("/axr");
    size_t whole;

    put_message(&message, 3, "a178 a6 010101010101 93 c0c0c0");
    decode("socket.io#/axr#", message.data, message.len, "/axr");
    whole = bc.json.len + 1;
    ok(whole > message.len, "JSON that is longer than the payload");
    for (tight.message_bytes = 0; tight.message_bytes <= whole; tight.message_bytes++) {
        enum emit_result result = emit_decode(&bc, channel, buf_slice(&message), key, nsp, &tight);

        if (result != (tight.message_bytes == whole ? EMIT_OK : EMIT_TOO_LARGE))
            break;
    }
    is_int(tight.message_bytes, whole + 1, "taken from just the size that it has");
    tight.message_bytes = 1000;
    put_message(&message, 3, "a178 c40101 c40102");
    is_int(emit_decode(&bc, channel, buf_slice(&message), key, nsp, &tight), EMIT_OK,
           "as many attachments as may be");
    put_message(&message, 4, "a178 c40101 c40102 c40103");
    is_int(emit_decode(&bc, channel, buf_slice(&message), key, nsp, &tight), EMIT_ATTACHMENTS,
           "one more");
    buf_free(&message);
}

/* ---- encoding ---- */

static void check_encoded(const char *channel, const char *hex, const struct slices *rooms,
                          const struct slices *except, uint32_t flags, const char *nsp,
                          const char *json)
{
    struct buf got_channel = {0}, got = {0}, want = {0};

    hex_put(&want, hex);
    is_int(emit_encode(&got_channel, &got, SLICE("socket.io"), slice_str(nsp), rooms, except, flags,
                       slice_str(json)),
           0, json);
    is_mem(got_channel.data, got_channel.len, channel, strlen(channel), channel);
    is_mem(got.data, got.len, want.data, want.len, "payload as the emitter's");
    is_int(emit_decode(&bc, buf_slice(&got_channel), buf_slice(&got), SLICE("socket.io"),
                       slice_str(nsp), &limits),
           EMIT_OK, "and it is understood");
    buf_free(&got_channel);
    buf_free(&got);
    buf_free(&want);
}

/* Payloads as @socket.io/redis-emitter 5.1.0 published them. */
static void test_encode(void)
{
    struct slices none = {0}, a = {0}, ab = {0}, aba = {0}, aa = {0};
    struct buf out = {0};

    slices_put(&a, SLICE("a"));
    slices_put(&aa, SLICE("a"));
    slices_put(&aa, SLICE("a"));
    slices_put(&ab, SLICE("a"));
    slices_put(&ab, SLICE("b"));
    slices_put(&aba, SLICE("a"));
    slices_put(&aba, SLICE("b"));
    slices_put(&aba, SLICE("a"));
    check_encoded("socket.io#/#",
                  "93a7656d697474657283a47479706502a46461746192a178a26869a36e7370a12f83a5726f6f6d73"
                  "90a5666c61677381a8766f6c6174696c65c3a665786365707490",
                  &none, &none, BROADCAST_VOLATILE, "/", "[\"x\",\"hi\"]");
    check_encoded("socket.io#/#a#",
                  "93a7656d697474657283a47479706502a46461746192a178a26869a36e7370a12f83a5726f6f6d73"
                  "91a161a5666c61677380a665786365707490",
                  &aa, &none, 0, "/", "[\"x\",\"hi\"]");
    check_encoded("socket.io#/#",
                  "93a7656d697474657283a47479706502a46461746192a178a26869a36e7370a12f83a5726f6f6d73"
                  "92a161a162a5666c61677380a665786365707490",
                  &aba, &none, 0, "/", "[ \"x\" , \"hi\" ]");
    check_encoded("socket.io#/#",
                  "93a7656d697474657283a47479706502a46461746198a17801a374776fc3c2c09201910281a16181"
                  "a162a163a36e7370a12f83a5726f6f6d7390a5666c61677380a665786365707490",
                  &none, &none, 0, "/",
                  "[\"x\",1,\"two\",true,false,null,[1,[2]],{\"a\":{\"b\":\"c\"}}]");
    check_encoded("socket.io#/axr#a#",
                  "93a7656d697474657283a47479706502a46461746191a178a36e7370a42f61787283a5726f6f6d73"
                  "91a161a5666c61677380a665786365707492a161a162",
                  &a, &ab, 0, "/axr", "[\"x\"]");
    is_int(emit_encode(&out, &out, SLICE("k"), SLICE("/"), &none, &none, 0, SLICE("[1,]")), -1,
           "no JSON");
    is_int(emit_encode(&out, &out, SLICE("k"), SLICE("/"), &none, &none, 0, SLICE("{}")), -1,
           "no array");
    is_int(emit_encode(&out, &out, SLICE("k"), SLICE("/"), &none, &none, 0, SLICE("[1] 2")), -1,
           "more than that");
    buf_free(&out);
    free(a.at);
    free(aa.at);
    free(ab.at);
    free(aba.at);
}

int main(void)
{
    test_vectors();
    test_values();
    test_events();
    test_shapes();
    test_opts();
    test_copies();
    test_depth();
    test_sizes();
    test_encode();
    is_str(emit_result_name(EMIT_RESERVED_EVENT), "reserved_event", "a result has a name");
    for (int i = 0; i < EMIT_RESULTS; i++)
        ok(emit_result_name((enum emit_result)i) != NULL, "result %d has one", i);
    broadcast_clear(&bc);
    return tap_done();
}
