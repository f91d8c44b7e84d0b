/* Long-polling, with a session that is made up: what its GETs and POSTs get, and what is
 * asked of the session. */
#include "eio/polling.h"

#include "eio/websocket.h"
#include "peer.h"

#include <signal.h>

#define BUFFER  20000
#define PAYLOAD 1000 /* bytes of a POST */

static struct http *http;
static struct eio eio;
static struct session *session;
static char packets[4096]; /* each as "type:data " */
static int nfaults, ntold, ndue, nlost;
static enum close_reason fault_why, told_why;
static uint64_t lost_leaving;

/* --- the session --- */

static void on_packet(struct session *of, const struct eio_packet *packet)
{
    size_t at = strlen(packets);

    (void)of;
    snprintf(packets + at, sizeof(packets) - at, "%d:%.*s ", (int)packet->type,
             (int)packet->data.len, packet->data.ptr);
}

static void on_fault(struct session *of, enum close_reason why)
{
    (void)of;
    nfaults++;
    fault_why = why;
}

static void on_told(struct session *of, enum close_reason why)
{
    (void)of;
    ntold++;
    told_why = why;
}

static void on_due(struct session *of)
{
    (void)of;
    ndue++;
}

static const struct polling_ops session_ops = {on_packet, on_fault, on_told, on_due};

/* --- what HTTP asks, passed on as handshake.c does --- */

static void on_request(struct conn *conn, const struct http_request *req, size_t head_len)
{
    (void)head_len;
    polling_read(conn, req);
    if (slice_eq(req->method, SLICE("GET")))
        polling_get(conn, session);
    else
        polling_post(conn, session, req);
}

static void on_body(struct conn *conn, int status)
{
    if (status == 0)
        polling_posted(conn);
    else
        polling_post_failed(conn, status);
}

static void on_lost(struct conn *conn, enum close_reason why)
{
    (void)why;
    nlost++;
    lost_leaving = conn->leaving;
    if (conn->owner == session && session != NULL)
        polling_conn_gone(session, conn);
    conn->owner = NULL;
}

static void on_error(struct conn *conn, enum http_fault fault)
{
    (void)fault;
    eio_refuse(conn, EIO_UNKNOWN_SID);
}

static const struct http_app http_app = {
    .request = on_request,
    .body = on_body,
    .ready = polling_flush,
    .lost = on_lost,
    .error = on_error,
};

static void on_ws_message(struct conn *conn, int binary, struct slice payload)
{
    (void)conn;
    (void)binary;
    (void)payload;
}

static void on_ws_gone(struct conn *conn, enum close_reason why)
{
    (void)why;
    conn->owner = NULL;
}

static const struct ws_ops ws_ops = {on_ws_message, on_ws_gone};

/* --- --- */

static void up(enum eio_version version)
{
    static const struct http_options options = {.path = "/", .limits = {4096, 30}};

    peer_options.send_buffer = BUFFER;
    net_up(NULL, NULL);
    http = http_new(net, &options);
    http_serves(http, &http_app, &eio);
    eio = (struct eio){.net = net,
                       .http = http,
                       .options = {.max_payload = PAYLOAD},
                       .polling_ops = &session_ops,
                       .ws_ops = &ws_ops,
                       .free_slot = UINT32_MAX,
                       .stranger_message_max = PAYLOAD / 2};
    for (int i = 0; i < ENCODINGS; i++) {
        eio.logs[i].kind = (uint8_t)i;
        eio.logs[i].chunks = &net->chunks;
    }
    session = calloc(1, sizeof(*session));
    session->polling = calloc(1, sizeof(*session->polling));
    session->eio = &eio;
    session->version = (uint8_t)version;
    handle_add(&eio, session);
    packets[0] = '\0';
    nfaults = ntold = ndue = nlost = 0;
}

static void down(void)
{
    peer_close();
    net_kill_all(net, CLOSE_SHUTDOWN);
    session->polling->get = session->polling->post = session->polling->probe = NULL;
    polling_free(session, CLOSE_SHUTDOWN);
    free(session);
    session = NULL;
    for (int i = 0; i < ENCODINGS; i++)
        chunklog_clear(&eio.logs[i]);
    free(eio.slots);
    free(eio.blocks);
    buf_free(&eio.scratch);
    websocket_free(&eio.spare);
    http_free(&http);
    net_free(&net);
}

static void get(const char *query)
{
    char text[256];

    conn_up(0);
    say(text, (size_t)snprintf(text, sizeof(text), "GET /?%s HTTP/1.1\r\nHost: h\r\n\r\n", query));
}

static void post(const char *type, const char *body, size_t len)
{
    static char text[100000];
    int n =
        snprintf(text, sizeof(text),
                 "POST /? HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                 type, len);

    conn_up(0);
    memcpy(text + n, body, len);
    say(text, (size_t)n + len);
}

/* "200 body" of the answer that has come; "": none. */
static const char *answered(void)
{
    static char text[1 << 16];
    const char *body;

    hear();
    body = strstr(heard, "\r\n\r\n");
    if (body == NULL)
        return "";
    snprintf(text, sizeof(text), "%.3s %s", heard + 9, body + 4);
    return text;
}

static void put(const char *text)
{
    polling_put(session, text, strlen(text));
}

/* --- output --- */

/* Over a connection that a worker carries which is about to go. */
static void test_get_last(void)
{
    struct conn *conn;

    up(EIO4);
    conn = conn_up(0);
    conn->last = 1;
    say("GET /? HTTP/1.1\r\nHost: h\r\n\r\n", 28);
    is_str(answered(), "200 6", "a GET has its answer at once");
    ok(strstr(heard, "Connection: close") != NULL, "and the next comes over another connection");
    down();
}

static void test_get(void)
{
    up(EIO4);
    get("");
    is_str(answered(), "", "with nothing to say it waits");
    ok(session->polling->get != NULL, "and the session knows");
    put("4one");
    put("4two");
    is_str(answered(),
           "200 4one\x1e"
           "4two",
           "what comes in one turn, in one answer");
    ok(strstr(heard, "text/plain; charset=UTF-8") != NULL, "as text");
    ok(strstr(heard, "Cache-Control: no-store") != NULL, "that nobody keeps");
    ok(session->polling->get == NULL, "no GET is there any more");
    is_int((long)session->polling->waiting_since_ms, 0, "and nothing waits");
    put("4three");
    ok(session->polling->waiting_since_ms != 0, "now something does");
    peer_close();
    get("");
    is_str(answered(), "200 4three", "for the next");
    is_int(nfaults + ntold, 0, "all is well");
    down();
}

static void test_jsonp(void)
{
    up(EIO4);
    put("4\"x\"");
    get("j=7a1");
    is_str(answered(), "200 ___eio[71](\"4\\\"x\\\"\");", "a script, of digits only");
    ok(strstr(heard, "text/javascript") != NULL, "says what it is");
    down();
}

/* Text and binary go as payloads of their own, in order. */
static void test_kinds(void)
{
    up(EIO3);
    polling_put(session, "4a", 2);
    polling_put_message(session, 1, (struct slice){"\1\2", 2});
    polling_put(session, "4b", 2);
    get("");
    is_str(answered(), "200 2:4a", "EIO3: the text");
    peer_close();
    get("");
    hear();
    ok(strstr(heard, "application/octet-stream") != NULL, "then the binary one");
    peer_close();
    get("");
    is_str(answered(), "200 2:4b", "then the text behind it");
    down();
    up(EIO4);
    polling_put(session, "4a", 2);
    polling_put_message(session, 1, (struct slice){"\1\2", 2});
    get("");
    is_str(answered(),
           "200 4a\x1e"
           "bAQI=",
           "EIO4: both at once");
    down();
}

/* Beside the first exactly the limit; one more ends it, for what was lost was promised. */
static void test_limit(void)
{
    for (int over = 0; over < 2; over++) {
        struct run run;
        size_t len = BUFFER + (size_t)over;
        up(EIO4);
        chunklog_put(&eio.logs[ENC_POLL4], letters('a', 100), 100, &run);
        is_int(polling_push(session, &run), 0, "the first");
        chunklog_put(&eio.logs[ENC_POLL4], letters('b', len), len, &run);
        is_int(polling_push(session, &run), -over, over ? "one byte more" : "exactly the limit");
        is_int(session->polling->closing, over, "is lost, or not");
        is_int(nfaults, 0, "the session does not end here");
        if (over) {
            is_int((long)polling_due(session), 1, "but is due");
            is_int(polling_timeout(session, clock_ms()), -1, "and then");
            is_int(nfaults, 1, "it is to be closed");
            is_int(fault_why, CLOSE_SEND_BUFFER, "for that");
            is_int(polling_push(session, &run), -1, "nothing more is taken");
        }
        down();
    }
}

static void test_large(void)
{
    struct run run;

    up(EIO4);
    chunklog_put(&eio.logs[ENC_POLL4], letters('a', BUFFER + 1), BUFFER + 1, &run);
    is_int(polling_push(session, &run), 0, "into an empty queue any length");
    chunklog_put(&eio.logs[ENC_POLL4], letters('b', 1000), 1000, &run);
    is_int(polling_push(session, &run), 0, "beside which others may wait as beside any");
    get("");
    hear();
    ok(nheard > BUFFER + 1000, "all of it comes");
    is_int((long)session->polling->exempt_bytes, 0, "then nothing is let off any more");
    down();
    up(EIO4);
    get("");
    for (int i = 0; i < 2; i++) {
        chunklog_put(&eio.logs[ENC_POLL4], letters('a', BUFFER - 10), BUFFER - 10, &run);
        is_int(polling_push(session, &run), 0, "what a GET is there for does not count");
        if (i == 0)
            ok(session->polling->get != NULL, "it waits for more");
    }
    down();
    up(EIO4);
    session->stranger = 1;
    chunklog_put(&eio.logs[ENC_POLL4], letters('a', 4097), 4097, &run);
    is_int(polling_push(session, &run), -1, "of a stranger not even the first");
    down();
}

/* sendTimeout counts from the first that waits. */
static void test_stall(void)
{
    uint64_t since;

    up(EIO4);
    is_int((long)polling_due(session), 0, "nothing is due");
    put("4a");
    since = session->polling->waiting_since_ms = 5000;
    put("4b");
    is_int((long)session->polling->waiting_since_ms, (long)since, "the second changes nothing");
    is_int((long)polling_due(session), 65000, "sendTimeout after the first");
    is_int(polling_timeout(session, 64999), 0, "not yet");
    is_int(polling_timeout(session, 65000), -1, "now");
    is_int(fault_why, CLOSE_SEND_TIMEOUT, "it did not come");
    get("");
    is_str(answered(),
           "200 4a\x1e"
           "4b",
           "it comes");
    is_int((long)polling_due(session), 0, "nothing is due");
    put("4c");
    ok(session->polling->waiting_since_ms > since, "waits again: counted anew");
    down();
}

/* --- input --- */

static void test_post(void)
{
    up(EIO4);
    post("text/plain",
         "4a\x1e"
         "4b",
         5);
    is_str(answered(), "200 ok", "a payload");
    is_str(packets, "4:a 4:b ", "its packets");
    ok(session->polling->post == NULL, "and it is over");
    peer_close();
    post("text/plain", letters('4', PAYLOAD), PAYLOAD);
    is_str(answered(), "200 ok", "exactly the limit");
    peer_close();
    post("text/plain", letters('4', PAYLOAD + 1), PAYLOAD + 1);
    is_str(answered(), "413 ", "one byte more");
    is_int(nfaults + ntold, 0, "costs the session nothing");
    peer_close();
    session->stranger = 1;
    post("text/plain", letters('4', PAYLOAD / 2 + 1), PAYLOAD / 2 + 1);
    is_str(answered(), "413 ", "of a stranger, half of it");
    down();
}

static void test_malformed(void)
{
    up(EIO4);
    post("text/plain", "9", 1);
    is_str(answered(), "200 ok", "no packet");
    is_int(ntold, 1, "with no GET there the session just ends");
    is_int(told_why, CLOSE_PROTOCOL, "and why");
    down();
    up(EIO4);
    get("");
    peer_keep();
    post("text/plain", "9", 1);
    is_int(nfaults, 1, "a GET that waits is told");
    is_int(ntold, 0, "first");
    down();
    up(EIO4);
    post("application/octet-stream", "\1", 1);
    is_str(answered(), "400 ", "EIO4 has no binary payload");
    ok(strstr(heard, "Connection: close") != NULL, "and the connection ends with it");
    is_int(ntold, 1, "nor has the session a future");
    down();
}

static void test_overlap(void)
{
    up(EIO4);
    get("");
    peer_keep();
    get("");
    is_str(answered(), "400 ", "a second GET");
    is_int(nfaults, 1, "is a fault");
    is_int(fault_why, CLOSE_PROTOCOL, "of the client");
    down();
    up(EIO4);
    conn_up(0);
    say("POST /? HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n4a", 49);
    ok(session->polling->post != NULL, "a POST that has come in part");
    peer_keep();
    post("text/plain", "4b", 2);
    is_str(answered(), "400 ", "a second POST");
    is_int(nfaults, 1, "is a fault");
    down();
}

/* A body that ends before it is whole. */
static void test_cut(void)
{
    up(EIO4);
    conn_up(0);
    say("POST /? HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n4a", 49);
    peer_close();
    turns(3);
    is_int(nfaults, 1, "packets are lost");
    is_int(fault_why, CLOSE_CLIENT, "with the connection");
    ok(session->polling->post == NULL, "which has gone");
    down();
    up(EIO4);
    get("");
    peer_close();
    turns(3);
    is_int(nfaults, 1, "a GET that goes, too");
    ok(session->polling->get == NULL, "is forgotten");
    down();
}

/* What has not left of an answer is known by whose it is. */
static void test_leaving(void)
{
    struct run run;

    up(EIO4);
    chunklog_put(&eio.logs[ENC_POLL4], letters('a', 500000), 500000, &run);
    polling_push(session, &run);
    conn_up(4608);
    say("GET /? HTTP/1.1\r\nHost: h\r\n\r\n", 28);
    turns(2);
    is_int((long)net->conns->leaving, (long)session_handle(session), "the session's");
    ok(net->conns->owner == NULL, "which it does not carry any more");
    peer_close();
    turns(3);
    is_int(nlost, 1, "and if it goes");
    is_int((long)lost_leaving, (long)session_handle(session), "it is said whose answer is lost");
    down();
}

/* --- the end --- */

/* What a client hears of it: nothing, an unknown session, or a packet of its own. */
static void test_part(void)
{
    for (int why = 0; why < CLOSE_REASONS; why++) {
        const char *name = close_reason_name((enum close_reason)why);
        int silent = close_may_return((enum close_reason)why) && why != CLOSE_SHUTDOWN;
        int gone;
        up(EIO4);
        get("");
        session->over = 1;
        gone = polling_part(session, (enum close_reason)why);
        is_int(gone, silent, name);
        if (silent)
            is_str(answered(), "400 {\"code\":1,\"message\":\"Session ID unknown\"}",
                   "its GET finds no session");
        else
            is_str(answered(), why == CLOSE_CLIENT ? "200 6" : "200 1", "its GET is told");
        is_int(ntold, !silent, "and then nothing refers to it");
        down();
        up(EIO4);
        session->over = 1;
        gone = polling_part(session, (enum close_reason)why);
        is_int(gone, silent || why == CLOSE_CLIENT, "without a GET");
        if (!gone) {
            ok(session->heartbeat_due_ms > clock_ms() + 5000, "the word waits for one");
            get("");
            is_str(answered(), "200 1", "which is told");
        }
        down();
    }
}

/* What waits comes before the word, in an answer of its own. */
static void test_last_word(void)
{
    up(EIO4);
    put("4last");
    session->over = 1;
    is_int(polling_part(session, CLOSE_REFUSED), 0, "it is over");
    get("");
    is_str(answered(), "200 4last", "what waited");
    is_int(ntold, 0, "not told yet");
    peer_close();
    get("");
    is_str(answered(), "200 1", "then the word");
    is_int(ntold, 1, "now it is");
    down();
    up(EIO4);
    put("4last");
    session->over = 1;
    is_int(polling_part(session, CLOSE_PING_TIMEOUT), 1, "who seems to have left needs no word");
    is_int((long)net->stats.discarded_bytes[CLOSE_PING_TIMEOUT], 6, "what waited is counted");
    down();
    up(EIO4);
    eio.migrate_end_ms = 12345;
    session->over = 1;
    polling_part(session, CLOSE_SHUTDOWN);
    is_int((long)session->heartbeat_due_ms, 12345, "with a successor: until the end of that");
    down();
}

/* A POST goes with its session. */
static void test_part_post(void)
{
    up(EIO4);
    conn_up(0);
    say("POST /? HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n4a", 49);
    session->over = 1;
    polling_part(session, CLOSE_EXPIRED);
    ok(session->polling->post == NULL, "it is nobody's");
    ok(is_closed(), "and ends");
    is_int(nfaults, 0, "which is no fault");
    down();
}

/* --- a WebSocket that wants to take over --- */

static struct conn *probe_up(void)
{
    struct buf in = {0};
    struct conn *probe;

    if (peer_fd >= 0)
        peer_keep();
    probe = conn_up(0);
    probe->input = calloc(1, sizeof(struct exchange));
    exchange_leave(probe, &in);
    websocket_begin(probe);
    stranger_carry(probe, session);
    session->polling->probe = probe;
    session->polling->probe_due_ms = 7000;
    return probe;
}

static void test_probe(void)
{
    up(EIO4);
    probe_up();
    is_int((long)polling_due(session), 7000, "it has upgradeTimeout");
    is_int(polling_timeout(session, 6999), 0, "not yet");
    ok(session->polling->probe != NULL, "it may still come");
    is_int(polling_timeout(session, 7000), 0, "its time is over, the session's is not");
    ok(session->polling->probe == NULL, "it is not waited for");
    is_mem(hear(), 2, "\x88\x00", 2, "it is closed");
    is_int((long)eio.stats.upgrades_failed, 1, "and counted");
    is_int((long)polling_due(session), 0, "nothing is due");
    down();
    up(EIO4);
    probe_up();
    session->polling->probed = 1;
    peer_keep();
    get("");
    is_str(answered(), "200 6", "a GET beside it is answered at once");
    down();
}

static void test_probe_gone(void)
{
    struct conn *probe;

    up(EIO4);
    probe = probe_up();
    session->polling->probed = 1;
    polling_conn_gone(session, probe);
    ok(session->polling->probe == NULL && !session->polling->probed, "the session polls on");
    is_int(nfaults, 0, "without a fault");
    is_int((long)eio.stats.upgrades_failed, 1, "and it is counted");
    probe->owner = NULL;
    down();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_get();
    test_get_last();
    test_jsonp();
    test_kinds();
    test_limit();
    test_large();
    test_stall();
    test_post();
    test_malformed();
    test_overlap();
    test_cut();
    test_leaving();
    test_part();
    test_last_word();
    test_part_post();
    test_probe();
    test_probe_gone();
    event_base_free(base);
    return tap_done();
}
