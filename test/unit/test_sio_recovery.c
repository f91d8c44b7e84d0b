/* Clients that come back to their sessions: what they are told, and the ids that they go by. */
#include "sio/socket.h"

#include "base/base64.h"
#include "nomem_nth.h"
#include "socket_world.h"

#include <malloc.h>
#include <signal.h>

/* --- a new session --- */

static void test_accept(void)
{
    char id[SIO_SID_MAX + 1] = {0}, want[512];
    struct sio_session session = session_of(OFFSET, 0);
    uint8_t raw[SESSION_LEN], own[SESSION_LEN];
    size_t len, head;

    up();
    tell("40/axr,");
    is_int(socket_session(socket_, raw), 0, "its session has a name before it is in");
    socket_accept(socket_, &session);
    socket_sid(socket_, id);
    ok(base64url_decode(own, id, SIO_SID_LEN) == SESSION_LEN && memcmp(own, raw, sizeof(raw)) == 0,
       "which is its id then");
    snprintf(want, sizeof(want), "40/axr,{\"sid\":\"%s\",\"pid\":\"" PID_TEXT "\"}", id);
    len = strlen(want);
    hear();
    head = len < 126 ? 2 : 4;
    ok(nheard > head + len && memcmp(heard + head, want, len) == 0, "told it, and the pid");
    is_mem(heard + head + len + 2, nheard - head - len - 2, TOLD, strlen(TOLD), "and the offset");
    is_int(net->stats.writes, 2, "in one write");
    tell("41/axr,");
    is_int(socket_->recovers, 0, "it leaves");
    enter(0);
    ok(socket_->recovers, "back, with a pid");
    tell("41/axr,");
    tell("40/axr,");
    socket_accept(socket_, NULL);
    ok(has("40/axr,{\"sid\":\"") && memmem(heard, nheard, "pid", 3) == NULL, "or plainly");
    is_int(nheard, 2 + 7 + 8 + 20 + 2, "that is all");
    ok(!socket_->recovers, "it does not come back then");
    down();
}

/* No two sessions have one name, however often somebody leaves and comes. */
static void test_often(void)
{
    uint8_t first[SESSION_LEN], last[SESSION_LEN];
    int named = 0, again = 0;

    up();
    tell("40/axr,");
    is_int(socket_session(socket_, first), 0, "the first has a name");
    socket_->joins = UINT16_MAX - 3;
    for (int i = 0; i < 6; i++) {
        socket_accept(socket_, NULL);
        tell("41/axr,");
        tell("40/axr,");
        hear();
        if (socket_session(socket_, last) < 0)
            continue;
        named++;
        again += memcmp(first, last, SESSION_LEN) == 0;
    }
    is_int(named, 2, "so have the last ones");
    is_int(again, 0, "which is not that of the first");
    down();
}

static void test_versions(void)
{
    uint8_t raw[SESSION_LEN];

    with_version = EIO3;
    up();
    tell("40/axr,");
    is_int(socket_session(socket_, raw), -1, "clients of version 3 do not come back");
    socket_accept(socket_, NULL);
    ok(has("40/axr,") && memmem(heard, nheard, "pid", 3) == NULL, "nor have a pid");
    down();
    with_version = EIO4;
    up();
    is_int(malloc_usable_size(socket_) >= sizeof(*socket_) + SESSION_LEN, 1, "room for an id");
    down();
}

/* --- one that comes back --- */

static void test_replay(void)
{
    struct sio_session session = session_of(OFFSET, 1);
    struct slice name = SLICE(SID_TEXT);
    char id[SIO_SID_MAX];
    struct fanout fanout;
    uint32_t place = 0;
    uint64_t serial;

    up();
    tell("40/axr,");
    is_int(socket_replay(socket_), 0, "it comes back");
    is_heard("", "nothing is said");
    ok(socket_->connect_due_ms == 0 && !socket_->session.stranger, "it is let in");
    tell("42/axr,[\"early\"]");
    is_int(npackets + nclosed, 0, "what it says before the answer is dropped");
    fanout_begin(&sio, &fanout, SLICE("[\"e\",1"), NULL, 0, 0);
    is_int(fanout_concerns(&fanout, socket_) + fanout_send(&fanout, socket_), 0,
           "what is new is not for it");
    fanout_send_all(&fanout);
    serial = fanout.serial;
    fanout_end(&fanout);
    is_heard("", "nor for all");
    socket_resume(socket_, &session);
    is_heard("40/axr,{\"sid\":\"" SID_TEXT "\",\"pid\":\"" PID_TEXT "\"}", "its old id and pid");
    is_int((long)sio.stats.connects, 1, "counted");
    ok(socket_sid(socket_, id) == SIO_SID_LEN && memcmp(id, SID_TEXT, SIO_SID_LEN) == 0,
       "it goes by it");
    ok(socket_by_sid(&sio, name) == NULL && socket_in_sid(&sio, name) == NULL &&
           socket_next(&sio, &place) == NULL,
       "but is not found yet");
    tell("42/axr,[\"late\"]");
    is_int(npackets, 1, "it is heard");
    fanout_begin(&sio, &fanout, SLICE("[\"e\",2"), NULL, 0, 0);
    fanout_offset(&fanout, OFFSET + 1);
    is_int(fanout_send(&fanout, socket_), 0, "what is new is still not for it");
    fanout_end(&fanout);
    fanout_begin(&sio, &fanout, SLICE("[\"e\",3"), NULL, 0, 0);
    fanout_offset(&fanout, OFFSET);
    fanout_replay(&fanout);
    is_int(fanout_concerns(&fanout, socket_), 1, "what it missed is");
    is_int(fanout_send(&fanout, socket_), 1, "and is sent");
    is_int(fanout_send(&fanout, socket_), 0, "once");
    fanout_end(&fanout);
    is_heard("42/axr,[\"e\",3,\"AQIDBAUGBwg\"]", "with its offset");
    socket_caught_up(socket_, OFFSET);
    is_heard(TOLD, "at last it is told where it is");
    ok(socket_by_sid(&sio, name) == socket_ && socket_in_sid(&sio, name) == socket_, "found");
    place = 0;
    ok(socket_next(&sio, &place) == socket_, "and in");
    ok(!socket_was_in(socket_, serial) && !socket_was_in(socket_, fanout.serial),
       "from now on, not before");
    fanout_begin(&sio, &fanout, SLICE("[\"e\",4"), NULL, 0, 0);
    fanout_replay(&fanout);
    is_int(fanout_send(&fanout, socket_), 0, "what others missed is not for it");
    fanout_end(&fanout);
    down();
    up();
    come_back();
    socket_caught_up(socket_, OFFSET);
    is_heard(TOLD, "who has missed nothing is told the offset");
    down();
    up();
    come_back();
    socket_caught_up(socket_, 0);
    is_heard("", "if there is one");
    down();
}

/* Leaving, asking twice and the end, before and after the answer. */
static void test_ends(void)
{
    struct sio_session session = session_of(0, 1);

    for (int answered = 0; answered < 2; answered++) {
        up();
        tell("40/axr,");
        socket_replay(socket_);
        if (answered)
            socket_resume(socket_, &session);
        tell("40/axr,");
        is_int(nclosed + (closed_why == CLOSE_PROTOCOL), 2, "asking twice is a fault");
        is_int(nleft, 1, "the application hears that it leaves");
        is_int((long)sio.lent.n, 0, "its id is free");
        down();
        up();
        tell("40/axr,");
        socket_replay(socket_);
        if (answered)
            socket_resume(socket_, &session);
        tell("41/axr,");
        ok(nleft == 1 && left_why == CLOSE_LEFT && nclosed == 0, "it leaves");
        ok(sio.lent.n == 0 && sio.lent.at == NULL && !socket_->recovers, "likewise");
        enter(0);
        is_int(socket_->lent, 0, "and is new when it asks again");
        down();
        up();
        tell("40/axr,");
        socket_replay(socket_);
        if (answered)
            socket_resume(socket_, &session);
        hear();
        socket_disconnect(socket_, CLOSE_TAKEN);
        turns(3);
        ok(nleft == 1 && left_why == CLOSE_TAKEN && closed_why == CLOSE_TAKEN, "it is put out");
        ok(has("41/axr,") && memchr(heard, 0x88, nheard) != NULL, "with a word, and for good");
        down();
        up();
        tell("40/axr,");
        socket_replay(socket_);
        if (answered)
            socket_resume(socket_, &session);
        hear();
        session_close(&socket_->session, WS_CLOSE_NONE, CLOSE_OVERRUN);
        turns(3);
        ok(nleft == 1 && closed_why == CLOSE_OVERRUN, "the history is overrun");
        is_heard("", "it is closed without a word");
        down();
    }
}

/* Before the answer all is still open. */
static void test_not_recovered(void)
{
    struct sio_session session = session_of(OFFSET, 0);
    uint8_t before[SESSION_LEN], after[SESSION_LEN];
    char id[SIO_SID_MAX];

    up();
    tell("40/axr,");
    socket_session(socket_, before);
    socket_replay(socket_);
    socket_session(socket_, after);
    is_mem(before, SESSION_LEN, after, SESSION_LEN, "its own id does not change by that");
    socket_accept(socket_, &session);
    ok(socket_->nsp == NSP_JOINED && sio.lent.n == 0, "it is let in as new");
    socket_sid(socket_, id);
    base64url_decode(after, id, SIO_SID_LEN);
    is_mem(before, SESSION_LEN, after, SESSION_LEN, "by its own id");
    down();
    up();
    tell("40/axr,");
    socket_replay(socket_);
    socket_refuse(socket_, "no", "user_limit");
    ok(socket_->nsp == NSP_LEFT && sio.lent.n == 0 && nleft == 0, "or refused");
    ok(socket_->expire_due_ms != 0 && nclosed == 0, "and has a while to leave");
    down();
    up();
    tell("40/axr,");
    socket_session(socket_, before);
    socket_replay(socket_);
    socket_resume(socket_, &session);
    ok(!socket_->lent && sio.lent.n == 0, "or recovers with an id of its own");
    socket_sid(socket_, id);
    base64url_decode(after, id, SIO_SID_LEN);
    is_mem(before, SESSION_LEN, after, SESSION_LEN, "which is the first that it has");
    socket_caught_up(socket_, OFFSET);
    ok(socket_by_sid(&sio, (struct slice){id, SIO_SID_LEN}) == socket_, "and is found by it");
    down();
}

static void test_no_memory(void)
{
    up();
    tell("40/axr,");
    nomem_nth = 1;
    is_int(socket_replay(socket_), -1, "no memory for its id");
    nomem_nth = 0;
    is_int(socket_->nsp, NSP_JOINING, "nothing has happened");
    is_heard("", "nor been said");
    is_int(socket_replay(socket_), 0, "it may try again");
    down();
}

/* --- ids --- */

static void id_of(uint8_t id[SESSION_LEN], unsigned i)
{
    memset(id, 0, SESSION_LEN);
    memcpy(id, &i, sizeof(i));
}

static int finds(unsigned i, const struct socket *want)
{
    uint8_t id[SESSION_LEN];
    char text[SIO_SID_LEN];

    id_of(id, i);
    base64url_encode(text, id, sizeof(id));
    return socket_by_sid(&sio, (struct slice){text, sizeof(text)}) == want;
}

/* Hundreds come and go in any order: each is found, and nobody who has gone. */
static void test_many(void)
{
    enum { N = 500, TURNS = 8000 };
    static struct socket *all[N];
    struct sio_session session = session_of(0, 1);
    uint8_t id[SESSION_LEN];
    int n = 0, wrong = 0, crowded = 0, wasted = 0;

    up();
    for (int turn = 0; turn < TURNS; turn++) {
        /* first more and more, then fewer and fewer */
        unsigned i = (unsigned)rand() % N;
        int comes = rand() % 100 < (turn < TURNS / 2 ? 80 : 20);

        if (comes && all[i] == NULL) {
            all[i] = poller(EIO4);
            all[i]->nsp = NSP_JOINING;
            wrong += socket_replay(all[i]) < 0;
            id_of(id, i);
            session.sid = (struct slice){(char *)id, sizeof(id)};
            socket_resume(all[i], &session);
            socket_caught_up(all[i], 0);
            n++;
        } else if (!comes && all[i] != NULL) {
            session_end(&all[i]->session, CLOSE_CLIENT);
            all[i] = NULL;
            n--;
        }
        wrong += !finds(i, all[i]) || sio.lent.n != (uint32_t)n;
        crowded += sio.lent.n > sio.lent.room / 4 * 3;
        wasted += sio.lent.room > 16 && sio.lent.n < sio.lent.room / 8;
        for (unsigned k = 0; turn % 100 == 0 && k < N; k++)
            wrong += !finds(k, all[k]);
    }
    is_int(wrong, 0, "each is found by the id it goes by, and nobody by another");
    is_int(crowded + wasted, 0, "in a table that grows and shrinks with them");
    for (unsigned i = 0; i < N; i++)
        if (all[i] != NULL)
            session_end(&all[i]->session, CLOSE_CLIENT);
    memset(all, 0, sizeof(all));
    ok(sio.lent.at == NULL && sio.lent.n == 0, "which is gone with the last");
    down();
}

/* The id that a socket of this worker has had, now another's; both are still there. */
static void test_takeover(void)
{
    struct sio_session session = session_of(0, 0);
    struct socket *old, *new;
    char id[SIO_SID_MAX], text[SIO_SID_LEN];
    uint8_t raw[SESSION_LEN];

    up();
    enter(0);
    old = socket_;
    socket_sid(old, id);
    base64url_decode(raw, id, SIO_SID_LEN);
    new = poller(EIO4);
    new->nsp = NSP_JOINING;
    socket_session(new, raw);
    base64url_encode(text, raw, SESSION_LEN);
    base64url_decode(raw, id, SIO_SID_LEN);
    is_int(socket_replay(new), 0, "another comes for its session");
    session.sid = (struct slice){(char *)raw, sizeof(raw)};
    socket_resume(new, &session);
    ok(socket_by_sid(&sio, (struct slice){id, SIO_SID_LEN}) == old, "until it is in");
    socket_caught_up(new, 0);
    ok(socket_by_sid(&sio, (struct slice){id, SIO_SID_LEN}) == new, "the id is that of the new");
    ok(socket_by_sid(&sio, (struct slice){text, SIO_SID_LEN}) == NULL, "its own is none");
    new->sidless = 1;
    ok(socket_in_sid(&sio, (struct slice){id, SIO_SID_LEN}) == NULL, "it may leave that room");
    session_end(&new->session, CLOSE_CLIENT);
    ok(socket_by_sid(&sio, (struct slice){id, SIO_SID_LEN}) == old, "the old one has it, too");
    ok(socket_by_sid(&sio, SLICE("")) == NULL &&
           socket_by_sid(&sio, SLICE("--------------------")) == NULL,
       "what is none is nobody's");
    down();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    recovery_on();
    test_accept();
    test_often();
    test_versions();
    test_replay();
    test_ends();
    test_not_recovered();
    test_no_memory();
    test_many();
    test_takeover();
    event_base_free(base);
    return tap_done();
}
