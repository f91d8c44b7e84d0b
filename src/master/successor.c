#include "master/successor.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/timer.h"

#include <event2/event.h>
#include <string.h>

#define AGAIN_MS 100 /* until what failed for want of memory is tried again */
#define LATER_MS 10  /* until streams with nothing in common are looked at again */

static const struct member_ops member_ops;

int successor_is_unshared(const struct member *member, unsigned unshared, struct slice channel)
{
    return unshared != 0 && (redis_topic_bit(member_redis(member), channel) & unshared) != 0;
}

static int is_unshared(const struct successor *successor, struct slice channel)
{
    return successor_is_unshared(successor->old, successor->unshared, channel);
}

/* --- it comes, and is given up -------------------------------------------------- */

static void forget(struct successor *successor)
{
    backlog_clear(&successor->waiting);
    compare_clear(&successor->compare);
    successor->is_asked = 0;
}

static void end(struct successor *successor)
{
    struct member *member = successor->member;

    successor->member = NULL;
    if (member != NULL)
        leaving_put(successor->leaving, member);
    forget(successor);
    event_del(successor->timer);
    successor->step = SUCCESSOR_NONE;
}

static void begin(struct successor *successor)
{
    end(successor);
    successor->member = member_new(successor->base, successor->conf,
                                   MEMBER_PATIENT | successor->flags, &member_ops, successor);
    if (successor->member != NULL)
        successor->step = SUCCESSOR_WAIT;
    else
        log_event(ERROR, "redis_not_replaced",
                  "redis: out of memory for another connection; the old one stays");
}

void successor_begin(struct successor *successor, struct member *old)
{
    successor->old = old;
    successor->unshared = 0;
    begin(successor);
}

void successor_end(struct successor *successor)
{
    end(successor);
}

static void again(struct successor *successor)
{
    redis_pause(member_redis(successor->member));
    successor->step = SUCCESSOR_DROP;
    (void)timer_set(successor->timer, 0);
}

/* More waits than may: not now. */
static void drop(struct successor *successor)
{
    if (successor->step == SUCCESSOR_DROP)
        return;
    log_event(INFO, "redis_replaced_later",
              "redis: the old connection is far behind; the new one is made when it has caught up");
    again(successor);
}

static void later(struct successor *successor)
{
    end(successor);
    if (redis_sync(member_redis(successor->old)) == 0)
        successor->step = SUCCESSOR_LATER;
    else
        begin(successor);
}

/* --- where it goes on ------------------------------------------------------------ */

static void ask_old(struct successor *successor)
{
    successor->step = SUCCESSOR_OLD;
    if (redis_sync(member_redis(successor->old)) < 0)
        (void)timer_set(successor->timer, AGAIN_MS);
}

static void ask_new(struct successor *successor)
{
    successor->step = SUCCESSOR_NEW;
    if (redis_sync(member_redis(successor->member)) < 0)
        (void)timer_set(successor->timer, AGAIN_MS);
}

static void decided(struct successor *successor, const struct overlap_found *found, int is_exact)
{
    successor->apart = found->apart;
    successor->is_exact = is_exact && !found->apart;
    successor->d = found->least;
    successor->step = SUCCESSOR_READY;
    (void)timer_set(successor->timer, 0);
}

static void doubt(struct successor *successor, size_t n)
{
    successor->gaps++;
    log_event(WARN, "redis_replaced_unsure",
              "redis: [up to {} ]messages are lost: equal ones that came over the old connection "
              "and the new one could not be told apart",
              LOG_UINT("messages", n));
}

/* Both have answered.  A marker goes where the new one is, whoever knows that. */
static void judge(struct successor *successor)
{
    struct conf conf = *successor->conf;
    struct overlap_found found;

    conf.redis = *redis_server(member_redis(successor->member));
    conf.redis.sentinels = NULL;
    conf.redis.nsentinels = 0;
    if (conf.redis.host == NULL && conf.redis.path == NULL) { /* for now nobody does */
        successor->step = SUCCESSOR_OLD;
        (void)timer_set(successor->timer, LATER_MS);
        return;
    }
    switch (compare_judge(&successor->compare, successor->base, &conf, clock_ms(), &found)) {
    case COMPARE_AGAIN:
        ask_old(successor);
        break;
    case COMPARE_LATER:
        successor->step = SUCCESSOR_OLD;
        (void)timer_set(successor->timer, LATER_MS);
        break;
    case COMPARE_DOUBT:
        doubt(successor, found.most - found.least);
        decided(successor, &found, 0);
        break;
    case COMPARE_KNOWN:
        decided(successor, &found, 1);
        break;
    }
}

/* The old one is lost. */
static void decide(struct successor *successor)
{
    struct overlap_found found;

    compare_decide(&successor->compare, &found);
    decided(successor, &found, 0);
}

/* --- what is heard of it ----------------------------------------------------------- */

static void on_message(struct slice channel, struct slice payload, void *arg)
{
    struct successor *successor = arg;

    if (!successor->is_asked || successor->step == SUCCESSOR_DROP)
        return;
    if (compare_mark_new(&successor->compare, channel))
        return;
    if (backlog_put(&successor->waiting, channel, payload,
                    redis_read_us(member_redis(successor->member))) < 0 ||
        (!is_unshared(successor, channel) &&
         overlap_new(&successor->compare.overlap, channel, payload) < 0))
        drop(successor);
}

static void on_request(struct slice channel, struct slice payload, int is_counted, uint32_t via,
                       void *arg)
{
    struct successor *successor = arg;

    successor->ops->arrived(payload, is_counted, via, successor->arg);
    on_message(channel, payload, arg);
}

static void on_too_large(void *arg)
{
    struct successor *successor = arg;

    successor->ops->too_large(successor->arg);
}

static void on_state(int subscribed, void *arg)
{
    struct successor *successor = arg;

    if (successor->step == SUCCESSOR_DROP)
        return;
    if (!subscribed) {
        event_del(successor->timer);
        forget(successor);
        successor->step = SUCCESSOR_WAIT;
    } else if (redis_subscribed(member_redis(successor->old))) {
        ask_old(successor);
    } else {
        decide(successor);
    }
}

static void on_synced(void *arg)
{
    struct successor *successor = arg;
    unsigned unshared;

    if (successor->step != SUCCESSOR_NEW)
        return;
    /* Where an ACL allows one of them more than the other, the streams differ by that. */
    unshared = redis_withheld(member_redis(successor->old)) ^
               redis_withheld(member_redis(successor->member));
    if (unshared != successor->unshared) {
        successor->unshared = unshared;
        again(successor);
        return;
    }
    overlap_new_mark(&successor->compare.overlap);
    judge(successor);
}

static void on_asking(void *arg)
{
    struct successor *successor = arg;

    backlog_clear(&successor->waiting);
    compare_begin(&successor->compare);
    successor->is_asked = 1;
}

static void on_commands(int ready, void *arg)
{
    (void)ready, (void)arg;
}

static void on_echoed(void *arg)
{
    (void)arg;
}

static const struct member_ops member_ops = {on_message, on_request, on_too_large, on_state,
                                             on_synced,  on_asking,  on_echoed,    on_commands};

/* --- what is heard of the old one -------------------------------------------------- */

int successor_old_message(struct successor *successor, struct slice channel, struct slice payload)
{
    if (compare_mark_old(&successor->compare, channel))
        return 1;
    if (successor->is_asked && !is_unshared(successor, channel) &&
        overlap_old(&successor->compare.overlap, channel, payload) < 0)
        drop(successor);
    return 0;
}

void successor_old_state(struct successor *successor, int subscribed)
{
    if (subscribed)
        return;
    if (successor->step == SUCCESSOR_OLD || successor->step == SUCCESSOR_NEW)
        decide(successor);
    else if (successor->step == SUCCESSOR_LATER)
        begin(successor);
}

int successor_old_synced(struct successor *successor)
{
    if (successor->step == SUCCESSOR_OLD) {
        overlap_old_mark(&successor->compare.overlap);
        ask_new(successor);
    } else if (successor->step == SUCCESSOR_LATER) {
        begin(successor);
    } else {
        return 0;
    }
    return 1;
}

/* --- it takes the place of the old one --------------------------------------------- */

int successor_is_ready(const struct successor *successor)
{
    return successor->step == SUCCESSOR_READY;
}

/* What has come over both is there already.  What daemons told each other meanwhile, and the old
 * one did not hear, is lost: it would come out of its place among that. */
static void pass_on(struct successor *successor, size_t common, struct backlog *waiting)
{
    struct backlog *from = &successor->waiting;

    for (size_t i = 0; i < common && from->first != NULL;) {
        struct slice channel = from->first->channel;
        int unshared = is_unshared(successor, channel);
        i += !unshared;
        if (unshared && !redis_is_peer(member_redis(successor->member), channel))
            backlog_move(from, waiting);
        else
            backlog_drop(from);
    }
    while (from->first != NULL)
        backlog_move(from, waiting);
}

void successor_take(struct successor *successor, struct successor_taken *taken,
                    struct backlog *waiting)
{
    struct overlap *overlap = &successor->compare.overlap;
    size_t come = overlap->new.n;
    size_t common = successor->apart ? 0 : overlap_common(overlap, successor->d);

    pass_on(successor, common, waiting);
    *taken = (struct successor_taken){.member = successor->member,
                                      .unshared = successor->unshared,
                                      .overlap = *overlap,
                                      .common = common,
                                      .is_exact = successor->is_exact,
                                      .left = common > come ? common - come : 0};
    *overlap = (struct overlap){0};
    marker_end(&successor->compare.marker);
    successor->member = NULL;
    successor->is_asked = 0;
    successor->step = SUCCESSOR_NONE;
    event_del(successor->timer);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct successor *successor = arg;

    (void)fd;
    (void)what;
    switch (successor->step) {
    case SUCCESSOR_NONE:
    case SUCCESSOR_WAIT:
    case SUCCESSOR_LATER:
        break;
    case SUCCESSOR_OLD: /* it has not been */
        ask_old(successor);
        break;
    case SUCCESSOR_NEW:
        ask_new(successor);
        break;
    case SUCCESSOR_DROP:
        later(successor);
        break;
    case SUCCESSOR_READY:
        successor->ops->ready(successor->arg);
        break;
    }
}

/* --- coming and going -------------------------------------------------------------- */

void successor_configure(struct successor *successor, const struct conf *conf)
{
    successor->conf = conf;
    if (successor->member != NULL)
        redis_limits(member_redis(successor->member), conf);
}

void successor_disown(struct successor *successor)
{
    if (successor->member != NULL)
        member_disown(successor->member);
    if (successor->compare.marker.redis != NULL)
        redis_disown(successor->compare.marker.redis);
}

int successor_init(struct successor *successor, struct event_base *base, struct leaving *leaving,
                   unsigned flags, const struct successor_ops *ops, void *arg)
{
    *successor = (struct successor){
        .base = base, .leaving = leaving, .flags = flags, .ops = ops, .arg = arg};
    backlog_init(&successor->waiting);
    successor->timer = event_new(base, -1, 0, on_timer, successor);
    if (successor->timer == NULL)
        return -1;
    return timer_set(successor->timer, 0); /* from now on its memory is there */
}

void successor_clear(struct successor *successor)
{
    member_free(&successor->member);
    forget(successor);
    if (successor->timer != NULL)
        event_free(successor->timer);
    successor->timer = NULL;
}
