#include "master/emission.h"

#include "base/clock.h"
#include "master/laneset.h"
#include "master/relay.h"
#include "master/route.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS 1000 /* between looks for those whose time is up */

/* An acknowledgement that waits. */
struct held {
    struct held *next;
    struct buf payload;
};

struct emission {
    struct table_node node; /* first; its key is id */
    struct emission *prev, *next;
    uint32_t id;
    struct reply reply;
    struct further further;
    int is_owed;  /* a copy has come that has to be answered */
    int is_sent;  /* to the workers */
    int is_known; /* to how many it went: it is in that list */
    int is_told;  /* that has been published */
    uint64_t clients, acks;
    struct laneset waiting; /* workers that have not said to how many it went */
    struct laneset reached; /* whose number counts */
    uint64_t count_ms;      /* until when they can say so */
    uint64_t until_ms;      /* until when it may be acknowledged */
    struct held *held, **held_end;
};

struct list {
    struct emission *first, *last;
};

struct emissions {
    struct responder *responder;
    struct table table;
    struct list open, known;
    uint64_t look_ms; /* when those that are known are looked at next */
    size_t held_bytes;
    struct slices attachments; /* reused */
    struct emission_stats stats;
};

struct emissions *emissions_new(struct responder *responder)
{
    struct emissions *emissions = calloc(1, sizeof(*emissions));

    if (emissions == NULL)
        return NULL;
    emissions->responder = responder;
    table_init(&emissions->table);
    return emissions;
}

/* --- lists ------------------------------------------------------------------------ */

static void list_put(struct list *list, struct emission *emission)
{
    emission->prev = list->last;
    emission->next = NULL;
    *(list->last != NULL ? &list->last->next : &list->first) = emission;
    list->last = emission;
}

static void list_take(struct list *list, struct emission *emission)
{
    *(emission->prev != NULL ? &emission->prev->next : &list->first) = emission->next;
    *(emission->next != NULL ? &emission->next->prev : &list->last) = emission->prev;
}

static struct held *held_take(struct emissions *emissions, struct emission *emission)
{
    struct held *held = emission->held;

    emission->held = held->next;
    if (emission->held == NULL)
        emission->held_end = &emission->held;
    emissions->held_bytes -= sizeof(*held) + held->payload.cap;
    return held;
}

static void drop(struct emissions *emissions, struct emission *emission)
{
    while (emission->held != NULL) {
        struct held *held = held_take(emissions, emission);
        emissions->stats.lost++;
        buf_free(&held->payload);
        free(held);
    }
    table_remove(&emissions->table, &emission->node);
    list_take(emission->is_known ? &emissions->known : &emissions->open, emission);
    reply_clear(&emission->reply);
    free(emission);
}

void emissions_free(struct emissions **emissionsp)
{
    struct emissions *emissions = *emissionsp;

    if (emissions == NULL)
        return;
    while (emissions->open.first != NULL)
        drop(emissions, emissions->open.first);
    while (emissions->known.first != NULL)
        drop(emissions, emissions->known.first);
    table_clear(&emissions->table);
    slices_clear(&emissions->attachments);
    free(emissions);
    *emissionsp = NULL;
}

static struct emission *find(const struct emissions *emissions, uint32_t id)
{
    return (struct emission *)table_find(&emissions->table, (const char *)&id, sizeof(id));
}

/* Makes place for one.  The oldest waits, it may be, for somebody who never answers: whoever
 * asked for that must not keep all others from asking.  Returns 0, or -1. */
static int make_place(struct emissions *emissions)
{
    if (emissions->table.count < EMISSION_MAX)
        return 0;
    if (emissions->known.first == NULL)
        return -1;
    drop(emissions, emissions->known.first);
    return 0;
}

/* NULL where there are as many as may be, or is no memory. */
static struct emission *make(struct emissions *emissions, const struct request *request,
                             uint64_t now_ms)
{
    struct emission *emission;

    if (make_place(emissions) < 0)
        return NULL;
    emission = calloc(1, sizeof(*emission));
    if (emission == NULL)
        return NULL;
    emission->id = responder_id(emissions->responder);
    emission->node.key = (const char *)&emission->id;
    emission->node.key_len = sizeof(emission->id);
    emission->held_end = &emission->held;
    emission->count_ms = now_ms + emissions->responder->conf->requests_timeout_ms;
    emission->until_ms = emission->count_ms;
    if (reply_init(&emission->reply, emissions->responder, request, 0) < 0 ||
        table_insert(&emissions->table, &emission->node) < 0) {
        reply_clear(&emission->reply);
        free(emission);
        return NULL;
    }
    list_put(&emissions->open, emission);
    return emission;
}

/* --- what is published ------------------------------------------------------------ */

static void publish_ack(struct emissions *emissions, const struct emission *emission,
                        struct buf *payload)
{
    const struct responder *responder = emissions->responder;
    struct slice channel = {(const char *)emission->reply.channel.data,
                            emission->reply.channel.len};

    if (!payload->failed && responder->ops->publish(emission->reply.via, channel, payload, NULL,
                                                    NULL, responder->arg) == 0) {
        emissions->stats.acks++;
        return;
    }
    buf_free(payload);
    emissions->stats.lost++;
}

static void hold(struct emissions *emissions, struct emission *emission, struct buf *payload)
{
    size_t bytes = sizeof(struct held) + payload->cap;
    struct held *held = NULL;

    if (!payload->failed && emissions->held_bytes + bytes <= EMISSION_HELD_BYTES)
        held = malloc(sizeof(*held));
    if (held == NULL) {
        buf_free(payload);
        emissions->stats.lost++;
        return;
    }
    *held = (struct held){.payload = *payload};
    *emission->held_end = held;
    emission->held_end = &held->next;
    emissions->held_bytes += bytes;
}

/* All have answered, or the last of them has. */
static int is_over(const struct emission *emission)
{
    return emission->is_told && emission->acks >= emission->clients;
}

static void tell(struct emissions *emissions, struct emission *emission)
{
    struct request request = reply_request(&emission->reply);
    struct buf payload = {0};

    emission->is_told = 1;
    (void)request_put_count(&payload, &request, emission->clients);
    (void)reply_send_all(
        &emission->reply, &emission->further, emissions->responder, &payload,
        emission->waiting.n > 0 || !emission->is_sent ? RESPONSE_SHORT : RESPONSE_FULL, NULL, NULL);
    while (emission->held != NULL) {
        struct held *held = held_take(emissions, emission);
        publish_ack(emissions, emission, &held->payload);
        free(held);
    }
    if (is_over(emission))
        drop(emissions, emission);
}

/* It may be gone then. */
static void become_known(struct emissions *emissions, struct emission *emission)
{
    list_take(&emissions->open, emission);
    emission->is_known = 1;
    list_put(&emissions->known, emission);
    if (emission->is_owed)
        tell(emissions, emission);
}

/* --- copies ----------------------------------------------------------------------- */

/* What this copy is the first of that has to be answered, or NULL. */
static struct emission *owed(struct emissions *emissions, const struct request *request,
                             struct seen_request *seen, uint64_t now_ms)
{
    struct emission *emission;

    if (seen->is_counted)
        return NULL;
    seen->is_counted = 1;
    emission = find(emissions, seen->number);
    if (seen->number != 0 || seen->is_ordered)
        return emission;
    emission = make(emissions, request, now_ms);
    if (emission != NULL)
        seen->number = emission->id;
    return emission;
}

/* Notes a further copy, to be answered behind the first.  Returns 0 where that is over. */
static int is_further(const struct emissions *emissions, const struct seen_request *seen,
                      uint32_t via)
{
    struct emission *emission = seen->is_counted ? find(emissions, seen->number) : NULL;

    if (emission == NULL || emission->is_told || emission->further.n == FURTHER_MAX)
        return 0;
    emission->further.vias[emission->further.n++] = via;
    return 1;
}

void emissions_counted(struct emissions *emissions, const struct request *request, uint32_t via,
                       struct seen_request *seen, uint64_t now_ms)
{
    struct emission *emission;

    if (seen == NULL) {
        responder_result(emissions->responder, RESPONSE_UNSENDABLE, request->type);
        return;
    }
    if (is_further(emissions, seen, via))
        return;
    emission = owed(emissions, request, seen, now_ms);
    if (emission == NULL) {
        reply_nobody(emissions->responder, request, via);
        return;
    }
    emission->is_owed = 1;
    emission->reply.via = via;
    if (emission->is_known)
        tell(emissions, emission);
}

/* --- to the workers ----------------------------------------------------------------- */

static uint64_t timeout_of(const struct emissions *emissions, const struct request *request)
{
    if (request->timeout_ms == 0)
        return emissions->responder->conf->requests_timeout_ms;
    return request->timeout_ms < EMISSION_TIMEOUT_MS ? request->timeout_ms : EMISSION_TIMEOUT_MS;
}

static void send(struct emissions *emissions, const struct request *request,
                 struct emission *emission, uint64_t now_ms)
{
    struct responder *responder = emissions->responder;
    uint32_t id = emission != NULL ? emission->id : responder_id(responder);
    /* Where nobody hears of acknowledgements no worker keeps who is to give them. */
    uint64_t timeout_ms = emission != NULL ? timeout_of(emissions, request) : 0;
    const struct route_targets *targets = relay_emit(
        responder->relay, &responder->message, id, (uint32_t)timeout_ms, clock_us(), &request->bc);

    if (emission != NULL) {
        emission->is_sent = 1;
        emission->until_ms = now_ms + timeout_ms;
        for (size_t i = 0; targets != NULL && i < targets->n; i++)
            laneset_put(&emission->waiting, targets->lanes[i]);
    }
    if (targets != NULL && responder_send(responder, &responder->message, targets) < 0 &&
        emission != NULL)
        emission->waiting = (struct laneset){0};
    if (emission != NULL && emission->waiting.n == 0)
        become_known(emissions, emission);
}

void emissions_order(struct emissions *emissions, const struct request *request,
                     struct seen_request *seen, uint64_t now_ms)
{
    struct emission *emission = NULL;

    if (seen != NULL && !seen->is_ordered) {
        seen->is_ordered = 1;
        emission = find(emissions, seen->number);
        if (emission == NULL && seen->number == 0 && !seen->is_counted)
            emission = make(emissions, request, now_ms);
        if (emission != NULL)
            seen->number = emission->id;
    }
    send(emissions, request, emission, now_ms);
}

/* --- what workers say --------------------------------------------------------------- */

int emissions_reached(struct emissions *emissions, unsigned lane, struct msg *msg)
{
    uint32_t id = msg_get_u32(msg);
    uint32_t clients = msg_get_u32(msg);
    struct emission *emission;

    if (msg_close(msg) < 0)
        return -1;
    emission = find(emissions, id);
    if (emission == NULL || emission->is_known || !laneset_take(&emission->waiting, lane))
        return 0;
    emission->clients += clients;
    laneset_put(&emission->reached, lane);
    if (emission->waiting.n == 0)
        become_known(emissions, emission);
    return 0;
}

static void take_ack(struct emissions *emissions, struct emission *emission, struct slice json)
{
    struct request request = reply_request(&emission->reply);
    struct buf payload = {0};

    (void)request_put_ack(&payload, &request, json, &emissions->attachments);
    emission->acks++;
    if (emission->is_told)
        publish_ack(emissions, emission, &payload);
    else
        hold(emissions, emission, &payload);
    if (is_over(emission))
        drop(emissions, emission);
}

int emissions_ack(struct emissions *emissions, unsigned lane, struct msg *msg)
{
    uint32_t id = msg_get_u32(msg);
    struct slice json = msg_get_bytes(msg);
    struct emission *emission;

    emissions->attachments.n = 0;
    msg_get_list(msg, &emissions->attachments);
    if (msg->starved)
        return 1;
    if (msg_close(msg) < 0)
        return -1;
    emission = find(emissions, id);
    if (emission != NULL && laneset_has(&emission->reached, lane))
        take_ack(emissions, emission, json);
    else
        emissions->stats.lost++;
    return 0;
}

void emissions_down(struct emissions *emissions, unsigned lane)
{
    struct emission *next;

    for (struct emission *emission = emissions->open.first; emission != NULL; emission = next) {
        next = emission->next;
        if (laneset_take(&emission->waiting, lane) && emission->waiting.n == 0)
            become_known(emissions, emission);
    }
    for (struct emission *emission = emissions->known.first; emission != NULL;
         emission = emission->next)
        (void)laneset_take(&emission->reached, lane);
}

/* --- in time ------------------------------------------------------------------------ */

/* What has not come in its place by now is answered as if it went to nobody: who asks waits
 * no longer. */
static void expire_open(struct emissions *emissions, uint64_t now_ms)
{
    while (emissions->open.first != NULL && now_ms >= emissions->open.first->count_ms)
        become_known(emissions, emissions->open.first);
}

/* One that nobody has to hear of is kept for a copy that may come. */
static int is_past(const struct emission *emission, uint64_t now_ms)
{
    if (now_ms >= emission->until_ms)
        return 1;
    return !emission->is_owed && now_ms >= emission->count_ms + SEEN_MS;
}

static void expire_known(struct emissions *emissions, uint64_t now_ms)
{
    struct emission *next;

    if (now_ms < emissions->look_ms)
        return;
    emissions->look_ms = now_ms + LOOK_MS;
    for (struct emission *emission = emissions->known.first; emission != NULL; emission = next) {
        next = emission->next;
        if (is_past(emission, now_ms))
            drop(emissions, emission);
    }
}

void emissions_turn(struct emissions *emissions, uint64_t now_ms)
{
    expire_open(emissions, now_ms);
    expire_known(emissions, now_ms);
}

uint64_t emissions_due_ms(const struct emissions *emissions)
{
    uint64_t due_ms = UINT64_MAX;

    if (emissions->open.first != NULL)
        due_ms = emissions->open.first->count_ms;
    if (emissions->known.first != NULL && emissions->look_ms < due_ms)
        due_ms = emissions->look_ms;
    return due_ms;
}

const struct emission_stats *emissions_stats(const struct emissions *emissions)
{
    return &emissions->stats;
}
