/* dirty - who has output that is to be tried, in which list, and the clock of a turn. */
#include "base/clock.h"
#include "net/net.h"

#include <event2/event.h>

void net_clock(struct net *net)
{
    net->now_us = clock_us();
}

void net_flush_later(struct net *net)
{
    static const struct timeval now = {0, 0};

    /* A timer, not event_active(): that would run before the sockets are looked
     * at again, and a long flush would keep new clients and pings waiting. */
    if (!evtimer_pending(&net->flush_timer, NULL))
        evtimer_add(&net->flush_timer, &now);
}

void conn_dirty(struct conn *conn)
{
    struct net *net = conn->net;
    struct dirty *dirty = &net->dirty[net->fanning ? DIRTY_FANOUT : DIRTY_OWN];

    if (conn->dirty != CLEAN) {
        conn->dirty = DIRTIER;
        return;
    }
    if (conn->closing || conn->slow) {
        dirty = &net->dirty[conn->closing ? DIRTY_CLOSING : DIRTY_SLOW];
        if (conn->slow)
            compact_watch(&net->compact, &conn->out);
    }
    conn->dirty = DIRTY;
    conn->dirty_next = NULL;
    *dirty->tail = conn;
    dirty->tail = &conn->dirty_next;
    if (dirty == &net->dirty[DIRTY_FANOUT]) {
        net->gather.listed++;
        if (net->gather.rests)
            return;
    }
    net_flush_later(net);
}
