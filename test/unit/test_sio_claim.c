/* What a CONNECT says of the session that a client wants back. */
#include "sio/claim.h"

#include "base/base64.h"
#include "base/buf.h"
#include "tap.h"

#define PID_1    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2"
#define PID_2    "_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-"
#define OFFSET_1 "AAAAAAAAAAE" /* 1 */
#define OFFSET_2 "_________-8" /* 0xffffffffffffffef */

/* The claim of a CONNECT with that auth object, before a page that cannot be read. */
static struct sio_claim claim_of(const char *auth)
{
    struct sio_claim claim;
    struct sio_packet packet;
    char text[4096];
    int n = snprintf(text, sizeof(text), "0/axr,%s", auth);
    unsigned char *at = tap_guard(text, (size_t)n);

    memset(&claim, 0xee, sizeof(claim));
    ok(sio_decode(&packet, EIO4, (struct slice){(char *)at, (size_t)n}) == 0, "%s", auth);
    sio_claim_get(&packet, &claim);
    tap_guard_free(at, (size_t)n);
    return claim;
}

static void is_pid(const char *auth, const char *want)
{
    struct sio_claim claim = claim_of(auth);
    char text[PID_TEXT_LEN];

    base64url_encode(text, claim.pid, PID_LEN);
    ok(claim.has_pid && !claim.bad_pid, "has a pid");
    is_mem(text, sizeof(text), want, strlen(want), "that one");
}

static void is_no_pid(const char *auth, int bad)
{
    struct sio_claim claim = claim_of(auth);

    ok(!claim.has_pid && claim.bad_pid == bad, "has %s pid", bad ? "a bad" : "no");
}

static void is_offset(const char *auth, uint64_t want)
{
    struct sio_claim claim = claim_of(auth);

    ok(claim.has_offset && !claim.bad_offset && claim.offset == want, "has that offset");
}

static void is_no_offset(const char *auth, int bad)
{
    struct sio_claim claim = claim_of(auth);

    ok(!claim.has_offset && claim.bad_offset == bad, "has %s offset", bad ? "a bad" : "no");
}

static void is_wanted(const char *auth, int want)
{
    is_int(claim_of(auth).wants, want, want ? "it recovers" : "it does not");
}

static void test_pid(void)
{
    is_pid("{\"pid\":\"" PID_1 "\",\"offset\":\"" OFFSET_1 "\",\"token\":\"abc\"}", PID_1);
    is_pid("{\"token\":\"abc\",\"pid\":\"" PID_2 "\"}", PID_2);
    is_pid(" { \"a\" : [ { \"pid\" : 1 } ] , \"pid\" :\t\"" PID_1 "\" } ", PID_1);
    is_pid("{\"pid\":7,\"pid\":\"" PID_1 "\"}", PID_1);
    is_pid("{\"pid\":\"" PID_2 "\",\"pid\":\"" PID_1 "\"}", PID_1);
    is_pid("{\"p\\u0069d\":\"\\u0041QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8w"
           "MTIzNDU2\"}",
           PID_1);
    is_pid("{\"pid\":\"" PID_1 "\",\"Pid\":1,\"pid \":2,\"pi\":3,\"pidd\":4,\"\":5}", PID_1);
    is_no_pid("", 0);
    is_no_pid("{}", 0);
    is_no_pid("{\"token\":\"pid\",\"a\":{\"pid\":\"" PID_1 "\"}}", 0);
    is_no_pid("{\"pid\":null}", 0);
    is_no_pid("{\"pid\":\"" PID_1 "\",\"pid\":null}", 0);
    is_no_pid("{\"pid\":\"" PID_1 "\",\"pid\":\"\"}", 1);
    is_no_pid("{\"pid\":\"RkXeGGgqPMyAutiZAAAN\"}", 1); /* one of Node's */
    is_no_pid("{\"pid\":\"" PID_1 "A\"}", 1);
    is_no_pid("{\"pid\":\"A" PID_1 "\"}", 1);
    is_no_pid("{\"pid\":\"" PID_1 PID_1 PID_1 PID_1 PID_1 PID_1 PID_1 "\"}", 1);
    is_no_pid(
        "{\"pid\":\"=QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2\"}",
        1);
    is_no_pid(
        "{\"pid\":\"+QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2\"}",
        1);
    is_no_pid(
        "{\"pid\":\"\\u00e9QIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU"
        "2\"}",
        1);
    is_no_pid("{\"pid\":\"\xc3\xa9\"}", 1);
    is_no_pid("{\"pid\":\"\\ud800\"}", 1);
    is_no_pid("{\"pid\":\"\\u0000\"}", 1);
    is_no_pid("{\"pid\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", 1);
    is_no_pid("{\"pid\":72}", 1);
    is_no_pid("{\"pid\":false}", 1);
    is_no_pid("{\"pid\":[\"" PID_1 "\"]}", 1);
    is_no_pid("{\"pid\":{\"pid\":\"" PID_1 "\"}}", 1);
}

static void test_offset(void)
{
    is_offset("{\"pid\":\"" PID_1 "\",\"offset\":\"" OFFSET_1 "\"}", 1);
    is_offset("{\"offset\":\"" OFFSET_2 "\"}", UINT64_C(0xffffffffffffffef));
    is_offset("{\"offset\":1,\"offset\":\"\\u0041AAAAAAAAAE\"}", 1);
    is_no_offset("{\"pid\":\"" PID_1 "\"}", 0);
    is_no_offset("{\"offset\":null}", 0);
    is_no_offset("{\"offset\":\"" OFFSET_1 "\",\"offset\":null}", 0);
    is_no_offset("{\"offset\":\"" OFFSET_1 "\",\"offset\":2}", 1);
    is_no_offset("{\"offset\":1}", 1);
    is_no_offset("{\"offset\":\"\"}", 1);
    is_no_offset("{\"offset\":\"AAAAAAAAAAA\"}", 1);  /* 0 */
    is_no_offset("{\"offset\":\"AAAAAAAAAAF\"}", 1);  /* a bit too many */
    is_no_offset("{\"offset\":\"AAAAAAAAAAE=\"}", 1); /* not as it is written */
    is_no_offset("{\"offset\":\"AAAAAAAAAE\"}", 1);
    is_no_offset("{\"offset\":\"Q85VP7S\"}", 1); /* one of Node's */
    is_no_offset("{\"offset\":\"the last word of an event of theirs\"}", 1);
    is_no_offset("{\"offset\":[]}", 1);
    is_no_offset("{\"offset\":true}", 1);
}

static void test_wants(void)
{
    struct sio_packet none = {.type = SIO_CONNECT, .data = SLICE("[\"recovery\",false]")};
    struct sio_claim claim;

    is_wanted("", 1);
    is_wanted("{\"recovery\":true}", 1);
    is_wanted("{\"recovery\":null}", 1);
    is_wanted("{\"recovery\":1}", 1);
    is_wanted("{\"recovery\":{\"recovery\":false}}", 1);
    is_wanted("{\"recovery\":\"no\"}", 1);
    is_wanted("{\"recovery\":false}", 0);
    is_wanted("{\"recovery\": 0 }", 0);
    is_wanted("{\"recovery\":\"false\"}", 0);
    is_wanted("{\"recovery\":\"0\"}", 0);
    is_wanted("{\"recovery\":true,\"recovery\":false}", 0);
    is_wanted("{\"recovery\":false,\"recovery\":true}", 1);
    sio_claim_get(&none, &claim); /* EIO3's kind of it */
    ok(claim.wants && !claim.has_pid && !claim.bad_pid, "what is no object says nothing");
}

/* What stock clients say to Node is read as far as it goes: it is none of ours. */
static void test_stock(void)
{
    struct sio_claim claim =
        claim_of("{\"pid\":\"RkXeGGgqPMyAutiZAAAN\",\"offset\":\"Q85VP7S\",\"token\":\"abc\"}");

    ok(claim.wants && claim.bad_pid && claim.bad_offset, "neither pid nor offset");
}

/* A megabyte of members or brackets is one look at each. */
static void test_large(void)
{
    static const char member[] = "\"pid\":\"" PID_1 "\",";
    struct sio_packet packet;
    struct sio_claim claim;
    struct buf text = {0};

    buf_puts(&text, "0/axr,{");
    for (int i = 0; i < 10000; i++)
        buf_puts(&text, member);
    buf_puts(&text, "\"x\":\"");
    for (int i = 0; i < 100000; i++)
        buf_puts(&text, "\\\\");
    buf_puts(&text, "\",\"offset\":\"" OFFSET_1 "\"}");
    ok(sio_decode(&packet, EIO4, (struct slice){(char *)text.data, text.len}) == 0, "large");
    sio_claim_get(&packet, &claim);
    ok(claim.has_pid && claim.has_offset, "and read to the end");
    buf_reset(&text);
    buf_puts(&text, "0/axr,{\"a\":");
    for (int i = 0; i < 500; i++)
        buf_putc(&text, '[');
    for (int i = 0; i < 500; i++)
        buf_putc(&text, ']');
    buf_puts(&text, ",\"pid\":\"" PID_2 "\"}");
    ok(sio_decode(&packet, EIO4, (struct slice){(char *)text.data, text.len}) == 0, "deep");
    sio_claim_get(&packet, &claim);
    ok(claim.has_pid, "likewise");
    buf_free(&text);
}

static void test_query(void)
{
    static const struct {
        const char *query;
        int want;
    } rows[] = {
        {"", 1},
        {"EIO=4&transport=websocket", 1},
        {"EIO=4&recovery=0&transport=websocket", 0},
        {"recovery=false", 0},
        {"recovery=%30", 0},
        {"recovery=%66%61%6c%73%65", 0},
        {"recovery=%66%61%6c%73%65%20", 1},
        {"recovery=%6", 1},
        {"recovery=1", 1},
        {"recovery=true", 1},
        {"recovery=", 1},
        {"recovery", 1},
        {"recovery=00", 1},
        {"xrecovery=0", 1},
        {"recovery=0&recovery=1", 1},
        {"recovery=1&recovery=0", 0},
        {"recovery=0000000000000000000000000000000000000000000000000000000000000000000000", 1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ok(sio_claim_query(slice_str(rows[i].query)) == rows[i].want, "?%s", rows[i].query);
}

int main(void)
{
    test_pid();
    test_offset();
    test_wants();
    test_stock();
    test_large();
    test_query();
    return tap_done();
}
