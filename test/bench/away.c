/* away - what sessions cost the master: those of clients that are in, and those whose clients have
 * gone.
 *
 * usage: away CLIENTS [ROUNDS]
 * One line of JSON: bytes, and ns for each, the least of the rounds; "down": one worker's end, with
 * CLIENTS on it, route_down() not among it; all_...: one request that means all. */
#include "base/pages.h"
#include "codec/sid.h"
#include "master/gone.h"
#include "master/route.h"
#include "master/sessions.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum op {
    PUT_NS,
    HOME_BYTES,
    MOVED_BYTES,
    FIND_NS,
    DOWN_MS,
    ROUTE_DOWN_MS,
    GONE_BYTES,
    LEFT_NS,
    USER_NS,
    NOBODY_NS,
    ALL_JOIN_MS,
    SEAT_BYTES,
    ALL_LEAVE_MS,
    ALL_DISCONNECT_MS,
    BREAK_MS,
    EXPIRE_NS,
    OPS
};

static const char *const names[OPS] = {
    "put_ns",       "home_bytes",        "moved_bytes", "find_ns",   "down_ms",     "route_down_ms",
    "gone_bytes",   "left_ns",           "user_ns",     "nobody_ns", "all_join_ms", "seat_bytes",
    "all_leave_ms", "all_disconnect_ms", "break_ms",    "expire_ns"};

static struct sessions *sessions;
static struct route *route;
static struct gone *gone;
static double least[OPS];

static void check(int good)
{
    if (!good) {
        fputs("away: something is wrong\n", stderr);
        exit(1);
    }
}

static uint64_t cpu_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

void *__real_pages_alloc(size_t size);
void __real_pages_free(void *at, size_t size);
void *__wrap_pages_alloc(size_t size);
void __wrap_pages_free(void *at, size_t size);

static size_t in_pages;

void *__wrap_pages_alloc(size_t size)
{
    in_pages += size;
    return __real_pages_alloc(size);
}

void __wrap_pages_free(void *at, size_t size)
{
    in_pages -= size;
    __real_pages_free(at, size);
}

static size_t used_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd + in_pages;
}

static void lap(enum op op, uint64_t from, double n)
{
    double value = (double)(cpu_ns() - from) / n;

    if (least[op] == 0 || value < least[op])
        least[op] = value;
}

static void session_of(uint8_t raw[SESSION_LEN], unsigned lane, uint32_t place)
{
    memset(raw, 0, SESSION_LEN);
    for (int i = 0; i < 4; i++)
        raw[i] = (uint8_t)(place >> 8 * (3 - i));
    raw[4] = (uint8_t)lane;
    memcpy(raw + 7, &place, sizeof(place));
}

static struct slice user_called(char dst[32], size_t user)
{
    int n = snprintf(dst, 32, "user-%08zx", user);

    return (struct slice){dst, (size_t)n};
}

static uint64_t client_of(size_t i)
{
    return UINT64_C(1) << 32 | i;
}

/* Each is another's of lane 9 in the same place, if they have moved. */
static void enter(size_t n, int moved)
{
    uint8_t raw[SESSION_LEN];
    char name[32];

    for (size_t i = 0; i < n; i++) {
        check(route_join(route, user_called(name, i), 1, client_of(i)) == 0);
        session_of(raw, moved ? 9 : 1, (uint32_t)i);
        check(gone_client_in(gone, 1, client_of(i), raw, moved) == 0);
    }
}

static void find_all(size_t n, int moved)
{
    uint8_t raw[SESSION_LEN];
    unsigned lane;
    uint64_t client;

    for (size_t i = 0; i < n; i++) {
        session_of(raw, moved ? 9 : 1, (uint32_t)i);
        check(sessions_find(sessions, raw, &lane, &client) == 0 && client == client_of(i));
    }
}

static void request(enum msg_type type, const struct slices *rooms)
{
    static const struct slices none;
    struct slice room = SLICE("a-room-of-the-request");
    struct slices rooms_names = {.at = &room, .n = 1};
    struct gone_request what = {.type = type,
                                .id = 1,
                                .rooms = rooms,
                                .except = &none,
                                .names = &rooms_names,
                                .seq = 1,
                                .rooms_max = 1000};

    gone_request(gone, &what, &(struct route_targets){.n = 0});
}

static void measure_sessions(size_t n)
{
    size_t bytes = used_bytes();
    uint8_t raw[SESSION_LEN];
    uint64_t from = cpu_ns();

    for (int moved = 0; moved < 2; moved++) {
        for (size_t i = 0; i < n; i++) {
            session_of(raw, moved ? 9 : 1, (uint32_t)i);
            check(sessions_put(sessions, 1, client_of(i), raw, moved) == 0);
        }
        least[moved ? MOVED_BYTES : HOME_BYTES] = (double)(used_bytes() - bytes) / (double)n;
        if (!moved)
            lap(PUT_NS, from, (double)n);
        from = cpu_ns();
        find_all(n, moved);
        lap(FIND_NS, from, (double)n);
        sessions_drop_lane(sessions, 1);
    }
}

static void measure_all(size_t n)
{
    static const struct slices none;
    struct gone_stats stats;
    size_t bytes = used_bytes();
    uint64_t from = cpu_ns();

    request(MSG_JOIN, &none);
    lap(ALL_JOIN_MS, from, 1e6);
    gone_stats(gone, &stats);
    check(stats.seats == n && stats.sessions == n);
    least[SEAT_BYTES] = (double)(used_bytes() - bytes) / (double)n;
    from = cpu_ns();
    request(MSG_LEAVE, &none);
    lap(ALL_LEAVE_MS, from, 1e6);
    from = cpu_ns();
    request(MSG_DISCONNECT, &none);
    lap(ALL_DISCONNECT_MS, from, 1e6);
}

static void measure_one(size_t n)
{
    char name[32];
    uint64_t from = cpu_ns();

    for (size_t i = 0; i < n; i++) {
        struct slice user = user_called(name, i * 2654435761u % n);

        request(MSG_JOIN, &(struct slices){.at = &user, .n = 1});
        request(MSG_LEAVE, &(struct slices){.at = &user, .n = 1});
    }
    lap(USER_NS, from, 2 * (double)n);
    from = cpu_ns();
    for (size_t i = 0; i < n; i++) {
        struct slice user = user_called(name, i + n);

        request(MSG_JOIN, &(struct slices){.at = &user, .n = 1});
    }
    lap(NOBODY_NS, from, (double)n);
}

static void expire_all(size_t n)
{
    uint64_t from = cpu_ns();

    while (gone_turn(gone, 1000000) != UINT64_MAX)
        ;
    lap(EXPIRE_NS, from, (double)n);
}

static void measure_gone(size_t n)
{
    size_t bytes = used_bytes();
    char name[32];
    uint64_t from;

    enter(n, 0);
    bytes = used_bytes();
    from = cpu_ns();
    gone_worker_down(gone, 1, 1);
    lap(DOWN_MS, from, 1e6);
    least[GONE_BYTES] = (double)(used_bytes() - bytes) / (double)n + least[HOME_BYTES];
    from = cpu_ns();
    route_down(route, 1);
    lap(ROUTE_DOWN_MS, from, 1e6);
    measure_one(n);
    measure_all(n);
    expire_all(n);
    enter(n, 0);
    from = cpu_ns();
    for (size_t i = 0; i < n; i++)
        gone_client_left(gone, 1, client_of(i), user_called(name, i), 0, 1);
    lap(LEFT_NS, from, (double)n);
    from = cpu_ns();
    gone_break(gone);
    lap(BREAK_MS, from, 1e6);
    expire_all(n);
    route_down(route, 1);
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 3;

    if (n == 0 || n > SESSIONS_PLACE_MAX) {
        fputs("usage: away CLIENTS [ROUNDS]\n", stderr);
        return 2;
    }
    while (rounds-- > 0) {
        sessions = sessions_new();
        route = route_new("/axr");
        check(sessions != NULL && route != NULL);
        route_sessions(route, sessions);
        check((gone = gone_new(sessions, route, 1000)) != NULL);
        measure_sessions(n);
        measure_gone(n);
        gone_free(&gone);
        route_free(&route);
        sessions_free(&sessions);
    }
    printf("{\"clients\":%zu", n);
    for (int op = 0; op < OPS; op++)
        printf(",\"%s\":%.1f", names[op], least[op]);
    printf("}\n");
    return 0;
}
