/* Frames in and out, with somebody above who only notes what comes. */
#include "eio/websocket.h"

#include "eio/session.h"
#include "peer.h"

#include <signal.h>

#define MAX 1000 /* bytes of a message */

static struct http http;
static struct eio eio;
static char messages[4096]; /* each as "t:text " or "b:text " */
static int nmessages, nclosed;
static struct conn *close_in_message; /* the next message has it closed */

static void on_message(struct conn *conn, int binary, struct slice payload)
{
    size_t at = strlen(messages);

    nmessages++;
    if (payload.len > 100)
        snprintf(messages + at, sizeof(messages) - at, "%c:%zu ", binary ? 'b' : 't', payload.len);
    else
        snprintf(messages + at, sizeof(messages) - at, "%c:%.*s ", binary ? 'b' : 't',
                 (int)payload.len, payload.ptr);
    if (close_in_message == conn)
        websocket_close(conn, WS_CLOSE_NORMAL, CLOSE_PROTOCOL);
}

static void on_gone(struct conn *conn, enum close_reason why)
{
    if (conn->owner == NULL)
        return;
    conn->owner = NULL;
    nclosed++;
    last_why = why;
}

static const struct ws_ops ops = {.message = on_message, .gone = on_gone};

static struct conn *up(void)
{
    struct conn *conn = speaker_up(0, 0);

    http = (struct http){.net = net, .arg = &eio};
    eio.ws_ops = &ops;
    eio.net = net;
    eio.options.max_payload = MAX;
    eio.stranger_message_max = MAX / 2;
    net->upper = &http;
    conn->asks_sent = 0;
    conn->owner = &eio; /* anybody */
    websocket_begin(conn);
    messages[0] = '\0';
    nmessages = nclosed = 0;
    close_in_message = NULL;
    return conn;
}

static void down(void)
{
    net_down();
    websocket_free(&eio.spare);
    eio.nspare = 0;
}

/* Writes a masked frame (mask 0) of n bytes to dst; its length is told as claim.  Returns
 * its bytes. */
static size_t frame(char *dst, int first, const char *payload, size_t n, uint64_t claim)
{
    size_t at = 0;

    dst[at++] = (char)first;
    if (claim < 126) {
        dst[at++] = (char)(0x80 | claim);
    } else if (claim < 65536) {
        dst[at++] = (char)(0x80 | 126);
        dst[at++] = (char)(claim >> 8);
        dst[at++] = (char)claim;
    } else {
        dst[at++] = (char)(0x80 | 127);
        for (int i = 7; i >= 0; i--)
            dst[at++] = (char)(claim >> 8 * i);
    }
    memset(dst + at, 0, 4);
    at += 4;
    if (n > 0)
        memcpy(dst + at, payload, n);
    return at + n;
}

static void put(int first, const char *payload, size_t n)
{
    static char bytes[100000];

    say(bytes, frame(bytes, first, payload, n, n));
}

/* The close frame that comes, as its code; 0: without one, -1: none. */
static int close_code(void)
{
    hear();
    for (size_t at = 0; at + 2 <= nheard; at += 2 + (size_t)(heard[at + 1] & 0x7f))
        if ((unsigned char)heard[at] == 0x88)
            return heard[at + 1] == 0
                       ? 0
                       : (unsigned char)heard[at + 2] << 8 | (unsigned char)heard[at + 3];
    return -1;
}

static void test_messages(void)
{
    char bytes[64];
    size_t n;

    up();
    put(0x81, "one", 3);
    put(0x82, "two", 3);
    put(0x81, "", 0);
    is_str(messages, "t:one b:two t: ", "text, binary, and nothing");
    messages[0] = '\0';
    put(0x01, "a", 1);
    put(0x00, "b", 1);
    is_str(messages, "", "not before all of it is there");
    put(0x80, "c", 1);
    is_str(messages, "t:abc ", "three frames, one message");
    messages[0] = '\0';
    n = frame(bytes, 0x81, "bytes", 5, 5);
    for (size_t i = 0; i < n; i++)
        say(bytes + i, 1);
    is_str(messages, "t:bytes ", "byte by byte");
    put(0x01, "a", 1);
    put(0x89, "ping", 4);
    put(0x80, "b", 1);
    is_str(messages, "t:bytes t:ab ", "a ping between the frames of a message");
    hear();
    is_mem(heard, nheard, "\x8a\x04ping", 6, "is answered");
    is_int(nclosed, 0, "all is well");
    down();
    is_int(nclosed, 1, "until the end");
}

/* A context is there only while something is partly read; a few are kept for others. */
static void test_spare(void)
{
    struct conn *conn = up();
    char bytes[64];
    size_t n = frame(bytes, 0x81, "x", 1, 1);

    ok(conn->input == NULL && eio.nspare == 0, "none at first");
    put(0x81, "x", 1);
    ok(conn->input == NULL && eio.nspare == 1, "a whole frame: it is for others");
    say(bytes, n - 1);
    ok(conn->input != NULL && eio.nspare == 0, "a part of a frame: it is this one's");
    say(bytes + n - 1, 1);
    ok(conn->input == NULL && eio.nspare == 1, "until the rest has come");
    put(0x01, "x", 1);
    ok(conn->input != NULL, "a part of a message, too");
    put(0x80, "x", 1);
    ok(conn->input == NULL, "until the last frame");
    put(0x01, "x", 1);
    down();
    ok(1, "and it goes with the connection");
}

/* Exactly the limit, in frames of its own and in one; one more is told so. */
static void test_size(void)
{
    char bytes[64];

    for (int part = 0; part < 2; part++) {
        for (int over = 0; over < 2; over++) {
            up();
            if (part) {
                put(0x02, letters('a', MAX - 10), MAX - 10);
                put(0x80, letters('b', 10 + (size_t)over), 10 + (size_t)over);
            } else {
                put(0x82, letters('a', MAX + (size_t)over), MAX + (size_t)over);
            }
            is_str(messages, over ? "" : "b:1000 ", over ? "one byte more" : "exactly the limit");
            is_int(close_code(), over ? 1009 : -1, over ? "is too big" : "is fine");
            is_int(nclosed, over, "and closed for it, or not");
            if (over)
                is_int(last_why, CLOSE_TOO_BIG, "with the reason");
            down();
        }
    }
    /* The head of a frame in a segment of its own, and nothing behind it. */
    for (int over = 0; over < 2; over++) {
        up();
        eio.options.max_payload = 70000;
        say(bytes, frame(bytes, 0x82, NULL, 0, 70000 + (uint64_t)over));
        is_int(nclosed, over, over ? "a claim of one byte more: at once" : "exactly: it waits");
        is_int(close_code(), over ? 1009 : -1, "the code");
        down();
    }
    up();
    say(bytes, frame(bytes, 0x82, NULL, 0, (uint64_t)1 << 62));
    is_int(close_code(), 1009, "a claim of exabytes");
    down();
}

static void test_stranger_size(void)
{
    for (int over = 0; over < 2; over++) {
        struct conn *conn = up();
        conn->stranger = 1;
        put(0x82, letters('a', MAX / 2 + (size_t)over), MAX / 2 + (size_t)over);
        is_int(nmessages, !over, over ? "one byte more" : "a stranger's limit");
        is_int(close_code(), over ? 1009 : -1, "the code");
        down();
    }
}

static void test_fragments(void)
{
    for (int over = 0; over < 2; over++) {
        up();
        put(0x01, "a", 1);
        for (int i = 0; i < 61 + over; i++)
            put(0x00, "a", 1);
        put(0x80, "a", 1);
        is_int(nmessages, !over, over ? "64 frames" : "63 frames of one message");
        is_int(close_code(), over ? 1008 : -1, over ? "are too many" : "are fine");
        down();
    }
}

/* RFC 6455, sections 5.5.1 and 7.4. */
static void test_faults(void)
{
    static const struct {
        const char *what, *bytes;
        size_t n;
        int code;
        enum close_reason why;
    } rows[] = {
        {"a close frame", "\x88\x80\0\0\0\0", 6, 0, CLOSE_CLIENT},
        {"one with a code", "\x88\x82\0\0\0\0\x03\xe8", 8, 1000, CLOSE_CLIENT},
        {"with half a code", "\x88\x81\0\0\0\0\x03", 7, 1002, CLOSE_PROTOCOL},
        {"with a code that there is none of", "\x88\x82\0\0\0\0\x03\xed", 8, 1002, CLOSE_PROTOCOL},
        {"a frame that is not masked", "\x81\x01x", 3, 1002, CLOSE_PROTOCOL},
        {"a reserved bit", "\xc1\x81\0\0\0\0x", 7, 1002, CLOSE_PROTOCOL},
        {"an opcode that there is none of", "\x83\x81\0\0\0\0x", 7, 1002, CLOSE_PROTOCOL},
        {"a continuation of nothing", "\x80\x81\0\0\0\0x", 7, 1002, CLOSE_PROTOCOL},
        {"a ping in two frames", "\x09\x81\0\0\0\0x", 7, 1002, CLOSE_PROTOCOL},
        {"text that is no UTF-8", "\x81\x81\0\0\0\0\xff", 7, 1007, CLOSE_PROTOCOL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conn *conn = up();
        say(rows[i].bytes, rows[i].n);
        is_int(close_code(), rows[i].code, rows[i].what);
        is_int(nclosed, 1, "is told above");
        is_int(last_why, rows[i].why, "and why");
        is_int(conn->state, CONN_LINGER, "then it lingers");
        put(0x81, "late", 4);
        is_str(messages, "", "and nothing more is heard");
        down();
        is_int(nclosed, 1, "it is told once");
    }
}

/* Closed from above: with a frame, or, where the client is to come back, without. */
static void test_close(void)
{
    for (int why = 0; why < CLOSE_REASONS; why++) {
        struct conn *conn = up();
        websocket_close(conn, WS_CLOSE_POLICY, (enum close_reason)why);
        is_int(close_code(), close_may_return((enum close_reason)why) ? -1 : 1008,
               close_reason_name((enum close_reason)why));
        ok(is_closed(), "then FIN");
        is_int(nclosed, 1, "its owner is told");
        is_int(last_why, why, "and why");
        ok(!websocket_is_open(conn), "it is closed");
        websocket_close(conn, WS_CLOSE_POLICY, CLOSE_CLIENT);
        is_int(nclosed, 1, "once");
        down();
    }
}

/* What comes behind a message that had it closed is not heard. */
static void test_closed_amid(void)
{
    char bytes[64];
    size_t n;

    up();
    n = frame(bytes, 0x81, "one", 3, 3);
    n += frame(bytes + n, 0x81, "two", 3, 3);
    close_in_message = net->conns;
    say(bytes, n);
    is_str(messages, "t:one ", "the second is not heard");
    is_int(nclosed, 1, "closed once");
    down();
}

/* Pings of who reads no pongs. */
static void test_pings(void)
{
    struct conn *conn = up();

    conn->blocked = 1;
    for (int i = 0; i < 100; i++)
        put(0x89, "", 0);
    is_int(conn->closing, 0, "a hundred");
    put(0x89, "", 0);
    is_int(nclosed, 1, "and one");
    is_int(last_why, CLOSE_PROTOCOL, "is one too many");
    down();
}

static void test_pong(void)
{
    up();
    put(0x8a, "", 0);
    put(0x8a, "unasked", 7);
    is_int(nclosed, 0, "a pong that nobody asked for does no harm");
    hear();
    is_int((long)nheard, 0, "and is not answered");
    down();
}

static void test_put(void)
{
    static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536};
    static const size_t heads[] = {2, 2, 2, 4, 4, 10};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct conn *conn = up();
        is_int(websocket_put(conn, WS_BINARY, letters('p', sizes[i]), sizes[i]), 0, "a frame");
        hear();
        is_int((long)nheard, (long)(heads[i] + sizes[i]), "with the head that its length needs");
        is_int((unsigned char)heard[0], 0x82, "whole, and binary");
        ok(sizes[i] == 0 || heard[nheard - 1] == 'p', "to its last byte");
        down();
    }
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_messages();
    test_spare();
    test_size();
    test_stranger_size();
    test_fragments();
    test_faults();
    test_close();
    test_closed_amid();
    test_pings();
    test_pong();
    test_put();
    event_base_free(base);
    return tap_done();
}
