/* gather - a pause between two rounds of a fan-out's list, for what comes meanwhile. */
#include "net/gather.h"
#include "net/net.h"

#include <event2/event.h>

#define REST_MIN_US 1000 /* the loop's timers know no less */
#define REST_MAX_US 10000
#define ENOUGH      4 /* fan-outs in a round: the next round's writes are worth their while */

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    struct net *net = arg;

    (void)fd;
    (void)what;
    net->gather.rests = 0;
    net_flush_later(net);
}

void gather_init(struct net *net)
{
    evtimer_assign(&net->gather.timer, net->base, on_rested, net);
}

void gather_clear(struct net *net)
{
    event_del(&net->gather.timer);
}

/* Until about one more has come, if they go on as they did in the round. */
static void rest(struct net *net)
{
    struct gather *gather = &net->gather;
    uint64_t us = (net->now_us - gather->began_us) / (gather->fanouts > 0 ? gather->fanouts : 1);
    struct timeval wait;

    if (us < REST_MIN_US || gather->fanouts >= ENOUGH)
        return;
    if (us > REST_MAX_US)
        us = REST_MAX_US;
    wait = (struct timeval){0, (suseconds_t)us};
    gather->rests = evtimer_add(&gather->timer, &wait) == 0;
}

int gather_taken(struct net *net)
{
    struct gather *gather = &net->gather;
    int was_dense = gather->dense;

    if (gather->left == 0) {
        gather->left = gather->listed;
        gather->began_us = net->now_us;
        gather->fanouts = 0;
    }
    gather->listed--;
    if (--gather->left > 0)
        return 0;
    gather->dense = gather->listed > 0;
    if (gather->dense && was_dense && !net->draining)
        rest(net);
    return 1;
}

void gather_over(struct net *net)
{
    event_del(&net->gather.timer);
    net->gather.rests = 0;
}
