#include "master/cluster.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "master/deed.h"
#include "master/emission.h"
#include "master/gone.h"
#include "master/inquiry.h"
#include "master/laneset.h"
#include "master/relay.h"
#include "master/seen.h"
#include "master/show.h"

#include <stdlib.h>

#define DROP_LOG_MS    60000
#define KEEP_BYTES_MAX (1024UL * 1024) /* memory kept from one request to the next */

struct cluster {
    struct responder responder;
    struct slice nsp;
    struct emit_limits limits;
    char uid[CLUSTER_UID_LEN];
    struct seen seen;
    struct deeds *deeds;
    struct inquiries *inquiries;
    struct emissions *emissions;

    struct buf payload; /* of request, which borrows from it */
    struct request request;
    enum request_result result;
    int is_decoded;
    int is_next; /* it has arrived, and its place among the messages is mostly next */

    unsigned depth;      /* of the functions below in each other */
    struct laneset down; /* workers that have gone meanwhile */
    uint64_t due_ms;     /* when cluster_wake() is to come */
    struct cluster_stats stats;
    struct log_every drop_log[REQUEST_RESULTS];
};

/* --- coming and going ------------------------------------------------------------- */

static void forget(struct cluster *cluster)
{
    cluster->is_decoded = 0;
    request_clear(&cluster->request);
    buf_free(&cluster->payload);
}

static void settings_take(struct cluster *cluster, const struct conf *conf)
{
    cluster->responder.conf = conf;
    cluster->nsp = slice_str(conf->nsp);
    cluster->limits = (struct emit_limits){conf->message_bytes, conf->attachments};
    forget(cluster);
}

static void uid_make(char uid[CLUSTER_UID_LEN])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    for (size_t i = 0; i < CLUSTER_UID_LEN; i++)
        uid[i] = digits[rand_below(sizeof(digits) - 1)];
}

struct cluster *cluster_new(const struct conf *conf, struct relay *relay,
                            const struct responder_ops *ops, void *arg)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));

    if (cluster == NULL)
        return NULL;
    cluster->responder = (struct responder){
        .ops = ops, .arg = arg, .relay = relay, .route = relay_route(relay), .conf = conf};
    uid_make(cluster->uid);
    seen_init(&cluster->seen);
    cluster->due_ms = UINT64_MAX;
    cluster->deeds = deeds_new(&cluster->responder);
    cluster->inquiries = inquiries_new(&cluster->responder);
    cluster->emissions = emissions_new(&cluster->responder);
    if (cluster->deeds == NULL || cluster->inquiries == NULL || cluster->emissions == NULL)
        cluster_free(&cluster);
    else
        settings_take(cluster, conf);
    return cluster;
}

void cluster_free(struct cluster **clusterp)
{
    struct cluster *cluster = *clusterp;

    if (cluster == NULL)
        return;
    deeds_free(&cluster->deeds);
    inquiries_free(&cluster->inquiries);
    emissions_free(&cluster->emissions);
    seen_clear(&cluster->seen);
    forget(cluster);
    responder_clear(&cluster->responder);
    free(cluster);
    *clusterp = NULL;
}

struct slice cluster_uid(const struct cluster *cluster)
{
    return (struct slice){cluster->uid, sizeof(cluster->uid)};
}

void cluster_stats(const struct cluster *cluster, struct cluster_stats *stats)
{
    const struct emission_stats *emissions = emissions_stats(cluster->emissions);

    *stats = cluster->stats;
    memcpy(stats->results, cluster->responder.results, sizeof(stats->results));
    stats->acks = emissions->acks;
    stats->acks_lost = emissions->lost;
}

/* --- in and out ------------------------------------------------------------------- */

/* A worker that is sent to may turn out to be dead: what follows from that has to wait until
 * nobody is in the middle of something. */
static void enter(struct cluster *cluster)
{
    cluster->depth++;
}

static void take_down(struct cluster *cluster)
{
    for (unsigned lane = 0; lane < START_LANES && cluster->down.n > 0; lane++) {
        if (!laneset_take(&cluster->down, lane))
            continue;
        deeds_down(cluster->deeds, lane);
        inquiries_down(cluster->inquiries, lane);
        emissions_down(cluster->emissions, lane);
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int is_large(const struct cluster *cluster)
{
    return cluster->payload.cap > KEEP_BYTES_MAX;
}

static void rearm(struct cluster *cluster, uint64_t now_ms)
{
    uint64_t due_ms =
        least(deeds_due_ms(cluster->deeds), least(inquiries_due_ms(cluster->inquiries, now_ms),
                                                  emissions_due_ms(cluster->emissions)));

    due_ms = least(due_ms, seen_due_ms(&cluster->seen));
    if (is_large(cluster)) /* no longer than that is it kept */
        due_ms = now_ms;
    if (due_ms >= cluster->due_ms)
        return; /* it looks again then */
    cluster->due_ms = due_ms;
    cluster->responder.ops->wake(due_ms > now_ms ? (unsigned)(due_ms - now_ms) : 0,
                                 cluster->responder.arg);
}

static void memory_trim(struct cluster *cluster)
{
    if (is_large(cluster) && !cluster->is_next)
        forget(cluster);
    if (cluster->responder.message.cap > KEEP_BYTES_MAX)
        buf_free(&cluster->responder.message);
}

static void leave(struct cluster *cluster)
{
    uint64_t now_ms;

    if (cluster->depth > 1) {
        cluster->depth--;
        return;
    }
    now_ms = clock_ms();
    do {
        take_down(cluster);
        inquiries_turn(cluster->inquiries, now_ms);
    } while (cluster->down.n > 0);
    memory_trim(cluster);
    rearm(cluster, now_ms);
    cluster->depth--;
}

void cluster_wake(struct cluster *cluster)
{
    uint64_t now_ms = clock_ms();

    enter(cluster);
    cluster->is_next = 0;
    cluster->due_ms = UINT64_MAX;
    seen_turn(&cluster->seen, now_ms);
    deeds_turn(cluster->deeds, now_ms);
    emissions_turn(cluster->emissions, now_ms);
    leave(cluster);
}

void cluster_configure(struct cluster *cluster, const struct conf *conf)
{
    enter(cluster);
    settings_take(cluster, conf);
    inquiries_hurry(cluster->inquiries, clock_ms());
    leave(cluster);
}

void cluster_gone(struct cluster *cluster, struct gone *gone)
{
    cluster->responder.gone = gone;
}

/* --- requests --------------------------------------------------------------------- */

/* Both functions below get the same bytes, mostly one after the other. */
static enum request_result decode(struct cluster *cluster, struct slice payload)
{
    struct slice last = {(const char *)cluster->payload.data, cluster->payload.len};

    if (cluster->is_decoded && slice_eq(last, payload))
        return cluster->result;
    cluster->is_decoded = 0;
    buf_reset(&cluster->payload);
    if (payload.len > cluster->limits.message_bytes)
        payload.len = cluster->limits.message_bytes + 1; /* too large is all that it is */
    if (buf_put(&cluster->payload, payload.ptr, payload.len) < 0) {
        request_clear(&cluster->request);
        return REQUEST_NO_MEMORY;
    }
    last = (struct slice){(const char *)cluster->payload.data, cluster->payload.len};
    cluster->result = request_decode(&cluster->request, last, cluster->nsp, &cluster->limits);
    cluster->is_decoded = cluster->result != REQUEST_NO_MEMORY;
    return cluster->result;
}

static int is_own(const struct cluster *cluster)
{
    return slice_eq(cluster->request.uid, cluster_uid(cluster));
}

static struct seen_request *look(struct cluster *cluster, uint64_t now_ms)
{
    if (cluster->request.id.len == 0)
        return NULL;
    return seen_look(&cluster->seen, &cluster->request, now_ms);
}

/* The first copy is asked for, the others are answered empty, behind it; or not, where the
 * first is not: to whoever counted one, an empty answer would be all there is. */
static void ask_once(struct cluster *cluster, uint32_t via, uint64_t now_ms)
{
    struct seen_request *seen = look(cluster, now_ms);

    if (seen == NULL) {
        responder_result(&cluster->responder, RESPONSE_UNSENDABLE, cluster->request.type);
    } else if (!seen->is_counted) {
        seen->is_counted = 1;
        seen->number = inquiries_ask(cluster->inquiries, &cluster->request, via, now_ms);
    } else if (seen->number != 0 && !inquiries_further(cluster->inquiries, seen->number, via)) {
        reply_nobody(&cluster->responder, &cluster->request, via);
    }
}

static void answer(struct cluster *cluster, uint32_t via, uint64_t now_ms)
{
    const struct request *request = &cluster->request;

    switch (request->type) {
    case REQUEST_SOCKETS:
    case REQUEST_ALL_ROOMS:
    case REQUEST_CLIENT_ROOMS:
    case REQUEST_FETCH:
        ask_once(cluster, via, now_ms);
        break;
    case REQUEST_JOIN:
    case REQUEST_LEAVE:
    case REQUEST_DISCONNECT:
        if (request->by_id)
            deeds_counted(cluster->deeds, request, via, look(cluster, now_ms), now_ms);
        break;
    case REQUEST_SERVER_SIDE_EMIT:
    case REQUEST_CUSTOM:
        reply_nobody(&cluster->responder, request, via);
        break;
    case REQUEST_BROADCAST:
        emissions_counted(cluster->emissions, request, via, look(cluster, now_ms), now_ms);
        break;
    case REQUEST_TYPES:
        break;
    }
}

void cluster_arrived(struct cluster *cluster, struct slice payload, int is_counted, uint32_t via)
{
    enum request_result result;

    if (!is_counted)
        return;
    enter(cluster);
    result = decode(cluster, payload);
    if (cluster->request.id.len == 0 || is_own(cluster))
        ; /* nobody waits for an answer */
    else if (result == REQUEST_OK)
        answer(cluster, via, clock_ms());
    else
        reply_nobody(&cluster->responder, &cluster->request, via);
    cluster->is_next = 1;
    leave(cluster);
}

/* What is too much for this daemon another may carry out: clients of it may have joined rooms. */
static void note_unknown(const struct cluster *cluster, enum request_result result)
{
    if (cluster->responder.gone != NULL &&
        (result == REQUEST_TOO_LARGE || result == REQUEST_NO_MEMORY))
        gone_note_request(cluster->responder.gone);
}

static void drop(struct cluster *cluster, enum request_result result)
{
    uint64_t count;

    note_unknown(cluster, result);
    cluster->stats.dropped[result]++;
    count = log_due(&cluster->drop_log[result], DROP_LOG_MS);
    if (count > 0)
        log_event(WARN, "request_dropped", "request dropped[: reason={} type={} count={}]",
                  LOG_STR("reason", request_result_name(result)),
                  LOG_STR("type", request_type_name(cluster->request.type)),
                  LOG_UINT("count", count));
}

static enum request_result carry_out(struct cluster *cluster)
{
    const struct request *request = &cluster->request;
    uint64_t now_ms = clock_ms();

    switch (request->type) {
    case REQUEST_JOIN:
    case REQUEST_LEAVE:
    case REQUEST_DISCONNECT:
        if (deeds_order(cluster->deeds, request, request->by_id ? look(cluster, now_ms) : NULL,
                        now_ms) < 0)
            return REQUEST_TOO_LARGE;
        break;
    case REQUEST_BROADCAST:
        emissions_order(cluster->emissions, request, look(cluster, now_ms), now_ms);
        break;
    case REQUEST_SOCKETS: /* answered when they arrived */
    case REQUEST_ALL_ROOMS:
    case REQUEST_CLIENT_ROOMS:
    case REQUEST_FETCH:
    case REQUEST_SERVER_SIDE_EMIT:
    case REQUEST_CUSTOM:
        if (log_get_level() >= LOG_LEVEL_DEBUG)
            show_request(request, NULL);
        break;
    case REQUEST_TYPES:
        break;
    }
    return REQUEST_OK;
}

void cluster_request(struct cluster *cluster, struct slice payload, uint32_t via)
{
    enum request_result result;

    (void)via;
    enter(cluster);
    cluster->is_next = 0;
    result = decode(cluster, payload);
    if (!is_own(cluster)) {
        if (result == REQUEST_OK)
            result = carry_out(cluster);
        if (result == REQUEST_OK)
            cluster->stats.requests[cluster->request.type]++;
        else
            drop(cluster, result);
    }
    leave(cluster);
}

/* --- workers ---------------------------------------------------------------------- */

int cluster_acted(struct cluster *cluster, unsigned lane, struct msg *msg)
{
    int rc;

    enter(cluster);
    rc = deeds_acted(cluster->deeds, lane, msg);
    leave(cluster);
    return rc;
}

int cluster_fetched(struct cluster *cluster, unsigned lane, struct msg *msg)
{
    int rc;

    enter(cluster);
    rc = inquiries_fetched(cluster->inquiries, lane, msg);
    leave(cluster);
    return rc;
}

int cluster_reached(struct cluster *cluster, unsigned lane, struct msg *msg)
{
    int rc;

    enter(cluster);
    rc = emissions_reached(cluster->emissions, lane, msg);
    leave(cluster);
    return rc;
}

int cluster_ack(struct cluster *cluster, unsigned lane, struct msg *msg)
{
    int rc;

    enter(cluster);
    rc = emissions_ack(cluster->emissions, lane, msg);
    leave(cluster);
    return rc;
}

void cluster_worker_down(struct cluster *cluster, unsigned lane)
{
    enter(cluster);
    laneset_put(&cluster->down, lane);
    leave(cluster);
}
