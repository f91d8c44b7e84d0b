/* JSON with comments: what is read, where it stood, and how errors read. */
#include "codec/jsonc.h"

#include "tap.h"

/* Everything within a guard page, so that one byte too many is noticed. */
static struct jsonc *parse_n(const char *text, size_t len, struct jsonc_error *error)
{
    unsigned char *guarded = tap_guard(text, len);
    struct jsonc *node = jsonc_parse((const char *)guarded, len, error);

    tap_guard_free(guarded, len);
    return node;
}

static struct jsonc *parse(const char *text)
{
    struct jsonc_error error;
    struct jsonc *node = parse_n(text, strlen(text), &error);

    if (node == NULL)
        printf("# %u:%u: %s\n", error.line, error.column, error.text);
    return node;
}

static void test_values(void)
{
    struct jsonc *node = parse("\n{\"a\": [1, -2.5e1,\n true, false, null],\n\"b\"\n:\n\"x\"}\n");
    const struct jsonc *a, *e;

    if (!ok(node != NULL, "an object is read"))
        return;
    is_int(node->type, JSONC_OBJECT, "its type");
    is_int(node->line, 2, "its line");
    is_int(node->count, 2, "its members");
    a = jsonc_member(node, "a");
    is_int(a->type, JSONC_ARRAY, "an array");
    is_int(a->count, 5, "its elements");
    e = a->first;
    is_str(e->text, "1", "a number's text");
    ok(e->number == 1, "a number");
    e = e->next;
    is_str(e->text, "-2.5e1", "a number's text as written");
    ok(e->number == -25, "a number with sign, fraction and exponent");
    e = e->next;
    is_int(e->type, JSONC_TRUE, "true");
    is_int(e->line, 3, "an element knows its line");
    is_int(e->next->type, JSONC_FALSE, "false");
    is_int(e->next->next->type, JSONC_NULL, "null");
    ok(e->next->next->next == NULL, "the last has no next");
    e = jsonc_member(node, "b");
    is_int(e->key_line, 4, "a key knows its line");
    is_int(e->line, 6, "a value knows its own");
    is_str(e->text, "x", "a string");
    ok(jsonc_member(node, "c") == NULL, "no such member");
    ok(jsonc_member(e, "c") == NULL, "a string has no members");
    jsonc_free(&node);
    ok(node == NULL, "freeing clears the pointer");
}

static const struct {
    const char *json, *want;
} strings[] = {
    {"\"\"", ""},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
    {"\"\\u0041\\u00e9\\u20ac\"", "A\xc3\xa9\xe2\x82\xac"},
    {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
    {"\"\\uD83D\\uDE00\"", "\xf0\x9f\x98\x80"},
    {"\"\\ud7ff\\ue000\"", "\xed\x9f\xbf\xee\x80\x80"},
    {"\"\\ud800\\udc00\"", "\xf0\x90\x80\x80"},
    {"\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf"},
    {"\"\\uffff\\uFFFF\"", "\xef\xbf\xbf\xef\xbf\xbf"},
    {"\"h\xc3\xa9llo \xf0\x9f\x98\x80\"", "h\xc3\xa9llo \xf0\x9f\x98\x80"},
    {"\"// no comment /* nor this */\"", "// no comment /* nor this */"},
    {"\"\x7f\"", "\x7f"},
};

static void test_strings(void)
{
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        struct jsonc *node = parse(strings[i].json);

        is_mem(node ? node->text : NULL, node ? node->len : 0, strings[i].want,
               strlen(strings[i].want), strings[i].json);
        jsonc_free(&node);
    }
}

static void test_comments(void)
{
    struct jsonc *node = parse("\xef\xbb\xbf// one\r\n/* two\n * \xff */ { // three\n"
                               "\"a\" /**/ : /***/ 1 /* / */ // \xfe\n, \"b\": 2 }//");

    ok(node != NULL, "comments everywhere, a byte order mark, bytes that are no UTF-8 in them");
    if (node != NULL) {
        is_int(node->line, 3, "lines within comments count");
        is_int(jsonc_member(node, "b")->line, 5, "after comments too");
    }
    jsonc_free(&node);
}

static const struct {
    const char *text;
    unsigned line, column;
    const char *fragment;
} errors[] = {
    {"", 1, 1, "the end of the text, wanted a value"},
    {"{", 1, 2, "the end of the text, wanted a key in \" quotes"},
    {"{\"a\":1,}", 1, 7, "a comma before '}', wanted none"},
    {"[1,\n 2, // last\n]", 2, 3, "a comma before ']', wanted none"},
    {"[,]", 1, 2, "found ',', wanted a value"},
    {"[1 2]", 1, 4, "found '2', wanted ',' or ']'"},
    {"{\"a\":1 \"b\":2}", 1, 8, "found '\"', wanted ',' or '}'"},
    {"{\"a\" 1}", 1, 6, "found '1', wanted ':' after the key"},
    {"{a: 1}", 1, 2, "found 'a', wanted a key in \" quotes"},
    {"{'a': 1}", 1, 2, "found ''', wanted a key in \" quotes"},
    {"['x']", 1, 2, "found ''', wanted a value: a string in \" quotes"},
    {"# x", 1, 1, "found '#', wanted a value"},
    {"{\"port\":1,\n\n\"b\":{\"port\":1},\n\"port\":2}", 4, 1,
     "the key \"port\" again (it is in line 1 already)"},
    {"{\"\":1,\"\":2}", 1, 7, "the key \"\" again"},
    {"{\"\\u0061\":1,\"a\":2}", 1, 13, "the key \"a\" again"},
    {"01", 1, 1, "a leading zero"},
    {"00", 1, 1, "a leading zero"},
    {"-09", 1, 2, "a leading zero"},
    {"\"\\u0041", 1, 8, "the end of the text in a string"},
    {"-", 1, 2, "wanted a digit"},
    {"+1", 1, 1, "found '+'"},
    {".5", 1, 1, "found '.'"},
    {"5.", 1, 3, "wanted a digit after the decimal point"},
    {"1e", 1, 3, "wanted a digit in the exponent"},
    {"0x10", 1, 2, "found 'x', wanted nothing after the value"},
    {"1e999", 1, 1, "too large"},
    {"NaN", 1, 1, "found 'N'"},
    {"tru", 1, 1, "found 't', wanted a value"},
    {"True", 1, 1, "found 'T', wanted a value"},
    {"1 1", 1, 3, "wanted nothing after the value"},
    {"{} }", 1, 4, "wanted nothing after the value"},
    {"\"a", 1, 3, "the end of the text in a string"},
    {"\"a\nb\"", 1, 3, "the end of the line in a string"},
    {"\"a\tb\"", 1, 3, "byte 0x09, wanted control characters written as"},
    {"\"a\\x\"", 1, 4, "found 'x', wanted one of"},
    {"\"\\", 1, 2, "found '\\', wanted one of"},
    {"\"\\u12g4\"", 1, 2, "a broken \\u escape"},
    {"\"\\u12", 1, 2, "a broken \\u escape"},
    {"\"x\\u0000\"", 1, 3, "found \\u0000"},
    {"\"\\ud83d\"", 1, 2, "half a surrogate pair"},
    {"\"\\ude00\"", 1, 2, "half a surrogate pair"},
    {"\"\\ud83d\\u0041\"", 1, 2, "half a surrogate pair"},
    {"\"\\ud83d\\n\"", 1, 2, "half a surrogate pair"},
    {"\"\\ud800\"", 1, 2, "half a surrogate pair"},
    {"\"\\udfff\"", 1, 2, "half a surrogate pair"},
    {"\"\\udc00\\udc00\"", 1, 2, "half a surrogate pair"},
    {"\"\\udbff\\ue000\"", 1, 2, "half a surrogate pair"},
    {"\"\\udbff\\udbff\"", 1, 2, "half a surrogate pair"},
    {"\"\\ufffg\"", 1, 2, "a broken \\u escape"},
    {"\"\\u`000\"", 1, 2, "a broken \\u escape"},
    {"\"\xc3\xa9\xff\"", 1, 3, "byte 0xff, wanted valid UTF-8"},
    {"\"\xed\xa0\xbd\"", 1, 2, "byte 0xed, wanted valid UTF-8"},
    {"\"\xc0\x80\"", 1, 2, "byte 0xc0, wanted valid UTF-8"},
    {"[1, \xff]", 1, 5, "byte 0xff, wanted a value"},
    {"[1,\n /* x\n\n", 2, 2, "a comment that is not closed"},
    {"/", 1, 1, "found '/', wanted a comment"},
    {"[1, / 2]", 1, 5, "found '/', wanted a comment"},
    {"[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" x]", 1, 8, "found 'x', wanted ',' or ']'"},
    {"\xff\xfe{\0}\0", 1, 1, "byte 0xff"},
};

static void test_errors(void)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct jsonc_error error = {0};
        struct jsonc *node = parse_n(errors[i].text, strlen(errors[i].text), &error);

        if (!ok(node == NULL && error.line == errors[i].line && error.column == errors[i].column &&
                    strstr(error.text, errors[i].fragment) != NULL,
                "error %zu: %s", i, errors[i].fragment))
            printf("#   got %u:%u: %s\n", error.line, error.column, error.text);
        jsonc_free(&node);
    }
}

static void test_blank(void)
{
    static const char *const blank[] = {"", " \n\t", "// x", "/* x */\n", "\xef\xbb\xbf"};
    struct jsonc_error error;

    for (size_t i = 0; i < sizeof(blank) / sizeof(blank[0]); i++)
        ok(parse_n(blank[i], strlen(blank[i]), &error) == NULL && error.blank, "blank text %zu", i);
    ok(parse_n("/*", 2, &error) == NULL && !error.blank, "a broken comment is not blank");
    ok(parse_n("x", 1, &error) == NULL && !error.blank, "a broken value is not blank");
    ok(parse_n("\0", 1, &error) == NULL && !error.blank, "a NUL is not blank");
}

static void test_limits(void)
{
    struct jsonc_error error;
    struct jsonc *node;
    size_t n = 1 << 20, len = 1;
    char *text = malloc(n);

    memset(text, '[', n);
    ok(parse_n(text, n, &error) == NULL && strstr(error.text, "within each other") != NULL,
       "depth is limited");
    is_int(JSONC_DEPTH_MAX, 64, "arrays and objects within each other");
    memset(text + JSONC_DEPTH_MAX + 1, ']', JSONC_DEPTH_MAX + 1);
    node = parse_n(text, 2 * (size_t)JSONC_DEPTH_MAX + 2, &error);
    ok(node == NULL && strstr(error.text, "within each other") != NULL, "one too deep");
    memset(text + JSONC_DEPTH_MAX, ']', JSONC_DEPTH_MAX);
    node = parse_n(text, 2 * (size_t)JSONC_DEPTH_MAX, &error);
    ok(node != NULL, "the deepest that is allowed");
    jsonc_free(&node);

    text[0] = '{';
    for (int i = 0; i <= JSONC_MEMBERS_MAX; i++)
        len += (size_t)sprintf(text + len, "%s\"k%d\":0", i ? "," : "", i);
    text[len] = '}';
    ok(parse_n(text, len + 1, &error) == NULL && strstr(error.text, "keys in one object") != NULL,
       "the number of members is limited");
    is_int(JSONC_MEMBERS_MAX, 1024, "keys in one object");
    text[len] = '\0';
    len = (size_t)(strrchr(text, ',') - text);
    text[len] = '}';
    node = parse_n(text, len + 1, &error);
    ok(node != NULL && node->count == JSONC_MEMBERS_MAX, "as many as may be");
    jsonc_free(&node);
    free(text);
}

/* Each prefix of a text that has everything: an error, never a tree, and never
 * a byte behind its end. */
static void test_prefixes(void)
{
    static const char text[] = "\xef\xbb\xbf{ // c\n \"a\": [1.5e+3, -0, true, false, null, {}],"
                               " /* d */ \"b\\ud83d\\ude00\\u00e9\": \"\xf0\x9f\x98\x80\\n\" }";
    struct jsonc_error error;
    size_t good = 0;

    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        struct jsonc *node = parse_n(text, n, &error);

        good += node != NULL;
        jsonc_free(&node);
    }
    is_int(good, 0, "no prefix is a whole");
    struct jsonc *node = parse_n(text, sizeof(text) - 1, &error);

    ok(node != NULL, "the whole is");
    jsonc_free(&node);
}

int main(void)
{
    test_values();
    test_strings();
    test_comments();
    test_errors();
    test_blank();
    test_limits();
    test_prefixes();
    return tap_done();
}
