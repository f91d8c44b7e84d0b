#include "master/subscription.h"

#include "codec/redis_error.h"
#include "master/redis_replies.h"

#include <event2/bufferevent.h>
#include <string.h>

#define ODD_LOG_MS 60000
#define SHOWN_MAX  256

/* --- what is told of it ------------------------------------------------------- */

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
        log_event(WARN, "redis_reply_ignored", "redis: reply ignored[: {} count={}]",
                  LOG_STR("error", what), LOG_UINT("count", count));
}

/* The answer to what is asked last, where the ACL allows only the rest. */
static void withheld(struct subscription *subscription, unsigned topics)
{
    int is_peer = (topics & 1U << TOPIC_PEER) != 0;
    enum topic topic = is_peer ? TOPIC_PEER : TOPIC_OLD;
    struct slice name = topics_at(&subscription->topics, topic);

    if (subscription->withheld & 1U << topic)
        return;
    subscription->withheld |= 1U << topic;
    if (is_peer)
        log_event(INFO, "redis_peers_forbidden",
                  "redis does not allow [channel={}]<the channel of daemons>: other daemons cannot "
                  "tell what clients of this one have missed",
                  LOG_BYTES("channel", name.ptr, name.len, SHOWN_MAX));
    else
        log_event(
            INFO, "redis_old_pattern_forbidden",
            "redis does not allow [pattern={}, which]<a pattern that> a few old emitters need",
            LOG_BYTES("pattern", name.ptr, name.len, SHOWN_MAX));
}

/* --- what is without an answer ------------------------------------------------ */

enum {
    EXPECT_OK,
    EXPECT_CLIENT,
    EXPECT_NODE,
    EXPECT_KILLED,
    EXPECT_TOPICS,
    EXPECT_END,
    EXPECT_PONG
};

#define REQUEST_BITS (1U << TOPIC_REQUEST | 1U << TOPIC_REQUEST_PATTERN)

/* Returns 0, or -1 where that is too much. */
static int expect(struct subscription *subscription, unsigned kind, unsigned topics)
{
    if (subscription->nexpects == SUBSCRIPTION_EXPECTS)
        return -1;
    subscription->expects[subscription->nexpects].kind = (uint8_t)kind;
    subscription->expects[subscription->nexpects++].topics = (uint16_t)topics;
    return 0;
}

static int is_expected(const struct subscription *subscription, unsigned kind)
{
    return subscription->nexpects > 0 && subscription->expects[0].kind == kind;
}

/* The first n are answered. */
static void answered(struct subscription *subscription, unsigned n)
{
    subscription->nexpects -= n;
    memmove(subscription->expects, subscription->expects + n,
            subscription->nexpects * sizeof(subscription->expects[0]));
}

/* Where the first of kind is that is of one of topics; -1: nowhere. */
static int find(const struct subscription *subscription, unsigned kind, unsigned topics)
{
    for (unsigned i = 0; i < subscription->nexpects; i++)
        if (subscription->expects[i].kind == kind &&
            (kind == EXPECT_PONG || subscription->expects[i].topics & topics))
            return (int)i;
    return -1;
}

static int is_changing(const struct subscription *subscription)
{
    return find(subscription, EXPECT_TOPICS, REQUEST_BITS) >= 0 ||
           find(subscription, EXPECT_END, REQUEST_BITS) >= 0;
}

/* --- how requests are heard --------------------------------------------------- */

static int ask(struct subscription *subscription, enum topic first, int n)
{
    unsigned bits = ((1U << n) - 1) << first;

    if (redis_commands_subscribe(subscription->bev, &subscription->topics, first, n) < 0)
        return -1;
    return expect(subscription, EXPECT_TOPICS, bits);
}

static int ask_end(struct subscription *subscription, enum topic topic)
{
    if (!topics_has(&subscription->topics, topic))
        return 0;
    if (redis_commands_unsubscribe(subscription->bev, &subscription->topics, topic) < 0)
        return -1;
    return expect(subscription, EXPECT_END, 1U << topic);
}

static int wants(const struct subscription *subscription, enum topic topic)
{
    return !topics_has(&subscription->topics, topic) && !(subscription->denied & 1U << topic);
}

/* While both are there each request comes twice, and by the channel first; so none is lost
 * or told twice in a change.  The channel replaces the pattern once redis has allowed it;
 * where it is to be left that is so at once, whether there is a pattern in its place or not. */
static int reconcile(struct subscription *subscription)
{
    enum requests_mode mode = subscription->requests;

    if (subscription->bev == NULL || is_changing(subscription))
        return 0;
    if (mode == REQUESTS_COUNTED && wants(subscription, TOPIC_REQUEST))
        return ask(subscription, TOPIC_REQUEST, 1);
    if (mode == REQUESTS_COUNTED && topics_has(&subscription->topics, TOPIC_REQUEST))
        return ask_end(subscription, TOPIC_REQUEST_PATTERN);
    if (mode != REQUESTS_LEFT && wants(subscription, TOPIC_REQUEST_PATTERN) &&
        ask(subscription, TOPIC_REQUEST_PATTERN, 1) < 0)
        return -1;
    if (ask_end(subscription, TOPIC_REQUEST) < 0)
        return -1;
    return mode == REQUESTS_LEFT ? ask_end(subscription, TOPIC_REQUEST_PATTERN) : 0;
}

/* Something of it is answered. */
static int requests_changed(struct subscription *subscription)
{
    if (reconcile(subscription) < 0)
        return redis_fault_note(subscription->fault, REDIS_FAULT_MEMORY, "out of memory");
    subscription->ops->requests(subscription->arg);
    return 0;
}

/* --- what its answers mean ---------------------------------------------------- */

/* Is that enough?  What is asked last is answered last. */
static void look_if_ready(struct subscription *subscription)
{
    if (!subscription->is_ready && topics_are_enough(&subscription->topics) &&
        find(subscription, EXPECT_TOPICS, 1U << TOPIC_PEER) < 0)
        ready(subscription);
}

/* What is asked first or must be had is refused. */
static int refused(struct subscription *subscription, enum redis_fault_kind kind, const char *shown)
{
    return redis_fault_note(subscription->fault, kind, "it answered: %s", shown);
}

/* So is one of topics that may be withheld, or the end of one. */
static int topic_refused(struct subscription *subscription, unsigned kind, unsigned topics,
                         enum redis_fault_kind why, const char *shown)
{
    if (kind == EXPECT_END && topics & 1U << TOPIC_REQUEST)
        return refused(subscription, why, shown); /* it would be counted on and on */
    if (topics & REQUEST_BITS) {
        log_event(DEBUG, "redis_requests_refused", "redis: requests[: {}]<: refused>",
                  LOG_STR("error", shown));
        if (kind == EXPECT_TOPICS)
            subscription->denied |= topics & REQUEST_BITS;
        if (why != REDIS_FAULT_PERMISSION)
            odd(subscription, shown);
        return kind == EXPECT_TOPICS ? requests_changed(subscription) : 0;
    }
    if (topics & ((1U << TOPICS_NEEDED) - 1))
        return refused(subscription, why, shown);
    if (why == REDIS_FAULT_PERMISSION)
        withheld(subscription, topics);
    else
        odd(subscription, shown);
    look_if_ready(subscription);
    return 0;
}

static int on_error(struct subscription *subscription, const char *error)
{
    enum redis_fault_kind why = redis_fault_kind(error);
    char text[160];
    const char *shown = redis_error_show(error, subscription->server->password, text, sizeof(text));
    unsigned kind, topics;

    if (subscription->nexpects == 0 && !subscription->is_ready)
        return refused(subscription, why, shown);
    if (subscription->nexpects == 0) {
        odd(subscription, shown);
        return 0;
    }
    kind = subscription->expects[0].kind;
    topics = subscription->expects[0].topics;
    /* It may be about the connection as a whole. */
    if (!subscription->is_ready && why != REDIS_FAULT_PERMISSION && why != REDIS_FAULT_ERROR)
        return refused(subscription, why, shown);
    answered(subscription, 1);
    if (kind == EXPECT_OK)
        return refused(subscription, why, shown);
    if (kind == EXPECT_TOPICS || kind == EXPECT_END)
        return topic_refused(subscription, kind, topics, why, shown);
    if (kind == EXPECT_PONG)
        odd(subscription, shown);
    else if (kind == EXPECT_NODE)
        log_event(DEBUG, "redis_no_cluster", "redis: no node of a Cluster[: {}]",
                  LOG_STR("error", shown));
    else
        log_event(DEBUG, "redis_number_unknown", "redis: not known by its number[: {}]",
                  LOG_STR("error", shown));
    return 0;
}

static int on_confirmation(struct subscription *subscription, struct slice name, int is_pattern)
{
    enum topic topic = topics_confirm(&subscription->topics, name, is_pattern);
    int at = topic < TOPICS ? find(subscription, EXPECT_TOPICS, 1U << topic) : -1;

    if (is_expected(subscription, EXPECT_OK))
        return 0;
    if (at >= 0) {
        subscription->expects[at].topics &= (uint16_t) ~(1U << topic);
        answered(subscription, (unsigned)at + (subscription->expects[at].topics == 0));
    }
    look_if_ready(subscription);
    return at >= 0 && REQUEST_BITS & 1U << topic ? requests_changed(subscription) : 0;
}

static int on_end(struct subscription *subscription, struct slice name, int is_pattern)
{
    enum topic topic = topics_named(&subscription->topics, name, is_pattern);
    int at = topic < TOPICS ? find(subscription, EXPECT_END, 1U << topic) : -1;

    if (at < 0)
        return redis_fault_note(subscription->fault, REDIS_FAULT_PROTOCOL,
                                "it ended the subscription");
    topics_drop(&subscription->topics, topic);
    answered(subscription, (unsigned)at + 1);
    return requests_changed(subscription);
}

static void on_pong(struct subscription *subscription)
{
    int at = find(subscription, EXPECT_PONG, 0);

    if (at >= 0)
        answered(subscription, (unsigned)at + 1);
}

static void on_sync(struct subscription *subscription)
{
    on_pong(subscription);
    if (subscription->syncs > 0 && --subscription->syncs == 0)
        subscription->ops->synced(subscription->arg);
}

static void on_echo(struct subscription *subscription)
{
    on_pong(subscription);
    if (subscription->echoes > 0 && --subscription->echoes == 0)
        subscription->ops->echoed(subscription->arg);
}

/* An old redis may know less of CLIENT. */
static void on_ok(struct subscription *subscription)
{
    if (is_expected(subscription, EXPECT_OK) || is_expected(subscription, EXPECT_CLIENT) ||
        is_expected(subscription, EXPECT_KILLED))
        answered(subscription, 1);
    else
        odd(subscription, "a status nobody asked for");
}

static void on_number(struct subscription *subscription)
{
    if (is_expected(subscription, EXPECT_KILLED))
        answered(subscription, 1);
    else if (subscription->publish.len > 0 && !subscription->is_ready)
        ready(subscription);
    else
        odd(subscription, "a number nobody asked for");
}

static void on_node(struct subscription *subscription, struct slice id)
{
    if (id.len > SUBSCRIPTION_NODE)
        return;
    memcpy(subscription->node, id.ptr, id.len);
    subscription->node[id.len] = '\0';
}

static void on_text(struct subscription *subscription, struct slice text)
{
    int is_node = is_expected(subscription, EXPECT_NODE);

    if (!is_node && !is_expected(subscription, EXPECT_CLIENT)) {
        odd(subscription, "a text nobody asked for");
        return;
    }
    answered(subscription, 1);
    if (is_node)
        on_node(subscription, text);
    else
        redis_commands_client(&subscription->own, text);
}

/* Messages of daemons mean something in their place among all others. */
static int is_early(const struct subscription *subscription, struct slice channel)
{
    return slice_eq(channel, topics_at(&subscription->topics, TOPIC_PEER)) &&
           !(subscription->is_ready && topics_has(&subscription->topics, TOPIC_PEER));
}

/* While the channel is subscribed to, that is what brings it. */
static void on_message(struct subscription *subscription, const struct redis_reply *reply)
{
    const struct topics *topics = &subscription->topics;
    int by_pattern = reply->kind == REPLY_PMESSAGE;

    if (is_early(subscription, reply->name))
        return;
    if (!slice_eq(reply->name, topics_at(topics, TOPIC_REQUEST)))
        subscription->ops->message(reply->name, reply->text, subscription->arg);
    else if (!by_pattern || !topics_has(topics, TOPIC_REQUEST))
        subscription->ops->request(reply->name, reply->text, !by_pattern, subscription->arg);
}

/* Returns 0, or -1 where it is, or says, a fault. */
static int on_reply(struct subscription *subscription, const struct redis_reply *reply)
{
    switch (reply->kind) {
    case REPLY_MESSAGE:
    case REPLY_PMESSAGE:
        on_message(subscription, reply);
        break;
    case REPLY_SUBSCRIBED:
        return on_confirmation(subscription, reply->name, 0);
    case REPLY_PSUBSCRIBED:
        return on_confirmation(subscription, reply->name, 1);
    case REPLY_UNSUBSCRIBED:
        return on_end(subscription, reply->name, 0);
    case REPLY_PUNSUBSCRIBED:
        return on_end(subscription, reply->name, 1);
    case REPLY_OK:
        on_ok(subscription);
        break;
    case REPLY_PONG:
        on_pong(subscription);
        break;
    case REPLY_SYNC:
        on_sync(subscription);
        break;
    case REPLY_ECHO:
        on_echo(subscription);
        break;
    case REPLY_NUMBER:
        on_number(subscription);
        break;
    case REPLY_TEXT:
        on_text(subscription, reply->text);
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

static int expect_oks(struct subscription *subscription, int n)
{
    int rc = n < 0 ? -1 : 0;

    for (int i = 0; i < n && rc == 0; i++)
        rc = expect(subscription, EXPECT_OK, 0);
    return rc;
}

/* Which connection this is, and that the one before it is over: as far as redis allows it.
 * All that come by a Unix path have the same address, and none of these is half-open. */
static int clients_put(struct subscription *subscription)
{
    struct bufferevent *bev = subscription->bev;

    if (subscription->server->path != NULL)
        return 0;
    if (subscription->former.id[0] != '\0' &&
        (redis_commands_kill(bev, &subscription->former) < 0 ||
         expect(subscription, EXPECT_KILLED, 0) < 0))
        return -1;
    return redis_commands_info(bev) < 0 ? -1 : expect(subscription, EXPECT_CLIENT, 0);
}

/* Where the channel of daemons is wanted it matters which node this is. */
static int node_put(struct subscription *subscription)
{
    if (!subscription->has_peers)
        return 0;
    return redis_commands_node(subscription->bev) < 0 ? -1 : expect(subscription, EXPECT_NODE, 0);
}

/* What must be had first, and all at one time: redis carries it out in one go, so that all
 * is heard from the same moment on.  Requests come last, and behind them the channel of
 * daemons: what comes on it comes when all else is heard. */
static int topics_put(struct subscription *subscription)
{
    enum topic requests =
        subscription->requests == REQUESTS_COUNTED ? TOPIC_REQUEST : TOPIC_REQUEST_PATTERN;

    if (ask(subscription, TOPIC_PATTERN, 1) < 0 || ask(subscription, TOPIC_EMITTER, 2) < 0 ||
        ask(subscription, TOPIC_OLD, 1) < 0)
        return -1;
    if (topics_at(&subscription->topics, TOPIC_BARE).len > 0 &&
        ask(subscription, TOPIC_BARE, 1) < 0)
        return -1;
    if (subscription->requests != REQUESTS_LEFT && ask(subscription, requests, 1) < 0)
        return -1;
    return subscription->has_peers ? ask(subscription, TOPIC_PEER, 1) : 0;
}

/* SELECT, and the subscriptions; or what it is to publish.  Returns 0, or -1 without
 * memory. */
static int commands_put(struct subscription *subscription)
{
    if (subscription->publish.len > 0)
        return bufferevent_write(subscription->bev, subscription->publish.data,
                                 subscription->publish.len);
    if (expect_oks(subscription,
                   redis_commands_select(subscription->bev, subscription->server->database)) < 0)
        return -1;
    if (clients_put(subscription) < 0 || node_put(subscription) < 0)
        return -1;
    return topics_put(subscription);
}

int subscription_begin(struct subscription *subscription, struct bufferevent *bev,
                       const struct redis_wire *wire)
{
    int oks;

    subscription->bev = bev;
    subscription->is_ready = 0;
    subscription->syncs = subscription->echoes = subscription->nexpects = 0;
    subscription->denied = 0;
    topics_forget(&subscription->topics);
    subscription->replies = redis_replies_new(subscription->fault);
    if (subscription->replies == NULL)
        return no_memory(subscription);
    oks = redis_commands_auth(subscription->server, wire, subscription->fault);
    if (oks < 0)
        return -1;
    if (expect_oks(subscription, oks) < 0 || commands_put(subscription) < 0)
        return no_memory(subscription);
    return 0;
}

void subscription_end(struct subscription *subscription)
{
    redis_replies_free(&subscription->replies);
    subscription->bev = NULL;
    subscription->is_ready = 0;
    subscription->is_paused = 0;
    if (subscription->own.id[0] != '\0')
        subscription->former = subscription->own;
    subscription->own.id[0] = '\0';
    subscription->node[0] = '\0';
    topics_forget(&subscription->topics);
}

void subscription_requests(struct subscription *subscription, enum requests_mode mode)
{
    subscription->requests = mode;
    subscription->denied = 0;
    /* Without memory it is asked again with the next answer, or on another connection. */
    (void)reconcile(subscription);
}

enum requests_heard subscription_requests_heard(const struct subscription *subscription)
{
    if (is_changing(subscription))
        return REQUESTS_CHANGING;
    if (topics_has(&subscription->topics, TOPIC_REQUEST))
        return REQUESTS_CHANNEL;
    return topics_has(&subscription->topics, TOPIC_REQUEST_PATTERN) ? REQUESTS_PATTERN
                                                                    : REQUESTS_UNHEARD;
}

int subscription_ping(struct subscription *subscription)
{
    /* Where so much is without an answer that this would be too much, there is a sign of life
     * to come. */
    return redis_commands_ping(subscription->bev) < 0 ? -1 : expect(subscription, EXPECT_PONG, 0);
}

int subscription_sync(struct subscription *subscription)
{
    if (redis_commands_sync(subscription->bev) < 0)
        return -1;
    subscription->syncs++;
    (void)expect(subscription, EXPECT_PONG, 0); /* its answer is known without */
    return 0;
}

int subscription_echo(struct subscription *subscription)
{
    if (redis_commands_echo(subscription->bev) < 0)
        return -1;
    subscription->echoes++;
    (void)expect(subscription, EXPECT_PONG, 0);
    return 0;
}

/* --- coming and going --------------------------------------------------------- */

int subscription_init(struct subscription *subscription, const struct conf *conf,
                      const struct conf_redis *server, struct redis_fault *fault,
                      const struct subscription_ops *ops, void *arg)
{
    *subscription = (struct subscription){.server = server,
                                          .fault = fault,
                                          .ops = ops,
                                          .arg = arg,
                                          .reply_max = SIZE_MAX,
                                          .has_peers = conf->recovery != 0};
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
