/* Through JSON text without a tree. */
#include "codec/json.h"

#include "tap.h"

static void is_walk(const char *text, const char *want)
{
    struct json_walk walk = json_walk(slice_str(text));
    struct slice key = {0}, value;
    struct buf out = {0};

    while (text[0] == '{' ? json_walk_member(&walk, &key, &value)
                          : json_walk_element(&walk, &value)) {
        if (text[0] == '{')
            buf_printf(&out, "<%.*s>", (int)key.len, key.ptr);
        buf_printf(&out, "<%.*s>", (int)value.len, value.ptr);
    }
    buf_putc(&out, '\0');
    is_str((char *)out.data, want, text);
    buf_free(&out);
}

int main(void)
{
    is_walk("[]", "");
    is_walk("[ ]", "");
    is_walk("{}", "");
    is_walk("{ \n}", "");
    is_walk("[1]", "<1>");
    is_walk("[ 1 , [2,[3]] ,\"]\\\",\", {\"a\":[1]} ]", "<1><[2,[3]]><\"]\\\",\"><{\"a\":[1]}>");
    is_walk("{\"a\":1}", "<\"a\"><1>");
    is_walk("{ \"a\" : {\"b\":2} ,\t\"c}\":[ 1 ]\n}", "<\"a\"><{\"b\":2}><\"c}\"><[ 1 ]>");
    is_walk("{\"a\":null} \n", "<\"a\"><null>");
    is_walk("[null] ", "<null>");
    ok(json_key_is(SLICE("\"key\""), "key"), "a key");
    ok(json_key_is(SLICE("\"k\\u0065\\u0079\""), "key"), "in other words");
    ok(!json_key_is(SLICE("\"keys\""), "key"), "a longer one");
    ok(!json_key_is(SLICE("\"ke\""), "key"), "a shorter one");
    ok(!json_key_is(SLICE("\"k\\ney\""), "key"), "another one");
    ok(!json_key_is(SLICE("\"\""), "key") && json_key_is(SLICE("\"\""), ""), "none");
    return tap_done();
}
