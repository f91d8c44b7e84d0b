/* Requests to act, by a made-up worker: in which order, in how many turns of the loop, and
 * what the master hears. */
#include "base/clock.h"
#include "engine/engine.h"
#include "nomem.h"
#include "tap.h"
#include "worker/act.h"
#include "worker/client.h"
#include "worker/membership.h"
#include "worker/room.h"
#include "worker/uplink.h"

#include <event2/event.h>
#include <stdarg.h>

#define MANY 100

static char did[8192];

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
    size_t len = strlen(did);
    va_list args;

    va_start(args, fmt);
    vsnprintf(did + len, sizeof(did) - len, fmt, args);
    va_end(args);
}

static void done(const char *want, const char *name)
{
    is_str(did, want, name);
    did[0] = '\0';
}

/* --- time --- */

static uint64_t now_ms = 1000;
static unsigned each_ms; /* that one client takes */

uint64_t clock_ms(void)
{
    return now_ms;
}

uint64_t clock_us(void)
{
    return now_ms * 1000;
}

int64_t clock_wall_ms(void)
{
    return 0;
}

/* --- clients: their handles are their places --- */

static struct engine engine;
static struct socket sockets[MANY];
static struct client clients[MANY];
static int gone[MANY];

struct socket *socket_find(const struct sio *sio, uint64_t handle)
{
    if (sio != &engine.sio)
        abort();
    return gone[handle] ? NULL : &sockets[handle];
}

void *socket_data(const struct socket *socket)
{
    return socket->data;
}

struct socket *socket_in_sid(const struct sio *sio, struct slice sid)
{
    return sio == &engine.sio && slice_eq(sid, SLICE("sid0")) ? &sockets[0] : NULL;
}

static long place_of(const struct socket *socket)
{
    now_ms += each_ms;
    return socket - sockets;
}

void socket_disconnect_all(struct socket *socket, enum close_reason why)
{
    note("close:%ld:%s ", place_of(socket), close_reason_name(why));
}

void socket_leave(struct socket *socket, enum close_reason why)
{
    note("leave:%ld:%s ", place_of(socket), close_reason_name(why));
}

/* --- who is meant: the first so many --- */

static size_t nmeant;
static int select_fails;

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
    if (select_fails)
        return -1;
    note("select:%u:%zu:%zu ", who->select, who->rooms.n, who->except.n);
    handles->at = calloc(nmeant + 1, sizeof(*handles->at));
    for (size_t i = 0; i < nmeant; i++)
        handles->at[handles->n++] = i;
    return 0;
}

/* --- their rooms: the first client is in all of them --- */

static struct rooms rooms;
static size_t most_names;

static void change(const char *what, const struct client *client, const struct slices *names,
                   struct slices *changed)
{
    long place = place_of(client->socket);

    if (names->n > most_names)
        most_names = names->n;
    note("%s:%ld", what, place);
    for (size_t i = 0; i < names->n && names->n <= 3; i++)
        note(":%.*s", (int)names->at[i].len, names->at[i].ptr);
    note(" ");
    for (size_t i = 0; i < names->n && place > 0; i++)
        slices_put(changed, names->at[i]);
}

void membership_join(struct membership *membership, struct client *client,
                     const struct slices *names, struct slices *joined)
{
    (void)membership;
    change("join", client, names, joined);
}

void membership_sort(struct slices *names)
{
    (void)names;
    note("sort ");
}

void membership_leave(struct membership *membership, struct client *client,
                      const struct slices *names, struct slices *left)
{
    (void)membership;
    change("leave", client, names, left);
}

/* --- the master --- */

static int behind; /* the pipe: so many more times */

int uplink_is_behind(const struct uplink *uplink)
{
    (void)uplink;
    return behind > 0 ? behind-- : 0;
}

void uplink_rooms(struct uplink *uplink, uint32_t id, uint64_t client, int is_claim,
                  const struct slices *joined, const struct slices *left)
{
    (void)uplink;
    ok(!is_claim, "by request");
    note("ROOMS:%u:%llu:%zu:%zu ", id, (unsigned long long)client, joined->n, left->n);
}

void uplink_acted(struct uplink *uplink, uint32_t id, uint32_t n)
{
    (void)uplink;
    note("ACTED:%u:%u ", id, n);
}

/* --- a request --- */

static struct event_base *base;
static struct acts *acts;
static struct act_request request;

static void on_done(void *arg)
{
    note("done:%d ", arg == &rooms);
}

static enum act_result asked(enum msg_type type, const char *const *names, size_t n)
{
    request.type = type;
    request.id = 7;
    request.names.n = 0;
    for (size_t i = 0; i < n; i++)
        slices_put(&request.names, slice_str(names[i]));
    return act_begin(acts, &request);
}

static void turn(void)
{
    event_base_loop(base, EVLOOP_ONCE);
}

static void begin(void)
{
    struct act_parts parts = {base, &engine, &rooms, NULL, NULL};

    for (int i = 0; i < MANY; i++) {
        gone[i] = 0;
        sockets[i].data = &clients[i];
        clients[i].socket = &sockets[i];
        clients[i].state = CLIENT_IN;
    }
    each_ms = 0;
    nmeant = 3;
    acts = acts_new(&parts, on_done, &rooms);
}

static void end(void)
{
    acts_free(&acts);
    ok(acts == NULL, "freed");
}

static const char *const two[] = {"x", "y"};

/* --- tests --- */

static void test_rooms(void)
{
    static struct room_member member;
    char name[] = "x";
    const char *id = "sid0";
    const char *const own[] = {name};

    begin();
    is_int(asked(MSG_JOIN, two, 2), ACT_DONE, "to join");
    done("select:0:0:0 join:0:x:y join:1:x:y ROOMS:0:1:2:0 join:2:x:y ROOMS:0:2:2:0 ACTED:7:3 ",
         "each does, and the master hears of those for whom it was news");
    gone[1] = 1;
    clients[2].state = CLIENT_OUT;
    is_int(asked(MSG_JOIN, two, 2), ACT_DONE, "two have gone");
    done("select:0:0:0 join:0:x:y ACTED:7:3 ", "they were meant all the same");
    gone[1] = 0;

    is_int(asked(MSG_LEAVE, two, 2), ACT_DONE, "to leave rooms that there are not");
    done("select:0:0:0 sort ACTED:7:3 ", "asks nobody");
    room_join(&rooms, &member, SLICE("y"));
    is_int(asked(MSG_LEAVE, two, 2), ACT_DONE, "one that there is");
    done("select:0:0:0 sort leave:0:y leave:1:y ROOMS:0:1:0:1 ACTED:7:3 ", "is left");
    room_leave_all(&rooms, &member);

    is_int(asked(MSG_LEAVE, &id, 1), ACT_DONE, "the room of an id");
    done("select:0:0:0 sort leave:0:sid0 leave:1:sid0 ROOMS:0:1:0:1 ACTED:7:3 ", "is one");

    nmeant = 0;
    is_int(asked(MSG_JOIN, two, 2), ACT_DONE, "nobody");
    done("select:0:0:0 ACTED:7:0 ", "is told, too");
    nmeant = 2;
    is_int(asked(MSG_JOIN, NULL, 0), ACT_DONE, "no rooms");
    done("select:0:0:0 ACTED:7:2 ", "are joined by nobody");

    each_ms = 10;
    is_int(asked(MSG_JOIN, own, 1), ACT_BEGUN, "slowly");
    name[0] = '?'; /* the message has gone */
    done("select:0:0:0 join:0:x ", "in a second turn");
    turn();
    done("join:1:x ROOMS:0:1:1:0 ", "it knows the names");
    turn();
    done("ACTED:7:2 done:1 ", "and says when it is done");
    end();
}

static void test_disconnect(void)
{
    begin();
    request.close = 1;
    request.who.select = MSG_SELECT_IDS;
    gone[1] = 1;
    is_int(asked(MSG_DISCONNECT, NULL, 0), ACT_DONE, "to be closed");
    done("select:1:0:0 close:0:disconnected by request close:2:disconnected by request ACTED:7:3 ",
         "those that are there");
    request.close = 0;
    request.who.select = MSG_SELECT_ROOMS;
    nmeant = 1;
    is_int(asked(MSG_DISCONNECT, NULL, 0), ACT_DONE, "to be put out");
    done("select:0:0:0 leave:0:disconnected by request ACTED:7:1 ", "without a close");
    end();
}

/* The loop, and the pipe, get their turns. */
static void test_slices(void)
{
    static const char *many_names[2500];
    int turns = 0;

    begin();
    each_ms = 2;
    nmeant = 5;
    request.close = 1;
    is_int(asked(MSG_DISCONNECT, NULL, 0), ACT_BEGUN, "five take longer than a turn");
    ok(strstr(did, "close:2") != NULL && strstr(did, "close:3") == NULL, "three in the first");
    did[0] = '\0';
    turn();
    ok(strstr(did, "close:3") != NULL && strstr(did, "close:4") != NULL, "two in the second");
    ok(strstr(did, "ACTED:7:5 done:1 ") != NULL, "which is the last");
    did[0] = '\0';

    each_ms = 0;
    behind = 2;
    nmeant = 2;
    is_int(asked(MSG_DISCONNECT, NULL, 0), ACT_BEGUN, "the pipe is behind");
    done("select:0:0:0 ", "nothing is done that it would have to hear of");
    behind = 1;
    turn();
    done("", "nor while it is");
    turn();
    ok(strstr(did, "close:1") != NULL && strstr(did, "done:1") != NULL, "then all");
    did[0] = '\0';

    for (int i = 0; i < 2500; i++)
        many_names[i] = "n";
    nmeant = 3;
    most_names = 0;
    is_int(asked(MSG_JOIN, many_names, 2500), ACT_DONE, "many names");
    is_int((long)most_names, 1000, "come in parts");
    done("select:0:0:0 join:0 join:1 ROOMS:0:1:1000:0 join:2 ROOMS:0:2:1000:0 "
         "join:0 join:1 ROOMS:0:1:1000:0 join:2 ROOMS:0:2:1000:0 "
         "join:0 join:1 ROOMS:0:1:500:0 join:2 ROOMS:0:2:500:0 ACTED:7:3 ",
         "each part to all");

    each_ms = 1;
    nmeant = MANY;
    is_int(asked(MSG_DISCONNECT, NULL, 0), ACT_BEGUN, "many");
    while (strstr(did, "done") == NULL && turns++ < 1000)
        turn();
    is_int(turns, 20, "five in each turn, and one for the end");
    did[0] = '\0';
    is_int(asked(MSG_DISCONNECT, NULL, 0), ACT_BEGUN, "begun");
    end();
    event_base_loop(base, EVLOOP_NONBLOCK);
    ok(strstr(did, "done") == NULL, "and freed in the middle");
    did[0] = '\0';
}

static void test_no_memory(void)
{
    begin();
    select_fails = 1;
    is_int(asked(MSG_JOIN, two, 2), ACT_NO_MEMORY, "no memory for who is meant");
    done("", "nothing is done");
    select_fails = 0;
    for (int fails = 1; fails < 4; fails++) {
        asked(MSG_DISCONNECT, NULL, 0);
        did[0] = '\0';
        request.names.n = 0;
        slices_put(&request.names, SLICE("x"));
        request.type = MSG_JOIN;
        nomem = 1;
        is_int(act_begin(acts, &request), ACT_NO_MEMORY, "nor for the names");
        nomem = 0;
        done("select:0:0:0 ", "nor is anything then");
    }
    is_int(act_begin(acts, &request), ACT_DONE, "later it is");
    did[0] = '\0';
    end();
}

int main(void)
{
    base = event_base_new();
    rooms_init(&rooms);
    test_rooms();
    test_disconnect();
    test_slices();
    test_no_memory();
    rooms_clear(&rooms);
    slices_clear(&request.names);
    event_base_free(base);
    return tap_done();
}
