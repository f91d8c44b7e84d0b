/* A message as a backend without an emitter says it. */
#include "codec/emit_call.h"

#include "codec/broadcast.h"
#include "codec/emit.h"
#include "codec/json.h"
#include "tap.h"

static struct emit_call call;
static struct buf error, shown;

static int decode(const char *text, size_t len)
{
    emit_call_clear(&call);
    call = (struct emit_call){0};
    buf_reset(&error);
    return emit_call_decode(&call, (struct slice){text, len}, &error);
}

static void put_list(const char *what, const struct slices *list)
{
    for (size_t i = 0; i < list->n; i++)
        buf_printf(&shown, "%s%.*s", i == 0 ? what : ",", (int)list->at[i].len, list->at[i].ptr);
}

/* All that was taken, as one text. */
static const char *show(void)
{
    buf_reset(&shown);
    buf_put(&shown, call.json.data, call.json.len);
    put_list(" to ", &call.rooms);
    put_list(" not ", &call.except);
    if (call.flags == BROADCAST_VOLATILE)
        buf_puts(&shown, " volatile");
    if (call.ack_ms > 0)
        buf_printf(&shown, " ack %u", call.ack_ms);
    buf_putc(&shown, '\0');
    return (const char *)shown.data;
}

static void test_good(void)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"{\"event\":\"msg\"}", "[\"msg\"]"},
        {" \r\n\t{ \"event\" : \"msg\" } \n", "[\"msg\"]"},
        {"{\"event\":\"\",\"args\":[]}", "[\"\"]"},
        {"{\"event\":\"msg\",\"args\":[ ]}", "[\"msg\"]"},
        {"{\"event\":\"msg\",\"args\":[1]}", "[\"msg\",1]"},
        {"{\"args\":[1.0, -0,1e400 ,12345678901234567890,\"\\u00e9\\/\",{\"a\":1,\"a\":2}],"
         "\"event\":\"\\u006dsg\"}",
         "[\"\\u006dsg\",1.0, -0,1e400 ,12345678901234567890,\"\\u00e9\\/\",{\"a\":1,\"a\":2}]"},
        {"{\"event\":\"m\",\"to\":\"r\"}", "[\"m\"] to r"},
        {"{\"event\":\"m\",\"to\":[\"r\",\"s\",\"r\"],\"except\":[\"\\u00fc\\ud83d\\ude00\"]}",
         "[\"m\"] to r,s,r not \xc3\xbc\xf0\x9f\x98\x80"},
        {"{\"event\":\"m\",\"except\":[]}", "[\"m\"]"},
        {"{\"event\":\"m\",\"except\":\"x\",\"volatile\":true,\"ack\":3600000}",
         "[\"m\"] not x volatile ack 3600000"},
        {"{\"event\":\"m\",\"volatile\":false,\"ack\":0}", "[\"m\"]"},
        {"{\"\\u0065vent\":\"m\"}", "[\"m\"]"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        is_int(decode(cases[i].text, strlen(cases[i].text)), 0, cases[i].text);
        is_str(show(), cases[i].want, "is taken");
        is_int(error.len, 0, "without a word");
        ok(json_span((char *)call.json.data, call.json.len) == (long)call.json.len, "as JSON");
    }
}

static void test_bad(void)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "there is no body"},
        {" ", "the body is not JSON, from byte 2"},
        {"{\"event\":\"m\"", "the body is not JSON, from byte 13"},
        {"{\"event\":\"m\"}x", "the body is not JSON, from byte 14"},
        {"{\"event\":\"m\"}{}", "the body is not JSON, from byte 14"},
        {"{'event':1}", "the body is not JSON, from byte 2"},
        {"\xef\xbb\xbf{\"event\":\"m\"}", "the body is not JSON, from byte 1"},
        {"{\"event\":\"\xff\"}", "the body is not JSON"},
        {"[]", "the body is no object"},
        {"null", "the body is no object"},
        {"{}", "event: it is wanted"},
        {"{\"event\":null}", "event: wanted a text"},
        {"{\"event\":1}", "event: wanted a text"},
        {"{\"event\":[\"m\"]}", "event: wanted a text"},
        {"{\"event\":\"a\\u0000b\"}", "event: it has half a surrogate"},
        {"{\"event\":\"\\ud800\"}", "event: it has half a surrogate"},
        {"{\"event\":\"disconnect\"}", "event: it is reserved"},
        {"{\"event\":\"connec\\u0074\"}", "event: it is reserved"},
        {"{\"event\":\"m\",\"event\":\"m\"}", "event: it is there twice"},
        {"{\"event\":\"m\",\"to\":\"a\",\"t\\u006f\":\"b\"}", "to: it is there twice"},
        {"{\"event\":\"m\",\"room\":\"a\"}", "room: there is no such member"},
        {"{\"event\":\"m\",\"To\":\"a\"}", "To: there is no such member"},
        {"{\"event\":\"m\",\"\":1}", ": there is no such member"},
        {"{\"event\":\"m\",\"a\xc3\xa9\":1}", "a\\xc3\\xa9: there is no such member"},
        {"{\"event\":\"m\",\"to\":null}", "to: wanted the names"},
        {"{\"event\":\"m\",\"to\":7}", "to: wanted the names"},
        {"{\"event\":\"m\",\"to\":[\"a\",7]}", "to: wanted the names"},
        {"{\"event\":\"m\",\"to\":{\"a\":1}}", "to: wanted the names"},
        {"{\"event\":\"m\",\"to\":[[\"a\"]]}", "to: wanted the names"},
        {"{\"event\":\"m\",\"to\":[]}", "to: the list is empty"},
        {"{\"event\":\"m\",\"to\":\"\"}", "to: the name of a room is empty"},
        {"{\"event\":\"m\",\"except\":[\"\"]}", "except: the name of a room is empty"},
        {"{\"event\":\"m\",\"to\":\"\\udc00\"}", "to: a name has half"},
        {"{\"event\":\"m\",\"to\":\"\\u0000\"}", "to: a name has half"},
        {"{\"event\":\"m\",\"args\":{}}", "args: wanted a list"},
        {"{\"event\":\"m\",\"args\":\"a\"}", "args: wanted a list"},
        {"{\"event\":\"m\",\"args\":null}", "args: wanted a list"},
        {"{\"event\":\"m\",\"volatile\":1}", "volatile: wanted true or false"},
        {"{\"event\":\"m\",\"volatile\":null}", "volatile: wanted true or false"},
        {"{\"event\":\"m\",\"ack\":-1}", "ack: wanted milliseconds"},
        {"{\"event\":\"m\",\"ack\":1.5}", "ack: wanted milliseconds"},
        {"{\"event\":\"m\",\"ack\":3600001}", "ack: wanted milliseconds"},
        {"{\"event\":\"m\",\"ack\":99999999999999999999}", "ack: wanted milliseconds"},
        {"{\"event\":\"m\",\"ack\":\"1000\"}", "ack: wanted milliseconds"},
        {"{\"event\":\"m\",\"ack\":true}", "ack: wanted milliseconds"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        is_int(decode(cases[i].text, strlen(cases[i].text)), -1, cases[i].text);
        buf_putc(&error, '\0');
        ok(strncmp((char *)error.data, cases[i].want, strlen(cases[i].want)) == 0, "%s",
           (char *)error.data);
    }
}

/* As many rooms as there may be, and one more; a list that is nested as deep as JSON may be. */
static void test_limits(void)
{
    struct buf text = {0};

    for (int n = EMIT_ROOMS_MAX; n <= EMIT_ROOMS_MAX + 1; n++) {
        buf_reset(&text);
        buf_puts(&text, "{\"event\":\"m\",\"to\":[\"0\"");
        for (int i = 1; i < n; i++)
            buf_printf(&text, ",\"%d\"", i);
        buf_puts(&text, "]}");
        is_int(decode((char *)text.data, text.len), n > EMIT_ROOMS_MAX ? -1 : 0, "many rooms");
    }
    ok(memmem(error.data, error.len, "more than 4096 rooms", 20) != NULL, "too many");
    buf_reset(&text);
    buf_puts(&text, "{\"event\":\"m\",\"args\":");
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_putc(&text, '[');
    is_int(decode((char *)text.data, text.len), -1, "deep");
    buf_free(&text);
}

/* Cut off anywhere it is none, and nothing behind it is read. */
static void test_prefixes(void)
{
    static const char whole[] = "{\"to\":[\"r\",\"\\u00e9\"],\"except\":\"s\",\"event\":\"m\","
                                "\"args\":[1,{\"a\":\"b\"}],\"volatile\":true,\"ack\":12}";

    for (size_t len = 0; len <= strlen(whole); len++) {
        char *copy = malloc(len + 1); /* valgrind and ASan see what is beyond */

        memcpy(copy, whole, len);
        is_int(decode(copy, len), len == strlen(whole) ? 0 : -1, "a prefix");
        free(copy);
    }
}

int main(void)
{
    test_good();
    test_bad();
    test_limits();
    test_prefixes();
    emit_call_clear(&call);
    buf_free(&error);
    buf_free(&shown);
    return tap_done();
}
