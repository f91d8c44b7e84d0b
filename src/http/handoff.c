/* handoff - a request that another process serves: the connection is passed to it with all
 * that was read of it. */
#include "ipc/handoff.h"
#include "base/clock.h"
#include "http/http.h"

#include <assert.h>

#define HANDOFF_MS       1000 /* a connection waits to be handed to its worker */
#define HANDOFF_RETRY_MS 20

/* Not what a request has said: who takes it reads that again, and the next one may be of
 * somebody else. */
static struct handoff_conn described(const struct conn *conn)
{
    const struct address *own = conn_own(conn);
    struct handoff_conn known = {
        .known = own != NULL, .secure = conn_own_secure(conn), .carried = conn->carried};

    if (own != NULL)
        known.peer = *own;
    return known;
}

/* Returns what http_options.handoff does. */
static int pass(struct conn *conn, uint32_t process)
{
    struct http *http = http_of(conn);
    const struct exchange *exchange = exchange_of(conn);
    const void *bytes = exchange != NULL ? exchange->in.data : NULL;
    size_t len = exchange != NULL ? exchange->in.len : 0;
    const struct handoff_conn known = described(conn);
    int result =
        http->options.handoff(process, conn->fd, &known, bytes, len, http->options.handoff_arg);

    if (result == 0) {
        http->stats.handoffs_sent++;
        conn_kill(conn, CLOSE_CLIENT, 0); /* our copy of the descriptor */
    }
    return result;
}

static void fail(struct conn *conn, int is_astray)
{
    struct http *http = http_of(conn);
    struct exchange *exchange = exchange_of(conn);

    http->stats.handoffs_failed++;
    exchange->phase = EXCHANGE_HEAD;
    exchange->keep = 0;
    if (is_astray)
        http->app->error(conn, HTTP_ASTRAY);
    else
        answer_refuse(conn, 503);
}

void exchange_hand_over_again(struct conn *conn)
{
    struct http *http = http_of(conn);
    const struct exchange *exchange = exchange_of(conn);
    uint32_t process = exchange->handoff_process;
    int result;

    assert(conn->out.bytes == 0);
    result = pass(conn, process);
    if (result == 0)
        return;
    if (result < 0) {
        fail(conn, process != HTTP_SUCCESSOR);
    } else if (clock_ms() >= exchange->handoff_end_ms) {
        if (log_due(&http->handoff_log, 60000) > 0)
            log_warnx("handoff failed: nobody takes what waits for %s",
                      process == HTTP_SUCCESSOR ? "the other workers" : "the session's worker");
        fail(conn, 0);
    } else {
        conn_deadline(conn, HANDOFF_RETRY_MS);
    }
}

void exchange_hand_over(struct conn *conn, uint32_t process)
{
    struct exchange *exchange = exchange_of(conn);

    exchange->phase = EXCHANGE_HANDOFF;
    exchange->handoff_process = process;
    exchange->handoff_end_ms = clock_ms() + HANDOFF_MS;
    exchange_hand_over_again(conn);
}

void http_pass_on(struct http *http)
{
    struct conn *conn = http->net->conns, *next;

    for (; conn != NULL; conn = next) {
        const struct exchange *exchange = exchange_of(conn);
        next = conn->next;
        if (conn->state == CONN_OPEN && !conn->streams && conn->out.bytes == 0 &&
            (exchange == NULL || exchange->phase == EXCHANGE_HEAD))
            pass(conn, HTTP_SUCCESSOR);
    }
}
