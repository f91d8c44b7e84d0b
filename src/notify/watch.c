#include "notify/watch.h"

#include "base/buf.h"
#include "base/clock.h"
#include "notify/call.h"
#include "notify/published.h"
#include "notify/say.h"

#include <stdio.h>

#define PATTERN "*#*" /* of any key and namespace */
#define TURN_MS 3600000

static void flush(void *arg)
{
    (void)arg;
    (void)fflush(stdout);
}

static int subscribe(struct call *call)
{
    const char *argv[] = {"PSUBSCRIBE", PATTERN};
    redisReply *reply = call_redis(call, REDIS_REPLY_ARRAY, 2, argv, NULL);

    if (reply == NULL)
        return -1;
    freeReplyObject(reply);
    return 0;
}

static void say_where(const struct conf *conf)
{
    if (conf->redis.path != NULL)
        printf("watching redis at %s", conf->redis.path);
    else
        printf("watching redis at %s:%d", conf->redis.host, conf->redis.port);
    printf(" for key=%s namespace=%s\n", conf->key, conf->nsp);
}

/* Returns 0, or EXIT_FAILED. */
static int take(const struct conf *conf, struct buf *line, const redisReply *reply)
{
    const struct emit_limits limits = {conf->message_bytes, conf->attachments};
    const redisReply *channel, *payload;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 4 ||
        reply->element[2]->type != REDIS_REPLY_STRING ||
        reply->element[3]->type != REDIS_REPLY_STRING)
        return 0;
    channel = reply->element[2];
    payload = reply->element[3];
    buf_reset(line);
    published_line(line, (struct slice){channel->str, (size_t)channel->len},
                   (struct slice){payload->str, (size_t)payload->len}, slice_str(conf->key),
                   slice_str(conf->nsp), &limits);
    if (line->failed)
        return say_fail("no memory for a line");
    if (fwrite(line->data, 1, line->len, stdout) != line->len)
        return say_fail("cannot write to standard output");
    return 0;
}

int watch_run(const struct conf *conf)
{
    struct call *call = call_open(&conf->redis);
    struct buf line = {0};
    int rc = call != NULL ? subscribe(call) : -1;

    if (rc == 0)
        say_where(conf);
    while (rc == 0 && !ferror(stdout)) {
        redisReply *reply;
        int next = call_next(call, clock_ms() + TURN_MS, &reply, flush, NULL);

        if (next < 0)
            break;
        if (next > 0) {
            rc = take(conf, &line, reply);
            freeReplyObject(reply);
        }
    }
    buf_free(&line);
    call_free(&call);
    return EXIT_FAILED;
}
