#include "master/feed.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/slice.h"
#include "master/backlog.h"
#include "master/compare.h"
#include "master/leaving.h"
#include "master/member.h"
#include "master/throttle.h"
#include "master/timer.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define GIVE_BYTES (256UL * 1024) /* are handed on before the loop gets its turn */
#define AGAIN_MS   100            /* until what failed for want of memory is tried again */
#define LATER_MS   10             /* until streams with nothing in common are looked at again */
#define LEFT_MS    500            /* what has come over the old connection may be so late */

/* What becomes of the new connection; from OLD to SWAP it is subscribed, and what comes
 * over it waits. */
enum step {
    NONE,  /* there is none */
    WAIT,  /* for it to be subscribed */
    OLD,   /* the old one was sent a PING */
    NEW,   /* the new one was */
    DROP,  /* it is freed in the loop's next turn, and made again */
    LATER, /* it is made again when the old one has answered */
    SWAP,  /* it is in force in the loop's next turn */
    GIVE   /* it is in force; what has waited is handed on */
};

struct feed {
    struct event_base *base;
    const struct conf *conf;
    const struct feed_ops *ops;
    void *arg;

    struct member *now, *next;
    struct leaving leaving; /* those before, and those that were given up */
    enum step step;
    struct event *timer; /* for what is not done from within a redis */

    struct throttle throttle; /* redis is not read while a worker is behind */

    /* Of now and next. */
    unsigned unshared;      /* bits of the topics that one of them hears and the other does not:
                             * what comes by these is not compared */
    int is_asked;           /* next is asked for: what comes over both is compared */
    struct compare compare; /* what has come over both */
    struct backlog waiting; /* messages of next, until it is their turn */
    int apart;              /* known in SWAP: nothing has come over both */
    size_t d;               /* known in SWAP, unless they are apart: see overlap.h */

    /* Of now and the connection before it. */
    unsigned past_unshared; /* what unshared was */
    struct overlap past;    /* what came over both */
    size_t left;            /* messages of it that are still to come over now as well */
    uint64_t left_until_ms; /* they come no more then; 0: now has not answered yet */

    void (*leave_done)(void *arg); /* feed_leave(), until it is told */
    void *leave_arg;

    uint64_t gaps; /* how often messages could not be told apart */
};

static const struct member_ops next_ops;

static void arrived(struct feed *feed, struct slice payload, int is_counted, uint32_t via)
{
    if (feed->ops->arrived != NULL)
        feed->ops->arrived(payload, is_counted, via, feed->arg);
}

/* Hands one message on, which came over that connection. */
static void hand(struct feed *feed, const struct member *from, struct slice channel,
                 struct slice payload, uint64_t us)
{
    if (redis_is_request(member_redis(from), channel))
        feed->ops->request(payload, member_via(from), feed->arg);
    else
        feed->ops->message(channel, payload, us, feed->arg);
    if (throttle_handed(&feed->throttle, channel.len + payload.len))
        redis_pause(member_redis(feed->now));
}

/* Hands on the first that waits. */
static void hand_first(struct feed *feed)
{
    const struct backlog_message *message = feed->waiting.first;

    hand(feed, feed->next != NULL ? feed->next : feed->now, message->channel, message->payload,
         message->received_us);
}

/* Hands on what waits, up to so many bytes; SIZE_MAX: all, whoever is behind. */
static void hand_on(struct feed *feed, size_t most)
{
    struct backlog *waiting = &feed->waiting;

    for (size_t given = 0; waiting->first != NULL && given < most; backlog_drop(waiting)) {
        given += waiting->first->channel.len + waiting->first->payload.len;
        hand_first(feed);
        if (throttle_rests(&feed->throttle) && most != SIZE_MAX)
            most = 0;
    }
}

/* 1 if it comes over one of both connections only. */
static int is_unshared(const struct feed *feed, unsigned unshared, struct slice channel)
{
    return unshared != 0 && (redis_topic_bit(member_redis(feed->now), channel) & unshared) != 0;
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

/* --- the new connection ------------------------------------------------------- */

static void forget(struct feed *feed)
{
    backlog_clear(&feed->waiting);
    compare_clear(&feed->compare);
    feed->is_asked = 0;
}

static void next_end(struct feed *feed)
{
    struct member *next = feed->next;

    feed->next = NULL;
    if (next != NULL)
        leaving_put(&feed->leaving, next);
    forget(feed);
    event_del(feed->timer);
    feed->step = NONE;
}

static unsigned mute(const struct feed *feed)
{
    return feed->ops->arrived == NULL ? MEMBER_MUTE : 0;
}

static void next_begin(struct feed *feed)
{
    next_end(feed);
    feed->next = member_new(feed->base, feed->conf, MEMBER_PATIENT | mute(feed), &next_ops, feed);
    if (feed->next != NULL)
        feed->step = WAIT;
    else
        log_errorx("redis: out of memory for another connection; the old one stays");
}

static void next_again(struct feed *feed)
{
    redis_pause(member_redis(feed->next));
    feed->step = DROP;
    (void)timer_set(feed->timer, 0);
}

/* More waits than may: not now. */
static void next_drop(struct feed *feed)
{
    if (feed->step == DROP)
        return;
    log_info("redis: the old connection is far behind; the new one is made when it has caught up");
    next_again(feed);
}

static void next_later(struct feed *feed)
{
    next_end(feed);
    if (redis_sync(member_redis(feed->now)) == 0)
        feed->step = LATER;
    else
        next_begin(feed);
}

/* --- where it goes on --------------------------------------------------------- */

static void ask_old(struct feed *feed)
{
    feed->step = OLD;
    if (redis_sync(member_redis(feed->now)) < 0)
        (void)timer_set(feed->timer, AGAIN_MS);
}

static void ask_new(struct feed *feed)
{
    feed->step = NEW;
    if (redis_sync(member_redis(feed->next)) < 0)
        (void)timer_set(feed->timer, AGAIN_MS);
}

static void decided(struct feed *feed, const struct overlap_found *found)
{
    feed->apart = found->apart;
    feed->d = found->least;
    feed->step = SWAP;
    (void)timer_set(feed->timer, 0);
}

static void doubt(struct feed *feed, size_t n)
{
    feed->gaps++;
    log_warnx("redis: up to %zu messages are lost: equal ones that came over the old connection "
              "and the new one could not be told apart",
              n);
}

/* Both have answered. */
static void judge(struct feed *feed)
{
    struct overlap_found found;

    switch (compare_judge(&feed->compare, feed->base, feed->conf, clock_ms(), &found)) {
    case COMPARE_AGAIN:
        ask_old(feed);
        break;
    case COMPARE_LATER:
        feed->step = OLD;
        (void)timer_set(feed->timer, LATER_MS);
        break;
    case COMPARE_DOUBT:
        doubt(feed, found.most - found.least);
        decided(feed, &found);
        break;
    case COMPARE_KNOWN:
        decided(feed, &found);
        break;
    }
}

/* The old one is lost. */
static void decide(struct feed *feed)
{
    struct overlap_found found;

    compare_decide(&feed->compare, &found);
    decided(feed, &found);
}

static void on_next_message(struct slice channel, struct slice payload, void *arg)
{
    struct feed *feed = arg;

    if (!feed->is_asked || feed->step == DROP)
        return;
    if (compare_mark_new(&feed->compare, channel))
        return;
    if (backlog_put(&feed->waiting, channel, payload, redis_read_us(member_redis(feed->next))) <
            0 ||
        (!is_unshared(feed, feed->unshared, channel) &&
         overlap_new(&feed->compare.overlap, channel, payload) < 0))
        next_drop(feed);
}

static void on_next_request(struct slice channel, struct slice payload, int is_counted,
                            uint32_t via, void *arg)
{
    struct feed *feed = arg;

    arrived(feed, payload, is_counted, via);
    on_next_message(channel, payload, arg);
}

static void on_next_too_large(void *arg)
{
    struct feed *feed = arg;

    feed->ops->too_large(feed->arg);
}

static void on_next_state(int subscribed, void *arg)
{
    struct feed *feed = arg;

    if (feed->step == DROP)
        return;
    if (!subscribed) {
        event_del(feed->timer);
        forget(feed);
        feed->step = WAIT;
    } else if (redis_subscribed(member_redis(feed->now))) {
        ask_old(feed);
    } else {
        decide(feed);
    }
}

static void on_next_synced(void *arg)
{
    struct feed *feed = arg;
    unsigned unshared;

    if (feed->step != NEW)
        return;
    /* Where an ACL allows one of them more than the other, the streams differ by that. */
    unshared = redis_withheld(member_redis(feed->now)) ^ redis_withheld(member_redis(feed->next));
    if (unshared != feed->unshared) {
        feed->unshared = unshared;
        next_again(feed);
        return;
    }
    overlap_new_mark(&feed->compare.overlap);
    judge(feed);
}

static void on_next_asking(void *arg)
{
    struct feed *feed = arg;

    backlog_clear(&feed->waiting);
    compare_begin(&feed->compare);
    feed->is_asked = 1;
}

static void on_next_commands(int ready, void *arg)
{
    (void)ready, (void)arg;
}

static const struct member_ops next_ops = {on_next_message, on_next_request, on_next_too_large,
                                           on_next_state,   on_next_synced,  on_next_asking,
                                           on_next_commands};

/* --- the one in force --------------------------------------------------------- */

/* 1 if it came over the connection before this one. */
static int is_again(struct feed *feed, struct slice channel, struct slice payload)
{
    int again;

    if (feed->left == 0 || is_unshared(feed, feed->past_unshared, channel))
        return 0;
    if (feed->left_until_ms > 0 && clock_ms() > feed->left_until_ms)
        feed->left = 0;
    again = overlap_again(&feed->past, &feed->left, channel, payload);
    if (feed->left == 0)
        overlap_clear(&feed->past);
    return again;
}

static void on_message(struct slice channel, struct slice payload, void *arg)
{
    struct feed *feed = arg;
    uint64_t us = redis_read_us(member_redis(feed->now));

    if (compare_mark_old(&feed->compare, channel))
        return;
    if (feed->is_asked && !is_unshared(feed, feed->unshared, channel) &&
        overlap_old(&feed->compare.overlap, channel, payload) < 0)
        next_drop(feed);
    if (is_again(feed, channel, payload))
        return;
    /* Made again while what came over it before still waits: behind that. */
    if (feed->step == GIVE && backlog_put(&feed->waiting, channel, payload, us) == 0)
        return;
    if (feed->step == GIVE)
        hand_on(feed, SIZE_MAX);
    hand(feed, feed->now, channel, payload, us);
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
    if (!subscribed && (feed->step == OLD || feed->step == NEW))
        decide(feed);
    else if (!subscribed && feed->step == LATER)
        next_begin(feed);
    feed->ops->state(subscribed, feed->arg);
}

static void on_synced(void *arg)
{
    struct feed *feed = arg;

    if (feed->left > 0 && feed->left_until_ms == 0)
        feed->left_until_ms = clock_ms() + LEFT_MS;
    if (feed->step == OLD) {
        overlap_old_mark(&feed->compare.overlap);
        ask_new(feed);
    } else if (feed->step == LATER) {
        next_begin(feed);
    } else {
        feed->ops->synced(feed->arg);
    }
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

static const struct member_ops now_ops = {on_message, on_request, on_too_large, on_state,
                                          on_synced,  on_asking,  on_commands};

/* --- from one to the other ---------------------------------------------------- */

static void give(struct feed *feed, size_t most)
{
    if (!throttle_rests(&feed->throttle) || most == SIZE_MAX)
        hand_on(feed, most);
    if (feed->waiting.first == NULL)
        feed->step = NONE;
    else if (!throttle_rests(&feed->throttle))
        (void)timer_set(feed->timer, 0);
    if (feed->waiting.first != NULL || throttle_rests(&feed->throttle))
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

    if (feed->step == GIVE)
        give(feed, GIVE_BYTES);
    else
        redis_resume(member_redis(feed->now));
}

static const struct throttle_ops throttle_ops = {on_behind, on_resume};

static void swap(struct feed *feed)
{
    struct member *old = feed->now;
    size_t come = feed->compare.overlap.new.n;
    size_t common = feed->apart ? 0 : overlap_common(&feed->compare.overlap, feed->d);

    for (size_t i = 0; i < common && feed->waiting.first != NULL; backlog_drop(&feed->waiting)) {
        if (is_unshared(feed, feed->unshared, feed->waiting.first->channel))
            hand_first(feed);
        else
            i++;
    }
    marker_end(&feed->compare.marker);
    overlap_clear(&feed->past);
    feed->past = feed->compare.overlap;
    feed->past_unshared = feed->unshared;
    feed->compare.overlap = (struct overlap){0};
    feed->is_asked = 0;
    feed->left = common > come ? common - come : 0;
    feed->left_until_ms = 0;
    feed->now = feed->next;
    feed->next = NULL;
    feed->step = GIVE;
    log_info("redis: the new connection has taken the place of the old one; over both came %zu "
             "messages",
             common);
    member_succeed(feed->now, old);
    member_tell(feed->now, &now_ops, feed);
    leaving_put(&feed->leaving, old);
    if (feed->left == 0)
        overlap_clear(&feed->past);
    else if (redis_sync(member_redis(feed->now)) < 0)
        feed->left_until_ms = clock_ms() + LEFT_MS;
    give(feed, GIVE_BYTES);
    feed->ops->state(redis_subscribed(member_redis(feed->now)), feed->arg);
    feed->ops->commands(commands_ready(member_commands(feed->now)), feed->arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct feed *feed = arg;

    (void)fd;
    (void)what;
    switch (feed->step) {
    case NONE:
    case WAIT:
    case LATER:
        break;
    case OLD: /* it has not been */
        ask_old(feed);
        break;
    case NEW:
        ask_new(feed);
        break;
    case DROP:
        next_later(feed);
        break;
    case SWAP:
        swap(feed);
        break;
    case GIVE:
        give(feed, GIVE_BYTES);
        break;
    }
}

/* --- for the master ----------------------------------------------------------- */

/* What is decided is done. */
static void settle(struct feed *feed)
{
    if (feed->step == SWAP)
        swap(feed);
    if (feed->step == GIVE)
        give(feed, SIZE_MAX);
}

static int same_redis(const struct conf_redis *a, const struct conf_redis *b)
{
    return text_eq(a->host, b->host) && a->port == b->port && text_eq(a->path, b->path) &&
           text_eq(a->username, b->username) && text_eq(a->password, b->password) &&
           a->database == b->database;
}

void feed_configure(struct feed *feed, const struct conf *was, const struct conf *conf)
{
    feed->conf = conf;
    redis_limits(member_redis(feed->now), conf);
    if (feed->next != NULL)
        redis_limits(member_redis(feed->next), conf);
    if (same_redis(&was->redis, &conf->redis)) {
        member_retry(feed->now);
        if (feed->next != NULL)
            member_retry(feed->next);
        return;
    }
    settle(feed);
    feed->unshared = 0;
    next_begin(feed);
}

int feed_sync(struct feed *feed)
{
    settle(feed);
    next_end(feed);
    return redis_sync(member_redis(feed->now));
}

void feed_wipe(struct feed *feed)
{
    redis_wipe(member_redis(feed->now));
    if (feed->next != NULL)
        redis_wipe(member_redis(feed->next));
    leaving_wipe(&feed->leaving);
    if (feed->compare.marker.redis != NULL)
        redis_wipe(feed->compare.marker.redis);
}

int feed_subscribed(const struct feed *feed)
{
    return redis_subscribed(member_redis(feed->now));
}

struct redis_stats feed_stats(const struct feed *feed)
{
    struct redis_stats stats = *redis_stats(member_redis(feed->now));

    stats.gaps += feed->gaps;
    return stats;
}

/* --- commands ----------------------------------------------------------------- */

/* Whoever is to publish for via. */
static struct member *member_of(const struct feed *feed, uint32_t via)
{
    struct member *late = leaving_via(&feed->leaving, via);

    if (late != NULL)
        return late;
    if (feed->next != NULL && member_via(feed->next) == via && member_can_publish(feed->next))
        return feed->next;
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
    next_end(feed);
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
    if (feed->next != NULL)
        commands_add(&commands.stats, member_commands(feed->next));
    return commands;
}

/* --- coming and going --------------------------------------------------------- */

struct feed *feed_new(struct event_base *base, const struct conf *conf, const struct feed_ops *ops,
                      void *arg)
{
    struct feed *feed = calloc(1, sizeof(*feed));

    if (feed == NULL)
        return NULL;
    feed->base = base;
    feed->conf = conf;
    feed->ops = ops;
    feed->arg = arg;
    backlog_init(&feed->waiting);
    leaving_init(&feed->leaving, &leaving_ops, feed);
    feed->timer = event_new(base, -1, 0, on_timer, feed);
    if (throttle_init(&feed->throttle, base, &throttle_ops, feed) == 0 && feed->timer != NULL &&
        timer_set(feed->timer, 0) == 0) /* from now on its memory is there */
        feed->now = member_new(base, conf, mute(feed), &now_ops, feed);
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
    member_free(&feed->next);
    member_free(&feed->now);
    forget(feed);
    overlap_clear(&feed->past);
    if (feed->timer != NULL)
        event_free(feed->timer);
    throttle_clear(&feed->throttle);
    free(feed);
}
