#include "master/handover.h"

#include "codec/broadcast.h"
#include "ipc/msg.h"
#include "master/history.h"
#include "master/reclaim.h"
#include "master/route.h"
#include "master/sessions.h"

#include "nomem_nth.h"
#include "tap.h"

/* A daemon, of which the history has the stream from somewhere on, under numbers of its own. */
struct side {
    struct history *history;
    struct route *route;
    struct sessions *sessions;
    struct gone *gone;
    struct reclaim reclaim;
    struct handover handover;
    uint64_t seq;
};

static const uint8_t session[SESSION_LEN] = {5};
static const struct pid pid = {.daemon = 1, .session = {5}, .offset = 100};
static struct side here, there;
static unsigned nsent;

static void on_send(unsigned lane, const void *message, size_t len, void *arg)
{
    (void)lane, (void)message, (void)len, (void)arg;
    nsent++;
}

static void up(struct side *side, uint64_t seq)
{
    *side = (struct side){.history = history_new(1 << 20, 1000000),
                          .route = route_new("/axr"),
                          .sessions = sessions_new(),
                          .seq = seq};
    side->gone = gone_new(side->sessions, side->route, 1000000);
    side->reclaim = (struct reclaim){
        .route = side->route, .sessions = side->sessions, .gone = side->gone, .send = on_send};
    route_up(side->route, 1);
}

static void down(struct side *side)
{
    reclaim_clear(&side->reclaim);
    handover_clear(&side->handover);
    gone_free(&side->gone);
    sessions_free(&side->sessions);
    route_free(&side->route);
    history_free(&side->history);
}

/* The next message of the stream. */
static void say(struct side *side, uint64_t offset)
{
    struct broadcast bc = {0};
    struct buf message = {0};

    bc.json = (struct buf){0};
    msg_put_broadcast(&message, 1, ++side->seq, 1, &bc);
    history_put(side->history, side->seq, offset, &bc,
                (struct slice){(const char *)message.data, message.len}, 1);
    buf_free(&message);
}

static void put(struct side *side, enum gone_state state, const struct gone_room *rooms, size_t n)
{
    struct gone_session record = {
        .state = state, .daemon = 77, .uid = SLICE("ann"), .rooms = rooms, .nrooms = n};

    memcpy(record.session, session, SESSION_LEN);
    if (gone_put(side->gone, &record, 1) < 0)
        abort();
}

static struct peer_answer ask(uint64_t offset, const char *uid)
{
    static const uint8_t raw[PID_LEN] = {1};
    const struct peer_question question = {.offset = offset, .pid = raw, .uid = slice_str(uid)};
    struct peer_answer answer = {0};

    handover_give(&here.handover, &here.reclaim, here.history, 99, &question, &pid, &answer);
    return answer;
}

static void is_result(struct peer_answer answer, enum peer_result result, const char *name)
{
    is_int(answer.result, result, name);
    is_int(answer.start, 100, "the start is said");
}

static void test_states(void)
{
    struct gone_session record;

    is_result(ask(100, "ann"), PEER_UNKNOWN, "nothing is known of it");
    put(&here, GONE_ENDED, NULL, 0);
    is_result(ask(100, "ann"), PEER_ENDED, "it has ended");
    put(&here, GONE_BROKEN, NULL, 0);
    is_result(ask(100, "ann"), PEER_GAP, "something was missed");
    put(&here, GONE_MOVED, NULL, 0);
    is_result(ask(100, "ann"), PEER_ELSEWHERE, "it has moved");
    is_int(ask(100, "ann").holder, 77, "to that one");
    put(&here, GONE_AWAY, NULL, 0);
    is_result(ask(100, "bob"), PEER_UNPROVEN, "it is another user's");
    is_result(ask(100, "ann"), PEER_YOURS, "it is away");
    ok(gone_find(here.gone, session, &record) == 0 && record.state == GONE_MOVED &&
           record.daemon == 99,
       "it has moved then");
    is_result(ask(100, "ann"), PEER_ELSEWHERE, "and is not given twice");
}

/* Connected: it is disconnected, and has no place any more. */
static void test_connected(void)
{
    uint8_t own[SESSION_LEN];

    memcpy(own, session, SESSION_LEN);
    gone_take(here.gone, session);
    route_join(here.route, SLICE("ann"), 1, 3);
    if (sessions_put(here.sessions, 1, 3, own, 1) != 0)
        abort();
    is_result(ask(100, "bob"), PEER_UNPROVEN, "of another user it is not");
    is_int(nsent, 0, "nobody is disconnected");
    is_result(ask(100, "ann"), PEER_YOURS, "it is given up");
    is_int(nsent, 1, "its client is disconnected");
    is_int(route_clients(here.route, SLICE("ann")), 0, "and has no place");
    is_int(here.reclaim.takeovers, 1, "which is counted");
}

/* Rooms joined before and behind what the client has. */
static void test_rooms(void)
{
    const struct gone_room rooms[] = {
        {SLICE("old"), 2, 0}, {SLICE("red"), 11, 1}, {SLICE("blue"), 12, 0}, {SLICE("new"), 13, 0}};
    struct peer_answer answer;

    for (uint64_t offset = 101; offset <= 104; offset++) {
        say(&here, offset);
        say(&there, offset);
    }
    put(&here, GONE_AWAY, rooms, 4);
    answer = ask(102, "ann");
    is_result(answer, PEER_YOURS, "a session with rooms");
    is_int(handover_get(&there.handover, there.history, there.seq, answer.rooms), 0,
           "they are understood");
    is_int(there.handover.n, 4, "all of them");
    for (size_t i = 0; i < there.handover.n; i++) {
        const struct gone_room *room = &there.handover.rooms[i];
        uint64_t since = slice_eq(room->name, SLICE("new")) ? 503 : 0;

        ok(room->since == since && room->is_claimed == slice_eq(room->name, SLICE("red")),
           "%.*s is since %u", (int)room->name.len, room->name.ptr, (unsigned)room->since);
    }
    put(&here, GONE_AWAY, rooms + 1, 3);
    answer = ask(999, "ann");
    is_result(answer, PEER_YOURS, "but for those whose join is known");
    is_int(handover_get(&there.handover, there.history, there.seq, answer.rooms), 0, "each");
    for (size_t i = 0; i < there.handover.n; i++)
        ok(there.handover.rooms[i].since >= 501 && there.handover.rooms[i].since <= 503,
           "as it is there");
    history_cut(there.history);
    is_int(handover_get(&there.handover, there.history, there.seq, answer.rooms), 1,
           "one that is not known there");
    history_cut(here.history);
    history_step(here.history, 105, 1);
    put(&here, GONE_AWAY, rooms, 1);
    is_result(ask(999, "ann"), PEER_ROOMS, "one from before the history, for who knows what");
    put(&here, GONE_AWAY, rooms, 1);
    is_result(ask(105, "ann"), PEER_YOURS, "for who has all up to the beginning of that it is old");
    for (int nth = 1; nth <= 6; nth++) {
        put(&here, GONE_AWAY, rooms + 1, 3);
        handover_clear(&here.handover);
        nomem_nth = nth;
        answer = ask(102, "ann");
        nomem_nth = 0;
        ok(answer.result == PEER_YOURS || answer.result == PEER_ROOMS ||
               answer.result == PEER_UNPROVEN,
           "without memory: %d", (int)answer.result);
    }
}

int main(void)
{
    up(&here, 10);
    up(&there, 500);
    history_step(here.history, 100, 1);
    history_step(there.history, 100, 1);
    test_states();
    test_connected();
    test_rooms();
    down(&here);
    down(&there);
    return tap_done();
}
