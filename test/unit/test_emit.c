#include "codec/emit.h"
#include "codec/json.h"

#include "doubles_js.h"
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

static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* The strings and numbers of a recorded list, which are the rooms that we know. */
static int same_rooms(const struct slices *got, const cJSON *want)
{
    const cJSON *room;
    char number[16];
    size_t n = 0;

    cJSON_ArrayForEach(room, want)
    {
        if (!cJSON_IsString(room) && !cJSON_IsNumber(room))
            continue;
        snprintf(number, sizeof(number), "\xff%d", room->valueint);
        if (n == got->n ||
            !slice_eq(got->at[n], slice_str(cJSON_IsString(room) ? room->valuestring : number)))
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

static void check_expected(const cJSON *message, const char *name, const cJSON *payload)
{
    const char *want = text_of(message, "text");
    int is_volatile = strstr(text_of(payload, "payload"), "a8766f6c6174696c65c3") != NULL;

    buf_putc(&bc.json, ']');
    is_mem(bc.json.data, bc.json.len, want, strlen(want), name);
    ok(same_bins(cJSON_GetObjectItem(message, "bins")), "attachments of %s", name);
    ok(same_rooms(&bc.rooms, cJSON_GetObjectItem(message, "rooms")) &&
           same_rooms(&bc.except, cJSON_GetObjectItem(message, "except")),
       "rooms of %s", name);
    is_int(bc.flags, is_volatile ? BROADCAST_VOLATILE : 0, "flags");
}

/* No part of a message is one, in whatever dialect. */
static void check_prefixes(const cJSON *message, const cJSON *payload, const struct buf *bytes)
{
    int good = 1;

    for (size_t n = 0; n < bytes->len; n++) {
        unsigned char *guarded = tap_guard(bytes->data, n);

        good &= decode(text_of(payload, "channel"), guarded, n, text_of(message, "nsp")) ==
                EMIT_MALFORMED;
        tap_guard_free(guarded, n);
    }
    ok(good, "no prefix of it is taken");
}

static void check_payload(const cJSON *message, const char *producer, const cJSON *payload)
{
    const char *name = text_of(message, "name");
    struct buf bytes = {0};
    unsigned char *guarded;
    enum emit_result result;

    hex_put(&bytes, text_of(payload, "payload"));
    guarded = tap_guard(bytes.data, bytes.len);
    result = decode(text_of(payload, "channel"), guarded, bytes.len, text_of(message, "nsp"));
    ok(strcmp(emit_result_name(result), text_of(message, "result")) == 0, "%s of %s: %s", name,
       producer, emit_result_name(result));
    if (result == EMIT_OK)
        check_expected(message, name, payload);
    tap_guard_free(guarded, bytes.len);
    check_prefixes(message, payload, &bytes);
    buf_free(&bytes);
}

static void check_vectors(const cJSON *all)
{
    const cJSON *producers = cJSON_GetObjectItem(all, "producers"), *message, *payload;
    int count = 0;

    cJSON_ArrayForEach(message, cJSON_GetObjectItem(all, "messages"))
    {
        cJSON_ArrayForEach(payload, cJSON_GetObjectItem(message, "payloads"))
        {
            const cJSON *by = cJSON_GetArrayItem(cJSON_GetObjectItem(payload, "by"), 0);
            const cJSON *producer = cJSON_GetArrayItem(producers, by->valueint);

            check_payload(message, cJSON_GetStringValue(producer), payload);
            count++;
        }
    }
    ok(count > 700, "%d recorded messages", count);
}

static void test_vectors(void)
{
    FILE *file = fopen(VECTORS, "r");
    struct buf text = {0};
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
    check_vectors(all);
    cJSON_Delete(all);
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
    {"d4 07 ff", "[7,{\"_placeholder\":true,\"num\":0}]"},
    {"d8 fb 00000000000000000000000000000000", "[-5,{\"_placeholder\":true,\"num\":0}]"},
    /* of msgpack-lite */
    {"d4 0d ff", "\"1969-12-31T23:59:59.999Z\""},
    {"c7 09 0d cb7ff8000000000000", "null"},
    {"93 d50ca173 d40f05 d40bc3", "[\"s\",5,true]"},
    {"c7 05 0a 92a1619000", "{}"},
    {"c7 03 1d 010203", "{}"},
    {"92 d41a05 c7021b0102",
     "[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]"},
    {"c7 03 12 010203", "{\"0\":1,\"1\":2,\"2\":3}"},
    {"d6 13 ffff0080", "{\"0\":-1,\"1\":-32768}"},
    {"d7 17 0000c03f 0000c07f", "{\"0\":1.5,\"1\":null}"},
    {"c7 00 18", "{}"},
    {"93 d4 0e 80 81a161 d40180 05", "[{},{\"a\":{}},5]"},
    {"92 c7 26 0e 84 a46e616d65 a145 a7"
     "6d657373616765 a16d a5"
     "737461636b 93010203 a866696c654e616d65 c0 05",
     "[{\"name\":\"E\",\"message\":\"m\",\"fileName\":null},5]"},
    {"c7 0c 05 81 a16d c7 06 01 81 a16e 91 91 c0", "{\"m\":{\"n\":[[null]]}}"},
    {"d5 0e 81 a0", NULL},
    {"d5 0e 80 80", NULL},
    {"d4 0e 90", NULL},
    {"d4 0e c0", NULL},
    {"81 d40e80 02", NULL},
    {"81 d41201 02", NULL},
    {"81 d41d01 02", NULL},
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

/* One argument in hex, and what is made of it. */
static void is_argument(const char *value, const struct buf *want)
{
    struct buf hex = {0}, message = {0};
    enum emit_result result;

    buf_printf(&hex, "a178 %s", value);
    buf_putc(&hex, '\0');
    put_message(&message, 2, (const char *)hex.data);
    result = decode("socket.io#/axr#", message.data, message.len, "/axr");
    if (ok(result == EMIT_OK, "%s", value))
        is_mem(bc.json.data, bc.json.len, want->data, want->len, "as JavaScript has it");
    buf_free(&hex);
    buf_free(&message);
}

/* A number of these bits between before and behind, likewise its text. */
static void is_number(const char *before, uint64_t bits, const char *behind,
                      const char *text_before, const char *text, const char *text_behind)
{
    struct buf want = {0};
    char hex[64];

    (void)snprintf(hex, sizeof(hex), "%s %016llx %s", before, (unsigned long long)bits, behind);
    buf_printf(&want, "[\"x\",%s%s%s", text_before, text, text_behind);
    is_argument(hex, &want);
    buf_free(&want);
}

/* A number is written alike wherever it stands: as a value, as a key, as what msgpack-lite
 * wraps, and in its arrays, which have the other order of bytes. */
static void test_last_bit(void)
{
    for (size_t i = 0; i < COUNT(doubles_js); i++) {
        uint64_t bits = doubles_js[i].bits, little = __builtin_bswap64(bits);
        const char *text = doubles_js[i].text;

        is_number("cb", bits, "", "", text, "");
        is_number("81 cb", bits, "02", "{\"", text, "\":2}");
        is_number("c7 09 0f cb", bits, "", "", text, "");
        is_number("d7 18", little, "", "{\"0\":", text, "}");
    }
}

/* Of 32 bits: an array of a power of two and its neighbours, and their texts. */
static uint64_t sum_floats(uint64_t sum, uint32_t power)
{
    struct buf hex = {0}, message = {0}, text = {0};
    uint32_t n = 0;

    for (uint32_t step = 0; step < 3; step++) {
        uint32_t bits = (power << 23) + step - 1;

        if (bits < 0x7f800000) {
            buf_printf(&hex, "ca %08x", bits);
            n++;
        }
    }
    buf_printf(&text, "a178 9%u %.*s", n, (int)hex.len, (char *)hex.data);
    buf_putc(&text, '\0');
    put_message(&message, 2, (char *)text.data);
    if (decode("socket.io#/axr#", message.data, message.len, "/axr") != EMIT_OK)
        printf("# 2^%d is not taken\n", (int)power - 127);
    for (size_t at = strlen("[\"x\",["); at < bc.json.len; at++)
        sum = doubles_js_sum(sum, strchr(",]", bc.json.data[at]) ? "\n" : (char *)bc.json.data + at,
                             1);
    buf_free(&hex);
    buf_free(&message);
    buf_free(&text);
    return sum;
}

static void test_floats(void)
{
    for (uint32_t i = 0; i < COUNT(floats_js_sums); i++) {
        uint64_t sum = DOUBLES_JS_SUM;

        for (uint32_t power = i << 5; power < (i + 1) << 5; power++)
            sum = sum_floats(sum, power);
        ok(sum == floats_js_sums[i], "float32: powers of two and their neighbours, from 2^%d on",
           (int)(i << 5) - 127);
    }
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
        {"93 a175 83 " DATA NSP "a474797065 a132 80", EMIT_MALFORMED},
        {"93 a175 83 " DATA NSP "a474797065 c0 80", EMIT_MALFORMED},
        {"93 a175 83 " DATA NSP "a474797065 ca40000000 80", EMIT_OK},
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
        {"81 " ROOMS "912a", EMIT_OK, 1, 0, 0},
        {"81 " ROOMS "91c0", EMIT_NOBODY, 0, 0, 0},
        {"81 " ROOMS "91cb7ff8000000000000", EMIT_NOBODY, 0, 0, 0},
        {"81 " ROOMS "91ca7f800000", EMIT_NOBODY, 0, 0, 0},
        {"81 " ROOMS "9192a161a162", EMIT_NOBODY, 0, 0, 0},
        {"81 " ROOMS "91c40161", EMIT_NOBODY, 0, 0, 0},
        {"81 " ROOMS "91a1ff", EMIT_NOBODY, 0, 0, 0},
        {"81 " ROOMS "922aa161", EMIT_OK, 2, 0, 0},
        {"81 " ROOMS "92c0a161", EMIT_OK, 1, 0, 0},
        {"81 " EXCEPT "932a91a162a161", EMIT_OK, 0, 2, 0},
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

/* Numbers are rooms of their own, each once however it is written. */
static void test_numbers(void)
{
    static const struct {
        const char *hex, *name;
    } numbers[] = {
        {"2a", "\xff"
               "42"},
        {"d2ffffffff", "\xff-1"},
        {"cb3fb999999999999a", "\xff"
                               "0.1"},
        {"cb8000000000000000", "\xff"
                               "0"},
        {"cf35c9adc5dea00000", "\xff"
                               "3875820019684212700"},
        {"cbffefffffffffffff", "\xff-1.7976931348623157e+308"},
        {"cb7e37e43c8800759c", "\xff"
                               "1e+300"},
    };
    struct buf hex = {0};

    for (size_t i = 0; i < COUNT(numbers); i++) {
        buf_reset(&hex);
        buf_printf(&hex, "93 a175 " PACKET " 82 " ROOMS "94 a23432 %s %s a161" EXCEPT "92 %s %s",
                   numbers[i].hex, numbers[i].hex, numbers[i].hex, numbers[i].hex);
        buf_putc(&hex, '\0');
        is_int(decode_hex("socket.io#/axr#", (const char *)hex.data), EMIT_OK, "a number");
        ok(bc.rooms.n == 3 && bc.except.n == 1, "each once");
        is_mem(bc.rooms.at[1].ptr, bc.rooms.at[1].len, numbers[i].name, strlen(numbers[i].name),
               "its name");
        ok(slice_eq(bc.except.at[0], slice_str(numbers[i].name)), "in either list");
        is_int((long)bc.rooms.at[0].len, 2, "its string is another");
    }
    is_int(decode_hex("socket.io#/axr#", "93 a175 " PACKET " 81 " ROOMS "93cb40450000000000002a28"),
           EMIT_OK, "42.0, 42, 40");
    is_int((long)bc.rooms.n, 2, "are two");
    buf_free(&hex);
}

/* As many as may be, in both lists, of which one comes twice. */
static void test_many_numbers(void)
{
    struct buf payload = {0};
    enum emit_result result;
    unsigned n = EMIT_ROOMS_MAX;

    hex_put(&payload, "93 a175 " PACKET " 83");
    for (int list = 0; list < 3; list++) {
        hex_put(&payload, list == 1 ? EXCEPT : ROOMS);
        buf_printf(&payload, "%c%c%c", 0xdc, (int)(n >> 8), (int)(n & 255));
        for (unsigned i = 0; i < n; i++) {
            double value = -1.2345678901234567e-300 * (i + 1);
            uint64_t bits;

            memcpy(&bits, &value, sizeof(bits));
            buf_printf(&payload, "%c%c%c%c%c%c%c%c%c", 0xcb, (int)(bits >> 56),
                       (int)(bits >> 48 & 255), (int)(bits >> 40 & 255), (int)(bits >> 32 & 255),
                       (int)(bits >> 24 & 255), (int)(bits >> 16 & 255), (int)(bits >> 8 & 255),
                       (int)(bits & 255));
        }
    }
    result = decode("socket.io#/axr#", payload.data, payload.len, "/axr");
    is_int(result, EMIT_OK, "as many numbers as may be");
    ok(bc.rooms.n == n && bc.except.n == n, "are all there");
    for (unsigned i = 0; i < n; i++) {
        if (!slice_eq(bc.rooms.at[i], bc.except.at[i]) || bc.rooms.at[i].ptr[0] != '\xff')
            result = EMIT_MALFORMED;
    }
    is_int(result, EMIT_OK, "with their names");
    buf_free(&payload);
}

static void put_room(struct buf *out, unsigned number)
{
    buf_printf(out, "%cr%06u", 0xa7, number % 1000000);
}

/* n names of rooms, of which each is there times times, in the list key. */
static enum emit_result decode_rooms(const char *key, unsigned n, unsigned times, const char *nsp)
{
    struct buf payload = {0};
    enum emit_result result;
    unsigned all = n * times;

    hex_put(&payload, "93 a175 " PACKET " 81");
    hex_put(&payload, key);
    buf_printf(&payload, "%c%c%c%c%c", 0xdd, (int)(all >> 24), (int)(all >> 16 & 255),
               (int)(all >> 8 & 255), (int)(all & 255));
    for (unsigned i = 0; i < all; i++)
        put_room(&payload, i % n);
    result = decode("socket.io#/axr#", payload.data, payload.len, nsp);
    buf_free(&payload);
    return result;
}

static void test_many_rooms(void)
{
    static const char *const keys[] = {ROOMS, EXCEPT};

    for (size_t i = 0; i < COUNT(keys); i++) {
        const struct slices *list = i == 0 ? &bc.rooms : &bc.except;

        is_int(decode_rooms(keys[i], 1, 500000, "/axr"), EMIT_OK, "half a million times the same");
        is_int((long)list->n, 1, "is one");
        is_int(decode_rooms(keys[i], EMIT_ROOMS_MAX, 100, "/axr"), EMIT_OK, "as many as may be");
        is_int((long)list->n, EMIT_ROOMS_MAX, "are all there, once each");
        is_int(decode_rooms(keys[i], EMIT_ROOMS_MAX + 1, 1, "/axr"), EMIT_TOO_MANY_ROOMS,
               "one more is refused");
        is_int(decode_rooms(keys[i], 500000, 1, "/axr"), EMIT_TOO_MANY_ROOMS, "so is any number");
        ok(list->cap <= 4 * EMIT_ROOMS_MAX, "and costs no memory");
        is_int(decode_rooms(keys[i], EMIT_ROOMS_MAX + 1, 1, "/axs"), EMIT_OTHER_NAMESPACE,
               "not where it is for others");
    }
    is_int(decode_hex("socket.io#/axr#b#", "93 a175 " PACKET " 81 " ROOMS "93a161a161a162"),
           EMIT_COPY, "a copy is one, however often its rooms are named");
    is_int(decode_hex("socket.io#/axr#a#",
                      "93 a175 " PACKET " 82 " ROOMS "93a161a162a161" EXCEPT "92a162a162"),
           EMIT_OK, "the same in both lists");
    ok(bc.rooms.n == 2 && bc.except.n == 1, "is the same in each");
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
        {"socket.io#/axr#42#", "922aa162", EMIT_OK},
        {"socket.io#/axr#b#", "922aa162", EMIT_COPY},
        {"socket.io#/axr#42#", "92a1622a", EMIT_COPY},
        {"socket.io#/axr#0.5#", "92cb3fe0000000000000a162", EMIT_OK},
        {"socket.io#/axr#null#", "92c0a162", EMIT_COPY},
        {"socket.io#/axr#b#", "92c0a162", EMIT_OK},
        {"socket.io#/axr#a#b#", "92a3612362a162", EMIT_OK},
        {"socket.io#/axr##", "92a0a162", EMIT_OK},
        {"socket.io#/axr#b#", "92a0a162", EMIT_COPY},
        {"socket.io#/axr##", "92a162a0", EMIT_COPY},
        /* all rooms in one channel, or in one that is not looked at */
        {"socket.io#/axr#a#b#", "92a161a162", EMIT_OK},
        {"socket.io#a#/axr#b#", "92a161a162", EMIT_OK},
        {"socket.io#a#b#", "92a161a162", EMIT_OK},
        {"other#/axr#b#", "92a161a162", EMIT_OK},
        {"", "92a161a162", EMIT_OK},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        char hex[256];

        snprintf(hex, sizeof(hex), "93 a175 " PACKET " 81 " ROOMS "%s", cases[i].rooms);
        is_int(decode_hex(cases[i].channel, hex), cases[i].result, cases[i].channel);
    }
}

/* ---- dialects ---- */

#define OPTS      "82 a5726f6f6d73 90 a5666c616773 80"
#define UID       "93 a7656d6974746572"
#define NSPKEY    "a36e7370 a42f617872"
#define HEAD      "83 a474797065 02 a464617461"
#define HOLDER(n) "{\"_placeholder\":true,\"num\":" #n "}"

/* json NULL: malformed.  bin: the first attachment, in hexadecimal. */
struct dialect_case {
    const char *hex, *json, *bin;
};

static void check_dialect(const struct dialect_case *one)
{
    struct buf payload = {0}, bin = {0};
    enum emit_result result;

    hex_put(&payload, one->hex);
    result = decode("socket.io#/axr#", payload.data, payload.len, "/axr");
    if (one->json == NULL) {
        is_int(result, EMIT_MALFORMED, one->hex);
    } else if (ok(result == EMIT_OK, "%s", one->hex)) {
        is_mem(bc.json.data, bc.json.len, one->json, strlen(one->json), one->json);
        if (one->bin != NULL)
            hex_put(&bin, one->bin);
        is_int(bc.attachments.n > 0, one->bin != NULL, "attachments or none");
        if (one->bin != NULL && bc.attachments.n > 0)
            is_mem(bc.attachments.at[0].ptr, bc.attachments.at[0].len, bin.data, bin.len, one->bin);
    }
    buf_free(&payload);
    buf_free(&bin);
}

static void test_dialects(void)
{
    static const struct dialect_case cases[] = {
        /* msgpack-js: undefined */
        {UID HEAD "92 a178 c4" NSPKEY OPTS, "[\"x\",null", NULL},
        {UID HEAD "94 a178 01 c4 02" NSPKEY OPTS, "[\"x\",1,null,2", NULL},
        {UID HEAD "93 a178 c4 00" NSPKEY OPTS, "[\"x\",null,0", NULL},
        {UID HEAD "92 a178 82 a161 c4 a162 01" NSPKEY OPTS, "[\"x\",{\"b\":1}", NULL},
        {UID HEAD "92 a178 c4" NSPKEY "82 a5726f6f6d73 c4 a5666c616773 c4", "[\"x\",null", NULL},
        {UID HEAD "91 a178" NSPKEY "82 a5726f6f6d73 c4 a5666c616773 c4", "[\"x\"", NULL},
        /* buffers that are too short, just as long and too long for an extension */
        {UID HEAD "92 a178 d80000" NSPKEY OPTS, "[\"x\"," HOLDER(0), ""},
        {UID HEAD "92 a178 d80003 010203" NSPKEY OPTS, "[\"x\"," HOLDER(0), "010203"},
        {UID HEAD "92 a178 d8000f 0102030405060708090a0b0c0d0e0f" NSPKEY OPTS, "[\"x\"," HOLDER(0),
         "0102030405060708090a0b0c0d0e0f"},
        {UID HEAD "92 a178 d80010 0102030405060708090a0b0c0d0e0f10" NSPKEY OPTS,
         "[\"x\"," HOLDER(0), "0102030405060708090a0b0c0d0e0f10"},
        {UID HEAD "92 a178 d900000002 ffff" NSPKEY OPTS, "[\"x\"," HOLDER(0), "ffff"},
        {UID HEAD "94 a178 c4 d80002 0102 81 a161 c4" NSPKEY OPTS, "[\"x\",null," HOLDER(0) ",{}",
         "0102"},
        /* the 0.x form: msgpack-js first */
        {"92" HEAD "94 a178 01 c4 02" NSPKEY OPTS, "[\"x\",1,null,2", NULL},
        {"92" HEAD "92 a178 d80003 010203" NSPKEY OPTS, "[\"x\"," HOLDER(0), "010203"},
        {"92" HEAD "92 a178 d921 6161616161616161616161616161616161616161616161616161616161616161"
         "61" NSPKEY OPTS,
         "[\"x\",\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", NULL},
        {"92" HEAD "92 a178 c403 010203" NSPKEY OPTS, "[\"x\"," HOLDER(0), "010203"},
        /* the same bytes in both: the first try counts, by the form */
        {UID HEAD "94 a178 c401a2 61 62" NSPKEY OPTS, "[\"x\"," HOLDER(0) ",97,98", "a2"},
        {"92" HEAD "94 a178 c4 01 a26162" NSPKEY OPTS, "[\"x\",null,1,\"ab\"", NULL},
        {UID HEAD "94 a178 c40192 01 02" NSPKEY OPTS, "[\"x\"," HOLDER(0) ",1,2", "92"},
        {"92" HEAD "94 a178 c4 01 920102" NSPKEY OPTS, "[\"x\",null,1,[1,2]", NULL},
        /* ... unless no modern encoder writes that */
        {UID HEAD "95 a178 c4 01 a26162 da000163" NSPKEY OPTS, "[\"x\",null,1,\"ab\",\"c\"", NULL},
        {UID HEAD "93 a178 c403010203 da000163" NSPKEY OPTS, "[\"x\"," HOLDER(0) ",\"c\"",
         "010203"},
        {UID HEAD "92 a178 da000163" NSPKEY OPTS, "[\"x\",\"c\"", NULL},
        /* neither */
        {UID HEAD "93 a178 c4 d40000" NSPKEY OPTS, NULL, NULL},
        {UID HEAD "93 a178 d80003 010203 d90161" NSPKEY OPTS, NULL, NULL},
        {UID HEAD "92 a178 c4" NSPKEY OPTS "00", NULL, NULL},
        {UID HEAD "92 a178 c4" NSPKEY "90", NULL, NULL},
        {"666c616773 000000000000000000000000000000", NULL, NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        check_dialect(&cases[i]);
}

/* A message of msgpack-js for somebody else is not taken for a broken one. */
static void test_dialect_results(void)
{
    static const struct {
        const char *hex;
        enum emit_result result;
    } cases[] = {
        {UID HEAD "94 a178 01 c4 02 a36e7370 a12f" OPTS, EMIT_OTHER_NAMESPACE},
        {UID HEAD "91 c4" NSPKEY OPTS, EMIT_NO_EVENT},
        {UID HEAD "92 a7636f6e6e656374 c4" NSPKEY OPTS, EMIT_RESERVED_EVENT},
        {UID HEAD "92 a178 c4" NSPKEY "81 a5726f6f6d73 91c0", EMIT_NOBODY},
        {UID HEAD "dc000c a178 d8000101 d8000101 d8000101 d8000101 d8000101 d8000101 d8000101"
                  "d8000101 d8000101 d8000101 d8000101" NSPKEY OPTS,
         EMIT_ATTACHMENTS},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        is_int(decode_hex("socket.io#/axr#", cases[i].hex), cases[i].result, cases[i].hex);
}

/* ---- liberties that emitters in other languages take ---- */

#define TYPE       "a474797065 02"
#define TYPE5      "a474797065 05"
#define FLAG(name) "81 " name
#define VOLATILE   "a8766f6c6174696c65"

static const struct {
    const char *what, *channel, *hex, *json; /* json NULL: malformed */
    size_t rooms;
    uint32_t flags;
} liberties[] = {
    {"PHP, rase: no uid, empty arrays", "socket.io#emitter",
     "92 83" TYPE DATA NSP "82" ROOMS "90" FLAGS "90", "[\"x\"", 0, 0},
    {"PHP, rase: any name is a flag", "socket.io#emitter",
     "92 83" TYPE DATA NSP "82" ROOMS "91a161" FLAGS FLAG("a3666f6f c3"), "[\"x\"", 1, 0},
    {"PHP, rase: binary of 40 bytes, marked as msgpack-js does", "socket.io#emitter",
     "92 83" TYPE5 "a464617461 92a178 d80028 07070707070707070707 07070707070707070707"
     "07070707070707070707 07070707070707070707" NSP "82" ROOMS "90" FLAGS "81 a662696e617279 c3",
     "[\"x\"," HOLDER(0), 0, 0},
    {"PHP, rase: short binary, not marked", "socket.io#emitter",
     "92 83" TYPE5 "a464617461 92a178 a3010203" NSP "82" ROOMS "90" FLAGS "90",
     "[\"x\",\"\\u0001\\u0002\\u0003\"", 0, 0},
    {"PHP, pecl: integer keys, str 8, stdClass", "socket.io#/axr#",
     UID "83" TYPE "a464617461 93a178 8201a16102a162 82c0a8737464436c617373a16b01" NSP "82" ROOMS
         "90" FLAGS "90",
     "[\"x\",{\"1\":\"a\",\"2\":\"b\"},{\"null\":\"stdClass\",\"k\":1}", 0, 0},
    {"PHP, Turbo-Timer: the order of opts, nil for no data, room not in the channel",
     "socket.io#/axr#",
     UID "83" TYPE "a464617461 92a178c0" NSP "83" FLAGS "90" ROOMS "91a161" EXCEPT "90",
     "[\"x\",null", 1, 0},
    {"Java, sunsus: all rooms in one channel", "socket.io#a#b#/axr#",
     "92 83" TYPE DATA NSP "82" ROOMS "92a161a162" FLAGS "80", "[\"x\"", 2, 0},
    {"Java, sunsus: raw strings of any length and content", "socket.io#/axr#",
     "92 83" TYPE "a464617461 93a178 da000161 da0002ff61" NSP "82" ROOMS "90" FLAGS "80",
     "[\"x\",\"a\",\"\xef\xbf\xbd"
     "a\"",
     0, 0},
    {"Java, sunsus: data is bytes, no array", "socket.io#/axr#",
     "92 83" TYPE5 "a464617461 a3010203" NSP "82" ROOMS "90" FLAGS "80", NULL, 0, 0},
    {"Java, deppan: keys in any order, float32", "socket.io#/axr#",
     UID "83" NSP "a464617461 92a178 ca3fc00000" TYPE "83" EXCEPT "90" FLAGS "80" ROOMS "90",
     "[\"x\",1.5", 0, 0},
    {"Kotlin, Smartsquare: any uid", "socket.io#/axr#",
     "93 d9 24 66383163346661382d646561642d343030302d383030302d303030303030303030303030"
     "83" TYPE DATA NSP "83" ROOMS "90" EXCEPT "90" FLAGS "80",
     "[\"x\"", 0, 0},
    {"Kotlin, Smartsquare with Lettuce: the bytes as text", "socket.io#/axr#",
     "efbfbd efbfbd 656d6974746572 efbfbd efbfbd 74797065 02", NULL, 0, 0},
    {"Go, yosuke-furukawa: nil rooms and flags", "socket.io#emitter",
     "92 83" DATA NSP TYPE "82" FLAGS "c0" ROOMS "c0", "[\"x\"", 0, 0},
    {"Go, stackcats: one publish a room", "socket.io#/axr#a#",
     UID "83" DATA NSP TYPE5 "82" ROOMS "92a161a162" FLAGS "80", "[\"x\"", 2, 0},
    {"Go, dathuynh: a host name for uid, compact numbers", "socket.io#/axr#",
     "93 a4686f7374 83" DATA NSP "a474797065 ca40000000 82" ROOMS "90" FLAGS "80", "[\"x\"", 0, 0},
    {"Go, zishang520: what is empty is missing", "socket.io#/axr#", UID "83" TYPE DATA NSP "80",
     "[\"x\"", 0, 0},
    {"Python, bugthesystem, and C#, ziyasal: empty strings", "socket.io#/axr#",
     UID "83" DATA TYPE NSP "82" FLAGS "a0" ROOMS "a0", "[\"x\"", 0, 0},
    {"Python, roma-glushko: nil rooms, no last #", "socket.io#/axr",
     UID "83" DATA TYPE NSP "83" ROOMS "c0" FLAGS "82" VOLATILE "c2 a8636f6d7072657373c2" EXCEPT
         "c0",
     "[\"x\"", 0, 0},
    {"Python, roma-glushko: a publish a room, no last #", "socket.io#/axr#a",
     UID "83" DATA TYPE NSP "83" ROOMS "92a161a162" FLAGS "82" VOLATILE
         "c3 a8636f6d7072657373c2" EXCEPT "c0",
     "[\"x\"", 2, BROADCAST_VOLATILE},
    {"Ruby, nulltask: bin for binary", "socket.io#/axr#",
     UID "83" TYPE5 "a464617461 92a178 c402ff00" NSP "82" ROOMS "90" FLAGS "80",
     "[\"x\"," HOLDER(0), 0, 0},
    {"Perl: type 5 for text, flags that are numbers", "socket.io#/axr#",
     UID "83" NSP TYPE5 "a464617461 92a178 a2c3a9"
         "82" FLAGS FLAG(VOLATILE "01") ROOMS "90",
     "[\"x\",\"\xc3\xa9\"", 0, BROADCAST_VOLATILE},
    {"Perl: bytes as a string", "socket.io#/axr#",
     UID "83" TYPE5 NSP "a464617461 92a178 a4fffe4180"
         "82" ROOMS "90" FLAGS "80",
     "[\"x\",\"\xef\xbf\xbd\xef\xbf\xbd"
     "A\xef\xbf\xbd\"",
     0, 0},
    {"socket.io 2: type 5 by flag, without binary", "socket.io#/axr#",
     UID "83" TYPE5 DATA NSP "82" ROOMS "90" FLAGS FLAG("a662696e617279 c3"), "[\"x\"", 0, 0},
    {"JSON, of another parser", "socket.io#/axr#", "5b22656d6974746572222c7b7d2c7b7d5d", NULL, 0,
     0},
};

static void test_liberties(void)
{
    struct buf payload = {0};

    for (size_t i = 0; i < COUNT(liberties); i++) {
        const char *json = liberties[i].json;
        enum emit_result result;

        buf_reset(&payload);
        hex_put(&payload, liberties[i].hex);
        result = decode(liberties[i].channel, payload.data, payload.len, "/axr");
        if (!ok(result == (json != NULL ? EMIT_OK : EMIT_MALFORMED), "%s: %s", liberties[i].what,
                emit_result_name(result)) ||
            json == NULL)
            continue;
        is_mem(bc.json.data, bc.json.len, json, strlen(json), json);
        is_int(bc.rooms.n, liberties[i].rooms, "rooms");
        is_int(bc.flags, liberties[i].flags, "flags");
    }
    buf_free(&payload);
}

/* ---- maps of the streams adapter ---- */

#define CLUSTER(type, data) "84 a474797065 " type " a464617461 " data " a3756964 a175 " NSPKEY
#define PACKET_NSPLESS      "a67061636b6574 82 a474797065 02 a464617461 91a178"
#define OPTS_ROOM           "a46f707473 81 a5726f6f6d73 91a161"

static void test_cluster(void)
{
    static const struct {
        const char *hex;
        enum emit_result result;
    } cases[] = {
        {CLUSTER("03", "82 " PACKET_NSPLESS OPTS_ROOM), EMIT_OK},
        {CLUSTER("03", "83 " OPTS_ROOM "a9726571756573744964 a161 " PACKET_NSPLESS), EMIT_OK},
        {"84 " NSPKEY "a464617461 82 " PACKET_NSPLESS OPTS_ROOM "a3756964 c0 a474797065 03",
         EMIT_OK},
        {"83 a474797065 03 a464617461 82 " PACKET_NSPLESS OPTS_ROOM "a3756964 a175",
         EMIT_OTHER_NAMESPACE},
        {CLUSTER("07", "82 " OPTS_ROOM "a9726571756573744964 a161"), EMIT_NOT_BROADCAST},
        {CLUSTER("09", "81 a67061636b6574 91a178"), EMIT_NOT_BROADCAST},
        {CLUSTER("02", "c0"), EMIT_NOT_BROADCAST},
        {CLUSTER("a133", "82 " PACKET_NSPLESS OPTS_ROOM), EMIT_NOT_BROADCAST},
        {CLUSTER("9103", "82 " PACKET_NSPLESS OPTS_ROOM), EMIT_NOT_BROADCAST},
        {CLUSTER("03", "80"), EMIT_MALFORMED},
        {CLUSTER("03", "c0"), EMIT_MALFORMED},
        {CLUSTER("03", "81 " PACKET_NSPLESS), EMIT_MALFORMED},
        {CLUSTER("03", "81 " OPTS_ROOM), EMIT_MALFORMED},
        {CLUSTER("03", "82 " PACKET_NSPLESS "a46f707473 c0"), EMIT_MALFORMED},
        {CLUSTER("03", "82 a67061636b6574 91a178 " OPTS_ROOM), EMIT_MALFORMED},
        {CLUSTER("03", "82 05 05 " OPTS_ROOM), EMIT_MALFORMED},
        {CLUSTER("03", "82 " PACKET_NSPLESS OPTS_ROOM) "00", EMIT_MALFORMED},
        {"81 a474797065 03", EMIT_MALFORMED},
        {"82 a474797065 07 a36e7370 05", EMIT_MALFORMED},
        {"81 05 05", EMIT_MALFORMED},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        is_int(decode_hex("socket.io#/axr#", cases[i].hex), cases[i].result, cases[i].hex);
        if (cases[i].result == EMIT_OK)
            ok(bc.rooms.n == 1 && slice_eq(buf_slice(&bc.json), SLICE("[\"x\"")),
               "its room and its event");
    }
}

/* ---- limits ---- */

static void test_depth(void)
{
    struct buf hex = {0}, message = {0};

    is_int(EMIT_DEPTH_MAX, 128, "arrays and maps within each other");
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
    put_message(
        &message, 2,
        "a178 c7 20 12 0000000000000000 0000000000000000 0000000000000000 0000000000000000");
    tight.message_bytes = message.len;
    is_int(emit_decode(&bc, channel, buf_slice(&message), key, nsp, &tight), EMIT_TOO_LARGE,
           "a typed array that grows");
    tight.message_bytes = 1000;
    put_message(&message, 3, "a178 c40101 c40102");
    is_int(emit_decode(&bc, channel, buf_slice(&message), key, nsp, &tight), EMIT_OK,
           "as many attachments as may be");
    put_message(&message, 4, "a178 c40101 c40102 c40103");
    is_int(emit_decode(&bc, channel, buf_slice(&message), key, nsp, &tight), EMIT_ATTACHMENTS,
           "one more");
    buf_free(&message);
}

/* More than that no encoding has room for, whatever the limit is. */
static void test_attachments(void)
{
    const struct emit_limits wide = {4194304, 1000};
    struct buf hex = {0}, message = {0};

    for (unsigned n = 255; n <= 256; n++) {
        buf_reset(&hex);
        buf_puts(&hex, "a178");
        for (unsigned i = 0; i < n; i++)
            buf_puts(&hex, " c40101");
        buf_putc(&hex, '\0');
        put_message(&message, n + 1, (const char *)hex.data);
        is_int(emit_decode(&bc, SLICE("socket.io#/axr#"), buf_slice(&message), SLICE("socket.io"),
                           SLICE("/axr"), &wide),
               n == 255 ? EMIT_OK : EMIT_ATTACHMENTS,
               n == 255 ? "255 attachments" : "and one more");
    }
    buf_free(&hex);
    buf_free(&message);
}

/* A payload of exactly limits:messageBytes is taken: what it becomes is shorter here. */
static void test_payload_size(void)
{
    struct emit_limits tight = {0, 2};
    struct buf message = {0};

    put_message(&message, 1, "a178");
    for (size_t less = 0; less < 2; less++) {
        tight.message_bytes = message.len - less;
        is_int(emit_decode(&bc, SLICE("socket.io#/axr#"), buf_slice(&message), SLICE("socket.io"),
                           SLICE("/axr"), &tight),
               less ? EMIT_TOO_LARGE : EMIT_OK, less ? "a byte less is not" : "just its size");
    }
    is_str(emit_result_name(EMIT_RESULTS - 1), "no_memory", "the last result");
    is_str(emit_result_name(EMIT_RESULTS), "unknown", "and none");
    is_int(EMIT_ROOMS_MAX, 4096, "different rooms");
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
    test_last_bit();
    test_floats();
    test_events();
    test_shapes();
    test_opts();
    test_numbers();
    test_many_numbers();
    test_many_rooms();
    test_copies();
    test_dialects();
    test_dialect_results();
    test_liberties();
    test_cluster();
    test_depth();
    test_attachments();
    test_payload_size();
    test_sizes();
    test_encode();
    is_str(emit_result_name(EMIT_RESERVED_EVENT), "reserved_event", "a result has a name");
    for (int i = 0; i < EMIT_RESULTS; i++)
        ok(emit_result_name((enum emit_result)i) != NULL, "result %d has one", i);
    broadcast_clear(&bc);
    return tap_done();
}
