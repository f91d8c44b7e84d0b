/* What a request gets that asks for Engine.IO: the checks in their order, what is opened,
 * and what others are told. */
#include "codec/sid.h"
#include "eio/polling.h"
#include "eio/session.h"
#include "eio/websocket.h"
#include "peer.h"

#include <signal.h>

#define KEY   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define WS    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY
#define OTHER "Origin: https://evil.example\r\n"

static struct http *http;
static struct eio *eio;
static struct session *session;
static int nopened, nclosed, guard_result, nguarded, refuse, nhanded, can_hand;
static uint32_t handed_to;
static int closes; /* opened() closes it, for closes_why */
static enum close_reason closes_why;
static char opened_query[256], input[1024];

static struct session *on_make(void *arg)
{
    (void)arg;
    return calloc(1, sizeof(struct session));
}

static void on_release(struct session *of, void *arg)
{
    (void)arg;
    if (of == session)
        session = NULL;
    free(of);
}

static int on_opened(struct session *of, const struct http_request *req, const struct address *peer,
                     void *arg)
{
    (void)peer;
    (void)arg;
    session = of;
    nopened++;
    snprintf(opened_query, sizeof(opened_query), "%.*s", (int)req->query.len, req->query.ptr);
    if (closes)
        session_close(of, WS_CLOSE_NONE, closes_why);
    return refuse ? -1 : 0;
}

static int on_guarded(const struct http_request *req, void *arg)
{
    (void)req;
    (void)arg;
    nguarded++;
    return guard_result;
}

static void on_message(struct session *of, int binary, struct slice data, void *arg)
{
    (void)of;
    (void)binary;
    (void)arg;
    snprintf(input + strlen(input), sizeof(input) - strlen(input), "%.*s ", (int)data.len,
             data.ptr);
}

static int on_due(struct session *of, uint64_t now_ms, void *arg)
{
    (void)of;
    (void)now_ms;
    (void)arg;
    return 0;
}

static void on_closed(struct session *of, enum close_reason why, void *arg)
{
    (void)of;
    (void)arg;
    nclosed++;
    last_why = why;
}

static const struct eio_app app = {
    .make = on_make,
    .release = on_release,
    .opened = on_opened,
    .guarded = on_guarded,
    .message = on_message,
    .due = on_due,
    .closed = on_closed,
};

static int on_handoff(uint32_t process, int fd, const struct handoff_conn *known, const void *bytes,
                      size_t len, void *arg)
{
    (void)known;
    (void)fd;
    (void)bytes;
    (void)len;
    (void)arg;
    nhanded++;
    handed_to = process;
    return can_hand ? 0 : -1;
}

static int polling = 1, websocket = 1, allow_eio3 = 1, others;

static void up(void)
{
    static char *origins[] = {(char *)(uintptr_t) "https://app.example", NULL};
    struct http_options http_options = {.path = "/n/", .limits = {4096, 30}, .origins = origins};
    struct eio_options options = {.polling = polling,
                                  .websocket = websocket,
                                  .allow_eio3 = allow_eio3,
                                  .ping_interval_ms = 25000,
                                  .ping_timeout_ms = 20000,
                                  .upgrade_timeout_ms = 10000,
                                  .max_payload = 1000,
                                  .process = 300,
                                  .generation = 2};

    http_options.handoff = others ? on_handoff : NULL;
    net_up(NULL, NULL);
    http = http_new(net, &http_options);
    eio = eio_new(http, &options, &app, NULL);
    session = NULL;
    nopened = nclosed = nguarded = refuse = nhanded = 0;
    guard_result = can_hand = 1;
    input[0] = '\0';
}

static void down(void)
{
    peer_close();
    net_kill_all(net, CLOSE_SHUTDOWN);
    eio_free(&eio);
    http_free(&http);
    net_free(&net);
}

/* On a connection of its own. */
static void ask(const char *method, const char *query, const char *headers)
{
    char text[1024];
    int n = snprintf(text, sizeof(text), "%s /n/?%s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, query,
                     headers);

    conn_up(0);
    say(text, (size_t)n);
    hear();
}

/* "400 body" of what has come. */
static const char *answered(void)
{
    static char text[4096];
    const char *body = strstr(heard, "\r\n\r\n");

    if (body == NULL)
        return heard;
    snprintf(text, sizeof(text), "%.3s %.1000s", heard + 9, body + 4);
    return text;
}

static const char *error_of(enum eio_error error)
{
    static char text[128];

    snprintf(text, sizeof(text), "%d {\"code\":%d,\"message\":\"%s\"}",
             error == EIO_FORBIDDEN ? 403 : 400, (int)error, eio_error_message(error));
    return text;
}

/* Of two things that are wrong, the first in Engine.IO's order is told. */
static void test_order(void)
{
    static const struct {
        const char *method, *query, *headers;
        enum eio_error error;
    } rows[] = {
        {"POST", "EIO=2&transport=carrier", OTHER, EIO_UNKNOWN_TRANSPORT},
        {"POST", "EIO=4", OTHER, EIO_UNKNOWN_TRANSPORT},
        {"POST", "EIO=2&transport=polling&sid=x", OTHER, EIO_FORBIDDEN},
        {"POST", "EIO=2&transport=polling&sid=x", "", EIO_UNKNOWN_SID},
        {"POST", "EIO=3&transport=websocket", "", EIO_BAD_HANDSHAKE_METHOD},
        {"DELETE", "EIO=3&transport=polling", "", EIO_BAD_HANDSHAKE_METHOD},
        {"GET", "EIO=3&transport=websocket", "", EIO_BAD_REQUEST},
        {"GET", "EIO=3&transport=polling", "", EIO_UNSUPPORTED_VERSION},
        {"GET", "transport=polling", "", EIO_UNSUPPORTED_VERSION},
        {"GET", "EIO=44&transport=polling", "", EIO_UNSUPPORTED_VERSION},
        {"GET", "EIO=5&transport=polling", "", EIO_UNSUPPORTED_VERSION},
    };

    allow_eio3 = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        up();
        ask(rows[i].method, rows[i].query, rows[i].headers);
        is_str(answered(), error_of(rows[i].error), rows[i].query);
        is_int((long)eio->stats.eio_errors[rows[i].error], 1, "counted");
        is_int(nopened, 0, "nothing is opened");
        down();
    }
    allow_eio3 = 1;
}

static void test_transports_off(void)
{
    polling = 0;
    up();
    ask("GET", "EIO=4&transport=polling", "");
    is_str(answered(), error_of(EIO_UNKNOWN_TRANSPORT), "no polling");
    down();
    polling = 1;
    websocket = 0;
    up();
    ask("GET", "EIO=4&transport=websocket", WS);
    is_str(answered(), "400 Transport unknown", "no WebSocket: the bare message");
    down();
    up();
    ask("GET", "EIO=4&transport=polling", "");
    ok(strstr(heard, "\"upgrades\":[]") != NULL, "and it is not offered");
    down();
    websocket = 1;
}

static void test_open_polling(void)
{
    up();
    ask("GET", "EIO=4&transport=polling&t=1", "");
    ok(strncmp(answered(), "200 0{\"sid\":\"", 13) == 0, "the open packet");
    ok(strstr(heard, "\"upgrades\":[\"websocket\"]") != NULL, "with what it may go to");
    is_int(nopened, 1, "the application hears of it");
    is_str(opened_query, "EIO=4&transport=polling&t=1", "with its request");
    is_int(session->version, EIO4, "of revision 4");
    is_int(net->conns->nopened, 1, "opened over this connection");
    down();
    is_int(nclosed, 1, "until the end");
    up();
    ask("GET", "transport=polling&b64=1", "");
    is_int(session->version, EIO3, "without a revision it is 3");
    is_int(session->base64, 1, "which takes no binary");
    down();
    up();
    ask("GET", "EIO=%34&transport=polling", "");
    is_int(session->version, EIO4, "4 may be escaped");
    down();
    up();
    refuse = 1;
    ask("GET", "EIO=4&transport=polling", "");
    ok(strncmp(answered(), "503 ", 4) == 0, "no memory above");
    is_int((long)eio->nsessions, 0, "none is left");
    down();
}

static void test_open_websocket(void)
{
    up();
    ask("GET", "EIO=4&transport=websocket", WS);
    ok(strncmp(heard, "HTTP/1.1 101 ", 13) == 0, "upgraded");
    ok(strstr(heard, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != NULL,
       "with the key's answer");
    ok(strstr(heard, "0{\"sid\":\"") != NULL, "and the open packet");
    ok(session->ws == net->conns && net->conns->streams, "it is a WebSocket");
    down();
    is_int(nclosed, 1, "until the end");
    up();
    conn_up(0);
    {
        static const char text[] =
            "GET /n/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\n" WS "\r\n\x81\x82\0\0\0\0"
            "4a";
        say(text, sizeof(text) - 1);
    }
    is_str(input, "a ", "what comes behind the head is a frame");
    down();
    up();
    refuse = 1;
    ask("GET", "EIO=4&transport=websocket", WS);
    ok(strncmp(heard, "HTTP/1.1 101 ", 13) == 0 && is_closed(), "no memory above: it ends");
    down();
}

/* Who offers extensions is known to go on with what comes with the head. */
static void test_writes(void)
{
    static const char *const revisions[] = {"EIO=4&transport=websocket",
                                            "EIO=3&transport=websocket"};

    for (int i = 0; i < 2; i++) {
        up();
        ask("GET", revisions[i],
            WS "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
        ok(strstr(heard, "0{\"sid\":\"") != NULL, "upgraded and opened");
        ok(strstr(heard, "Extensions") == NULL, "with no extension");
        is_int((long)net->stats.writes, 1, "in one write");
        down();
        up();
        ask("GET", revisions[i], WS);
        ok(strstr(heard, "0{\"sid\":\"") != NULL, "who offers none, too");
        is_int((long)net->stats.writes, 2, "but in two");
        down();
    }
}

static void test_upgrade_refused(void)
{
    up();
    ask("GET", "EIO=4&transport=websocket",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\n" KEY);
    ok(strncmp(answered(), "426 ", 4) == 0, "another version");
    ok(strstr(heard, "Sec-WebSocket-Version: 13\r\n") != NULL, "is told which");
    down();
    up();
    ask("GET", "EIO=4&transport=websocket",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    is_str(answered(), "400 Bad request", "no key");
    ok(is_closed(), "and the end");
    down();
    up();
    ask("GET", "EIO=4&transport=websocket", WS OTHER);
    is_str(answered(), "400 Forbidden", "a page that may not");
    down();
}

/* --- a session that is there --- */

static char sid[EIO_SID_LEN + 1];

static void with_session(void)
{
    up();
    ask("GET", "EIO=4&transport=polling", "");
    session_sid(session, sid);
    peer_close();
    turns(3);
}

static const char *query(const char *of)
{
    static char text[256];

    snprintf(text, sizeof(text), "%s&sid=%s", of, sid);
    return text;
}

static void test_session(void)
{
    with_session();
    ask("GET", query("EIO=3&transport=polling"), "");
    is_str(answered(), error_of(EIO_BAD_REQUEST), "another revision");
    peer_close();
    ask("PUT", query("EIO=4&transport=polling"), "");
    ok(strncmp(answered(), "405 ", 4) == 0 && strstr(heard, "Allow: GET, POST\r\n") != NULL,
       "another method");
    peer_close();
    ask("GET", query("EIO=4&transport=polling"), "");
    is_int((long)nheard, 0, "a GET waits");
    ok(session->polling->get != NULL, "the session knows");
    peer_keep();
    ask("GET", query("EIO=4&transport=websocket"), WS);
    ok(strncmp(heard, "HTTP/1.1 101 ", 13) == 0, "a WebSocket for it");
    ok(session->polling->probe != NULL && session->ws == NULL, "which it does not have yet");
    is_int(nopened, 1, "no other is opened");
    down();
    with_session();
    ask("GET", query("EIO=4&transport=websocket"), "");
    is_str(answered(), error_of(EIO_BAD_REQUEST), "no upgrade");
    down();
}

static void test_over(void)
{
    with_session();
    session_close(session, WS_CLOSE_NONE, CLOSE_REFUSED);
    ask("GET", query("EIO=4&transport=websocket"), WS);
    is_str(answered(), "400 Session ID unknown", "over: no WebSocket for it");
    peer_close();
    ask("GET", query("EIO=4&transport=polling"), "");
    is_str(answered(), "200 1", "but a GET is told");
    ok(session == NULL, "and then it has gone");
    peer_close();
    ask("GET", query("EIO=4&transport=polling"), "");
    is_str(answered(), error_of(EIO_UNKNOWN_SID), "and is unknown");
    down();
}

/* What is due is done first, though no timer has run. */
static void test_settled(void)
{
    with_session();
    session->ping_sent = 1;
    session->overdue = 1; /* it has been looked for */
    session->heartbeat_due_ms = 1;
    session->timer.due_ms = 1;
    ask("GET", query("EIO=4&transport=polling"), "");
    is_str(answered(), error_of(EIO_UNKNOWN_SID), "its time was over");
    is_int(last_why, CLOSE_PING_TIMEOUT, "for want of a pong");
    down();
}

static void test_guarded(void)
{
    with_session();
    ask("GET", query("EIO=4&transport=polling"), "");
    is_int(nguarded, 0, "not asked unless it is guarded");
    peer_close();
    turns(3);
    down();
    with_session();
    session_guard(session, 1);
    guard_result = 0;
    ask("GET", query("EIO=4&transport=polling"), "");
    is_str(answered(), error_of(EIO_FORBIDDEN), "not its client's");
    is_int(nclosed, 0, "costs the session nothing");
    peer_close();
    ask("GET", query("EIO=4&transport=websocket"), WS);
    is_str(answered(), "400 Forbidden", "nor by WebSocket");
    peer_close();
    guard_result = 1;
    ask("GET", query("EIO=4&transport=polling"), "");
    is_int((long)nheard, 0, "its client's waits");
    down();
}

/* --- other processes --- */

static void test_elsewhere(void)
{
    struct sid_home home = {44, 2, 0};
    const uint8_t random[SID_RANDOM] = {0};

    others = 1;
    sid_encode(sid, random, &home);
    up();
    ask("GET", query("EIO=4&transport=polling"), "");
    ok(nhanded == 1 && handed_to == 44, "another's is handed over");
    down();
    up();
    can_hand = 0;
    ask("GET", query("EIO=4&transport=polling"), "");
    is_str(answered(), error_of(EIO_UNKNOWN_SID), "where there is no such process, it is unknown");
    down();
    home.process = 300;
    sid_encode(sid, random, &home);
    up();
    ask("GET", query("EIO=4&transport=polling"), "");
    is_str(answered(), error_of(EIO_UNKNOWN_SID), "our own, and not there");
    is_int(nhanded, 0, "is not handed over");
    down();
    up();
    eio->migrate_end_ms = clock_ms() + 1000;
    ask("GET", "EIO=4&transport=polling", "");
    ok(nhanded == 1 && handed_to == HTTP_SUCCESSOR, "with a successor, new ones are its");
    is_int(nopened, 0, "none is opened here");
    down();
    others = 0;
}

/* All places are users'. */
static void test_full(void)
{
    peer_options.connections_max = 2;
    up();
    ask("GET", "EIO=4&transport=polling", "");
    session_known(session);
    peer_close();
    turns(3);
    ask("GET", "EIO=4&transport=polling", "");
    session_known(session);
    peer_close();
    turns(3);
    ask("GET", "EIO=4&transport=polling", "");
    ok(strncmp(answered(), "503 ", 4) == 0, "a third is refused");
    is_int((long)eio->nsessions, 2, "the others stay");
    down();
    peer_options.connections_max = 100;
}

/* The application closes what it has just been told of. */
static void test_closed_at_once(void)
{
    closes = 1;
    closes_why = CLOSE_CLIENT;
    up();
    ask("GET", "EIO=4&transport=polling", "");
    is_str(answered(), "503 Service Unavailable", "without a word there is nothing to hear");
    is_int(nopened, 1, "it was opened");
    is_int(nclosed, 1, "and closed");
    is_int((long)eio->nsessions, 0, "and is gone");
    down();
    up();
    ask("GET", "EIO=4&transport=websocket", WS);
    is_int(nclosed, 1, "a WebSocket, too");
    is_int((long)eio->nsessions, 0, "is gone");
    ok(is_closed(), "and its connection");
    down();
    closes_why = CLOSE_REFUSED;
    up();
    ask("GET", "EIO=4&transport=polling", "");
    ok(strncmp(answered(), "200 0{", 6) == 0, "else the open packet is heard");
    is_int(session->over, 1, "of one that is over");
    down();
    closes = 0;
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    test_order();
    test_transports_off();
    test_open_polling();
    test_open_websocket();
    test_writes();
    test_upgrade_refused();
    test_session();
    test_over();
    test_settled();
    test_guarded();
    test_elsewhere();
    test_full();
    test_closed_at_once();
    event_base_free(base);
    return tap_done();
}
