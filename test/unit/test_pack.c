#include "codec/json.h"
#include "codec/pack.h"

#include "doubles_js.h"
#include "hex.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What notepack.io 3.0.1 encodes JSON.parse of the text as. */
static const struct {
    const char *json, *hex;
} cases[] = {
    {"0", "00"},
    {"-0", "00"},
    {"127", "7f"},
    {"128", "cc80"},
    {"255", "ccff"},
    {"256", "cd0100"},
    {"65535", "cdffff"},
    {"65536", "ce00010000"},
    {"4294967295", "ceffffffff"},
    {"4294967296", "cf0000000100000000"},
    {"9007199254740991", "cf001fffffffffffff"},
    {"9007199254740993", "cf0020000000000000"},
    {"12345678901234567890", "cfab54a98ceb1f0800"},
    {"-1", "ff"},
    {"-32", "e0"},
    {"-33", "d0df"},
    {"-128", "d080"},
    {"-129", "d1ff7f"},
    {"-32768", "d18000"},
    {"-32769", "d2ffff7fff"},
    {"-2147483648", "d280000000"},
    {"-2147483649", "d3ffffffff7fffffff"},
    {"-9007199254740991", "d3ffe0000000000001"},
    {"-9223372036854775808", "d38000000000000000"},
    {"1.5", "cb3ff8000000000000"},
    {"0.1", "cb3fb999999999999a"},
    {"-1.5", "cbbff8000000000000"},
    {"1e2", "64"},
    {"1E+2", "64"},
    {"1e400", "cb7ff0000000000000"},
    /* where the number is written between two doubles */
    {"9007199254740993.00000000000000000001", "cf0020000000000002"},
    {"1125899906842624.125", "cf0004000000000000"},
    {"1125899906842624.375", "cb4310000000000002"},
    {"1125899906842624.37500000000000000001", "cb4310000000000002"},
    {"2.4703282292062327e-324", "00"},
    {"2.4703282292062328e-324", "cb0000000000000001"},
    {"2.2250738585072011e-308", "cb000fffffffffffff"},
    {"1.7976931348623158e308", "cb7fefffffffffffff"},
    {"1.7976931348623159e308", "cb7ff0000000000000"},
    {"-5e-324", "cb8000000000000001"},
    {"true", "c3"},
    {"false", "c2"},
    {"null", "c0"},
    {"\"\"", "a0"},
    {"\"h\\u00e9\\ud83d\\ude00\\/\\\"\\\\\\b\\f\\n\\r\\t\"", "af68c3a9f09f98802f225c080c0a0d09"},
    {"\"h\xc3\xa9\"", "a368c3a9"},
    {"\"\\u0000\"", "a100"},
    {"[]", "90"},
    {"{}", "80"},
    {" [ ] ", "90"},
    {"[[],[{}],1]", "93 90 91 80 01"},
    {"[1,[2,{\"a\":[]}],{\"b\":{},\"c\":\"]}{[,\\\"\"}]",
     "9301920281a1619082a16280a163a65d7d7b5b2c22"},
    {" {\n\"a\" : 1 ,\t\"b\":[ true,null ]\r} \n", "82a16101a16292c3c0"},
    /* beyond 64 bits, where notepack.io keeps the low ones only */
    {"18446744073709551616", "cb43f0000000000000"},
    {"1e300", "cb7e37e43c8800759c"},
    {"-1e19", "cbc3e158e460913d00"},
    /* lone surrogates, which notepack.io merges with what follows */
    {"\"\\ud800\"", "a3 efbfbd"},
    {"\"\\ud800\\u0041\"", "a4 efbfbd 41"},
    {"\"\\udc00\\ud800\\udc00\"", "a7 efbfbd f0908080"},
    {"\"\\ud800\\ud800\\n\"", "a7 efbfbd efbfbd 0a"},
    {"\"\\ud7ff\\ue000\"", "a6 ed9fbf ee8080"},
    {"\"\\udbff\\udfff\"", "a4 f48fbfbf"},
    {"\"\\udc00\\udc00\"", "a6 efbfbd efbfbd"},
    {"\"\\udbff\\ue000\"", "a6 efbfbd ee8080"},
    {"\"\\udbff\\udbff\"", "a6 efbfbd efbfbd"},
    {"\"\\udfff\"", "a3 efbfbd"},
};

static void test_cases(void)
{
    struct buf out = {0}, want = {0};

    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t len = strlen(cases[i].json);
        unsigned char *guarded = tap_guard(cases[i].json, len);

        buf_reset(&out);
        buf_reset(&want);
        hex_put(&want, cases[i].hex);
        pack_json(&out, (const char *)guarded, len);
        is_mem(out.data, out.len, want.data, want.len, cases[i].json);
        tap_guard_free(guarded, len);
    }
    buf_free(&out);
    buf_free(&want);
}

/* What is written is read as the very number, which takes as many bytes as it has to. */
static void test_last_bit(void)
{
    struct buf out = {0}, want = {0};

    for (size_t i = 0; i < COUNT(doubles_js); i++) {
        const char *text = doubles_js[i].text;
        double value;

        memcpy(&value, &doubles_js[i].bits, sizeof(value));
        pack_number(&want, value);
        pack_json(&out, text, strlen(text));
        is_mem(out.data, out.len, want.data, want.len, text);
        buf_reset(&out);
        buf_reset(&want);
    }
    buf_free(&out);
    buf_free(&want);
}

/* A short number is not read as a long one is: they mean the same. */
static void test_short(void)
{
    struct buf got = {0}, want = {0};
    int bad = 0;

    srand(1);
    for (int i = 0; i < 200000 && bad < 3; i++) {
        char text[40];
        int whole = 1 + rand() % 16, places = rand() % 16;
        int n = snprintf(text, sizeof(text), "%s", rand() % 2 ? "-" : "");

        for (int k = 0; k < whole; k++)
            text[n++] = (char)('0' + (k == 0 && whole > 1 ? 1 + rand() % 9 : rand() % 10));
        for (int k = 0; k < places; k++) {
            if (k == 0)
                text[n++] = '.';
            text[n++] = (char)('0' + rand() % 10);
        }
        if (rand() % 8 == 0)
            n += snprintf(text + n, sizeof(text) - (size_t)n, "e%d", rand() % 40 - 20);
        text[n] = '\0';
        buf_reset(&got);
        buf_reset(&want);
        pack_json(&got, text, (size_t)n);
        pack_number(&want, strtod(text, NULL));
        if (got.len != want.len || memcmp(got.data, want.data, got.len) != 0) {
            bad++;
            ok(0, "%s", text);
        }
    }
    is_int(bad, 0, "numbers of few digits, to the bit");
    buf_free(&got);
    buf_free(&want);
}

static void is_head(struct buf *got, const char *hex, const char *name)
{
    struct buf want = {0};

    hex_put(&want, hex);
    is_mem(got->data, want.len < got->len ? want.len : got->len, want.data, want.len, name);
    buf_reset(got);
    buf_free(&want);
}

static void test_lengths(void)
{
    static const struct {
        size_t len;
        const char *head;
    } strings[] = {{31, "bf"},      {32, "d920"},      {255, "d9ff"},
                   {256, "da0100"}, {65535, "daffff"}, {65536, "db00010000"}};
    char *text = calloc(1, 65536);
    struct buf out = {0};

    for (size_t i = 0; i < COUNT(strings) && text != NULL; i++) {
        pack_str(&out, text, strings[i].len);
        ok(out.len == strings[i].len + strlen(strings[i].head) / 2, "a string of %zu",
           strings[i].len);
        is_head(&out, strings[i].head, "and its head");
    }
    pack_array(&out, 15);
    is_head(&out, "9f", "15 elements");
    pack_array(&out, 16);
    is_head(&out, "dc0010", "16 elements");
    pack_array(&out, 65536);
    is_head(&out, "dd00010000", "65536 elements");
    pack_map(&out, 15);
    is_head(&out, "8f", "15 pairs");
    pack_map(&out, 16);
    is_head(&out, "de0010", "16 pairs");
    pack_map(&out, 65536);
    is_head(&out, "df00010000", "65536 pairs");
    free(text);
    buf_free(&out);
}

/* Many elements, and as deep as json_span() lets through. */
static void test_large(void)
{
    struct buf json = {0}, out = {0};

    buf_putc(&json, '[');
    for (int i = 0; i < 70000; i++)
        buf_puts(&json, i > 0 ? ",{\"a\":[]}" : "{\"a\":[]}");
    buf_putc(&json, ']');
    pack_json(&out, (const char *)json.data, json.len);
    is_int(out.len, 5 + 70000 * 4, "70,000 elements");
    is_head(&out, "dd00011170 81a16190 81a16190", "of the right number");
    buf_reset(&json);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_putc(&json, '[');
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_putc(&json, ']');
    pack_json(&out, (const char *)json.data, json.len);
    is_int(out.len, JSON_DEPTH_MAX, "deep ones");
    is_head(&out, "91919191", "one within the other");
    buf_free(&json);
    buf_free(&out);
}

int main(void)
{
    test_cases();
    test_last_bit();
    test_short();
    test_lengths();
    test_large();
    return tap_done();
}
