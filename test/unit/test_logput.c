#include "base/logput.h"
#include "tap.h"

static struct logline line;

static const char *end(void)
{
    line.at[line.len] = '\0';
    return line.at;
}

static void begin(size_t limit)
{
    line.len = 0;
    line.limit = limit;
    line.cut = 0;
}

static void test_whole(void)
{
    begin(6);
    logput_str(&line, "abc");
    logput(&line, "def", 3);
    is_str(end(), "abcdef", "what fits is put");
    is_int(line.cut, 0, "and nothing is cut");
    logput(&line, "", 0);
    is_int(line.cut, 0, "nothing always fits");
    begin(6);
    logput_str(&line, "abc");
    logput_str(&line, "defg");
    logput_str(&line, "h");
    is_str(end(), "abc", "what does not is not, nor what follows");
    is_int(line.cut, 1, "which is known");
}

static void test_numbers(void)
{
    begin(100);
    logput_number(&line, 0);
    logput_str(&line, " ");
    logput_number(&line, 10);
    logput_str(&line, " ");
    logput_number(&line, UINT64_MAX);
    is_str(end(), "0 10 18446744073709551615", "numbers");
}

static const char *escaped(const char *text, size_t len, int json)
{
    begin(LOGLINE_MAX_BYTES - 1);
    logput_escaped(&line, text, len, json);
    return end();
}

static void test_escapes(void)
{
    static const char odd[] = "a\n\x1f\x7f\xff\xc2\x85\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 \\\"";

    is_str(escaped(odd, sizeof(odd) - 1, 0),
           "a\\x0a\\x1f\\x7f\\xff\\xc2\\x85\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 \\\"", "text");
    is_str(escaped(odd, sizeof(odd) - 1, 1),
           "a\\u000a\\u001f\\u007f\\\\xff\\u0085\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 \\\\\\\"",
           "JSON");
    is_str(escaped("\0", 1, 1), "\\u0000", "a NUL");
    is_str(escaped("\xe2\x82", 2, 1), "\\\\xe2\\\\x82", "a character that is not whole");
    is_str(escaped(NULL, 0, 1), "", "nothing");
}

static void test_strings(void)
{
    begin(100);
    is_int(logput_string(&line, "abc", 3, 3), 1, "a string that is as long as it may be");
    is_str(end(), "\"abc\"", "is whole");
    begin(100);
    is_int(logput_string(&line, "abcd", 4, 3), 0, "one that is longer");
    is_str(end(), "\"abc...\"", "is cut");
    is_int(line.cut, 0, "and the line is not");
    begin(100);
    logput_string(&line, "ab\n", 3, 4);
    is_str(end(), "\"ab...\"", "no escape is torn");
    for (size_t limit = 0; limit < 20; limit++) {
        begin(limit);
        logput_string(&line, "0123456789", 10, 8);
        ok(line.len <= limit && line.cut == (limit < 13), "a line of %zu bytes", limit);
    }
}

int main(void)
{
    test_whole();
    test_numbers();
    test_escapes();
    test_strings();
    return tap_done();
}
