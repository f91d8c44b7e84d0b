#include "master/leaving.h"

#define LEAVING_MAX 8    /* who changes the settings again and again does not have them pile up */
#define LEAVE_MS    1000 /* until redis has confirmed that one is not counted any more */

/* --- what they hear ----------------------------------------------------------- */

static void on_message(struct slice channel, struct slice payload, void *arg)
{
    (void)channel, (void)payload, (void)arg;
}

static void on_request(struct slice channel, struct slice payload, int is_counted, uint32_t via,
                       void *arg)
{
    struct leaving *leaving = arg;

    (void)channel;
    leaving->ops->arrived(payload, is_counted, via, leaving->arg);
}

static void on_nothing(void *arg)
{
    (void)arg;
}

static void on_state(int state, void *arg)
{
    (void)state, (void)arg;
}

static const struct member_ops member_ops = {on_message, on_request, on_nothing, on_state,
                                             on_nothing, on_nothing, on_nothing, on_state};

/* --- how they go -------------------------------------------------------------- */

static void unlisted(struct leaving *leaving, const struct member *member)
{
    struct member *before = NULL, *at = leaving->first;

    for (; at != member; at = member_next(at))
        before = at;
    if (before == NULL)
        leaving->first = member_next(member);
    else
        member_set_next(before, member_next(member));
}

static void on_left(struct member *member, void *arg)
{
    struct leaving *leaving = arg;

    leaving->ops->left(member, leaving->arg);
}

static void on_over(struct member *member, void *arg)
{
    struct leaving *leaving = arg;

    unlisted(leaving, member);
    commands_add(&leaving->past, member_commands(member));
    member_free(&member);
}

static const struct member_end member_end = {on_left, on_over};

static void bound(struct leaving *leaving)
{
    struct member *oldest = leaving->first;
    unsigned n = 0;

    for (struct member *at = leaving->first; at != NULL; at = member_next(at), n++)
        oldest = at;
    if (n >= LEAVING_MAX)
        on_over(oldest, leaving);
}

void leaving_put(struct leaving *leaving, struct member *member)
{
    bound(leaving);
    member_tell(member, &member_ops, leaving);
    member_set_next(member, leaving->first);
    leaving->first = member;
    member_leave(member, LEAVE_MS, &member_end);
}

void leaving_hurry(struct leaving *leaving, unsigned ms)
{
    for (struct member *at = leaving->first; at != NULL; at = member_next(at))
        member_leave(at, ms, &member_end);
}

/* --- for whoever has them ----------------------------------------------------- */

int leaving_is_over(const struct leaving *leaving)
{
    for (const struct member *at = leaving->first; at != NULL; at = member_next(at))
        if (!member_has_left(at))
            return 0;
    return 1;
}

struct member *leaving_via(const struct leaving *leaving, uint32_t via)
{
    for (struct member *at = leaving->first; at != NULL; at = member_next(at))
        if (member_via(at) == via && member_can_publish(at))
            return at;
    return NULL;
}

struct commands_stats leaving_stats(const struct leaving *leaving)
{
    struct commands_stats sum = leaving->past;

    for (const struct member *at = leaving->first; at != NULL; at = member_next(at))
        commands_add(&sum, member_commands(at));
    return sum;
}

void leaving_disown(struct leaving *leaving)
{
    for (struct member *at = leaving->first; at != NULL; at = member_next(at))
        member_disown(at);
}

void leaving_init(struct leaving *leaving, const struct leaving_ops *ops, void *arg)
{
    *leaving = (struct leaving){.ops = ops, .arg = arg};
}

void leaving_clear(struct leaving *leaving)
{
    struct member *member = leaving->first, *next;

    leaving->first = NULL;
    for (; member != NULL; member = next) {
        next = member_next(member);
        member_free(&member);
    }
}
