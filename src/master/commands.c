#include "master/commands.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/redis_error.h"
#include "master/command.h"
#include "master/redis_link.h"
#include "master/redis_replies.h"
#include "master/timer.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <limits.h>
#include <stdlib.h>

#define ATTEMPT_MS    1000 /* to connect, and to know whether answers are allowed */
#define TICK_MS       100  /* what is counted in these counts time that this process ran */
#define PING_TICKS    3
#define SILENCE_TICKS 6
#define PROBE_TICKS   100
#define REPLY_MAX     65536
#define SHARE_BYTES   16384 /* a longer payload is not copied */

struct commands {
    const struct commands_ops *ops;
    void *arg;
    struct redis_link link;
    struct redis_replies *replies; /* of the connection, or NULL */
    struct event *pulse;           /* while it is connected: the next tick */
    struct buf response;           /* the channel of all answers */

    struct command_queue sent; /* without an answer, in order */
    struct command_queue held; /* to be published once it is ready */
    size_t waiting, unconfirmed;

    int is_ready, is_refused, is_tried;
    int holds, is_last;
    int is_common; /* channels of one requester are not allowed */
    int is_warned; /* of a channel that is no answer's */
    char why[320]; /* the last loss */
    uint64_t heard_ms, answered_ms;

    unsigned ticks;  /* since the last PING or probe */
    unsigned silent; /* since something went or came, while an answer is to come */
    uint64_t bytes;  /* that had come at the last tick */
    uint64_t put;    /* bytes that were to be written, all told */
    uint64_t taken;  /* those of them that redis had taken at the last tick */
    struct commands_stats stats;
};

/* --- what is without an answer ------------------------------------------------ */

/* It is over. */
static void end(struct commands *commands, struct command *command, int ok)
{
    if (command->kind == COMMAND_PUBLISH) {
        commands->waiting -= message_size(command->message);
        commands->unconfirmed--;
        ok ? commands->stats.published++ : commands->stats.failed++;
        message_drop(command->message);
        if (command->done != NULL)
            command->done(ok, command->arg);
    }
    free(command);
}

/* All of them have failed.  What their owners publish now is not among them. */
static void queue_fail(struct commands *commands, struct command_queue *queue)
{
    struct command_queue all = *queue;
    struct command *command;

    command_queue_init(queue);
    if (all.first == NULL)
        return;
    while ((command = command_take(&all)) != NULL)
        end(commands, command, 0);
}

/* --- what redis is told ------------------------------------------------------- */

static int no_memory(struct commands *commands)
{
    return redis_fault_note(&commands->link.fault, REDIS_FAULT_MEMORY, "out of memory");
}

static struct slice slice_of(const struct buf *buf)
{
    return (struct slice){(const char *)buf->data, buf->len};
}

static void on_written(const void *bytes, size_t len, void *arg)
{
    (void)bytes, (void)len;
    message_drop(arg);
}

static int payload_put(struct evbuffer *out, struct message *message)
{
    const struct buf *payload = &message->payload;

    if (payload->len < SHARE_BYTES)
        return evbuffer_add(out, payload->data, payload->len);
    message->refs++;
    if (evbuffer_add_reference(out, payload->data, payload->len, on_written, message) == 0)
        return 0;
    message->refs--;
    return -1;
}

static int publish_put(struct commands *commands, struct message *message)
{
    struct evbuffer *out = bufferevent_get_output(commands->link.bev);

    if (redis_commands_publish_head(commands->link.bev, slice_of(&message->channel),
                                    message->payload.len) < 0 ||
        payload_put(out, message) < 0)
        return -1;
    return evbuffer_add(out, "\r\n", 2);
}

static int probe_put(struct commands *commands)
{
    struct bufferevent *bev = commands->link.bev;

    if (redis_commands_publish_head(bev, slice_of(&commands->response), 2) < 0)
        return -1;
    return bufferevent_write(bev, "{}\r\n", 4);
}

/* Takes command, which is written.  Where there is no memory for that the connection is broken:
 * it is acted on at the end of the event, or at the next tick. */
static void send_command(struct commands *commands, struct command *command,
                         const struct redis_client *client)
{
    struct bufferevent *bev = commands->link.bev;
    size_t before = evbuffer_get_length(bufferevent_get_output(bev));
    int rc = 0;

    command->sent_ms = clock_ms();
    command_put(&commands->sent, command);
    switch (command->kind) {
    case COMMAND_OK: /* is on its way */
        break;
    case COMMAND_PROBE:
        rc = probe_put(commands);
        break;
    case COMMAND_PUBLISH:
        rc = publish_put(commands, command->message);
        break;
    case COMMAND_PING:
        rc = redis_commands_ping(bev);
        break;
    case COMMAND_KILL:
        rc = client != NULL ? redis_commands_kill(bev, client) : -1;
        break;
    }
    commands->put += evbuffer_get_length(bufferevent_get_output(bev)) - before;
    command->end = commands->put;
    if (rc < 0)
        (void)no_memory(commands);
}

/* One that nobody waits for. */
static int send_new(struct commands *commands, enum command_kind kind,
                    const struct redis_client *client)
{
    struct command *command = command_new(kind);

    if (command == NULL)
        return no_memory(commands);
    send_command(commands, command, client);
    return commands->link.fault.is_found ? -1 : 0;
}

/* --- what it answers ---------------------------------------------------------- */

static void ready(struct commands *commands)
{
    struct command *command;

    redis_link_up(&commands->link);
    commands->is_ready = commands->is_tried = 1;
    commands->is_refused = 0;
    while ((command = command_take(&commands->held)) != NULL)
        send_command(commands, command, NULL);
    commands->ops->changed(commands->arg);
}

static void refused(struct commands *commands)
{
    redis_link_up(&commands->link);
    commands->is_ready = 0;
    commands->is_refused = commands->is_tried = 1;
    commands->ticks = 0;
    queue_fail(commands, &commands->held);
    commands->ops->changed(commands->arg);
}

/* 1 if it is a channel of answers to one requester. */
static int is_of_one(const struct commands *commands, struct slice channel)
{
    struct slice start = {channel.ptr, commands->response.len};

    return channel.len > start.len && slice_eq(start, slice_of(&commands->response));
}

/* To the channel of all. */
static int to_all(struct commands *commands, struct message *message)
{
    buf_reset(&message->channel);
    return buf_put(&message->channel, commands->response.data, commands->response.len);
}

static void not_allowed(struct commands *commands, struct slice channel)
{
    if (slice_eq(channel, slice_of(&commands->response))) {
        refused(commands);
    } else if (!commands->is_warned) {
        log_event(WARN, "redis_publish_forbidden",
                  "redis does not allow PUBLISH on [channel={}]<a channel>",
                  LOG_BYTES("channel", channel.ptr, channel.len, 256));
        commands->is_warned = 1;
    }
}

/* What is told of a message that went to so many. */
static int confirmed(long long subscribers)
{
    return subscribers < 0 ? 1 : subscribers < INT_MAX ? 1 + (int)subscribers : INT_MAX;
}

/* Takes command. */
static int on_published(struct commands *commands, struct command *command,
                        const struct redis_reply *reply)
{
    struct message *message = command->message;
    int is_error = reply->kind == REPLY_ERROR;
    int is_forbidden = is_error && redis_fault_kind(reply->text.ptr) == REDIS_FAULT_PERMISSION;

    if (is_forbidden && is_of_one(commands, slice_of(&message->channel)) && commands->is_ready) {
        size_t was = message_size(message);
        commands->is_common = 1;
        if (to_all(commands, message) == 0) {
            commands->waiting -= was - message_size(message);
            send_command(commands, command, NULL);
            return 0;
        }
        commands->waiting -= was - message_size(message);
    } else if (is_forbidden) {
        not_allowed(commands, slice_of(&message->channel));
    } else if (is_error) {
        log_event(DEBUG, "redis_not_published", "redis: not published[: {}]",
                  LOG_STR("error", reply->text.ptr));
    }
    end(commands, command, reply->kind == REPLY_NUMBER ? confirmed(reply->number) : 0);
    return is_error || reply->kind == REPLY_NUMBER ? 0 : -1;
}

/* It is not allowed, or there is no such command. */
static int is_refusal(const struct redis_reply *reply)
{
    enum redis_fault_kind why;

    if (reply->kind != REPLY_ERROR)
        return 0;
    why = redis_fault_kind(reply->text.ptr);
    return why == REDIS_FAULT_PERMISSION || why == REDIS_FAULT_ERROR;
}

static int on_probed(struct commands *commands, const struct redis_reply *reply)
{
    if (reply->kind == REPLY_NUMBER)
        ready(commands);
    else if (is_refusal(reply))
        refused(commands);
    else
        return -1;
    return 0;
}

/* Returns 0, or -1 where it is none that may follow. */
static int on_answer(struct commands *commands, struct command *command,
                     const struct redis_reply *reply)
{
    enum command_kind kind = command->kind;

    commands->answered_ms = command->sent_ms;
    if (kind == COMMAND_PUBLISH)
        return on_published(commands, command, reply);
    end(commands, command, 1);
    switch (kind) {
    case COMMAND_OK:
        return reply->kind == REPLY_OK ? 0 : -1;
    case COMMAND_PROBE:
        return on_probed(commands, reply);
    case COMMAND_PING:
        return reply->kind == REPLY_PONG || reply->kind == REPLY_ERROR ? 0 : -1;
    case COMMAND_KILL:
        return reply->kind == REPLY_NUMBER || reply->kind == REPLY_ERROR ? 0 : -1;
    case COMMAND_PUBLISH:
        break;
    }
    return 0;
}

static int on_reply(struct commands *commands, const struct redis_reply *reply)
{
    struct command *command = command_take(&commands->sent);
    const char *password = commands->link.server->password;
    char text[160];

    commands->heard_ms = clock_ms();
    if (command != NULL && on_answer(commands, command, reply) == 0)
        return commands->link.fault.is_found ? -1 : 0;
    if (reply->kind == REPLY_ERROR)
        return redis_fault_note(&commands->link.fault, redis_fault_kind(reply->text.ptr),
                                "it answered: %s",
                                redis_error_show(reply->text.ptr, password, text, sizeof(text)));
    return redis_fault_note(&commands->link.fault, REDIS_FAULT_PROTOCOL,
                            "an answer to nothing that was asked");
}

static int on_input(const char *bytes, size_t len, void *arg)
{
    struct commands *commands = arg;
    size_t before = commands->unconfirmed;
    struct redis_reply reply;
    int rc;

    if (redis_replies_feed(commands->replies, bytes, len) < 0)
        return -1;
    while ((rc = redis_replies_next(commands->replies, REPLY_MAX, &reply)) > 0) {
        rc = on_reply(commands, &reply);
        redis_reply_clear(&reply);
        if (rc < 0)
            return -1;
    }
    if (before > 0 && commands->unconfirmed == 0)
        commands->ops->changed(commands->arg);
    return rc;
}

/* --- signs of life ------------------------------------------------------------ */

/* Something has come, or redis takes what the oldest command is.  What goes behind that one is
 * no sign of life: of a server that hangs the kernel takes it. */
static int is_moving(struct commands *commands)
{
    uint64_t taken = commands->put - redis_link_waiting(&commands->link);
    const struct command *oldest = commands->sent.first;
    int is_going = oldest != NULL && (int64_t)(oldest->end - commands->taken) > 0;
    int moves = commands->bytes != commands->link.bytes ||
                (is_going && (int64_t)(taken - commands->taken) > 0);

    commands->bytes = commands->link.bytes;
    commands->taken = taken;
    return moves;
}

static int judge(struct commands *commands)
{
    if (commands->link.fault.is_found)
        return -1;
    if (is_moving(commands) || commands->sent.first == NULL)
        commands->silent = 0;
    else
        commands->silent++;
    if (commands->silent >= SILENCE_TICKS)
        return redis_fault_note(&commands->link.fault, REDIS_FAULT_SILENT, "no answer for %d ms",
                                SILENCE_TICKS * TICK_MS);
    commands->ticks++;
    if (commands->is_refused && commands->ticks % PROBE_TICKS == 0)
        return send_new(commands, COMMAND_PROBE, NULL);
    if (commands->sent.first == NULL && commands->ticks % PING_TICKS == 0)
        return send_new(commands, COMMAND_PING, NULL);
    return 0;
}

static void on_pulse(evutil_socket_t fd, short what, void *arg)
{
    struct commands *commands = arg;

    (void)fd;
    (void)what;
    (void)timer_set(commands->pulse, TICK_MS);
    if (judge(commands) < 0)
        redis_link_fail(&commands->link);
    else
        commands->ops->tick(commands->arg);
}

/* --- its connection ----------------------------------------------------------- */

static int expect_oks(struct commands *commands, int n)
{
    int rc = n < 0 ? -1 : 0;

    for (int i = 0; i < n && rc == 0; i++)
        rc = send_new(commands, COMMAND_OK, NULL);
    return rc;
}

static int on_begin(struct bufferevent *bev, const struct redis_wire *wire, void *arg)
{
    struct commands *commands = arg;
    const struct conf_redis *server = commands->link.server;
    int oks;

    commands->ticks = commands->silent = 0;
    commands->is_common = 0;
    commands->put = commands->taken = 0;
    commands->bytes = commands->link.bytes;
    commands->replies = redis_replies_new(&commands->link.fault);
    if (commands->replies == NULL || timer_set(commands->pulse, TICK_MS) < 0)
        return no_memory(commands);
    oks = redis_commands_auth(server, wire, &commands->link.fault);
    if (oks < 0 || expect_oks(commands, oks) < 0)
        return -1;
    oks = redis_commands_select(bev, server->database);
    if (oks < 0)
        return no_memory(commands);
    if (expect_oks(commands, oks) < 0)
        return -1;
    return send_new(commands, COMMAND_PROBE, NULL);
}

static void on_lost(int was_up, void *arg)
{
    struct commands *commands = arg;

    log_event(DEBUG, "redis_commands_down", "redis: commands[: {} {}: {}]<: no connection>",
              LOG_SHOWN(was_up ? "lost at" : "not reachable at"),
              LOG_STR("server", commands->link.where), LOG_STR("error", commands->link.fault.why));
    memcpy(commands->why, commands->link.fault.why, sizeof(commands->why));
    event_del(commands->pulse);
    redis_replies_free(&commands->replies);
    commands->is_ready = commands->is_refused = 0;
    commands->is_tried = 1;
    if (commands->is_last) {
        redis_link_stop(&commands->link);
        commands->holds = 0;
        queue_fail(commands, &commands->held);
    }
    queue_fail(commands, &commands->sent);
    commands->ops->changed(commands->arg);
}

static const struct redis_link_ops link_ops = {on_begin, on_input, on_lost, ATTEMPT_MS, "answered"};

/* --- for its owner ------------------------------------------------------------ */

int commands_publish(struct commands *commands, struct slice channel, struct buf *payload,
                     void (*done)(int ok, void *arg), void *arg)
{
    int sends = commands->is_ready && !commands->link.fault.is_found;
    int holds = !sends && commands->holds && !commands->is_refused;
    struct command *command;

    if ((!sends && !holds) || payload->failed ||
        commands->waiting + payload->len > COMMANDS_MAX_BYTES)
        return -1;
    if (commands->is_common && is_of_one(commands, channel))
        channel = slice_of(&commands->response);
    command = command_new(COMMAND_PUBLISH);
    if (command == NULL)
        return -1;
    command->message = message_new(channel, payload);
    if (command->message == NULL) {
        free(command);
        return -1;
    }
    command->done = done;
    command->arg = arg;
    commands->waiting += message_size(command->message);
    commands->unconfirmed++;
    if (sends)
        send_command(commands, command, NULL);
    else
        command_put(&commands->held, command);
    return 0;
}

void commands_kill(struct commands *commands, const struct redis_client *client)
{
    if (client->id[0] != '\0' && commands->is_ready && !commands->link.fault.is_found)
        (void)send_new(commands, COMMAND_KILL, client);
}

void commands_retry(struct commands *commands)
{
    if (commands->is_refused && !commands->link.fault.is_found)
        (void)send_new(commands, COMMAND_PROBE, NULL);
}

void commands_hold(struct commands *commands, int on)
{
    commands->holds = on;
    if (!on)
        queue_fail(commands, &commands->held);
}

void commands_last(struct commands *commands)
{
    commands->is_last = 1;
    if (commands->link.bev != NULL)
        return;
    redis_link_stop(&commands->link);
    commands_hold(commands, 0);
}

void commands_place(struct commands *commands, const struct redis_place *place)
{
    redis_link_place(&commands->link, place);
}

int commands_ready(const struct commands *commands)
{
    return commands->is_ready;
}

int commands_refused(const struct commands *commands)
{
    return commands->is_refused;
}

int commands_tried(const struct commands *commands)
{
    return commands->is_tried;
}

const char *commands_why(const struct commands *commands)
{
    return commands->why;
}

uint64_t commands_heard_ms(const struct commands *commands)
{
    return commands->heard_ms;
}

uint64_t commands_answered_ms(const struct commands *commands)
{
    return commands->answered_ms;
}

size_t commands_waiting(const struct commands *commands)
{
    return commands->waiting;
}

size_t commands_unconfirmed(const struct commands *commands)
{
    return commands->unconfirmed;
}

void commands_add(struct commands_stats *sum, const struct commands *commands)
{
    sum->attempts += commands->stats.attempts;
    sum->published += commands->stats.published;
    sum->failed += commands->stats.failed;
}

/* --- coming and going --------------------------------------------------------- */

struct commands *commands_new(struct event_base *base, const struct conf *conf,
                              const struct conf_redis *server, const struct tls_client *client,
                              const struct commands_ops *ops, void *arg)
{
    struct commands *commands = calloc(1, sizeof(*commands));

    if (commands == NULL)
        return NULL;
    commands->ops = ops;
    commands->arg = arg;
    command_queue_init(&commands->sent);
    command_queue_init(&commands->held);
    commands->pulse = event_new(base, -1, 0, on_pulse, commands);
    if (redis_link_init(&commands->link, base, server, client, &commands->stats.attempts, &link_ops,
                        commands) < 0 ||
        commands->pulse == NULL ||
        buf_printf(&commands->response, "%s-response#%s#", conf->key, conf->nsp) < 0) {
        commands_free(&commands);
        return NULL;
    }
    redis_link_start(&commands->link, 0);
    return commands;
}

void commands_wipe(struct commands *commands)
{
    redis_link_wipe(&commands->link);
}

void commands_free(struct commands **commandsp)
{
    struct commands *commands = *commandsp;

    if (commands == NULL)
        return;
    *commandsp = NULL;
    commands->is_ready = commands->holds = 0;
    redis_link_clear(&commands->link); /* first: what was written is of messages in sent */
    queue_fail(commands, &commands->sent);
    queue_fail(commands, &commands->held);
    if (commands->pulse != NULL)
        event_free(commands->pulse);
    redis_replies_free(&commands->replies);
    buf_free(&commands->response);
    free(commands);
}
