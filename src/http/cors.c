/* cors - who may use the server from a browser (the Fetch standard, CORS
 * protocol), and the same rule for WebSocket upgrades, which it does not cover:
 * browsers send Origin with them but ask nobody. */
#include "codec/origin.h"
#include "http/http.h"

#include <stdio.h>

static int is_any(const struct http *http)
{
    if (http->options.origins == NULL)
        return 1;
    for (char *const *o = http->options.origins; *o != NULL; o++)
        if (strcmp(*o, "*") == 0)
            return 1;
    return 0;
}

int cors_allowed(const struct http *http, const struct http_request *req)
{
    return http->options.origins == NULL ||
           origin_judge(req, http->options.origins) != ORIGIN_FOREIGN;
}

void cors_headers(const struct http *http, const struct http_request *req, char *dst, size_t cap)
{
    const struct http_header *origin = http_header(req, "Origin");
    int same_for_all = is_any(http) && !http->options.credentials;
    int n;

    dst[0] = '\0';
    if (same_for_all && origin != NULL) {
        snprintf(dst, cap, "Access-Control-Allow-Origin: *\r\n");
        return;
    }
    if (same_for_all)
        return;
    n = snprintf(dst, cap, "Vary: Origin\r\n");
    if (origin == NULL || !cors_allowed(http, req))
        return;
    if (origin->value.len + 128 > cap)
        return; /* no browser's */
    snprintf(dst + n, cap - (size_t)n, "Access-Control-Allow-Origin: %.*s\r\n%s",
             (int)origin->value.len, origin->value.ptr,
             http->options.credentials ? "Access-Control-Allow-Credentials: true\r\n" : "");
}

void cors_preflight(struct conn *conn, const struct http_request *req)
{
    const struct http *http = http_of(conn);
    const struct http_header *want = http_header(req, "Access-Control-Request-Headers");
    char extra[512];
    int n;

    if (!cors_allowed(http, req)) {
        hint_origin(conn, req);
        http->app->error(conn, HTTP_FORBIDDEN);
        return;
    }
    n = snprintf(extra, sizeof(extra),
                 "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\r\n"
                 "Vary: Access-Control-Request-Headers\r\n");
    if (want != NULL && want->value.len > 0 && want->value.len < sizeof(extra) - (size_t)n - 64)
        snprintf(extra + n, sizeof(extra) - (size_t)n, "Access-Control-Allow-Headers: %.*s\r\n",
                 (int)want->value.len, want->value.ptr);
    if (answer_head(conn, 204, NULL, extra, 0) == 0)
        answer_done(conn);
}
