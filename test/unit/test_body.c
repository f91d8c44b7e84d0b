#include "codec/body.h"

#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define POST         "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED      POST "Transfer-Encoding: chunked\r\n\r\n"
#define MAX_BYTES    20

static struct http_request req;

/* Parses the head at the start of message (which lives as long as req is used);
 * returns its length. */
static size_t parse(const char *message)
{
    static const struct http_limits limits = {4096, 20};
    size_t scanned = 0;
    long n = http_parse(&req, message, strlen(message), &limits, &scanned);

    if (n <= 0) {
        ok(0, "http_parse: %ld for %s", n, message);
        exit(1);
    }
    return (size_t)n;
}

static const struct {
    const char *name, *head;
    int status;      /* of body_begin() */
    int done;        /* at once */
    int expectation; /* body_wants_continue() */
} heads[] = {
    {"GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 1, 0},
    {"GET with a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 0, 0, 0},
    {"POST", POST "Content-Length: 20\r\n\r\n", 0, 0, 0},
    {"POST without length", POST "\r\n", -411, 0, 0},
    {"POST without length, 1.0", "POST / HTTP/1.0\r\n\r\n", -411, 0, 0},
    {"PUT without length", "PUT / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 1, 0},
    {"length 0", POST "Content-Length: 0\r\n\r\n", 0, 1, 0},
    {"zeros in front", POST "Content-Length: 00020\r\n\r\n", 0, 0, 0},
    {"twice the same", POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 0, 0, 0},
    {"too long", POST "Content-Length: 21\r\n\r\n", -413, 0, 0},
    {"much too long", POST "Content-Length: 999999999999999999\r\n\r\n", -413, 0, 0},
    {"chunked", CHUNKED, 0, 0, 0},
    {"GET, chunked", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, 0},
    {"any case", POST "transfer-encoding: \t CHUNKED \r\n\r\n", 0, 0, 0},
    {"gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", -501, 0, 0},
    {"identity, then chunked",
     POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n", -501, 0, 0},
    {"gzip alone", POST "Transfer-Encoding: gzip\r\n\r\n", -400, 0, 0},
    {"chunked, gzip", POST "Transfer-Encoding: chunked, gzip\r\n\r\n", -400, 0, 0},
    {"chunked, then gzip", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
     -400, 0, 0},
    {"chunked twice", POST "Transfer-Encoding: chunked, chunked\r\n\r\n", -400, 0, 0},
    {"with a parameter", POST "Transfer-Encoding: chunked;q=1\r\n\r\n", -400, 0, 0},
    {"x chunked", POST "Transfer-Encoding: x chunked\r\n\r\n", -400, 0, 0},
    {"empty coding", POST "Transfer-Encoding:\r\n\r\n", -400, 0, 0},
    {"comma behind", POST "Transfer-Encoding: chunked,\r\n\r\n", -400, 0, 0},
    {"100-continue", POST "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n", 0, 0, 1},
    {"100-Continue", POST "Content-Length: 1\r\nEXPECT:100-Continue\r\n\r\n", 0, 0, 1},
    {"100-continue in 1.0", "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
     0, 0, 0},
    {"another expectation", POST "Content-Length: 1\r\nExpect: 102-processing\r\n\r\n", 0, 0, -417},
    {"and another", POST "Content-Length: 1\r\nExpect: 100-continue, x=y\r\n\r\n", 0, 0, -417},
    {"no expectation", POST "Content-Length: 1\r\nExpect:\r\n\r\n", 0, 0, -417},
};

static void test_heads(void)
{
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct body body;

        parse(heads[i].head);
        is_int(body_begin(&body, &req, MAX_BYTES), heads[i].status, heads[i].name);
        is_int(body_wants_continue(&req), heads[i].expectation, "expectation");
        if (heads[i].status == 0)
            is_int(body.done, heads[i].done, "done at once");
    }
}

/* Without http_parse(), which refuses these. */
static void test_odd_lengths(void)
{
    static const struct {
        const char *value;
        int status;
    } lengths[] = {
        {"", -400},   {"-1", -400},
        {"1 ", -400}, {"18446744073709551616", -413},
        {"1", 0},     {"18446744073709551615", 0},
    };

    parse(POST "Content-Length: 5\r\n\r\n");
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct body body;

        req.headers[1].value = slice_str(lengths[i].value);
        is_int(body_begin(&body, &req, SIZE_MAX), lengths[i].status, "odd length");
    }
}

/* --- feeding ----------------------------------------------------------------- */

/* Feeds the bytes in pieces, each before a guard page.  Returns what was
 * consumed, or minus the status. */
static long feed(struct body *body, const char *bytes, size_t len, size_t piece, struct buf *out)
{
    size_t at = 0;

    while (at < len) {
        size_t n = len - at < piece ? len - at : piece;
        unsigned char *guarded = tap_guard(bytes + at, n);
        long used = body_feed(body, guarded, n, out);

        tap_guard_free(guarded, n);
        if (used < 0)
            return used;
        at += (size_t)used;
        if ((size_t)used < n)
            break;
    }
    return (long)at;
}

static const struct {
    const char *name, *message;
    const char *body; /* as far as it is complete */
    long result;      /* 0: done, with "next" left; 1: not done; or minus the status */
} bodies[] = {
    {"length", POST "Content-Length: 2\r\n\r\n40next", "40", 0},
    {"length, cut", POST "Content-Length: 9\r\n\r\n40", "40", 1},
    {"length, the most", POST "Content-Length: 20\r\n\r\n12345678901234567890next",
     "12345678901234567890", 0},
    {"none", "GET / HTTP/1.1\r\nHost: a\r\n\r\nnext", "", 0},
    {"recorded", CHUNKED "9\r\n7:42[\"c\"]\r\n0\r\n\r\nnext", "7:42[\"c\"]", 0},
    {"empty", CHUNKED "0\r\n\r\nnext", "", 0},
    {"many zeros", CHUNKED "0000000000000000\r\n\r\nnext", "", 0},
    {"three chunks", CHUNKED "1\r\na\r\n000A\r\n\r\n12345678\r\n2\r\nxy\r\n0\r\n\r\nnext",
     "a\r\n12345678xy", 0},
    {"hexadecimal", CHUNKED "0f\r\n123456789012345\r\n0\r\n\r\nnext", "123456789012345", 0},
    {"extensions", CHUNKED "1;a=b\r\nx\r\n1 \t;\"q\xff\"\r\ny\r\n0;z\r\n\r\nnext", "xy", 0},
    {"trailers", CHUNKED "1\r\nx\r\n0\r\nA: b\r\nContent-Length: 3\r\n\r\nnext", "x", 0},
    {"the most", CHUNKED "14\r\n12345678901234567890\r\n0\r\n\r\nnext", "12345678901234567890", 0},
    {"too much in one", CHUNKED "15\r\n", "", -413},
    {"too much in two", CHUNKED "14\r\n12345678901234567890\r\n1", "12345678901234567890", -413},
    {"size without end", CHUNKED "00000000000000000", "", -400},
    {"2^64", CHUNKED "10000000000000000", "", -413},
    {"cut in the size", CHUNKED "1", "", 1},
    {"cut in the chunk", CHUNKED "3\r\nab", "ab", 1},
    {"cut before the end", CHUNKED "1\r\na\r\n0\r\n\r", "a", 1},
    {"no size", CHUNKED "\r\n", "", -400},
    {"extension without size", CHUNKED ";a\r\n", "", -400},
    {"blank before the size", CHUNKED " 1\r\n", "", -400},
    {"blank after the size", CHUNKED "1 \r\n", "", -400},
    {"sign", CHUNKED "+1\r\n", "", -400},
    {"0x", CHUNKED "0x1\r\n", "", -400},
    {"no hexadecimal", CHUNKED "g\r\n", "", -400},
    {"bare LF after the size", CHUNKED "1\na", "", -400},
    {"bare CR after the size", CHUNKED "1\ra", "", -400},
    {"bare LF in an extension", CHUNKED "1;a\nx", "", -400},
    {"bare CR in an extension", CHUNKED "1;a\rx", "", -400},
    {"control in an extension", CHUNKED "1;\x01", "", -400},
    {"no end of the chunk", CHUNKED "1\r\nab", "a", -400},
    {"bare LF after the chunk", CHUNKED "1\r\na\n", "a", -400},
    {"bare CR after the chunk", CHUNKED "1\r\na\r0", "a", -400},
    {"bare LF for the end", CHUNKED "0\r\n\n", "", -400},
    {"bare CR for the end", CHUNKED "0\r\n\rG", "", -400},
    {"bare LF in a trailer", CHUNKED "0\r\nA: b\n\r\n", "", -400},
    {"bare CR in a trailer", CHUNKED "0\r\nA: b\r\r\n", "", -400},
    {"control in a trailer", CHUNKED "0\r\nA: \x7f", "", -400},
};

static int check_body(size_t i, size_t piece)
{
    const char *message = bodies[i].message;
    size_t head = parse(message), len = strlen(message) - head, want = len;
    struct body body;
    struct buf out = {0};
    long result;
    int good;

    if (bodies[i].result == 0)
        want = len - 4;
    good = body_begin(&body, &req, MAX_BYTES) == 0;
    result = feed(&body, message + head, len, piece, &out);
    good &= result == (bodies[i].result < 0 ? bodies[i].result : (long)want);
    good &= bodies[i].result < 0 || body.done == (bodies[i].result == 0);
    good &= out.len == strlen(bodies[i].body) &&
            (out.len == 0 || memcmp(out.data, bodies[i].body, out.len) == 0);
    buf_free(&out);
    return good;
}

static void test_bodies(void)
{
    for (size_t i = 0; i < COUNT(bodies); i++) {
        ok(check_body(i, SIZE_MAX), "%s", bodies[i].name);
        ok(check_body(i, 1), "%s, byte by byte", bodies[i].name);
        ok(check_body(i, 3), "%s, by threes", bodies[i].name);
    }
}

/* A prefix is wrong only if its last byte is where the whole goes wrong. */
static void test_prefixes(void)
{
    for (size_t i = 0; i < COUNT(bodies); i++) {
        const char *message = bodies[i].message;
        size_t head = parse(message), len = strlen(message) - head;
        int bad = 0, failed = 0, done = 0;

        for (size_t n = 0; n <= len; n++) {
            struct body body;
            struct buf out = {0};
            long result;

            body_begin(&body, &req, MAX_BYTES);
            result = feed(&body, message + head, n, SIZE_MAX, &out);
            bad += (failed && result >= 0) || (done && !body.done);
            bad += out.len > 0 && strncmp((char *)out.data, bodies[i].body, out.len) != 0;
            failed |= result < 0;
            done |= body.done;
            buf_free(&out);
        }
        is_int(bad, 0, "prefixes");
    }
}

/* Feeds head and then piece again and again until it is refused; returns how
 * many bytes that took, or 0 if it is not refused with status. */
static size_t feed_endless(const char *head, const char *piece, long status)
{
    struct body body;
    size_t fed = strlen(head);
    long result;

    parse(CHUNKED);
    body_begin(&body, &req, SIZE_MAX);
    result = body_feed(&body, (const uint8_t *)head, strlen(head), NULL);
    while (result >= 0 && fed < 1 << 20) {
        result = body_feed(&body, (const uint8_t *)piece, strlen(piece), NULL);
        fed += strlen(piece);
    }
    return result == status ? fed : 0;
}

static void test_endless(void)
{
    size_t fed;

    /* 8,192 bytes are taken, and one is too many. */
    fed = feed_endless("1;", "x", -413);
    is_int(fed, 1 + 8193, "an extension ends somewhere");
    fed = feed_endless("1", " ", -413);
    is_int(fed, 1 + 8193, "blanks before it too");
    fed = feed_endless("", "1;\r\nx\r\n", -413);
    is_int(fed, 8193 * strlen("1;\r\nx\r\n"), "many short ones too");
    fed = feed_endless("1 ", ";", -413);
    is_int(fed, 1 + 8193, "semicolons too");
    fed = feed_endless("0\r\n", "a: b\r\n", -413);
    is_int(fed, 3 + (8192 / 4 + 1) * strlen("a: b\r\n"), "trailers too");
}

/* The largest chunk that a size can say, and a size of which nothing is left to say. */
static void test_largest(void)
{
    static const char most[] = "ffffffffffffffff\r\n", more[] = "fffffffffffffffff";
    struct body body;

    parse(CHUNKED);
    body_begin(&body, &req, SIZE_MAX);
    is_int(body_feed(&body, (const uint8_t *)most, strlen(most), NULL), strlen(most),
           "a chunk of 2^64 - 1");
    ok(body.left == SIZE_MAX, "is one of so many bytes");
    body_begin(&body, &req, SIZE_MAX);
    is_int(body_feed(&body, (const uint8_t *)more, strlen(more), NULL), -400, "one digit more");
}

/* Memory of a longer head is used again. */
static void test_stale(void)
{
    parse(POST "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    parse(POST "Content-Length: 1\r\n\r\n");
    is_int(body_wants_continue(&req), 0, "a request has no header of the one before it");
    parse(POST "X: y\r\nTransfer-Encoding: gzip\r\n\r\n");
    parse(CHUNKED);
    struct body body;
    is_int(body_begin(&body, &req, MAX_BYTES), 0, "nor its coding");
}

static void test_dropped(void)
{
    static const char bytes[] = "1\r\nx\r\n2\r\nyz\r\n0\r\n\r\nGET";
    struct body body;
    struct buf full = {.failed = 1};

    parse(CHUNKED);
    body_begin(&body, &req, 3);
    is_int(body_feed(&body, (const uint8_t *)bytes, sizeof(bytes) - 1, NULL), sizeof(bytes) - 4,
           "a body can be dropped");
    is_int(body_feed(&body, (const uint8_t *)"GET", 3, NULL), 0, "nothing belongs to it any more");
    body_begin(&body, &req, 3);
    is_int(body_feed(&body, (const uint8_t *)bytes, sizeof(bytes) - 1, &full), -500, "no memory");
}

int main(void)
{
    test_heads();
    test_odd_lengths();
    test_bodies();
    test_prefixes();
    test_endless();
    test_largest();
    test_stale();
    test_dropped();
    return tap_done();
}
