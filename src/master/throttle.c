#include "master/throttle.h"

#include "base/clock.h"
#include "master/timer.h"

#include <event2/event.h>

#define TICK_MS 10 /* during a rest it is asked so often */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct throttle *throttle = arg;

    (void)fd;
    (void)what;
    if (throttle->ops->behind(throttle->arg) && clock_ms() - throttle->since_ms < THROTTLE_MAX_MS) {
        (void)timer_set(throttle->timer, TICK_MS);
        return;
    }
    throttle->since_ms = 0;
    throttle->ops->resume(throttle->arg);
}

int throttle_init(struct throttle *throttle, struct event_base *base,
                  const struct throttle_ops *ops, void *arg)
{
    *throttle = (struct throttle){.ops = ops, .arg = arg};
    throttle->timer = event_new(base, -1, 0, on_timer, throttle);
    return throttle->timer != NULL ? 0 : -1;
}

void throttle_clear(struct throttle *throttle)
{
    if (throttle->timer != NULL)
        event_free(throttle->timer);
    throttle->timer = NULL;
}

int throttle_handed(struct throttle *throttle, size_t bytes)
{
    throttle->handed += bytes;
    if (throttle->handed < THROTTLE_ASK_BYTES)
        return 0;
    throttle->handed = 0;
    if (throttle->since_ms > 0 || !throttle->ops->behind(throttle->arg) ||
        timer_set(throttle->timer, TICK_MS) < 0)
        return 0;
    throttle->since_ms = clock_ms();
    return 1;
}

int throttle_rests(const struct throttle *throttle)
{
    return throttle->since_ms > 0;
}
