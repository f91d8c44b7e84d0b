/* What a claim may name as rooms, and walks over them. */
#include "base/buf.h"
#include "codec/json.h"
#include "codec/token_rooms.h"
#include "tap.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- memory --- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

static int nomem; /* the allocation that fails: 1 is the next; 0: none */

void *__wrap_malloc(size_t size)
{
    if (nomem > 0 && --nomem == 0) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_malloc(size);
}

/* --- --- */

static int made(struct token_rooms **rooms, const char *json, size_t max)
{
    cJSON *value = json_tree(slice_str(json));
    int result = token_rooms_make(rooms, value, max);

    cJSON_Delete(value);
    return result;
}

static struct token_rooms *make(const char *json)
{
    struct token_rooms *rooms;

    if (made(&rooms, json, 1000) < 0)
        ok(0, "%s", json);
    return rooms;
}

/* "a b ", in their order. */
static const char *text_of(const struct token_rooms *rooms, const struct token_rooms *except)
{
    static char text[256];
    struct token_rooms_walk walk = {0};
    struct slice name;
    size_t len = 0;

    text[0] = '\0';
    while (token_rooms_next(rooms, except, &walk, &name))
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s ", (int)name.len, name.ptr);
    is_int(token_rooms_next(rooms, except, &walk, &name), 0, "the end stays one");
    return text;
}

static void test_forms(void)
{
    static const struct {
        const char *json, *names; /* names NULL: refused */
    } rows[] = {
        {"\"a\"", "a "},
        {"\"g:1,2\"", "g:1,2 "},
        {"[\"a\"]", "a "},
        {"[\"b\",\"a\",\"ab\",\"b\",\"a\"]", "a ab b "},
        {"[\"\\u00e9\",\"z\"]", "z \xc3\xa9 "},
        {"[]", ""},
        {"\"\"", NULL},
        {"[\"\"]", NULL},
        {"[\"a\",\"\"]", NULL},
        {"[\"a\",1]", NULL},
        {"[\"a\",null]", NULL},
        {"[\"a\",[\"b\"]]", NULL},
        {"1", NULL},
        {"null", NULL},
        {"true", NULL},
        {"{}", NULL},
        {"{\"a\":\"b\"}", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct token_rooms *rooms = NULL;
        int result = made(&rooms, rows[i].json, 1000);

        is_int(result, rows[i].names != NULL ? 0 : -1, rows[i].json);
        if (result < 0)
            ok(errno != ENOMEM && rooms == NULL, "for what it is");
        else
            is_str(text_of(rooms, NULL), rows[i].names, "each once");
        token_rooms_free(&rooms);
    }
}

static void test_bounds(void)
{
    struct token_rooms *rooms;
    struct buf json = {0};

    is_int(made(&rooms, "[\"a\",\"b\"]", 2), 0, "as many as there may be");
    is_int((long)token_rooms_count(rooms), 2, "are two");
    token_rooms_free(&rooms);
    ok(rooms == NULL, "freed");
    is_int(made(&rooms, "[\"a\",\"b\",\"a\"]", 2), -1, "one more, however it is called");
    is_int(made(&rooms, "\"a\"", 1), 0, "a string is one");
    token_rooms_free(&rooms);
    is_int(made(&rooms, "\"a\"", 0), -1, "which is more than none");
    is_int(made(&rooms, "[]", 0), 0, "an empty array is not");
    is_int((long)token_rooms_count(rooms), 0, "it is none");

    for (size_t len = TOKEN_ROOM_MAX; len <= TOKEN_ROOM_MAX + 1; len++) {
        struct token_rooms_walk walk = {0};
        struct slice name;

        buf_reset(&json);
        buf_puts(&json, "[\"a\",\"");
        for (size_t i = 0; i < len; i++)
            buf_putc(&json, 'x');
        buf_puts(&json, "\"]");
        buf_putc(&json, '\0');
        is_int(made(&rooms, (char *)json.data, 1000), len > TOKEN_ROOM_MAX ? -1 : 0,
               "a name's length");
        if (rooms != NULL && token_rooms_next(rooms, NULL, &walk, &name) &&
            token_rooms_next(rooms, NULL, &walk, &name))
            is_int((long)name.len, (long)len, "is kept");
        token_rooms_free(&rooms);
    }
    buf_free(&json);
}

static void test_walks(void)
{
    static const struct {
        const char *rooms, *except, *left;
    } rows[] = {
        {"[\"a\",\"b\",\"c\"]", "[]", "a b c "},
        {"[]", "[\"a\"]", ""},
        {"[\"a\",\"b\",\"c\"]", "[\"b\"]", "a c "},
        {"[\"a\",\"b\",\"c\"]", "[\"a\",\"b\",\"c\"]", ""},
        {"[\"a\",\"b\",\"c\"]", "[\"0\",\"aa\",\"bb\",\"d\"]", "a b c "},
        {"[\"a\",\"b\",\"c\"]", "[\"aa\",\"c\",\"d\"]", "a b "},
        {"[\"aa\",\"ab\"]", "[\"a\"]", "aa ab "},
        {"[\"a\"]", "[\"aa\",\"ab\"]", "a "},
        {"[\"z\",\"\\u00ff\"]", "[\"z\"]", "\xc3\xbf "},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct token_rooms *rooms = make(rows[i].rooms), *except = make(rows[i].except);

        is_str(text_of(rooms, except), rows[i].left, rows[i].rooms);
        token_rooms_free(&rooms);
        token_rooms_free(&except);
    }
}

static void test_equal(void)
{
    struct token_rooms *one = make("[\"a\",\"b\"]"), *other = make("[\"b\",\"a\",\"b\"]"),
                       *third = make("[\"a\",\"c\"]"), *joined = make("\"ab\"");

    ok(token_rooms_equal(one, one) && token_rooms_equal(one, other), "in any order");
    ok(!token_rooms_equal(one, third) && !token_rooms_equal(one, joined), "others");
    ok(token_rooms_equal(NULL, NULL) && !token_rooms_equal(one, NULL) &&
           !token_rooms_equal(NULL, one),
       "none are the same as none");
    token_rooms_free(&one);
    token_rooms_free(&other);
    token_rooms_free(&third);
    token_rooms_free(&joined);
}

static void test_memory(void)
{
    static const char *const forms[] = {"\"a\"", "[\"a\",\"b\"]"};
    cJSON *value;
    struct token_rooms *rooms;

    for (int form = 0; form < 2; form++) {
        value = json_tree(slice_str(forms[form]));
        for (int fails = 1; fails <= 1 + form; fails++) {
            nomem = fails;
            is_int(token_rooms_make(&rooms, value, 9), -1, "without memory");
            ok(errno == ENOMEM && rooms == NULL, "says so");
        }
        nomem = 0;
        cJSON_Delete(value);
    }
}

int main(void)
{
    test_forms();
    test_bounds();
    test_walks();
    test_equal();
    test_memory();
    return tap_done();
}
