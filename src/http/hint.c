/* hint - lines in the log for what clients and proxies do that leads nowhere: whoever
 * wonders why nothing arrives looks for them.  Each cause has a line a minute at info,
 * and all that is between at debug. */
#include "http/http.h"

#include <string.h>

#define HINT_MS 60000
#define PROBES_MS                                                                                  \
    3600000                /* requests of no Socket.IO client: health checks, scanners; what any   \
                              client may say */
#define SHOWN_MAX      128 /* of a path, or of an origin */
#define SITE_SHOWN_MAX 32

/* 1 if a line may be written: *times, or 0 where only debug wants it. */
static int is_due(struct http *http, enum hint hint, uint64_t interval_ms, uint64_t *times)
{
    *times = log_due(&http->hints[hint], interval_ms);
    return *times > 0 || log_get_level() >= LOG_LEVEL_DEBUG;
}

/* shown: char [ADDRESS_TEXT_MAX] */
#define FROM(conn, shown) LOG_STR("address", conn_peer_text(conn, shown))
#define WHO               "[: address={}][ times={}]"

static void say(const struct conn *conn, struct log_entry entry, uint64_t times)
{
    char from[ADDRESS_TEXT_MAX];

    log_entry_at(log_due_level(LOG_LEVEL_INFO, times), entry, FROM(conn, from), LOG_TIMES(times));
}

void hint_path(struct conn *conn, const struct http_request *req)
{
    struct http *http = http_of(conn);
    struct slice transport;
    int is_client = http_query(req->query, "transport", &transport);
    char from[ADDRESS_TEXT_MAX];
    uint64_t times;

    if (is_due(http, is_client ? HINT_PATH : HINT_PROBE, is_client ? HINT_MS : PROBES_MS, &times))
        log_event_at(log_due_level(LOG_LEVEL_INFO, times), "path_not_served",
                     "request for another path[: path={} served={} address={}][ times={}]",
                     LOG_WORD("path", req->path.ptr, req->path.len, SHOWN_MAX),
                     LOG_STR("served", http->options.path), FROM(conn, from), LOG_TIMES(times));
}

void hint_bytes(struct conn *conn, const uint8_t *bytes, size_t len)
{
    static const char proxy1[] = "PROXY ", proxy2[] = "\r\n\r\n\0\r\nQUIT\n";
    static const struct log_entry tls = {"tls_on_plain_port", "TLS on a port for plain HTTP" WHO},
                                  second = {"proxy_header_again",
                                            "second PROXY header on a connection" WHO},
                                  header = {"proxy_header_unexpected",
                                            "PROXY header on a listener without proxyProtocol" WHO};
    uint64_t times;

    if (len >= 1 && bytes[0] == 0x16 && (len == 1 || bytes[1] == 3)) {
        if (is_due(http_of(conn), HINT_TLS, HINT_MS, &times))
            say(conn, tls, times);
    } else if ((len >= 6 && memcmp(bytes, proxy1, 6) == 0) ||
               (len >= 5 && memcmp(bytes, proxy2, len < 12 ? len : 12) == 0)) {
        if (is_due(http_of(conn), HINT_PROXY, HINT_MS, &times))
            say(conn, conn->greeted ? second : header, times);
    }
}

void hint_upgrade(struct conn *conn, const struct http_request *req)
{
    static const struct log_entry old = {"upgrade_http_1_0",
                                         "WebSocket over HTTP/1.0: a proxy has to pass requests on "
                                         "as HTTP/1.1" WHO},
                                  bare = {"upgrade_absent",
                                          "WebSocket request without its upgrade: a proxy has to "
                                          "pass on Upgrade and Connection" WHO};
    uint64_t times;

    if (is_due(http_of(conn), HINT_UPGRADE, HINT_MS, &times))
        say(conn, req->minor < 1 ? old : bare, times);
}

void hint_origin(struct conn *conn, const struct http_request *req)
{
    const struct http_header *origin = http_header(req, "Origin"),
                             *site = http_header(req, "Sec-Fetch-Site");
    char from[ADDRESS_TEXT_MAX];
    uint64_t times;

    if (is_due(http_of(conn), HINT_ORIGIN, HINT_MS, &times))
        log_event_at(log_due_level(LOG_LEVEL_INFO, times), "origin_refused",
                     "request of a page that may not[: origin={} site={} address={}][ times={}]",
                     origin ? LOG_WORD("origin", origin->value.ptr, origin->value.len, SHOWN_MAX)
                            : LOG_SHOWN("-"),
                     site ? LOG_WORD("site", site->value.ptr, site->value.len, SITE_SHOWN_MAX)
                          : LOG_SHOWN("-"),
                     FROM(conn, from), LOG_TIMES(times));
}

void hint_forwarded(struct conn *conn, const struct http_request *req)
{
    static const struct log_entry entry = {
        "forwarded_ignored", "X-Forwarded-For or Forwarded by none of proxies does not count" WHO};
    uint64_t times;

    if (http_header(req, "X-Forwarded-For") == NULL && http_header(req, "Forwarded") == NULL)
        return;
    if (is_due(http_of(conn), HINT_FORWARDED, PROBES_MS, &times))
        say(conn, entry, times);
}
