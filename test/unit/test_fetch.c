/* Questions about clients, by a made-up worker: what the master hears, in which parts, and in how
 * many turns of the loop. */
#include "base/clock.h"
#include "engine/engine.h"
#include "ipc/msg.h"
#include "ipc/start.h"
#include "nomem.h"
#include "tap.h"
#include "worker/client.h"
#include "worker/fetch.h"
#include "worker/remote.h"
#include "worker/room.h"
#include "worker/stats.h"
#include "worker/uplink.h"

#include <event2/event.h>

#define MANY 1000

/* --- time --- */

static uint64_t now_us = 1000000;
static unsigned each_us; /* that one client takes */

uint64_t clock_ms(void)
{
    return now_us / 1000;
}

uint64_t clock_us(void)
{
    return now_us;
}

int64_t clock_wall_ms(void)
{
    return 1000000000000 + (int64_t)(now_us / 1000);
}

/* --- clients: their handles are their places --- */

static struct conf *const conf = (struct conf *)&now_us;
static struct engine engine;
static struct socket sockets[MANY];
static struct client clients[MANY];
static int gone[MANY];

struct socket *socket_find(const struct sio *sio, uint64_t handle)
{
    if (sio != &engine.sio)
        abort();
    now_us += each_us;
    return gone[handle] ? NULL : &sockets[handle];
}

void *socket_data(const struct socket *socket)
{
    return socket->data;
}

size_t socket_sid(const struct socket *socket, char dst[SIO_SID_MAX])
{
    return (size_t)snprintf(dst, SIO_SID_MAX, "sid%ld", (long)(socket - sockets));
}

static size_t tail_bytes; /* of text */

void remote_head(struct buf *out, const struct client *client)
{
    buf_printf(out, "head%ld", (long)(client - clients));
}

void remote_handshake(struct buf *out, const struct client *client, const struct conf *of,
                      const struct remote_now *now)
{
    if (of != conf || now->wall_ms - (int64_t)now->ms != 1000000000000)
        abort();
    buf_printf(out, "shake%ld", (long)(client - clients));
}

void remote_tail(struct buf *out, const struct client *client)
{
    buf_printf(out, "tail%ld", (long)(client - clients));
    for (size_t i = 0; i < tail_bytes; i++)
        buf_putc(out, 't');
}

/* --- who is meant: the first so many --- */

static size_t nmeant;
static int select_fails;
static struct who asked_for;

void handles_clear(struct handles *handles)
{
    free(handles->at);
    memset(handles, 0, sizeof(*handles));
}

int select_handles(struct engine *of, const struct rooms *rooms, const struct who *who,
                   struct handles *handles)
{
    (void)rooms;
    if (of != &engine)
        abort();
    asked_for = *who;
    handles->at = calloc(nmeant + 1, sizeof(*handles->at));
    for (size_t i = 0; i < nmeant; i++)
        handles->at[handles->n++] = i;
    return select_fails ? -1 : 0;
}

/* --- the master --- */

static char heard[4096]; /* the records of what is not too long, and an end */
static size_t parts, longest, nrecords, nbytes;
static int behind; /* the pipe: so many more times */

int uplink_is_behind(const struct uplink *uplink)
{
    (void)uplink;
    return behind > 0 ? behind-- : 0;
}

static enum msg_what heard_what;

static void hear(const char *text, size_t len)
{
    size_t at = strlen(heard);

    if (len < 100)
        (void)snprintf(heard + at, sizeof(heard) - at, "%.*s ", (int)len, text);
}

static void hear_text(const char *text)
{
    hear(text, strlen(text));
}

/* One record, as msg.h has it, is taken from msg. */
static void hear_record(struct msg *msg)
{
    struct slice field;

    if (heard_what == MSG_WHAT_ROOMS)
        hear_text(msg_get_u8(msg) ? "id" : "room");
    for (int i = 0; i < (heard_what == MSG_WHAT_SOCKETS ? 3 : 1); i++) {
        field = msg_get_bytes(msg);
        hear(field.ptr, field.len);
    }
}

void uplink_fetched(struct uplink *uplink, uint32_t id, int last, uint32_t n, struct slice records)
{
    struct msg msg = {.at = (const uint8_t *)records.ptr,
                      .end = (const uint8_t *)records.ptr + records.len};
    char text[32];

    (void)uplink;
    parts++;
    nrecords += n;
    nbytes += records.len;
    longest = records.len > longest ? records.len : longest;
    for (uint32_t i = 0; i < n; i++)
        hear_record(&msg);
    if (msg_close(&msg) < 0)
        hear("BAD", 3);
    if (last)
        hear(text, (size_t)snprintf(text, sizeof(text), "END:%u", id));
}

static void done(const char *want, const char *name)
{
    is_str(heard, want, name);
    heard[0] = '\0';
    parts = longest = nrecords = nbytes = 0;
}

/* --- a question --- */

static struct event_base *base;
static struct fetches *fetches;
static struct rooms rooms;
static struct worker_stats stats;

static void ask(uint32_t id, enum msg_what what)
{
    struct fetch_request request = {.id = id, .what = what};

    heard_what = what;
    request.who.select = MSG_SELECT_IDS;
    fetch_begin(fetches, &request);
}

static void turn(void)
{
    event_base_loop(base, EVLOOP_ONCE);
}

static void begin(void)
{
    struct fetch_parts all = {base, conf, &engine, &rooms, NULL, &stats};

    memset(&stats, 0, sizeof(stats));
    for (int i = 0; i < MANY; i++) {
        gone[i] = 0;
        sockets[i].data = &clients[i];
        clients[i].socket = &sockets[i];
        clients[i].state = CLIENT_IN;
    }
    each_us = 0;
    tail_bytes = 0;
    nmeant = 2;
    fetches = fetches_new(&all);
}

static void end(void)
{
    fetches_free(&fetches);
    ok(fetches == NULL, "freed");
    heard[0] = '\0';
    parts = longest = nrecords = nbytes = 0;
}

/* --- tests --- */

static void test_what(void)
{
    begin();
    ask(5, MSG_WHAT_IDS);
    is_int(asked_for.select, MSG_SELECT_IDS, "about those who are asked for");
    done("sid0 sid1 END:5 ", "ids, at once");
    gone[0] = 1;
    ask(6, MSG_WHAT_SOCKETS);
    done("head1 shake1 tail1 END:6 ", "all that is told, of those who are there");
    gone[0] = 0;
    clients[1].state = CLIENT_OUT;
    ask(7, MSG_WHAT_IDS);
    done("sid0 END:7 ", "or in");
    clients[1].state = CLIENT_IN;
    room_join(&rooms, &clients[9].member, SLICE("a room"));
    ask(8, MSG_WHAT_ROOMS);
    is_int(asked_for.select == MSG_SELECT_ROOMS && asked_for.rooms.n == 0, 1, "everybody's");
    done("id sid0 id sid1 room a room END:8 ", "rooms, and ids");
    sockets[0].sidless = 1;
    ask(8, MSG_WHAT_ROOMS);
    done("id sid1 room a room END:8 ", "but for that which it has left");
    ask(8, MSG_WHAT_IDS);
    done("sid0 sid1 END:8 ", "though it has it");
    sockets[0].sidless = 0;
    room_leave_all(&rooms, &clients[9].member);
    ask(9, MSG_WHAT_ROOMS);
    done("id sid0 id sid1 END:9 ", "no rooms");
    nmeant = 0;
    ask(10, MSG_WHAT_SOCKETS);
    done("END:10 ", "nobody");
    is_int((long)stats.fetches[0], 8, "counted");
    is_int((long)stats.fetches[1], 0, "each as answered");
    end();
}

static void test_parts(void)
{
    static struct room_member member;
    char name[ROOM_NAME_MAX] = {0};

    begin();
    nmeant = MANY;
    tail_bytes = 1000;
    ask(5, MSG_WHAT_SOCKETS);
    is_int((long)nrecords, MANY, "many");
    ok(longest <= START_UP_PART && longest > START_UP_PART - 1200, "in parts of %zu bytes",
       longest);
    ok(parts >= nbytes / START_UP_PART && parts <= nbytes / START_UP_PART + 3, "%zu of them",
       parts);
    heard[0] = '\0';
    parts = longest = nrecords = 0;
    nmeant = 3;
    tail_bytes = 200000;
    ask(6, MSG_WHAT_SOCKETS);
    is_int((long)nrecords, 3, "large ones");
    is_int((long)parts, 3, "are a part each");
    heard[0] = '\0';
    parts = longest = nrecords = 0;
    nmeant = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        room_join(&rooms, &member, (struct slice){name, sizeof(name)});
    }
    ask(7, MSG_WHAT_ROOMS);
    is_int((long)nrecords, 1000, "many rooms");
    ok(longest <= START_UP_PART && parts <= 18, "in %zu parts, too", parts);
    room_leave_all(&rooms, &member);
    end();
}

/* The loop, and the pipe, get their turns. */
static void test_slices(void)
{
    int turns = 0;

    begin();
    each_us = 300;
    nmeant = 10;
    ask(5, MSG_WHAT_IDS);
    gone[9] = 1;
    ask(6, MSG_WHAT_IDS);
    done("", "a long one is not told at once");
    while (strstr(heard, "END:5") == NULL && turns++ < 100)
        turn();
    is_int(turns, 2, "but in three turns of the loop");
    done("sid0 sid1 sid2 sid3 sid4 sid5 sid6 sid7 sid8 END:5 ", "but for who has gone");
    while (strstr(heard, "END:6") == NULL && turns++ < 100)
        turn();
    done("sid0 sid1 sid2 sid3 sid4 sid5 sid6 sid7 sid8 END:6 ", "the second behind it");
    is_int(turns, 5, "in its own turns");

    each_us = 0;
    nmeant = 1;
    behind = 2;
    ask(7, MSG_WHAT_IDS);
    done("", "the pipe is behind");
    behind = 2;
    turn();
    done("", "nothing is told");
    turn();
    done("sid0 END:7 ", "until it is not");

    each_us = 2000;
    nmeant = 1;
    for (uint32_t i = 1; i <= FETCHES_MAX + 2; i++)
        ask(i, MSG_WHAT_IDS);
    done("END:65 END:66 ", "too many are answered at once, with nobody");
    is_int((long)stats.fetches[1], 2, "and counted");
    for (turns = 0; strstr(heard, "END:64 ") == NULL && turns < 1000; turns++)
        turn();
    is_int((long)parts, FETCHES_MAX, "the others have their turns");
    heard[0] = '\0';
    parts = 0;
    ask(1, MSG_WHAT_IDS);
    ask(2, MSG_WHAT_IDS);
    end();
    event_base_loop(base, EVLOOP_NONBLOCK);
    done("", "and freed in the middle");
}

static void test_no_memory(void)
{
    begin();
    select_fails = 1;
    ask(5, MSG_WHAT_IDS);
    select_fails = 0;
    done("END:5 ", "no memory for who is meant: nobody");
    is_int((long)stats.fetches[1], 1, "counted");
    nomem = 1;
    ask(6, MSG_WHAT_SOCKETS);
    nomem = 0;
    done("head1 shake1 tail1 END:6 ", "none for one: it is left out");
    nomem = 2;
    ask(7, MSG_WHAT_IDS);
    nomem = 0;
    done("END:7 ", "nor for the other");
    end();
}

int main(void)
{
    base = event_base_new();
    rooms_init(&rooms);
    test_what();
    test_parts();
    test_slices();
    test_no_memory();
    rooms_clear(&rooms);
    event_base_free(base);
    return tap_done();
}
