/* Socket.IO on a WebSocket, with an application that is made up: joining and leaving, ids,
 * deadlines, attachments, fan-outs. */
#include "sio/socket.h"

#include "eio/polling.h"
#include "socket_world.h"

#include <signal.h>

/* --- ------------------------------------------------------------------------------ */

static void test_ids(void)
{
    char first[SIO_SID_MAX], second[SIO_SID_MAX];
    size_t first_len, second_len;

    up();
    tell("40/axr,");
    is_int(nconnects, 1, "it asks for the namespace");
    first_len = socket_sid(socket_, first);
    ok(socket_by_sid(&sio, (struct slice){first, first_len}) == NULL, "no room before it is in");
    socket_accept(socket_, NULL);
    first_len = socket_sid(socket_, first);
    ok(has("40/axr,{\"sid\":\""), "it is let in");
    ok(memmem(heard, nheard, first, first_len) != NULL, "with its id");
    ok(socket_by_sid(&sio, (struct slice){first, first_len}) == socket_, "which is a room");
    ok(socket_in_sid(&sio, (struct slice){first, first_len}) == socket_, "in which it is");
    socket_->sidless = 1;
    ok(socket_in_sid(&sio, (struct slice){first, first_len}) == NULL, "until it leaves it");
    ok(socket_by_sid(&sio, (struct slice){first, first_len}) == socket_, "though it has the id");
    tell("41/axr,");
    is_int(nleft, 1, "it leaves");
    is_int(left_why, CLOSE_LEFT, "by itself");
    ok(socket_by_sid(&sio, (struct slice){first, first_len}) == NULL, "its id is no room any more");
    join();
    second_len = socket_sid(socket_, second);
    ok(first_len == second_len && memcmp(first, second, first_len) != 0,
       "let in again it has another id");
    ok(socket_in_sid(&sio, (struct slice){second, second_len}) == socket_, "which is a room");
    ok(socket_by_sid(&sio, (struct slice){first, first_len}) == NULL, "and the old one is none");
    down();
}

/* What was set for a namespace that was left ends nobody. */
static void test_deadlines(void)
{
    up();
    ok(socket_->connect_due_ms != 0, "it has a while to ask");
    is_int((long)(socket_->connect_due_ms - socket_opened_ms(socket_)), 45000,
           "since it was opened");
    join();
    is_int((long)socket_->connect_due_ms, 0, "which is over when it is in");
    is_int((long)socket_opened_ms(socket_), 0, "and since when is forgotten");
    socket_expire(socket_, clock_ms() + 5000);
    is_int((long)(socket_->session.app_due_ms - socket_->expire_due_ms), 0, "a deadline");
    tell("41/axr,");
    is_int((long)socket_->expire_due_ms, 0, "goes with the namespace");
    is_int((long)socket_->session.app_due_ms, 0, "and nothing is due");
    join();
    socket_expire(socket_, clock_ms() - 1);
    session_settle(&socket_->session);
    turns(3);
    is_int(nclosed, 1, "in again: a new one ends it");
    is_int(closed_why, CLOSE_EXPIRED, "for that");
    is_int(left_why, CLOSE_EXPIRED, "which is said of both");
    down();
    up();
    join();
    socket_expire(socket_, clock_ms() + 5000);
    tell("41/axr,");
    tell("40/axr,");
    socket_->expire_due_ms = clock_ms() + 6000; /* of whatever was before */
    socket_accept(socket_, NULL);
    is_int((long)socket_->expire_due_ms, 0, "no deadline from before holds");
    down();
}

/* A packet with its attachments may have so many bytes, all together. */
static void test_attachments(void)
{
    static const char text[] = "451-/axr,[\"e\",{\"_placeholder\":true,\"num\":0}]";
    size_t room = PAYLOAD - (sizeof(text) - 1) + 1; /* without the message's digit */
    static char bytes[PAYLOAD + 1];

    for (int over = 0; over < 2; over++) {
        up();
        join();
        tell(text);
        is_int(npackets, 0, "it waits for its attachment");
        frame(2, bytes, room + (size_t)over);
        is_int(npackets, !over, over ? "one byte too many" : "exactly as many as may be");
        is_int((long)first_attachment.len, over ? (long)first_attachment.len : (long)room,
               "is all there");
        is_int(nclosed, over, over ? "ends it" : "and it goes on");
        if (over)
            is_int(closed_why, CLOSE_TOO_BIG, "for that");
        down();
    }
}

/* What is collected when it leaves is for nobody. */
static void test_left_midway(void)
{
    up();
    join();
    wanted = 1;
    tell("461-/axr,9[{\"_placeholder\":true,\"num\":0}]");
    is_int(nwants, 1, "it is asked whether it is wanted");
    frame(2, "\1", 1);
    is_int(npackets, 1, "wanted: told when it is there");
    tell("461-/axr,9[{\"_placeholder\":true,\"num\":0}]");
    socket_->nsp = NSP_LEFT; /* as one that was put out is */
    frame(2, "\1", 1);
    is_int(npackets, 1, "not when it is not in any more");
    is_int(nclosed, 0, "which is no fault");
    socket_->nsp = NSP_JOINED;
    wanted = 0;
    tell("462-/axr,9[]");
    ok(socket_->inbound == NULL, "not wanted: nothing is kept");
    frame(2, "\1", 1);
    frame(2, "\1", 1);
    is_int(npackets, 1, "nor told");
    is_int(nwants, 3, "it was asked each time");
    tell("42/axr,[\"e\"]");
    is_int(npackets, 2, "text is told unasked");
    is_int(nwants, 3, "of that nobody is asked");
    wanted = 1;
    tell("461-/axr,9[]");
    sio.inbounds.bytes += INBOUND_MAX_BYTES; /* as if others had so much */
    frame(2, "\1", 1);
    sio.inbounds.bytes -= INBOUND_MAX_BYTES;
    is_int(npackets, 3, "the one that has grown last is not given up");
    down();
}

/* Whether it has been in since a fan-out. */
static void test_was_in(void)
{
    struct fanout before, after;

    up();
    fanout_begin(&sio, &before, SLICE("[\"e\",1"), NULL, 0, 0);
    fanout_end(&before);
    ok(!socket_was_in(socket_, before.serial), "it is not in");
    join();
    ok(!socket_was_in(socket_, before.serial), "not since before it came");
    fanout_begin(&sio, &after, SLICE("[\"e\",1"), NULL, 0, 0);
    fanout_end(&after);
    ok(socket_was_in(socket_, after.serial), "since it came");
    tell("41/axr,");
    ok(!socket_was_in(socket_, after.serial), "not when it has left");
    join();
    ok(!socket_was_in(socket_, after.serial), "nor when it is back");
    down();
}

/* Put out of the namespace: as if it had left by itself. */
static void test_put_out(void)
{
    uint64_t mark;
    uint32_t place = 0;

    up();
    ok(socket_next(&sio, &place) == NULL, "nobody is in");
    join();
    place = 0;
    ok(socket_next(&sio, &place) == socket_ && socket_next(&sio, &place) == NULL, "one is");
    mark = socket_new_mark(&sio);
    is_int(socket_mark(socket_, mark), 1, "it gets a mark");
    is_int(socket_mark(socket_, mark), 0, "once");
    is_int(socket_mark(socket_, socket_new_mark(&sio)), 1, "and another");
    socket_expire(socket_, clock_ms() + 5000);
    tell("40/two,");
    hear();
    socket_leave(socket_, CLOSE_DISCONNECTED);
    ok(has("41/axr,") && memmem(heard, nheard, "41/two,", 7) == NULL, "it is told");
    is_int(left_why, CLOSE_DISCONNECTED, "and so is the application");
    is_int(nclosed, 0, "it is still there");
    is_int((long)socket_->session.app_due_ms, 0, "and nothing is due");
    place = 0;
    ok(socket_next(&sio, &place) == NULL, "but not in");
    tell("42/axr,[\"e\"]");
    is_int(npackets, 0, "what it says is for nobody");
    join();
    is_int(nconnects, 2, "it may ask again");
    place = 0;
    ok(socket_next(&sio, &place) == socket_, "and is in again");
    down();
}

/* Disconnected: all that it is in hears of it. */
static void test_disconnect_all(void)
{
    const uint8_t *two, *root, *ours;

    up();
    tell("40/two,");
    tell("40");
    join();
    socket_disconnect_all(socket_, CLOSE_DISCONNECTED);
    turns(3);
    is_int(nclosed, 1, "it is closed");
    is_int(closed_why == CLOSE_DISCONNECTED && left_why == CLOSE_DISCONNECTED, 1, "for that");
    ok(has("41"), "after a word");
    root = memmem(heard, nheard,
                  "\x81\x02"
                  "41",
                  4);
    two = memmem(heard, nheard, "41/two,", 7);
    ours = memmem(heard, nheard, "41/axr,", 7);
    ok(root != NULL && two > root && ours > two, "for each namespace, ours last");
    ok(memmem(heard, nheard, "41/one,", 7) == NULL, "but for none that it is not in");
    down();
}

static void test_refusals(void)
{
    int asked;

    up();
    for (int i = 0; i < 20; i++) {
        tell("40/axr,");
        if (nconnects > i)
            socket_refuse(socket_, "no", "token_missing");
    }
    asked = nconnects;
    is_int(asked, 10, "who is refused is judged ten times, and no more");
    is_int(nleft + nclosed, 0, "and may leave by himself");
    ok(has("44/axr,{\"message\":\"no\",\"data\":{\"code\":\"token_missing\"}}"), "told why");
    ok(socket_->expire_due_ms != 0 && socket_->session.stranger, "within a while, as a stranger");
    down();
}

static void test_fanout(void)
{
    struct fanout fanout;

    up();
    fanout_begin(&sio, &fanout, SLICE("[\"e\",1"), NULL, 0, 0);
    is_int(fanout_send(&fanout, socket_), 0, "who is not in gets nothing");
    fanout_end(&fanout);
    join();
    fanout_begin(&sio, &fanout, SLICE("[\"e\",2"), NULL, 0, 0);
    fanout_received(&fanout, clock_us() - 50000000);
    is_int(fanout_send(&fanout, socket_), 1, "who is, once");
    is_int(fanout_send(&fanout, socket_), 0, "in however many rooms");
    fanout_end(&fanout);
    fanout_begin(&sio, &fanout, SLICE("[\"e\",3"), NULL, 0, 0);
    fanout_received(&fanout, clock_us());
    fanout_except(&fanout, socket_);
    is_int(fanout_send(&fanout, socket_), 0, "not who is excepted");
    fanout_end(&fanout);
    fanout_begin(&sio, &fanout, SLICE("[\"e\",4"), NULL, 0, 0);
    fanout_received(&fanout, clock_us());
    is_int(fanout_send(&fanout, socket_), 1, "but the next one");
    fanout_end(&fanout);
    fanout_begin(&sio, &fanout, SLICE("[\"e\",5"), NULL, 0, 0);
    fanout_ack(&fanout, 17);
    is_int(fanout_concerns(&fanout, socket_), 1, "it is meant");
    is_int(fanout_send(&fanout, socket_), 1, "to acknowledge one");
    is_int(fanout_concerns(&fanout, socket_), 0, "once");
    fanout_end(&fanout);
    fanout_begin(&sio, &fanout, SLICE("[\"e\",6"), NULL, 0, 0);
    fanout_except(&fanout, socket_);
    is_int(fanout_concerns(&fanout, socket_), 0, "not if it is excepted");
    fanout_end(&fanout);
    ok(has("42/axr,[\"e\",2]") && memmem(heard, nheard, "42/axr,[\"e\",4]", 14) != NULL,
       "both come");
    ok(memmem(heard, nheard, "42/axr,17[\"e\",5]", 16) != NULL, "the last with its id");
    ok(net->stats.latency.sum_us >= 50000000, "latency is that of the older: %llu us",
       (unsigned long long)net->stats.latency.sum_us);
    is_int((long)sio.stats.deliveries, 3, "counted");
    down();
}

/* Everybody: those who are in, of all that are there. */
static void test_everybody(void)
{
    enum { OTHERS = 400 };
    struct socket *first, *others[OTHERS];
    struct fanout fanout;
    int in = 1, got = 0, walked = 0;
    uint32_t place = 0;

    up();
    first = socket_;
    join();
    for (int i = 0; i < OTHERS; i++) {
        struct session *session = session_new(eio, NULL, EIO4, 0);
        session_start(session, NULL, NULL);
        others[i] = socket_;
        others[i]->nsp = i % 3 == 0 ? NSP_JOINED : i % 3 == 1 ? NSP_JOINING : NSP_NONE;
        in += i % 3 == 0;
    }
    for (int i = 100; i < 330; i++) { /* a gap, of whole blocks */
        in -= others[i]->nsp == NSP_JOINED;
        session_end(&others[i]->session, CLOSE_CLIENT);
        others[i] = NULL;
    }
    while (socket_next(&sio, &place) != NULL)
        walked++;
    is_int(walked, in, "all that are in are walked over");
    fanout_begin(&sio, &fanout, SLICE("[\"e\",1"), NULL, 0, 0);
    fanout_except(&fanout, others[3]);
    fanout_send_all(&fanout);
    is_int((long)sio.stats.deliveries, in - 1, "to all that are in, but for the one");
    fanout_send_all(&fanout);
    is_int((long)sio.stats.deliveries, in - 1, "once");
    fanout_end(&fanout);
    for (int i = 0; i < OTHERS; i++)
        got += others[i] != NULL && others[i]->fanout_serial == fanout.serial;
    is_int(got + (first->fanout_serial == fanout.serial), in, "to nobody else");
    down();
}

/* Over polling: what waits for a GET that is not there is not added to by what is volatile. */
static void test_volatile(void)
{
    struct session *session;
    struct fanout fanout;

    up();
    session = session_new(eio, NULL, EIO4, 0);
    session_start(session, NULL, NULL);
    socket_->nsp = NSP_JOINED;
    ok(session->polling->out.bytes > 0, "the open packet waits for a GET");
    fanout_begin(&sio, &fanout, SLICE("[\"e\",1"), NULL, 0, 1);
    is_int(fanout_send(&fanout, socket_), 0, "nothing volatile waits beside it");
    fanout_end(&fanout);
    is_int((long)sio.stats.volatile_skipped, 1, "and is counted");
    fanout_begin(&sio, &fanout, SLICE("[\"e\",2"), NULL, 0, 0);
    is_int(fanout_send(&fanout, socket_), 1, "anything else does");
    fanout_end(&fanout);
    outq_clear(&session->polling->out);
    net->stats.queued_bytes = 0;
    fanout_begin(&sio, &fanout, SLICE("[\"e\",3"), NULL, 0, 1);
    is_int(fanout_send(&fanout, socket_), 1, "where nothing waits it is the first to");
    fanout_end(&fanout);
    down();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_ids();
    test_deadlines();
    test_attachments();
    test_left_midway();
    test_was_in();
    test_put_out();
    test_disconnect_all();
    test_refusals();
    test_fanout();
    test_everybody();
    test_volatile();
    event_base_free(base);
    return tap_done();
}
