#include "master/subscription.h"

#include "master/redis_commands.h"
#include "master/redis_replies.h"

#include <event2/bufferevent.h>

#define ODD_LOG_MS 60000

/* --- what its answers mean ---------------------------------------------------- */

static void ready(struct subscription *subscription)
{
    subscription->is_ready = 1;
    subscription->ops->ready(subscription->arg);
}

static void odd(struct subscription *subscription, const char *what)
{
    uint64_t count;

    subscription->ops->odd(subscription->arg);
    count = log_due(&subscription->odd_log, ODD_LOG_MS);
    if (count > 0)
        log_warnx("redis: reply ignored: %s count=%llu", what, (unsigned long long)count);
}

/* The answer to what is asked last, where the ACL allows only the rest. */
static void withheld(struct subscription *subscription)
{
    struct slice pattern = topics_at(&subscription->topics, TOPIC_OLD);
    char text[256];

    if (!subscription->is_withheld)
        log_info("redis does not allow pattern=%s, which a few old emitters need",
                 log_escape(text, sizeof(text), pattern.ptr, pattern.len));
    subscription->is_withheld = 1;
}

static int on_error(struct subscription *subscription, const char *error)
{
    enum redis_fault_kind kind = redis_fault_kind(error);
    char text[160];
    const char *shown = redis_fault_show(error, subscription->server->password, text, sizeof(text));

    if (!subscription->is_ready)
        return redis_fault_note(subscription->fault, kind, "it answered: %s", shown);
    if (kind == REDIS_FAULT_PERMISSION)
        withheld(subscription);
    else
        odd(subscription, shown);
    return 0;
}

static void on_confirmation(struct subscription *subscription, struct slice name, int is_pattern)
{
    if (topics_confirm(&subscription->topics, name, is_pattern) && !subscription->is_ready &&
        subscription->oks == 0)
        ready(subscription);
}

static void on_sync(struct subscription *subscription)
{
    if (subscription->syncs > 0 && --subscription->syncs == 0)
        subscription->ops->synced(subscription->arg);
}

static void on_ok(struct subscription *subscription)
{
    if (subscription->oks > 0)
        subscription->oks--;
    else
        odd(subscription, "a status nobody asked for");
}

static void on_number(struct subscription *subscription)
{
    if (subscription->publish.len > 0 && !subscription->is_ready)
        ready(subscription);
    else
        odd(subscription, "a number nobody asked for");
}

/* Returns 0, or -1 where it is, or says, a fault. */
static int on_reply(struct subscription *subscription, const struct redis_reply *reply)
{
    switch (reply->kind) {
    case REPLY_MESSAGE:
        subscription->ops->message(reply->name, reply->text, subscription->arg);
        break;
    case REPLY_SUBSCRIBED:
        on_confirmation(subscription, reply->name, 0);
        break;
    case REPLY_PSUBSCRIBED:
        on_confirmation(subscription, reply->name, 1);
        break;
    case REPLY_UNSUBSCRIBED:
        return redis_fault_note(subscription->fault, REDIS_FAULT_PROTOCOL,
                                "it ended the subscription");
    case REPLY_OK:
        on_ok(subscription);
        break;
    case REPLY_PONG:
        break;
    case REPLY_SYNC:
        on_sync(subscription);
        break;
    case REPLY_NUMBER:
        on_number(subscription);
        break;
    case REPLY_ERROR:
        return on_error(subscription, reply->text.ptr);
    case REPLY_ODD:
        odd(subscription, reply->text.ptr);
        break;
    }
    return 0;
}

int subscription_take(struct subscription *subscription)
{
    struct redis_reply reply;
    int is_heard = 0, rc;

    while ((rc = redis_replies_next(subscription->replies, subscription->reply_max, &reply)) > 0) {
        if (!is_heard)
            subscription->ops->heard(subscription->arg);
        is_heard = 1;
        rc = on_reply(subscription, &reply);
        redis_reply_clear(&reply);
        if (rc < 0 || subscription->is_paused)
            return rc;
    }
    return rc;
}

int subscription_read(struct subscription *subscription, const char *bytes, size_t len)
{
    if (redis_replies_feed(subscription->replies, bytes, len) < 0)
        return -1;
    return subscription_take(subscription);
}

void subscription_pause(struct subscription *subscription, int on)
{
    subscription->is_paused = on;
}

/* --- what it is asked for ----------------------------------------------------- */

static int no_memory(struct subscription *subscription)
{
    return redis_fault_note(subscription->fault, REDIS_FAULT_MEMORY, "out of memory");
}

/* SELECT, and the subscriptions; or what it is to publish.  Returns 0, or -1 without
 * memory. */
static int commands_put(struct subscription *subscription)
{
    int oks;

    if (subscription->publish.len > 0)
        return bufferevent_write(subscription->bev, subscription->publish.data,
                                 subscription->publish.len);
    oks = redis_commands_select(subscription->bev, subscription->server->database);
    if (oks < 0)
        return -1;
    subscription->oks += oks;
    return redis_commands_subscribe(subscription->bev, &subscription->topics);
}

int subscription_begin(struct subscription *subscription, struct bufferevent *bev, int fd)
{
    subscription->bev = bev;
    subscription->is_ready = 0;
    subscription->syncs = 0;
    topics_forget(&subscription->topics);
    subscription->replies = redis_replies_new(subscription->fault);
    if (subscription->replies == NULL)
        return no_memory(subscription);
    subscription->oks = redis_commands_auth(subscription->server, fd, subscription->fault);
    if (subscription->oks < 0)
        return -1;
    return commands_put(subscription) < 0 ? no_memory(subscription) : 0;
}

void subscription_end(struct subscription *subscription)
{
    redis_replies_free(&subscription->replies);
    subscription->bev = NULL;
    subscription->is_ready = 0;
    subscription->is_paused = 0;
}

int subscription_sync(struct subscription *subscription)
{
    if (redis_commands_sync(subscription->bev) < 0)
        return -1;
    subscription->syncs++;
    return 0;
}

/* --- coming and going --------------------------------------------------------- */

int subscription_init(struct subscription *subscription, const struct conf *conf,
                      const struct conf_redis *server, struct redis_fault *fault,
                      const struct subscription_ops *ops, void *arg)
{
    *subscription = (struct subscription){
        .server = server, .fault = fault, .ops = ops, .arg = arg, .reply_max = SIZE_MAX};
    return topics_init(&subscription->topics, conf->key, conf->nsp);
}

void subscription_clear(struct subscription *subscription)
{
    subscription_end(subscription);
    topics_clear(&subscription->topics);
    buf_free(&subscription->publish);
}

int subscription_publish(struct subscription *subscription, struct slice channel,
                         struct slice payload)
{
    return redis_commands_publish(&subscription->publish, channel, payload);
}

int subscription_is_publish(const struct subscription *subscription)
{
    return subscription->publish.len > 0;
}

const struct topics *subscription_topics(const struct subscription *subscription)
{
    return &subscription->topics;
}

void subscription_limit(struct subscription *subscription, size_t bytes)
{
    subscription->reply_max = bytes;
}
