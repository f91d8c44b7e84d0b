/* The offsets that clients are told with events and pings, in every encoding. */
#include "sio/fanout.h"

#include "socket_world.h"

#include <signal.h>

static const struct slice attachments[] = {{"\1\2\3", 3}, {"", 0}};

static void send_to(struct socket *socket, uint64_t offset, size_t nattachments)
{
    struct fanout fanout;
    size_t held, cost;
    struct outq *out =
        socket->session.ws != NULL ? &socket->session.ws->out : &socket->session.polling->out;

    fanout_begin(&sio, &fanout, SLICE("[\"e\",1"), attachments, nattachments, 0);
    fanout_offset(&fanout, offset);
    held = out->bytes;
    cost = socket->session.version == EIO4 ? fanout_cost(&fanout, socket) : 0;
    is_int(fanout_send(&fanout, socket), 1, "sent");
    if (cost > 0)
        is_int(out->bytes - held, (long)cost, "as long as was said");
    fanout_end(&fanout);
}

static void test_websocket(void)
{
    struct fanout fanout;

    up();
    enter(0);
    socket_->has_offset = 0;
    send_to(socket_, OFFSET, 0);
    is_heard("42/axr,[\"e\",1,\"AQIDBAUGBwg\"]", "text");
    is_int(socket_->has_offset, 1, "noted");
    send_to(socket_, 0, 0);
    is_heard("42/axr,[\"e\",1]", "where there is none, none");
    send_to(socket_, OFFSET, 2);
    hear();
    is_mem(heard, nheard,
           "\x81\x1e"
           "452-/axr,[\"e\",1,\"AQIDBAUGBwg\"]"
           "\x82\x03\1\2\3\x82\0",
           2 + 30 + 5 + 2, "in front of attachments");
    socket_->session.base64 = 1;
    send_to(socket_, OFFSET, 2);
    hear();
    is_mem(heard, nheard,
           "\x81\x1e"
           "452-/axr,[\"e\",1,\"AQIDBAUGBwg\"]"
           "\x81\x05"
           "bAQID"
           "\x81\x01"
           "b",
           2 + 30 + 7 + 3, "which may be text");
    socket_->session.base64 = 0;
    fanout_begin(&sio, &fanout, SLICE("[\"e\",5"), NULL, 0, 0);
    fanout_offset(&fanout, OFFSET);
    fanout_ack(&fanout, 17);
    fanout_send(&fanout, socket_);
    fanout_end(&fanout);
    is_heard("42/axr,17[\"e\",5]", "one that is acknowledged has none");
    fanout_begin(&sio, &fanout, SLICE("[\"e\",5"), NULL, 0, 0);
    fanout_ack(&fanout, 18);
    fanout_offset(&fanout, OFFSET);
    fanout_send(&fanout, socket_);
    fanout_end(&fanout);
    is_heard("42/axr,18[\"e\",5]", "in whatever order it is said");
    fanout_begin(&sio, &fanout, SLICE("["), NULL, 0, 0);
    fanout_offset(&fanout, OFFSET);
    fanout_send(&fanout, socket_);
    fanout_end(&fanout);
    is_heard("42/axr,[]", "nor has one without a name");
    down();
    up();
    join();
    socket_->has_offset = 0;
    send_to(socket_, OFFSET, 0);
    is_heard("42/axr,[\"e\",1]", "who does not recover gets it as ever");
    send_to(socket_, OFFSET, 2);
    hear();
    is_mem(heard, nheard,
           "\x81\x10"
           "452-/axr,[\"e\",1]"
           "\x82\x03\1\2\3\x82\0",
           2 + 16 + 5 + 2, "in each form");
    is_int(socket_->has_offset, 0, "nothing is noted");
    down();
    with_version = EIO3;
    up();
    join();
    send_to(socket_, OFFSET, 0);
    is_heard("42/axr,[\"e\",1]", "as do clients of version 3");
    down();
    with_version = EIO4;
}

static void test_polling(void)
{
    struct socket *recovers, *plain, *old;
    struct fanout fanout;

    up();
    recovers = poller(EIO4);
    poller_joins(recovers, 1);
    plain = poller(EIO4);
    poller_joins(plain, 0);
    old = poller(EIO3);
    poller_joins(old, 0);
    for (int i = 0; i < 50; i++) {
        fanout_begin(&sio, &fanout, SLICE("[\"e\",1"), NULL, 0, 0);
        fanout_offset(&fanout, OFFSET);
        fanout_send_all(&fanout);
        fanout_end(&fanout);
    }
    is_int(recovers->session.polling->out.more_n + plain->session.polling->out.more_n +
               old->session.polling->out.more_n,
           0, "what waits is one run, beside others that get it otherwise");
    is_int(recovers->session.polling->out.bytes, 50 * 29, "all of it");
    is_int(plain->session.polling->out.bytes, 50 * 15, "for each");
    taken(recovers);
    taken(plain);
    taken(old);
    send_to(recovers, OFFSET, 0);
    is_taken(recovers,
             "\x1e"
             "42/axr,[\"e\",1,\"AQIDBAUGBwg\"]",
             "over polling");
    send_to(recovers, OFFSET, 2);
    is_taken(recovers,
             "\x1e"
             "452-/axr,[\"e\",1,\"AQIDBAUGBwg\"]\x1e"
             "bAQID\x1e"
             "b",
             "with attachments");
    send_to(plain, OFFSET, 2);
    is_taken(plain,
             "\x1e"
             "452-/axr,[\"e\",1]\x1e"
             "bAQID\x1e"
             "b",
             "without it");
    send_to(old, OFFSET, 0);
    is_taken(old, "14:42/axr,[\"e\",1]", "version 3");
    session_end(&recovers->session, CLOSE_CLIENT);
    session_end(&plain->session, CLOSE_CLIENT);
    session_end(&old->session, CLOSE_CLIENT);
    down();
}

/* --- pings --- */

static void ping(struct socket *socket)
{
    socket->session.ping_sent = 0;
    session_timeout(&socket->session.timer, socket->session.heartbeat_due_ms, eio);
}

static void test_pings(void)
{
    struct socket *polls;
    uint64_t writes;

    up();
    enter(0);
    sio_offset(&sio, OFFSET);
    ping(socket_);
    is_heard("2", "who has just come may have a newer one");
    sio_offset(&sio, 0);
    ping(socket_);
    is_heard("2", "there may be none");
    sio_offset(&sio, OFFSET);
    writes = net->stats.writes;
    ping(socket_);
    hear();
    is_mem(heard, nheard,
           "\x81\x01"
           "2\x81\x20" TOLD,
           3 + 2 + strlen(TOLD), "a ping with the offset");
    is_int((long)(net->stats.writes - writes), 1, "in one write");
    ping(socket_);
    ok(has(TOLD), "and with the next one again");
    send_to(socket_, OFFSET, 0);
    hear();
    ping(socket_);
    is_heard("2", "not where an event has brought one");
    ping(socket_);
    ok(has(TOLD), "since the ping before");
    sio.offset_ms -= eio->options.ping_interval_ms;
    ping(socket_);
    is_heard("2", "nor one from before that: what the client has may be newer");
    sio_offset(&sio, OFFSET);
    send_to(socket_, 0, 0);
    hear();
    ping(socket_);
    ok(has(TOLD), "an event without one brings none");
    tell("41/axr,");
    ping(socket_);
    is_heard("2", "who has left is told none");
    tell("40/axr,");
    ping(socket_);
    is_heard("2", "nor who is about to come");
    socket_replay(socket_);
    ping(socket_);
    is_heard("2", "or comes back");
    socket_resume(socket_, &(struct sio_session){.pid = {(char *)pid, sizeof(pid)}});
    hear();
    ping(socket_);
    is_heard("2", "until it has all");
    socket_caught_up(socket_, 0);
    sio_offset(&sio, OFFSET);
    ping(socket_);
    is_heard("2", "for what it came with may be newer");
    ping(socket_);
    ok(has(TOLD), "than this is");
    down();
    up();
    join();
    sio_offset(&sio, OFFSET);
    ping(socket_);
    is_heard("2", "nor who does not recover");
    polls = poller(EIO4);
    poller_joins(polls, 1);
    sio_offset(&sio, OFFSET);
    ping(polls);
    taken(polls);
    ping(polls);
    is_int(polls->session.polling->out.more_n, 0, "over polling it is one payload");
    is_taken(polls,
             "\x1e"
             "2\x1e" TOLD,
             "likewise");
    session_end(&polls->session, CLOSE_CLIENT);
    down();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    recovery_on();
    test_websocket();
    test_polling();
    test_pings();
    event_base_free(base);
    return tap_done();
}
