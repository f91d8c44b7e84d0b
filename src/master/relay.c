#include "master/relay.h"

#include "base/log.h"
#include "base/rand.h"
#include "ipc/start.h"
#include "master/route.h"

#include <stdlib.h>

#define DROP_LOG_MS    60000
#define KEEP_BYTES_MAX (1024UL * 1024) /* memory kept from one message to the next */

struct relay {
    const struct conf *conf;
    const struct relay_ops *ops;
    void *arg;
    struct route *route;
    struct slice key, nsp;
    struct emit_limits limits;
    size_t message_max; /* on the pipe */
    uint64_t epoch, seq;
    struct broadcast bc; /* reused */
    struct buf message;  /* likewise */
    struct relay_stats stats;
    struct log_every drop_log[EMIT_RESULTS];
    struct log_every left_log;
};

void relay_configure(struct relay *relay, const struct conf *conf)
{
    relay->conf = conf;
    relay->key = slice_str(conf->key);
    relay->nsp = slice_str(conf->nsp);
    relay->limits = (struct emit_limits){conf->message_bytes, conf->attachments};
    relay->message_max = start_message_max(conf);
    route_nsp(relay->route, conf->nsp);
}

struct relay *relay_new(const struct conf *conf, const struct relay_ops *ops, void *arg)
{
    struct relay *relay = calloc(1, sizeof *relay);
    if (!relay)
        return NULL;
    relay->route = route_new(conf->nsp);
    if (!relay->route) {
        free(relay);
        return NULL;
    }
    relay->ops = ops;
    relay->arg = arg;
    relay_configure(relay, conf);
    rand_bytes(&relay->epoch, sizeof relay->epoch);
    return relay;
}

void relay_free(struct relay **relayp)
{
    struct relay *relay = *relayp;
    if (!relay)
        return;
    route_free(&relay->route);
    broadcast_clear(&relay->bc);
    buf_free(&relay->message);
    free(relay);
    *relayp = NULL;
}

/* What is meant for others is no fault, and may be most of what comes. */
static int drop_is_quiet(enum emit_result cause)
{
    return cause == EMIT_OTHER_NAMESPACE || cause == EMIT_NOT_BROADCAST || cause == EMIT_NOBODY ||
           cause == EMIT_COPY;
}

void relay_drop(struct relay *relay, enum emit_result cause, struct slice channel)
{
    char text[256];
    relay->stats.dropped[cause]++;
    if (!drop_is_quiet(cause))
        relay->stats.faulty++;
    if (drop_is_quiet(cause) && log_get_level() < LOG_LEVEL_DEBUG)
        return;
    uint64_t count = log_due(&relay->drop_log[cause], DROP_LOG_MS);
    if (count == 0)
        return;
    log_escape(text, sizeof text, channel.ptr, channel.len);
    if (drop_is_quiet(cause))
        log_debug("message passed over: cause=%s count=%llu channel=%s", emit_result_name(cause),
                  (unsigned long long)count, text);
    else
        log_warnx("message dropped: cause=%s count=%llu channel=%s", emit_result_name(cause),
                  (unsigned long long)count, text);
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

static enum emit_result encode(struct relay *relay, struct slice channel, struct slice payload,
                               uint64_t received_us)
{
    enum emit_result result =
        emit_decode(&relay->bc, channel, payload, relay->key, relay->nsp, &relay->limits);
    if (result != EMIT_OK)
        return result;
    buf_reset(&relay->message);
    if (msg_put_broadcast(&relay->message, relay->epoch, relay->seq + 1, received_us, &relay->bc) <
        0)
        return EMIT_NO_MEMORY;
    if (relay->message.len > relay->message_max)
        return EMIT_TOO_LARGE;
    return EMIT_OK;
}

void relay_message(struct relay *relay, struct slice channel, struct slice payload,
                   uint64_t received_us)
{
    enum emit_result result = encode(relay, channel, payload, received_us);
    if (result != EMIT_OK) {
        relay_drop(relay, result, channel);
        memory_trim(relay);
        return;
    }
    /* Counted even where nobody listens: the number is of the stream, not of a pipe. */
    relay->seq++;
    const struct route_targets *targets = route_find(relay->route, &relay->bc.rooms);
    for (size_t i = 0; i < targets->n; i++)
        relay->ops->send(targets->slots[i], relay->message.data, relay->message.len, relay->arg);
    if (targets->n > 0)
        relay->stats.relayed++;
    else
        relay->stats.nobody++;
    memory_trim(relay);
}

void relay_worker_up(struct relay *relay, unsigned slot)
{
    route_up(relay->route, slot);
}

void relay_worker_down(struct relay *relay, unsigned slot)
{
    route_down(relay->route, slot);
}

/* The user's oldest connection has to leave.  Returns 0, or -1 without memory. */
static int kick_oldest(struct relay *relay, struct slice uid)
{
    unsigned slot = 0;
    uint64_t client = 0;
    if (route_oldest(relay->route, uid, &slot, &client) < 0)
        return -1;
    buf_reset(&relay->message);
    size_t mark = msg_begin(&relay->message, MSG_KICK);
    msg_put_u64(&relay->message, client);
    msg_put_bytes(&relay->message, uid.ptr, uid.len);
    msg_put_u8(&relay->message, MSG_KICK_REPLACED);
    if (msg_end(&relay->message, mark) < 0 || route_oust(relay->route, uid) < 0)
        return -1;
    relay->stats.replaced++;
    relay->ops->send(slot, relay->message.data, relay->message.len, relay->arg);
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

static enum msg_verdict judge(struct relay *relay, unsigned slot, uint64_t client, struct slice uid)
{
    uint32_t limit = relay->conf->connections_per_user;
    int replace = relay->conf->replace_connections;
    if (limit > 0 && !replace && route_clients(relay->route, uid) >= limit)
        return MSG_ADMIT_USER_LIMIT;
    if (route_join(relay->route, uid, slot, client) < 0)
        return MSG_ADMIT_NO_MEMORY;
    if (limit > 0 && replace && make_place(relay, limit, uid) < 0) {
        (void)route_leave(relay->route, uid, slot, client);
        return MSG_ADMIT_NO_MEMORY;
    }
    return MSG_ADMIT_OK;
}

enum msg_verdict relay_admit(struct relay *relay, unsigned slot, uint64_t client, struct slice uid)
{
    enum msg_verdict verdict = judge(relay, slot, client, uid);
    relay->stats.admissions[verdict]++;
    return verdict;
}

size_t relay_user_connections(const struct relay *relay, struct slice uid)
{
    return route_clients(relay->route, uid);
}

void relay_left(struct relay *relay, unsigned slot, uint64_t client, struct slice uid)
{
    if (route_leave(relay->route, uid, slot, client) == 0)
        return;
    uint64_t count = log_due(&relay->left_log, DROP_LOG_MS);
    if (count > 0)
        log_warnx("worker %u: a client left that was not in count=%llu", start_number(slot),
                  (unsigned long long)count);
}

size_t relay_users(const struct relay *relay)
{
    return route_rooms(relay->route);
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
