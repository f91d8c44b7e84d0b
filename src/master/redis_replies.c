#include "master/redis_replies.h"

#include "codec/hiredis_count.h"
#include "master/redis_commands.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENTS_MAX 64  /* of an array; a message has 4 */
#define DEEP_MAX     256 /* the same, where they are deep; and so many within each other: */
#define DEPTH_MAX    3

struct redis_replies {
    struct redis_fault *fault;
    redisReader *reader;
    redisReplyObjectFunctions functions; /* the reader's, with a bound */
    const redisReplyObjectFunctions *defaults;
    size_t unfinished; /* bytes since the last whole reply */
    int is_deep;
};

/* --- what they say ------------------------------------------------------------ */

static struct slice text_of(const redisReply *parsed)
{
    return (struct slice){parsed->str, parsed->len};
}

/* Element i of an array as a string; empty where it is something else. */
static struct slice element(const redisReply *parsed, size_t i)
{
    const redisReply *one = i < parsed->elements ? parsed->element[i] : NULL;

    if (one == NULL || one->type != REDIS_REPLY_STRING || one->str == NULL)
        return (struct slice){0};
    return text_of(one);
}

static void odd(struct redis_reply *reply, const char *what)
{
    reply->kind = REPLY_ODD;
    reply->name = (struct slice){0};
    reply->text = slice_str(what);
}

/* at is where the channel stands: behind the pattern, if there is one. */
static void read_message(struct redis_reply *reply, const redisReply *parsed, size_t at)
{
    reply->kind = at > 1 ? REPLY_PMESSAGE : REPLY_MESSAGE;
    reply->name = element(parsed, at);
    reply->text = element(parsed, at + 1);
    if (parsed->elements != at + 2 || reply->name.ptr == NULL || reply->text.ptr == NULL)
        odd(reply, "a message of another shape");
}

static void read_confirmation(struct redis_reply *reply, const redisReply *parsed,
                              enum redis_reply_kind kind)
{
    reply->kind = kind;
    reply->name = element(parsed, 1);
}

static void read_array(struct redis_reply *reply, const redisReply *parsed)
{
    struct slice kind = element(parsed, 0);

    if (slice_eq(kind, SLICE("pmessage")))
        read_message(reply, parsed, 2);
    else if (slice_eq(kind, SLICE("message")))
        read_message(reply, parsed, 1);
    else if (slice_eq(kind, SLICE("psubscribe")))
        read_confirmation(reply, parsed, REPLY_PSUBSCRIBED);
    else if (slice_eq(kind, SLICE("subscribe")))
        read_confirmation(reply, parsed, REPLY_SUBSCRIBED);
    else if (slice_eq(kind, SLICE("unsubscribe")))
        read_confirmation(reply, parsed, REPLY_UNSUBSCRIBED);
    else if (slice_eq(kind, SLICE("punsubscribe")))
        read_confirmation(reply, parsed, REPLY_PUNSUBSCRIBED);
    else if (!slice_eq(kind, SLICE("pong")))
        odd(reply, "an array that is no message");
    else if (slice_eq(element(parsed, 1), SLICE(REDIS_SYNC)))
        reply->kind = REPLY_SYNC;
    else if (slice_eq(element(parsed, 1), SLICE(REDIS_ECHO)))
        reply->kind = REPLY_ECHO;
    else
        reply->kind = REPLY_PONG;
}

static void read_status(struct redis_reply *reply, const redisReply *parsed)
{
    if (slice_eq(text_of(parsed), SLICE("OK")))
        reply->kind = REPLY_OK;
    else if (slice_eq(text_of(parsed), SLICE("PONG")))
        reply->kind = REPLY_PONG;
    else
        odd(reply, "a status nobody asked for");
}

static void read_reply(struct redis_reply *reply, redisReply *parsed)
{
    *reply = (struct redis_reply){.parsed = parsed};
    switch (parsed->type) {
    case REDIS_REPLY_ARRAY:
        read_array(reply, parsed);
        break;
    case REDIS_REPLY_ERROR:
        reply->kind = REPLY_ERROR;
        reply->text = text_of(parsed);
        break;
    case REDIS_REPLY_STATUS:
        read_status(reply, parsed);
        break;
    case REDIS_REPLY_INTEGER:
        reply->kind = REPLY_NUMBER;
        reply->number = parsed->integer;
        break;
    case REDIS_REPLY_STRING:
        reply->kind = REPLY_TEXT;
        reply->text = text_of(parsed);
        break;
    default:
        odd(reply, "neither array, status nor error");
        break;
    }
}

void redis_reply_clear(struct redis_reply *reply)
{
    freeReplyObject(reply->parsed);
    *reply = (struct redis_reply){0};
}

/* --- from bytes --------------------------------------------------------------- */

static int may_be(const struct redis_replies *replies, const redisReadTask *task, size_t elements)
{
    int depth = 1;

    for (; task->parent != NULL; task = task->parent)
        depth++;
    return depth <= (replies->is_deep ? DEPTH_MAX : 1) &&
           elements <= (replies->is_deep ? DEEP_MAX : ELEMENTS_MAX);
}

/* "*2147483647" would make hiredis allocate 16 GB and then look through it, and what
 * nests takes nineteen times its bytes.  No message does either. */
static void *create_array(const redisReadTask *task, hiredis_count elements)
{
    struct redis_replies *replies = task->privdata;

    if (may_be(replies, task, (size_t)elements))
        return replies->defaults->createArray(task, elements);
    (void)redis_fault_note(replies->fault, REDIS_FAULT_PROTOCOL, "an array %s",
                           task->parent != NULL ? "within an array" : "of too many elements");
    return NULL;
}

struct redis_replies *redis_replies_new(struct redis_fault *fault)
{
    struct redis_replies *replies = calloc(1, sizeof(*replies));

    if (replies == NULL)
        return NULL;
    replies->fault = fault;
    replies->reader = redisReaderCreate();
    if (replies->reader == NULL) {
        free(replies);
        return NULL;
    }
    replies->defaults = replies->reader->fn;
    replies->functions = *replies->defaults;
    replies->functions.createArray = create_array;
    replies->reader->fn = &replies->functions;
    replies->reader->privdata = replies;
    return replies;
}

void redis_replies_deepen(struct redis_replies *replies)
{
    replies->is_deep = 1;
}

void redis_replies_free(struct redis_replies **replies)
{
    if (*replies == NULL)
        return;
    redisReaderFree((*replies)->reader);
    free(*replies);
    *replies = NULL;
}

int redis_replies_feed(struct redis_replies *replies, const char *bytes, size_t len)
{
    replies->unfinished += len;
    if (redisReaderFeed(replies->reader, bytes, len) != REDIS_OK)
        return redis_fault_note(replies->fault, REDIS_FAULT_MEMORY, "out of memory");
    return 0;
}

int redis_replies_next(struct redis_replies *replies, size_t max, struct redis_reply *reply)
{
    void *parsed = NULL;

    if (redisReaderGetReply(replies->reader, &parsed) != REDIS_OK)
        return redis_fault_note(replies->fault, REDIS_FAULT_PROTOCOL, "not the redis protocol");
    if (parsed == NULL && replies->unfinished > max)
        return redis_fault_note(replies->fault, REDIS_FAULT_TOO_LARGE,
                                "a reply of more than %zu bytes", max);
    if (parsed == NULL)
        return 0;
    replies->unfinished = 0;
    read_reply(reply, parsed);
    return 1;
}
