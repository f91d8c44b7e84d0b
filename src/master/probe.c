#include "master/probe.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/redis_error.h"
#include "master/redis_commands.h"
#include "master/redis_replies.h"
#include "master/timer.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#define ATTEMPT_MS 1000 /* to connect, and for the first answer */
#define ANSWER_MS  1000
#define ASK_MS     500 /* from an answer to the next question */
#define REPLY_MAX  65536

/* --- what it is asked --------------------------------------------------------- */

static int no_memory(struct probe *probe)
{
    return redis_fault_note(&probe->link.fault, REDIS_FAULT_MEMORY, "out of memory");
}

static int ask(struct probe *probe)
{
    struct bufferevent *bev = probe->link.bev;

    if ((probe->is_blind ? redis_commands_ping(bev) : redis_commands_role(bev)) < 0)
        return no_memory(probe);
    probe->is_asked = 1;
    probe->asked_ms = clock_ms();
    (void)timer_set(probe->timer, ANSWER_MS);
    return 0;
}

void probe_ask(struct probe *probe)
{
    if (probe->is_master && !probe->is_asked && ask(probe) < 0)
        redis_link_fail(&probe->link);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct probe *probe = arg;

    (void)fd;
    (void)what;
    if (!probe->is_asked) {
        probe_ask(probe);
        return;
    }
    (void)redis_fault_note(&probe->link.fault, REDIS_FAULT_SILENT, "no answer for %d ms",
                           ANSWER_MS);
    redis_link_fail(&probe->link);
}

/* --- what it answers ---------------------------------------------------------- */

static int answered(struct probe *probe)
{
    int is_first = !probe->is_master;

    probe->is_asked = 0;
    probe->is_master = 1;
    probe->master_ms = probe->asked_ms;
    (void)timer_set(probe->timer, ASK_MS);
    if (is_first) {
        redis_link_up(&probe->link);
        probe->ops->master(probe, probe->arg);
    }
    return 0;
}

static int is_text(const redisReply *reply, const char *text)
{
    return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, text) == 0;
}

/* "master", or "slave" with whose it is. */
static int on_role(struct probe *probe, const redisReply *reply)
{
    const redisReply *const *at = (const redisReply *const *)reply->element;
    char host[128] = "";

    if (reply->elements >= 1 && is_text(at[0], "master"))
        return answered(probe);
    if (reply->elements >= 3 && is_text(at[0], "slave") && at[1]->type == REDIS_REPLY_STRING &&
        at[2]->type == REDIS_REPLY_INTEGER)
        return redis_fault_note(&probe->link.fault, REDIS_FAULT_MASTER, "it is a replica of %s:%d",
                                log_escape(host, sizeof(host), at[1]->str, at[1]->len),
                                (int)at[2]->integer);
    return redis_fault_note(&probe->link.fault, REDIS_FAULT_MASTER, "it is no master");
}

static int on_error(struct probe *probe, const char *error)
{
    enum redis_fault_kind kind = redis_fault_kind(error);
    char text[160];

    if (probe->oks == 0 && probe->is_blind)
        return answered(probe);
    if (probe->oks == 0 && kind == REDIS_FAULT_PERMISSION) {
        log_event(
            INFO, "redis_role_forbidden",
            "redis does not allow ROLE[ at {}]: that it is the master is as the sentinels say",
            LOG_STR("server", probe->link.where));
        probe->is_blind = 1;
        return answered(probe);
    }
    return redis_fault_note(&probe->link.fault, kind, "it answered: %s",
                            redis_error_show(error, probe->server.password, text, sizeof(text)));
}

static int on_reply(struct probe *probe, const struct redis_reply *reply)
{
    const redisReply *parsed = reply->parsed;

    if (parsed->type == REDIS_REPLY_ERROR)
        return on_error(probe, parsed->str);
    if (probe->oks > 0 && reply->kind == REPLY_OK) {
        probe->oks--;
        return 0;
    }
    if (probe->oks == 0 && probe->is_asked && probe->is_blind && reply->kind == REPLY_PONG)
        return answered(probe);
    if (probe->oks == 0 && probe->is_asked && parsed->type == REDIS_REPLY_ARRAY)
        return on_role(probe, parsed);
    return redis_fault_note(&probe->link.fault, REDIS_FAULT_PROTOCOL,
                            "an answer to nothing that was asked");
}

/* --- its connection ----------------------------------------------------------- */

static int on_begin(struct bufferevent *bev, const struct redis_wire *wire, void *arg)
{
    struct probe *probe = arg;
    int oks;

    (void)bev;
    probe->is_asked = probe->is_master = probe->is_blind = 0;
    probe->replies = redis_replies_new(&probe->link.fault);
    if (probe->replies == NULL)
        return no_memory(probe);
    redis_replies_deepen(probe->replies);
    oks = redis_commands_auth(&probe->server, wire, &probe->link.fault);
    if (oks < 0)
        return -1;
    probe->oks = (unsigned)oks;
    return ask(probe);
}

static int on_input(const char *bytes, size_t len, void *arg)
{
    struct probe *probe = arg;
    struct redis_reply reply;
    int rc;

    if (redis_replies_feed(probe->replies, bytes, len) < 0)
        return -1;
    while ((rc = redis_replies_next(probe->replies, REPLY_MAX, &reply)) > 0) {
        rc = on_reply(probe, &reply);
        redis_reply_clear(&reply);
        if (rc < 0)
            return -1;
    }
    return rc;
}

static void over(struct probe *probe)
{
    redis_link_stop(&probe->link);
    redis_replies_free(&probe->replies);
    event_del(probe->timer);
    probe->is_asked = probe->is_master = 0;
}

static void on_lost(int was_up, void *arg)
{
    struct probe *probe = arg;

    (void)was_up;
    over(probe);
    probe->ops->lost(probe, probe->arg);
}

static const struct redis_link_ops link_ops = {on_begin, on_input, on_lost, ATTEMPT_MS, "answered"};

/* --- for its owner ------------------------------------------------------------ */

void probe_start(struct probe *probe, const char *host, int port)
{
    probe_stop(probe);
    snprintf(probe->host, sizeof(probe->host), "%s", host);
    probe->server.host = probe->host;
    probe->server.port = port;
    redis_link_start(&probe->link, 0);
}

void probe_stop(struct probe *probe)
{
    over(probe);
}

int probe_init(struct probe *probe, struct event_base *base, const struct conf_redis *conf,
               const struct tls_client *client, const struct probe_ops *ops, void *arg)
{
    *probe = (struct probe){.ops = ops,
                            .arg = arg,
                            .server = {.host = probe->host,
                                       .username = conf->username,
                                       .password = conf->password,
                                       .tls = conf->tls}};
    probe->timer = event_new(base, -1, 0, on_timer, probe);
    if (redis_link_init(&probe->link, base, &probe->server, client, &probe->attempts, &link_ops,
                        probe) < 0 ||
        probe->timer == NULL)
        return -1;
    return 0;
}

void probe_disown(struct probe *probe)
{
    redis_link_wipe(&probe->link);
}

void probe_clear(struct probe *probe)
{
    if (probe->timer == NULL && probe->link.timer == NULL)
        return;
    redis_link_clear(&probe->link);
    redis_replies_free(&probe->replies);
    if (probe->timer != NULL)
        event_free(probe->timer);
    probe->timer = NULL;
}
