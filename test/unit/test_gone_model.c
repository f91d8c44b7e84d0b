/* Clients, workers and requests at random, with pipes in which requests wait: what gone knows of a
 * session that is away is what it would be if each request had been carried out at once for
 * everybody, in the order of the stream. */
#include "master/gone.h"

#include "base/slices.h"
#include "codec/sid.h"
#include "master/route.h"
#include "master/sessions.h"

#include "tap.h"

#include <stdio.h>

#define LANES     3
#define PLACES    8
#define SESSIONS  40
#define USERS     4
#define ROOMS     5
#define EVERYBODY ROOMS               /* names: further rooms, everybody's, */
#define FIRST_UID (EVERYBODY + 1)     /* users, */
#define FIRST_ID  (FIRST_UID + USERS) /* ids */
#define NAMES     (FIRST_ID + SESSIONS)
#define PIPE_MAX  40
#define ROOMS_MAX 5
#define KEEP_MS   1000000

struct request {
    enum msg_type type;
    uint32_t id;
    int by_id;
    int rooms[3], nrooms, except[2], nexcept, names[3], nnames;
    uint64_t seq;
};

struct state {
    int everybody, own, id; /* in default rooms */
    uint64_t since[NAMES];  /* 0: not in */
    int claimed[NAMES];
};

enum status { NEVER, IN, AWAY, OVER };

struct session {
    enum status status;
    uint8_t raw[SESSION_LEN];
    int user, broken, maybe; /* maybe: it need not be known */
    unsigned lane;
    uint64_t client;
    struct state state; /* as it should be */
    int fuzzy[NAMES];   /* by its token, and by request */
};

/* What a worker has of a client; k: of the session that it is, or was. */
struct client {
    int is_in, k, has_session, is_young;
    uint32_t serial;
    struct state state;
};

struct item {
    int is_admitted, place;
    struct state state;
    struct request request;
};

struct worker {
    struct client clients[PLACES];
    struct item pipe[PIPE_MAX];
    int n;
};

static struct session all[SESSIONS];
static struct worker workers[LANES];
static char texts[NAMES][32];
static struct sessions *sessions;
static struct route *route;
static struct gone *gone;
static uint64_t seq;
static uint32_t last_id, serial;
static unsigned seed, wrong, compared, forgiven, kinds[10];

static unsigned below(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % n;
}

static struct slice name_of(int name)
{
    return slice_str(texts[name]);
}

static void bad(const char *what, int k)
{
    if (wrong++ < 5)
        printf("# session %d: %s (seed %u)\n", k, what, seed);
}

/* --- what a request does to one who is in ------------------------------------------- */

static int is_in(const struct state *state, int k, int name)
{
    if (state->since[name] != 0)
        return 1;
    if (name == EVERYBODY)
        return state->everybody;
    if (name == FIRST_UID + all[k].user)
        return state->own;
    return name == FIRST_ID + k && state->id;
}

static int is_meant(const struct state *state, int k, const struct request *request)
{
    for (int i = 0; i < request->nexcept; i++)
        if (is_in(state, k, request->except[i]))
            return 0;
    for (int i = 0; i < request->nrooms; i++)
        if (request->by_id ? request->rooms[i] == FIRST_ID + k : is_in(state, k, request->rooms[i]))
            return 1;
    return request->nrooms == 0 && !request->by_id;
}

static int count(const struct state *state)
{
    int n = state->everybody + state->own;

    for (int i = 0; i < NAMES; i++)
        n += state->since[i] != 0;
    return n;
}

static void join_one(struct state *state, int k, int name, uint64_t since)
{
    if (count(state) >= ROOMS_MAX)
        return;
    if (name == FIRST_ID + k)
        state->id = 1;
    else if (!is_in(state, k, name))
        state->since[name] = since;
}

static void leave_one(struct state *state, int k, int name)
{
    if (name == EVERYBODY && state->everybody) {
        state->everybody = 0;
    } else if (name == FIRST_UID + all[k].user && state->own) {
        state->own = 0;
    } else {
        state->since[name] = 0;
        state->claimed[name] = 0;
    }
}

/* Returns 1 if it is over. */
static int carry_out(struct state *state, int k, const struct request *request)
{
    if (!is_meant(state, k, request))
        return 0;
    if (request->type == MSG_DISCONNECT)
        return 1;
    for (int i = 0; i < request->nnames; i++) {
        if (request->type == MSG_JOIN)
            join_one(state, k, request->names[i], request->seq);
        else
            leave_one(state, k, request->names[i]);
    }
    return 0;
}

/* --- comparing ------------------------------------------------------------------------ */

static int index_of(struct slice name)
{
    for (int i = 0; i < NAMES; i++)
        if (slice_eq(name_of(i), name))
            return i;
    return -1;
}

static void compare_rooms(const struct session *session, int k, const struct gone_session *found)
{
    uint64_t since[NAMES] = {0};

    for (size_t i = 0; i < found->nrooms; i++) {
        int name = index_of(found->rooms[i].name);

        if (name < 0 || since[name] != 0)
            bad("an odd room", k);
        else if (found->rooms[i].is_claimed != session->state.claimed[name] &&
                 !session->fuzzy[name])
            bad("whose room is it", k);
        if (name >= 0)
            since[name] = found->rooms[i].since;
    }
    if (memcmp(since, session->state.since, sizeof(since)) != 0)
        bad("other rooms, or since when", k);
    if (found->left !=
        (unsigned)((session->state.everybody ? 0 : MSG_LEFT_EVERYBODY) |
                   (session->state.own ? 0 : MSG_LEFT_OWN) | (session->state.id ? 0 : MSG_LEFT_ID)))
        bad("other default rooms", k);
    if (!slice_eq(found->uid, name_of(FIRST_UID + session->user)))
        bad("another user", k);
}

/* What is known of a session that is not connected is right. */
static void compare(int k)
{
    struct session *session = &all[k];
    struct gone_session found;
    int rc = gone_find(gone, session->raw, &found);

    if (session->status == AWAY && session->maybe && rc < 0) {
        session->status = OVER; /* it is not recovered, then */
        forgiven++;
        return;
    }
    session->maybe = 0;
    if (session->status == AWAY && rc < 0)
        bad("is not known", k);
    else if (session->status == AWAY && session->broken && found.state != GONE_BROKEN)
        bad("is not broken", k);
    else if (session->status == AWAY && !session->broken && found.state != GONE_AWAY)
        bad("may not come back", k);
    else if (session->status == AWAY && !session->broken)
        compare_rooms(session, k, &found);
    else if (session->status == OVER && rc == 0 && found.state == GONE_AWAY)
        bad("may come back", k);
    compared++;
}

/* --- workers ---------------------------------------------------------------------------- */

static uint64_t handle(unsigned place, uint32_t number)
{
    return (uint64_t)number << 32 | place;
}

static void report(unsigned lane, const struct client *client, unsigned place,
                   const struct state *before)
{
    uint64_t name = handle(place, client->serial);
    uint64_t at = route_joined_seq(route, lane, name, seq);

    for (int i = 0; i < NAMES; i++)
        if (is_in(before, client->k, i) && !is_in(&client->state, client->k, i) && i < FIRST_ID)
            route_room_leave(route, lane, name, name_of(i));
        else if (i >= FIRST_ID && before->since[i] != 0 && client->state.since[i] == 0)
            route_room_leave(route, lane, name, name_of(i));
    for (int i = 0; i < NAMES; i++)
        if (before->since[i] == 0 && client->state.since[i] != 0)
            (void)route_room_join(route, lane, name, name_of(i), at, 0);
}

static int has_open(unsigned lane)
{
    for (int i = 0; i < workers[lane].n; i++)
        if (!workers[lane].pipe[i].is_admitted)
            return 1;
    return 0;
}

static void goes(unsigned lane, unsigned place, int is_ended)
{
    struct client *client = &workers[lane].clients[place];
    struct session *session = &all[client->k];
    struct slice uid = name_of(FIRST_UID + session->user);
    uint64_t name = handle(place, client->serial);

    gone_client_left(gone, lane, name, uid, is_ended, 1);
    if (route_leave(route, uid, lane, name) < 0)
        bad("is not in", client->k);
    client->is_in = 0;
    if (!client->has_session)
        return;
    if (session->status == IN)
        session->status = is_ended ? OVER : AWAY;
    session->maybe = client->is_young && has_open(lane);
    compare(client->k);
}

static void take_request(unsigned lane, const struct request *request)
{
    for (unsigned place = 0; place < PLACES; place++) {
        struct client *client = &workers[lane].clients[place];
        struct state before = client->state;

        if (!client->is_in)
            continue;
        if (carry_out(&client->state, client->k, request))
            goes(lane, place, 1);
        else
            report(lane, client, place, &before);
    }
    gone_acted(gone, request->id, lane);
}

static void step(unsigned lane)
{
    struct worker *worker = &workers[lane];
    struct item item = worker->pipe[0];

    if (worker->n == 0)
        return;
    worker->n--;
    for (int i = 0; i < worker->n; i++)
        worker->pipe[i] = worker->pipe[i + 1];
    if (item.is_admitted) {
        worker->clients[item.place].is_in = 1;
        worker->clients[item.place].state = item.state;
    } else {
        take_request(lane, &item.request);
    }
}

static void dies(unsigned lane)
{
    struct worker *worker = &workers[lane];
    int open = has_open(lane);

    kinds[0]++;
    gone_worker_down(gone, lane, 1);
    route_down(route, lane);
    route_up(route, lane);
    for (int k = 0; k < SESSIONS; k++) {
        struct session *session = &all[k];
        unsigned place = (unsigned)session->client % PLACES;

        if (session->status != IN || session->lane != lane)
            continue;
        session->status = AWAY;
        session->maybe = worker->clients[place].is_young && open;
        compare(k);
    }
    memset(worker, 0, sizeof(*worker));
}

/* --- clients ------------------------------------------------------------------------------ */

/* A place that nobody has, or -1. */
static int free_place(unsigned lane)
{
    const struct worker *worker = &workers[lane];

    for (int place = 0; place < PLACES; place++) {
        int is_free = !worker->clients[place].is_in;

        for (int i = 0; i < worker->n; i++)
            is_free &= !worker->pipe[i].is_admitted || worker->pipe[i].place != place;
        if (is_free)
            return place;
    }
    return -1;
}

static void enter(int k, unsigned lane, unsigned place, int may_move)
{
    struct worker *worker = &workers[lane];
    struct session *session = &all[k];
    struct client *client = &worker->clients[place];

    *client =
        (struct client){.k = k, .has_session = 1, .serial = serial, .is_young = has_open(lane)};
    session->status = IN;
    session->lane = lane;
    session->client = handle(place, serial);
    if (gone_client_in(gone, lane, session->client, session->raw, may_move) != 0)
        bad("gets no session", k);
    worker->pipe[worker->n++] =
        (struct item){.is_admitted = 1, .place = (int)place, .state = session->state};
}

static void begins(int k, unsigned lane)
{
    struct session *session = &all[k];
    struct sid_home home = {lane, 1 + below(3), 0};
    int place = free_place(lane);
    struct slice uid;

    if (place < 0 || workers[lane].n == PIPE_MAX)
        return;
    kinds[1]++;
    home.index = (uint32_t)place;
    sio_sid_encode(texts[FIRST_ID + k], (uint64_t)k * 4711, &home);
    for (int i = 0; i < 4; i++) /* as bytes, without asking anybody */
        session->raw[i] = (uint8_t)(home.index >> 8 * (3 - i));
    session->raw[4] = (uint8_t)home.process;
    session->raw[5] = (uint8_t)(home.generation >> 8);
    session->raw[6] = (uint8_t)home.generation;
    for (int i = 0; i < 8; i++)
        session->raw[7 + i] = (uint8_t)((uint64_t)k * 4711 >> 8 * (7 - i));
    session->user = (int)below(USERS);
    session->state = (struct state){.everybody = 1, .own = 1, .id = 1};
    uid = name_of(FIRST_UID + session->user);
    serial++;
    if (route_join(route, uid, lane, handle((unsigned)place, serial)) < 0)
        bad("no memory", k);
    for (unsigned n = below(3); n > 0; n--) {
        int room = (int)below(ROOMS);

        session->state.since[room] = seq;
        session->state.claimed[room] = 1;
        (void)route_room_join(route, lane, handle((unsigned)place, serial), name_of(room), seq, 1);
    }
    enter(k, lane, (unsigned)place, 0);
}

/* From what gone has, as a worker would hear it. */
static void comes_back(int k, unsigned lane)
{
    struct session *session = &all[k];
    int place = free_place(lane);
    struct gone_session found;
    struct slice uid = name_of(FIRST_UID + session->user);
    uint64_t name = handle((unsigned)place, ++serial);

    compare(k);
    if (place < 0 || workers[lane].n == PIPE_MAX || session->status != AWAY || session->broken ||
        gone_find(gone, session->raw, &found) < 0)
        return;
    kinds[2]++;
    (void)route_join(route, uid, lane, name);
    if (found.left & MSG_LEFT_EVERYBODY)
        route_room_leave(route, lane, name, SLICE(ROUTE_EVERYBODY));
    if (found.left & MSG_LEFT_OWN)
        route_room_leave(route, lane, name, uid);
    for (size_t i = 0; i < found.nrooms; i++)
        (void)route_room_join(route, lane, name, found.rooms[i].name, found.rooms[i].since,
                              found.rooms[i].is_claimed);
    session->state.id = 1; /* what workers do not tell */
    gone_take(gone, session->raw);
    if (gone_find(gone, session->raw, &found) == 0)
        bad("is still there", k);
    enter(k, lane, (unsigned)place, 1);
}

/* Its connection looks alive, and another one has it. */
static void is_taken(int k)
{
    struct session *session = &all[k];
    struct client *client = &workers[session->lane].clients[(unsigned)session->client % PLACES];
    unsigned lane = 0;
    uint64_t name = 0;

    if (!client->is_in)
        return; /* its worker has not heard that it is in */
    kinds[3]++;
    if (sessions_find(sessions, session->raw, &lane, &name) < 0 || lane != session->lane ||
        name != session->client)
        bad("is not found", k);
    gone_client_taken(gone, lane, name, name_of(FIRST_UID + session->user), 1);
    session->maybe = client->is_young && has_open(lane);
    client->has_session = 0;
    session->status = AWAY;
    comes_back(k, below(LANES));
}

/* --- requests ------------------------------------------------------------------------------ */

static int any_name(int with_ids)
{
    int name = (int)below(with_ids && below(4) == 0 ? NAMES : FIRST_ID);

    return texts[name][0] != '\0' ? name : EVERYBODY;
}

static void put_names(struct slices *list, const int *names, int n)
{
    for (int i = 0; i < n; i++)
        if (slices_put(list, name_of(names[i])) < 0)
            abort();
}

static void order(const struct request *request)
{
    struct slices rooms = {0}, except = {0}, names = {0};
    struct route_targets targets = {0};
    struct gone_request what = {request->type, request->id,  request->by_id, &rooms, &except,
                                &names,        request->seq, ROOMS_MAX,      0};

    put_names(&rooms, request->rooms, request->nrooms);
    put_names(&except, request->except, request->nexcept);
    put_names(&names, request->names, request->nnames);
    for (unsigned lane = 0; lane < LANES; lane++) {
        workers[lane].pipe[workers[lane].n++] = (struct item){.request = *request};
        targets.lanes[targets.n++] = (uint16_t)lane;
    }
    gone_request(gone, &what, &targets);
    slices_clear(&rooms);
    slices_clear(&except);
    slices_clear(&names);
}

static void note_fuzzy(struct session *session, const struct request *request)
{
    for (int i = 0; i < request->nnames; i++)
        if (session->state.claimed[request->names[i]])
            session->fuzzy[request->names[i]] = 1;
}

static void requests(void)
{
    static const enum msg_type types[] = {MSG_JOIN,  MSG_JOIN,  MSG_JOIN,
                                          MSG_LEAVE, MSG_LEAVE, MSG_DISCONNECT};
    struct request request = {
        .type = types[below(12) == 0 ? 5 : below(5)], .id = ++last_id, .seq = ++seq};

    for (unsigned lane = 0; lane < LANES; lane++)
        if (workers[lane].n == PIPE_MAX)
            return;
    request.by_id = below(5) == 0;
    request.nrooms = request.by_id ? 1 : (int)below(3);
    request.nexcept = (int)below(2);
    if (request.type == MSG_DISCONNECT && request.nrooms == 0)
        request.nrooms = 1; /* or nobody would be left to look at */
    for (int i = 0; i < request.nrooms; i++)
        request.rooms[i] = request.by_id ? FIRST_ID + (int)below(SESSIONS) : any_name(1);
    request.except[0] = any_name(1);
    if (request.type == MSG_DISCONNECT && !request.by_id && request.rooms[0] == EVERYBODY)
        request.rooms[0] = (int)below(ROOMS);
    request.nnames = request.type == MSG_DISCONNECT ? 0 : 1 + (int)below(3);
    for (int i = 0; i < request.nnames; i++)
        do {
            request.names[i] = any_name(request.type == MSG_JOIN);
        } while ((i > 0 && request.names[i] == request.names[0]) ||
                 (i > 1 && request.names[i] == request.names[1]));
    if (request.by_id && texts[request.rooms[0]][0] == '\0')
        return;
    kinds[4 + (request.type == MSG_LEAVE) + 2 * (request.type == MSG_DISCONNECT)]++;
    order(&request);
    for (int k = 0; k < SESSIONS; k++) {
        struct session *session = &all[k];

        if ((session->status != IN && session->status != AWAY) ||
            (session->broken && session->status == AWAY))
            continue;
        note_fuzzy(session, &request);
        if (carry_out(&session->state, k, &request))
            session->status = OVER;
    }
}

static void breaks(void)
{
    kinds[7]++;
    gone_break(gone);
    for (int k = 0; k < SESSIONS; k++)
        if (all[k].status == IN || all[k].status == AWAY)
            all[k].broken = 1;
}

/* --- all ------------------------------------------------------------------------------------ */

static void check_ids(int k)
{
    struct slice id = name_of(FIRST_ID + k);
    const struct route_targets *targets = route_find(route, &(struct slices){.at = &id, .n = 1});
    int is_there = 0;

    for (size_t i = 0; i < targets->n; i++)
        is_there |= targets->lanes[i] == all[k].lane;
    if (!is_there)
        bad("is not found by its id", k);
}

static void event(void)
{
    unsigned what = below(100), lane = below(LANES), place = below(PLACES);
    struct session *session;
    int k = (int)below(SESSIONS);

    session = &all[k];
    if (what < 48)
        step(lane);
    else if (what < 62)
        requests();
    else if (what < 95 && session->status == NEVER)
        begins(k, lane);
    else if (what < 90 && session->status == AWAY)
        comes_back(k, lane);
    else if (what < 72 && session->status == IN)
        is_taken(k);
    else if (what < 77 && session->status == IN)
        check_ids(k);
    else if (what < 92 && workers[lane].clients[place].is_in)
        goes(lane, place, below(8) == 0);
    else if (what < 95 && session->status != IN && session->status != NEVER)
        compare(k);
    else if (what == 98 && below(2) == 0)
        dies(lane);
    else if (what == 99 && below(30) == 0)
        breaks();
}

static void round_of(unsigned number)
{
    memset(all, 0, sizeof(all));
    memset(workers, 0, sizeof(workers));
    memset(texts + FIRST_ID, 0, sizeof(texts[0]) * SESSIONS);
    seed = number * 7919 + 1;
    seq = 1;
    sessions = sessions_new();
    route = route_new("/axr");
    if (sessions == NULL || route == NULL || (gone = gone_new(sessions, route, KEEP_MS)) == NULL)
        abort();
    route_sessions(route, sessions);
    for (unsigned lane = 0; lane < LANES; lane++)
        route_up(route, lane);
    for (int i = 0; i < 600; i++)
        event();
    for (unsigned lane = 0; lane < LANES; lane++)
        dies(lane);
    if (sessions_count(sessions) != 0 || route_seats(route) != 0)
        bad("somebody is left", -1);
    gone_free(&gone);
    route_free(&route);
    sessions_free(&sessions);
}

int main(int argc, char **argv)
{
    unsigned rounds = getenv("VALGRIND") != NULL ? 50 : 2000;

    if (argc > 1)
        rounds = (unsigned)strtoul(argv[1], NULL, 10);
    for (int i = 0; i < NAMES; i++)
        snprintf(texts[i], sizeof(texts[i]), "%s%d", i < ROOMS ? "r" : "u", i);
    snprintf(texts[EVERYBODY], sizeof(texts[0]), "%s", ROUTE_EVERYBODY);
    for (unsigned i = 0; i < rounds && wrong == 0; i++)
        round_of(i);
    ok(wrong == 0, "%u times a session was what it should be, %u were not known", compared,
       forgiven);
    printf("# deaths %u begun %u back %u taken %u join %u leave %u disconnect %u break %u\n",
           kinds[0], kinds[1], kinds[2], kinds[3], kinds[4], kinds[5], kinds[6], kinds[7]);
    ok(compared > rounds && kinds[2] > rounds / 2 && kinds[3] > rounds / 4, "often enough");
    ok(forgiven * 5 < compared, "and mostly");
    return tap_done();
}
