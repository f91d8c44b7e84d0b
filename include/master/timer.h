/* timer - a libevent timer, so many milliseconds from now. */
#ifndef MASTER_TIMER_H
#define MASTER_TIMER_H

#include <event2/event.h>

/* Sets it, anew if it is set.  Returns 0, or -1 without memory; that of a timer which
 * was set once is there. */
static inline int timer_set(struct event *timer, unsigned ms)
{
    const struct timeval tv = {ms / 1000, ms % 1000 * 1000L};
    return event_add(timer, &tv);
}

#endif
