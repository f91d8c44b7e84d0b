/* A session of Engine.IO with an application that is made up: opening, heartbeats,
 * deadlines, messages, the end; over WebSocket and polling. */
#include "eio/session.h"

#include "eio/polling.h"
#include "eio/websocket.h"
#include "peer.h"

#include <signal.h>

#define INTERVAL 25000
#define TIMEOUT  20000

static struct http *http;
static struct eio *eio;
static struct session *session;
static char heard_by_app[1024];
static int nopened, nclosed, nmade, nreleased, ndue, refuse, due_result;
static enum close_reason closed_why;

static struct session *on_make(void *arg)
{
    (void)arg;
    nmade++;
    return calloc(1, sizeof(struct session));
}

static void on_release(struct session *of, void *arg)
{
    (void)arg;
    nreleased++;
    if (of == session)
        session = NULL;
    free(of);
}

static int on_opened(struct session *of, const struct http_request *req, const struct address *peer,
                     void *arg)
{
    (void)req;
    (void)peer;
    (void)arg;
    session = of;
    nopened++;
    return refuse ? -1 : 0;
}

static void on_message(struct session *of, int binary, struct slice data, void *arg)
{
    size_t at = strlen(heard_by_app);

    (void)of;
    (void)arg;
    snprintf(heard_by_app + at, sizeof(heard_by_app) - at, "%c:%.*s ", binary ? 'b' : 't',
             (int)data.len, data.ptr);
}

static int on_due(struct session *of, uint64_t now_ms, void *arg)
{
    (void)arg;
    (void)now_ms;
    ndue++;
    of->app_due_ms = 0;
    if (due_result < 0)
        session_close(of, WS_CLOSE_NONE, CLOSE_EXPIRED);
    return due_result;
}

static void on_closed(struct session *of, enum close_reason why, void *arg)
{
    (void)of;
    (void)arg;
    nclosed++;
    closed_why = why;
}

static const struct eio_app app = {
    .make = on_make,
    .release = on_release,
    .opened = on_opened,
    .message = on_message,
    .due = on_due,
    .closed = on_closed,
};

static void up(void)
{
    static const struct http_options http_options = {.path = "/", .limits = {4096, 30}};
    static const struct eio_options options = {.polling = 1,
                                               .websocket = 1,
                                               .allow_eio3 = 1,
                                               .ping_interval_ms = INTERVAL,
                                               .ping_timeout_ms = TIMEOUT,
                                               .upgrade_timeout_ms = 10000,
                                               .max_payload = 100000,
                                               .process = 3,
                                               .generation = 7};

    net_up(NULL, NULL);
    http = http_new(net, &http_options);
    eio = eio_new(http, &options, &app, NULL);
    session = NULL;
    heard_by_app[0] = '\0';
    nopened = nclosed = nmade = nreleased = ndue = refuse = due_result = 0;
}

static void down(void)
{
    peer_close();
    net_kill_all(net, CLOSE_SHUTDOWN);
    eio_free(&eio);
    http_free(&http);
    net_free(&net);
    is_int(nmade, nreleased, "each session that was made was released");
}

/* A session over WebSocket, as a handshake makes it. */
static struct conn *ws_up(enum eio_version version, int base64)
{
    struct conn *conn = conn_up(0);
    struct buf in = {0};

    conn->input = calloc(1, sizeof(struct exchange));
    exchange_leave(conn, &in);
    websocket_begin(conn);
    session = session_new(eio, conn, version, base64);
    stranger_carry(conn, session);
    session_start(session, NULL, NULL);
    return conn;
}

static void polling_up(enum eio_version version)
{
    session = session_new(eio, NULL, version, 0);
    session_start(session, NULL, NULL);
}

/* Text of the frames that have come, a space behind each; "!" for a close frame. */
static const char *frames(void)
{
    static char text[4096];
    size_t out = 0;

    hear();
    for (size_t at = 0; at + 2 <= nheard;) {
        size_t len = (size_t)(heard[at + 1] & 0x7f), head = 2;
        if (len == 126) {
            len = (size_t)(unsigned char)heard[at + 2] << 8 | (unsigned char)heard[at + 3];
            head = 4;
        }
        out += (size_t)snprintf(text + out, sizeof(text) - out, "%s%.*s ",
                                (unsigned char)heard[at] == 0x88 ? "!" : "",
                                (unsigned char)heard[at] == 0x88 ? 0 : (int)len, heard + at + head);
        at += head + len;
    }
    text[out] = '\0';
    return text;
}

/* The wheel comes by at that time. */
static void timeout(uint64_t now_ms)
{
    session_timeout(&session->timer, now_ms, eio);
}

/* --- opening --- */

static void test_open(void)
{
    char want[256], sid[EIO_SID_LEN + 1];

    up();
    ws_up(EIO4, 0);
    session_sid(session, sid);
    snprintf(want, sizeof(want),
             "0{\"sid\":\"%s\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,"
             "\"maxPayload\":100000} ",
             sid);
    is_str(frames(), want, "the open packet");
    is_int(nopened, 1, "the application hears of it");
    is_int((long)eio->stats.opened[EIO_WEBSOCKET][1], 1, "it is counted");
    is_int((long)eio->stats.sessions[EIO_WEBSOCKET][1], 1, "as one that is there");
    is_int((long)net->nclients, 1, "for the other workers, too");
    ok(session_by_sid(eio, slice_str(sid)) == session, "found by its id");
    sid[EIO_SID_LEN - 1] ^= 1;
    ok(session_by_sid(eio, slice_str(sid)) == NULL, "not by another");
    ok(session_find(eio, session_handle(session)) == session, "and by its handle");
    ok(session->stranger, "it has no token yet");
    down();
    is_int(nclosed, 1, "told of the end");
    up();
    polling_up(EIO3);
    ok(session->polling->out.bytes > 0, "over polling it waits for a GET");
    down();
}

/* Without memory above, it ends, and is not told of it. */
static void test_refused(void)
{
    up();
    refuse = 1;
    ws_up(EIO4, 0);
    turns(2);
    ok(strchr(frames(), '!') == NULL, "no close frame: it is to come back");
    ok(is_closed(), "but an end");
    is_int(nclosed, 0, "the application is not told of what it did not take");
    is_int((long)eio->stats.closed[CLOSE_NO_MEMORY], 1, "it is counted");
    down();
    up();
    refuse = 1;
    polling_up(EIO4);
    is_int(nreleased, 1, "over polling it has gone at once");
    is_int(nclosed, 0, "untold");
    down();
}

/* --- heartbeats --- */

static void test_ping4(void)
{
    uint64_t due;

    up();
    ws_up(EIO4, 0);
    frames();
    due = session->heartbeat_due_ms;
    ok(due >= clock_ms() + INTERVAL - 1000 && due <= clock_ms() + INTERVAL, "pingInterval first");
    timeout(due - 1);
    is_str(frames(), "", "not yet");
    timeout(due);
    is_str(frames(), "2 ", "a ping");
    is_int((long)(session->heartbeat_due_ms - due), TIMEOUT,
           "then pingTimeout, from when it was due");
    timeout(due + TIMEOUT - 1);
    is_int(nclosed, 0, "not yet");
    session_input(session, 0, SLICE("3"));
    ok(session->heartbeat_due_ms >= clock_ms() + INTERVAL - 1000, "a pong: pingInterval again");
    is_int(session->ping_sent, 0, "none is waited for");
    timeout(session->heartbeat_due_ms);
    due = session->heartbeat_due_ms;
    timeout(due);
    is_int(nclosed, 0, "no pong in time, or it is not read yet");
    ok(session->heartbeat_due_ms > due, "for which there is a moment");
    session_input(session, 0, SLICE("3"));
    ok(session->heartbeat_due_ms >= clock_ms() + INTERVAL - 1000, "here it is");
    timeout(session->heartbeat_due_ms);
    timeout(session->heartbeat_due_ms);
    due = session->heartbeat_due_ms;
    timeout(due);
    is_int(nclosed, 1, "no pong then either");
    is_int(closed_why, CLOSE_PING_TIMEOUT, "ends it");
    down();
}

/* A ping that is late because we were not run leaves the client all of its time. */
static void test_late_ping(void)
{
    uint64_t due;

    up();
    ws_up(EIO4, 0);
    due = session->heartbeat_due_ms;
    timeout(due + TIMEOUT / 4);
    is_int((long)(session->heartbeat_due_ms - due), TIMEOUT, "a little late: from when it was due");
    down();
    up();
    ws_up(EIO4, 0);
    due = session->heartbeat_due_ms;
    timeout(due + TIMEOUT / 4 + 1);
    is_int((long)(session->heartbeat_due_ms - due), TIMEOUT + TIMEOUT / 4 + 1,
           "late by much: from now");
    down();
}

/* Who polls is not looked for again, unless we were not run. */
static void test_overdue_polling(void)
{
    for (int late = 0; late < 2; late++) {
        uint64_t due;
        up();
        polling_up(EIO4);
        timeout(session->heartbeat_due_ms);
        due = session->heartbeat_due_ms;
        timeout(due + 20 + (uint64_t)late);
        is_int(nclosed, !late, late ? "late: it may be there" : "its time is over");
        if (late) {
            is_int((long)(session->heartbeat_due_ms - due), 121, "for a tenth of a second");
            timeout(session->heartbeat_due_ms);
            is_int(nclosed, 1, "and no longer");
        }
        down();
    }
}

/* A pong that nobody asked for counts for nothing. */
static void test_unasked_pong(void)
{
    uint64_t due;

    up();
    ws_up(EIO4, 0);
    due = session->heartbeat_due_ms -= 5000;
    session_input(session, 0, SLICE("3"));
    is_int((long)session->heartbeat_due_ms, (long)due, "EIO4: it changes nothing");
    is_int(nclosed, 0, "and is no fault");
    session_input(session, 0, SLICE("2"));
    is_int(closed_why, CLOSE_PROTOCOL, "a ping from the client is");
    down();
    up();
    ws_up(EIO3, 0);
    session_input(session, 0, SLICE("3"));
    is_int(closed_why, CLOSE_PROTOCOL, "EIO3: a pong from the client is a fault");
    down();
}

static void test_ping3(void)
{
    uint64_t due;

    up();
    ws_up(EIO3, 0);
    frames();
    due = session->heartbeat_due_ms;
    ok(due >= clock_ms() + INTERVAL + TIMEOUT - 1000, "the client has both times");
    session->heartbeat_due_ms = due - 5000;
    session_input(session, 0, SLICE("2"));
    is_str(frames(), "3 ", "its ping is answered");
    ok(session->heartbeat_due_ms >= due, "and it has them again");
    session_input(session, 0, SLICE("2probe"));
    is_str(frames(), "3probe ", "a probe, too");
    session_input(session, 0, SLICE("2else"));
    is_str(frames(), "3 ", "what else it says does not come back");
    timeout(session->heartbeat_due_ms);
    is_int(nclosed, 0, "one that is late may be there, and not read yet");
    session_input(session, 0, SLICE("2"));
    is_str(frames(), "3 ", "and then is answered");
    timeout(session->heartbeat_due_ms);
    timeout(session->heartbeat_due_ms);
    is_int(closed_why, CLOSE_PING_TIMEOUT, "without one it ends");
    down();
}

/* --- the application's deadline --- */

static void test_due(void)
{
    up();
    ws_up(EIO4, 0);
    session->app_due_ms = clock_ms() + 5000;
    session_rearm(session);
    is_int((long)session->timer.due_ms, (long)session->app_due_ms, "the earlier one");
    timeout(session->app_due_ms - 1);
    is_int(ndue, 0, "not yet");
    timeout(session->app_due_ms);
    is_int(ndue, 1, "now");
    is_int((long)session->timer.due_ms, (long)session->heartbeat_due_ms, "then the heartbeat's");
    session->app_due_ms = 1;
    due_result = -1;
    timeout(clock_ms());
    is_int(closed_why, CLOSE_EXPIRED, "it may be the end");
    down();
    up();
    ws_up(EIO4, 0);
    session_settle(session);
    is_int(ndue, 0, "nothing is due");
    session->app_due_ms = clock_ms();
    session_rearm(session);
    session_settle(session);
    is_int(ndue, 1, "what is due is done, though the wheel did not come by");
    down();
}

/* --- messages --- */

static void test_messages(void)
{
    up();
    ws_up(EIO4, 0);
    frames();
    session_input(session, 0, SLICE("4hi"));
    session_input(session, 1, SLICE("bin"));
    session_input(session, 0, SLICE("6"));
    is_str(heard_by_app, "t:hi b:bin ", "text and binary");
    session_send(session, SLICE("yes"));
    session_send_binary(session, SLICE("raw"));
    is_str(frames(), "4yes raw ", "and back");
    session_input(session, 0, SLICE("1"));
    is_int(closed_why, CLOSE_CLIENT, "its close packet");
    down();
    up();
    ws_up(EIO3, 1);
    frames();
    session_send_binary(session, SLICE("\1\2"));
    is_str(frames(), "b4AQI= ", "for who takes no binary");
    session_input(session, 0, SLICE("9"));
    is_int(closed_why, CLOSE_PROTOCOL, "what is no packet");
    down();
    up();
    ws_up(EIO4, 1);
    frames();
    session_send_binary(session, SLICE("\1\2"));
    is_str(frames(), "bAQI= ", "EIO4");
    session_input(session, 0, SLICE(""));
    is_int(closed_why, CLOSE_PROTOCOL, "and nothing is none, either");
    down();
}

static void test_encoding(void)
{
    static const struct {
        enum eio_version version;
        int websocket, base64;
        enum encoding text, binary;
    } rows[] = {
        {EIO4, 1, 0, ENC_WS4, ENC_WS4},
        {EIO4, 1, 1, ENC_WS4, ENC_WS4_BASE64},
        {EIO3, 1, 0, ENC_WS4, ENC_WS3},
        {EIO3, 1, 1, ENC_WS4, ENC_WS3_BASE64},
        {EIO4, 0, 0, ENC_POLL4, ENC_POLL4},
        {EIO4, 0, 1, ENC_POLL4, ENC_POLL4},
        {EIO3, 0, 0, ENC_POLL3_TEXT, ENC_POLL3_BINARY},
        {EIO3, 0, 1, ENC_POLL3_TEXT, ENC_POLL3_TEXT},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conn conn;
        struct session one = {.version = (uint8_t)rows[i].version,
                              .base64 = (uint8_t)rows[i].base64,
                              .ws = rows[i].websocket ? &conn : NULL};
        is_int(session_encoding(&one, 0), rows[i].text, "of text");
        is_int(session_encoding(&one, 1), rows[i].binary, "of a message with attachments");
    }
}

/* --- the end --- */

static void test_close(void)
{
    uint64_t handle;

    up();
    ws_up(EIO4, 0);
    handle = session_handle(session);
    session_close(session, WS_CLOSE_NONE, CLOSE_REFUSED);
    is_int(nclosed, 1, "told at once");
    is_int(closed_why, CLOSE_REFUSED, "and why");
    ok(session == NULL && session_find(eio, handle) == NULL, "a WebSocket's session goes with it");
    is_int((long)eio->stats.closed[CLOSE_REFUSED], 1, "counted");
    is_int((long)eio->stats.sessions[EIO_WEBSOCKET][1], 0, "none is there");
    down();
    up();
    polling_up(EIO4);
    handle = session_handle(session);
    session_close(session, WS_CLOSE_NONE, CLOSE_REFUSED);
    is_int(nclosed, 1, "over polling, too");
    ok(session != NULL && session->over, "but it is there until its client has heard of it");
    ok(session_find(eio, handle) == NULL, "for no one else");
    session_close(session, WS_CLOSE_NONE, CLOSE_EXPIRED);
    is_int(nclosed, 1, "once");
    timeout(session->heartbeat_due_ms - 1);
    ok(session != NULL, "it may still come");
    timeout(session->heartbeat_due_ms);
    ok(session == NULL, "and then it may not");
    is_int((long)eio->nsessions, 0, "none is left");
    down();
}

/* A handle is of one session, whoever has its place afterwards. */
static void test_handles(void)
{
    uint64_t first;
    struct session *again;

    up();
    polling_up(EIO4);
    first = session_handle(session);
    session_end(session, CLOSE_CLIENT);
    polling_up(EIO4);
    again = session;
    is_int((long)(uint32_t)session_handle(again), (long)(uint32_t)first, "the same place");
    ok(session_handle(again) != first && session_find(eio, first) == NULL, "another handle");
    for (int i = 0; i < 63; i++)
        polling_up(EIO4);
    is_int((long)eio->nslots, 64, "as many as there are places");
    polling_up(EIO4);
    is_int((long)eio->nslots, 128, "and one more");
    ok(session_find(eio, session_handle(session)) == session, "is found");
    ok(session_find(eio, session_handle(again)) == again, "and so are the others");
    ok(session_find(eio, 128) == NULL, "past the last there is none");
    down();
}

static void test_evict(void)
{
    struct conn *conn;

    up();
    conn = ws_up(EIO4, 0);
    session_evict(session);
    is_int(closed_why, CLOSE_EVICTED, "told why");
    is_int(conn->state, CONN_DEAD, "with its connection");
    is_int((long)net->stats.strangers_evicted[STRANGER_WEBSOCKET], 1, "counted");
    down();
    up();
    polling_up(EIO4);
    session_evict(session);
    is_int(closed_why, CLOSE_EVICTED, "over polling, too");
    is_int((long)net->stats.strangers_evicted[STRANGER_POLLING], 1, "as what it was");
    down();
}

static void test_known(void)
{
    struct conn *conn;

    up();
    conn = ws_up(EIO4, 0);
    is_int((long)net->stats.strangers[STRANGER_WEBSOCKET], 1, "a stranger");
    is_int((long)net->stats.strangers[STRANGER_SOCKET], 0, "with one place");
    session_known(session);
    session_known(session);
    is_int((long)net->stats.strangers[STRANGER_WEBSOCKET], 0, "none any more");
    is_int(conn->stranger, 0, "nor is its connection");
    session_unknown(session);
    is_int((long)net->stats.strangers[STRANGER_WEBSOCKET], 1, "refused: one again");
    is_int(conn->stranger, 1, "with its connection");
    down();
    is_int(nclosed, 1, "the end");
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_open();
    test_refused();
    test_ping4();
    test_late_ping();
    test_overdue_polling();
    test_unasked_pong();
    test_ping3();
    test_due();
    test_messages();
    test_encoding();
    test_close();
    test_handles();
    test_evict();
    test_known();
    event_base_free(base);
    return tap_done();
}
