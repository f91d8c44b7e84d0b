#include "codec/msgpack.h"

#include "hex.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* An item of the input as a short text: "uint 5", "str abc", "array 3", ... */
static void describe(struct buf *out, const struct msgpack_item *item)
{
    static const char *const names[] = {"invalid", "nil",   "undefined", "bool",   "uint",
                                        "int",     "float", "date",      "str",    "bin",
                                        "array",   "map",   "ext",       "vector", "error"};

    buf_puts(out, names[item->type]);
    if (item->type == MSGPACK_BOOL || item->type == MSGPACK_UINT)
        buf_printf(out, " %llu", (unsigned long long)item->u);
    else if (item->type == MSGPACK_INT)
        buf_printf(out, " %lld", (long long)item->i);
    else if (item->type == MSGPACK_FLOAT || item->type == MSGPACK_DATE)
        buf_printf(out, " %.17g", item->f);
    else if (item->type == MSGPACK_ARRAY || item->type == MSGPACK_MAP)
        buf_printf(out, " %u", item->len);
    if (item->type == MSGPACK_EXT)
        buf_printf(out, " %d", item->ext);
    if (item->type == MSGPACK_STR)
        buf_printf(out, " %.*s", (int)item->len, item->bytes);
    if (item->type == MSGPACK_VECTOR) {
        for (uint32_t i = 0; i < item->len; i++) {
            struct msgpack_item number = msgpack_vector_at(item, i);

            buf_putc(out, ' ');
            describe(out, &number);
        }
    }
    if (item->type == MSGPACK_BIN || item->type == MSGPACK_EXT || item->type == MSGPACK_ERROR) {
        buf_putc(out, ' ');
        for (uint32_t i = 0; i < item->len; i++)
            buf_printf(out, "%02x", (uint8_t)item->bytes[i]);
    }
}

static const struct {
    const char *hex, *text;
} items[] = {
    {"00", "uint 0"},
    {"7f", "uint 127"},
    {"e0", "int -32"},
    {"ff", "int -1"},
    {"c0", "nil"},
    {"c2", "bool 0"},
    {"c3", "bool 1"},
    {"cc ff", "uint 255"},
    {"cd ffff", "uint 65535"},
    {"ce ffffffff", "uint 4294967295"},
    {"cf ffffffffffffffff", "uint 18446744073709551615"},
    {"cf 0000000000000001", "uint 1"},
    {"d0 80", "int -128"},
    {"d0 7f", "int 127"},
    {"d1 8000", "int -32768"},
    {"d2 80000000", "int -2147483648"},
    {"d3 8000000000000000", "int -9223372036854775808"},
    {"d3 7fffffffffffffff", "int 9223372036854775807"},
    {"ca 3fc00000", "float 1.5"},
    {"ca 7f800000", "float inf"},
    {"cb 3ff8000000000000", "float 1.5"},
    {"cb 8000000000000000", "float -0"},
    {"cb fff0000000000000", "float -inf"},
    {"a0", "str "},
    {"a3 616263", "str abc"},
    {"d9 03 616263", "str abc"},
    {"da 0003 616263", "str abc"},
    {"db 00000003 616263", "str abc"},
    {"c4 00", "bin "},
    {"c4 02 ff00", "bin ff00"},
    {"c5 0002 ff00", "bin ff00"},
    {"c6 00000002 ff00", "bin ff00"},
    {"90", "array 0"},
    {"92 01 02", "array 2"},
    {"dc 0001 01", "array 1"},
    {"dd 00000001 01", "array 1"},
    {"80", "map 0"},
    {"81 01 02", "map 1"},
    {"de 0001 01 02", "map 1"},
    {"df 00000001 01 02", "map 1"},
    /* extension type 0: the head byte decides */
    {"d4 00 00", "undefined"},
    {"d4 00 ff", "undefined"},
    {"d5 00 0102", "ext 0 0102"},
    {"d6 00 01020304", "ext 0 01020304"},
    {"d7 00 0000018bcfe5687b", "date 1700000000123"},
    {"d7 00 ffffffffffffffff", "date -1"},
    {"c7 01 00 05", "bin 05"},
    {"c7 08 00 0102030405060708", "bin 0102030405060708"},
    {"c7 00 00", "bin "},
    {"c8 0001 00 05", "bin 05"},
    {"c9 00000001 00 05", "bin 05"},
    /* type -1: by its length */
    {"d6 ff 6553f100", "date 1700000000000"},
    {"d6 ff ffffffff", "date 4294967295000"},
    {"d7 ff 1d5353006553f100", "date 1700000000123"},
    {"d7 ff 0000000400000000", "date 9.9999999999999995e-07"},
    {"d7 ff 0000000300000000", "date 12884901888000"},
    {"c7 0c ff 3b8b87c0 ffffffffffffffff", "date -1"},
    {"c7 0c ff 00000000 000000048d4ec400", "date 19550618624000"},
    {"c7 05 ff 0102030405", "ext -1 0102030405"},
    {"d4 ff 01", "ext -1 01"},
    /* msgpack-lite: what holds one scalar is that scalar */
    {"d4 0d ff", "date -1"},
    {"c7 09 0d cb4278bcfe5687b000", "date 1700000000123"},
    {"c7 09 0d cb7ff8000000000000", "date nan"},
    {"d6 0d ce6553f1", "ext 13 ce6553f1"},
    {"d7 0d cf00000000000000", "ext 13 cf00000000000000"},
    {"c7 05 0d ce6553f100", "date 1700000000"},
    {"d5 0d a161", "ext 13 a161"},
    {"d5 0d 0101", "ext 13 0101"},
    {"c7 00 0d", "ext 13 "},
    {"d4 0b c3", "bool 1"},
    {"d4 0b c2", "bool 0"},
    {"d4 0b 01", "ext 11 01"},
    {"d5 0c a173", "str s"},
    {"c7 04 0c d90273ff", "str s\xff"},
    {"d4 0c c0", "ext 12 c0"},
    {"d4 0f 05", "uint 5"},
    {"d4 0f ff", "int -1"},
    {"c7 09 0f cb3ff8000000000000", "float 1.5"},
    {"d5 0f a135", "ext 15 a135"},
    {"c7 04 0f d5 0f a135", "ext 15 d50fa135"},
    {"c7 05 0a 92a1619000", "map 0"},
    {"c7 03 1d 010203", "map 0"},
    {"c7 03 1a 010203", "bin 010203"},
    {"d4 1a 05", "bin 05"},
    {"d8 1a 03030303030303030303030303030303", "bin 03030303030303030303030303030303"},
    {"c7 02 1b 0102", "bin 0102"},
    {"d4 0e 80", "error 80"},
    {"d4 01 80", "error 80"},
    {"d4 06 80", "error 80"},
    {"c7 03 12 010203", "vector uint 1 uint 2 uint 3"},
    {"d5 19 ff00", "vector uint 255 uint 0"},
    {"d5 11 ff7f", "vector int -1 int 127"},
    {"d6 13 ffff0080", "vector int -1 int -32768"},
    {"c7 06 14 01000200ffff", "vector uint 1 uint 2 uint 65535"},
    {"d7 15 ffffffff01000000", "vector int -1 int 1"},
    {"d7 16 ffffffff01000000", "vector uint 4294967295 uint 1"},
    {"d7 17 0000c03f000000c0", "vector float 1.5 float -2"},
    {"d7 18 000000000000f83f", "vector float 1.5"},
    {"c7 00 17", "vector"},
    {"c7 03 14 010203", "ext 20 010203"},
    {"d4 18 00", "ext 24 00"},
    /* a buffer of msgpack-js */
    {"d8 00 0f0102030405060708090a0b0c0d0e0f", NULL},
    {"d8 00 000102030405060708090a0b0c0d0e0f", NULL},
    /* types nobody knows */
    {"d4 07 ff", "ext 7 ff"},
    {"d4 10 ff", "ext 16 ff"},
    {"d4 1c ff", "ext 28 ff"},
    {"d4 1e ff", "ext 30 ff"},
    {"c7 01 80 07", "ext -128 07"},
};

/* The same bytes in msgpack-js, where they differ. */
static const struct {
    const char *hex, *text;
} js_items[] = {
    {"c4", "undefined"},
    {"d8 0000", "bin "},
    {"d8 0003 010203", "bin 010203"},
    {"d8 000f 0102030405060708090a0b0c0d0e0f", "bin 0102030405060708090a0b0c0d0e0f"},
    {"d9 00000003 616263", "bin 616263"},
    {"da 0003 616263", "str abc"},
    {"db 00000003 616263", "str abc"},
    {"a3 616263", "str abc"},
    {"c0", "nil"},
    {"c3", "bool 1"},
    {"ca 3fc00000", "float 1.5"},
    {"cb 3ff8000000000000", "float 1.5"},
    {"cf 0000000000000001", "uint 1"},
    {"d3 8000000000000000", "int -9223372036854775808"},
    {"dc 0001 01", "array 1"},
    {"df 00000001 01 02", "map 1"},
    {"c1", NULL},
    {"c5 0001 01", NULL},
    {"c6 00000001 01", NULL},
    {"c7 01 00 01", NULL},
    {"c8 0001 00 01", NULL},
    {"c9 00000001 00 01", NULL},
    {"d4 00 00", NULL},
    {"d5 00 0000", NULL},
    {"d6 ff 6553f100", NULL},
    {"d7 00 0000018bcfe5687b", NULL},
};

/* Reads hex, guarded, and expects text and that nothing is left but what the
 * item contains, or that it is malformed where text is NULL; and that no prefix
 * is an item, unless the item is a head. */
static void check_item(const char *hex, const char *text, const struct msgpack_dialect *dialect)
{
    struct buf bytes = {0}, got = {0};
    struct msgpack_reader reader;
    struct msgpack_item item;
    int good = 1;

    hex_put(&bytes, hex);
    for (size_t n = 0; n <= bytes.len; n++) {
        unsigned char *guarded = tap_guard(bytes.data, n);
        struct slice input = {(char *)guarded, n};

        reader = msgpack_read(input, dialect);
        if (n < bytes.len || text == NULL)
            good &= msgpack_skip(&reader, 1) != 0 || reader.at != reader.end;
        else if (ok(msgpack_next(&reader, &item) == 0, "%s", hex))
            describe(&got, &item);
        good &= n < bytes.len || text == NULL ||
                (msgpack_leave(&reader, &item) == 0 && reader.at == reader.end);
        tap_guard_free(guarded, n);
        if (n == bytes.len && text != NULL)
            is_mem(got.data, got.len, text, strlen(text), text);
    }
    ok(good,
       text == NULL ? "%s is malformed" : "%s: its prefixes are cut off, the whole is read over",
       hex);
    buf_free(&bytes);
    buf_free(&got);
}

static int skips(const char *hex, size_t n)
{
    struct buf bytes = {0};
    unsigned char *guarded;
    struct msgpack_reader reader;
    int result;

    hex_put(&bytes, hex);
    guarded = tap_guard(bytes.data, bytes.len);
    reader = msgpack_read((struct slice){(char *)guarded, bytes.len}, &msgpack_modern);
    result = msgpack_skip(&reader, n);
    if (result == 0 && reader.at != reader.end)
        result = 1;
    tap_guard_free(guarded, bytes.len);
    buf_free(&bytes);
    return result;
}

static void test_skip(void)
{
    is_int(skips("01 a161 9101", 3), 0, "three values");
    is_int(skips("01 a161 9101", 2), 1, "two of three");
    is_int(skips("01 a161", 3), -1, "three of two");
    is_int(skips("82 a161 92 01 81 c0 c4 02 0102 a162 90", 1), 0, "a nested one");
    is_int(skips("c1", 1), -1, "the byte that is never used");
    is_int(skips("91 c1", 1), -1, "the same within an array");
    is_int(skips("dd ffffffff 01 01", 1), -1, "more elements than bytes");
    is_int(skips("df 80000000 01 01", 1), -1, "more pairs than bytes");
    is_int(skips("92 dd 00000002 01 01", 1), -1, "what is left belongs to others too");
    is_int(skips("db ffffffff 01", 1), -1, "a longer string than there are bytes");
    is_int(skips("c9 ffffffff 00 01", 1), -1, "a longer extension");
}

static void test_deep(void)
{
    enum { DEPTH = 1000000 };
    unsigned char *bytes = malloc(DEPTH + 1);
    struct msgpack_reader reader;

    if (bytes == NULL)
        return;
    memset(bytes, 0x91, DEPTH);
    bytes[DEPTH] = 0xc0;
    reader = msgpack_read((struct slice){(char *)bytes, DEPTH + 1}, &msgpack_modern);
    ok(msgpack_skip(&reader, 1) == 0 && reader.at == reader.end, "a million levels are read over");
    reader = msgpack_read((struct slice){(char *)bytes, DEPTH}, &msgpack_modern);
    is_int(msgpack_skip(&reader, 1), -1, "and found to be cut off");
    free(bytes);
}

/* Extensions of msgpack-lite within each other, which are not to be followed. */
static void test_boxes(void)
{
    enum { LEVELS = 40, EACH = 6 };
    unsigned char bytes[LEVELS * EACH];
    struct msgpack_reader reader;
    struct msgpack_item item;

    for (int i = 0; i < LEVELS; i++) {
        uint32_t left = (uint32_t)(LEVELS - 1 - i) * EACH;
        unsigned char head[EACH] = {0xc9, 0, 0, (uint8_t)(left >> 8), (uint8_t)left, 0x0c};

        memcpy(bytes + (ptrdiff_t)i * EACH, head, EACH);
    }
    reader = msgpack_read((struct slice){(char *)bytes, sizeof(bytes)}, &msgpack_modern);
    ok(msgpack_next(&reader, &item) == 0 && reader.at == reader.end, "a String in a String in ...");
    is_int(item.type, MSGPACK_EXT, "is of no known type");
}

int main(void)
{
    struct msgpack_reader reader = msgpack_read((struct slice){NULL, 0}, &msgpack_modern);
    struct msgpack_item item;

    is_int(msgpack_next(&reader, &item), -1, "nothing at all");
    for (size_t i = 0; i < COUNT(items); i++)
        check_item(items[i].hex, items[i].text, &msgpack_modern);
    for (size_t i = 0; i < COUNT(js_items); i++)
        check_item(js_items[i].hex, js_items[i].text, &msgpack_js);
    test_skip();
    test_deep();
    test_boxes();
    return tap_done();
}
