/* hint - lines in the log for what clients and proxies do that leads nowhere: whoever
 * wonders why nothing arrives looks for them.  Each cause has a line a minute at info,
 * and all that is between at debug. */
#include "http/http.h"

#include <stdio.h>
#include <string.h>

#define HINT_MS 60000
#define PROBES_MS                                                                                  \
    3600000 /* requests of no Socket.IO client: health checks, scanners; what any                  \
               client may say */

/* 1 if a line may be written: *times, or 0 where only debug wants it. */
static int is_due(struct http *http, enum hint hint, uint64_t interval_ms, uint64_t *times)
{
    *times = log_due(&http->hints[hint], interval_ms);
    return *times > 0 || log_get_level() >= LOG_LEVEL_DEBUG;
}

static void say(const struct conn *conn, const char *text, uint64_t times)
{
    char from[ADDRESS_TEXT_MAX];

    conn_peer_text(conn, from);
    if (times > 0)
        log_info("%s address=%s times=%llu", text, from, (unsigned long long)times);
    else
        log_debug("%s address=%s", text, from);
}

void hint_path(struct conn *conn, const struct http_request *req)
{
    struct http *http = http_of(conn);
    struct slice transport;
    int is_client = http_query(req->query, "transport", &transport);
    char path[128], text[512];
    uint64_t times;

    if (!is_due(http, is_client ? HINT_PATH : HINT_PROBE, is_client ? HINT_MS : PROBES_MS, &times))
        return;
    snprintf(text, sizeof(text), "request for another path: path=%s served=%s",
             log_word(path, sizeof(path), req->path.ptr, req->path.len), http->options.path);
    say(conn, text, times);
}

void hint_bytes(struct conn *conn, const uint8_t *bytes, size_t len)
{
    static const char proxy1[] = "PROXY ", proxy2[] = "\r\n\r\n\0\r\nQUIT\n";
    uint64_t times;

    if (len >= 1 && bytes[0] == 0x16 && (len == 1 || bytes[1] == 3)) {
        if (is_due(http_of(conn), HINT_TLS, HINT_MS, &times))
            say(conn, "TLS on a port for plain HTTP:", times);
    } else if ((len >= 6 && memcmp(bytes, proxy1, 6) == 0) ||
               (len >= 5 && memcmp(bytes, proxy2, len < 12 ? len : 12) == 0)) {
        if (is_due(http_of(conn), HINT_PROXY, HINT_MS, &times))
            say(conn,
                conn->greeted ? "second PROXY header on a connection:"
                              : "PROXY header on a listener without proxyProtocol:",
                times);
    }
}

void hint_upgrade(struct conn *conn, const struct http_request *req)
{
    uint64_t times;

    if (is_due(http_of(conn), HINT_UPGRADE, HINT_MS, &times))
        say(conn,
            req->minor < 1
                ? "WebSocket over HTTP/1.0: a proxy has to pass requests on as HTTP/1.1:"
                : "WebSocket request without its upgrade: a proxy has to pass on Upgrade "
                  "and Connection:",
            times);
}

void hint_origin(struct conn *conn, const struct http_request *req)
{
    const struct http_header *origin = http_header(req, "Origin"),
                             *site = http_header(req, "Sec-Fetch-Site");
    char name[128], kind[32], text[512];
    uint64_t times;

    if (!is_due(http_of(conn), HINT_ORIGIN, HINT_MS, &times))
        return;
    snprintf(text, sizeof(text), "request of a page that may not: origin=%s site=%s",
             origin ? log_word(name, sizeof(name), origin->value.ptr, origin->value.len) : "-",
             site ? log_word(kind, sizeof(kind), site->value.ptr, site->value.len) : "-");
    say(conn, text, times);
}

void hint_forwarded(struct conn *conn, const struct http_request *req)
{
    uint64_t times;

    if (http_header(req, "X-Forwarded-For") == NULL && http_header(req, "Forwarded") == NULL)
        return;
    if (is_due(http_of(conn), HINT_FORWARDED, PROBES_MS, &times))
        say(conn, "X-Forwarded-For or Forwarded by none of proxies does not count:", times);
}
