#include "master/member.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/timer.h"

#include <event2/event.h>
#include <stdlib.h>

#define PATIENCE_MS 1000  /* for the first attempt at commands */
#define LOST_MS     1000  /* without commands it is counted so long */
#define QUIET_MS    700   /* without a byte of the subscription, while commands are answered */
#define LINGER_MS   10000 /* commands can be sent so long after it has left */
#define LOG_MS      60000

/* A life: it serves; it was asked to leave; it has, and only commands are left; that too is
 * over in the loop's next turn. */
enum life { SERVES, LEAVES, LEFT };

struct member {
    struct member *next; /* its owner's */
    const struct member_ops *ops;
    void *arg;
    const struct member_end *end;
    struct redis *redis;
    struct commands *commands;
    struct event *timer; /* to look again at what the time changes */
    uint32_t via;

    enum life life;
    enum requests_mode mode;
    int is_patient; /* to subscribe it waits for the first attempt at commands */
    int is_mute;
    int was_ready;      /* commands, as was told last */
    int is_settled;     /* it was once known whether it can be counted */
    uint64_t up_ms;     /* since when it is subscribed */
    uint64_t leave_ms;  /* LEAVES: until then; LEFT: commands are there until then */
    int is_stuck;       /* LEFT: redis has not confirmed that */
    int is_told_unable; /* that it cannot answer is known, ... */
    int is_logged;      /* ... and was logged, for it was not within the last minute; ... */
    int is_told_deaf;   /* ... that redis does not allow the topics of requests */
    struct log_every log;
};

static uint32_t vias;

/* --- the log ------------------------------------------------------------------ */

static void tell_unable(struct member *member, uint64_t now)
{
    int is_refused = commands_refused(member->commands);

    if (member->is_told_unable || !redis_subscribed(member->redis))
        return;
    if (!is_refused && now - member->up_ms < LOST_MS)
        return;
    member->is_told_unable = 1;
    if (!is_refused && log_due(&member->log, LOG_MS) == 0)
        return;
    member->is_logged = 1;
    if (is_refused)
        log_event(WARN, "redis_answers_forbidden",
                  "redis does not allow PUBLISH of answers: servers of the cluster do not count "
                  "this one, and what they ask is not answered");
    else
        log_event(WARN, "redis_commands_lost",
                  "redis: no connection for commands[: {}]; retrying, what servers of the cluster "
                  "ask is not answered",
                  LOG_STR("error", commands_why(member->commands)));
}

static void tell_able(struct member *member)
{
    if (member->is_logged)
        log_event(INFO, "redis_commands_back", "redis: commands can be sent again");
    member->is_told_unable = member->is_logged = 0;
}

/* What is asked for is not what there is.  Whoever has been warned already is only told. */
static void tell_deaf(struct member *member)
{
    enum requests_heard heard = redis_requests_heard(member->redis);
    const char *what;

    if (member->is_told_deaf || !member->is_settled || member->life != SERVES)
        return;
    if (heard == REQUESTS_PATTERN && member->mode == REQUESTS_COUNTED)
        what = "servers of the cluster do not count this one";
    else if (heard == REQUESTS_UNHEARD && redis_subscribed(member->redis))
        what = "what servers of the cluster ask is not heard";
    else
        return;
    log_event_at(member->is_told_unable ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
                 "redis_requests_forbidden", "redis does not allow the channel of requests[: {}]",
                 LOG_STR("effect", what));
    member->is_told_deaf = 1;
}

/* --- is it counted? ----------------------------------------------------------- */

static void set_mode(struct member *member, enum requests_mode mode)
{
    if (member->mode == mode)
        return;
    member->mode = mode;
    commands_hold(member->commands, mode == REQUESTS_COUNTED);
    redis_requests(member->redis, mode);
}

/* It is known for the first time what it is. */
static void settle(struct member *member)
{
    if (member->is_settled || !redis_subscribed(member->redis) ||
        !commands_tried(member->commands) ||
        redis_requests_heard(member->redis) == REQUESTS_CHANGING)
        return;
    member->is_settled = 1;
    member->ops->state(1, member->arg);
}

/* Commands cannot be sent, and may be soon. */
static void decide_lost(struct member *member, uint64_t now)
{
    uint64_t end = commands_heard_ms(member->commands) + LOST_MS;

    if (member->mode == REQUESTS_COUNTED && now < end) {
        (void)timer_set(member->timer, (unsigned)(end - now));
        return;
    }
    set_mode(member, REQUESTS_BY_PATTERN);
    tell_unable(member, now);
    if (!member->is_told_unable)
        (void)timer_set(member->timer, LOST_MS);
}

static void decide(struct member *member)
{
    int is_ready = commands_ready(member->commands);

    event_del(member->timer);
    if (is_ready) {
        tell_able(member);
        set_mode(member, member->is_mute ? REQUESTS_BY_PATTERN : REQUESTS_COUNTED);
    } else if (commands_refused(member->commands)) {
        set_mode(member, REQUESTS_BY_PATTERN);
        tell_unable(member, clock_ms());
    } else {
        decide_lost(member, clock_ms());
    }
    settle(member);
    tell_deaf(member);
}

/* --- the end ------------------------------------------------------------------ */

/* Whatever is done about it is done in the loop's next turn, for this comes from within. */
static void look_at_end(struct member *member)
{
    int is_unheard = redis_requests_heard(member->redis) == REQUESTS_UNHEARD;
    int is_done = member->life == LEAVES ? is_unheard && commands_unconfirmed(member->commands) == 0
                                         : !commands_ready(member->commands);

    if (is_done)
        (void)timer_set(member->timer, 0);
}

static void left(struct member *member)
{
    member->is_stuck =
        !redis_subscribed(member->redis) || redis_requests_heard(member->redis) != REQUESTS_UNHEARD;
    member->life = LEFT;
    member->leave_ms = clock_ms() + LINGER_MS;
    redis_stop(member->redis);
    commands_hold(member->commands, 0);
    (void)timer_set(member->timer, commands_ready(member->commands) ? LINGER_MS : 0);
    member->end->left(member, member->arg);
}

void member_leave(struct member *member, unsigned ms, const struct member_end *end)
{
    if (member->life == LEFT)
        return;
    member->life = LEAVES;
    member->end = end;
    member->leave_ms = clock_ms() + ms;
    (void)timer_set(member->timer, ms);
    if (member->mode != REQUESTS_LEFT) {
        member->mode = REQUESTS_LEFT;
        redis_requests(member->redis, REQUESTS_LEFT);
    }
    /* What is lost now is not made again: nobody needs the password any more. */
    commands_last(member->commands);
    redis_settle(member->redis);
    redis_wipe(member->redis);
    if (redis_subscribed(member->redis))
        redis_resume(member->redis);
    look_at_end(member);
}

const struct redis_client *member_stuck(const struct member *member)
{
    return member->is_stuck ? redis_former(member->redis) : NULL;
}

int member_has_left(const struct member *member)
{
    return member->life == LEFT;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct member *member = arg;

    (void)fd;
    (void)what;
    switch (member->life) {
    case SERVES:
        decide(member);
        break;
    case LEAVES:
        left(member);
        break;
    case LEFT:
        member->end->over(member, member->arg);
        break;
    }
}

/* --- what happens ------------------------------------------------------------- */

static void changed(struct member *member)
{
    if (member->life == SERVES)
        decide(member);
    else
        look_at_end(member);
}

static void on_message(struct slice channel, struct slice payload, void *arg)
{
    struct member *member = arg;

    member->ops->message(channel, payload, member->arg);
}

static void on_request(struct slice channel, struct slice payload, int is_counted, void *arg)
{
    struct member *member = arg;

    member->ops->request(channel, payload, is_counted, member->via, member->arg);
}

static void on_requests(void *arg)
{
    changed(arg);
}

static void on_too_large(void *arg)
{
    struct member *member = arg;

    member->ops->too_large(member->arg);
}

static void on_state(int subscribed, void *arg)
{
    struct member *member = arg;

    member->up_ms = clock_ms();
    if (!subscribed && member->life != SERVES)
        redis_stop(member->redis);
    if (!subscribed)
        commands_kill(member->commands, redis_former(member->redis));
    if (!subscribed || member->is_settled)
        member->ops->state(subscribed, member->arg);
    changed(member);
}

static void on_synced(void *arg)
{
    struct member *member = arg;

    member->ops->synced(member->arg);
}

static void on_asking(void *arg)
{
    struct member *member = arg;

    member->ops->asking(member->arg);
}

static void on_echoed(void *arg)
{
    struct member *member = arg;

    member->ops->echoed(member->arg);
}

static void on_place(const struct redis_place *place, void *arg)
{
    struct member *member = arg;

    if (member->commands != NULL)
        commands_place(member->commands, place);
}

static const struct redis_ops redis_ops = {on_message,   on_request, on_requests,
                                           on_too_large, on_state,   on_synced,
                                           on_asking,    on_echoed,  on_place};

static void on_commands(void *arg)
{
    struct member *member = arg;
    int is_ready = commands_ready(member->commands);

    if (member->is_patient && commands_tried(member->commands)) {
        member->is_patient = 0;
        redis_delay(member->redis, 0);
    }
    if (is_ready && !redis_subscribed(member->redis))
        commands_kill(member->commands, redis_former(member->redis));
    changed(member);
    if (is_ready != member->was_ready) {
        member->was_ready = is_ready;
        member->ops->commands(is_ready, member->arg);
    }
}

static void on_tick(void *arg)
{
    struct member *member = arg;
    uint64_t pinged_ms;

    if (member->life == LEAVES)
        look_at_end(member);
    if (redis_quiet_ms(member->redis, &pinged_ms) >= QUIET_MS &&
        commands_answered_ms(member->commands) > pinged_ms)
        redis_give_up(member->redis);
}

static const struct commands_ops commands_ops = {on_commands, on_tick};

/* --- for its owner ------------------------------------------------------------ */

struct redis *member_redis(const struct member *member)
{
    return member->redis;
}

struct commands *member_commands(const struct member *member)
{
    return member->commands;
}

uint32_t member_via(const struct member *member)
{
    return member->via;
}

int member_is_counted(const struct member *member)
{
    return redis_requests_heard(member->redis) == REQUESTS_CHANNEL;
}

int member_can_publish(const struct member *member)
{
    return commands_ready(member->commands) ||
           (member->life == SERVES && member->mode == REQUESTS_COUNTED);
}

void member_retry(struct member *member)
{
    commands_retry(member->commands);
    if (redis_requests_heard(member->redis) != REQUESTS_CHANNEL)
        redis_requests(member->redis, member->mode);
}

void member_tell(struct member *member, const struct member_ops *ops, void *arg)
{
    member->ops = ops;
    member->arg = arg;
}

void member_succeed(struct member *member, const struct member *old)
{
    redis_succeed(member->redis, old->redis);
}

struct member *member_next(const struct member *member)
{
    return member->next;
}

void member_set_next(struct member *member, struct member *next)
{
    member->next = next;
}

struct member *member_new(struct event_base *base, const struct conf *conf, unsigned flags,
                          const struct member_ops *ops, void *arg)
{
    struct member *member = calloc(1, sizeof(*member));

    if (member == NULL)
        return NULL;
    member->ops = ops;
    member->arg = arg;
    member->via = ++vias;
    member->timer = event_new(base, -1, 0, on_timer, member);
    member->redis = redis_new(base, conf, &redis_ops, member);
    if (member->redis != NULL)
        member->commands = commands_new(base, conf, redis_server(member->redis),
                                        redis_tls(member->redis), &commands_ops, member);
    if (member->timer == NULL || member->commands == NULL ||
        timer_set(member->timer, LOST_MS) < 0) { /* from now on its memory is there */
        member_free(&member);
        return NULL;
    }
    member->is_mute = (flags & MEMBER_MUTE) != 0;
    member->is_patient = (flags & MEMBER_PATIENT) != 0;
    if (member->is_patient)
        redis_delay(member->redis, PATIENCE_MS);
    return member;
}

void member_disown(struct member *member)
{
    commands_wipe(member->commands);
    redis_disown(member->redis);
}

void member_free(struct member **memberp)
{
    struct member *member = *memberp;

    if (member == NULL)
        return;
    *memberp = NULL;
    commands_free(&member->commands);
    redis_free(&member->redis);
    if (member->timer != NULL)
        event_free(member->timer);
    free(member);
}
