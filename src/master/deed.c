#include "master/deed.h"

#include "base/log.h"
#include "master/gone.h"
#include "master/laneset.h"
#include "master/relay.h"
#include "master/route.h"
#include "master/show.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct deed {
    struct table_node node; /* first; its key is id */
    struct deed *prev, *next;
    uint32_t id;
    struct reply reply;
    int is_owed; /* a copy has come that has to be answered */
    int is_done; /* there was such a client */
    struct laneset waiting;
    uint64_t until_ms;
};

struct deeds {
    struct responder *responder;
    struct table table;
    struct deed *first, *last; /* in the order in which they end */
};

struct deeds *deeds_new(struct responder *responder)
{
    struct deeds *deeds = calloc(1, sizeof(*deeds));

    if (deeds == NULL)
        return NULL;
    deeds->responder = responder;
    table_init(&deeds->table);
    return deeds;
}

static void drop(struct deeds *deeds, struct deed *deed)
{
    table_remove(&deeds->table, &deed->node);
    *(deed->prev != NULL ? &deed->prev->next : &deeds->first) = deed->next;
    *(deed->next != NULL ? &deed->next->prev : &deeds->last) = deed->prev;
    reply_clear(&deed->reply);
    free(deed);
}

void deeds_free(struct deeds **deedsp)
{
    struct deeds *deeds = *deedsp;

    if (deeds == NULL)
        return;
    while (deeds->first != NULL)
        drop(deeds, deeds->first);
    table_clear(&deeds->table);
    free(deeds);
    *deedsp = NULL;
}

static struct deed *find(const struct deeds *deeds, uint32_t id)
{
    return (struct deed *)table_find(&deeds->table, (const char *)&id, sizeof(id));
}

static void list_put(struct deeds *deeds, struct deed *deed)
{
    deed->prev = deeds->last;
    *(deeds->last != NULL ? &deeds->last->next : &deeds->first) = deed;
    deeds->last = deed;
}

/* NULL where there are as many as may be, or is no memory. */
static struct deed *make(struct deeds *deeds, const struct request *request, uint64_t now_ms)
{
    struct deed *deed = deeds->table.count < DEED_MAX ? calloc(1, sizeof(*deed)) : NULL;

    if (deed == NULL)
        return NULL;
    deed->id = responder_id(deeds->responder);
    deed->node.key = (const char *)&deed->id;
    deed->node.key_len = sizeof(deed->id);
    deed->until_ms = now_ms + SEEN_MS;
    if (reply_init(&deed->reply, deeds->responder, request, 0) < 0 ||
        table_insert(&deeds->table, &deed->node) < 0) {
        reply_clear(&deed->reply);
        free(deed);
        return NULL;
    }
    list_put(deeds, deed);
    return deed;
}

/* --- answering -------------------------------------------------------------------- */

/* Once both have come: who wants to hear of it, and that it is done. */
static void settle(struct deeds *deeds, struct deed *deed)
{
    struct request request = reply_request(&deed->reply);
    struct buf payload = {0};

    if (!deed->is_owed || !deed->is_done)
        return;
    (void)request_put_done(&payload, &request);
    (void)reply_send(&deed->reply, deeds->responder, &payload, RESPONSE_FULL, NULL, NULL);
    drop(deeds, deed);
}

void deeds_counted(struct deeds *deeds, const struct request *request, uint32_t via,
                   struct seen_request *seen, uint64_t now_ms)
{
    struct deed *deed;

    if (seen == NULL || seen->is_counted)
        return;
    seen->is_counted = 1;
    deed = find(deeds, seen->number);
    if (seen->number == 0 && !seen->is_ordered)
        deed = make(deeds, request, now_ms);
    if (deed == NULL)
        return;
    seen->number = deed->id;
    deed->is_owed = 1;
    deed->reply.via = via;
    settle(deeds, deed);
}

/* --- doing it ----------------------------------------------------------------------- */

static enum msg_type type_of(const struct request *request)
{
    if (request->type == REQUEST_JOIN)
        return MSG_JOIN;
    if (request->type == REQUEST_LEAVE)
        return MSG_LEAVE;
    assert(request->type == REQUEST_DISCONNECT);
    return MSG_DISCONNECT;
}

static void put(struct buf *message, const struct request *request, uint32_t id)
{
    size_t mark;

    buf_reset(message);
    mark = msg_begin(message, type_of(request));
    msg_put_u32(message, id);
    msg_put_u8(message, request->by_id ? MSG_SELECT_IDS : MSG_SELECT_ROOMS);
    msg_put_list(message, &request->rooms);
    msg_put_list(message, &request->except);
    if (request->type == REQUEST_DISCONNECT)
        msg_put_u8(message, request->close != 0);
    else
        msg_put_list(message, &request->names);
    (void)msg_end(message, mark);
}

/* Before it is sent: a worker that turns out to be dead by then leaves clients behind that it
 * means. */
static void tell_gone(const struct responder *responder, const struct request *request, uint32_t id,
                      const struct route_targets *targets)
{
    const struct gone_request order = {.type = type_of(request),
                                       .id = id,
                                       .by_id = request->by_id,
                                       .rooms = &request->rooms,
                                       .except = &request->except,
                                       .names = &request->names,
                                       .seq = relay_seq(responder->relay),
                                       .rooms_max = responder->conf->rooms_per_client};

    if (responder->gone != NULL && responder_may_send(responder, &responder->message))
        gone_request(responder->gone, &order, targets);
}

static int send(struct deeds *deeds, const struct request *request, uint32_t id, struct deed *deed)
{
    struct responder *responder = deeds->responder;
    const struct route_targets *targets = route_find(responder->route, &request->rooms);

    if (log_get_level() >= LOG_LEVEL_DEBUG)
        show_request(request, targets);
    put(&responder->message, request, id);
    if (request->type == REQUEST_JOIN)
        (void)route_expect(responder->route, id, &request->names, targets);
    tell_gone(responder, request, id, targets);
    for (size_t i = 0; deed != NULL && i < targets->n; i++)
        laneset_put(&deed->waiting, targets->lanes[i]);
    if (targets->n > 0 && responder_send(responder, &responder->message, targets) == 0)
        return 0;
    for (size_t i = 0; i < targets->n; i++) /* nothing is on its way, nobody will answer */
        route_settle(responder->route, id, targets->lanes[i]);
    if (deed != NULL)
        drop(deeds, deed);
    return targets->n > 0 ? -1 : 0;
}

/* That of a request with an id that has not come in its place before. */
static struct deed *deed_of(struct deeds *deeds, const struct request *request,
                            struct seen_request *seen, uint64_t now_ms)
{
    struct deed *deed;

    if (seen == NULL || seen->is_ordered)
        return NULL;
    seen->is_ordered = 1;
    deed = find(deeds, seen->number);
    if (seen->number == 0 && !seen->is_counted)
        deed = make(deeds, request, now_ms);
    if (deed != NULL)
        seen->number = deed->id;
    return deed;
}

int deeds_order(struct deeds *deeds, const struct request *request, struct seen_request *seen,
                uint64_t now_ms)
{
    struct deed *deed = deed_of(deeds, request, seen, now_ms);

    return send(deeds, request, deed != NULL ? deed->id : responder_id(deeds->responder), deed);
}

/* --- what workers say --------------------------------------------------------------- */

/* That worker has nothing more to say. */
static void said(struct deeds *deeds, struct deed *deed, unsigned lane, uint32_t clients)
{
    if (!laneset_take(&deed->waiting, lane))
        return;
    deed->is_done |= clients > 0;
    if (!deed->is_done && deed->waiting.n == 0)
        drop(deeds, deed);
    else
        settle(deeds, deed);
}

int deeds_acted(struct deeds *deeds, unsigned lane, struct msg *msg)
{
    uint32_t id = msg_get_u32(msg);
    uint32_t clients = msg_get_u32(msg);
    struct deed *deed;

    if (msg_close(msg) < 0)
        return -1;
    route_settle(deeds->responder->route, id, lane);
    if (deeds->responder->gone != NULL)
        gone_acted(deeds->responder->gone, id, lane);
    deed = find(deeds, id);
    if (deed != NULL)
        said(deeds, deed, lane, clients);
    return 0;
}

void deeds_down(struct deeds *deeds, unsigned lane)
{
    struct deed *next;

    for (struct deed *deed = deeds->first; deed != NULL; deed = next) {
        next = deed->next;
        said(deeds, deed, lane, 0);
    }
}

/* --- in time ------------------------------------------------------------------------ */

void deeds_turn(struct deeds *deeds, uint64_t now_ms)
{
    while (deeds->first != NULL && now_ms >= deeds->first->until_ms)
        drop(deeds, deeds->first);
}

uint64_t deeds_due_ms(const struct deeds *deeds)
{
    return deeds->first != NULL ? deeds->first->until_ms : UINT64_MAX;
}
