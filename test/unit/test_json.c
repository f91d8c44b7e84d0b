#include "codec/json.h"

#include "doubles.h"
#include "doubles_js.h"
#include "tap.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void is_text(struct buf *got, const char *want, const char *name)
{
    is_mem(got->data, got->len, want, strlen(want), name);
    buf_reset(got);
}

static void test_strings(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", "\"\""},
        {"a", "\"a\""},
        {"12345678", "\"12345678\""},
        {"123456789abcdef", "\"123456789abcdef\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"a\\b", "\"a\\\\b\""},
        {"\b\t\n\f\r", "\"\\b\\t\\n\\f\\r\""},
        {"\x01\x1e\x1f", "\"\\u0001\\u001e\\u001f\""},
        {"\x7f/", "\"\x7f/\""},
        {"1234567\n", "\"1234567\\n\""},
        {"1234567\x7f"
         "abcdefg\"",
         "\"1234567\x7f"
         "abcdefg\\\"\""},
        {"h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80",
         "\"h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80\""},
        {"\xe2\x80\xa8\xe2\x80\xa9", "\"\xe2\x80\xa8\xe2\x80\xa9\""},
    };
    struct buf out = {0};

    for (size_t i = 0; i < COUNT(cases); i++) {
        ok(json_put_string(&out, cases[i].in, strlen(cases[i].in)) == 0, "string %zu", i);
        is_text(&out, cases[i].out, "as JSON.stringify writes it");
        ok(json_put_string_lossy(&out, cases[i].in, strlen(cases[i].in)) == 0, "the same, lossy");
        is_text(&out, cases[i].out, "valid UTF-8 loses nothing");
    }
    json_put_string(&out, "a\0b", 3);
    is_text(&out, "\"a\\u0000b\"", "a zero byte");
    json_put_string(&out, NULL, 0);
    is_text(&out, "\"\"", "no bytes at all");
    buf_free(&out);
}

/* Each replaced part is written U below; the counts are those of Node's
 * Buffer.toString(). */
static void test_lossy(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"\x80", "U"},
        {"a\xff"
         "b",
         "aUb"},
        {"\xc3", "U"},
        {"\xc3(", "U("},
        {"\xc0\x80", "UU"},
        {"\xe2\x82", "U"},
        {"\xe2\x82(", "U("},
        {"\xe0\x80\x80", "UUU"},
        {"\xed\xa0\x80", "UUU"},
        {"\xed\xa0\xbd\xed\xb8\x80", "UUUUUU"},
        {"\xf0\x9f\x98", "U"},
        {"\xf0\x9f\x98\xf0\x9f\x98\x80", "U\xf0\x9f\x98\x80"},
        {"\xf0\x9f(", "U("},
        {"\xf0\x8f\xbf\xbf", "UUUU"},
        {"\xf4\x90\x80\x80", "UUUU"},
        {"\xf5\x80\x80\x80", "UUUU"},
        {"\xef\xbf\xbd", "U"},
        {"x\"\x80\n", "x\\\"U\\n"},
    };
    struct buf out = {0}, want = {0};

    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char *guarded = tap_guard(cases[i].in, strlen(cases[i].in));

        buf_reset(&want);
        buf_putc(&want, '"');
        for (const char *at = cases[i].out; *at != '\0'; at++) {
            if (*at == 'U')
                buf_put(&want, "\xef\xbf\xbd", 3);
            else
                buf_putc(&want, (uint8_t)*at);
        }
        buf_putc(&want, '"');
        buf_reset(&out);
        json_put_string_lossy(&out, (const char *)guarded, strlen(cases[i].in));
        is_mem(out.data, out.len, want.data, want.len, cases[i].out);
        tap_guard_free(guarded, strlen(cases[i].in));
    }
    buf_free(&out);
    buf_free(&want);
}

/* Sequences and escapes at every place around the border of a chunk. */
static void test_long_strings(void)
{
    enum { LEN = 1100 };
    static const char *const pieces[] = {"\n", "\xc3\xa9", "\xf0\x9f\x98\x80", "\xff", "\xe2\x82"};
    static const char *const written[] = {"\\n", "\xc3\xa9", "\xf0\x9f\x98\x80", "\xef\xbf\xbd",
                                          "\xef\xbf\xbd"};
    char in[LEN + 8], want[LEN * 6];
    struct buf out = {0};
    int good = 1;

    for (size_t p = 0; p < COUNT(pieces); p++) {
        for (size_t at = 490; at < 540; at++) {
            size_t n = strlen(pieces[p]), m = strlen(written[p]);

            memset(in, 'a', LEN);
            memcpy(in + at, pieces[p], n);
            memset(want, 'a', sizeof(want));
            want[0] = '"';
            memcpy(want + 1 + at, written[p], m);
            want[1 + LEN - n + m] = '"';
            buf_reset(&out);
            json_put_string_lossy(&out, in, LEN);
            good &= out.len == LEN - n + m + 2 && memcmp(out.data, want, out.len) == 0;
        }
    }
    ok(good, "a special character anywhere in a long string");
    memset(in, 1, LEN);
    buf_reset(&out);
    json_put_string(&out, in, LEN);
    is_int(out.len, LEN * 6 + 2, "a long string that is all escapes");
    buf_free(&out);
}

static void test_ascii(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"[\"ev\",1]", "[\"ev\",1]"},
        {"{\"a\\n\\\\\":\"\x7f\"}", "{\"a\\n\\\\\":\"\x7f\"}"},
        {"\"h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"h\\u00e9\\u20ac\\ud83d\\ude00\""},
        {"\"\xc2\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
         "\"\\u0080\\uffff\\ud800\\udc00\\udbff\\udfff\""},
        {"\"\xff\xe2\x82!\xed\xa0\x80\"", "\"\\ufffd\\ufffd!\\ufffd\\ufffd\\ufffd\""},
    };
    struct buf out = {0};

    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t len = strlen(cases[i].in);
        unsigned char *guarded = tap_guard(cases[i].in, len);

        ok(json_put_ascii(&out, (struct slice){(char *)guarded, len}) == 0, "ASCII %zu", i);
        is_text(&out, cases[i].out, "escaped");
        tap_guard_free(guarded, len);
    }
    ok(json_put_ascii(&out, (struct slice){NULL, 0}) == 0 && out.len == 0, "no bytes at all");
    buf_free(&out);
}

/* Characters at every offset from where the copying stops for more memory, and
 * nothing but the longest, into a buffer that is as small as can be. */
static void test_long_ascii(void)
{
    enum { LEN = 2100 };
    static const char grin[] = "\xf0\x9f\x98\x80", escaped[] = "\\ud83d\\ude00";
    struct buf in = {0}, out = {0}, want = {0};
    int bad = 0;

    for (size_t at = 500; at < 520; at++) {
        for (size_t i = 0; i < LEN; i++) {
            int here = i >= at && (i < at + 2 || i % 7 == 0);

            buf_puts(&in, here ? grin : "a");
            buf_puts(&want, here ? escaped : "a");
        }
        bad += json_put_ascii(&out, (struct slice){(char *)in.data, in.len}) != 0;
        bad += out.len != want.len || memcmp(out.data, want.data, want.len) != 0;
        buf_free(&in);
        buf_free(&out);
        buf_free(&want);
    }
    is_int(bad, 0, "escaped across the borders");
}

static void test_doubles(void)
{
    struct buf out = {0};
    double value;

    for (size_t i = 0; i < COUNT(doubles); i++) {
        memcpy(&value, &doubles[i].bits, sizeof(value));
        json_put_double(&out, value);
        is_text(&out, doubles[i].text, doubles[i].text);
    }
    buf_free(&out);
}

static void test_last_bit(void)
{
    struct buf out = {0};
    double value;

    for (size_t i = 0; i < COUNT(doubles_js); i++) {
        memcpy(&value, &doubles_js[i].bits, sizeof(value));
        json_put_double(&out, value);
        is_text(&out, doubles_js[i].text, doubles_js[i].text);
    }
    for (uint64_t i = 0; i < COUNT(doubles_js_sums); i++) {
        for (uint64_t power = i << 7; power < (i + 1) << 7; power++) {
            for (uint64_t step = 0; step < 3; step++) {
                uint64_t bits = (power << 52) + step - 1;

                memcpy(&value, &bits, sizeof(value));
                if (isfinite(value) && !signbit(value)) {
                    json_put_double(&out, value);
                    buf_putc(&out, '\n');
                }
            }
        }
        ok(doubles_js_sum(DOUBLES_JS_SUM, out.data, out.len) == doubles_js_sums[i],
           "powers of two and their neighbours, from 2^%d on", (int)(i << 7) - 1023);
        buf_reset(&out);
    }
    buf_free(&out);
}

/* What is printed reads back as the same number. */
static void test_round_trip(void)
{
    uint64_t bits = 88172645463325252u, failed = 0;
    struct buf out = {0};
    double value, again;

    for (int i = 0; i < 100000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&value, &bits, sizeof(value));
        if (i % 2 == 0) /* of the size that numbers mostly have */
            value = ldexp(frexp(value, &(int){0}), (int)(bits % 80) - 40);
        buf_reset(&out);
        json_put_double(&out, value);
        buf_putc(&out, '\0');
        again = strtod((const char *)out.data, NULL);
        failed += isfinite(value) ? memcmp(&again, &value, sizeof(value)) != 0
                                  : strcmp((const char *)out.data, "null") != 0;
    }
    is_int(failed, 0, "100,000 doubles read back as they were");
    buf_free(&out);
}

static double cpu_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The least of three, for others take the core. */
static double ms_for(double first)
{
    struct buf out = {0};
    double least = INFINITY;

    for (int turn = 0; turn < 3; turn++) {
        double begun = cpu_ms(), took, value = first;

        for (int i = 0; i < 5000; i++, value = nextafter(value, INFINITY)) {
            buf_reset(&out);
            json_put_double(&out, value);
        }
        took = cpu_ms() - begun;
        least = took < least ? took : least;
    }
    buf_free(&out);
    return least;
}

/* Whoever may publish may send millions of any. */
static void test_double_time(void)
{
    double usual = ms_for(3.25);

    ok(ms_for(1.7e300) < 5 * usual, "the large take no longer than others");
    ok(ms_for(1.7e-300) < 5 * usual, "nor do the small");
    ok(ms_for(5e-320) < 5 * usual, "nor the subnormal");
}

static void test_integers(void)
{
    struct buf out = {0};

    json_put_int64(&out, 0);
    is_text(&out, "0", "0");
    json_put_int64(&out, -1);
    is_text(&out, "-1", "-1");
    json_put_uint64(&out, 9007199254740991);
    is_text(&out, "9007199254740991", "2^53 - 1");
    json_put_int64(&out, -9007199254740991);
    is_text(&out, "-9007199254740991", "-(2^53 - 1)");
    json_put_uint64(&out, 9007199254740993);
    is_text(&out, "9007199254740992", "2^53 + 1 is rounded");
    json_put_int64(&out, -9007199254740993);
    is_text(&out, "-9007199254740992", "-(2^53 + 1) is rounded");
    json_put_uint64(&out, 0x35c9adc5dea00000);
    is_text(&out, "3875820019684212700", "a large one as JavaScript prints it");
    json_put_uint64(&out, UINT64_MAX);
    is_text(&out, "18446744073709552000", "2^64 - 1");
    json_put_int64(&out, INT64_MIN);
    is_text(&out, "-9223372036854776000", "-2^63");
    buf_free(&out);
}

static void test_dates(void)
{
    static const struct {
        double ms;
        const char *text;
    } cases[] = {
        {0, "\"1970-01-01T00:00:00.000Z\""},
        {1700000000123, "\"2023-11-14T22:13:20.123Z\""},
        {1700000000123.999, "\"2023-11-14T22:13:20.123Z\""},
        {-1, "\"1969-12-31T23:59:59.999Z\""},
        {-0.5, "\"1970-01-01T00:00:00.000Z\""},
        {-1.5, "\"1969-12-31T23:59:59.999Z\""},
        {951782400000, "\"2000-02-29T00:00:00.000Z\""},
        {4107542400000, "\"2100-03-01T00:00:00.000Z\""},
        {20000000000000, "\"2603-10-11T11:33:20.000Z\""},
        {253402300799999, "\"9999-12-31T23:59:59.999Z\""},
        {253402300800000, "\"+010000-01-01T00:00:00.000Z\""},
        {-62167219200000, "\"0000-01-01T00:00:00.000Z\""},
        {-62167219200001, "\"-000001-12-31T23:59:59.999Z\""},
        {8.64e15, "\"+275760-09-13T00:00:00.000Z\""},
        {-8.64e15, "\"-271821-04-20T00:00:00.000Z\""},
        {8.64e15 + 1, "null"},
        {-8.64e15 - 1, "null"},
        {NAN, "null"},
        {INFINITY, "null"},
    };
    struct buf out = {0};

    for (size_t i = 0; i < COUNT(cases); i++) {
        json_put_date(&out, cases[i].ms);
        is_text(&out, cases[i].text, cases[i].text);
    }
    buf_free(&out);
}

static void test_span_good(void)
{
    static const struct {
        const char *text;
        long span;
    } cases[] = {
        {"0", 1},
        {" \t\r\n-1.5e+10,", 12},
        {"0.5E-3", 6},
        {"12]", 2},
        {"true", 4},
        {"falsey", 5},
        {"null", 4},
        {"\"\"", 2},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00E9\\ud800\"", 31},
        {"\"h\xc3\xa9\xf0\x9f\x98\x80\"", 9},
        {"[]", 2},
        {"[ ]x", 3},
        {"{}", 2},
        {"{ }", 3},
        {"[1 , 2,[3],{\"a\" : [ {} ] } ]", 28},
        {"{\"a\":1,\"b\":{\"c\":[null]}}}", 24},
        {"[[[[]]]]", 8},
        {"[{\"a\":1},[1,2]]", 15},
        {"[[1,2],{\"a\":1}]", 15},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char *guarded = tap_guard(cases[i].text, strlen(cases[i].text));

        is_int(json_span((const char *)guarded, strlen(cases[i].text)), cases[i].span,
               cases[i].text);
        tap_guard_free(guarded, strlen(cases[i].text));
    }
}

static void test_span_bad(void)
{
    static const struct {
        const char *text;
        size_t bad;
    } cases[] = {
        {"", 0},
        {"  ", 2},
        {"x", 0},
        {"+1", 0},
        {"-", 1},
        {".5", 0},
        {"1.", 2},
        {"1.e3", 2},
        {"1e", 2},
        {"1e+", 3},
        {"tru", 3},
        {"trux", 3},
        {"nul", 3},
        {"'a'", 0},
        {"\"a", 2},
        {"\"\\x\"", 2},
        {"\"\\u12g4\"", 5},
        {"\"\\u12", 5},
        {"\"\\", 2},
        {"\"a\nb\"", 2},
        {"\"\xff\"", 1},
        {"\"\xed\xa0\x80\"", 1},
        {"\"\xc3", 1},
        {"[", 1},
        {"[1", 2},
        {"[1,", 3},
        {"[1,]", 3},
        {"[,1]", 1},
        {"[1 2]", 3},
        {"[1}", 2},
        {"{", 1},
        {"{\"a\"", 4},
        {"{\"a\":", 5},
        {"{\"a\":}", 5},
        {"{\"a\" 1}", 5},
        {"{a:1}", 1},
        {"{1:1}", 1},
        {"{\"a\":1,}", 7},
        {"{\"a\":1]", 6},
        {"{\"a\":1", 6},
        {"{\"a\":1 \"b\":2}", 7},
        {"[[[]]", 5},
        {"\xef\xbb\xbf[]", 0},
        {"NaN", 0},
        {"/**/1", 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char *guarded = tap_guard(cases[i].text, strlen(cases[i].text));
        size_t bad = 999;

        is_int(json_span_at((const char *)guarded, strlen(cases[i].text), &bad), -1, cases[i].text);
        is_int(bad, cases[i].bad, "and where");
        tap_guard_free(guarded, strlen(cases[i].text));
    }
    is_int(json_span("[\0]", 3), -1, "a zero byte");
    is_int(json_span("\"\\\0\"", 4), -1, "an escaped zero byte");
    is_int(json_span("\"\\u0\0\"", 6), -1, "a zero byte for a digit");
}

static void test_span_depth(void)
{
    char text[2 * (JSON_DEPTH_MAX + 1)];

    is_int(JSON_DEPTH_MAX, 512, "arrays and objects within each other");
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    is_int(json_span(text, 2 * JSON_DEPTH_MAX), 2 * JSON_DEPTH_MAX, "as deep as may be");
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    is_int(json_span(text, sizeof(text)), -1, "one deeper");
}

/* Every prefix of a whole is cut off, never read beyond its end. */
static void test_span_prefixes(void)
{
    static const char text[] =
        "[\"a\\u00e9\\n\xe2\x82\xac\",-1.5e-7,{\"k\":[true,false,null]},[],{}]";
    int good = 1;

    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        unsigned char *guarded = tap_guard(text, n);

        good &= json_span((const char *)guarded, n) == -1;
        tap_guard_free(guarded, n);
    }
    ok(good, "no prefix is whole");
    is_int(json_span(text, sizeof(text) - 1), (long)sizeof(text) - 1, "the whole is");
}

/* A locale with a decimal comma, where the machine has one. */
static void test_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8"};
    struct buf out = {0};
    size_t i = 0;

    while (i < COUNT(names) && setlocale(LC_ALL, names[i]) == NULL)
        i++;
    json_put_double(&out, 1.2345e300);
    is_text(&out, "1.2345e+300", "the locale does not matter to the very large");
    json_put_double(&out, 0.5);
    is_text(&out, "0.5", "nor to others");
    setlocale(LC_ALL, "C");
    buf_free(&out);
}

static void test_has_nul(void)
{
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {"\"\\u0000\"", 1},
        {"{\"a\":[\"b\\\\\\u0000\"]}", 1},
        {"\"\\\\u0000\"", 0},
        {"\"\\u0001\"", 0},
        {"\"u0000\"", 0},
        {"\"\\\"\\u0000x\"", 1},
        {"\"\\u00000\\u0010\"", 1},
        {"1", 0},
        {"", 0},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        is_int(json_has_nul(rows[i].text, strlen(rows[i].text)), rows[i].want, rows[i].text);
}

static void test_tree(void)
{
    static const char *const refused[] = {"{\"a\":\"\\u0000\"}", "\"x\\u0000\"", "{\"\\u0000\":1}",
                                          "[\"\\ud800\"]", "\"\\udc00\\ud800\""};
    const cJSON *member;
    cJSON *tree =
        json_tree(SLICE(" {\"a\":1,\"A\":2,\"\\u0062\":\"x\",\"c\":{\"d\":3},\"e\":1,\"e\":1} "));

    ok(tree != NULL, "an object");
    ok(json_tree_member(tree, "a", &member) == 0 && member != NULL && member->valuedouble == 1,
       "a member by its case");
    ok(json_tree_member(tree, "b", &member) == 0 && cJSON_IsString(member), "and by its name");
    ok(json_tree_member(tree, "d", &member) == 0 && member == NULL, "not deeper");
    ok(json_tree_member(tree, "e", &member) == -1 && member == NULL, "not one of two");
    cJSON_Delete(tree);
    tree = json_tree(SLICE("[{\"a\":1}]"));
    ok(json_tree_member(tree, "a", &member) == 0 && member == NULL, "nor in an array");
    cJSON_Delete(tree);
    for (size_t i = 0; i < COUNT(refused); i++)
        ok(json_tree(slice_str(refused[i])) == NULL && errno != ENOMEM, "%s", refused[i]);
}

int main(void)
{
    test_strings();
    test_has_nul();
    test_tree();
    test_lossy();
    test_long_strings();
    test_ascii();
    test_long_ascii();
    test_doubles();
    test_last_bit();
    test_round_trip();
    test_double_time();
    test_integers();
    test_dates();
    test_span_good();
    test_span_bad();
    test_span_depth();
    test_span_prefixes();
    test_locale();
    return tap_done();
}
