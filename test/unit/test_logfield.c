#include "base/logfield.h"
#include "base/logput.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "tap.h"

#include <cjson/cJSON.h>

static struct logline line;
static int whole;

#define FIELDS(...)                                                                                \
    (const struct log_field[])                                                                     \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define COUNT(...)         (sizeof(FIELDS(__VA_ARGS__)) / sizeof(struct log_field))
#define text_of(text, ...) text_made(text, FIELDS(__VA_ARGS__), COUNT(__VA_ARGS__))
#define json_of(...)       json_made(FIELDS(__VA_ARGS__), COUNT(__VA_ARGS__))

static const char *end(void)
{
    line.at[line.len] = '\0';
    return line.at;
}

static void begin(void)
{
    line.len = 0;
    line.limit = sizeof(line.at) - 1;
    line.cut = 0;
}

static const char *text_made(const char *text, const struct log_field *fields, size_t n)
{
    begin();
    logfield_text(&line, text, fields, n);
    return end();
}

static const char *json_made(const struct log_field *fields, size_t n)
{
    begin();
    whole = logfield_members(&line, fields, n);
    return end();
}

static const char *message(const char *text)
{
    begin();
    logfield_message(&line, text);
    return end();
}

static void test_text(void)
{
    is_str(text_made("plain", NULL, 0), "plain", "no fields");
    is_str(text_of("a[ {}] b[: c={} d=\"{}\"].", LOG_UINT("a", 1), LOG_STR("c", "x"),
                   LOG_STRN("d", "yz", 1)),
           "a 1 b: c=x d=\"y\".", "fields in their order");
    is_str(text_of("a[ {}]< json>[ b={} c={}][ d]", LOG_IF(0, LOG_UINT("a", 1)),
                   LOG_IF(0, LOG_UINT("b", 1)), LOG_IF(1, LOG_UINT("c", 2))),
           "a b= c=2 d", "brackets without a field that is there are left out");
    is_str(text_of("a[ b={} c={}][ d={}]", LOG_IF(0, LOG_UINT("b", 1)), LOG_TIMES(0),
                   LOG_TIMES(UINT64_C(3))),
           "a d=3", "with those in them");
    is_str(text_made("a[ {} {}]", NULL, 0), "a  ", "fields that nobody gave");
    is_str(text_of("a{", LOG_UINT("a", 1)), "a1", "a text that ends too early");
    is_str(text_of("{}", LOG_STR("a", "{}[]<>")), "{}[]<>", "a value is no text");
}

static void test_messages(void)
{
    is_str(message("plain \"x\""), "plain \\\"x\\\"", "no fields");
    is_str(message("worker[ {}] ready[: pid={}]"), "worker ready",
           "what is text alone is left out");
    is_str(message("[{}: {}]<a file>, bad"), "a file, bad", "what is JSON alone is there");
}

static void test_numbers(void)
{
    is_str(text_of("{} {} {} {}", LOG_UINT("a", UINT64_MAX), LOG_INT("b", INT64_MIN),
                   LOG_INT("c", -1), LOG_TRUE("d")),
           "18446744073709551615 -9223372036854775808 -1 1", "numbers");
    is_str(json_of(LOG_UINT("a", UINT64_MAX), LOG_INT("b", INT64_MIN), LOG_INT("c", -1),
                   LOG_TRUE("d")),
           ",\"a\":18446744073709551615,\"b\":-9223372036854775808,\"c\":-1,\"d\":true", "as JSON");
    is_str(text_of("{} {} {} {} {}", LOG_MILLIS("a", 30000), LOG_TENTHS("b", 123),
                   LOG_TENTHS("c", 0), LOG_SECONDS("d", 1500), LOG_SECONDS("e", 2000)),
           "30000 12.3 0.0 1.500 2", "times");
    is_str(json_of(LOG_MILLIS("a", 30000), LOG_TENTHS("b", 123), LOG_TENTHS("c", 0),
                   LOG_SECONDS("d", 1500), LOG_MILLIS("e", 2001), LOG_MILLIS("f", 20),
                   LOG_TENTHS("g", 120), LOG_MILLIS("h", 100)),
           ",\"a\":30.0,\"b\":12.3,\"c\":0.0,\"d\":1.5,\"e\":2.001,\"f\":0.02,\"g\":12.0,\"h\":0.1",
           "as JSON they are seconds");
}

static void test_bytes(void)
{
    static const char odd[] = "a b\"\\\n\xff\xc3\xa4";

    is_str(text_of("{} {}", LOG_WORD("a", odd, sizeof(odd) - 1, 0),
                   LOG_BYTES("b", odd, sizeof(odd) - 1, 0)),
           "a\\x20b\\x22\\x5c\\x0a\\xff\\xc3\\xa4 a b\"\\x5c\\x0a\\xff\\xc3\\xa4",
           "words and bytes, as text");
    is_str(
        json_of(LOG_WORD("a", odd, sizeof(odd) - 1, 0), LOG_BYTES("b", odd, sizeof(odd) - 1, 0)),
        ",\"a\":\"a b\\\"\\\\\\u000a\\\\xff\xc3\xa4\",\"b\":\"a b\\\"\\\\\\u000a\\\\xff\xc3\xa4\"",
        "as JSON they are what they are");
    is_int(whole, 1, "in full");
    is_str(text_of("{}", LOG_WORD("a", "0123456789", 10, 9)), "01234...", "cut, as text");
    is_str(json_of(LOG_WORD("a", "0123456789", 10, 9)), ",\"a\":\"012345678...\"", "as JSON");
    is_int(whole, 0, "which is told");
    is_str(text_of("-{}-", LOG_WORD("a", NULL, 0, 0)), "--", "none");
    is_str(text_of("{}", LOG_STR("a", NULL)), "(null)", "a text that is not there");
    is_str(json_of(LOG_STR("a", NULL)), "", "is no member");
    is_str(json_of(LOG_STR("a", "x\ty")), ",\"a\":\"x\\u0009y\"", "text");
    is_str(json_of(LOG_SHOWN("x"), LOG_IF(0, LOG_UINT("a", 1)), LOG_UINT("b", 2)), ",\"b\":2",
           "what is no member");
}

/* Whatever the bytes are: JSON, and UTF-8 comes back as it was. */
static void test_any_bytes(void)
{
    int good = 1;

    for (unsigned n = 0; n < 2000 && good; n++) {
        char bytes[8];
        size_t len = n < 256 ? 1 : 1 + n % sizeof(bytes);
        cJSON *tree, *value;

        bytes[0] = (char)n;
        if (n >= 256)
            rand_bytes(bytes, len);
        json_of(LOG_WORD("a", bytes, len, 0));
        line.at[0] = '{'; /* in place of the comma */
        line.at[line.len] = '}';
        line.at[line.len + 1] = '\0';
        tree = cJSON_ParseWithOpts(line.at, NULL, 1);
        value = cJSON_GetObjectItem(tree, "a");
        good = cJSON_IsString(value) && utf8_valid(value->valuestring, strlen(value->valuestring));
        if (good && utf8_valid(bytes, len) && memchr(bytes, 0, len) == NULL)
            good = strlen(value->valuestring) == len && memcmp(value->valuestring, bytes, len) == 0;
        if (!good)
            tap_show("bytes", bytes, len);
        cJSON_Delete(tree);
    }
    ok(good, "any bytes are JSON");
}

static void test_lists(void)
{
    static const unsigned numbers[] = {1, 2, 64};
    struct slices list = {0};
    const char *names = "a, b, c d";
    char name[16];

    is_str(text_of("{}-{}", LOG_UINTS("a", numbers, 3), LOG_UINTS("b", numbers, 0)), "1,2,64-",
           "numbers");
    is_str(json_of(LOG_UINTS("a", numbers, 3), LOG_UINTS("b", numbers, 0)),
           ",\"a\":[1,2,64],\"b\":[]", "as JSON");
    is_str(text_of("{}", LOG_NAMES("a", names, 7, ',')), "a, b, c", "names");
    is_str(json_of(LOG_NAMES("a", names, strlen(names), ','), LOG_NAMES("b", "x y", 3, ' '),
                   LOG_NAMES("c", names, 0, ' ')),
           ",\"a\":[\"a\",\"b\",\"c d\"],\"b\":[\"x\",\"y\"],\"c\":[]", "as JSON");
    is_str(json_of(LOG_WORDS("a", &list)), ",\"a\":[]", "no words");
    slices_put(&list, slice_str("x y"));
    slices_put(&list, slice_str("z"));
    is_str(text_of("{}", LOG_WORDS("a", &list)), "x\\x20y,z", "words");
    is_str(json_of(LOG_WORDS("a", &list)), ",\"a\":[\"x y\",\"z\"]", "as JSON");
    for (unsigned i = 0; i < 400; i++)
        slices_put(&list, slice_str("a-name-of-some-length"));
    (void)snprintf(name, sizeof(name), ",...(%zu)", list.n);
    ok(strstr(text_of("{}", LOG_WORDS("a", &list)), name) != NULL && line.len < 520,
       "not all of very many");
    ok(strstr(json_of(LOG_WORDS("a", &list)), ",\"a-name-of-some-length\"]") != NULL &&
           line.len < 1100 && !whole,
       "nor as JSON");
    list.n = 1;
    list.at[0] =
        slice_str("0123456789012345678901234567890123456789012345678901234567890123456789");
    ok(strstr(json_of(LOG_WORDS("a", &list)), "...\"]") != NULL && !whole, "nor of a long one");
    slices_clear(&list);
}

static void test_errors(void)
{
    errno = ENOENT;
    is_str(text_of("x[: {}]", LOG_ERRNO()), "x: No such file or directory", "an error");
    is_str(json_of(LOG_ERRNO()), ",\"error\":\"No such file or directory\",\"errno\":\"ENOENT\"",
           "has a name");
    errno = 9999;
    is_str(json_of(LOG_ERRNO()), ",\"error\":\"Unknown error 9999\"", "one that has none");
}

/* Members behind one that has no room have what there is. */
static void test_room(void)
{
    int good = 1;

    for (size_t limit = 0; limit < 40 && good; limit++) {
        begin();
        line.limit = limit;
        whole = logfield_members(
            &line, FIELDS(LOG_UINT("a", 1), LOG_STR("bcdefg", "0123456789"), LOG_UINT("h", 2)), 3);
        end();
        good = !line.cut && line.len <= limit && whole == (limit >= 34) &&
               (strcmp(line.at, "") == 0 || strcmp(line.at, ",\"a\":1") == 0 ||
                strcmp(line.at, ",\"a\":1,\"h\":2") == 0 ||
                strcmp(line.at, ",\"a\":1,\"bcdefg\":\"0123456789\"") == 0 ||
                strcmp(line.at, ",\"a\":1,\"bcdefg\":\"0123456789\",\"h\":2") == 0);
    }
    ok(good, "each is whole or not there");
}

int main(void)
{
    test_text();
    test_messages();
    test_numbers();
    test_bytes();
    test_any_bytes();
    test_lists();
    test_errors();
    test_room();
    return tap_done();
}
