/* Does a client that is cut off and comes back, at this daemon or another, get each message that
 * is for it once and in order, or hear that it does not?  Two and three daemons with the real
 * master's part of recovery and made-up workers (resume_world.h), in worlds by chance:
 *
 *     AXR_MODEL_SECONDS=3600  so long, other worlds each time; else the same for some seconds
 *     AXR_MODEL_SEED=N        that world only */
#define CLIENTS 2000
#include "resume_world.h"

#include <time.h>

#define WORLDS   400
#define MAX_MS   20000 /* for those, where the machine is slow */
#define PERSONS  5
#define ROOMS    2
#define STEPS    250
#define RETRY_MS 500  /* as stock clients have it, at least */
#define DEAF_MS  6000 /* a redis that is silent for longer is a gap, as the feed has it */

static const char *const rooms[ROOMS] = {"red", "blue"};
static const char *const uids[PERSONS] = {"p0", "p1", "p2", "p3", "p4"};

/* Who sits before a client. */
struct person {
    struct client *client; /* its newest connection, or NULL */
    int is_wired;          /* what is sent to that arrives */
    int has_pid, is_broken, has_left, is_split;
    uint8_t pid[PID_LEN];
    uint64_t offset;       /* 0: none */
    size_t base;           /* of the log: where its session began */
    size_t last;           /* ... and what is behind the last that it got */
    size_t back;           /* ... and where its daemon was when it came back */
    uint64_t tried_ms;     /* when it last came */
    uint64_t abandoned_ms; /* when it last went away before it was let in */
};
static struct person persons[PERSONS];

/* What a made-up worker knows of a client. */
static struct {
    int who;
    int is_in[ROOMS];
    uint64_t since[ROOMS];
} known[CLIENTS];

static struct history_view *views[DAEMONS];
static uint64_t chance_state;
static unsigned wrong, recovered, fresh, got, lost_to_older;
static int is_told;
static uint64_t deaf_ms[DAEMONS]; /* since when */

static unsigned chance(unsigned bound)
{
    chance_state = chance_state * 6364136223846793005 + 1442695040888963407;
    return (unsigned)(chance_state >> 33) % bound;
}

static void fault(const struct person *person, const char *what, size_t index)
{
    wrong++;
    if (is_told++ < 5)
        printf("# %s: %s, message %zu, last %zu\n", uids[person - persons], what, index,
               person->last);
}

/* --- what is to come -------------------------------------------------------------- */

static int is_member(const struct person *person, const char *room, size_t at)
{
    int is_in = 0;

    for (size_t i = person->base; i < at; i++)
        if ((world_log[i].kind == JOIN || world_log[i].kind == LEAVE) &&
            world_log[i].uid == uids[person - persons] && world_log[i].room == room)
            is_in = world_log[i].kind == JOIN;
    return is_in;
}

/* What came to a room while it was away is not for it if it has left that by when it is back. */
static int has_left_by(const struct person *person, const char *room, size_t from)
{
    for (size_t i = from; i < person->back; i++)
        if (world_log[i].kind == LEAVE && world_log[i].uid == uids[person - persons] &&
            world_log[i].room == room)
            return 1;
    return 0;
}

static int is_for(const struct person *person, size_t index)
{
    const char *room = world_log[index].room;

    if (world_log[index].kind != MESSAGE)
        return 0;
    return room[0] == '\0' || room == uids[person - persons] ||
           (is_member(person, room, index) && !has_left_by(person, room, index));
}

static size_t next_of(const struct person *person)
{
    size_t index = person->last;

    while (index < nlog && !is_for(person, index))
        index++;
    return index;
}

static void receive(struct person *person, size_t index)
{
    got++;
    if (!person->is_broken && next_of(person) != index)
        fault(person,
              index < person->last ? "doubled or out of order" : "one is missing, or not for it",
              index);
    person->last = index + 1;
    person->offset = world_log[index].offset;
}

/* --- made-up workers -------------------------------------------------------------- */

static int room_of(const char *name, size_t len)
{
    for (int i = 0; i < ROOMS; i++)
        if (strlen(rooms[i]) == len && memcmp(rooms[i], name, len) == 0)
            return i;
    return -1;
}

/* seq: of the message. */
static int is_sent(size_t client, size_t index, uint64_t seq)
{
    const char *room = world_log[index].room;
    int i = room_of(room, strlen(room));

    if (room[0] == '\0' || room == uids[known[client].who])
        return 1;
    return i >= 0 && known[client].is_in[i] && seq > known[client].since[i];
}

static struct person *heard_by(const struct client *client)
{
    struct person *person = &persons[known[client - clients].who];

    return person->client == client && person->is_wired ? person : NULL;
}

static void request(struct node *node, size_t client, const struct published *published)
{
    int i = room_of(published->room, strlen(published->room));
    struct slice name = slice_str(published->room);
    const struct slices names = {&name, 1, 1}, none = {0};
    int joins = published->kind == JOIN;

    if (published->uid != uids[known[client].who] || known[client].is_in[i] == joins)
        return;
    known[client].is_in[i] = joins;
    known[client].since[i] = relay_seq(node->parts.relay);
    relay_rooms(node->parts.relay, clients[client].lane, 0, client, 0, joins ? &names : &none,
                joins ? &none : &names);
}

static void on_live(struct node *node, const struct published *published)
{
    size_t index = (size_t)(published - world_log);

    for (size_t i = 0; i < nclients; i++) {
        struct person *person = heard_by(&clients[i]);

        if (clients[i].daemon != node->number || !clients[i].is_in || clients[i].is_kicked)
            continue;
        if (published->kind == JOIN || published->kind == LEAVE)
            request(node, i, published);
        else if (person == NULL)
            continue;
        else if (published->kind == STEP)
            person->offset = published->offset; /* $offset */
        else if (is_sent(i, index, relay_seq(node->parts.relay)))
            receive(person, index);
    }
}

/* Among them may be the id that it had. */
static void take_rooms(const struct client *client)
{
    const char *at = client->rooms;
    char name[32];
    unsigned since;
    int n;

    while (sscanf(at, "%31[^@]@%u %n", name, &since, &n) == 2) {
        int i = room_of(name, strlen(name));

        if (i >= 0) {
            known[client - clients].is_in[i] = 1;
            known[client - clients].since[i] = since;
        }
        at += n;
    }
}

/* The wire may be cut again in the middle. */
static void replay(const struct node *node, struct client *client)
{
    struct history_entry entry = {.next = client->from};

    while (history_next(views[node->number], entry.next, &entry) == HISTORY_ENTRY) {
        struct person *person = heard_by(client);

        if (person == NULL)
            return;
        if (is_sent((size_t)(client - clients), entry.offset - 1, entry.seq))
            receive(person, entry.offset - 1);
        if (chance(50) == 0)
            person->is_wired = 0;
    }
}

static void on_admitted(struct node *node, struct client *client)
{
    struct person *person = &persons[known[client - clients].who];

    take_rooms(client);
    if (client->resumed) {
        recovered++;
        /* That it had left is known to a daemon that was silent, or to one that does not know yet
         * that another has done without its word. */
        person->is_split |= client->has_own_id;
        if (person->client == client &&
            (person->is_broken || (person->has_left && !person->is_split)))
            fault(person, "it must not have its session back", 0);
        if (person->client == client) {
            person->back = node->taken;
            person->has_left = 0;
        }
        replay(node, client);
        return;
    }
    fresh++;
    if (person->client != client)
        return;
    person->is_broken = person->has_left = person->is_split = 0;
    person->base = person->last = person->back = node->taken;
    person->has_pid = client->has_pid;
    memcpy(person->pid, client->pid, PID_LEN);
    person->offset = chance(4) > 0 ? node->offset : 0;
}

/* --- what happens ----------------------------------------------------------------- */

static int is_answered(const struct person *person)
{
    return person->client == NULL || person->client->is_in;
}

static void connect_one(struct person *person)
{
    int daemon = (int)chance(DAEMONS);
    struct client *client;

    if (!nodes[daemon].is_up || now_ms < person->tried_ms + RETRY_MS ||
        (!is_answered(person) && chance(8) > 0))
        return;
    person->tried_ms = now_ms;
    if (!is_answered(person))
        person->abandoned_ms = now_ms;
    client = client_new(daemon, 1 + chance(LANE_MAX), uids[person - persons]);
    memset(&known[client - clients], 0, sizeof(known[0]));
    known[client - clients].who = (int)(person - persons);
    person->client = client;
    person->is_wired = 1;
    client_ask(client, person->has_pid ? person->pid : NULL, person->offset, NULL);
}

/* The client does not hear any more; its worker may notice now, later or not at all. */
static void cut(struct person *person)
{
    person->is_wired = 0;
    person->tried_ms = now_ms;
    if (person->client == NULL || !person->client->is_in || person->client->daemon < 0 ||
        chance(2) > 0)
        return;
    client_left(person->client, 0);
    person->client = NULL;
}

static void leave(struct person *person)
{
    if (person->client == NULL || !person->client->is_in || person->client->daemon < 0 ||
        person->client->is_kicked)
        return;
    client_left(person->client, 1);
    person->client = NULL;
    person->has_left = 1;
}

/* What is published meanwhile does not come.  It tells the others as soon as it is subscribed;
 * one that may not, and does not answer either, is what resume.h does not promise. */
static void gap(struct node *node)
{
    if (node->is_mute)
        return;
    for (; node->taken < nlog; node->taken++)
        if (world_log[node->taken].kind == STEP || world_log[node->taken].kind == MESSAGE)
            node->offset = world_log[node->taken].offset;
    history_cut(node->parts.history);
    gone_break(node->parts.gone);
    if (node->offset != 0)
        history_step(node->parts.history, node->offset, now_ms);
    resume_gap(node->resume);
    node->pinged = 0;
    for (int i = 0; i < PERSONS; i++)
        if (persons[i].client != NULL && persons[i].client->daemon == node->number &&
            persons[i].client->is_in)
            persons[i].is_broken = 1;
    turns();
}

static void down(int number)
{
    history_view_close(&views[number]);
    for (int i = 0; i < PERSONS; i++)
        if (persons[i].client != NULL && persons[i].client->daemon == number)
            persons[i].client = NULL;
    node_down(number);
}

static void up(int number)
{
    node_up(number, "secret");
    views[number] = history_view_open(history_fd(nodes[number].parts.history));
    if (views[number] == NULL)
        abort();
}

static void lose(struct person *person)
{
    if (!is_answered(person))
        person->abandoned_ms = now_ms;
    person->client = NULL;
}

static void worker_dies(struct node *node)
{
    unsigned lane = 1 + chance(LANE_MAX);

    for (int i = 0; i < PERSONS; i++)
        if (persons[i].client != NULL && persons[i].client->daemon == node->number &&
            persons[i].client->lane == lane)
            lose(&persons[i]);
    node_worker_down(node, lane);
    relay_worker_up(node->parts.relay, lane);
}

/* A claim that it has given up lives on for a while; a daemon that hears nothing does not know of
 * an older one, and believes later that it is newer. */
static int is_excused(const struct person *person, int daemon)
{
    return (person->abandoned_ms != 0 && now_ms - person->abandoned_ms < 10000) ||
           (deaf_ms[daemon] != 0 && now_ms - deaf_ms[daemon] < 10000);
}

/* Workers say that those have gone whom they were told to disconnect, and those who do not hear
 * any more.  Who hears is not disconnected but for a newer one. */
static void settle(int all)
{
    for (size_t i = 0; i < nclients; i++) {
        struct client *client = &clients[i];
        struct person *person = heard_by(client);

        if (client->daemon < 0 || !client->is_in)
            continue;
        if (client->is_kicked && person != NULL) {
            if (!is_excused(person, client->daemon))
                fault(person, "it was disconnected for nobody", 0);
            lost_to_older++;
            person->client = NULL;
        }
        if (person == NULL && (client->is_kicked || all || chance(20) == 0))
            client_left(client, 0);
    }
}

static void trouble(struct node *node)
{
    switch (chance(12)) {
    case 0:
        node->is_deaf = !node->is_deaf;
        deaf_ms[node->number] = now_ms;
        break;
    case 1:
        node->is_mute = !node->is_mute;
        break;
    case 2:
    case 3:
        node->lag_ms = chance(2) * chance(RETRY_MS);
        break;
    case 4:
        gap(node);
        break;
    case 5:
        worker_dies(node);
        break;
    case 6:
        if (chance(3) == 0) {
            down(node->number);
            up(node->number);
        }
        break;
    default:
        break;
    }
}

static void act(int ndaemons)
{
    struct person *person = &persons[chance(PERSONS)];
    const char *uid = uids[person - persons];
    struct published *published;
    unsigned dice = chance(100);

    if (dice < 30) {
        publish(dice < 10 ? "" : dice < 22 ? uid : rooms[dice % ROOMS], "[1]");
    } else if (dice < 40) {
        world_put(STEP);
    } else if (dice < 44) {
        published = world_put(dice < 43 ? JOIN : LEAVE);
        published->uid = uid;
        published->room = rooms[chance(ROOMS)];
    } else if (dice < 60) {
        cut(person);
    } else if (dice < 62) {
        leave(person);
    } else if (dice < 67) {
        trouble(&nodes[chance((unsigned)ndaemons)]);
    } else if (person->client == NULL || !person->is_wired) {
        connect_one(person);
    }
}

/* --- worlds ----------------------------------------------------------------------- */

/* All is well again: each comes back, and has all there is. */
static void heal(int ndaemons)
{
    for (int i = 0; i < ndaemons; i++) {
        nodes[i].lag_ms = 0;
        nodes[i].is_deaf = nodes[i].is_mute = 0;
    }
    pass(5000);
    settle(1);
    for (int i = 0; i < PERSONS; i++)
        while (persons[i].client == NULL || !persons[i].is_wired) {
            connect_one(&persons[i]);
            pass(3000);
            settle(0);
        }
    publish("", "[1]");
    pass(1000);
    for (int i = 0; i < PERSONS; i++)
        if (!persons[i].is_broken && next_of(&persons[i]) != nlog)
            fault(&persons[i], "the end has not come", next_of(&persons[i]));
}

static unsigned play(uint64_t seed)
{
    int ndaemons;

    chance_state = seed * 0x9e3779b97f4a7c15 + 1;
    wrong = 0;
    memset(persons, 0, sizeof(persons));
    memset(deaf_ms, 0, sizeof(deaf_ms));
    ndaemons = 2 + (int)chance(2);
    for (int i = 0; i < ndaemons; i++)
        up(i);
    turns();
    if (chance(2) == 0)
        pass(COMEBACK_CLOCK_MS + 1000);
    for (int step = 0; step < STEPS; step++) {
        act(ndaemons);
        if (chance(3) > 0)
            pass(1 + chance(chance(4) == 0 ? 1500 : 100));
        settle(0);
        for (int i = 0; i < ndaemons; i++)
            nodes[i].is_deaf &= now_ms - deaf_ms[i] < DEAF_MS;
    }
    heal(ndaemons);
    for (int i = 0; i < ndaemons; i++)
        down(i);
    world_down();
    return wrong;
}

int main(void)
{
    const char *seconds = getenv("AXR_MODEL_SECONDS"), *only = getenv("AXR_MODEL_SEED");
    uint64_t first = seconds != NULL ? (uint64_t)time(NULL) * 1000000 : 1;
    uint64_t worlds = getenv("VALGRIND") != NULL ? WORLDS / 20 : WORLDS;
    uint64_t last = only != NULL ? 1 : seconds != NULL ? UINT64_MAX : worlds, bad = 0, n = 0;
    double limit = seconds != NULL ? atof(seconds) : MAX_MS / 1000.0;
    time_t begun = time(NULL);

    log_set_level(LOG_LEVEL_ERROR);
    world_live = on_live;
    world_admitted = on_admitted;
    for (; n < last && difftime(time(NULL), begun) < limit; n++) {
        uint64_t seed = only != NULL ? strtoull(only, NULL, 10) : first + n;

        if (play(seed) > 0 && bad++ < 5)
            printf("# world %llu is wrong\n", (unsigned long long)seed);
    }
    printf("# %llu worlds: %u had their session back, %u not, %u messages, %u lost to older ones\n",
           (unsigned long long)n, recovered, fresh, got, lost_to_older);
    is_int((long long)bad, 0, "each got every message once and in order, or was told");
    ok(recovered > fresh / 4, "many have their session back");
    return tap_done();
}
