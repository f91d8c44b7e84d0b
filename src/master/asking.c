#include "master/asking.h"

#include "base/log.h"
#include "base/rand.h"
#include "base/siphash.h"
#include "codec/redis_error.h"
#include "codec/request.h"
#include "codec/tls_client.h"
#include "conf/server.h"
#include "master/redis_commands.h"
#include "master/redis_link.h"
#include "master/redis_replies.h"
#include "master/timer.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPT_MS 1500         /* to connect, and to be subscribed */
#define NAME_BYTES 8            /* of uid and id, in hexadecimal twice as many */
#define REPLY_MAX  (64UL << 20) /* answers of others come on the same channel */

#define OWN_MAX 4 /* answers of this daemon to one question: one for each copy of it */

/* What is to be answered next on its connection. */
enum stage { STAGE_AUTH, STAGE_COUNT, STAGE_COMMON, STAGE_OWN, STAGE_HEARS };

/* Of a request that redis has not confirmed. */
struct receipt {
    struct question *question; /* NULL: it is of no interest any more */
};

struct question {
    struct question *next, **prev;
    struct asking *asking;
    const struct question_ops *ops;
    void *arg;
    unsigned ms;
    char uid[2 * NAME_BYTES + 1], id[2 * NAME_BYTES + 1];
    struct buf request;
    struct event *timer; /* its end */

    struct conf_redis server; /* as it was at its beginning: a reload may change it */
    struct tls_client *client;
    struct redis_link link;
    struct redis_replies *replies;
    struct buf channels[2]; /* of answers: everybody's, and its own */
    enum stage stage;
    int oks; /* STAGE_AUTH: to come */
    uint64_t attempts;

    struct receipt *receipt;
    int is_confirmed;      /* redis has taken it */
    uint64_t own[OWN_MAX]; /* hashes of what this daemon has answered, and is yet to be heard */
    unsigned nown;
    unsigned servers, answered, subscribers;
    int is_left;   /* nobody wants the answers */
    int is_ending; /* the timer says it, with these */
    enum question_end end;
    char why[700];
};

struct asking {
    struct event_base *base;
    const struct asking_ops *ops;
    void *arg;
    struct question *questions;
    unsigned n;
    uint8_t key[16]; /* of hashes */
};

/* --- its end ------------------------------------------------------------------ */

/* From the loop. */
static void end(struct question *question, enum question_end how, const char *why)
{
    if (question->is_ending)
        return;
    question->is_ending = 1;
    question->end = how;
    (void)snprintf(question->why, sizeof(question->why), "%s", why);
    (void)timer_set(question->timer, 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct question *question = arg;

    (void)fd;
    (void)what;
    if (!question->is_ending && question->is_confirmed)
        question->end = QUESTION_LATE;
    else if (!question->is_ending) {
        question->end = QUESTION_UNASKED;
        (void)snprintf(question->why, sizeof(question->why), "redis has not answered in time");
    }
    question->ops->over(question->end, question->why, question->arg);
}

/* Has everybody said everything? */
static void look(struct question *question)
{
    if (question->is_confirmed && question->is_left)
        end(question, QUESTION_LATE, "");
    else if (question->is_confirmed && question->answered >= question->servers &&
             (question->ops->is_whole == NULL || question->ops->is_whole(question->arg)))
        end(question, QUESTION_ANSWERED, "");
}

void question_leave(struct question *question)
{
    question->is_left = 1;
    look(question);
}

/* --- it is asked -------------------------------------------------------------- */

static struct slice slice_of(const struct buf *buf)
{
    return (struct slice){(const char *)buf->data, buf->len};
}

static void on_published(int ok, void *arg)
{
    struct receipt *receipt = arg;
    struct question *question = receipt->question;

    free(receipt);
    if (question == NULL)
        return;
    question->receipt = NULL;
    if (ok == 0) {
        end(question, QUESTION_UNASKED, "redis has not taken it");
        return;
    }
    question->is_confirmed = 1;
    question->subscribers = (unsigned)ok - 1;
    look(question);
}

static void publish(struct question *question)
{
    struct asking *asking = question->asking;
    const struct conf *conf = asking->ops->conf(asking->arg);
    struct buf channel = {0};

    question->receipt = calloc(1, sizeof(*question->receipt));
    if (question->receipt == NULL ||
        request_channel(&channel, slice_str(conf->key), slice_str(conf->nsp)) < 0) {
        end(question, QUESTION_UNASKED, "out of memory");
    } else {
        question->receipt->question = question;
        (void)timer_set(question->timer, question->ms);
        if (asking->ops->publish(slice_of(&channel), &question->request, on_published,
                                 question->receipt, asking->arg) == 0)
            goto out;
        end(question, QUESTION_UNASKED, "redis cannot be told anything at present");
    }
    free(question->receipt);
    question->receipt = NULL;
out:
    buf_free(&channel);
}

/* --- what comes over its connection ------------------------------------------- */

static int no_memory(struct question *question)
{
    return redis_fault_note(&question->link.fault, REDIS_FAULT_MEMORY, "out of memory");
}

static uint64_t hash_of(const struct asking *asking, struct slice payload)
{
    return siphash(asking->key, payload.ptr, payload.len);
}

static int is_about(const struct question *question, struct slice payload)
{
    return memmem(payload.ptr, payload.len, question->id, strlen(question->id)) != NULL;
}

/* 1 if this daemon has said so, once for each time. */
static int is_own(struct question *question, struct slice payload)
{
    uint64_t hash = question->nown > 0 ? hash_of(question->asking, payload) : 0;

    for (unsigned i = 0; i < question->nown; i++) {
        if (question->own[i] != hash)
            continue;
        question->own[i] = question->own[--question->nown];
        return 1;
    }
    return 0;
}

static void hear(struct question *question, struct slice payload)
{
    if (question->is_ending || !is_about(question, payload))
        return;
    if (question->ops->heard(payload, is_own(question, payload), question->arg))
        question->answered++;
    look(question);
}

void asking_answers(struct asking *asking, struct slice payload)
{
    for (struct question *question = asking->questions; question != NULL; question = question->next)
        if (question->nown < OWN_MAX && is_about(question, payload))
            question->own[question->nown++] = hash_of(asking, payload);
}

/* The answer to PUBSUB NUMSUB: the channel, and how many have subscribed to it. */
static int take_count(struct question *question, const struct redis_reply *reply)
{
    const redisReply *parsed = reply->parsed;

    if (parsed->type != REDIS_REPLY_ARRAY || parsed->elements != 2 ||
        parsed->element[1]->type != REDIS_REPLY_INTEGER || parsed->element[1]->integer < 0)
        return redis_fault_note(&question->link.fault, REDIS_FAULT_PROTOCOL,
                                "an answer to PUBSUB that makes no sense");
    question->servers = (unsigned)parsed->element[1]->integer;
    return 0;
}

static int on_error(struct question *question, const char *error)
{
    enum redis_fault_kind kind = redis_fault_kind(error);
    char text[160];

    /* Servers that find the channel of one requester forbidden take that of all. */
    if (question->stage == STAGE_OWN && kind == REDIS_FAULT_PERMISSION)
        return 0;
    return redis_fault_note(&question->link.fault, kind, "it answered: %s",
                            redis_error_show(error, question->server.password, text, sizeof(text)));
}

/* What was asked for in this stage has come. */
static void advance(struct question *question)
{
    if (question->stage == STAGE_AUTH && --question->oks > 0)
        return;
    question->stage++;
    if (question->stage != STAGE_HEARS)
        return;
    redis_link_up(&question->link);
    publish(question);
}

static int is_awaited(enum stage stage, const struct redis_reply *reply)
{
    switch (stage) {
    case STAGE_AUTH:
        return reply->kind == REPLY_OK;
    case STAGE_COUNT:
        return 1; /* take_count() looks at it */
    case STAGE_COMMON:
    case STAGE_OWN:
        return reply->kind == REPLY_SUBSCRIBED || reply->kind == REPLY_ERROR;
    case STAGE_HEARS:
        break;
    }
    return 0;
}

static int on_reply(struct question *question, const struct redis_reply *reply)
{
    if (reply->kind == REPLY_MESSAGE) {
        hear(question, reply->text);
        return 0;
    }
    if (reply->kind == REPLY_ERROR && on_error(question, reply->text.ptr) < 0)
        return -1;
    if (!is_awaited(question->stage, reply))
        return redis_fault_note(&question->link.fault, REDIS_FAULT_PROTOCOL,
                                "an answer to nothing that was asked");
    if (question->stage == STAGE_COUNT && take_count(question, reply) < 0)
        return -1;
    advance(question);
    return 0;
}

static int on_input(const char *bytes, size_t len, void *arg)
{
    struct question *question = arg;
    struct redis_reply reply;
    int rc;

    if (redis_replies_feed(question->replies, bytes, len) < 0)
        return -1;
    while ((rc = redis_replies_next(question->replies, REPLY_MAX, &reply)) > 0) {
        rc = on_reply(question, &reply);
        redis_reply_clear(&reply);
        if (rc < 0)
            return -1;
    }
    return rc;
}

static int on_begin(struct bufferevent *bev, const struct redis_wire *wire, void *arg)
{
    struct question *question = arg;
    const struct conf *conf = question->asking->ops->conf(question->asking->arg);
    struct buf requests = {0};
    int rc = -1;

    question->replies = redis_replies_new(&question->link.fault);
    if (question->replies == NULL)
        return no_memory(question);
    question->oks = redis_commands_auth(&question->server, wire, &question->link.fault);
    if (question->oks < 0)
        return -1;
    question->stage = question->oks > 0 ? STAGE_AUTH : STAGE_COUNT;
    if (request_channel(&requests, slice_str(conf->key), slice_str(conf->nsp)) == 0 &&
        buf_putc(&requests, '\0') == 0 &&
        redis_commands_numsub(bev, (const char *)requests.data) == 0 &&
        redis_commands_hear(bev, (const char *)question->channels[0].data, 1) == 0)
        rc = redis_commands_hear(bev, (const char *)question->channels[1].data, 1);
    buf_free(&requests);
    return rc < 0 ? no_memory(question) : 0;
}

/* It is not made again: what was said meanwhile is lost. */
static void on_lost(int was_up, void *arg)
{
    struct question *question = arg;
    char why[sizeof(question->why)];

    (void)was_up;
    (void)snprintf(why, sizeof(why), "no connection to redis for answers: %s: %s",
                   question->link.where, question->link.fault.why);
    log_event(DEBUG, "asking_lost", "asking[: {}]<: redis was lost>", LOG_STR("error", why));
    redis_link_stop(&question->link);
    end(question, question->is_confirmed ? QUESTION_LOST : QUESTION_UNASKED, why);
}

static const struct redis_link_ops link_ops = {on_begin, on_input, on_lost, ATTEMPT_MS,
                                               "subscribed"};

/* --- for its owner ------------------------------------------------------------ */

struct slice question_uid(const struct question *question)
{
    return slice_str(question->uid);
}

struct slice question_id(const struct question *question)
{
    return slice_str(question->id);
}

unsigned question_servers(const struct question *question)
{
    return question->servers;
}

unsigned question_answered(const struct question *question)
{
    return question->answered;
}

unsigned question_subscribers(const struct question *question)
{
    return question->subscribers;
}

void question_ask(struct question *question, struct buf *request)
{
    question->request = *request;
    *request = (struct buf){0};
    if (question->request.failed)
        end(question, QUESTION_UNASKED, "out of memory");
    else
        redis_link_start(&question->link, 0);
}

static void put_name(char name[2 * NAME_BYTES + 1])
{
    uint8_t bytes[NAME_BYTES];

    rand_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(name + 2 * i, 3, "%02x", bytes[i]);
}

/* Returns 0, or -1 without memory; question_free() undoes either. */
static int prepare(struct question *question)
{
    struct asking *asking = question->asking;
    const struct conf *conf = asking->ops->conf(asking->arg);
    struct slice key = slice_str(conf->key), nsp = slice_str(conf->nsp);

    put_name(question->uid);
    put_name(question->id);
    question->timer = event_new(asking->base, -1, 0, on_timer, question);
    if (question->timer == NULL || timer_set(question->timer, 2 * ATTEMPT_MS) < 0 ||
        server_copy(&question->server, asking->ops->server(asking->arg)) < 0 ||
        redis_tls_client(&question->client, &conf->redis.tls) < 0 ||
        response_channel(&question->channels[0], key, nsp, SLICE("")) < 0 ||
        response_channel(&question->channels[1], key, nsp, slice_str(question->uid)) < 0 ||
        buf_putc(&question->channels[0], '\0') < 0 || buf_putc(&question->channels[1], '\0') < 0)
        return -1;
    return redis_link_init(&question->link, asking->base, &question->server, question->client,
                           &question->attempts, &link_ops, question);
}

struct question *question_new(struct asking *asking, unsigned max, unsigned ms,
                              const struct question_ops *ops, void *arg)
{
    struct question *question;

    if (asking->n >= max || asking->n >= ASKING_QUESTIONS)
        return NULL;
    question = calloc(1, sizeof(*question));
    if (question == NULL)
        return NULL;
    question->asking = asking;
    question->ops = ops;
    question->arg = arg;
    question->ms = ms;
    question->prev = &asking->questions;
    question->next = asking->questions;
    if (question->next != NULL)
        question->next->prev = &question->next;
    asking->questions = question;
    asking->n++;
    if (prepare(question) < 0)
        question_free(&question);
    return question;
}

void question_free(struct question **questionp)
{
    struct question *question = *questionp;

    if (question == NULL)
        return;
    *questionp = NULL;
    if (question->receipt != NULL)
        question->receipt->question = NULL;
    *question->prev = question->next;
    if (question->next != NULL)
        question->next->prev = question->prev;
    question->asking->n--;
    redis_link_clear(&question->link);
    redis_replies_free(&question->replies);
    if (question->timer != NULL)
        event_free(question->timer);
    tls_client_free(&question->client);
    server_clear(&question->server);
    buf_free(&question->request);
    buf_free(&question->channels[0]);
    buf_free(&question->channels[1]);
    free(question);
}

int asking_publish(struct asking *asking, struct slice channel, struct buf *payload,
                   void (*done)(int ok, void *done_arg), void *done_arg)
{
    return asking->ops->publish(channel, payload, done, done_arg, asking->arg);
}

struct asking *asking_new(struct event_base *base, const struct asking_ops *ops, void *arg)
{
    struct asking *asking = calloc(1, sizeof(*asking));

    if (asking == NULL)
        return NULL;
    asking->base = base;
    asking->ops = ops;
    asking->arg = arg;
    rand_bytes(asking->key, sizeof(asking->key));
    return asking;
}

void asking_free(struct asking **asking)
{
    if (*asking == NULL)
        return;
    for (struct question *question = (*asking)->questions, *next; question != NULL;
         question = next) {
        enum question_end how = question->is_confirmed ? QUESTION_LOST : QUESTION_UNASKED;

        next = question->next;
        question->ops->over(how, "the daemon ends", question->arg);
    }
    free(*asking);
    *asking = NULL;
}

void asking_wipe(struct asking *asking)
{
    for (struct question *question = asking->questions; question != NULL;
         question = question->next) {
        server_wipe(&question->server);
        redis_link_wipe(&question->link);
    }
}
