#include "master/resume.h"

#include "resume_world.h"

#define SECRET "a secret of all daemons"

static struct node *const one = &nodes[0], *const two = &nodes[1];

static uint64_t pos_of(int daemon, uint64_t offset)
{
    uint64_t pos = 0;

    return history_find(nodes[daemon].parts.history, offset, &pos) == 0 ? pos : 0;
}

static void is_back(const struct client *client, uint64_t offset, const char *name)
{
    ok(client->is_in && client->resumed, "%s: it has its session back", name);
    is_int(client->from, pos_of(client->daemon, offset), name);
}

static void is_new(const struct client *client, enum resume_refusal why, uint64_t times,
                   const char *name)
{
    ok(client->is_in && !client->resumed, "%s: it is let in without", name);
    is_int(refused(client->daemon, why), times, resume_refusal_name(why));
    is_int(resume_stats(nodes[client->daemon].resume).waiting, 0, "nobody waits");
}

static uint64_t say(const char *room)
{
    publish(room, "[\"msg\"]");
    turns();
    return nlog;
}

/* --- one daemon ------------------------------------------------------------------- */

static void test_plain(void)
{
    struct client *a, *b, *c;
    struct pid pid;

    world_up(1, SECRET);
    a = client_in(0, 1, "ann");
    ok(!a->resumed, "who comes with nothing has nothing");
    ok(pid_read(&pid, a->pid) == 0 && pid.daemon == relay_epoch(one->parts.relay) &&
           memcmp(pid.session, a->sid, SESSION_LEN) == 0 && pid.start_ms == WALL_MS + now_ms,
       "but a pid");
    say("ann");
    say("");
    client_left(a, 0);
    say("ann");
    b = client_back(a, 0, 2, 0);
    is_back(b, 1, "without an offset: from the start");
    is_mem(b->pid, PID_LEN, a->pid, PID_LEN, "with the same pid");
    is_mem(b->session, SESSION_LEN, a->sid, SESSION_LEN, "and the same session");
    is_str(b->rooms, "", "in no further room");
    client_left(b, 0);
    c = client_back(b, 0, 3, 3);
    is_back(c, 3, "with an offset");
    is_int(resume_stats(one->resume).recovered, 2, "two have come back");
    world_down();
}

static void test_pid(void)
{
    struct client *a, *b;
    uint8_t pid[PID_LEN];

    world_up(1, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    b = client_new(0, 1, "bob");
    client_ask(b, a->pid, 0, NULL);
    is_new(b, RESUME_PID, 1, "another user's pid");
    for (size_t i = 0; i < PID_LEN; i++) {
        memcpy(pid, a->pid, PID_LEN);
        pid[i] ^= 1;
        nclients = 2;
        b = client_new(0, 1, "ann");
        client_ask(b, pid, 0, NULL);
        if (b->resumed || !b->is_in)
            ok(0, "byte %zu is proven", i);
        client_left(b, 0);
    }
    is_int(refused(0, RESUME_PID), 1 + PID_LEN, "no byte of it may be another");
    b = client_back(a, 0, 1, 0);
    ok(b->resumed, "nothing has happened to the session");
    world_down();
}

static void test_offset(void)
{
    struct client *a, *b;
    uint64_t start;

    world_up(1, SECRET);
    start = say("ann");
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    b = client_new(0, 1, "ann");
    client_ask(b, a->pid, 0, NULL);
    client_left(b, 0);
    b = client_back(a, 0, 1, 99);
    ok(!b->is_in && resume_stats(one->resume).waiting == 1, "one that is not known may come yet");
    turns();
    is_new(b, RESUME_OFFSET, 1, "it has not");
    b = client_back(a, 0, 1, 1);
    is_back(b, start, "one before the start is the start");
    client_left(b, 0);
    one->ping_fails = 1;
    b = client_back(a, 0, 1, 99);
    is_new(b, RESUME_OFFSET, 2, "without redis nothing comes");
    one->ping_fails = 0;
    one->is_deaf = 1;
    b = client_back(a, 0, 1, 99);
    pass(RESUME_SYNC_MS - 1);
    ok(!b->is_in, "redis may be slow");
    pass(1);
    is_new(b, RESUME_OFFSET, 3, "but not too slow");
    world_down();
}

/* What redis has is on its way: the client has been at a daemon that is ahead. */
static void test_behind(void)
{
    struct client *a, *b, *c;
    uint64_t first, second;

    world_up(1, SECRET);
    a = client_in(0, 1, "ann");
    c = client_in(0, 1, "ann");
    client_left(a, 0);
    client_left(c, 0);
    one->lag_ms = 500;
    publish("ann", "[1]");
    first = nlog;
    b = client_back(a, 0, 1, first);
    pass(100);
    publish("ann", "[2]");
    second = nlog;
    c = client_back(c, 0, 1, second);
    pass(350);
    ok(!b->is_in && !c->is_in, "they wait");
    pass(100);
    is_back(b, first, "the first is told so");
    pass(100);
    is_back(c, second, "the second by another ping");
    world_down();
}

static void test_takeover(void)
{
    struct client *a, *b, *c;

    world_up(1, SECRET);
    one->conf.connections_per_user = 1;
    a = client_in(0, 1, "ann");
    b = client_back(a, 0, 2, 0);
    is_back(b, 1, "whose older connection is there");
    ok(a->is_kicked, "which is disconnected");
    is_int(relay_user_connections(one->parts.relay, SLICE("ann")), 1, "and has no place any more");
    c = client_back(a, 0, 3, 0);
    ok(c->resumed && b->is_kicked && !c->is_kicked, "again, before its worker has said so");
    client_left(a, 1);
    client_left(b, 1);
    is_int(relay_user_connections(one->parts.relay, SLICE("ann")), 1, "the newest is there");
    client_left(c, 0);
    ok(client_back(a, 0, 1, 0)->resumed, "what the others said did not end its session");
    is_int(resume_stats(one->resume).takeovers, 2, "two were taken over");
    world_down();
}

/* It waits for a place of its user, and what has changed since counts. */
static void test_place(void)
{
    struct client *a, *b, *other;

    world_up(1, SECRET);
    one->conf.connections_per_user = 1;
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    other = client_in(0, 1, "ann");
    b = client_back(a, 0, 2, 0);
    ok(!b->is_in, "it waits for a place");
    client_left(other, 0);
    is_back(b, 1, "which it has");
    client_left(b, 0);
    other = client_in(0, 1, "ann");
    b = client_back(a, 0, 2, 0);
    history_cut(one->parts.history);
    client_left(other, 0);
    is_new(b, RESUME_OFFSET, 1, "the history was cut meanwhile");
    world_down();
}

static void test_states(void)
{
    struct client *a, *b;

    world_up(1, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 1);
    is_new(client_back(a, 0, 1, 0), RESUME_ENDED, 1, "who has left for good");
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    pass(120000);
    b = client_back(a, 0, 1, 0);
    is_back(b, 1, "who was away for as long as may be");
    client_left(b, 0);
    pass(120001);
    is_new(client_back(a, 0, 1, 0), RESUME_AWAY, 1, "and for longer");
    a = client_in(0, 1, "ann");
    b = client_in(0, 2, "ann");
    client_left(a, 0);
    history_cut(one->parts.history);
    gone_break(one->parts.gone);
    resume_gap(one->resume);
    world_put(STEP);
    turns();
    is_new(client_back(a, 0, 1, 0), RESUME_GAP, 1, "who was away in a gap");
    is_new(client_back(b, 0, 1, 0), RESUME_GAP, 2, "who was there");
    ok(!b->is_kicked, "and stays there");
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    gone_take(one->parts.gone, a->sid);
    is_new(client_back(a, 0, 1, 0), RESUME_UNKNOWN, 1, "who was forgotten");
    a = client_in(0, 3, "ann");
    node_worker_down(one, 3);
    is_back(client_back(a, 0, 1, one->offset), one->offset, "whose worker has died");
    world_down();
}

static void join(struct client *client, const char *room, int is_claim)
{
    struct slice name = slice_str(room);
    const struct slices names = {&name, 1, 1}, none = {0};

    relay_rooms(nodes[client->daemon].parts.relay, client->lane, 0, (uint64_t)(client - clients),
                is_claim, &names, &none);
}

static void test_rooms(void)
{
    struct client *a, *b;

    world_up(1, SECRET);
    a = client_new(0, 1, "ann");
    client_ask(a, NULL, 0, "red");
    say("");
    join(a, "blue", 0);
    say("");
    client_left(a, 0);
    b = client_new(0, 1, "ann");
    client_ask(b, a->pid, 0, "green");
    ok(b->resumed, "it comes with another token");
    is_str(b->rooms, "blue@1 green@2 ", "whose room it is in from now on, and that of the request");
    is_int(b->nclaimed, 1, "one is by the token");
    client_left(b, 0);
    b = client_new(0, 1, "ann");
    client_ask(b, a->pid, 0, "blue");
    is_str(b->rooms, "blue@1 ", "one that both have is as it was");
    is_int(b->nclaimed, 0, "by request");
    client_left(b, 0);
    b = client_new(0, 1, "ann");
    client_ask(b, a->pid, 0, "ann");
    is_str(b->rooms, "blue@1 ", "its own is none of these");
    world_down();
}

/* Two at one moment, the same pid: both wait for redis. */
static void test_twice(void)
{
    struct client *a, *b, *c, *d;

    world_up(1, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    one->lag_ms = 500;
    publish("ann", "[1]");
    b = client_back(a, 0, 1, nlog);
    c = client_back(a, 0, 2, nlog);
    d = client_back(a, 0, 3, 99);
    is_int(resume_stats(one->resume).waiting, 3, "they wait");
    pass(600);
    ok(b->resumed && b->is_kicked, "the first has it, and is disconnected");
    ok(c->resumed && !c->is_kicked, "for the second");
    is_new(d, RESUME_OFFSET, 1, "the third has an offset that never comes");
    ok(!c->is_kicked, "and disconnects nobody");
    one->lag_ms = 0;
    one->is_deaf = 1;
    b = client_back(a, 0, 1, 98);
    for (int i = 0; i < WAITING_FOLLOWERS; i++) {
        nclients = 10;
        client_back(a, 0, 1, 98);
    }
    c = client_back(a, 0, 1, 98);
    ok(c->is_in && refused(0, RESUME_BUSY) == 1, "so many may, and no more");
    world_down();
}

/* --- workers that die, settings that change ----------------------------------------- */

static void test_dying(void)
{
    struct client *a, *b, *c, *d;
    unsigned answers;

    world_up(1, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    one->is_deaf = 1;
    b = client_back(a, 0, 2, 99);
    c = client_back(a, 0, 2, 98);
    answers = one->answers;
    node_worker_down(one, 2);
    one->is_deaf = 0;
    pass(3000);
    is_int(one->answers, answers, "who waits on a worker that dies is not answered");
    ok(!b->is_in && !c->is_in && resume_stats(one->resume).waiting == 0, "nor waits");
    relay_worker_up(one->parts.relay, 2);
    a = client_in(0, 1, "ann");
    one->lag_ms = 100;
    publish("ann", "[1]");
    b = client_back(a, 0, 2, nlog);
    node_worker_down(one, 2);
    pass(200);
    ok(!b->is_in && !a->is_kicked, "nor is anybody disconnected for it");
    one->lag_ms = 0;
    client_left(a, 0);
    relay_worker_up(one->parts.relay, 2);
    a = client_in(0, 2, "ann");
    answers = one->answers;
    one->dies = 2;
    b = client_back(a, 0, 2, 0);
    is_int(one->answers, answers, "a worker that dies when it is to disconnect the older one");
    ok(!b->is_in && relay_user_connections(one->parts.relay, SLICE("ann")) == 0,
       "takes the newer one along");
    relay_worker_up(one->parts.relay, 2);
    b = client_back(a, 0, 2, 0);
    ok(b->resumed, "which comes again");
    client_left(b, 0);
    one->lag_ms = 500;
    publish("ann", "[1]");
    b = client_back(a, 0, 2, nlog);
    c = client_back(a, 0, 3, nlog);
    d = client_back(a, 0, 2, nlog);
    one->dies = 2;
    pass(600);
    ok(c->resumed && !c->is_kicked, "one that dies while those are served who want the same");
    ok(!d->is_in && relay_user_connections(one->parts.relay, SLICE("ann")) == 1,
       "takes along who is next");
    world_down();
}

static void test_reload(void)
{
    struct client *a, *b;
    struct conf conf;

    world_up(1, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    conf = one->conf;
    conf.recovery_secret = (char *)(uintptr_t) "another";
    conf.recovery_secret_len = 7;
    resume_configure(one->resume, &conf);
    is_new(client_back(a, 0, 1, 0), RESUME_PID, 1, "a pid of another secret");
    resume_configure(one->resume, &one->conf);
    one->is_deaf = 1;
    b = client_back(a, 0, 1, 99);
    conf.recovery = 0;
    resume_configure(one->resume, &conf);
    ok(b->is_in && !b->resumed && !b->has_pid, "who waits when it is turned off is let in");
    resume_configure(one->resume, &one->conf);
    resume_wipe(one->resume);
    is_new(client_back(a, 0, 1, 0), RESUME_PID, 2, "without keys nothing is proven");
    world_down();
}

/* --- two daemons -------------------------------------------------------------------- */

static void test_asked(void)
{
    struct client *a, *b, *c;
    uint64_t offset;

    world_up(2, SECRET);
    say("");
    a = client_in(0, 1, "ann");
    say("");
    join(a, "red", 0);
    offset = say("");
    say("");
    join(a, "blue", 0);
    say("");
    client_left(a, 0);
    pass(1000);
    b = client_back(a, 1, 1, offset);
    ok(!b->is_in, "another daemon is asked");
    turns();
    is_back(b, offset, "and gives it up");
    is_str(b->rooms, "blue@4 red@0 ", "with its rooms, since the same messages");
    is_mem(b->pid, PID_LEN, a->pid, PID_LEN, "with the same pid");
    ok(!b->has_own_id, "and the same id");
    is_int(resume_stats(one->resume).answered, 1, "one has answered");
    is_int(resume_stats(two->resume).asked, 1, "which the other has asked");
    c = client_back(a, 0, 1, offset);
    turns();
    is_back(c, offset, "it is asked back");
    ok(b->is_kicked && !c->is_kicked, "from who is connected there");
    is_str(c->rooms, "blue@4 red@0 ", "with the same rooms");
    client_left(b, 0);
    client_left(c, 1);
    b = client_back(a, 1, 1, offset);
    turns();
    is_new(b, RESUME_ENDED, 1, "one that has ended is not given up");
    world_down();
}

static void test_refusals(void)
{
    struct client *a, *b;
    size_t before;

    world_up(2, SECRET);
    a = client_in(0, 1, "ann");
    b = client_back(a, 1, 1, 999);
    turns();
    is_new(b, RESUME_OFFSET, 1, "whose offset is not known here");
    ok(!a->is_kicked && resume_stats(two->resume).asked == 0, "nobody is asked for");
    before = two->npublished;
    b = client_new(1, 1, "bob");
    client_ask(b, a->pid, 0, NULL);
    turns();
    is_new(b, RESUME_PID, 1, "another user's");
    is_int(two->npublished, before, "nor is it told");
    client_left(a, 0);
    pass(120001);
    b = client_back(a, 1, 1, 0);
    turns();
    is_new(b, RESUME_AWAY, 1, "who was away for too long, there");
    a = client_in(0, 1, "ann");
    history_cut(one->parts.history);
    gone_break(one->parts.gone);
    resume_gap(one->resume);
    b = client_back(a, 1, 1, 0);
    turns();
    is_new(b, RESUME_GAP, 1, "who was there in a gap");
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    gone_take(one->parts.gone, a->sid);
    b = client_back(a, 1, 1, 0);
    pass(RESUME_ANSWER_MS);
    is_new(b, RESUME_UNKNOWN, 1, "who was forgotten");
    world_down();
}

/* A request that comes while it is on its way is done to nobody. */
static void test_request(void)
{
    struct client *a, *b;

    world_up(2, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    one->is_deaf = 1;
    b = client_back(a, 1, 1, 0);
    turns();
    world_put(REQUEST);
    turns();
    one->is_deaf = 0;
    turns();
    is_new(b, RESUME_ROOMS, 1, "a request behind the question");
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    one->is_deaf = 1;
    world_put(REQUEST);
    b = client_back(a, 1, 1, 0);
    turns();
    one->is_deaf = 0;
    turns();
    ok(b->resumed, "one before it is done by who gives it up");
    world_down();
}

/* It has come before or after the other: nobody knows, while redis is slow. */
static void test_yield(void)
{
    struct client *a, *b, *c;
    uint64_t offset;

    world_up(3, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    two->lag_ms = 500;
    offset = say("ann");
    c = client_back(a, 2, 1, offset);
    turns();
    b = client_back(a, 1, 1, offset);
    pass(1000);
    ok(c->resumed && !c->is_kicked, "one that has not asked yet disconnects nobody");
    is_new(b, RESUME_ELSEWHERE, 1, "but goes without");
    world_down();
}

/* What is requested behind the question, when the session is nowhere, is done to it in its new
 * place. */
static void test_requests(void)
{
    struct client *a, *b;
    struct published *request;

    world_up(2, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    one->is_deaf = 1;
    b = client_back(a, 1, 1, 0);
    turns();
    for (int i = 0; i < 3; i++) {
        request = world_put(i == 2 ? LEAVE : JOIN);
        request->uid = i == 0 ? "bob" : "ann";
        request->room = i == 1 ? "red" : "blue";
    }
    turns();
    one->is_deaf = 0;
    turns();
    ok(b->resumed, "what others are requested to do is nothing to it");
    ok(strncmp(b->rooms, "red@", 4) == 0 && strchr(b->rooms, ' ') == strrchr(b->rooms, ' '),
       "what it is, is done: %s", b->rooms);
    for (int i = 0; i < 2000; i++) {
        request = world_put(JOIN);
        request->uid = "bob";
        request->room = "red";
    }
    turns();
    client_left(b, 0);
    a = client_back(b, 0, 1, 0);
    turns();
    ok(a->resumed, "what came before the question does not count");
    world_down();
}

/* It waits for redis at a daemon that is behind; meanwhile the client is back at the other. */
static void test_stale(void)
{
    struct client *a, *b, *c, *d;
    uint64_t offset;

    world_up(3, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    two->lag_ms = 500;
    offset = say("ann");
    b = client_back(a, 1, 1, offset);
    ok(!b->is_in, "it waits");
    pass(100);
    c = client_back(a, 0, 1, offset);
    ok(c->resumed, "the newer one does not");
    pass(1500);
    ok(!c->is_kicked, "nor does it make way for the older one");
    is_new(b, RESUME_ELSEWHERE, 1, "which goes without");
    d = client_back(a, 1, 1, offset);
    pass(1500);
    ok(d->resumed && c->is_kicked, "one that is newer still has it");
    world_down();
}

/* What the older one asked is read when the newer one is there, as by a worker that was stopped. */
static void test_read_late(void)
{
    struct client *a, *b, *c, *d;

    world_up(1, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    b = client_new(0, 1, "ann");
    pass(1);
    c = client_back(a, 0, 2, 0);
    turns();
    ok(c->resumed, "the newer one is back");
    client_ask(b, a->pid, 0, NULL);
    turns();
    is_new(b, RESUME_ELSEWHERE, 1, "the older one goes without");
    ok(!c->is_kicked, "and the newer one stays");
    client_left(c, 0);
    b->came_ms = 0; /* it has been in meanwhile, and asks for that again */
    client_ask(b, a->pid, 0, NULL);
    turns();
    ok(b->resumed, "one that has been in asks when it asks");
    d = client_back(a, 0, 2, 0);
    turns();
    ok(d->resumed && b->is_kicked, "one that is newer still has it");
    world_down();
}

/* Somebody knows the id of ann's connection, and makes up pids with it, which nobody can prove but
 * the daemon that they name. */
static void test_in_the_way(void)
{
    struct client *a, *b, *c[WAITING_FOLLOWERS + 2];
    uint8_t pid[PID_LEN];

    world_up(2, NULL);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    memcpy(pid, a->pid, PID_LEN);
    pid[1] ^= 1; /* another daemon */
    for (size_t i = 0; i < WAITING_FOLLOWERS + 2; i++) {
        c[i] = client_new(1, 1, "bob");
        client_ask(c[i], pid, 0, NULL);
    }
    b = client_back(a, 1, 1, 0);
    turns();
    ok(b->resumed, "who makes up pids is in nobody's way");
    pass(3000);
    ok(!c[0]->resumed && !b->is_kicked, "and has nothing of it");
    world_down();
}

/* The session's own daemon is behind: what the older one asked comes to it later. */
static void test_owner_late(void)
{
    struct client *a, *b, *c;
    uint64_t offset;

    world_up(3, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    offset = say("ann");
    pass(1000);
    one->lag_ms = 250;
    b = client_back(a, 1, 1, offset);
    pass(60);
    c = client_back(a, 0, 1, offset);
    ok(c->resumed, "the newer one is back at once");
    pass(2000);
    ok(!c->is_kicked, "and stays");
    is_new(b, RESUME_ELSEWHERE, 1, "the older one goes without");
    world_down();
}

/* Redis is silent: what is on its way may be for the connection before. */
static void test_late(void)
{
    struct client *a, *b, *c;

    world_up(2, SECRET);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    one->is_deaf = 1;
    b = client_back(a, 1, 1, 0);
    pass(RESUME_LATE_MS + 1200);
    c = client_back(a, 0, 1, 0);
    ok(!c->is_in, "it waits for redis");
    one->is_deaf = 0;
    turns();
    ok(c->is_in && !c->is_kicked, "an older question is not for it");
    client_left(c, 0);
    c = client_back(c, 0, 1, 0);
    ok(c->is_in, "nobody waits while redis is heard");
    one->is_deaf = 1;
    pass(RESUME_LATE_MS + 1200);
    c = client_back(c, 0, 1, 0);
    pass(RESUME_SYNC_MS);
    ok(c->resumed, "nor for ever");
    one->ping_fails = 1;
    c = client_back(c, 0, 1, 0);
    ok(c->resumed, "nor where there is no redis");
    (void)b;
    world_down();
}

/* What it missed was too large for this daemon. */
static void test_hole(void)
{
    struct client *a, *b;
    uint64_t offset;
    char large[5000];

    world_up(2, SECRET);
    two->conf.message_bytes = 4096;
    relay_configure(two->parts.relay, &two->conf);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    offset = say("ann");
    snprintf(large, sizeof(large), "[\"%04900d\"]", 1);
    publish("ann", large);
    turns();
    b = client_back(a, 1, 1, offset);
    turns();
    is_new(b, RESUME_HOLE, 1, "what was refused here");
    client_left(b, 0);
    a = client_in(0, 1, "ann");
    client_left(a, 0);
    offset = say("ann");
    b = client_back(a, 1, 1, offset);
    turns();
    is_back(b, offset, "is behind the next one");
    world_down();
}

static struct client *from_silent(const char *room)
{
    struct client *a, *b;

    world_up(2, SECRET);
    pass(COMEBACK_CLOCK_MS + 1);
    a = client_in(0, 1, "ann");
    say("ann");
    one->is_deaf = 1;
    b = client_new(1, 1, "ann");
    client_ask(b, a->pid, 0, room);
    return b;
}

static void test_silent(void)
{
    struct client *b, *c;

    b = from_silent(NULL);
    pass(RESUME_ANSWER_MS - 1);
    ok(!b->is_in, "it is waited for an answer");
    pass(1);
    is_back(b, clients[0].start, "there is none");
    ok(b->has_own_id, "under a new id");
    is_int(resume_stats(two->resume).silent, 1, "it is counted");
    is_mem(b->pid, PID_LEN, clients[0].pid, PID_LEN, "with its pid");
    one->is_deaf = 0;
    turns();
    ok(clients[0].is_kicked, "it hears of it later, and disconnects the older one");
    ok(b->is_in && !b->is_kicked, "not the newer one");
    c = client_back(b, 0, 1, 0);
    turns();
    is_back(c, clients[0].start, "which can go back there");
    ok(b->is_kicked, "and is disconnected here");
    world_down();

    b = from_silent(NULL);
    node_worker_down(two, 1);
    pass(RESUME_ANSWER_MS);
    ok(!b->is_in, "its worker has gone meanwhile");
    relay_worker_up(two->parts.relay, 1);
    c = client_back(&clients[0], 1, 1, 0);
    pass(RESUME_ANSWER_MS);
    ok(c->resumed && c->has_own_id, "which leaves nothing behind that looks like an answer");
    world_down();

    b = from_silent("red");
    pass(RESUME_ANSWER_MS);
    is_new(b, RESUME_ELSEWHERE, 1, "a token with rooms");
    world_down();

    b = from_silent(NULL);
    world_put(REQUEST);
    turns();
    pass(RESUME_ANSWER_MS);
    is_new(b, RESUME_ELSEWHERE, 1, "a request since");
    world_down();
}

/* Who cannot say what another daemon has done. */
static void test_not_without(void)
{
    struct client *a, *b;

    world_up(1, SECRET);
    now_ms++; /* behind what the other tells of itself */
    a = client_in(0, 1, "ann");
    node_up(1, SECRET);
    turns();
    one->is_deaf = 1;
    pass(COMEBACK_CLOCK_MS + 1);
    say("");
    b = client_back(a, 1, 1, nlog);
    pass(RESUME_ANSWER_MS);
    is_new(b, RESUME_ELSEWHERE, 1, "one that came later than the session");
    world_down();

    world_up(2, SECRET);
    pass(COMEBACK_CLOCK_MS + 1);
    a = client_in(0, 1, "ann");
    now_ms++;
    resume_gap(one->resume);
    turns();
    one->is_deaf = 1;
    b = client_back(a, 1, 1, 0);
    pass(RESUME_ANSWER_MS);
    is_new(b, RESUME_ELSEWHERE, 1, "a gap that the other has told of");
    world_down();

    node_up(0, SECRET);
    one->is_mute = 1;
    node_up(1, SECRET);
    turns();
    pass(COMEBACK_CLOCK_MS + 1);
    a = client_in(0, 1, "ann");
    b = client_back(a, 1, 1, 0);
    pass(RESUME_ANSWER_MS);
    is_new(b, RESUME_ELSEWHERE, 1, "one that may not publish cannot answer");
    ok(a->is_kicked, "but has heard of it");
    world_down();

    world_up(2, SECRET);
    pass(COMEBACK_CLOCK_MS + 1);
    a = client_in(0, 1, "ann");
    two->is_mute = 1;
    b = client_back(a, 1, 1, 0);
    turns();
    is_new(b, RESUME_ELSEWHERE, 1, "who may not publish cannot ask");
    ok(!a->is_kicked, "and nobody hears of it");
    world_down();

    world_up(2, SECRET);
    pass(COMEBACK_CLOCK_MS + 1);
    a = client_in(0, 1, "ann");
    two->is_deaf = 1;
    b = client_back(a, 1, 1, 0);
    pass(RESUME_ASK_MS);
    is_new(b, RESUME_ELSEWHERE, 1, "nor can who hears nothing");
    client_left(b, 0);
    b = client_back(a, 1, 1, 0);
    is_new(b, RESUME_ELSEWHERE, 2, "for which nobody waits again");
    world_down();
}

/* Who has been silent is asked, but not waited for. */
static void test_not_again(void)
{
    struct client *a, *b, *c;

    world_up(3, SECRET);
    pass(COMEBACK_CLOCK_MS + 1);
    a = client_in(0, 1, "ann");
    b = client_in(0, 1, "bob");
    one->is_deaf = 1;
    a = client_back(a, 1, 1, 0);
    pass(RESUME_ANSWER_MS);
    ok(a->resumed, "one is silent");
    c = client_back(b, 1, 1, 0);
    turns();
    ok(c->resumed, "the next client does not wait");
    client_left(c, 0);
    c = client_back(b, 2, 1, 0);
    turns();
    ok(c->resumed && !c->has_own_id, "at another daemon it is answered by who has it");
    b = client_in(1, 1, "cid");
    client_left(b, 0);
    pass(DAEMONS_SILENT_MS);
    one->is_deaf = 0;
    turns();
    ok(clients[0].is_kicked && clients[1].is_kicked, "it hears of all that was asked");
    world_down();
}

static void test_three(void)
{
    struct client *a, *b, *c;

    world_up(3, SECRET);
    a = client_in(0, 1, "ann");
    join(a, "red", 0);
    client_left(a, 0);
    b = client_back(a, 1, 1, 0);
    turns();
    c = client_back(a, 2, 1, 0);
    turns();
    ok(b->resumed && b->is_kicked && c->resumed, "from the second to the third");
    is_str(c->rooms, "red@0 ", "with its room");
    client_left(c, 0);
    gone_take(one->parts.gone, a->sid);
    b = client_back(a, 1, 1, 0);
    turns();
    ok(b->resumed, "also where the first has forgotten it");
    nodes[1].is_deaf = 1;
    c = client_back(a, 2, 1, 0);
    pass(RESUME_ANSWER_MS);
    is_new(c, RESUME_ELSEWHERE, 1, "who has it is silent, as this one knows");
    c = client_back(a, 0, 1, 0);
    pass(RESUME_ANSWER_MS);
    ok(!c->resumed, "and here, where nothing is known of it");
    world_down();
}

/* At two daemons at one moment, while a third has it: the last one keeps it. */
static void test_race(void)
{
    struct client *a, *b, *c;

    world_up(3, SECRET);
    a = client_in(0, 1, "ann");
    b = client_back(a, 1, 1, 0);
    c = client_back(a, 2, 1, 0);
    turns();
    pass(1000);
    ok(a->is_kicked && b->resumed && b->is_kicked && c->resumed && !c->is_kicked,
       "two ask for the same: the last one keeps it");
    a = client_back(c, 2, 2, 0);
    b = client_back(c, 0, 1, 0);
    turns();
    pass(1000);
    ok(a->resumed + b->resumed == 2 && a->is_kicked + b->is_kicked == 1, "one, where it is, too");
    world_down();
}

/* With public keys only, each daemon proves its own. */
static void test_own_keys(void)
{
    struct client *a, *b, *c;
    uint64_t offset;

    world_up(3, NULL);
    a = client_in(0, 1, "ann");
    offset = say("ann");
    ok(client_back(a, 0, 1, 0)->resumed, "at its own");
    b = client_back(a, 1, 1, 0);
    turns();
    is_back(b, 3, "at another, which its own tells the start");
    c = client_back(a, 2, 1, offset);
    turns();
    is_back(c, offset, "at a third, which asks twice");
    ok(b->is_kicked, "of who has it");
    b = client_new(1, 1, "bob");
    client_ask(b, a->pid, 0, NULL);
    turns();
    is_new(b, RESUME_PID, 1, "another user's");
    ok(!c->is_kicked, "disconnects nobody");
    b = client_back(a, 2, 2, 0);
    turns();
    ok(b->resumed && c->is_kicked, "at the third again: its own proves it");
    one->is_deaf = 1;
    c = client_back(a, 2, 1, 0);
    pass(RESUME_ANSWER_MS);
    is_new(c, RESUME_ELSEWHERE, 1, "nobody else does");
    world_down();
}

/* --- what nobody should say --------------------------------------------------------- */

static void hear(int daemon, const struct buf *message)
{
    resume_peer(nodes[daemon].resume, (struct slice){(const char *)message->data, message->len});
    turns();
}

static void test_hostile(void)
{
    struct client *a, *b;
    struct buf message = {0};
    uint8_t pid[PID_LEN];

    world_up(2, SECRET);
    a = client_in(0, 1, "ann");
    memcpy(pid, a->pid, PID_LEN);
    pid[PID_LEN - 1] ^= 1;
    for (int is_vouched = 0; is_vouched < 2; is_vouched++) {
        buf_reset(&message);
        peer_begin(&message, 4711);
        peer_put_question(&message, &(struct peer_question){.to = relay_epoch(one->parts.relay),
                                                            .id = 1,
                                                            .is_vouched = is_vouched,
                                                            .pid = pid,
                                                            .uid = SLICE("ann")});
        hear(0, &message);
        ok(!a->is_kicked, "a forged pid disconnects nobody at its own daemon");
    }
    pid[0] = 2;
    buf_reset(&message);
    peer_begin(&message, 4711);
    peer_put_question(&message, &(struct peer_question){.pid = pid, .uid = SLICE("ann")});
    hear(0, &message);
    is_int(resume_stats(one->resume).dropped, 1, "a pid that is none");
    resume_peer(one->resume, SLICE("junk that is no message"));
    is_int(resume_stats(one->resume).dropped, 2, "a message that is none");
    buf_reset(&message);
    peer_begin(&message, 4711);
    peer_put_answer(
        &message,
        &(struct peer_answer){.to = relay_epoch(one->parts.relay), .id = 1, .result = PEER_YOURS});
    hear(0, &message);
    ok(!a->is_kicked, "an answer that nobody asked for");
    two->is_deaf = 1;
    b = client_back(a, 1, 1, 0);
    turns();
    buf_reset(&message);
    peer_begin(&message, 4711);
    peer_put_answer(&message, &(struct peer_answer){.to = relay_epoch(two->parts.relay),
                                                    .id = 1,
                                                    .result = PEER_YOURS,
                                                    .left = 255});
    two->is_deaf = 0;
    hear(1, &message);
    is_new(b, RESUME_ROOMS, 1, "an answer before the question");
    client_left(b, 0);
    one->is_deaf = 1;
    b = client_back(a, 1, 1, 0);
    turns();
    message.data[PEER_HEAD_LEN + 9] = 2; /* its id */
    hear(1, &message);
    ok(b->resumed && b->left == 7, "a strange one: what there is of it");
    one->is_deaf = 0;
    turns();
    ok(a->is_kicked && !b->is_kicked, "the true one comes later");
    buf_free(&message);
    world_down();
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    test_plain();
    test_pid();
    test_offset();
    test_behind();
    test_takeover();
    test_place();
    test_states();
    test_rooms();
    test_twice();
    test_dying();
    test_reload();
    test_asked();
    test_refusals();
    test_request();
    test_yield();
    test_requests();
    test_stale();
    test_read_late();
    test_owner_late();
    test_in_the_way();
    test_late();
    test_hole();
    test_silent();
    test_not_without();
    test_not_again();
    test_three();
    test_race();
    test_own_keys();
    test_hostile();
    return tap_done();
}
