/* The page as it is answered: with headers that let its own script and style run, and nothing
 * else. */
#include "base/base64.h"
#include "base/buf.h"
#include "base/slice.h"
#include "master/admin_routes.h"
#include "nomem_nth.h"
#include "tap.h"

#include <ctype.h>
#include <openssl/sha.h>

#define BYTES_MAX 60000

static struct buf page, headers;
static char type[64];
static int status;

/* --- whom it answers ------------------------------------------------------------ */

void caller_answer(struct caller *caller, int code, const char *what, const char *lines,
                   struct buf *body)
{
    (void)caller;
    status = code;
    snprintf(type, sizeof(type), "%s", what);
    nomem_nth = 0; /* what the test keeps does not count */
    (void)buf_printf(&headers, "%s", lines);
    page = *body;
    *body = (struct buf){0};
}

void caller_refuse(struct caller *caller, int code, const char *lines, const char *message)
{
    (void)caller;
    (void)lines;
    (void)message;
    status = code;
}

/* --- what is in it -------------------------------------------------------------- */

static const char *find(const char *word)
{
    return memmem(page.data, page.len, word, strlen(word));
}

static int times(const char *word)
{
    const char *at = (const char *)page.data, *end = at + page.len;
    int n = 0;

    while ((at = memmem(at, (size_t)(end - at), word, strlen(word))) != NULL) {
        at++;
        n++;
    }
    return n;
}

static int says(const char *header)
{
    return memmem(headers.data, headers.len, header, strlen(header)) != NULL;
}

/* The header allows what is between begin and end by its hash, and nothing else of its kind. */
static void test_hash(const char *directive, const char *begin, const char *end)
{
    const char *from = find(begin), *to = find(end);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char hash[BASE64_LEN(SHA256_DIGEST_LENGTH) + 1] = "", want[128];

    is_int(times(begin), 1, begin);
    is_int(times(end), 1, end);
    if (from == NULL || to == NULL)
        return;
    from += strlen(begin);
    SHA256((const unsigned char *)from, (size_t)(to - from), digest);
    base64_encode(hash, digest, sizeof(digest));
    snprintf(want, sizeof(want), " %s 'sha256-%s';", directive, hash);
    ok(says(want), "%s: the hash is that of the page's own", directive);
}

static void test_headers(void)
{
    static const char *const want[] = {
        "X-Frame-Options: DENY\r\n",
        "Content-Security-Policy: default-src 'none';",
        "connect-src 'self';",
        "base-uri 'none';",
        "form-action 'none';",
        "frame-ancestors 'none';",
        "require-trusted-types-for 'script';",
    };

    is_int(status, 200, "it is answered");
    is_str(type, "text/html; charset=utf-8", "as HTML");
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        ok(says(want[i]), "%s", want[i]);
    ok(!says("unsafe") && !says("*"), "nothing is allowed in general");
    ok(headers.len > 2 && memcmp(headers.data + headers.len - 2, "\r\n", 2) == 0 &&
           !says("\r\n\r\n"),
       "each line has its end, and the head goes on");
    test_hash("script-src", "<script>", "</script>");
    test_hash("style-src", "<style>", "</style>");
}

/* What the policy would stop, and what would come from elsewhere. */
static void test_content(void)
{
    static const char *const never[] = {
        "http:",          "https:",      "src=",      " style=", "@import",
        "url(",           "innerHTML",   "outerHTML", "eval(",   "insertAdjacentHTML",
        "document.write", "javascript:", "\r",
    };
    const char *at;
    int handlers = 0;

    ok(page.len > 10000 && page.len < BYTES_MAX, "%zu bytes are fewer than %d", page.len,
       BYTES_MAX);
    ok(page.len > 15 && memcmp(page.data, "<!doctype html>", 15) == 0, "it is HTML");
    is_int(times("<html lang=\"en\">"), 1, "its language is told");
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        ok(find(never[i]) == NULL, "there is no %s",
           never[i][0] == '\r' ? "carriage return" : never[i]);
    for (at = (const char *)page.data; at < (const char *)page.data + page.len - 4; at++)
        handlers += memcmp(at, " on", 3) == 0 && islower((unsigned char)at[3]) &&
                    at[3 + strspn(at + 3, "abcdefghijklmnopqrstuvwxyz")] == '=' &&
                    at[4 + strspn(at + 3, "abcdefghijklmnopqrstuvwxyz")] == '"';
    is_int(handlers, 0, "there are no handlers in tags");
}

/* Whatever there is no memory for: there is no page then, and nothing stays of it. */
static void test_no_memory(const struct admin_call *call)
{
    int nth = 0;

    do {
        buf_free(&page);
        buf_reset(&headers);
        status = 0;
        nomem_nth = ++nth;
        admin_page(call);
    } while (status == 500);
    nomem_nth = 0;
    ok(nth > 2 && status == 200, "without memory it is 500, %d times", nth - 1);
    buf_free(&page);
    buf_reset(&headers);
}

int main(void)
{
    const struct admin_call call = {0};

    test_no_memory(&call);
    admin_page(&call);
    test_headers();
    test_content();
    buf_free(&page);
    buf_free(&headers);
    return tap_done();
}
