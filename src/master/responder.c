#include "master/responder.h"

#include "ipc/start.h"
#include "master/route.h"

#include <stdlib.h>

#define RESULT_LOG_MS 60000
#define LOOKS_MAX     256 /* answers that are not confirmed, the youngest first */

const char *response_result_name(enum response_result result)
{
    static const char *const names[] = {"full",      "empty", "short",
                                        "too_large", "busy",  "unsendable"};

    _Static_assert(sizeof(names) / sizeof(*names) == RESPONSE_RESULTS, "one for each");
    return names[result];
}

uint32_t responder_id(struct responder *responder)
{
    if (++responder->last_id == 0)
        responder->last_id = 1;
    return responder->last_id;
}

int responder_may_send(const struct responder *responder, const struct buf *message)
{
    return !message->failed && message->len > 0 &&
           message->len <= start_message_max(responder->conf);
}

int responder_send(struct responder *responder, const struct buf *message,
                   const struct route_targets *targets)
{
    struct route_targets copy; /* a worker that turns out to be dead may have others looked up */

    if (!responder_may_send(responder, message))
        return -1;
    copy.n = targets->n;
    memcpy(copy.lanes, targets->lanes, targets->n * sizeof(targets->lanes[0]));
    for (size_t i = 0; i < copy.n; i++)
        responder->ops->send(copy.lanes[i], message->data, message->len, responder->arg);
    return 0;
}

void responder_result(struct responder *responder, enum response_result result,
                      enum request_type type)
{
    uint64_t count;

    responder->results[result]++;
    if (result != RESPONSE_TOO_LARGE && result != RESPONSE_BUSY && result != RESPONSE_UNSENDABLE)
        return;
    count = log_due(&responder->log[result], RESULT_LOG_MS);
    if (count > 0)
        log_event(WARN, "request_not_answered",
                  "request not answered[: reason={} type={} count={}]",
                  LOG_STR("reason", response_result_name(result)),
                  LOG_STR("type", request_type_name(type)), LOG_UINT("count", count));
}

/* --- to whom -------------------------------------------------------------------- */

static int is_channel_word(struct slice uid)
{
    if (uid.len > REPLY_UID_MAX)
        return 0;
    for (size_t i = 0; i < uid.len; i++)
        if (uid.ptr[i] <= ' ' || uid.ptr[i] > '~')
            return 0;
    return 1;
}

static int has_own_channel(const struct request *request)
{
    return !request->is_old &&
           (request->type == REQUEST_SOCKETS || request->type == REQUEST_ALL_ROOMS ||
            request->type == REQUEST_FETCH || request->type == REQUEST_BROADCAST);
}

int reply_init(struct reply *reply, const struct responder *responder,
               const struct request *request, uint32_t via)
{
    struct slice uid = request->uid;

    *reply = (struct reply){.type = request->type, .is_old = request->is_old, .via = via};
    if (!has_own_channel(request) || !is_channel_word(uid))
        uid.len = 0;
    if (buf_put(&reply->id, request->id.ptr, request->id.len) == 0 &&
        response_channel(&reply->channel, slice_str(responder->conf->key),
                         slice_str(responder->conf->nsp), uid) == 0)
        return 0;
    reply_clear(reply);
    return -1;
}

void reply_clear(struct reply *reply)
{
    buf_free(&reply->id);
    buf_free(&reply->channel);
}

struct request reply_request(const struct reply *reply)
{
    return (struct request){.type = reply->type,
                            .is_old = reply->is_old,
                            .id = {(const char *)reply->id.data, reply->id.len}};
}

int reply_send(const struct reply *reply, struct responder *responder, struct buf *payload,
               enum response_result result, void (*done)(int ok, void *arg), void *arg)
{
    struct slice channel = {(const char *)reply->channel.data, reply->channel.len};

    if (!payload->failed &&
        responder->ops->publish(reply->via, channel, payload, done, arg, responder->arg) == 0) {
        responder_result(responder, result, reply->type);
        return 0;
    }
    buf_free(payload);
    responder_result(responder, RESPONSE_UNSENDABLE, reply->type);
    return -1;
}

/* Returns 0 if there is nothing to be said. */
static int put_nobody(struct buf *out, const struct request *request)
{
    switch (request->type) {
    case REQUEST_SOCKETS:
    case REQUEST_ALL_ROOMS:
    case REQUEST_FETCH:
        (void)request_put_head(out, request);
        (void)request_put_tail(out);
        return 1;
    case REQUEST_SERVER_SIDE_EMIT:
    case REQUEST_CUSTOM:
        (void)request_put_null(out, request);
        return 1;
    case REQUEST_BROADCAST:
        (void)request_put_count(out, request, 0);
        return 1;
    case REQUEST_CLIENT_ROOMS: /* whoever has that client answers */
    case REQUEST_JOIN:
    case REQUEST_LEAVE:
    case REQUEST_DISCONNECT:
    case REQUEST_TYPES:
        break;
    }
    return 0;
}

/* An answer that redis has not confirmed, and what is to follow it then. */
struct behind {
    struct behind *prev, *next;
    struct responder *responder;
    struct reply reply;
    struct further further;
    void (*done)(int ok, void *arg);
    void *arg;
};

static void behind_free(struct behind *behind)
{
    reply_clear(&behind->reply);
    free(behind);
}

static void behind_put(struct behind *behind)
{
    struct responder *responder = behind->responder;

    behind->next = responder->unconfirmed;
    if (behind->next != NULL)
        behind->next->prev = behind;
    responder->unconfirmed = behind;
}

static void behind_take(const struct behind *behind)
{
    *(behind->prev != NULL ? &behind->prev->next : &behind->responder->unconfirmed) = behind->next;
    if (behind->next != NULL)
        behind->next->prev = behind->prev;
}

static int same(const struct buf *a, const struct buf *b)
{
    return slice_eq((struct slice){(const char *)a->data, a->len},
                    (struct slice){(const char *)b->data, b->len});
}

/* Notes a copy of what has been answered and not confirmed, over another connection.  Returns 0
 * if there is none.  A flood of copies does not look through a flood of answers. */
static int is_behind(const struct responder *responder, const struct reply *reply)
{
    struct behind *behind = responder->unconfirmed;

    for (unsigned i = 0; behind != NULL && i < LOOKS_MAX; behind = behind->next, i++) {
        if (behind->reply.type != reply->type || !same(&behind->reply.id, &reply->id) ||
            !same(&behind->reply.channel, &reply->channel))
            continue;
        if (behind->further.n == FURTHER_MAX)
            return 0;
        behind->further.vias[behind->further.n++] = reply->via;
        return 1;
    }
    return 0;
}

static struct behind *behind_new(const struct reply *reply, const struct further *further,
                                 struct responder *responder)
{
    struct behind *behind = calloc(1, sizeof(*behind));

    if (behind == NULL)
        return NULL;
    behind->responder = responder;
    behind->further = *further;
    behind->reply = (struct reply){.type = reply->type, .is_old = reply->is_old};
    if (buf_put(&behind->reply.id, reply->id.data, reply->id.len) == 0 &&
        buf_put(&behind->reply.channel, reply->channel.data, reply->channel.len) == 0)
        return behind;
    behind_free(behind);
    return NULL;
}

static void on_first(int ok, void *arg)
{
    struct behind *behind = arg;
    struct request request = reply_request(&behind->reply);

    behind_take(behind);
    for (unsigned i = 0; ok && i < behind->further.n; i++) {
        struct buf payload = {0};
        if (!put_nobody(&payload, &request))
            break;
        behind->reply.via = behind->further.vias[i];
        (void)reply_send(&behind->reply, behind->responder, &payload, RESPONSE_EMPTY, NULL, NULL);
    }
    if (behind->done != NULL)
        behind->done(ok, behind->arg);
    behind_free(behind);
}

int reply_send_all(const struct reply *reply, const struct further *further,
                   struct responder *responder, struct buf *payload, enum response_result result,
                   void (*done)(int ok, void *arg), void *arg)
{
    struct behind *behind = behind_new(reply, further, responder);

    if (behind == NULL) /* without memory nothing follows */
        return reply_send(reply, responder, payload, result, done, arg);
    behind->done = done;
    behind->arg = arg;
    if (reply_send(reply, responder, payload, result, on_first, behind) == 0) {
        behind_put(behind);
        return 0;
    }
    behind_free(behind);
    return -1;
}

void responder_clear(struct responder *responder)
{
    struct behind *behind = responder->unconfirmed, *next;

    responder->unconfirmed = NULL;
    for (; behind != NULL; behind = next) {
        next = behind->next;
        behind_free(behind);
    }
    buf_free(&responder->message);
}

void reply_nobody(struct responder *responder, const struct request *request, uint32_t via)
{
    struct buf payload = {0};
    struct reply reply;

    if (request->id.len == 0 || !put_nobody(&payload, request))
        return;
    if (reply_init(&reply, responder, request, via) < 0) {
        buf_free(&payload);
        responder_result(responder, RESPONSE_UNSENDABLE, request->type);
        return;
    }
    if (is_behind(responder, &reply))
        buf_free(&payload);
    else
        (void)reply_send(&reply, responder, &payload, RESPONSE_EMPTY, NULL, NULL);
    reply_clear(&reply);
}
