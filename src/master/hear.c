#include "master/hear.h"

#include "codec/token.h"
#include "ipc/counters.h"
#include "master/cluster.h"
#include "master/recovery.h"
#include "master/relay.h"
#include "master/stats.h"

static enum heard heard(int rc)
{
    return rc == 0 ? HEARD_GOOD : rc < 0 ? HEARD_BAD : HEARD_STARVED;
}

static enum heard on_hello(struct hear *hear, struct msg *msg)
{
    uint32_t version = msg_get_u32(msg);

    if (msg_close(msg) < 0 || hear->has_hello || version != MSG_VERSION)
        return HEARD_BAD;
    hear->has_hello = 1;
    return HEARD_GOOD;
}

static enum heard on_ready(struct hear *hear, const struct msg *msg)
{
    if (msg_close(msg) < 0 || !hear->has_hello || hear->is_up)
        return HEARD_BAD;
    hear->is_up = 1;
    return HEARD_READY;
}

static enum heard on_admit(const struct hear *hear, struct msg *msg)
{
    struct msg_admit asked = {0};
    int rc = msg_get_admit(msg, &asked);
    enum heard result = heard(rc);

    if (rc == 0 && (asked.uid.len == 0 || asked.uid.len > TOKEN_UID_MAX)) {
        result = HEARD_BAD;
    } else if (rc == 0) {
        struct admit admit = {.lane = hear->lane,
                              .client = asked.client,
                              .uid = asked.uid,
                              .rooms = asked.rooms,
                              .session = asked.session,
                              .pid = asked.pid,
                              .has_offset = asked.has_offset,
                              .offset = asked.offset,
                              .opened_ms = asked.opened_ms};
        recovery_admit(hear->recovery, &admit);
    }
    msg_admit_clear(&asked);
    return result;
}

static enum heard on_rooms(const struct hear *hear, struct msg *msg)
{
    uint32_t id = msg_get_u32(msg);
    uint64_t client = msg_get_u64(msg);
    unsigned claimed = msg_get_u8(msg);
    struct slices joined = {0}, left = {0};
    enum heard result = HEARD_GOOD;

    msg_get_list(msg, &joined);
    msg_get_list(msg, &left);
    if (msg->starved)
        result = HEARD_STARVED;
    else if (msg_close(msg) < 0 || claimed > 1)
        result = HEARD_BAD;
    else
        result =
            heard(relay_rooms(hear->relay, hear->lane, id, client, (int)claimed, &joined, &left));
    slices_clear(&joined);
    slices_clear(&left);
    return result;
}

static enum heard on_left(const struct hear *hear, struct msg *msg)
{
    uint64_t client = msg_get_u64(msg);
    struct slice uid = msg_get_bytes(msg);
    unsigned ended = msg_get_u8(msg);

    if (msg_close(msg) < 0 || ended > 1)
        return HEARD_BAD;
    recovery_left(hear->recovery, hear->lane, client, uid, (int)ended);
    relay_left(hear->relay, hear->lane, client, uid);
    return HEARD_GOOD;
}

static enum heard on_counters(const struct hear *hear, struct msg *msg)
{
    struct counters counters;
    uint32_t id;

    if (counters_get(msg, &id, &counters) < 0)
        return HEARD_BAD;
    stats_told(hear->stats, hear->lane, id, &counters);
    return HEARD_GOOD;
}

static enum heard on_sources(const struct hear *hear, struct msg *msg)
{
    struct worst list[WORST_MAX];
    uint32_t id;
    size_t n;

    if (worst_get(msg, &id, list, &n) < 0)
        return HEARD_BAD;
    stats_worst_told(hear->stats, hear->lane, list, n);
    return HEARD_GOOD;
}

enum heard hear_message(struct hear *hear, struct msg *msg)
{
    int is_up = hear->is_up;

    /* Without a default, so that the compiler names a type that is left out. */
    switch ((enum msg_type)msg->type) {
    case MSG_WORKER_HELLO:
        return on_hello(hear, msg);
    case MSG_READY:
        return on_ready(hear, msg);
    case MSG_ADMIT:
        return is_up ? on_admit(hear, msg) : HEARD_BAD;
    case MSG_LEFT:
        return is_up ? on_left(hear, msg) : HEARD_BAD;
    case MSG_ROOMS:
        return is_up ? on_rooms(hear, msg) : HEARD_BAD;
    case MSG_COUNTERS:
        return is_up ? on_counters(hear, msg) : HEARD_BAD;
    case MSG_SOURCES:
        return is_up ? on_sources(hear, msg) : HEARD_BAD;
    case MSG_ACTED:
        return is_up ? heard(cluster_acted(hear->cluster, hear->lane, msg)) : HEARD_BAD;
    case MSG_FETCHED:
        return is_up ? heard(cluster_fetched(hear->cluster, hear->lane, msg)) : HEARD_BAD;
    case MSG_REACHED:
        return is_up ? heard(cluster_reached(hear->cluster, hear->lane, msg)) : HEARD_BAD;
    case MSG_ACK:
        return is_up ? heard(cluster_ack(hear->cluster, hear->lane, msg)) : HEARD_BAD;
    case MSG_HELLO: /* these are the master's own */
    case MSG_BROADCAST:
    case MSG_ADMITTED:
    case MSG_LOG_LEVEL:
    case MSG_LOG_REOPEN:
    case MSG_DRAIN:
    case MSG_SETTINGS:
    case MSG_COUNT:
    case MSG_KICK:
    case MSG_JOIN:
    case MSG_LEAVE:
    case MSG_DISCONNECT:
    case MSG_FETCH:
    case MSG_EMIT:
    case MSG_NOTED:
    case MSG_OFFSET:
    case MSG_TICKETS:
        break;
    }
    return HEARD_BAD;
}
