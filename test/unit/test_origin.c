#include "codec/origin.h"

#include "tap.h"

#include <stdlib.h>

static char *listed[] = {(char[]){"https://app.example"}, (char[]){"null"}, NULL};
static char *any[] = {(char[]){"*"}, (char[]){"https://app.example"}, NULL};

/* NULL: no such header.  HTTP/1.0 for a request that need not have a Host. */
static const struct http_request *request(const char *origin, const char *host, const char *site)
{
    static const char *const names[] = {"Origin", "Host", "Sec-Fetch-Site"};
    static const struct http_limits limits = {4096, 100};
    static struct http_request req;
    static char text[1024];
    const char *values[] = {origin, host, site};
    size_t scanned = 0;
    int n = snprintf(text, sizeof(text), "GET / HTTP/1.0\r\n");

    for (int i = 0; i < 3; i++)
        if (values[i] != NULL)
            n += snprintf(text + n, sizeof(text) - (size_t)n, "%s: %s\r\n", names[i], values[i]);
    n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n");
    if (http_parse(&req, text, (size_t)n, &limits, &scanned) != n)
        abort();
    return &req;
}

static enum origin judge(const char *origin, const char *host, char *const *list)
{
    return origin_judge(request(origin, host, NULL), list);
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
        {"http://push.example:65535", "push.example:65535", ORIGIN_HOST},
        {"http://push.example:00080", "push.example", ORIGIN_HOST},
        {"http://push.example:000080", "push.example", ORIGIN_FOREIGN},
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
           rows[i].origin != NULL ? rows[i].origin : "(none)",
           rows[i].host != NULL ? rows[i].host : "(none)");
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

static void test_trusted(void)
{
    static char *below[] = {(char *)(uintptr_t) "https://*.push.example", NULL};
    static const char own[] = "https://push.example", app[] = "https://app.example",
                      evil[] = "https://evil", host[] = "push.example";
    static const struct {
        const char *site, *origin;
        int trusted;
    } rows[] = {
        {NULL, NULL, 1},
        {NULL, own, 1},
        {NULL, app, 1},
        {NULL, evil, 0},
        {NULL, "null", 0},
        {"same-origin", NULL, 1},
        {"same-origin", own, 1},
        {"same-origin", evil, 1}, /* a proxy has changed Host */
        {"Same-Origin", NULL, 1},
        {"none", NULL, 1},
        {"same-site", NULL, 0},
        {"same-site", own, 0},
        {"same-site", app, 1},
        {"same-site", evil, 0},
        {"cross-site", NULL, 0},
        {"cross-site", own, 0},
        {"cross-site", app, 1},
        {"cross-site", evil, 0},
        {"", NULL, 0},
        {"same-origin, cross-site", NULL, 0},
        {"same-origin-ish", NULL, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ok(origin_trusted(request(rows[i].origin, host, rows[i].site), any) == rows[i].trusted,
           "%s from %s: %d", rows[i].site != NULL ? rows[i].site : "(no word)",
           rows[i].origin != NULL ? rows[i].origin : "(none)", rows[i].trusted);
    ok(!origin_trusted(request("https://a.push.example", host, "same-site"), below),
       "a sister host that only a pattern lets in");
    ok(!origin_trusted(request("https://a.push.example", host, NULL), below), "without a word too");
}

int main(void)
{
    test_trusted();
    test_patterns();
    test_rows();
    test_lists();
    return tap_done();
}
