#include "master/gone.h"

#include "base/base64.h"
#include "codec/sid.h"
#include "master/route.h"
#include "master/sessions.h"
#include "worker/room.h"

#include "nomem_slab.h"
#include "tap.h"

#define KEEP_MS 1000
#define BUSY    (GONE_LOOKS_MAX / 2 - 10) /* sessions that may all join a room */

_Static_assert(APPLY_NAME_MAX == ROOM_NAME_MAX, "a name is as long as for those who are connected");

static struct sessions *sessions;
static struct route *route;
static struct gone *gone;
static uint32_t last_id;
static char id_text[SIO_SID_LEN + 1]; /* of session_of(), the last one */

static void begin(void)
{
    sessions = sessions_new();
    route = route_new("/axr");
    if (sessions == NULL || route == NULL || (gone = gone_new(sessions, route, KEEP_MS)) == NULL)
        abort();
    route_sessions(route, sessions);
    for (unsigned lane = 1; lane <= 3; lane++)
        route_up(route, lane);
}

static void end(void)
{
    gone_free(&gone);
    route_free(&route);
    sessions_free(&sessions);
}

static uint64_t client(uint32_t place)
{
    return UINT64_C(1) << 32 | place;
}

/* Of whoever is in that place of the worker in lane 1. */
static const uint8_t *session_of(uint32_t place)
{
    static uint8_t raw[SESSION_LEN];
    struct sid_home home = {1, 1, place};

    sio_sid_encode(id_text, 4711, &home);
    if (base64_decode(raw, id_text, SIO_SID_LEN) != SESSION_LEN)
        abort();
    return raw;
}

static const char *id_of(uint32_t place)
{
    static char text[4][SIO_SID_LEN + 1];
    static unsigned at;

    session_of(place);
    memcpy(text[++at % 4], id_text, sizeof(id_text));
    return text[at % 4];
}

static void enter(uint32_t place, const char *uid)
{
    if (route_join(route, slice_str(uid), 1, client(place)) < 0 ||
        gone_client_in(gone, 1, client(place), session_of(place), 0) != 0)
        abort();
}

static void leave(uint32_t place, const char *uid, int is_ended)
{
    gone_client_left(gone, 1, client(place), slice_str(uid), is_ended, 1);
    if (route_leave(route, slice_str(uid), 1, client(place)) < 0)
        abort();
}

/* Of a client that comes and goes. */
static void away(uint32_t place, const char *uid)
{
    enter(place, uid);
    leave(place, uid, 0);
}

static int order(const void *a, const void *b)
{
    const struct gone_room *one = a, *other = b;
    size_t len = one->name.len < other->name.len ? one->name.len : other->name.len;

    int rc = memcmp(one->name.ptr, other->name.ptr, len);

    return rc != 0 ? rc : (one->name.len > other->name.len) - (one->name.len < other->name.len);
}

/* "ann: a@5 b@7! -3": user, rooms with since, sorted, ! for those of
 * its token; what it has left.  Or its state. */
static const char *show(uint32_t place)
{
    static const char *const states[] = {"away", "ended", "broken", "moved"};
    static char text[512];
    struct gone_session found;
    struct gone_room rooms[64];
    size_t n;

    if (gone_find(gone, session_of(place), &found) < 0)
        return "-";
    if (found.state != GONE_AWAY)
        return found.nrooms == 0 && found.uid.len == 0 ? states[found.state] : "odd";
    n = (size_t)snprintf(text, sizeof(text), "%.*s:", (int)found.uid.len, found.uid.ptr);
    if (found.nrooms > 64)
        return "many rooms";
    if (found.nrooms > 0)
        memcpy(rooms, found.rooms, found.nrooms * sizeof(rooms[0]));
    qsort(rooms, found.nrooms, sizeof(rooms[0]), order);
    for (size_t i = 0; i < found.nrooms; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " %.*s@%u%s", (int)rooms[i].name.len,
                              rooms[i].name.ptr, (unsigned)rooms[i].since,
                              rooms[i].is_claimed ? "!" : "");
    if (found.left != 0)
        snprintf(text + n, sizeof(text) - n, " -%u", found.left);
    return text;
}

/* --- requests ------------------------------------------------------------------------ */

/* Words with spaces between them. */
static void words(struct slices *list, const char *text)
{
    while (text != NULL && *text != '\0') {
        size_t len = strcspn(text, " ");

        if (slices_put(list, (struct slice){text, len}) < 0)
            abort();
        text += len + (text[len] == ' ');
    }
}

struct ask {
    enum msg_type type;
    const char *rooms, *except, *names;
    int by_id, to_worker;
    unsigned seq, max;
};

static uint32_t ask_as(const struct ask *ask)
{
    struct slices rooms = {0}, except = {0}, names = {0};
    struct route_targets targets = {.n = ask->to_worker ? 1 : 0, .lanes = {1}};
    struct gone_request request = {.type = ask->type,
                                   .id = ++last_id,
                                   .by_id = ask->by_id,
                                   .rooms = &rooms,
                                   .except = &except,
                                   .names = &names,
                                   .seq = ask->seq > 0 ? ask->seq : 9,
                                   .rooms_max = ask->max > 0 ? ask->max : 100};
    int nth = nomem_nth;

    nomem_nth = 0;
    words(&rooms, ask->rooms);
    words(&except, ask->except);
    words(&names, ask->names);
    nomem_nth = nth;
    gone_request(gone, &request, &targets);
    slices_clear(&rooms);
    slices_clear(&except);
    slices_clear(&names);
    return last_id;
}
#define ASK(...) ask_as(&(struct ask){__VA_ARGS__})

static void test_leaving(void)
{
    begin();
    is_str(show(5), "-", "nothing is known of who is not there");
    enter(5, "ann");
    is_str(show(5), "-", "nor of who is in");
    leave(5, "ann", 0);
    is_str(show(5), "ann:", "who goes may come back");
    ok(sessions_count(sessions) == 0, "and is not in");
    gone_take(gone, session_of(5));
    is_str(show(5), "-", "until it does");
    gone_take(gone, session_of(5));
    enter(5, "ann");
    leave(5, "ann", 1);
    is_str(show(5), "ended", "who has been put out may not");
    enter(5, "ann");
    leave(5, "ann", 0);
    is_str(show(5), "ann:", "the last word counts");
    enter(6, "bob");
    sessions_take(sessions, 1, client(6));
    leave(6, "bob", 0);
    is_str(show(6), "-", "nothing is kept of who has no session");
    is_int(gone_client_in(gone, 1, client(7), session_of(8), 0), 1,
           "a new session that names another place");
    is_int(gone_client_in(gone, 1, client(7), session_of(8), 1), 0, "one that comes back may");
    end();
}

static void test_rooms(void)
{
    begin();
    enter(5, "ann");
    route_room_join(route, 1, client(5), SLICE("a"), 5, 0);
    route_room_join(route, 1, client(5), SLICE("b"), 6, 1);
    leave(5, "ann", 0);
    is_str(show(5), "ann: a@5 b@6!", "its rooms, since when, and which are its token's");
    enter(6, "bob");
    route_room_leave(route, 1, client(6), SLICE(ROUTE_EVERYBODY));
    route_room_leave(route, 1, client(6), SLICE("bob"));
    leave(6, "bob", 0);
    is_str(show(6), "bob: -3", "what it has left");
    enter(7, "cid");
    route_room_leave(route, 1, client(7), SLICE(ROUTE_EVERYBODY));
    route_room_leave(route, 1, client(7), SLICE("cid"));
    route_room_join(route, 1, client(7), SLICE(ROUTE_EVERYBODY), 7, 0);
    route_room_join(route, 1, client(7), SLICE("cid"), 8, 0);
    leave(7, "cid", 0);
    is_str(show(7), "cid: allusers@7 cid@8 -3", "and has joined again");
    end();
}

static void test_whom(void)
{
    begin();
    away(1, "ann");
    away(2, "ann");
    away(3, "bob");
    ASK(.type = MSG_JOIN, .rooms = "ann", .names = "x");
    is_str(show(1), "ann: x@9", "a request to a user means one");
    is_str(show(2), "ann: x@9", "and all other sessions of it");
    is_str(show(3), "bob:", "and nobody else");
    ASK(.type = MSG_JOIN, .rooms = "x", .names = "y", .seq = 10);
    is_str(show(1), "ann: x@9 y@10", "one to a further room means who is in it");
    is_str(show(3), "bob:", "and nobody else");
    ASK(.type = MSG_JOIN, .rooms = id_of(3), .names = "z");
    is_str(show(3), "bob: z@9", "one to an id means that one");
    ASK(.type = MSG_LEAVE, .names = "z", .by_id = 1, .rooms = id_of(3));
    is_str(show(3), "bob:", "by id, too");
    ASK(.type = MSG_JOIN, .rooms = "ann", .by_id = 1, .names = "q");
    is_str(show(1), "ann: x@9 y@10", "where a room is none");
    ASK(.type = MSG_JOIN, .names = "all", .except = "ann");
    is_str(show(3), "bob: all@9", "one to everybody");
    is_str(show(1), "ann: x@9 y@10", "but for some");
    ASK(.type = MSG_LEAVE, .rooms = ROUTE_EVERYBODY, .names = "all y");
    is_str(show(1), "ann: x@9", "everybody's room means all that are in it");
    is_str(show(3), "bob:", "all");
    ASK(.type = MSG_JOIN, .rooms = "ann bob", .except = id_of(1), .names = "w");
    is_str(show(1), "ann: x@9", "the id of one among those that are not meant");
    is_str(show(2), "ann: w@9 x@9", "spares no other");
    ASK(.type = MSG_JOIN, .names = "v", .except = ROUTE_EVERYBODY);
    is_str(show(3), "bob: w@9", "nobody is meant where everybody is not");
    ASK(.type = MSG_JOIN, .rooms = "AAAAAAAAAAAAAAAAAAAA nobody", .names = "v");
    is_str(show(3), "bob: w@9", "nor where nobody is");
    end();
}

static void test_defaults(void)
{
    begin();
    away(1, "ann");
    away(2, "bob");
    ASK(.type = MSG_LEAVE, .rooms = "ann", .names = "ann allusers");
    is_str(show(1), "ann: -3", "one leaves the rooms that it is in from the beginning");
    ASK(.type = MSG_JOIN, .rooms = "ann", .names = "x");
    is_str(show(1), "ann: -3", "it is not meant by its user then");
    ASK(.type = MSG_JOIN, .rooms = ROUTE_EVERYBODY, .names = "x");
    is_str(show(1), "ann: -3", "nor by everybody's room");
    is_str(show(2), "bob: x@9", "as others are");
    ASK(.type = MSG_JOIN, .names = "ann allusers ann", .seq = 12);
    is_str(show(1), "ann: allusers@12 ann@12 -3", "but by one to all; and is in them since then");
    ASK(.type = MSG_JOIN, .rooms = "ann", .names = "x", .seq = 13, .except = "bob");
    is_str(show(1), "ann: allusers@12 ann@12 x@13 -3", "and meant again");
    is_str(show(2), "bob: ann@12 x@9", "where others are in a room of that name");
    ASK(.type = MSG_LEAVE, .names = "ann allusers x");
    is_str(show(1), "ann: -3", "and leaves them again");
    is_str(show(2), "bob: -1", "everybody does");
    end();
}

static void test_ids(void)
{
    begin();
    away(1, "ann");
    away(2, "bob");
    ASK(.type = MSG_JOIN, .rooms = "ann bob", .names = id_of(1));
    is_str(show(1), "ann:", "its own id is a room that it is in");
    ASK(.type = MSG_JOIN, .rooms = id_of(1), .names = "x");
    is_str(show(1), "ann: x@9", "others may join it");
    ASK(.type = MSG_LEAVE, .rooms = "ann", .names = id_of(1));
    is_str(show(1), "ann: x@9 -4", "and it may leave it");
    ASK(.type = MSG_LEAVE, .rooms = id_of(1), .names = "x");
    is_str(show(1), "ann: x@9 -4", "then it is not meant by it");
    ASK(.type = MSG_LEAVE, .rooms = id_of(1), .by_id = 1, .names = "x");
    is_str(show(1), "ann: -4", "but as an id");
    ASK(.type = MSG_JOIN, .rooms = "ann", .names = id_of(1));
    is_str(show(1), "ann:", "until it joins it again");
    end();
}

static void test_limits(void)
{
    static char name[APPLY_NAME_MAX + 2];

    begin();
    away(1, "ann");
    ASK(.type = MSG_JOIN, .names = "a b c", .max = 4);
    is_str(show(1), "ann: a@9 b@9", "no more rooms than one may have");
    ASK(.type = MSG_LEAVE, .names = "ann");
    ASK(.type = MSG_JOIN, .names = "c d", .max = 4);
    is_str(show(1), "ann: a@9 b@9 c@9 -2", "those from the beginning among them");
    memset(name, 'x', sizeof(name) - 1);
    ASK(.type = MSG_JOIN, .names = name);
    is_str(show(1), "ann: a@9 b@9 c@9 -2", "nor one with too long a name");
    name[APPLY_NAME_MAX] = '\0';
    ASK(.type = MSG_JOIN, .names = name);
    ASK(.type = MSG_LEAVE, .names = "a b c");
    ASK(.type = MSG_LEAVE, .names = name);
    is_str(show(1), "ann: -2", "one that is not is a room");
    end();
}

static void test_disconnect(void)
{
    begin();
    away(1, "ann");
    away(2, "bob");
    ASK(.type = MSG_JOIN, .names = "a");
    ASK(.type = MSG_DISCONNECT, .rooms = "ann");
    is_str(show(1), "ended", "who is put out is over");
    is_str(show(2), "bob: a@9", "others are not");
    ASK(.type = MSG_JOIN, .names = "b");
    is_str(show(1), "ended", "nothing more happens to it");
    ASK(.type = MSG_DISCONNECT);
    is_str(show(2), "ended", "all are put out");
    end();
}

static void test_open(void)
{
    uint32_t join, left;

    begin();
    enter(1, "ann");
    enter(2, "bob");
    enter(3, "cid");
    join = ASK(.type = MSG_JOIN, .rooms = "ann", .names = "a b", .seq = 20, .to_worker = 1);
    left = ASK(.type = MSG_LEAVE, .rooms = "a", .names = "b", .seq = 21, .to_worker = 1);
    ASK(.type = MSG_DISCONNECT, .rooms = "cid", .seq = 22, .to_worker = 1);
    is_int((int)route_joined_seq(route, 1, client(1), 30), 20, "a worker that joins is at a join");
    leave(1, "ann", 0);
    leave(2, "bob", 0);
    leave(3, "cid", 0);
    is_str(show(1), "ann: a@20", "what its worker has not done is done when one goes");
    is_str(show(2), "bob:", "where it means it");
    is_str(show(3), "ended", "whatever it is");
    gone_acted(gone, join, 1);
    is_int((int)route_joined_seq(route, 1, client(1), 30), 30, "one that leaves is at none");
    gone_acted(gone, left, 1);
    gone_acted(gone, left + 1, 1);
    enter(1, "ann");
    leave(1, "ann", 0);
    is_str(show(1), "ann:", "what it has done is not");
    end();
}

static void test_young(void)
{
    uint32_t join;

    begin();
    join = ASK(.type = MSG_JOIN, .rooms = "ann", .names = "a", .to_worker = 1);
    enter(1, "ann");
    enter(2, "bob");
    leave(2, "bob", 0);
    is_str(show(2), "bob:", "who came while its worker had something to do for others");
    leave(1, "ann", 0);
    is_str(show(1), "-", "is known, but not where it may be for it");
    enter(1, "ann");
    gone_acted(gone, join, 1);
    ASK(.type = MSG_JOIN, .rooms = "ann", .names = "b", .to_worker = 1);
    leave(1, "ann", 0);
    is_str(show(1), "ann: b@9", "when that is done it is young no more");
    ok(gone_floor_ms(gone) > 0, "that one was forgotten is known");
    end();
}

static void test_lost(void)
{
    struct gone_stats stats;
    uint32_t first = last_id + 1;

    begin();
    enter(1, "ann");
    enter(2, "bob");
    enter(3, "cid");
    is_int((int)gone_floor_ms(gone), 0, "nothing has been forgotten");
    for (int i = 0; i < 1025; i++)
        ASK(.type = MSG_LEAVE, .rooms = "nobody", .names = "a", .to_worker = 1);
    leave(1, "ann", 0);
    is_str(show(1), "-", "a worker that has too much to do: who goes may not come back");
    ok(gone_floor_ms(gone) > 0, "which is known");
    gone_stats(gone, &stats);
    ok(stats.sessions == 0 && stats.forgotten == 1, "and counted");
    for (uint32_t id = first; id < last_id; id++)
        gone_acted(gone, id, 1);
    is_int((int)route_joined_seq(route, 1, client(2), 30), 30, "what it is at is not known");
    is_int((int)sessions_count(sessions), 1, "nor what whoever joins rooms then is in");
    gone_worker_down(gone, 1, 1);
    route_down(route, 1);
    is_str(show(3), "-", "the same when it dies");
    enter(4, "ann");
    leave(4, "ann", 0);
    is_str(show(4), "ann:", "the next one has nothing to do");
    end();
}

static void test_down(void)
{
    begin();
    enter(1, "ann");
    enter(2, "bob");
    enter(300, "bob");
    route_room_join(route, 1, client(2), SLICE("a"), 5, 0);
    route_join(route, SLICE("bob"), 2, client(2));
    gone_client_in(gone, 2, client(2), session_of(77), 1);
    ASK(.type = MSG_JOIN, .rooms = "a", .names = "b", .seq = 20, .to_worker = 1);
    ASK(.type = MSG_DISCONNECT, .rooms = "ann", .to_worker = 1);
    gone_worker_down(gone, 1, 1);
    route_down(route, 1);
    is_str(show(1), "ended", "a worker's end is that of all that it has, with what it had to do");
    is_str(show(2), "bob: a@5 b@20", "each with its rooms");
    is_str(show(300), "bob:", "and the rooms of nobody else");
    is_str(show(77), "-", "others' are not concerned");
    ok(sessions_count(sessions) == 1, "and are still in");
    gone_worker_down(gone, 3, 1);
    end();
}

static void test_taken(void)
{
    begin();
    enter(1, "ann");
    route_room_join(route, 1, client(1), SLICE("a"), 5, 0);
    ASK(.type = MSG_JOIN, .rooms = "ann", .names = "b", .to_worker = 1);
    gone_client_taken(gone, 1, client(1), SLICE("ann"), 1);
    is_str(show(1), "ann: a@5 b@9", "a session that goes on elsewhere is as if it had gone");
    ok(sessions_count(sessions) == 0, "and is not the old connection's");
    ASK(.type = MSG_JOIN, .rooms = "ann", .names = "c");
    is_str(show(1), "ann: a@5 b@9 c@9", "requests act on it there");
    leave(1, "ann", 1);
    is_str(show(1), "ann: a@5 b@9 c@9", "how that ends means nothing to it");
    end();
}

static void test_break(void)
{
    begin();
    away(1, "ann");
    enter(2, "bob");
    enter(3, "cid");
    enter(4, "dan");
    leave(4, "dan", 1);
    gone_break(gone);
    is_str(show(1), "broken", "who is away has missed something");
    is_str(show(4), "ended", "for who is over that is all");
    leave(2, "bob", 0);
    is_str(show(2), "broken", "who is in has, too");
    leave(3, "cid", 1);
    is_str(show(3), "ended", "when it goes");
    away(5, "eve");
    is_str(show(5), "eve:", "who comes later has not");
    end();
}

static void test_put(void)
{
    struct gone_room rooms[] = {{SLICE("a"), 5, 1}, {SLICE(ROUTE_EVERYBODY), 6, 0}};
    struct gone_session session = {.state = GONE_AWAY,
                                   .left_ms = 17,
                                   .uid = SLICE("ann"),
                                   .left = 1,
                                   .rooms = rooms,
                                   .nrooms = 2};
    struct gone_session found;

    begin();
    memcpy(session.session, session_of(1), SESSION_LEN);
    is_int(gone_put(gone, &session, 20), 0, "what another daemon knows");
    is_str(show(1), "ann: a@5! allusers@6 -1", "is known");
    gone_find(gone, session_of(1), &found);
    ok(found.left_ms == 17 && memcmp(found.session, session_of(1), SESSION_LEN) == 0,
       "with the time when it left");
    session.state = GONE_MOVED;
    session.daemon = 4711;
    is_int(gone_put(gone, &session, 20), 0, "it has moved there");
    is_str(show(1), "moved", "which is known");
    gone_find(gone, session_of(1), &found);
    ok(found.daemon == 4711, "and where it is");
    ASK(.type = MSG_DISCONNECT);
    is_str(show(1), "moved", "requests here mean it no more");
    end();
}

static void test_time(void)
{
    begin();
    is_int(gone_turn(gone, 5) == UINT64_MAX, 1, "nothing is due");
    away(1, "ann");
    enter(2, "bob");
    gone_client_left(gone, 1, client(2), SLICE("bob"), 0, 500);
    is_int((int)gone_turn(gone, 1000), 1001, "the first one's time");
    is_str(show(1), "ann:", "is not up");
    is_int((int)gone_turn(gone, 1001), 1500, "the next one's");
    is_str(show(1), "-", "when it is, it is forgotten");
    is_str(show(2), "bob:", "the others are not");
    gone_keep(gone, 100);
    is_int(gone_turn(gone, 1001) == UINT64_MAX, 1, "less time is for all");
    is_str(show(2), "-", "that are there");
    ok(gone_floor_ms(gone) == 0, "what is forgotten in time is no loss");
    is_int((int)gone_last_request_ms(gone), 0, "no request has come");
    gone_note_request(gone);
    ok(gone_last_request_ms(gone) > 0, "one has");
    end();
}

/* Many, with one user each. */
static void many(uint32_t n)
{
    struct gone_session session = {.state = GONE_AWAY};
    char uid[16];

    for (uint32_t i = 0; i < n; i++) {
        memcpy(session.session, session_of(i), SESSION_LEN);
        session.uid = (struct slice){uid, (size_t)snprintf(uid, sizeof(uid), "u%u", i)};
        if (gone_put(gone, &session, 1) < 0)
            abort();
    }
}

static void test_bounds(void)
{
    struct gone_stats stats;
    unsigned turns = 0;

    begin();
    many(BUSY);
    ASK(.type = MSG_JOIN, .names = "a");
    gone_stats(gone, &stats);
    ok(stats.seats == BUSY && stats.forgotten == 0, "all of many join a room");
    ASK(.type = MSG_JOIN, .names = "b c");
    gone_stats(gone, &stats);
    ok(stats.sessions == 0 && stats.forgotten == BUSY,
       "where that is more than one turn is for, all are forgotten");
    ok(gone_floor_ms(gone) > 0, "which is known");
    is_str(show(7), "-", "they are not found");
    ASK(.type = MSG_DISCONNECT);
    away(7, "ann");
    is_str(show(7), "ann:", "who goes then is");
    ASK(.type = MSG_JOIN, .names = "a");
    is_str(show(7), "ann: a@9", "and is meant by requests");
    while (gone_turn(gone, 1) == 1)
        turns++;
    gone_stats(gone, &stats);
    ok(turns > 10 && stats.seats == 1 && stats.sessions == 1, "the others are freed bit by bit");
    many(GONE_MAX);
    gone_stats(gone, &stats);
    ok(stats.sessions == GONE_MAX && stats.forgotten == BUSY, "as many as may be");
    away(GONE_MAX + 1, "ann");
    gone_stats(gone, &stats);
    ok(stats.sessions == GONE_MAX && stats.forgotten == BUSY + 1,
       "one more is in place of the oldest");
    is_str(show(GONE_MAX + 1), "ann:", "and known");
    end();
}

/* One user comes and goes all the time, and nobody else is the worse for it. */
static void test_flood(void)
{
    struct gone_stats stats;
    int64_t floor_ms;

    begin();
    many(GONE_BUSY);
    floor_ms = gone_floor_ms(gone);
    for (uint32_t i = 0; i < 3 * GONE_USER_MAX; i++)
        away(GONE_BUSY + i, "ann");
    gone_stats(gone, &stats);
    is_int((int)stats.sessions, GONE_BUSY + GONE_USER_MAX, "one user has no more than it may");
    is_str(show(GONE_BUSY), "-", "its oldest have gone");
    is_str(show(GONE_BUSY + 3 * GONE_USER_MAX - 1), "ann:", "its newest are there");
    is_str(show(0), "u0:", "and all of others");
    for (uint32_t i = 0; i < 2 * GONE_TOLD_MAX; i++) {
        enter(GONE_BUSY + i, "bob");
        leave(GONE_BUSY + i, "bob", 1);
    }
    gone_stats(gone, &stats);
    is_int((int)stats.sessions, GONE_BUSY + GONE_TOLD_MAX, "those that have ended are not many");
    is_str(show(0), "u0:", "and put out nobody");
    ok(gone_floor_ms(gone) == floor_ms, "nothing has been lost that may be needed");
    end();
}

static void test_foreign(void)
{
    struct gone_session session = {.state = GONE_ENDED};
    struct gone_stats stats;

    begin();
    route_join(route, SLICE("ann"), 1, client(7));
    gone_client_in(gone, 1, client(7), session_of(8), SESSIONS_FOREIGN);
    leave(7, "ann", 1);
    is_str(show(8), "ended", "that a session of another daemon has ended is kept");
    for (uint32_t i = 0; i < 2 * GONE_TOLD_MAX; i++) {
        enter(100 + i, "bob");
        leave(100 + i, "bob", 1);
    }
    is_str(show(8), "ended", "however many of this one have");
    for (uint32_t i = 0; i < GONE_OVER_MAX; i++) {
        memcpy(session.session, session_of(100000 + i), SESSION_LEN);
        gone_put(gone, &session, 1);
    }
    gone_stats(gone, &stats);
    is_int((int)stats.sessions, GONE_OVER_MAX + GONE_TOLD_MAX, "up to a bound");
    is_str(show(8), "-", "then the oldest is forgotten");
    ok(gone_floor_ms(gone) > 0, "which is known");
    end();
}

/* Each allocation fails once, wherever: what is known is right, or nothing is. */
static void test_memory(void)
{
    unsigned unknown = 0, bad = 0;
    int nth = 0, rest = 1;

    for (nth = 1; rest > 0 && nth < 100; nth++) {
        const char *is;

        begin();
        enter(1, "ann");
        route_room_join(route, 1, client(1), SLICE("a"), 5, 0);
        route_room_join(route, 1, client(1), SLICE("b"), 6, 0);
        ASK(.type = MSG_JOIN, .rooms = "a", .names = "c", .to_worker = 1);
        nomem_nth = nth;
        leave(1, "ann", 0);
        ASK(.type = MSG_JOIN, .rooms = "c", .names = "d", .seq = 11);
        is = show(1);
        rest = nomem_nth == 0;
        nomem_nth = 0;
        unknown += strcmp(is, "-") == 0;
        bad += strcmp(is, "-") != 0 && strcmp(is, "ann: a@5 b@6 c@9 d@11") != 0;
        bad += strcmp(is, "-") == 0 && gone_floor_ms(gone) == 0 &&
               gone_find(gone, session_of(1), &(struct gone_session){0}) < 0;
        end();
    }
    ok(unknown > 5 && bad == 0, "without memory it is not known (%u times), or right", unknown);
    begin();
    enter(1, "ann");
    nomem_nth = 1;
    ASK(.type = MSG_JOIN, .rooms = "ann", .names = "a", .to_worker = 1);
    nomem_nth = 0;
    leave(1, "ann", 0);
    is_str(show(1), "-", "what a worker had to do was not kept: nor is who goes");
    nomem_nth = 1;
    ok(gone_new(sessions, route, 1) == NULL, "no memory for any");
    nomem_nth = 0;
    end();
}

int main(void)
{
    test_leaving();
    test_rooms();
    test_whom();
    test_defaults();
    test_ids();
    test_limits();
    test_disconnect();
    test_open();
    test_young();
    test_lost();
    test_down();
    test_taken();
    test_break();
    test_put();
    test_time();
    if (getenv("VALGRIND") == NULL) { /* which would take a minute */
        test_bounds();
        test_flood();
        test_foreign();
    }
    test_memory();
    return tap_done();
}
