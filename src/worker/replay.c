#include "worker/replay.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/pages.h"
#include "conf.h"
#include "engine/engine.h"
#include "ipc/history.h"
#include "worker/client.h"
#include "worker/rerun.h"
#include "worker/room.h"
#include "worker/stats.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MS   20 /* in which those come that are served together */
#define SLICE_MS   5  /* in one turn of the loop, about */
#define LOOK       64 /* entries that are looked at for one alone, to see whether it has to wait */
#define CLOCK_EACH 64 /* clients that are told, or let in, for a look at the clock */
#define CROWD      1000 /* clients that leave memory behind, */
#define CALM_MS    1000 /* which the system has again so long after them */
#define TOLD_BYTES 320  /* the reply, and the offset behind what is replayed */

/* One client that is catching up. */
struct replay {
    struct missing missing; /* its rooms are those below */
    struct client *client;
    const struct line *line; /* in which it stands, or NULL */
    size_t place;
    size_t need;      /* bytes of all that it has missed, as they wait for a client */
    uint64_t last;    /* number of the last that it was sent; 0: none */
    uint64_t offset;  /* that of its admission */
    uint32_t offsets; /* replays->offsets then */
    uint8_t told;     /* fits() has returned 0 */
    uint8_t is_sidless;
    uint8_t session_len; /* 0: it goes by its own id */
    uint8_t pid[PID_LEN], session[SESSION_LEN];
    char id[SIO_SID_LEN]; /* the text of the id that it goes by */
    size_t njoined;       /* of its rooms: those that it joins, which are all but its id */
    struct missed_room rooms[];
};

enum pass { PASS_MEASURE, PASS_TELL, PASS_SEND };

struct replays {
    struct replay_parts parts;
    const struct replay_ops *ops;
    void *arg;
    void (*settled)(void *arg);
    void *settled_arg;
    struct event *timer; /* pending while somebody is catching up */
    struct event *calm;  /* pending when many have */
    size_t nserved;      /* since it was the last time */
    size_t n;            /* how many are */
    int hurried;         /* replays_settle() has returned 0 */

    uint64_t shown, shown_seq; /* replays_offset() */
    uint32_t offsets;          /* how many of these have come */

    struct rerun rerun;
    struct line lines[2];
    struct line *coming, *served; /* those that wait for the next batch, and the batch */
    uint64_t begin_ms;            /* when those that wait are served */
    struct missed *missed;        /* of the batch; NULL: there is none */
    enum pass pass;
    uint64_t pos; /* up to which it has been looked through in this pass */
    size_t next;  /* who is told, or caught up, next */
};

/* --- those in line --- */

static struct replay *of_missing(struct missing *missing)
{
    return (struct replay *)(void *)((char *)missing - offsetof(struct replay, missing));
}

/* It is catching up no more. */
static void drop(struct replays *replays, struct replay *replay)
{
    if (replay->line != NULL)
        replay->line->at[replay->place] = NULL;
    replay->client->replay = NULL;
    replays->n--;
    free(replay);
}

/* The end of one that cannot have what it missed. */
static void give_up(struct replays *replays, struct replay *replay, enum replay_result why)
{
    struct client *client = replay->client;
    int told = replay->told;

    drop(replays, replay);
    if (told) {
        replays->ops->lost(client, why == REPLAY_OVERRUN ? CLOSE_OVERRUN : CLOSE_NO_MEMORY,
                           replays->arg);
        return;
    }
    replays->parts.stats->replays[why]++;
    replays->ops->unfit(client, replays->arg);
}

static void on_given_up(struct missing *one, enum replay_result why, void *arg)
{
    give_up(arg, of_missing(one), why);
}

int replay_remove(struct replays *replays, struct client *client)
{
    int told = client->replay->told;

    drop(replays, client->replay);
    return told;
}

/* --- what becomes of one entry --- */

static int count_bytes(struct missing *one, struct fanout *fanout, uint64_t seq, void *arg)
{
    struct replay *replay = of_missing(one);

    (void)seq;
    (void)arg;
    replay->need += fanout_cost(fanout, replay->client->socket) + sizeof(struct run);
    return 0;
}

/* Without memory for the frame the client would have a gap from here on; one that takes no more
 * is about to end for that. */
static int queue(struct missing *one, struct fanout *fanout, uint64_t seq, void *arg)
{
    struct replays *replays = arg;
    struct replay *replay = of_missing(one);

    replay->last = seq;
    if (!fanout_send(fanout, replay->client->socket))
        return fanout->failed ? -1 : 0;
    replays->parts.stats->replayed++;
    return 0;
}

/* --- one client, step by step --- */

/* Its replay is known to fit.  Returns 0, or -1 if it is catching up no more. */
static int tell(struct replays *replays, struct replay *replay)
{
    const struct sio_session session = {
        .pid = {(const char *)replay->pid, PID_LEN},
        .sid = {(const char *)replay->session, replay->session_len},
    };

    if (replays->ops->fits(replay->client, &session, replay->is_sidless, replays->arg) < 0)
        return -1;
    replays->parts.stats->replays[REPLAY_RECOVERED]++;
    replay->told = 1;
    return 0;
}

/* What may be told behind it: an offset that is not older than what it has. */
static uint64_t offset_of(const struct replays *replays, const struct replay *replay)
{
    if (replay->last != 0)
        return replays->shown_seq >= replay->last ? replays->shown : 0;
    return replays->offsets != replay->offsets ? replays->shown : replay->offset;
}

/* It has got all that was taken from the master: from now on it gets what comes as all do. */
static int let_in(struct replays *replays, struct replay *replay)
{
    struct client *client = replay->client;
    uint64_t offset = offset_of(replays, replay);

    for (size_t i = 0; i < replay->njoined; i++) {
        const struct missed_room *room = &replay->rooms[i];

        if (room_join(replays->parts.rooms, &client->member,
                      (struct slice){room->name, room->len}) < 0) {
            give_up(replays, replay, REPLAY_NO_MEMORY);
            return -1;
        }
    }
    drop(replays, replay);
    replays->ops->caught_up(client, offset, replays->arg);
    return 0;
}

/* --- a batch --- */

static void begin_pass(struct replays *replays, enum pass pass)
{
    replays->pass = pass;
    replays->pos = line_lowest(replays->served);
    replays->next = 0;
}

/* Those that wait are served.  Without memory for the table none of them can be. */
static void begin_batch(struct replays *replays)
{
    struct line *line = replays->coming;

    replays->coming = replays->served;
    replays->served = line;
    replays->missed = missed_new(line->at, line->n);
    for (size_t i = 0; replays->missed == NULL && i < line->n; i++)
        if (line->at[i] != NULL)
            give_up(replays, of_missing(line->at[i]), REPLAY_NO_MEMORY);
    begin_pass(replays, PASS_MEASURE);
}

static void end_batch(struct replays *replays)
{
    static const struct timeval wait = {CALM_MS / 1000, CALM_MS % 1000 * 1000L};

    replays->nserved += replays->served->n;
    missed_free(&replays->missed);
    line_clear(replays->served);
    if (replays->nserved >= CROWD)
        evtimer_add(replays->calm, &wait);
}

/* What they took lies between what others have now. */
static void on_calm(evutil_socket_t fd, short what, void *arg)
{
    struct replays *replays = arg;

    (void)fd;
    (void)what;
    replays->nserved = 0;
    pages_trim();
}

/* As rerun_go_on(). */
static int look_through(struct replays *replays,
                        int (*visit)(struct missing *, struct fanout *, uint64_t, void *),
                        uint64_t until_ms)
{
    struct group group = {
        .line = replays->served, .missed = replays->missed, .pos = replays->pos, .visit = visit};
    int done = rerun_go_on(&replays->rerun, &group, until_ms);

    replays->pos = group.pos;
    return done;
}

static void decide(struct replays *replays, struct replay *replay)
{
    struct history_entry entry;

    if (replay->need > replays->parts.conf->send_buffer)
        give_up(replays, replay, REPLAY_UNFIT);
    else if (history_next(replays->parts.history, replay->missing.from, &entry) == HISTORY_OVERRUN)
        give_up(replays, replay, REPLAY_OVERRUN);
    else
        (void)tell(replays, replay);
}

/* Those of the batch that are left, one after the other.  Returns 1 when it is through; 0 when it
 * is late. */
static int each_of_batch(struct replays *replays, void (*visit)(struct replays *, struct replay *),
                         uint64_t until_ms)
{
    const struct line *line = replays->served;

    while (replays->next < line->n) {
        struct missing *one = line->at[replays->next++];

        if (one != NULL)
            visit(replays, of_missing(one));
        if (replays->next % CLOCK_EACH == 0 && clock_ms() >= until_ms)
            return replays->next == line->n;
    }
    return 1;
}

static void finish_one(struct replays *replays, struct replay *replay)
{
    (void)let_in(replays, replay);
}

/* A slice of it.  Returns 1 when everybody in it has caught up. */
static int serve(struct replays *replays, uint64_t until_ms)
{
    if (replays->pass == PASS_MEASURE) {
        if (!look_through(replays, count_bytes, until_ms))
            return 0;
        begin_pass(replays, PASS_TELL);
    }
    if (replays->pass == PASS_TELL) {
        if (!each_of_batch(replays, decide, until_ms))
            return 0;
        begin_pass(replays, PASS_SEND);
    }
    /* Whoever is let in in a later slice has got what came in between. */
    return look_through(replays, queue, until_ms) && each_of_batch(replays, finish_one, until_ms);
}

/* --- when --- */

static void in_ms(struct replays *replays, uint64_t ms)
{
    const struct timeval wait = {0, (suseconds_t)ms * 1000};

    evtimer_add(replays->timer, &wait);
}

/* One that comes meanwhile is a batch with the next that comes. */
static void schedule(struct replays *replays)
{
    uint64_t now_ms = clock_ms();
    int waits = !replays->hurried && replays->missed == NULL && replays->begin_ms > now_ms;

    in_ms(replays, waits ? replays->begin_ms - now_ms : 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct replays *replays = arg;
    uint64_t until_ms = clock_ms() + SLICE_MS;

    (void)fd;
    (void)what;
    if (replays->missed == NULL)
        begin_batch(replays);
    if (serve(replays, until_ms))
        end_batch(replays);
    if (replays->missed != NULL || replays->coming->n > 0) {
        schedule(replays);
    } else if (replays->hurried) {
        replays->hurried = 0;
        replays->settled(replays->settled_arg);
    }
}

int replays_settle(struct replays *replays)
{
    if (replays->n == 0)
        return 1;
    replays->hurried = 1;
    schedule(replays);
    return 0;
}

/* --- one alone --- */

/* Returns 1 if it may have missed something, 0 if not, -1 if that is not known any more. */
static int look_alone(const struct replays *replays, struct replay *replay)
{
    struct history_entry entry = {.next = replay->missing.from};
    struct missing *who = &replay->missing;
    struct missed *missed = missed_new(&who, 1);
    enum history_read read = HISTORY_ENTRY;
    int may = missed == NULL;

    for (unsigned n = 1; !may; n++) {
        read = history_next(replays->parts.history, entry.next, &entry);
        if (read != HISTORY_ENTRY || entry.seq > replays->rerun.taken)
            break;
        may = n == LOOK || missed_may(missed, &entry);
    }
    missed_free(&missed);
    return read == HISTORY_OVERRUN ? -1 : may;
}

/* It is served with others that come. */
static void wait_for_others(struct replays *replays, struct replay *replay)
{
    long place = line_put(replays->coming, &replay->missing);

    if (place < 0) {
        give_up(replays, replay, REPLAY_NO_MEMORY);
        return;
    }
    replay->line = replays->coming;
    replay->place = (size_t)place;
    if (replays->coming->n > 1)
        return;
    replays->begin_ms = clock_ms() + BATCH_MS;
    if (replays->missed == NULL)
        schedule(replays);
}

/* It leaves its batch, for it will be through, or lost. */
int replay_finish(struct replays *replays, struct client *client)
{
    struct replay *replay = client->replay;
    struct missing *who[] = {&replay->missing};
    const struct line alone = {who, 1, 1};
    struct group group = {.line = &alone, .pos = replay->missing.from, .visit = queue};
    struct missed *missed = missed_new(who, 1);

    assert(replay->told);
    if (replays->pass == PASS_SEND && replays->pos > group.pos)
        group.pos = replays->pos;
    replay->line->at[replay->place] = NULL;
    replay->line = &alone;
    replay->place = 0;
    if (missed == NULL) {
        give_up(replays, replay, REPLAY_NO_MEMORY);
        return 0;
    }
    group.missed = missed;
    rerun_go_on(&replays->rerun, &group, UINT64_MAX);
    missed_free(&missed);
    return who[0] != NULL && let_in(replays, of_missing(who[0])) == 0; /* NULL: it has gone */
}

/* --- coming and going --- */

static void put_room(const struct replays *replays, struct replay *replay, struct slice name,
                     uint64_t since)
{
    replay->rooms[replay->missing.nrooms++] = (struct missed_room){
        since, name.ptr, (uint32_t)name.len, history_hash(replays->parts.history, name)};
}

/* Its rooms, and its id as the last; text: where the names go that are the message's. */
static void put_rooms(const struct replays *replays, struct replay *replay, char *text,
                      const struct msg_admitted *admitted)
{
    uint64_t since;

    replay->missing.rooms = replay->rooms;
    if ((admitted->left & MSG_LEFT_EVERYBODY) == 0)
        put_room(replays, replay, ROOM_EVERYBODY, 0);
    if ((admitted->left & MSG_LEFT_OWN) == 0)
        put_room(replays, replay, client_uid(replay->client), 0);
    for (size_t i = 0; i < admitted->rooms.n; i++) {
        struct slice name = msg_room(admitted->rooms.at[i], &since);

        if (name.len > 0)
            memcpy(text, name.ptr, name.len);
        put_room(replays, replay, (struct slice){text, name.len}, since);
        text += name.len;
    }
    replay->njoined = replay->missing.nrooms;
    if (!replay->is_sidless)
        put_room(replays, replay, (struct slice){replay->id, SIO_SID_LEN}, 0);
}

static void put_id(struct replay *replay, const struct msg_admitted *admitted)
{
    uint8_t own[SESSION_LEN] = {0};

    memcpy(replay->pid, admitted->pid.ptr, PID_LEN);
    replay->session_len = (uint8_t)admitted->session.len;
    if (admitted->session.len > 0)
        memcpy(replay->session, admitted->session.ptr, SESSION_LEN);
    else
        (void)socket_session(replay->client->socket, own);
    base64url_encode(replay->id, replay->session_len > 0 ? replay->session : own, SESSION_LEN);
    replay->is_sidless = (admitted->left & MSG_LEFT_ID) != 0;
}

static struct replay *replay_new(struct replays *replays, struct client *client,
                                 const struct msg_admitted *admitted)
{
    size_t nrooms = admitted->rooms.n + 3, text = 0;
    struct replay *replay;

    for (size_t i = 0; i < admitted->rooms.n; i++)
        text += admitted->rooms.at[i].len;
    replay = malloc(sizeof(*replay) + nrooms * sizeof(*replay->rooms) + text);
    if (replay == NULL)
        return NULL;
    *replay = (struct replay){.missing = {.from = admitted->from},
                              .client = client,
                              .need = TOLD_BYTES,
                              .offset = admitted->offset,
                              .offsets = replays->offsets};
    put_id(replay, admitted);
    put_rooms(replays, replay, (char *)(replay->rooms + nrooms), admitted);
    client->replay = replay;
    replays->n++;
    return replay;
}

void replay_add(struct replays *replays, struct client *client, const struct msg_admitted *admitted)
{
    struct replay *replay = replay_new(replays, client, admitted);
    int missed;

    if (replay == NULL) {
        client->replay = NULL;
        replays->parts.stats->replays[REPLAY_NO_MEMORY]++;
        replays->ops->unfit(client, replays->arg);
        return;
    }
    missed = look_alone(replays, replay);
    if (missed > 0)
        wait_for_others(replays, replay);
    else if (missed < 0)
        give_up(replays, replay, REPLAY_OVERRUN);
    else if (tell(replays, replay) == 0)
        (void)let_in(replays, replay);
}

void replays_taken(struct replays *replays, uint64_t seq)
{
    if (seq > replays->rerun.taken)
        replays->rerun.taken = seq;
}

void replays_offset(struct replays *replays, uint64_t seq, uint64_t offset)
{
    replays->shown_seq = seq;
    replays->shown = offset;
    replays->offsets++;
}

struct replays *replays_new(const struct replay_parts *parts, const struct replay_ops *ops,
                            void *arg, void (*settled)(void *arg), void *settled_arg)
{
    struct replays *replays = calloc(1, sizeof(*replays));

    if (replays == NULL)
        return NULL;
    replays->parts = *parts;
    replays->ops = ops;
    replays->arg = arg;
    replays->settled = settled;
    replays->settled_arg = settled_arg;
    replays->rerun = (struct rerun){.history = parts->history,
                                    .sio = &parts->engine->sio,
                                    .give_up = on_given_up,
                                    .arg = replays};
    replays->coming = &replays->lines[0];
    replays->served = &replays->lines[1];
    replays->timer = evtimer_new(parts->base, on_timer, replays);
    replays->calm = evtimer_new(parts->base, on_calm, replays);
    if (replays->timer == NULL || replays->calm == NULL)
        replays_free(&replays);
    return replays;
}

void replays_free(struct replays **replays_ptr)
{
    struct replays *replays = *replays_ptr;

    *replays_ptr = NULL;
    if (replays == NULL)
        return;
    assert(replays->n == 0);
    if (replays->timer != NULL)
        event_free(replays->timer);
    if (replays->calm != NULL)
        event_free(replays->calm);
    missed_free(&replays->missed);
    line_clear(replays->served);
    line_clear(replays->coming);
    rerun_clear(&replays->rerun);
    free(replays);
}
