#include "master/comeback.h"

#include "base/clock.h"
#include "ipc/msg.h"
#include "master/gone.h"
#include "master/history.h"
#include "master/route.h"
#include "master/sessions.h"

#include "nomem_nth.h"
#include "tap.h"

#define WALL_MS INT64_C(1796000000000)

uint64_t __wrap_clock_ms(void);
int64_t __wrap_clock_wall_ms(void);

static uint64_t now_ms = 1000000;

uint64_t __wrap_clock_ms(void)
{
    return now_ms;
}

int64_t __wrap_clock_wall_ms(void)
{
    return WALL_MS + (int64_t)now_ms;
}

static struct conf conf = {.recovery_ms = 1000, .message_bytes = 1 << 20};
static struct history *history;
static struct route *route;
static struct sessions *sessions;
static struct gone *gone;
static struct comeback_maker maker;
static uint8_t raw[PID_LEN];
static const uint8_t session[SESSION_LEN] = {5};

static void up(void)
{
    history = history_new(1 << 20, 1000000);
    route = route_new("/axr");
    sessions = sessions_new();
    gone = gone_new(sessions, route, 1000000);
    raw[0] = 1; /* daemon 0 */
    memcpy(raw + 9, session, SESSION_LEN);
}

static void down(void)
{
    comeback_clear(&maker);
    gone_free(&gone);
    sessions_free(&sessions);
    route_free(&route);
    history_free(&history);
}

static uint64_t pos_of(uint64_t offset)
{
    uint64_t pos = 0;

    return history_find(history, offset, &pos) == 0 ? pos : 0;
}

static struct admit admit_of(const struct slices *rooms)
{
    return (struct admit){.uid = SLICE("ann"),
                          .pid = {(const char *)raw, PID_LEN},
                          .rooms = *rooms,
                          .has_offset = 1,
                          .offset = 20};
}

/* --- where ------------------------------------------------------------------------ */

static void test_locate(void)
{
    const struct slices none = {0};
    struct admit admit = admit_of(&none);
    struct comeback_start start = {.offset = 20, .is_own = 1};
    uint64_t pos;

    history_step(history, 10, now_ms);
    history_step(history, 20, now_ms);
    history_step(history, 30, now_ms);
    admit.offset = 30;
    ok(comeback_locate(history, &admit, &start, &pos) == 0 && pos == pos_of(30), "an offset");
    admit.offset = 10;
    ok(comeback_locate(history, &admit, &start, &pos) == 0 && pos == pos_of(20),
       "one before the start: the start");
    admit.offset = 40;
    is_int(comeback_locate(history, &admit, &start, &pos), -1, "one that is not known");
    admit.offset = 0;
    is_int(comeback_locate(history, &admit, &start, &pos), -1, "one that is none");
    admit.has_offset = 0;
    ok(comeback_locate(history, &admit, &start, &pos) == 0 && pos == pos_of(20), "no offset");
    start.offset = 40;
    is_int(comeback_locate(history, &admit, &start, &pos), -1, "and no start");
    admit.has_offset = 1;
    admit.offset = 10;
    ok(comeback_locate(history, &admit, &start, &pos) == 0 && pos == pos_of(10),
       "a start that is too old, of this daemon");
    start = (struct comeback_start){.at_ms = WALL_MS + now_ms - COMEBACK_CLOCK_MS - 1};
    is_int(comeback_locate(history, &admit, &start, &pos), 0, "of another, before the offset");
    start.at_ms++;
    is_int(comeback_locate(history, &admit, &start, &pos), -1, "or maybe behind it");
    now_ms += 5;
    start.at_ms--;
    is_int(comeback_locate(history, &admit, &start, &pos), 0, "which no time changes");
}

/* --- what ------------------------------------------------------------------------- */

static void put(const struct gone_room *rooms, size_t n, enum gone_state state, const char *uid)
{
    struct gone_session record = {.state = state,
                                  .left_ms = now_ms,
                                  .uid = slice_str(uid),
                                  .left = MSG_LEFT_OWN,
                                  .rooms = rooms,
                                  .nrooms = n};

    memcpy(record.session, session, SESSION_LEN);
    if (gone_put(gone, &record, now_ms) < 0)
        abort();
}

static enum resume_refusal make(struct admit *admit)
{
    const struct comeback_parts parts = {&conf, history, gone, 9, 0};

    return comeback_make(&maker, &parts, admit);
}

/* "red@3 blue@9 ", the claimed ones first. */
static const char *rooms(void)
{
    static char text[256];
    char *at = text;

    *at = '\0';
    for (size_t i = 0; i < maker.comeback.rooms.n; i++) {
        uint64_t since;
        struct slice name = msg_room(maker.comeback.rooms.at[i], &since);

        at += snprintf(at, (size_t)(text + sizeof(text) - at), "%s%.*s@%u ",
                       i == maker.comeback.nclaimed ? "| " : "", (int)name.len, name.ptr,
                       (unsigned)since);
    }
    return text;
}

static void test_rooms(void)
{
    static const struct gone_room held[] = {{SLICE("red"), 3, 1},
                                            {SLICE("blue"), 4, 1},
                                            {SLICE("green"), 5, 0},
                                            {SLICE("allusers"), 6, 0}};
    struct slice names[] = {SLICE("red"),      SLICE("black"), SLICE("ann"),
                            SLICE("allusers"), SLICE("green"), SLICE("black")};
    const struct slices token = {names, 6, 6}, none = {0};
    struct admit admit = admit_of(&token);

    put(held, 4, GONE_AWAY, "ann");
    is_int(make(&admit), RESUME_REFUSALS, "a session with rooms");
    /* Those of a record come in no order. */
    ok(strncmp(rooms(), "red@3 black@9 | ", 16) == 0, "those of the token, old and new: %s",
       rooms());
    ok(strstr(rooms(), "green@5 ") != NULL && strstr(rooms(), "allusers@6 ") != NULL &&
           maker.comeback.rooms.n == 4,
       "those by request, not the one that the token lacks");
    is_int(maker.comeback.left, MSG_LEFT_OWN, "what it has left");
    ok(memcmp(maker.comeback.session, session, SESSION_LEN) == 0 &&
           maker.comeback.from == pos_of(20),
       "whose, and from where on");
    admit = admit_of(&none);
    is_int(make(&admit), RESUME_REFUSALS, "a token without rooms");
    ok(maker.comeback.nclaimed == 0 && maker.comeback.rooms.n == 2, "has those by request");
    put(NULL, 0, GONE_AWAY, "ann");
    ok(make(&admit) == RESUME_REFUSALS && maker.comeback.rooms.n == 0, "and without these none");
    admit = admit_of(&token);
    for (int nth = 1; nth <= 12; nth++) {
        put(held, 4, GONE_AWAY, "ann");
        comeback_clear(&maker);
        nomem_nth = nth;
        if (make(&admit) == RESUME_BUSY)
            ok(nomem_nth == 0, "without memory it has nothing");
        nomem_nth = 0;
    }
    conf.message_bytes = 0;
    static char name[40000];
    memset(name, 'x', sizeof(name));
    const struct gone_room large = {{name, sizeof(name)}, 1, 0};
    put(&large, 1, GONE_AWAY, "ann");
    is_int(make(&admit), RESUME_ROOMS, "more than fits into a message");
    conf.message_bytes = 1 << 20;
    is_int(make(&admit), RESUME_REFUSALS, "which may be larger");
}

static void test_refusals(void)
{
    const struct slices none = {0};
    struct admit admit = admit_of(&none);

    gone_take(gone, session);
    is_int(make(&admit), RESUME_UNKNOWN, "nothing is known of it");
    put(NULL, 0, GONE_ENDED, "ann");
    is_int(make(&admit), RESUME_ENDED, "it has ended");
    put(NULL, 0, GONE_BROKEN, "ann");
    is_int(make(&admit), RESUME_GAP, "something was missed");
    put(NULL, 0, GONE_MOVED, "ann");
    is_int(make(&admit), RESUME_ELSEWHERE, "it has moved");
    put(NULL, 0, GONE_AWAY, "bob");
    is_int(make(&admit), RESUME_PID, "another user's");
    put(NULL, 0, GONE_AWAY, "ann");
    admit.offset = 99;
    is_int(make(&admit), RESUME_OFFSET, "from where on is not known");
    admit.offset = 20;
    admit.resumes = COMEBACK | COMEBACK_OWN_ID;
    ok(make(&admit) == RESUME_REFUSALS && maker.comeback.has_own_id, "under an id of its own");
    history_hole(history, 50, now_ms);
    is_int(make(&admit), RESUME_REFUSALS, "a hole is none for who was here");
    admit.resumes = COMEBACK | COMEBACK_FOREIGN;
    is_int(make(&admit), RESUME_HOLE, "but for who comes from elsewhere");
    admit.offset = 50;
    is_int(make(&admit), RESUME_REFUSALS, "not behind it");
    now_ms += 1001;
    is_int(make(&admit), RESUME_AWAY, "it is too late");
    raw[0] = 2;
    is_int(make(&admit), RESUME_PID, "a pid that is none");
}

int main(void)
{
    up();
    test_locate();
    test_rooms();
    test_refusals();
    down();
    return tap_done();
}
