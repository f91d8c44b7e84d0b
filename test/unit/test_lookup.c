/* Where a user is, with servers that the test plays. */
#include "master/lookup.h"

#include "asking_world.h"

#include <signal.h>

static struct lookup *lookup;
static int found;
static char text[60000];

static void on_found(const struct lookup_found *result, void *arg)
{
    size_t n;

    ok(arg == &found, "with what was given");
    found++;
    n = (size_t)snprintf(
        text, sizeof(text), "%s servers=%u answered=%u own=%d n=%zu of %zu [%.*s]%s",
        result->why != NULL ? result->why : "", result->servers, result->answered, result->has_own,
        result->connections, result->members, (int)result->sockets.len,
        (char *)result->sockets.data, result->more_sockets ? "+" : "");
    for (size_t i = 0; i < result->rooms.n && n < sizeof(text); i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " %.*s", (int)result->rooms.at[i].len,
                              result->rooms.at[i].ptr);
    if (result->more_rooms)
        strcat(text, " more");
    lookup = NULL;
}

static void begin(const char *uid, int servers)
{
    found = sent.n = 0;
    buf_reset(&heard);
    lookup = lookup_new(asking, ASKING_QUESTIONS, slice_str(uid), on_found, &found);
    ok(lookup != NULL, "a lookup");
    hears("SUBSCRIBE", "asked");
    say_subscribed(servers);
    wait_for(&sent.n, 1, "published");
    buf_putc(&sent.payload, '\0');
    confirm(servers);
}

/* The id of the question, as it was published. */
static const char *id(void)
{
    static char id[17];
    const char *at = strstr((char *)sent.payload.data, "\"requestId\":\"");

    snprintf(id, sizeof(id), "%.16s", at != NULL ? at + 13 : "");
    return id;
}

static void answer(const char *sockets, int is_own)
{
    struct buf payload = {0};

    buf_printf(&payload, "{\"requestId\":\"%s\",\"sockets\":[%s]}", id(), sockets);
    if (is_own)
        asking_answers(asking, (struct slice){(char *)payload.data, payload.len});
    buf_putc(&payload, '\0');
    say_message((char *)payload.data);
    buf_free(&payload);
}

static void finds(const char *want, const char *name)
{
    wait_for(&found, 1, "it is over");
    is_str(text, want, name);
}

static void test_found(void)
{
    char want[300];

    begin("a\"b", 2);
    snprintf(want, sizeof(want),
             "\"requestId\":\"%s\",\"type\":5,\"opts\":{\"rooms\":[\"a\\\"b\"],"
             "\"except\":[]}}",
             id());
    ok(strstr((char *)sent.payload.data, want) != NULL, "%s", (char *)sent.payload.data);
    answer("{\"id\":\"s1\",\"handshake\":{\"address\":\"::1\",\"issued\":1500000000123},"
           "\"rooms\":[\"s1\",\"allusers\",\"a\\\"b\",-1.5],\"data\":{\"uid\":\"a\\\"b\"}},"
           "{\"id\":\"s2\",\"rooms\":[\"s2\",\"a\\\"b\"],\"data\":{\"uid\":\"another\"}}",
           1);
    answer(
        "{\"id\":\"n1\",\"rooms\":[\"n1\",\"a\\\"b\",\"r\",null,[1]],\"data\":{}},{\"id\":7},7,{}",
        0);
    finds(" servers=2 answered=2 own=1 n=2 of 3 [{\"id\":\"s1\",\"here\":true,\"address\":\"::1\","
          "\"time\":\"2017-07-14T02:40:00.123Z\",\"rooms\":[\"s1\",\"allusers\",\"a\\\"b\",-1.5]},"
          "{\"id\":\"n1\",\"here\":false,\"rooms\":[\"n1\",\"a\\\"b\",\"r\",null,[1]]}]"
          " \"allusers\" \"a\\\"b\" -1.5 \"r\"",
          "those of two servers, and who is in the room only");
}

/* What is no answer, or has odd values. */
static void test_odd(void)
{
    char other[200];

    begin("u", 1);
    say_message("{}");
    snprintf(other, sizeof(other), "{\"requestId\":\"x%s\",\"sockets\":[]}", id());
    say_message(other);
    snprintf(other, sizeof(other), "{\"requestId\":\"%s\",\"sockets\":{}}", id());
    say_message(other);
    snprintf(other, sizeof(other), "{\"requestId\":\"%s\",\"sockets\":[", id());
    say_message(other);
    answer("{\"id\":\"s\",\"handshake\":{\"address\":[],\"issued\":\"x\"},\"rooms\":\"r\","
           "\"data\":7},{\"id\":\"t\",\"handshake\":{\"issued\":1e999}}",
           0);
    finds(" servers=1 answered=1 own=0 n=2 of 2 [{\"id\":\"s\",\"here\":false},"
          "{\"id\":\"t\",\"here\":false,\"time\":null}]",
          "only what makes sense");
}

static void test_many(void)
{
    struct buf sockets = {0};

    begin("u", 1);
    for (int i = 0; i < LOOKUP_SOCKETS + 5; i++)
        buf_printf(&sockets, "%s{\"id\":\"%d\",\"rooms\":[\"%d\"]}", i > 0 ? "," : "", i, i + 5000);
    buf_putc(&sockets, '\0');
    answer((char *)sockets.data, 0);
    wait_for(&found, 1, "it is over");
    ok(strstr(text, "n=105 of 105 [{\"id\":\"0\"") != NULL, "all are counted");
    buf_reset(&sockets);
    begin("u", 1);
    buf_puts(&sockets, "{\"id\":\"s\",\"rooms\":[");
    for (int i = 0; i < LOOKUP_ROOMS + 5; i++)
        buf_printf(&sockets, "%s\"r%d\"", i > 0 ? "," : "", i);
    buf_puts(&sockets, "]}");
    buf_putc(&sockets, '\0');
    answer((char *)sockets.data, 0);
    wait_for(&found, 1, "and one with many rooms");
    buf_free(&sockets);
}

static void test_unasked(void)
{
    found = 0;
    buf_reset(&heard);
    lookup = lookup_new(asking, ASKING_QUESTIONS, SLICE("u"), on_found, &found);
    hears("SUBSCRIBE", "asked");
    say("-NOPERM no\r\n");
    wait_for(&found, 1, "it is over");
    ok(strstr(text, "NOPERM no servers=0 answered=0 own=0 n=0 of 0 []") != NULL, "%s", text);
    ok(lookup_new(asking, 0, SLICE("u"), on_found, &found) == NULL, "too many");
}

static void test_free(void)
{
    begin("u", 2);
    answer("{\"id\":\"s\"}", 0);
    turn();
    lookup_free(&lookup);
    ok(lookup == NULL && found == 0, "given up");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    world_begin();
    test_found();
    test_odd();
    test_many();
    test_unasked();
    test_free();
    world_end();
    return tap_done();
}
