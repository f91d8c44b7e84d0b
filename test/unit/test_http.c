#include "codec/http.h"

#include "tap.h"

#include <stdlib.h>

static const struct http_limits limits = {2048, 20};
static struct http_request req;

static long parse(const char *text, size_t len)
{
    size_t scanned = 0;

    return http_parse(&req, text, len, &limits, &scanned);
}

static int slice_is(struct slice s, const char *want)
{
    return slice_eq(s, slice_str(want));
}

static const char plain[] = "GET /notifications/?EIO=4&transport=websocket HTTP/1.1\r\n"
                            "Host: example.com:3000\r\n"
                            "Upgrade: websocket\r\n"
                            "Connection: keep-alive, Upgrade\r\n"
                            "X-Empty:\r\n"
                            "X-Blank: \t a b \t\r\n"
                            "X-Latin: caf\xe9\r\n"
                            "\r\n";

static void check_plain(long got, const char *how)
{
    ok(got == (long)sizeof(plain) - 1, "length, %s", how);
    ok(slice_is(req.method, "GET") && req.minor == 1 && req.nheaders == 6 &&
           slice_is(req.target, "/notifications/?EIO=4&transport=websocket") &&
           slice_is(req.path, "/notifications/") &&
           slice_is(req.query, "EIO=4&transport=websocket"),
       "request line, %s", how);
    ok(slice_is(http_header(&req, "HOST")->value, "example.com:3000") &&
           slice_is(http_header(&req, "x-empty")->value, "") &&
           slice_is(http_header(&req, "x-blank")->value, "a b") &&
           slice_is(http_header(&req, "x-latin")->value, "caf\xe9") &&
           http_header(&req, "x-none") == NULL,
       "headers, %s", how);
}

static void test_feeding(void)
{
    size_t n = sizeof(plain) - 1, scanned = 0;
    unsigned char *guarded;
    int early = 0;
    long got = 0;

    check_plain(parse(plain, n), "whole");
    check_plain(parse(plain, n + 1), "with a byte after it");
    for (size_t i = 0; i < n; i++) {
        guarded = tap_guard(plain, i);
        early += parse((char *)guarded, i) != 0;
        tap_guard_free(guarded, i);
    }
    is_int(early, 0, "every prefix wants more");
    for (size_t i = 1; i <= n && got == 0; i++)
        got = http_parse(&req, plain, i, &limits, &scanned);
    check_plain(got, "one byte at a time");
    guarded = tap_guard(plain, n);
    check_plain(parse((char *)guarded, n), "against the guard page");
    tap_guard_free(guarded, n);
}

/* What follows a CR decides, though it comes later. */
static void test_cut_behind_cr(void)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n";
    size_t cut = sizeof("GET / HTTP/1.1\r\nHost: a\r\nX: b\r") - 1, scanned = 0;

    is_int(http_parse(&req, head, cut, &limits, &scanned), 0, "a CR may begin the end of a line");
    is_int(http_parse(&req, head, sizeof(head) - 1, &limits, &scanned), -400,
           "and is a bare one, when more has come");
}

#define HOST "Host: a\r\n"

static void test_status(void)
{
    static const struct {
        const char *name, *text;
        size_t len;
        long want; /* a status, or 1 for accepted whole, 2 for accepted but for its rest */
    } cases[] = {
#define CASE(name, text, want) {name, text, sizeof(text) - 1, want}
        CASE("smallest", "GET / HTTP/1.1\r\n" HOST "\r\n", 1),
        CASE("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 1),
        CASE("HTTP/1.7 is read as 1.1", "GET / HTTP/1.7\r\n" HOST "\r\n", 1),
        CASE("empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 1),
        CASE("eight empty lines", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
             1),
        CASE("nine empty lines", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n", -400),
        CASE("a body after it", "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n\x00\x01", 2),
        CASE("same Content-Length twice",
             "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\ncontent-length: 2\r\n\r\n", 1),
        CASE("Transfer-Encoding", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
             1),
        CASE("raw UTF-8 in the query", "GET /?a=\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", 1),
        CASE("IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 1),
        CASE("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 1),
        CASE("no Host", "GET / HTTP/1.1\r\n\r\n", -400),
        CASE("two different Hosts", "GET / HTTP/1.1\r\n" HOST "Host: b\r\n\r\n", -400),
        CASE("the same Host twice", "GET / HTTP/1.0\r\n" HOST HOST "\r\n", -400),
        CASE("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", -400),
        CASE("Host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", -400),
        CASE("bare LF", "GET / HTTP/1.1\n" HOST "\r\n", -400),
        CASE("bare LF as the empty line", "GET / HTTP/1.1\r\n" HOST "\n", -400),
        CASE("LF first", "\nGET / HTTP/1.1\r\n" HOST "\r\n", -400),
        CASE("bare CR", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", -400),
        CASE("CR CR LF", "GET / HTTP/1.1\r\r\n" HOST "\r\n", -400),
        CASE("NUL in a value", "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", -400),
        CASE("NUL in the target", "GET /\0 HTTP/1.1\r\n" HOST "\r\n", -400),
        CASE("ESC in a value", "GET / HTTP/1.1\r\nX: \x1b[0m\r\n" HOST "\r\n", -400),
        CASE("DEL in a value", "GET / HTTP/1.1\r\nX: \x7f\r\n" HOST "\r\n", -400),
        CASE("obs-fold", "GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", -400),
        CASE("obs-fold of the first header", "GET / HTTP/1.1\r\n X: a\r\n" HOST "\r\n", -400),
        CASE("blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", -400),
        CASE("no colon", "GET / HTTP/1.1\r\n" HOST "X\r\n\r\n", -400),
        CASE("empty name", "GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n", -400),
        CASE("name is no token", "GET / HTTP/1.1\r\n" HOST "a(b): c\r\n\r\n", -400),
        CASE("name above ASCII", "GET / HTTP/1.1\r\n" HOST "\xc3\xa9: c\r\n\r\n", -400),
        CASE("different Content-Lengths",
             "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", -400),
        CASE("list of Content-Lengths", "POST / HTTP/1.1\r\n" HOST "Content-Length: 2, 2\r\n\r\n",
             -400),
        CASE("signed Content-Length", "POST / HTTP/1.1\r\n" HOST "Content-Length: +2\r\n\r\n",
             -400),
        CASE("empty Content-Length", "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", -400),
        CASE("huge Content-Length",
             "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551617\r\n\r\n", -400),
        CASE("Content-Length with Transfer-Encoding",
             "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
             -400),
        CASE("Transfer-Encoding in HTTP/1.0",
             "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", -400),
        CASE("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", -505),
        CASE("HTTP/1.9 is read as 1.1", "GET / HTTP/1.9\r\n" HOST "\r\n", 1),
        CASE("HTTP/0.9", "GET / HTTP/0.9\r\n" HOST "\r\n", -505),
        CASE("HTTP/9.0", "GET / HTTP/9.0\r\n" HOST "\r\n", -505),
        CASE("a version before 0", "GET / HTTP//.1\r\n" HOST "\r\n", -400),
        CASE("and behind 9", "GET / HTTP/:.1\r\n" HOST "\r\n", -400),
        CASE("a minor one before 0", "GET / HTTP/1./\r\n" HOST "\r\n", -400),
        CASE("and behind 9", "GET / HTTP/1.:\r\n" HOST "\r\n", -400),
        CASE("HTTP/3.1", "GET / HTTP/3.1\r\n" HOST "\r\n", -505),
        CASE("lower-case version", "GET / http/1.1\r\n" HOST "\r\n", -400),
        CASE("long version", "GET / HTTP/1.10\r\n" HOST "\r\n", -400),
        CASE("HTTP/0.9", "GET /\r\n\r\n", -400),
        CASE("no target", "GET  HTTP/1.1\r\n" HOST "\r\n", -400),
        CASE("two blanks", "GET /  HTTP/1.1\r\n" HOST "\r\n", -400),
        CASE("blank in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", -400),
        CASE("tab in the target", "GET /a\tb HTTP/1.1\r\n" HOST "\r\n", -400),
        CASE("no method", " / HTTP/1.1\r\n" HOST "\r\n", -400),
        CASE("method is no token", "G@T / HTTP/1.1\r\n" HOST "\r\n", -400),
        CASE("TLS hello, at once", "\x16\x03\x01\x02\x00\x01", -400),
        CASE("CR at the end wants more", "GET / HTTP/1.1\r\n" HOST "\r", 0),
#undef CASE
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned char *guarded = tap_guard(cases[i].text, cases[i].len);
        long want = cases[i].want == 1   ? (long)cases[i].len
                    : cases[i].want == 2 ? (long)cases[i].len - 2
                                         : cases[i].want;

        is_int(parse((char *)guarded, cases[i].len), want, cases[i].name);
        tap_guard_free(guarded, cases[i].len);
    }
}

static void test_limits(void)
{
    static char text[8192];
    size_t n, scanned = 0;
    long got = 0;

    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    is_int(parse(text, 2047), 0, "a request line that may still end");
    is_int(parse(text, 2048), -414, "a request line as long as the limit");
    memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
    is_int(parse(text, 2047), 0, "a header that may still end");
    is_int(parse(text, sizeof(text)), -431, "a header past the limit");
    memcpy(text + 2048 - 13, "\r\nHost: a\r\n\r\n", 13);
    is_int(parse(text, sizeof(text)), 2048, "a head of exactly the limit");
    memmove(text + 18, text + 17, 2048 - 17);
    is_int(parse(text, sizeof(text)), -431, "a head one byte longer");
    for (int extra = 0; extra < 2; extra++) {
        n = (size_t)sprintf(text, "GET / HTTP/1.1\r\n" HOST);
        for (int i = 0; i < 19 + extra; i++)
            n += (size_t)sprintf(text + n, "X%d:\r\n", i);
        n += (size_t)sprintf(text + n, "\r\n");
        ok(parse(text, n) == (extra ? -431 : (long)n), "%d headers", 20 + extra);
    }
    memset(text, '\r', sizeof(text));
    for (size_t i = 1; i < sizeof(text); i += 2)
        text[i] = '\n';
    for (size_t i = 1; i < sizeof(text) && got == 0; i++)
        got = http_parse(&req, text, i, &limits, &scanned);
    is_int(got, -400, "empty lines without end");
}

static void test_target(void)
{
    static const struct {
        const char *target, *path, *query;
    } cases[] = {
        {"/a?b=c?d", "/a", "b=c?d"},
        {"/a?", "/a", ""},
        {"http://h:1/a/?b", "/a/", "b"},
        {"HTTPS://h/a", "/a", ""},
        {"ws://h?b", "/", "b"},
        {"http://h", "/", ""},
        {"*", "*", ""},
        {"h:443", "h:443", ""},
        {"/http://x/", "/http://x/", ""},
        {"?a", "/", "a"},
    };
    char text[128];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", cases[i].target);

        ok(parse(text, (size_t)n) == n && slice_is(req.path, cases[i].path) &&
               slice_is(req.query, cases[i].query),
           "target %s", cases[i].target);
    }
}

static void test_tokens(void)
{
    static const char text[] = "GET / HTTP/1.1\r\n" HOST "Connection: keep-alive\r\n"
                               "Connection:\tx ,,Upgrade\r\nUpgrade: websockets\r\n\r\n";

    ok(parse(text, sizeof(text) - 1) > 0, "head with two Connection headers");
    ok(http_has_token(&req, "connection", "upgrade"), "token in the second header");
    ok(http_has_token(&req, "connection", "KEEP-ALIVE"), "token in any case");
    ok(!http_has_token(&req, "upgrade", "websocket"), "a longer token is another");
    ok(!http_has_token(&req, "connection", "keep"), "so is a shorter one");
    ok(!http_has_token(&req, "te", "x"), "no such header");
}

static void is_query(const char *query, const char *name, const char *want)
{
    struct slice value = {NULL, 0};
    int found = http_query(slice_str(query), name, &value);

    ok(want == NULL ? !found : found && slice_is(value, want), "query '%s' has %s", query, name);
}

static void test_query(void)
{
    struct slice value;

    is_query("a=1&b=2&a=3", "a", "3");
    is_query("a=1&a", "a", "");
    is_query("a=1&a=", "a", "");
    is_query("a=b=c", "a", "b=c");
    is_query("aa=1&b=a=2", "a", NULL);
    is_query("&&a=1&", "a", "1");
    is_query("", "a", NULL);
    is_query("A=1", "a", NULL);
    ok(!http_query((struct slice){NULL, 0}, "a", &value), "no query at all");
}

static void is_unescaped(const char *src, int plus, const char *want, long len)
{
    char dst[64];
    size_t n = strlen(src);
    unsigned char *guarded = tap_guard(src, n);
    long got = http_unescape(dst, (struct slice){(char *)guarded, n}, plus);

    ok(got == len && (len < 0 || memcmp(dst, want, (size_t)len) == 0), "unescape '%s'", src);
    tap_guard_free(guarded, n);
}

static void test_unescape(void)
{
    is_unescaped("", 0, "", 0);
    is_unescaped("a%20b", 0, "a b", 3);
    is_unescaped("%c3%A9", 0, "\xc3\xa9", 2);
    is_unescaped("a%00b", 0, "a\0b", 3);
    is_unescaped("a+b", 0, "a+b", 3);
    is_unescaped("a+b", 1, "a b", 3);
    is_unescaped("%", 0, "", -1);
    is_unescaped("%4", 0, "", -1);
    is_unescaped("%4g", 0, "", -1);
    is_unescaped("%%41", 0, "", -1);
}

static void is_cookie(const char *line, const char *want)
{
    char text[256];
    struct slice value;
    int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "%s\r\n\r\n", line);
    int found = parse(text, (size_t)n) == n && http_cookie(&req, "jwt", &value);

    ok(want == NULL ? !found : found && slice_is(value, want), "cookie in '%s'", line);
}

static void test_cookie(void)
{
    is_cookie("Cookie: jwt=abc", "abc");
    is_cookie("cookie: a=1; jwt=abc; jwt=def", "abc");
    is_cookie("Cookie: a=1;jwt= a=b ;c=2", "a=b");
    is_cookie("Cookie: jwt=\"abc\"", "abc");
    is_cookie("Cookie: jwt=\"", "\"");
    is_cookie("Cookie: jwt=\"\"", "");
    is_cookie("Cookie: jwt=", "");
    is_cookie("Cookie: a=1\r\nCookie: jwt=abc", "abc");
    is_cookie("Cookie: jwt", NULL);
    is_cookie("Cookie: JWT=abc; xjwt=a", NULL);
    is_cookie("X-Cookie: jwt=abc", NULL);
}

/* Memory of a longer head is used again: none of its headers is found. */
static void test_stale(void)
{
    static const char more[] = "GET / HTTP/1.1\r\n" HOST "Cookie: jwt=a\r\n\r\n";
    struct slice value;

    parse(more, sizeof(more) - 1);
    parse("GET / HTTP/1.1\r\n" HOST "\r\n", strlen("GET / HTTP/1.1\r\n" HOST "\r\n"));
    ok(http_header(&req, "cookie") == NULL, "no header of the request before");
    ok(!http_has_token(&req, "cookie", "jwt=a"), "no token of it");
    ok(!http_cookie(&req, "jwt", &value), "no cookie of it");
}

static void test_kinds(void)
{
    unsigned kind = 0;

#define KIND(status) is_int(http_error_kind(status), kind++, #status " has a kind of its own");
    HTTP_ERRORS(KIND)
#undef KIND
    is_int(kind, HTTP_ERROR_KINDS - 1, "but one");
    is_int(http_error_kind(299), HTTP_ERROR_KINDS - 1, "which is for all others");
}

static void test_mount(void)
{
    static const struct {
        const char *path;
        int below;
    } cases[] = {
        {"/notifications", 1},   {"/notifications/", 1},
        {"/notifications/x", 1}, {"/notificationsx", 0},
        {"/notification", 0},    {"/", 0},
        {"/Notifications/", 0},  {"*", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ok(http_path_below(slice_str(cases[i].path), "/notifications/") == cases[i].below,
           "%s %s /notifications/", cases[i].path, cases[i].below ? "is below" : "is not below");
    is_int(http_path_below(SLICE("/x"), "/"), 1, "everything is below /");
    is_str(http_reason(426), "Upgrade Required", "reason of 426");
    is_str(http_reason(299), "Unknown", "reason of a status not used here");
}

int main(void)
{
    test_feeding();
    test_cut_behind_cr();
    test_status();
    test_limits();
    test_target();
    test_tokens();
    test_query();
    test_unescape();
    test_cookie();
    test_stale();
    test_kinds();
    test_mount();
    return tap_done();
}
