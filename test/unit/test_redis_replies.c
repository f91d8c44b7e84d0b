/* Replies as bytes, whole and cut at each place. */
#include "master/redis_replies.h"

#include "tap.h"

#define BULK(n, text) "$" #n "\r\n" text "\r\n"

static struct redis_fault fault;
static struct redis_replies *replies;

static void begin(void)
{
    memset(&fault, 0, sizeof(fault));
    replies = redis_replies_new(&fault);
    if (replies == NULL)
        abort();
}

/* The next one: "MESSAGE name text", "none" or "fault why". */
static const char *next(size_t max)
{
    static const char *const kinds[] = {
        "MESSAGE", "PMESSAGE", "SUBSCRIBED", "PSUBSCRIBED", "UNSUBSCRIBED", "PUNSUBSCRIBED", "OK",
        "PONG",    "SYNC",     "ECHO",       "NUMBER",      "TEXT",         "ERROR",         "ODD"};
    static char text[400];
    struct redis_reply reply;
    int rc = redis_replies_next(replies, max, &reply);

    if (rc <= 0) {
        snprintf(text, sizeof(text), "%s%s", rc < 0 ? "fault " : "none", rc < 0 ? fault.why : "");
        return text;
    }
    snprintf(text, sizeof(text), "%s %.*s %.*s", kinds[reply.kind], (int)reply.name.len,
             reply.name.ptr != NULL ? reply.name.ptr : "", (int)reply.text.len,
             reply.text.ptr != NULL ? reply.text.ptr : "");
    redis_reply_clear(&reply);
    return text;
}

#define SHAPE "ODD  a message of another shape"
#define ARRAY "ODD  an array that is no message"
#define OTHER "ODD  neither array, status nor error"

static const struct {
    const char *bytes, *want;
} cases[] = {
    {"*4\r\n" BULK(8, "pmessage") BULK(2, "k*") BULK(2, "k1") BULK(3, "abc"), "PMESSAGE k1 abc"},
    {"*3\r\n" BULK(7, "message") BULK(2, "k1") BULK(0, ""), "MESSAGE k1 "},
    {"*3\r\n" BULK(7, "message") BULK(2, "k1") "$-1\r\n", SHAPE},
    {"*3\r\n" BULK(7, "message") "$-1\r\n" BULK(1, "x"), SHAPE},
    {"*3\r\n" BULK(8, "pmessage") BULK(2, "k1") BULK(1, "x"), SHAPE},
    {"*4\r\n" BULK(7, "message") BULK(1, "k") BULK(1, "x") BULK(1, "y"), SHAPE},
    {"*3\r\n" BULK(10, "psubscribe") BULK(2, "k*") ":1\r\n", "PSUBSCRIBED k* "},
    {"*3\r\n" BULK(9, "subscribe") BULK(1, "k") ":1\r\n", "SUBSCRIBED k "},
    {"*3\r\n" BULK(9, "subscribe") "$-1\r\n:1\r\n", "SUBSCRIBED  "},
    {"*3\r\n" BULK(11, "unsubscribe") BULK(1, "k") ":0\r\n", "UNSUBSCRIBED k "},
    {"*3\r\n" BULK(11, "unsubscribe") "$-1\r\n:0\r\n", "UNSUBSCRIBED  "},
    {"*3\r\n" BULK(12, "punsubscribe") BULK(1, "k") ":0\r\n", "PUNSUBSCRIBED k "},
    {"*2\r\n" BULK(4, "pong") BULK(4, "sync"), "SYNC  "},
    {"*2\r\n" BULK(4, "pong") BULK(4, "echo"), "ECHO  "},
    {"*2\r\n" BULK(4, "pong") BULK(0, ""), "PONG  "},
    {"*2\r\n" BULK(4, "pong") BULK(5, "sync2"), "PONG  "},
    {"*1\r\n" BULK(4, "pong"), "PONG  "},
    {"*0\r\n", ARRAY},
    {"*1\r\n:1\r\n", ARRAY},
    {"*-1\r\n", OTHER},
    {"+OK\r\n", "OK  "},
    {"+PONG\r\n", "PONG  "},
    {"+ok\r\n", "ODD  a status nobody asked for"},
    {":17\r\n", "NUMBER  "},
    {"-ERR no\r\n", "ERROR  ERR no"},
    {"$-1\r\n", OTHER},
    {BULK(2, "hm"), "TEXT  hm"},
};

static void test_kinds(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        size_t len = strlen(cases[i].bytes);
        int early = 0;
        begin();
        redis_replies_feed(replies, cases[i].bytes, len);
        is_str(next(1000), cases[i].want, "whole");
        is_str(next(1000), "none", "and that is all");
        for (size_t k = 0; k < len; k++) {
            early += strcmp(next(1000), "none") != 0;
            redis_replies_feed(replies, cases[i].bytes + k, 1);
        }
        is_int(early, 0, "byte by byte");
        is_str(next(1000), cases[i].want, "it is there with the last");
        redis_replies_free(&replies);
    }
}

/* An array of so many numbers. */
static const char *array(int n)
{
    static char bytes[1024];
    int at = snprintf(bytes, sizeof(bytes), "*%d\r\n", n);

    for (int i = 0; i < n; i++)
        at += snprintf(bytes + at, sizeof(bytes) - (size_t)at, ":1\r\n");
    begin();
    redis_replies_feed(replies, bytes, (size_t)at);
    return next(10000);
}

static void test_bounds(void)
{
    is_str(array(64), ARRAY, "64 elements");
    redis_replies_free(&replies);
    is_str(array(65), "fault an array of too many elements", "and the 65th");
    is_str(next(1000), "fault an array of too many elements", "what follows is not read");
    redis_replies_free(&replies);
    begin();
    redis_replies_feed(replies, "*2147483647\r\n", 13);
    is_str(next(1000), "fault an array of too many elements", "two thousand millions");
    redis_replies_free(&replies);
    begin();
    redis_replies_feed(replies, "*1\r\n*1\r\n:1\r\n", 12);
    is_str(next(1000), "fault an array within an array", "what nests");
    redis_replies_free(&replies);
    begin();
    redis_replies_feed(replies, "hello\r\n", 7);
    is_str(next(1000), "fault not the redis protocol", "something else");
    ok(fault.kind == REDIS_FAULT_PROTOCOL, "is a fault of its kind");
    redis_replies_free(&replies);
    ok(replies == NULL, "freed");
}

/* Bytes since the last whole reply: exactly as many as may be, and one more. */
static void test_size(void)
{
    char bytes[100] = "$1000\r\n";

    memset(bytes + 7, 'x', sizeof(bytes) - 7);
    begin();
    redis_replies_feed(replies, bytes, sizeof(bytes));
    is_str(next(100), "none", "the bound");
    redis_replies_feed(replies, bytes + 50, 1);
    is_str(next(100), "fault a reply of more than 100 bytes", "and one byte more");
    ok(fault.kind == REDIS_FAULT_TOO_LARGE, "is a fault of its kind");
    redis_replies_free(&replies);
}

int main(void)
{
    test_kinds();
    test_bounds();
    test_size();
    return tap_done();
}
