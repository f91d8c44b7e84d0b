#include "base/utf8.h"
#include "tap.h"

static const struct {
    const char *bytes;
    int valid;
    const char *name;
} strings[] = {
    {"", 1, "empty"},
    {"plain", 1, "ASCII"},
    {"\xc2\x80", 1, "U+0080"},
    {"\xdf\xbf", 1, "U+07FF"},
    {"\xe0\xa0\x80", 1, "U+0800"},
    {"\xed\x9f\xbf", 1, "U+D7FF"},
    {"\xee\x80\x80", 1, "U+E000"},
    {"\xef\xbf\xbf", 1, "U+FFFF"},
    {"\xf0\x90\x80\x80", 1, "U+10000"},
    {"\xf4\x8f\xbf\xbf", 1, "U+10FFFF"},
    {"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z", 1, "one of each length"},
    {"\x80", 0, "continuation alone"},
    {"a\xbf", 0, "continuation after ASCII"},
    {"\xc0\x80", 0, "overlong NUL"},
    {"\xc1\xbf", 0, "overlong U+007F"},
    {"\xe0\x9f\xbf", 0, "overlong U+07FF"},
    {"\xf0\x8f\xbf\xbf", 0, "overlong U+FFFF"},
    {"\xed\xa0\x80", 0, "first surrogate"},
    {"\xed\xbf\xbf", 0, "last surrogate"},
    {"\xf4\x90\x80\x80", 0, "U+110000"},
    {"\xf5\x80\x80\x80", 0, "F5"},
    {"\xff", 0, "FF"},
    {"\xc3", 0, "cut after 1 of 2"},
    {"\xe2\x82", 0, "cut after 2 of 3"},
    {"\xf0\x9f\x98", 0, "cut after 3 of 4"},
    {"\xe2\x41\xac", 0, "ASCII in second place"},
    {"\xe2\x82\x41", 0, "ASCII in third place"},
    {"\xf0\x9f\x98\x41", 0, "ASCII in fourth place"},
};

static void test_points(void)
{
    int wrong = 0, surrogates = 0;

    for (uint32_t point = 0; point <= 0x10ffff; point++) {
        uint8_t bytes[4];
        uint32_t back = 0;
        size_t n = utf8_put(bytes, point);

        if (point >= 0xd800 && point <= 0xdfff)
            surrogates += utf8_next(bytes, n, &back) != 0;
        else
            wrong += utf8_next(bytes, n, &back) != n || back != point || !utf8_valid(bytes, n);
    }
    is_int(wrong, 0, "every scalar value there and back");
    is_int(surrogates, 0, "no surrogate is read");
}

int main(void)
{
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        size_t len = strlen(strings[i].bytes);
        unsigned char *bytes = tap_guard(strings[i].bytes, len);

        is_int(utf8_valid(bytes, len), strings[i].valid, strings[i].name);
        tap_guard_free(bytes, len);
    }
    is_int(utf8_valid("a\0b", 3), 1, "NUL is a character");
    is_int(utf8_next("\xe2\x82\xac...", 6, NULL), 3, "next tells the length, point not wanted");
    test_points();
    return tap_done();
}
