#include "master/sessions.h"

#include "base/base64.h"
#include "codec/sid.h"

#include "nomem_nth.h"
#include "tap.h"

static struct sessions *sessions;

static void begin(void)
{
    sessions = sessions_new();
    if (sessions == NULL)
        abort();
}

static uint64_t client(uint32_t place, uint32_t serial)
{
    return (uint64_t)serial << 32 | place;
}

/* The bytes of the Socket.IO id of a client in that place. */
static const uint8_t *raw(unsigned lane, uint32_t generation, uint32_t place, uint64_t hash)
{
    static uint8_t all[4][SESSION_LEN];
    static unsigned at;
    struct sid_home home = {lane, generation, place};
    char text[SIO_SID_LEN];
    uint8_t *to = all[at++ % 4];

    sio_sid_encode(text, hash, &home);
    if (base64_decode(to, text, sizeof(text)) != SESSION_LEN)
        abort();
    return to;
}

/* "2:5.1": lane, place and serial of whose it is. */
static const char *find(const uint8_t *session)
{
    static char text[64];
    unsigned lane;
    uint64_t whose;

    if (sessions_find(sessions, session, &lane, &whose) < 0)
        return "-";
    snprintf(text, sizeof(text), "%u:%u.%u", lane, (unsigned)whose, (unsigned)(whose >> 32));
    return text;
}

static int is(unsigned lane, uint64_t whose, const uint8_t *session)
{
    struct sessions_entry entry;

    return sessions_get(sessions, lane, whose, &entry) == 0 &&
           memcmp(entry.session, session, SESSION_LEN) == 0;
}

static int moved_lane(const uint8_t *session)
{
    char text[SIO_SID_LEN];

    base64url_encode(text, session, SESSION_LEN);
    return sessions_moved_lane(sessions, (struct slice){text, sizeof(text)});
}

static void test_home(void)
{
    struct sessions_entry entry;

    begin();
    is_str(find(raw(2, 3, 5, 7)), "-", "nobody is in");
    is_int(sessions_put(sessions, 2, client(5, 1), raw(2, 3, 5, 7), 0), 0, "a new session");
    is_str(find(raw(2, 3, 5, 7)), "2:5.1", "is found");
    is_str(find(raw(2, 3, 5, 8)), "-", "another of that place is not");
    is_str(find(raw(2, 4, 5, 7)), "-", "nor one of a worker before or after");
    is_str(find(raw(2, 3, 6, 7)), "-", "nor one of another place");
    is_str(find(raw(1, 3, 5, 7)), "-", "nor of another worker");
    ok(is(2, client(5, 1), raw(2, 3, 5, 7)), "it is that client's");
    is_int(sessions_get(sessions, 2, client(5, 2), &entry), -1, "nobody else's");
    is_int(sessions_get(sessions, 3, client(5, 1), &entry), -1, "nor of the same name elsewhere");
    is_int(sessions_get(sessions, 2, client(5, 1), &entry), 0, "what is known of it");
    ok(!entry.has_moved && !entry.is_broken && entry.youth == 0, "is nothing else");
    is_int(moved_lane(raw(2, 3, 5, 7)), -1, "it has not moved");
    sessions_take(sessions, 2, client(5, 2));
    is_int((int)sessions_count(sessions), 1, "nobody else gives it up");
    sessions_take(sessions, 2, client(5, 1));
    sessions_take(sessions, 2, client(5, 1));
    is_str(find(raw(2, 3, 5, 7)), "-", "it has gone");
    is_int((int)sessions_count(sessions), 0, "nothing is left");
    sessions_free(&sessions);
    ok(sessions == NULL, "sessions_free clears the pointer");
    sessions_free(&sessions);
}

static void test_moved(void)
{
    struct sessions_entry entry;

    begin();
    is_int(sessions_put(sessions, 4, client(9, 1), raw(2, 3, 5, 7), 0), 1,
           "a new session that names another place");
    is_str(find(raw(2, 3, 5, 7)), "-", "is none");
    is_int(sessions_put(sessions, 4, client(9, 1), raw(2, 3, 5, 7), 1), 0, "one that is recovered");
    is_str(find(raw(2, 3, 5, 7)), "4:9.1", "is where it is");
    is_int(moved_lane(raw(2, 3, 5, 7)), 4, "its id names that worker");
    is_int(sessions_get(sessions, 4, client(9, 1), &entry), 0, "it is that client's");
    ok(entry.has_moved, "and has moved");
    is_int(sessions_moved_lane(sessions, SLICE("AAAAAAAAAAAAAAAAAAA")), -1,
           "what is too short names nobody");
    is_int(sessions_moved_lane(sessions, SLICE("AAAAAAAAAAAAAAAAAAA!")), -1, "nor what is no id");
    is_int(sessions_put(sessions, 1, client(8, 6), raw(2, 3, 5, 7), 1), 0, "it moves on");
    is_str(find(raw(2, 3, 5, 7)), "1:8.6", "and is there");
    is_int(sessions_get(sessions, 4, client(9, 1), &entry), -1, "not where it was");
    is_int(sessions_put(sessions, 2, client(5, 9), raw(2, 3, 5, 7), 1), 0,
           "it comes to the place that it names");
    is_str(find(raw(2, 3, 5, 7)), "2:5.9", "and is there");
    ok(sessions_moved(sessions) == 0 && moved_lane(raw(2, 3, 5, 7)) == -1, "and has not moved");
    is_int(sessions_put(sessions, 2, client(6, 1), raw(2, 3, 5, 7), 1), 0, "or to the next place");
    is_int((int)sessions_count(sessions), 1, "a session is one client's");
    is_int(moved_lane(raw(2, 3, 5, 7)), 2, "and has moved");
    sessions_free(&sessions);
}

/* A worker's words may come late: who waited for a place of its user, and has gone. */
static void test_places(void)
{
    begin();
    sessions_put(sessions, 2, client(5, 7), raw(2, 3, 5, 7), 0);
    is_int(sessions_put(sessions, 2, client(5, 6), raw(2, 3, 5, 6), 0), 1,
           "who had a place before has it no more");
    is_str(find(raw(2, 3, 5, 7)), "2:5.7", "who has it keeps it");
    is_int(sessions_put(sessions, 2, client(5, 8), raw(2, 3, 5, 8), 0), 0, "the next one");
    is_str(find(raw(2, 3, 5, 7)), "-", "is there in place of it");
    is_int(sessions_put(sessions, 2, client(5, 9), raw(1, 3, 5, 9), 1), 0, "one that has moved");
    is_int(sessions_put(sessions, 2, client(5, 8), raw(2, 3, 5, 8), 0), 1, "the same there");
    is_int(sessions_put(sessions, 2, client(5, 10), raw(1, 3, 5, 10), 1), 0, "the next one");
    is_str(find(raw(1, 3, 5, 9)), "-", "is there in place of it");
    is_int((int)sessions_moved(sessions), 1, "alone");
    is_int(sessions_put(sessions, 2, client(7, UINT32_MAX), raw(2, 3, 7, 1), 0), 0,
           "a serial that is the last");
    is_int(sessions_put(sessions, 2, client(7, 0), raw(2, 3, 7, 2), 0), 0, "has one behind it");
    is_int(sessions_put(sessions, 2, client(SESSIONS_PLACE_MAX, 1),
                        raw(2, 3, SESSIONS_PLACE_MAX, 1), 0),
           1, "a place past the end");
    is_int(sessions_put(sessions, 2, client(UINT32_MAX, 1), raw(2, 3, UINT32_MAX, 1), 1), 1,
           "or far past it");
    is_str(find(raw(2, 3, UINT32_MAX, 1)), "-", "is nobody's");
    is_str(find(raw(511, 3, 0, 1)), "-", "nor is one of a worker that is not there");
    is_int(sessions_put(sessions, 2, client(SESSIONS_PLACE_MAX - 1, 1),
                        raw(2, 3, SESSIONS_PLACE_MAX - 1, 1), 0),
           0, "the last place");
    is_str(find(raw(2, 3, SESSIONS_PLACE_MAX - 1, 1)), "2:1048574.1", "is one");
    sessions_free(&sessions);
}

static void test_marks(void)
{
    struct sessions_entry entry;

    begin();
    sessions_put(sessions, 2, client(5, 1), raw(2, 3, 5, 7), 0);
    sessions_put(sessions, 3, client(700, 1), raw(2, 3, 6, 7), 1);
    sessions_mark_young(sessions, 3, client(700, 1), SESSIONS_YOUTH_MAX);
    sessions_mark_young(sessions, 3, client(700, 1), 9);
    sessions_mark_young(sessions, 3, client(700, 2), 3);
    sessions_break(sessions);
    sessions_put(sessions, 2, client(6, 1), raw(2, 3, 6, 8), 0);
    sessions_get(sessions, 2, client(5, 1), &entry);
    ok(entry.is_broken && entry.youth == 0, "who is in is broken");
    sessions_get(sessions, 3, client(700, 1), &entry);
    ok(entry.is_broken && entry.has_moved && entry.youth == 9, "with all else that is known");
    sessions_get(sessions, 2, client(6, 1), &entry);
    ok(!entry.is_broken, "who comes later is not");
    sessions_put(sessions, 3, client(700, 2), raw(2, 3, 9, 7), 1);
    sessions_get(sessions, 3, client(700, 2), &entry);
    ok(!entry.is_broken && entry.youth == 0, "nor is the next one in a place");
    sessions_drop_lane(sessions, 2);
    ok(sessions_count(sessions) == 1 && sessions_moved(sessions) == 1, "one worker's are dropped");
    is_str(find(raw(2, 3, 9, 7)), "3:700.2", "the others are not");
    sessions_drop_lane(sessions, 3);
    sessions_drop_lane(sessions, 3);
    ok(sessions_count(sessions) == 0 && sessions_moved(sessions) == 0, "until they are");
    sessions_free(&sessions);
}

/* --- at random, against plain arrays ---------------------------------------------- */

enum { LANES = 3, PLACES = 1500, POOL = 2000 };

static struct {
    int is_in;
    unsigned lane;
    uint32_t place, serial;
} whose[POOL];

static uint8_t pool[POOL][SESSION_LEN];
static unsigned seed = 4711;

static unsigned below(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % n;
}

static int holder(unsigned lane, uint32_t place)
{
    for (int k = 0; k < POOL; k++)
        if (whose[k].is_in && whose[k].lane == lane && whose[k].place == place)
            return k;
    return -1;
}

static unsigned check_all(void)
{
    unsigned n = 0, bad = 0;

    for (int k = 0; k < POOL; k++) {
        uint64_t name = client(whose[k].place, whose[k].serial), found = 0;
        unsigned lane = 0;
        int rc = sessions_find(sessions, pool[k], &lane, &found);

        n += whose[k].is_in != 0;
        if (whose[k].is_in)
            bad += rc < 0 || lane != whose[k].lane || found != name ||
                   !is(whose[k].lane, name, pool[k]);
        else
            bad += rc == 0;
    }
    return bad + (sessions_count(sessions) != n);
}

static void change(uint32_t serial)
{
    unsigned lane = below(LANES), k = below(POOL);
    uint32_t place = below(PLACES);
    int other;

    if (below(3) == 0) {
        sessions_take(sessions, whose[k].lane, client(whose[k].place, whose[k].serial));
        whose[k].is_in = 0;
        return;
    }
    if (below(4) == 0) { /* to the place that it names */
        lane = k % LANES;
        place = k % PLACES;
    }
    other = holder(lane, place);
    if (sessions_put(sessions, lane, client(place, serial), pool[k], 1) != 0)
        abort();
    if (other >= 0)
        whose[other].is_in = 0;
    whose[k].is_in = 1;
    whose[k].lane = lane;
    whose[k].place = place;
    whose[k].serial = serial;
}

static void test_churn(void)
{
    unsigned bad = 0;

    begin();
    for (unsigned k = 0; k < POOL; k++)
        memcpy(pool[k], raw(k % LANES, 1, k % PLACES, k), SESSION_LEN);
    for (uint32_t i = 1; i < 40000; i++) {
        if (i % 12000 == 0) {
            sessions_drop_lane(sessions, 1);
            for (int k = 0; k < POOL; k++)
                if (whose[k].lane == 1)
                    whose[k].is_in = 0;
        }
        change(i);
        if (i % 500 == 0)
            bad += check_all();
    }
    bad += check_all();
    is_int(bad, 0, "whoever comes, moves and goes: each session is where it is");
    ok(sessions_moved(sessions) > 500, "and many have moved");
    for (unsigned lane = 0; lane < LANES; lane++)
        sessions_drop_lane(sessions, lane);
    ok(sessions_count(sessions) == 0 && sessions_moved(sessions) == 0, "nothing is left");
    sessions_free(&sessions);
}

/* Each allocation fails once: whoever comes has no session then, and nobody else is hurt. */
static void test_memory(void)
{
    unsigned failed = 0, bad = 0;

    begin();
    for (uint32_t i = 0; i < 600; i++) {
        int moves = i % 2;
        const uint8_t *session = raw(moves ? 7 : 2, 1, i * 3, i);

        for (int nth = 1;; nth++) {
            int rc;
            nomem_nth = nth;
            rc = sessions_put(sessions, 2, client(i * 3, 1), session, moves);
            if (rc == 0)
                break;
            failed++;
            bad += rc != -1 || sessions_count(sessions) != i || strcmp(find(session), "-") != 0;
        }
        nomem_nth = 0;
    }
    ok(failed > 10 && bad == 0, "without memory nothing changes (%u times)", failed);
    for (uint32_t i = 0; i < 600; i++) {
        nomem_nth = 1; /* to give some back may fail */
        sessions_take(sessions, 2, client(i * 3, 1));
    }
    nomem_nth = 1;
    ok(sessions_count(sessions) == 0 && sessions_moved(sessions) == 0, "and to go needs none");
    sessions_free(&sessions);
    is_int(sessions_new() == NULL, 1, "no memory for any");
    nomem_nth = 0;
}

int main(void)
{
    test_home();
    test_moved();
    test_places();
    test_marks();
    test_churn();
    test_memory();
    return tap_done();
}
