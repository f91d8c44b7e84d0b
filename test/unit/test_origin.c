#include "codec/origin.h"

#include "tap.h"

#include <stdlib.h>

static char *listed[] = {(char[]){"https://app.example"}, (char[]){"null"}, NULL};
static char *any[] = {(char[]){"*"}, (char[]){"https://app.example"}, NULL};

/* HTTP/1.0 for a request that need not have a Host. */
static enum origin judge(const char *origin, const char *host, char *const *list)
{
    static const struct http_limits limits = {4096, 100};
    static struct http_request req;
    char text[1024];
    size_t scanned = 0;
    int n = snprintf(text, sizeof(text), "GET / HTTP/1.0\r\n%s%s%s%s%s%s\r\n", host ? "Host: " : "",
                     host ? host : "", host ? "\r\n" : "", origin ? "Origin: " : "",
                     origin ? origin : "", origin ? "\r\n" : "");

    if (http_parse(&req, text, (size_t)n, &limits, &scanned) != n)
        abort();
    return origin_judge(&req, list);
}

static void test_rows(void)
{
    static const struct {
        const char *origin, *host;
        enum origin want;
    } rows[] = {
        {"http://push.example:3000", "push.example:3000", ORIGIN_HOST},
        {"http://PUSH.example:3000", "push.EXAMPLE:3000", ORIGIN_HOST},
        {"http://push.example:3001", "push.example:3000", ORIGIN_FOREIGN},
        {"http://push.example", "push.example:3000", ORIGIN_FOREIGN},
        {"http://push.example", "push.example", ORIGIN_HOST},
        {"http://push.example", "push.example:80", ORIGIN_HOST},
        {"https://push.example", "push.example", ORIGIN_HOST},
        {"https://push.example", "push.example:443", ORIGIN_HOST},
        {"https://push.example:443", "push.example", ORIGIN_HOST},
        {"https://push.example", "push.example:80", ORIGIN_FOREIGN},
        {"http://push.example:8080", "push.example", ORIGIN_FOREIGN},
        {"http://xpush.example", "push.example", ORIGIN_FOREIGN},
        {"http://push.example.evil", "push.example", ORIGIN_FOREIGN},
        {"http://push.example@evil", "push.example", ORIGIN_FOREIGN},
        {"http://push.example:99999999999999999980", "push.example:80", ORIGIN_FOREIGN},
        {"http://[::1]:3000", "[::1]:3000", ORIGIN_HOST},
        {"http://[::1]", "[::1]", ORIGIN_HOST},
        {"http://[::1]", "[::2]", ORIGIN_FOREIGN},
        {"null", "push.example", ORIGIN_LISTED},
        {"null", "null", ORIGIN_LISTED},
        {"", "push.example", ORIGIN_FOREIGN},
        {"http://", "", ORIGIN_FOREIGN},
        {"file://", "push.example", ORIGIN_FOREIGN},
        {"push.example", "push.example", ORIGIN_FOREIGN},
        {"https://app.example", "push.example", ORIGIN_LISTED},
        {"https://App.Example", "push.example", ORIGIN_LISTED},
        {"http://app.example", "push.example", ORIGIN_FOREIGN},
        {"https://app.example.evil", "push.example", ORIGIN_FOREIGN},
        {"*", "push.example", ORIGIN_FOREIGN},
        {"https://push.example", NULL, ORIGIN_FOREIGN},
        {NULL, "push.example", ORIGIN_ABSENT},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ok(judge(rows[i].origin, rows[i].host, listed) == rows[i].want, "\"%s\" at \"%s\"",
           rows[i].origin ? rows[i].origin : "(none)", rows[i].host ? rows[i].host : "(none)");
}

static void test_lists(void)
{
    is_int(judge("null", "a", listed), ORIGIN_LISTED, "null may be listed");
    is_int(judge("http://app.example", "a", listed), ORIGIN_FOREIGN, "the scheme counts");
    is_int(judge("https://app.example.evil", "a", listed), ORIGIN_FOREIGN, "the whole name counts");
    is_int(judge("https://evil", "a", any), ORIGIN_ANY, "any");
    is_int(judge("null", "a", any), ORIGIN_ANY, "any, null too");
    is_int(judge("https://app.example", "a", any), ORIGIN_LISTED, "a name behind '*' is a name");
    is_int(judge("https://a", "a", any), ORIGIN_HOST, "the host comes first");
    is_int(judge("https://evil", "a", NULL), ORIGIN_FOREIGN, "no list");
}

static void test_patterns(void)
{
    static char *below[] = {(char *)(uintptr_t) "https://*.app.example",
                            (char *)(uintptr_t) "http://*.dev.example:8080", NULL};

    is_int(judge("https://a.app.example", "h", below), ORIGIN_ANY, "a name below");
    is_int(judge("HTTPS://A.B-2.App.Example", "h", below), ORIGIN_ANY, "two of them, in any case");
    is_int(judge("http://x.dev.example:8080", "h", below), ORIGIN_ANY, "with a port");
    is_int(judge("http://x.dev.example", "h", below), ORIGIN_FOREIGN, "without it");
    is_int(judge("https://app.example", "h", below), ORIGIN_FOREIGN, "not the name itself");
    is_int(judge("https://.app.example", "h", below), ORIGIN_FOREIGN, "nor an empty one");
    is_int(judge("http://a.app.example", "h", below), ORIGIN_FOREIGN, "the scheme counts");
    is_int(judge("https://evil.example/.app.example", "h", below), ORIGIN_FOREIGN, "names only");
    is_int(judge("https://a.app.example.evil", "h", below), ORIGIN_FOREIGN, "to the end");
}

int main(void)
{
    test_patterns();
    test_rows();
    test_lists();
    return tap_done();
}
