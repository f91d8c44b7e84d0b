#include "master/feed.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/slice.h"
#include "conf/server.h"
#include "master/backlog.h"
#include "master/leaving.h"
#include "master/member.h"
#include "master/successor.h"
#include "master/throttle.h"
#include "master/timer.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define GIVE_BYTES (256UL * 1024) /* are handed on before the loop gets its turn */
#define LEFT_MS    500            /* what has come over the old connection may be so late */

struct feed {
    struct event_base *base;
    const struct conf *conf;
    const struct feed_ops *ops;
    void *arg;

    struct member *now;
    struct successor next;
    struct leaving leaving;   /* those before, and those that were given up */
    struct throttle throttle; /* redis is not read while a worker is behind */

    /* What came over now before it was in force. */
    struct backlog waiting; /* and notes, in their place */
    int gives;              /* it is handed on, and now is not read */
    struct event *timer;    /* for that */

    /* Of now and the connection before it. */
    unsigned past_unshared; /* bits of the topics that one of them heard and the other did not */
    struct overlap past;    /* what came over both */
    size_t left;            /* messages of it that are still to come over now as well */
    uint64_t left_until_ms; /* they come no more then; 0: now has not answered yet */
    int is_doubtful;        /* more than these may have been lost between both */

    int is_up;     /* the subscription in force is there, as was told last */
    int is_pinged; /* feed_ping() is to be answered */

    void (*leave_done)(void *arg); /* feed_leave(), until it is told */
    void *leave_arg;
};

static void arrived(struct feed *feed, struct slice payload, int is_counted, uint32_t via)
{
    if (feed->ops->arrived != NULL)
        feed->ops->arrived(payload, is_counted, via, feed->arg);
}

/* What is not a message, and has its place among them. */
enum note { NOTE_GAP = 'g', NOTE_PONG = 'p' };

static void tell(const struct feed *feed, enum note what)
{
    void (*op)(void *arg) = what == NOTE_GAP ? feed->ops->gap : feed->ops->pong;

    if (op != NULL)
        op(feed->arg);
}

static void hand_peer(const struct feed *feed, struct slice payload)
{
    if (feed->ops->peer != NULL)
        feed->ops->peer(payload, feed->arg);
}

/* Hands one message on. */
static void hand(struct feed *feed, struct slice channel, struct slice payload, uint64_t us)
{
    const struct redis *redis = member_redis(feed->now);

    if (redis_is_request(redis, channel))
        feed->ops->request(payload, member_via(feed->now), feed->arg);
    else if (redis_is_peer(redis, channel))
        hand_peer(feed, payload);
    else
        feed->ops->message(channel, payload, us, feed->arg);
    if (throttle_handed(&feed->throttle, channel.len + payload.len))
        redis_pause(member_redis(feed->now));
}

/* Hands on what waits, up to so many bytes; SIZE_MAX: all, whoever is behind. */
static void hand_on(struct feed *feed, size_t most)
{
    struct backlog *waiting = &feed->waiting;

    for (size_t given = 0; waiting->first != NULL && given < most; backlog_drop(waiting)) {
        const struct backlog_message *message = waiting->first;
        given += message->channel.len + message->payload.len;
        if (message->channel.len > 0)
            hand(feed, message->channel, message->payload, message->received_us);
        else
            tell(feed, (enum note)message->payload.ptr[0]);
        if (throttle_rests(&feed->throttle) && most != SIZE_MAX)
            most = 0;
    }
}

/* Behind what has come up to now. */
static void note(struct feed *feed, enum note what)
{
    const char text = (char)what;

    if (feed->gives &&
        backlog_put(&feed->waiting, (struct slice){0}, (struct slice){&text, 1}, 0) == 0)
        return;
    if (feed->gives)
        hand_on(feed, SIZE_MAX);
    tell(feed, what);
}

/* --- connections that go ------------------------------------------------------ */

static void on_late_arrived(struct slice payload, int is_counted, uint32_t via, void *arg)
{
    arrived(arg, payload, is_counted, via);
}

/* All have left: that is told once. */
static void look_at_end(struct feed *feed)
{
    void (*done)(void *arg) = feed->leave_done;

    if (done == NULL || !member_has_left(feed->now) || !leaving_is_over(&feed->leaving))
        return;
    feed->leave_done = NULL;
    done(feed->leave_arg);
}

/* A connection that may still be counted is ended on the one in force. */
static void on_late_left(struct member *member, void *arg)
{
    struct feed *feed = arg;
    const struct redis_client *stuck = member_stuck(member);

    if (stuck != NULL)
        commands_kill(member_commands(feed->now), stuck);
    look_at_end(feed);
}

static const struct leaving_ops leaving_ops = {on_late_arrived, on_late_left};

static void on_left(struct member *member, void *arg)
{
    (void)member;
    look_at_end(arg);
}

/* It stays, for whoever asks about it. */
static void on_over(struct member *member, void *arg)
{
    (void)member, (void)arg;
}

static const struct member_end now_end = {on_left, on_over};

/* --- the one in force --------------------------------------------------------- */

/* 1 if it came over the connection before this one; or has no place, for what it came before has
 * come already. */
static int is_again(struct feed *feed, struct slice channel, struct slice payload)
{
    int again;

    if (feed->left == 0)
        return 0;
    if (successor_is_unshared(feed->now, feed->past_unshared, channel))
        return redis_is_peer(member_redis(feed->now), channel);
    if (feed->left_until_ms > 0 && clock_ms() > feed->left_until_ms)
        feed->left = 0;
    again = overlap_again(&feed->past, &feed->left, channel, payload);
    if (feed->left > 0)
        return again;
    overlap_clear(&feed->past);
    if (!again || feed->is_doubtful)
        note(feed, NOTE_GAP);
    return again;
}

static void on_message(struct slice channel, struct slice payload, void *arg)
{
    struct feed *feed = arg;
    uint64_t us = redis_read_us(member_redis(feed->now));

    if (successor_old_message(&feed->next, channel, payload))
        return;
    if (is_again(feed, channel, payload))
        return;
    /* Made again while what came over it before still waits: behind that. */
    if (feed->gives && backlog_put(&feed->waiting, channel, payload, us) == 0)
        return;
    if (feed->gives)
        hand_on(feed, SIZE_MAX);
    hand(feed, channel, payload, us);
}

static void on_request(struct slice channel, struct slice payload, int is_counted, uint32_t via,
                       void *arg)
{
    struct feed *feed = arg;

    arrived(feed, payload, is_counted, via);
    on_message(channel, payload, arg);
}

static void on_too_large(void *arg)
{
    struct feed *feed = arg;

    feed->ops->too_large(feed->arg);
}

static void on_state(int subscribed, void *arg)
{
    struct feed *feed = arg;

    if (!subscribed)
        feed->left = 0;
    if (subscribed || feed->is_up)
        note(feed, NOTE_GAP);
    feed->is_up = subscribed;
    feed->is_pinged &= subscribed;
    successor_old_state(&feed->next, subscribed);
    feed->ops->state(subscribed, feed->arg);
}

static void on_synced(void *arg)
{
    struct feed *feed = arg;

    if (feed->left > 0 && feed->left_until_ms == 0)
        feed->left_until_ms = clock_ms() + LEFT_MS;
    if (!successor_old_synced(&feed->next))
        feed->ops->synced(feed->arg);
}

static void on_commands(int ready, void *arg)
{
    struct feed *feed = arg;

    feed->ops->commands(ready, feed->arg);
}

static void on_asking(void *arg)
{
    (void)arg;
}

static void on_echoed(void *arg)
{
    struct feed *feed = arg;

    feed->is_pinged = 0;
    note(feed, NOTE_PONG);
}

static const struct member_ops now_ops = {on_message, on_request, on_too_large, on_state,
                                          on_synced,  on_asking,  on_echoed,    on_commands};

/* --- from one to the other ---------------------------------------------------- */

static void give(struct feed *feed, size_t most)
{
    if (!throttle_rests(&feed->throttle) || most == SIZE_MAX)
        hand_on(feed, most);
    feed->gives = feed->waiting.first != NULL;
    if (!feed->gives)
        event_del(feed->timer);
    else if (!throttle_rests(&feed->throttle))
        (void)timer_set(feed->timer, 0);
    if (feed->gives || throttle_rests(&feed->throttle))
        redis_pause(member_redis(feed->now));
    else
        redis_resume(member_redis(feed->now));
}

static int on_behind(void *arg)
{
    struct feed *feed = arg;

    return feed->ops->behind(feed->arg);
}

static void on_resume(void *arg)
{
    struct feed *feed = arg;

    if (feed->gives)
        give(feed, GIVE_BYTES);
    else
        redis_resume(member_redis(feed->now));
}

static const struct throttle_ops throttle_ops = {on_behind, on_resume};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct feed *feed = arg;

    (void)fd;
    (void)what;
    if (feed->gives)
        give(feed, GIVE_BYTES);
}

/* What comes over one is what comes over the other: they are connected to the same place. */
static int same_stream(const struct member *a, const struct member *b)
{
    const struct redis *one = member_redis(a), *other = member_redis(b);

    return strcmp(redis_where(one), redis_where(other)) == 0 &&
           redis_server(one)->database == redis_server(other)->database &&
           slice_eq(redis_node(one), redis_node(other));
}

/* What has come over both, and what of that is still to come over now. */
static void past_set(struct feed *feed, const struct successor_taken *taken, int is_continued)
{
    overlap_clear(&feed->past);
    feed->past = taken->overlap;
    feed->past_unshared = taken->unshared;
    feed->is_doubtful = !is_continued;
    feed->left = taken->left;
    feed->left_until_ms = 0;
    if (feed->left == 0)
        overlap_clear(&feed->past);
    else if (redis_sync(member_redis(feed->now)) < 0)
        feed->left_until_ms = clock_ms() + LEFT_MS;
}

static void swap(struct feed *feed)
{
    struct member *old = feed->now;
    struct successor_taken taken;
    int is_continued;

    successor_take(&feed->next, &taken, &feed->waiting);
    feed->now = taken.member;
    feed->gives = 1;
    is_continued = taken.is_exact && same_stream(old, feed->now);
    log_event(INFO, "redis_replaced",
              "redis: the new connection has taken the place of the old one[; over both came {} "
              "messages]",
              LOG_UINT("messages", taken.common));
    member_succeed(feed->now, old);
    member_tell(feed->now, &now_ops, feed);
    leaving_put(&feed->leaving, old);
    past_set(feed, &taken, is_continued);
    feed->is_up = redis_subscribed(member_redis(feed->now));
    if (feed->is_pinged) /* the old one says nothing any more */
        (void)redis_echo(member_redis(feed->now));
    if (!is_continued)
        tell(feed, NOTE_GAP);
    give(feed, GIVE_BYTES);
    feed->ops->state(feed->is_up, feed->arg);
    feed->ops->commands(commands_ready(member_commands(feed->now)), feed->arg);
}

/* --- the new connection ------------------------------------------------------- */

static void on_next_too_large(void *arg)
{
    struct feed *feed = arg;

    feed->ops->too_large(feed->arg);
}

static void on_next_arrived(struct slice payload, int is_counted, uint32_t via, void *arg)
{
    arrived(arg, payload, is_counted, via);
}

static void on_next_ready(void *arg)
{
    swap(arg);
}

static const struct successor_ops next_ops = {on_next_arrived, on_next_too_large, on_next_ready};

/* --- for the master ----------------------------------------------------------- */

/* What is decided is done. */
static void settle(struct feed *feed)
{
    if (successor_is_ready(&feed->next))
        swap(feed);
    if (feed->gives)
        give(feed, SIZE_MAX);
}

void feed_configure(struct feed *feed, const struct conf *was, const struct conf *conf)
{
    feed->conf = conf;
    redis_limits(member_redis(feed->now), conf);
    successor_configure(&feed->next, conf);
    if (server_eq(&was->redis, &conf->redis) && !was->recovery == !conf->recovery) {
        member_retry(feed->now);
        if (feed->next.member != NULL)
            member_retry(feed->next.member);
        return;
    }
    settle(feed);
    successor_begin(&feed->next, feed->now);
}

int feed_sync(struct feed *feed)
{
    settle(feed);
    successor_end(&feed->next);
    return redis_sync(member_redis(feed->now));
}

int feed_ping(struct feed *feed)
{
    if (redis_echo(member_redis(feed->now)) < 0)
        return -1;
    feed->is_pinged = 1;
    return 0;
}

void feed_disown(struct feed *feed)
{
    member_disown(feed->now);
    successor_disown(&feed->next);
    leaving_disown(&feed->leaving);
}

int feed_subscribed(const struct feed *feed)
{
    return redis_subscribed(member_redis(feed->now));
}

int feed_hears_peers(const struct feed *feed)
{
    return redis_hears_peers(member_redis(feed->now));
}

struct slice feed_node(const struct feed *feed)
{
    return redis_node(member_redis(feed->now));
}

const struct conf_redis *feed_server(const struct feed *feed)
{
    return redis_server(member_redis(feed->now));
}

struct finder_stats feed_sentinels(const struct feed *feed)
{
    return redis_sentinels(member_redis(feed->now));
}

struct redis_stats feed_stats(const struct feed *feed)
{
    struct redis_stats stats = *redis_stats(member_redis(feed->now));

    stats.gaps += feed->next.gaps;
    return stats;
}

/* --- commands ----------------------------------------------------------------- */

/* Whoever is to publish for via. */
static struct member *member_of(const struct feed *feed, uint32_t via)
{
    struct member *late = leaving_via(&feed->leaving, via), *next = feed->next.member;

    if (late != NULL)
        return late;
    if (next != NULL && member_via(next) == via && member_can_publish(next))
        return next;
    return feed->now;
}

int feed_publish(struct feed *feed, uint32_t via, struct slice channel, struct buf *payload,
                 void (*done)(int ok, void *arg), void *arg)
{
    struct member *member = feed != NULL ? member_of(feed, via) : NULL;

    if (member == NULL)
        return -1;
    return commands_publish(member_commands(member), channel, payload, done, arg);
}

void feed_leave(struct feed *feed, unsigned ms, void (*done)(void *arg), void *arg)
{
    settle(feed);
    successor_end(&feed->next);
    feed->leave_done = done;
    feed->leave_arg = arg;
    leaving_hurry(&feed->leaving, ms);
    member_leave(feed->now, ms, &now_end);
}

struct feed_commands feed_commands(const struct feed *feed)
{
    struct feed_commands commands = {commands_ready(member_commands(feed->now)),
                                     member_is_counted(feed->now), leaving_stats(&feed->leaving)};

    commands_add(&commands.stats, member_commands(feed->now));
    if (feed->next.member != NULL)
        commands_add(&commands.stats, member_commands(feed->next.member));
    return commands;
}

/* --- coming and going --------------------------------------------------------- */

struct feed *feed_new(struct event_base *base, const struct conf *conf, const struct feed_ops *ops,
                      void *arg)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    unsigned mute = ops->arrived == NULL ? MEMBER_MUTE : 0;

    if (feed == NULL)
        return NULL;
    feed->base = base;
    feed->conf = conf;
    feed->ops = ops;
    feed->arg = arg;
    backlog_init(&feed->waiting);
    leaving_init(&feed->leaving, &leaving_ops, feed);
    feed->timer = event_new(base, -1, 0, on_timer, feed);
    if (successor_init(&feed->next, base, &feed->leaving, mute, &next_ops, feed) == 0 &&
        throttle_init(&feed->throttle, base, &throttle_ops, feed) == 0 && feed->timer != NULL &&
        timer_set(feed->timer, 0) == 0) /* from now on its memory is there */
        feed->now = member_new(base, conf, mute, &now_ops, feed);
    successor_configure(&feed->next, conf);
    if (feed->now == NULL)
        feed_free(&feed);
    return feed;
}

void feed_free(struct feed **feedp)
{
    struct feed *feed = *feedp;

    if (feed == NULL)
        return;
    *feedp = NULL;
    leaving_clear(&feed->leaving);
    successor_clear(&feed->next);
    member_free(&feed->now);
    backlog_clear(&feed->waiting);
    overlap_clear(&feed->past);
    if (feed->timer != NULL)
        event_free(feed->timer);
    throttle_clear(&feed->throttle);
    free(feed);
}
