/* resume_world - daemons in one process, with made-up workers, and a redis between them that
 * reorders nothing: each daemon takes what was published when the test says so, or its lag is
 * over.  The clocks are what the test says (--wrap=clock_ms, clock_wall_ms). */
#ifndef RESUME_WORLD_H
#define RESUME_WORLD_H

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/emit.h"
#include "codec/peer.h"
#include "codec/sid.h"
#include "ipc/history.h"
#include "ipc/msg.h"
#include "master/comeback.h"
#include "master/daemons.h"
#include "master/gone.h"
#include "master/history.h"
#include "master/relay.h"
#include "master/resume.h"
#include "master/route.h"
#include "master/sessions.h"
#include "master/waiting.h"

#include "tap.h"

#define WORLD_FN static __attribute__((unused))
#define DAEMONS  3
#ifndef CLIENTS
#define CLIENTS 64
#endif
#define LANE_MAX        4
#define UNCONFIRMED_MAX 100
#define WORLD_LOG_MAX   20000
#define MARK_MS         1200 /* a step comes so often */

uint64_t __wrap_clock_ms(void);
int64_t __wrap_clock_wall_ms(void);

static uint64_t now_ms = 1000000;

#define WALL_MS INT64_C(1796000000000)

uint64_t __wrap_clock_ms(void)
{
    return now_ms;
}

int64_t __wrap_clock_wall_ms(void)
{
    return WALL_MS + (int64_t)now_ms;
}

/* What has been published. */
struct published {
    enum { STEP, MESSAGE, PEER, REQUEST, JOIN, LEAVE } kind;
    uint64_t at_ms;
    uint64_t offset; /* behind it */
    struct buf channel, payload;
    const char *uid, *room; /* JOIN, LEAVE: that user's; MESSAGE: the room */
};
static struct published world_log[WORLD_LOG_MAX];
static size_t nlog;
static uint64_t last_step_ms;

/* A client of a made-up worker: its name in the master is its index. */
struct client {
    int daemon; /* -1: there is none */
    unsigned lane;
    int is_in, is_refused, is_kicked;
    int has_pid, resumed, has_own_id;
    uint64_t start; /* the offset at which its session began, where that is a new one */
    uint64_t from;
    uint8_t sid[SESSION_LEN]; /* the id that is its own */
    uint8_t session[SESSION_LEN];
    uint8_t pid[PID_LEN];
    char uid[16];
    unsigned left;
    char rooms[256]; /* "red@5 blue@7 " */
    size_t nclaimed;
    uint64_t seq; /* when it was let in */
    uint64_t came_ms;
};
static struct client clients[CLIENTS];
static size_t nclients;

struct node {
    int number, is_up;
    struct conf conf;
    struct resume_parts parts;
    struct resume *resume;
    size_t taken;    /* of the log */
    uint64_t offset; /* of the last that moves it */
    uint64_t lag_ms; /* how far it is behind */
    int is_deaf;     /* it takes nothing */
    int is_mute;     /* it may not publish */
    size_t pinged;   /* the pong comes behind that; 0: none has been sent */
    int ping_fails;
    uint64_t wake_ms, relay_wake_ms;
    unsigned dies; /* this lane turns out to be dead when it is sent to; 0: none */
    size_t npublished;
    unsigned answers, kicks;
    struct world_done {
        void (*done)(int ok, void *arg);
        void *arg;
        int ok;
    } unconfirmed[UNCONFIRMED_MAX];
    size_t nunconfirmed;
};
static struct node nodes[DAEMONS];

/* --- what daemons want ------------------------------------------------------------- */

WORLD_FN void node_worker_down(struct node *node, unsigned lane)
{
    gone_worker_down(node->parts.gone, lane, now_ms);
    relay_worker_down(node->parts.relay, lane);
    resume_worker_down(node->resume, lane);
    for (size_t i = 0; i < nclients; i++)
        if (clients[i].daemon == node->number && clients[i].lane == lane)
            clients[i].daemon = -1;
}

static void node_send(unsigned lane, const void *message, size_t len, void *arg)
{
    struct node *node = arg;
    struct msg msg;

    if (msg_decode(&msg, message, len, 1 << 26) != (long)len)
        abort();
    if (msg.type == MSG_KICK) {
        uint64_t client = msg_get_u64(&msg);

        (void)msg_get_bytes(&msg);
        if (client >= nclients || msg_get_u8(&msg) != MSG_KICK_TAKEN || msg_close(&msg) < 0)
            abort();
        clients[client].is_kicked = 1;
        node->kicks++;
    }
    if (lane == node->dies) {
        node->dies = 0;
        node_worker_down(node, lane);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* In the order of their names. */
static void show_rooms(struct client *client, const struct comeback *comeback)
{
    char items[8][32];
    size_t n = comeback->rooms.n < 8 ? comeback->rooms.n : 8;

    for (size_t i = 0; i < n; i++) {
        uint64_t since;
        struct slice name = msg_room(comeback->rooms.at[i], &since);

        snprintf(items[i], sizeof(items[i]), "%.*s@%u ", (int)name.len, name.ptr, (unsigned)since);
    }
    qsort(items, n, sizeof(items[0]), by_name);
    client->rooms[0] = '\0';
    for (size_t i = 0; i < n; i++)
        strcat(client->rooms, items[i]);
    client->nclaimed = comeback->nclaimed;
    client->left = comeback->left;
}

static int world_may_fail; /* there may be no memory */

/* The worker hears that it is let in; or NULL. */
static void (*world_admitted)(struct node *node, struct client *client);

/* As master/recovery.c has it. */
static void node_answer(const struct admit *admit, const struct comeback *comeback,
                        enum msg_verdict verdict, void *arg)
{
    struct client *client = &clients[admit->client];
    struct node *node = arg;

    node->answers++;
    if (verdict != MSG_ADMIT_OK) {
        client->is_refused = 1;
        return;
    }
    client->is_in = 1;
    client->seq = relay_seq(node->parts.relay);
    memcpy(client->session, comeback != NULL ? comeback->session : client->sid, SESSION_LEN);
    if (gone_client_in(node->parts.gone, admit->lane, admit->client, client->session,
                       comeback != NULL) != 0 &&
        !world_may_fail)
        abort();
    client->has_pid = resume_pid(node->resume, admit, comeback, node->offset, client->pid) == 0;
    client->resumed = comeback != NULL;
    client->start = node->offset;
    if (comeback != NULL) {
        client->from = comeback->from;
        client->has_own_id = comeback->has_own_id;
        show_rooms(client, comeback);
    }
    if (world_admitted != NULL)
        world_admitted(node, client);
}

static int node_relay_wake(unsigned ms, void *arg)
{
    struct node *node = arg;

    node->relay_wake_ms = now_ms + ms;
    return 0;
}

static void node_kept(uint64_t seq, const struct broadcast *bc, struct slice message, void *arg)
{
    struct node *node = arg;

    history_put(node->parts.history, seq, bc->offset, bc, message, now_ms);
}

static void node_dropped(enum emit_result reason, uint64_t offset, void *arg)
{
    struct node *node = arg;

    if (reason == EMIT_TOO_LARGE)
        history_hole(node->parts.history, offset, now_ms);
    else
        history_step(node->parts.history, offset, now_ms);
}

static const struct comeback *node_comeback(const struct admit *admit, void *arg)
{
    struct node *node = arg;

    return resume_comeback(node->resume, admit);
}

static const struct relay_ops relay_ops = {.send = node_send,
                                           .answer = node_answer,
                                           .wake = node_relay_wake,
                                           .kept = node_kept,
                                           .dropped = node_dropped,
                                           .comeback = node_comeback};

static int node_ping(void *arg)
{
    struct node *node = arg;

    if (node->ping_fails)
        return -1;
    node->pinged = nlog + 1;
    return 0;
}

static struct published *world_put(int kind)
{
    struct published *published = &world_log[nlog];

    if (nlog + 1 >= WORLD_LOG_MAX)
        abort();
    *published = (struct published){.at_ms = now_ms};
    published->kind = kind;
    if (kind == STEP)
        last_step_ms = now_ms;
    published->offset = ++nlog;
    return published;
}

static int node_publish(struct buf *payload, void (*done)(int ok, void *done_arg), void *done_arg,
                        void *arg)
{
    struct node *node = arg;

    if (payload->len == 16 || payload->len > PEER_MAX || node->nunconfirmed == UNCONFIRMED_MAX)
        abort();
    node->npublished++;
    if (!node->is_mute) {
        world_put(PEER)->payload = *payload;
        *payload = (struct buf){0};
    }
    buf_free(payload);
    node->unconfirmed[node->nunconfirmed++] = (struct world_done){done, done_arg, !node->is_mute};
    return 0;
}

static void node_wake(unsigned ms, void *arg)
{
    struct node *node = arg;

    node->wake_ms = now_ms + ms;
}

static const struct resume_ops resume_ops = {node_send, node_ping, node_publish, node_wake};

/* --- the beginning and the end ----------------------------------------------------- */

WORLD_FN void node_up(int number, const char *secret)
{
    struct node *node = &nodes[number];

    *node = (struct node){.number = number, .is_up = 1, .taken = nlog};
    node->conf = (struct conf){.nsp = (char *)(uintptr_t) "/axr",
                               .key = (char *)(uintptr_t) "socket.io",
                               .recovery = 1,
                               .recovery_ms = 120000,
                               .recovery_bytes = 1 << 20,
                               .recovery_secret = (char *)(uintptr_t)secret,
                               .recovery_secret_len = secret != NULL ? strlen(secret) : 0,
                               .message_bytes = 1 << 20,
                               .attachments = 10,
                               .rooms_per_client = 1000};
    node->parts.relay = relay_new(&node->conf, &relay_ops, node);
    node->parts.history = history_new(1 << 20, 1000000);
    node->parts.sessions = sessions_new();
    node->parts.gone = gone_new(node->parts.sessions, relay_route(node->parts.relay), 1000000);
    route_sessions(relay_route(node->parts.relay), node->parts.sessions);
    node->resume = resume_new(&node->conf, &node->parts, &resume_ops, node);
    if (node->resume == NULL)
        abort();
    for (unsigned lane = 1; lane <= LANE_MAX; lane++)
        relay_worker_up(node->parts.relay, lane);
    world_put(STEP);
    resume_gap(node->resume);
}

WORLD_FN void node_confirm(struct node *node)
{
    struct world_done all[UNCONFIRMED_MAX];
    size_t n = node->nunconfirmed;

    memcpy(all, node->unconfirmed, sizeof(all));
    node->nunconfirmed = 0;
    for (size_t i = 0; i < n; i++)
        all[i].done(all[i].ok, all[i].arg);
}

WORLD_FN void node_down(int number)
{
    struct node *node = &nodes[number];

    if (!node->is_up)
        return;
    resume_free(&node->resume);
    node_confirm(node);
    gone_free(&node->parts.gone);
    sessions_free(&node->parts.sessions);
    history_free(&node->parts.history);
    relay_free(&node->parts.relay);
    node->is_up = 0;
    for (size_t i = 0; i < nclients; i++)
        if (clients[i].daemon == number)
            clients[i].daemon = -1;
}

WORLD_FN void world_down(void)
{
    for (int i = 0; i < DAEMONS; i++)
        node_down(i);
    for (size_t i = 0; i < nlog; i++) {
        buf_free(&world_log[i].channel);
        buf_free(&world_log[i].payload);
    }
    nlog = nclients = 0;
}

/* --- the stream -------------------------------------------------------------------- */

/* What the workers do of a message or a request, for whoever models them. */
static void (*world_live)(struct node *node, const struct published *published);

static void node_request(struct node *node, const struct published *published)
{
    static uint32_t last_id;
    struct slice uid = slice_str(published->uid), room = slice_str(published->room);
    const struct slices who = {&uid, 1, 1}, names = {&room, 1, 1}, none = {0};
    const struct route_targets *targets = route_find(relay_route(node->parts.relay), &who);
    struct gone_request request = {.type = published->kind == JOIN ? MSG_JOIN : MSG_LEAVE,
                                   .id = ++last_id,
                                   .rooms = &who,
                                   .except = &none,
                                   .names = &names,
                                   .seq = relay_seq(node->parts.relay),
                                   .rooms_max = 1000};

    gone_request(node->parts.gone, &request, targets);
    if (world_live != NULL)
        world_live(node, published);
    for (unsigned lane = 0; lane <= LANE_MAX; lane++)
        gone_acted(node->parts.gone, request.id, lane);
}

static void node_take(struct node *node, const struct published *published)
{
    struct slice channel = {(const char *)published->channel.data, published->channel.len};
    struct slice payload = {(const char *)published->payload.data, published->payload.len};

    node->taken = published->offset;
    if (published->kind == STEP || published->kind == MESSAGE)
        node->offset = published->offset;
    switch (published->kind) {
    case STEP:
        history_step(node->parts.history, published->offset, now_ms);
        if (world_live != NULL)
            world_live(node, published);
        break;
    case MESSAGE:
        relay_message(node->parts.relay, channel, payload, 1, published->offset);
        if (world_live != NULL)
            world_live(node, published);
        break;
    case JOIN:
    case LEAVE:
        node_request(node, published);
        break;
    case REQUEST:
        gone_note_request(node->parts.gone);
        break;
    case PEER:
        resume_peer(node->resume, payload);
        break;
    }
}

static int node_turn(struct node *node)
{
    int busy = 0;

    if (!node->is_up)
        return 0;
    while (!node->is_deaf && node->taken < nlog &&
           world_log[node->taken].at_ms + node->lag_ms <= now_ms) {
        if (node->pinged != 0 && node->taken + 1 >= node->pinged)
            break;
        node_take(node, &world_log[node->taken]);
        busy = 1;
    }
    if (node->pinged != 0 && node->taken + 1 >= node->pinged && !node->is_deaf) {
        node->pinged = 0;
        resume_pong(node->resume);
        busy = 1;
    }
    if (node->nunconfirmed > 0 && !node->is_deaf) {
        node_confirm(node);
        busy = 1;
    }
    if (node->wake_ms != 0 && node->wake_ms <= now_ms) {
        node->wake_ms = 0;
        resume_wake(node->resume);
        busy = 1;
    }
    if (node->relay_wake_ms != 0 && node->relay_wake_ms <= now_ms) {
        node->relay_wake_ms = 0;
        relay_wake(node->parts.relay, now_ms);
        busy = 1;
    }
    return busy;
}

/* Until nothing happens any more without time passing. */
WORLD_FN void turns(void)
{
    for (int busy = 1; busy;) {
        busy = 0;
        for (int i = 0; i < DAEMONS; i++)
            busy |= node_turn(&nodes[i]);
    }
}

WORLD_FN void world_up(int n, const char *secret)
{
    for (int i = 0; i < n; i++)
        node_up(i, secret);
    turns();
}

WORLD_FN void pass(uint64_t ms)
{
    while (ms > 0) {
        uint64_t step = ms < 50 ? ms : 50;

        turns();
        now_ms += step;
        ms -= step;
        if (nlog > 0 && now_ms - last_step_ms >= MARK_MS)
            world_put(STEP);
    }
    turns();
}

/* A message to a room ("": all), with its number. */
WORLD_FN void publish(const char *room, const char *json)
{
    struct slice name = slice_str(room);
    const struct slices rooms = {&name, room[0] != '\0', 0}, none = {0};
    struct published *published = world_put(MESSAGE);

    published->room = room;
    if (emit_encode(&published->channel, &published->payload, SLICE("socket.io"), SLICE("/axr"),
                    &rooms, &none, 0, slice_str(json)) < 0)
        abort();
}

/* --- clients ----------------------------------------------------------------------- */

/* A new connection. */
WORLD_FN struct client *client_new(int daemon, unsigned lane, const char *uid)
{
    struct client *client = &clients[nclients];
    struct sid_home home = {lane, 1, (uint32_t)nclients};
    char text[SIO_SID_LEN];

    if (nclients >= CLIENTS)
        abort();
    *client = (struct client){.daemon = daemon, .lane = lane, .came_ms = now_ms};
    snprintf(client->uid, sizeof(client->uid), "%s", uid);
    sio_sid_encode(text, 0x1122334455667788 * (nclients + 1), &home);
    if (base64url_decode(client->sid, text, sizeof(text)) != SESSION_LEN)
        abort();
    nclients++;
    return client;
}

/* It asks to be let in, with that pid and offset (NULL: none; offset 0: none). */
WORLD_FN void client_ask(struct client *client, const uint8_t *pid, uint64_t offset,
                         const char *room)
{
    struct slice name = slice_str(room != NULL ? room : "");
    struct admit admit = {.lane = client->lane,
                          .client = (uint64_t)(client - clients),
                          .uid = slice_str(client->uid),
                          .session = {(const char *)client->sid, SESSION_LEN},
                          .has_offset = offset != 0,
                          .offset = offset,
                          .opened_ms = client->came_ms};

    if (pid != NULL)
        admit.pid = (struct slice){(const char *)pid, PID_LEN};
    if (room != NULL)
        admit.rooms = (struct slices){&name, 1, 1};
    resume_admit(nodes[client->daemon].resume, &admit);
}

WORLD_FN struct client *client_in(int daemon, unsigned lane, const char *uid)
{
    struct client *client = client_new(daemon, lane, uid);

    client_ask(client, NULL, 0, NULL);
    turns();
    if (!client->is_in)
        abort();
    return client;
}

/* Its worker says that it has gone. */
WORLD_FN void client_left(struct client *client, int is_ended)
{
    struct node *node = &nodes[client->daemon];
    uint64_t name = (uint64_t)(client - clients);

    gone_client_left(node->parts.gone, client->lane, name, slice_str(client->uid), is_ended,
                     now_ms);
    relay_left(node->parts.relay, client->lane, name, slice_str(client->uid));
    client->daemon = -1;
}

/* Another connection of the same client, with its pid. */
WORLD_FN struct client *client_back(const struct client *was, int daemon, unsigned lane,
                                    uint64_t offset)
{
    struct client *client = client_new(daemon, lane, was->uid);

    client_ask(client, was->pid, offset, NULL);
    return client;
}

WORLD_FN uint64_t refused(int daemon, enum resume_refusal why)
{
    return resume_stats(nodes[daemon].resume).refused[why];
}

#endif
