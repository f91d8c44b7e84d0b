#include "codec/payload.h"

#include "hex.h"
#include "payload_put.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define E_ACUTE      "\xc3\xa9"
#define EURO         "\xe2\x82\xac"
#define GRIN         "\xf0\x9f\x98\x80"

static struct buf scratch;

/* Decodes a copy of body before a guard page and appends what it holds to seen:
 * each packet as <type digit><text>| or <type>*<hex>|, and at the end . or !.
 * Returns the number of packets, or -1. */
static int decode(enum eio_version version, int octets, const void *body, size_t len,
                  struct buf *seen)
{
    unsigned char *guarded = tap_guard(body, len);
    struct payload it;
    struct eio_packet packet;
    int count = 0;
    int result = payload_begin(&it, version, octets, (struct slice){(char *)guarded, len});

    while (result == 0 && (result = payload_next(&it, &packet, &scratch)) == 1) {
        count++;
        if (packet.binary)
            buf_printf(seen, "%d*", (int)packet.type);
        else /* with its digit */
            buf_put(seen, packet.data.ptr - 1, packet.data.len + 1);
        for (size_t i = 0; packet.binary && i < packet.data.len; i++)
            buf_printf(seen, "%02x", (unsigned char)packet.data.ptr[i]);
        buf_putc(seen, '|');
        result = 0;
    }
    buf_putc(seen, result == 0 ? '.' : '!');
    if (version == EIO3 || !octets)
        ok(payload_next(&it, &packet, &scratch) == result, "the verdict stays");
    tap_guard_free(guarded, len);
    return result == 0 ? count : -1;
}

/* What clients sent to socket.io 4.8.4 (recorded, November 2026), and the rest. */
static const struct {
    const char *name;
    enum eio_version version;
    int octets;
    const char *body;
    size_t len;
    const char *seen;
} cases[] = {
#define CASE(name, version, octets, body, seen)                                                    \
    {                                                                                              \
        name, version, octets, body, sizeof(body) - 1, seen                                        \
    }
    CASE("one", EIO4, 0, "40/axr,", "40/axr,|."),
    CASE("two, not ASCII", EIO4, 0,
         "42[\"a\",1]\x1e"
         "42[\"b\",\"" E_ACUTE GRIN "\"]",
         "42[\"a\",1]|42[\"b\",\"" E_ACUTE GRIN "\"]|."),
    CASE("binary", EIO4, 0,
         "451-[]\x1e"
         "bAQID\x1e"
         "b\x1e"
         "3",
         "451-[]|4*010203|4*|3|."),
    CASE("empty", EIO4, 0, "", "!"),
    CASE("separator alone", EIO4, 0, "\x1e", "!"),
    CASE("separator at the end", EIO4, 0, "2\x1e", "2|!"),
    CASE("separator in front", EIO4, 0,
         "\x1e"
         "2",
         "!"),
    CASE("two separators", EIO4, 0,
         "2\x1e\x1e"
         "2",
         "2|!"),
    CASE("no packet", EIO4, 0, "abc", "!"),
    CASE("second is no packet", EIO4, 0,
         "2\x1e"
         "7",
         "2|!"),
    CASE("no base64", EIO4, 0, "bA!", "!"),
    CASE("invalid UTF-8", EIO4, 0, "4\xc3", "!"),
    CASE("surrogate", EIO4, 0, "4\xed\xa0\x80", "!"),
    CASE("octets", EIO4, 1, "42[\"x\"]", "!"),
    CASE("one, 3", EIO3, 0, "7:40/axr,", "40/axr,|."),
    CASE("close", EIO3, 0, "1:1", "1|."),
    CASE("two, not ASCII, 3", EIO3, 0, "9:42[\"a\",1]13:42[\"b\",\"" E_ACUTE GRIN "\"]",
         "42[\"a\",1]|42[\"b\",\"" E_ACUTE GRIN "\"]|."),
    CASE("22 units, 3", EIO3, 0, "22:42[\"ev\",\"h" E_ACUTE "llo " EURO GRIN "\",1]",
         "42[\"ev\",\"h" E_ACUTE "llo " EURO GRIN "\",1]|."),
    CASE("binary, 3", EIO3, 0, "6:b4AQID2:b41:2", "4*010203|4*|2|."),
    CASE("base64 without a type, 3", EIO3, 0, "5:bAQID", "!"),
    CASE("empty, 3", EIO3, 0, "", "!"),
    CASE("no packets, 3", EIO3, 0, "0:", "!"),
    CASE("empty packet, 3", EIO3, 0, "1:20:", "2|!"),
    CASE("zero in front, 3", EIO3, 0, "01:2", "!"),
    CASE("no digits, 3", EIO3, 0, ":2", "!"),
    CASE("no number, 3", EIO3, 0, "abc", "!"),
    CASE("sign, 3", EIO3, 0, "+1:2", "!"),
    CASE("minus, 3", EIO3, 0, "-1:2", "!"),
    CASE("space, 3", EIO3, 0, " 1:2", "!"),
    CASE("exponent, 3", EIO3, 0, "1e0:2", "!"),
    CASE("no colon, 3", EIO3, 0, "1", "!"),
    CASE("no packet after the colon, 3", EIO3, 0, "1:", "!"),
    CASE("number alone at the end, 3", EIO3, 0, "1:21", "2|!"),
    CASE("too long by one, 3", EIO3, 0, "2:2", "!"),
    CASE("too short by one, 3", EIO3, 0, "1:2x", "2|!"),
    CASE("half of a pair, 3", EIO3, 0, "2:4" GRIN, "!"),
    CASE("bytes instead of units, 3", EIO3, 0, "5:4" GRIN, "!"),
    CASE("pair, 3", EIO3, 0, "3:4" GRIN, "4" GRIN "|."),
    CASE("2^64 + 1, 3", EIO3, 0, "18446744073709551617:2", "!"),
    CASE("a thousand million, 3", EIO3, 0, "1000000000:2", "!"),
    CASE("invalid UTF-8, 3", EIO3, 0, "2:4\xff", "!"),
    CASE("cut UTF-8, 3", EIO3, 0, "2:4\xe2\x82", "!"),
    CASE("no packet, 3", EIO3, 0, "3:xyz", "!"),
    CASE("octets, 3", EIO3, 1,
         "\0\x08\xff"
         "42[\"bp\"]",
         "42[\"bp\"]|."),
    CASE("octets, not ASCII, 3", EIO3, 1,
         "\0\x05\xff"
         "4" GRIN,
         "4" GRIN "|."),
    CASE("octets, binary, 3", EIO3, 1,
         "\0\x01\xff"
         "2\x01\x04\xff\x04\x01\x02\x03\x01\x01\xff\x04",
         "2|4*010203|4*|."),
    CASE("octets, ten, 3", EIO3, 1,
         "\0\x01\0\xff"
         "4123456789",
         "4123456789|."),
    CASE("octets, empty, 3", EIO3, 1, "", "!"),
    CASE("octets, kind alone, 3", EIO3, 1, "\0", "!"),
    CASE("octets, kind 2, 3", EIO3, 1,
         "\x02\x01\xff"
         "2",
         "!"),
    CASE("octets, no number, 3", EIO3, 1,
         "\0\xff"
         "2",
         "!"),
    CASE("octets, number 0, 3", EIO3, 1, "\0\0\xff", "!"),
    CASE("octets, zero in front, 3", EIO3, 1,
         "\0\0\x01\xff"
         "2",
         "!"),
    CASE("octets, ASCII digit, 3", EIO3, 1,
         "\0"
         "1\xff"
         "2",
         "!"),
    CASE("octets, digit 10, 3", EIO3, 1,
         "\0\x0a\xff"
         "412345678",
         "!"),
    CASE("octets, no end of the number, 3", EIO3, 1, "\0\x01", "!"),
    CASE("octets, too long by one, 3", EIO3, 1,
         "\0\x02\xff"
         "2",
         "!"),
    CASE("octets, too short by one, 3", EIO3, 1,
         "\0\x01\xff"
         "2x",
         "2|!"),
    CASE("octets, overlong, 3", EIO3, 1,
         "\0\1\x08\4\4\6\7\4\4\0\7\3\7\0\x09\5\5\1\6\1\7\xff"
         "2",
         "!"),
    CASE("octets, invalid UTF-8, 3", EIO3, 1,
         "\0\x02\xff"
         "4\xff",
         "!"),
    CASE("octets, digit as binary type, 3", EIO3, 1,
         "\x01\x02\xff"
         "4x",
         "!"),
    CASE("octets, ping as binary, 3", EIO3, 1, "\x01\x01\xff\x02", "!"),
#undef CASE
};

static void test_decode(void)
{
    struct buf seen = {0};

    for (size_t i = 0; i < COUNT(cases); i++) {
        decode(cases[i].version, cases[i].octets, cases[i].body, cases[i].len, &seen);
        is_mem(seen.data, seen.len, cases[i].seen, strlen(cases[i].seen), cases[i].name);
        buf_reset(&seen);
    }
    buf_free(&seen);
}

/* What a prefix holds is what the whole starts with; but in version 4 the last
 * packet can be a cut one. */
static void test_prefixes(void)
{
    struct buf seen = {0};

    for (size_t i = 0; i < COUNT(cases); i++) {
        int bad = 0;

        for (size_t n = 0; n < cases[i].len; n++) {
            size_t same;

            buf_reset(&seen);
            decode(cases[i].version, cases[i].octets, cases[i].body, n, &seen);
            same = seen.len - 1;
            if (cases[i].version == EIO4 && same > 0 && seen.data[same] == '.')
                same--;
            while (cases[i].version == EIO4 && same > 0 && seen.data[same - 1] != '|')
                same--;
            bad += strncmp((char *)seen.data, cases[i].seen, same) != 0;
        }
        is_int(bad, 0, "prefixes");
    }
    buf_free(&seen);
}

/* --- encoding ---------------------------------------------------------------- */

/* What a server (socket.io 4.8.4, recorded in November 2026) answered to one GET,
 * after these packets. */
#define T1     "42[\"t\",\"a\"]"
#define BIN(x) "451-[\"bin\",{\"_placeholder\":true,\"num\":0},\"" x "\"]"
#define TWO                                                                                        \
    "452-[\"two\",{\"_placeholder\":true,\"num\":0},{\"n\":{\"_placeholder\":true,\"num\":1}}]"
#define RAW   "h" E_ACUTE EURO GRIN
#define ASCII "h\\u00e9\\u20ac\\ud83d\\ude00"

static void put_recorded(struct buf *out, enum payload_form form, struct slice bin)
{
    payload_put(out, form, 0, SLICE(T1));
    payload_put(out, form, 0, bin);
    payload_put(out, form, 1, SLICE("\x01\x02\x03"));
    payload_put(out, form, 0, SLICE(TWO));
    payload_put(out, form, 1, SLICE("\xff"));
    payload_put(out, form, 1, SLICE(""));
}

static void test_recorded(void)
{
    static const char v4[] = T1 "\x1e" BIN(RAW) "\x1e"
                                                "bAQID\x1e" TWO "\x1e"
                                                "b/w==\x1e"
                                                "b";
    /* There in raw UTF-8, so with 49: and not 69: before the second packet. */
    static const char v3[] = "11:" T1 "69:" BIN(ASCII) "6:b4AQID77:" TWO "6:b4/w==2:b4";
    static const char v3_octets[] =
        "000101ff34325b2274222c2261225d000504ff3435312d5b2262696e222c7b225f706c616365686f6c646572"
        "223a747275652c226e756d223a307d2c2268c3a9e282acf09f9880225d0104ff04010203000707ff3435322d5b"
        "2274776f222c7b225f706c616365686f6c646572223a747275652c226e756d223a307d2c7b226e223a7b225f70"
        "6c616365686f6c646572223a747275652c226e756d223a317d7d5d0102ff04ff0101ff04";
    struct buf out = {0}, want = {0};

    put_recorded(&out, PAYLOAD4, SLICE(BIN(RAW)));
    ok(out.len > 0 && out.data[0] == 0x1e, "a separator comes first");
    is_mem(out.data + 1, out.len - 1, v4, sizeof(v4) - 1, "version 4 as recorded");
    buf_reset(&out);
    put_recorded(&out, PAYLOAD3_TEXT, SLICE(BIN(ASCII)));
    is_mem(out.data, out.len, v3, sizeof(v3) - 1, "version 3 as recorded, but in ASCII");
    buf_reset(&out);
    put_recorded(&out, PAYLOAD3_BINARY, SLICE(BIN(RAW)));
    hex_put(&want, v3_octets);
    is_mem(out.data, out.len, want.data, want.len, "version 3 in octets as recorded");
    buf_free(&want);
    buf_free(&out);
}

/* Recorded too: a message of 1234 bytes, 7 each. */
static void test_long(void)
{
    uint8_t sevens[1234];
    struct slice message = {(char *)sevens, sizeof(sevens)};
    struct buf out = {0};

    memset(sevens, 7, sizeof(sevens));
    payload_put(&out, PAYLOAD3_BINARY, 1, message);
    is_mem(out.data, 9, "\x01\x01\x02\x03\x05\xff\x04\x07\x07", 9, "1235 in octets");
    is_int(out.len, 1287 - 46, "length in octets"); /* of 1287, the text packet has 46 */
    buf_reset(&out);
    payload_put(&out, PAYLOAD3_TEXT, 1, message);
    is_mem(out.data, 11, "1650:b4BwcH", 11, "1650 in base64");
    is_int(out.len, 1700 - 45, "length in base64");
    buf_reset(&out);
    payload_put(&out, PAYLOAD4, 1, message);
    is_mem(out.data, 6,
           "\x1e"
           "bBwcH",
           6, "version 4");
    is_int(out.len, 1692 - 42, "length in version 4");
    buf_free(&out);
}

/* Each length around where the digits or the padding change, written into exactly
 * the room that was announced and read back. */
static void test_round_trip(void)
{
    static const enum payload_form forms[] = {PAYLOAD4, PAYLOAD3_TEXT, PAYLOAD3_BINARY};
    char bytes[1024];
    size_t bad = 0, tried = 0;

    memset(bytes, '4', sizeof(bytes));
    for (size_t n = 0; n <= sizeof(bytes); n += n < 120 || n > 990 ? 1 : 97) {
        for (size_t how = 0; how < 2 * COUNT(forms); how++) {
            enum payload_form form = forms[how / 2];
            int binary = how % 2, skip = form == PAYLOAD4;
            size_t len = payload_packet_len(form, binary, n);
            unsigned char *room = tap_guard(NULL, len);
            struct payload it;
            struct eio_packet packet = {0};
            struct slice body = {(char *)room + skip, len - (size_t)skip};

            if (n == 0 && !binary) { /* no packet */
                tap_guard_free(room, len);
                continue;
            }
            tried++;
            bad += payload_packet_write(room, form, binary, bytes, n) != room + len;
            bad += payload_begin(&it, form == PAYLOAD4 ? EIO4 : EIO3, form == PAYLOAD3_BINARY,
                                 body) != 0;
            bad += payload_next(&it, &packet, &scratch) != 1;
            bad += packet.type != EIO_MESSAGE || packet.binary != binary;
            bad += packet.data.len != n - (binary ? 0 : 1);
            bad += packet.data.len > 0 && memcmp(packet.data.ptr, bytes, packet.data.len) != 0;
            bad += payload_next(&it, &packet, &scratch) != 0;
            tap_guard_free(room, len);
        }
    }
    is_int(bad, 0, "what was written is read back");
    ok(tried > 800, "%zu packets", tried);
}

/* --- JSONP ------------------------------------------------------------------- */

static void test_put_jsonp(void)
{
    static const struct {
        const char *name, *j, *payload, *want;
    } jsonp[] = {
        {"recorded, 3", "0",
         "52:451-[\"ev\",\"a\xe2\x80\xa8"
         "b\\\"\\\\\\n\",{\"_placeholder\":true,\"num\":0}]",
         "___eio[0](\"52:451-[\\\"ev\\\",\\\"a\\u2028b\\\\\\\"\\\\\\\\\\\\n\\\",{\\\"_"
         "placeholder\\\":"
         "true,\\\"num\\\":0}]\");"},
        {"recorded, 4", "0",
         T1 "\x1e"
            "bAQID\x1e"
            "b/w==\x1e"
            "b",
         "___eio[0](\"42[\\\"t\\\",\\\"a\\\"]\\u001ebAQID\\u001eb/w==\\u001eb\");"},
        {"line ends", "12", "\xe2\x80\xa8\xe2\x80\xa9x\xe2\x80\xa9\xe2\x80\xaa",
         "___eio[12](\"\\u2028\\u2029x\\u2029\xe2\x80\xaa\");"},
        {"not ASCII", "7", RAW, "___eio[7](\"" RAW "\");"},
        {"digits only", "1];alert(2)//3", "6", "___eio[123](\"6\");"},
        {"no digits", "", "6", "___eio[](\"6\");"},
        {"nothing", "1", "", "___eio[1](\"\");"},
    };
    struct buf out = {0};

    for (size_t i = 0; i < COUNT(jsonp); i++) {
        is_int(payload_put_jsonp(&out, slice_str(jsonp[i].j), slice_str(jsonp[i].payload)), 0,
               jsonp[i].name);
        is_mem(out.data, out.len, jsonp[i].want, strlen(jsonp[i].want), jsonp[i].name);
        buf_reset(&out);
    }
    buf_puts(&out, "\xe2\x80\xa8");
    payload_put_jsonp(&out, SLICE("0"), SLICE("\xe2\x80\xa8"));
    is_mem(out.data, out.len, "\xe2\x80\xa8___eio[0](\"\\u2028\");", 23, "what was there stays");
    buf_free(&out);
}

static void test_unwrap_jsonp(void)
{
    static const struct {
        const char *name, *body, *want; /* NULL: malformed */
    } jsonp[] = {
        {"recorded, 3", "d=7%3A40%2Faxr%2C", "7:40/axr,"},
        {"recorded, 4", "d=40", "40"},
        {"plus", "d=4+%2B", "4 +"},
        {"newline", "d=4a%5Cnb", "4a\nb"},
        {"escaped newline", "d=4a%5C%5Cnb", "4a\\nb"},
        {"three and n", "d=4%5C%5C%5Cn", "4\\\\n"},
        {"four and n", "d=4%5C%5C%5C%5Cn", "4\\\\\\n"},
        {"backslashes", "d=4%5C%5C%5Ca%5C", "4\\\\\\a\\"},
        {"newline at the end", "d=4%5C%5Cn%5Cn", "4\\n\n"},
        {"bytes", "d=%C3%A9%00", E_ACUTE}, /* and a zero */
        {"among others", "a=b&d=40&e", "40"},
        {"the last", "d=1&d=40", "40"},
        {"empty", "d=", ""},
        {"name alone", "d", ""},
        {"nothing", "", NULL},
        {"another", "data=40", NULL},
        {"broken escape", "d=4%5", NULL},
        {"no hex", "d=4%zz", NULL},
    };
    struct buf out = {0};

    for (size_t i = 0; i < COUNT(jsonp); i++) {
        size_t len = strlen(jsonp[i].body);
        unsigned char *guarded = tap_guard(jsonp[i].body, len);
        int result = payload_unwrap_jsonp(&out, (struct slice){(char *)guarded, len});

        is_int(result, jsonp[i].want != NULL ? 0 : -1, jsonp[i].name);
        if (result == 0)
            is_mem(out.data, out.len, jsonp[i].want,
                   strlen(jsonp[i].want) + (strcmp(jsonp[i].name, "bytes") == 0), jsonp[i].name);
        buf_reset(&out);
        tap_guard_free(guarded, len);
    }
    buf_free(&out);
}

int main(void)
{
    test_decode();
    test_prefixes();
    test_recorded();
    test_long();
    test_round_trip();
    test_put_jsonp();
    test_unwrap_jsonp();
    buf_free(&scratch);
    return tap_done();
}
