#include "notify/ack.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/rand.h"
#include "codec/redis_error.h"
#include "notify/call.h"
#include "notify/say.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES   8    /* of a random uid or id, in hexadecimal twice as many */
#define SUBSCRIBE_MS 5000 /* until redis has confirmed */
#define CHANNELS     2    /* for answers: everybody's, and our own */

static const struct emit_limits limits = {SIZE_MAX, BROADCAST_ATTACHMENTS_MAX};

struct asking {
    struct call *redis, *answers;
    struct buf requests, channels[CHANNELS];
    struct slice id, nsp;
    int as_json;
    int to_rooms;       /* it names some */
    long long servers;  /* that serve requests, by redis */
    long long answered; /* ... and have said how many clients they reach */
    double reached;
    unsigned long long acknowledged;
    struct answer answer;
    struct buf line;
};

static void put_name(char name[2 * NAME_BYTES + 1])
{
    uint8_t bytes[NAME_BYTES];

    rand_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(name + 2 * i, 3, "%02x", bytes[i]);
}

/* ---- what is printed ---- */

static void put_attachment(struct buf *line, struct slice bytes)
{
    uint8_t *to = buf_reserve(line, BASE64_LEN(bytes.len) + 3);

    if (to == NULL)
        return;
    *to = '"';
    base64_encode((char *)to + 1, bytes.ptr, bytes.len);
    to[BASE64_LEN(bytes.len) + 1] = '"';
    line->len += BASE64_LEN(bytes.len) + 2;
}

/* {"ack":ARGUMENT} or {"ack":ARGUMENT,"attachments":["BASE64"]} */
static int print_ack(struct asking *asking)
{
    const struct answer *answer = &asking->answer;
    struct buf *line = &asking->line;

    buf_reset(line);
    buf_puts(line, "{\"ack\":");
    if (answer->json.len > 0)
        buf_put(line, answer->json.ptr, answer->json.len);
    else
        buf_puts(line, "null");
    for (size_t i = 0; i < answer->attachments.n; i++) {
        buf_puts(line, i == 0 ? ",\"attachments\":[" : ",");
        put_attachment(line, answer->attachments.at[i]);
    }
    buf_puts(line, answer->attachments.n > 0 ? "]}" : "}");
    if (line->failed)
        return say_fail("no memory for an answer");
    /* Where it came as JSON it may have been laid out. */
    for (size_t i = 0; i < line->len; i++) {
        if (line->data[i] == '\n' || line->data[i] == '\r')
            line->data[i] = ' ';
    }
    buf_putc(line, '\n');
    (void)fwrite(line->data, 1, line->len, stdout);
    return 0;
}

static void flush(void *arg)
{
    (void)arg;
    (void)fflush(stdout);
}

static int print_all(const struct asking *asking, uint32_t ms)
{
    if (asking->as_json)
        printf("{\"servers\":%lld,\"answered\":%lld,\"reached\":%.0f,\"acknowledged\":%llu}\n",
               asking->servers, asking->answered, asking->reached, asking->acknowledged);
    else
        printf("reached %.0f, acknowledged %llu\n", asking->reached, asking->acknowledged);
    if (asking->servers == 0)
        say_fail("warning: nobody serves: no server answers on \"%.*s\" at this redis",
                 (int)asking->requests.len, (char *)asking->requests.data);
    else if (asking->answered < asking->servers)
        say_fail("warning: of %lld servers %lld did not say within %u ms whom they reach",
                 asking->servers, asking->servers - asking->answered, ms);
    else if (asking->reached == 0 && asking->to_rooms)
        say_fail("warning: nobody is there: no client of the %lld server%s is in such a room; that "
                 "of a user is the uid of its token",
                 asking->servers, asking->servers == 1 ? "" : "s");
    else if (asking->reached == 0)
        say_fail("warning: nobody is there: no client is in the namespace \"%.*s\"",
                 (int)asking->nsp.len, asking->nsp.ptr);
    return asking->servers == 0 || asking->answered < asking->servers ||
                   (double)asking->acknowledged < asking->reached
               ? EXIT_UNANSWERED
               : 0;
}

/* ---- what comes ---- */

/* A message of the subscription. */
static int take_message(struct asking *asking, const redisReply *reply)
{
    const redisReply *payload;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
        reply->element[2]->type != REDIS_REPLY_STRING)
        return 0;
    payload = reply->element[2];
    switch (answer_decode(&asking->answer, (struct slice){payload->str, (size_t)payload->len},
                          asking->id, &limits)) {
    case ANSWER_NONE:
        break;
    case ANSWER_COUNT:
        asking->answered++;
        asking->reached += asking->answer.clients;
        break;
    case ANSWER_ACK:
        asking->acknowledged++;
        return asking->as_json ? print_ack(asking) : 0;
    case ANSWER_NO_MEMORY:
        return say_fail("no memory for an answer");
    }
    return 0;
}

/* Takes what comes until all have answered, or the time is over. */
static int hear(struct asking *asking, uint64_t until)
{
    redisReply *reply;
    int result = 0;

    while (result == 0 &&
           (asking->answered < asking->servers || (double)asking->acknowledged < asking->reached)) {
        result = call_next(asking->answers, until, &reply, flush, NULL);
        if (result <= 0)
            return result;
        result = take_message(asking, reply);
        freeReplyObject(reply);
    }
    return result;
}

/* ---- what is asked ---- */

/* Waits until redis has confirmed n more subscriptions. */
static int confirmed(struct asking *asking, int n)
{
    uint64_t until = clock_ms() + SUBSCRIBE_MS;
    redisReply *reply;
    char shown[300];

    while (n > 0) {
        int rc = call_next(asking->answers, until, &reply, flush, NULL);

        if (rc == 0)
            say_fail("redis: SUBSCRIBE: no answer within %d s", SUBSCRIBE_MS / 1000);
        if (rc <= 0)
            return -1;
        if (reply->type == REDIS_REPLY_ERROR) {
            say_fail("redis: SUBSCRIBE: %s",
                     redis_error_show(reply->str, NULL, shown, sizeof(shown)));
            n = -1;
        } else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
                   reply->element[2]->type == REDIS_REPLY_INTEGER) {
            n--;
        }
        freeReplyObject(reply);
    }
    return n;
}

/* Subscribes to the channels of answers. */
static int subscribe(struct asking *asking)
{
    const char *argv[1 + CHANNELS] = {"SUBSCRIBE"};
    size_t lengths[1 + CHANNELS] = {9};
    redisReply *reply;

    for (int i = 0; i < CHANNELS; i++) {
        argv[1 + i] = (const char *)asking->channels[i].data;
        lengths[1 + i] = asking->channels[i].len;
    }
    reply = call_redis(asking->answers, REDIS_REPLY_ARRAY, 1 + CHANNELS, argv, lengths);
    if (reply == NULL)
        return -1;
    freeReplyObject(reply); /* of the first */
    return confirmed(asking, CHANNELS - 1);
}

/* How many serve requests. */
static int count_servers(struct asking *asking)
{
    const char *argv[] = {"PUBSUB", "NUMSUB", (const char *)asking->requests.data};
    const size_t lengths[] = {6, 6, asking->requests.len};
    redisReply *reply = call_redis(asking->redis, REDIS_REPLY_ARRAY, 3, argv, lengths);
    int result = -1;

    if (reply == NULL)
        return -1;
    if (reply->elements == 2 && reply->element[1]->type == REDIS_REPLY_INTEGER) {
        asking->servers = reply->element[1]->integer;
        result = 0;
    } else {
        say_fail("redis: PUBSUB: an answer that makes no sense");
    }
    freeReplyObject(reply);
    return result;
}

static int publish(struct asking *asking, const struct buf *payload)
{
    const char *argv[] = {"PUBLISH", (const char *)asking->requests.data,
                          (const char *)payload->data};
    const size_t lengths[] = {7, asking->requests.len, payload->len};
    redisReply *reply = call_redis(asking->redis, REDIS_REPLY_INTEGER, 3, argv, lengths);

    if (reply == NULL)
        return -1;
    freeReplyObject(reply);
    return 0;
}

static int prepare(struct asking *asking, const struct conf *conf, struct buf *payload,
                   const struct request_broadcast *message)
{
    struct slice key = slice_str(conf->key);

    if (request_channel(&asking->requests, key, message->nsp) != 0 ||
        response_channel(&asking->channels[0], key, message->nsp, SLICE("")) != 0 ||
        response_channel(&asking->channels[1], key, message->nsp, message->uid) != 0 ||
        request_put_broadcast(payload, message) != 0)
        return say_fail("no memory for the message");
    return 0;
}

static int ask(struct asking *asking, const struct conf *conf, const struct buf *payload,
               uint32_t ms)
{
    uint64_t until;
    int result;

    asking->answers = call_open(&conf->redis);
    if (asking->answers == NULL || subscribe(asking) != 0)
        return EXIT_FAILED;
    asking->redis = call_open(&conf->redis);
    if (asking->redis == NULL || count_servers(asking) != 0)
        return EXIT_FAILED;
    until = clock_ms() + ms;
    if (publish(asking, payload) != 0)
        return EXIT_FAILED;
    result = hear(asking, until);
    return print_all(asking, ms) == 0 && result == 0 ? 0 : EXIT_UNANSWERED;
}

int ack_send(const struct conf *conf, struct request_broadcast message, int as_json)
{
    char uid[2 * NAME_BYTES + 1], id[2 * NAME_BYTES + 1];
    struct asking asking = {.as_json = as_json};
    struct buf payload = {0};
    int status;

    put_name(uid);
    put_name(id);
    message.uid = slice_str(uid);
    message.id = asking.id = slice_str(id);
    message.nsp = asking.nsp = slice_str(conf->nsp);
    asking.to_rooms = message.rooms->n > 0;
    status = prepare(&asking, conf, &payload, &message);
    if (status == 0)
        status = ask(&asking, conf, &payload, message.timeout_ms);
    call_free(&asking.answers);
    call_free(&asking.redis);
    buf_free(&asking.requests);
    for (int i = 0; i < CHANNELS; i++)
        buf_free(&asking.channels[i]);
    answer_clear(&asking.answer);
    buf_free(&asking.line);
    buf_free(&payload);
    return status;
}
