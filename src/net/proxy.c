#include "net/proxy.h"

#include "base/clock.h"
#include "codec/proxyline.h"
#include "net/net.h"
#include "net/tls.h"

#include <stdlib.h>

struct greeting {
    struct buf in;       /* what has come, which is no whole header */
    struct address from; /* who sent it */
    unsigned speaks;
    uint8_t over; /* it is whole, or refused */
};

static struct greeting *greeting_of(const struct conn *conn)
{
    return conn->veil_state;
}

/* --- who is refused --- */

#define ENTRY(event, text) ((struct log_entry){event, text "[: address={}][ times={}]"})

/* What it is that comes without a header: that is most often a listener or a proxy that is
 * not what it should be. */
static struct log_entry stranger_entry(const struct buf *in)
{
    if (in->len > 0 && in->data[0] == 0x16)
        return ENTRY("proxy_absent_tls",
                     "TLS without a PROXY header on a listener with proxyProtocol");
    if (in->len > 0 && in->data[0] >= 'A' && in->data[0] <= 'Z')
        return ENTRY("proxy_absent_http",
                     "HTTP without a PROXY header on a listener with proxyProtocol");
    return ENTRY("proxy_absent", "no PROXY header on a listener with proxyProtocol");
}

static struct log_entry entry_of(enum proxy_refusal why, const struct buf *in)
{
    switch (why) {
    case PROXY_UNTRUSTED:
        return ENTRY("proxy_untrusted",
                     "connection to a listener with proxyProtocol by none of proxies");
    case PROXY_ABSENT:
        return stranger_entry(in);
    case PROXY_TOO_LONG:
        return ENTRY("proxy_too_long", "PROXY header that is too long");
    case PROXY_INCOMPLETE:
        return ENTRY("proxy_incomplete", "PROXY header that never became whole");
    case PROXY_MALFORMED:
    case PROXY_REFUSALS:
        break;
    }
    return ENTRY("proxy_malformed", "malformed PROXY header");
}

/* Counts and logs. */
static void refused(struct net *net, struct greeting *greeting, enum proxy_refusal why)
{
    uint64_t times = log_due(&net->proxy_logs[why], FULL_LOG_MS);
    char from[ADDRESS_TEXT_MAX];

    greeting->over = 1;
    net->stats.proxy_refused[why]++;
    log_entry_at(log_due_level(LOG_LEVEL_WARN, times), entry_of(why, &greeting->in),
                 LOG_STR("address", address_text(&greeting->from, from)), LOG_TIMES(times));
}

static void refuse(struct conn *conn, enum proxy_refusal why)
{
    refused(conn->net, greeting_of(conn), why);
    conn_kill(conn, CLOSE_CLIENT, 1);
}

static int is_trusted(const struct conn *conn)
{
    const struct networks *proxies = conn->net->options.proxies;

    return proxies != NULL && networks_have(proxies, &greeting_of(conn)->from);
}

/* --- the header --- */

static enum proxy_refusal refusal_of(enum proxyline_fault fault)
{
    switch (fault) {
    case PROXYLINE_ABSENT:
        return PROXY_ABSENT;
    case PROXYLINE_TOO_LONG:
        return PROXY_TOO_LONG;
    case PROXYLINE_MALFORMED:
        break;
    }
    return PROXY_MALFORMED;
}

static void say(const struct conn *conn, const struct proxyline *line)
{
    char from[ADDRESS_TEXT_MAX], proxy[ADDRESS_TEXT_MAX];

    log_event(DEBUG, "proxy_header", "PROXY header[: version={} address={} proxy={}]",
              LOG_INT("version", line->version), LOG_STR("address", conn_peer_text(conn, from)),
              LOG_STR("proxy", address_text(&greeting_of(conn)->from, proxy)));
}

/* Header and handshake have one deadline. */
static uint32_t time_left(const struct conn *conn)
{
    uint64_t now_ms = clock_ms();

    return conn->due_ms > now_ms ? (uint32_t)(conn->due_ms - now_ms) : 1;
}

/* The header is through: on to what comes behind it.  Returns 0, or -1 without memory. */
static int pass(struct conn *conn, const struct proxyline *line)
{
    uint32_t left_ms;
    unsigned speaks;

    conn->net->stats.proxy_headers[line->version - 1]++;
    if (!line->local && conn_set_peer(conn, &line->from) < 0)
        return -1;
    conn->secure = line->secure;
    conn->greeted = 1;
    say(conn, line);
    speaks = greeting_of(conn)->speaks;
    left_ms = time_left(conn);
    conn_unveil(conn);
    if (speaks & NET_TLS)
        return tls_begin(conn, left_ms);
    conn_opened(conn);
    return 0;
}

/* bytes: those behind the header, len of them. */
static void take(struct conn *conn, const struct proxyline *line, uint8_t *bytes, size_t len)
{
    greeting_of(conn)->over = 1;
    if (!line->local && tally_is_beyond(conn->net, &line->from))
        conn_kill(conn, CLOSE_CLIENT, 1);
    else if (pass(conn, line) < 0)
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
    else if (len > 0 && conn->veiled)
        conn->veil->input(conn, bytes, len);
    else if (len > 0)
        conn_input(conn, bytes, len);
}

static void input(struct conn *conn, uint8_t *bytes, size_t len)
{
    struct greeting *greeting = greeting_of(conn);
    size_t before = greeting->in.len;
    struct proxyline line;
    long used;

    if (conn->state != CONN_OPEN)
        return; /* it has been closed: what comes is thrown away */
    /* Health checks send a header and reset the connection: nobody knows then whose it is. */
    if (before == 0 && conn_own_peer(conn, &greeting->from) < 0) {
        conn_kill(conn, CLOSE_CLIENT, 1);
        return;
    }
    if (!is_trusted(conn)) {
        refuse(conn, PROXY_UNTRUSTED);
        return;
    }
    /* What is too much is behind the header, or is refused. */
    if (buf_put(&greeting->in, bytes, len < PROXYLINE_MAX ? len : PROXYLINE_MAX) < 0) {
        conn_kill(conn, CLOSE_NO_MEMORY, 1);
        return;
    }
    used = proxyline_decode(&line, greeting->in.data, greeting->in.len);
    if (used < 0) {
        refuse(conn, refusal_of((enum proxyline_fault)(-used)));
        return;
    }
    if (used > 0)
        take(conn, &line, bytes + ((size_t)used - before), len - ((size_t)used - before));
}

static void timeout(struct conn *conn)
{
    conn_kill(conn, CLOSE_CLIENT, 1);
}

static void greeting_free(struct conn *conn)
{
    struct greeting *greeting = greeting_of(conn);

    if (!greeting->over && greeting->in.len > 0)
        refused(conn->net, greeting, PROXY_INCOMPLETE);
    buf_free(&greeting->in);
    free(greeting);
}

static const struct veil_ops proxy_ops = {
    .input = input,
    .timeout = timeout,
    .free = greeting_free,
};

int proxy_begin(struct conn *conn, unsigned speaks)
{
    struct greeting *greeting = calloc(1, sizeof(*greeting));

    if (greeting == NULL)
        return -1;
    greeting->speaks = speaks;
    greeting->in.secret = 1; /* behind the header there may be a token */
    conn_veil(conn, &proxy_ops, greeting, NET_VEIL_MS);
    return 0;
}
