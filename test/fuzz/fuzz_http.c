/* A request head: the same verdict whole and one byte at a time, and what is
 * accepted is what RFC 9112 calls a head. */
#include "codec/http.h"
#include "codec/ws.h"

#include <stdlib.h>

#define MAX_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {2048, 20};
static struct http_request req;

static void must(int cond)
{
    if (!cond)
        abort();
}

static long parse_bytewise(const char *bytes, size_t len)
{
    size_t scanned = 0;
    long result = 0;

    for (size_t n = 1; n <= len && result == 0; n++)
        result = http_parse(&req, bytes, n, &limits, &scanned);
    return result;
}

static void check_inside(struct slice s, const char *bytes, size_t len)
{
    must(s.ptr >= bytes && s.len <= len && (size_t)(s.ptr - bytes) <= len - s.len);
    for (size_t i = 0; i < s.len; i++)
        must(s.ptr[i] == '\t' || ((unsigned char)s.ptr[i] >= 0x20 && s.ptr[i] != 0x7f));
}

static void check_request(const char *bytes, size_t len)
{
    check_inside(req.method, bytes, len);
    check_inside(req.target, bytes, len);
    must(req.path.len > 0 && req.path.len + req.query.len <= len);
    must(memchr(req.path.ptr, '?', req.path.len) == NULL);
    must((req.minor == 0 || req.minor == 1) && req.nheaders <= limits.headers);
    for (size_t i = 0; i < req.nheaders; i++) {
        check_inside(req.headers[i].name, bytes, len);
        check_inside(req.headers[i].value, bytes, len);
        must(req.headers[i].name.len > 0);
        must(memchr(req.headers[i].name.ptr, ' ', req.headers[i].name.len) == NULL);
    }
    must(req.minor == 0 || http_header(&req, "host") != NULL);
    must(http_header(&req, "content-length") == NULL ||
         http_header(&req, "transfer-encoding") == NULL);
}

static void look_up(void)
{
    static char dst[MAX_BYTES];
    char accept[WS_ACCEPT_LEN + 1];
    struct slice value = {NULL, 0};

    if (http_query(req.query, "token", &value))
        must(http_unescape(dst, value, 1) <= (long)value.len);
    if (http_cookie(&req, "jwt", &value))
        must(http_unescape(dst, value, 0) <= (long)value.len);
    http_path_below(req.path, "/notifications/");
    if (ws_upgrade(&req, accept) == WS_UPGRADE_YES)
        must(strlen(accept) == WS_ACCEPT_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    size_t scanned = 0;
    long whole, bytewise;

    if (size > MAX_BYTES)
        return 0;
    bytewise = parse_bytewise(bytes, size);
    whole = http_parse(&req, bytes, size, &limits, &scanned);
    must(whole == bytewise && whole <= (long)size);
    if (whole > 0) {
        must(memcmp(bytes + whole - 4, "\r\n\r\n", 4) == 0);
        check_request(bytes, (size_t)whole);
        look_up();
    }
    return 0;
}
