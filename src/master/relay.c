#include "master/relay.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "codec/json.h"
#include "codec/sid.h"
#include "ipc/start.h"
#include "master/pending.h"
#include "master/route.h"
#include "master/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DROP_LOG_MS    60000
#define FIRST_HOUR_MS  3600000
#define KEEP_BYTES_MAX (1024UL * 1024) /* memory kept from one message to the next */

struct relay {
    const struct conf *conf;
    const struct relay_ops *ops;
    void *arg;
    struct route *route;
    struct pending pending; /* while somebody is in it, relay_wake() is to come */
    int look_again;         /* relay_wake() was asked for at once */
    struct slice key, nsp;
    struct emit_limits limits;
    size_t message_max; /* on the pipe */
    uint64_t epoch, seq;
    struct broadcast bc; /* reused */
    struct buf message;  /* likewise */
    struct relay_stats stats;
    struct log_every drop_log[EMIT_RESULTS];
    struct log_every left_log, rooms_log, unsure_log;
    struct log_every unheard_log, number_log, no_room_log;
    uint64_t since_ms;
};

/* Those who wait are looked at in a turn of their own: the caller may be in the
 * middle of them, or of one worker's end. */
static void wake_soon(struct relay *relay)
{
    if (relay->pending.n == 0)
        return;
    relay->look_again = 1;
    (void)relay->ops->wake(0, relay->arg);
}

void relay_configure(struct relay *relay, const struct conf *conf)
{
    relay->conf = conf;
    relay->key = slice_str(conf->key);
    relay->nsp = slice_str(conf->nsp);
    relay->limits = (struct emit_limits){conf->message_bytes, conf->attachments};
    relay->message_max = start_message_max(conf);
    route_nsp(relay->route, conf->nsp);
    wake_soon(relay);
}

struct relay *relay_new(const struct conf *conf, const struct relay_ops *ops, void *arg)
{
    struct relay *relay = calloc(1, sizeof(*relay));

    if (relay == NULL)
        return NULL;
    relay->route = route_new(conf->nsp);
    if (relay->route == NULL) {
        free(relay);
        return NULL;
    }
    relay->ops = ops;
    relay->arg = arg;
    pending_init(&relay->pending);
    relay_configure(relay, conf);
    rand_bytes(&relay->epoch, sizeof(relay->epoch));
    relay->since_ms = clock_ms();
    return relay;
}

void relay_free(struct relay **relayp)
{
    struct relay *relay = *relayp;

    if (relay == NULL)
        return;
    pending_clear(&relay->pending);
    route_free(&relay->route);
    broadcast_clear(&relay->bc);
    buf_free(&relay->message);
    free(relay);
    *relayp = NULL;
}

/* What is meant for others is no fault, and may be most of what comes. */
static int drop_is_quiet(enum emit_result reason)
{
    return reason == EMIT_OTHER_NAMESPACE || reason == EMIT_NOT_BROADCAST ||
           reason == EMIT_NOBODY || reason == EMIT_COPY;
}

/* Who begins has to see a mistake soon; later on most of these are for users who are away, or at
 * another daemon. */
static uint64_t unheard_due(const struct relay *relay, struct log_every *every)
{
    int is_first_hour = clock_ms() - relay->since_ms < FIRST_HOUR_MS;

    return log_due(every, is_first_hour ? DROP_LOG_MS : FIRST_HOUR_MS);
}

static void unheard(struct relay *relay)
{
    int has_number = show_has_number(&relay->bc);
    uint64_t times;

    relay->stats.nobody++;
    times = unheard_due(relay, has_number ? &relay->number_log : &relay->unheard_log);
    if (times > 0 && has_number)
        show_number(&relay->bc, times);
    else if (times > 0)
        show_unheard(&relay->bc, times);
}

#define DROPPED "[: reason={} count={} channel={}]"
#define DROPPED_FIELDS(reason, count, channel)                                                     \
    LOG_STR("reason", emit_result_name(reason)), LOG_UINT("count", count),                         \
        LOG_BYTES("channel", (channel).ptr, (channel).len, 256)

void relay_drop(struct relay *relay, enum emit_result reason, struct slice channel)
{
    uint64_t count;

    relay->stats.dropped[reason]++;
    if (reason == EMIT_NOBODY) {
        count = unheard_due(relay, &relay->no_room_log);
        if (count > 0)
            show_no_room(channel, count);
    }
    if (!drop_is_quiet(reason))
        relay->stats.faulty++;
    if (drop_is_quiet(reason) && log_get_level() < LOG_LEVEL_DEBUG)
        return;
    count = log_due(&relay->drop_log[reason], DROP_LOG_MS);
    if (count == 0)
        return;
    if (drop_is_quiet(reason))
        log_event(DEBUG, "message_ignored", "message ignored" DROPPED,
                  DROPPED_FIELDS(reason, count, channel));
    else
        log_event(WARN, "message_dropped", "message dropped" DROPPED,
                  DROPPED_FIELDS(reason, count, channel));
}

/* One huge message must not leave its size behind for good. */
static void memory_trim(struct relay *relay)
{
    const struct broadcast *bc = &relay->bc;

    if (bc->json.cap > KEEP_BYTES_MAX ||
        (bc->rooms.cap + bc->except.cap) * sizeof(struct slice) > KEEP_BYTES_MAX)
        broadcast_clear(&relay->bc);
    if (relay->message.cap > KEEP_BYTES_MAX)
        buf_free(&relay->message);
}

static int is_volatile(const struct broadcast *bc)
{
    return (bc->flags & BROADCAST_VOLATILE) != 0;
}

static enum emit_result encode(struct relay *relay, struct slice channel, struct slice payload,
                               uint64_t received_us, uint64_t offset)
{
    enum emit_result result =
        emit_decode(&relay->bc, channel, payload, relay->key, relay->nsp, &relay->limits);

    if (result != EMIT_OK)
        return result;
    relay->bc.offset = offset;
    buf_reset(&relay->message);
    if (msg_put_broadcast(&relay->message, relay->epoch, relay->seq + 1, received_us, &relay->bc) <
        0)
        return EMIT_NO_MEMORY;
    if (relay->message.len > relay->message_max)
        return EMIT_TOO_LARGE;
    return EMIT_OK;
}

/* Volatile ones are for those who are here. */
static void keep(struct relay *relay, uint64_t offset)
{
    struct slice message = {(const char *)relay->message.data, relay->message.len};

    if (is_volatile(&relay->bc)) {
        relay->ops->dropped(EMIT_OK, offset, relay->arg);
        return;
    }
    relay->ops->kept(relay->seq, &relay->bc, message, relay->arg);
}

void relay_message(struct relay *relay, struct slice channel, struct slice payload,
                   uint64_t received_us, uint64_t offset)
{
    enum emit_result result = encode(relay, channel, payload, received_us, offset);
    const struct route_targets *targets;

    if (result != EMIT_OK) {
        if (offset != 0)
            relay->ops->dropped(result, offset, relay->arg);
        relay_drop(relay, result, channel);
        memory_trim(relay);
        return;
    }
    /* Counted even where nobody listens: the number is of the stream, not of a pipe. */
    relay->seq++;
    if (offset != 0)
        keep(relay, offset);
    targets = route_find(relay->route, &relay->bc.rooms);
    if (log_get_level() >= LOG_LEVEL_DEBUG)
        show_notification(&relay->bc, targets);
    for (size_t i = 0; i < targets->n; i++)
        relay->ops->send(targets->lanes[i], relay->message.data, relay->message.len, relay->arg);
    if (targets->n > 0)
        relay->stats.relayed++;
    else
        unheard(relay);
    memory_trim(relay);
}

static int put_emit(struct buf *out, const struct relay *relay, uint32_t id, uint32_t timeout_ms,
                    uint64_t received_us, const struct broadcast *bc)
{
    size_t mark;

    buf_reset(out);
    mark = msg_begin(out, MSG_EMIT);
    msg_put_u32(out, id);
    msg_put_u32(out, timeout_ms);
    msg_put_broadcast_fields(out, relay->epoch, relay->seq + 1, received_us, bc);
    return msg_end(out, mark);
}

const struct route_targets *relay_emit(struct relay *relay, struct buf *out, uint32_t id,
                                       uint32_t timeout_ms, uint64_t received_us,
                                       const struct broadcast *bc)
{
    const struct route_targets *targets;

    if (put_emit(out, relay, id, timeout_ms, received_us, bc) < 0) {
        relay_drop(relay, EMIT_NO_MEMORY, (struct slice){0});
        return NULL;
    }
    if (out->len > relay->message_max) {
        relay_drop(relay, EMIT_TOO_LARGE, (struct slice){0});
        return NULL;
    }
    relay->seq++;
    targets = route_find(relay->route, &bc->rooms);
    if (log_get_level() >= LOG_LEVEL_DEBUG)
        show_notification(bc, targets);
    if (targets->n > 0)
        relay->stats.relayed++;
    else
        relay->stats.nobody++;
    return targets;
}

static void changed(const struct relay *relay, struct slice uid, unsigned lane)
{
    if (relay->ops->changed != NULL)
        relay->ops->changed(uid, lane, relay->arg);
}

void relay_worker_up(struct relay *relay, unsigned lane)
{
    route_up(relay->route, lane);
}

void relay_worker_down(struct relay *relay, unsigned lane)
{
    route_down(relay->route, lane);
    pending_drop_lane(&relay->pending, lane);
    changed(relay, (struct slice){0}, lane);
    wake_soon(relay);
}

/* --- admission ---------------------------------------------------------------- */

/* The user's oldest connection has to leave.  Returns 0, or -1 without memory. */
static int kick_oldest(struct relay *relay, struct slice uid)
{
    unsigned lane = 0;
    uint64_t client = 0;
    size_t mark;

    if (route_oldest(relay->route, uid, &lane, &client) < 0)
        return -1;
    buf_reset(&relay->message);
    mark = msg_begin(&relay->message, MSG_KICK);
    msg_put_u64(&relay->message, client);
    msg_put_bytes(&relay->message, uid.ptr, uid.len);
    msg_put_u8(&relay->message, MSG_KICK_REPLACED);
    if (msg_end(&relay->message, mark) < 0 || route_oust(relay->route, uid) < 0)
        return -1;
    relay->stats.replaced++;
    relay->ops->send(lane, relay->message.data, relay->message.len, relay->arg);
    return 0;
}

/* A worker that is sent to may turn out to be dead, and with it goes what it held:
 * everything is looked up again each time. */
static int make_place(struct relay *relay, uint32_t limit, struct slice uid)
{
    while (route_clients(relay->route, uid) > limit)
        if (kick_oldest(relay, uid) < 0)
            return -1;
    return 0;
}

static int is_full(const struct relay *relay, struct slice uid)
{
    uint32_t limit = relay->conf->connections_per_user;

    return limit > 0 && !relay->conf->replace_connections &&
           route_clients(relay->route, uid) >= limit;
}

static enum msg_verdict let_in(struct relay *relay, unsigned lane, uint64_t client,
                               struct slice uid)
{
    uint32_t limit = relay->conf->connections_per_user;

    if (route_join(relay->route, uid, lane, client) < 0)
        return MSG_ADMIT_NO_MEMORY;
    if (limit > 0 && relay->conf->replace_connections && make_place(relay, limit, uid) < 0) {
        (void)route_leave(relay->route, uid, lane, client);
        return MSG_ADMIT_NO_MEMORY;
    }
    return MSG_ADMIT_OK;
}

/* Returns 1 if it is in room then, or 0 if there is no such client. */
static int join(struct relay *relay, unsigned lane, uint64_t client, struct slice room,
                uint64_t since, int is_claim)
{
    int rc = route_room_join(relay->route, lane, client, room, since, is_claim);
    uint64_t count = rc < 0 ? log_due(&relay->unsure_log, DROP_LOG_MS) : 0;

    if (count > 0)
        log_event(
            ERROR, "rooms_unsure",
            "worker[ {}]: out of memory for the rooms of its clients: it is sent the messages "
            "to all rooms[ count={}]",
            LOG_UINT("worker", start_number(lane)), LOG_UINT("count", count));
    return rc <= 0;
}

/* It is in its own room already. */
static void join_all(struct relay *relay, const struct admit *admit)
{
    for (size_t i = 0; i < admit->rooms.n; i++)
        if (!slice_eq(admit->rooms.at[i], admit->uid))
            (void)join(relay, admit->lane, admit->client, admit->rooms.at[i], relay->seq, 1);
}

/* The id that it goes by until it comes back again is then a room as any other that it is in, for
 * it has its session's. */
static void join_id(struct relay *relay, const struct admit *admit)
{
    char id[SIO_SID_LEN];

    if (admit->session.len != SIO_SID_BYTES)
        return;
    base64url_encode(id, admit->session.ptr, admit->session.len);
    (void)join(relay, admit->lane, admit->client, (struct slice){id, sizeof(id)}, relay->seq, 0);
}

/* Its session comes with its rooms. */
static void join_again(struct relay *relay, const struct admit *admit,
                       const struct comeback *comeback)
{
    if (comeback->left & MSG_LEFT_EVERYBODY)
        route_room_leave(relay->route, admit->lane, admit->client, SLICE(ROUTE_EVERYBODY));
    if (comeback->left & MSG_LEFT_OWN)
        route_room_leave(relay->route, admit->lane, admit->client, admit->uid);
    for (size_t i = 0; i < comeback->rooms.n; i++) {
        uint64_t since;
        struct slice room = msg_room(comeback->rooms.at[i], &since);

        (void)join(relay, admit->lane, admit->client, room, since, i < comeback->nclaimed);
    }
    if (comeback->has_own_id)
        join_id(relay, admit);
}

static void decide(struct relay *relay, const struct admit *admit)
{
    enum msg_verdict verdict = is_full(relay, admit->uid)
                                   ? MSG_ADMIT_USER_LIMIT
                                   : let_in(relay, admit->lane, admit->client, admit->uid);
    const struct comeback *comeback = NULL;

    if (verdict == MSG_ADMIT_OK && admit->resumes)
        comeback = relay->ops->comeback(admit, relay->arg);
    if (comeback != NULL)
        join_again(relay, admit, comeback);
    else if (verdict == MSG_ADMIT_OK)
        join_all(relay, admit);
    relay->stats.admissions[verdict]++;
    if (verdict == MSG_ADMIT_OK)
        changed(relay, admit->uid, admit->lane);
    relay->ops->answer(admit, comeback, verdict, relay->arg);
}

/* Answers those who wait, for whom there is a place now or whose time is up; only
 * them of uid unless it is NULL.  A worker that is sent to may turn out to be dead:
 * then relay_worker_down marks some of those that are still to come. */
static void serve(struct relay *relay, const struct slice *uid, uint64_t now_ms)
{
    struct admission **at = &relay->pending.first;

    while (*at != NULL) {
        struct slice whose = (*at)->admit->uid;
        struct admission *admission;
        if ((uid != NULL && !slice_eq(*uid, whose)) ||
            (!(*at)->gone && now_ms < (*at)->until_ms && is_full(relay, whose))) {
            at = &(*at)->next;
            continue;
        }
        admission = pending_take(&relay->pending, at);
        if (!admission->gone)
            decide(relay, admission->admit);
        admission_free(admission);
    }
}

void relay_wake(struct relay *relay, uint64_t now_ms)
{
    uint64_t until_ms;

    relay->look_again = 0;
    serve(relay, NULL, now_ms);
    if (relay->pending.n == 0)
        return;
    until_ms = relay->look_again ? now_ms : relay->pending.first->until_ms;
    (void)relay->ops->wake((unsigned)(until_ms - now_ms), relay->arg);
}

/* Returns 0 if it is answered later. */
static int wait_for_place(struct relay *relay, const struct admit *admit)
{
    if (relay->pending.n == 0 && relay->ops->wake(PENDING_MS, relay->arg) < 0)
        return -1;
    return pending_put(&relay->pending, admit, relay->conf->connections_per_user,
                       clock_ms() + PENDING_MS);
}

void relay_admit(struct relay *relay, const struct admit *admit)
{
    if (relay->pending.n > 0)
        serve(relay, &admit->uid, 0); /* before it */
    if (is_full(relay, admit->uid) && wait_for_place(relay, admit) == 0)
        return;
    decide(relay, admit);
}

size_t relay_user_connections(const struct relay *relay, struct slice uid)
{
    return route_clients(relay->route, uid);
}

static const struct log_entry joined_astray = {
    "joined_astray", "worker[ {}]: a client joined rooms that was not in[ count={}]"};
static const struct log_entry left_astray = {
    "left_astray", "worker[ {}]: a client left that was not in[ count={}]"};

static void not_in(unsigned lane, struct log_every *every, struct log_entry entry)
{
    uint64_t count = log_due(every, DROP_LOG_MS);

    if (count > 0)
        log_entry_at(LOG_LEVEL_WARN, entry, LOG_UINT("worker", start_number(lane)),
                     LOG_UINT("count", count));
}

/* The answer is made first, for what has been noted cannot be noted again. */
int relay_rooms(struct relay *relay, unsigned lane, uint32_t id, uint64_t client, int is_claim,
                const struct slices *joined, const struct slices *left)
{
    uint64_t seq = relay->seq;
    int is_in = 1;
    size_t mark;

    buf_reset(&relay->message);
    mark = msg_begin(&relay->message, MSG_NOTED);
    msg_put_u32(&relay->message, id);
    if (msg_end(&relay->message, mark) < 0)
        return 1;
    for (size_t i = 0; i < left->n; i++)
        route_room_leave(relay->route, lane, client, left->at[i]);
    if (joined->n > 0 && !is_claim)
        seq = route_joined_seq(relay->route, lane, client, seq);
    for (size_t i = 0; i < joined->n; i++)
        is_in &= join(relay, lane, client, joined->at[i], seq, is_claim);
    if (!is_in)
        not_in(lane, &relay->rooms_log, joined_astray);
    if (id != 0)
        relay->ops->send(lane, relay->message.data, relay->message.len, relay->arg);
    return 0;
}

void relay_left(struct relay *relay, unsigned lane, uint64_t client, struct slice uid)
{
    if (route_leave(relay->route, uid, lane, client) == 0) {
        changed(relay, uid, lane);
        if (relay->pending.n > 0)
            serve(relay, &uid, 0);
        return;
    }
    not_in(lane, &relay->left_log, left_astray);
}

size_t relay_users(const struct relay *relay)
{
    return route_users(relay->route);
}

uint32_t relay_scan_users(const struct relay *relay, uint32_t cursor,
                          void (*visit)(struct slice uid, void *arg), void *arg)
{
    return route_scan_users(relay->route, cursor, visit, arg);
}

struct route *relay_route(struct relay *relay)
{
    return relay->route;
}

uint64_t relay_epoch(const struct relay *relay)
{
    return relay->epoch;
}

uint64_t relay_seq(const struct relay *relay)
{
    return relay->seq;
}

const struct relay_stats *relay_stats(const struct relay *relay)
{
    return &relay->stats;
}
