#include "master/sentinel.h"

#include "base/clock.h"
#include "codec/redis_error.h"
#include "master/redis_commands.h"
#include "master/redis_replies.h"
#include "master/timer.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPT_MS 1000 /* to connect, and for the first answer */
#define ANSWER_MS  1000
#define ASK_MS     1000 /* from an answer to the next question */
#define PAUSE_MS   10   /* from a question to the next, whatever is told meanwhile */
#define REPLY_MAX  65536
#define LOG_MS     60000

static const char channel[] = "+switch-master";

enum expected { EXPECT_OK, EXPECT_END, EXPECT_PLACE, EXPECT_MASTER, EXPECT_SUBSCRIBED };

/* --- what it is asked --------------------------------------------------------- */

static int no_memory(struct sentinel *sentinel)
{
    return redis_fault_note(&sentinel->link.fault, REDIS_FAULT_MEMORY, "out of memory");
}

static void expect(struct sentinel *sentinel, enum expected what)
{
    sentinel->expects[sentinel->nexpects++] = (uint8_t)what;
}

/* There are no more than two OKs and four of these. */
static int ask(struct sentinel *sentinel)
{
    struct bufferevent *bev = sentinel->link.bev;

    if (sentinel->hears) {
        if (redis_commands_hear(bev, channel, 0) < 0)
            return no_memory(sentinel);
        expect(sentinel, EXPECT_END);
    }
    if (redis_commands_master(bev, sentinel->name) < 0 || redis_commands_hear(bev, channel, 1) < 0)
        return no_memory(sentinel);
    expect(sentinel, EXPECT_PLACE);
    expect(sentinel, EXPECT_MASTER);
    expect(sentinel, EXPECT_SUBSCRIBED);
    sentinel->is_asked = 1;
    sentinel->is_asked_again = 0;
    sentinel->asked_ms = clock_ms();
    (void)timer_set(sentinel->timer, ANSWER_MS);
    return 0;
}

/* Until it may be asked again. */
static unsigned pause_ms(const struct sentinel *sentinel)
{
    uint64_t since = clock_ms() - sentinel->asked_ms;

    return since < PAUSE_MS ? (unsigned)(PAUSE_MS - since) : 0;
}

/* It is asked soon, but not from within what it says. */
static void ask_soon(struct sentinel *sentinel)
{
    sentinel->is_asked_again = 1;
    if (!sentinel->is_asked)
        (void)timer_set(sentinel->timer, pause_ms(sentinel));
}

void sentinel_look(struct sentinel *sentinel)
{
    if (!redis_link_is_up(&sentinel->link))
        return;
    if (sentinel->is_asked || pause_ms(sentinel) > 0)
        ask_soon(sentinel);
    else if (ask(sentinel) < 0)
        redis_link_fail(&sentinel->link);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct sentinel *sentinel = arg;

    (void)fd;
    (void)what;
    if (!sentinel->is_asked) {
        if (ask(sentinel) < 0)
            redis_link_fail(&sentinel->link);
        return;
    }
    (void)redis_fault_note(&sentinel->link.fault, REDIS_FAULT_SILENT, "no answer for %d ms",
                           ANSWER_MS);
    redis_link_fail(&sentinel->link);
}

/* --- what it answers ---------------------------------------------------------- */

static int bad_answer(struct sentinel *sentinel, const char *to)
{
    return redis_fault_note(&sentinel->link.fault, REDIS_FAULT_PROTOCOL,
                            "an answer to %s that makes no sense", to);
}

static int refused(struct sentinel *sentinel, const char *error)
{
    char text[160];

    return redis_fault_note(&sentinel->link.fault, redis_fault_kind(error), "it answered: %s",
                            redis_error_show(error, sentinel->server.password, text, sizeof(text)));
}

static void not_known(struct sentinel *sentinel)
{
    sentinel->is_named = 0;
    if (log_due(&sentinel->unknown_log, LOG_MS) > 0)
        log_event(WARN, "sentinel_unknowing",
                  "redis: the sentinel[ {}] knows no master of the name[ \"{}\"]",
                  LOG_STR("sentinel", sentinel->link.where), LOG_STR("master", sentinel->name));
}

static void named(struct sentinel *sentinel, const char *host, int port)
{
    int is_other = strcmp(sentinel->host, host) != 0 || sentinel->port != port;

    sentinel->is_named = 1;
    sentinel->unknown_log = (struct log_every){0};
    if (!is_other)
        return;
    if (sentinel->host[0] != '\0')
        sentinel->change = ++*sentinel->news;
    snprintf(sentinel->host, sizeof(sentinel->host), "%s", host);
    sentinel->port = port;
}

static int on_place(struct sentinel *sentinel, const redisReply *reply)
{
    const redisReply *const *at = (const redisReply *const *)reply->element;
    int port;

    if (reply->type == REDIS_REPLY_NIL) {
        not_known(sentinel);
        return 0;
    }
    if (reply->type == REDIS_REPLY_ERROR)
        return refused(sentinel, reply->str);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        at[0]->type != REDIS_REPLY_STRING || at[1]->type != REDIS_REPLY_STRING)
        return bad_answer(sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME");
    port = ballot_port(at[0]->str, at[0]->len, at[1]->str);
    if (port < 0)
        return bad_answer(sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME");
    named(sentinel, at[0]->str, port);
    return 0;
}

static int64_t epoch_of(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return BALLOT_UNKNOWN;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *name = reply->element[i], *value = reply->element[i + 1];
        char *end;
        long long epoch;

        if (name->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING ||
            strcmp(name->str, "config-epoch") != 0)
            continue;
        epoch = strtoll(value->str, &end, 10);
        return end != value->str && *end == '\0' && epoch >= 0 ? epoch : BALLOT_UNKNOWN;
    }
    return BALLOT_UNKNOWN;
}

/* Without the right to ask for all of the master its epoch is not known; and without that to
 * subscribe the next question tells. */
static void on_subscribed(struct sentinel *sentinel, const redisReply *reply)
{
    sentinel->hears = reply->type == REDIS_REPLY_ARRAY;
    if (!sentinel->hears && !sentinel->is_deaf)
        log_event(INFO, "sentinel_deaf",
                  "redis: the sentinel[ {}] does not allow SUBSCRIBE: it is asked every second",
                  LOG_STR("sentinel", sentinel->link.where));
    sentinel->is_deaf = !sentinel->hears;
}

/* One that answers once and breaks is not logged each time. */
static void all_answered(struct sentinel *sentinel)
{
    struct redis_link *link = &sentinel->link;

    sentinel->is_asked = 0;
    sentinel->is_answered = 1;
    if (!redis_link_is_up(link))
        redis_link_up(link);
    else if (clock_ms() - link->up_ms >= ASK_MS / 2)
        redis_fault_over(&link->fault);
    (void)timer_set(sentinel->timer, sentinel->is_asked_again ? pause_ms(sentinel) : ASK_MS);
    sentinel->ops->said(sentinel, 0, sentinel->arg);
}

static int on_answer(struct sentinel *sentinel, enum expected what, const redisReply *reply)
{
    switch (what) {
    case EXPECT_OK:
        if (reply->type == REDIS_REPLY_ERROR)
            return refused(sentinel, reply->str);
        return reply->type == REDIS_REPLY_STATUS ? 0 : bad_answer(sentinel, "AUTH");
    case EXPECT_END:
        sentinel->hears = 0;
        return 0;
    case EXPECT_PLACE:
        return on_place(sentinel, reply);
    case EXPECT_MASTER:
        sentinel->epoch = epoch_of(reply);
        return 0;
    case EXPECT_SUBSCRIBED:
        on_subscribed(sentinel, reply);
        all_answered(sentinel);
        return 0;
    }
    return 0;
}

/* "name old-host old-port host port": whatever it says, it is asked. */
static void on_switch(struct sentinel *sentinel, const redisReply *payload)
{
    size_t len = strlen(sentinel->name);

    if (payload->type != REDIS_REPLY_STRING || payload->len <= len ||
        memcmp(payload->str, sentinel->name, len) != 0 || payload->str[len] != ' ')
        return;
    ask_soon(sentinel);
    sentinel->ops->said(sentinel, 1, sentinel->arg);
}

static int is_message(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
           reply->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(reply->element[0]->str, "message") == 0;
}

static int on_reply(struct sentinel *sentinel, const redisReply *reply)
{
    enum expected what;

    if (is_message(reply)) {
        on_switch(sentinel, reply->element[2]);
        return 0;
    }
    if (sentinel->nexpects == 0)
        return reply->type == REDIS_REPLY_ERROR
                   ? refused(sentinel, reply->str)
                   : redis_fault_note(&sentinel->link.fault, REDIS_FAULT_PROTOCOL,
                                      "an answer to nothing that was asked");
    what = (enum expected)sentinel->expects[0];
    sentinel->nexpects--;
    memmove(sentinel->expects, sentinel->expects + 1, sentinel->nexpects);
    return on_answer(sentinel, what, reply);
}

/* --- its connection ----------------------------------------------------------- */

static int on_begin(struct bufferevent *bev, const struct redis_wire *wire, void *arg)
{
    struct sentinel *sentinel = arg;
    int oks;

    (void)bev;
    sentinel->replies = redis_replies_new(&sentinel->link.fault);
    if (sentinel->replies == NULL)
        return no_memory(sentinel);
    redis_replies_deepen(sentinel->replies);
    oks = redis_commands_auth(&sentinel->server, wire, &sentinel->link.fault);
    if (oks < 0)
        return -1;
    while (oks-- > 0)
        expect(sentinel, EXPECT_OK);
    return ask(sentinel);
}

static int on_input(const char *bytes, size_t len, void *arg)
{
    struct sentinel *sentinel = arg;
    struct redis_reply reply;
    int rc;

    if (redis_replies_feed(sentinel->replies, bytes, len) < 0)
        return -1;
    while ((rc = redis_replies_next(sentinel->replies, REPLY_MAX, &reply)) > 0) {
        rc = on_reply(sentinel, reply.parsed);
        redis_reply_clear(&reply);
        if (rc < 0)
            return -1;
    }
    return rc;
}

static void over(struct sentinel *sentinel)
{
    redis_replies_free(&sentinel->replies);
    event_del(sentinel->timer);
    sentinel->nexpects = 0;
    sentinel->is_asked = sentinel->is_asked_again = sentinel->is_answered = 0;
    sentinel->hears = 0;
}

static void on_lost(int was_up, void *arg)
{
    struct sentinel *sentinel = arg;
    char where[300];

    (void)was_up;
    snprintf(where, sizeof(where), "the sentinel %s", sentinel->link.where);
    redis_fault_log(&sentinel->link.fault, where, clock_ms());
    over(sentinel);
    sentinel->ops->lost(sentinel, sentinel->arg);
}

static const struct redis_link_ops link_ops = {on_begin, on_input, on_lost, ATTEMPT_MS, "answered"};

/* --- for its owner ------------------------------------------------------------ */

int sentinel_is_busy(const struct sentinel *sentinel)
{
    return sentinel->is_asked || sentinel->is_asked_again ||
           (sentinel->link.state != REDIS_LINK_WAITS && !redis_link_is_up(&sentinel->link));
}

struct vote sentinel_vote(const struct sentinel *sentinel)
{
    if (!sentinel->is_answered || !sentinel->is_named)
        return (struct vote){0};
    return (struct vote){sentinel->host, sentinel->port, sentinel->epoch, sentinel->change};
}

void sentinel_stop(struct sentinel *sentinel)
{
    redis_link_stop(&sentinel->link);
    over(sentinel);
}

int sentinel_init(struct sentinel *sentinel, struct event_base *base, const struct conf_redis *conf,
                  const struct tls_client *client, size_t i, uint64_t *news,
                  const struct sentinel_ops *ops, void *arg)
{
    *sentinel = (struct sentinel){.ops = ops,
                                  .arg = arg,
                                  .name = conf->name,
                                  .news = news,
                                  .epoch = BALLOT_UNKNOWN,
                                  .server = {.host = conf->sentinels[i].host,
                                             .port = conf->sentinels[i].port,
                                             .username = conf->sentinel_username,
                                             .password = conf->sentinel_password,
                                             .tls = conf->sentinel_tls}};
    sentinel->timer = event_new(base, -1, 0, on_timer, sentinel);
    if (redis_link_init(&sentinel->link, base, &sentinel->server, client, &sentinel->attempts,
                        &link_ops, sentinel) < 0 ||
        sentinel->timer == NULL)
        return -1;
    redis_link_start(&sentinel->link, 0);
    return 0;
}

void sentinel_disown(struct sentinel *sentinel)
{
    redis_link_wipe(&sentinel->link);
}

void sentinel_clear(struct sentinel *sentinel)
{
    redis_link_clear(&sentinel->link);
    redis_replies_free(&sentinel->replies);
    if (sentinel->timer != NULL)
        event_free(sentinel->timer);
    sentinel->timer = NULL;
}
