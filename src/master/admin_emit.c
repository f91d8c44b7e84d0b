#include "master/admin_routes.h"

#include "base/log.h"
#include "codec/broadcast.h"
#include "codec/emit.h"
#include "codec/emit_call.h"
#include "codec/request.h"
#include "conf.h"
#include "master/admin_counts.h"
#include "master/asking.h"

#include <stdlib.h>

#define MORE_MS       10000     /* than the clients' time: to be subscribed, and for the answer */
#define ANSWERS_BYTES (4 << 20) /* of what clients have answered that is told */
#define SHOWN_MAX     200

/* A message on its way. */
struct sending {
    struct caller *caller;     /* NULL: it has gone */
    struct question *question; /* where it is to be acknowledged */
    struct answer answer;
    double reached;
    unsigned long long acknowledged;
    struct buf answers; /* JSON, with commas between them */
    int has_more;
    struct emit_limits limits;
};

static struct slice slice_of(const struct buf *buf)
{
    return (struct slice){(const char *)buf->data, buf->len};
}

static void sending_free(struct sending *sending)
{
    question_free(&sending->question);
    answer_clear(&sending->answer);
    buf_free(&sending->answers);
    free(sending);
}

/* --- without acknowledgements ------------------------------------------------- */

static void on_published(int ok, void *arg)
{
    struct sending *sending = arg;
    struct buf body = {0};

    if (sending->caller != NULL && ok == 0) {
        caller_refuse(sending->caller, 503, NULL,
                      "redis has refused it, or its connection was lost before it said so");
    } else if (sending->caller != NULL) {
        (void)buf_printf(&body, "{\"subscribers\":%d}\n", ok - 1);
        caller_answer(sending->caller, 200, CALLER_JSON, NULL, &body);
    }
    if (ok > 0)
        admin_count_action(ADMIN_EMIT);
    sending_free(sending);
}

/* It is published all the same. */
static void on_gone(void *arg)
{
    struct sending *sending = arg;

    sending->caller = NULL;
}

static void send_plain(const struct admin_call *call, struct sending *sending, struct slice channel,
                       struct buf *payload)
{
    if (asking_publish(call->desk->asking, channel, payload, on_published, sending) < 0) {
        caller_refuse(call->caller, 503, "Retry-After: 1\r\n",
                      "redis cannot be told anything at present");
        sending_free(sending);
        return;
    }
    caller_wait(call->caller, MORE_MS, on_gone, sending);
}

/* --- with --------------------------------------------------------------------- */

static void add_answer(struct sending *sending)
{
    struct slice json = sending->answer.json.len > 0 ? sending->answer.json : SLICE("null");

    if (sending->answers.len + json.len > ANSWERS_BYTES) {
        sending->has_more = 1;
        return;
    }
    if (sending->answers.len > 0)
        (void)buf_putc(&sending->answers, ',');
    (void)buf_put(&sending->answers, json.ptr, json.len);
}

static int on_heard(struct slice payload, int is_own, void *arg)
{
    struct sending *sending = arg;

    (void)is_own;
    switch (answer_decode(&sending->answer, payload, question_id(sending->question),
                          &sending->limits)) {
    case ANSWER_COUNT:
        sending->reached += sending->answer.clients;
        return 1;
    case ANSWER_ACK:
        sending->acknowledged++;
        add_answer(sending);
        break;
    case ANSWER_NONE:
    case ANSWER_NO_MEMORY:
        break;
    }
    return 0;
}

static int is_whole(void *arg)
{
    const struct sending *sending = arg;

    return (double)sending->acknowledged >= sending->reached;
}

static void put_result(struct buf *out, const struct sending *sending, enum question_end end)
{
    const struct question *question = sending->question;

    (void)buf_printf(out,
                     "{\"subscribers\":%u,\"servers\":%u,\"answered\":%u,\"reached\":%.0f,"
                     "\"acknowledged\":%llu,\"timeout\":%s,\"answers\":[",
                     question_subscribers(question), question_servers(question),
                     question_answered(question), sending->reached, sending->acknowledged,
                     end == QUESTION_ANSWERED ? "false" : "true");
    (void)buf_put(out, sending->answers.data, sending->answers.len);
    (void)buf_puts(out, sending->has_more ? "],\"moreAnswers\":true}\n" : "]}\n");
    out->failed |= sending->answers.failed;
}

static void on_over(enum question_end end, const char *why, void *arg)
{
    struct sending *sending = arg;
    struct buf body = {0};

    if (end != QUESTION_UNASKED)
        admin_count_action(ADMIN_EMIT);
    if (sending->caller == NULL) {
        /* nobody is there to be told */
    } else if (end == QUESTION_UNASKED) {
        caller_refuse(sending->caller, 503, "Retry-After: 1\r\n", why);
    } else {
        put_result(&body, sending, end);
        caller_answer(sending->caller, 200, CALLER_JSON, NULL, &body);
    }
    sending_free(sending);
}

static const struct question_ops question_ops = {on_heard, is_whole, on_over};

/* It is published all the same. */
static void on_acked_gone(void *arg)
{
    struct sending *sending = arg;

    sending->caller = NULL;
    question_leave(sending->question);
}

static void send_acked(const struct admin_call *call, struct sending *sending,
                       const struct emit_call *message, const struct conf *conf)
{
    struct request_broadcast request = {.nsp = slice_str(conf->nsp),
                                        .rooms = &message->rooms,
                                        .except = &message->except,
                                        .flags = message->flags,
                                        .timeout_ms = message->ack_ms,
                                        .json = slice_of(&message->json)};
    struct buf payload = {0};

    sending->question =
        question_new(call->desk->asking, ASKING_QUESTIONS, message->ack_ms, &question_ops, sending);
    if (sending->question == NULL) {
        caller_refuse(call->caller, 503, "Retry-After: 1\r\n", "too many questions are under way");
        sending_free(sending);
        return;
    }
    request.uid = question_uid(sending->question);
    request.id = question_id(sending->question);
    if (request_put_broadcast(&payload, &request) < 0)
        payload.failed = 1;
    question_ask(sending->question, &payload);
    caller_wait(call->caller, message->ack_ms + MORE_MS, on_acked_gone, sending);
    caller_heed(call->caller);
}

/* --- the message -------------------------------------------------------------- */

/* What no daemon would take.  Returns 0, or -1 where caller has been told so. */
static int check(struct caller *caller, struct slice channel, struct slice payload,
                 const struct conf *conf)
{
    const struct emit_limits limits = {conf->message_bytes, conf->attachments};
    struct broadcast bc = {0};
    enum emit_result result =
        emit_decode(&bc, channel, payload, slice_str(conf->key), slice_str(conf->nsp), &limits);

    broadcast_clear(&bc);
    if (result == EMIT_OK)
        return 0;
    if (result == EMIT_TOO_LARGE)
        caller_refuse(caller, 413, NULL, "the message is larger than limits:messageBytes");
    else if (result == EMIT_TOO_DEEP)
        caller_refuse(caller, 400, NULL, "args: they nest too deep, more than 127 levels");
    else if (result == EMIT_NO_MEMORY)
        caller_refuse(caller, 503, NULL, "out of memory");
    else
        caller_refuse(caller, 400, NULL, emit_result_name(result));
    return -1;
}

static void log_sending(const struct caller *caller, const struct emit_call *message)
{
    char text[ADDRESS_TEXT_MAX];

    log_event(INFO, "admin_emit",
              "admin: emit[ notification={}][ rooms={}][ except={}][ ack={}][ from {}]",
              LOG_WORD("notification", message->event.data, message->event.len, SHOWN_MAX),
              LOG_IF(message->rooms.n > 0, LOG_WORDS("rooms", &message->rooms)),
              LOG_IF(message->except.n > 0, LOG_WORDS("except", &message->except)),
              LOG_IF(message->ack_ms > 0, LOG_MILLIS("ack", message->ack_ms)),
              LOG_STR("address", address_text(caller_address(caller), text)));
}

/* Encodes it, and has it sent. */
static void send_message(const struct admin_call *call, const struct emit_call *message)
{
    const struct conf *conf = call->desk->ops->conf(call->desk->arg);
    struct sending *sending = calloc(1, sizeof(*sending));
    struct buf channel = {0}, payload = {0};
    int rc =
        emit_encode(&channel, &payload, slice_str(conf->key), slice_str(conf->nsp), &message->rooms,
                    &message->except, message->flags, slice_of(&message->json));

    if (sending == NULL || rc < 0) {
        caller_refuse(call->caller, 503, NULL, "out of memory");
        free(sending);
    } else if (check(call->caller, slice_of(&channel), slice_of(&payload), conf) < 0) {
        free(sending);
    } else {
        log_sending(call->caller, message);
        sending->caller = call->caller;
        sending->limits = (struct emit_limits){SIZE_MAX, BROADCAST_ATTACHMENTS_MAX};
        if (message->ack_ms > 0)
            send_acked(call, sending, message, conf);
        else
            send_plain(call, sending, slice_of(&channel), &payload);
    }
    buf_free(&channel);
    buf_free(&payload);
}

void admin_emit(const struct admin_call *call)
{
    struct emit_call message = {0};
    struct buf error = {0};
    int rc = emit_call_decode(&message, call->body, &error);

    if (rc == -1 && buf_putc(&error, '\0') == 0)
        caller_refuse(call->caller, 400, NULL, (const char *)error.data);
    else if (rc < 0)
        caller_refuse(call->caller, 503, NULL, "out of memory");
    else
        send_message(call, &message);
    emit_call_clear(&message);
    buf_free(&error);
}
