/* answer - heads and bodies of answers, and what becomes of the connection after one. */
#include "http/http.h"

#include <assert.h>
#include <stdio.h>

int exchange_has_request(const struct conn *conn)
{
    const struct exchange *exchange = exchange_of(conn);

    return exchange != NULL && exchange->in.len > 0;
}

void answer_await(struct conn *conn)
{
    conn_deadline(conn,
                  exchange_has_request(conn) ? HEAD_MS : http_of(conn)->options.idle_timeout_ms);
}

int answer_head(struct conn *conn, int status, const char *type, const char *extra, size_t len)
{
    struct exchange *exchange = exchange_of(conn);
    char head[1024], length[48] = "";
    int n;

    /* Its next request would be carried by, or for, who is about to go. */
    if (conn->last || (http_of(conn)->migrates && (conn->veiled || conn->carried)))
        exchange->keep = 0;
    if (status >= 400)
        http_of(conn)->stats.http_errors[http_error_kind(status)]++;
    if (status != 304) /* there it would be that of the whole */
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", len);
    n = snprintf(head, sizeof(head), "HTTP/1.1 %d %s\r\n%s%s%s%s%s%s%s\r\n", status,
                 http_reason(status), extra, exchange->cors, type ? "Content-Type: " : "",
                 type ? type : "", type ? "\r\n" : "", length,
                 !exchange->keep       ? "Connection: close\r\n"
                 : exchange->says_keep ? "Connection: keep-alive\r\n"
                                       : "");
    return conn_put(conn, head, (size_t)n);
}

void answer_done(struct conn *conn)
{
    struct exchange *exchange = exchange_of(conn);

    if (conn->state == CONN_DEAD)
        return;
    conn->asks_flush = 0;
    stranger_conn(conn);
    exchange->phase = EXCHANGE_HEAD;
    if (exchange->keep)
        answer_await(conn);
    else
        conn_linger(conn);
}

static void finish(struct conn *conn, int status, const char *type, const char *extra,
                   struct slice body)
{
    if (answer_head(conn, status, type, extra, body.len) == 0 && !exchange_of(conn)->head_only &&
        body.len > 0)
        conn_put(conn, body.ptr, body.len);
    answer_done(conn);
}

void answer(struct conn *conn, int status, const char *type, struct slice body)
{
    finish(conn, status, type, "", body);
}

void answer_refuse(struct conn *conn, int status)
{
    exchange_of(conn)->keep = 0;
    finish(conn, status, "text/plain", "", slice_str(http_reason(status)));
}

void answer_method(struct conn *conn, const char *allowed)
{
    char allow[64];

    snprintf(allow, sizeof(allow), "Allow: %s\r\n", allowed);
    exchange_of(conn)->keep = 0;
    finish(conn, 405, "text/plain", allow, slice_str(http_reason(405)));
}
