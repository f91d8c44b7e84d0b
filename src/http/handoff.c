/* handoff - a request that another process serves: the connection is passed to it with all
 * that was read of it.  Over TLS it is the end of a pair that is passed, and the connection stays
 * here to be carried (carry.c). */
#include "ipc/handoff.h"
#include "base/clock.h"
#include "http/http.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#define HANDOFF_MS       1000 /* a connection waits to be handed to its worker */
#define HANDOFF_RETRY_MS 20

/* What pass() returns beside: there is no pair to be had. */
#define NO_PAIR (-2)

/* Not what a request has said: who takes it reads that again, and the next one may be of
 * somebody else. */
static struct handoff_conn described(const struct conn *conn)
{
    const struct address *own = conn_own(conn);
    struct handoff_conn known = {.known = own != NULL,
                                 .secure = conn_own_secure(conn),
                                 .carried = conn->carried,
                                 .last = conn->last,
                                 .told = conn->told};

    if (own != NULL)
        known.peer = *own;
    return known;
}

/* fd is passed for conn.  Returns what http_options.handoff does. */
static int send_fd(const struct conn *conn, uint32_t process, int fd,
                   const struct handoff_conn *known)
{
    struct http *http = http_of(conn);
    const struct exchange *exchange = exchange_of(conn);
    const void *bytes = exchange != NULL ? exchange->in.data : NULL;
    size_t len = exchange != NULL ? exchange->in.len : 0;
    int result = http->options.handoff(process, fd, known, bytes, len, http->options.handoff_arg);

    http->stats.handoffs_sent += result == 0;
    return result;
}

static int pass_pair(struct conn *conn, uint32_t process)
{
    struct handoff_conn known = {.known = 1,
                                 .secure = conn_own_secure(conn),
                                 .carried = 1,
                                 .last = http_of(conn)->migrates != 0};
    int theirs, result;
    struct carry *carry = carry_new(conn, &theirs);

    if (carry == NULL)
        return NO_PAIR;
    (void)conn_own_peer(conn, &known.peer);
    result = send_fd(conn, process, theirs, &known);
    close(theirs);
    if (result == 0)
        carry_begin(carry);
    else
        carry_cancel(&carry);
    return result;
}

/* Returns what http_options.handoff does, or NO_PAIR with errno. */
static int pass(struct conn *conn, uint32_t process)
{
    struct handoff_conn known;
    int result;

    if (conn->veiled) /* by TLS */
        return pass_pair(conn, process);
    known = described(conn);
    result = send_fd(conn, process, conn->fd, &known);
    if (result == 0)
        conn_kill(conn, CLOSE_CLIENT, 0); /* our copy of the descriptor */
    return result;
}

/* errno says why there is no pair. */
static void log_no_pair(struct http *http)
{
    int error = errno;
    uint64_t times = log_due(&http->carry_log, 60000);

    http->stats.carry_failures++;
    errno = error;
    if (times > 0)
        log_event(WARN, "handoff_no_pair",
                  "no socket pair for a connection over TLS whose session another worker has; "
                  "answered with 503[: times={}: {}]",
                  LOG_TIMES(times), LOG_ERRNO());
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
    if (result == NO_PAIR) {
        log_no_pair(http);
        fail(conn, 0);
    } else if (result < 0) {
        fail(conn, process != HTTP_SUCCESSOR);
    } else if (clock_ms() >= exchange->handoff_end_ms) {
        if (log_due(&http->handoff_log, 60000) > 0)
            log_event(WARN, "handoff_failed", "handoff failed: nobody takes what waits[ for {}]",
                      LOG_STR("to", process == HTTP_SUCCESSOR ? "the other workers"
                                                              : "the session's worker"));
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

/* 1 if nothing of it is under way but, maybe, half a request. */
static int is_between_requests(const struct conn *conn)
{
    return conn->state == CONN_OPEN && !conn->streams && conn->out.bytes == 0 &&
           (exchange_of(conn) == NULL || exchange_of(conn)->phase == EXCHANGE_HEAD);
}

/* One over TLS cannot be passed for good: what has been asked for there is answered; a
 * client that is coming in, or about to ask, has the time that we have. */
static void leave_veiled(struct conn *conn, int now)
{
    if (now || (conn->asked && !exchange_has_request(conn)))
        conn_linger(conn);
}

void http_pass_on(struct http *http, int now)
{
    struct conn *conn = http->net->conns, *next;

    for (; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->carries)
            carry_leave(conn, now);
        else if (is_between_requests(conn) && conn->veiled)
            leave_veiled(conn, now);
        else if (is_between_requests(conn))
            pass(conn, HTTP_SUCCESSOR);
    }
}
