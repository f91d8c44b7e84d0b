/* What is told to browsers: to which pages, and never a part of one's name. */
#include "http/http.h"

#include "tap.h"

#define CAP       sizeof(((struct exchange *)NULL)->cors)
#define NAMED_MAX (CAP - 128) /* of an Origin that is named in an answer */

static char *any[] = {(char[]){"*"}, NULL};
static char *listed[] = {(char[]){"https://app.example"}, NULL};
static char *none[] = {NULL};

/* With this Origin, or none (NULL).  It lives until the next. */
static const struct http_request *request(const char *origin, size_t len)
{
    static const struct http_limits limits = {4096, 100};
    static struct http_request req;
    static char text[2048];
    size_t scanned = 0;
    int n;

    if (origin != NULL)
        n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nOrigin: %.*s\r\n\r\n",
                     (int)len, origin);
    else
        n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    if (http_parse(&req, text, (size_t)n, &limits, &scanned) != n)
        abort();
    return &req;
}

/* The lines, which end in front of a page that cannot be written to. */
static const char *headers(char *const *origins, int credentials, const struct http_request *req)
{
    static char lines[CAP + 1];
    struct http http = {.options = {.origins = origins, .credentials = credentials}};
    char *guarded = (char *)tap_guard(NULL, CAP);

    memset(guarded, 'x', CAP);
    cors_headers(&http, req, guarded, CAP);
    (void)snprintf(lines, sizeof(lines), "%s", guarded);
    tap_guard_free((unsigned char *)guarded, CAP);
    return lines;
}

#define VARY  "Vary: Origin\r\n"
#define ALLOW "Access-Control-Allow-Origin: "
#define CREDS "Access-Control-Allow-Credentials: true\r\n"

static void test_who(void)
{
    static const char app[] = "https://app.example", evil[] = "https://evil";
    const size_t app_len = strlen(app), evil_len = strlen(evil);

    is_str(headers(any, 0, request(evil, evil_len)), ALLOW "*\r\n", "all may come");
    is_str(headers(NULL, 0, request(evil, evil_len)), ALLOW "*\r\n", "where nothing is said too");
    is_str(headers(any, 0, request(NULL, 0)), "", "who asks for no page is told nothing");
    is_str(headers(any, 1, request(evil, evil_len)), VARY ALLOW "https://evil\r\n" CREDS,
           "with credentials each is named");
    is_str(headers(any, 1, request(NULL, 0)), VARY, "if it is one");
    is_str(headers(listed, 0, request(app, app_len)), VARY ALLOW "https://app.example\r\n",
           "one that is listed");
    is_str(headers(listed, 1, request(app, app_len)), VARY ALLOW "https://app.example\r\n" CREDS,
           "with credentials");
    is_str(headers(listed, 0, request(evil, evil_len)), VARY, "one that is not");
    is_str(headers(none, 1, request(app, app_len)), VARY, "nobody");
}

/* An Origin that fits is named whole, a longer one is not named at all. */
static void test_long(void)
{
    static char origin[CAP + 64], want[2 * CAP];
    int wrong = 0;

    memset(origin, 'o', sizeof(origin));
    memcpy(origin, "https://", 8);
    for (size_t len = 9; len < sizeof(origin); len++) {
        for (int credentials = 0; credentials < 2; credentials++) {
            char *one[] = {strndup(origin, len), NULL};
            const char *got = headers(one, credentials, request(origin, len));

            (void)snprintf(want, sizeof(want), VARY ALLOW "%.*s\r\n%s", (int)len, origin,
                           credentials ? CREDS : "");
            if (strcmp(got, len <= NAMED_MAX ? want : VARY) != 0 && wrong++ == 0)
                printf("# of %zu bytes: %s\n", len, got);
            free(one[0]);
        }
    }
    is_int(wrong, 0, "an Origin of each length: the whole name or none");
    is_int(NAMED_MAX, 192, "of up to 192 bytes");
}

int main(void)
{
    test_who();
    test_long();
    return tap_done();
}
