/* What clients have missed, out of a history, with an engine and clients that are made up here:
 * what each of them is told and sent is a text.  The rooms are real, and so are the passes over
 * the history (rerun.c, missed.c). */
#include "base/buf.h"
#include "base/clock.h"
#include "base/pages.h"
#include "conf.h"
#include "engine/engine.h"
#include "ipc/history.h"
#include "nomem_nth.h"
#include "tap.h"
#include "worker/client.h"
#include "worker/replay.h"
#include "worker/room.h"
#include "worker/stats.h"

#include <event2/event.h>
#include <stdarg.h>
#include <stdlib.h>

#define CLIENTS 140 /* the first is nobody; more than are let in between two looks at the clock */
#define ENTRIES 400
#define FRAME   100 /* bytes of each notification for a client */

/* --- time --- */

static uint64_t now_ms = 1000, fanout_ms, in_ms; /* what one fan-out takes, and to let one in */

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

/* --- memory --- */

static int trims;

void pages_trim(void)
{
    trims++;
}

/* --- clients --- */

struct made {
    struct socket socket; /* first */
    struct client client;
    char got[512];
};

static struct made made[CLIENTS];
static struct rooms rooms;
static struct replays *replays;

__attribute__((format(printf, 2, 3))) static void note(struct made *to, const char *fmt, ...)
{
    size_t len = strlen(to->got);
    va_list args;

    va_start(args, fmt);
    vsnprintf(to->got + len, sizeof(to->got) - len, fmt, args);
    va_end(args);
}

static struct made *of_client(struct client *client)
{
    return (struct made *)(void *)client->socket;
}

/* That came to it since the last time, each with a space behind it. */
static void got(int i, const char *want, const char *name)
{
    is_str(made[i].got, want, name);
    made[i].got[0] = '\0';
}

/* The number of what it got, by its replay or as all do: test_chance(). */
#define HEARD 200

static uint64_t heard[CLIENTS][HEARD];
static size_t nheard[CLIENTS];

static void hears(const struct made *to, uint64_t seq)
{
    size_t i = (size_t)(to - made);

    if (nheard[i] < HEARD)
        heard[i][nheard[i]++] = seq;
}

/* --- the engine --- */

static int fanouts, takes_none, no_frame; /* the client whose queue is full, or 0; all */

void fanout_begin(struct sio *sio, struct fanout *fanout, struct slice json,
                  const struct slice *attachments, size_t nattachments, int is_volatile)
{
    (void)attachments;
    memset(fanout, 0, sizeof(*fanout));
    fanout->sio = sio;
    fanout->json = json;
    fanout->nattachments = nattachments;
    fanout->is_volatile = is_volatile;
    fanouts++;
    now_ms += fanout_ms;
}

void fanout_offset(struct fanout *fanout, uint64_t offset)
{
    fanout->ack_id = offset; /* kept there */
}

void fanout_replay(struct fanout *fanout)
{
    fanout->to = NSP_REPLAYING;
}

size_t fanout_cost(const struct fanout *fanout, const struct socket *socket)
{
    (void)socket;
    is_int(fanout->to, NSP_REPLAYING, "as it will be sent");
    return FRAME - sizeof(struct run);
}

int fanout_send(struct fanout *fanout, struct socket *socket)
{
    struct made *to = (struct made *)(void *)socket;

    if (no_frame) {
        fanout->failed = 1;
        return 0;
    }
    if (to == &made[takes_none])
        return 0;
    if (fanout->to != NSP_REPLAYING || fanout->is_volatile)
        note(to, "wrong ");
    note(to, "%.*s/%llu ", (int)fanout->json.len, fanout->json.ptr,
         (unsigned long long)fanout->ack_id);
    hears(to, fanout->ack_id / 10);
    return 1;
}

void fanout_end(struct fanout *fanout)
{
    (void)fanout;
}

int socket_session(const struct socket *socket, uint8_t session[SESSION_LEN])
{
    (void)socket;
    memset(session, 0, SESSION_LEN);
    return 0;
}

/* --- the history --- */

struct entry {
    uint64_t seq;
    int nrooms;
    uint32_t hashes[HISTORY_HASHES];
    struct buf message;
};

static struct entry entries[ENTRIES];
static uint64_t first = 1, end = 1; /* positions: of the first, and behind the last */
static int copies, bad;

/* All names of the same length are alike where that is wanted. */
static int alike;

uint32_t history_hash(const struct history_view *view, struct slice name)
{
    uint32_t hash = 1;

    (void)view;
    for (size_t i = 0; !alike && i < name.len; i++)
        hash = hash * 31 + (uint8_t)name.ptr[i];
    return hash;
}

enum history_read history_next(const struct history_view *view, uint64_t pos,
                               struct history_entry *out)
{
    const struct entry *entry = &entries[pos % ENTRIES];

    (void)view;
    if (pos < first || pos > end)
        return HISTORY_OVERRUN;
    *out = (struct history_entry){.at = pos, .next = pos < end ? pos + 1 : end};
    if (pos == end)
        return HISTORY_END;
    out->seq = entry->seq;
    out->nrooms = (uint16_t)entry->nrooms;
    memcpy(out->hashes, entry->hashes, sizeof(out->hashes));
    return HISTORY_ENTRY;
}

/* overtaken: once so many have been copied, what comes next is gone. */
static int overtaken = -1;

enum history_read history_copy(const struct history_view *view, uint64_t pos, struct buf *out)
{
    const struct buf *message = &entries[pos % ENTRIES].message;

    (void)view;
    copies++;
    if (overtaken == 0)
        first = end;
    overtaken--;
    if (pos < first || pos >= end || buf_put(out, message->data, message->len) < 0)
        return HISTORY_OVERRUN;
    if (bad)
        out->data[out->len - 1] ^= 1;
    return HISTORY_ENTRY;
}

/* names: separated by commas; "": none. */
static void put_names(struct slices *list, const char *names)
{
    while (*names != '\0') {
        size_t n = strcspn(names, ",");

        slices_put(list, (struct slice){names, n});
        names += n + (names[n] == ',');
    }
}

/* A notification whose number is seq, its offset ten times that. */
static void happens(uint64_t seq, const char *json, const char *to, const char *except)
{
    struct entry *entry = &entries[end % ENTRIES];
    struct broadcast bc = {.offset = 10 * seq};

    put_names(&bc.rooms, to);
    put_names(&bc.except, except);
    buf_puts(&bc.json, json);
    buf_reset(&entry->message);
    if (msg_put_broadcast(&entry->message, 1, seq, 0, &bc) < 0)
        abort();
    entry->seq = seq;
    entry->nrooms = bc.rooms.n <= HISTORY_HASHES ? (int)bc.rooms.n : 0;
    for (int i = 0; i < entry->nrooms; i++)
        entry->hashes[i] = history_hash(NULL, bc.rooms.at[i]);
    end++;
    broadcast_clear(&bc);
}

/* ... which the worker has taken from its pipe, too. */
static void comes(uint64_t seq, const char *json, const char *to, const char *except)
{
    happens(seq, json, to, except);
    replays_taken(replays, seq);
}

/* --- what the client's side hears --- */

static int fits_not;       /* the client that is not let in, or 0 */
static int leaves_at_fits; /* another goes when it is told, or 0 */
static int settles;

static int on_fits(struct client *client, const struct sio_session *session, int is_sidless,
                   void *arg)
{
    struct made *to = of_client(client);

    is_int(arg == made && session->pid.len == PID_LEN, 1, "it is told with its pid");
    note(to, "told%s%s ", session->sid.len > 0 ? ":sid" : "", is_sidless ? ":idless" : "");
    if (leaves_at_fits > 0)
        replay_remove(replays, &made[leaves_at_fits].client);
    leaves_at_fits = 0;
    if (to != &made[fits_not])
        return 0;
    is_int(replay_remove(replays, client), 0, "it is not let in");
    return -1;
}

static void on_unfit(struct client *client, void *arg)
{
    (void)arg;
    is_int(client->replay == NULL, 1, "it is catching up no more");
    note(of_client(client), "unfit ");
}

static void on_caught_up(struct client *client, uint64_t offset, void *arg)
{
    (void)arg;
    is_int(client->replay == NULL, 1, "it is catching up no more");
    note(of_client(client), "in:%llu ", (unsigned long long)offset);
    now_ms += in_ms;
}

static void on_lost(struct client *client, enum close_reason why, void *arg)
{
    (void)arg;
    is_int(client->replay == NULL, 1, "it is catching up no more");
    note(of_client(client), "lost:%s ", close_reason_name(why));
    room_leave_all(&rooms, &client->member);
}

static const struct replay_ops ops = {on_fits, on_unfit, on_caught_up, on_lost};

static void on_settled(void *arg)
{
    is_int(arg == &rooms, 1, "with its argument");
    settles++;
}

/* --- one worker --- */

static struct event_base *base;
static struct conf conf = {.send_buffer = 100000};
static struct engine engine;
static struct worker_stats stats;

static void begin(void)
{
    const struct replay_parts parts = {
        .base = base, .conf = &conf, .engine = &engine, .rooms = &rooms, .stats = &stats};
    static char uids[CLIENTS][8];

    memset(&stats, 0, sizeof(stats));
    rooms_init(&rooms);
    replays = replays_new(&parts, &ops, made, on_settled, &rooms);
    for (int i = 1; i < CLIENTS; i++) {
        snprintf(uids[i], sizeof(uids[i]), i < 6 ? "%c" : "u%d", i < 6 ? 'a' + i - 1 : i);
        made[i] = (struct made){.client = {.uid = uids[i], .uid_len = (uint8_t)strlen(uids[i])}};
        made[i].client.socket = &made[i].socket;
    }
    fanouts = takes_none = no_frame = fits_not = leaves_at_fits = settles = alike = copies = 0;
    bad = 0;
    overtaken = -1;
    fanout_ms = in_ms = 0;
    first = end = 1;
    conf.send_buffer = 100000;
}

static void finish(void)
{
    for (int i = 1; i < CLIENTS; i++) {
        if (made[i].client.replay != NULL)
            replay_remove(replays, &made[i].client);
        room_leave_all(&rooms, &made[i].client.member);
    }
    replays_free(&replays);
    rooms_clear(&rooms);
    event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Until there is nothing more to do. */
static void loop(void)
{
    event_base_dispatch(base);
}

static void turn(void)
{
    event_base_loop(base, EVLOOP_ONCE);
}

/* It has its session back, and has missed what is from that position on.  more: names of rooms,
 * each with the number behind which it is in it: "x:3,y:0". */
static void add_with(int i, uint64_t from, const char *more, unsigned left, uint64_t offset,
                     const char *session)
{
    struct msg_admitted admitted = {.client = (uint64_t)i,
                                    .pid = {(const char[PID_LEN]){0}, PID_LEN},
                                    .offset = offset,
                                    .resumed = 1,
                                    .from = from,
                                    .left = (uint8_t)left,
                                    .session = slice_str(session)};
    struct buf items[4] = {{0}};
    size_t n = 0;

    while (*more != '\0') {
        size_t len = strcspn(more, ":");

        msg_put_room(&items[n], strtoul(more + len + 1, NULL, 10), (struct slice){more, len});
        slices_put(&admitted.rooms, (struct slice){(char *)items[n].data, items[n].len});
        n++;
        more += strcspn(more, ",");
        more += *more == ',';
    }
    replay_add(replays, &made[i].client, &admitted);
    for (size_t k = 0; k < n; k++)
        buf_free(&items[k]);
    slices_clear(&admitted.rooms);
}

static void add(int i, uint64_t from)
{
    add_with(i, from, "", 0, 0, "");
}

static int is_in(int i, const char *name)
{
    const struct room *room = room_find(&rooms, slice_str(name));
    size_t n = 0;
    const struct room_entry *members = room != NULL ? room_members(room, &n) : NULL;

    while (n-- > 0)
        if (members[n].member == &made[i].client.member)
            return 1;
    return 0;
}

/* --- tests --- */

static void test_nothing(void)
{
    begin();
    add_with(1, 1, "", 0, 7, "");
    got(1, "told in:7 ", "nothing was missed: it is in at once, with the offset of its admission");
    is_int(is_in(1, "allusers") && is_in(1, "a"), 1, "in its rooms");
    is_int((long)rooms_count(&rooms), 2, "and in no other");
    is_int(replays_settle(replays), 1, "nobody is catching up");
    is_int((long)stats.replays[REPLAY_RECOVERED], 1, "counted");
    comes(1, "x", "b", "");
    comes(2, "y", "allusers", "");
    add_with(2, 3, "", 0, 0, "");
    got(2, "told in:0 ", "what came before its position it has");
    add_with(3, 2, "", MSG_LEFT_EVERYBODY, 0, "");
    got(3, "told in:0 ", "what is for a room that it has left it has not missed");
    is_int(is_in(3, "allusers"), 0, "nor is it there");
    happens(3, "z", "allusers", "");
    add(4, 3);
    got(4, "told in:0 ", "what is still to come by the pipe it gets that way");
    is_int(fanouts + copies, 0, "nothing was looked at for that");
    fits_not = 5;
    add(5, 3);
    got(5, "told ", "one that is not let in");
    is_int(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0, "nobody waits");
    finish();
}

static void test_missed(void)
{
    begin();
    comes(1, "old", "a", "");
    comes(2, "own", "a", "");
    comes(3, "all", "", "");
    comes(4, "every", "allusers", "");
    comes(5, "other", "b", "");
    comes(6, "early", "x", "");
    comes(7, "late", "x", "");
    comes(8, "id", "AAAAAAAAAAAAAAAAAAAA", "");
    comes(9, "many", "b,x,a,allusers,q", "");
    comes(10, "two", "x,a", "");
    comes(11, "not", "", "q,a");
    comes(12, "not", "allusers", "AAAAAAAAAAAAAAAAAAAA");
    comes(13, "not", "a", "x");
    comes(14, "y", "y", "");
    add_with(1, 2, "x:6,y:0", 0, 0, "");
    got(1, "", "something was missed: it waits for others that come");
    is_int(replays_settle(replays), 0, "it is catching up");
    loop();
    got(1, "told own/20 all/30 every/40 late/70 id/80 many/90 two/100 y/140 in:0 ",
        "told first, then all that was for it, once, in order");
    is_int(is_in(1, "x") && is_in(1, "y") && is_in(1, "a") && is_in(1, "allusers"), 1,
           "in all its rooms");
    is_int((long)rooms_count(&rooms), 4, "and not in that of its id");
    is_int((long)stats.replayed, 8, "counted");
    is_int((long)stats.replays[REPLAY_RECOVERED], 1, "and so is the client");
    finish();
}

/* except counts from the moment on at which it was in that room. */
static void test_except(void)
{
    begin();
    comes(1, "before", "", "x");
    comes(2, "behind", "", "x");
    comes(3, "else", "", "z");
    add_with(1, 1, "x:1", 0, 0, "");
    add_with(2, 1, "z:9", 0, 0, "");
    loop();
    got(1, "told before/10 else/30 in:0 ", "it was not in that room then");
    got(2, "told before/10 behind/20 else/30 in:0 ", "nor the other one");
    finish();
}

/* What is called like something else, and ids. */
static void test_names(void)
{
    char id[21] = "AAAAAAAAAAAAAAAAAAAA";

    begin();
    made[1].client.uid = (char[]){"allusers"};
    made[1].client.uid_len = 8;
    comes(1, "all", "allusers", "");
    comes(2, "taken", "c3Nzc3Nzc3Nzc3Nzc3Nz", "");
    comes(3, "own", id, "");
    add(1, 1);
    add_with(2, 1, "", MSG_LEFT_ID, 0, "");
    add_with(3, 1, "allusers:2,x:9", MSG_LEFT_EVERYBODY | MSG_LEFT_OWN, 0, "sssssssssssssss");
    loop();
    got(1, "told all/10 own/30 in:0 ", "a user who is called like everybody's room: once");
    is_int((long)made[1].client.member.n, 1, "and is in it once");
    got(2, "told:idless all/10 in:0 ", "one that has left the room of its id");
    got(3, "told:sid taken/20 in:0 ", "one that goes by another's, and came late to everybody's");
    is_int(is_in(3, "allusers") && is_in(3, "x") && !is_in(3, "c"), 1, "in these rooms");

    alike = 1;
    comes(4, "b", "b", "");
    comes(5, "d", "d", "");
    add(4, 4);
    loop();
    got(4, "told d/50 in:0 ", "hashes that are alike are no match");
    finish();
}

/* Each from its own position; each notification is made once for all. */
static void test_batch(void)
{
    begin();
    for (uint64_t i = 1; i <= 4; i++)
        comes(i, (char[]){(char)('0' + i), '\0'}, i == 2 ? "a" : "allusers", "");
    comes(5, "5", "q", "");
    happens(6, "6", "allusers", "");
    add(1, 1);
    add(2, 3);
    add(3, 4);
    is_int(copies, 0, "they wait");
    loop();
    got(1, "told 1/10 2/20 3/30 4/40 in:0 ", "all of it");
    got(2, "told 3/30 4/40 in:0 ", "from there on");
    got(3, "told 4/40 in:0 ", "the last");
    is_int(fanouts, 8, "one pass that adds up, one that sends: each notification once");
    is_int((long)stats.replayed, 7, "counted for each");
    add(4, 4);
    loop();
    got(4, "told 4/40 in:0 ", "the next batch");
    add(5, 4);
    turn();
    got(5, "told 4/40 in:0 ", "and one more");
    finish();
}

/* Others are served in between, and what comes meanwhile is got, too. */
static void test_slices(void)
{
    begin();
    for (uint64_t i = 1; i <= 3; i++)
        comes(i, (char[]){(char)('0' + i), '\0'}, "allusers", "");
    add(1, 1);
    add(2, 1);
    fanout_ms = 3;
    turn();
    is_int(fanouts, 2, "a few milliseconds are a turn's");
    got(1, "", "it is not known yet how much there is");
    turn();
    got(1, "told 1/10 ", "then it is told");
    comes(4, "4", "allusers", "");
    add(3, 4);
    turn();
    got(1, "2/20 3/30 ", "and sent the next ones");
    got(3, "", "one that has come meanwhile is of the next batch");
    turn();
    got(1, "4/40 in:0 ", "with what came meanwhile");
    got(2, "told 1/10 2/20 3/30 4/40 in:0 ", "so is the other one");
    turn();
    turn();
    turn();
    got(3, "told 4/40 in:0 ", "then that one");
    finish();
}

/* Not even to let many in takes longer than a slice. */
static void test_crowd(void)
{
    int in = 0, wrong = 0;

    begin();
    comes(1, "1", "allusers", "");
    for (int i = 1; i < CLIENTS; i++)
        add(i, 1);
    in_ms = 1;
    turn();
    for (int i = 1; i < CLIENTS; i++)
        in += made[i].client.replay == NULL;
    ok(in > 0 && in < CLIENTS / 2, "some are in: %d", in);
    comes(2, "2", "allusers", "");
    loop();
    for (int i = 1; i < CLIENTS; i++) {
        int is_late = strstr(made[i].got, "2/20") != NULL;

        in -= !is_late;
        wrong += strcmp(made[i].got, is_late ? "told 1/10 2/20 in:0 " : "told 1/10 in:0 ") != 0;
    }
    is_int(in, 0, "those who were not got what came meanwhile, the others as all do");
    is_int(wrong, 0, "and each got each once");
    is_int(trims, 0, "a hundred leave nothing behind");
    for (int round = 0; round < 8; round++) {
        for (int i = 1; i < CLIENTS; i++) {
            room_leave_all(&rooms, &made[i].client.member);
            add(i, 1);
        }
        event_base_loop(base, EVLOOP_ONCE);
        while (replays_settle(replays) == 0)
            turn();
    }
    is_int(trims, 0, "a thousand do, but more may come");
    loop();
    is_int(trims, 1, "the system has it again when it is calm");
    finish();
}

static void test_fits(void)
{
    begin();
    for (uint64_t i = 1; i <= 3; i++)
        comes(i, "m", i < 3 ? "allusers" : "b", "");
    conf.send_buffer = 2 * FRAME + 320;
    add(1, 1);
    add(2, 1);
    loop();
    got(1, "told m/10 m/20 in:0 ", "as much as may wait for a client fits");
    got(2, "unfit ", "a notification more does not, and it is told nothing");
    is_int((long)stats.replays[REPLAY_UNFIT], 1, "counted");
    is_int((long)made[2].client.member.n, 0, "it is in no room");
    takes_none = 1;
    room_leave_all(&rooms, &made[1].client.member);
    add(1, 1);
    loop();
    got(1, "told in:0 ", "one that takes nothing ends soon, for the engine");
    finish();
}

/* What is gone is not sent, nor anything behind it. */
static void test_overrun(void)
{
    begin();
    for (uint64_t i = 1; i <= 4; i++)
        comes(i, (char[]){(char)('0' + i), '\0'}, "allusers", "");
    first = 2;
    add(1, 1);
    got(1, "unfit ", "gone before it came");
    add(1, end + 1);
    got(1, "unfit ", "of another history");
    is_int((long)stats.replays[REPLAY_OVERRUN], 2, "counted");
    add(1, 2);
    add(2, 3);
    first = 3;
    loop();
    got(1, "unfit ", "gone before it was added up");
    got(2, "told 3/30 4/40 in:0 ", "who does not need it is not concerned");
    room_leave_all(&rooms, &made[2].client.member);

    add(1, 3);
    add(2, 4);
    fanout_ms = 3;
    turn();
    first = 4;
    fanout_ms = 0;
    loop();
    got(1, "unfit ", "gone when it was to be told");
    got(2, "told 4/40 in:0 ", "who does not need it is not concerned");
    room_leave_all(&rooms, &made[2].client.member);

    comes(5, "5", "allusers", "");
    comes(6, "6", "allusers", "");
    add(1, 4);
    add(2, 6);
    overtaken = 4;
    loop();
    got(1, "told 4/40 lost:history overrun ", "gone after that: it is closed");
    got(2, "told lost:history overrun ", "and so is who has not got the last");
    is_int((long)stats.replays[REPLAY_RECOVERED], 4, "both were told");
    is_int((long)rooms_count(&rooms), 0, "they are in no room");
    first = end;

    comes(7, "7", "allusers", "");
    add(1, end - 1);
    bad = 1;
    loop();
    got(1, "unfit ", "what is no message is as good as gone");
    finish();
}

static void test_gone(void)
{
    begin();
    comes(1, "1", "allusers", "");
    comes(2, "2", "allusers", "");
    add(1, 1);
    add(2, 1);
    is_int(replay_remove(replays, &made[1].client), 0, "one goes before it is told");
    loop();
    got(1, "", "and hears nothing");
    got(2, "told 1/10 2/20 in:0 ", "the other does");
    room_leave_all(&rooms, &made[2].client.member);

    for (int i = 1; i <= 3; i++)
        add(i, 1);
    leaves_at_fits = 2;
    fanout_ms = 3;
    turn();
    turn();
    got(2, "", "one goes while another is told");
    got(1, "told 1/10 2/20 ", "before it is in");
    is_int(replay_remove(replays, &made[1].client), 1, "that one goes, too, and had been told");
    fanout_ms = 0;
    loop();
    got(1, "", "it hears nothing more");
    got(3, "told 1/10 2/20 in:0 ", "the last is served");
    room_leave_all(&rooms, &made[3].client.member);

    add(1, 1);
    add(2, 1);
    replay_remove(replays, &made[1].client);
    replay_remove(replays, &made[2].client);
    is_int(replays_settle(replays), 1, "all have gone");
    loop();
    add(1, 1);
    loop();
    got(1, "told 1/10 2/20 in:0 ", "and one comes again");
    finish();
}

/* Who has a new token gets the rest at once. */
static void test_finish(void)
{
    begin();
    for (uint64_t i = 1; i <= 3; i++)
        comes(i, (char[]){(char)('0' + i), '\0'}, "allusers", "");
    add(1, 1);
    add(2, 1);
    fanout_ms = 3;
    turn();
    turn();
    got(1, "told 1/10 ", "in the middle of its replay");
    is_int(replay_finish(replays, &made[1].client), 1, "it is to be in");
    got(1, "2/20 3/30 in:0 ", "and is, with all of it");
    is_int(is_in(1, "allusers"), 1, "in its rooms");
    comes(4, "4", "allusers", "");
    fanout_ms = 0;
    loop();
    got(1, "", "what comes next it gets as any other");
    got(2, "told 1/10 2/20 3/30 4/40 in:0 ", "the other goes on");
    room_leave_all(&rooms, &made[1].client.member);
    room_leave_all(&rooms, &made[2].client.member);

    add(1, 2);
    add(2, 1);
    fanout_ms = 3;
    turn();
    turn();
    turn();
    fanout_ms = 0;
    first = 4;
    is_int(replay_finish(replays, &made[1].client), 0, "its rest is gone");
    got(1, "told 2/20 lost:history overrun ", "it is closed");
    loop();
    got(2, "told 1/10 2/20 lost:history overrun ", "and so is the other");
    finish();
}

static void test_settle(void)
{
    begin();
    is_int(replays_settle(replays), 1, "nobody is catching up");
    comes(1, "1", "allusers", "");
    add(1, 1);
    is_int(replays_settle(replays), 0, "somebody is");
    is_int(settles, 0, "it is told later");
    event_base_loop(base, EVLOOP_NONBLOCK);
    got(1, "told 1/10 in:0 ", "who does not wait for others any more");
    is_int(settles, 1, "then it is told");
    room_leave_all(&rooms, &made[1].client.member);
    add(1, 1);
    event_base_loop(base, EVLOOP_NONBLOCK);
    got(1, "", "the next one waits");
    loop();
    is_int(settles, 1, "and nothing is told that was not asked");
    got(1, "told 1/10 in:0 ", "it is in");
    room_leave_all(&rooms, &made[1].client.member);

    add(1, 1);
    fanout_ms = 6;
    turn();
    add(2, 1);
    is_int(replays_settle(replays), 0, "one in the middle, one of the next batch");
    for (int i = 0; i < 8 && settles == 1; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    is_int(settles, 2, "both are waited for");
    got(1, "told 1/10 in:0 ", "in their order");
    got(2, "told 1/10 in:0 ", "without a pause");
    made[1].got[0] = '\0';
    room_leave_all(&rooms, &made[1].client.member);
    add(1, 1);
    is_int(replays_settle(replays), 0, "one that goes");
    replay_remove(replays, &made[1].client);
    loop();
    is_int(settles, 3, "is not waited for");
    finish();
}

/* What is told behind it is not older than what the client has. */
static void test_offsets(void)
{
    begin();
    comes(1, "1", "allusers", "");
    replays_offset(replays, 1, 111);
    add_with(1, 1, "", 0, 7, "");
    loop();
    got(1, "told 1/10 in:111 ", "the newest for all, where it is behind the last it was sent");
    comes(2, "2", "allusers", "");
    room_leave_all(&rooms, &made[1].client.member);
    add_with(1, 1, "", 0, 7, "");
    loop();
    got(1, "told 1/10 2/20 in:0 ", "none, where it may be older");
    add_with(2, end, "", 0, 7, "");
    got(2, "told in:7 ", "without a replay that of its admission");
    comes(3, "3", "c", "");
    add_with(3, 3, "", 0, 7, "");
    add_with(4, 1, "", 0, 7, "");
    replays_offset(replays, 3, 333);
    loop();
    got(4, "told 1/10 2/20 in:333 ", "a newer one has come meanwhile");
    got(3, "told 3/30 in:333 ", "for all");
    finish();
}

/* Not at any length is one that comes alone looked after at once. */
static void test_long(void)
{
    begin();
    for (uint64_t i = 1; i <= 63; i++)
        comes(i, "x", "q", "");
    add(1, 1);
    got(1, "told in:0 ", "a short history without anything for it");
    comes(64, "x", "q", "");
    add(2, 1);
    got(2, "", "a long one takes its time");
    loop();
    got(2, "told in:0 ", "and then has nothing, either");
    is_int(copies, 0, "of which nothing was copied");
    finish();
}

/* --- by chance --- */

/* A few clients that come, go in the middle of whatever they are at, and come again with what they
 * got last, while notifications come to the history and, later, by the pipe: in the end each has
 * each of its own, once, in order. */

#define PLAYERS 5 /* 1 to 5 */
#define ALL     120

static struct said { /* a notification, by its number */
    const char *to, *except;
} said[ALL + 1];
static uint64_t nsaid, npiped;
static int is_out[PLAYERS + 1];    /* not here */
static uint64_t came[PLAYERS + 1]; /* the number before its first */
static const char *further[] = {"", "x:0,y:0", "x:7", "y:20,z:0", "x:0,z:40", "z:0"};

/* Is the client in the room, for a notification of that number? */
static int member(int i, const char *name, size_t len, uint64_t seq)
{
    const char *at = further[i];

    if ((len == 8 && memcmp(name, "allusers", 8) == 0) ||
        (len == 1 && name[0] == made[i].client.uid[0]))
        return 1;
    for (; len == 1 && *at != '\0'; at++)
        if (at[0] == name[0] && at[1] == ':')
            return seq > strtoul(at + 2, NULL, 10);
    return 0;
}

static int member_of_one(int i, const char *names, uint64_t seq)
{
    for (size_t n; *names != '\0'; names += n + (names[n] == ',')) {
        n = strcspn(names, ",");
        if (member(i, names, n, seq))
            return 1;
    }
    return 0;
}

static int is_for(int i, uint64_t seq)
{
    const struct said *one = &said[seq];

    return (one->to[0] == '\0' || member_of_one(i, one->to, seq)) &&
           !member_of_one(i, one->except, seq);
}

static unsigned chance; /* the same each time */

static unsigned pick(unsigned n)
{
    chance = chance * 1103515245 + 12345;
    return (chance >> 16) % n;
}

static void say(void)
{
    static const char *const rooms_of[] = {"", "allusers", "a", "b,x", "x", "y,z", "c,y", "d", "q"};
    static const char *const not_to[] = {"", "", "", "x", "a,z", "q", "allusers"};

    if (nsaid == ALL)
        return;
    nsaid++;
    said[nsaid] = (struct said){rooms_of[pick(9)], not_to[pick(7)]};
    happens(nsaid, "n", said[nsaid].to, said[nsaid].except);
}

/* The oldest that is in the pipe is taken. */
static void take(void)
{
    if (npiped == nsaid)
        return;
    npiped++;
    replays_taken(replays, npiped);
    for (int i = 1; i <= PLAYERS; i++)
        if (!is_out[i] && made[i].client.replay == NULL && is_for(i, npiped))
            hears(&made[i], npiped);
}

/* With what it got last; the answer comes by the pipe, behind all else. */
static void come_in(int i)
{
    uint64_t last = nheard[i] > 0 ? heard[i][nheard[i] - 1] : came[i];

    while (npiped < nsaid)
        take();
    made[i].got[0] = '\0';
    is_out[i] = 0;
    add_with(i, 1 + last, further[i], 0, 0, "");
}

static void go_out(int i)
{
    if (made[i].client.replay != NULL)
        (void)replay_remove(replays, &made[i].client);
    room_leave_all(&rooms, &made[i].client.member);
    is_out[i] = 1;
}

static int finishes;

static void play(void)
{
    int i = 1 + (int)pick(PLAYERS);

    switch (pick(11)) {
    case 0:
    case 1:
    case 2:
        say();
        break;
    case 3:
    case 4:
        take();
        break;
    case 5:
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK); /* a slice */
        break;
    case 6:
        (void)replays_settle(replays); /* or the batch waits for its 20 ms */
        break;
    case 7:
        if (is_out[i])
            come_in(i);
        break;
    case 8:
        if (!is_out[i])
            go_out(i);
        break;
    default:
        if (made[i].client.replay != NULL && strstr(made[i].got, "told") != NULL)
            finishes += replay_finish(replays, &made[i].client);
    }
}

/* How many clients have not just what was for them. */
static int wrong_ones(void)
{
    int wrong = 0;

    for (int i = 1; i <= PLAYERS; i++) {
        size_t n = 0;
        int same = 1;

        for (uint64_t seq = came[i] + 1; seq <= nsaid; seq++)
            if (is_for(i, seq))
                same &= n < nheard[i] && heard[i][n++] == seq;
        wrong += !same || n != nheard[i];
    }
    return wrong;
}

static void test_chance(void)
{
    int wrong = 0, replayed = 0;

    for (unsigned round = 1; round <= 500; round++) {
        begin();
        chance = round;
        nsaid = npiped = 0;
        fanout_ms = pick(4) * 2;
        in_ms = pick(3);
        for (int i = 1; i <= PLAYERS; i++) {
            is_out[i] = 1;
            nheard[i] = 0;
            came[i] = 0;
        }
        for (int step = 0; step < 600; step++)
            play();
        for (int i = 1; i <= PLAYERS; i++)
            if (is_out[i])
                come_in(i);
        while (npiped < nsaid)
            take();
        for (int turns = 0; !replays_settle(replays) && turns < 10000; turns++)
            event_base_loop(base, EVLOOP_NONBLOCK);
        wrong += wrong_ones();
        replayed += (int)stats.replayed;
        finish();
    }
    is_int(wrong, 0, "by chance: each has each of its own, once, in order");
    ok(replayed > 10000, "and much of it was replayed: %d", replayed);
    ok(finishes > 100, "some of it for who could not wait: %d", finishes);
}

static void test_memory(void)
{
    const struct replay_parts parts = {.base = base, .engine = &engine};
    struct replays *other;

    nomem_nth = 1;
    other = replays_new(&parts, &ops, made, on_settled, &rooms);
    ok(other == NULL, "no memory at the start");
    replays_free(&other);
    begin();
    comes(1, "1", "allusers", "");
    nomem_nth = 1;
    add(1, 1);
    got(1, "unfit ", "no memory for a client's");
    is_int((long)stats.replays[REPLAY_NO_MEMORY], 1, "counted");
    nomem_nth = 3;
    add(1, 1);
    got(1, "unfit ", "nor for its place");
    add(1, 1);
    add(2, 1);
    nomem_nth = 1;
    loop();
    got(1, "unfit ", "nor for the table of a batch");
    got(2, "unfit ", "which all of it need");
    is_int((long)stats.replays[REPLAY_NO_MEMORY], 4, "counted");
    add(1, 1);
    add(2, end);
    nomem_nth = 2;
    loop();
    got(1, "unfit ", "nor for a message");
    got(2, "told in:0 ", "who does not need it is not concerned");
    room_leave_all(&rooms, &made[2].client.member);
    add(1, 1);
    no_frame = 1;
    loop();
    got(1, "told lost:no memory ", "nor for a frame: it is closed, for it would miss that one");
    no_frame = 0;
    for (int nth = 1; nth < 12; nth++) {
        add(1, 1);
        turn();
        if (made[1].client.member.n > 0)
            room_leave_all(&rooms, &made[1].client.member);
        made[1].got[0] = '\0';
        add(1, end);
        room_leave_all(&rooms, &made[1].client.member);
        made[1].got[0] = '\0';
        nomem_nth = nth;
        add(1, end);
        nomem_nth = 0;
        is_int(strcmp(made[1].got, "told in:0 ") == 0 || strcmp(made[1].got, "unfit ") == 0 ||
                   strcmp(made[1].got, "told lost:no memory ") == 0 ||
                   made[1].client.replay != NULL,
               1, "one of several allocations");
        loop();
        room_leave_all(&rooms, &made[1].client.member);
        is_int(made[1].client.replay == NULL && rooms_count(&rooms) == 0, 1, "it is through");
        made[1].got[0] = '\0';
    }
    finish();
}

int main(void)
{
    base = event_base_new();
    test_nothing();
    test_missed();
    test_except();
    test_names();
    test_batch();
    test_slices();
    test_crowd();
    test_fits();
    test_overrun();
    test_gone();
    test_finish();
    test_settle();
    test_offsets();
    test_long();
    test_chance();
    test_memory();
    for (size_t i = 0; i < ENTRIES; i++)
        buf_free(&entries[i].message);
    event_base_free(base);
    return tap_done();
}
